// A client that resets its connections. ADDRESS PORT STAGE COUNT: at `connect` right after the handshake, at `banner`
// once the server's banner is here, at `kex` after its own banner and the server's key exchange offer. `banner-hold`
// sends a banner and waits until the server ends it. `hold` keeps the connection until it is killed.
// Prints how many it did, each connection once.
import net from "node:net";

const [address, port, stage, count] = process.argv.slice(2);
const atOnce = 20;
let started = 0;
let done = 0;

function next() {
  if (started >= Number(count)) return;
  started += 1;
  let received = 0;
  let over = false;
  const socket = net.connect({ host: address, port: Number(port) });
  const end = () => {
    if (over) return;
    over = true;
    done += 1;
    if (done === Number(count)) process.stdout.write(`${done}\n`);
    next();
  };
  const reset = () => {
    socket.resetAndDestroy();
    end();
  };
  socket.on("connect", () => {
    if (stage === "connect") reset();
    if (stage === "kex" || stage === "banner-hold") socket.write("SSH-2.0-peer\r\n");
  });
  socket.on("data", (chunk) => {
    received += chunk.length;
    if (stage === "banner") reset();
    // The banner is some 40 bytes, the offer some 1000.
    if (stage === "kex" && received > 500) reset();
  });
  socket.on("error", end);
  socket.on("close", end);
}
for (let i = 0; i < atOnce; i += 1) next();

/**
 * Raw clients of sshd, run in the client's namespace: argv[2] is JSON { how, host, sources, count, holdMs, gapMs }, one
 * connection each, from the sources in turn; prints how each ended as JSON. Bounded in count and time.
 * how: connect (RST at once), banner (RST after the server's banner), kex (RST after its key exchange packet), hold (says
 * nothing, waits), close (FIN after the banner), half (sends the banner, then nothing).
 */
import { createConnection } from "node:net";

const { how, host, sources, count, holdMs = 5000, gapMs = 0 } = JSON.parse(process.argv[2]);
const results = [];
const all = [];
for (let n = 0; n < Math.min(count, 2000); n++) {
  all.push(connection(sources[n % sources.length]).then((result) => results.push(result)));
  if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
  else if (n % 50 === 49) await Promise.race(all.splice(0, 25));
}
await Promise.all(all);
process.stdout.write(JSON.stringify(results));

function connection(source) {
  return new Promise((resolve) => {
    let said = "";
    let error = "";
    let done = false;
    const socket = createConnection({ host, port: 22, localAddress: source });
    const end = (result) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      resolve({ source, result, said: said.slice(0, 120) });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      end("held");
    }, holdMs);
    const reset = () => {
      socket.resetAndDestroy();
      end("reset by us");
    };
    socket.on("connect", () => {
      if (how === "connect") reset();
      if (how === "kex" || how === "half") socket.write("SSH-2.0-lab\r\n");
    });
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
      if (how === "banner" && said.includes("\n")) reset();
      if (how === "kex" && said.length > said.indexOf("\n") + 100) reset();
      if (how === "close" && said.includes("\n")) {
        socket.end();
        end("closed by us");
      }
    });
    socket.on("error", (failure) => {
      error = failure.code;
    });
    socket.on("close", () => end(error || "closed"));
  });
}

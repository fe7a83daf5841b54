// Runs in the server's namespace: answers on port 22 what it is sent.
import { createServer } from "node:net";

createServer((socket) => {
  socket.on("error", () => undefined);
  socket.pipe(socket);
}).listen({ host: "::", port: 22 }, () => process.stdout.write("ready\n"));

/**
 * In the monitoring namespace: unix sockets that lead to its TCP services (argv: path=host:port ...), so that the run
 * reaches them from outside; and the webhook on 127.0.0.1:9099, which prints each notification as a line of JSON.
 */
import { createServer as createHttp } from "node:http";
import { connect, createServer } from "node:net";

for (const mapping of process.argv.slice(2)) {
  const [path, target] = mapping.split("=");
  const [host, port] = target.split(":");
  createServer((inside) => {
    const outside = connect(Number(port), host);
    inside.pipe(outside).pipe(inside);
    inside.on("error", () => outside.destroy());
    outside.on("error", () => inside.destroy());
  }).listen(path);
}
createHttp((request, response) => {
  let body = "";
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    response.end();
    process.stdout.write(`${JSON.stringify({ timeMs: Date.now(), path: request.url, body: JSON.parse(body) })}\n`);
  });
}).listen(9099, "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();

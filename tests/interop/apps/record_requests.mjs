// Node's server, which writes down every request that is complete, as record_requests.py does.
import { openSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const record = openSync(process.env.RECORD, "a");
const server = createServer((request, response) => {
  const client = request.socket.remoteAddress;
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString("latin1");
    writeSync(record, JSON.stringify([client, request.method, request.url, body]) + "\n");
    response.end();
  });
});
server.httpAllowHalfOpen = true;
// By itself it destroys the socket, and with it what it has understood before.
server.on("clientError", (error, socket) => socket.end());
server.listen(Number(process.argv[2]), "127.0.0.1", 4096);

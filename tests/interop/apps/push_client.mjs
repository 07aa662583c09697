// Node's HTTP/2 client: asks for a path and prints what came, pushes and interim responses included, as JSON.
import { readFileSync } from "node:fs";
import { connect, constants } from "node:http2";

const [origin, authority, path, push, reset] = process.argv.slice(2);
const session = connect(origin, { ca: readFileSync(authority), settings: { enablePush: push === "push" } });
const seen = { pushes: [], informational: [] };
const pushed = [];

function body(stream) {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (part) => (text += part));
    stream.on("end", () => resolve(text));
    stream.on("close", () => resolve(text));
    stream.on("error", reject);
  });
}

function ask(path, onHeaders = () => {}) {
  const request = session.request({ ":path": path, accept: "text/html", "accept-language": "sv", cookie: "id=1" });
  request.on("headers", onHeaders);
  const head = new Promise((resolve) => request.on("response", resolve));
  return Promise.all([head, body(request)]);
}

session.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
session.on("stream", (stream, requestHeaders) => {
  if (reset === "reset") {
    stream.on("error", () => {});
    stream.close(constants.NGHTTP2_CANCEL);
    return;
  }
  const head = new Promise((resolve) => stream.on("push", resolve));
  pushed.push(
    Promise.all([head, body(stream)]).then(([headers, text]) =>
      seen.pushes.push({ request: { ...requestHeaders }, status: headers[":status"], body: text })
    )
  );
});

const [headers, text] = await ask(path, (interim) =>
  seen.informational.push({ status: interim[":status"], link: interim.link })
);
await Promise.all(pushed);
seen.status = headers[":status"];
seen.link = headers.link;
seen.body = text;
if (reset === "reset") [, seen.cancelled] = await ask("/cancelled");
session.close();
console.log(JSON.stringify(seen));

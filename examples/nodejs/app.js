// A shop of one page in Node.js without packages, whose log lines carry the trace id of the request they belong to.
//
//   node app.js | shipper run -c shipper.yaml
//   curl 'http://127.0.0.1:8000/order?mail=ann@example.com'
"use strict";

const { AsyncLocalStorage } = require("node:async_hooks");
const { randomBytes } = require("node:crypto");
const http = require("node:http");

const trace = new AsyncLocalStorage();
const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/; // W3C Trace Context

function log(level, message, fields = {}) {
  const event = { timestamp: new Date().toISOString(), level, service: "shop", message, ...trace.getStore(), ...fields };
  process.stdout.write(JSON.stringify(event) + "\n");
}

function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  try {
    if (url.pathname === "/broken") throw new Error("out of stock");
    log("info", `receipt sent to ${url.searchParams.get("mail") ?? "nobody"}`);
    response.end(JSON.stringify({ ordered: true, ...trace.getStore() }));
  } catch (error) {
    log("error", error.message, { error: error.stack });
    response.writeHead(500).end();
  }
}

const server = http.createServer((request, response) => {
  // the trace that the caller is in, or a new one
  const caller = TRACEPARENT.exec(request.headers.traceparent ?? "");
  trace.run({ trace_id: caller ? caller[1] : randomBytes(16).toString("hex") }, answer, request, response);
});

server.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => log("info", "listening", server.address()));
process.on("SIGTERM", () => server.close());

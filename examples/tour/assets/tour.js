"use strict";

const by = (id) => document.getElementById(id);
const NAMES = { "http/1.0": "HTTP/1.0", "http/1.1": "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3" };
const path = (entry) => new URL(entry.name).pathname;

function showProtocols() {
  const page = performance.getEntriesByType("navigation")[0];
  const resources = performance.getEntriesByType("resource");
  by("protocol").textContent = NAMES[page.nextHopProtocol] ?? page.nextHopProtocol;

  const tiles = resources.filter((entry) => path(entry).startsWith("/tiles/"));
  const begin = Math.min(...tiles.map((entry) => entry.startTime));
  const end = Math.max(...tiles.map((entry) => entry.responseEnd));
  by("tiles-time").textContent = `They took ${Math.round(end - begin)} ms.`;

  const rows = [page, ...resources.filter((entry) => path(entry).startsWith("/assets/")), tiles.at(-1)];
  by("resources").tBodies[0].replaceChildren(...rows.map((entry) => {
    const row = document.createElement("tr");
    row.insertCell().textContent = path(entry);
    row.insertCell().textContent = NAMES[entry.nextHopProtocol] ?? entry.nextHopProtocol;
    return row;
  }));
}

function startClock() {
  new EventSource("/clock").addEventListener("tick", (event) => {
    by("clock").textContent = event.data;
  });
}

function startEcho() {
  const url = new URL("/echo", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  let socket;
  by("echo").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = event.target.elements.text.value;
    if (socket?.readyState === WebSocket.OPEN) {
      socket.send(text);
      return;
    }
    socket = new WebSocket(url);
    socket.onopen = () => socket.send(text);
    socket.onmessage = (message) => { by("echoed").textContent = `The server says: ${message.data}`; };
    socket.onerror = () => { by("echoed").textContent = "The WebSocket could not be opened."; };
  });
}

function startUpload() {
  by("upload").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [file] = event.target.elements.file.files;
    if (!file) return;
    const response = await fetch("/upload", { method: "POST", body: file });
    const result = await response.json();
    by("uploaded").textContent = `${result.bytes} bytes, SHA-256 ${result.sha256}`;
  });
}

async function showRequest() {
  const response = await fetch("/api/request");
  by("request").textContent = JSON.stringify(await response.json(), null, 2);
}

addEventListener("load", async () => {
  startClock();
  startEcho();
  startUpload();
  await showRequest();
  showProtocols();
  document.documentElement.dataset.ready = "true";
});

"""Writes down every request that is complete: one line of JSON in the file that ``RECORD`` names."""

from __future__ import annotations

import json
import os


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only HTTP")
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    seen = [scope["client"][0], scope["method"], target.decode("latin-1"), body.decode("latin-1")]
    with open(os.environ["RECORD"], "a") as file:
        file.write(json.dumps(seen) + "\n")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})

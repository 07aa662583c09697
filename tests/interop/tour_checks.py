"""The list of checks that the tour passes on every server and protocol."""

from __future__ import annotations

import hashlib
import re
from typing import Any


def check_tour(client: Any) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "One application, three protocols" in page.text
    style = re.search(r'href="(/assets/tour\.[0-9a-f]{16}\.css)"', page.text)
    assert style, page.text
    for path, caching in (("/assets/tour.css", "no-cache"), (style[1], "public, max-age=31536000, immutable")):
        sheet = client.get(path)
        assert sheet.headers["content-type"] == "text/css; charset=utf-8"
        assert sheet.headers["cache-control"] == caching
        assert client.get(path, headers={"if-none-match": sheet.headers["etag"]}).status_code == 304
    assert client.get("/assets/..%2Fapp.py").status_code == 404
    assert client.get("/assets/nothing.css").status_code == 404
    assert client.get("/tiles/3").headers["content-type"] == "image/svg+xml"
    assert client.request("HEAD", "/tiles/3").content == b""
    assert client.get("/tiles/" + "9" * 4000).status_code in (200, 414)
    assert client.get("/clock", headers={"last-event-id": "x"}).status_code == 400

    about = client.get("/api/request?x=%C3%A5").json()
    assert about["method"] == "GET"
    assert about["url"] == f"{client.base}/api/request?x=%C3%A5"
    assert client.post("/api/echo", json={"a": ["å", 1]}).json() == {"a": ["å", 1]}
    refused = client.post("/api/echo", data=b"{", headers={"content-type": "application/json"})
    assert refused.status_code == 400
    wrong_method = client.request("DELETE", "/upload")
    assert wrong_method.status_code == 405
    assert "POST" in wrong_method.headers["allow"]

    body = bytes(range(256)) * 4096
    answer = client.post("/upload", data=body, headers={"content-type": "application/octet-stream"}).json()
    assert answer == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    assert client.post("/form", data={"name": "value"}).json() == {"name": "value"}
    assert len(client.get("/download/2").content) == 2 << 20


def check_clock(client: Any) -> None:
    """The first event comes while the response goes on."""
    response = client.get("/clock", stream=True, headers={"last-event-id": "41"})
    text = b""
    for chunk in response.iter_content():
        text += chunk
        if b"\n\n" in text and b"id: 42" in text:
            break
    response.close()
    assert b"event: tick" in text

"""The matrix of conditional and range requests that every kind of response passes on every server and protocol."""

from __future__ import annotations

import re
from typing import Any

CONTENT = bytes(range(256)) * 200
SIZE = len(CONTENT)
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = "Monday, 07-Nov-94 08:49:37 GMT"
MEDIA_TYPE = "application/x-bytes"

SEEKABLE = ("/buffered", "/early", "/declared", "/file", "/object", "/static/content.bin")
STREAMED = ("/stream",)

READS = ("GET", "HEAD")
GET = ("GET",)

#: Methods, fields (``{}`` is the ETag), the status, and for a 206 its parts. What cannot seek answers Range with 200.
MATRIX: list[tuple[tuple[str, ...], dict[str, str], int, list[tuple[int, int]]]] = [
    (READS, {}, 200, []),
    # Section 13.2.2, step 1.
    (READS, {"If-Match": "{}"}, 200, []),
    (READS, {"If-Match": '"x", {}'}, 200, []),
    (READS, {"If-Match": "*"}, 200, []),
    (READS, {"If-Match": '"x"'}, 412, []),
    (READS, {"If-Match": "W/{}"}, 412, []),
    (READS, {"If-Match": "{}", "If-Unmodified-Since": BEFORE}, 200, []),
    # Step 2.
    (READS, {"If-Unmodified-Since": MODIFIED}, 200, []),
    (READS, {"If-Unmodified-Since": AFTER}, 200, []),
    (READS, {"If-Unmodified-Since": BEFORE}, 412, []),
    (READS, {"If-Unmodified-Since": "yesterday"}, 200, []),
    # Step 3.
    (READS, {"If-None-Match": "{}"}, 304, []),
    (READS, {"If-None-Match": "W/{}"}, 304, []),
    (READS, {"If-None-Match": '"x", {}'}, 304, []),
    (READS, {"If-None-Match": "*"}, 304, []),
    (READS, {"If-None-Match": '"x"'}, 200, []),
    (READS, {"If-None-Match": '"x"', "If-Modified-Since": MODIFIED}, 200, []),
    (READS, {"If-None-Match": "{}", "If-Modified-Since": BEFORE}, 304, []),
    (READS, {"If-Match": '"x"', "If-None-Match": "{}"}, 412, []),
    # Step 4.
    (READS, {"If-Modified-Since": MODIFIED}, 304, []),
    (READS, {"If-Modified-Since": AFTER}, 304, []),
    (READS, {"If-Modified-Since": BEFORE}, 200, []),
    (READS, {"If-Modified-Since": "0"}, 200, []),
    # Step 5, and section 14.
    (GET, {"Range": "bytes=0-9"}, 206, [(0, 10)]),
    (GET, {"Range": "bytes=51000-"}, 206, [(51000, SIZE)]),
    (GET, {"Range": "bytes=-7"}, 206, [(SIZE - 7, SIZE)]),
    (GET, {"Range": "bytes=0-"}, 206, [(0, SIZE)]),
    (GET, {"Range": "bytes=51199-99999"}, 206, [(SIZE - 1, SIZE)]),
    (GET, {"Range": "bytes=100-299,0-99"}, 206, [(0, 300)]),
    (GET, {"Range": "bytes=0-99,50-149"}, 206, [(0, 150)]),
    (GET, {"Range": "bytes=0-0,-1"}, 206, [(0, 1), (SIZE - 1, SIZE)]),
    (GET, {"Range": "bytes=9000-40000,5-6,99999-"}, 206, [(9000, 40001), (5, 7)]),
    (GET, {"Range": "bytes=51200-"}, 416, []),
    (GET, {"Range": "bytes=-0"}, 416, []),
    (GET, {"Range": "bytes=9-0"}, 200, []),
    (GET, {"Range": "lines=0-9"}, 200, []),
    (GET, {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 500, 3))}, 200, []),
    (("HEAD",), {"Range": "bytes=0-9"}, 200, []),
    (("HEAD",), {"Range": "bytes=51200-"}, 200, []),
    (GET, {"Range": "bytes=0-9", "If-Range": "{}"}, 206, [(0, 10)]),
    (GET, {"Range": "bytes=0-9", "If-Range": MODIFIED}, 206, [(0, 10)]),
    (GET, {"Range": "bytes=0-9", "If-Range": '"x"'}, 200, []),
    (GET, {"Range": "bytes=0-9", "If-Range": "W/{}"}, 200, []),
    (GET, {"Range": "bytes=0-9", "If-Range": AFTER}, 200, []),
    (GET, {"Range": "bytes=51200-", "If-Range": '"x"'}, 200, []),
    (GET, {"If-Range": '"x"'}, 200, []),
    (GET, {"Range": "bytes=0-9", "If-None-Match": "{}"}, 304, []),
    (GET, {"Range": "bytes=0-9", "If-None-Match": '"x"'}, 206, [(0, 10)]),
    (GET, {"Range": "bytes=0-9", "If-Modified-Since": MODIFIED}, 304, []),
    (GET, {"Range": "bytes=0-9", "If-Match": '"x"', "If-Range": "{}"}, 412, []),
    (GET, {"Range": "bytes=51200-", "If-None-Match": "{}"}, 304, []),
]


def check_matrix(client: Any) -> None:
    for path in (*SEEKABLE, *STREAMED):
        seekable = path in SEEKABLE
        whole = client.request("GET", path)
        tag = whole.headers["etag"]
        assert re.fullmatch(r'"[^"]+"', tag), tag
        assert whole.headers["last-modified"] == MODIFIED
        assert whole.headers.get("accept-ranges") == ("bytes" if seekable else None)
        for methods, fields, status, parts in MATRIX:
            if not seekable and status in (206, 416):
                status, parts = 200, []
            for method in methods:
                row = f"{method} {path} {fields}"
                headers = {name: value.replace("{}", tag) for name, value in fields.items()}
                response = client.request(method, path, headers=headers)
                assert response.status_code == status, row
                check_fields(response, tag, seekable, row)
                if method == "HEAD" or status == 304:
                    assert response.content == b"", row
                elif status == 200:
                    assert response.content == CONTENT, row
                elif status == 206:
                    check_parts(response, parts, row)


def check_fields(response: Any, tag: str, seekable: bool, row: str) -> None:
    headers, status = response.headers, response.status_code
    assert "accept-language" in headers["vary"].lower(), row
    if status in (200, 206, 304):
        assert (headers["etag"], headers["cache-control"]) == (tag, "public, max-age=60"), row
    else:
        assert "etag" not in headers, row
        assert "cache-control" not in headers, row
    if status == 304:  # section 15.4.5: the rest the client has already
        for name in ("content-type", "content-length", "last-modified", "accept-ranges", "content-range"):
            assert name not in headers, row
    if status == 200:
        assert headers["content-type"] == MEDIA_TYPE, row
        assert not seekable or headers["content-length"] == str(SIZE), row
    if status == 416:
        assert headers["content-range"] == f"bytes */{SIZE}", row
    elif status != 206:
        assert "content-range" not in headers, row


def check_parts(response: Any, parts: list[tuple[int, int]], row: str) -> None:
    headers, body = response.headers, response.content
    assert headers["content-length"] == str(len(body)), row
    if len(parts) == 1:
        [(start, stop)] = parts
        assert headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}", row
        assert headers["content-type"] == MEDIA_TYPE, row
        assert body == CONTENT[start:stop], row
        return
    assert "content-range" not in headers, row
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", headers["content-type"])
    assert boundary is not None, row
    delimiter = b"--" + boundary[1].encode()
    wanted = b"\r\n".join(
        delimiter
        + f"\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Range: bytes {start}-{stop - 1}/{SIZE}\r\n\r\n".encode()
        + CONTENT[start:stop]
        for start, stop in parts
    )
    assert body == wanted + b"\r\n" + delimiter + b"--\r\n", row


def check_changes(client: Any) -> None:
    """Nothing is overwritten that the client has not seen, and nothing is changed blindly."""

    def put(text: str, **fields: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        status: int = client.request("PUT", "/item", data=text.encode(), headers=headers).status_code
        return status

    assert client.request("GET", "/item").headers["etag"] == '"one"'
    assert put("two") == 428
    assert put("two", if_modified_since=MODIFIED) == 428
    assert put("two", if_unmodified_since=MODIFIED) == 428  # the item has no date to compare it with
    assert put("two", if_match='"zero"') == 412
    assert put("two", if_none_match="*") == 412
    assert client.request("GET", "/item").text == "one"
    assert put("two", if_match='"one"') == 200
    assert put("three", if_match='"one"') == 412
    assert client.request("GET", "/item", headers={"if-none-match": '"two"'}).status_code == 304
    assert client.request("DELETE", "/item").status_code == 428
    client.request("DELETE", "/item", headers={"if-match": '"two"'})
    assert client.request("GET", "/item").status_code == 404
    assert put("four", if_match="*") == 412
    assert put("one", if_none_match="*") == 200
    assert client.request("GET", "/item").text == "one"

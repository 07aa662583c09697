"""Static files in process: what is said of them, which of their codings is sent, and what is not given away."""

from __future__ import annotations

import gzip
import os
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tricorn import App, FileResponse, Host, Mount, NoRoute, Request, Route, StaticFiles
from tricorn.caching import CacheControl
from tricorn.response import filetag
from tricorn.static.names import names_of
from tricorn.templates import Templates
from tricorn.testing import AsyncClient, Client

pytestmark = pytest.mark.anyio

CSS = b"body { color: navy }\n" * 50
BROTLI, ZSTD, GZIP = b"in brotli", b"in zstd", gzip.compress(CSS, mtime=0)
LARGE = bytes(range(256)) * 1024
OLD = 784111777
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "assets"
    for name, content in {
        "app.css": CSS,
        "app.css.br": BROTLI,
        "app.css.zst": ZSTD,
        "app.css.gz": GZIP,
        "app.js": b"let a;",
        "docs/index.html": b"<p>index",
        "docs/note": b"a note",
        "empty.txt": b"",
        "large.bin": LARGE,
        ".env": b"secret",
        ".well-known/x.txt": b"x",
    }.items():
        write(folder / name, content)
    write(tmp_path / "secret.txt", b"secret")
    return folder


@pytest.fixture
async def client(folder, client_of):
    return await client_of(App([Mount("/assets", StaticFiles(folder))]))


def get_fields(response, *names):
    return tuple(response.headers.get(name) for name in names)


# ----------------------------------------------------------------------------------------------------- what is said


async def test_a_file(client):
    response = await client.get("/assets/docs/note")
    assert (response.status, response.body) == (200, b"a note")
    names = ("content-type", "content-length", "last-modified", "cache-control", "accept-ranges", "vary")
    assert get_fields(response, *names) == ("application/octet-stream", "6", MODIFIED, "no-cache", "bytes", None)
    assert response.headers["etag"].startswith('"')
    head = await client.head("/assets/docs/note")
    assert head.body == b""
    assert get_fields(head, *names, "etag") == get_fields(response, *names, "etag")


async def test_hot_and_cold_look_ups_say_the_same(folder, client_of, monkeypatch):
    app = App([Mount("/assets", StaticFiles(folder))])
    threads = []
    from tricorn.static import app as module

    real = module.run_in_thread
    monkeypatch.setattr(module, "run_in_thread", lambda *args, **kw: (threads.append(args), real(*args, **kw))[1])
    client = await client_of(app)
    first = await client.get("/assets/app.css", headers={"accept-encoding": "gzip"})
    second = await client.get("/assets/app.css", headers={"accept-encoding": "gzip"})
    assert first.body == second.body == GZIP
    assert [*first.headers.items()] == [*second.headers.items()]
    # The file was just made, so that its times cannot be relied on yet: it is hashed each time, in a thread.
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("tricorn.response.filetag.time_ns", lambda: later)
    third = await client.get("/assets/app.css", headers={"accept-encoding": "gzip"})
    assert len(threads) == 3
    fourth = await client.get("/assets/app.css", headers={"accept-encoding": "gzip"})
    assert len(threads) == 3
    assert [*third.headers.items()] == [*fourth.headers.items()] == [*first.headers.items()]
    await client.get("/assets/none")
    await client.get("/assets/none")
    assert len(threads) == 5


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("docs/index.html", "text/html; charset=utf-8"),
        ("app.css.br", "application/octet-stream"),
    ],
)
async def test_media_types(client, path, media_type):
    assert (await client.get(f"/assets/{path}")).headers["content-type"] == media_type


async def test_media_types_of_one_s_own(folder, client_of):
    client = await client_of(
        App([Mount("/", StaticFiles(folder, media_types={".CSS": "text/x-own", "": "text/plain"}))])
    )
    assert (await client.get("/app.css")).headers["content-type"] == "text/x-own; charset=utf-8"
    with pytest.raises(ValueError, match="content-type"):
        StaticFiles(folder, media_types={"x": "a\r\nb"})


async def test_an_empty_file(client):
    response = await client.get("/assets/empty.txt")
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "0")


async def test_conditions_and_ranges(client):
    whole = await client.get("/assets/large.bin")
    assert whole.body == LARGE
    tag = whole.headers["etag"]
    for fields, status, body in [
        ({"if-none-match": tag}, 304, b""),
        ({"if-modified-since": MODIFIED}, 304, b""),
        ({"if-match": '"x"'}, 412, None),
        ({"range": "bytes=-10"}, 206, LARGE[-10:]),
        ({"range": "bytes=1000-200000"}, 206, LARGE[1000:200_001]),
        ({"range": "bytes=0-9", "if-range": tag}, 206, LARGE[:10]),
        ({"range": "bytes=0-9", "if-range": '"x"'}, 200, LARGE),
        ({"range": f"bytes={len(LARGE)}-"}, 416, None),
    ]:
        response = await client.get("/assets/large.bin", headers=fields)
        assert response.status == status, fields
        assert body is None or response.body == body, fields
    several = await client.get("/assets/app.js", headers={"range": "bytes=0-0,-1"})
    assert several.status == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert b"\r\n\r\nl\r\n" in several.body
    assert b"\r\n\r\n;\r\n" in several.body


async def test_only_get_and_head(client):
    for method, status in (("POST", 405), ("PUT", 405), ("DELETE", 405), ("TRACE", 405), ("OPTIONS", 204)):
        response = await client.request(method, "/assets/app.css")
        assert (response.status, response.headers["allow"]) == (status, "GET, HEAD, OPTIONS")
    assert (await client.request("POST", "/assets/../secret.txt")).status in (404, 405)


# ---------------------------------------------------------------------------------------------------------- variants


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, *", "zstd"),
        ("*", "br"),
        ("*;q=0", None),
        ("identity;q=0, gzip", "gzip"),
        ("identity;q=0", None),
        ("identity;q=0, *", "br"),
        ("identity, br;q=0.5", None),
        ("deflate", None),
        ("x-gzip", "gzip"),
        ("gzip;q=nonsense", None),
    ],
)
async def test_negotiation(client, accept, coding):
    response = await client.get("/assets/app.css", headers={} if accept is None else {"accept-encoding": accept})
    bodies = {None: CSS, "br": BROTLI, "zstd": ZSTD, "gzip": GZIP}
    assert (response.headers.get("content-encoding"), response.body) == (coding, bodies[coding])
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["content-type"] == "text/css; charset=utf-8"


async def test_each_variant_has_its_own_strong_tag_and_ranges(client):
    tags = {}
    for coding, content in (("identity", CSS), ("br", BROTLI), ("zstd", ZSTD), ("gzip", GZIP)):
        accept = {"accept-encoding": coding}
        tags[coding] = tag = (await client.get("/assets/app.css", headers=accept)).headers["etag"]
        assert tag.startswith('"')
        part = await client.get("/assets/app.css", headers={**accept, "range": "bytes=2-5", "if-range": tag})
        assert (part.status, part.body, part.headers["etag"]) == (206, content[2:6], tag)
        same = await client.get("/assets/app.css", headers={**accept, "if-none-match": tag})
        assert (same.status, same.headers["etag"]) == (304, tag)
        assert same.headers["vary"] == "Accept-Encoding"
        error = await client.get("/assets/app.css", headers={**accept, "if-match": '"x"'})
        assert (error.status, "Accept-Encoding" in error.headers["vary"]) == (412, True)
    assert len(set(tags.values())) == 4
    other = await client.get("/assets/app.css", headers={"accept-encoding": "br", "if-none-match": tags["gzip"]})
    assert (other.status, other.body) == (200, BROTLI)


async def test_variants_of_the_same_bytes_have_different_tags(folder, client):
    write(folder / "same.txt", b"x")
    write(folder / "same.txt.gz", b"x")
    plain = await client.get("/assets/same.txt")
    coded = await client.get("/assets/same.txt", headers={"accept-encoding": "gzip"})
    assert plain.headers["etag"] != coded.headers["etag"]


async def test_a_file_without_variants_does_not_vary(client):
    response = await client.get("/assets/app.js", headers={"accept-encoding": "br"})
    assert get_fields(response, "vary", "content-encoding") == (None, None)


async def test_a_variant_that_is_older_is_of_another_version(folder, client):
    (folder / "app.css").write_bytes(b"new")
    response = await client.get("/assets/app.css", headers={"accept-encoding": "br"})
    assert (response.body, response.headers.get("content-encoding")) == (b"new", None)


@pytest.mark.parametrize(
    ("variant", "original", "is_current"),
    [
        (OLD * 10**9 + 500_000_000, OLD * 10**9 + 500_000_000, True),
        (OLD * 10**9 + 500_000_000, OLD * 10**9 + 504_000_000, False),  # one tick of the kernel
        (OLD * 10**9 + 500_000_000, OLD * 10**9 + 500_000_238, True),  # by os.utime with floats
        (OLD * 10**9, OLD * 10**9 + 500_000_000, True),  # cut to the second, as brotli does it
        (OLD * 10**9 - 1, OLD * 10**9 + 500_000_000, False),
        ((OLD - 1) * 10**9, OLD * 10**9, False),
    ],
)
async def test_times_within_one_second(folder, client, variant, original, is_current):
    os.utime(folder / "app.css", ns=(original, original))
    for suffix in ("br", "zst", "gz"):
        os.utime(folder / f"app.css.{suffix}", ns=(variant, variant))
    response = await client.get("/assets/app.css", headers={"accept-encoding": "br"})
    assert response.body == (BROTLI if is_current else CSS)


async def test_a_variant_that_is_no_file_is_none(folder, client):
    (folder / "app.js.br").mkdir()
    assert (await client.get("/assets/app.js", headers={"accept-encoding": "br"})).body == b"let a;"


async def test_a_variant_that_has_gone_since_is_not_missed(folder, client, monkeypatch):
    from tricorn.static import lookup

    real = lookup.open_file

    def opened(entry):
        if entry.path.endswith(".br"):
            os.unlink(entry.path)
        return real(entry)

    monkeypatch.setattr(lookup, "open_file", opened)
    response = await client.get("/assets/app.css", headers={"accept-encoding": "br"})
    assert (response.status, response.body, response.headers["vary"]) == (200, CSS, "Accept-Encoding")
    assert "content-encoding" not in response.headers


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_nor_one_that_may_not_be_read(folder, client):
    (folder / "app.css.br").chmod(0)
    assert (await client.get("/assets/app.css", headers={"accept-encoding": "br"})).body == CSS


async def test_a_variant_alone_is_no_file(folder, client):
    write(folder / "only.css.br", b"x")
    assert (await client.get("/assets/only.css", headers={"accept-encoding": "br"})).status == 404


async def test_variants_outside_of_the_compressing_middleware(folder, client_of):
    from tricorn.middleware.compression import CompressionMiddleware

    client = await client_of(App([Mount("/assets", StaticFiles(folder))], middleware=[CompressionMiddleware]))
    response = await client.get("/assets/app.css", headers={"accept-encoding": "br"})
    assert (response.body, response.headers["content-encoding"]) == (BROTLI, "br")


# ----------------------------------------------------------------------------------------------------------- caching


async def test_cache_control_by_pattern(folder, client_of):
    rules = {"docs/*": "no-store", "*.css": CacheControl.public(max_age=60), "app.*": "private"}
    client = await client_of(App([Mount("/assets", StaticFiles(folder, cache=rules))]))
    found = {}
    for path in ("docs/note", "app.css", "app.js", "empty.txt"):
        found[path] = (await client.get(f"/assets/{path}")).headers["cache-control"]
    assert found == {
        "docs/note": "no-store", "app.css": "public, max-age=60", "app.js": "private", "empty.txt": "no-cache",
    }  # fmt: skip
    with pytest.raises(ValueError, match="cache-control"):
        StaticFiles(folder, cache={"*": "a\r\nb"})
    with pytest.raises(ValueError, match="private contradicts public"):
        StaticFiles(folder, cache="public, private")


async def test_what_is_declared_around_it_counts_where_it_says_nothing_itself(folder, client_of):
    static = StaticFiles(folder, cache={"*.css": "private"})
    client = await client_of(App([Mount("/assets", static, cache="max-age=5", vary="Cookie")]))
    css, js = await client.get("/assets/app.css"), await client.get("/assets/app.js")
    assert get_fields(css, "cache-control", "vary") == ("private", "Accept-Encoding, Cookie")
    assert get_fields(js, "cache-control", "vary") == ("max-age=5", "Cookie")
    one = await client_of(App([Mount("/assets", StaticFiles(folder, cache=CacheControl.no_store()))]))
    assert (await one.get("/assets/app.js")).headers["cache-control"] == "no-store"


# ------------------------------------------------------------------------------------------------------ fingerprints


def page_of(*mounts, **options):
    async def page(request: Request, path: str, mount: str | None = None) -> str:
        try:
            return request.static_url(path, mount or request.query.get("mount"))
        except NoRoute as error:
            return f"none: {error}"

    return App([*mounts, Route("/page/{path:path}", page)], **options)


async def test_a_fingerprinted_url(folder, client_of):
    client = await client_of(page_of(Mount("/assets", StaticFiles(folder))))
    url = (await client.get("/page/app.css")).text
    name, digest, suffix = url.removeprefix("/assets/").split(".")
    assert (name, len(digest), suffix) == ("app", 16, "css")
    response = await client.get(url)
    assert (response.status, response.body) == (200, CSS)
    names = ("cache-control", "content-type", "vary")
    said = ("public, max-age=31536000, immutable", "text/css; charset=utf-8", "Accept-Encoding")
    assert get_fields(response, *names) == said
    coded = await client.get(url, headers={"accept-encoding": "br"})
    assert (coded.body, coded.headers["cache-control"]) == (BROTLI, said[0])
    plain = await client.get("/assets/app.css")
    assert plain.headers["etag"] == response.headers["etag"]
    same = await client.get(url, headers={"if-none-match": response.headers["etag"]})
    assert get_fields(same, "cache-control", "vary") == (said[0], said[2])
    assert (await client.get(url, headers={"range": "bytes=0-3"})).body == CSS[:4]


async def test_another_hash_is_not_found_and_not_remembered(folder, client_of):
    client = await client_of(page_of(Mount("/assets", StaticFiles(folder))))
    old = (await client.get("/page/app.css")).text
    (folder / "app.css").write_bytes(b"new")
    new = (await client.get("/page/app.css")).text
    assert new != old
    gone = await client.get(old)
    assert (gone.status, gone.headers["cache-control"]) == (404, "no-store")
    assert (await client.get(new)).body == b"new"
    assert (await client.get("/assets/none.0123456789abcdef.css")).status == 404
    assert (await client.get("/assets/docs.0123456789abcdef")).status == 404


async def test_a_file_may_have_such_a_name_itself(folder, client):
    write(folder / "chunk.0123456789abcdef.js", b"built")
    response = await client.get("/assets/chunk.0123456789abcdef.js")
    assert (response.body, response.headers["cache-control"]) == (b"built", "no-cache")


def test_a_hash_is_computed_once_for_each_state(folder, monkeypatch):
    static = StaticFiles(folder)
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("tricorn.response.filetag.time_ns", lambda: later)
    first = static.resolve("static", {"path": "docs/note"})
    with monkeypatch.context() as patch:
        patch.setattr("tricorn.response.filetag.os.pread", None)
        assert static.resolve("static", {"path": "docs/note"}) == first
    (folder / "docs" / "note").write_bytes(b"other")
    assert static.resolve("static", {"path": "docs/note"}) != first


def test_hashes_are_of_the_content_whatever_the_size(tmp_path, monkeypatch):
    urls = []
    for name in ("one", "two"):
        write(tmp_path / name / "large", b"x" * (filetag.MAX_HASHED_BYTES + 1))
        urls.append(StaticFiles(tmp_path / name).resolve("static", {"path": "large"}))
        with Client(App([Mount("/", StaticFiles(tmp_path / name))])) as client:
            assert client.head(urls[-1]).headers["cache-control"].endswith("immutable")
    assert urls[0] == urls[1]


async def test_through_mounts_hosts_and_root_paths(folder, tmp_path, client_of):
    write(tmp_path / "other" / "x y.css", b"x")
    inner = page_of(Mount("/vendor", StaticFiles(tmp_path / "other"), name="vendor"))
    app = page_of(
        Mount("/assets", StaticFiles(folder)),
        Mount("/more", StaticFiles(tmp_path / "other")),
        Mount("/inner", inner, name="inner"),
        Host("static.example", Router_of(tmp_path / "other"), name="far"),
    )
    client = await client_of(app)

    async def url(path, mount=None, page="/page"):
        return (await client.get(f"{page}/{path}" + (f"?mount={mount}" if mount else ""))).text

    assert (await url("x y.css")).startswith("/more/x%20y.")
    assert (await url("x y.css", "inner:vendor")).startswith("/inner/vendor/x%20y.")
    assert (await url("app.css", page="/inner/page")).startswith("/assets/app.")
    assert (await url("x y.css", "far")).startswith("http://static.example/")
    assert (await url("app.css", "inner:vendor")).startswith("none:")
    for path in ("none.css", "../secret.txt", "docs", "docs/", "", ".env"):
        assert (await url(path)).startswith("none:"), path
    rooted = await client_of(page_of(Mount("/assets", StaticFiles(folder))), root_path="/behind proxy")
    text = (await rooted.get("/page/app.css")).text
    assert text.startswith("/behind%20proxy/assets/app.")


def Router_of(directory):
    from tricorn import Router

    return Router([Mount("/s", StaticFiles(directory))])


async def test_in_templates(folder, tmp_path, client_of):
    write(tmp_path / "pages" / "page.html", b'<link href="{{ static_url("app.css") }}">')
    templates = Templates(tmp_path / "pages")
    app = App()
    app.static("/assets", folder, cache="max-age=1")

    @app.get("/")
    async def index(request: Request):
        return templates.response(request, "page.html")

    client = await client_of(app)
    text = (await client.get("/")).text
    url = text.split('"')[1]
    assert url.startswith("/assets/app.")
    assert (await client.get(url)).body == CSS
    assert (await client.get("/assets/app.css")).headers["cache-control"] == "max-age=1"
    assert str(app.url_for("static", path="app.css")) == url


# -------------------------------------------------------------------------------------------------------------- html


async def test_an_index_and_a_page_for_what_is_missing(folder, client_of):
    write(folder / "404.html", b"<p>none")
    write(folder / "bare" / "x.txt", b"x")
    client = await client_of(App([Mount("/site", StaticFiles(folder, html=True))]))
    index = await client.get("/site/docs/")
    assert (index.status, index.body, index.headers["content-type"]) == (200, b"<p>index", "text/html; charset=utf-8")
    redirect = await client.get("/site/docs?a=b", follow_redirects=False)
    assert (redirect.status, redirect.headers["location"]) == (308, "./docs/?a=b")
    assert redirect.headers["cache-control"] == "no-cache"
    for path in ("/site/none", "/site/", "/site/bare", "/site/bare/", "/site/../secret.txt", "/site/%2e%2e/secret.txt"):
        response = await client.get(path)
        assert (response.status, response.body) == (404, b"<p>none"), path
        assert get_fields(response, "etag", "cache-control") == (None, "no-cache")
    ranged = await client.get("/site/none", headers={"range": "bytes=0-1"})
    assert (ranged.status, ranged.body) == (404, b"<p>none")


async def test_no_policy_for_files_holds_for_the_page_for_what_is_missing(folder, client_of):
    write(folder / "404.html", b"<p>none")
    files = StaticFiles(folder, html=True, cache=CacheControl.public(max_age=3600))
    client = await client_of(App([Mount("/site", files, cache=CacheControl.public(max_age=60))]))
    assert (await client.get("/site/docs/")).headers["cache-control"] == "public, max-age=3600"
    for path, policy in (("/site/none", "no-cache"), ("/site/app.0123456789abcdef.css", "no-store")):
        missing = await client.get(path)
        assert (missing.status, missing.body, missing.headers["cache-control"]) == (404, b"<p>none", policy)
    assert (await client.get("/site/404.html")).headers["cache-control"] == "public, max-age=3600"


async def test_no_index_without_being_asked(client):
    for path in ("/assets/", "/assets/docs", "/assets/docs/"):
        assert (await client.get(path)).status == 404


# --------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "%2e%2e%2fsecret.txt", "docs/../../secret.txt",
        "..\\secret.txt", "..%5csecret.txt", "%252e%252e/secret.txt", "%252e%252e%252fsecret.txt", "/secret.txt",
        "//etc/passwd", "%2fetc/passwd", "docs%2fnote", "app.css%00", "app.css%00.txt", "C:/x", "C:%5cx",
        "app.css::$DATA",
        "%5c%5cserver%5cshare", "CON", "nul.txt", "app.css.", "app.css%20", "./app.css", "docs/./note", "docs//note",
        ".env", ".well-known/x.txt", "app.css/", "app.css/x", "%ff", "%c0%ae%c0%ae/secret.txt", "a" * 300, "x/" * 3000,
        "docs%u2216note", "\u2025/secret.txt",
    ],
)  # fmt: skip
async def test_not_given_away(folder, client_of, path, monkeypatch):
    client = await client_of(App([Mount("/assets", StaticFiles(folder))], trailing_slash="strict"))
    response = await client.get(f"/assets/{path}")
    assert response.status == 404
    assert b"secret" not in response.body


async def test_what_is_refused_reaches_no_file_system_call(folder, client_of, monkeypatch):
    client = await client_of(App([Mount("/assets", StaticFiles(folder))]))

    def untouched(*args, **options):
        raise AssertionError(f"the file system was asked for {args}")

    for name in ("lstat", "stat", "open", "readlink"):
        monkeypatch.setattr(f"tricorn.static.folder.os.{name}", untouched)
    for path in ("%2e%2e/x", "..%2fx", "a%5cb", "a%00", "CON", "C:x", "%252e%252e/x", ".env", "x."):
        response = await client.get(f"/assets/{path}")
        assert response.status == 404


async def test_hidden_files_on_request(folder, client_of):
    client = await client_of(App([Mount("/", StaticFiles(folder, hidden=True))]))
    assert (await client.get("/.well-known/x.txt")).body == b"x"
    assert (await client.get("/%2e%2e/secret.txt")).status == 404


async def test_symbolic_links(folder, tmp_path, client_of):
    (folder / "inside.css").symlink_to("app.css")
    (folder / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    (folder / "gone").symlink_to("nothing")
    (folder / "app.js.gz").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "assets-of-another").mkdir()
    write(tmp_path / "assets-of-another" / "x", b"secret")
    (folder / "sibling").symlink_to(tmp_path / "assets-of-another")
    client = await client_of(App([Mount("/", StaticFiles(folder))]))
    assert (await client.get("/inside.css")).body == CSS
    for path in ("/outside.txt", "/up/secret.txt", "/up/assets/app.js", "/loop", "/loop/x", "/gone", "/sibling/x"):
        response = await client.get(path)
        assert response.status == (200 if path == "/up/assets/app.js" else 404), path
    assert (await client.get("/app.js", headers={"accept-encoding": "gzip"})).body == b"let a;"
    following = await client_of(App([Mount("/", StaticFiles(folder, follow_symlinks=True))]))
    assert (await following.get("/outside.txt")).body == b"secret"
    assert (await following.get("/loop")).status == 404
    (tmp_path / "current").symlink_to("assets")
    switched = await client_of(App([Mount("/", StaticFiles(tmp_path / "current"))]))
    assert (await switched.get("/inside.css")).body == CSS
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("assets-of-another")
    assert (await switched.get("/x")).body == b"secret"


async def test_what_is_no_regular_file_is_never_opened(folder, client, monkeypatch):
    os.mkfifo(folder / "fifo")
    os.mkfifo(folder / "app.js.br")
    (folder / "null").symlink_to("/dev/null")
    for path in ("fifo", "null", "docs"):
        assert (await client.get(f"/assets/{path}")).status == 404
    assert (await client.get("/assets/app.js", headers={"accept-encoding": "br"})).body == b"let a;"
    with pytest.raises(NoRoute):
        StaticFiles(folder).resolve("static", {"path": "fifo"})


async def test_a_fifo_in_a_file_s_place_is_not_waited_for(folder, client, monkeypatch):
    from tricorn.static import lookup

    real = lookup.open_file

    def replaced(entry):
        with suppress(FileNotFoundError):
            os.unlink(entry.path)
        os.mkfifo(entry.path)
        return real(entry)

    monkeypatch.setattr(lookup, "open_file", replaced)
    assert (await client.get("/assets/app.js")).status == 404


@pytest.mark.parametrize("path", ["docs/deep/note", "alias/deep/note", "docs/deep/app.js"])
async def test_a_link_in_a_directory_s_place_is_not_followed(folder, tmp_path, client_of, monkeypatch, path):
    """Not even one that is put there after the path was looked at."""
    from tricorn.static import lookup

    (folder / "alias").symlink_to("docs")
    for place in (folder / "docs", tmp_path / "elsewhere"):
        write(place / "deep" / "note", b"secret" if place.name == "elsewhere" else b"a note")
        write(place / "deep" / "app.js.gz", b"secret")
    write(folder / "docs" / "deep" / "app.js", b"let a;")
    real = lookup.open_file

    def replaced(entry):
        if not (folder / "docs").is_symlink():
            (folder / "docs").rename(folder / "was")
            (folder / "docs").symlink_to(tmp_path / "elsewhere")
        return real(entry)

    for patched, status in ((real, 200), (replaced, 404)):
        monkeypatch.setattr(lookup, "open_file", patched)
        client = await client_of(App([Mount("/", StaticFiles(folder))]))
        assert (await client.get(f"/{path}", headers={"accept-encoding": "gzip"})).status == status
    following = await client_of(App([Mount("/", StaticFiles(folder, follow_symlinks=True))]))
    assert (await following.get("/docs/deep/note")).body == b"secret"


async def test_nor_is_it_by_a_response_of_its_own(folder, client_of):
    os.mkfifo(folder / "fifo")
    client = await client_of(App([Route("/", lambda: FileResponse(folder / "fifo"))]))
    with pytest.raises(IsADirectoryError):
        await client.get("/")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_what_may_not_be_read_is_not_there(folder, client):
    (folder / "app.js").chmod(0)
    assert (await client.get("/assets/app.js")).status == 404


async def test_a_file_system_that_fails_is_an_error_of_ours(folder, client, monkeypatch):
    import errno

    def broken(path):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("tricorn.static.folder.os.lstat", broken)
    with pytest.raises(OSError, match="broken"):
        await client.get("/assets/app.css")


PIECES = st.sampled_from(
    ["..", ".", "/", "%2e", "%2f", "%5c", "\\", "%00", "up", "in", "out", "docs", "note", "app.js"]
)


@given(st.lists(PIECES, max_size=8).map("".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_path_gives_a_file_from_outside(folder, text):
    """Whatever the links are; what lies outside says so."""
    for name, target in (("up", ".."), ("in", "docs"), ("out", "../secret.txt")):
        with suppress(FileExistsError):
            (folder / name).symlink_to(target)
    from urllib.parse import unquote

    from tricorn.static.folder import Folder
    from tricorn.static.lookup import Found, Lookup

    for path in (text, "/" + text, unquote(text)):
        found = Lookup(Folder(folder), html=True, hidden=True).search(
            names_of(path, hidden=True), ["br"], blocking=True
        )
        if isinstance(found, Found):
            with found.opened.file as file:
                assert os.path.realpath(file.name).startswith(str(folder) + "/")
                assert found.opened.content != b"secret"


# -------------------------------------------------------------------------------------------------- while it is sent


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=10-200000"}])
async def test_a_file_that_shrinks_breaks_the_response_off(folder, foreign, headers):
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    server = foreign(App([Mount("/", StaticFiles(folder))]), path="/large.bin", headers=fields)

    async def send(message):
        server.sent.append(message)
        os.truncate(folder / "large.bin", 1000)

    with pytest.raises(RuntimeError, match="became shorter"):
        await server.app(server.scope, server.receive, send)
    assert len(server.body) < int(server.headers[b"content-length"])


async def test_a_file_that_grows_is_sent_as_announced(folder, foreign):
    server = foreign(App([Mount("/", StaticFiles(folder))]), path="/large.bin")

    async def send(message):
        server.sent.append(message)
        with (folder / "large.bin").open("ab") as file:
            file.write(b"more")

    await server.app(server.scope, server.receive, send)
    assert server.body == LARGE


async def test_files_are_closed(folder, foreign):
    before = len(os.listdir("/proc/self/fd"))
    for headers in (
        [],
        [(b"range", b"bytes=0-9")],
        [(b"if-modified-since", MODIFIED.encode())],
        [(b"if-match", b'"x"')],
    ):
        for path in ("/large.bin", "/app.css", "/docs/note"):
            server = foreign(App([Mount("/", StaticFiles(folder))]), path=path, headers=headers)
            await server.run()
    gone = foreign(App([Mount("/", StaticFiles(folder))]), path="/large.bin")
    gone.gone.set()
    await gone.run()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("extensions", "kind"),
    [(("zerocopysend", "pathsend"), "zerocopysend"), (("pathsend",), "pathsend"), ((), "body")],
)
async def test_how_a_large_file_is_sent(folder, foreign, extensions, kind):
    offered = {f"http.response.{name}": {} for name in extensions}
    server = foreign(App([Mount("/", StaticFiles(folder))]), path="/large.bin", extensions=offered)
    await server.run()
    assert {message["type"] for message in server.sent[1:]} == {f"http.response.{kind}"}
    if kind == "pathsend":
        assert server.sent[1]["path"] == str(folder / "large.bin")


# ------------------------------------------------------------------------------------------------------- by itself


async def test_without_an_app_around_it(folder):
    async with AsyncClient(StaticFiles(folder)) as client:
        response = await client.get("/app.js")
        assert (response.status, response.body) == (200, b"let a;")
        tag = response.headers["etag"]
        assert (await client.get("/app.js", headers={"if-none-match": tag})).status == 304
        assert (await client.get("/app.js", headers={"range": "bytes=0-2"})).body == b"let"
        assert (await client.get("/none")).status == 404
        refused = await client.post("/app.js")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_names_that_mean_no_file_are_told(folder):
    static = StaticFiles(folder)
    for name, params, match in (
        ("vendor:static", {"path": "app.css"}, "no route named 'vendor:static'$"),
        ("static", {"name": "app.css"}, "'static' takes a path"),
        ("static", {"path": "none.css"}, "no file 'none.css'"),
    ):
        with pytest.raises(NoRoute, match=match):
            static.resolve(name, params)


async def test_in_a_foreign_application(folder, client_of):
    from starlette.applications import Starlette
    from starlette.routing import Mount as StarletteMount

    client = await client_of(Starlette(routes=[StarletteMount("/assets", StaticFiles(folder))]))
    response = await client.get("/assets/app.css", headers={"accept-encoding": "gzip", "range": "bytes=0-1"})
    assert (response.status, response.body) == (206, GZIP[:2])
    assert (await client.get("/assets/%2e%2e/secret.txt")).status == 404


def test_a_directory_must_be_there(tmp_path):
    with pytest.raises(NotADirectoryError, match="none"):
        StaticFiles(tmp_path / "none")


async def test_a_handler_for_404_answers(folder, client_of):
    app = App([Mount("/assets", StaticFiles(folder))])

    @app.exception_handler(404)
    async def missing(request, error):
        return "nothing here", 404

    assert (await (await client_of(app)).get("/assets/none")).text == "nothing here"

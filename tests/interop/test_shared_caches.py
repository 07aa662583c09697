"""Shared caches that nobody here wrote, in front of ``tricorn run``: they do what the headers say.

What a cache did is read from the origin's own record of the requests that reached it. Nothing is timed: where a
response has to grow stale, the cache is asked until the origin is.
"""

from __future__ import annotations

import getpass
import gzip
import http.client
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.interop

CONTENT = bytes(range(256)) * 400

#: Nothing is set that a header could say. Without grace of its own Varnish uses what is stale only as the response
#: allows it; what is stale is kept, to be validated. The codings are left to the origin.
VARNISH_PARAMETERS = ("default_grace=0", "default_keep=600", "http_gzip_support=off")
VARNISH = """
vcl 4.1;
import std;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_backend_response {{
    if (beresp.http.CDN-Cache-Control) {{  # RFC 9213, of which Varnish knows nothing by itself
        set beresp.ttl = std.duration(regsub(beresp.http.CDN-Cache-Control, ".*max-age=(\\d+).*", "\\1s"), 0s);
        return (deliver);
    }}
}}
"""
NGINX = """
user {user};
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=shared:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{origin};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache shared;
            proxy_cache_revalidate on;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }}
    }}
}}
"""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(port: int, path: str, method: str = "GET", **fields: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


class Cache:
    """A cache and the origin behind it."""

    def __init__(self, name: str, port: int, origin: int) -> None:
        self.name = name
        self.port = port
        self.origin = origin

    def get(self, path: str, **fields: str) -> Answer:
        return ask(self.port, f"{path}/{self.name}", **fields)

    def head(self, path: str) -> Answer:
        return ask(self.port, f"{path}/{self.name}", "HEAD")

    def record(self, path: str) -> list[list[Any]]:
        """What the origin was asked: for each request its method, and its status once it was answered."""
        return list(json.loads(ask(self.origin, f"/record{path}/{self.name}").body))

    def get_until(self, path: str, condition: Callable[[], bool]) -> list[Answer]:
        """Asks until something has happened at the origin."""
        answers = []
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"{self.record(path)}"
            answers.append(self.get(path))
            time.sleep(0.05)
        return answers


@pytest.fixture(scope="module")
def origin(launch_once: Callable[..., Any]) -> int:
    command = (sys.executable, "-m", "tricorn_transports", "run", "shared_cache_origin:app")
    port: int = launch_once([*command, "--bind", "127.0.0.1:{port}"]).port
    return port


@pytest.fixture(scope="module", params=["varnish", "nginx"])
def cache(
    request: pytest.FixtureRequest,
    origin: int,
    program: Callable[[str], str],
    launch_once: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Cache:
    folder = tmp_path_factory.mktemp(request.param)
    configuration = folder / "configuration"
    if request.param == "varnish":
        executable = program("varnishd")
        configuration.write_text(VARNISH.format(origin=origin))
        parameters = [part for parameter in VARNISH_PARAMETERS for part in ("-p", parameter)]
        command = [executable, "-F", "-j", "none", "-n", str(folder / "work"), "-s", "malloc,32m", *parameters]
        process = launch_once([*command, "-a", "127.0.0.1:{port}", "-f", str(configuration)])
    else:
        executable = program("nginx")
        fields = {"user": getpass.getuser(), "folder": folder, "origin": origin}
        process = launch_once(
            [executable, "-c", str(configuration), "-g", "daemon off;", "-e", "stderr"],
            configure=lambda port: configuration.write_text(NGINX.format(port=port, **fields)),
        )
    return Cache(request.param, process.port, origin)


def test_a_fresh_response_is_served_without_the_origin(cache: Cache) -> None:
    direct = ask(cache.origin, f"/public/direct-{cache.name}")
    first = cache.get("/public")
    assert (first.status, first.text) == (200, "1")
    for _ in range(3):
        again = cache.get("/public")
        assert (again.status, again.text) == (200, "1")
    assert cache.record("/public") == [["GET", 200]]
    for name in ("etag", "cache-control", "content-type", "date"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["cache-control"] == "public, max-age=600"
    assert again.headers["etag"] == direct.headers["etag"]


def test_age_grows(cache: Cache) -> None:
    if cache.name == "nginx":
        pytest.skip("nginx sends no Age")
    cache.get("/public")
    assert cache.get_until("/public", lambda: int(cache.get("/public").headers["age"]) >= 1)
    assert cache.record("/public") == [["GET", 200]]


@pytest.mark.parametrize("path", ["/private", "/no-store", "/cookie"])
def test_what_is_not_for_everyone_is_not_stored(path: str, cache: Cache) -> None:
    assert [cache.get(path).text for _ in range(3)] == ["1", "2", "3"]
    assert cache.record(path) == [["GET", 200]] * 3
    assert (cache.get(path).headers["set-cookie"] is not None) == (path == "/cookie")


def test_s_maxage_counts_before_max_age(cache: Cache) -> None:
    assert [cache.get("/longer-when-shared").text for _ in range(3)] == ["1", "1", "1"]
    cache.get_until("/shorter-when-shared", lambda: len(cache.record("/shorter-when-shared")) > 1)


def test_a_stale_response_is_validated_and_renewed(cache: Cache) -> None:
    answers = cache.get_until("/revalidated", lambda: ["GET", 304] in cache.record("/revalidated"))
    assert {(answer.status, answer.text) for answer in answers} == {(200, "1")}
    again = cache.get("/revalidated")
    assert (again.status, again.text, again.headers["etag"]) == (200, "1", '"constant"')
    if cache.name == "varnish":  # nginx goes by the fields of the 304, and shows those that it stored
        assert again.headers["cache-control"] == "public, max-age=600"
    assert cache.record("/revalidated") == [["GET", 200], ["GET", 304]]


def test_a_stale_response_is_served_while_it_is_validated(cache: Cache) -> None:
    """The origin does not answer the second request before it is told to: who got an answer got the stored one."""
    answers = cache.get_until("/stale", lambda: len(cache.record("/stale")) > 1)
    answers.append(cache.get("/stale"))
    assert {(answer.status, answer.text) for answer in answers} == {(200, "1")}
    assert cache.record("/stale") == [["GET", 200], ["GET", None]]
    ask(cache.origin, f"/release/{cache.name}", "POST")
    answers = cache.get_until("/stale", lambda: cache.get("/stale").text != "1")
    assert {answer.status for answer in answers} <= {200}


def test_languages_are_kept_apart(cache: Cache) -> None:
    for _ in range(2):
        for number, language in enumerate(("en", "de"), 1):
            answer = json.loads(cache.get("/language", accept_language=language).body)
            assert answer == {"language": language, "number": str(number)}
    assert len(cache.record("/language")) == 2


def test_codings_are_kept_apart(cache: Cache) -> None:
    tags = set()
    for _ in range(2):
        for number, coding in enumerate(("gzip", "identity"), 1):
            answer = cache.get("/coded", accept_encoding=coding)
            assert answer.headers["vary"] == "Accept-Encoding"
            assert answer.headers["content-encoding"] == (coding if coding == "gzip" else None)
            body = gzip.decompress(answer.body) if coding == "gzip" else answer.body
            assert body.endswith(b"again, %d" % number)
            tags.add(answer.headers["etag"])
    assert len(tags) == 2
    assert len(cache.record("/coded")) == 2


def test_ranges_come_from_what_is_stored(cache: Cache) -> None:
    part = cache.get("/bytes", range="bytes=10-19")  # nothing is stored yet
    assert (part.status, part.body) == (206, CONTENT[10:20])
    whole = cache.get("/bytes")
    assert (whole.status, whole.body, whole.headers["accept-ranges"]) == (200, CONTENT, "bytes")
    tag, size = whole.headers["etag"], len(CONTENT)
    for text, start, stop in (("0-0", 0, 1), ("100-299", 100, 300), ("-7", size - 7, size), (f"{size - 3}-", -3, size)):
        part = cache.get("/bytes", range=f"bytes={text}")
        assert (part.status, part.body) == (206, CONTENT[start:stop])
        assert part.headers["content-range"] == f"bytes {start % size}-{stop - 1}/{size}"
        assert part.headers["etag"] == tag
    assert cache.get("/bytes", range=f"bytes={size}-").status == 416
    assert cache.get("/bytes", range="bytes=0-9", if_range=tag).status == 206
    assert cache.get("/bytes", range="bytes=0-9", if_range='"another"').status == 200
    assert cache.record("/bytes") == [["GET", 200]]


def test_a_static_file_and_its_compressed_form_are_kept_apart(cache: Cache) -> None:
    tags = set()
    for _ in range(2):
        for coding, content in (("identity", CONTENT), ("gzip", gzip.compress(CONTENT, mtime=0))):
            whole = cache.get("/static", accept_encoding=coding)
            assert (whole.status, whole.body, whole.headers["vary"]) == (200, content, "Accept-Encoding")
            assert whole.headers["content-encoding"] == (coding if coding == "gzip" else None)
            tag = whole.headers["etag"]
            part = cache.get("/static", accept_encoding=coding, range="bytes=5-24", if_range=tag)
            assert (part.status, part.body, part.headers["etag"]) == (206, content[5:25], tag)
            assert cache.get("/static", accept_encoding=coding, if_none_match=tag).status == 304
            tags.add(tag)
    assert len(tags) == 2
    assert not any(tag.startswith("W/") for tag in tags)
    assert cache.record("/static") == [["GET", 200]] * 2


def test_the_cache_answers_conditional_requests(cache: Cache) -> None:
    tag = cache.get("/bytes").headers["etag"]
    for same in (tag, f"W/{tag}"):  # not every cache reads lists of them
        answer = cache.get("/bytes", if_none_match=same)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert cache.get("/bytes", if_none_match='"another"').status == 200
    assert cache.record("/bytes") == [["GET", 200]]


def test_head_is_answered_like_get(cache: Cache) -> None:
    whole, head = cache.get("/bytes"), cache.head("/bytes")
    assert (head.status, head.body) == (200, b"")
    for name in ("etag", "content-length", "content-type", "cache-control"):
        assert head.headers[name] == whole.headers[name]
    assert cache.record("/bytes") == [["GET", 200]]


def test_a_policy_for_the_cache_alone(cache: Cache) -> None:
    if cache.name == "nginx":
        pytest.skip("nginx cannot be told to go by CDN-Cache-Control: its own field for that is X-Accel-Expires")
    answers = [cache.get("/cdn") for _ in range(3)]
    assert [answer.text for answer in answers] == ["1", "1", "1"]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert cache.record("/cdn") == [["GET", 200]]


def statements(configuration: str, prefix: str) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in configuration.splitlines())
    return {line for line in lines if line.startswith(prefix)}


def test_the_guide_shows_what_is_tested() -> None:
    guide = (Path(__file__).parent.parent.parent / "docs" / "guides" / "caching.md").read_text()
    own = {f"proxy_cache{name}" for name in (" shared;", " site;", "_path /var/cache/nginx/site keys_zone=site:10m;")}
    assert statements(guide, "proxy_cache") - own == statements(NGINX, "proxy_cache_") - statements(
        NGINX, "proxy_cache_p"
    )
    assert statements(guide, "set beresp") == statements(VARNISH.format(origin=0), "set beresp") != set()

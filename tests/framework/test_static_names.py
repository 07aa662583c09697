"""Which paths name a file below a directory, and which are refused before the file system hears of them."""

from __future__ import annotations

import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.media_types import media_type_of
from tricorn.routing.pattern import ENCODED_SLASH
from tricorn.static.fingerprint import HASH_LENGTH, with_hash, without_hash
from tricorn.static.names import is_allowed, names_of


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/", ()),
        ("", ()),
        ("/app.css", ("app.css",)),
        ("/css/app.css", ("css", "app.css")),
        ("/docs/", ("docs", "")),
        ("/a b/ü€.txt", ("a b", "ü€.txt")),
        ("/...", None),
        ("/..a", None),
        ("/a..b", ("a..b",)),
        ("/100%.txt", ("100%.txt",)),
        ("/context", ("context",)),
        ("/com", ("com",)),
        ("/com10", ("com10",)),
        ("/a~1.txt", ("a~1.txt",)),
    ],
)
def test_paths(text, names):
    assert names_of(text) == names


@pytest.mark.parametrize(
    "name",
    [
        "..", ".", "", ".git", ".env", "..\\x", "a\\b", "\\\\server\\share", "C:", "c:\\x", "C:x", "file.txt:stream",
        "file.txt::$DATA", "a\0b", "a\nb", "a\x7fb", "%2e%2e", "%2e", "a%2fb", "a%5Cb", "%252e", f"a{ENCODED_SLASH}b",
        "CON", "con", "nul", "NUL.txt", "nul .txt", "aux.tar.gz", "PRN", "COM1", "com9.css", "LPT0", "COM\u00b2",
        "conin$", "CLOCK$", "a.", "a..", "a ", "index.html. .", "\ufffd",
    ],
)  # fmt: skip
def test_refused(name):
    assert not is_allowed(name)
    for text in (f"/{name}", f"/css/{name}", f"/{name}/app.css"):
        if name and "/" not in name:
            assert names_of(text) is None
    assert names_of(f"//{name}") is None


def test_hidden_names_on_request():
    assert names_of("/.well-known/security.txt", hidden=True) == (".well-known", "security.txt")
    assert names_of("/../x", hidden=True) is None
    assert names_of("/./x", hidden=True) is None


def test_a_path_of_any_length():
    assert names_of("/" + "a/" * 10_000) is None


#: What paths are made of that want to lead elsewhere.
PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "%2e",
        "%2f",
        "%5c",
        "%00",
        "\0",
        ":",
        "C:",
        "CON",
        "nul",
        " ",
        "a",
        "css",
        "app.css",
        "~",
    ]
) | st.text(alphabet=string.printable + "\u2025\uff0e\ufffd" + ENCODED_SLASH, max_size=3)


@given(st.lists(PIECES, max_size=12).map("".join), st.booleans())
def test_nothing_escapes(text, hidden):
    """On the systems that we know, and whoever decodes once more."""
    names = names_of(text, hidden=hidden)
    if names is None:
        return
    for directory, path in (("/srv/www", os.path), ("C:\\www", __import__("ntpath"))):
        joined = path.normpath(path.join(directory, *names))
        assert joined == directory or joined.startswith(directory + path.sep)
        kept = [name for name in names if name]
        assert joined == path.sep.join([directory, *kept])
    for name in names:
        assert hidden or not name.startswith(".")
        assert "%2" not in name.lower()
        assert "%5" not in name.lower()


# ------------------------------------------------------------------------------------------------------- fingerprints

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        ("app.css", "app.0123456789abcdef.css"),
        ("app.min.js", "app.min.0123456789abcdef.js"),
        ("LICENSE", "LICENSE.0123456789abcdef"),
        ("a.", "a.0123456789abcdef."),
    ],
)
def test_fingerprinted_names(name, hashed):
    assert with_hash(name, DIGEST) == hashed
    if name != "a.":  # no name of ours ends with a dot
        assert without_hash(hashed) == (name, DIGEST[:HASH_LENGTH])


@pytest.mark.parametrize(
    "name", ["app.css", "app.0123456789abcde.css", "app.0123456789ABCDEF.css", "0123456789abcdef.css"]
)
def test_ordinary_names(name):
    assert without_hash(name) is None


@given(st.text(min_size=1, max_size=20).filter(is_allowed))
def test_a_fingerprint_gives_the_name_back(name):
    assert without_hash(with_hash(name, DIGEST)) == (name, DIGEST[:HASH_LENGTH])


# -------------------------------------------------------------------------------------------------------- media types


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.css", "text/css"),
        ("APP.JS", "text/javascript"),
        ("/a.b/module.mjs", "text/javascript"),
        ("app.js.map", "application/json"),
        ("site.webmanifest", "application/manifest+json"),
        ("x.wasm", "application/wasm"),
        ("font.woff2", "font/woff2"),
        ("favicon.ico", "image/vnd.microsoft.icon"),
        ("page.html.gz", "application/octet-stream"),
        ("app.css.br", "application/octet-stream"),
        ("archive.tgz", "application/octet-stream"),
        ("css", "application/octet-stream"),
        ("directory.css/file", "application/octet-stream"),
        ("x.unheard-of", "application/octet-stream"),
    ],
)
def test_media_types(name, media_type):
    assert media_type_of(name) == media_type


def test_the_machine_has_no_say(monkeypatch):
    import mimetypes

    monkeypatch.setitem(mimetypes.types_map, ".css", "text/plain")
    monkeypatch.setitem(mimetypes.types_map, ".unheard-of", "text/plain")
    media_type_of.cache_clear()
    assert media_type_of("app.css") == "text/css"
    assert media_type_of("x.unheard-of") == "application/octet-stream"

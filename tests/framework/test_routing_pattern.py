"""Templates: matching, converting, building back."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.exceptions import NoRoute
from tricorn.routing.pattern import ENCODED_SLASH, Converter, HostPattern, PathPattern, register_converter, text_form

ID = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("/a/{x}", "/a/b", {"x": "b"}),
        ("/a/{x}", "/a/", None),
        ("/a/{x}", "/a/b/c", None),
        ("/{n:int}", "/007", {"n": 7}),
        ("/{n:int}", "/-1", None),
        ("/{n:int}", "/٣", None),
        ("/{n:int}", "/" + "9" * 5000, None),
        ("/{n:float}", "/1.5", {"n": 1.5}),
        ("/{n:float}", "/" + "9" * 400, None),
        ("/{u:uuid}", f"/{ID}", {"u": ID}),
        ("/{u:uuid}", "/1234", None),
        ("/{p:path}", "/a/b\nc/", {"p": "a/b\nc/"}),
        ("/f/{name}.{ext}", "/f/a.tar.gz", {"name": "a.tar", "ext": "gz"}),
        ("/f/{name}.{ext}", "/f/a.", None),
        ("/f/{name}.{ext}", "/f/a.b.", {"name": "a", "ext": "b."}),
        ("/{y}-{m}-{d}", "/a-2020-10-11", {"y": "a-2020", "m": "10", "d": "11"}),
        ("/{a}-{n:int}.{b}", "/x-1-2.tar.gz", {"a": "x-1", "n": 2, "b": "tar.gz"}),
        ("/{slug}-{rest:path}", "/a-b/c-d", {"slug": "a", "rest": "b/c-d"}),
        ("/{repo:path}/-/{file:path}", "/a/b/-/c/-/d", {"repo": "a/b/-/c", "file": "d"}),
        ("/{a:path}/{b}/{c:path}", "/1/2/3/4", {"a": "1/2", "b": "3", "c": "4"}),
        ("/{a:path}/{b}-{c:path}/x", "/1/2-3/4-5/x", {"a": "1/2-3", "b": "4", "c": "5"}),
        ("/{a:path}.{b}/{c}", "/1.2/3.4/5", {"a": "1.2/3", "b": "4", "c": "5"}),
        ("/a.b/{x}", "/aXb/c", None),
        ("/ü/{x}", "/ü/é", {"x": "é"}),
        ("/{x}", f"/a{ENCODED_SLASH}b", {"x": "a/b"}),
    ],
)
def test_matching(template, path, params):
    match = PathPattern(template).match(path)
    assert (match[0] if match else None) == params


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/{name}.{ext}", "/{}/x".format("." * 16_000)),
        ("/{y}-{m}-{d}.html", "/{}".format("-" * 16_000)),
        ("/{a}-{b}.{c}-{d}/x", "/{}".format("-." * 8_000)),
        ("/{a}-{n:int}-{b}/x", "/{}".format("-1" * 8_000)),
        ("/{slug}-{rest:path}/x", "/{}".format("-/" * 8_000)),
        ("/{a:path}/{b:path}/{c:path}/x", "/" * 16_000),
        ("/{a:path}/{b}/{c:path}/x", "/a" * 8_000),
        ("/{a:path}/{b}-{c:path}/x", "/-" * 8_000),
        ("/{a:path}.{b}/{c}-{d}x", "/" + "./-" * 5_000),
    ],
)
def test_no_path_is_tried_in_all_divisions(template, path):
    """These would take minutes, or years."""
    assert PathPattern(template).match(path) is None


def test_no_host_is_tried_in_all_divisions():
    assert HostPattern("{a}-{b}-{c}.example.com").match("-" * 16_000) is None
    assert HostPattern("{a}-{b}.{c}.com").match("x-y-z.a.com") == {"a": "x-y", "b": "z", "c": "a"}


@pytest.mark.parametrize(
    "template", ["a", "/{", "/}", "/{a}{b}", "/{a}/{a}", "/{1}", "/{}", "/{a:nothing}", "/{a:}", "/{a{b}}"]
)
def test_malformed_templates(template):
    with pytest.raises(ValueError, match="path "):
        PathPattern(template)


def test_the_annotation_converts_where_the_template_does_not():
    assert PathPattern("/{a}/{b}", {"a": int, "b": None}).match("/1/2")[0] == {"a": 1, "b": "2"}
    assert PathPattern("/{a}", {"a": int}).match("/x") is None
    assert PathPattern("/{a:path}", {"a": str}).match("/x/y")[0] == {"a": "x/y"}
    with pytest.raises(ValueError, match="int here and str in the handler"):
        PathPattern("/{a:int}", {"a": str})


@pytest.mark.parametrize(
    ("annotation", "named"), [(bytes, "bytes"), (list[int], r"list\[int\]"), (int | str, "int | str")]
)
def test_an_annotation_that_no_converter_makes(annotation, named):
    with pytest.raises(ValueError, match=f"no converter makes {named} for 'a'"):
        PathPattern("/{a}", {"a": annotation})


def test_an_annotation_that_cannot_be_looked_up():
    with pytest.raises(ValueError, match="the annotation Later of 'a' is not known at run time"):
        PathPattern("/{a}", {"a": "Later"})
    assert PathPattern("/{a:int}", {"a": "Later"}).match("/1")[0] == {"a": 1}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_built_is_matched_again(value):
    pattern = PathPattern("/x/{value}/y")
    path = pattern.build({"value": value})
    text = text_form({"path": f"/x/{value}/y", "raw_path": path.encode("ascii")})
    assert pattern.match(text)[0] == {"value": value}


def test_building():
    assert PathPattern("/ü b/{p:path}").build({"p": "a/ü?"}) == "/%C3%BC%20b/a/%C3%BC%3F"
    assert PathPattern("/{f:float}").build({"f": 1e-7}) == "/0.0000001"
    for template, params in [
        ("/{n:int}", {"n": -1}),
        ("/{n:int}", {"n": "x"}),
        ("/{f:float}", {"f": float("nan")}),
        ("/{x}", {"x": ""}),
        ("/{name}.{ext}", {"name": "a", "ext": "tar.gz"}),
        ("/{x}", {}),
    ]:
        with pytest.raises(NoRoute):
            PathPattern(template).build(params)


class Hex(bytes):
    pass


def test_own_converters():
    register_converter(Converter("hex", Hex, r"(?:[0-9a-f]{2})+", Hex.fromhex, Hex.hex))
    assert PathPattern("/{x:hex}").match("/00ff")[0] == {"x": b"\x00\xff"}
    assert PathPattern("/{x}", {"x": Hex}).build({"x": Hex(b"\x01")}) == "/01"
    with pytest.raises(ValueError, match="already"):
        register_converter(Converter("hex", Hex, r"x", Hex.fromhex))
    with pytest.raises(ValueError, match="capturing"):
        register_converter(Converter("groups", Hex, r"(x)", Hex.fromhex))


def test_hosts():
    pattern = HostPattern("{tenant}.Example.com")
    assert pattern.match("ACME.example.COM.") == {"tenant": "acme"}
    assert pattern.match("a.b.example.com") is None
    assert pattern.match("example.com") is None
    assert pattern.build({"tenant": "acme"}) == "acme.Example.com"
    with pytest.raises(NoRoute):
        pattern.build({"tenant": "evil.com/"})
    with pytest.raises(ValueError, match="no converters"):
        HostPattern("{a:int}.x")


@pytest.mark.parametrize(
    ("path", "raw", "root", "text"),
    [
        ("/a/b", b"/a/b", "", "/a/b"),
        ("/a/b", b"/a%2fb", "", f"/a{ENCODED_SLASH}b"),
        ("/a%2Fb", b"/a%252Fb", "", "/a%2Fb"),  # decoded once
        ("/r/a/b", b"/r/a%2Fb", "/r", f"/a{ENCODED_SLASH}b"),
        ("/r/a/b", b"/a%2Fb", "/r", f"/a{ENCODED_SLASH}b"),  # root_path in path, not in raw_path
        ("/a/b", b"/a%2Fb", "/r", f"/a{ENCODED_SLASH}b"),  # a server that has it in neither
        ("/rx/a", b"/rx/a", "/r", "/rx/a"),
        ("/r", b"/r", "/r", "/"),
        ("/new/path", b"/old%2Fpath", "", "/new/path"),  # rewritten by a middleware
        ("/a/b", None, "", "/a/b"),
        ("/\ufffd/x", b"/%FF%2Fx", "", f"/\ufffd{ENCODED_SLASH}x"),
    ],
)
def test_text_form(path, raw, root, text):
    assert text_form({"path": path, "raw_path": raw, "root_path": root}) == text

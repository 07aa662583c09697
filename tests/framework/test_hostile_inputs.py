"""What a client may send to the framework's own parsers: any bytes at all, and much of them.

A parser that needs more than linear time does not come back from the large inputs here.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn import URL, App, HTTPException, QueryParams, Request, Response, ServerSentEvent
from tricorn.cookies import parse_cookies
from tricorn.headers import MutableHeaders
from tricorn.middleware.problem import negotiate
from tricorn.routing.pattern import HostPattern, text_form
from tricorn.testing import Client
from tricorn.url import InvalidAuthority, parse_authority

MIB = 1 << 20
LATIN = st.text(st.characters(max_codepoint=0xFF))
OFFERS = ("text/plain", "text/html", "application/json")


def forms_app():
    app = App()

    @app.post("/form")
    async def form(request: Request):
        return {"fields": len(await request.form())}

    @app.get("/{rest:path}")
    async def show(request: Request, rest: str):
        return {"cookies": len(request.cookies), "query": len(request.query), "url": str(request.url), "rest": rest}

    return app


@pytest.fixture(scope="module")
def client():
    with Client(forms_app()) as opened:
        yield opened


@given(LATIN | st.text(alphabet='a=;", \\0123é'))
def test_any_cookie_field_is_read(header):
    assert all(name == name.strip() != "" for name in parse_cookies(header))


@given(LATIN | st.text(alphabet="a%=&+;Ff0"))
def test_any_query_is_read_and_written_again(query):
    params = QueryParams.parse(query)
    assert QueryParams.parse(str(params)) == params


@given(LATIN | st.text(alphabet="aZ0.-_:[]%25@/"))
def test_any_host_is_read_or_refused(text):
    try:
        host, port = parse_authority(text)
    except InvalidAuthority:
        return
    assert parse_authority(host if port is None else f"{host}:{port}") == (host, port)
    assert not set(host) & set("/?#@\\ ")
    HostPattern("{a}.example.com").match(host)


@given(st.text() | st.text(alphabet="htp:/[]@?#%."))
def test_any_reference_is_a_url_or_a_value_error(text):
    try:
        url = URL.parse(text)
    except ValueError:
        return
    assert str(URL.parse(str(url))) == str(url)


@given(st.binary() | st.lists(st.sampled_from([b"/", b"%2F", b"%2f", b"a", b"%", b"%E0", b"\xff", b"."])).map(b"".join))
def test_any_path_has_a_text_form_of_the_same_length(raw):
    path = "/" + unquote_to_bytes(raw).decode("utf-8", "replace")
    text = text_form({"path": path, "raw_path": b"/" + raw})
    assert len(text) == len(path)
    assert text.count("/") == path.count("/") - len(re.findall(b"%2f", raw, re.IGNORECASE))


@given(st.text() | st.text(alphabet='*/,;q=0.1 "texhml'))
def test_any_accept_chooses_an_offer(accept):
    assert negotiate(accept, OFFERS) in OFFERS


@given(st.text(), st.text())
def test_a_field_is_written_as_it_is_or_refused(name, value):
    headers = MutableHeaders()
    try:
        headers.add(name, value)
    except ValueError:
        return
    assert headers.multi_items() == [(name.lower(), value.strip(" \t"))]
    assert not {"\r", "\n", "\0"} & set(value)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.text(st.characters(max_codepoint=0x2FF)))
def test_an_event_cannot_break_out_of_its_data(data, comment):
    wire = ServerSentEvent(data, comment=comment).encode().decode()
    lines = re.split("\r\n|\r|\n", wire)
    assert lines[-2:] == ["", ""]
    assert "" not in lines[:-2]
    read = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert "\n".join(read) == re.sub("\r\n|\r", "\n", data)
    assert all(line.startswith((": ", "data: ")) for line in lines[:-2])


@given(
    st.binary()
    | st.lists(
        st.sampled_from(
            [b"--B", b"--", b"\r\n", b"Content-Disposition: form-data; name=", b'"', b"a", b"filename=", b";", b"\xff"]
        )
    ).map(b"".join)
)
def test_any_multipart_body_is_a_form_or_a_400(client, body):
    answer = client.post("/form", content=body, headers={"content-type": "multipart/form-data; boundary=B"})
    assert answer.status in (200, 400)


@given(LATIN.filter(lambda text: not set(text) & set("\r\n\0")))
def test_any_content_type_of_a_form_is_answered(client, content_type):
    answer = client.post("/form", content=b"--B--\r\n", headers={"content-type": content_type})
    assert answer.status in (200, 400, 415)


@pytest.mark.parametrize(
    "cookie",
    ["a=b; " * (MIB // 5), 'a="' + "\\" * MIB, 'a="' + "\\303" * (MIB // 4) + '"', ";" * MIB, "=" * MIB, " " * MIB],
)
def test_a_mebibyte_of_cookies(client, cookie):
    assert client.get("/", headers={"cookie": cookie}).json()["cookies"] <= 1


@pytest.mark.parametrize(
    "query", ["&".join(f"a{n}=b" for n in range(100_000)), "%" * MIB, "&" * MIB, "+" * MIB, "=&" * (MIB // 2)]
)
def test_a_mebibyte_of_query(client, query):
    assert client.get(f"/?{query}").status == 200


@pytest.mark.parametrize("path", ["/" * MIB, "%2F" * (MIB // 3), "%E0" * (MIB // 3), "a/" * (MIB // 2)])
def test_a_mebibyte_of_path(client, path):
    assert client.get(f"/{path}").status == 200


@pytest.mark.parametrize(
    "accept", ["a/b," * (MIB // 4), '"' * MIB, "text/html;" * (MIB // 10), "*/*;q=" + "9" * MIB, "q=," * (MIB // 3)]
)
def test_a_mebibyte_of_accept(client, accept):
    assert client.get("/form", headers={"accept": accept}).status == 200
    assert negotiate(accept, OFFERS) in OFFERS


@pytest.mark.parametrize(
    "head", [b'name="' + b"\\" * 4000 + b'"', b"name=a; " + b"x;" * 2000, b'name="' + b"%22" * 1300 + b'"', b"x" * MIB]
)
def test_a_long_disposition(client, head):
    body = b"--B\r\nContent-Disposition: form-data; %b\r\n\r\nx\r\n--B--\r\n" % head
    answer = client.post("/form", content=body, headers={"content-type": "multipart/form-data; boundary=B"})
    assert answer.status in (200, 400)


def test_numbers_of_many_digits_are_404():
    app = App()
    app.get("/int/{n:int}", name="int")(lambda n: {"n": n})
    app.get("/float/{n}", name="float")(lambda n: {"n": n})
    for kind, digits in (("int", "9" * 5000), ("int", "0" * MIB), ("float", "9" * 5000)):
        with Client(app) as client:
            assert client.get(f"/{kind}/{digits}").status in (200, 404)


def test_a_host_field_of_any_length(client):
    assert client.get("/", headers={"host": "a" * MIB}).status == 200
    assert client.get("/", headers={"host": "a" * MIB + "/"}).status == 400
    assert client.get("/", headers={"host": "a:" + "9" * MIB}).status == 400


def test_what_a_handler_says_of_hostile_text_is_escaped_or_refused():
    app = App()

    @app.get("/{text}")
    async def say(text: str):
        raise HTTPException(400, text)

    @app.get("/header/{text}")
    async def header(text: str):
        return Response("", headers={"x-text": text})

    with Client(app, raise_app_exceptions=False) as client:
        assert client.get("/%0D%0Ax", headers={"accept": "application/json"}).json()["detail"] == "\r\nx"
        assert client.get("/header/%0D%0Ax:%20y").status == 500

"""A hint as a value, and Link fields: what is written, what is refused, what is understood of others'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tricorn.hints import Hint
from tricorn.hints.link import Link


@pytest.mark.parametrize(
    ("hint", "link"),
    [
        (Hint("/a.css"), "</a.css>; rel=preload; as=style"),
        (Hint("/a.css?v=1.2#top"), "</a.css?v=1.2#top>; rel=preload; as=style"),
        (Hint("/data", as_="fetch"), "</data>; rel=preload; as=fetch"),
        (Hint("/unknown"), "</unknown>; rel=preload"),
        (Hint("/f.woff2"), "</f.woff2>; rel=preload; as=font; crossorigin"),
        (Hint("/f.woff2", crossorigin=False), "</f.woff2>; rel=preload; as=font"),
        (Hint("/a.js", crossorigin="use-credentials"), "</a.js>; rel=preload; as=script; crossorigin=use-credentials"),
        (Hint("/m.js", rel="modulepreload"), "</m.js>; rel=modulepreload"),
        (
            Hint("https://cdn.test", rel="preconnect", crossorigin=True),
            "<https://cdn.test>; rel=preconnect; crossorigin",
        ),
        (
            Hint("/i.avif", type="image/avif", media="(width > 600px)", fetchpriority="high"),
            '</i.avif>; rel=preload; as=image; type="image/avif"; media="(width > 600px)"; fetchpriority=high',
        ),
        (Hint("/a>b\r\nx: y.css"), "</a%3Eb%0D%0Ax:%20y.css>; rel=preload; as=style"),
        (Hint("/å"), "</%C3%A5>; rel=preload"),
    ],
)
def test_links_are_written(hint, link):
    assert hint.link == link


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"rel": "pre load"}, "rel"),
        ({"as_": "style>"}, "as"),
        ({"crossorigin": "anyone"}, "crossorigin"),
        ({"fetchpriority": "urgent"}, "fetchpriority"),
        ({"type": "text/css\r\nx: y"}, "type"),
        ({"media": "(größe)"}, "media"),
        ({"url": "http://[oops"}, "IPv6"),
    ],
)
def test_what_no_field_can_say_is_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        Hint(**{"url": "/a", **arguments})


def read(value):
    return [(link.target, link.is_preload, link.may_be_pushed) for link in Link.split(value)]


def test_links_of_others_are_read():
    value = (
        '</a,b;c.css>; rel="preload"; as=style, <n.css>;rel=PRELOAD;nopush;title="x, <y>; \\"", ,'
        '</next>; rel="next"; title=preload, </p>; rel="prefetch preload" ; as=image, </m>; rel=preload; media="print"'
    )
    assert read(value) == [
        ("/a,b;c.css", True, True),
        ("n.css", True, False),
        ("/next", False, False),
        ("/p", True, True),
        ("/m", True, False),
    ]
    (link,) = Link.split('</x>; rel=preload; as="script"; fetchpriority=low; type="text/x"')
    hint = link.as_hint()
    assert hint is not None
    assert (hint.url, hint.as_, hint.type, hint.fetchpriority) == ("/x", "script", "text/x", "low")


@pytest.mark.parametrize("value", ["", ",", "</a", "/a; rel=preload", '"', '"\\', '</a>; rel="preload', "<>; rel"])
def test_malformed_links_are_no_preloads_or_end_with_the_field(value):
    assert [link for link in Link.split(value) if link.target and link.as_hint() is None] == []


@given(st.text(alphabet='<>",;\\= relpoad/', max_size=200))
def test_any_text_is_read_and_loses_nothing_but_separators(value):
    members = [link.text for link in Link.split(value)]
    assert "".join(members).replace(" ", "").replace(",", "") == value.replace(" ", "").replace(",", "")
    for link in Link.split(value):
        link.as_hint()


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=20), max_size=5))
def test_what_is_written_is_read_again(paths):
    hints = [Hint("/" + path, as_="style", type=None) for path in paths]
    links = list(Link.split(", ".join(hint.link for hint in hints)))
    assert [link.text for link in links] == [hint.link for hint in hints]
    assert all(link.may_be_pushed for link in links)


@pytest.mark.parametrize("unit", ["<", '"', '"\\', ",", "</a>,", '<>;"', "\\", "=;"])
def test_a_mebibyte_is_read_in_linear_time(unit):
    text = unit * (200_000 // len(unit))
    assert sum(len(link.text) for link in Link.split(text)) <= len(text)

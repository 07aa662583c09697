"""Which authorities a certificate speaks for."""

from __future__ import annotations

import pytest
import trustme

from tricorn_transports.certificates import ServedNames
from tricorn_transports.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    def make(*names, **options):
        leaf = trustme.CA().issue_cert(*names, **options)
        path = tmp_path / "cert.pem"
        path.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return ServedNames.load(str(path))

    return make


@pytest.mark.parametrize(
    ("authority", "covered"),
    [
        (b"example.com", True),
        (b"EXAMPLE.com:8443", True),
        (b"example.com.", True),
        (b"www.example.com", False),
        (b"a.example.org", True),
        (b"A.Example.ORG:443", True),
        (b"example.org", False),
        (b"b.a.example.org", False),
        (b"*.example.org", True),
        (b"com", False),
        (b"xn--bcher-kva.example", True),
        (b"127.0.0.1:443", True),
        (b"127.0.0.2", False),
        (b"[::1]", True),
        (b"[0:0:0:0:0:0:0:1]:443", True),
        (b"[::2]", False),
        (b"", True),
        (b":443", True),
        (b"a/b", False),
        (b"evil@example.com", False),
    ],
)
def test_covers(load, authority, covered):
    names = load("example.com", "*.example.org", "xn--bcher-kva.example", "127.0.0.1", "::1")
    assert names.covers(authority) is covered
    assert names.covers(authority) is covered  # from memory


def test_addresses_are_let_pass_where_the_certificate_has_none(load):
    names = load("example.com")
    assert names.covers(b"10.0.0.1:8443")
    assert names.covers(b"[fe80::1]")
    assert not names.covers(b"other.example")


def test_what_clients_make_up_is_not_remembered_for_ever(load):
    names = load("example.com")
    for number in range(2000):
        assert not names.covers(b"%d.example" % number)
    assert len(names._memo) <= 256


def test_a_certificate_that_names_nothing_holds_nobody_to_it(load):
    assert load(common_name="example.com") is None


def test_a_file_that_is_no_certificate(tmp_path):
    path = tmp_path / "cert.pem"
    with pytest.raises(ConfigError, match="cannot read"):
        ServedNames.load(str(path))
    path.write_text("words")
    with pytest.raises(ConfigError, match="no certificate"):
        ServedNames.load(str(path))

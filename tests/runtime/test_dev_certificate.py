"""The development certificate: who trusts it for what, how it is kept, when it is made anew."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tricorn_transports.dev import certificate as dev
from tricorn_transports.dev.certificate import DevCertificate, default_directory, ensure_certificate
from tricorn_transports.errors import ConfigError


def leaf(made: DevCertificate) -> x509.Certificate:
    return x509.load_pem_x509_certificates(made.cert.read_bytes())[0]


def handshake(made: DevCertificate, host: str) -> str | None:
    """A TLS handshake over a socket pair; the reason why the client refuses, if it does."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(made.cert, made.key)
    client_context = ssl.create_default_context(cafile=made.authority)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server_context.wrap_socket(theirs, server_side=True).close()
        except OSError:  # the client refused; what it says counts
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client_context.wrap_socket(ours, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        thread.join()
    return None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "192.168.7.7", "shop.localhost"])
def test_whoever_trusts_the_authority_trusts_the_server(tmp_path: Path, host: str) -> None:
    made = ensure_certificate(tmp_path, ["192.168.7.7", "shop.localhost"])
    assert handshake(made, host) is None


def test_other_names_are_not_covered(tmp_path: Path) -> None:
    refused = handshake(ensure_certificate(tmp_path, ["example.com"]), "example.com")
    assert refused is not None
    assert "Hostname mismatch" in refused


def test_the_authority_cannot_vouch_for_a_public_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a thief of its key would: sign a leaf for a name that it may not sign for."""
    monkeypatch.setattr(dev, "_names", lambda hosts: [x509.DNSName("example.com")])
    refused = handshake(ensure_certificate(tmp_path), "example.com")
    assert refused == "permitted subtree violation"


def test_the_leaf_is_no_authority(tmp_path: Path) -> None:
    constraints = leaf(ensure_certificate(tmp_path)).extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca is False


def test_keys_are_the_owner_s_alone_and_out_of_git(tmp_path: Path) -> None:
    made = ensure_certificate(tmp_path / "new")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").glob("*-key.pem")}
    assert modes == {"localhost-key.pem": 0o600, "authority-key.pem": 0o600}
    assert stat.S_IMODE(made.cert.parent.stat().st_mode) == 0o700
    assert (tmp_path / "new" / ".gitignore").read_text() == "*\n"


def test_a_good_certificate_is_kept(tmp_path: Path) -> None:
    first = ensure_certificate(tmp_path)
    before = first.cert.read_bytes()
    second = ensure_certificate(tmp_path)
    assert (first.is_new_authority, second.is_new_authority) == (True, False)
    assert second.cert.read_bytes() == before


def test_it_is_renewed_before_it_expires_under_the_same_authority(tmp_path: Path) -> None:
    first = ensure_certificate(tmp_path)
    authority, expiry = first.authority.read_bytes(), leaf(first).not_valid_after_utc
    second = ensure_certificate(tmp_path, now=expiry - timedelta(days=29))
    assert leaf(second).not_valid_after_utc > expiry
    assert second.authority.read_bytes() == authority


def test_an_authority_near_its_end_is_replaced_with_its_leaf(tmp_path: Path) -> None:
    first = ensure_certificate(tmp_path)
    before = first.cert.read_bytes()
    later = ensure_certificate(tmp_path, now=datetime.now(UTC) + timedelta(days=3400))
    assert later.is_new_authority
    assert later.cert.read_bytes() != before


def test_another_host_gets_another_leaf(tmp_path: Path) -> None:
    before = ensure_certificate(tmp_path).cert.read_bytes()
    assert ensure_certificate(tmp_path, ["10.1.2.3"]).cert.read_bytes() != before


@pytest.mark.parametrize("name", ["localhost.pem", "localhost-key.pem", "authority.pem", "authority-key.pem"])
@pytest.mark.parametrize("damage", ["absent", "garbage", "another"])
def test_damage_is_mended(tmp_path: Path, name: str, damage: str) -> None:
    path = ensure_certificate(tmp_path).cert.parent / name
    if damage == "absent":
        path.unlink()
    elif damage == "garbage":
        path.write_text("garbage")
    else:
        ensure_certificate(tmp_path / "other")
        path.write_bytes((tmp_path / "other" / name).read_bytes())
    assert handshake(ensure_certificate(tmp_path), "localhost") is None


def test_the_key_is_an_elliptic_one(tmp_path: Path) -> None:
    assert isinstance(leaf(ensure_certificate(tmp_path)).public_key(), ec.EllipticCurvePublicKey)


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"\Adev: the certificate cannot be kept in .*file: .*exists\Z"):
        ensure_certificate(tmp_path / "file")


def test_it_is_kept_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_directory() == tmp_path / ".tricorn"

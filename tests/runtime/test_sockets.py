"""Binding: addresses, ports shared by TCP and UDP, Unix sockets, inherited descriptors, one-line errors."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tricorn_transports import sockets
from tricorn_transports.config import Bind, Config
from tricorn_transports.errors import ConfigError
from tricorn_transports.sockets import BoundSocket, bind_sockets, close_sockets, share_udp

Binder = Callable[..., list[BoundSocket]]


@pytest.fixture
def bind() -> Iterator[Binder]:
    opened: list[BoundSocket] = []

    def binder(*texts: str, kinds: tuple[str, ...] = ("tcp",), reuse_port: bool = False) -> list[BoundSocket]:
        config = Config(bind=tuple(map(Bind.parse, texts)))
        found = bind_sockets(config, set(kinds), reuse_port=reuse_port)
        opened.extend(found)
        return found

    yield binder
    close_sockets(opened)


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def test_tcp_listens_and_does_not_block(bind: Binder) -> None:
    (bound,) = bind("127.0.0.1:0")
    assert not bound.sock.getblocking()
    with socket.create_connection(("127.0.0.1", bound.bind.port)):
        pass


def test_tcp_and_udp_share_a_port_that_the_system_chose(bind: Binder) -> None:
    tcp, udp = bind("127.0.0.1:0", kinds=("tcp", "udp"))
    assert (tcp.kind, udp.kind) == ("tcp", "udp")
    assert tcp.bind == udp.bind
    assert tcp.bind.port == tcp.sock.getsockname()[1] == udp.sock.getsockname()[1] != 0


def test_a_chosen_port_whose_udp_side_is_taken_is_given_up_for_another(
    bind: Binder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = sockets._open
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as blocker:

        def open_too_late(
            family: int, address: tuple[str, int], kind: sockets.Kind, *, reuse_port: bool
        ) -> socket.socket:
            if kind == "udp" and blocker.getsockname()[1] == 0:
                blocker.bind(address)
            return opened(family, address, kind, reuse_port=reuse_port)

        monkeypatch.setattr(sockets, "_open", open_too_late)
        tcp, udp = bind("127.0.0.1:0", kinds=("tcp", "udp"))
        taken = blocker.getsockname()[1]
    assert taken != 0
    assert tcp.bind.port == udp.bind.port != taken


def test_udp_gets_a_large_buffer(bind: Binder) -> None:
    (udp,) = bind("127.0.0.1:0", kinds=("udp",))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        default = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    assert udp.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > default


@pytest.mark.parametrize(("kind", "over"), [("tcp", ""), ("udp", " over UDP")])
def test_a_taken_port_is_one_line(bind: Binder, kind: str, over: str) -> None:
    (first,) = bind("127.0.0.1:0", kinds=(kind,))
    port = first.bind.port
    with pytest.raises(ConfigError, match=rf"\Abind: 127\.0\.0\.1:{port} is already in use{over}\Z"):
        bind(f"127.0.0.1:{port}", kinds=(kind,))


def test_the_port_that_another_servers_workers_share_is_taken(bind: Binder) -> None:
    (first,) = bind("127.0.0.1:0", kinds=("udp",), reuse_port=True)
    with pytest.raises(ConfigError, match="is already in use over UDP"):
        bind(f"127.0.0.1:{first.bind.port}", kinds=("udp",), reuse_port=True)


def test_what_was_bound_before_a_failure_is_closed(bind: Binder) -> None:
    (taken,) = bind("127.0.0.1:0")
    (free,) = bind("127.0.0.1:0")
    close_sockets([free])
    with pytest.raises(ConfigError):
        bind(f"127.0.0.1:{free.bind.port}", f"127.0.0.1:{taken.bind.port}")
    bind(f"127.0.0.1:{free.bind.port}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("192.0.2.1:0", "bind: 192.0.2.1:0: this machine has no such address"),
        (f"{'x' * 64}:80", f"bind: {'x' * 64}:80: the host '{'x' * 64}' is not known"),
        ("unix:/nowhere/at/all.sock", "bind: unix:/nowhere/at/all.sock: no such file or directory"),
        ("fd:987654", "bind: fd:987654 is not an open socket"),
    ],
)
def test_errors_are_one_line_that_names_the_bind(bind: Binder, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(text)
    assert str(caught.value) == message


def test_localhost_is_every_loopback_address_on_one_port(bind: Binder) -> None:
    bound = bind("localhost:0", kinds=("tcp", "udp"))
    hosts = {each.bind.host for each in bound}
    assert hosts == ({"127.0.0.1", "::1"} if has_ipv6() else {"127.0.0.1"})
    assert len({each.bind.port for each in bound}) == 1


def test_ipv6_leaves_ipv4_alone(bind: Binder) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    (six,) = bind("[::]:0")
    (four,) = bind(f"0.0.0.0:{six.bind.port}")
    assert str(six.bind) == f"[::]:{four.bind.port}"


def test_workers_share_tcp_and_get_their_own_udp(bind: Binder) -> None:
    first = bind("127.0.0.1:0", kinds=("tcp", "udp"), reuse_port=True)
    second = share_udp(first)
    try:
        assert second[0].sock is first[0].sock
        assert second[1].sock is not first[1].sock
        assert second[1].sock.getsockname() == first[1].sock.getsockname()
    finally:
        second[1].sock.close()


def test_a_udp_socket_without_reuseport_is_not_shared(bind: Binder) -> None:
    (udp,) = bind("127.0.0.1:0", kinds=("udp",))
    with pytest.raises(ConfigError, match="cannot be shared by workers"):
        share_udp([udp])


def test_a_unix_socket_file_is_removed_at_the_end(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    bound = bind(f"unix:{path}", kinds=("tcp", "udp"))
    assert [each.kind for each in bound] == ["tcp"]
    assert path.is_socket()
    close_sockets(bound)
    assert not path.exists()


def test_a_stale_unix_socket_file_is_replaced(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    bind(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_unix_socket_that_is_listened_on_is_not_replaced(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    bind(f"unix:{path}")
    with pytest.raises(ConfigError, match="is already in use"):
        bind(f"unix:{path}")
    assert path.is_socket()


def test_a_unix_socket_whose_backlog_is_full_is_in_use(bind: Binder, tmp_path: Path) -> None:
    path = str(tmp_path / "server.sock")
    with socket.socket(socket.AF_UNIX) as hung, socket.socket(socket.AF_UNIX) as client:
        hung.bind(path)
        hung.listen(0)
        client.connect(path)
        with pytest.raises(ConfigError, match="is already in use"):
            bind(f"unix:{path}")
    assert (tmp_path / "server.sock").is_socket()


def test_a_file_that_is_no_socket_is_not_replaced(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not a socket"):
        bind(f"unix:{path}")
    assert path.read_text() == "mine"


def test_a_successor_s_unix_socket_file_is_left_alone(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "server.sock"
    old = bind(f"unix:{path}")
    path.unlink()
    bind(f"unix:{path}")
    close_sockets(old)
    assert path.is_socket()


def test_a_unix_socket_cannot_carry_http3_alone(bind: Binder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot carry HTTP/3"):
        bind(f"unix:{tmp_path}/server.sock", kinds=("udp",))


@pytest.mark.parametrize(("type_", "kind"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
def test_an_inherited_descriptor_says_its_own_kind(bind: Binder, type_: socket.SocketKind, kind: str) -> None:
    given = socket.socket(socket.AF_INET, type_)
    given.bind(("127.0.0.1", 0))
    address = given.getsockname()
    (bound,) = bind(f"fd:{given.detach()}", kinds=("tcp", "udp"))
    assert bound.kind == kind
    assert (bound.bind.host, bound.bind.port) == address
    if kind == "tcp":
        with socket.create_connection(address):
            pass


def test_an_inherited_descriptor_of_the_wrong_kind_is_refused_and_left_open(bind: Binder) -> None:
    given = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fd = given.detach()
    with pytest.raises(ConfigError, match=f"bind: fd:{fd} is a UDP socket"):
        bind(f"fd:{fd}")
    os.close(fd)

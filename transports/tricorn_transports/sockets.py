"""Opens the sockets that a server listens on, and says in one line what stands in the way.

Rules of this module: whoever binds is who closes, because a worker that inherits a socket must not remove the
Unix socket file of its siblings. Every ``OSError`` becomes a ``ConfigError`` that names the bind as the operator
wrote it. Nothing here reads or writes.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from tricorn_transports.config import Bind, Config
from tricorn_transports.errors import ConfigError

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ

Kind: TypeAlias = Literal["tcp", "udp"]

BACKLOG = 2048

#: One UDP socket carries every HTTP/3 connection of a worker, so that the system's default of some 200 KiB overflows
#: in any burst. The kernel cuts the wish down to its own maximum.
UDP_BUFFER = 4 << 20

#: Bytes of a TCP connection that the kernel takes beyond what it can send now. By itself it takes 4 MiB of a response,
#: and one that is more urgent waits behind them.
UNSENT = 131_072

#: How often a free port is looked for that TCP and UDP can share.
_PORT_ATTEMPTS = 32

#: The machine lacks this address (IPv6 switched off, say). A name that has other addresses can do without.
_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


@dataclass(frozen=True, slots=True)
class BoundSocket:
    """A socket that is bound and, for TCP and Unix, listens.

    Attributes:
        bind: The address it really has: a name resolved, port 0 replaced by the port that was given.
        kind: ``udp`` for datagrams; ``tcp`` for all streams, Unix sockets among them.
        sock: Non-blocking and not inheritable.
        file: Device and inode of the Unix socket file that ``close_sockets`` has to remove.
    """

    bind: Bind
    kind: Kind
    sock: socket.socket
    file: tuple[int, int] | None = None


def bind_sockets(config: Config, kinds: Set[str], *, reuse_port: bool = False) -> list[BoundSocket]:
    """Binds everything that ``config.bind`` names, for each of ``kinds`` (``tcp``, ``udp``).

    TCP and UDP get the same addresses and ports. A host name is bound on each of its addresses, an empty host on
    every interface, and ``localhost`` on both loopback addresses, whatever the resolver says of it.

    Args:
        reuse_port: UDP sockets get SO_REUSEPORT, so that ``share_udp`` can add those of more workers.

    Raises:
        ConfigError: An address cannot be bound; whatever was bound before is closed again.
    """
    bound: list[BoundSocket] = []
    try:
        for bind in config.bind:
            with _one_line_errors(bind):
                bound += _bind(bind, kinds, reuse_port)
    except BaseException:
        close_sockets(bound)
        raise
    return bound


def share_udp(sockets: Iterable[BoundSocket]) -> list[BoundSocket]:
    """What one more worker listens on: the same stream sockets, and UDP sockets of its own on the same addresses.

    The kernel spreads datagrams over the UDP sockets by the client's address, so a connection stays with its worker.

    Raises:
        ConfigError: A UDP socket was not opened for sharing (an inherited one without SO_REUSEPORT).
    """
    shared: list[BoundSocket] = []
    try:
        for other in sockets:
            if other.kind == "tcp":
                shared.append(replace(other, file=None))
                continue
            if not other.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
                raise ConfigError(f"bind: {other.bind} cannot be shared by workers: it was bound without SO_REUSEPORT")
            with _one_line_errors(other.bind):
                sock = _open(other.sock.family, other.sock.getsockname(), "udp", reuse_port=True)
                shared.append(replace(other, sock=sock))
    except BaseException:
        close_sockets([each for each in shared if each.kind == "udp"])
        raise
    return shared


def hold_unsent(sock: socket.socket) -> None:
    """Has the kernel take no more than ``UNSENT`` bytes of a connection that several responses share.

    It costs a process that sends a large response half of its CPU time more, so one response at a time does without.
    """
    if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):  # some systems refuse once the client is gone
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel has taken for the peer and not delivered yet; 0 where the system does not tell."""
    count = bytearray(4)
    if sys.platform == "linux":
        with suppress(OSError, ValueError):  # it is closed
            ioctl(sock.fileno(), TIOCOUTQ, count)
    return int.from_bytes(count, sys.byteorder)


def reset_on_close(sock: socket.socket) -> None:
    """Has the end of a TCP connection tell its peer that not all was said; what the kernel still holds is dropped."""
    with suppress(OSError, ValueError):  # it is closed
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close_sockets(sockets: Iterable[BoundSocket]) -> None:
    """Closes them and removes the Unix socket files that ``bind_sockets`` made, unless they were replaced since."""
    for bound in sockets:
        bound.sock.close()
        if bound.file is None:
            continue
        try:
            status = os.stat(bound.bind.path)
            if (status.st_dev, status.st_ino) == bound.file:
                os.unlink(bound.bind.path)
        except FileNotFoundError:
            continue


def _bind(bind: Bind, kinds: Set[str], reuse_port: bool) -> list[BoundSocket]:
    if bind.kind == "unix":
        if "tcp" not in kinds:
            raise ConfigError(f"bind: {bind} cannot carry HTTP/3")
        return [_bind_unix(bind)]
    if bind.kind == "fd":
        return [_adopt(bind, kinds)]
    attempts = _PORT_ATTEMPTS if bind.port == 0 else 1
    addresses = list(_resolve(bind))
    while True:
        attempts -= 1
        try:
            return _bind_addresses(bind, addresses, kinds, reuse_port)
        except OSError as error:
            # The port that the system chose for the first socket may be taken for the next one.
            if error.errno != errno.EADDRINUSE or not attempts:
                raise


def _bind_addresses(
    bind: Bind, addresses: list[tuple[socket.AddressFamily, str]], kinds: Set[str], reuse_port: bool
) -> list[BoundSocket]:
    bound: list[BoundSocket] = []
    missing: OSError | None = None
    port = bind.port
    try:
        for family, host in addresses:
            order: list[Kind] = [kind for kind in ("tcp", "udp") if kind in kinds]
            for kind in order:
                try:
                    if reuse_port and kind == "udp":
                        # With SO_REUSEPORT a port that another server's workers share would be shared with them.
                        _open(family, (host, port), kind, reuse_port=False).close()
                    sock = _open(family, (host, port), kind, reuse_port=reuse_port)
                except OSError as error:
                    if error.errno not in _NO_SUCH_ADDRESS:
                        error.add_note(kind)
                        raise
                    missing = error
                    break
                port = sock.getsockname()[1]
                bound.append(BoundSocket(Bind("ip", host=host, port=port), kind, sock))
    except BaseException:
        close_sockets(bound)
        raise
    if not bound and missing is not None:
        raise missing
    return bound


def _resolve(bind: Bind) -> Iterator[tuple[socket.AddressFamily, str]]:
    if bind.host == "localhost":
        # RFC 6761 section 6.3: always loopback; many a hosts file names only one of the two addresses.
        hosts = ["127.0.0.1", "::1"]
    else:
        hosts = [bind.host]
    seen = set()
    for host in hosts:
        found = socket.getaddrinfo(host or None, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in found:
            name = str(address[0])
            if len(address) == 4 and address[3]:  # the scope of a link-local address, which is none without
                name = f"{name}%{address[3]}"
            if family in (socket.AF_INET, socket.AF_INET6) and (family, name) not in seen:
                seen.add((family, name))
                yield family, name


def _open(
    family: int, address: tuple[str, int] | tuple[str, int, int, int], kind: Kind, *, reuse_port: bool
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            # So that [::]:8000 and 0.0.0.0:8000 can be told apart, and both be bound.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == "tcp":
            # A port whose last connections linger in TIME_WAIT is free. Never on UDP, where this option would let a
            # second server take the first one's datagrams.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UDP_BUFFER)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if "%" in address[0] and len(address) == 2:
            host, _, scope = address[0].partition("%")
            address = host, address[1], 0, int(scope)  # two values would say scope 0
        sock.bind(address)
        if kind == "tcp":
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(bind: Bind) -> BoundSocket:
    _remove_stale(bind)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(bind.path)
        sock.listen(BACKLOG)
        status = os.stat(bind.path)
    except BaseException:
        sock.close()
        raise
    return BoundSocket(bind, "tcp", sock, (status.st_dev, status.st_ino))


def _remove_stale(bind: Bind) -> None:
    """Removes the file that a server left which did not end in order; one that somebody listens on stays."""
    try:
        mode = os.stat(bind.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"bind: {bind} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(bind.path)
        except ConnectionRefusedError:
            os.unlink(bind.path)
            return
        except BlockingIOError:  # more wait there than it accepts
            pass
    raise ConfigError(f"bind: {bind} is already in use")


def _adopt(bind: Bind, kinds: Set[str]) -> BoundSocket:
    """Takes over a descriptor that a service manager or a parent process opened."""
    try:
        sock = socket.socket(fileno=bind.fd)
    except OSError as error:
        raise ConfigError(f"bind: {bind} is not an open socket") from error
    kind: Kind = "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
    if kind not in kinds:
        sock.detach()
        raise ConfigError(f"bind: {bind} is a {kind.upper()} socket, and none of the chosen protocols runs over it")
    sock.setblocking(False)
    sock.set_inheritable(False)
    if kind == "tcp" and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.listen(BACKLOG)
    if sock.family == socket.AF_UNIX:
        name = sock.getsockname()
        return BoundSocket(Bind("unix", path=os.fsdecode(name)), kind, sock)
    host, port = sock.getsockname()[:2]
    return BoundSocket(Bind("ip", host=host, port=port), kind, sock)


@contextmanager
def _one_line_errors(bind: Bind) -> Iterator[None]:
    try:
        yield
    except (socket.gaierror, UnicodeError) as error:  # the latter for a name that IDNA cannot encode
        raise ConfigError(f"bind: {bind}: the host {bind.host!r} is not known") from error
    except PermissionError as error:
        raise ConfigError(f"bind: {bind}: permission denied") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            over = " over UDP" if "udp" in getattr(error, "__notes__", ()) else ""
            raise ConfigError(f"bind: {bind} is already in use{over}") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(f"bind: {bind}: this machine has no such address") from error
        raise ConfigError(f"bind: {bind}: {(error.strerror or str(error)).lower()}") from error

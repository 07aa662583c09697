"""What one connection can make a worker hold, as a number that follows from the limits.

Rules of this module: arithmetic only. The number bounds what is held for the peer's sake, whatever it does: bytes that
no application has read, answers that it does not take, heads, and the protocol's own state. What an application holds
(a body that it collects, the response that it computes) is its own. tests/wire measures that real processes stay
within it.
"""

from __future__ import annotations

from tricorn_transports.config import Limits

KIB = 1024
#: State of the connection, its engine, TLS or QUIC; one read, decrypted; and one write that the socket has not taken.
FIXED = 1024 * KIB
#: The most that an engine gives away at once: it waits outside of the send buffers.
BURST = 256 * KIB
#: A head is held as its bytes and as the fields that the application sees, each with some overhead.
HEAD_COPIES = 2


def connection_budget(limits: Limits, version: str, *, websockets: bool = False) -> int:
    """The most bytes that one connection holds on its peer's behalf.

    Args:
        version: ``"1.1"``, ``"2"`` or ``"3"``.
        websockets: Whether the application accepts WebSockets, which are put together in memory. The number is for
            binary messages and text in ASCII; other text takes up to four times as much once it is Python's.

    Raises:
        ValueError: The version is none of these.
    """
    head = HEAD_COPIES * limits.max_head_bytes
    if version == "1.1":
        size = (
            FIXED + BURST + head + limits.max_pipelined_bytes + limits.stream_receive_buffer + limits.stream_send_buffer
        )
    elif version in ("2", "3"):
        streams = limits.max_concurrent_streams
        # Twice as many handlers may run as streams be open: those of requests that were taken back hold their heads.
        size = FIXED + BURST + limits.connection_receive_buffer + streams * (limits.stream_send_buffer + 2 * head)
    else:
        raise ValueError(f"HTTP/{version} is not served")
    if websockets:
        # One connection's hold one largest message together; above it only one goes on, to its largest message; and a
        # message that is whole is joined, which takes as much again, as does the step in which it is read.
        size += 4 * limits.max_websocket_message_bytes
    return size

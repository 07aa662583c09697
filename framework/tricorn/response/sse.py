"""Server-sent events (HTML standard, section 9.2).

Rules of this module: an event is one part of the stream, sent whole. A comment goes out when nothing else did for a
while, so that proxies keep the connection and a client's going away is noticed on servers that do not tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import anyio

from tricorn.concurrency import close_iterator, iterate_in_thread, run_beside
from tricorn.headers import HeadersInit
from tricorn.json_codec import encode_json
from tricorn.response.base import Background, transmit
from tricorn.response.stream import StreamingResponse
from tricorn.types import Send


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event.

    Args:
        data: ``str`` as it is, on as many lines as it has; any other value as JSON; ``None`` sends no data, so that
            the browser dispatches nothing.
        event: The event's type; ``message`` if not given.
        id: What the client sends as ``Last-Event-ID`` when it reconnects.
        retry: Milliseconds that the client waits before it reconnects.
        comment: A line that the client ignores.

    Raises:
        ValueError: ``event`` or ``id`` has a line break in it, or ``id`` a NUL.
    """

    data: object = None
    event: str | None = None
    id: str | int | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None and any(char in str(value) for char in "\r\n\0"):
                raise ValueError(f"ServerSentEvent: {name} {value!r} has a line break or NUL in it")

    def encode(self) -> bytes:
        """The event on the wire."""
        lines: list[str] = []
        if self.comment is not None:
            lines += [f": {line}" for line in _lines(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {int(self.retry)}")
        if self.data is not None:
            lines += [f"data: {line}" for line in _lines(_text(self.data))]
        return ("\n".join(lines) + "\n\n").encode()


#: What an event source yields: an event, or what is the data of one.
EventLike: TypeAlias = "ServerSentEvent | str | dict[str, object] | list[object]"

_HEARTBEAT = b":\n\n"


def _text(data: object) -> str:
    return data if isinstance(data, str) else encode_json(data).decode()


def _lines(text: str) -> list[str]:
    """The three line breaks that event streams know; ``str.splitlines`` knows more of them."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class EventSourceResponse(StreamingResponse):
    """A stream of events.

    ``Request.last_event_id`` says where a client that reconnects left off.

    Args:
        events: Yields ``ServerSentEvent``, or the data of events.
        heartbeat: Seconds of silence after which a comment is sent; 0 sends none.
        retry: Milliseconds that the client waits before it reconnects; sent first.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterable[EventLike] | Iterable[EventLike],
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        heartbeat: float = 15.0,
        retry: int | None = None,
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        super().__init__((), status, headers, background=background)
        self.events = self.content = events  # type: ignore[assignment]  # parts of another kind: events
        self.heartbeat = heartbeat
        self.retry = retry
        self.headers.setdefault("cache-control", "no-store")
        self.headers.setdefault("x-accel-buffering", "no")  # nginx would hold the events back

    async def send_parts(self, send: Send) -> None:
        written = anyio.current_time()
        writing = anyio.Lock()

        async def write(data: bytes) -> None:
            nonlocal written
            async with writing:
                await transmit(send, {"type": "http.response.body", "body": data, "more_body": True})
                written = anyio.current_time()

        async def beat() -> None:
            while True:
                await anyio.sleep_until(written + self.heartbeat)
                if anyio.current_time() >= written + self.heartbeat:
                    await write(_HEARTBEAT)

        async def write_events() -> None:
            if self.retry is not None:
                await write(ServerSentEvent(retry=self.retry).encode())
            events = aiter(self.events) if isinstance(self.events, AsyncIterable) else iterate_in_thread(self.events)
            try:
                async for event in events:
                    await write((event if isinstance(event, ServerSentEvent) else ServerSentEvent(event)).encode())
            finally:
                await close_iterator(events)

        if self.heartbeat > 0:
            await run_beside(beat, write_events)
        else:
            await write_events()

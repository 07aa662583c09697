"""JSON responses (RFC 8259), with an encoder that an application can replace."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from uuid import UUID

from tricorn.headers import HeadersInit
from tricorn.response.base import Background, Response
from tricorn.types import Encoder, Receive, Scope, Send


def _default(value: object) -> object:
    """What JSON has no form of its own for. Times are ISO 8601, decimals strings so that no digit gets lost."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


#: Without white space; UTF-8; NaN and infinities are errors, since JSON has none.
encode_json: Encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default
).encode


class JSONResponse(Response):
    """A value as JSON.

    Encoded when it is sent, by the first of: ``encoder``, the application's ``json_encoder``, ``encode_json``.

    Args:
        content: Anything that the encoder takes.
        encoder: Makes text or bytes of a value; for this response only.
    """

    media_type = "application/json"

    def __init__(
        self,
        content: object,
        status: int = 200,
        headers: HeadersInit | None = None,
        *,
        media_type: str | None = None,
        encoder: Encoder | None = None,
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        super().__init__(b"", status, headers, media_type=media_type, background=background)
        self.content = content
        self.encoder = encoder

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoder = self.encoder or getattr(scope.get("app"), "json_encoder", None) or encode_json
        body = encoder(self.content)
        self.body = body.encode() if isinstance(body, str) else body
        await super().respond(scope, receive, send)

"""JSON responses (RFC 8259), with an encoder that an application can replace."""

from __future__ import annotations

from collections.abc import Iterable

from tricorn.headers import HeadersInit
from tricorn.json_codec import encode_json
from tricorn.response.base import Background, Response
from tricorn.types import Encoder, Receive, Scope, Send


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

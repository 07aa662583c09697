"""Sessions in a signed cookie: nothing is stored on the server, and the client can read but not change them.

Rules of this module: a cookie that does not verify is no session, whatever is wrong with it. The cookie is decoded
when the session is first looked at and sent only when it changed. A response that looked at it says ``Vary: Cookie``,
so that no shared cache hands it to somebody else; one that has the cookie is ``private``, whatever was declared, or a
shared cache would hand it to everybody who has none yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from datetime import timedelta
from typing import Any

from tricorn.caching.privacy import make_private
from tricorn.cookies import SameSite, format_cookie, parse_cookies
from tricorn.headers import Headers, MutableHeaders
from tricorn.types import ASGIApp, Message, Receive, Scope, Send

#: The messages that can carry ``Set-Cookie``.
_HEADS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

#: What browsers keep of a cookie at least, name and attributes included (RFC 6265 section 6.1).
_MAX_COOKIE_BYTES = 4096


class Session(MutableMapping[str, Any]):
    """What a client's session holds: values that JSON has, by name.

    The values are ``Any`` because what a session holds is the application's affair.
    """

    def __init__(self, load: Callable[[], dict[str, Any]]) -> None:
        self._load = load
        self._loaded: dict[str, Any] | None = None
        self._before = "{}"

    @property
    def _values(self) -> dict[str, Any]:
        if self._loaded is None:
            self._loaded = self._load()
            self._before = _dump(self._loaded)
        return self._loaded

    @property
    def is_accessed(self) -> bool:
        """Whether anybody has looked at it."""
        return self._loaded is not None

    @property
    def is_changed(self) -> bool:
        """Whether it differs from what the client sent, also deep inside a value."""
        return self._loaded is not None and _dump(self._loaded) != self._before

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Session({self._values!r})"


def _dump(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


class SessionMiddleware:
    """Gives requests and WebSockets a ``session`` (``scope["session"]``). Needs the extra ``tricorn[sessions]``.

    Args:
        secret: The signing key, or several, the newest first: it signs, the others are still accepted.
        cookie: The cookie's name.
        max_age: Seconds, or a ``timedelta``, from the session's last change to its end; ``None`` leaves the end to
            the browser, and the signature is good for ever.
        same_site: The cookie's ``SameSite``.
        path, domain: The cookie's ``Path`` and ``Domain``.
        secure: Whether the cookie is only for https; ``None``: if it is set over https.

    Raises:
        ValueError: There is no secret, or an empty one.
        ImportError: itsdangerous is not installed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        secret: str | Sequence[str],
        cookie: str = "session",
        max_age: int | timedelta | None = 14 * 24 * 3600,
        same_site: SameSite = "lax",
        path: str = "/",
        domain: str | None = None,
        secure: bool | None = None,
    ) -> None:
        try:
            from itsdangerous import BadData, URLSafeTimedSerializer
        except ImportError as error:
            raise ImportError("sessions need itsdangerous: pip install 'tricorn[sessions]'") from error
        secrets = [secret] if isinstance(secret, str) else list(secret)
        if not secrets or not all(secrets):
            raise ValueError("secret: a session needs a signing key that is not empty")
        self._app = app
        self._serializer = URLSafeTimedSerializer(
            secrets[::-1],  # it signs with its last
            salt=f"tricorn.session.{cookie}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._bad_data: type[Exception] = BadData
        self._cookie = cookie
        self._max_age = int(max_age.total_seconds()) if isinstance(max_age, timedelta) else max_age
        self._same_site: SameSite = same_site
        self._path = path
        self._domain = domain
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        cookies = parse_cookies("; ".join(Headers(scope["headers"]).getlist("cookie")))
        token = cookies.get(self._cookie)
        session = Session(lambda: self._read(token))
        is_secure = self._secure if self._secure is not None else scope.get("scheme") in ("https", "wss")

        async def send_session(message: Message) -> None:
            if message["type"] in _HEADS and session.is_accessed:
                headers = MutableHeaders(list(message.get("headers", ())))
                headers.add_vary("Cookie")
                if session.is_changed:
                    headers.add("set-cookie", self._set_cookie(session, is_secure))
                    if message["type"] == "http.response.start":
                        make_private(headers.raw)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self._app({**scope, "session": session}, receive, send_session)

    def _read(self, token: str | None) -> dict[str, Any]:
        if token is None:
            return {}
        try:
            values = self._serializer.loads(token, max_age=self._max_age)
        except self._bad_data:
            return {}
        return values if isinstance(values, dict) else {}

    def _set_cookie(self, session: Session, is_secure: bool) -> str:
        token = self._serializer.dumps(dict(session)) if session else ""
        value = format_cookie(
            self._cookie,
            token,
            max_age=self._max_age if session else 0,
            path=self._path,
            domain=self._domain,
            secure=is_secure,
            httponly=True,
            samesite=self._same_site,
        )
        if len(value) > _MAX_COOKIE_BYTES:
            raise ValueError(f"the session's cookie has {len(value)} bytes; browsers keep {_MAX_COOKIE_BYTES}")
        return value

"""Telling a client early what it will need: server push, 103 Early Hints, ``Link``.

Rules of this module: it decides between the three by what the server's scope offers (ASGI's extensions
``http.response.push`` and ``http.response.early_hint``), and sends never more than one of them for a path. What it
sends is no part of the response, so it goes past the application's middleware straight to the server: much foreign
middleware knows no message but the response's own, and drops the others or fails at them.
"""

from __future__ import annotations

from urllib.parse import quote

from tricorn.exceptions import ClientDisconnect
from tricorn.response.base import transmit
from tricorn.types import Message, Scope, Send
from tricorn_transports.http.fields import is_token

#: Where an application leaves the ``send`` that it was called with, in the scope.
SERVER_SEND = "tricorn.send"

_URI = "!#$%&'()*+,/:;=?@[]~"
#: Request fields that a pushed response may depend on, and that the promised request therefore repeats.
_REPEATED = (b"accept-encoding", b"accept-language", b"user-agent", b"cookie")


def link_value(path: str, *, as_: str | None = None, rel: str = "preload") -> str:
    """The value of a ``Link`` field (RFC 8288): ``</app.css>; rel=preload; as=style``.

    Raises:
        ValueError: ``rel`` or ``as_`` is no token.
    """
    value = f"<{quote(path, safe=_URI)}>"
    for name, token in (("rel", rel), ("as", as_)):
        if token is not None:
            if not is_token(token):
                raise ValueError(f"hint: {name} {token!r} is not a token")
            value += f"; {name}={token}"
    if as_ == "font":
        value += "; crossorigin"  # fonts are fetched in CORS mode; without it the preloaded one is not used
    return value


async def push(scope: Scope, send: Send, path: str) -> bool:
    """Has the server push ``path``. Returns False where it does not offer it; a push to a client that left is over.

    Raises:
        ValueError: ``path`` is not an absolute path.
    """
    if not path.startswith("/"):
        raise ValueError(f"push: {path!r} does not begin with /")
    if "http.response.push" not in (scope.get("extensions") or {}):
        return False
    headers = [(name, value) for name, value in scope["headers"] if name in _REPEATED]
    await _tell(scope, send, {"type": "http.response.push", "path": quote(path, safe=_URI), "headers": headers})
    return True


async def hint(scope: Scope, send: Send, path: str, *, as_: str | None = None, rel: str = "preload") -> str | None:
    """Pushes ``path``, or sends a 103 with a Link; else returns the Link that the final response is to carry."""
    link = link_value(path, as_=as_, rel=rel)
    if rel == "preload" and path.startswith("/") and await push(scope, send, path):
        return None
    if "http.response.early_hint" in (scope.get("extensions") or {}):
        await _tell(scope, send, {"type": "http.response.early_hint", "links": [link.encode("ascii")]})
        return None
    return link


async def _tell(scope: Scope, send: Send, message: Message) -> None:
    try:
        await transmit(scope.get(SERVER_SEND, send), message)
    except ClientDisconnect:
        return  # a hint to a client that left is over; the response will notice for itself

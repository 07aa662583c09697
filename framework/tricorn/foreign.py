"""What applications of other frameworks do otherwise, put right where they meet ours.

Rules of this module: nothing is judged here, and nothing that is right already is changed in what it means.
"""

from __future__ import annotations

from collections.abc import Awaitable

from tricorn.types import Message, Scope, Send


def lower_cased(send: Send) -> Send:
    """``send`` that makes field names lower-case, as ASGI wants them and servers make them; Django's are not.

    Whoever looks for ``etag`` or ``cache-control`` would find nothing, and add another.
    """

    def send_lower_cased(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and "headers" in message:
            message = {**message, "headers": [(name.lower(), value) for name, value in message["headers"]]}
        return send(message)

    return send_lower_cased


def heard(scope: Scope, send: Send) -> Send:
    """``send`` for what stands inside of a middleware that looks at fields.

    Outside of every application it may be anybody's; inside of one of ours all names are lower-case already.
    """
    return send if "app" in scope else lower_cased(send)

"""Redirects, with a Location that a URL parser cannot misread."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from tricorn.headers import HeadersInit
from tricorn.response.base import Background, Response
from tricorn.url import URL

#: Everything that may stand in a URI reference (RFC 3986 section 2), and ``%`` for what is encoded already.
_URI = "!#$%&'()*+,/:;=?@[]~"


class RedirectResponse(Response):
    """Sends the client elsewhere.

    Args:
        url: A URI reference; characters that cannot stand in one are percent-encoded.
        status: 307 keeps method and body; 303 makes it a GET (after a form); 301, 302 and 308 exist too.

    Raises:
        ValueError: The status is not that of a redirect.
    """

    def __init__(
        self,
        url: str | URL,
        status: int = 307,
        headers: HeadersInit | None = None,
        *,
        background: Background | Iterable[Background] | None = None,
    ) -> None:
        if status not in (300, 301, 302, 303, 307, 308):
            raise ValueError(f"RedirectResponse: {status} is not a redirect")
        super().__init__(b"", status, headers, background=background)
        self.headers.set("location", quote(str(url), safe=_URI))

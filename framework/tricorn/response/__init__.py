"""Responses. Each kind lives in a module of its own; what most applications want is imported here."""

from tricorn.response.base import Background, HTMLResponse, PlainTextResponse, Response
from tricorn.response.redirect import RedirectResponse

__all__ = ["Background", "HTMLResponse", "PlainTextResponse", "RedirectResponse", "Response"]

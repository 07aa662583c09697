"""What a handler may return, made a response.

=========================  =====================================================================================
``Response``               as it is
``str``                    200, ``text/html; charset=utf-8``
``bytes``                  200, ``application/octet-stream``
``dict``, ``list``         200, JSON
``None``                   204
iterator (sync or async)   200, streamed as ``text/html; charset=utf-8``; a list is no iterator
``(value, status)``        any of the above with that status code
``(value, headers)``       ... with these fields
``(value, status, headers)``
=========================  =====================================================================================
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from inspect import isawaitable
from typing import Any, cast

from tricorn.headers import HeadersInit
from tricorn.response.base import HTMLResponse, Response, has_no_content
from tricorn.response.json import JSONResponse
from tricorn.response.stream import Content, StreamingResponse


def _bytes(value: bytes) -> Response:
    return Response(value, media_type="application/octet-stream")


def _none(value: None) -> Response:
    return Response(b"", 204)


def _tuple(value: tuple[object, ...], handler: str | None) -> Response:
    body, *rest = value or (None,)
    status = rest.pop(0) if rest and isinstance(rest[0], int) else None
    headers = rest.pop(0) if rest and isinstance(rest[0], (Mapping, list)) else None
    if rest or (status is None and headers is None):
        kinds = ", ".join(type(item).__name__ for item in value)
        wanted = "(value, status), (value, headers) or (value, status, headers)"
        raise TypeError(f"{_who(handler)} returned a tuple of {kinds or 'nothing'}; it may return {wanted}")
    response = convert(body, handler)
    if status is not None:
        response.status = cast("int", status)
        if has_no_content(response.status):
            response.headers.delete("content-type")
    elif body is None:
        response.status = 200
    if headers is not None:
        response.headers.update(cast("HeadersInit", headers))
    return response


_CONVERTERS: dict[type, Callable[[Any], Response]] = {
    str: HTMLResponse,
    dict: JSONResponse,
    list: JSONResponse,
    bytes: _bytes,
    bytearray: lambda value: _bytes(bytes(value)),
    type(None): _none,
}


def convert(value: object, handler: str | None = None) -> Response:
    """The response that a handler's value stands for; see the table above.

    Args:
        handler: Its name, for the exception: by then it has returned and is in no traceback.

    Raises:
        TypeError: It stands for none.
    """
    converter = _CONVERTERS.get(type(value))
    if converter is not None:
        return converter(value)
    if isinstance(value, Response):
        return value
    if type(value) is tuple:
        return _tuple(value, handler)
    if isinstance(value, (AsyncIterator, Iterator)):
        return StreamingResponse(cast("Content", value), media_type="text/html")
    for kind in (str, bytes, dict, list):  # subclasses: markupsafe.Markup, OrderedDict
        if isinstance(value, kind):
            return _CONVERTERS[kind](value)
    if isawaitable(value):
        raise TypeError(f"{_who(handler)} returned something to be awaited ({type(value).__name__}): await it there")
    raise TypeError(
        f"{_who(handler)} returned {type(value).__name__}; it may return a Response, str, bytes, dict, list, "
        "an iterator, None, or a tuple of one of these with a status or headers"
    )


def _who(handler: str | None) -> str:
    return "a handler" if handler is None else f"handler {handler}()"

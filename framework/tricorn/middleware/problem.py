"""Errors in the form that the client asked for: ``application/problem+json`` (RFC 9457) or plain text.

Rules of this module: pure; what is said of an error is what the application put into it, never a detail of an
exception. A form that depended on ``Accept`` says so in ``Vary``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tricorn.headers import Headers, HeadersInit
from tricorn.json_codec import encode_json
from tricorn.response.base import PlainTextResponse, Response
from tricorn_transports.http.fields import parse_parameters, split_list
from tricorn_transports.http.status import status_phrase

PROBLEM_JSON = "application/problem+json"


def negotiate(accept: str | None, offers: Sequence[str]) -> str:
    """The media type of ``offers`` that an ``Accept`` value likes best (RFC 9110 section 12.5.1).

    Of equally liked ones the one that was named more exactly wins, then the one that the client named first, then
    the one offered first; that is also the answer to a client that has no liking or wants none of them.

    Args:
        accept: All values of the field, joined by commas; ``None`` when there is none.
        offers: Media types in lower case, without parameters.
    """
    ranges: list[tuple[str, float]] = []
    for member in split_list(accept or ""):
        name, parameters = parse_parameters(member)
        try:
            quality = min(max(float(parameters.get("q", "1")), 0.0), 1.0)
        except ValueError:
            quality = 0.0
        ranges.append((name.lower(), quality))
    best, best_rank = offers[0], (0.0, 0, 0)
    for offer in offers:
        rank = (0.0, 0, 0)
        exactness = -1
        for position, (name, quality) in enumerate(ranges):
            how = _exactness(name, offer)
            if how > exactness:  # the most exact range decides on an offer, not the most generous one
                exactness, rank = how, (quality, how, -position)
        if rank[0] > 0 and rank > best_rank:
            best, best_rank = offer, rank
    return best


def _exactness(media_range: str, offer: str) -> int:
    """How exactly a range matches: 0 for ``*/*`` to 2; -1 if it does not."""
    if media_range == offer:
        return 2
    if media_range == "*/*":
        return 0
    return 1 if media_range.endswith("/*") and offer.startswith(media_range[:-1]) else -1


def prefers_json(headers: Headers, other: str = "text/plain") -> bool:
    """Whether a client likes JSON, of any of both names, more than ``other``."""
    accept = ",".join(headers.getlist("accept"))
    return negotiate(accept, (other, PROBLEM_JSON, "application/json")) != other


def problem(
    status: int,
    detail: str | None = None,
    *,
    title: str | None = None,
    type: str = "about:blank",
    instance: str | None = None,
    headers: HeadersInit | None = None,
    extensions: Mapping[str, object] | None = None,
) -> Response:
    """A problem document (RFC 9457 section 3).

    Args:
        detail: What is wrong with this request, for a person.
        title: What is wrong in general; the status's phrase by default, as ``about:blank`` wants it.
        type: A URI that names the kind of problem.
        instance: A URI that names this occurrence.
        extensions: More members; they cannot replace the others.
    """
    document: dict[str, object] = {"type": type, "title": title or status_phrase(status) or str(status)}
    document["status"] = status
    if detail is not None:
        document["detail"] = detail
    if instance is not None:
        document["instance"] = instance
    return Response(encode_json({**(extensions or {}), **document}), status, headers, media_type=PROBLEM_JSON)


def error_response(
    request_headers: Headers, status: int, detail: str | None = None, *, headers: HeadersInit | None = None
) -> Response:
    """An error as a problem document for a client that prefers JSON, else its status line and detail as text."""
    response: Response
    if prefers_json(request_headers):
        response = problem(status, detail, headers=headers)
    else:
        text = f"{status} {status_phrase(status)}".rstrip()
        response = PlainTextResponse(f"{text}\n{detail}\n" if detail else f"{text}\n", status, headers)
    response.headers.add_vary("Accept")
    return response

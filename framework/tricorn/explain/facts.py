"""What is seen of a response, and what is found out about it: values and nothing else.

Rules of this module: an ``Explanation`` is what ``tricorn explain --json`` prints, field by field, so that a field here
is a promise (``docs/reference/explain.md``). A member of an enumeration is printed as its name in lower case with
hyphens. Adding fields is compatible; another meaning or another name wants another ``VERSION``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from tricorn.caching.freshness import Freshness, Storage
from tricorn.headers import Headers

#: Of the JSON document.
VERSION: Final = 1

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

# --- what was seen ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """The request.

    Attributes:
        method: As it was sent.
        target: The path, or the whole URL, with the query.
        headers: All of its fields.
    """

    method: str
    target: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Attributes:
        status: The status code.
        headers: Its fields as the application sent them: a server may add ``Date`` and what frames the content.
        body: Its content, as far as it was read.
        complete: Whether that is all of it.
    """

    status: int
    headers: Headers
    body: bytes = b""
    complete: bool = True

    def field(self, name: str) -> str | None:
        """All lines of a field as one value; ``None`` if there is none."""
        lines = self.headers.getlist(name)
        return ", ".join(lines) if lines else None

    def targeted_fields(self) -> list[str]:
        """The names of the targeted fields (RFC 9213), which end in ``-Cache-Control``."""
        return ["-".join(map(_word, name.split("-"))) for name in self.headers if name.endswith("-cache-control")]


def _word(part: str) -> str:
    return "CDN" if part == "cdn" else part.title()


@dataclass(frozen=True, slots=True)
class Observed:
    """A request, its response, and what further requests got, as far as they were sent.

    Attributes:
        now: When the response came, in seconds since the epoch.
        again: What the same request got a second time.
        revalidated: What it got with ``If-None-Match`` and ``If-Modified-Since``.
        ranged: What it got with ``Range: bytes=0-0``.
    """

    asked: Asked
    answer: Answer
    now: float
    again: Answer | None = None
    revalidated: Answer | None = None
    ranged: Answer | None = None


# --- what is found out ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValidatorFacts:
    """What tells one state of the resource from another (RFC 9110 section 8.8).

    Attributes:
        etag: The field's value.
        strength: Of the tag; ``malformed`` where the value is no entity tag.
        origin: ``content`` for a tag that Tricorn made of the content, ``application`` for any other; ``None`` where it
            cannot be told, because the content was not read, or was coded after its tag had been made.
        repeated: Whether the same request got the same tag again; ``None`` if it was not sent again.
        last_modified: The field's value.
    """

    etag: str | None
    strength: Literal["strong", "weak", "malformed"] | None
    origin: Literal["application", "content"] | None
    repeated: bool | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class CacheFacts:
    """What one kind of cache makes of the response.

    Attributes:
        cache: ``private`` is a browser's; ``shared`` one that knows no targeted field; ``targeted`` one that goes by
            ``field`` (RFC 9213).
        field: Where its policy stands; empty if the response has none.
        stored: Whether it may store the response.
        because: What decides that.
        clause: Where that is written.
        freshness: For how long it may reuse the response; ``None`` if it does not store it.
    """

    cache: Literal["private", "shared", "targeted"]
    field: str
    stored: bool
    because: Storage
    clause: str
    freshness: Freshness | None


@dataclass(frozen=True, slots=True)
class VariedField:
    """A field of the request that the response depends on, and its value there."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class VaryFacts:
    """What the response depends on besides the URL (RFC 9111 section 4.1).

    Attributes:
        any: On anything: a stored response is never reused without asking.
        fields: On these fields of the request.
    """

    any: bool
    fields: tuple[VariedField, ...]


@dataclass(frozen=True, slots=True)
class RevalidationFacts:
    """What a cache gets that asks whether the response is still good (RFC 9111 section 4.3).

    Attributes:
        if_none_match: What was sent.
        if_modified_since: What was sent.
        status: What came back.
        saved: Bytes of content that were not sent again.
        missing: Fields of the 200 that its 304 lacks, and must have (RFC 9110 section 15.4.5).
    """

    if_none_match: str | None
    if_modified_since: str | None
    status: int
    saved: int | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RangeFacts:
    """Whether parts of the content can be had (RFC 9110 section 14).

    Attributes:
        announced: Whether ``Accept-Ranges`` says so.
        served: Whether one byte was asked for and came alone; ``None`` if it was not asked for.
    """

    announced: bool
    served: bool | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A warning.

    Attributes:
        code: What is wrong; the codes stand in ``docs/reference/explain.md`` and do not change.
        text: One line for a person, about this very response.
        clause: Where it is written.
    """

    code: str
    text: str
    clause: str


#: What a browser does on a reload that is not forced.
Reload: TypeAlias = Literal["fetches", "validates", "reuses"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How caches will treat a response.

    Attributes:
        method: Of the request.
        target: Of the request.
        status: Of the response.
        media_type: ``Content-Type``.
        size: Bytes of the content; ``None`` if it is not known, as for a stream that goes on.
        cache_control: ``Cache-Control`` as it is understood.
        validators: What a revalidation goes by.
        caches: A browser's, a shared one, and one for each targeted field.
        varies: What the response depends on.
        revalidation: What it got; ``None`` if none was tried.
        ranges: Whether parts can be had.
        reload: What a browser's reload does.
        invalidates: Whether the request makes caches forget what they have stored of the URL (RFC 9111 section 4.4).
        warnings: What is wrong, or likely not meant.
    """

    method: str
    target: str
    status: int
    media_type: str | None
    size: int | None
    cache_control: str | None
    validators: ValidatorFacts
    caches: tuple[CacheFacts, ...]
    varies: VaryFacts
    revalidation: RevalidationFacts | None
    ranges: RangeFacts
    reload: Reload
    invalidates: bool
    warnings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """The document that ``tricorn explain --json`` prints."""
        return {"version": VERSION, **asdict(self, dict_factory=_plain)}


def _plain(items: list[tuple[str, Any]]) -> dict[str, JSON]:  # what ``asdict`` gives is as varied as the fields
    return {
        name: value.name.lower().replace("_", "-")
        if isinstance(value, Enum)
        else list(value)
        if isinstance(value, tuple)
        else value
        for name, value in items
    }

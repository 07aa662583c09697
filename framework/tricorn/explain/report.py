"""An explanation as text for a person.

Rules of this module: what is said stands in ``words``; here it is laid out, with labels on the left. Nothing is found
out here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tricorn.explain import words
from tricorn.explain.facts import Explanation
from tricorn_transports.http.status import status_phrase

#: Columns of the labels.
_INDENT: Final = 16


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        head: How it begins: a label, a title or a warning's code.
        rest: What follows it.
        style: What the head is.
    """

    head: str = ""
    rest: str = ""
    style: Literal["title", "label", "warning"] = "label"

    def __str__(self) -> str:
        return f"{self.head}{self.rest}".rstrip()


def lines(facts: Explanation, width: int = 80) -> Iterator[Line]:
    """The whole report, no line of which is wider than ``width`` columns, unless a single word is.

    What the application sent is shown, and not carried out by the terminal.
    """
    yield Line(_printable(f"{facts.method} {facts.target}"), style="title")
    status = f"{facts.status} {status_phrase(facts.status)}".rstrip()
    what = ", ".join(part for part in (status, facts.media_type, words.content(facts.size)) if part)
    yield Line(rest=_printable(what))
    yield Line()
    for label, *texts in _paragraphs(facts):
        for text in texts:
            for line in _wrapped(text, width - _INDENT):
                yield Line(f"{label:<{_INDENT}}", line)
                label = ""
    yield Line()
    count = len(facts.warnings)
    yield Line(f"{count} warning{'s' if count > 1 else ''}" if count else "No warnings", style="title")
    for found in facts.warnings:
        yield Line(f"  {found.code}", f" ({found.clause})", "warning")
        for line in _wrapped(found.text, width - 4):
            yield Line("    ", line)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(_printable(text), width, break_long_words=False, break_on_hyphens=False)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _paragraphs(facts: Explanation) -> Iterator[tuple[str, *tuple[str, ...]]]:
    """Each label, and the texts that stand beside it."""
    if facts.cache_control is not None:
        yield "Cache-Control", facts.cache_control
    yield from _caches(facts)
    yield "Validators", *_validators(facts)
    if facts.revalidation is not None:
        yield "Revalidation", words.revalidation(facts.revalidation, facts.status)
    yield "Varies on", words.varies(facts.varies)
    yield "Ranges", words.ranges(facts.ranges)
    if facts.method == "GET":
        yield "Reload", words.reload(facts)
    if facts.invalidates:
        yield "Invalidates", f"what caches have stored of {facts.target} (RFC 9111, 4.4)"


def _caches(facts: Explanation) -> Iterator[tuple[str, *tuple[str, ...]]]:
    """What each kind of cache does; said once where they all do the same."""
    said = {words.cache_name(cache): words.cache(cache, facts) for cache in facts.caches}
    if len(set(said.values())) == 1:
        yield "Any cache", *next(iter(said.values()))
        return
    for name, texts in said.items():
        yield name, *texts


def _validators(facts: Explanation) -> Iterator[str]:
    validators = facts.validators
    if validators.etag is not None:
        yield words.etag(validators)
    if validators.last_modified is not None:
        yield f"Last-Modified {validators.last_modified}"
    if validators.etag is None and validators.last_modified is None:
        yield "none"

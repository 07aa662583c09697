"""How an application hints: by push, by 103, by ``Link``, or not at all.

Rules of this module: values and pure functions of a request's fields. The way is chosen by what the client says it
takes and never by its name: no list of browsers is ever right for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from tricorn.hints.cookie import PushCookie

HintMode: TypeAlias = Literal["auto", "push", "early", "link", "off"]
_MODES: Final = ("auto", "push", "early", "link", "off")
_VERSIONS: Final = frozenset({"1.1", "2", "3"})


@dataclass(frozen=True, kw_only=True)
class Hinting:
    """An application's choice.

    Args:
        mode: ``auto``: a push where the client takes pushes, else a 103 where it can use one, else a ``Link`` field in
            the response. ``push`` and ``early`` leave the other of the two out, ``link`` both; ``off`` says nothing.
        early_versions: HTTP versions whose clients may get a 103. Some clients of ``1.1`` take it for the response
            itself (RFC 8297 section 3), so that it has to be asked for; HTTP/1.0 has no interim responses.
        navigations_only: Whether only the request for a page gets a 103, as browsers ignore all others.
        push_cookie: What a client was pushed is remembered in a cookie, and not pushed again.

    Raises:
        ValueError: There is no such mode or version.
    """

    mode: HintMode = "auto"
    early_versions: Iterable[str] = frozenset({"2", "3"})
    navigations_only: bool = True
    push_cookie: PushCookie | None = None

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ValueError(f"hinting: mode {self.mode!r} is not one of {', '.join(_MODES)}")
        versions = frozenset(self.early_versions)
        if not versions <= _VERSIONS:
            raise ValueError(f"hinting: no 103 is for HTTP/{sorted(versions - _VERSIONS)[0]}; known: 1.1, 2, 3")
        object.__setattr__(self, "early_versions", versions)

    @classmethod
    def of(cls, value: Hinting | HintMode) -> Hinting:
        """A choice as it is, or that of a mode."""
        return value if isinstance(value, Hinting) else cls(mode=value)

    @property
    def pushes(self) -> bool:
        """Whether a push may be used at all."""
        return self.mode in ("auto", "push")

    def takes_early_hints(self, http_version: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a 103 is of use to who sent these fields with a GET."""
        if self.mode not in ("auto", "early") or http_version not in self.early_versions:
            return False
        return not self.navigations_only or is_navigation(headers)


def is_navigation(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request is for a page in a window of its own.

    Browsers say so in ``Sec-Fetch-Mode`` and ``Sec-Fetch-Dest``. Where the former is absent, the page is what asks for
    ``text/html`` by name: scripts, images and command lines do not.
    """
    mode = destination = None
    accepts_html = False
    for name, value in headers:
        if name == b"sec-fetch-mode":
            mode = value
        elif name == b"sec-fetch-dest":
            destination = value
        elif name == b"accept" and b"text/html" in value.lower():
            accepts_html = True
    if mode is None:
        return accepts_html
    return mode == b"navigate" and destination in (None, b"document")


def is_part_of_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser says that it asks for something that a page has: an image, a style sheet, data."""
    return any(name == b"sec-fetch-mode" and value != b"navigate" for name, value in headers)

"""What ``StaticFiles`` can be told, as ``App.static`` takes it, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, TypedDict

from tricorn.caching.control import CacheControl

#: A policy for all files, or policies by pattern.
CacheRules: TypeAlias = CacheControl | str | Mapping[str, CacheControl | str]


class StaticOptions(TypedDict, total=False):
    """The keyword arguments of ``StaticFiles``; see there."""

    html: bool
    cache: CacheRules | None
    media_types: Mapping[str, str] | None
    follow_symlinks: bool
    hidden: bool

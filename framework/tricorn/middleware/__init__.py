"""Pure ASGI middleware, each ``(app, **options)`` and each in a module of its own; none buffers a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tricorn.lazy import lazy_names
from tricorn.middleware.problem import problem

if TYPE_CHECKING:
    from tricorn.middleware.compression import CompressionMiddleware
    from tricorn.middleware.conditional import ConditionalMiddleware
    from tricorn.middleware.cors import CORSMiddleware
    from tricorn.middleware.digest import DigestMiddleware
    from tricorn.middleware.errors import ErrorsMiddleware
    from tricorn.middleware.hosts import HTTPSRedirectMiddleware, TrustedHostsMiddleware
    from tricorn.middleware.sessions import Session, SessionMiddleware
    from tricorn.middleware.timing import ServerTimingMiddleware
    from tricorn.middleware.trace import TraceMiddleware

__all__ = [
    "CORSMiddleware",
    "CompressionMiddleware",
    "ConditionalMiddleware",
    "DigestMiddleware",
    "ErrorsMiddleware",
    "HTTPSRedirectMiddleware",
    "ServerTimingMiddleware",
    "Session",
    "SessionMiddleware",
    "TraceMiddleware",
    "TrustedHostsMiddleware",
    "problem",
]

_MODULES = {
    "tricorn.middleware.compression": "CompressionMiddleware",
    "tricorn.middleware.conditional": "ConditionalMiddleware",
    "tricorn.middleware.cors": "CORSMiddleware",
    "tricorn.middleware.digest": "DigestMiddleware",
    "tricorn.middleware.errors": "ErrorsMiddleware",
    "tricorn.middleware.hosts": "HTTPSRedirectMiddleware TrustedHostsMiddleware",
    "tricorn.middleware.sessions": "Session SessionMiddleware",
    "tricorn.middleware.timing": "ServerTimingMiddleware",
    "tricorn.middleware.trace": "TraceMiddleware",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)

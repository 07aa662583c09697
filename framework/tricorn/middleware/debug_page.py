"""What a developer sees when a handler fails: the traceback with its source, and the request.

Rules of this module: pure apart from reading source lines; every value is escaped; the page loads nothing and runs
no script. Local variables are not shown, because they hold secrets. It is only ever sent in debug mode.
"""

from __future__ import annotations

import linecache
import os
import sysconfig
import traceback
from collections.abc import Iterable
from html import escape

from tricorn.headers import Headers
from tricorn.types import Scope

#: Lines shown before and after the one that failed.
_CONTEXT_LINES = 4

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_OURSELVES = os.path.dirname(os.path.dirname(__file__))

#: The page needs its own style and nothing else; this holds even if something slipped through the escaping.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --mark: #f5c84266; --dim: #8889; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .dim { opacity: .7; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; }
summary { cursor: pointer; padding: .35rem .7rem; overflow-wrap: anywhere; }
pre, code, td { font: 13px/1.55 ui-monospace, monospace; }
pre { margin: 0; overflow-x: auto; border-top: 1px solid var(--line); padding: .3rem 0; }
pre span { display: block; padding: 0 .7rem; } pre i { color: var(--dim); font-style: normal; }
pre .at { background: var(--mark); font-weight: 600; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid var(--line); padding: .2rem .7rem .2rem 0;
vertical-align: top; overflow-wrap: anywhere; } td:first-child { white-space: nowrap; opacity: .7; }
"""


def debug_text(error: BaseException) -> str:
    """The traceback as the interpreter prints it."""
    return "".join(traceback.format_exception(error))


def debug_html(error: BaseException, scope: Scope) -> str:
    """The page for a browser."""
    title = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = f"{scope.get('method', 'WebSocket')} {scope.get('path', '')}"
    sections = "".join(_exception(shown, relation) for shown, relation in _chain(error))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<p class="dim">{escape(where)}</p><h1>{escape(title)}</h1>{sections}{_request(scope)}'
        '<p class="dim">This page is shown because the application is in debug mode.</p></body></html>'
    )


def _chain(error: BaseException) -> list[tuple[BaseException, str]]:
    """The exception and those that led to it, the last one first, each with how it led to the one above."""
    chain: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    relation = ""
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append((current, relation))
        if current.__cause__ is not None:
            current, relation = current.__cause__, "caused by"
        elif current.__context__ is not None and not current.__suppress_context__:
            current, relation = current.__context__, "raised while handling"
        else:
            current = None
    return chain


def _exception(error: BaseException, relation: str) -> str:
    line = traceback.format_exception_only(error)[-1].strip()
    heading = f"{relation}: {line}" if relation else "Traceback"  # of the one whose line is the page's title
    notes = "".join(f"<p>{escape(str(note))}</p>" for note in getattr(error, "__notes__", ()))
    # The innermost frame first: that is where one looks.
    frames = "".join(_frame(frame) for frame in reversed(traceback.extract_tb(error.__traceback__)))
    inner = ""
    if isinstance(error, BaseExceptionGroup):
        inner = "".join(_exception(member, "in the group") for member in error.exceptions)
    return f"<h2>{escape(heading)}</h2>{notes}{frames}{inner}"


def _frame(frame: traceback.FrameSummary) -> str:
    """One frame; those of the application are open, those of libraries closed."""
    is_library = frame.filename.startswith((*_LIBRARIES, _OURSELVES, "<"))
    line = frame.lineno or 0
    lines = []
    for number in range(max(1, line - _CONTEXT_LINES), line + _CONTEXT_LINES + 1):
        source = linecache.getline(frame.filename, number)
        if source:
            mark = ' class="at"' if number == line else ""
            lines.append(f"<span{mark}><i>{number:>5}</i>  {escape(source.rstrip())}</span>")
    return (
        f"<details{'' if is_library else ' open'}><summary><code>{escape(frame.name)}</code> "
        f'<span class="dim">{escape(frame.filename)}:{line}</span></summary><pre>{"".join(lines)}</pre></details>'
    )


def _request(scope: Scope) -> str:
    rows = [
        ("method", scope.get("method", "")),
        ("path", scope.get("path", "")),
        ("query", scope.get("query_string", b"").decode("latin-1")),
        ("version", f"HTTP/{scope.get('http_version', '1.1')}"),
        ("client", " ".join(str(part) for part in scope.get("client") or ())),
        *((f"path parameter {name}", repr(value)) for name, value in scope.get("path_params", {}).items()),
    ]
    return f"<h2>Request</h2>{_table(rows)}<h2>Headers</h2>{_table(Headers(scope['headers']).multi_items())}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows if value)
    return f"<table>{cells}</table>"

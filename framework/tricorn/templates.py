"""HTML from Jinja2 templates. Needs the extra ``tricorn[templates]``.

Rules of this module: everything is escaped unless the template's name says that it is plain text; an undefined
name is empty, as Jinja2 has it, unless the application's own environment is stricter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tricorn.headers import HeadersInit
from tricorn.media_types import UNKNOWN, media_type_of
from tricorn.request import Request
from tricorn.response.base import Background, HTMLResponse, Response

if TYPE_CHECKING:
    from jinja2 import Environment

Directory: TypeAlias = str | os.PathLike[str]
ContextProcessor: TypeAlias = Callable[[Request], Mapping[str, object]]

#: Suffixes that stand behind the real one: ``page.html.j2``.
_TEMPLATE_SUFFIXES = (".j2", ".jinja", ".jinja2")


def _real_name(name: str) -> str:
    for suffix in _TEMPLATE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _is_escaped(name: str | None) -> bool:
    """Whether a template's values are escaped: all but ``.txt``."""
    return name is None or not _real_name(name).endswith(".txt")


class Templates:
    """The templates of a directory.

    In every template that is rendered for a request there are ``request``, ``url_for`` and ``static_url``.

    Args:
        directory: Where they are, or several directories, the first one winning.
        env: A Jinja2 environment of the application's own, in place of a directory.
        context_processors: Called with the request; what they return is in every template.

    Raises:
        ValueError: Both, or neither, of ``directory`` and ``env`` are given.
        ImportError: Jinja2 is not installed.
    """

    def __init__(
        self,
        directory: Directory | Iterable[Directory] | None = None,
        *,
        env: Environment | None = None,
        context_processors: Iterable[ContextProcessor] = (),
    ) -> None:
        if (directory is None) == (env is None):
            raise ValueError("Templates: give either a directory or an environment")
        if env is None:
            env = _environment(directory)
        self.env = env
        self._context_processors = tuple(context_processors)

    def render(self, name: str, context: Mapping[str, Any] | None = None, *, request: Request | None = None) -> str:
        """The text of a template.

        Args:
            context: What the template may name. The values are ``Any``, because a template asks for no type.
            request: Adds ``request``, ``url_for``, ``static_url`` and what the context processors say; ``context`` wins
                over them.

        Raises:
            jinja2.TemplateNotFound: There is none of that name.
            jinja2.TemplateError: It is wrong.
        """
        values: dict[str, Any] = {}
        if request is not None:
            values.update(request=request, url_for=request.url_for, static_url=request.static_url)
            for processor in self._context_processors:
                values.update(processor(request))
        values.update(context or {})
        return self.env.get_template(name).render(values)

    def response(
        self,
        request: Request,
        name: str,
        context: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
        headers: HeadersInit | None = None,
        media_type: str | None = None,
        background: Background | Iterable[Background] | None = None,
    ) -> Response:
        """A response with the text of a template; its media type goes by the template's name, HTML if that is unknown.

        Raises what ``render()`` raises.
        """
        text = self.render(name, context, request=request)
        kind = media_type or media_type_of(_real_name(name))
        if kind == UNKNOWN:
            kind = HTMLResponse.media_type
        return Response(text, status, headers, media_type=kind, background=background)


def _environment(directory: Directory | Iterable[Directory] | None) -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader
    except ImportError as error:
        raise ImportError("templates need Jinja2: pip install 'tricorn[templates]'") from error
    paths = [directory] if isinstance(directory, (str, os.PathLike)) else list(directory or ())
    return Environment(loader=FileSystemLoader(paths), autoescape=_is_escaped)

"""Which transports and engines there are, found by entry point.

Rules of this module: it imports no engine; an engine is a ``"module:attribute"`` string until a server needs it.

A distribution adds a transport with an entry point in the group ``tricorn.transports`` whose value is a
``TransportSpec``, and another engine for a known transport with one in the group ``tricorn.engines`` that is
named ``TRANSPORT.ENGINE`` (``h2.nghttp2``) and whose value is the engine's factory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, cast

from tricorn_transports.errors import ConfigError, TransportNotFound


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """One way of carrying HTTP.

    Attributes:
        name: ``h1``, ``h2``, ``h3``, or a third party's own.
        version: What ``--http`` calls it: ``1.1``, ``2``, ``3``.
        kind: ``tcp`` engines are ``StreamEngine``, made by a ``StreamEngineFactory``; ``udp`` ones come from a
            ``DatagramEndpointFactory``.
        alpn: Protocol IDs, as offered in TLS; the first transport of ``--http`` that shares one is chosen.
        engines: Engine names to ``"module:factory"``, or to the factory itself.
        default_engine: The one that is used unless ``--engine`` says otherwise.
        preface: On a cleartext port, judges a connection's first bytes: ``True`` (this transport's), ``False``
            (not), ``None`` (more bytes are needed). Without one the transport takes what no other claims.
        features: What it can do at best, for ``tricorn transports``.
    """

    name: str
    version: str
    kind: Literal["tcp", "udp"]
    alpn: tuple[str, ...]
    engines: Mapping[str, str | Callable[..., Any]]
    default_engine: str
    preface: Callable[[bytes], bool | None] | None = None
    features: tuple[str, ...] = field(default=())

    def create(self, engine: str | None = None) -> Callable[..., Any]:
        """The factory of the engine with that name, imported now.

        Raises:
            TransportNotFound: There is no such engine.
            ConfigError: Its module cannot be imported.
        """
        name = engine or self.default_engine
        factory = self.engines.get(name)
        if factory is None:
            known = ", ".join(sorted(self.engines))
            raise TransportNotFound(f"engine: {self.name} has no engine {name!r} (there are: {known})")
        if isinstance(factory, str):
            module, _, attribute = factory.partition(":")
            try:
                return cast("Callable[..., Any]", getattr(import_module(module), attribute))
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"engine: {self.name}={name} cannot be loaded: {error}") from error
        return factory


_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _is_h2_preface(data: bytes) -> bool | None:
    """RFC 9113 section 3.4: what every HTTP/2 client sends first."""
    if data[: len(_H2_PREFACE)] == _H2_PREFACE:
        return True
    return None if _H2_PREFACE.startswith(data) else False


H1 = TransportSpec(
    name="h1",
    version="1.1",
    kind="tcp",
    alpn=("http/1.1",),
    engines={
        "h11": "tricorn_transports.engines.h1:H11Engine",
        "httptools": "tricorn_transports.engines.h1_httptools:HttptoolsEngine",
    },
    default_engine="h11",
    features=("early-hints", "trailers", "websocket", "tunnel", "pipelining"),
)
H2 = TransportSpec(
    name="h2",
    version="2",
    kind="tcp",
    alpn=("h2",),
    engines={"h2": "tricorn_transports.engines.h2:H2Engine"},
    default_engine="h2",
    preface=_is_h2_preface,
    features=("multiplex", "priorities", "push", "early-hints", "trailers", "websocket", "tunnel"),
)
H3 = TransportSpec(
    name="h3",
    version="3",
    kind="udp",
    alpn=("h3",),
    engines={"aioquic": "tricorn_transports.engines.h3:create_endpoint"},
    default_engine="aioquic",
    features=("multiplex", "priorities", "early-hints", "trailers", "websocket", "tunnel"),
)


def transports() -> dict[str, TransportSpec]:
    """All transports by name: ours, then what entry points add; third-party engines are merged in.

    Raises:
        ConfigError: An entry point cannot be loaded or is not what its group wants.
    """
    found = {spec.name: spec for spec in (H1, H2, H3)}
    for point in entry_points(group="tricorn.transports"):
        spec = _load(point)
        if not isinstance(spec, TransportSpec):
            raise ConfigError(f"entry point tricorn.transports {point.name!r} is not a TransportSpec")
        found[spec.name] = spec
    for point in entry_points(group="tricorn.engines"):
        transport, dot, engine = point.name.partition(".")
        if not dot or transport not in found:
            raise ConfigError(f"entry point tricorn.engines {point.name!r} is not named TRANSPORT.ENGINE")
        spec = found[transport]
        found[transport] = TransportSpec(
            spec.name, spec.version, spec.kind, spec.alpn, {**spec.engines, engine: _load(point)},
            spec.default_engine, spec.preface, spec.features,
        )  # fmt: skip
    return found


def _load(point: Any) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"entry point {point.group} {point.name!r} cannot be loaded: {error}") from error


def choose(versions: Iterable[str], available: Mapping[str, TransportSpec]) -> list[TransportSpec]:
    """The transports that ``--http`` names, by version (``1.1``) or name (``h1``), in that order.

    Raises:
        TransportNotFound: One of them is not registered.
    """
    chosen: list[TransportSpec] = []
    for version in versions:
        spec = next((s for s in available.values() if version in (s.version, s.name)), None)
        if spec is None:
            known = ", ".join(s.version for s in available.values())
            raise TransportNotFound(f"http: {version!r} is no transport (there are: {known})")
        if spec not in chosen:
            chosen.append(spec)
    return chosen

"""Which transport a TCP connection speaks: by ALPN where TLS settled it, else by its first bytes."""

from __future__ import annotations

from collections.abc import Sequence

from tricorn_transports.registry import TransportSpec


def alpn_protocols(specs: Sequence[TransportSpec]) -> list[str]:
    """What the server offers in TLS. HTTP/2 goes first: it is what a client gets that takes either."""
    ordered = sorted(specs, key=lambda spec: spec.preface is None)
    return [protocol for spec in ordered for protocol in spec.alpn]


def by_alpn(specs: Sequence[TransportSpec], protocol: str | None) -> TransportSpec | None:
    """The transport of a negotiated protocol ID; ``None`` if nothing was negotiated."""
    if protocol is None:
        return None
    return next((spec for spec in specs if protocol in spec.alpn), None)


def by_preface(specs: Sequence[TransportSpec], data: bytes) -> TransportSpec | None:
    """The transport that claims a connection beginning with ``data``, or ``None`` while more bytes are needed.

    One that states no preface takes what no other claims. If every transport states one and none claims the
    connection, the first gets it, so that its engine answers with its own protocol error.
    """
    undecided = False
    for spec in specs:
        if spec.preface is not None:
            claim = spec.preface(data)
            if claim:
                return spec
            undecided = undecided or claim is None
    if undecided:
        return None
    return next((spec for spec in specs if spec.preface is None), specs[0])

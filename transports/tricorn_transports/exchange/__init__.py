"""One request bound to one ASGI call, written once for HTTP/1.1, HTTP/2 and HTTP/3.

An exchange sees an ``HttpEngine`` and a ``Host`` (its connection); it never sees a library, a socket or a protocol's
frames. ``http`` answers requests, ``websocket`` runs WebSockets over an engine's tunnel, ``lifespan`` speaks with the
application as a whole.
"""

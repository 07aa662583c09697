"""Event loops: asyncio and uvloop directly (the hot path), trio and any other through anyio.

Rules of this package: a runtime carries bytes and time to connections and knows nothing of HTTP. Everything that a
worker needs of one is ``runtime.base.Runtime``.
"""

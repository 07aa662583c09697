"""An ASGI application as a WSGI one (PEP 3333), so that it runs under gunicorn and every other WSGI server.

The application runs on an event loop in one background thread of the process. What WSGI cannot carry is not offered:
trailers, early hints, push and WebSockets. A server writes one part before it asks for the next, so request and
response bodies flow in turns, not at the same time.
"""

from tricorn.wsgi.adapter import WSGIAdapter

__all__ = ["WSGIAdapter"]

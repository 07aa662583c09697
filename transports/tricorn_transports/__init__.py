"""Serves any ASGI or WSGI application over HTTP/1.1, HTTP/2 and HTTP/3."""

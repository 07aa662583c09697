"""The one bridge from WSGI (PEP 3333) to ASGI 3: any WSGI application becomes an ASGI one.

Rules of this package: the application runs in one thread of a bounded number and never on the event loop. The thread is
what waits: reading ``wsgi.input`` blocks it until the client has sent more, and each part of the response is taken
from the application only after ``await send()`` has returned for the one before. So neither body is ever held whole,
and a slow client holds its own thread and nothing else.
"""

from tricorn_transports.wsgi.bridge import DEFAULT_THREADS, WSGIToASGI

__all__ = ["DEFAULT_THREADS", "WSGIToASGI"]

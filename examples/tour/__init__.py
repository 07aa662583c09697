"""The tour: a small site that shows one application over HTTP/1.1, HTTP/2 and HTTP/3.

Run it from the repository's root::

    tricorn dev examples.tour:app
"""

from examples.tour.app import app

#: The same application for WSGI servers: ``gunicorn --threads 4 examples.tour:wsgi``.
wsgi = app.wsgi

__all__ = ["app", "wsgi"]

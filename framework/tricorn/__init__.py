"""A web framework: one application over HTTP/1.1, HTTP/2 and HTTP/3."""

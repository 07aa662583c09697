"""What is answered before any application is asked, over every protocol alike.

Rules of this module: pure. A refusal is an error with the status that answers it; the exchange sends and logs it.
"""

from __future__ import annotations

from tricorn_transports.errors import LimitExceeded, RemoteProtocolError
from tricorn_transports.events import RequestStarted
from tricorn_transports.exchange.host import Worker


def refusal(worker: Worker, request: RequestStarted) -> RemoteProtocolError | None:
    """Why ``request`` is not for the application: ``None`` if it is.

    421 where the connection's certificate is not one of the authority's (RFC 9110 sections 7.4 and 15.5.20), 417 where
    the client expects what nobody here knows (10.1.1), 413 where its body is declared too large.
    """
    names = worker.names
    if (
        names is not None
        and request.scheme == b"https"
        and (request.method != b"CONNECT" or request.protocol is not None)  # CONNECT's authority is where it leads
        and not names.covers(request.authority)
    ):
        wanted = request.authority.decode("ascii", "backslashreplace")
        return LimitExceeded(f"{wanted} is none of the certificate's names", limit="verify_authority", status_hint=421)
    if request.expects_more:
        return RemoteProtocolError("an expectation that nobody here knows", status_hint=417)
    length = request.content_length
    if length is not None and length > worker.limits.max_body_bytes:
        return LimitExceeded("the request's body is too large", limit="max_body_bytes", status_hint=413)
    return None

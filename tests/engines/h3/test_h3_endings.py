"""How an HTTP/3 connection ends: GOAWAY, a close from either side, a handshake that does not come to anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tricorn_transports.abc import EngineContext, Path
from tricorn_transports.config import Limits, Timeouts
from tricorn_transports.engines.h3 import create_endpoint
from tricorn_transports.errors import ConfigError
from tricorn_transports.events import AbortReason, PeerErred, StreamAborted

#: RFC 9114 section 5.2: a GOAWAY with the highest number that a request stream can have.
REFUSES_NOTHING = b"\x07\x08\xff\xff\xff\xff\xff\xff\xff\xfc"


def goaways(client: Any) -> list[bytes]:
    """Collects the GOAWAY frames that the client is sent from now on; aioquic passes them over."""
    seen: list[bytes] = []
    receive = client.quic.next_event

    def next_event() -> Any:
        event = receive()
        if getattr(event, "stream_id", None) == 3 and event.data.startswith(b"\x07"):
            seen.append(event.data)
        return event

    client.quic.next_event = next_event
    return seen


def test_shutdown_finishes_what_runs_and_refuses_the_rest(net: Any) -> None:
    client = net.connect()
    frames = goaways(client)
    running = client.request()
    net.run()
    under_way = client.request()  # sent before the client can know
    net.engine.begin_shutdown()
    net.run()
    assert frames == [REFUSES_NOTHING, b"\x07\x01\x08"]
    late = client.request()
    net.run()
    assert client.resets[late] == 0x10B  # H3_REQUEST_REJECTED: safe to send elsewhere
    assert [request.stream_id for request in net.started()] == [running, under_way]
    net.engine.send_headers(under_way, 200, [], end=True)
    net.engine.release(under_way)
    net.wait(1.0)
    assert under_way in client.ended
    net.engine.send_headers(running, 200, [])
    net.engine.send_data(running, b"x" * 100_000, end=True)
    net.engine.release(running)
    net.wait(2.0)
    assert len(client.data[running]) == 100_000
    assert client.closed == 0x100  # H3_NO_ERROR
    assert not net.engines


def test_shutdown_of_an_idle_connection_waits_for_its_goaway_only(net: Any) -> None:
    client = net.connect()
    frames = goaways(client)
    net.engine.begin_shutdown()
    net.wait(2.0)
    assert frames == [REFUSES_NOTHING, b"\x07\x01\x00"]
    assert client.closed == 0x100


def test_shutdown_waits_until_the_last_bytes_are_acknowledged(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    net.mangle = lambda batch: []  # nothing arrives for a while
    net.engine.begin_shutdown()
    net.engine.send_headers(stream_id, 200, [], end=True)
    net.engine.release(stream_id)
    net.run()
    net.mangle = lambda batch: batch
    net.wait(3.0)
    assert client.status(stream_id) == b"200"
    assert client.closed == 0x100


def test_shutdown_does_not_wait_for_a_client_that_acknowledges_nothing(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    net.engine.send_headers(stream_id, 200, [], end=True)
    net.engine.release(stream_id)
    net.engine.begin_shutdown()
    net.mangle = lambda batch: []  # nothing arrives any more
    net.wait(10.0)  # less than the idle timeout
    assert not net.engines
    assert client.closed is None


def test_idle_is_when_every_response_has_arrived(net: Any) -> None:
    client = net.connect()
    assert net.engine.is_idle()
    stream_id = client.request()
    net.run()
    assert not net.engine.is_idle()
    net.engine.send_headers(stream_id, 200, [], end=True)
    net.engine.release(stream_id)
    net.engine.datagrams_to_send(net.now)  # and it is lost
    assert not net.engine.is_idle()
    net.wait(1.0)
    assert stream_id in client.ended
    assert net.engine.is_idle()
    net.mangle = lambda batch: []
    net.engine.begin_shutdown()
    net.run()
    assert net.engine.is_idle()  # though its GOAWAY was not heard


def test_terminate_tells_both_sides(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    engine = net.engine
    engine.terminate(AbortReason.INTERNAL_ERROR)
    assert engine.take_events() == [StreamAborted(stream_id, AbortReason.DISCONNECTED)]
    assert not engine.is_closed()
    assert len(engine.datagrams_to_send(net.now)) == 1
    assert engine.is_closed()
    assert engine.deadline() is None


def test_a_close_that_is_lost_is_said_again(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    net.mangle = lambda batch: []
    net.engine.terminate(AbortReason.NO_ERROR)
    net.run()
    assert not net.engines
    net.mangle = lambda batch: batch
    client.quic.send_ping(1)
    net.wait(2.0)
    assert client.closed == 0x100
    assert net.endpoint.connections() == 0
    assert net.started()[0].stream_id == stream_id


def test_the_clients_close_aborts_its_streams(net: Any) -> None:
    client = net.connect()
    stream_id = client.request()
    net.run()
    client.quic.close(error_code=0x100)
    net.run()
    assert net.aborted(stream_id).reason is AbortReason.DISCONNECTED
    assert not net.engines
    assert not net.of(PeerErred)
    assert net.endpoint.connections() == 0


def test_a_client_that_vanishes_is_given_up(make_net: Callable[..., Any]) -> None:
    net = make_net(keep_alive_timeout=6.0)
    client = net.connect()
    stream_id = client.request()
    net.run()
    net.mangle = lambda batch: []
    net.wait(30.0, step=0.5)
    assert net.aborted(stream_id).reason is AbortReason.DISCONNECTED
    assert not net.engines
    assert net.endpoint.connections() == 0


def test_a_handshake_that_does_not_end_is_given_up(make_net: Callable[..., Any]) -> None:
    net = make_net(handshake_timeout=4.0)
    net.connect(run=False)
    net.to_server()
    net.clients.clear()
    assert net.endpoint.connections() == 1
    net.wait(3.5, step=0.5)
    assert net.endpoint.connections() == 1
    net.wait(1.0, step=0.5)
    assert net.endpoint.connections() == 0


@pytest.mark.parametrize("alpn", [["http/0.9"], None])
def test_another_protocol_is_refused(net: Any, alpn: list[str] | None) -> None:
    client = net.connect(alpn_protocols=alpn)
    net.wait(2.0)
    assert client.closed == 0x178  # no_application_protocol
    assert not net.engines


def test_shutdown_before_the_handshake_is_over(net: Any) -> None:
    net.connect(run=False)
    net.to_server()
    net.engine.begin_shutdown()
    net.run()
    assert not net.engines


def test_terminate_before_anything_came(net: Any) -> None:
    client = net.connect(run=False)
    (data, _), *_ = client.quic.datagrams_to_send(0.0)
    engine = net.endpoint.accept(data, Path(("192.0.2.1", 443), client.address), 0.0)
    engine.terminate(AbortReason.CANCELLED)
    assert engine.is_closed()
    assert engine.datagrams_to_send(0.0) == []


def test_files_that_do_not_serve_are_named(tmp_path: Any, certificate: tuple[str, str, str]) -> None:
    cert, key, authority = certificate
    context = EngineContext(Limits(), Timeouts(), b"https", 0.0)
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"nothing")
    for wrong in (
        {"cert": str(tmp_path / "missing.pem"), "key": key},
        {"cert": cert, "key": str(tmp_path / "missing.pem")},
        {"cert": str(empty), "key": key},
        {"cert": cert, "key": str(empty)},
        {"cert": authority, "key": key},
    ):
        with pytest.raises(ConfigError, match=r"\.pem"):
            create_endpoint(context, **wrong)


def test_an_idle_timer_that_fires_before_the_close_is_sent_ends_the_connection(net: Any) -> None:
    net.connect()
    engine = net.engine
    net.now += 1_000
    engine.terminate(AbortReason.NO_ERROR)
    engine.handle_deadline(net.now)
    assert engine.is_closed()
    assert engine.deadline() is None, "a deadline in the past would keep the worker busy for ever"
    assert engine.datagrams_to_send(net.now) == []

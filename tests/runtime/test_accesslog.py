"""The access log and the server's logging: what a line holds, what cannot be forged, what is left alone."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from tricorn_transports import logs
from tricorn_transports.accesslog import AccessLog


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """A root logger without pytest's handlers, over our loggers as a new process has them."""
    ours = logging.getLogger("tricorn")
    before = ours.handlers[:], ours.level, ours.propagate
    ours.handlers[:] = []
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(ours, "parent", root)
    yield root
    ours.handlers[:], _, ours.propagate = before
    ours.setLevel(before[1])


@pytest.fixture
def stderr(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was written to standard error since the last call."""
    return lambda: capsys.readouterr().err


def write(target: str = "/", *, client: tuple[str, int] | None = ("127.0.0.1", 4711), version: str = "2") -> None:
    AccessLog().write(client, "GET", target, version, 200, 13, 0.0012)


def test_a_line_holds_client_request_status_size_and_time(stderr: Callable[[], str]) -> None:
    logs.configure("info")
    write("/a?b=c")
    assert stderr().endswith('INFO 127.0.0.1:4711 "GET /a?b=c HTTP/2" 200 13 1.2ms\n')


def test_the_record_carries_the_numbers(stderr: Callable[[], str], caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("tricorn.access").addHandler(caplog.handler)
    logs.configure("info")
    try:
        write("/x")
    finally:
        logging.getLogger("tricorn.access").removeHandler(caplog.handler)
    (record,) = caplog.records
    fields = record.__dict__
    assert (fields["status"], fields["size"], fields["duration"], fields["http_version"]) == (200, 13, 0.0012, "2")


@pytest.mark.parametrize(
    ("target", "written"),
    [
        ('/" 200 1\n127.0.0.1:1 "GET /forged', r"/\" 200 1\n127.0.0.1:1 \"GET /forged"),
        ("/\x1b[2J\u2028\u202e", r"/\x1b[2J\u2028\u202e"),
        ("/back\\slash", r"/back\\slash"),
        ("/grün", "/grün"),
    ],
)
@pytest.mark.parametrize("dev", [False, True])
def test_nobody_forges_a_line(stderr: Callable[[], str], target: str, written: str, dev: bool) -> None:
    logs.configure("info", dev)
    write(target)
    text = stderr()
    assert written in text
    assert text.count("\n") == 1


def test_a_unix_client_and_an_ipv6_client(stderr: Callable[[], str]) -> None:
    logs.configure("info")
    write(client=None)
    write(client=("::1", 1))
    first, second = stderr().splitlines()
    assert 'INFO - "GET' in first
    assert 'INFO [::1]:1 "GET' in second


@pytest.mark.parametrize("silence", ["level", "setting"])
def test_it_can_be_switched_off(stderr: Callable[[], str], silence: str) -> None:
    logs.configure("warning" if silence == "level" else "info")
    AccessLog(enabled=silence != "setting").write(None, "GET", "/", "1.1", 200, 0, 0.1)
    assert stderr() == ""


def test_the_developer_s_line_shows_protocol_status_and_time(stderr: Callable[[], str]) -> None:
    logs.configure("info", dev=True)
    write("/[red]markup[/red]", version="3")
    assert stderr().split()[1:] == ["h3", "200", "1.2ms", "13", "B", "GET", "/[red]markup[/red]"]


def test_a_long_target_stays_on_one_line_in_the_developer_s_log(stderr: Callable[[], str]) -> None:
    logs.configure("info", dev=True)
    write("/" + "x" * 500)
    assert "/" + "x" * 500 in stderr()


@pytest.mark.parametrize("dev", [False, True])
def test_an_exception_brings_its_traceback(stderr: Callable[[], str], dev: bool) -> None:
    logs.configure("info", dev)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("tricorn.error").exception("the application failed")
    text = stderr()
    assert "the application failed" in text
    assert "RuntimeError: broken" in text
    assert "Traceback" in text


def test_the_host_application_s_handlers_are_left_alone(root: logging.Logger, stderr: Callable[[], str]) -> None:
    theirs = io.StringIO()
    root.addHandler(logging.StreamHandler(theirs))
    logs.configure("info")
    write("/theirs")
    assert "/theirs" in theirs.getvalue()
    assert stderr() == ""


def test_configuring_twice_writes_once(stderr: Callable[[], str]) -> None:
    logs.configure("info")
    logs.configure("info")
    write("/once")
    assert stderr().count("/once") == 1


def test_the_root_logger_is_untouched(root: logging.Logger, stderr: Callable[[], str]) -> None:
    logs.configure("debug")
    assert root.handlers == []
    assert root.level == logging.WARNING

"""``tricorn dev``: https on all protocols, restarts on change, one message for a broken application."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tricorn_transports.cli import _DEV_DEFAULTS
from tricorn_transports.dev.reload import is_watched

LOCAL = ("--bind", "127.0.0.1:0")


@pytest.fixture
def dev(launch: Any) -> Any:
    command = launch("dev", "app:app", *LOCAL)
    command.wait_for(r"serving app:app on https://127\.0\.0\.1:\d+ \(HTTP/1\.1, HTTP/2, HTTP/3\)")
    return command


def get(command: Any, path: str = "/") -> Any:
    command.wait_for("serving")  # the certificate is there by then
    return command.get(path, authority=command.project / ".tricorn" / "authority.pem")


def change(command: Any, old: str, new: str) -> None:
    source = command.project / "app.py"
    source.write_text(source.read_text().replace(old, new))


def test_it_listens_on_localhost_8443_by_default() -> None:
    assert [str(bind) for bind in _DEV_DEFAULTS.bind] == ["localhost:8443"]


def test_it_serves_https_with_a_certificate_of_its_own(dev: Any) -> None:
    assert get(dev)[1] == "1"
    dev.wait_for(r"made a certificate for this machine in \.tricorn\n")
    dev.wait_for(r"browsers trust it once \.tricorn/authority\.pem")


def test_h2_is_negotiated(dev: Any) -> None:
    context = ssl.create_default_context(cafile=dev.project / ".tricorn" / "authority.pem")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", dev.port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        assert tls.selected_alpn_protocol() == "h2"


def test_the_log_shows_protocol_status_and_time(dev: Any) -> None:
    get(dev, "/page?q=1")
    dev.wait_for(r"\d\d:\d\d:\d\d h1 +200 +[\d.]+ms +\d+ B +GET +/page\?q=1\n")


@pytest.mark.parametrize("name", ["app.py", "page.html", "pyproject.toml"])
def test_a_change_restarts_the_application(dev: Any, name: str) -> None:
    before = get(dev)[0]
    path = dev.project / name
    path.write_text((path.read_text() if path.exists() else "") + "\n")
    dev.wait_for(rf"{name} changed, restarting\n")
    dev.wait_for("restarted in")
    assert get(dev)[0] != before


def test_the_new_code_is_served(dev: Any) -> None:
    change(dev, "VERSION = 1", "VERSION = 2")
    dev.wait_for(r"restarted in [\d.]+ s")
    assert get(dev)[1] == "2"


def test_a_broken_application_is_told_of_once_and_the_next_change_is_waited_for(dev: Any) -> None:
    change(dev, "VERSION = 1", "VERSION = (")
    dev.wait_for(r"error: app: importing 'app' failed: SyntaxError: .*app\.py, line \d+\); waiting for a change\n")
    assert "Traceback" not in dev.errors
    change(dev, "VERSION = (", "VERSION = 3")
    dev.wait_for("restarted in")
    assert get(dev)[1] == "3"


def test_no_connection_is_refused_while_the_application_is_down(dev: Any) -> None:
    change(dev, "VERSION = 1", "VERSION = (")
    dev.wait_for("waiting for a change")
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(get(dev)))
    waiting.start()
    change(dev, "VERSION = (", "VERSION = 4")
    waiting.join(30)
    assert answers[0][1] == "4"


def test_a_crash_is_told_of_and_waited_out(dev: Any) -> None:
    with pytest.raises((ConnectionError, ssl.SSLError, ValueError)):  # the connection ends without an answer
        get(dev, "/crash")
    dev.wait_for(r"error: the application exited with status 3; waiting for a change")
    change(dev, "VERSION = 1", "VERSION = 5")
    dev.wait_for("restarted in")
    assert get(dev)[1] == "5"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(dev: Any, number: signal.Signals) -> None:
    pid = get(dev)[0]
    dev.signal(number)
    assert dev.wait() == 0
    assert "Traceback" not in dev.errors
    assert not Path(f"/proc/{pid}").exists()


def test_it_ends_although_a_response_goes_on_for_ever(launch: Any, directory: Path) -> None:
    (directory / "endless.py").write_text(
        "import asyncio\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    while True:\n"
        "        await send({'type': 'http.response.body', 'body': b'tick\\n', 'more_body': True})\n"
        "        await asyncio.sleep(0.1)\n"
    )
    command = launch("dev", "endless:app", *LOCAL, "--runtime", "asyncio", TRICORN_DRAIN_TIMEOUT="0.1")
    command.wait_for("serving")
    context = ssl.create_default_context(cafile=directory / ".tricorn" / "authority.pem")
    with (
        socket.create_connection(("127.0.0.1", command.port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert tls.recv(4) == b"HTTP"
        command.signal(signal.SIGINT)
        assert command.wait() == 0


def test_the_application_s_debug_is_set(launch: Any, directory: Path) -> None:
    (directory / "debugging.py").write_text(
        "class App:\n"
        "    debug = False\n"
        "    def __call__(self, environ, start_response):\n"
        "        start_response('200 OK', [])\n"
        "        return [f'0 {self.debug}'.encode()]\n"
        "app = App()\n"
    )
    command = launch("dev", "debugging:app", *LOCAL)
    assert get(command)[1] == "True"


def test_a_module_that_is_not_there_is_one_line_and_the_end(launch: Any) -> None:
    command = launch("dev", "nope:app", *LOCAL)
    assert command.wait() == 2
    assert command.errors == "tricorn: app: there is no module 'nope' here\n"


def test_a_broken_application_is_waited_for_from_the_start(launch: Any, directory: Path) -> None:
    (directory / "app.py").write_text("x = (\n")
    command = launch("dev", "app:app", *LOCAL)
    command.wait_for("SyntaxError: .*; waiting for a change")
    command.signal(signal.SIGINT)
    assert command.wait() == 0


def test_without_reload_a_broken_application_is_the_end(launch: Any, directory: Path) -> None:
    (directory / "app.py").write_text("x = (\n")
    command = launch("dev", "app:app", *LOCAL, "--no-reload")
    assert command.wait() == 2
    assert command.errors.startswith("tricorn: app: importing 'app' failed: SyntaxError: ")


def test_without_the_extra_it_says_what_to_install(directory: Path) -> None:
    """With an import of watchfiles that fails as it does where it is not installed."""
    code = (
        "import sys; sys.modules['watchfiles'] = None\n"
        "from tricorn_transports.cli import main\n"
        "sys.exit(main(['dev', 'app:app', '--bind', '127.0.0.1:0']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 2
    assert result.stderr == (
        'tricorn: dev: autoreload needs watchfiles: pip install "tricorn[dev]", or give --no-reload\n'
    )


@pytest.mark.parametrize(
    ("path", "watched"),
    [
        ("/p/app.py", True),
        ("/p/pyproject.toml", True),
        ("/p/page.jinja2", True),
        ("/p/other.toml", False),
        ("/p/data.sqlite3", False),
        ("/p/style.css", False),
    ],
)
def test_code_and_templates_are_watched(path: str, watched: bool) -> None:
    assert is_watched(path) is watched

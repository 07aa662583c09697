"""The command line: what starts, what is said, and one line with an exit status for each mistake."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any

import pytest

from tricorn_transports import cli

LOCAL = ("--bind", "127.0.0.1:0")


@pytest.mark.parametrize("arguments", [[], ["--runtime", "trio"], ["--runtime", "asyncio"], ["--interface", "asgi"]])
def test_run_serves_and_drains_on_sigterm(launch: Any, arguments: list[str]) -> None:
    command = launch("run", "app:app", *LOCAL, *arguments)
    assert command.get() == (command.process.pid, "1")
    command.signal(signal.SIGTERM)
    assert command.wait() == 0
    assert "Traceback" not in command.errors


def test_run_says_where_and_what_it_serves(launch: Any) -> None:
    command = launch("run", "app:app", *LOCAL)
    command.wait_for(r"INFO serving app:app on http://127\.0\.0\.1:\d+ \(HTTP/1\.1, HTTP/2\)\n")


def test_with_tls_all_three_are_served_on_one_port(launch: Any, certificate: Any) -> None:
    command = launch("run", "app:app", *LOCAL, "--tls-cert", certificate.cert, "--tls-key", certificate.key)
    command.wait_for(r"serving app:app on https://127\.0\.0\.1:\d+ \(HTTP/1\.1, HTTP/2, HTTP/3\)\n")


def test_a_wsgi_application_is_recognised(launch: Any, directory: Path) -> None:
    (directory / "web.py").write_text(
        "import os\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [f\"{os.getpid()} {environ['PATH_INFO']}\".encode()]\n"
    )
    command = launch("run", "web", *LOCAL)
    assert command.get("/x")[1] == "/x"


@pytest.mark.parametrize("runtime", ["asyncio", "trio"])
def test_a_thread_that_is_busy_for_ever_does_not_hold_the_end_up(launch: Any, directory: Path, runtime: str) -> None:
    (directory / "busy.py").write_text(
        "import threading\n"
        "def app(environ, start_response):\n"
        "    open('entered', 'x').close()\n"
        "    threading.Event().wait()\n"
    )
    command = launch("run", "busy", *LOCAL, "--runtime", runtime, "--drain-timeout", "0.1", "--close-timeout", "0.1")
    with socket.create_connection(("127.0.0.1", command.port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while not (directory / "entered").exists():
            time.sleep(0.01)
        command.signal(signal.SIGTERM)
        assert command.wait() == 0


def test_a_unix_socket_file_is_gone_after_the_end(launch: Any, directory: Path) -> None:
    command = launch("run", "app:app", "--bind", "unix:web.sock")
    command.wait_for(r"serving app:app on unix:web\.sock")
    assert (directory / "web.sock").is_socket()
    command.signal(signal.SIGINT)
    assert command.wait() == 0
    assert not (directory / "web.sock").exists()


def test_an_inherited_socket_is_served(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "tricorn_transports", "run", "app:app", "--bind", f"fd:{fd}"],
            cwd=directory,
            pass_fds=[fd],
            stderr=subprocess.DEVNULL,
        )
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 200"
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_settings_come_from_environment_and_file(launch: Any, directory: Path) -> None:
    (directory / "pyproject.toml").write_text('[tool.tricorn]\nbind = "127.0.0.1:0"\n')
    command = launch("run", "app:app", TRICORN_ACCESS_LOG="false")
    command.get("/quiet")
    command.signal(signal.SIGTERM)
    assert command.wait() == 0
    assert "/quiet" not in command.errors


MISTAKES = {
    "module": (["run", "nope:app"], 2, "app: there is no module 'nope' here"),
    "attribute": (["run", "app:ap"], 2, "app: the module 'app' has no attribute 'ap'; did you mean 'app'?"),
    "syntax": (["run", "broken:app"], 2, "app: importing 'broken' failed: SyntaxError: "),
    "startup": (["run", "unwilling:app", *LOCAL], 1, ""),
    "key": (["run", "app:app", "--tls-cert", "CERT", "--tls-key", "nowhere.pem"], 2, "tls_key: "),
    "other key": (["run", "app:app", "--tls-cert", "CERT", "--tls-key", "OTHER"], 2, "tls_"),
    "half of TLS": (["run", "app:app", "--tls-cert", "CERT"], 2, "tls_key: a certificate and its key go together"),
    "protocol": (["run", "app:app", "--http", "4"], 2, "http: '4' is no transport"),
    "no TLS": (["run", "app:app", "--http", "3"], 2, "http: HTTP/3 needs TLS"),
    "engine": (["run", "app:app", "--engine", "h1=nope"], 2, "engine: h1 has no engine 'nope'"),
    "number": (["run", "app:app", "--workers", "many"], 2, "--workers: 'many' is not a whole number"),
    "address": (["run", "app:app", "--bind", "8000"], 2, "--bind: '8000' is not HOST:PORT"),
}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_a_status(
    launch: Any, directory: Path, certificate: Any, mistake: str, workers: str
) -> None:
    (directory / "broken.py").write_text("def (\n")
    (directory / "unwilling.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    other = directory / "other.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other], check=True
    )
    arguments, status, message = MISTAKES[mistake]
    files = {"CERT": certificate.cert, "OTHER": str(other)}
    command = launch(
        *(files.get(each, each) for each in arguments),
        **({} if "--workers" in arguments else {"TRICORN_WORKERS": workers}),
    )
    assert command.wait() == status
    assert command.errors.startswith(f"tricorn: {message}")
    assert command.errors.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_taken_port_is_one_line(launch: Any, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = launch("run", "app:app", "--bind", f"127.0.0.1:{port}", "--workers", workers)
        assert command.wait() == 2
    assert command.errors == f"tricorn: bind: 127.0.0.1:{port} is already in use\n"


def test_transports_are_listed_with_their_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["transports"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["TRANSPORT", "HTTP", "KIND", "ALPN", "ENGINES", "FEATURES"]
    assert [line.split()[:4] for line in lines[1:4]] == [
        ["h1", "1.1", "tcp", "http/1.1"],
        ["h2", "2", "tcp", "h2"],
        ["h3", "3", "udp", "h3"],
    ]
    assert all("*" in line.split()[4] for line in lines[1:4])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"tricorn {version('tricorn')}\n"


USAGE = {
    "no command": ([], "the following arguments are required: COMMAND; see tricorn --help"),
    "no such command": (["serve"], "argument COMMAND: invalid choice: 'serve' "),
    "no application": (["run"], "the following arguments are required: APP; see tricorn run --help"),
    "no value": (["run", "app", "--bind"], "argument --bind: expected one argument; see tricorn run --help"),
    "no such flag": (["run", "app", "--foo=1"], "there is no flag --foo; see tricorn run --help"),
    "a slip": (["run", "app", "--wrokers", "2"], "there is no flag --wrokers, did you mean --workers?; see "),
    "a slip in dev": (["dev", "app", "--no-relod"], "there is no flag --no-relod, did you mean --no-reload?; see "),
    "an abbreviation": (["run", "app", "--work", "2"], "there is no flag --work, did you mean --workers?; see "),
    "of another server": (["run", "app", "--host", "::"], "there is no flag --host, here it is --bind HOST:PORT; see "),
    "one too many": (["run", "app", "8000"], "'8000' is one argument too many; see tricorn run --help"),
}


@pytest.mark.parametrize("mistake", USAGE)
def test_a_usage_error_is_one_line(capsys: pytest.CaptureFixture[str], mistake: str) -> None:
    arguments, message = USAGE[mistake]
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tricorn: {message}")
    assert said.count("\n") == 1


class Greeting:
    """A command as another package brings it."""

    name = "greet"
    help = "greets"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("who")

    def run(self, args: argparse.Namespace) -> int:
        print(f"hello {args.who}")
        return 7


@pytest.fixture
def plugins(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installed packages: one with a command, one with a command that cannot be imported."""
    info = directory / "plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[tricorn.commands]\ngreet = greet_plugin:command\nbroken = nowhere_at_all:command\n"
    )
    module = type(sys)("greet_plugin")
    module.command = Greeting()  # type: ignore[attr-defined]  # a module made on the spot
    monkeypatch.setitem(sys.modules, "greet_plugin", module)
    monkeypatch.syspath_prepend(str(directory))


def test_commands_of_other_packages_are_found(plugins: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "world"]) == 7
    assert "hello world\n" in capsys.readouterr().out


def test_a_command_that_cannot_be_loaded_is_one_line(plugins: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["broken"]) == 2
    assert "the command 'broken' cannot be loaded: No module named 'nowhere_at_all'" in capsys.readouterr().err


def test_what_is_installed_beside_it_does_not_slow_a_command_down(
    plugins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda self: pytest.fail(f"{self.name} was loaded"))
    assert set(cli._commands(["run", "app:app"])) == {"run", "dev", "transports"}


def test_help_of_run_names_every_flag_to_be_relied_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    text = capsys.readouterr().out
    for flag in (
        "--bind ADDRESS", "--http", "--tls-cert FILE", "--tls-key FILE", "--workers N",
        "--interface {auto,asgi,wsgi}", "--runtime {auto,asyncio,uvloop,trio}", "--engine",
        "--no-access-log", "--log-level", "--root-path", "--max-head-bytes", "--drain-timeout",
    ):  # fmt: skip
        assert flag in text


def test_an_application_runs_itself_and_logs(launch: Any, directory: Path) -> None:
    (directory / "main.py").write_text(
        "import os, tricorn\n"
        "app = tricorn.App()\n"
        "@app.get('/')\n"
        "def home():\n"
        "    return f'{os.getpid()} home'\n"
        "app.run(bind='127.0.0.1:0', drain_timeout=3)\n"
    )
    command = launch(script="main.py")
    assert command.get() == (command.process.pid, "home")
    command.wait_for(r'INFO 127\.0\.0\.1:\d+ "GET / HTTP/1\.1" 200')
    command.signal(signal.SIGTERM)
    assert command.wait() == 0


def test_nothing_of_the_framework_is_imported_to_serve(directory: Path) -> None:
    code = "import sys, tricorn_transports.cli, tricorn_transports.server; sys.exit('tricorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=directory, env=os.environ, check=False).returncode == 0


@pytest.mark.parametrize("arguments", [["transports"], ["run", "app:app", "--bind", "127.0.0.1:0"]])
def test_standard_streams_may_be_closed(directory: Path, arguments: list[str]) -> None:
    """As some init scripts do it. A socket in their place would be sent what anybody prints."""
    (directory / "app.py").write_text(
        "import os, signal\n"
        "assert all(os.readlink(f'/proc/self/fd/{fd}') == os.devnull for fd in range(3))\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'lifespan'\n"
        "    await send({'type': 'lifespan.startup.complete'})\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    command = [sys.executable, "-m", "tricorn_transports", *arguments]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=directory, check=False)
    assert done.returncode == 0


def test_a_reader_who_has_read_enough_is_no_error(directory: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-m", "tricorn_transports", "transports"],
        cwd=directory, stdout=writes, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")

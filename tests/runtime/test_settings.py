"""Settings: one table, three sources, their order, and errors that name the source."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tricorn_transports.config import Bind, Config, Limits, Timeouts
from tricorn_transports.errors import ConfigError
from tricorn_transports.settings import SETTINGS, add_arguments, from_arguments, from_values, resolve

Resolve = Callable[..., Config]


@pytest.fixture
def settle(tmp_path: Path) -> Resolve:
    """Resolves flags, variables and the text of ``[tool.tricorn]``."""

    def settle(*flags: str, toml: str | None = None, defaults: Config | None = None, **environ: str) -> Config:
        pyproject = tmp_path / "pyproject.toml"
        if toml is not None:
            pyproject.write_text(f"[tool.tricorn]\n{toml}\n")
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        return resolve(from_arguments(parser.parse_args(flags)), environ, pyproject, defaults)

    return settle


def test_without_any_source_the_defaults_hold(settle: Resolve) -> None:
    assert settle() == Config()


def test_every_field_of_the_configuration_is_a_setting() -> None:
    names = [f.name for kind in (Config, Limits, Timeouts) for f in dataclasses.fields(kind)]
    assert sorted(names) == sorted([s.field for s in SETTINGS] + ["limits", "timeouts"])
    assert len({s.name for s in SETTINGS}) == len(SETTINGS)


def test_a_flag_beats_the_environment_which_beats_the_file(settle: Resolve) -> None:
    assert settle(toml="workers = 2").workers == 2
    assert settle(toml="workers = 2", TRICORN_WORKERS="3").workers == 3
    assert settle("--workers", "4", toml="workers = 2", TRICORN_WORKERS="3").workers == 4


def test_what_nobody_gave_comes_from_the_command_s_defaults(settle: Resolve) -> None:
    defaults = Config(timeouts=Timeouts(drain_timeout=0.5))
    config = settle("--close-timeout", "2", defaults=defaults)
    assert (config.timeouts.drain_timeout, config.timeouts.close_timeout) == (0.5, 2.0)


BINDS = (Bind("ip", host="::1", port=1), Bind("unix", path="/x"))
ENGINES = {"h1": "a", "h2": "b"}


@pytest.mark.parametrize(
    ("flags", "variable", "toml", "field", "value"),
    [
        (["--bind", "[::1]:1", "--bind", "unix:/x"], "[::1]:1, unix:/x", '["[::1]:1", "unix:/x"]', "bind", BINDS),
        (["--http", "1.1,2"], "1.1,2", "[1.1, 2]", "http", ("1.1", "2")),
        (["--engine", "h1=a", "--engine", "h2=b"], "h1=a,h2=b", '{h1 = "a", h2 = "b"}', "engines", ENGINES),
        (["--no-access-log"], "off", "false", "access_log", False),
        (["--access-log"], "1", "true", "access_log", True),
        (["--runtime", "trio"], "trio", '"trio"', "runtime", "trio"),
        (["--root-path", "/a"], "/a", '"/a"', "root_path", "/a"),
        (["--root-path", "/a/"], "/a/", '"/a"', "root_path", "/a"),
        (["--root-path", "/"], "", '""', "root_path", ""),
        (["--log-level", "DEBUG"], "Debug", '"debug"', "log_level", "debug"),
    ],
)  # fmt: skip
def test_every_source_says_the_same(
    settle: Resolve, flags: list[str], variable: str, toml: str, field: str, value: object
) -> None:
    name = next(s.name for s in SETTINGS if s.field == field)
    assert getattr(settle(*flags), field) == value
    assert getattr(settle(**{f"TRICORN_{name.upper()}": variable}), field) == value
    assert getattr(settle(toml=f"{name} = {toml}"), field) == value


def test_limits_and_timeouts_have_flags(settle: Resolve) -> None:
    config = settle("--max-head-bytes", "1000", "--drain-timeout", "1.5")
    assert (config.limits.max_head_bytes, config.timeouts.drain_timeout) == (1000, 1.5)


def test_keys_may_be_written_with_hyphens(settle: Resolve) -> None:
    assert settle(toml="drain-timeout = 2").timeouts.drain_timeout == 2.0


@pytest.mark.parametrize(
    ("flags", "environ", "toml", "message"),
    [
        (["--workers", "x"], {}, None, "--workers: 'x' is not a whole number"),
        ([], {"TRICORN_WORKERS": "x"}, None, "TRICORN_WORKERS: 'x' is not a whole number"),
        ([], {}, 'workers = "x"', "pyproject.toml: tool.tricorn.workers: 'x' is not a whole number"),
        ([], {"TRICORN_WORKERS": "0"}, None, "TRICORN_WORKERS: 0 is not 1 or more"),
        (["--max-pushes", "-1"], {}, None, "--max-pushes: -1 is not 0 or more"),
        (["--stream-send-buffer", "0"], {}, None, "--stream-send-buffer: 0 is not 1 or more"),
        (["--header-timeout", "0"], {}, None, "--header-timeout: 0.0 is not 0.001 or more"),
        (["--max-head-bytes", "2147483648"], {}, None, "--max-head-bytes: 2147483648 is more than 2147483647"),
        (["--drain-timeout", "nan"], {}, None, "--drain-timeout: 'nan' is not a number"),
        ([], {}, 'bind = "8000"', "pyproject.toml: tool.tricorn.bind: '8000' is not HOST:PORT"),
        ([], {"TRICORN_BIND": "::1:8000"}, None, "TRICORN_BIND: '::1:8000': write an IPv6 address in brackets"),
        (["--engine", "h11"], {}, None, "--engine: 'h11' is not NAME=VALUE"),
        (["--runtime", "curio"], {}, None, "--runtime: 'curio' is none of auto, asyncio, uvloop, trio"),
        ([], {"TRICORN_ACCESS_LOG": "maybe"}, None, "TRICORN_ACCESS_LOG: 'maybe' is neither true nor false"),
        ([], {"TRICORN_WROKERS": "2"}, None, "TRICORN_WROKERS: there is no such setting; did you mean TRICORN_W"),
        ([], {}, "max_feilds = 1", "pyproject.toml: tool.tricorn.max_feilds: there is no such setting"),
        ([], {}, "workers =", "pyproject.toml: Invalid value (at line 2, column 10)"),
        ([], {}, "workers = 2024-01-01", "pyproject.toml: tool.tricorn.workers: a date is no value for a setting"),
        (["--tls-cert", "x"], {}, None, "tls_key: a certificate and its key go together"),
        (["--root-path", "shop"], {}, None, "--root-path: 'shop' does not begin with /"),
        (["--bind", "http://a:80"], {}, None, "--bind: 'http://a:80' is not HOST:PORT, [IPV6]:PORT, unix:PATH or fd:N"),
        (["--bind", "fd:3", "--bind", "fd:3"], {}, None, "--bind: fd:3 is given twice"),
        ([], {"TRICORN_TLS_CERT": ""}, None, "TRICORN_TLS_CERT: the value is empty"),
        (["--http", ","], {}, None, "--http: the value is empty"),
        ([], {}, "http = []", "pyproject.toml: tool.tricorn.http: the value is empty"),
        ([], {}, "workers = []", "pyproject.toml: tool.tricorn.workers: there is no value"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_its_source(
    settle: Resolve, flags: list[str], environ: dict[str, str], toml: str | None, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settle(*flags, toml=toml, **environ)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_kubernetes_service_named_tricorn_is_no_setting(settle: Resolve) -> None:
    environ = {
        "TRICORN_SERVICE_HOST": "10.0.0.1",
        "TRICORN_SERVICE_PORT": "80",
        "TRICORN_PORT": "tcp://10.0.0.1:80",
        "TRICORN_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert settle(**environ) == Config()


def test_other_tools_and_variables_are_none_of_ours(settle: Resolve) -> None:
    assert settle(toml="[tool.ruff]\nworkers = 9", PATH="/bin", WORKERS="9") == Config()


def test_the_help_documents_every_flag() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    text = " ".join(parser.format_help().split())
    for setting in SETTINGS:
        assert setting.flag in text
        assert " ".join(setting.help.split()) in text


def test_a_program_s_values_go_through_the_same_table() -> None:
    config = from_values(
        {
            "bind": ["127.0.0.1:8000", Bind("unix", path="/x")],
            "http": ("1.1", "3"),
            "tls_cert": Path("cert.pem"),
            "tls_key": "key.pem",
            "engines": ENGINES,
            "drain_timeout": 2,
            "access_log": False,
            "limits": Limits(max_fields=7),
        }
    )
    assert config.bind == (Bind("ip", host="127.0.0.1", port=8000), Bind("unix", path="/x"))
    assert (config.http, config.tls_cert, config.engines) == (("1.1", "3"), "cert.pem", ENGINES)
    assert (config.timeouts.drain_timeout, config.access_log, config.limits.max_fields) == (2.0, False, 7)
    assert from_values({"http": None}) == Config()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"drain_timeuot": 1}, "drain_timeuot: there is no such setting; did you mean drain_timeout?"),
        ({"bind": "nowhere"}, "bind: 'nowhere' is not HOST:PORT, [IPV6]:PORT, unix:PATH or fd:N"),
        ({"workers": 0}, "workers: 0 is not 1 or more"),
        ({"limits": {"max_fields": 1}}, "limits: {'max_fields': 1} is not a Limits object"),
        ({"tls_cert": "x"}, "tls_key: a certificate and its key go together"),
    ],
)
def test_a_program_s_mistake_is_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_values(values)
    assert str(caught.value) == message

"""Writes docs/reference/settings.md from the server's own table of settings: ``python docs/generate.py``.

The table is ``tricorn_transports.settings.SETTINGS``, of which the flags, the variables and their help are made too, so
the page cannot say anything else than the program does. tests/docs/test_generated.py fails when it is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tricorn_transports import cli
from tricorn_transports.config import Config
from tricorn_transports.settings import SETTINGS, Setting

PAGE = Path(__file__).parent / "reference" / "settings.md"

_INTRODUCTION = """\
# Every setting

Written by `docs/generate.py` from `tricorn_transports/config.py`; do not edit it here.
[How settings work](../guides/settings.md).

A setting called `drain_timeout` is the flag `--drain-timeout`, the variable `TRICORN_DRAIN_TIMEOUT` and the key
`drain_timeout` under `[tool.tricorn]` in `pyproject.toml`. The first of these that gives a value wins. A bare flag is a
switch, and has a `--no-` form.
"""

_GROUPS = {
    "config": ("Server", "Fields of `Config`."),
    "limits": ("Limits", "Fields of `Limits`: how much a peer may ask of one worker."),
    "timeouts": ("Timeouts", "Fields of `Timeouts`: how long the server waits, in seconds."),
}


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_sections(), *_development()]) + "\n"


def _sections() -> Iterator[str]:
    for group, (title, about) in _GROUPS.items():
        yield f"## {title}\n\n{about}\n"
        yield "| flag | variable | default | what |\n| --- | --- | --- | --- |"
        for setting in SETTINGS:
            if setting.group == group:
                yield _row(setting)
        yield ""


def _row(setting: Setting) -> str:
    flag = setting.flag if setting.is_switch else f"{setting.flag} {setting.metavar}"
    text = setting.default.lower() if setting.is_switch else setting.default
    default = f"`{text}`" if text else ""
    return f"| `{flag}` | `{setting.variable}` | {default} | {setting.help.replace('|', '/')} |"


def _development() -> Iterator[str]:
    """What `tricorn dev` has otherwise than `tricorn run`."""
    yield "## Under `tricorn dev`\n\nThese defaults are others there, and `workers` is always 1.\n"
    yield "| setting | default |\n| --- | --- |"
    for setting in SETTINGS:
        plain, development = (_value(config, setting) for config in (Config(), cli._DEV_DEFAULTS))
        if plain != development:
            yield f"| `{setting.name}` | `{_show(development)}` |"


def _value(config: Config, setting: Setting) -> object:
    owner = config if setting.group == "config" else getattr(config, setting.group)
    value: object = getattr(owner, setting.field)
    return value


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""One table of settings, read from the command line, the environment and ``pyproject.toml``.

Rules of this module: the table is made of the fields of ``Config``, ``Limits`` and ``Timeouts``, so a new field is at
once a flag (``--drain-timeout``), a variable (``TRICORN_DRAIN_TIMEOUT``) and a key (``drain_timeout`` under
``[tool.tricorn]``). The first of these that gives a value wins; the field's default comes last. Every source is
brought to strings and converted by the same function, and each mistake is one line that names its source. What is
unknown is a mistake: a misspelt limit that went unnoticed would be no limit.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from tricorn_transports.config import Bind, Config, Limits, Timeouts
from tricorn_transports.errors import ConfigError

ENV_PREFIX = "TRICORN_"

#: Kubernetes puts these into every container when there is a Service named "tricorn".
_KUBERNETES = re.compile(r"TRICORN_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})

Group: TypeAlias = Literal["config", "limits", "timeouts"]
Parse: TypeAlias = Callable[[Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        field, group: Where the value goes: a field of ``Config``, or of its ``limits`` or ``timeouts``.
        name: What it is called everywhere else.
        parse: Converts the strings that a source gave.
        is_switch: It has a flag for each of its two values.
    """

    field: str
    group: Group
    name: str
    help: str
    default: str
    metavar: str
    parse: Parse
    is_switch: bool = False

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"{ENV_PREFIX}{self.name.upper()}"


# ---------------------------------------------------------------------------------------------------- conversion


def _one(texts: Sequence[str]) -> str:
    if not texts:
        raise ConfigError("there is no value")
    return texts[-1]


def _filled(texts: Sequence[str]) -> str:
    text = _one(texts)
    if not text:
        raise ConfigError("the value is empty")
    return text


def _many(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _int(texts: Sequence[str]) -> int:
    try:
        return int(_one(texts))
    except ValueError:
        raise ConfigError(f"{_one(texts)!r} is not a whole number") from None


def _float(texts: Sequence[str]) -> float:
    try:
        number = float(_one(texts))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{_one(texts)!r} is not a number")
    return number


def _bool(texts: Sequence[str]) -> bool:
    text = _one(texts).lower()
    if text not in _TRUE | _FALSE:
        raise ConfigError(f"{_one(texts)!r} is neither true nor false")
    return text in _TRUE


def _binds(texts: Sequence[str]) -> tuple[Bind, ...]:
    return tuple(Bind.parse(text) for text in _many(texts))


def _names(texts: Sequence[str]) -> tuple[str, ...]:
    names = tuple(_many(texts))
    if not names:
        raise ConfigError("the value is empty")
    return names


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in _many(texts):
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"{text!r} is not NAME=VALUE")
        pairs[key] = value
    return pairs


def _choice(choices: Sequence[str]) -> Parse:
    def parse(texts: Sequence[str]) -> str:
        if _one(texts).lower() not in choices:
            raise ConfigError(f"{_one(texts)!r} is none of {', '.join(choices)}")
        return _one(texts).lower()

    return parse


_PARSERS: Mapping[object, tuple[Parse, str]] = {
    int: (_int, "N"),
    float: (_float, "SECONDS"),
    bool: (_bool, "BOOL"),
    str: (_one, "TEXT"),
    str | None: (_filled, "TEXT"),
    tuple[Bind, ...]: (_binds, "ADDRESS"),
    tuple[str, ...] | None: (_names, "NAMES"),
    Mapping[str, str]: (_pairs, "NAME=VALUE"),
}


def _parser(hint: object) -> tuple[Parse, str]:
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return _choice(choices), f"{{{','.join(choices)}}}"
    return _PARSERS[hint]


# ---------------------------------------------------------------------------------------------------- the table


def _rows(group: Group, kind: type[Config] | type[Limits] | type[Timeouts]) -> Iterator[Setting]:
    defaults, hints = kind(), get_type_hints(kind)
    for each in fields(kind):
        if hints[each.name] in (Limits, Timeouts):
            continue
        parse, metavar = _parser(hints[each.name])
        yield Setting(
            each.name,
            group,
            each.metadata.get("name") or each.name,
            each.metadata["help"],
            _show(getattr(defaults, each.name)),
            each.metadata.get("metavar") or metavar,
            parse,
            is_switch=hints[each.name] is bool,
        )


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if value else ""


SETTINGS: tuple[Setting, ...] = (*_rows("config", Config), *_rows("limits", Limits), *_rows("timeouts", Timeouts))

_BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
_BY_FIELD: Mapping[str, str] = {setting.field: setting.name for setting in SETTINGS}


# ---------------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class _Given:
    """What a source said, before conversion; ``source`` is how errors call it."""

    source: str
    texts: Sequence[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Gives the parser a flag for every setting, with defaults in the help only."""
    groups = {
        "config": parser.add_argument_group("server"),
        "limits": parser.add_argument_group("limits", "How much a peer may ask of one worker."),
        "timeouts": parser.add_argument_group("timeouts", "How long the server waits."),
    }
    for setting in SETTINGS:
        group = groups[setting.group]
        text = setting.help.replace("%", "%%")
        if setting.is_switch:
            no = f"--no-{setting.name.replace('_', '-')}"
            either = group.add_mutually_exclusive_group()
            either.add_argument(setting.flag, dest=setting.name, action="store_const", const=["true"], help=text)
            either.add_argument(no, dest=setting.name, action="store_const", const=["false"], help="do not")
            continue
        shown = f"{text} (default: {setting.default})" if setting.default else text
        group.add_argument(setting.flag, dest=setting.name, action="append", metavar=setting.metavar, help=shown)


def from_arguments(args: argparse.Namespace) -> dict[str, Sequence[str]]:
    """The settings that were given as flags."""
    given = vars(args)
    return {setting.name: given[setting.name] for setting in SETTINGS if given.get(setting.name) is not None}


def resolve(
    flags: Mapping[str, Sequence[str]],
    environ: Mapping[str, str],
    pyproject: Path,
    defaults: Config | None = None,
) -> Config:
    """The configuration that all sources come to.

    Args:
        flags: Setting names to the strings given for them, as ``from_arguments`` makes it.
        pyproject: A ``pyproject.toml``; it need not exist.
        defaults: What holds for settings that nobody gave.

    Raises:
        ConfigError: A value is wrong or a setting unknown; the message begins with its source.
    """
    given = {
        **_from_pyproject(pyproject),
        **_from_environ(environ),
        **{name: _Given(_BY_NAME[name].flag, texts) for name, texts in flags.items()},
    }
    return _settle(given, defaults or Config())


def from_values(values: Mapping[str, object]) -> Config:
    """The configuration of a program's own values: ``from_values({"bind": ":8000", "drain_timeout": 5})``.

    Args:
        values: By the names of the table, as ``pyproject.toml`` has them, or as fields of ``Config``: ``limits`` and
            ``timeouts`` are what holds for settings that stand beside them.

    Raises:
        ConfigError: A value is wrong or a setting unknown; the message begins with its name.
    """
    groups: dict[str, Any] = {}
    for name, kind in (("limits", Limits), ("timeouts", Timeouts)):
        groups[name] = values.get(name, kind())
        if not isinstance(groups[name], kind):
            raise ConfigError(f"{name}: {groups[name]!r} is not a {kind.__name__} object")
    given = {
        name: _Given(name, _texts(value, name))
        for name, value in ((_known(name, name), value) for name, value in values.items() if name not in groups)
        if value is not None
    }
    return _settle(given, Config(**groups))


def _known(name: str, source: str) -> str:
    """A setting's name as the table has it.

    Raises:
        ConfigError: There is none.
    """
    name = _BY_FIELD.get(name, name)
    if name not in _BY_NAME:
        near = get_close_matches(name, _BY_NAME, n=1)
        raise ConfigError(f"{source}: there is no such setting{_did_you_mean(near)}")
    return name


def _settle(given: Mapping[str, _Given], defaults: Config) -> Config:
    values: dict[Group, dict[str, Any]] = {"config": {}, "limits": {}, "timeouts": {}}
    for name, said in given.items():
        setting = _BY_NAME[name]
        try:
            values[setting.group][setting.field] = setting.parse(said.texts)
        except ConfigError as error:
            raise ConfigError(f"{said.source}: {str(error).removeprefix(f'{name}: ')}") from error
    try:
        return replace(
            defaults,
            limits=replace(defaults.limits, **values["limits"]),
            timeouts=replace(defaults.timeouts, **values["timeouts"]),
            **values["config"],
        )
    except ConfigError as error:
        # What Config itself finds wrong begins with the setting's name.
        name, _, rest = str(error).partition(": ")
        if name not in given:
            raise
        raise ConfigError(f"{given[name].source}: {rest}") from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, _Given]:
    given = {}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or _KUBERNETES.fullmatch(variable):
            continue
        name = variable.removeprefix(ENV_PREFIX).lower()
        if name not in _BY_NAME:
            near = [_BY_NAME[each].variable for each in get_close_matches(name, _BY_NAME, n=1)]
            raise ConfigError(f"{variable}: there is no such setting{_did_you_mean(near)}")
        given[name] = _Given(variable, [environ[variable]])
    return given


def _from_pyproject(path: Path) -> dict[str, _Given]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name}: {' '.join(str(error).split())}") from error
    tool = document.get("tool", {})
    table = tool.get("tricorn", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"{path.name}: tool.tricorn is not a table")
    given = {}
    for key, value in table.items():
        source = f"{path.name}: tool.tricorn.{key}"
        name = _known(key.replace("-", "_"), source)
        given[name] = _Given(source, _texts(value, source))
    return given


def _texts(value: object, source: str) -> list[str]:
    """A value of TOML's or of a program's as the strings that a flag would have been given."""
    match value:
        case bool():
            return ["true" if value else "false"]
        case str() | int() | float() | Path() | Bind():
            return [str(value)]
        case list() | tuple():
            return [text for each in value for text in _texts(each, source)]
        case dict():
            return [f"{key}={text}" for key, each in value.items() for text in _texts(each, source)]
        case _:
            raise ConfigError(f"{source}: a {type(value).__name__} is no value for a setting")


def _did_you_mean(near: Sequence[str]) -> str:
    return f"; did you mean {near[0]}?" if near else ""

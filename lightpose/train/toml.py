"""TOML files as frozen dataclasses, every key checked against its annotation."""

from __future__ import annotations

import dataclasses
import reprlib
import sys
import typing
import warnings
from pathlib import Path
from typing import Any, Literal, TypeVar

from lightpose.errors import ConfigError, RenamedWarning
from lightpose.limits import LARGEST_INT
from lightpose.skeletons import load_toml

__all__ = ["RENAMED", "fill", "read_toml"]

RENAMED = {"hint": "feature_distillation"}
"""Keys of the release before, and what they are called now."""

Kind = TypeVar("Kind")


def read_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file's content, with a RenamedWarning for keys of an old name. Raises ConfigError if there is none."""
    try:
        return _renamed(load_toml(path), path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not a TOML file ({error})") from error


def _renamed(table: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """The table with old names made new, and a warning of each."""
    for old, new in RENAMED.items():
        if old in table and new in table:
            raise ConfigError(f"{path}: {old} is the old name of {new}; leave it out")
        if old in table:
            note = f"{path}: [{old}] is now called [{new}]; the old name goes in a later version"
            warnings.warn(note, RenamedWarning, stacklevel=4)
    return {RENAMED.get(name, name): value for name, value in table.items()}


def fill(kind: type[Kind], table: dict[str, Any], path: str | Path) -> Kind:
    """A dataclass, and those in it, filled from a TOML file's content. path: of the file, for errors.

    Raises ConfigError naming the key that is unknown, missing or of the wrong kind.
    """
    filled: Kind = _fill(kind, table, str(path), "")
    return filled


def _fill(kind: Any, value: Any, path: str, key: str) -> Any:
    """Build a value of the annotated kind from what TOML gives; `key` is the dotted way to it, for errors."""
    if dataclasses.is_dataclass(kind):
        return _fill_dataclass(kind, value, path, key)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) == len(value):
            if "" in value:
                raise ConfigError(f"{path}: {key}[{value.index('')}] is empty; name something or leave it out")
            return tuple(
                _fill(each, item, path, f"{key}[{n}]") for n, (each, item) in enumerate(zip(kinds, value, strict=True))
            )
    elif origin is Literal and value in inner:
        return value
    elif kind is float and type(value) in (int, float):
        if abs(value) <= sys.float_info.max:
            return float(value)
        raise ConfigError(f"{path}: {key} must be a finite number, not {reprlib.repr(value)}")
    elif kind is int and type(value) is int and abs(value) > LARGEST_INT:
        raise ConfigError(f"{path}: {key} must be a number of 64 bits, not {reprlib.repr(value)}")
    elif type(value) is kind:
        return value
    wanted = " or ".join(repr(item) for item in inner) if origin is Literal else getattr(kind, "__name__", str(kind))
    raise ConfigError(f"{path}: {key} must be {wanted}, not {reprlib.repr(value)}")


def _fill_dataclass(kind: Any, table: Any, path: str, key: str) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {key} must be a table")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    prefix = f"{key}." if key else ""
    if unknown:
        raise ConfigError(f"{path}: unknown key {prefix}{unknown[0]}; known are {', '.join(hints)}")
    for each in dataclasses.fields(kind):
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if required and each.name not in table:
            raise ConfigError(f"{path}: {prefix}{each.name} is missing")
        if table.get(each.name) == "" and each.default != "":
            raise ConfigError(f"{path}: {prefix}{each.name} is empty; name something, or leave it out for the default")
    return kind(**{name: _fill(hints[name], value, path, prefix + name) for name, value in table.items()})

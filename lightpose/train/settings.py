"""What the configurations of all tasks check alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightpose.errors import ConfigError, SkeletonError

__all__ = ["REPEATS", "check_model", "named_in"]

REPEATS = (1e-9, 1000.0)
"""How often an epoch may show an image or person; the order of an epoch is kept in memory."""


def check_model(name: str, known: Collection[str], init: str, starts: tuple[str, ...]) -> None:
    """Raise ConfigError unless a model is known, and its start is one of those, or a .safetensors file."""
    if name not in known:
        raise ConfigError(f"model.name {name!r} is unknown; use {', '.join(known)}")
    if init not in starts and Path(init).suffix != ".safetensors":
        raise ConfigError(f"model.init must be {' or '.join(starts)}, or a .safetensors file, not {init!r}")


@contextmanager
def named_in(table: str) -> Iterator[None]:
    """Name the table of the file in an error of what is built from it."""
    try:
        yield
    except SkeletonError as error:
        raise SkeletonError(f"{table}.skeleton: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{table}.{error}") from error

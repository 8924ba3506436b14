"""Progress bars and checks for all commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightpose.errors import ConfigError

__all__ = ["bars", "check_folder", "check_place", "counting"]


def check_place(path: Path) -> None:
    """Raise ConfigError if no file can be written there, so that this is known before the work."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")


def check_folder(path: Path) -> None:
    """Raise ConfigError if that folder cannot be written to or made, so that this is known before the work."""
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ConfigError(f"{there} is a file, not a folder; name another folder for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"there is no permission to write to {there}; name another folder for the results")


def bars(shown: bool = True) -> Progress:
    """Progress bars on standard error; nothing is shown where that is no terminal."""
    console = Console(stderr=True, quiet=not shown)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for one task; gives the function to call with how much is done."""
    with bars() as progress:
        task = progress.add_task(what, total=total, note="")
        yield lambda done: progress.update(task, completed=done)

"""The console and the progress bars of all commands."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from lightpose.cli.last_resort import DEBUG, escape_controls

__all__ = ["SafeConsole", "bars", "counting", "counting_all", "counting_frames", "counting_images", "libraries_unheard"]


class Counted(Protocol):
    """How far a bulk run is."""

    @property
    def images(self) -> int:
        """How many are done."""

    @property
    def total(self) -> int:
        """How many there are."""

    @property
    def failed(self) -> int:
        """How many failed."""

    @property
    def rate(self) -> float:
        """Images a second."""


class SafeConsole(Console):
    """rich's Console, whose own colours are all that acts on the terminal: control characters in text are shown."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escape_controls(text), style, control)


@contextmanager
def libraries_unheard() -> Iterator[None]:
    """Keep what C libraries print on standard error from the terminal: decoders say there what they think of an image.

    Python's own standard error stays as it is. The change is made once, before there are threads. It is left out where
    standard error is not the process's own, and where LIGHTPOSE_DEBUG is set.
    """
    before = sys.stderr
    try:
        apart = before.fileno() != 2 or bool(os.environ.get(DEBUG))
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        apart = True
    if apart:
        yield
        return
    with open(os.dup(2), "w", buffering=1, encoding=before.encoding, errors=before.errors) as kept:  # noqa: PTH123
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = kept
        try:
            yield
        finally:
            kept.flush()
            os.dup2(kept.fileno(), 2)
            sys.stderr = before


def bars(shown: bool = True) -> Progress:
    """Progress bars on standard error; nothing is shown where that is no terminal."""
    console = SafeConsole(stderr=True, quiet=not shown)
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


@contextmanager
def counting_all() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each task told of; gives the function to call with its name, how much is done, and of how much."""
    tasks: dict[str, TaskID] = {}
    with bars() as progress:

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total, note="")
            progress.update(tasks[what], completed=done)

        yield advance


@contextmanager
def counting_frames(name: str, total: int | None, every_s: float = 60.0) -> Iterator[Callable[[int, float], None]]:
    """A bar for a video, or a line a minute where there is no terminal; gives the function to call with the number of
    frames done, and the time of the last in seconds."""
    begun_s = told_s = time.monotonic()
    with bars() as progress:
        task = progress.add_task(name, total=total, note="")

        def advance(done: int, time_s: float) -> None:
            nonlocal told_s
            now_s = time.monotonic()
            rate = f"{done / max(now_s - begun_s, 1e-6):.1f} frames a second"
            if not progress.disable:
                progress.update(task, completed=done, note=rate)
            elif now_s - told_s >= every_s:
                told_s = now_s
                known = "" if total is None else f" of about {total}"
                print(f"{name}: {done}{known} frames, {time_s:.1f} s of the video, {rate}", file=sys.stderr, flush=True)

        yield advance


@contextmanager
def counting_images(every_s: float = 60.0) -> Iterator[Callable[[Counted], None]]:
    """A bar for a bulk run, or a line a minute where there is no terminal; gives the function to call with how far the
    run is."""
    told_s = time.monotonic()
    with bars() as progress:
        task = progress.add_task("images", total=None, note="")

        def advance(now: Counted) -> None:
            nonlocal told_s
            failed = f", {now.failed:,} failed" if now.failed else ""
            note = f"{now.rate:.1f} a second{failed}"
            if not progress.disable:
                progress.update(task, completed=now.images, total=now.total, note=note)
            elif time.monotonic() - told_s >= every_s:
                told_s = time.monotonic()
                left_s = (now.total - now.images) / max(now.rate, 1e-6)
                line = f"images: {now.images:,} of {now.total:,}, {note}, {left_s / 60:.0f} minutes left"
                print(line, file=sys.stderr, flush=True)

        yield advance

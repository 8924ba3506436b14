"""How far a run over a video has come: beside its lines, so that a killed run can go on to the same end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError
from lightpose.io.files import is_plain, write_aside

__all__ = ["Progress", "State"]


@dataclass(frozen=True)
class Progress:
    """How many frames are done, how many bytes their lines are, and what each stage remembers, ready for JSON."""

    frames: int = 0
    size: int = 0
    stages: tuple[Any, ...] = ()


class State:
    """A hidden file that says how far a run has come, and with what settings.

    path: the file. lines: the file of lines that it is of. run: everything that the results depend on.
    """

    def __init__(self, path: Path, lines: Path, run: Mapping[str, Any]) -> None:
        self._path, self._lines, self._run = path, lines, json.loads(json.dumps(run))

    def read(self) -> Progress | None:
        """How far an interrupted run has come; None if there is none, or if its lines are not there any more.

        Raises ConfigError if it has other settings.
        """
        if not is_plain(self._path) or not is_plain(self._lines):
            return None
        try:
            found = json.loads(self._path.read_bytes())
            run, progress = found["run"], Progress(int(found["frames"]), int(found["size"]), tuple(found["stages"]))
        except (OSError, ValueError, LookupError, TypeError):
            return None
        if run != self._run:
            raise ConfigError(
                f"{self._path.parent} holds part of a run with another video or settings; repeat that command to "
                "finish it, add --restart to drop it, or name another folder with --out"
            )
        return progress if 0 <= progress.size <= self._lines.stat().st_size and self._is_whole(progress) else None

    def write(self, progress: Progress) -> None:
        """Say how far the run has come; its lines are written."""
        table = {"run": self._run, "frames": progress.frames, "size": progress.size, "stages": progress.stages}
        write_aside(self._path, json.dumps(table).encode(), sync=False)

    def remove(self) -> None:
        """The run is over."""
        self._path.unlink(missing_ok=True)

    def rows(self, count: int) -> Iterator[dict[str, Any]]:
        """The first lines of the run."""
        with self._lines.open("rb") as file:
            for line in islice(file, count):
                yield json.loads(line)

    def _is_whole(self, progress: Progress) -> bool:
        """Whether so many whole lines have so many bytes."""
        with self._lines.open("rb") as file:
            return sum(len(line) for line in islice(file, progress.frames)) == progress.size

"""How far a run over a video has come: beside its lines, so that a killed run can go on to the same end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError, LightposeError
from lightpose.io.files import is_plain, write_aside

__all__ = ["Progress", "State"]


@dataclass(frozen=True)
class Progress:
    """How many frames are done, and how many bytes their lines are; what the stages remember, ready for JSON; how many
    frames these have taken, of which they may hold some, and the time of the last one."""

    frames: int = 0
    size: int = 0
    stages: tuple[Any, ...] = ()
    taken: int = 0
    last_s: float = 0.0


class State:
    """A hidden file that says how far a run has come, and with what settings.

    path: the file. lines: the file of lines that it is of. run: everything that the results depend on.
    """

    def __init__(self, path: Path, lines: Path, run: Mapping[str, Any]) -> None:
        self._path, self._lines, self._run = path, lines, json.loads(json.dumps(run))

    def read(self, understand: Callable[[dict[str, Any]], object]) -> Progress | None:
        """How far an interrupted run has come; None if there is none, or if its lines are not there any more.

        understand: raises LightposeError, LookupError, TypeError, ValueError or AttributeError for a line that is none.
        Raises ConfigError if it has other settings.
        """
        if not is_plain(self._path) or not is_plain(self._lines):
            return None
        try:
            found = json.loads(self._path.read_bytes())
            run, stages, last_s = found["run"], tuple(found["stages"]), float(found["last_s"])
            progress = Progress(int(found["frames"]), int(found["size"]), stages, int(found["taken"]), last_s)
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
            return None
        if run != self._run:
            raise ConfigError(
                f"{self._path.parent} holds part of a run with another video or settings; repeat that command to "
                "finish it, add --restart to drop it, or name another folder with --out"
            )
        return progress if self._is_whole(progress, understand) else None

    def write(self, progress: Progress) -> None:
        """Say how far the run has come; its lines are written."""
        table = {"run": self._run, **{each.name: getattr(progress, each.name) for each in fields(progress)}}
        write_aside(self._path, json.dumps(table).encode(), sync=False)

    def remove(self) -> None:
        """The run is over."""
        self._path.unlink(missing_ok=True)

    def rows(self, count: int) -> Iterator[dict[str, Any]]:
        """The first lines of the run."""
        with self._lines.open("rb") as file:
            for line in islice(file, count):
                yield json.loads(line)

    def _is_whole(self, progress: Progress, understand: Callable[[dict[str, Any]], object]) -> bool:
        """Whether there are so many lines that can be understood, and they have so many bytes."""
        try:
            with self._lines.open("rb") as file:
                if sum(len(line) for line in islice(file, progress.frames)) != progress.size:
                    return False
            rows = [understand(row) is not None for row in self.rows(progress.frames)]
        except (LightposeError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            return False
        return len(rows) == progress.frames

"""What the stages of a training run are worth (Table 4 of the paper), from the logs that training writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from lightpose.errors import DataError
from lightpose.io.files import read_json

__all__ = ["Mark", "TrainingLog", "read_log", "stage_marks"]

MANNER = "given boxes, flip test, the network's own decoder and geometry, OKS-NMS hard 0.9 by box areas"
"""How training validates poses."""


@dataclass(frozen=True)
class Validated:
    """An epoch that was validated: its number in the whole run, from 0, its stage, and its AP in [0, 1]."""

    number: int
    stage: int
    ap: float


@dataclass(frozen=True)
class TrainingLog:
    """A run's `log.json`. data: what it validated on, empty if untold. finished: the stages that are over."""

    path: Path
    model: str
    data: str
    epochs: tuple[Validated, ...]
    finished: frozenset[int]

    @property
    def how(self) -> str:
        """How its APs were got, in words."""
        return f"on {self.data or 'a set that the log does not name'}, {MANNER}"


@dataclass(frozen=True)
class Mark:
    """Where a run was at the end of a stage.

    epochs: done by then in the whole run. ap: the best of the stage; of a run in one piece, the best so far. None if it
    did not come that far. gain: over the mark before. finished: whether the stage is over.
    """

    stage: int
    epochs: int
    ap: float | None
    gain: float | None
    finished: bool


def read_log(path: str | Path) -> TrainingLog:
    """The log of a run, given as its folder or as the file. Raises DataError if it is no such log or has no epoch."""
    path = Path(path)
    path = path / "log.json" if path.is_dir() else path
    table = read_json(path)
    if not isinstance(table, dict) or not isinstance(table.get("model"), str):
        raise DataError(f"{path} is no log of lightpose train; name the log.json, or the folder, of a run")
    for name in ("epochs", "stages"):
        if not isinstance(table.get(name), list) or not all(isinstance(row, dict) for row in table[name]):
            raise DataError(f"{path} has no list of {name}; name the log.json, or the folder, of a run")
    epochs = tuple(_validated(path, number, row) for number, row in enumerate(table["epochs"]))
    if not epochs:
        raise DataError(f"{path} has no validated epoch yet; let the run go on first")
    finished = frozenset(row["stage"] for row in table["stages"] if isinstance(row.get("stage"), int))
    return TrainingLog(path, table["model"], str(table.get("data", "")), epochs, finished)


def stage_marks(logs: Sequence[TrainingLog]) -> list[list[Mark]]:
    """The marks of each run.

    A run of several stages is told by its own. One in a single piece, such as a long cosine schedule, is told by its
    best AP after as many epochs as the run with the most stages had done by each of its ends.
    """
    own = [_own_marks(log) for log in logs]
    longest = max(own, key=len, default=[])
    return [
        _marks_at(log, [mark.epochs for mark in longest]) if len(marks) == 1 < len(longest) else marks
        for log, marks in zip(logs, own, strict=True)
    ]


def _own_marks(log: TrainingLog) -> list[Mark]:
    marks: list[Mark] = []
    for stage, group in groupby(log.epochs, key=lambda epoch: epoch.stage):
        epochs = list(group)
        before = marks[-1].ap if marks else None
        marks.append(_mark(stage, epochs[-1].number + 1, epochs, before, stage in log.finished))
    return marks


def _marks_at(log: TrainingLog, ends: Sequence[int]) -> list[Mark]:
    marks: list[Mark] = []
    for stage, end in enumerate(ends):
        done = log.epochs[-1].number + 1
        epochs = [epoch for epoch in log.epochs if epoch.number < end] if done >= end else []
        before = marks[-1].ap if marks else None
        marks.append(_mark(stage, end, epochs, before, bool(epochs)))
    return marks


def _mark(stage: int, end: int, epochs: Sequence[Validated], before: float | None, finished: bool) -> Mark:
    known = [epoch.ap for epoch in epochs if epoch.ap >= 0]
    best = max(known, default=None)
    return Mark(stage, end, best, None if best is None or before is None else best - before, finished)


def _validated(path: Path, number: int, row: dict[str, Any]) -> Validated:
    epoch, stage, ap = (row.get(name) for name in ("epoch", "stage", "ap"))
    if type(epoch) is not int or type(stage) is not int or not isinstance(ap, int | float):
        raise DataError(
            f"{path}: epoch {number} must have an epoch, a stage and an ap; is it a log of lightpose train?"
        )
    return Validated(epoch, stage, float(ap))

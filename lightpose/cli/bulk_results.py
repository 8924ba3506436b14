"""What `lightpose bulk` says of the results of a run: how far it is, whether it is whole, and the files of a merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lightpose.cli.marks import FillsNamed, ReadsNamed

if TYPE_CHECKING:
    from lightpose.scale.report import Report

__all__ = ["Merge", "StatusOf", "VerifyRun", "print_report"]


@dataclass(frozen=True)
class StatusOf:
    """Say how far a run is, by the parts that are there.

    Example: lightpose bulk status rows
    """

    out: Positional[ReadsNamed]
    """Folder or bucket address of the run."""

    def run(self) -> int:
        """0: all parts are there; 1: some are not."""
        from lightpose.scale.check import status_of
        from lightpose.scale.join import is_of_videos

        status = status_of(self.out)
        tally, head = status.tally, status.head
        what = "frames" if is_of_videos(head) else "images"
        print(f"{tally.frames:,} of {head.frames:,} {what}, {tally.shards:,} of {head.shards:,} parts")
        print(f"{tally.people:,} people; {_failures(tally.failures)}")
        return 0 if tally.shards == head.shards else 1


@dataclass(frozen=True)
class VerifyRun:
    """Read all parts of a run, and check that every input is in them once.

    Example: lightpose bulk verify rows
    """

    out: Positional[ReadsNamed]
    """Folder or bucket address of the run."""

    def run(self) -> int:
        """0: the run is whole; 1: it is not."""
        from lightpose.scale.check import open_run, verify
        from lightpose.scale.join import is_of_videos

        checked = verify(self.out)
        for fault in checked.faults:
            print(fault)
        if checked.count > len(checked.faults):
            print(f"and {checked.count - len(checked.faults):,} more")
        what = "ranges" if is_of_videos(open_run(self.out)[1]) else "images"
        print(f"{checked.images:,} {what} are in {checked.parts:,} whole parts, each once; faults: {checked.count:,}")
        return 1 if checked.count else 0


@dataclass(frozen=True)
class Merge:
    """Write the rows of a finished run into fewer and larger files. The parts stay.

    Of videos, each gets a file, with people numbered over the whole of it; lightpose convert reads it.
    Example: lightpose bulk merge rows --to merged --rows-per-file 1000000
    """

    out: Positional[ReadsNamed]
    """Folder or bucket address of the run."""
    to: FillsNamed
    """Folder or bucket address for the files, which is empty."""
    rows_per_file: int | None = None
    """Rows in each file; a million of images if not given, and all of one video. One file is in memory at a time."""

    def run(self) -> int:
        """0 once the files are written."""
        from lightpose.cli.console import counting
        from lightpose.scale.check import open_run
        from lightpose.scale.merge import merge

        with counting("parts", open_run(self.out)[1].shards) as advance:
            names = merge(self.out, self.to, self.rows_per_file, advance)
        print(f"written: {len(names)} files in {self.to}")
        return 0


def _failures(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in failures.items()) or "no failures"


def print_report(report: Report) -> None:
    """What came of a run."""
    what = "frames" if report.of_videos else "images"
    print(f"{report.frames:,} {what}, {report.people:,} people; {_failures(report.failures)}")
    if report.seconds and report.computed:
        rate = report.computed / report.seconds
        cost = 1e6 * report.core_hours / report.computed
        print(f"{rate:.1f} {what} a second, {cost:,.0f} core hours a million {what}")
    print(f"written: {report.shards:,} parts in {report.where}")
    if report.failed:
        print(f"{report.failed:,} {'shards' if report.of_videos else what} failed; errors.parquet there names them")

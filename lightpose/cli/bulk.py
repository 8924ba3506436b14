"""`lightpose bulk`: a million images in, Parquet out; what is there after a kill is not done again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from lightpose.cli.marks import FillsNamed, ReadsNamed
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT

if TYPE_CHECKING:
    from lightpose.scale.report import Report
    from lightpose.scale.settings import Settings

__all__ = ["BULK", "Bulk", "with_run"]

BULK = ("run", "status", "verify", "merge")
"""Subcommands. What else follows `bulk` is an input of the first one."""


@dataclass(frozen=True)
class Run:
    """Find the people in many images, with processes side by side, and write their rows as Parquet.

    The input is cut into shards, and each has a file: part-000000.parquet and so on. After a kill or a crash the same
    command goes on: each image is in the rows once. `run` may be left out.
    Example: lightpose bulk photos --out rows
    """

    inputs: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="IN...")]
    """Folders with all below them, files, glob patterns in quotes; a .txt file with a path in each line; Parquet or
    Lance tables; WebDataset tars. Here, or at s3://, gs://, az:// or https:// addresses."""
    out: FillsNamed
    """Folder or bucket address for the rows; made if need be."""
    workers: int = 0
    """Processes; 0 is one on each core that this process may use."""
    threads: int = 0
    """Threads of each process; 0 divides the cores among them."""
    ray: Annotated[str | None, arg(metavar="ADDRESS|auto|local")] = None
    """Do the work on a Ray cluster instead: at an address, at the one of this computer's environment (auto), or on a
    new one of this computer (local). IN and OUT must be the same places on all machines."""
    num_gpus: float = 0.0
    """GPUs of each worker on the Ray cluster, or a share of one; give --device cuda as well."""
    shard: int = 1000
    """Images that are done, written and counted together."""
    rows: Literal["image", "person"] = "image"
    """image: a row for each image, with a list of its people. person: a row for each person."""
    keep: Annotated[str, arg(metavar="COLUMN,COLUMN")] = ""
    """Columns of a table that go into the rows."""
    column: Annotated[str, arg(metavar="NAME")] = "image"
    """Column of a table with images: their bytes, paths or addresses."""
    limit: int | None = None
    """Do the first so many images alone."""
    dry_run: bool = False
    """Count the images and say what would be done. Nothing is written."""
    resume: bool = False
    """Refuse to begin anew. Without it too, the same command goes on with what is there."""
    max_failures: Annotated[str | None, arg(metavar="N|P%")] = None
    """Stop if more images fail: a number such as 500, or a share such as 5%."""
    image_timeout: Annotated[float, arg(metavar="SECONDS")] = 300.0
    """Replace a process of which nothing came for so long. The image that it hangs at is found and set aside."""
    tries: int = 5
    """Ask so often for an image that its server does not give, with longer pauses each time."""

    model: ReadsNamed = DEFAULT
    """Name of bundled or kept weights, or a file, as for lightpose predict."""
    detector: ReadsNamed | None = None
    """What finds the people, as for lightpose predict."""
    detector_threshold: float | None = None
    """Least score of a person's box, from 0 to 1; the detector's own if not given."""
    min_person_score: float | None = None
    """Least score of a person who was found; the detector's own if not given."""
    flip: bool = False
    """Average with the mirrored crop: a little more accurate, twice the work."""
    decoder: DecoderName | None = None
    """How heatmaps become points; the weights' own if not given."""
    padding: float | None = None
    """How much wider than a person's box the network looks; the weights' own if not given."""
    batch: int = 8
    """Crops at a time."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network, as for lightpose predict."""
    precision: Literal["auto", "float32", "bf16", "int8"] = "auto"
    """As for lightpose predict. Give float32 where the run may go on with another kind of CPU."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """Where the networks run: cpu, cuda, directml, coreml or openvino:GPU."""
    max_pixels: int | None = None
    """Refuse larger images before they are decoded. Not given: LIGHTPOSE_MAX_PIXELS, or 120 million."""

    def run(self) -> int:
        """0: all done; 1: done, but some images failed; 130: interrupted."""
        from lightpose.cli.console import counting_images
        from lightpose.errors import ImageError
        from lightpose.io.images import MAX_PIXELS_SETTING
        from lightpose.scale.bulk import run_bulk
        from lightpose.scale.engines import open_engine

        if not self.inputs:
            raise ImageError("name at least one folder, list or table; see lightpose bulk run --help")
        if self.max_pixels is not None:
            os.environ[MAX_PIXELS_SETTING] = str(self.max_pixels)
        settings = self._settings()
        if self.dry_run:
            return self._count(settings)
        try:
            with (
                open_engine(self.workers, self.threads, self.device, self.ray, self.num_gpus) as engine,
                counting_images() as tell,
            ):
                report = run_bulk(self.inputs, self.out, settings, engine, resume=self.resume, progress=tell)
        except KeyboardInterrupt:
            print(
                f"lightpose: interrupted; what is done stays in {self.out}, and the same command goes on with it",
                file=sys.stderr,
            )
            return 130
        _print_report(report)
        return 1 if report.failed else 0

    def _settings(self) -> Settings:
        from lightpose.scale.settings import Network, Settings

        network = Network(
            self.model,
            self.detector,
            self.detector_threshold,
            self.min_person_score,
            self.flip,
            self.decoder,
            self.padding,
            self.batch,
            self.engine,
            self.precision,
            self.device,
        )
        return Settings(
            network,
            self.rows,
            self.shard,
            tuple(name.strip() for name in self.keep.split(",") if name.strip()),
            self.column,
            self.limit,
            _share(self.max_failures),
            self.image_timeout,
            self.tries,
        )

    def _count(self, settings: Settings) -> int:
        """Say what would be done."""
        from itertools import islice

        from lightpose.errors import ImageError
        from lightpose.scale.source import open_source

        items = islice(open_source(self.inputs, settings.source(self.out)).items(), settings.limit)
        first = next(items, None)
        if first is None:
            raise ImageError("there is no image in the input; name another folder, list or table")
        count = 1 + sum(1 for _ in items)
        shards = -(-count // settings.shard)
        print(f"{count:,} images, the first of them {first.source}, in {shards:,} shards; nothing was written")
        return 0


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

        status = status_of(self.out)
        tally, head = status.tally, status.head
        print(f"{tally.images:,} of {head.items:,} images, {tally.shards:,} of {head.shards:,} parts")
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
        from lightpose.scale.check import verify

        checked = verify(self.out)
        for fault in checked.faults:
            print(fault)
        if checked.count > len(checked.faults):
            print(f"and {checked.count - len(checked.faults):,} more")
        print(f"{checked.images:,} images are in {checked.parts:,} whole parts, each once; faults: {checked.count:,}")
        return 1 if checked.count else 0


@dataclass(frozen=True)
class Merge:
    """Write the rows of a finished run into fewer and larger files. The parts stay.

    Example: lightpose bulk merge rows --to merged --rows-per-file 1000000
    """

    out: Positional[ReadsNamed]
    """Folder or bucket address of the run."""
    to: FillsNamed
    """Folder or bucket address for the files, which is empty."""
    rows_per_file: int = 1_000_000
    """Rows in each file. One file is in memory at a time."""

    def run(self) -> int:
        """0 once the files are written."""
        from lightpose.cli.console import counting
        from lightpose.scale.check import open_run
        from lightpose.scale.merge import merge

        with counting("parts", open_run(self.out)[1].shards) as advance:
            names = merge(self.out, self.to, self.rows_per_file, advance)
        print(f"written: {len(names)} files in {self.to}")
        return 0


@dataclass(frozen=True)
class Bulk:
    """Find the people in a million images; go on after a crash; check and merge what was written."""

    command: (
        Annotated[Run, subcommand("run", prefix_name=False)]
        | Annotated[StatusOf, subcommand("status", prefix_name=False)]
        | Annotated[VerifyRun, subcommand("verify", prefix_name=False)]
        | Annotated[Merge, subcommand("merge", prefix_name=False)]
    )

    def run(self) -> int:
        """What the subcommand gives."""
        return self.command.run()


def with_run(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the `run` that was left out: `bulk photos` is `bulk run photos`."""
    if list(arguments[:1]) != ["bulk"] or len(arguments) < 2 or arguments[1] in (*BULK, "--help", "-h"):
        return list(arguments)
    return ["bulk", "run", *arguments[1:]]


def _share(text: str | None) -> float | None:
    """A number of images, or a share of them below 1. Raises ConfigError if it is neither."""
    from lightpose.errors import ConfigError

    if text is None:
        return None
    number, percent = text.removesuffix("%"), text.endswith("%")
    try:
        value = float(number) / 100 if percent else int(number)
    except ValueError:
        value = -1
    if not value >= 0 or (percent and not value < 1):
        raise ConfigError(f"--max-failures must be a number of images such as 500, or a share such as 5%, not {text}")
    return value


def _failures(failures: object) -> str:
    assert isinstance(failures, dict)
    return ", ".join(f"{count:,} {status}" for status, count in failures.items()) or "no failures"


def _print_report(report: Report) -> None:
    print(f"{report.images:,} images, {report.people:,} people; {_failures(dict(report.failures))}")
    if report.seconds and report.computed:
        rate = report.computed / report.seconds
        cost = 1e6 * report.core_hours / report.computed
        print(f"{rate:.1f} images a second, {cost:,.0f} core hours a million images")
    print(f"written: {report.shards:,} parts in {report.where}")
    if report.failed:
        print(f"{report.failed:,} images failed; errors.parquet there names them")

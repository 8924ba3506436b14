"""`lightpose bulk`: a million images, or videos, in, Parquet out; what is there after a kill is not done again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from lightpose.cli.bulk_results import Merge, StatusOf, VerifyRun, print_report
from lightpose.cli.marks import FillsNamed, ReadsNamed
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT

if TYPE_CHECKING:
    from lightpose.scale.settings import Settings

__all__ = ["BULK", "Bulk", "with_run"]

BULK = ("run", "status", "verify", "merge")
"""Subcommands. What else follows `bulk` is an input of the first one."""


@dataclass(frozen=True)
class Run:
    """Find the people in many images, or in videos, with processes side by side, and write their rows as Parquet.

    The input is cut into shards, and each has a file: part-000000.parquet and so on. After a kill or a crash the same
    command goes on: each image is in the rows once. `run` may be left out. A shard of a video is a minute of it; at the
    end, people get one number over the whole video, which lightpose bulk merge writes.
    Examples: lightpose bulk photos --out rows; lightpose bulk run clips --out rows --metrics 9100
    """

    inputs: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="IN...")]
    """Folders with all below them, files, glob patterns in quotes; a .txt file with a path in each line; Parquet or
    Lance tables; WebDataset tars. Here, or at s3://, gs://, az:// or https:// addresses. Or videos in the same ways: of
    a folder, if there is no image in it."""
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
    shard_seconds: Annotated[float, arg(metavar="SECONDS")] = 60.0
    """Videos: time that is done, written and counted together."""
    run_up: Annotated[float | None, arg(metavar="SECONDS")] = None
    """Videos: time before each shard that is looked at too, so that people are known again. Longer takes more work, and
    fewer people get another number at a seam. Not given: a second more than --keep-lost."""
    rows: Literal["image", "person"] = "image"
    """image: a row for each image, with a list of its people. person: a row for each person. Videos have a row for each
    joint, as lightpose convert reads it."""
    keep: Annotated[str, arg(metavar="COLUMN,COLUMN")] = ""
    """Columns of a table that go into the rows."""
    column: Annotated[str, arg(metavar="NAME")] = "image"
    """Column of a table with images: their bytes, paths or addresses."""
    limit: int | None = None
    """Do the first so many images alone; of videos, shards."""
    metrics: Annotated[str | None, arg(metavar="PORT|HOST:PORT")] = None
    """Show how far the run is to Prometheus, at http://127.0.0.1:PORT/metrics, or for others at another address."""
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

    track: bool = True
    """Videos: number the people, and keep each one's number from frame to frame."""
    keep_lost: Annotated[float, arg(metavar="SECONDS")] = 1.5
    """Videos: for how long a person who is not seen keeps the number. """
    detect_every: Annotated[str, arg(metavar="N|auto")] = "1"
    """Videos: run the detector in one of so many frames, as for lightpose predict."""

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
        from lightpose.scale.metrics import watched

        if not self.inputs:
            raise ImageError("name at least one folder, list or table; see lightpose bulk run --help")
        if self.max_pixels is not None:
            os.environ[MAX_PIXELS_SETTING] = str(self.max_pixels)
        settings = self._settings()
        if self.dry_run:
            return self._count(settings)
        try:
            with (
                counting_images() as count,
                watched(self.metrics, count) as (tell, where),
                open_engine(self.workers, self.threads, self.device, self.ray, self.num_gpus) as engine,
            ):
                if where:
                    print(f"lightpose: figures for Prometheus are at {where}", file=sys.stderr)
                report = run_bulk(self.inputs, self.out, settings, engine, resume=self.resume, progress=tell)
        except KeyboardInterrupt:
            print(
                f"lightpose: interrupted; what is done stays in {self.out}, and the same command goes on with it",
                file=sys.stderr,
            )
            return 130
        print_report(report)
        return 1 if report.failed else 0

    def _settings(self) -> Settings:
        from lightpose.cli.predict import read_every
        from lightpose.scale.settings import Network, OfVideos, Settings

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
            OfVideos(self.shard_seconds, self.track, self.keep_lost, read_every(self.detect_every), self.run_up),
        )

    def _count(self, settings: Settings) -> int:
        """Say what would be done."""
        from itertools import islice

        from lightpose.errors import ImageError
        from lightpose.scale.source import open_inputs
        from lightpose.scale.video_source import VideoSource

        source = open_inputs(self.inputs, settings.source(self.out))
        settings.check_kind(of_videos := isinstance(source, VideoSource))
        first, count, frames = "", 0, 0
        for item in islice(source.items(), settings.limit):
            first, count, frames = first or item.source, count + 1, frames + item.frames
        if not count:
            raise ImageError("there is no image in the input; name another folder, list or table")
        shards = count if of_videos else -(-count // settings.shard)
        what = "frames" if of_videos else "images"
        print(f"{frames:,} {what}, the first of them {first}, in {shards:,} shards; nothing was written")
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

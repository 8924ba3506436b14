"""What a bulk run is asked for: the network, the rows, and how the work is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

import lightpose
from lightpose.errors import ConfigError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.folder import checksums, describe_run
from lightpose.inference.schedule import DetectEvery, check_every
from lightpose.inference.track import Tracker
from lightpose.io.images import max_pixels_allowed
from lightpose.limits import check_range
from lightpose.runtime import EngineName
from lightpose.scale.rows import RowKind, check_kept
from lightpose.scale.source import SourceOptions
from lightpose.scale.video_rows import JOINT
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT
from lightpose.weights.open import PrecisionChoice

__all__ = ["Network", "OfVideos", "Settings", "WorkerSettings", "describe"]


@dataclass(frozen=True)
class Network:
    """How the networks are opened; the arguments of `PoseEstimator`."""

    model: str = DEFAULT
    detector: str | None = None
    detector_threshold: float | None = None
    min_person_score: float | None = None
    flip: bool = False
    decoder: DecoderName | None = None
    padding: float | None = None
    batch: int = 8
    engine: EngineName = "auto"
    precision: PrecisionChoice = "auto"
    device: str = "cpu"

    def open(self, threads: int) -> PoseEstimator:
        """The estimator. threads: of the engine; 0 for one on each core."""
        options = asdict(self)
        return PoseEstimator(options.pop("model"), options.pop("detector"), threads=threads, **options)


@dataclass(frozen=True)
class OfVideos:
    """What is asked of videos. shard_seconds: of time that are done, written and counted together. track: number the
    people. keep_lost: seconds for which a person who is not seen keeps the number. detect_every: as for
    `PoseEstimator.stream`. run_up: seconds before a shard that are looked at too; `keep_lost` and one if not given."""

    shard_seconds: float = 60.0
    track: bool = True
    keep_lost: float = 1.5
    detect_every: DetectEvery = 1
    run_up: float | None = None

    def __post_init__(self) -> None:
        Tracker(self.keep_lost)
        check_every(self.detect_every)
        check_range("run_up", self.run_up_s, 0.1, 3600)
        check_range("shard_seconds", self.shard_seconds, self.run_up_s, 86_400)

    @property
    def run_up_s(self) -> float:
        """Seconds before a shard that are looked at with it, so that its tracker knows who is there: one more than it
        remembers people for, so that it has followed each of them before the shard begins."""
        return 1.0 + self.keep_lost if self.run_up is None else self.run_up


@dataclass(frozen=True)
class Settings:
    """A run. rows: a row for each image, or for each person. shard: images that are done, written and counted together.
    keep: columns of a table for the rows. column: of a table, with the images. limit: of images, the first ones, or of
    ranges of videos. videos: what is asked of videos.

    What follows changes no row. max_failures: share of the images, from 0 to 1, or from 1 their number, beyond which
    the run stops. patience_s: for one image, until the process that works on it is replaced. tries: of an image that
    its server does not give.
    """

    network: Network = field(default_factory=Network)
    rows: RowKind = "image"
    shard: int = 1000
    keep: tuple[str, ...] = ()
    column: str = "image"
    limit: int | None = None
    max_failures: float | None = None
    patience_s: float = 300.0
    tries: int = 5
    videos: OfVideos = field(default_factory=OfVideos)

    def __post_init__(self) -> None:
        check_range("shard", self.shard, 1, 1_000_000)
        check_range("tries", self.tries, 1, 100)
        check_range("image_timeout", self.patience_s, 1, 86_400)
        if self.rows not in get_args(RowKind):
            raise ConfigError(f"rows {self.rows!r} are unknown; use {' or '.join(get_args(RowKind))}")
        if self.limit is not None:
            check_range("limit", self.limit, 1, 2**53)
        if self.max_failures is not None:
            check_range("max_failures", self.max_failures, 0, 2**53)
        check_kept(self.keep)

    def source(self, out: str) -> SourceOptions:
        """How the inputs are read."""
        videos = self.videos
        return SourceOptions(self.column, self.keep, out, shard_s=videos.shard_seconds, run_up_s=videos.run_up_s)

    def check_kind(self, of_videos: bool) -> None:
        """Raise ConfigError if an option is given that means nothing for videos, or for images."""
        here, plain = self.videos if not of_videos else self, OfVideos() if not of_videos else Settings()
        names = ("rows", "shard", "column") if of_videos else tuple(each.name for each in fields(OfVideos))
        given = [f"--{name.replace('_', '-')}" for name in names if getattr(here, name) != getattr(plain, name)]
        if given:
            this, other = ("images", "videos") if of_videos else ("videos", "images")
            raise ConfigError(f"{', '.join(given)} is for {this}, and the inputs are {other}; leave it out")

    def about(self, estimator: PoseEstimator, of_videos: bool = False) -> dict[str, Any]:
        """All that the rows depend on but the inputs, by name, ready for JSON."""
        own = {"rows": self.rows, "keep": list(self.keep), "column": self.column}
        return {
            **describe(estimator),
            **({"rows": JOINT, **asdict(self.videos)} if of_videos else own),
            "limit": self.limit,
            "max_pixels": max_pixels_allowed(),
            "lightpose": lightpose.__version__,
        }


def describe(estimator: PoseEstimator) -> dict[str, Any]:
    """What of the networks the rows depend on, with the checksums of their files."""
    return {**describe_run(estimator), **checksums(estimator), "batch": estimator.options.batch}


@dataclass(frozen=True)
class WorkerSettings:
    """What each process of a run is told; it can be sent to another computer.

    inputs: as `open_source` takes them. out: of the run's store. run, items: of its manifest. about: what `describe`
    said of the networks when the run began. kept_types: of the kept columns. threads: of the engine. shard: inputs in a
    shard.
    """

    settings: Settings
    inputs: tuple[str, ...]
    out: str
    run: str
    items: int
    about: Mapping[str, Any]
    kept_types: Mapping[str, Any]
    threads: int
    max_pixels: int
    shard: int

    def size(self, shard: int) -> int:
        """Images of a shard."""
        return min(self.shard, self.items - shard * self.shard)

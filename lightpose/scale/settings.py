"""What a bulk run is asked for: the network, the rows, and how the work is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import lightpose
from lightpose.errors import ConfigError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.folder import checksums, describe_run
from lightpose.io.images import max_pixels_allowed
from lightpose.limits import check_range
from lightpose.runtime import EngineName
from lightpose.scale.rows import RowKind, check_kept
from lightpose.scale.source import SourceOptions
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT
from lightpose.weights.open import PrecisionChoice

__all__ = ["Network", "Settings", "WorkerSettings", "describe"]


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
class Settings:
    """A run. rows: a row for each image, or for each person. shard: images that are done, written and counted together.
    keep: columns of a table for the rows. column: of a table, with the images. limit: of images, the first ones.

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
        return SourceOptions(self.column, self.keep, out)

    def about(self, estimator: PoseEstimator) -> dict[str, Any]:
        """All that the rows depend on but the inputs, by name, ready for JSON."""
        return {
            **describe(estimator),
            "rows": self.rows,
            "keep": list(self.keep),
            "column": self.column,
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
    said of the networks when the run began. kept_types: of the kept columns. threads: of the engine.
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

    def size(self, shard: int) -> int:
        """Images of a shard."""
        return min(self.settings.shard, self.items - shard * self.settings.shard)

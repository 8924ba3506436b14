"""The speed of networks: all variants interleaved, and what each is worth in images and people a second."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lightpose.bench.end_to_end import EndToEnd
from lightpose.bench.interleave import Timing, interleaved
from lightpose.bench.memory import peak_mb
from lightpose.bench.variants import Variant, run_once
from lightpose.errors import ConfigError
from lightpose.weights.open import Network

__all__ = ["Row", "measure"]


@dataclass(frozen=True)
class Row:
    """One variant measured.

    model: the network's row in MODELS. file: what the user called it. flip: whether the flip test was timed too.
    ms_median, ms_iqr: of one run on `batch` crops, network and nothing else. cpu_ms_median: processor time of it, over
    all threads. fps, fps_flip: runs a second without and with flip test, so images with as many people as the batch.
    people_per_s: without flip test; None of a network that takes whole images. peak_mb: of a process of its own, in 10⁶
    bytes; None if not measured.
    """

    model: str
    file: str
    engine: str
    precision: str
    batch: int
    threads: int
    input_hw: tuple[int, int]
    flip: bool
    repeats: int
    ms_median: float
    ms_iqr: float
    cpu_ms_median: float
    fps: float
    fps_flip: float | None
    people_per_s: float | None
    peak_mb: float | None
    engine_version: str
    machine: str
    end_to_end: tuple[EndToEnd, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """The json object."""
        return asdict(self)


def measure(
    variants: Sequence[Variant],
    repeats: int,
    flip: bool = False,
    memory: bool = True,
    progress: Callable[[int], None] = lambda _: None,
    ready: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Time all variants interleaved, `repeats` runs each; all are open at once.

    memory: measure its peak too, which opens each variant again in a process of its own. progress: called with the
    number of rounds done. ready: called before that with the number of variants that have run once, as some are
    compiled in their first run, for minutes. Raises ConfigError if there is nothing to do, and what opening a network
    raises.
    """
    if repeats < 1 or not variants:
        raise ConfigError("a benchmark needs a network and a repeat at least; see lightpose bench --help")
    if flip and any(variant.is_whole for variant in variants):
        raise ConfigError("there is no flip test for networks that find boxes and joints at once; leave flip out")
    ways = (False, True) if flip else (False,)
    works = [
        partial(run_once, network, variant.crops(), way)
        for variant, network in zip(variants, _open(variants), strict=True)
        for way in ways
    ]
    for number, work in enumerate(works, start=1):
        work()
        ready(number // len(ways))
    timings = interleaved(works, repeats, progress)
    return [
        _row(variant, timings[place * len(ways) :][: len(ways)], repeats, peak_mb(variant, flip) if memory else None)
        for place, variant in enumerate(variants)
    ]


def _open(variants: Sequence[Variant]) -> list[Network]:
    """A network for each variant; those that differ in their batch alone share one."""
    networks: dict[Hashable, Network] = {}
    for variant in variants:
        if variant.opened_as not in networks:
            networks[variant.opened_as] = variant.open()
    return [networks[variant.opened_as] for variant in variants]


def _row(variant: Variant, timings: Sequence[Timing], repeats: int, peak: float | None) -> Row:
    """A row of the variant's timings: without flip test, and with it if that was timed."""
    plain, *flipped = timings
    spec = variant.source.spec
    return Row(
        model=spec.model,
        file=variant.source.name,
        engine=variant.engine,
        precision=variant.precision,
        batch=variant.batch,
        threads=variant.threads,
        input_hw=spec.input_hw,
        flip=bool(flipped),
        repeats=repeats,
        ms_median=round(plain.ms, 4),
        ms_iqr=round(plain.iqr_ms, 4),
        cpu_ms_median=round(plain.cpu_ms, 4),
        fps=round(1000 / plain.ms, 4),
        fps_flip=round(1000 / flipped[0].ms, 4) if flipped else None,
        people_per_s=None if variant.is_whole else round(1000 * variant.batch / plain.ms, 4),
        peak_mb=None if peak is None else round(peak, 1),
        engine_version=variant.engine_version,
        machine=machine(),
    )


def machine() -> str:
    """The processor's name and how many CPUs this process may use."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text(encoding="utf-8").splitlines() if info.is_file() else ())
        if line.startswith("model name")
    ]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.processor() or platform.machine()}, {usable} CPUs"

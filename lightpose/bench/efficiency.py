"""How near a network comes to what its engine can do here: multiply-accumulates a second, part by part."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lightpose.bench.operations import PARTS, Operation, parts_of
from lightpose.bench.profiled import Node, open_profiled
from lightpose.bench.turns import Timing, by_turns
from lightpose.bench.variants import Variant

__all__ = ["Efficiency", "Part", "can_measure", "macs_by_part", "measure_efficiency"]

QUIET = 0.9
"""Processor time over wall time of a run, below which others have been using the processor."""


@dataclass(frozen=True)
class Part:
    """One part of a network (`operations.PARTS`) in a run.

    ms: sum of the medians of its nodes. share: of the time of all nodes. gmacs: multiply-accumulates of the file's
    graph, in 10⁹. gmacs_per_s: gmacs over ms. peak_share: of the best matrix product's.
    """

    name: str
    ms: float
    share: float
    gmacs: float
    gmacs_per_s: float
    peak_share: float


@dataclass(frozen=True)
class Efficiency:
    """A network's parts, and the matrix products that they are held against, all measured by turns.

    products: 10⁹ multiply-accumulates a second of each, medians. peak: the largest of them. gmacs: of the whole run.
    run_ms: of a run without profiling, median. peak_share: gmacs over run_ms and peak. nodes_ms: the sum of the parts.
    profiling_ratio: nodes_ms over run_ms; what it is above 1 is the price of profiling, what below is between nodes.
    disturbed: not even one thread had a processor all the time, so that all of this is a guess.
    """

    products: dict[str, float]
    peak: float
    gmacs: float
    run_ms: float
    peak_share: float
    nodes_ms: float
    profiling_ratio: float
    disturbed: bool
    parts: tuple[Part, ...]


def can_measure(variant: Variant) -> bool:
    """Whether the engine tells what its nodes take."""
    return variant.engine in ("onnxruntime", "openvino")


def measure_efficiency(variant: Variant, repeats: int, progress: Callable[[int], None] = lambda _: None) -> Efficiency:
    """Profile a variant's network, by turns with runs without profiling and with matrix products.

    repeats: at least 1. Raises MissingPackageError if the engine, or for onnxruntime the package onnx, is missing.
    """
    crops, runtime = variant.crops(), variant.open()
    with tempfile.TemporaryDirectory() as folder:
        profiled = open_profiled(variant, Path(folder))
        products = profiled.products()
        works: list[Callable[[], object]] = [
            partial(runtime.heatmaps, crops),
            partial(profiled.run, crops),
            *(one.run for one in products),
        ]
        run, _, *timings = by_turns(works, repeats, progress)
        nodes = profiled.nodes()
    rates = {one.name: one.macs / timing.ms / 1e6 for one, timing in zip(products, timings, strict=True)}
    parts = parts_of(profiled.operations, profiled.heatmaps)
    taken = _ms_by_part(nodes, parts)
    macs = macs_by_part(profiled.operations, parts)
    return _efficiency(rates, run, taken, {name: variant.batch * count / 1e9 for name, count in macs.items()})


def macs_by_part(operations: Sequence[Operation], parts: Mapping[str, str]) -> dict[str, int]:
    """Multiply-accumulates of one crop. parts: of each operation, by name."""
    macs: dict[str, int] = defaultdict(int)
    for one in operations:
        macs[parts[one.name]] += one.macs
    return dict(macs)


def _ms_by_part(nodes: Sequence[Node], parts: Mapping[str, str]) -> dict[str, float]:
    """Time of each part. A node of several operations counts as the one that comes first in PARTS.

    Every run that counts comes right after one that does not (`turns.by_turns`).
    """
    taken: dict[str, float] = defaultdict(float)
    for node in nodes:
        found = [parts[name] for name in node.origins]
        part = min(found, key=PARTS.index) if found else "layout changes"
        taken[part] += float(np.median(node.ms[1::2]))
    return taken


def _efficiency(
    rates: dict[str, float], run: Timing, taken: Mapping[str, float], gmacs: Mapping[str, float]
) -> Efficiency:
    peak, nodes_ms, total = max(rates.values()), sum(taken.values()), sum(gmacs.values())
    parts = []
    for name in PARTS:
        ms, work = taken.get(name, 0.0), gmacs.get(name, 0.0)
        if ms > 0:
            rate = 1000 * work / ms
            parts.append(
                Part(name, round(ms, 4), round(ms / nodes_ms, 4), round(work, 6), round(rate, 3), round(rate / peak, 4))
            )
    return Efficiency(
        products={name: round(rate, 3) for name, rate in rates.items()},
        peak=round(peak, 3),
        gmacs=round(total, 6),
        run_ms=round(run.ms, 4),
        peak_share=round(1000 * total / run.ms / peak, 4),
        nodes_ms=round(nodes_ms, 4),
        profiling_ratio=round(nodes_ms / run.ms, 4),
        disturbed=run.cpu_ms < QUIET * run.ms,
        parts=tuple(parts),
    )

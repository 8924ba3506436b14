"""The same persons measured by networks with a part and without it, or read in several ways."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.data.coco import CocoFile
from lightpose.errors import ConfigError
from lightpose.evaluate.bootstrap import Interval, gain_intervals
from lightpose.evaluate.detections import Detections
from lightpose.evaluate.evaluation import Evaluation
from lightpose.evaluate.job import Job
from lightpose.evaluate.protocol import LIGHTPOSE, Protocol
from lightpose.evaluate.record import record, weight_facts
from lightpose.evaluate.report import Report
from lightpose.inference.top_down import Decoding, PredictOptions
from lightpose.runtime import Runtime
from lightpose.weights import find_weights
from lightpose.weights.open import open_runtime

__all__ = ["PAPER_BETAS", "Bench", "Measured", "ablate_decoders", "ablate_gc", "ablate_size", "decodings"]

PAPER_BETAS = (40.0, 80.0, 120.0, 160.0, 200.0)
"""Of Table 5 of the paper."""

Progress = Callable[[str, int, int], None]
"""Called with what is measured, how many persons are done, and how many there are."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One network measured in one way.

    facts: what the weights cost, see `weight_facts`. gain: of AP, in [-1, 1], over what it is compared with; None for
    that itself. interval: of the gain, where draws were asked for.
    """

    model: str
    report: Report
    facts: dict[str, Any]
    gain: float | None = None
    interval: Interval | None = None

    def to_record(self) -> dict[str, Any]:
        """The json object, with `gain` and `gain_interval` where there is one."""
        row = record(self.model, self.report, self.facts)
        if self.gain is not None:
            row["gain"] = round(self.gain, 6)
        if self.interval is not None:
            bounds = (self.interval.low, self.interval.high)
            row["gain_interval"] = [round(bound, 6) if math.isfinite(bound) else None for bound in bounds]
        return row


@dataclass(frozen=True, eq=False)
class Bench:
    """What all networks of an ablation are measured on, and how.

    detections: None for the given boxes. options: flip test and batch; its decoder and β where these are not ablated.
    resamples, seed: draws of the images for intervals of gains, 0 for none.
    """

    source: CocoFile
    options: PredictOptions
    detections: Detections | None = None
    protocol: Protocol = LIGHTPOSE
    resamples: int = 0
    seed: int = 0
    progress: Progress = lambda *_: None

    def __post_init__(self) -> None:
        if not self.source.document["annotations"]:
            raise ConfigError(f"{self.source.path} has no annotations, so no AP; give a labelled file")

    def job(self, runtime: Runtime) -> Job:
        """The evaluation of one network."""
        return Job(self.source, runtime, self.options, self.protocol, self.detections)

    def evaluate(self, name: str, job: Job, ways: Sequence[Decoding]) -> list[Evaluation]:
        """Run the network once and read its heatmaps in all these ways."""
        return job.run_decodings(ways, lambda done: self.progress(name, done, job.total))

    def compare(self, found: Sequence[tuple[Evaluation, Measured]]) -> list[Measured]:
        """Give all but the first their gain over it, with an interval if draws are wanted."""
        (base, first), *others = found
        evaluations = [evaluation for evaluation, _ in others]
        intervals: Sequence[Interval | None] = [None] * len(others)
        if self.resamples and others:
            gains = gain_intervals(self.source, base, evaluations, self.resamples, self.seed)
            intervals = [gain.ap for gain in gains]
        gained = [
            dataclasses.replace(one, gain=evaluation.scores.ap - base.scores.ap, interval=interval)
            for (evaluation, one), interval in zip(others, intervals, strict=True)
        ]
        return [first, *gained]


def decodings(betas: Sequence[float] = PAPER_BETAS) -> list[Decoding]:
    """Every decoder there is, those of the soft-argmax with each β; the first, argmax, is what the others gain over."""
    soft = [Decoding(name, beta) for name in ("softargmax", "softargmax_quarter") for beta in betas]
    return [
        Decoding("argmax"),
        Decoding("quarter"),
        *soft,
        Decoding("dark"),
        Decoding("dark_udp"),
        Decoding("expected_oks"),
    ]


def ablate_decoders(bench: Bench, models: Sequence[str], ways: Sequence[Decoding]) -> Iterator[list[Measured]]:
    """Each network read in all ways (Table 5 of the paper), from heatmaps that are computed once and not kept.

    ways: the first is what the others gain over. Yields a list for each network, in the order of the ways.
    """
    for model in models:
        path = weights_file(model)
        job = bench.job(open_runtime(path))
        facts = weight_facts(path, job.runtime.spec)
        evaluations = bench.evaluate(model, job, ways)
        reports = [job.read_by(way).report(one) for way, one in zip(ways, evaluations, strict=True)]
        yield bench.compare(
            [(one, Measured(model, report, facts)) for one, report in zip(evaluations, reports, strict=True)]
        )


def ablate_gc(bench: Bench, models: Sequence[str]) -> Iterator[list[Measured]]:
    """Networks trained without and with global context (Table 3 of the paper).

    Yields a list for each architecture and input size, those without first; the others gain over the first. Raises
    ConfigError, before the work, if a network has no such choice or if one kind is missing.
    """
    groups: dict[tuple[str, tuple[int, int]], list[tuple[bool, str, Runtime]]] = defaultdict(list)
    for model in models:
        runtime = open_runtime(weights_file(model))
        spec = runtime.spec
        if "gc" not in spec.options:
            raise ConfigError(f"{model} is a {spec.model}, which has no global context blocks to leave out")
        groups[spec.model, spec.input_hw].append((bool(spec.options["gc"]), model, runtime))
    for (name, size), members in groups.items():
        if {gc for gc, _, _ in members} != {False, True}:
            kind = "without" if members[0][0] else "with"
            raise ConfigError(f"of {name} at {size[0]}x{size[1]} there are no weights {kind} global context; add them")
    for members in groups.values():
        members.sort(key=lambda member: member[0])
        yield bench.compare([_measure(bench, model, runtime) for _, model, runtime in members])


def ablate_size(bench: Bench, models: Sequence[str], sizes: Sequence[tuple[int, int]] = ()) -> Iterator[list[Measured]]:
    """Networks over input sizes: each at its own, or each at all of `sizes` (height, width).

    Yields one list if each is at its own size, else a list for each network; the others gain over a list's first.
    Other sizes than its own need a .safetensors file: a graph's size is fixed.
    """
    if sizes:
        for model in models:
            yield bench.compare([_measure(bench, model, _open_at(model, size)) for size in sizes])
    else:
        yield bench.compare([_measure(bench, model, open_runtime(weights_file(model))) for model in models])


def weights_file(model: str) -> str:
    """The weights that are meant by a training run's folder: the best of it; anything else is left as it is."""
    return str(Path(model) / "best.safetensors") if Path(model).is_dir() else model


def _measure(bench: Bench, model: str, runtime: Runtime) -> tuple[Evaluation, Measured]:
    job = bench.job(runtime)
    [evaluation] = bench.evaluate(model, job, [bench.options.decoding(runtime.spec)])
    facts = weight_facts(weights_file(model), runtime.spec)
    return evaluation, Measured(model, job.report(evaluation), facts)


def _open_at(model: str, input_hw: tuple[int, int]) -> Runtime:
    """A network at another input size than it was trained at. Raises ConfigError if it does not take that."""
    path = find_weights(weights_file(model))
    if path.suffix != ".safetensors":
        raise ConfigError(f"{model} is fixed to one input size; give the .safetensors file that it was exported from")
    from lightpose.models import check_input
    from lightpose.runtime.torch import TorchRuntime
    from lightpose.weights.network import load_network

    network, spec = load_network(path)
    check_input(spec.model, network, input_hw)
    return TorchRuntime(network, dataclasses.replace(spec, input_hw=input_hw))

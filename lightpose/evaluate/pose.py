"""How good a pose network is on a data set: the whole of it, in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lightpose.data.coco import CocoFile
from lightpose.detect import BoxFunction, Detector, as_detector, check_threshold
from lightpose.detect.open import open_detector
from lightpose.errors import ConfigError
from lightpose.evaluate.bootstrap import gain_intervals
from lightpose.evaluate.detections import Detections, detect_people, open_source, read_detections
from lightpose.evaluate.evaluation import Evaluation
from lightpose.evaluate.job import Job
from lightpose.evaluate.pck import TABLE_SHARES, SizeName
from lightpose.evaluate.protocol import PROTOCOLS, NmsName, ProtocolName
from lightpose.evaluate.report import Against, Report, figures
from lightpose.inference.top_down import PredictOptions
from lightpose.runtime import EngineName, ModeName, PrecisionName
from lightpose.runtime.devices import CPU
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.types import DecoderName
from lightpose.weights.open import Network, open_network

__all__ = ["Evaluated", "Progress", "check_draws", "run"]

LEAST = 0.001
"""Least score of a person found by a network that finds boxes and joints at once: what such projects evaluate from."""

Progress = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, and how many there are."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """job: data set, network and protocol. evaluation: the poses found and their scores. report: figures to show."""

    job: Job
    evaluation: Evaluation
    report: Report

    def __str__(self) -> str:
        """The report's lines."""
        return self.report.to_text()


def run(
    model: str | Path | Network,
    annotations: str | Path,
    images: str | Path,
    *,
    boxes: str | Path | None = None,
    detector: str | Path | Detector | BoxFunction | None = None,
    box_threshold: float | None = None,
    protocol: ProtocolName = "lightpose",
    flip: bool = True,
    decoder: DecoderName | None = None,
    beta: float | None = None,
    padding: float | None = None,
    nms: NmsName = "hard",
    pck: SizeName = "box",
    bootstrap: int = 0,
    seed: int = 0,
    breakdown: bool = False,
    against: str | Path | Network | None = None,
    engine: EngineName = "auto",
    threads: int = 0,
    mode: ModeName = "latency",
    precision: PrecisionName | None = None,
    device: str = CPU,
    check: Callable[[Job], None] = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Evaluated:
    """Measure OKS AP and PCK of a pose network on a COCO keypoint file.

    model: bundled weights by name, a weights file, or an open network, for which engine, threads, mode, precision and
    device do not count. precision: that of the file if not given; bf16 is OpenVINO's. device: see `find_device`.
    boxes: COCO detection results to crop by; detector: a name, an .onnx file, or a function; the labelled people's own
    boxes if neither is given. What a detector loses against those stands in the report. A network that finds boxes and
    joints at once takes neither, and has no flip test. box_threshold: least score. padding: how much wider than its box
    a crop is. bootstrap: draws for 95 % intervals, 0 for none; seed: of those. against: another network, to be measured
    on the same people in the same boxes; with bootstrap, the report has intervals of the gain. check: called with all
    that is open, before the network runs. Raises ConfigError for what does not go together.

        print(evaluate.run("lpn50", "person_keypoints_val2017.json", "val2017", bootstrap=1000))
    """
    check_draws(bootstrap, seed)
    rules = dataclasses.replace(PROTOCOLS[protocol], nms=nms, size=pck)
    source = open_source(annotations, images)
    runtime = _opened(model, threads, engine, mode, precision, device)
    _check_people(boxes, detector, box_threshold, pck, runtime)
    options = _usable(runtime, rules.options(flip, decoder, beta, padding))
    people = None if boxes is None else read_detections(boxes, source, box_threshold)
    if detector is not None:
        people = _detect(source, detector, box_threshold, threads, device, progress)
    job = Job(source, runtime, options, rules, people, LEAST if box_threshold is None else box_threshold)
    if not job.labelled and (bootstrap or breakdown):
        raise ConfigError(f"{annotations} has no annotations: leave bootstrap, breakdown and plot out")
    other = None if against is None else _other(job, _opened(against, threads, engine, mode, None, device))
    check(job)
    evaluation = job.run(lambda done: progress(job.counted, done, job.total))
    report = job.report(evaluation, bootstrap, seed, breakdown)
    how = {"model": str(model), **report.how} if isinstance(model, str | Path) else report.how
    given = _given(job, progress) if detector is not None and job.labelled else {}
    versus = None if other is None else _against(against, other, evaluation, bootstrap, seed, progress)
    return Evaluated(job, evaluation, dataclasses.replace(report, how=how, given=given, against=versus))


def check_draws(bootstrap: int, seed: int) -> None:
    """Raise ConfigError unless so many draws can be made with that seed."""
    if bootstrap < 0 or seed < 0:
        raise ConfigError("bootstrap and seed must be whole numbers from 0 on; 0 draws give no intervals")


def _check_people(
    boxes: object, detector: object, box_threshold: float | None, pck: SizeName, network: Network
) -> None:
    """Raise ConfigError for ways to find people that do not go together."""
    detected = [name for name, value in (("boxes", boxes), ("detector", detector)) if value is not None]
    if len(detected) > 1:
        raise ConfigError("people come from a detector or from a file of boxes: give --detector or --boxes")
    if isinstance(network, OneStageRuntime):
        name, asked = network.spec.model, [f"--{detected[0]}"] if detected else []
        asked += ["--pck"] if pck != "box" else []
        if asked:
            raise ConfigError(f"{name} finds boxes and joints at once in whole images; leave {asked[0]} out")
        check_threshold(box_threshold, "the least score of a box")
        return
    if not detected and box_threshold is not None:
        raise ConfigError("a box threshold needs the boxes of a detector; give --detector or --boxes as well")
    if detected and pck != "box":
        raise ConfigError(f"PCK by the {pck} is measured in the given boxes; leave --{detected[0]} out")


def _usable(network: Network, options: PredictOptions) -> PredictOptions:
    """The options; of a network that takes whole images the batch alone. Raises ConfigError if others are asked for."""
    if not isinstance(network, OneStageRuntime):
        return options
    for name in ("decoder", "beta", "padding"):
        if getattr(options, name) is not None:
            raise ConfigError(
                f"{network.spec.model} finds boxes and joints at once in whole images; it takes no {name}"
            )
    return PredictOptions(batch=options.batch)


def _detect(
    source: CocoFile,
    detector: str | Path | Detector | BoxFunction,
    threshold: float | None,
    threads: int,
    device: str,
    progress: Progress,
) -> Detections:
    """A detector's boxes in all images."""
    named = detector
    if isinstance(detector, str | Path):
        detector = open_detector(detector, threshold, threads, device=device)
    find = as_detector(detector)
    if find.given:
        raise ConfigError(f"{named} is a file of boxes; give it with --boxes")
    total = len(source.document["images"])
    return detect_people(source, find, lambda done: progress("images", done, total))


def _opened(
    model: str | Path | Network,
    threads: int,
    engine: EngineName,
    mode: ModeName,
    precision: PrecisionName | None,
    device: str,
) -> Network:
    return open_network(model, threads, engine, mode, precision, device) if isinstance(model, str | Path) else model


def _other(job: Job, peer: Network) -> Job:
    """The same job with another network. Raises ConfigError if there is nothing to hold it against."""
    if not job.labelled:
        raise ConfigError(f"{job.source.path} has no annotations, so networks cannot be compared; leave against out")
    if job.counted != ("images" if isinstance(peer, OneStageRuntime) else "persons"):
        raise ConfigError(
            f"{job.runtime.spec.model} and {peer.spec.model} cannot be measured on the same people: one of them finds "
            "its own; measure each alone"
        )
    mine, theirs = (
        set(runtime.spec.skeleton.joints) & set(job.source.skeleton.joints) for runtime in (job.runtime, peer)
    )
    if mine != theirs:
        raise ConfigError(
            f"{job.runtime.spec.model} and {peer.spec.model} find different joints of {job.source.path}, so their "
            f"figures cannot be compared: {', '.join(sorted(mine ^ theirs))}"
        )
    return dataclasses.replace(job, runtime=peer)


def _against(
    named: str | Path | Network | None,
    other: Job,
    mine: Evaluation,
    bootstrap: int,
    seed: int,
    progress: Progress,
) -> Against:
    """The figures of another network on the same people, and what mine gains over it."""
    name = str(named) if isinstance(named, str | Path) else other.runtime.spec.model
    theirs = other.run(lambda done: progress(f"{other.counted}, {name}", done, other.total))
    size = other.protocol.size
    share = TABLE_SHARES[size][0]
    gains = gain_intervals(other.source, theirs, [mine], bootstrap, seed, share=share)[0] if bootstrap else None
    return Against(name, figures(theirs, size), gains)


def _given(job: Job, progress: Progress) -> dict[str, float]:
    """Figures in the given boxes, to hold a detector's against."""
    given = dataclasses.replace(job, detections=None)
    return figures(given.run(lambda done: progress("persons, given boxes", done, given.total)), job.protocol.size)

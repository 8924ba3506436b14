"""`lightpose evaluate`: OKS AP and more of weights on a data set."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightpose.errors import ConfigError
from lightpose.io.files import check_place
from lightpose.weights import DEFAULT

__all__ = ["Evaluate"]

if TYPE_CHECKING:
    from lightpose.data.coco import CocoFile
    from lightpose.evaluate.detections import Detections
    from lightpose.evaluate.evaluation import Evaluation
    from lightpose.evaluate.job import Job
    from lightpose.evaluate.report import Report


@dataclass(frozen=True)
class Evaluate:
    """Measure OKS AP and PCK of weights on a COCO keypoint file, in its own (given) boxes or in a detector's.

    Example: lightpose evaluate --annotations person_keypoints_val2017.json --images val2017
    """

    annotations: Path
    """COCO keypoint file; joints are matched by name. With --boxes also a file of pictures alone, as for test-dev."""
    images: Path
    """Folder of its pictures."""
    model: str = DEFAULT
    """Name of bundled weights, or a weights file (.onnx, .xml or .safetensors)."""
    boxes: Path | None = None
    """COCO detection results of people, to crop by; the labelled people's own boxes if not given."""
    detector: str | None = None
    """Find the people with this detector, builtin or an .onnx file, and say what that loses against the given boxes."""
    box_threshold: float | None = None
    """Pass over boxes that score less. Not given: those that the detector itself passes over; none of --boxes, as in
    the paper."""
    protocol: Literal["lightpose", "paper", "paper-code"] = "lightpose"
    """lightpose: the weights' own decoder. paper: the paper's decoder (β 160), and its areas for OKS-NMS.
    paper-code: the same with the quarter pixel that the authors' code adds."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network; see lightpose predict."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core that the process, or its container, may use."""
    mode: Literal["latency", "throughput"] = "latency"
    """OpenVINO only: all cores on one batch, or parts of it side by side."""
    flip: bool = True
    """Average with the mirrored crop, as the paper does."""
    decoder: Literal["argmax", "quarter", "softargmax", "softargmax_quarter", "dark", "expected_oks"] | None = None
    """How heatmaps become points; the protocol's or the weights' own if not given."""
    beta: float | None = None
    """β of the soft-argmax; the protocol's or the weights' own (160) if not given."""
    padding: float | None = None
    """How much wider than its box a person's crop is; the protocol's (1.25) or the weights' own if not given."""
    nms: Literal["hard", "soft", "none"] = "hard"
    """How OKS-NMS (threshold 0.9) drops poses that are nearly the same."""
    pck: Literal["box", "head", "torso"] = "box"
    """What joint errors are measured by: the box's longer side; the head (MPII's PCKh; persons need a head_box); or the
    torso (LSP's PCK). The latter two print a table by part of the body."""
    bootstrap: int = 0
    """Draws for 95 % intervals of AP, AP50, AP75 and PCK; 1000 is usual, 0 for none."""
    seed: int = 0
    """Of those draws."""
    breakdown: bool = False
    """Print kinds of error (jitter, inversion, swap, miss) and AP joint by joint."""
    plot: Path | None = None
    """Draw the breakdown to this file, such as errors.png. Needs matplotlib."""
    results: Path | None = None
    """Write COCO keypoint results to this json file."""
    report: Path | None = None
    """Write the figures, all that they depend on, and the network's cost to this json file, for lightpose paper."""
    submission: Path | None = None
    """Write a zip for COCO's evaluation server."""
    json: bool = False
    """Print one json object instead of text."""

    def run(self) -> int:
        """0 once the figures are printed and the files written."""
        from lightpose.cli.console import counting

        self._check()
        job = self._job()
        with counting("persons", job.persons) as advance:
            evaluation = job.run(advance)
        report = job.report(evaluation, self.bootstrap, self.seed, self.breakdown or self.plot is not None)
        report = dataclasses.replace(report, how={"model": self.model, **report.how}, given=self._given(job))
        written = self._write(job, evaluation, report)
        print(report.to_json() if self.json else "\n".join([report.to_text(), *written]))
        return 0

    def _check(self) -> None:
        """Raise ConfigError for options that do not go together or files that cannot be written, before the work."""
        if self.bootstrap < 0 or self.seed < 0:
            raise ConfigError("bootstrap and seed must be whole numbers from 0 on; 0 draws give no intervals")
        detected = [name for name in ("boxes", "detector") if getattr(self, name) is not None]
        if len(detected) > 1:
            raise ConfigError("people come from a detector or from a file of boxes: give --detector or --boxes")
        if not detected and self.box_threshold is not None:
            raise ConfigError("a box threshold needs the boxes of a detector; give --detector or --boxes as well")
        if detected and self.pck != "box":
            raise ConfigError(f"PCK by the {self.pck} is measured in the given boxes; leave --{detected[0]} out")
        if self.submission and self.submission.suffix != ".zip":
            raise ConfigError(f"COCO's server takes a zip; call the submission {self.submission.with_suffix('.zip')}")
        for path in (self.plot, self.results, self.report, self.submission):
            if path:
                check_place(path)
        if self.plot:
            from lightpose.evaluate.plot import check_plot

            check_plot(self.plot)

    def _job(self) -> Job:
        """Open everything. Raises ConfigError if a file without labels is asked for what needs them."""
        from lightpose.evaluate.detections import open_source
        from lightpose.evaluate.job import Job
        from lightpose.evaluate.protocol import PROTOCOLS
        from lightpose.evaluate.results import check_submission
        from lightpose.weights.open import open_runtime

        protocol = dataclasses.replace(PROTOCOLS[self.protocol], nms=self.nms, size=self.pck)
        options = protocol.options(self.flip, self.decoder, self.beta, self.padding)
        source = open_source(self.annotations, self.images)
        runtime = open_runtime(self.model, self.threads, self.engine, self.mode)
        job = Job(source, runtime, options, protocol, self._detections(source))
        if not job.labelled and (self.bootstrap or self.breakdown or self.plot):
            raise ConfigError(f"{self.annotations} has no annotations: leave bootstrap, breakdown and plot out")
        if not job.labelled and not (self.results or self.submission):
            raise ConfigError(f"{self.annotations} has no annotations, so no AP; name a results or submission file")
        if self.submission:
            check_submission(job.runtime.spec.skeleton)
        return job

    def _detections(self, source: CocoFile) -> Detections | None:
        """Boxes that are not the given ones, if so asked."""
        from lightpose.cli.console import counting
        from lightpose.detect.box_file import BoxFile
        from lightpose.detect.open import open_detector
        from lightpose.evaluate.detections import detect_people, read_detections

        if self.boxes is not None:
            return read_detections(self.boxes, source, self.box_threshold)
        if self.detector is None:
            return None
        detector = open_detector(self.detector, self.box_threshold, self.threads)
        if isinstance(detector, BoxFile):
            raise ConfigError(f"{self.detector} is a file of boxes; give it with --boxes")
        with counting("pictures", len(source.document["images"])) as advance:
            return detect_people(source, detector, advance)

    def _given(self, job: Job) -> dict[str, float]:
        """Figures in the given boxes, to hold a detector's against."""
        from lightpose.cli.console import counting
        from lightpose.evaluate.report import figures

        if self.detector is None or not job.labelled:
            return {}
        given = dataclasses.replace(job, detections=None)
        with counting("persons, given boxes", given.persons) as advance:
            return figures(given.run(advance), self.pck)

    def _write(self, job: Job, evaluation: Evaluation, report: Report) -> list[str]:
        """Write the files asked for; returns a line on each."""
        from lightpose.evaluate.record import record, weight_facts
        from lightpose.evaluate.results import write_results, write_submission
        from lightpose.io.files import write_aside

        lines = []
        if self.results:
            write_results(self.results, evaluation.results, job.source)
            lines.append(f"{self.results}: {len(evaluation.results)} poses")
        if self.report:
            facts = weight_facts(self.model, job.runtime.spec)
            write_aside(self.report, json.dumps(record(self.model, report, facts), indent=1).encode())
            lines.append(f"{self.report}: a record of the figures")
        if self.submission:
            member = write_submission(self.submission, evaluation.results, job.source)
            lines.append(f"{self.submission}: {member}, {len(evaluation.results)} poses")
        if self.plot and report.breakdown:
            from lightpose.evaluate.plot import plot_breakdown

            plot_breakdown(report.breakdown, self.plot)
            lines.append(f"{self.plot}: kinds of error by joint")
        return lines

"""`lightpose evaluate`: OKS AP and more of weights on a data set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightpose.errors import ConfigError
from lightpose.weights import DEFAULT

if TYPE_CHECKING:
    from lightpose.evaluate.coco import Evaluation
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
    """Name of bundled weights, or a weights file (.onnx or .safetensors)."""
    boxes: Path | None = None
    """COCO detection results of people, to crop by; the labelled people's own boxes if not given."""
    box_threshold: float | None = None
    """Pass over boxes that score less; none are, as in the paper, if not given."""
    protocol: Literal["lightpose", "paper", "paper-code"] = "lightpose"
    """lightpose: the weights' own decoder. paper: the paper's decoder (β 160), and its areas for OKS-NMS.
    paper-code: the same with the quarter pixel that the authors' code adds."""
    flip: bool = True
    """Average with the mirrored crop, as the paper does."""
    decoder: Literal["argmax", "quarter", "softargmax", "softargmax_quarter", "dark"] | None = None
    """How heatmaps become points; the protocol's or the weights' own if not given."""
    beta: float | None = None
    """β of the soft-argmax; the protocol's or the weights' own (160) if not given."""
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
        report = dataclasses.replace(report, how={"model": self.model, **report.how})
        written = self._write(job, evaluation, report)
        print(report.to_json() if self.json else "\n".join([report.to_text(), *written]))
        return 0

    def _check(self) -> None:
        """Raise ConfigError for options that do not go together or files that cannot be written, before the work."""
        if self.bootstrap < 0 or self.seed < 0:
            raise ConfigError("bootstrap and seed must be whole numbers from 0 on; 0 draws give no intervals")
        if self.boxes is None and self.box_threshold is not None:
            raise ConfigError("a box threshold needs the boxes of a detector; give --boxes as well")
        if self.boxes is not None and self.pck != "box":
            raise ConfigError(f"PCK by the {self.pck} is measured in the given boxes; leave --boxes out")
        if self.submission and self.submission.suffix != ".zip":
            raise ConfigError(f"COCO's server takes a zip; call the submission {self.submission.with_suffix('.zip')}")
        for path in (self.plot, self.results, self.submission):
            if path and not path.parent.is_dir():
                raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
            if path and path.is_dir():
                raise ConfigError(f"{path} is a folder; name a file in it")
        if self.plot:
            from lightpose.evaluate.plot import check_plot

            check_plot(self.plot)

    def _job(self) -> Job:
        """Open everything. Raises ConfigError if a file without labels is asked for what needs them."""
        from lightpose.evaluate.detections import open_source, read_detections
        from lightpose.evaluate.job import Job
        from lightpose.evaluate.protocol import PROTOCOLS
        from lightpose.evaluate.results import check_submission
        from lightpose.pipeline import open_runtime

        protocol = dataclasses.replace(PROTOCOLS[self.protocol], nms=self.nms, size=self.pck)
        options = protocol.options(self.flip, self.decoder, self.beta)
        source = open_source(self.annotations, self.images)
        detections = None if self.boxes is None else read_detections(self.boxes, source, self.box_threshold)
        job = Job(source, open_runtime(self.model), options, protocol, detections)
        if not job.labelled and (self.bootstrap or self.breakdown or self.plot):
            raise ConfigError(f"{self.annotations} has no annotations: leave bootstrap, breakdown and plot out")
        if not job.labelled and not (self.results or self.submission):
            raise ConfigError(f"{self.annotations} has no annotations, so no AP; name a results or submission file")
        if self.submission:
            check_submission(job.runtime.spec.skeleton)
        return job

    def _write(self, job: Job, evaluation: Evaluation, report: Report) -> list[str]:
        """Write the files asked for; returns a line on each."""
        from lightpose.evaluate.results import write_results, write_submission

        lines = []
        if self.results:
            write_results(self.results, evaluation.results, job.source)
            lines.append(f"{self.results}: {len(evaluation.results)} poses")
        if self.submission:
            member = write_submission(self.submission, evaluation.results, job.source)
            lines.append(f"{self.submission}: {member}, {len(evaluation.results)} poses")
        if self.plot and report.breakdown:
            from lightpose.evaluate.plot import plot_breakdown

            plot_breakdown(report.breakdown, self.plot)
            lines.append(f"{self.plot}: kinds of error by joint")
        return lines

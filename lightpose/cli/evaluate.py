"""`lightpose evaluate`: OKS AP and more of weights on a data set."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.errors import ConfigError
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT

__all__ = ["Evaluate"]

if TYPE_CHECKING:
    from lightpose.evaluate import Evaluated
    from lightpose.evaluate.job import Job


@dataclass(frozen=True)
class Evaluate:
    """Measure OKS AP and PCK of weights on a COCO keypoint file, in its own (given) boxes or in a detector's.

    Example: lightpose evaluate --annotations person_keypoints_val2017.json --images val2017
    """

    annotations: Reads
    """COCO keypoint file; joints are matched by name. With --boxes also a file of pictures alone, as for test-dev."""
    images: Reads
    """Folder of its pictures."""
    model: ReadsNamed = DEFAULT
    """Name of bundled or kept weights, an .onnx, .xml or .safetensors file, or another project's .onnx or .zip."""
    boxes: Reads | None = None
    """COCO detection results of people, to crop by; the labelled people's own boxes if not given."""
    detector: ReadsNamed | None = None
    """Find the people with this detector, builtin or an .onnx file, and say what that loses against the given boxes."""
    box_threshold: float | None = None
    """Pass over boxes that score less. Not given: those that the detector itself passes over; none of --boxes, as in
    the paper."""
    protocol: Literal["lightpose", "paper", "paper-code"] = "lightpose"
    """lightpose: the weights' own decoder. paper: the paper's decoder (β 160), and its areas for OKS-NMS.
    paper-code: the same with the quarter pixel that the authors' code adds."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network; see lightpose predict."""
    precision: Literal["float32", "bf16", "int8"] | None = None
    """int8 runs the network's int8 file, bf16 needs OpenVINO. Not given: the file as it is."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """Where the networks run; see lightpose predict."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core that the process, or its container, may use."""
    mode: Literal["latency", "throughput"] = "latency"
    """OpenVINO only: all cores on one batch, or parts of it side by side."""
    flip: bool = True
    """Average with the mirrored crop, as the paper does."""
    decoder: DecoderName | None = None
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
    against: ReadsNamed | None = None
    """Other weights, such as the float32 file of int8 ones: measure them on the same people too, and give the
    difference, with an interval if --bootstrap is given."""
    breakdown: bool = False
    """Print kinds of error (jitter, inversion, swap, miss) and AP joint by joint."""
    plot: Writes | None = None
    """Draw the breakdown to this file, such as errors.png. Needs matplotlib."""
    results: Writes | None = None
    """Write COCO keypoint results to this json file, and say what pycocotools needs to come to the same AP."""
    report: Writes | None = None
    """Write the figures, all that they depend on, and the network's cost to this json file, for lightpose paper."""
    submission: Writes | None = None
    """Write a zip for COCO's evaluation server."""
    json: bool = False
    """Print one json object instead of text."""

    def run(self) -> int:
        """0 once the figures are printed and the files written."""
        from lightpose.cli.console import counting_all
        from lightpose.evaluate import run

        self._check_files()
        with counting_all() as progress:
            found = run(
                self.model,
                self.annotations,
                self.images,
                boxes=self.boxes,
                detector=self.detector,
                box_threshold=self.box_threshold,
                protocol=self.protocol,
                flip=self.flip,
                decoder=self.decoder,
                beta=self.beta,
                padding=self.padding,
                nms=self.nms,
                pck=self.pck,
                bootstrap=self.bootstrap,
                seed=self.seed,
                breakdown=self.breakdown or self.plot is not None,
                against=self.against,
                engine=self.engine,
                precision=self.precision,
                device=self.device,
                threads=self.threads,
                mode=self.mode,
                check=self._check_job,
                progress=progress,
            )
        written = self._write(found)
        print(found.report.to_json() if self.json else "\n".join([found.report.to_text(), *written]))
        return 0

    def _check_files(self) -> None:
        """Raise ConfigError for files that cannot be written, before the work."""
        if self.submission and self.submission.suffix != ".zip":
            raise ConfigError(f"COCO's server takes a zip; call the submission {self.submission.with_suffix('.zip')}")
        if self.plot:
            from lightpose.evaluate.plot import check_plot

            check_plot(self.plot)

    def _check_job(self, job: Job) -> None:
        """Say what was assumed. Raise ConfigError if nothing would come of it, SkeletonError for COCO's server."""
        from lightpose.evaluate.results import check_submission
        from lightpose.runtime import notes_of

        for note in notes_of(job.runtime):
            print(f"lightpose: {note}", file=sys.stderr)
        if not job.labelled and not (self.results or self.submission):
            raise ConfigError(f"{self.annotations} has no annotations, so no AP; name a results or submission file")
        if self.submission:
            check_submission(job.runtime.spec.skeleton)

    def _write(self, found: Evaluated) -> list[str]:
        """Write the files asked for; returns a line on each."""
        from lightpose.evaluate.record import record, weight_facts
        from lightpose.evaluate.results import how_to_score, write_results, write_submission
        from lightpose.io.files import write_aside

        job, evaluation, report, lines = found.job, found.evaluation, found.report, []
        if self.results:
            write_results(self.results, evaluation.results, job.source)
            lines.append(f"{self.results}: {len(evaluation.results)} poses")
            for note in how_to_score(job.runtime.spec.skeleton, job.source.skeleton):
                print(f"lightpose: {self.results}: {note}", file=sys.stderr)
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

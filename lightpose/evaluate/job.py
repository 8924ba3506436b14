"""One evaluation from its parts: a data set, boxes, a network, and a protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lightpose.data.coco import CocoFile
from lightpose.errors import ConfigError
from lightpose.evaluate.bootstrap import bootstrap
from lightpose.evaluate.breakdown import break_down
from lightpose.evaluate.detections import Detections
from lightpose.evaluate.evaluation import Evaluation, evaluate_decodings
from lightpose.evaluate.pck import TABLE_SHARES
from lightpose.evaluate.protocol import Protocol
from lightpose.evaluate.report import Report, figures, pck_tables
from lightpose.inference.top_down import Decoding, PredictOptions
from lightpose.runtime import Runtime

__all__ = ["Job"]


@dataclass(frozen=True, eq=False)
class Job:
    """What to evaluate and how. detections: None for the given boxes.

    Raises ConfigError if there are neither, and SkeletonError if data set and network share no joint.
    """

    source: CocoFile
    runtime: Runtime
    options: PredictOptions
    protocol: Protocol
    detections: Detections | None = None

    def __post_init__(self) -> None:
        if self.detections is None and not self.labelled:
            raise ConfigError(f"{self.source.path} has no annotations, so no boxes either; give those of a detector")
        self.runtime.spec.skeleton.match(self.source.skeleton.joints)

    @property
    def labelled(self) -> bool:
        """Whether there is anything to hold results against."""
        return bool(self.source.document["annotations"])

    @property
    def persons(self) -> int:
        """How many persons are to be predicted."""
        return len(self.source.persons()) if self.detections is None else len(self.detections)

    def run(self, progress: Callable[[int], None] = lambda _: None) -> Evaluation:
        """Predict and score. progress: called with the number of persons done."""
        return self.run_decodings([self.options.decoding(self.runtime.spec)], progress)[0]

    def run_decodings(
        self, decodings: Sequence[Decoding], progress: Callable[[int], None] = lambda _: None
    ) -> list[Evaluation]:
        """The same by each way of reading heatmaps, which are computed once; `read_by` makes the job of each."""
        boxes = None if self.detections is None else self.detections.boxes
        return evaluate_decodings(self.source, boxes, self.runtime, self.options, decodings, progress, self.protocol)

    def read_by(self, decoding: Decoding) -> Job:
        """The job that reads heatmaps that way and is otherwise the same."""
        options = dataclasses.replace(self.options, decoder=decoding.decoder, beta=decoding.beta)
        return dataclasses.replace(self, options=options)

    def report(self, evaluation: Evaluation, resamples: int = 0, seed: int = 0, breakdown: bool = False) -> Report:
        """The figures that there are; resamples, seed: for intervals, 0 for none."""
        if not self.labelled:
            return Report(self.how())
        size = self.protocol.size
        reach = TABLE_SHARES[size][0]
        return Report(
            self.how(),
            figures(evaluation, size),
            {} if size == "box" else pck_tables(evaluation, size),
            bootstrap(self.source, evaluation, resamples, seed, share=reach) if resamples else None,
            break_down(self.source, evaluation.results) if breakdown else None,
        )

    def how(self) -> dict[str, Any]:
        """All that a figure depends on, for `Report.how`."""
        spec, options, protocol, detections = self.runtime.spec, self.options, self.protocol, self.detections
        decoding = options.decoding(spec)
        return {
            "network": spec.model,
            **spec.options,
            "data": str(self.source.path),
            "pictures": len(self.source.document["images"]),
            "persons": len(self.source.persons()),
            **({"boxes": "given"} if detections is None else detections.summary()),
            "protocol": protocol.name,
            "flip": options.flip,
            "decoder": decoding.decoder,
            "beta": decoding.beta,
            "geometry": spec.geometry,
            "padding": options.crop_padding(spec),
            "nms": protocol.nms,
            "nms_oks": protocol.nms_oks,
            "nms_areas": protocol.areas,
            "input": f"{spec.input_hw[0]}x{spec.input_hw[1]}",
            "engine": self.runtime.name,
            "precision": self.runtime.precision,
        }

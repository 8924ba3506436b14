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
from lightpose.evaluate.evaluation import Evaluation, evaluate_decodings, evaluate_whole
from lightpose.evaluate.pck import TABLE_SHARES
from lightpose.evaluate.protocol import Protocol
from lightpose.evaluate.report import Report, figures, pck_tables
from lightpose.inference.top_down import Decoding, PredictOptions
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.weights.open import Network

__all__ = ["Job"]

WHOLE = {"flip": False, "decoder": "none", "beta": 0.0, "geometry": "none", "padding": 0.0}
"""What a network that takes whole images has in place of flip test, decoder and crops."""


@dataclass(frozen=True, eq=False)
class Job:
    """What to evaluate and how. detections: None for the given boxes. threshold: least score of a person, of a network
    that finds boxes and joints at once, which takes neither.

    Raises ConfigError if there are neither, and SkeletonError if data set and network share no joint.
    """

    source: CocoFile
    runtime: Network
    options: PredictOptions
    protocol: Protocol
    detections: Detections | None = None
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.detections is None and not self.labelled and self.counted == "persons":
            raise ConfigError(f"{self.source.path} has no annotations, so no boxes either; give those of a detector")
        self.runtime.spec.skeleton.match(self.source.skeleton.joints)

    @property
    def labelled(self) -> bool:
        """Whether there is anything to hold results against."""
        return bool(self.source.document["annotations"])

    @property
    def counted(self) -> str:
        """What `total` and progress count."""
        return "images" if isinstance(self.runtime, OneStageRuntime) else "persons"

    @property
    def persons(self) -> int:
        """How many persons are to be predicted, as far as their boxes are known."""
        return len(self.source.persons()) if self.detections is None else len(self.detections)

    @property
    def total(self) -> int:
        """How many there are of what is counted."""
        return len(self.source.document["images"]) if self.counted == "images" else self.persons

    def run(self, progress: Callable[[int], None] = lambda _: None) -> Evaluation:
        """Predict and score. progress: called with how many are done."""
        if isinstance(self.runtime, OneStageRuntime):
            return evaluate_whole(self.source, self.runtime, self.threshold, progress, self.protocol)
        return self.run_decodings([self.options.decoding(self.runtime.spec)], progress)[0]

    def run_decodings(
        self, decodings: Sequence[Decoding], progress: Callable[[int], None] = lambda _: None
    ) -> list[Evaluation]:
        """The same by each way of reading heatmaps, which are computed once; `read_by` makes the job of each."""
        boxes, runtime = None if self.detections is None else self.detections.boxes, self.runtime
        if isinstance(runtime, OneStageRuntime):
            raise ConfigError(f"{runtime.spec.model} finds boxes and joints at once: there are no heatmaps to read")
        return evaluate_decodings(self.source, boxes, runtime, self.options, decodings, progress, self.protocol)

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
        spec, options, protocol = self.runtime.spec, self.options, self.protocol
        decoding = options.decoding(spec)
        return {
            "network": spec.model,
            **spec.options,
            "data": str(self.source.path),
            "pictures": len(self.source.document["images"]),
            "persons": len(self.source.persons()),
            **self._boxes(),
            "protocol": protocol.name,
            "flip": options.flip,
            "decoder": decoding.decoder,
            "beta": decoding.beta,
            "geometry": spec.geometry,
            "padding": options.crop_padding(spec),
            **(WHOLE if self.counted == "images" else {}),
            "nms": protocol.nms,
            "nms_oks": protocol.nms_oks,
            "nms_areas": protocol.areas,
            "input": f"{spec.input_hw[0]}x{spec.input_hw[1]}",
            "engine": self.runtime.name,
            "precision": self.runtime.precision,
        }

    def _boxes(self) -> dict[str, Any]:
        """Where the boxes are from."""
        if self.counted == "images":
            return {"boxes": "the network's own", "box_threshold": self.threshold}
        return {"boxes": "given"} if self.detections is None else self.detections.summary()

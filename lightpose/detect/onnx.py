"""Person detectors in ONNX files: lightpose's own, and other projects' (see `layouts`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightpose.detect import check_threshold
from lightpose.detect.layouts import Found, Probe, find_layout, of_one_image
from lightpose.errors import WeightsError
from lightpose.ops.boxes import nms, to_xywh
from lightpose.ops.letterbox import PAD, letterbox
from lightpose.results import Boxes, number_in_name
from lightpose.runtime import PrecisionName
from lightpose.runtime.devices import CPU
from lightpose.runtime.graph import Outputs, naming
from lightpose.runtime.image_graph import ImageGraph
from lightpose.runtime.onnx import Session, read_ap_loss
from lightpose.types import SOURCE_KEY, SPEC_KEY, DetectorSpec, FloatArray, ImageArray

__all__ = ["NMS_IOU", "OnnxDetector"]

THRESHOLD = 0.3
"""Least score of a box where the file does not say."""
NMS_IOU = 0.6
"""Overlap above which two boxes are taken for one person's."""


class OnnxDetector:
    """Finds the people of an image with a detector from an ONNX file, run by ONNX Runtime.

    threshold: least score of a box, in [0, 1]; the file's own if not given. threads: 0 for one on each usable core.
    device: as `find_device` gives it, none of OpenVINO's. min_person_score: of a person, see DetectorSpec; 0 where the
    file does not say. name: what a report calls it. precision: float32, or int8 for a file that `lightpose quantize`
    made. made_from: SHA-256 of the file that an int8 one was made from. ap_loss: points of box AP that it lost, NaN if
    unknown. Raises WeightsError if the file is missing, damaged, or no person detector that is known.
    """

    given = False

    def __init__(self, path: str | Path, threshold: float | None = None, threads: int = 0, device: str = CPU) -> None:
        check_threshold(threshold)
        self.path = Path(path)
        self._graph = ImageGraph(self.path, threads, "person detector", device=device)
        metadata = self._graph.metadata
        self.made_from, self.ap_loss = metadata.get(SOURCE_KEY), read_ap_loss(metadata)
        self.precision: PrecisionName = "float32" if self.made_from is None else "int8"
        with naming(self.path):
            spec = DetectorSpec.from_json(metadata[SPEC_KEY]) if SPEC_KEY in metadata else None
            self._layout = find_layout(Probe(self.path.stem, self._graph.hw, metadata, self._graph.grey()))
            self._person = self._layout.person_class(metadata)
        self._pad = PAD if spec is None else spec.pad
        default = THRESHOLD if spec is None else spec.threshold
        self.threshold = default if threshold is None else threshold
        self.min_person_score = 0.0 if spec is None else spec.min_person_score
        self.name = f"{self.path.name} ({self._layout.name})"

    def __call__(self, image: ImageArray, path: Path | None = None) -> Boxes:  # noqa: ARG002 - it sees pixels alone
        """People of an RGB image, the surest first. Raises WeightsError if the network gives no finite numbers."""
        return self.find_all([image])[0]

    @property
    def lanes(self) -> int:
        """How many threads there are."""
        return self._graph.lanes

    def find_all(self, images: Sequence[ImageArray]) -> list[Boxes]:
        """People of each image; each thread takes whole images, which is faster than all threads on one."""
        return self._graph.each(self._find, images)

    def _find(self, image: ImageArray, session: Session) -> Boxes:
        boxed = letterbox(image, self._graph.hw, self._pad)
        with naming(self.path), np.errstate(all="ignore"):  # infinities are looked for in what comes of them
            outputs = of_one_image(self._graph.run(boxed.pixels, self._layout.pixels, session))
            xyxy, scores = self._choose(self._decode(outputs))
        xywh = to_xywh(boxed.to_picture(xyxy))
        seen = (xywh[:, 2:] >= 1).all(axis=1)  # what is left of a box in the grey is no person
        return Boxes(xywh[seen], scores[seen])

    def image_id(self, path: Path) -> int | None:
        """The number that the image is named by, if it is."""
        return number_in_name(path)

    def _decode(self, outputs: Outputs) -> Found:
        """Boxes and scores of what the network gives for one image."""
        try:
            return self._layout.decode(outputs, self._person, self._graph.hw)
        except (ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in outputs.items())
            raise WeightsError(f"what it gives does not fit its input or itself: {shapes}") from error

    def _choose(self, found: Found) -> tuple[FloatArray, FloatArray]:
        """Of all boxes those that score enough, one a person, best first."""
        xyxy, scores = (np.asarray(value, np.float32) for value in found)
        if xyxy.shape != (len(scores), 4):
            raise WeightsError(f"it gives boxes of shape {xyxy.shape} and scores of shape {scores.shape} for one image")
        sure = scores >= self.threshold
        if not (np.isfinite(xyxy[sure]).all() and np.isfinite(scores).all()):
            raise WeightsError("its boxes are not finite numbers, so its weights are damaged")
        sure &= (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        xyxy, scores = xyxy[sure], np.clip(scores[sure], 0, 1)
        order = np.argsort(-scores, kind="stable") if self._layout.suppressed else nms(xyxy, scores, NMS_IOU)
        return xyxy[order], scores[order]

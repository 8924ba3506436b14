"""Other projects' networks that find boxes and joints at once, run as they are: an image in, its people out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import WeightsError
from lightpose.ops.boxes import nms, to_xywh
from lightpose.ops.letterbox import Letterbox, letterbox
from lightpose.results import Boxes, Poses
from lightpose.runtime import EngineName, PrecisionName
from lightpose.runtime.adopted import OpenVinoGraph
from lightpose.runtime.devices import CPU
from lightpose.runtime.graph import Outputs, Pixels, naming
from lightpose.runtime.image_graph import ImageGraph
from lightpose.runtime.one_stage_layouts import OneStageLayout, OneStageProbe, People, find_one_stage_layout
from lightpose.runtime.onnx import Session
from lightpose.types import ImageArray, ModelSpec

__all__ = ["OneStageRuntime"]

MOST_PEOPLE = 300
"""Of an image, the surest; as many as Ultralytics keeps."""


class OneStageRuntime:
    """Runs a network that takes the place of detector and pose network, with ONNX Runtime or OpenVINO.

        OneStageRuntime("yolo11n-pose.onnx", spec).find(image).keypoints

    An image is letterboxed into the network's input. Its people score what the network scores their boxes, as in the
    projects' own evaluations. Duplicates are suppressed as the project does it, if the graph does not. Joints are not
    clipped to the image.

    spec: what is known of the file, or assumed. engine: onnxruntime or openvino. bf16: OpenVINO's. notes: a sentence
    for each thing that was assumed. device: as `find_device` gives it, one of the engine's. threshold: least score of a
    person that the project itself shows. Raises WeightsError if the file is no such network, or has another number of
    joints than its spec.
    """

    def __init__(
        self,
        path: str | Path,
        spec: ModelSpec,
        threads: int = 0,
        engine: EngineName = "onnxruntime",
        bf16: bool = False,
        notes: tuple[str, ...] = (),
        device: str = CPU,
    ) -> None:
        self._made = (Path(path).absolute(), spec, threads, engine, bf16, notes, device)
        self.path: Path | None = Path(path)
        self.spec, self.notes, self.name = spec, notes, engine
        self.precision: PrecisionName = "bf16" if bf16 else "float32"
        own = CPU if engine == "openvino" else device
        self._graph = ImageGraph(Path(path), threads, "pose network", spec.input_hw, own)
        self._pixels = Pixels.of(spec)
        self._openvino = OpenVinoGraph(self._made[0], threads, bf16, device) if engine == "openvino" else None
        with naming(Path(path)):
            self._layout = self._fitting()
        self.threshold = self._layout.threshold

    def __reduce__(self) -> tuple[Any, ...]:
        return OneStageRuntime, self._made  # a copy opens the file again

    @property
    def lanes(self) -> int:
        """How many images are worked on at once."""
        return self._graph.lanes

    def find(self, image: ImageArray, threshold: float | None = None) -> Poses:
        """People of an RGB image (H, W, 3), the surest first.

        threshold: least score of a person, the project's own if not given. Raises WeightsError if the network gives no
        finite numbers.
        """
        return self.find_all([image], threshold)[0]

    def find_all(self, images: Sequence[ImageArray], threshold: float | None = None) -> list[Poses]:
        """People of each image; each thread takes whole images."""
        least = self.threshold if threshold is None else threshold
        return self._graph.each(partial(self._find, least), images)

    def tensor(self, image: ImageArray) -> NDArray[Any]:
        """An image of the network's size as the graph takes it."""
        return self._graph.input.tensor(image[None], self._pixels)

    def _fitting(self) -> OneStageLayout:
        """The layout of the file, if it fits the spec."""
        probe = self._probe(self._graph.grey())
        layout, joints = find_one_stage_layout(probe), len(self.spec.skeleton)
        found = 0 if layout is None else layout.joints(probe)
        if layout is None or found != joints:
            what = f"{layout.name} of {found}" if layout else "no boxes with"
            raise WeightsError(
                f"it gives {what} joints, not boxes with {joints} as its description says; adopt it again: lightpose "
                "weights adopt"
            )
        return layout

    def _probe(self, given: Outputs) -> OneStageProbe:
        return OneStageProbe(self._graph.hw, self._graph.metadata, given)

    def _find(self, threshold: float, image: ImageArray, session: Session) -> Poses:
        boxed = letterbox(image, self._graph.hw)
        with naming(self._made[0]), np.errstate(all="ignore"):  # infinities are looked for in what comes of them
            people = self._layout.people(self._probe(self._run(boxed.pixels, session)), len(self.spec.skeleton))
            return self._placed(self._chosen(people, threshold), boxed)

    def _run(self, pixels: ImageArray, session: Session) -> Outputs:
        if self._openvino is not None:
            return self._openvino.run(self.tensor(pixels))
        return self._graph.run(pixels, self._pixels, session)

    def _chosen(self, found: People, threshold: float) -> People:
        """Of all people those that score enough, each once, best first."""
        sure = found.scores >= threshold
        some = People(*(each[sure] for each in found))
        if not all(np.isfinite(each).all() for each in (*some, found.scores)):
            raise WeightsError("its boxes and joints are not finite numbers, so its weights are damaged")
        scores = np.clip(some.scores, 0, 1)
        if self._layout.nms_iou is None:
            order = np.argsort(-scores, kind="stable")
        else:
            order = nms(some.boxes_xyxy, scores, self._layout.nms_iou)
        order = order[:MOST_PEOPLE]
        return People(some.boxes_xyxy[order], scores[order], some.keypoints[order])

    def _placed(self, people: People, boxed: Letterbox) -> Poses:
        """The people in the image, but for those whose boxes lie in the grey around it."""
        xywh = to_xywh(boxed.to_picture(people.boxes_xyxy))
        seen = (xywh[:, 2:] >= 1).all(axis=1)
        keypoints, scores = people.keypoints[seen].copy(), people.scores[seen]
        keypoints[..., :2] /= np.array(boxed.scale_xy, np.float32)
        return Poses(keypoints, scores, Boxes(xywh[seen], scores), self.spec.skeleton, boxed.picture_hw)

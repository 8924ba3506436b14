"""The values that travel between the parts: boxes, poses, labelled persons, and what a weights file says of itself."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, SkeletonError, WeightsError
from lightpose.skeletons import Skeleton

__all__ = [
    "AP_LOSS_KEY",
    "LARGEST_SIDE",
    "PADDING",
    "SOURCE_KEY",
    "SPECS",
    "SPEC_KEY",
    "ColorOrder",
    "DecoderName",
    "DetectorSpec",
    "FamilyName",
    "FloatArray",
    "Frame",
    "GeometryName",
    "ImageArray",
    "ModelSpec",
    "Person",
    "Spec",
    "TaskName",
    "check_padding",
    "read_spec",
    "task_of",
]

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a description that is none ends in."""

LARGEST_SIDE = 4096
"""Of a network's input, in pixels; a file that says more is damaged, or meant to fill the memory."""

SPEC_KEY = "lightpose"
"""Name under which a weights file's metadata holds its `ModelSpec` or `DetectorSpec`, in safetensors and ONNX files."""

SOURCE_KEY = "lightpose_source_sha256"
"""The same for the SHA-256 of the float file that an int8 graph was made from; no other file has it."""

AP_LOSS_KEY = "lightpose_ap_loss"
"""The same for the points of AP that an int8 graph lost, the most of all sets that it was measured on."""

PADDING = 1.25
"""How much wider than the box a crop is, in the paper and its predecessors."""

PADDINGS = (0.1, 10.0)
"""The least and the most that makes an image of a person."""

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]
"""An image: (H, W, 3), RGB."""

ColorOrder = Literal["rgb", "bgr"]
GeometryName = Literal["msra", "udp"]
DecoderName = Literal["argmax", "quarter", "softargmax", "softargmax_quarter", "dark", "dark_udp", "expected_oks"]

FamilyName = Literal["heatmaps", "simcc", "points", "people"]
"""What a pose network gives for each joint of a crop: a heatmap; its likelihood along each axis (SimCC); or the point
itself. Or, for a whole image, the boxes and joints of all people in it."""

TaskName = Literal["pose", "detector"]
"""What a network is for. Each task has a row in a table on each floor: SPECS here (how its description is read),
BUILDERS in models, EXPORTERS in export, and TASKS in train (its configuration, data, loss and measure). No table can
hold the whole row, since a lower floor knows no higher one. A new task is a name here and a row in each; a test keeps
them complete."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image on its way to poses.

    image: (H, W, 3) uint8 RGB. name: what results call it. index: its number in its source, from 0. time_s: seconds
    from the start of its source, None for a still image. path: the file it is from, by which a file of boxes goes.
    """

    image: ImageArray
    name: str = ""
    index: int = 0
    time_s: float | None = None
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class Person:
    """One labelled person of a data set.

    image_path: the image. box_xywh: (4,) float32. keypoints: (K, 2) float32 in the data set's joint order.
    visibility: (K,) int8: 0 unlabelled, 1 labelled but hidden, 2 visible. upright: whether the labels are of the image
    turned as its EXIF orientation says, and not as it is stored.
    """

    image_path: Path
    image_id: int
    annotation_id: int
    image_hw: tuple[int, int]
    box_xywh: FloatArray
    keypoints: FloatArray
    visibility: NDArray[np.int8]
    area: float
    upright: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to use a weights file rightly; it travels inside the file.

    model, options: the row of the MODELS table and its arguments. input_hw: crop size in pixels, divisible by 16.
    color_order, mean, std: how a crop is normalised, (pixel / 255 - mean) / std, channels in that order.
    geometry, padding: how a box becomes a crop, and how much wider than the box that is. sigma, stride: the Gaussian it
    geometry, padding: how a box becomes a crop, and how much wider than the box that is. sigma, stride: the Gaussian it
    was trained on, in heatmap pixels. decoder, beta: how heatmaps become points. family: what the network gives; sigma,
    stride, decoder and beta are for heatmaps, and of `people` geometry and padding mean nothing either, as input_hw is
    the whole image's. adopted: the graph is another project's: it takes normalised pixels and gives what its family
    does, while graphs of lightpose take bytes, and give keypoints as well.
    """

    task: ClassVar[TaskName] = "pose"
    model: str
    skeleton: Skeleton
    input_hw: tuple[int, int] = (256, 192)
    options: dict[str, bool | int] = field(default_factory=dict)
    color_order: ColorOrder = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    geometry: GeometryName = "msra"
    padding: float = PADDING
    decoder: DecoderName = "softargmax"
    beta: float = 160.0
    sigma: float = 2.0
    stride: int = 4
    family: FamilyName = "heatmaps"
    adopted: bool = False

    def __post_init__(self) -> None:
        _check_input(self, "(256, 192)")
        for name, known in (("geometry", GeometryName), ("decoder", DecoderName), ("family", FamilyName)):
            _check_choice(self, name, known)
        check_padding(self.padding)
        for name in ("beta", "sigma", "stride"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"{name} must be above 0, not {getattr(self, name)}")

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """Height and width of the network's heatmaps."""
        return self.input_hw[0] // self.stride, self.input_hw[1] // self.stride

    @property
    def finds(self) -> str:
        """What the network finds, in a word or two."""
        return f"{len(self.skeleton)} joints"

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """What an exported graph gives for one crop, by name. The spec says nothing of what an adopted one gives."""
        if self.adopted:
            return {}
        joints = len(self.skeleton)
        return {"heatmaps": (1, joints, *self.heatmap_hw), "keypoints": (1, joints, 3)}

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The spec written by `to_json`. Raises WeightsError if it is not one."""
        try:
            table = json.loads(text)
            if table.get("kind") == DetectorSpec.task:
                raise WeightsError("this is a person detector, not a pose network; give it to --detector")
            skeleton = table.pop("skeleton")
            limbs = tuple((a, b) for a, b in skeleton["limbs"])
            table["skeleton"] = Skeleton(skeleton["name"], tuple(skeleton["joints"]), limbs, tuple(skeleton["sigmas"]))
            for name in ("input_hw", "mean", "std"):
                table[name] = tuple(table[name])
            return cls(**table)
        except (*_MALFORMED, ConfigError, SkeletonError) as error:
            raise WeightsError(f"the model's description is damaged or from another version ({error})") from error


@dataclass(frozen=True)
class DetectorSpec:
    """What a person detector's file says of it, as `ModelSpec` does of a pose network.

    model, options: the row of the DETECTORS table and its arguments. input_hw: size of its input in pixels, divisible
    by 32; an image is shrunk or enlarged to fit, put at the top left, and the rest filled with `pad` (grey, 0 to 255).
    color_order, mean, std: see ModelSpec. threshold, min_person_score: unless the user says otherwise, boxes that score
    less than the former are left out, and, once their joints are known, people who score less than the latter. labels:
    what it finds.
    """

    task: ClassVar[TaskName] = "detector"
    model: str
    input_hw: tuple[int, int] = (320, 320)
    options: dict[str, bool | int] = field(default_factory=dict)
    color_order: ColorOrder = "rgb"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    pad: int = 114
    threshold: float = 0.3
    labels: tuple[str, ...] = ("person",)
    min_person_score: float = 0.0

    def __post_init__(self) -> None:
        _check_input(self, "(320, 320)", 32)
        if not 0 <= self.pad <= 255:
            raise ConfigError(f"pad must be a grey from 0 to 255, not {self.pad}")
        for name in ("threshold", "min_person_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], not {getattr(self, name)}")

    @property
    def finds(self) -> str:
        """What the network finds, in a word or two."""
        return ", ".join(self.labels)

    @property
    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """As of a ModelSpec. The spec says nothing of how many boxes there are."""
        return {}

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps({"kind": self.task, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> DetectorSpec:
        """The spec written by `to_json`. Raises WeightsError if it is not one, such as that of a pose network."""
        try:
            table = json.loads(text)
            if table.pop("kind", "pose") != cls.task:
                raise WeightsError("this is a pose network, not a person detector; give it to --model")
            if "least_score" in table:  # the name in files of version 0.1
                table["min_person_score"] = table.pop("least_score")
            for name in ("input_hw", "mean", "std", "labels"):
                table[name] = tuple(table[name])
            return cls(**table)
        except (*_MALFORMED, ConfigError) as error:
            raise WeightsError(f"the detector's description is damaged or from another version ({error})") from error


Spec = ModelSpec | DetectorSpec

SPECS: dict[TaskName, type[Spec]] = {"pose": ModelSpec, "detector": DetectorSpec}


def read_spec(text: str) -> Spec:
    """The spec of whatever task a description, as `to_json` wrote it, is of. Raises WeightsError if it is none."""
    return SPECS[task_of(text)].from_json(text)


def task_of(text: str) -> TaskName:
    """The task of a description; pose where it names none. Whether the rest of it is sound, its reader says."""
    try:
        kind = json.loads(text)["kind"]
    except _MALFORMED:
        kind = "pose"
    return next((task for task in SPECS if task == kind), "pose")


def _check_input(spec: Spec, example: str, multiple: int = 16) -> None:
    """Raise ConfigError unless a spec's input size, colour order, mean and spread are ones."""
    good = [multiple <= side <= LARGEST_SIDE and side % multiple == 0 for side in spec.input_hw]
    if len(good) != 2 or not all(good):
        raise ConfigError(
            f"input_hw {spec.input_hw} must be two multiples of {multiple} up to {LARGEST_SIDE}, such as {example}"
        )
    _check_choice(spec, "color_order", ColorOrder)
    for name, least in (("mean", -math.inf), ("std", 0)):
        values = getattr(spec, name)
        if len(values) != 3 or not all(math.isfinite(v) and v > least for v in values):
            raise ConfigError(f"{name} {values} must be three finite numbers" + (", above 0" if least == 0 else ""))


def check_padding(padding: float) -> None:
    """Raise ConfigError unless so much wider than its box can a crop be."""
    least, most = PADDINGS
    if not least <= padding <= most:  # NaN included
        raise ConfigError(f"padding must be from {least:g} to {most:g}, times the box, not {padding}")


def _check_choice(spec: object, name: str, known: Any) -> None:
    if getattr(spec, name) not in get_args(known):
        raise ConfigError(f"{name} {getattr(spec, name)!r} is unknown; use {', '.join(get_args(known))}")

"""What no tensor can tell of a network, such as the order of colours: asked, read, or known of the project it is from.

The COCO models of the LPN authors and all of pose_resnet's are fed BGR pixels with the RGB-ordered ImageNet mean and
spread (COLOR_RGB is false in their configurations); the LPN authors' MPII models, pose_hrnet's and MMPose's RGB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lightpose.errors import WeightsError
from lightpose.skeletons import COCO17, LSP14, MPII16, Skeleton
from lightpose.types import PADDING, ColorOrder, DecoderName, GeometryName, ModelSpec
from lightpose.weights.foreign.recognise import LPN_AUTHORS, MMPOSE, POSE_RESNET, Recognised

__all__ = ["ASSUMED", "LikeName", "Settings", "settle"]

LikeName = Literal[
    "rtmpose", "rtmw", "dwpose", "hrnet", "simplebaseline", "litehrnet", "vitpose", "movenet", "yolo-pose", "rtmo"
]
"""Projects whose graphs are adopted."""

ASSUMED = "assumed"

_SKELETONS = {17: COCO17, 16: MPII16, 14: LSP14}


@dataclass(frozen=True)
class Settings:
    """Parts of a ModelSpec, see there; None where nothing is known."""

    skeleton: Skeleton | None = None
    input_hw: tuple[int, int] | None = None
    color_order: ColorOrder | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    geometry: GeometryName | None = None
    padding: float | None = None
    decoder: DecoderName | None = None
    sigma: float | None = None


def settle(found: Recognised, asked: Settings, read: Settings, path: object) -> tuple[ModelSpec, dict[str, str]]:
    """The spec of a recognised network, and for each setting where it is from: `asked`, `read`, or `assumed: why`.

    asked: goes before all. read: what the file itself says. Raises WeightsError if the skeleton is not known or has
    another number of joints, ConfigError if a setting has a value it cannot take.
    """
    if read.skeleton is not None and len(read.skeleton) != found.joints:
        read = dataclasses.replace(read, skeleton=None)
    sources = (
        *((name, value, "asked") for name, value in _given(asked)),
        *((name, value, "read") for name, value in _given(read)),
        *((name, value, f"{ASSUMED}: {why}") for name, (value, why) in _usual(found, asked, read).items()),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, value, origin in sources:
        if name not in values:
            values[name], origins[name] = value, origin
    _check_skeleton(values.get("skeleton"), found, path)
    order = [field.name for field in dataclasses.fields(Settings) if field.name in origins]
    return ModelSpec(found.model, options=found.options, **values), {name: origins[name] for name in order}


def _given(settings: Settings) -> list[tuple[str, Any]]:
    pairs = ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings))
    return [(name, value) for name, value in pairs if value is not None]


def _usual(found: Recognised, asked: Settings, read: Settings) -> Mapping[str, tuple[Any, str]]:
    """What such networks usually have, and why one thinks so."""
    mpii = found.joints == 16
    bgr = found.origin == POSE_RESNET or (found.origin == LPN_AUTHORS and not mpii)
    input_hw = (256, 256) if mpii else (256, 192)
    height = (asked.input_hw or read.input_hw or input_hw)[0]
    usual: dict[str, tuple[Any, str]] = {
        "input_hw": (input_hw, f"the usual size for {found.joints} joints"),
        "color_order": ("bgr" if bgr else "rgb", f"as {found.origin} has it"),
        "mean": (ModelSpec.mean, "ImageNet's, as all of them have it"),
        "std": (ModelSpec.std, "ImageNet's, as all of them have it"),
        "geometry": ("msra", f"as {found.origin} has it"),
        "padding": (PADDING, "as all of them have it"),
        "decoder": ("softargmax" if found.origin == LPN_AUTHORS else "quarter", f"as {found.origin} has it"),
        "sigma": (3.0 if height >= 384 else 2.0, f"the usual width for inputs {height} high"),
    }
    if (asked.geometry or read.geometry) == "udp":
        usual["decoder"] = ("dark_udp", "usual with UDP")
    # 14 joints in MMPose are CrowdPose's or AI Challenger's, in orders of their own
    if found.joints in _SKELETONS and not (found.origin == MMPOSE and found.joints == 14):
        usual["skeleton"] = (_SKELETONS[found.joints], f"the usual one of {found.joints} joints")
    return usual


def _check_skeleton(skeleton: Skeleton | None, found: Recognised, path: object) -> None:
    if skeleton is None:
        offsets = found.joints % 3 == 0 and found.joints // 3 in _SKELETONS
        hint = " (three for each joint: a UDP network with offsets, which cannot be decoded here?)" if offsets else ""
        raise WeightsError(
            f"{path} holds {found.model} of {found.origin} with {found.joints} heatmaps{hint}, and which joints these "
            "are is not known; name them in a skeleton file (--skeleton)"
        )
    if len(skeleton) != found.joints:
        raise WeightsError(
            f"{path} has {found.joints} heatmaps, the skeleton {skeleton.name!r} has {len(skeleton)} joints; "
            "give one that fits (--skeleton)"
        )

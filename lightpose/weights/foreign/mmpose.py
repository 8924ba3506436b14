"""What MMPose wrote into a checkpoint's `meta`: the configuration as Python text (0.x: `config`, 1.x: `cfg`) and, in
1.x, the data set's joints. The text is parsed, never run; only literal values in it are looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

from lightpose.errors import SkeletonError
from lightpose.skeletons import Skeleton, from_category
from lightpose.weights.foreign.settings import Settings

__all__ = ["read_meta"]

_LONGEST = 2_000_000
_CROPPERS = ("GetBBoxCenterScale", "GetBboxCenterScale")
"""MMPose 1.x's and 0.x's steps that make a region of a box."""
_OUR_NAMES = {"upper_neck": "neck", "top_head": "head_top"}
"""MMPose's names of joints that ours call otherwise."""

Literals = dict[str, list[Any]]


def read_meta(meta: Mapping[Any, Any]) -> Settings:
    """What the configuration says of input, colours, crops, decoder and joints; nothing where it says nothing."""
    text = meta.get("cfg") or meta.get("config")
    calls = _calls(text) if isinstance(text, str) else []
    found: Literals = {}
    for call in calls:
        for name, value in call.items():
            found.setdefault(name, []).append(value)
    skeleton = _from_data_set(meta.get("dataset_meta")) or _from_calls(calls)
    if not any(name in found for name in ("input_size", "image_size")):
        return Settings(skeleton=skeleton)
    udp = "UDPHeatmap" in found.get("type", []) or True in found.get("use_udp", [])
    refined = "unbiased" in found.get("post_process", []) or any(
        True in found.get(name, []) for name in ("unbiased", "unbiased_decoding")
    )
    return Settings(
        skeleton=skeleton,
        input_hw=_size(found),
        color_order=_color_order(found),
        geometry="udp" if udp else "msra",
        padding=_padding(calls),
        decoder="dark_udp" if udp else "dark" if refined else "quarter",
        mean=_three(found, "mean"),
        std=_three(found, "std"),
        sigma=next((float(value) for value in found.get("sigma", []) if _is_number(value) and value > 0), None),
    )


def _calls(text: str) -> list[dict[str, Any]]:
    """The literal keyword arguments of every call in a text, such as dict(type='HRNet'); none if it is broken."""
    try:
        tree = ast.parse(text[:_LONGEST])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            pairs = ((keyword.arg, _literal(keyword.value)) for keyword in node.keywords if keyword.arg)
            calls.append({name: value for name, value in pairs if value is not None})
    return calls


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(found: Literals, name: str, count: int) -> tuple[float, ...] | None:
    """The first value of that name that is so many numbers."""
    for value in found.get(name, []):
        if isinstance(value, list | tuple) and len(value) == count and all(_is_number(each) for each in value):
            return tuple(float(each) for each in value)
    return None


def _size(found: Literals) -> tuple[int, int] | None:
    """Height and width; MMPose has width before height."""
    size = _numbers(found, "input_size", 2) or _numbers(found, "image_size", 2)
    return (int(size[1]), int(size[0])) if size else None


def _padding(calls: list[dict[str, Any]]) -> float | None:
    """How much wider than the box the crop is: of the step of that name, since convolutions have a padding too."""
    for call in calls:
        value = call.get("padding")
        if str(call.get("type")).endswith(_CROPPERS) and _is_number(value) and value > 0:
            return float(value)
    return None


def _three(found: Literals, name: str) -> tuple[float, float, float] | None:
    """Mean or spread of the channels in [0, 1]; 1.x has them in [0, 255]."""
    values = _numbers(found, name, 3)
    if not values:
        return None
    scale = 255 if max(values) > 1 else 1
    red, green, blue = (value / scale for value in values)
    return red, green, blue


def _color_order(found: Literals) -> Literal["rgb", "bgr"] | None:
    """1.x reads BGR and turns it if told to; 0.x reads RGB if not told otherwise."""
    if "bgr_to_rgb" in found:
        return "rgb" if found["bgr_to_rgb"][0] else "bgr"
    return "bgr" if "bgr" in found.get("channel_order", []) else "rgb"


def _from_data_set(told: Any) -> Skeleton | None:
    """The skeleton of 1.x's `dataset_meta`."""
    if not isinstance(told, Mapping) or not isinstance(told.get("keypoint_id2name"), Mapping):
        return None
    links = told.get("skeleton_links")
    return _skeleton(told.get("dataset_name"), told["keypoint_id2name"], links if isinstance(links, list) else [])


def _from_calls(calls: list[dict[str, Any]]) -> Skeleton | None:
    """The skeleton of 0.x's `keypoint_info`: dict(name='nose', id=0, …, swap='') for each joint."""
    joints = {call["id"]: call["name"] for call in calls if {"name", "id", "swap"} <= set(call)}
    return _skeleton(next((call["dataset_name"] for call in calls if "dataset_name" in call), None), joints, [])


def _skeleton(name: Any, joints: Mapping[Any, Any], links: list[Any]) -> Skeleton | None:
    """Joints by number, from 0 without a gap, and pairs of their numbers as a skeleton; None if they are not that."""
    if not joints or sorted(joints, key=str) != sorted(range(len(joints)), key=str):
        return None
    names = [_OUR_NAMES.get(str(joints[number]), str(joints[number])) for number in range(len(joints))]
    try:
        pairs = [(int(a) + 1, int(b) + 1) for a, b in links]
        return from_category({"name": str(name or "custom"), "keypoints": names, "skeleton": pairs})
    except (SkeletonError, TypeError, ValueError):
        return None

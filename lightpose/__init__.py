"""Human keypoints in images, fast on ordinary CPUs."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightpose.errors import LightposeError

if TYPE_CHECKING:
    from lightpose.formats import read, write
    from lightpose.inference.estimator import PoseEstimator
    from lightpose.io.images import read_image
    from lightpose.results import Boxes, Poses, Tracks, draw_poses
    from lightpose.serve.client import Client
    from lightpose.skeletons import Skeleton
    from lightpose.types import Frame

__all__ = [
    "Boxes",
    "Client",
    "Frame",
    "LightposeError",
    "PoseEstimator",
    "Poses",
    "Skeleton",
    "Tracks",
    "draw_poses",
    "read",
    "read_image",
    "write",
]
__version__ = "0.1.0"

_HOMES = {
    "Boxes": "results",
    "Client": "serve.client",
    "Frame": "types",
    "PoseEstimator": "inference.estimator",
    "Poses": "results",
    "Skeleton": "skeletons",
    "Tracks": "results",
    "draw_poses": "results",
    "read": "formats",
    "read_image": "io.images",
    "write": "formats",
}
"""Where the names are, which are loaded when they are first asked for: OpenCV and ONNX Runtime take a second."""

# ONNX Runtime and NNCF report their use to their makers unless these, which they read when they are loaded, forbid it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("NNCF_CI", "1")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lightpose' has no attribute {name!r}")
    value = getattr(import_module(f"lightpose.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

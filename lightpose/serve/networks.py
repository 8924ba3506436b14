"""The two networks as a browser runs them: their files, and all that the page must know to use them rightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.detect.onnx import NMS_IOU
from lightpose.detect.whole_image import whole_image
from lightpose.errors import ConfigError, WeightsError
from lightpose.inference.estimator import SAME_PERSON, PoseEstimator
from lightpose.ops.angles import angle_rules
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.types import DetectorSpec, ModelSpec
from lightpose.weights import file_sha256
from lightpose.weights.inspect import describe_weights, has_description

__all__ = ["Networks", "networks_of", "pose_facts", "served_networks"]


@dataclass(frozen=True)
class Networks:
    """What a browser runs. document: ready for JSON. files: by the names that the document has for them."""

    document: Mapping[str, Any]
    files: Mapping[str, Path]


def served_networks(estimator: PoseEstimator, folder: str) -> Networks:
    """Those that a server runs itself, so that a page in a browser gives the same answers.

    folder: where the files are, relative to the page. Raises ConfigError if a browser cannot run them.
    """
    if isinstance(estimator.runtime, OneStageRuntime):
        told = "a browser runs networks that take crops of people; look on the server"
        raise ConfigError(f"{estimator.path.name} finds boxes and joints at once, and {told}")
    detector = estimator.detector
    if detector.path is None and getattr(detector, "function", None) is not whole_image:
        raise ConfigError(f"the detector {detector.name} is a program of the server; look on the server")
    return networks_of(estimator.path, detector.path, folder, estimator.detector_threshold, estimator.min_person_score)


def networks_of(
    pose: Path,
    detector: Path | None,
    folder: str,
    threshold: float | None = None,
    min_person_score: float | None = None,
) -> Networks:
    """A pose network and a detector, or None for an image that is one person.

    folder: where the files are, relative to the page. threshold, min_person_score: the detector's own if not given.
    Raises ConfigError or WeightsError unless both are .onnx files that lightpose wrote.
    """
    spec = _spec(pose)
    if not isinstance(spec, ModelSpec):
        raise WeightsError(f"{pose} is a person detector; give a pose network")
    if spec.adopted or spec.family != "heatmaps":
        raise _not_ours(pose)
    finder = None if detector is None else _spec(detector)
    if finder is not None and not isinstance(finder, DetectorSpec):
        raise WeightsError(f"{detector} is a pose network; give a person detector")
    files = {_name("pose", pose): pose}
    document: dict[str, Any] = {"pose": {**_file(folder, "pose", pose), **pose_facts(spec)}, "detector": None}
    if detector is not None and finder is not None:
        files[_name("detector", detector)] = detector
        document["detector"] = {**_file(folder, "detector", detector), "inputHw": finder.input_hw, "pad": finder.pad}
    least = (finder.threshold, finder.min_person_score) if finder else (0.0, 0.0)
    document |= {
        "threshold": least[0] if threshold is None else threshold,
        "minPersonScore": least[1] if min_person_score is None else min_person_score,
        "nmsIou": NMS_IOU,
        "samePerson": SAME_PERSON,
        "angles": angle_rules(spec.skeleton.joints),
    }
    return Networks(document, files)


def _spec(path: Path) -> ModelSpec | DetectorSpec:
    if path.suffix.lower() != ".onnx" or not has_description(path):
        raise _not_ours(path)
    return describe_weights(path).spec


def _not_ours(path: Path) -> ConfigError:
    told = "a browser runs .onnx files of lightpose alone; write one with lightpose export"
    return ConfigError(f"{path.name} is of another kind: {told}")


def _name(kind: str, path: Path) -> str:
    return f"{kind}.{file_sha256(path)[:12]}.onnx"


def _file(folder: str, kind: str, path: Path) -> dict[str, Any]:
    return {"url": f"{folder}/{_name(kind, path)}", "size": path.stat().st_size, "sha256": file_sha256(path)}


def pose_facts(spec: ModelSpec) -> dict[str, Any]:
    """What the page must know of a pose network, ready for JSON."""
    skeleton = spec.skeleton
    return {
        "model": spec.model,
        "inputHw": spec.input_hw,
        "geometry": spec.geometry,
        "padding": spec.padding,
        "heatmapHw": spec.heatmap_hw,
        "decoder": spec.decoder,
        "beta": spec.beta,
        "sigma": spec.sigma,
        "skeleton": {
            "name": skeleton.name,
            "joints": skeleton.joints,
            "limbs": skeleton.limbs,
            "sigmas": skeleton.sigmas,
            "flipOrder": skeleton.flip_order,
        },
    }

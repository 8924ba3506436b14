"""The weights that the package brings are whole, agree with their source, and find people."""

import json
from pathlib import Path

import numpy as np
import pytest

from lightpose import PoseEstimator, read_image
from lightpose.detect.box_file import read_boxes
from lightpose.ops.codec import soft_argmax
from lightpose.ops.geometry import crop_matrices, heatmap_scale, warp
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.skeletons import COCO17
from lightpose.weights import DEFAULT, file_sha256, find_weights
from lightpose.weights.open import LARGEST_AP_LOSS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "examples" / "photos"
SOURCE = ROOT / "weights" / "lpn50.safetensors"

BY_EYE = {
    "astronaut.jpg": {"nose": (224, 119), "left_eye": (240, 104), "right_eye": (209, 104), "left_shoulder": (302, 232)},
    "grace_hopper.jpg": {"nose": (261, 230), "left_eye": (288, 188), "right_eye": (228, 190)},
    "photographer.png": {"nose": (257, 152), "right_ear": (208, 124), "right_shoulder": (110, 165)},
}
"""Where joints of the example photos are, as far as one can tell by looking."""


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """The people of the example photos, (3, 256, 192, 3)."""
    spec, boxes = OnnxRuntime(find_weights(DEFAULT)).spec, read_boxes(PHOTOS / "boxes.json")
    parts = []
    for name in sorted(BY_EYE):
        matrices = crop_matrices(boxes.boxes(name).xywh, spec.input_hw, spec.geometry, spec.padding)
        parts.append(warp(read_image(PHOTOS / name), matrices, spec.input_hw))
    return np.concatenate(parts)


def test_the_bundled_file_is_small_and_for_coco_at_256_by_192():
    path = find_weights(DEFAULT)
    spec = OnnxRuntime(path).spec
    assert path.stat().st_size <= 12e6
    assert (spec.model, spec.skeleton, spec.input_hw, spec.color_order) == ("lpn50", COCO17, (256, 192), "rgb")


def test_the_bundled_graph_equals_torch_on_real_crops(crops: np.ndarray):
    pytest.importorskip("torch")
    from lightpose.runtime.torch import TorchRuntime
    from lightpose.weights.network import load_network

    graph, torch = OnnxRuntime(find_weights(DEFAULT)), TorchRuntime(*load_network(SOURCE))
    assert graph.spec == torch.spec
    expected = torch.heatmaps(crops)
    assert np.abs(graph.heatmaps(crops) - expected).max() < 1e-4
    points = soft_argmax(expected)[..., :2] * heatmap_scale((256, 192), (64, 48), torch.spec.geometry)
    assert np.abs(graph.keypoints(crops)[..., :2] - points).max() < 0.05


@pytest.fixture
def int8() -> Path:
    """The bundled int8 file."""
    return find_weights("lpn50_int8")


def test_the_int8_file_is_small_and_made_from_the_bundled_weights_without_loss(int8: Path):
    assert int8.stat().st_size <= 4.2e6
    runtime = OnnxRuntime(int8)
    again = "lpn50.onnx changed: run tools/quantize_default_weights.py"
    assert runtime.made_from == file_sha256(find_weights(DEFAULT)), again
    assert runtime.ap_loss <= LARGEST_AP_LOSS


def test_the_int8_weights_run_by_name_and_say_nearly_the_same(int8: Path, crops: np.ndarray):
    runtime, original = PoseEstimator(int8.stem, "whole").runtime, OnnxRuntime(find_weights(DEFAULT))
    assert runtime.name == "onnxruntime"
    assert runtime.spec == original.spec
    here, there = runtime.heatmaps(crops), original.heatmaps(crops)
    assert 0.98 < np.corrcoef(here.ravel(), there.ravel())[0, 1] < 1
    points = soft_argmax(here)[..., :2] * heatmap_scale((256, 192), (64, 48), runtime.spec.geometry)
    assert np.abs(OnnxRuntime(int8).keypoints(crops)[..., :2] - points).max() < 0.05


@pytest.mark.parametrize("name", sorted(BY_EYE))
def test_joints_are_found_where_one_sees_them(name: str):
    boxes = read_boxes(PHOTOS / "boxes.json").boxes(name)
    poses = PoseEstimator(flip=True).predict(PHOTOS / name, boxes)
    size = boxes.xywh[0, 2:].max()
    for joint, seen in BY_EYE[name].items():
        found = poses.keypoints[0, poses.skeleton.joints.index(joint), :2]
        assert np.linalg.norm(found - seen) < 0.1 * size, f"{joint} at {found}, seen at {seen}"


def test_the_example_boxes_are_inside_their_photos():
    rows = json.loads((PHOTOS / "boxes.json").read_text())
    assert sorted(row["file_name"] for row in rows) == sorted(BY_EYE)
    boxes = read_boxes(PHOTOS / "boxes.json")
    for row in rows:
        height, width = read_image(PHOTOS / row["file_name"]).shape[:2]
        x, y, w, h = boxes.boxes(row["file_name"]).xywh[0]
        assert min(x, y) >= 0
        assert x + w <= width
        assert y + h <= height

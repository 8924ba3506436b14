"""Detectors in int8: the bundled one on the photos that the project brings."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightpose import export
from lightpose.data.calibration import calibration_images
from lightpose.detect.onnx import OnnxDetector
from lightpose.detect.open import open_detector
from lightpose.errors import ConfigError, ImageError, WeightsError
from lightpose.export.int8_onnx import record_ap_loss
from lightpose.export.quantize_detector import compare_boxes, quantize_detector
from lightpose.io.images import read_image
from lightpose.types import DetectorSpec
from lightpose.weights import DETECTOR, file_sha256, find_weights
from lightpose.weights import open as weights_open

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SPEC = DetectorSpec("any")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def images():
    return calibration_images(PHOTOS, SPEC, 3)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, images):
    """A copy of the bundled detector, and its int8 file beside it."""
    folder = tmp_path_factory.mktemp("int8")
    (folder / "mine.onnx").write_bytes(find_weights(DETECTOR).read_bytes())
    return folder / "mine_int8.onnx", quantize_detector(folder / "mine.onnx", folder / "mine_int8.onnx", images, images)


def test_images_are_seen_as_the_detector_sees_them(images, drawn, tmp_path):
    assert images.shape == (3, 320, 320, 3)
    assert images.dtype == np.uint8
    assert len(calibration_images(drawn.annotations, SPEC, 9, images=drawn.images)) == 3
    with pytest.raises(ImageError, match="gives no image"):
        calibration_images(drawn.annotations, SPEC, 9, images=tmp_path)
    with pytest.raises(ConfigError, match="name the folder of its images too"):
        calibration_images(drawn.annotations, SPEC, 9)


def test_the_same_people_are_found_with_a_third_less_to_store(quantized, images):
    path, shift = quantized
    original = find_weights(DETECTOR)
    assert path.stat().st_size < 0.75 * original.stat().st_size, "weights of the original are in half precision"
    before, after = OnnxDetector(original), OnnxDetector(path)
    assert (before.precision, after.precision, after.made_from) == ("float32", "int8", file_sha256(original))
    assert shift == compare_boxes(before, after, images)
    assert shift.boxes >= 3
    assert shift.lost == 0
    assert shift.iou > 0.9
    assert shift.scores < 0.05
    assert compare_boxes(before, before, images).iou == pytest.approx(1)


def test_the_bundled_int8_detector_is_of_the_bundled_one_and_lost_nothing_to_speak_of():
    bundled = OnnxDetector(find_weights("person_detector_int8"))
    assert bundled.made_from == file_sha256(find_weights(DETECTOR))
    assert bundled.ap_loss <= weights_open.LARGEST_AP_LOSS


@pytest.mark.parametrize(
    ("loss", "fast", "expected"), [(0.2, True, "int8"), (0.2, False, "float32"), (0.9, True, "float32")]
)
def test_it_is_chosen_where_it_is_better(quantized, monkeypatch, loss, fast, expected):
    path, _ = quantized
    record_ap_loss(path, loss)
    monkeypatch.setattr(weights_open, "has_byte_products", lambda: fast)
    mine = path.with_name("mine.onnx")
    assert open_detector(mine, precision="auto").precision == expected
    assert open_detector(mine, precision="int8").precision == "int8"
    assert open_detector(mine, precision="float32").precision == "float32"
    assert open_detector(mine).precision == "float32"


def test_the_int8_file_of_another_detector_is_passed_over(quantized, tmp_path):
    path, _ = quantized
    (tmp_path / "other.onnx").write_bytes(path.with_name("mine.onnx").read_bytes() + b"")
    (tmp_path / "other_int8.onnx").write_bytes(b"no graph")
    assert open_detector(tmp_path / "other.onnx", precision="auto").precision == "float32"
    foreign = OnnxDetector(path)
    assert not weights_open.is_good_twin(find_weights("lpn50"), foreign.made_from, 0.0, anyway=True)


def test_the_whole_of_it_from_python_and_what_cannot_be(tmp_path, quantized):
    found = export.run_quantize(DETECTOR, PHOTOS, tmp_path / "a.onnx", crops=3)
    assert (found.task, found.calibrated_on) == ("detector", 2)
    assert found.speed.ratio > 0
    assert f"({found.shift.boxes} boxes on 1 images held out)" in found.shift.to_text()
    with pytest.raises(ConfigError, match="needs no boxes"):
        export.run_quantize(DETECTOR, PHOTOS, tmp_path / "b.onnx", boxes=PHOTOS / "boxes.json")
    with pytest.raises(ConfigError, match=r"for ONNX Runtime: call the file .*b\.onnx"):
        export.run_quantize(DETECTOR, PHOTOS, tmp_path / "b.xml")
    with pytest.raises(ConfigError, match="in int8 already"):
        export.run_quantize(quantized[0], PHOTOS, tmp_path / "b.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_a_file_that_finds_others_is_not_kept(tmp_path, monkeypatch, images):
    from lightpose.export import quantize_detector as module

    monkeypatch.setattr(module, "LEAST_IOU", 0.9999)
    with pytest.raises(WeightsError, match=r"overlap with the original's by 0\.9"):
        quantize_detector(DETECTOR, tmp_path / "a.onnx", images, images)
    assert list(tmp_path.iterdir()) == []
    grey = np.full((1, 320, 320, 3), 114, np.uint8)
    with pytest.raises(WeightsError, match="finds nobody"):
        compare_boxes(OnnxDetector(find_weights(DETECTOR)), OnnxDetector(find_weights(DETECTOR)), grey)


def test_images_side_by_side_have_the_same_boxes_as_one_by_one():
    detector = OnnxDetector(find_weights(DETECTOR), threads=3)
    images = [read_image(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    assert detector.lanes == 3
    assert len(images) >= 2
    for alone, together in zip(map(detector, images), detector.find_all(images), strict=True):
        np.testing.assert_array_equal(alone.xywh, together.xywh)
        np.testing.assert_array_equal(alone.scores, together.scores)

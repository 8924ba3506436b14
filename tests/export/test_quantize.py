"""Networks in int8, end to end on the bundled weights and the photos that the project brings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lightpose.data.calibration import calibration_crops
from lightpose.errors import ConfigError, ImageError, WeightsError
from lightpose.runtime.ir import read_facts
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.types import SOURCE_KEY, ModelSpec
from lightpose.weights import DEFAULT, file_sha256, find_weights
from tests.helpers import ColorRuntime

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"

pytest.importorskip("openvino")
pytest.importorskip("nncf")
from lightpose.export.quantize import compare_keypoints, compare_speed, quantize  # noqa: E402
from lightpose.runtime.openvino import OpenVinoRuntime, read_graph, save_graph  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def original():
    return OnnxRuntime(find_weights(DEFAULT), threads=1)


@pytest.fixture(scope="module")
def crops(original):
    return calibration_crops(PHOTOS, original.spec, 3, boxes=PHOTOS / "boxes.json")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, crops):
    """Calibrated on the very crops that it is compared on, which is enough to see the machinery work."""
    path = tmp_path_factory.mktemp("int8") / "net.xml"
    return path, quantize(DEFAULT, path, crops, crops, max_shift_px=4)


def test_int8_weights_take_less_than_half_the_size(quantized):
    path, _ = quantized
    assert sorted(file.name for file in path.parent.iterdir()) == ["net.bin", "net.xml"]
    assert path.with_suffix(".bin").stat().st_size < find_weights(DEFAULT).stat().st_size / 2


def soft_argmax_by_hand(heatmaps):
    """Eq. 7 of the paper with β = 160, in crop pixels, and the heatmap's value there: (N, K, 3)."""
    weights = np.exp(160 * (heatmaps - heatmaps.max((2, 3), keepdims=True)))
    weights /= weights.sum((2, 3), keepdims=True)
    x = (weights.sum(2) * np.arange(heatmaps.shape[3])).sum(-1)
    y = (weights.sum(3) * np.arange(heatmaps.shape[2])).sum(-1)
    columns, rows = x.round().astype(int), y.round().astype(int)
    people, joints = np.indices(x.shape)
    return np.stack([4 * x, 4 * y, heatmaps[people, joints, rows, columns]], -1)


def test_the_shift_is_the_mean_distance_over_sure_joints(quantized, original, crops, monkeypatch):
    path, shift = quantized
    runtime = OpenVinoRuntime(path)
    assert runtime.spec == original.spec
    assert shift.mean_px == pytest.approx(compare_keypoints(original, runtime, crops).mean_px, abs=0.05)
    for each in (original, runtime):
        monkeypatch.setattr(each, "spec", replace(each.spec, decoder="softargmax"))
    shift = compare_keypoints(original, runtime, crops)
    here, there = (soft_argmax_by_hand(each.heatmaps(crops)) for each in (original, runtime))
    distances = np.hypot(*(here - there)[here[..., 2] > 0.2, :2].T)
    assert shift.crops == 3
    assert shift.joints == len(distances) > 10
    assert shift.mean_px == pytest.approx(np.mean(distances), abs=0.05)
    assert 0 < shift.mean_px < 4
    assert shift.p95_px >= shift.mean_px / 2


def test_heatmaps_come_from_a_float_convolution(quantized, crops):
    """Quantized, they would take at most 256 values a joint."""
    heatmaps = OpenVinoRuntime(quantized[0], 1).heatmaps(crops[:1])
    assert min(len(np.unique(joint)) for joint in heatmaps[0]) > 300


def test_its_own_keypoints_are_those_of_its_heatmaps(quantized, crops):
    """In one inference by plain OpenVINO, as other programs have it."""
    import openvino

    results = openvino.Core().compile_model(quantized[0], "CPU")(crops)
    expected = soft_argmax_by_hand(results["heatmaps"].astype(np.float64))
    np.testing.assert_allclose(results["keypoints"], expected, atol=0.01)


def test_dense_convolutions_alone_are_in_int8(quantized):
    """All but those of the head, which give a value for each joint."""
    graph, _ = read_graph(quantized[0])
    readers = [
        target.get_node()
        for node in graph.get_ops()
        if node.get_type_name() == "FakeQuantize"
        for target in node.output(0).get_target_inputs()
    ]
    assert {node.get_type_name() for node in readers} == {"Convolution"}
    dense = [node for node in graph.get_ops() if node.get_type_name() == "Convolution"]
    heads = [node for node in dense if node.get_output_partial_shape(0)[1].get_length() == 17]
    names = [{node.get_friendly_name() for node in nodes} for nodes in (readers, dense, heads)]
    assert names[0] == names[1] - names[2]
    assert names[2]


def test_it_says_what_it_was_made_from(quantized):
    assert read_facts(quantized[0])[SOURCE_KEY] == file_sha256(find_weights(DEFAULT))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The file of a small network, for which NNCF takes a second, and crops for it."""
    pytest.importorskip("torch")
    from lightpose.export.pose import export_onnx
    from lightpose.models.lpn import LPN
    from tests.export.test_pose import SMALL_SPEC, random_crops, randomise

    path = tmp_path_factory.mktemp("small") / "net.onnx"
    export_onnx(randomise(LPN((1, 1, 1, 1), 3).eval()), SMALL_SPEC, path)
    return path, random_crops(2, SMALL_SPEC)


def test_a_graph_whose_keypoints_are_not_its_heatmaps_is_not_kept(small, tmp_path):
    from openvino import Model, opset13

    from lightpose.export.pose import check_plain_openvino

    path, crops = small
    graph, spec = read_graph(path)
    heatmaps, keypoints = (graph.output(name).get_node().input_value(0) for name in ("heatmaps", "keypoints"))
    off = opset13.add(keypoints, np.float32([1.5, 0, 0])).output(0)
    keypoints.get_tensor().set_names({"before"})
    off.get_tensor().set_names({"keypoints"})
    save_graph(Model([heatmaps, off], graph.get_parameters()), spec, tmp_path / "off.xml")
    with pytest.raises(WeightsError, match=r"that sets no precision, keypoints are 1\.50 px off the heatmaps"):
        check_plain_openvino(tmp_path / "off.xml", spec, crops)
    with pytest.raises(WeightsError, match=r"own keypoints are 1\.50 px off its heatmaps, so it was not kept"):
        quantize(tmp_path / "off.xml", tmp_path / "int8.xml", crops, crops, max_shift_px=99)
    assert not list(tmp_path.glob("*int8*"))


def test_an_int8_graph_is_not_quantized_again(quantized, tmp_path, crops):
    with pytest.raises(ConfigError, match=r"net\.xml is in int8 already; give the file that it was made from"):
        quantize(quantized[0], tmp_path / "again.xml", crops, crops)


def test_a_network_that_moves_too_much_is_not_kept(small, tmp_path):
    path, crops = small
    with pytest.raises(WeightsError, match=r"moved by .* px in the mean, more than 1e-09, so it was not kept"):
        quantize(path, tmp_path / "net.xml", crops, crops, max_shift_px=1e-9)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_quantized_is_refused_before_the_work(tmp_path, crops):
    (tmp_path / "net.safetensors").write_bytes(b"")
    (tmp_path / "net.onnx").write_bytes(b"no graph")
    for model, out, some, px, text in (
        (DEFAULT, "net.pt", crops, 1, r"net\.pt must end in \.onnx, for ONNX Runtime, or \.xml, for OpenVINO"),
        (tmp_path / "net.safetensors", "net.xml", crops, 1, "must be exported first: lightpose export"),
        (DEFAULT, "net.xml", crops[:0], 1, "need a crop each at least"),
        (DEFAULT, "net.xml", crops, 0, "must be above 0 px"),
        (tmp_path / "net.onnx", "net.xml", crops, 1, "is not a whole ONNX file"),
    ):
        with pytest.raises((ConfigError, WeightsError), match=text):
            quantize(model, tmp_path / out, some, crops, px)


def test_a_network_does_not_move_against_itself(original, crops):
    shift = compare_keypoints(original, original, crops)
    assert (shift.mean_px, shift.p95_px, shift.heatmaps) == (0, 0, 0)


def test_nothing_is_judged_where_no_joint_is_sure(original):
    empty = ColorRuntime(ModelSpec("colors", original.spec.skeleton), np.full((17, 3), 255))
    with pytest.raises(WeightsError, match=r"no joint scores above 0\.2"):
        compare_keypoints(empty, empty, np.zeros((1, 256, 192, 3), np.uint8))


def test_speed_is_the_ratio_of_two_medians(original, crops):
    speed = compare_speed(original.heatmaps, original.heatmaps, [crop[None] for crop in crops], rounds=2)
    assert speed.ratio == speed.before_ms / speed.after_ms > 0


def test_crops_are_drawn_from_a_labelled_file(drawn, original):
    found = calibration_crops(drawn.annotations, original.spec, 3, images=drawn.images)
    assert found.shape == (3, 256, 192, 3)
    assert len({crop.tobytes() for crop in found}) == 3
    np.testing.assert_array_equal(found, calibration_crops(drawn.annotations, original.spec, 3, images=drawn.images))
    assert len(calibration_crops(drawn.annotations, original.spec, 99, images=drawn.images)) == 4


def test_crops_come_from_pictures_taken_whole_and_broken_ones_are_passed_over(tmp_path, original):
    (tmp_path / "a.png").write_bytes((PHOTOS / "photographer.png").read_bytes())
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    assert len(calibration_crops(tmp_path, original.spec, 9)) == 1
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match="gives no crop of a person"):
        calibration_crops(tmp_path, original.spec, 9)


def test_a_labelled_file_needs_its_pictures(drawn, original):
    with pytest.raises(ConfigError, match="is an annotation file; name the folder of its images too"):
        calibration_crops(drawn.annotations, original.spec, 9)

"""int8 for ONNX Runtime: what is computed in 8 bits, that nothing overflows, and that pixels go in as they are."""

from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from lightpose.errors import ConfigError  # noqa: E402
from lightpose.export.int8_onnx import (  # noqa: E402
    PAIR_LIMIT,
    adjacent_sums,
    fold_normalisation,
    record_ap_loss,
)
from lightpose.export.onnx_graph import Graph  # noqa: E402
from lightpose.export.pose import export_onnx  # noqa: E402
from lightpose.export.quantize import quantize, write_int8  # noqa: E402
from lightpose.models.lpn import LPN  # noqa: E402
from lightpose.ops.codec import soft_argmax  # noqa: E402
from lightpose.runtime.onnx import OnnxRuntime  # noqa: E402
from lightpose.weights import bundled_weights, file_sha256  # noqa: E402
from tests.export.test_pose import SMALL_SPEC, random_crops, randomise  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def small_network():
    return randomise(LPN((1, 1, 1, 1), 3).eval())


@pytest.fixture(scope="module")
def original(tmp_path_factory, one_thread):  # noqa: ARG001
    path = tmp_path_factory.mktemp("small") / "net.onnx"
    export_onnx(small_network(), SMALL_SPEC, path)
    return path


@pytest.fixture(scope="module")
def quantized(original):
    crops = random_crops(4, SMALL_SPEC)
    path = original.with_name("net_int8.onnx")
    return path, quantize(original, path, crops, crops, max_shift_px=99)


def convolutions(path):
    """Each 8-bit convolution of a file as (node, weights (O, I, h, w) int8); and the nodes that are not in 8 bits."""
    model = onnx.load(str(path))
    graph = Graph(model)
    inside, outside = [], []
    for node in (node for node in model.graph.node if node.op_type == "Conv"):
        source = graph.source(node.input[1])
        if source is None:
            outside.append(node)
        else:
            inside.append((node, graph.constant(source.input[0])))
    return inside, outside


def test_the_sums_of_neighbours_are_those_of_both_orders():
    weights = np.float32([[[[1, 2]], [[-3, 4]]]])  # one output, two inputs, a row of two
    # by input and then place: 1 2 -3 4; by place and then input: 1 -3 2 4
    assert sorted(adjacent_sums(weights)[0]) == sorted([0, 3, 2, 4, 0, 3, 3, 1, 2, 6, 3, 3, 0])


@pytest.mark.parametrize("name", ["small", "lpn50_int8", "person_detector_int8"])
def test_no_pair_of_products_overflows_16_bits(name, quantized):
    """On CPUs without VNNI, two products of a value of 8 bits and a weight are added in 16 bits."""
    path = quantized[0] if name == "small" else bundled_weights()[name]
    inside, _ = convolutions(path)
    assert len(inside) > 10
    for node, weights in inside:
        assert weights.dtype == np.int8
        if weights.shape[1] > 1:
            assert adjacent_sums(weights.astype(np.int64)).max() <= PAIR_LIMIT, node.name
    assert 255 * PAIR_LIMIT < 2**15
    largest = [np.abs(weights.astype(int)).reshape(len(weights), -1).max(1) for _, weights in inside]
    assert np.median(np.concatenate(largest)) > 64, "most channels use more than 7 bits"


def test_the_heatmaps_come_from_float_convolutions(quantized):
    """Those that give a value for each joint, once for each of the four places that the upsampling makes of one."""
    _, outside = convolutions(quantized[0])
    joints = len(SMALL_SPEC.skeleton)
    graph = Graph(onnx.load(str(quantized[0])))
    assert [len(graph.constant(node.input[1])) for node in outside] == [joints] * 4
    heatmaps = OnnxRuntime(quantized[0], 1).heatmaps(random_crops(1, SMALL_SPEC))
    assert min(len(np.unique(joint)) for joint in heatmaps[0]) > 40


def test_the_answers_are_near_in_any_batch_and_decoded_from_the_graphs_own_heatmaps(original, quantized):
    crops = random_crops(5, SMALL_SPEC)
    here, there = OnnxRuntime(quantized[0], 1), OnnxRuntime(original, 1)
    heatmaps = here.heatmaps(crops)
    assert np.corrcoef(heatmaps.ravel(), there.heatmaps(crops).ravel())[0, 1] > 0.98
    np.testing.assert_array_equal(np.concatenate([here.heatmaps(crop[None]) for crop in crops]), heatmaps)
    scale = np.divide(SMALL_SPEC.input_hw, SMALL_SPEC.heatmap_hw)[::-1]
    points = soft_argmax(heatmaps, SMALL_SPEC.beta)[..., :2] * scale
    np.testing.assert_allclose(here.keypoints(crops)[..., :2], points, atol=0.01)
    assert here.heatmaps(crops[:0]).shape == (0, *heatmaps.shape[1:])
    assert here.spec == there.spec


def test_a_first_convolution_without_an_offset_gets_that_of_the_pixels(tmp_path):
    """The exporter leaves out offsets that are all 0, as an untrained network has them."""
    export_onnx(LPN((1, 1, 1, 1), 3).eval(), SMALL_SPEC, tmp_path / "net.onnx")
    original = OnnxRuntime(tmp_path / "net.onnx", 1)
    convolution = next(node for node in onnx.load(tmp_path / "net.onnx").graph.node if node.op_type == "Conv")
    assert len(convolution.input) == 2
    crops = random_crops(4, SMALL_SPEC)
    write_int8(original, tmp_path / "net.onnx", tmp_path / "int8.onnx", crops)
    found, expected = OnnxRuntime(tmp_path / "int8.onnx", 1).heatmaps(crops), original.heatmaps(crops)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9


def test_the_file_says_what_it_was_made_from_and_what_it_lost(original, quantized):
    path, _ = quantized
    runtime = OnnxRuntime(path, 1)
    assert (runtime.precision, runtime.made_from) == ("int8", file_sha256(original))
    assert np.isnan(runtime.ap_loss)
    before = runtime.heatmaps(random_crops(1, SMALL_SPEC))
    record_ap_loss(path, 0.25)
    after = OnnxRuntime(path, 1)
    assert (after.ap_loss, after.made_from, after.spec) == (0.25, runtime.made_from, runtime.spec)
    np.testing.assert_array_equal(after.heatmaps(random_crops(1, SMALL_SPEC)), before)


def test_pixels_go_in_as_bytes(quantized):
    """Between the crops and the first convolution numbers only change their places."""
    model = onnx.load(str(quantized[0]))
    graph = Graph(model)
    node = graph.source(next(node for node in model.graph.node if node.op_type == "Conv").input[0])
    kinds = []
    while node is not None:
        kinds.append(node.op_type)
        node = graph.source(node.input[0])
    assert kinds == ["DequantizeLinear", "Transpose", "Reshape", "Transpose", "Reshape"]


def test_folding_the_normalisation_changes_nothing_where_all_colours_have_one_mean(tmp_path):
    """Else the crop's surroundings are another grey, which is the one difference."""
    spec = replace(SMALL_SPEC, mean=(128 / 255,) * 3)
    export_onnx(small_network(), spec, tmp_path / "net.onnx")
    model = onnx.load(str(tmp_path / "net.onnx"))
    (name,) = fold_normalisation(Graph(model))
    assert name
    onnx.save(model, str(tmp_path / "folded.onnx"))
    crops = random_crops(3, spec)
    folded, plain = (OnnxRuntime(tmp_path / f"{each}.onnx", 1).heatmaps(crops) for each in ("folded", "net"))
    np.testing.assert_allclose(folded, plain, atol=1e-4 * np.abs(plain).max())


def test_a_graph_that_begins_in_another_way_keeps_its_beginning(tmp_path):
    """Such as one whose network wants blue before red."""
    spec = replace(SMALL_SPEC, color_order="bgr")
    export_onnx(small_network(), spec, tmp_path / "net.onnx")
    crops = random_crops(4, spec)
    quantize(tmp_path / "net.onnx", tmp_path / "int8.onnx", crops, crops, max_shift_px=99)
    here, there = (OnnxRuntime(tmp_path / name, 1).heatmaps(crops) for name in ("int8.onnx", "net.onnx"))
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.98


def test_openvino_refuses_the_file(quantized):
    """It would compute it wrongly, as of its version 2026.4."""
    pytest.importorskip("openvino")
    from lightpose.runtime.openvino import OpenVinoRuntime

    with pytest.raises(ConfigError, match="is in int8 for ONNX Runtime, and OpenVINO computes it wrongly"):
        OpenVinoRuntime(quantized[0])

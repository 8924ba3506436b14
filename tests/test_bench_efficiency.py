"""Efficiency: multiply-accumulates of graphs, the parts of networks, and what engines take for them."""

import math
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from lightpose.bench.efficiency import macs_by_part, measure_efficiency  # noqa: E402
from lightpose.bench.onnx_nodes import read_operations  # noqa: E402
from lightpose.bench.operations import PARTS, Operation, parts_of, product_macs  # noqa: E402
from lightpose.bench.profiled import open_profiled  # noqa: E402
from lightpose.bench.results import efficiency_notes, efficiency_table  # noqa: E402
from lightpose.bench.variants import Variant, find_source, variants_of  # noqa: E402
from lightpose.weights import find_weights  # noqa: E402
from tests.detect.graphs import pose_network  # noqa: E402
from tests.test_bench import row  # noqa: E402


def variant(model: str, folder: Path, engine: str = "onnxruntime", input_hw: tuple[int, int] | None = None) -> Variant:
    [one] = variants_of(find_source(model, input_hw), [engine], [1], [1], folder)
    return one


def macs_of(profiled) -> dict[str, int]:
    parts = parts_of(profiled.operations, profiled.heatmaps)
    return {name: count for name, count in macs_by_part(profiled.operations, parts).items() if count}


def lpn50_macs() -> dict[str, int]:
    """By the counts of the network in PyTorch, module by module.

    The fused graph has just as many: batch norm is in weights, attention is taken from the convolution's input, which
    is as wide as its output, and the 16 taps of a transposed convolution are four phases of 4 each.
    """
    pytest.importorskip("torch")
    from lightpose.profile import profile_model

    macs = dict.fromkeys(PARTS, 0)
    for layer in profile_model("lpn50").layers:
        if layer.name == "stem.0":
            part = "stem"
        elif ".branch.3" in layer.name:
            part = "global context"
        elif ".branch.1." in layer.name:
            part = "depthwise convolutions"
        elif layer.kind == "GroupedUpsampling":
            part = "upsampling"
        else:
            part = "head" if layer.name == "head" else "1×1 convolutions"
        macs[part] += layer.macs
    return {name: count for name, count in macs.items() if count}


def test_the_parts_of_an_lpn_50_have_as_many_macs_as_its_modules(tmp_path: Path):
    macs = macs_of(open_profiled(variant("lpn50", tmp_path), tmp_path))
    assert macs == lpn50_macs()
    assert sum(macs.values()) == 1_069_717_504


def test_openvino_finds_the_same_parts(tmp_path: Path):
    pytest.importorskip("openvino")
    assert macs_of(open_profiled(variant("lpn50", tmp_path, "openvino"), tmp_path)) == lpn50_macs()


def test_layers_of_other_networks_are_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A block without context between a stem and a transposed convolution: 32×32 pixels become 16, 4, 8."""
    nn = pytest.importorskip("torch.nn")
    from lightpose.models import MODELS
    from lightpose.models.blocks import LightweightBottleneck, conv_bn
    from lightpose.profile import profile_spec

    def tiny(joints: int):
        up = nn.ConvTranspose2d(16, 12, 4, stride=2, padding=1)
        return nn.Sequential(
            conv_bn(3, 8, 7, 2), LightweightBottleneck(8, 16, 4, False), up, nn.ReLU(), nn.Conv2d(12, joints, 1)
        )

    monkeypatch.setitem(MODELS, "tiny", tiny)
    macs = macs_of(open_profiled(variant("tiny", tmp_path, input_hw=(32, 32)), tmp_path))
    assert macs == {
        "stem": 8 * 3 * 7 * 7 * 16 * 16,
        "1×1 convolutions": 16 * 8 * 16 * 16 + 16 * 16 * 4 * 4 + 16 * 8 * 4 * 4,
        "depthwise convolutions": 16 * 9 * 4 * 4,
        "upsampling": 16 * 12 * 16 * 4 * 4,
        "head": 17 * 12 * 8 * 8,
    }
    assert sum(macs.values()) == profile_spec(find_source("tiny", (32, 32)).spec).macs


def test_multiply_accumulates_of_single_operations_by_hand():
    """A 3×3 stride-2 convolution 2 → 4 of 8×6 pixels, the same transposed back, a product and its transpose."""
    weights = {"w": (4, 2, 3, 3), "v": (4, 2, 4, 4), "u": (5, 3)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["y", "v"], ["z"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("MatMul", ["r", "p"], ["q"]),
        helper.make_node("Gemm", ["s", "u"], ["t"], transA=1),
    ]
    shapes = {"x": ["N", 2, 8, 6], "r": ["N", 7, 5], "p": ["N", 5, 3], "s": [5, 1]}
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()],
    )
    found = {one.name: one.macs for one in read_operations(graph)}
    assert found == {"y": 4 * 2 * 9 * (4 * 3), "z": 4 * 2 * 16 * (4 * 3), "q": 7 * 5 * 3, "t": 1 * 5 * 3}


@pytest.mark.parametrize("first", [(6, 4, 5), (6, 5, 4), (4, 5), (5, 4)])
def test_a_product_is_counted_whether_its_first_matrix_is_transposed_or_not(first: tuple[int, ...]):
    """(4, 5) · (5, 3), six times."""
    assert product_macs(first, (6, 4, 3)) == 6 * 4 * 5 * 3


def test_a_vector_times_a_matrix_is_counted():
    assert product_macs((5,), (6, 3)) == 6 * 3 * 5


def test_operations_are_told_apart_by_where_they_stand():
    """A block with context: what is added to the maps still belongs to it, what comes after that does not."""
    one, deep, flat = (8, 8, 1, 1), (8, 1, 3, 3), (1, 8, 16)
    operations = [
        Operation("scale", "Mul", (), (1, 3, 8, 8)),
        Operation("first", "Conv", ("scale",), (1, 8, 4, 4), 1, (8, 3, 3, 3)),
        Operation("relu", "Relu", ("first",), (1, 8, 4, 4)),
        Operation("deep", "Conv", ("relu",), (1, 8, 4, 4), 1, deep, 8),
        Operation("flat", "Reshape", ("deep",), flat),
        Operation("attend", "MatMul", ("flat",), (1, 1, 16)),
        Operation("share", "Softmax", ("attend",), (1, 1, 16)),
        Operation("pool", "MatMul", ("flat", "share"), (1, 8, 1)),
        Operation("high", "Unsqueeze", ("pool",), (1, 8, 1, 1)),
        Operation("last", "Conv", ("deep",), (1, 8, 4, 4), 1, one),
        Operation("added", "Add", ("relu", "high"), (1, 8, 4, 4)),
        Operation("sum", "Add", ("last", "added"), (1, 8, 4, 4)),
        Operation("phase", "Conv", ("sum",), (1, 8, 4, 4), 1, (8, 1, 2, 2), 8),
        Operation("head", "Conv", ("phase",), (1, 2, 4, 4), 1, (2, 8, 1, 1)),
        Operation("heatmaps", "Reshape", ("head",), (1, 2, 4, 4)),
        Operation("sharp", "Mul", ("heatmaps",), (1, 2, 4, 4)),
    ]
    found = parts_of(operations, "heatmaps")
    context = {"flat", "attend", "share", "pool", "high", "added"}
    assert {name for name, part in found.items() if part == "global context"} == context
    assert {name: part for name, part in found.items() if name not in context} == {
        "scale": "normalise, add, ReLU",
        "first": "stem",
        "relu": "stem",
        "deep": "depthwise convolutions",
        "last": "1×1 convolutions",
        "sum": "normalise, add, ReLU",
        "phase": "upsampling",
        "head": "head",
        "heatmaps": "upsampling",
        "sharp": "decode",
    }


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_every_part_with_multiply_accumulates_has_its_time_and_shares_add_up(engine: str, tmp_path: Path):
    pytest.importorskip(engine)
    done: list[int] = []
    found = measure_efficiency(variant("lpn50", tmp_path, engine), 1, done.append)
    parts = {part.name: part for part in found.parts}
    assert done == [1]
    assert {name for name, part in parts.items() if part.gmacs} == set(lpn50_macs())
    assert list(parts) == [name for name in PARTS if name in parts]
    assert sum(part.share for part in found.parts) == pytest.approx(1, abs=1e-3)
    assert sum(part.gmacs for part in found.parts) == pytest.approx(found.gmacs)
    assert found.peak == max(found.products.values())
    for part in found.parts:
        assert part.gmacs_per_s == pytest.approx(1000 * part.gmacs / part.ms, rel=0.01, abs=1e-2)
    assert found.peak_share == pytest.approx(1000 * found.gmacs / found.run_ms / found.peak, rel=0.01)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_products_are_what_they_are_called(engine: str, tmp_path: Path):
    pytest.importorskip(engine)
    model = str(pose_network(tmp_path / "pose.onnx"))
    products = {one.name: one for one in open_profiled(variant(model, tmp_path, engine), tmp_path).products()}
    assert products["MatMul 512"].macs == 512**3
    result = products["MatMul 512"].run()
    generators = [np.random.default_rng(0) for _ in range(2)]
    a, b = (generator.random((512, 512), np.float32) for generator in generators)
    np.testing.assert_allclose(result[0], a @ b, rtol=1e-4)
    convolution = products["1×1 convolution of 512 channels, 32×32"]
    assert convolution.macs == math.prod(convolution.run()[0].shape) * 512


def test_a_bundled_graph_is_found_by_its_names(tmp_path: Path):
    """Each convolution and product of the graph is in exactly one node that ran."""
    profiled = open_profiled(variant(str(find_weights("lpn50")), tmp_path), tmp_path)
    profiled.run(variant("lpn50", tmp_path).crops())
    ran = [name for node in profiled.nodes() for name in node.origins]
    working = [one.name for one in profiled.operations if one.macs]
    assert sorted(name for name in ran if name in set(working)) == sorted(working)


def test_tables_say_what_the_shares_are_of(tmp_path: Path):
    model = str(pose_network(tmp_path / "pose.onnx"))
    found = measure_efficiency(variant(model, tmp_path), 1)
    titles, *lines = efficiency_table([row(), row(efficiency=found)])
    assert [line[2] for line in lines] == [*(part.name for part in found.parts), "all, not profiled"]
    assert {len(line) for line in lines} == {len(titles)}
    [note] = efficiency_notes([row(), row(efficiency=found)])
    assert "MatMul 1024: " in note

"""Adopting other projects' graphs: what is read, what is assumed, what is written, and what is refused."""

import contextlib
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from lightpose.errors import WeightsError
from lightpose.inference.top_down import PredictOptions, predict_crops
from lightpose.skeletons import AP10K, COCO17, HALPE26, WHOLEBODY133, from_toml
from lightpose.types import SPEC_KEY, ModelSpec
from lightpose.weights import find_weights
from lightpose.weights.foreign import archive
from lightpose.weights.foreign.graphs import adopt_graph, identify_graph
from lightpose.weights.foreign.settings import Settings
from lightpose.weights.foreign.wire import read_beginning, read_metadata, with_metadata
from lightpose.weights.inspect import describe_weights, verify_weights
from lightpose.weights.open import open_runtime
from tests.runtime import pose_graphs as graphs
from tests.runtime.pose_graphs import HW, MEAN, STD, answer, crops_of

PIPELINE = {
    "pipeline": {
        "input": ["img"],
        "output": ["post_output"],
        "tasks": [
            {
                "type": "Task",
                "module": "Transform",
                "name": "Preprocess",
                "transforms": [
                    {"type": "LoadImageFromFile"},
                    {"type": "TopDownGetBboxCenterScale", "padding": 1.4, "image_size": [HW[1], HW[0]]},
                    {"type": "TopDownAffine", "image_size": [HW[1], HW[0]]},
                    {"type": "Normalize", "mean": [10.2, 20.4, 30.6], "std": [51, 102, 204], "to_rgb": False},
                    {"type": "ImageToTensor", "keys": ["img"]},
                ],
            },
            {"type": "Task", "module": "Net", "name": "topdownposeestimator"},
            {
                "type": "Task",
                "module": "mmpose",
                "name": "postprocess",
                "component": "SimCCLabelDecode",
                "params": {"flip_test": False, "simcc_split_ratio": 2.0},
            },
        ],
    }
}


def pack(path: Path, members: dict[str, bytes]) -> Path:
    """A zip with those files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return graphs.simcc(tmp_path / "rtmpose-s.onnx")


def test_an_adopted_file_says_what_it_is_and_gives_the_same(graph, tmp_path):
    out = tmp_path / "mine.onnx"
    found = adopt_graph(graph, out, Settings(padding=1.1))
    first, second = open_runtime(graph, 1), open_runtime(out, 1)
    assert second.notes == ()
    assert "assumed: skeleton coco17, color_order rgb" in first.notes[0]
    assert (second.spec, found.origins["padding"]) == (found.spec, "asked")
    np.testing.assert_array_equal(first.heatmaps(crops_of(2)), second.heatmaps(crops_of(2)))
    assert onnx.load(out).graph == onnx.load(graph).graph


def test_each_setting_says_where_it_is_from(graph):
    origins = identify_graph(graph, Settings(mean=(0.1, 0.2, 0.3))).origins
    assert (origins["mean"], origins["input_hw"]) == ("asked", "read")
    assert origins["std"] == "assumed: as in MMPose's rtmpose configurations, ImageNet's"
    assert "decoder" not in origins


def test_what_is_asked_for_is_used(graph, tmp_path):
    adopt_graph(graph, tmp_path / "mine.onnx", Settings(color_order="bgr", mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.4)))
    mean, std = 255 * np.array([0.5, 0.4, 0.3]), 255 * np.array([0.1, 0.2, 0.4])
    x, y = (
        answer(crops_of(2), f"simcc_{axis}", (17, 2 * side), mean, std, bgr=True)
        for axis, side in (("x", HW[1]), ("y", HW[0]))
    )
    found = open_runtime(tmp_path / "mine.onnx", 1).heatmaps(crops_of(2))
    np.testing.assert_allclose(found, np.concatenate([x, y], -1), atol=1e-4)


@pytest.mark.parametrize(
    ("before", "mean", "std", "order"),
    [
        ([("Sub", MEAN[:, None, None]), ("Div", STD[:, None, None])], 0, 1, "rgb"),
        ([("Sub", MEAN[::-1, None, None]), ("Mul", 1 / STD[::-1, None, None])], 0, 1, "bgr"),
        ([("Div", np.array(255))], 0, 1, "rgb"),
        ([("Mul", np.array(1 / 255)), ("Sub", MEAN[:, None, None] / 255)], 0, 1, "rgb"),
        ([("Sub", MEAN[:, None, None] / 255), ("Div", STD[:, None, None] / 255)], 0, 255, "rgb"),
    ],
    ids=["ImageNet", "ImageNet BGR", "by 255", "by 255 and ImageNet", "ImageNet of 1"],
)
def test_normalisation_in_the_graph_is_found_and_not_done_twice(tmp_path, before, mean, std, order):
    path = graphs.heatmaps(tmp_path / "hrnet.onnx", before=before)
    runtime, crops = open_runtime(path, 1), crops_of(2)
    tensor = ((crops[..., ::-1] if order == "bgr" else crops).transpose(0, 3, 1, 2) - mean) / std
    wanted = open_session_run(path, tensor.astype(np.float32))
    np.testing.assert_allclose(runtime.heatmaps(crops), wanted, atol=1e-4)
    assert runtime.spec.color_order == order
    assert not any(word in runtime.notes[0] for word in ("mean ", "std "))


def open_session_run(path: Path, tensor: np.ndarray) -> np.ndarray:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path)).run(None, {"pixels": tensor})[0]


def test_the_number_of_joints_tells_the_usual_skeleton_and_the_name_that_of_animals(tmp_path):
    for joints, skeleton in ((17, COCO17), (26, HALPE26), (133, WHOLEBODY133)):
        assert identify_graph(graphs.simcc(tmp_path / "rtmpose.onnx", joints=joints)).spec.skeleton == skeleton
    assert identify_graph(graphs.heatmaps(tmp_path / "hrnet_ap10k.onnx")).spec.skeleton == AP10K


def test_ones_own_skeleton_can_be_named(tmp_path):
    (tmp_path / "mine.toml").write_text('joints = ["nose", "left_paw", "right_paw"]')
    path = graphs.heatmaps(tmp_path / "mine.onnx", joints=3)
    skeleton = from_toml(tmp_path / "mine.toml")
    assert identify_graph(path, Settings(skeleton=skeleton)).spec.skeleton == skeleton
    with pytest.raises(WeightsError, match="it gives 17 joints, the skeleton mine has 3; coco17, ap10k would fit"):
        identify_graph(graphs.heatmaps(tmp_path / "hrnet.onnx"), Settings(skeleton=skeleton))


def test_mmdeploys_zip_is_read_with_its_pipeline(graph, tmp_path):
    members = {"a/end2end.onnx": graph.read_bytes(), "a/pipeline.json": json.dumps(PIPELINE).encode()}
    path = pack(tmp_path / "rtmpose.zip", members)
    runtime = open_runtime(path, 1)
    spec, found = runtime.spec, identify_graph(path)
    assert (spec.input_hw, spec.padding, spec.color_order) == (HW, 1.4, "bgr")
    np.testing.assert_allclose(255 * np.array([spec.mean, spec.std]), [[10.2, 20.4, 30.6], [51, 102, 204]])
    assert {name for name, origin in found.origins.items() if origin == "read"} == {
        "input_hw", "color_order", "mean", "std", "geometry", "padding",
    }  # fmt: skip
    adopt_graph(path, tmp_path / "mine.onnx", Settings())
    np.testing.assert_array_equal(
        open_runtime(tmp_path / "mine.onnx", 1).heatmaps(crops_of(1)), runtime.heatmaps(crops_of(1))
    )


@pytest.mark.parametrize(
    ("codec", "decoder", "geometry"),
    [
        ({"type": "UDPHeatmap", "post_process": "default", "use_udp": True, "sigma": 3}, "dark_udp", "udp"),
        ({"type": "MSRAHeatmap", "post_process": "default", "unbiased": True, "sigma": 3}, "dark", "msra"),
        ({"type": "MSRAHeatmap", "post_process": "default", "sigma": 3}, "quarter", "msra"),
    ],
)
def test_the_codec_in_the_pipeline_tells_geometry_and_decoder(tmp_path, codec, decoder, geometry):
    told = json.loads(json.dumps(PIPELINE))
    told["pipeline"]["tasks"][2] |= {"component": "TopdownHeatmapSimpleHeadDecode", "params": codec}
    content = graphs.heatmaps(tmp_path / "hrnet.onnx").read_bytes()
    path = pack(tmp_path / "heatmaps.zip", {"end2end.onnx": content, "pipeline.json": json.dumps(told).encode()})
    spec = open_runtime(path, 1).spec
    assert (spec.decoder, spec.geometry, spec.sigma) == (decoder, geometry, 3.0)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"../end2end.onnx": b"x"}, "would lie outside its folder"),
        ({"/end2end.onnx": b"x"}, "would lie outside its folder"),
        ({"a\\..\\..\\end2end.onnx": b"x"}, "would lie outside its folder"),
        ({"C:/end2end.onnx": b"x"}, "would lie outside its folder"),
        ({"a/end2end.onnx": b"x", "b/end2end.onnx": b"x"}, "it holds end2end.onnx twice"),
        ({"model.onnx": b"x"}, "it holds no end2end.onnx"),
        ({"end2end.onnx": bytes(10_000_000)}, "when unpacked, so it is not read"),
        ({"end2end.onnx": b"x", "pipeline.json": b" " * 2_000_000}, "when unpacked, so it is not read"),
        ({"end2end.onnx": b"x", "pipeline.json": b"[1]"}, "pipeline.json is no json object"),
        ({"end2end.onnx": b"x", "pipeline.json": b"{"}, "its pipeline.json is no json"),
        ({"end2end.onnx": b"x", "pipeline.json": b'{"a":' * 20_000}, "nested too deep"),
        ({"end2end.onnx": b"x", "pipeline.json": b'{"pipeline": {"tasks": 3}}'}, "not as MMDeploy writes it"),
        ({f"{number}": b"" for number in range(1001)}, "holds 1001 files"),
        ({"end2end.onnx": b"no graph"}, "is not a whole ONNX file"),
    ],
)
def test_archives_that_are_none_or_attacks_are_refused(tmp_path, members, told):
    before = sorted(tmp_path.iterdir())
    path = pack(tmp_path / "strange.zip", members)
    with pytest.raises(WeightsError, match=told) as error:
        open_runtime(path, 1)
    assert str(path) in str(error.value)
    assert sorted(tmp_path.iterdir()) == [*before, path]


def test_a_zip_that_lies_about_sizes_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_GRAPH", 5_000_000)
    noise = np.random.default_rng(0).bytes(8_000_000)
    with pytest.raises(WeightsError, match="larger than 5,000,000 bytes"):
        open_runtime(pack(tmp_path / "large.zip", {"end2end.onnx": noise}), 1)


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "rtmpose.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(WeightsError, match="not a whole zip file"):
        open_runtime(tmp_path / "rtmpose.zip", 1)


def test_weights_in_another_file_are_run_and_joined(tmp_path):
    path = graphs.simcc(tmp_path / "large.onnx", external=True)
    assert (tmp_path / "weights.bin").is_file() or pytest.skip("the package wrote no second file")
    before = open_runtime(path, 1).heatmaps(crops_of(1))
    (tmp_path / "out").mkdir()
    adopt_graph(path, tmp_path / "out/mine.onnx", Settings())
    np.testing.assert_array_equal(open_runtime(tmp_path / "out/mine.onnx", 1).heatmaps(crops_of(1)), before)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(WeightsError, match=r"large\.onnx"):
        adopt_graph(path, tmp_path / "out/other.onnx", Settings())
    assert not (tmp_path / "out/other.onnx").exists()


def test_lightposes_own_files_are_not_adopted_and_other_names_are_refused(graph, tmp_path):
    with pytest.raises(WeightsError, match="is lightpose's own"):
        adopt_graph(find_weights("lpn50"), tmp_path / "mine.onnx", Settings())
    with pytest.raises(WeightsError, match=r"must end in \.onnx"):
        adopt_graph(graph, tmp_path / "mine.zip", Settings())
    with pytest.raises(WeightsError, match="leave --decoder out"):
        adopt_graph(graph, tmp_path / "mine.onnx", Settings(decoder="dark"))


def test_a_mean_for_a_graph_that_takes_bytes_is_refused(tmp_path):
    path = graphs.heatmaps(tmp_path / "bytes.onnx", kind=onnx.TensorProto.UINT8)
    with pytest.raises(WeightsError, match="it takes bytes as they are"):
        identify_graph(path, Settings(mean=(0.5, 0.5, 0.5)))


def test_an_adopted_file_can_be_adopted_anew(graph, tmp_path):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    adopt_graph(graph, first, Settings())
    adopt_graph(first, second, Settings(padding=1.5))
    assert open_runtime(second, 1).spec.padding == 1.5
    assert len(onnx.load(second).metadata_props) == 1


def test_info_and_verify_know_adopted_files(graph, tmp_path):
    adopt_graph(graph, tmp_path / "mine.onnx", Settings())
    assert describe_weights(tmp_path / "mine.onnx").spec.family == "simcc"
    assert "runs" in verify_weights(tmp_path / "mine.onnx").checks


def test_metadata_is_read_and_written_as_the_package_onnx_has_it(graph, tmp_path):
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {"names": "{0: 'person'}", "author": "jemand, ä"})
    onnx.save(model, tmp_path / "named.onnx")
    wanted = {"names": "{0: 'person'}", "author": "jemand, ä"}
    assert read_metadata(tmp_path / "named.onnx") == wanted
    content = with_metadata((tmp_path / "named.onnx").read_bytes(), "names", "x" * 300)
    found = onnx.load_from_string(content)
    assert {each.key: each.value for each in found.metadata_props} == {**wanted, "names": "x" * 300}
    assert found.graph == model.graph


def test_constants_that_are_nodes_count_as_well(tmp_path):
    path = graphs.heatmaps(tmp_path / "hrnet.onnx", before=[("Div", np.array([255]))])
    model = onnx.load(path)
    constant = next(each for each in model.graph.initializer if each.name == "Div0")
    model.graph.initializer.remove(constant)
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["Div0"], value=constant))
    ((kind, values),) = read_beginning(model.SerializeToString()).scales
    assert (kind, values.tolist()) == ("Div", [255.0])


def test_damaged_files_end_in_an_error_of_ours_or_in_nothing_found(graph, tmp_path):
    content = graph.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content[: generator.integers(1, len(content))])
        for place in generator.integers(0, min(len(damaged), 400), 5):
            damaged[place] = generator.integers(0, 256)
        (tmp_path / "damaged.onnx").write_bytes(damaged)
        read_metadata(tmp_path / "damaged.onnx")
        with contextlib.suppress(WeightsError):
            read_beginning(bytes(damaged))
    (tmp_path / "damaged.onnx").write_bytes(content[:1000])
    with pytest.raises(WeightsError, match="is not a whole ONNX file"):
        open_runtime(tmp_path / "damaged.onnx", 1)


def test_a_file_that_is_in_the_way_of_a_spec_for_another_task_is_told(graph, tmp_path):
    told = ModelSpec("mine", COCO17, HW).to_json().replace("heatmaps", "waves")
    (tmp_path / "new.onnx").write_bytes(with_metadata(graph.read_bytes(), SPEC_KEY, told))
    with pytest.raises(WeightsError, match="damaged or from another version"):
        open_runtime(tmp_path / "new.onnx", 1)


def test_predictions_of_both_forms_are_the_same(graph, tmp_path):
    adopt_graph(graph, tmp_path / "mine.onnx", Settings())
    points = [
        predict_crops(crops_of(3), open_runtime(path, 1), PredictOptions()) for path in (graph, tmp_path / "mine.onnx")
    ]
    np.testing.assert_array_equal(*points)

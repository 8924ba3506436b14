"""Other projects' pose networks: recognised by what they give, fed as they want, read as their own code reads them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from lightpose.errors import ConfigError, WeightsError
from lightpose.inference.top_down import Decoding, PredictOptions, decode_crops, predict_crops, predict_poses
from lightpose.results import Boxes
from lightpose.skeletons import COCO17
from lightpose.weights.foreign.graphs import adopt_graph, identify_graph
from lightpose.weights.foreign.settings import Settings
from lightpose.weights.open import open_runtime
from tests.runtime import pose_graphs as graphs
from tests.runtime.pose_graphs import HW, answer, crops_of

X, Y = (17, 2 * HW[1]), (17, 2 * HW[0])


def simcc_points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Keypoints by the rule of MMPose's get_simcc_maximum, joint by joint."""
    found = np.zeros((*x.shape[:2], 3))
    for person, joint in np.ndindex(*x.shape[:2]):
        along = x[person, joint], y[person, joint]
        score = min(each.max() for each in along)
        found[person, joint] = [*(each.argmax() / 2 if score > 0 else 0 for each in along), score]
    return found


def test_simcc_is_read_as_its_own_code_reads_it(tmp_path: Path):
    runtime, crops = open_runtime(graphs.simcc(tmp_path / "rtmpose.onnx"), 1), crops_of(5)
    wanted = simcc_points(answer(crops, "simcc_x", X), answer(crops, "simcc_y", Y))
    np.testing.assert_allclose(predict_crops(crops, runtime, PredictOptions()), wanted, atol=2e-5)
    assert (runtime.spec.family, runtime.spec.skeleton) == ("simcc", COCO17)


def test_simcc_outputs_in_the_other_order_are_told_apart_by_their_lengths(tmp_path: Path):
    shapes = {"simcc_y": Y, "simcc_x": X}
    other = open_runtime(graphs.write(tmp_path / "other.onnx", shapes), 1)
    usual = open_runtime(graphs.simcc(tmp_path / "usual.onnx"), 1)
    np.testing.assert_array_equal(other.heatmaps(crops_of(2)), usual.heatmaps(crops_of(2)))


def test_the_flip_test_of_simcc_is_mmposes(tmp_path: Path):
    runtime, crops = open_runtime(graphs.simcc(tmp_path / "rtmpose.onnx"), 1), crops_of(3)
    mirrored = crops[:, :, ::-1]
    order = list(COCO17.flip_order)
    x = (answer(crops, "simcc_x", X) + answer(mirrored, "simcc_x", X)[:, order][..., ::-1]) / 2
    y = (answer(crops, "simcc_y", Y) + answer(mirrored, "simcc_y", Y)[:, order]) / 2
    found = predict_crops(crops, runtime, PredictOptions(flip=True))
    np.testing.assert_allclose(found, simcc_points(x, y), atol=2e-5)


@pytest.mark.parametrize("batch", ["batch", 1, 4])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_crops_goes_through_an_open_or_fixed_batch(tmp_path: Path, batch, threads):
    runtime = open_runtime(graphs.heatmaps(tmp_path / "hrnet.onnx", batch=batch), threads)
    shape = (17, HW[0] // 4, HW[1] // 4)
    for count in (0, 1, 3, 9):
        crops = crops_of(count, seed=count)
        found = runtime.heatmaps(crops)
        np.testing.assert_allclose(found, answer(crops, "output", shape).astype(np.float32), atol=2e-5)
        assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("how", "mean", "std", "near"),
    [
        ({"last": True}, graphs.MEAN, graphs.STD, 1e-5),
        ({"kind": TensorProto.FLOAT16}, graphs.MEAN, graphs.STD, 0.02),
        ({"kind": TensorProto.UINT8, "last": True}, 0, 1, 2e-2),
        ({"kind": TensorProto.UINT8}, 0, 1, 2e-2),
        ({"kind": TensorProto.INT32, "last": True}, 0, 1, 2e-2),
    ],
    ids=["NHWC", "fp16", "bytes NHWC", "bytes NCHW", "int32"],
)
def test_inputs_of_each_type_and_order_get_what_they_want(tmp_path: Path, how, mean, std, near):
    runtime, crops = open_runtime(graphs.heatmaps(tmp_path / "hrnet.onnx", **how), 1), crops_of(2)
    wanted = answer(crops, "output", (17, HW[0] // 4, HW[1] // 4), np.array(mean), np.array(std))
    np.testing.assert_allclose(runtime.heatmaps(crops), wanted, atol=near * max(1, np.abs(wanted).max() / 100))


def test_heatmaps_with_the_joints_last_are_turned(tmp_path: Path):
    shape = (HW[0] // 4, HW[1] // 4, 17)
    runtime = open_runtime(graphs.write(tmp_path / "tf.onnx", {"output": shape}, last=True), 1)
    wanted = answer(crops_of(2), "output", shape).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(runtime.heatmaps(crops_of(2)), wanted, atol=2e-5)


def test_points_as_shares_become_pixels_of_the_crop_and_flip_as_mmpose_flips_them(tmp_path: Path):
    path = graphs.write(tmp_path / "regression.onnx", {"points": (17, 3)}, sigmoid=True)
    runtime, crops = open_runtime(path, 1), crops_of(3)
    scale = np.array([HW[1], HW[0], 1])
    straight, back = (answer(each, "points", (17, 3), sigmoid=True) * scale for each in (crops, crops[:, :, ::-1]))
    np.testing.assert_allclose(predict_crops(crops, runtime, PredictOptions()), straight, atol=2e-4)
    back = back[:, list(COCO17.flip_order)]
    back[..., 0] = HW[1] - 1 - back[..., 0]
    flipped = predict_crops(crops, runtime, PredictOptions(flip=True))
    np.testing.assert_allclose(flipped, (straight + back) / 2, atol=2e-4)


def test_points_without_a_score_score_1(tmp_path: Path):
    path = graphs.write(tmp_path / "regression.onnx", {"points": (17, 2)}, sigmoid=True)
    assert (predict_crops(crops_of(1), open_runtime(path, 1), PredictOptions())[..., 2] == 1).all()


def test_movenet_gives_y_before_x_and_takes_bytes(tmp_path: Path):
    path = graphs.write(tmp_path / "movenet.onnx", {"output_0": (1, 17, 3)}, batch=1, kind=TensorProto.INT32, last=True,
                        sigmoid=True, before=[("Div", np.array([255]))])  # fmt: skip
    crops = crops_of(2)
    rows = answer(crops, "output_0", (17, 3), np.array(0), np.array(255), sigmoid=True)
    wanted = rows[..., [1, 0, 2]] * [HW[1], HW[0], 1]
    found = predict_crops(crops, open_runtime(path, 1), PredictOptions())
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_udp_networks_are_read_by_dark_in_udp_geometry(tmp_path: Path):
    path = graphs.heatmaps(tmp_path / "vitpose-s.onnx")
    spec = open_runtime(path, 1).spec
    assert (spec.geometry, spec.decoder, spec.stride) == ("udp", "dark_udp", 4)
    assert open_runtime(graphs.heatmaps(tmp_path / "hrnet_w32.onnx"), 1).spec.decoder == "quarter"


@pytest.mark.parametrize(("name", "off_px"), [("vitpose-s", 0.01), ("hrnet_w32", 1.0)])
def test_heatmaps_are_put_back_into_the_image_as_their_own_code_does_it(tmp_path: Path, name, off_px):
    """ViTPose: centre - scale / 2 + place / (w - 1) · scale, to a hundredth of a pixel. HRNet: place / w · scale, and
    a quarter of a heatmap pixel off at most, which is one pixel here."""
    centers = np.random.default_rng(0).uniform([8, 8], [40, 56], (17, 2))
    runtime = open_runtime(graphs.gaussians(tmp_path / f"{name}.onnx", centers), 1)
    box = np.array([[200, 100, 192 / 1.25, 256 / 1.25]], np.float32)
    found = predict_poses(np.zeros((720, 1280, 3), np.uint8), Boxes(box), runtime, PredictOptions()).keypoints[0]
    middle, scale = box[0, :2] + box[0, 2:] / 2, np.array([192, 256])
    wanted = middle - scale / 2 + centers / ((47, 63) if name == "vitpose-s" else (48, 64)) * scale
    np.testing.assert_allclose(found[:, :2], wanted, atol=off_px)
    assert (found[:, 2] > 0.85).all()


def test_an_image_and_boxes_give_what_a_plain_reading_gives(tmp_path: Path):
    """The crop cut by hand from its definition, sampled in the middle of cells of constant colour."""
    runtime = open_runtime(graphs.simcc(tmp_path / "rtmpose.onnx"), 1)
    image = crops_of(1, seed=3)[0].repeat(5, axis=0).repeat(5, axis=1)  # (320, 240)
    box = np.array([[24, 32, 192, 256]], np.float32)  # padded by 1.25 it is the whole image
    crop = crops_of(1, seed=3)
    found = predict_poses(image, Boxes(box), runtime, PredictOptions()).keypoints
    wanted = predict_crops(crop, runtime, PredictOptions())
    near = np.abs(found[..., 2] - wanted[..., 2]) < 0.2
    np.testing.assert_allclose((found[..., :2] / 5)[near & (found[..., 2] > 0.5)],
                               wanted[..., :2][near & (found[..., 2] > 0.5)], atol=1)  # fmt: skip
    assert near.mean() > 0.9


def test_openvino_gives_the_same_as_onnx_runtime(tmp_path: Path):
    pytest.importorskip("openvino")
    for name, batch in (("open", "batch"), ("fixed", 2)):
        path = graphs.simcc(tmp_path / f"{name}.onnx", batch=batch)
        first, second = (open_runtime(path, 1, engine) for engine in ("onnxruntime", "openvino"))
        np.testing.assert_allclose(second.heatmaps(crops_of(3)), first.heatmaps(crops_of(3)), atol=1e-4)
        assert second.name == "openvino"


def test_a_copy_in_another_process_gives_the_same(tmp_path: Path):
    runtime = open_runtime(graphs.simcc(tmp_path / "rtmpose.onnx"), 1)
    copy = pickle.loads(pickle.dumps(runtime))
    np.testing.assert_array_equal(copy.heatmaps(crops_of(2)), runtime.heatmaps(crops_of(2)))


def test_a_decoder_is_refused_where_there_are_no_heatmaps(tmp_path: Path):
    runtime = open_runtime(graphs.simcc(tmp_path / "rtmpose.onnx"), 1)
    with pytest.raises(ConfigError, match="a decoder needs a network that gives heatmaps; this one gives simcc"):
        predict_crops(crops_of(1), runtime, PredictOptions(decoder="dark"))
    assert decode_crops(crops_of(1), runtime, False, [Decoding("argmax")])[0].shape == (1, 17, 3)


def test_numbers_that_are_none_are_refused(tmp_path: Path):
    path = graphs.simcc(tmp_path / "rtmpose.onnx", before=[("Div", np.zeros(1)), ("Mul", np.zeros(1))])
    with pytest.raises(WeightsError, match="simcc are not finite numbers"):
        predict_crops(crops_of(1), open_runtime(path, 1), PredictOptions())


REFUSED = {
    "classifier": ({"logits": (1000,)}, "It looks like a network that classifies images"),
    "segmentation": ({"out": (3, *HW)}, "It looks like a segmentation network"),
    "detector": ({"dets": (100, 5), "labels": (100,)}, "It looks like a detector: give it to --detector"),
    "YOLO": ({"output0": (84, 300)}, "It looks like a detector: give it to --detector"),
    "YOLOv7-pose": ({"output0": (300, 57)}, "finds boxes and joints at once, laid out as none that lightpose knows"),
    "three dimensions": ({"x": (17, 96), "y": (17, 128), "z": (17, 96)}, "SimCC in three dimensions"),
    "bins differ": ({"x": (17, 96), "y": (17, 200)}, "no pose network of a known kind"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_top_down_network_is_named(tmp_path: Path, kind):
    outputs, told = REFUSED[kind]
    with pytest.raises(WeightsError, match=told) as error:
        open_runtime(graphs.write(tmp_path / "strange.onnx", outputs), 1)
    assert str(error.value).startswith(str(tmp_path / "strange.onnx"))


@pytest.mark.parametrize(
    ("joints", "told"),
    [(12, r"12 are is not known; near are lsp14 \(14\)"), (14, r"lsp14 \(14\)"), (51, "UDP's heatmaps with offsets"),
     (25, r"body25 \(25\)")],
)  # fmt: skip
def test_joints_that_fit_no_skeleton_get_the_names_of_near_ones(tmp_path: Path, joints, told):
    with pytest.raises(WeightsError, match=told):
        open_runtime(graphs.heatmaps(tmp_path / "strange.onnx", joints=joints), 1)


def test_a_description_that_no_longer_fits_is_refused(tmp_path: Path):
    adopt_graph(graphs.heatmaps(tmp_path / "hrnet.onnx"), tmp_path / "mine.onnx", Settings())
    spec = open_runtime(tmp_path / "mine.onnx", 1).spec
    from lightpose.runtime.adopted import AdoptedRuntime

    with pytest.raises(WeightsError, match="gives SimCC of 17 joints, not heatmaps of 17"):
        AdoptedRuntime(graphs.simcc(tmp_path / "other.onnx"), spec, 1)


def test_a_batch_that_would_fill_the_memory_is_refused_before_it_is_made(tmp_path: Path):
    with pytest.raises(WeightsError, match="it takes 1000000 crops at a time"):
        open_runtime(graphs.simcc(tmp_path / "bomb.onnx", batch=1_000_000), 1)


def test_a_graph_with_open_sides_gets_the_size_that_is_asked_for(tmp_path: Path):
    path = graphs.simcc(tmp_path / "open.onnx", sides=("height", "width"))
    assert identify_graph(path, Settings(input_hw=HW)).spec.input_hw == HW
    with pytest.raises(WeightsError, match="it fails when it is run on a crop of 256x192"):
        identify_graph(path)
    with pytest.raises(WeightsError, match="it takes crops of 64x48, not 128x96"):
        identify_graph(graphs.simcc(tmp_path / "fixed.onnx"), Settings(input_hw=(128, 96)))

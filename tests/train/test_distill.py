"""Teachers: what they say of a crop, matched by name and size, and that a student learns it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch")

from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.errors import ConfigError, SkeletonError, WeightsError  # noqa: E402
from lightpose.evaluate.evaluation import evaluate_given_boxes  # noqa: E402
from lightpose.inference.top_down import PredictOptions  # noqa: E402
from lightpose.io.images import read_image  # noqa: E402
from lightpose.ops.geometry import crop_matrices, heatmap_scale, warp  # noqa: E402
from lightpose.runtime.onnx import OnnxRuntime  # noqa: E402
from lightpose.runtime.torch import TorchRuntime  # noqa: E402
from lightpose.skeletons import COCO17, Skeleton  # noqa: E402
from lightpose.train.config import DistillConfig  # noqa: E402
from lightpose.train.distill import Teacher  # noqa: E402
from lightpose.train.loss import LossConfig  # noqa: E402
from lightpose.types import SPEC_KEY, ModelSpec  # noqa: E402
from lightpose.weights.network import load_network  # noqa: E402
from tests.data.test_augment import centroids  # noqa: E402
from tests.train.runs import LEARNER, PLAIN, ROOT, config_for, train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CPU = torch.device("cpu")
WEIGHTS = ROOT / "weights" / "lpn50.safetensors"
GEOMETRIES = pytest.mark.parametrize("geometry", ["msra", "udp"])
RGB = Skeleton("rgb", ("nose", "left_wrist", "right_wrist", "tail"))
"""What a teacher that looks for colours calls red, green, blue, and whatever is not red."""


def color_teacher(path, input_hw, geometry="msra"):
    """An ONNX file that finds dots: heatmaps are the blurred colour channels, sampled as the geometry has it.

    Under MSRA heatmap pixel u stands for crop pixel 4·u, under UDP the outer pixels of both fall together. The fourth
    joint is minus the first.
    """
    height, width = input_hw
    bell = np.exp(-(np.arange(-6, 7) ** 2) / (2 * 2.0**2))
    bell = np.outer(bell, bell) / np.outer(bell, bell).sum()
    pick = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]]) / 255
    kernel = (pick[:, :, None, None] * bell).astype(np.float32)
    mode = {"msra": "asymmetric", "udp": "align_corners"}[geometry]
    nodes = [
        helper.make_node("Cast", ["crops"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["blurred"], pads=[6, 6, 6, 6]),
        helper.make_node("Shape", ["crops"], ["count"], end=1),
        helper.make_node("Concat", ["count", "map"], ["sizes"], axis=0),
        helper.make_node(
            "Resize", ["blurred", "", "", "sizes"], ["heatmaps"], mode="linear", coordinate_transformation_mode=mode
        ),
        helper.make_node("ReduceMax", ["heatmaps"], ["keypoints"]),
    ]
    constants = {"kernel": kernel, "map": np.array([4, height // 4, width // 4], np.int64)}
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", height, width, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("heatmaps", "keypoints")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {SPEC_KEY: ModelSpec("lpn50", RGB, input_hw, geometry=geometry).to_json()})
    onnx.save(model, path)
    return DistillConfig(str(path), min_score=0.3)


def pictures_of(places, input_hw, brightness=255):
    """(N, 3, H, W) float: a soft dot in each colour at each place (N, 3, 2)."""
    y, x = np.arange(input_hw[0]), np.arange(input_hw[1])
    rows = np.exp(-((y - places[..., 1, None]) ** 2) / (2 * 3.0**2))
    columns = np.exp(-((x - places[..., 0, None]) ** 2) / (2 * 3.0**2))
    return torch.from_numpy(brightness * np.einsum("nch,ncw->nchw", rows, columns)).float()


@pytest.fixture(scope="module")
def places():
    return np.random.default_rng(0).uniform((14, 14), (33, 49), (6, 3, 2))


def spec_of(joints=RGB.joints, input_hw=(64, 48), geometry="msra"):
    return ModelSpec("lpn50", Skeleton("mine", joints), input_hw, geometry=geometry)


def test_joints_are_matched_by_name_and_what_the_teacher_lacks_weighs_nothing(tmp_path, places):
    spec = spec_of(("right_wrist", "left_ear", "nose", "left_wrist"))
    teacher = Teacher(color_teacher(tmp_path / "t.onnx", (64, 48)), spec, CPU)
    targets, weights = teacher(pictures_of(places, (64, 48)))
    assert targets.shape == (6, 4, 16, 12)
    assert weights.tolist() == [[1, 0, 1, 1]] * 6
    assert not targets[:, 1].any()
    found = centroids(targets[:, [2, 3, 0]].numpy()) * 4
    np.testing.assert_allclose(found, places, atol=0.1)


@GEOMETRIES
def test_a_teacher_of_the_same_size_is_taken_at_its_word(tmp_path, places, geometry):
    """Its heatmaps arrive as they are, save that nothing is below zero."""
    teacher = Teacher(color_teacher(tmp_path / "t.onnx", (64, 48), geometry), spec_of(geometry=geometry), CPU)
    images = pictures_of(places, (64, 48)).round()
    expected = OnnxRuntime(tmp_path / "t.onnx").heatmaps(images.permute(0, 2, 3, 1).byte().numpy())
    assert expected.min() < -0.3
    np.testing.assert_allclose(teacher(images)[0].numpy(), np.maximum(expected, 0), atol=1e-5)


@GEOMETRIES
@pytest.mark.parametrize("its_hw", [(128, 96), (256, 192), (96, 80)])
def test_a_teacher_of_another_size_points_at_the_same_places(tmp_path, places, its_hw, geometry):
    """To a fraction of a crop pixel, though both the crop and the heatmaps are resized: no half pixels get lost."""
    teacher = Teacher(color_teacher(tmp_path / "t.onnx", its_hw, geometry), spec_of(geometry=geometry), CPU)
    targets, weights = teacher(pictures_of(places, (64, 48)))
    assert targets.shape == (6, 4, 16, 12)
    assert weights.tolist() == [[1, 1, 1, 0]] * 6
    found = centroids(targets[:, :3].numpy()) * heatmap_scale((64, 48), (16, 12), geometry)
    assert np.abs(found - places).mean() < 0.06
    assert np.abs(found - places).max() < 0.3


def test_a_teacher_with_smaller_crops_points_at_the_same_places(tmp_path, places):
    teacher = Teacher(color_teacher(tmp_path / "t.onnx", (64, 48)), spec_of(input_hw=(128, 96)), CPU)
    targets, _ = teacher(pictures_of(2 * places, (128, 96)))
    assert targets.shape == (6, 4, 32, 24)
    np.testing.assert_allclose(centroids(targets[:, :3].numpy()) * 4, 2 * places, atol=0.6)


def test_joints_of_which_the_teacher_is_not_sure_are_left_out(tmp_path, places):
    """The same dots in ever brighter light: the maps that reach the least score count. A least of 0 takes all."""
    light = torch.linspace(10, 255, 6)[:, None, None, None]
    images = (pictures_of(places[:1], (64, 48), 1) * light).round()
    config = color_teacher(tmp_path / "t.onnx", (64, 48))
    targets, weights = Teacher(config, spec_of(), CPU)(images)
    assert torch.equal(weights, (targets.amax((2, 3)) >= 0.3).float())
    assert 0 < weights[:, :3].sum() < 18
    assert (weights[:, :3].diff(dim=0) >= 0).all()
    assert Teacher(replace(config, min_score=0.0), spec_of(), CPU)(images)[1].all()


def test_a_teacher_has_one_answer_however_often_it_is_asked_and_learns_nothing(places):
    images = pictures_of(places, (64, 48))
    teacher = Teacher(DistillConfig(str(WEIGHTS)), spec_of(COCO17.joints), CPU)
    first, second = teacher(images), teacher(images)
    assert torch.equal(first[0], second[0])
    assert not first[0].requires_grad


@pytest.fixture(scope="module")
def crops():
    """The people of the example photos, (3, 3, 256, 192)."""
    folder = ROOT / "examples" / "photos"
    boxes = {row["file_name"]: row["bbox"] for row in json.loads((folder / "boxes.json").read_text())}
    parts = [
        warp(read_image(folder / name), crop_matrices(box, (256, 192), "msra"), (256, 192))
        for name, box in boxes.items()
    ]
    return torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2).float()


def test_a_teacher_as_onnx_says_what_it_does_as_safetensors(crops):
    """The bundled weights, once by name and once from the file that they were exported from."""
    spec = ModelSpec("lpn50", COCO17)
    by_onnx, by_torch = (Teacher(DistillConfig(name), spec, CPU)(crops) for name in ("lpn50", str(WEIGHTS)))
    assert by_torch[0].amax() > 0.3
    assert (by_onnx[0] - by_torch[0]).abs().max() < 1e-3
    sure = (by_torch[0].amax((2, 3)) - 0.1).abs() > 1e-3
    assert torch.equal(by_onnx[1][sure], by_torch[1][sure])


def test_a_teacher_as_onnx_says_nearly_the_same_of_resized_crops(crops):
    """Its pixels are whole numbers then, and those of the other are not."""
    small = torch.nn.functional.interpolate(crops, (128, 96), mode="bilinear", antialias=True)
    spec = ModelSpec("lpn50", COCO17, (128, 96))
    by_onnx, by_torch = (Teacher(DistillConfig(name), spec, CPU)(small)[0] for name in ("lpn50", str(WEIGHTS)))
    assert (by_onnx - by_torch).abs().max() < 2e-2
    assert (by_onnx - by_torch).abs().mean() < 1e-4


def test_a_teacher_that_does_not_fit_is_refused(tmp_path):
    config = color_teacher(tmp_path / "t.onnx", (64, 48))
    with pytest.raises(
        ConfigError, match=r"teacher .*t\.onnx has msra geometry, the model udp; both must have the same"
    ):
        Teacher(config, spec_of(geometry="udp"), CPU)
    with pytest.raises(SkeletonError, match=r"no joint of skeleton 'mine' \(claw\) is among the data's: nose"):
        Teacher(config, spec_of(("claw",)), CPU)
    with pytest.raises(WeightsError, match=r"no weights at nowhere\.onnx; give a file, or one of the bundled: lpn50"):
        Teacher(DistillConfig("nowhere.onnx"), spec_of(), CPU)


@pytest.fixture(scope="module")
def only_noses(people, tmp_path_factory):
    """The drawn persons with nothing labelled but their noses, to learn from; validated with all joints."""
    document = json.loads(Path(people.val.annotations).read_text())
    for row in document["annotations"]:
        row["keypoints"][3:] = [0] * 48
    path = tmp_path_factory.mktemp("noses") / "people.json"
    path.write_text(json.dumps(document))
    return replace(people, train=(replace(people.train[0], annotations=str(path)),))


def test_a_student_learns_from_its_teacher_what_no_label_says(learned, only_noses, people, tmp_path):
    """The teacher knows the persons by heart; of them the student is told where their noses are, and no more."""
    teacher = Path(learned[0].out) / "best.safetensors"
    config = config_for(
        only_noses,
        tmp_path,
        model=LEARNER,
        loss=LossConfig(mse=200, cross_entropy=0.3),
        augment=PLAIN,
        distill=DistillConfig(str(teacher), weight=1.0),
        lr=3e-3,
        epochs=3,
        ema=0,
        clip_norm=5.0,
        checkpoint_every_s=1e9,
    )
    train(config)
    source = read_coco(people.val.annotations, people.val.images)
    network, spec = load_network(tmp_path / "best.safetensors")
    found = evaluate_given_boxes(source, TorchRuntime(network, spec), PredictOptions(flip=True))
    assert (found.errors[:, 1:] < 0.1).mean() > 0.6, "share of the other joints that is within a tenth of the person"

"""What tensors cannot tell: asked for, read in MMPose's configuration, or usual for the project."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.errors import WeightsError  # noqa: E402
from lightpose.skeletons import COCO17, LSP14, MPII16, Skeleton  # noqa: E402
from lightpose.weights.foreign.checkpoint import read_checkpoint  # noqa: E402
from lightpose.weights.foreign.mmpose import read_meta  # noqa: E402
from lightpose.weights.foreign.recognise import LPN_AUTHORS, MMPOSE, POSE_HRNET, POSE_RESNET, Recognised  # noqa: E402
from lightpose.weights.foreign.settings import Settings, settle  # noqa: E402

CFG_1 = """
codec = dict(heatmap_size=(72, 96), input_size=(288, 384), sigma=3, type='MSRAHeatmap', unbiased=True)
train_pipeline = [dict(type='Conv2d', padding=1), dict(type='GetBBoxCenterScale', padding=1.4)]
model = dict(
    backbone=dict(type='HRNet', extra=dict(stage1=dict(num_blocks=(4, )))),
    data_preprocessor=dict(
        bgr_to_rgb=True, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], type='PoseDataPreprocessor'))
"""
CFG_0 = """
data_cfg = dict(image_size=[192, 256], heatmap_size=[48, 64], soft_nms=False)
model = dict(type='TopDown', test_cfg=dict(flip_test=True, post_process='default', use_udp=True))
pipeline = [
    dict(type='TopDownGetBboxCenterScale', padding=1.1),
    dict(type='TopDownAffine', use_udp=True),
    dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    dict(type='TopDownGenerateTarget', sigma=2, encoding='UDP')]
dataset_info = dict(
    dataset_name='pair',
    keypoint_info=dict({
        0: dict(name='left_tip', id=0, color=[1, 2, 3], type='upper', swap='right_tip'),
        1: dict(name='right_tip', id=1, color=[1, 2, 3], type='upper', swap='left_tip')}),
    skeleton_info=dict({0: dict(link=('left_tip', 'right_tip'), id=0, color=[0, 255, 0])}))
"""


def network(origin, joints=17):
    return Recognised(origin, "lpn50" if origin == LPN_AUTHORS else "simple50", {}, joints, {})


@pytest.mark.parametrize(
    ("origin", "joints", "skeleton", "input_hw", "color_order", "decoder"),
    [
        (LPN_AUTHORS, 17, COCO17, (256, 192), "bgr", "softargmax"),
        (LPN_AUTHORS, 16, MPII16, (256, 256), "rgb", "softargmax"),
        (POSE_RESNET, 17, COCO17, (256, 192), "bgr", "quarter"),
        (POSE_RESNET, 16, MPII16, (256, 256), "bgr", "quarter"),
        (POSE_HRNET, 17, COCO17, (256, 192), "rgb", "quarter"),
        (POSE_HRNET, 16, MPII16, (256, 256), "rgb", "quarter"),
        (POSE_HRNET, 14, LSP14, (256, 192), "rgb", "quarter"),
        (MMPOSE, 17, COCO17, (256, 192), "rgb", "quarter"),
    ],
)
def test_what_is_usual_for_each_project(origin, joints, skeleton, input_hw, color_order, decoder):
    spec, origins = settle(network(origin, joints), Settings(), Settings(), "x")
    assert (spec.skeleton, spec.input_hw, spec.color_order, spec.decoder) == (skeleton, input_hw, color_order, decoder)
    assert (spec.geometry, spec.padding, spec.sigma, spec.mean[0]) == ("msra", 1.25, 2.0, 0.485)
    assert all(origin.startswith("assumed: ") for origin in origins.values())


def test_what_is_asked_goes_before_what_is_read_and_that_before_what_is_usual():
    asked, read = Settings(decoder="argmax"), Settings(decoder="dark", color_order="bgr")
    spec, origins = settle(network(POSE_HRNET), asked, read, "x")
    assert (spec.decoder, origins["decoder"]) == ("argmax", "asked")
    assert (spec.color_order, origins["color_order"]) == ("bgr", "read")
    assert origins["geometry"].startswith("assumed")
    assert (asked, read) == (Settings(decoder="argmax"), Settings(decoder="dark", color_order="bgr"))


def test_larger_inputs_have_a_wider_gaussian_and_udp_is_decoded_by_dark_udp():
    spec, _ = settle(network(POSE_HRNET), Settings(input_hw=(384, 288), geometry="udp"), Settings(), "x")
    assert (spec.sigma, spec.decoder) == (3.0, "dark_udp")


def test_fourteen_joints_of_mmpose_are_not_taken_for_lsps():
    with pytest.raises(
        WeightsError, match="x holds simple50 of MMPose with 14 heatmaps, and which joints these are is not known"
    ):
        settle(network(MMPOSE, 14), Settings(), Settings(), "x")


def test_a_skeleton_must_have_as_many_joints_as_there_are_heatmaps():
    with pytest.raises(WeightsError, match="x has 17 heatmaps, the skeleton 'lsp14' has 14 joints"):
        settle(network(POSE_HRNET), Settings(skeleton=LSP14), Settings(), "x")
    spec, origins = settle(network(POSE_HRNET), Settings(), Settings(skeleton=LSP14), "x")
    assert spec.skeleton == COCO17, "a data set's that does not fit is passed over"
    assert origins["skeleton"].startswith("assumed")


def test_the_configuration_of_mmpose_1_is_read():
    found = read_meta({"cfg": CFG_1})
    assert found.input_hw == (384, 288)
    assert (found.geometry, found.decoder, found.color_order, found.sigma) == ("msra", "dark", "rgb", 3.0)
    assert found.padding == 1.4
    assert found.mean == pytest.approx((0.485, 0.456, 0.406))
    assert found.std == pytest.approx((0.229, 0.224, 0.225))
    plain = read_meta({"cfg": CFG_1.replace(", unbiased=True", "")})
    assert plain == dataclasses.replace(found, decoder="quarter")
    udp = read_meta(
        {"cfg": CFG_1.replace("MSRAHeatmap', unbiased=True", "UDPHeatmap'").replace("to_rgb=True", "to_rgb=False")}
    )
    assert udp == dataclasses.replace(found, geometry="udp", color_order="bgr", decoder="dark_udp")


def test_the_configuration_of_mmpose_0_is_read():
    found = read_meta({"config": CFG_0})
    assert (found.input_hw, found.geometry, found.decoder) == ((256, 192), "udp", "dark_udp")
    assert (found.color_order, found.mean, found.sigma, found.padding) == ("rgb", (0.485, 0.456, 0.406), 2.0, 1.1)
    assert found.skeleton == Skeleton("pair", ("left_tip", "right_tip"))


def test_the_joints_of_a_data_set_are_read_by_number_and_known_ones_recognised():
    names = dict(enumerate(MPII16.joints))
    names[8] = "upper_neck"
    assert read_meta({"dataset_meta": {"keypoint_id2name": names}}).skeleton == MPII16
    told = {"dataset_name": "hand", "keypoint_id2name": {1: "tip", 0: "root"}, "skeleton_links": [(0, 1)]}
    assert read_meta({"dataset_meta": told}).skeleton == Skeleton("hand", ("root", "tip"), (("root", "tip"),))


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"cfg": None, "dataset_meta": None},
        {"cfg": "dict("},
        {"cfg": "\0"},
        {"cfg": "x = " + "(" * 5000},
        {"cfg": "x = " + "-" * 100_000 + "1"},
        {"cfg": "__import__('os').mkdir('was_here')"},
        {"cfg": "dict(input_size=(1, 'a'), sigma=-1, mean=[1, 2], type={1: [2]})"},
        {"dataset_meta": {"keypoint_id2name": {0: "nose", 2: "tail"}}},
        {"dataset_meta": {"keypoint_id2name": {0: "nose", 1: "nose"}}},
        {"dataset_meta": {"keypoint_id2name": {0: "nose"}, "skeleton_links": [(0, 9)]}},
    ],
)
def test_what_cannot_be_understood_is_passed_over(meta, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_meta(meta)
    assert (found.input_hw, found.skeleton, found.sigma, found.mean) == (None, None, None, None)
    assert not list(tmp_path.iterdir())


def test_numpy_arrays_beside_the_tensors_do_not_keep_a_file_from_being_read(tmp_path):
    told = {"keypoint_id2name": {0: "root", 1: "tip"}, "sigmas": np.ones(2, np.float32), "best": np.float64(0.5)}
    torch.save({"state_dict": {"a": torch.ones(2)}, "meta": {"dataset_meta": told}}, tmp_path / "x.pth")
    checkpoint = read_checkpoint(tmp_path / "x.pth")
    assert torch.equal(checkpoint.tensors["a"], torch.ones(2))
    assert read_meta(checkpoint.meta).skeleton == Skeleton("custom", ("root", "tip"))

"""What Boxes, ModelSpec and DetectorSpec accept, refuse, and carry through JSON."""

import dataclasses
import json

import numpy as np
import pytest

from lightpose.errors import BoxesError, ConfigError, LightposeError, WeightsError
from lightpose.results import Boxes, Poses
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import DetectorSpec, ModelSpec

SPEC = ModelSpec("lpn50", COCO17)
ODD_SPEC = ModelSpec(
    model="hrnet_w32",
    skeleton=Skeleton("bird", ("beak", "left_wing", "right_wing"), (("beak", "left_wing"),), (0.1, 0.2, 0.3)),
    input_hw=(384, 288),
    options={"gc": False, "joints": 3},
    color_order="bgr",
    mean=(0.1, 0.2, 0.3),
    std=(1.0, 2.0, 1 / 3),
    geometry="udp",
    padding=1.1,
    decoder="dark",
    beta=100.0,
    sigma=3.0,
    stride=8,
)


def test_boxes_are_float32_copies_with_scores_of_one_by_default():
    given = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=np.float64)
    boxes = Boxes(given)
    given[:] = 0
    assert boxes.xywh.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert (boxes.xywh.dtype, boxes.scores.dtype) == (np.float32, np.float32)
    assert boxes.scores.tolist() == [1, 1]
    assert len(boxes) == 2


def test_given_scores_are_kept():
    assert Boxes([[1, 2, 3, 4]], [0.25]).scores.tolist() == [0.25]


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4)), np.zeros(0)])
def test_no_boxes_have_shape_0_4_and_no_scores(empty):
    boxes = Boxes(empty)
    assert (boxes.xywh.shape, boxes.scores.shape, len(boxes)) == ((0, 4), (0,), 0)
    boxes.check_inside(1, 1)


@pytest.mark.parametrize(
    ("xywh", "scores", "text"),
    [
        ([1, 2, 3, 4], [], r"shape \(N, 4\) for left, top, width, height; got \(4,\)"),
        ([[1, 2, 3]], [], r"got \(1, 3\)"),
        ([[[1, 2, 3, 4]]], [], r"got \(1, 1, 4\)"),
        ([[1, 2, 3, 4], [1, 2]], [], "must be numbers, four for each person"),
        ([["a", 2, 3, 4]], [], "must be numbers, four for each person"),
        ([[1, 2, 3, 4]], [1, 1], r"1 boxes need 1 scores; got shape \(2,\)"),
        ([[1, 2, 3, 4]], [[1]], r"1 boxes need 1 scores; got shape \(1, 1\)"),
        ([], [1], r"0 boxes need 0 scores"),
        ([[1, 2, np.nan, 4]], [], "NaN or infinite"),
        ([[1, np.inf, 3, 4]], [], "NaN or infinite"),
        ([[1, 2, 3, 4]], [np.nan], "NaN or infinite"),
    ],
)
def test_malformed_boxes_are_refused_with_the_reason(xywh, scores, text):
    with pytest.raises(BoxesError, match=text):
        Boxes(xywh, scores)


@pytest.mark.parametrize(
    ("box", "text"),
    [
        ([1, 2, 0, 4], "has no area"),
        ([1, 2, 3, -4], "has no area"),
        ([20, 2, 3, 4], "lies outside the 20x10 image"),
        ([1, 10, 3, 4], "lies outside the 20x10 image"),
        ([-3, 2, 3, 4], "lies outside the 20x10 image"),
        ([1, -4, 3, 4], "lies outside the 20x10 image"),
    ],
)
def test_check_inside_names_the_first_wrong_box(box, text):
    with pytest.raises(BoxesError, match=rf"^box 1 \[.*\] \(left, top, width, height\) {text}$"):
        Boxes([[0, 0, 5, 5], box, box]).check_inside(height=10, width=20)


@pytest.mark.parametrize("box", [[0, 0, 20, 10], [19.5, 9.5, 3, 3], [-2.5, -3.5, 3, 4], [-50, -50, 500, 500]])
def test_check_inside_accepts_a_box_that_touches_the_picture(box):
    assert Boxes([box]).check_inside(height=10, width=20) is None


def test_poses_count_their_people():
    assert len(Poses(np.zeros((3, 17, 3), np.float32), np.ones(3, np.float32), Boxes(np.ones((3, 4))), COCO17)) == 3


@pytest.mark.parametrize("spec", [SPEC, ODD_SPEC])
def test_a_spec_comes_back_from_json_unchanged(spec):
    text = spec.to_json()
    assert "\n" not in text
    assert ModelSpec.from_json(text) == spec


def test_heatmap_size_is_input_size_over_stride():
    assert SPEC.heatmap_hw == (64, 48)
    assert ODD_SPEC.heatmap_hw == (48, 36)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("input_hw", (250, 192), "two multiples of 16"),
        ("input_hw", (256, 8), "two multiples of 16"),
        ("input_hw", (0, 192), "two multiples of 16"),
        ("input_hw", (-256, 192), "two multiples of 16"),
        ("input_hw", (256,), "two multiples of 16"),
        ("input_hw", (256, 192, 3), "two multiples of 16"),
        ("color_order", "grb", "color_order 'grb' is unknown; use rgb, bgr"),
        ("geometry", "dark", "geometry 'dark' is unknown; use msra, udp"),
        (
            "decoder",
            "udp",
            "decoder 'udp' is unknown; use argmax, quarter, softargmax, softargmax_quarter, dark, dark_udp, ",
        ),
        ("beta", 0.0, "beta must be above 0, not 0"),
        ("beta", float("nan"), "beta must be above 0, not nan"),
        ("padding", 0.0, "padding must be from 0.1 to 10, times the box, not 0"),
        ("padding", 11.0, "padding must be from 0.1 to 10, times the box, not 11"),
        ("padding", float("nan"), "padding must be from 0.1 to 10, times the box, not nan"),
        ("sigma", -1.0, "sigma must be above 0, not -1"),
        ("sigma", float("inf"), "sigma must be above 0, not inf"),
        ("stride", 0, "stride must be above 0, not 0"),
        ("mean", (0.5,), "mean"),
        ("mean", (0.5, 0.5, float("nan")), "mean"),
        ("std", (0.2, 0.2), "std"),
        ("std", (0.2, 0.0, 0.2), "std"),
        ("std", (0.2, float("inf"), 0.2), "std"),
    ],
)
def test_a_wrong_value_is_refused_by_name_in_code_and_in_a_file(name, value, text):
    with pytest.raises(ConfigError, match=text):
        dataclasses.replace(SPEC, **{name: value})
    table = json.loads(SPEC.to_json()) | {name: value}
    with pytest.raises(WeightsError, match=text):
        ModelSpec.from_json(json.dumps(table))


@pytest.mark.parametrize("text", ["", "{", "null", "5", "[]", "{}", '"lpn50"', SPEC.to_json()[:-1]])
def test_text_that_is_no_spec_is_called_damaged(text):
    with pytest.raises(WeightsError, match="damaged or from another version"):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "rgb"},
        {"input_hw": 256},
        {"input_hw": ["a", "b"]},
        {"beta": "high"},
        {"mean": "abc"},
        {"skeleton": "coco17"},
        {"skeleton": {"name": "s", "joints": ["a"], "limbs": []}},
        {"skeleton": {"name": "s", "joints": [], "limbs": [], "sigmas": []}},
        {"skeleton": {"name": "s", "joints": ["a"], "limbs": [["a"]], "sigmas": [1]}},
    ],
)
def test_a_spec_with_a_wrong_field_is_called_damaged(change):
    with pytest.raises(WeightsError, match="damaged or from another version"):
        ModelSpec.from_json(json.dumps(json.loads(SPEC.to_json()) | change))


@pytest.mark.parametrize("missing", ["model", "skeleton", "input_hw", "mean"])
def test_a_spec_without_a_field_that_has_no_default_in_files_is_called_damaged(missing):
    table = json.loads(SPEC.to_json())
    del table[missing]
    with pytest.raises(WeightsError, match="damaged or from another version"):
        ModelSpec.from_json(json.dumps(table))


@pytest.mark.parametrize("error", [BoxesError, ConfigError, WeightsError])
def test_every_error_is_a_lightpose_error(error):
    assert issubclass(error, LightposeError)


DETECTOR = DetectorSpec(
    "lpn50_person", (416, 320), {"stride": 8}, "bgr", (0.1, 0.2, 0.3), (1.0, 2.0, 1 / 3), 0, 0.45, ("person", "dog")
)


@pytest.mark.parametrize("spec", [DetectorSpec("lpn50_person"), DETECTOR])
def test_a_detectors_spec_comes_back_from_json_unchanged(spec):
    assert DetectorSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["kind"] == "detector"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"input_hw": (320, 336)},
            r"input_hw \(320, 336\) must be two multiples of 32 up to 4096, such as",
        ),
        ({"pad": 256}, "pad must be a grey from 0 to 255, not 256"),
        ({"threshold": 1.5}, r"threshold must be in \[0, 1\], not 1.5"),
        ({"min_person_score": -0.1}, r"min_person_score must be in \[0, 1\], not -0.1"),
        ({"color_order": "rbg"}, "color_order 'rbg' is unknown; use rgb, bgr"),
        ({"std": (1, 1, 0)}, "std .* must be three finite numbers, above 0"),
    ],
)
def test_a_wrong_value_of_a_detectors_spec_is_refused_in_code_and_in_a_file(change, text):
    with pytest.raises(ConfigError, match=text):
        dataclasses.replace(DETECTOR, **change)
    table = {**json.loads(DETECTOR.to_json()), **change}
    with pytest.raises(WeightsError, match=f"the detector's description is damaged .*{text}"):
        DetectorSpec.from_json(json.dumps(table))


def test_each_spec_refuses_the_others_json_and_says_where_it_belongs():
    with pytest.raises(WeightsError, match="this is a person detector, not a pose network; give it to --detector"):
        ModelSpec.from_json(DETECTOR.to_json())
    with pytest.raises(WeightsError, match="this is a pose network, not a person detector; give it to --model"):
        DetectorSpec.from_json(SPEC.to_json())


@pytest.mark.parametrize("text", ["", "[]", "3", '{"kind": "detector"}', '{"kind": "detector", "model": 3, "std": 1}'])
def test_text_that_is_no_detectors_spec_is_called_damaged(text):
    with pytest.raises(WeightsError, match="description is damaged or from another version"):
        DetectorSpec.from_json(text)

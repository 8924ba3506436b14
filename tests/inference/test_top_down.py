"""Prediction: from a picture and boxes to poses in the picture, with a runtime that finds joints by their colour."""

from typing import get_args

import cv2
import numpy as np
import pytest

from lightpose.errors import BoxesError, ConfigError
from lightpose.inference.top_down import PredictOptions, predict_boxed, predict_crops, predict_poses
from lightpose.io.sources import HELD_BYTES
from lightpose.ops.codec import decode
from lightpose.ops.geometry import crop_matrices, warp
from lightpose.results import Boxes
from lightpose.skeletons import Skeleton
from lightpose.types import DecoderName, ModelSpec
from tests.helpers import ColorRuntime, joint_colors

SKELETON = Skeleton("hands", ("nose", "left_hand", "right_hand"))
COLORS = joint_colors(3)
GEOMETRIES = pytest.mark.parametrize("geometry", ["msra", "udp"])


def runtime_for(geometry="msra", decoder="dark", beta=160.0, padding=1.25):
    spec = ModelSpec("colors", SKELETON, (64, 48), geometry=geometry, padding=padding, decoder=decoder, beta=beta)
    return ColorRuntime(spec, COLORS)


def scene(seed=0, people=5, hw=(180, 260)):
    """A grey picture with a dot for each joint of each person; boxes (N, 4), and where the dots are (N, 3, 2)."""
    generator = np.random.default_rng(seed)
    picture = np.full((*hw, 3), 70, np.uint8)
    boxes = np.zeros((people, 4), np.float32)
    points = np.zeros((people, 3, 2), int)
    for number in range(people):
        left, top = 6 + (number % 5) * 50, 10 + 80 * (number // 5)
        boxes[number] = left, top, generator.uniform(36, 44), generator.uniform(55, 70)
        points[number] = (
            np.array([[0, 0], [12, 35], [-12, 35]]) + generator.integers(-3, 4, (3, 2)) + (left + 20, top + 8)
        )
        for point, color in zip(points[number], COLORS, strict=True):
            cv2.circle(picture, point.tolist(), 3, color.tolist(), -1)
    return picture, Boxes(boxes, generator.uniform(0.5, 1, people)), points


@GEOMETRIES
@pytest.mark.parametrize("decoder", get_args(DecoderName))
def test_joints_are_found_where_they_are_in_the_picture(geometry, decoder):
    picture, boxes, points = scene()
    poses = predict_poses(picture, boxes, runtime_for(geometry, decoder), PredictOptions())
    assert poses.keypoints.shape == (5, 3, 3)
    assert poses.keypoints.dtype == np.float32
    assert poses.skeleton is SKELETON
    pixel = 4 * 1.25 * 70 / 64  # no more than this of the picture is one heatmap pixel
    distance = np.linalg.norm(poses.keypoints[..., :2] - points, axis=-1)
    fine = {"dark": 0.35, "dark_udp": 0.35, "expected_oks": 0.35, "quarter": 0.55}
    assert distance.max() < fine.get(decoder, 0.75) * pixel


@GEOMETRIES
def test_there_is_no_bias_to_any_side(geometry):
    """Over many persons the errors of a fine decoder cancel out to a tenth of a picture pixel."""
    errors = []
    for seed in range(6):
        picture, boxes, points = scene(seed, people=10)
        poses = predict_poses(picture, boxes, runtime_for(geometry), PredictOptions())
        errors.append(poses.keypoints[..., :2] - points)
    assert np.abs(np.concatenate(errors).mean((0, 1))).max() < 0.1


@pytest.mark.parametrize("flip", [False, True])
def test_a_batch_gives_what_single_crops_give(flip):
    picture, boxes, _ = scene(people=10)
    together = predict_poses(picture, boxes, runtime_for(), PredictOptions(flip=flip, batch=4))
    for number in range(10):
        one = Boxes(boxes.xywh[number : number + 1], boxes.scores[number : number + 1])
        alone = predict_poses(picture, one, runtime_for(), PredictOptions(flip=flip, batch=1))
        np.testing.assert_allclose(alone.keypoints[0], together.keypoints[number], atol=1e-4)
        np.testing.assert_allclose(alone.scores[0], together.scores[number], atol=1e-6)


def test_people_keep_the_order_of_their_boxes():
    picture, boxes, _ = scene(people=10)
    order = np.random.default_rng(5).permutation(10)
    shuffled = Boxes(boxes.xywh[order], boxes.scores[order])
    expected = predict_poses(picture, boxes, runtime_for(), PredictOptions())
    found = predict_poses(picture, shuffled, runtime_for(), PredictOptions(batch=3))
    np.testing.assert_allclose(found.keypoints, expected.keypoints[order], atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores[order], atol=1e-6)
    assert found.boxes is shuffled


def test_a_persons_score_is_the_boxes_times_the_mean_of_the_sure_joints():
    picture, boxes, points = scene()
    picture[points[0, 2, 1] - 6 : points[0, 2, 1] + 7, points[0, 2, 0] - 6 : points[0, 2, 0] + 7] = 70  # one hand away
    poses = predict_poses(picture, boxes, runtime_for(), PredictOptions())
    assert poses.keypoints[0, 2, 2] < 0.2 < poses.keypoints[0, :2, 2].min()
    assert poses.scores[0] == pytest.approx(boxes.scores[0] * poses.keypoints[0, :2, 2].mean(), rel=1e-5)
    assert poses.scores[1] == pytest.approx(boxes.scores[1] * poses.keypoints[1, :, 2].mean(), rel=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_no_people_give_no_poses(flip):
    runtime = runtime_for()
    poses = predict_poses(scene()[0], Boxes(np.zeros((0, 4))), runtime, PredictOptions(flip=flip))
    assert len(poses) == 0
    assert poses.keypoints.shape == (0, 3, 3)
    assert poses.scores.shape == (0,)
    assert runtime.batches == [], "nothing is run for nobody"


def test_no_pictures_give_nothing():
    assert list(predict_boxed([], runtime_for(), PredictOptions())) == []


def test_pictures_with_any_number_of_people_come_back_in_order_from_full_batches():
    counts = [1, 0, 5, 2, 0, 10, 3, 0]
    scenes = [scene(seed, people) for seed, people in enumerate(counts)]
    runtime = runtime_for()
    pictures = [(f"picture {number}", picture, boxes) for number, (picture, boxes, _) in enumerate(scenes)]
    found = list(predict_boxed(iter(pictures), runtime, PredictOptions(batch=4)))
    assert [key for key, _ in found] == [key for key, _, _ in pictures]
    assert sum(runtime.batches) == sum(counts)
    assert max(runtime.batches) == 4
    for (_, poses), (picture, boxes, _) in zip(found, scenes, strict=True):
        expected = predict_poses(picture, boxes, runtime_for(), PredictOptions())
        np.testing.assert_allclose(poses.keypoints, expected.keypoints, atol=1e-4)
        np.testing.assert_allclose(poses.scores, expected.scores, atol=1e-6)


def test_pictures_with_nobody_in_them_do_not_pile_up():
    taken = []

    def empty_pictures():
        for number in range(50):
            taken.append(number)
            yield number, np.zeros((20, 30, 3), np.uint8), Boxes(np.zeros((0, 4)))

    for number, _ in predict_boxed(empty_pictures(), runtime_for(), PredictOptions(batch=4)):
        assert len(taken) - number <= 2 * 4 + 1
    assert taken == list(range(50))


def test_large_pictures_do_not_wait_for_a_full_batch():
    """Each of these is a third of what is held, so three are a batch, though eight people would fit it."""
    picture = np.zeros((1, HELD_BYTES // 9 + 1, 3), np.uint8)
    taken = []

    def pictures():
        for number in range(7):
            taken.append(number)
            yield number, picture, Boxes(np.array([[0, 0, 5, 1]]))

    for number, _ in predict_boxed(pictures(), runtime_for(), PredictOptions(batch=8)):
        assert len(taken) - number <= 2 * 3 + 1
    assert taken == list(range(7))


def test_pictures_are_read_only_as_far_as_they_are_needed():
    """Two of them fill a batch: the first poses come after the second batch, while the picture after it is cut."""
    asked = []

    def pictures():
        for number in range(9):
            asked.append(number)
            yield number, *scene(number, people=2)[:2]

    stream = predict_boxed(pictures(), runtime_for(), PredictOptions(batch=4))
    assert next(stream)[0] == 0
    assert asked == [0, 1, 2, 3, 4]


def test_a_list_of_one_picture_starts_no_thread(monkeypatch):
    """A thread would take longer to start than the crops of one picture to cut."""

    def start(*_):
        raise AssertionError("a thread")

    monkeypatch.setattr("threading.Thread.start", start)
    picture, boxes, _ = scene()
    assert len(predict_poses(picture, boxes, runtime_for(), PredictOptions())) == len(boxes)


@GEOMETRIES
def test_the_flip_test_is_the_mean_of_both_views_done_by_hand(geometry):
    picture, boxes, _ = scene()
    runtime = runtime_for(geometry)
    crops = warp(picture, crop_matrices(boxes.xywh, (64, 48), geometry), (64, 48))
    plain, mirrored = runtime.heatmaps(crops), runtime.heatmaps(crops[:, :, ::-1].copy())
    by_hand = np.zeros_like(plain)
    width = plain.shape[3]
    for joint, other in ((0, 0), (1, 2), (2, 1)):  # nose, left and right hand
        for column in range(width):
            source = width - 1 - column
            if geometry == "msra":  # one pixel to the right, the first column stays
                source = width - 1 - max(column - 1, 0)
            by_hand[:, joint, :, column] = (plain[:, joint, :, column] + mirrored[:, other, :, source]) / 2
    expected = decode(by_hand, "dark")
    expected[..., :2] *= 4 if geometry == "msra" else np.array([47 / 11, 63 / 15], np.float32)
    found = predict_crops(crops, runtime, PredictOptions(flip=True))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("geometry", "bias_px"), [("msra", 0.5), ("udp", 0.0)])
def test_the_flip_test_moves_points_by_half_a_crop_pixel_under_msra_and_not_under_udp(geometry, bias_px):
    """Seen in the mirror, a point x of the crop is at W - 1 - x, on the heatmap at (W - 1 - x) / 4, mirrored back at
    W / 4 - 1 - (W - 1 - x) / 4 = (x - 3) / 4, and moved right by one at (x + 1) / 4; the mean with x / 4 is half a
    crop pixel off. UDP's outer pixels lie on each other, so there nothing is off."""
    skeleton = Skeleton("middle", ("nose", "neck", "pelvis"))  # without sides there is nothing to swap
    runtime = ColorRuntime(ModelSpec("colors", skeleton, (64, 48), geometry=geometry, decoder="dark"), COLORS)
    off = []
    for seed in range(4):
        picture, boxes, _ = scene(seed)
        plain = predict_poses(picture, boxes, runtime, PredictOptions()).keypoints
        flipped = predict_poses(picture, boxes, runtime, PredictOptions(flip=True)).keypoints
        scale = crop_matrices(boxes.xywh, (64, 48), geometry)[:, 0, 0]
        off.append((flipped - plain)[..., :2] * scale[:, None, None])
    np.testing.assert_allclose(np.concatenate(off).mean((0, 1)), [bias_px, 0], atol=0.05)


@GEOMETRIES
@pytest.mark.parametrize("shift", [(7, 0), (0, 11), (13, 5)])
def test_a_moved_picture_moves_the_keypoints_as_far(geometry, shift):
    picture, boxes, _ = scene()
    x, y = shift
    moved = np.zeros((picture.shape[0] + y, picture.shape[1] + x, 3), np.uint8)
    moved[y:, x:] = picture
    there = Boxes(boxes.xywh + np.array([x, y, 0, 0], np.float32), boxes.scores)
    expected = predict_poses(picture, boxes, runtime_for(geometry), PredictOptions()).keypoints
    found = predict_poses(moved, there, runtime_for(geometry), PredictOptions()).keypoints
    np.testing.assert_allclose(found[..., :2], expected[..., :2] + shift, atol=0.02)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=1e-3)


def test_a_picture_twice_as_large_doubles_the_keypoints():
    picture, boxes, points = scene()
    larger = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found = predict_poses(larger, Boxes(boxes.xywh * 2), runtime_for(), PredictOptions()).keypoints[..., :2]
    assert np.linalg.norm(found - (points * 2 + 0.5), axis=-1).max() < 3


def test_the_options_decoder_and_beta_go_before_the_weights_own():
    picture, boxes, _ = scene()

    def keypoints(runtime, **options):
        return predict_poses(picture, boxes, runtime, PredictOptions(**options)).keypoints

    own = keypoints(runtime_for(decoder="softargmax", beta=10.0))
    np.testing.assert_array_equal(keypoints(runtime_for(), decoder="softargmax", beta=10.0), own)
    assert np.abs(keypoints(runtime_for(decoder="softargmax"), beta=10.0) - own).max() == 0
    assert np.abs(keypoints(runtime_for(decoder="softargmax")) - own).max() > 0.1


def test_padding_widens_the_box_to_the_crop_and_the_options_goes_before_the_weights_own():
    """A wider crop is what the usual one shows of a box that is wider by as much around the same centre."""
    picture, boxes, _ = scene()
    wider = boxes.xywh.copy()
    wider[:, :2] -= wider[:, 2:] / 10
    wider[:, 2:] *= 1.2
    usual = predict_poses(picture, Boxes(wider), runtime_for(), PredictOptions()).keypoints
    own = runtime_for(padding=1.5)
    for runtime, options in ((own, PredictOptions()), (runtime_for(), PredictOptions(padding=1.5))):
        found = predict_poses(picture, boxes, runtime, options).keypoints
        np.testing.assert_allclose(found, usual, atol=1e-3)
    assert np.abs(predict_poses(picture, boxes, own, PredictOptions(padding=1.25)).keypoints - usual).max() > 0.01


def test_the_picture_and_its_boxes_are_left_alone():
    picture, boxes, _ = scene()
    before = picture.copy(), boxes.xywh.copy(), boxes.scores.copy()
    predict_poses(picture, boxes, runtime_for(), PredictOptions(flip=True))
    for value, old in zip((picture, boxes.xywh, boxes.scores), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize(
    ("box", "text"),
    [
        ([10, 10, 0, 30], r"box 1 \[10\.0, 10\.0, 0\.0, 30\.0\] .* has no area"),
        ([10, 10, 30, -4], r"box 1 .* has no area"),
        ([260, 10, 30, 30], r"box 1 .* lies outside the 260x180 image"),
        ([10, 180, 30, 30], r"box 1 .* lies outside the 260x180 image"),
        ([-40, 10, 40, 30], r"box 1 .* lies outside the 260x180 image"),
        ([10, -31, 30, 30], r"box 1 .* lies outside the 260x180 image"),
        ([-9, -9, 26_001, 30], "box 1 .* is over 100 times as long as the image"),
        ([0, 0, 30, 1e30], "box 1 .* is over 100 times as long as the image"),
        ([0, 0, 3e38, 3e38], "box 1 .* is over 100 times as long as the image"),
    ],
)
def test_a_box_that_shows_nothing_is_refused(box, text):
    picture, boxes, _ = scene(people=1)
    with pytest.raises(BoxesError, match=text):
        predict_poses(picture, Boxes(np.array([boxes.xywh[0], box])), runtime_for(), PredictOptions())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"beta": 0.0}, r"beta must be above 0, not 0\.0"),
        ({"beta": -1.0}, r"beta must be above 0, not -1\.0"),
        ({"beta": float("nan")}, "beta must be above 0, not nan"),
        ({"padding": 0.0}, r"padding must be from 0\.1 to 10, times the box, not 0\.0"),
        ({"padding": 1e300}, r"padding must be from 0\.1 to 10, times the box, not 1e\+300"),
        ({"decoder": "median"}, "decoder 'median' is unknown; use argmax, quarter"),
    ],
)
def test_an_option_out_of_its_range_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        PredictOptions(**settings)


@pytest.mark.slow
@pytest.mark.parametrize("flip", [False, True])
def test_a_real_network_gives_the_same_in_any_batch(flip):
    torch = pytest.importorskip("torch")
    from lightpose.models import build, initialise_kaiming
    from lightpose.runtime.torch import TorchRuntime

    torch.manual_seed(0)
    spec = ModelSpec("lpn50", SKELETON, (64, 48))
    network = build(spec)
    initialise_kaiming(network)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    runtime = TorchRuntime(network, spec)
    picture, boxes, _ = scene()
    together = predict_poses(picture, boxes, runtime, PredictOptions(flip=flip, batch=5)).keypoints
    alone = predict_poses(picture, boxes, runtime, PredictOptions(flip=flip, batch=1)).keypoints
    np.testing.assert_allclose(together, alone, atol=0.02)
    assert np.ptp(together[..., :2], axis=(0, 1)).min() > 5, "the network does not just point at the middle"

"""Augmentation: labels stay on the pixels that they name, whatever the view."""

import math

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.augment import (  # noqa: E402
    ERASED_AREA,
    AugmentConfig,
    Regions,
    draw_views,
    erase,
    half_bodies,
    recolor,
    resample,
)
from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.data.crops import open_store  # noqa: E402
from lightpose.errors import ConfigError  # noqa: E402
from lightpose.io.images import encode_image, read_image  # noqa: E402
from lightpose.ops.geometry import crop_matrices, transform_points, warp  # noqa: E402
from lightpose.skeletons import COCO17, LSP14, Skeleton  # noqa: E402
from tests.helpers import STANDING  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT_HW = (64, 48)
SIDE = 96
PLAIN = AugmentConfig(scale=0, rotation_deg=0, rotation_probability=0, flip_probability=0)
GEOMETRIES = pytest.mark.parametrize("geometry", ["msra", "udp"])


REGION = (48.0, 64.0)


def views_of(count, geometry, config, seed=0):
    regions = Regions.middle(count, SIDE, REGION)
    return draw_views(regions, INPUT_HW, geometry, config, np.random.default_rng(seed))


def dots(places, channels=3):
    """(N, SIDE, SIDE, 3) uint8: a soft bright dot at each place (N, C, 2), one in each colour channel."""
    grid = np.arange(SIDE)
    rows = np.exp(-((grid - places[..., 1, None]) ** 2) / (2 * 2**2))
    columns = np.exp(-((grid - places[..., 0, None]) ** 2) / (2 * 2**2))
    images = np.zeros((len(places), SIDE, SIDE, 3), np.uint8)
    images[..., :channels] = np.round(255 * np.einsum("nch,ncw->nhwc", rows, columns))
    return images


def centroids(images):
    """(N, 3, 2) xy: where the brightness of each channel of (N, 3, H, W) has its middle."""
    y, x = np.mgrid[: images.shape[2], : images.shape[3]]
    total = images.sum((2, 3))
    return np.stack([(images * x).sum((2, 3)) / total, (images * y).sum((2, 3)) / total], -1)


@GEOMETRIES
def test_without_variation_the_view_is_the_plain_crop(drawn, tmp_path, geometry):
    """The road over the store ends where cutting the network's crop from the picture does."""
    for path in drawn.images.iterdir():  # smooth pictures, so that resampling twice costs nothing
        smooth = cv2.GaussianBlur(read_image(path), (0, 0), 8)
        path.write_bytes(encode_image(smooth, ".png"))
    source = read_coco(drawn.annotations, drawn.images)
    store = open_store(source, COCO17, INPUT_HW, tmp_path / "store")
    generator = np.random.default_rng(0)
    views = draw_views(Regions.middle(len(store), SIDE, store.region), INPUT_HW, geometry, PLAIN, generator)
    found = resample(torch.from_numpy(np.array(store.crops)), views.matrices, INPUT_HW).permute(0, 2, 3, 1).numpy()
    moved, seen = views.points(store.points, store.visibility, COCO17.flip_order)
    for number, person in enumerate(source.persons()):
        matrix = crop_matrices(person.box_xywh, INPUT_HW, geometry)
        expected = warp(read_image(person.image_path), matrix, INPUT_HW)[0].astype(float)
        inside = expected.min(-1) > 0
        inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5)), borderValue=1) > 0  # the picture's edge is sharp
        assert inside.mean() > 0.5
        assert np.abs(found[number] - expected)[inside].max() < 2
        np.testing.assert_allclose(moved[number], transform_points(person.keypoints[None], matrix)[0], atol=0.01)
    assert (seen == 2).all()


@GEOMETRIES
def test_labels_stay_on_the_pixels_they_name_under_any_view(geometry):
    count = 200
    places = np.random.default_rng(1).uniform(30, SIDE - 30, (count, 3, 2)).astype(np.float32)
    views = views_of(count, geometry, AugmentConfig(rotation_probability=1))
    images = resample(torch.from_numpy(dots(places)), views.matrices, INPUT_HW).numpy()
    labels, _ = views.points(places, np.full((count, 3), 2, np.int8), (0, 1, 2))
    well_inside = ((labels > 9) & (labels < np.array(INPUT_HW[::-1]) - 10)).all(-1)
    assert well_inside.sum() > 100
    assert views.mirrored.any()
    assert not views.mirrored.all()
    np.testing.assert_allclose(labels[well_inside], centroids(images)[well_inside], atol=0.1)


@GEOMETRIES
def test_a_mirrored_view_swaps_left_and_right(geometry):
    """Left is drawn red, right green: what is labelled left in a mirror image is the green one."""
    count = 64
    places = np.random.default_rng(2).uniform(36, SIDE - 36, (count, 2, 2)).astype(np.float32)
    visibility = np.tile(np.array([2, 1], np.int8), (count, 1))
    config = AugmentConfig(scale=0.1, rotation_deg=10, flip_probability=0.5)
    views = views_of(count, geometry, config)
    images = resample(torch.from_numpy(dots(places, 2)), views.matrices, INPUT_HW)[:, :2].numpy()
    labels, seen = views.points(places, visibility, (1, 0))
    found = centroids(images)
    well_inside = ((found > 8) & (found < np.array(INPUT_HW[::-1]) - 9)).all((1, 2))
    mirrored = views.mirrored & well_inside
    plain = ~views.mirrored & well_inside
    assert mirrored.sum() > 10
    assert plain.sum() > 10
    np.testing.assert_allclose(labels[mirrored], found[mirrored][:, ::-1], atol=0.1)
    np.testing.assert_allclose(labels[plain], found[plain], atol=0.1)
    assert (seen[views.mirrored] == [1, 2]).all()
    assert (seen[~views.mirrored] == [2, 1]).all()


@GEOMETRIES
def test_a_mirrored_view_of_a_symmetric_crop_is_its_mirror_image(geometry):
    """Two views that differ in the mirroring alone: x goes to W - x under MSRA, to (W - 1) - x under UDP."""
    plain = views_of(1, geometry, PLAIN)
    mirrored = views_of(1, geometry, AugmentConfig(0, 0, 0, flip_probability=1))
    places = np.array([[[40.0, 50.0], [60.0, 30.0]]], np.float32)
    seen = np.full((1, 2), 2, np.int8)
    there, _ = plain.points(places, seen, (1, 0))
    back, _ = mirrored.points(places, seen, (1, 0))
    width = 48 if geometry == "msra" else 47
    np.testing.assert_allclose(back[0, ::-1], np.stack([width - there[0, :, 0], there[0, :, 1]], -1), atol=1e-4)


@GEOMETRIES
def test_views_are_spread_as_the_paper_says(geometry):
    views = views_of(20_000, geometry, AugmentConfig())
    linear = views.matrices[:, :, :2].copy()
    linear[views.mirrored, 0] *= -1
    less = 1 if geometry == "udp" else 0
    spans = np.array([INPUT_HW[1] - less, INPUT_HW[0] - less])
    linear /= (spans / REGION)[:, None]
    scale = 1 / np.sqrt(np.linalg.det(linear))
    angle = np.rad2deg(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
    assert scale.min() == pytest.approx(0.7)
    assert scale.max() == pytest.approx(1.3)
    at_a_limit = 2 * 0.5 * math.erfc(1 / math.sqrt(2))  # a normal deviate beyond one standard deviation
    assert ((scale < 0.7001) | (scale > 1.2999)).mean() == pytest.approx(at_a_limit, abs=0.02)
    assert np.median(scale) == pytest.approx(1, abs=0.01)
    assert (np.abs(angle) > 1e-6).mean() == pytest.approx(0.6, abs=0.02)
    turned = angle[np.abs(angle) > 1e-6]
    assert np.abs(turned).max() == pytest.approx(80)
    assert (np.abs(turned) < 40).mean() == pytest.approx(0.683, abs=0.02)
    assert np.median(turned) == pytest.approx(0, abs=1.5)
    assert views.mirrored.mean() == pytest.approx(0.5, abs=0.02)


def test_the_same_seed_gives_the_same_views():
    first, same, other = (views_of(50, "msra", AugmentConfig(), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.matrices, same.matrices)
    np.testing.assert_array_equal(first.mirrored, same.mirrored)
    assert not np.array_equal(first.matrices, other.matrices)


def test_inputs_are_left_alone():
    views = views_of(3, "msra", AugmentConfig())
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8))
    points, visibility = np.full((3, 2, 2), 40, np.float32), np.full((3, 2), 2, np.int8)
    inputs = (crops.numpy(), views.matrices, views.mirrored, points, visibility)
    before = [np.array(value) for value in inputs]
    images = resample(crops, views.matrices, INPUT_HW)
    pixels = images.clone()
    views.points(points, visibility, (1, 0))
    recolor(images, 0.2, np.random.default_rng(0))
    erase(images, 1.0, np.random.default_rng(0))
    for value, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert torch.equal(images, pixels)


def test_without_a_colour_spread_colours_stay():
    images = torch.rand(2, 3, 8, 8) * 255
    assert torch.equal(recolor(images, 0.0, np.random.default_rng(0)), images)


def test_recolouring_is_a_straight_line_for_each_channel_cut_off_at_black_and_white():
    images = torch.arange(256.0).expand(40, 3, 1, 256)
    found = recolor(images, 0.2, np.random.default_rng(0)).numpy()
    assert found.min() >= 0
    assert found.max() <= 255
    slopes = []
    for line in found.reshape(-1, 256):
        free = (line > 0) & (line < 255)
        slope, lift = np.polyfit(np.arange(256)[free], line[free], 1)
        np.testing.assert_allclose(line, np.clip(slope * np.arange(256) + lift, 0, 255), atol=1e-2)
        slopes.append(slope)
    assert len({round(slope, 6) for slope in slopes}) == 120, "every channel of every picture has its own contrast"


LOWER = ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")


def erased(count, probability, height=64, width=48, seed=0):
    """Which pixels (N, H, W) of black images were covered, and with which colours (N, 3)."""
    found = erase(torch.zeros(count, 3, height, width), probability, np.random.default_rng(seed))
    return (found > 0).all(1).numpy(), found.amax((2, 3)).numpy()


def test_what_is_erased_is_a_rectangle_of_one_colour():
    covered, colors = erased(200, 1.0)
    assert np.array_equal(covered, covered.any(2, keepdims=True) & covered.any(1, keepdims=True))
    for side in (1, 2):  # without a gap
        steps = np.diff(covered.any(side).astype(int), axis=1)
        assert (np.abs(steps).sum(1) <= 2).all()
    assert len(np.unique(colors.round(3), axis=0)) == 200
    pictures = torch.rand(200, 3, 64, 48) * 255
    found = erase(pictures, 1.0, np.random.default_rng(0))
    expected = np.where(covered[:, None], colors[..., None, None], pictures.numpy())
    np.testing.assert_array_equal(found.numpy(), expected)


def test_rectangles_are_as_large_as_they_may_be_and_lie_anywhere():
    covered, _ = erased(4000, 1.0, 128, 128)
    areas = covered.mean((1, 2))
    assert areas.max() < ERASED_AREA[1] + 0.02
    assert 0.05 < areas.mean() < sum(ERASED_AREA) / 2  # those at the edge are cut off
    often = covered.mean(0)
    np.testing.assert_allclose(often[44:-44, 44:-44], often[64, 64], atol=0.02)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_so_many_crops_are_erased_as_asked(probability):
    covered, _ = erased(4000, probability, 32, 24)
    assert covered.any((1, 2)).mean() == pytest.approx(probability, abs=0.03)


def test_nothing_is_drawn_where_nothing_is_erased_so_that_older_runs_repeat():
    generator = np.random.default_rng(0)
    state = generator.bit_generator.state
    images = torch.rand(2, 3, 8, 8)
    assert erase(images, 0.0, generator) is images
    assert generator.bit_generator.state == state


HALF = AugmentConfig(half_body_probability=1)
WHOLE = Regions(np.array([[48.0, 48.0]]), np.array([[48.0, 64.0]]))


def standing(count=1, joints=COCO17.joints):
    """points (N, K, 2) of persons that stand in the middle of stored crops, 30 wide and 50 high, all joints visible."""
    points = np.array([STANDING[joint] for joint in joints]) * (30, 50) + (33, 23)
    return np.tile(points.astype(np.float32), (count, 1, 1)), np.full((count, len(joints)), 2, np.int8)


def narrowed(points, visibility, joints=COCO17.joints, config=HALF, seed=0, regions=None):
    count = len(points)
    regions = regions or Regions(np.tile(WHOLE.centers, (count, 1)), np.tile(WHOLE.sizes, (count, 1)))
    return half_bodies(regions, points, visibility, joints, config, np.random.default_rng(seed))


def test_a_half_body_is_the_upper_or_the_lower_joints_with_half_as_much_again():
    """By hand. Upper: wrists at 0.04 and 0.96 of 30 px, eyes at 0.04 and wrists at 0.53 of 50 px, so 27.6 wide, 24.5
    high; of the crop's aspect 27.6 · 64/48 = 36.8 high; half as much again: 55.2 high, 41.4 wide. Lower: ankles at 0.30
    and 0.70, hips at 0.55 and ankles at 0.98: 12 wide, 21.5 high; half as much again: 32.25 high, 24.1875 wide."""
    found = narrowed(*standing(40))
    upper = np.isclose(found.sizes[:, 1], 55.2, atol=1e-4)
    assert 10 < upper.sum() < 30
    np.testing.assert_allclose(found.sizes[upper], [[41.4, 55.2]] * upper.sum(), atol=1e-4)
    np.testing.assert_allclose(found.sizes[~upper], [[24.1875, 32.25]] * (~upper).sum(), atol=1e-4)
    np.testing.assert_allclose(found.centers[upper], [[33 + 15, 23 + 50 * (0.04 + 0.53) / 2]] * upper.sum(), atol=1e-4)
    np.testing.assert_allclose(found.centers[~upper], [[48, 23 + 50 * (0.55 + 0.98) / 2]] * (~upper).sum(), atol=1e-4)


def test_of_a_half_body_that_is_far_from_the_other_only_its_own_joints_are_in_view():
    """Legs 40 px below the rest; the view is the plain one of the narrowed region."""
    points, visibility = standing(40)
    lower = np.array([joint in LOWER for joint in COCO17.joints])
    points[:, lower, 1] += 40
    regions = narrowed(points, visibility)
    views = draw_views(regions, INPUT_HW, "msra", PLAIN, np.random.default_rng(0))
    moved, _ = views.points(points, visibility, COCO17.flip_order)
    inside = ((moved >= 0) & (moved <= INPUT_HW[::-1])).all(-1)
    is_lower = regions.centers[:, 1] > 70
    assert 10 < is_lower.sum() < 30
    np.testing.assert_array_equal(inside, np.where(is_lower[:, None], lower, ~lower))


def test_only_labelled_joints_make_a_half_body():
    """Without wrists and elbows the upper half is ear to ear by shoulders: 0.28 to 0.72 of 30 px is widest, 13.2."""
    points, visibility = standing(40)
    for joint in ("left_wrist", "right_wrist", "left_elbow", "right_elbow"):
        visibility[:, COCO17.joints.index(joint)] = 0
        points[:, COCO17.joints.index(joint)] = 1000  # wherever an unlabelled joint is, it does not count
    found = narrowed(points, visibility)
    upper = found.centers[:, 1] < 48
    assert 10 < upper.sum() < 30
    np.testing.assert_allclose(found.sizes[upper, 1], 1.5 * 13.2 * 64 / 48, atol=1e-4)


@pytest.mark.parametrize("labelled", [0, 2, 8])
def test_a_person_with_at_most_eight_labelled_joints_stays_whole(labelled):
    points, visibility = standing(20)
    visibility[:, labelled:] = 0
    found = narrowed(points, visibility)
    np.testing.assert_array_equal(found.centers, np.tile(WHOLE.centers, (20, 1)))
    np.testing.assert_array_equal(found.sizes, np.tile(WHOLE.sizes, (20, 1)))
    visibility[:, :9] = 1
    assert not np.array_equal(narrowed(points, visibility).sizes, found.sizes), "nine are enough, visible or hidden"


def test_a_half_of_which_two_joints_are_labelled_is_not_cut_out_and_nothing_is_said(recwarn):
    """Eleven joints of the upper half, two or none of the lower: some persons stay whole."""
    for legs in (2, 0):
        points, visibility = standing(40)
        visibility[:, 11 + legs :] = 0
        found = narrowed(points, visibility)
        whole = found.sizes[:, 1] == 64
        assert 10 < whole.sum() < 30
        np.testing.assert_allclose(found.sizes[~whole, 1], 55.2, atol=1e-4)
    assert not recwarn.list


def test_joints_that_all_lie_on_one_point_are_no_half_body():
    points, visibility = standing(20)
    points[:] = 48
    np.testing.assert_array_equal(narrowed(points, visibility).sizes, np.tile(WHOLE.sizes, (20, 1)))


@pytest.mark.parametrize(
    "joints",
    [tuple(name for name in COCO17.joints if name not in LOWER), LOWER + tuple(f"left_toe_{n}" for n in range(4))],
    ids=["no legs", "only legs"],
)
def test_a_skeleton_without_legs_or_with_nothing_else_stays_whole(joints):
    points, visibility = np.random.default_rng(0).uniform(30, 60, (5, len(joints), 2)), np.full((5, len(joints)), 2)
    found = narrowed(points.astype(np.float32), visibility.astype(np.int8), joints)
    np.testing.assert_array_equal(found.sizes, np.tile(WHOLE.sizes, (5, 1)))


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_half_bodies_are_as_frequent_as_asked(probability):
    found = narrowed(*standing(4000), config=AugmentConfig(half_body_probability=probability))
    assert (found.sizes[:, 1] != 64).mean() == pytest.approx(probability, abs=0.025)


def test_half_bodies_work_for_joints_in_any_order():
    """LSP begins with the right ankle. Upper: wrists across, head top at 0.00 down to wrists at 0.53."""
    found = narrowed(*standing(40, LSP14.joints), LSP14.joints)
    assert set(np.round(found.centers[:, 1] - 23, 4)) == {50 * 0.53 / 2, 50 * (0.55 + 0.98) / 2}


def test_a_paw_is_of_a_dogs_lower_half():
    dog = Skeleton("dog", ("nose", "neck", "left_ear", "right_ear", "back", "tail", *(f"{s}_{p}_paw" for s in
                   ("left", "right") for p in ("front", "hind"))))  # fmt: skip
    points = np.zeros((30, 10, 2), np.float32)
    points[:, :, 1] = [10, 12, 14, 16, 18, 20, 60, 70, 80, 90]
    found = narrowed(points, np.full((30, 10), 2, np.int8), dog.joints)
    assert set(found.centers[:, 1].tolist()) == {15.0, 75.0}


@GEOMETRIES
def test_the_half_body_of_a_mirrored_person_is_its_mirror_image(geometry):
    """The same random numbers on a person and on its reflection in the stored crop's middle line."""
    points, visibility = standing(50)
    points += np.random.default_rng(4).normal(0, 3, points.shape).astype(np.float32)
    visibility[np.random.default_rng(5).random(visibility.shape) < 0.2] = 0
    flip = list(COCO17.flip_order)
    reflected = np.stack([SIDE - points[..., 0], points[..., 1]], -1)[:, flip]
    plain, mirrored = narrowed(points, visibility), narrowed(reflected, visibility[:, flip])
    np.testing.assert_allclose(mirrored.sizes, plain.sizes, atol=1e-4)
    np.testing.assert_allclose(mirrored.centers[:, 0], SIDE - plain.centers[:, 0], atol=1e-4)
    np.testing.assert_allclose(mirrored.centers[:, 1], plain.centers[:, 1], atol=1e-4)
    # and a mirrored view of the one shows what a plain view of the other does
    always = AugmentConfig(0, 0, 0, flip_probability=1)
    seen, their_visibility = draw_views(plain, INPUT_HW, geometry, always, np.random.default_rng(0)).points(
        points, visibility, COCO17.flip_order
    )
    expected, _ = draw_views(mirrored, INPUT_HW, geometry, PLAIN, np.random.default_rng(0)).points(
        reflected, visibility, COCO17.flip_order
    )
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    np.testing.assert_array_equal(their_visibility, visibility[:, flip])


def test_half_bodies_leave_their_inputs_alone_and_follow_from_the_seed():
    points, visibility = standing(30)
    regions = Regions(np.tile(WHOLE.centers, (30, 1)), np.tile(WHOLE.sizes, (30, 1)))
    inputs = (points, visibility, regions.centers, regions.sizes)
    before = [value.copy() for value in inputs]
    first, same, other = (narrowed(points, visibility, seed=seed, regions=regions) for seed in (3, 3, 4))
    for value, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(value, old)
    np.testing.assert_array_equal(first.sizes, same.sizes)
    np.testing.assert_array_equal(first.centers, same.centers)
    assert not np.array_equal(first.sizes, other.sizes)


def test_no_half_body_is_drawn_where_none_is_asked_for_so_that_older_runs_repeat():
    generator = np.random.default_rng(0)
    state = generator.bit_generator.state
    points, visibility = standing()
    found = half_bodies(WHOLE, points, visibility, COCO17.joints, AugmentConfig(), generator)
    assert generator.bit_generator.state == state
    np.testing.assert_array_equal(found.sizes, WHOLE.sizes)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scale": 1.0}, r"augment\.scale must be from 0 to 0\.9, not 1\.0"),
        ({"scale": -0.1}, r"augment\.scale"),
        ({"scale": float("nan")}, r"augment\.scale"),
        ({"rotation_probability": 1.5}, r"augment\.rotation_probability must be from 0 to 1, not 1\.5"),
        ({"flip_probability": -1}, r"augment\.flip_probability must be from 0 to 1, not -1"),
        ({"rotation_deg": -5}, r"augment\.rotation_deg must be from 0 to 180, not -5"),
        ({"color": -0.1}, r"augment\.color"),
        ({"color": float("nan")}, r"augment\.color"),
        ({"rotation_deg": float("nan")}, r"augment\.rotation_deg"),
        ({"half_body_probability": 1.01}, r"augment\.half_body_probability must be from 0 to 1, not 1\.01"),
        ({"half_body_probability": float("nan")}, r"augment\.half_body_probability"),
        ({"erase_probability": 2}, r"augment\.erase_probability must be from 0 to 1, not 2"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        AugmentConfig(**settings)

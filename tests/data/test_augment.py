"""Augmentation: labels stay on the pixels that they name, whatever the view."""

import math

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.augment import AugmentConfig, draw_views, recolor, resample  # noqa: E402
from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.data.crops import open_store  # noqa: E402
from lightpose.errors import ConfigError  # noqa: E402
from lightpose.geometry import crop_matrices, transform_points, warp  # noqa: E402
from lightpose.images import encode_image, read_image  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT_HW = (64, 48)
SIDE = 96
PLAIN = AugmentConfig(scale=0, rotation_deg=0, rotation_probability=0, flip_probability=0)
GEOMETRIES = pytest.mark.parametrize("geometry", ["msra", "udp"])


def region(geometry):
    return (64 * 48 / 64, 64.0) if geometry == "msra" else (64 * 47 / 63, 64.0)


def views_of(count, geometry, config, seed=0):
    return draw_views(count, SIDE, region(geometry), INPUT_HW, geometry, config, np.random.default_rng(seed))


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
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    generator = np.random.default_rng(0)
    views = draw_views(len(store), SIDE, store.region, INPUT_HW, geometry, PLAIN, generator)
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
    scale = (INPUT_HW[1] - less) / region(geometry)[0] / np.sqrt(np.linalg.det(linear))
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
    recolor(images, AugmentConfig(color=0.2), np.random.default_rng(0))
    for value, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert torch.equal(images, pixels)


def test_without_a_colour_spread_colours_stay():
    images = torch.rand(2, 3, 8, 8) * 255
    assert torch.equal(recolor(images, AugmentConfig(), np.random.default_rng(0)), images)


def test_recolouring_is_a_straight_line_for_each_channel_cut_off_at_black_and_white():
    images = torch.arange(256.0).expand(40, 3, 1, 256)
    found = recolor(images, AugmentConfig(color=0.2), np.random.default_rng(0)).numpy()
    assert found.min() >= 0
    assert found.max() <= 255
    slopes = []
    for line in found.reshape(-1, 256):
        free = (line > 0) & (line < 255)
        slope, lift = np.polyfit(np.arange(256)[free], line[free], 1)
        np.testing.assert_allclose(line, np.clip(slope * np.arange(256) + lift, 0, 255), atol=1e-2)
        slopes.append(slope)
    assert len({round(slope, 6) for slope in slopes}) == 120, "every channel of every picture has its own contrast"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scale": 1.0}, r"augment\.scale must be in \[0, 1\), not 1\.0"),
        ({"scale": -0.1}, r"augment\.scale"),
        ({"scale": float("nan")}, r"augment\.scale"),
        ({"rotation_probability": 1.5}, r"augment\.rotation_probability must be in \[0, 1\], not 1\.5"),
        ({"flip_probability": -1}, r"augment\.flip_probability must be in \[0, 1\], not -1"),
        ({"rotation_deg": -5}, r"augment\.rotation_deg and augment\.color must be finite and not below 0"),
        ({"color": -0.1}, r"augment\.color"),
        ({"color": float("nan")}, r"augment\.color"),
        ({"rotation_deg": float("nan")}, r"augment\.rotation_deg"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        AugmentConfig(**settings)

"""Views of stored pictures: pixels and boxes go to the same places, and what is not picture is grey."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.mosaic import Labels, SceneAugmentConfig, SceneViews, draw_scene_views, see  # noqa: E402
from lightpose.errors import ConfigError  # noqa: E402

SIDE, PAD = 80, 114
STILL = SceneAugmentConfig((1.0, 1.0), 0, 0, 0, 0)


def painted(count=40):
    """Stored squares with a white rectangle on black in the upper left 80×60, and its corners."""
    generator = np.random.default_rng(0)
    pixels = np.full((count, SIDE, SIDE, 3), PAD, np.uint8)
    pixels[:, :60] = 0
    low = generator.integers((10, 10), (40, 25), (count, 2))
    high = low + generator.integers(12, 25, (count, 2))
    for picture, (left, top), (right, bottom) in zip(pixels, low, high, strict=True):
        picture[top:bottom, left:right] = 255
    extents = np.tile(np.array([80, 60], np.float32), (count, 1))
    return torch.from_numpy(pixels), extents, np.concatenate([low, high], 1).astype(np.float32)


def bounds(channel):
    """Left, top, right and bottom of what is bright, to a fraction of a pixel, from sums along rows and columns."""
    bright = np.clip((channel - 128) / 127, 0, 1)  # half a pixel of white and black is grey 127
    rows, columns = (np.flatnonzero(bright.max(axis) > 0.3) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("view_hw", [(64, 64), (64, 96)])
def test_boxes_are_around_what_they_were_around(view_hw):
    pixels, extents, boxes = painted()
    config = SceneAugmentConfig((0.6, 1.4), 0.2, 0, 0.5, 0)
    views = draw_scene_views(extents, SIDE, view_hw, config, np.random.default_rng(1))
    seen = see(pixels, views, PAD).numpy()
    assert seen.shape == (40, 3, *view_hw)
    moved = views.clip(views.boxes(Labels(boxes, np.arange(40))))
    whole = ((moved[:, 2:] - moved[:, :2]) > 6).all(1)
    for picture, box in zip(seen[whole], moved[whole], strict=True):
        np.testing.assert_allclose(bounds(picture[0]), box, atol=1.3)
    assert whole.sum() > 20
    assert views.mirrored.any()
    assert not views.mirrored.all()


def test_a_view_that_changes_nothing_is_the_letterboxed_input():
    """The stored square, averaged or not, fitted to the input: a picture of the same size is the same to the bit."""
    pixels, _, boxes = painted()
    views = SceneViews(np.ones((40, 2)), np.zeros((40, 2)), np.zeros(40, bool), (SIDE, SIDE))
    np.testing.assert_allclose(see(pixels, views, PAD), pixels.permute(0, 3, 1, 2), atol=1e-3)
    np.testing.assert_array_equal(views.boxes(Labels(boxes, np.arange(40))), boxes)


def test_outside_is_grey_and_what_is_shrunk_much_is_averaged():
    """Stripes a pixel wide at a quarter of their size: the mean, where a bilinear sample would give either colour."""
    stripes = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    stripes[:, :, ::2] = 200
    views = SceneViews(np.full((1, 2), 0.25), np.full((1, 2), 10.0), np.zeros(1, bool), (40, 40))
    seen = see(torch.from_numpy(stripes), views, PAD)[0].numpy()
    np.testing.assert_allclose(seen[:, 11:29, 11:29], 100, atol=1)
    np.testing.assert_allclose(seen[:, :9], PAD, atol=1e-3)
    np.testing.assert_allclose(seen[:, :, 32:], PAD, atol=1e-3)


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0])
def test_a_small_picture_is_wholly_in_view_and_a_large_one_fills_it(scale):
    extents = np.tile(np.array([80, 60], np.float32), (50, 1))
    config = SceneAugmentConfig((scale, scale), 0, 0, 0, 0)
    views = draw_scene_views(extents, SIDE, (64, 64), config, np.random.default_rng(0))
    picture = views.boxes(Labels(np.pad(extents, ((0, 0), (2, 0))), np.arange(50)))
    size = extents * scale * 64 / SIDE
    np.testing.assert_allclose(picture[:, 2:] - picture[:, :2], size, rtol=1e-5)
    inside = (picture[:, :2] >= -1e-3) & (picture[:, 2:] <= 64 + 1e-3)
    covers = (picture[:, :2] <= 1e-3) & (picture[:, 2:] >= 64 - 1e-3)
    np.testing.assert_array_equal(np.where(size <= 64, inside, covers), True)


def test_chance_comes_from_the_generator_alone():
    _, extents, _ = painted()
    one, same = (
        draw_scene_views(extents, SIDE, (64, 64), SceneAugmentConfig(), np.random.default_rng(3)) for _ in "ab"
    )
    np.testing.assert_array_equal(one.matrices(), same.matrices())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scale": (0.0, 1.0)}, r"augment\.scale\[0\] must be from 0\.01 to 100, not 0\.0"),
        ({"scale": (2.0, 1.0)}, r"augment\.scale must be two numbers, the least first"),
        ({"aspect": -0.1}, r"augment\.aspect must be from 0 to 1, not -0\.1"),
        ({"mosaic_probability": 1.5}, r"augment\.mosaic_probability must be from 0 to 1, not 1\.5"),
    ],
)
def test_settings_must_make_sense(change, text):
    with pytest.raises(ConfigError, match=text):
        SceneAugmentConfig(**change)

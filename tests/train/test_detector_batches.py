"""Batches of pictures for a detector: what is shown, that labels go with pixels, and what is left out of the loss."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.mosaic import SceneAugmentConfig  # noqa: E402
from lightpose.data.pictures import PictureStore, Ragged  # noqa: E402
from lightpose.errors import DataError  # noqa: E402
from lightpose.train.detector_batches import LEAST_PX, SceneBatches  # noqa: E402
from lightpose.train.detector_config import SceneSourceConfig  # noqa: E402
from lightpose.train.sampling import Share  # noqa: E402
from lightpose.types import DetectorSpec  # noqa: E402

CPU = torch.device("cpu")
SIDE = 80
SPEC = DetectorSpec("lpn50_person", (64, 64))
STILL = SceneAugmentConfig((1.0, 1.0), 0, 0, 0, 0)
SOURCE = SceneSourceConfig("a.json", "a")


def painted(count=8, seed=0, people=2):
    """Black pictures with white people, a store of them."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    boxes = []
    for picture in pixels:
        low = np.stack(
            [generator.integers(2, 10, people) + 40 * np.arange(people), generator.integers(4, 40, people)], 1
        )
        high = low + generator.integers(16, 28, (people, 2))
        for (left, top), (right, bottom) in zip(low, high, strict=True):
            picture[top:bottom, left:right] = 255
        boxes.append(np.concatenate([low, high], 1).astype(np.float32))
    nobody = Ragged.of([np.zeros((0, 4), np.float32)] * count)
    return PictureStore(pixels, np.full((count, 2), SIDE, np.float32), Ragged.of(boxes), nobody)


def batches_of(stores, augment=STILL, sources=None, batch=4, seed=0):
    return SceneBatches(stores, sources or [SOURCE] * len(stores), SPEC, augment, batch, seed, CPU)


def people_of(batch, number):
    boxes = batch.people[number].numpy()
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]


def assert_around_the_white(batch):
    """Where there are people it is bright, and outside their boxes dark."""
    for number, image in enumerate(batch.images.numpy()):
        outside = np.ones(image.shape[1:], bool)
        for left, top, right, bottom in people_of(batch, number):
            middle = image[0, int((top + bottom) / 2), int((left + right) / 2)]
            assert middle > 230
            outside[max(int(top) - 1, 0) : int(bottom) + 2, max(int(left) - 1, 0) : int(right) + 2] = False
        assert (image[0][outside] < 120).all(), "nobody is without a box"


@pytest.mark.parametrize("mosaic", [0.0, 0.5, 1.0])
def test_labels_go_where_the_pixels_go(mosaic):
    augment = SceneAugmentConfig((0.9, 1.0), 0.1, mosaic, 0.5, 0)
    for (batch,) in batches_of([painted(), painted(seed=1)], augment).epoch(0, 0, Share()):
        assert batch.images.shape == (4, 3, 64, 64)
        assert_around_the_white(batch)


def test_a_mosaic_has_the_people_of_four_pictures():
    (batch,) = next(batches_of([painted()], replace(STILL, mosaic_probability=1.0)).epoch(0, 0, Share()))
    assert [len(people_of(batch, number)) for number in range(4)] == [8] * 4
    quarters = np.unique((people_of(batch, 0)[:, :2] // 32).astype(int), axis=0)
    np.testing.assert_array_equal(quarters, [[0, 0], [0, 1], [1, 0], [1, 1]])


def test_every_picture_is_shown_once_and_mosaics_are_as_many_as_asked_for():
    batches = batches_of([painted(40)], replace(STILL, mosaic_probability=0.5), batch=8)
    order = batches.order(0)
    assert (len(batches), batches.shown, [step.shape for step in order]) == (5, 40, [(8, 4, 2)] * 5)
    rows = np.concatenate(order)
    assert sorted(rows[:, 0, 1].tolist()) == list(range(40))
    joined = rows[:, 1, 0] >= 0
    assert 10 < joined.sum() < 30
    assert (rows[~joined, 1:] == -1).all()
    assert (rows[joined] >= 0).all()


def test_the_same_seed_and_moment_give_the_same_batch_wherever_a_run_is_taken_up():
    augment = SceneAugmentConfig()
    whole = list(batches_of([painted()], augment).epoch(3, 0, Share()))
    later = list(batches_of([painted()], augment).epoch(3, 1, Share()))
    other = list(batches_of([painted()], augment, seed=1).epoch(3, 0, Share()))
    assert len(whole) == 2
    assert len(later) == 1
    for one, same in zip(vars(whole[1][0]).values(), vars(later[0][0]).values(), strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(same))
    assert not torch.equal(whole[0][0].images, other[0][0].images)


def test_processes_and_parts_share_a_batch():
    batches = batches_of([painted()])
    (whole,) = next(batches.epoch(0, 0, Share()))
    pieces = [piece for rank in (0, 1) for piece in next(batches.epoch(0, 0, Share(rank, 2), parts=2))]
    assert [piece.fraction for piece in pieces] == [0.25] * 4
    assert torch.equal(torch.cat([piece.images for piece in pieces]), whole.images)
    assert torch.equal(torch.cat([piece.people for piece in pieces]), whole.people)


def test_crowds_are_ignored_where_they_are():
    crowd = Ragged.of([np.array([[0, 40, 80, 80]], np.float32)] * 8)
    (batch,) = next(batches_of([replace(painted(), ignored=crowd)]).epoch(0, 0, Share()))
    np.testing.assert_allclose(batch.ignored, np.tile([0.0, 32, 64, 64], (4, 1, 1)), atol=1e-4)


def test_of_incompletely_labelled_pictures_all_but_the_grey_around_is_unknown():
    store = replace(painted(), extents=np.tile(np.array([80, 60], np.float32), (8, 1)))
    (batch,) = next(batches_of([store], sources=[replace(SOURCE, complete=False)]).epoch(0, 0, Share()))
    assert batch.ignored.shape == (4, 1, 4)
    np.testing.assert_allclose(batch.ignored[:, 0, 2:] - batch.ignored[:, 0, :2], [[64, 48]] * 4, atol=1e-4)


@pytest.mark.parametrize(
    ("box", "learned"),
    [
        ([10, 10, 40, 60], True),
        ([0, 0, LEAST_PX + 0.5, 2], True),
        ([0, 0, LEAST_PX - 0.5, 2], False),
        ([-40, 10, 20, 60], True),
        ([-80, 10, 20, 60], False),
    ],
)
def test_people_that_are_tiny_or_mostly_out_of_view_are_neither_people_nor_background(box, learned):
    """Boxes in input pixels; stored ones are a quarter larger."""
    store = painted(4)
    stored = np.array([box], np.float32) * SIDE / 64
    (batch,) = next(batches_of([replace(store, people=Ragged.of([stored] * 4))]).epoch(0, 0, Share()))
    expected = np.clip(box, 0, 64)
    found, other = (batch.people, batch.ignored) if learned else (batch.ignored, batch.people)
    np.testing.assert_allclose(found, np.tile(expected, (4, 1, 1)), atol=1e-4)
    assert other.shape == (4, 0, 4)


def test_pictures_without_anybody_are_batches_too():
    store = painted()
    nobody = replace(store, people=store.ignored)
    (batch,) = next(batches_of([nobody], SceneAugmentConfig()).epoch(0, 0, Share()))
    assert (batch.people.shape, batch.ignored.shape) == ((4, 0, 4), (4, 0, 4))


def test_an_epoch_that_shows_nothing_is_refused():
    with pytest.raises(DataError, match="an epoch of the training data shows no image; raise `repeat` of a source"):
        batches_of([painted()], sources=[replace(SOURCE, repeat=0.01)])

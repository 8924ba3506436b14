"""The batches of a run: who is shown when, and where the targets are."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.augment import AugmentConfig  # noqa: E402
from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.data.crops import open_store  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.train.batches import Batches  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from tests.helpers import draw_set  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = ModelSpec("lpn50", COCO17, input_hw=(64, 48), sigma=1.0)
PLAIN = AugmentConfig(scale=0, rotation_deg=0, rotation_probability=0, flip_probability=0)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores of four and of two drawn persons."""
    folder = tmp_path_factory.mktemp("batches")
    sets = [draw_set(folder / "first"), draw_set(folder / "second", (2,), seed=9)]
    sources = [read_coco(drawn.annotations, drawn.images) for drawn in sets]
    return [open_store(source, COCO17, SPEC.input_hw, SPEC.geometry, folder / "store") for source in sources]


def batches_of(stores, batch=5, seed=0, augment=PLAIN):
    """The first store's persons twice an epoch, the second's once."""
    return Batches(stores, (2, 1), SPEC, augment, batch, seed, False, torch.device("cpu"))


def test_an_epoch_shows_everybody_as_often_as_asked(stores):
    batches = batches_of(stores)
    assert len(batches) == 2
    shown = batches.order(epoch=0)
    assert shown.shape == (2, 5, 2)
    rows = [tuple(row) for row in shown.reshape(-1, 2).tolist()]
    assert sorted(rows) == sorted([(0, n) for n in range(4)] * 2 + [(1, n) for n in range(2)])
    assert not np.array_equal(shown, batches.order(epoch=1))
    np.testing.assert_array_equal(shown, batches_of(stores).order(epoch=0))
    assert not np.array_equal(shown, batches_of(stores, seed=1).order(epoch=0))


def test_what_does_not_fill_a_batch_is_left_out(stores):
    batches = batches_of(stores, batch=4)
    assert batches.order(epoch=0).shape == (2, 4, 2)


def test_a_batch_follows_from_seed_epoch_and_step(stores):
    augment = AugmentConfig(color=0.2)
    rows = np.array([[0, 1], [1, 0], [0, 3]])
    first, second = (batches_of(stores, augment=augment).get(rows, epoch=2, step=1) for _ in range(2))
    for name in ("images", "targets", "weights"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    for epoch, step in ((3, 1), (2, 2)):
        assert not torch.equal(first.images, batches_of(stores, augment=augment).get(rows, epoch, step).images)


def test_targets_peak_where_the_joints_are(stores):
    """Under MSRA a heatmap pixel is four crop pixels, and the plain crop starts (96 - 48) / 2 into the stored one."""
    batches = batches_of(stores)
    rows = np.array([[0, 2], [1, 1]])
    batch = batches.get(rows, epoch=0, step=0)
    assert batch.images.shape == (2, 3, *SPEC.input_hw)
    assert batch.targets.shape == (2, 17, 16, 12)
    assert (batch.weights == 1).all()
    for number, (store, row) in enumerate(rows):
        expected = np.floor((stores[store].points[row] - [24, 16]) / 4 + 0.5)
        peak = batch.targets[number].flatten(1).argmax(1).numpy()
        np.testing.assert_array_equal(np.stack([peak % 12, peak // 12], -1), expected)

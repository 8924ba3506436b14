"""The batches of a run: who is shown when, in which part and process, and where the targets are."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from lightpose.data.augment import ERASED_AREA, AugmentConfig  # noqa: E402
from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.data.crops import CropStore, open_store  # noqa: E402
from lightpose.errors import DataError  # noqa: E402
from lightpose.ops.geometry import crop_span, heatmap_scale  # noqa: E402
from lightpose.skeletons import COCO17, Skeleton  # noqa: E402
from lightpose.train.batches import Batches  # noqa: E402
from lightpose.train.config import SourceConfig  # noqa: E402
from lightpose.train.loss import LossConfig, heatmap_loss  # noqa: E402
from lightpose.train.sampling import Share  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from tests.data.test_augment import centroids, dots  # noqa: E402
from tests.helpers import draw_set  # noqa: E402
from tests.train.runs import PLAIN  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = ModelSpec("lpn50", COCO17, input_hw=(64, 48), sigma=1.0)
ALL_AT_ONCE = AugmentConfig(rotation_probability=1, color=0.2, half_body_probability=0.5, erase_probability=0.5)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores of four and of two drawn persons."""
    folder = tmp_path_factory.mktemp("batches")
    sets = [draw_set(folder / "first"), draw_set(folder / "second", (2,), seed=9)]
    sources = [read_coco(drawn.annotations, drawn.images) for drawn in sets]
    return [open_store(source, COCO17, SPEC.input_hw, folder / "store") for source in sources]


def batches_of(stores, batch=5, seed=0, augment=PLAIN, repeat=(2, 1), label_weights=(1.0, 1.0)):
    """The first store's persons twice an epoch, the second's once, unless told otherwise."""
    sources = [SourceConfig("a.json", "a", often, label_weights) for often in repeat]
    return Batches(stores, sources, SPEC, augment, batch, seed, False, torch.device("cpu"))


def persons(steps):
    """All (store, row) of an epoch's steps, as often as they are shown."""
    return Counter(tuple(row) for row in np.concatenate(steps).tolist())


def test_an_epoch_shows_everybody_as_often_as_asked(stores):
    batches = batches_of(stores)
    assert (len(batches), batches.shown) == (2, 10)
    shown = batches.order(epoch=0)
    assert [step.shape for step in shown] == [(5, 2)] * 2
    assert persons(shown) == {**{(0, n): 2 for n in range(4)}, **{(1, n): 1 for n in range(2)}}
    other, again, seeded = batches.order(epoch=1), batches_of(stores).order(0), batches_of(stores, seed=1).order(0)
    np.testing.assert_array_equal(np.concatenate(shown), np.concatenate(again))
    for different in (other, seeded):
        assert not np.array_equal(np.concatenate(shown), np.concatenate(different))


@pytest.mark.parametrize(
    ("batch", "sizes"), [(10, [10]), (11, [10]), (9, [5, 5]), (4, [4, 3, 3]), (3, [3, 3, 2, 2]), (1, [1] * 10)]
)
def test_persons_are_spread_evenly_over_the_steps_and_nobody_is_left_out(stores, batch, sizes):
    batches = batches_of(stores, batch=batch)
    assert [len(step) for step in batches.order(epoch=3)] == sizes
    assert len(batches) == len(sizes)
    assert sum(persons(batches.order(epoch=3)).values()) == 10


def test_of_a_broken_repeat_another_part_is_drawn_every_epoch(stores):
    """2.5 of four persons is everybody twice and two of them again; 0.5 of two is one of them."""
    batches = batches_of(stores, repeat=(2.5, 0.5), batch=4)
    assert batches.shown == 11
    drawn = set()
    for epoch in range(20):
        shown = persons(batches.order(epoch))
        assert sorted(shown[0, n] for n in range(4)) == [2, 2, 3, 3]
        assert sorted(shown[1, n] for n in range(2)) == [0, 1]
        drawn.add(frozenset(person for person, times in shown.items() if times in (1, 3)))
    assert len(drawn) > 5
    assert {person for some in drawn for person in some} == {*((0, n) for n in range(4)), (1, 0), (1, 1)}


def test_an_epoch_that_shows_nobody_is_refused(stores):
    """A tenth of four and of two persons rounds to none."""
    with pytest.raises(DataError, match=r"an epoch of the training data shows nobody; raise `repeat`"):
        batches_of(stores, repeat=(0.1, 0.1))


@pytest.mark.parametrize(
    ("batch", "world", "parts"), [(4, 1, 1), (4, 2, 1), (10, 3, 2), (10, 8, 1), (5, 1, 5), (6, 2, 2)]
)
@pytest.mark.parametrize("often", [1, 2, 3.5])
def test_processes_and_parts_share_an_epoch_without_a_person_twice_or_left_out(stores, batch, world, parts, often):
    batches = batches_of(stores, batch=batch, repeat=(often, 1))
    orders = batches.order(epoch=1)
    for order in orders:
        pieces = [Share(rank * parts + part, world * parts).of(order) for rank in range(world) for part in range(parts)]
        np.testing.assert_array_equal(np.concatenate(pieces), order)
        sizes = [len(piece) for piece in pieces]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_shares_are_a_batch_cut_in_order_as_evenly_as_can_be(count, world):
    rows = np.arange(count)
    shares = [Share(rank, world).of(rows).tolist() for rank in range(world)]
    assert np.concatenate(shares).tolist() == rows.tolist()
    assert sorted(map(len, shares), reverse=True) == [(count + world - 1 - rank) // world for rank in range(world)]


def assert_equal(batch, other):
    for name in ("images", "targets", "weights"):
        assert torch.equal(getattr(batch, name), getattr(other, name)), name
    assert batch.fraction == other.fraction


def test_two_processes_see_what_one_does_in_two_parts(stores):
    batches = batches_of(stores, batch=5, augment=ALL_AT_ONCE)
    alone = list(batches.epoch(2, 0, Share(), parts=2))
    apart = [list(batches.epoch(2, 0, Share(rank, 2))) for rank in range(2)]
    assert len(alone) == len(batches)
    for step, parts in enumerate(alone):
        assert len(parts) == 2
        for rank, part in enumerate(parts):
            (mine,) = apart[rank][step]
            assert_equal(mine, part)


def test_fractions_of_a_step_add_up_to_one_over_all_parts_and_processes(stores):
    """Of five persons over three pieces: 2, 2 and 1 fifths."""
    batches = batches_of(stores, batch=5)
    steps = zip(*(batches.epoch(0, 0, Share(rank, 3)) for rank in range(3)), strict=True)
    for pieces in steps:
        assert [part.fraction for (part,) in pieces] == [0.4, 0.4, 0.2]
    for parts in batches.epoch(0, 0, Share(), parts=4):
        assert sum(part.fraction for part in parts) == pytest.approx(1, abs=1e-12)


def test_parts_that_would_be_empty_are_left_out(stores):
    """One person a step, asked for in three parts."""
    for parts in batches_of(stores, batch=1).epoch(0, 0, Share(), parts=3):
        assert [part.fraction for part in parts] == [1.0]


def test_an_epoch_taken_up_at_a_step_goes_on_with_the_same_batches(stores):
    batches = batches_of(stores, batch=3, augment=ALL_AT_ONCE)
    whole = list(batches.epoch(1, 0, Share()))
    for first in range(len(batches) + 1):
        rest = list(batches.epoch(1, first, Share()))
        assert len(rest) == len(batches) - first
        for (found,), (expected,) in zip(rest, whole[first:], strict=True):
            assert_equal(found, expected)


def test_a_batch_follows_from_seed_epoch_step_and_part(stores):
    rows = np.array([[0, 1], [1, 0], [0, 3]])
    first, second = (batches_of(stores, augment=ALL_AT_ONCE).get(rows, (2, 1, 0)) for _ in range(2))
    assert_equal(first, second)
    for moment in ((3, 1, 0), (2, 2, 0), (2, 1, 1)):
        assert not torch.equal(first.images, batches_of(stores, augment=ALL_AT_ONCE).get(rows, moment).images)


def test_erasing_covers_pixels_and_leaves_targets_and_weights(stores):
    rows = np.array([[0, 1], [1, 0]])
    plain = batches_of(stores).get(rows, (0, 0, 0))
    covered = batches_of(stores, augment=replace(PLAIN, erase_probability=1)).get(rows, (0, 0, 0))
    assert torch.equal(covered.targets, plain.targets)
    assert torch.equal(covered.weights, plain.weights)
    assert 0.005 < (covered.images != plain.images).any(1).float().mean() < ERASED_AREA[1] + 0.05


def test_targets_peak_where_the_joints_are(stores):
    """Under MSRA a heatmap pixel is four crop pixels, and the plain crop starts (96 - 48) / 2 into the stored one."""
    batches = batches_of(stores)
    rows = np.array([[0, 2], [1, 1]])
    batch = batches.get(rows, (0, 0, 0))
    assert batch.images.shape == (2, 3, *SPEC.input_hw)
    assert batch.targets.shape == (2, 17, 16, 12)
    assert (batch.weights == 1).all()
    assert batch.fraction == 1
    for number, (store, row) in enumerate(rows):
        expected = np.floor((stores[store].points[row] - [24, 16]) / 4 + 0.5)
        peak = batch.targets[number].flatten(1).argmax(1).numpy()
        np.testing.assert_array_equal(np.stack([peak % 12, peak // 12], -1), expected)


DOT_SKELETON = Skeleton(
    "dots",
    ("nose", "neck", *(f"{side}_{part}" for part in ("wrist", "elbow", "hip", "ankle") for side in ("left", "right"))),
)
DOT_OF_JOINT = np.array([0, 0, *[1, 2] * 4])


@pytest.mark.parametrize("geometry", ["msra", "udp"])
def test_targets_lie_on_the_dots_of_their_joints_under_all_augmentation_at_once(geometry):
    """Joints of the middle are drawn red, left ones green, right ones blue: in a mirror image left ones are blue."""
    count = 60
    spec = replace(SPEC, skeleton=DOT_SKELETON, geometry=geometry)
    triangle = np.array([[48, 40], [58, 54], [38, 54]])
    places = (triangle + np.random.default_rng(5).uniform(-3, 3, (count, 3, 2))).astype(np.float32)
    span_w, span_h = crop_span(spec.input_hw, geometry)
    store = CropStore(
        dots(places), places[:, DOT_OF_JOINT], np.full((count, 10), 2, np.int8), (64 * span_w / span_h, 64.0)
    )
    augment = replace(ALL_AT_ONCE, erase_probability=0)  # every dot is to be seen
    batches = Batches([store], [SourceConfig("a", "a")], spec, augment, count, 0, True, torch.device("cpu"))
    ((batch,),) = batches.epoch(0, 0, Share())
    images = batch.images.numpy()
    images = np.maximum(images - np.median(images, axis=(2, 3), keepdims=True), 0)  # the ground has been recoloured
    found = centroids(images)
    labels = centroids(batch.targets.numpy()) * heatmap_scale(spec.input_hw, spec.heatmap_hw, geometry)
    inside = ((found > 12) & (found < np.array([48, 64]) - 13)).all((1, 2)) & (batch.weights.numpy() == 1).all(1)
    plain, mirrored = (
        np.abs(labels - found[:, dot_of_joint]).max((1, 2)) for dot_of_joint in (DOT_OF_JOINT, [0, 0, *[2, 1] * 4])
    )
    assert inside.sum() > 15
    assert np.minimum(plain, mirrored)[inside].max() < 0.2
    assert (plain < mirrored)[inside].any()
    assert (mirrored < plain)[inside].any()


def with_visibility(store, visibility):
    return replace(store, visibility=np.tile(np.array(visibility, np.int8), (len(store), 1)))


@pytest.mark.parametrize(
    ("label_weights", "expected"), [((1, 1), (0, 1, 1)), ((0.25, 1), (0, 0.25, 1)), ((0, 2), (0, 0, 2))]
)
def test_a_joint_weighs_what_its_source_says_for_its_visibility(stores, label_weights, expected):
    """The second source weighs hidden and visible joints alike, at a half."""
    visibility = [0, 1, 2] * 5 + [0, 1]
    hidden = [with_visibility(store, visibility) for store in stores]
    sources = [SourceConfig("a", "a", 1, label_weights), SourceConfig("b", "b", 1, (0.5, 0.5))]
    batches = Batches(hidden, sources, SPEC, PLAIN, 6, 0, False, torch.device("cpu"))
    batch = batches.get(np.array([[0, 0], [1, 1], [0, 3]]), (0, 0, 0))
    of_first, of_second = np.array(expected)[visibility], np.array([0, 0.5, 0.5])[visibility]
    np.testing.assert_array_equal(batch.weights.numpy(), np.stack([of_first, of_second, of_first]))
    assert ((batch.targets.amax((2, 3)) > 0) == (batch.weights > 0)).all(), "what weighs nothing has no target"


def test_weights_go_with_their_joints_into_a_mirror_image(stores):
    """Left joints are visible, right ones hidden: mirrored, it is the other way round."""
    visibility = [2 if joint.startswith("left") else 1 for joint in COCO17.joints]
    store = with_visibility(stores[0], visibility)
    always = replace(PLAIN, flip_probability=1)
    sources = [SourceConfig("a", "a", 1, (0.25, 1))]
    batch = Batches([store], sources, SPEC, always, 4, 0, False, torch.device("cpu")).get(np.array([[0, 2]]), (0, 0, 0))
    for joint, weight in zip(COCO17.joints, batch.weights[0].tolist(), strict=True):
        assert weight == (1 if joint.startswith("right") else 0.25), joint


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("parts", [2, 3])
def test_gradients_of_all_parts_add_up_to_that_of_the_whole_batch(stores, world, parts):
    """With a network that treats each person alone. Parts differ in size, so it is their fractions that count."""
    batches = batches_of(stores, batch=10)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Tanh(), nn.Conv2d(8, 17, 1))
    config = LossConfig(cross_entropy=0.1)

    def gradient_of(pieces):
        network.zero_grad()
        total = 0.0
        for piece in pieces:
            loss = heatmap_loss(network(piece.images / 255), piece.targets, piece.weights, config) * piece.fraction
            loss.backward()
            total += float(loss.detach())
        return total, torch.cat([parameter.grad.flatten() for parameter in network.parameters()])

    ((whole,),) = batches.epoch(0, 0, Share())
    pieces = [
        piece for rank in range(world) for step in batches.epoch(0, 0, Share(rank, world), parts) for piece in step
    ]
    assert len({len(piece.images) for piece in pieces}) == 1 + (10 % (world * parts) > 0)
    (expected, gradient), (found, summed) = gradient_of([whole]), gradient_of(pieces)
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(summed, gradient, rtol=1e-4, atol=1e-7)

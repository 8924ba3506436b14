"""The crop store: what is in it, and that it is built once and whole."""

import json
import shutil

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.data.crops import STORE_MARGIN, open_store
from lightpose.errors import DataError, ImageError
from lightpose.geometry import crop_matrices, transform_points
from lightpose.images import read_image
from lightpose.skeletons import COCO17, LSP14, Skeleton
from tests.helpers import draw_set

INPUT_HW = (64, 48)
SIDE = 96  # one and a half times the input's height


@pytest.fixture
def source(drawn):
    return read_coco(drawn.annotations, drawn.images)


def files_in(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def store_matrix(box_xywh, aspect):
    """Picture → stored crop, by hand: the padded box's centre to the middle, 1.5 times its height over SIDE pixels."""
    x, y, w, h = box_xywh
    height = 1.25 * max(h, w / aspect)
    scale = SIDE / (1.5 * height)
    center_x, center_y = x + w / 2, y + h / 2
    return np.array([[scale, 0, SIDE / 2 - scale * center_x], [0, scale, SIDE / 2 - scale * center_y]])


def bilinear(image, x, y):
    """Value of an image at a point, black outside."""
    total = np.zeros(3)
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize(("geometry", "aspect"), [("msra", 48 / 64), ("udp", 47 / 63)])
def test_a_stored_crop_shows_the_picture_around_the_person(source, tmp_path, geometry, aspect):
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    assert store.crops.shape == (4, SIDE, SIDE, 3)
    assert store.crops.dtype == np.uint8
    generator = np.random.default_rng(0)
    for crop, person in zip(store.crops, source.persons(), strict=True):
        picture = read_image(person.image_path).astype(float)
        matrix = store_matrix(person.box_xywh, aspect)
        places = generator.integers(0, SIDE, (150, 2))
        seen = (places - matrix[:, 2]) / matrix[0, 0]
        expected = np.array([bilinear(picture, x, y) for x, y in seen])
        found = crop[places[:, 1], places[:, 0]]
        difference = np.abs(
            found - expected
        )  # OpenCV samples at 32nds of a pixel, so edges of 255 may differ by some 8
        assert difference.max() <= 10
        assert difference.mean() < 0.5


@pytest.mark.parametrize(("geometry", "aspect"), [("msra", 48 / 64), ("udp", 47 / 63)])
def test_points_are_where_the_stored_crop_shows_them(source, tmp_path, geometry, aspect):
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    for points, visibility, person in zip(store.points, store.visibility, source.persons(), strict=True):
        matrix = store_matrix(person.box_xywh, aspect)
        np.testing.assert_allclose(points, person.keypoints @ matrix[:, :2].T + matrix[:, 2], atol=1e-3)
        assert (visibility == 2).all()


@pytest.mark.parametrize("geometry", ["msra", "udp"])
def test_the_region_of_a_stored_crop_is_the_networks_crop(source, tmp_path, geometry):
    """A point on the edge of the network's crop is on the edge of the store's region."""
    store = open_store(source, COCO17, INPUT_HW, geometry, tmp_path / "store")
    less = 1 if geometry == "udp" else 0
    corners = np.array([[[0, 0], [INPUT_HW[1] - less, INPUT_HW[0] - less]]])
    for person in source.persons():
        matrix = crop_matrices(person.box_xywh, INPUT_HW, geometry)[0]
        in_picture = (corners[0] - matrix[:, 2]) / matrix[0, 0]
        stored = transform_points(
            in_picture[None], store_matrix(person.box_xywh, (48 - less) / (64 - less))[None].astype(float)
        )[0]
        np.testing.assert_allclose(stored.mean(0), SIDE / 2, atol=1e-3)
        np.testing.assert_allclose(stored[1] - stored[0], store.region, atol=1e-3)


def test_the_margin_leaves_room_for_the_paper_views():
    assert round(INPUT_HW[0] * STORE_MARGIN) == SIDE


def test_a_store_is_built_once(source, tmp_path):
    calls = []
    first = open_store(source, COCO17, INPUT_HW, "msra", tmp_path / "store", lambda *done: calls.append(done))
    assert calls[-1] == (4, 4)
    before = files_in(tmp_path / "store")
    second = open_store(source, COCO17, INPUT_HW, "msra", tmp_path / "store", lambda *_: pytest.fail("built again"))
    assert files_in(tmp_path / "store") == before
    np.testing.assert_array_equal(first.crops, second.crops)
    np.testing.assert_array_equal(first.points, second.points)


def test_what_a_store_depends_on_gives_it_another_place(source, drawn, tmp_path):
    folder = tmp_path / "store"

    def stores():
        return len(list(folder.iterdir()))

    open_store(source, COCO17, INPUT_HW, "msra", folder)
    open_store(source, COCO17, INPUT_HW, "udp", folder)
    open_store(source, COCO17, (96, 64), "msra", folder)
    open_store(source, LSP14, INPUT_HW, "msra", folder)
    assert stores() == 4
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["keypoints"][0] += 5
    drawn.annotations.write_text(json.dumps(document))
    moved = open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, "msra", folder)
    assert stores() == 5
    assert moved.points[0, 0, 0] > open_store(source, COCO17, INPUT_HW, "udp", folder).points[0, 0, 0] + 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_nothing_and_the_next_succeeds(source, tmp_path, interruption):
    def interrupt(_done, _total):
        raise interruption

    with pytest.raises(interruption):
        open_store(source, COCO17, INPUT_HW, "msra", tmp_path / "store", interrupt)
    assert files_in(tmp_path / "store") == {}
    assert len(open_store(source, COCO17, INPUT_HW, "msra", tmp_path / "store")) == 4


def test_a_missing_picture_leaves_no_store(source, drawn, tmp_path):
    (drawn.images / "0002.png").unlink()
    with pytest.raises(ImageError, match=r"cannot read .*0002\.png"):
        open_store(source, COCO17, INPUT_HW, "msra", tmp_path / "store")
    assert files_in(tmp_path / "store") == {}


def test_what_a_killed_build_left_behind_does_not_stop_the_next(source, tmp_path):
    """A process killed outright cannot clean up, and the next may well have its number, as in a container."""
    folder = tmp_path / "store"
    unfinished = []

    def keep_copy(_done, _total):
        if not unfinished:
            unfinished.extend(folder.iterdir())
            shutil.copytree(unfinished[0], tmp_path / "copy")

    open_store(source, COCO17, INPUT_HW, "msra", folder, keep_copy)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", unfinished[0])
    assert len(open_store(source, COCO17, INPUT_HW, "msra", folder)) == 4


def test_a_store_that_another_run_finished_meanwhile_is_used(source, tmp_path):
    folder, other = tmp_path / "store", tmp_path / "other"
    expected = open_store(source, COCO17, INPUT_HW, "msra", other)

    def meanwhile(_done, _total):
        for store in other.iterdir():
            shutil.copytree(store, folder / store.name, dirs_exist_ok=True)

    found = open_store(source, COCO17, INPUT_HW, "msra", folder, meanwhile)
    np.testing.assert_array_equal(found.crops, expected.crops)
    assert [path.name for path in folder.iterdir()] == [path.name for path in other.iterdir()]


def test_joints_are_stored_in_the_models_order_and_those_the_set_lacks_have_no_weight(tmp_path):
    drawn = draw_set(tmp_path / "drawn", (1, 1), joints=("right_wrist", "nose", "left_wrist", "neck"))
    source = read_coco(drawn.annotations, drawn.images)
    skeleton = Skeleton("mine", ("nose", "tail", "left_wrist", "right_wrist"))
    store = open_store(source, skeleton, INPUT_HW, "msra", tmp_path / "store")
    assert store.visibility.tolist() == [[2, 0, 2, 2]] * 2
    for points, person in zip(store.points, source.persons(), strict=True):
        matrix = store_matrix(person.box_xywh, 48 / 64)
        mapped = person.keypoints @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(points[[0, 2, 3]], mapped[[1, 2, 0]], atol=1e-3)


def test_hidden_and_unlabelled_joints_keep_their_visibility(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["keypoints"][2::3] = [0, 1, 2] * 5 + [0, 1]
    drawn.annotations.write_text(json.dumps(document))
    store = open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, "msra", tmp_path / "store")
    assert store.visibility[0].tolist() == [0, 1, 2] * 5 + [0, 1]


def test_a_set_without_a_usable_person_is_refused(tmp_path):
    drawn = draw_set(tmp_path / "drawn", people=(0, 0))
    with pytest.raises(DataError, match=r"people\.json has no person with a labelled keypoint and a box"):
        open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, "msra", tmp_path / "store")


def test_the_persons_of_a_real_set_are_stored_whole(real_data, tmp_path):
    folder = real_data / "coco_keypoints"
    source = read_coco(folder / "train.json", folder / "train2017")
    store = open_store(source, COCO17, INPUT_HW, "udp", tmp_path / "store")
    assert len(store) == 86
    labelled = store.visibility > 0
    assert labelled.sum() == sum((person.visibility > 0).sum() for person in source.persons())
    assert ((store.points >= 0) & (store.points < SIDE)).all(-1)[labelled].mean() > 0.99
    assert (store.crops.reshape(86, -1).std(1) > 5).all(), "every crop shows something"

"""The crop store: what is in it, and what it depends on."""

import json

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.data.crops import STORE_MARGIN, open_store
from lightpose.errors import DataError
from lightpose.io.images import read_image
from lightpose.ops.geometry import crop_matrices, transform_points
from lightpose.skeletons import COCO17, LSP14, Skeleton
from tests.helpers import draw_set

pytest.importorskip("filelock")

INPUT_HW = (64, 48)
SIDE = 96  # one and a half times the input's height


@pytest.fixture
def source(drawn):
    return read_coco(drawn.annotations, drawn.images)


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


def test_a_stored_crop_shows_the_picture_around_the_person(source, tmp_path):
    store = open_store(source, COCO17, INPUT_HW, tmp_path / "store")
    assert store.crops.shape == (4, SIDE, SIDE, 3)
    assert store.crops.dtype == np.uint8
    generator = np.random.default_rng(0)
    for crop, person in zip(store.crops, source.persons(), strict=True):
        picture = read_image(person.image_path).astype(float)
        matrix = store_matrix(person.box_xywh, 48 / 64)
        places = generator.integers(0, SIDE, (150, 2))
        seen = (places - matrix[:, 2]) / matrix[0, 0]
        expected = np.array([bilinear(picture, x, y) for x, y in seen])
        found = crop[places[:, 1], places[:, 0]]
        difference = np.abs(
            found - expected
        )  # OpenCV samples at 32nds of a pixel, so edges of 255 may differ by some 8
        assert difference.max() <= 10
        assert difference.mean() < 0.5


def test_points_are_where_the_stored_crop_shows_them(source, tmp_path):
    store = open_store(source, COCO17, INPUT_HW, tmp_path / "store")
    for points, visibility, person in zip(store.points, store.visibility, source.persons(), strict=True):
        matrix = store_matrix(person.box_xywh, 48 / 64)
        np.testing.assert_allclose(points, person.keypoints @ matrix[:, :2].T + matrix[:, 2], atol=1e-3)
        assert (visibility == 2).all()


@pytest.mark.parametrize("geometry", ["msra", "udp"])
def test_the_region_of_a_stored_crop_is_the_networks_crop(source, tmp_path, geometry):
    """A point on the edge of the network's crop is on the edge of the store's region."""
    store = open_store(source, COCO17, INPUT_HW, tmp_path / "store")
    less = 1 if geometry == "udp" else 0
    corners = np.array([[[0, 0], [INPUT_HW[1] - less, INPUT_HW[0] - less]]])
    for person in source.persons():
        matrix = crop_matrices(person.box_xywh, INPUT_HW, geometry)[0]
        in_picture = (corners[0] - matrix[:, 2]) / np.diag(matrix[:, :2])
        stored = transform_points(in_picture[None], store_matrix(person.box_xywh, 48 / 64)[None].astype(float))[0]
        np.testing.assert_allclose(stored.mean(0), SIDE / 2, atol=1e-3)
        np.testing.assert_allclose(stored[1] - stored[0], store.region, atol=1e-3)


def test_with_less_padding_a_person_is_larger_in_the_stored_crop(source, tmp_path):
    usual = open_store(source, COCO17, INPUT_HW, tmp_path / "store")
    tight = open_store(source, COCO17, INPUT_HW, tmp_path / "store", padding=1.25 / 2)
    np.testing.assert_allclose(tight.points - SIDE / 2, 2 * (usual.points - SIDE / 2), atol=1e-3)
    assert tight.region == usual.region


def test_the_margin_leaves_room_for_the_paper_views():
    assert round(INPUT_HW[0] * STORE_MARGIN) == SIDE


def opened(source, folder):
    return open_store(source, COCO17, INPUT_HW, folder)


def test_what_the_crops_depend_on_gives_a_store_another_place(source, drawn, tmp_path):
    folder = tmp_path / "store"

    def stores():
        return len(list(folder.iterdir()))

    opened(source, folder)
    open_store(source, COCO17, (96, 64), folder)
    open_store(source, COCO17, INPUT_HW, folder, padding=1.1)
    assert stores() == 3
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["bbox"][0] += 5
    drawn.annotations.write_text(json.dumps(document))
    opened(read_coco(drawn.annotations, drawn.images), folder)
    assert stores() == 4
    drawn.images.rename(tmp_path / "moved")
    opened(read_coco(drawn.annotations, tmp_path / "moved"), folder)
    assert stores() == 5


def test_a_set_that_is_labelled_anew_in_the_same_boxes_keeps_its_crops(source, drawn, tmp_path):
    """Nothing is read again: the pictures are gone. Other joints of a model need no other crops either."""
    folder = tmp_path / "store"
    first = opened(source, folder)
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["keypoints"][0] += 5
    document["annotations"][1]["keypoints"][5] = 1
    drawn.annotations.write_text(json.dumps(document))
    for picture in drawn.images.iterdir():
        picture.unlink()
    relabelled = read_coco(drawn.annotations, drawn.images)
    second, other = opened(relabelled, folder), open_store(relabelled, LSP14, INPUT_HW, folder)
    assert len(list(folder.iterdir())) == 1
    scale = store_matrix(source.persons()[0].box_xywh, 48 / 64)[0, 0]
    assert second.points[0, 0, 0] - first.points[0, 0, 0] == pytest.approx(5 * scale, abs=1e-4)
    assert (first.visibility[1, 1], second.visibility[1, 1]) == (2, 1)
    np.testing.assert_array_equal(second.crops, first.crops)
    assert other.points.shape == (4, 14, 2)


def test_pictures_may_be_named_by_their_whole_path(source, drawn, tmp_path):
    expected = opened(source, tmp_path / "store")
    document = json.loads(drawn.annotations.read_text())
    for picture in document["images"]:
        picture["file_name"] = str(drawn.images / picture["file_name"])
    drawn.annotations.write_text(json.dumps(document))
    (tmp_path / "elsewhere").mkdir()
    found = opened(read_coco(drawn.annotations, tmp_path / "elsewhere"), tmp_path / "store")
    np.testing.assert_array_equal(found.crops, expected.crops)


def test_joints_are_stored_in_the_models_order_and_those_the_set_lacks_have_no_weight(tmp_path):
    drawn = draw_set(tmp_path / "drawn", (1, 1), joints=("right_wrist", "nose", "left_wrist", "neck"))
    source = read_coco(drawn.annotations, drawn.images)
    skeleton = Skeleton("mine", ("nose", "tail", "left_wrist", "right_wrist"))
    store = open_store(source, skeleton, INPUT_HW, tmp_path / "store")
    assert store.visibility.tolist() == [[2, 0, 2, 2]] * 2
    for points, person in zip(store.points, source.persons(), strict=True):
        matrix = store_matrix(person.box_xywh, 48 / 64)
        mapped = person.keypoints @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(points[[0, 2, 3]], mapped[[1, 2, 0]], atol=1e-3)


def test_hidden_and_unlabelled_joints_keep_their_visibility(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["keypoints"][2::3] = [0, 1, 2] * 5 + [0, 1]
    drawn.annotations.write_text(json.dumps(document))
    store = open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, tmp_path / "store")
    assert store.visibility[0].tolist() == [0, 1, 2] * 5 + [0, 1]


def test_a_set_without_a_usable_person_is_refused(tmp_path):
    drawn = draw_set(tmp_path / "drawn", people=(0, 0))
    with pytest.raises(DataError, match=r"people\.json has no person with a labelled keypoint and a box"):
        open_store(read_coco(drawn.annotations, drawn.images), COCO17, INPUT_HW, tmp_path / "store")


def test_the_persons_of_a_real_set_are_stored_whole(real_data, tmp_path):
    folder = real_data / "coco_keypoints"
    source = read_coco(folder / "train.json", folder / "train2017")
    store = open_store(source, COCO17, INPUT_HW, tmp_path / "store")
    assert len(store) == 86
    labelled = store.visibility > 0
    assert labelled.sum() == sum((person.visibility > 0).sum() for person in source.persons())
    assert ((store.points >= 0) & (store.points < SIDE)).all(-1)[labelled].mean() > 0.99
    assert (store.crops.reshape(86, -1).std(1) > 5).all(), "every crop shows something"

"""The picture store: its squares are what prediction would make of the pictures, and boxes are where the people are."""

import json

import numpy as np
import pytest

from lightpose.data.people import read_people
from lightpose.data.pictures import STORE_SCALE, Ragged, open_pictures
from lightpose.errors import DataError
from lightpose.io.images import read_image
from lightpose.ops.letterbox import letterbox
from tests.helpers import PICTURE_HW

pytest.importorskip("filelock")


@pytest.fixture
def people(drawn):
    return read_people(drawn.annotations, drawn.images)


def test_a_square_is_the_letterboxed_picture_a_quarter_larger_than_the_input(people, tmp_path):
    store = open_pictures(people, (64, 96), 114, tmp_path)
    side = round(96 * STORE_SCALE)
    assert store.pixels.shape == (3, side, side, 3)
    for scene, square, extent in zip(people.scenes(), store.pixels, store.extents, strict=True):
        expected = letterbox(read_image(scene.image_path, exif=False), (side, side), 114)
        np.testing.assert_array_equal(square, expected.pixels)
        np.testing.assert_allclose(extent, np.array(expected.scale_xy) * PICTURE_HW[::-1], rtol=1e-6)


def test_boxes_come_back_to_the_picture(people, tmp_path):
    store = open_pictures(people, (64, 64), 114, tmp_path)
    for row, scene in enumerate(people.scenes()):
        boxed = letterbox(read_image(scene.image_path, exif=False), (80, 80))
        np.testing.assert_allclose(boxed.to_picture(store.people[row]), scene.boxes_xyxy, atol=1e-3)
        assert store.ignored[row].shape == (0, 4)


def test_progress_tells_pictures_and_a_second_opening_only_compares(people, tmp_path):
    told = []
    first = open_pictures(people, (64, 64), 114, tmp_path, lambda *now: told.append(now))
    again = open_pictures(people, (64, 64), 114, tmp_path, lambda *now: told.append(now))
    assert told == [(3, 3), (1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert not first.pixels.flags.writeable


@pytest.mark.parametrize("change", [{"input_hw": (96, 96)}, {"pad": 0}])
def test_other_settings_are_another_store(people, tmp_path, change):
    open_pictures(people, (64, 64), 114, tmp_path)
    open_pictures(people, **{"input_hw": (64, 64), "pad": 114, **change}, folder=tmp_path)
    assert len(list(tmp_path.glob("people-*"))) == 2


def test_a_picture_of_another_size_than_its_file_says_is_named(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    document["images"][1]["width"] += 10
    drawn.annotations.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"people\.json: image 2 \(0002\.png\) is 200x160, but the labels say 210x160"):
        open_pictures(read_people(drawn.annotations, drawn.images), (64, 64), 114, tmp_path)


def test_a_set_without_pictures_is_refused(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    drawn.annotations.write_text(json.dumps({**document, "images": [], "annotations": []}))
    with pytest.raises(DataError, match="has no images"):
        open_pictures(read_people(drawn.annotations, drawn.images), (64, 64), 114, tmp_path)


def test_ragged_boxes_are_taken_apart_as_they_were_put_together():
    parts = [np.ones((2, 4), np.float32), np.zeros((0, 4), np.float32), np.full((1, 4), 3, np.float32)]
    ragged = Ragged.of(parts)
    for row, part in enumerate(parts):
        np.testing.assert_array_equal(ragged[row], part)
    assert Ragged.of([]).boxes.shape == (0, 4)

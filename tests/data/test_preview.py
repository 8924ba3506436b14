"""Previews: who is shown, and that the labels are drawn where they are."""

import json

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.data.preview import TILE_HW, choose_persons, preview_sheet
from lightpose.errors import ConfigError, DataError, ImageError
from lightpose.ops.draw import LEFT, RIGHT
from tests.helpers import GREY, draw_set

HEIGHT, WIDTH = TILE_HW


@pytest.fixture
def source(tmp_path):
    drawn = draw_set(tmp_path, people=[1, 2] * 10)
    return read_coco(drawn.annotations, drawn.images)


def numbers(people):
    return [person.annotation_id for person in people]


def test_as_many_as_asked_for_are_shown_in_order_and_each_once(source):
    chosen = numbers(choose_persons(source, 12))
    assert len(set(chosen)) == 12
    assert chosen == sorted(chosen)
    assert set(chosen) <= set(range(1, 31))


def test_more_than_there_are_is_everybody(source):
    assert numbers(choose_persons(source, 99)) == list(range(1, 31))


def test_a_seed_chooses_the_same_people_again_and_another_seed_others(source):
    assert numbers(choose_persons(source, 9, seed=3)) == numbers(choose_persons(source, 9, seed=3))
    assert numbers(choose_persons(source, 9, seed=3)) != numbers(choose_persons(source, 9, seed=4))


def test_those_who_are_named_are_shown(source):
    assert numbers(choose_persons(source, 1, ids=(17, 4, 30))) == [4, 17, 30]


def test_an_id_that_is_nobodys_is_told(source):
    with pytest.raises(DataError, match="no labelled person whose annotation id is 77"):
        choose_persons(source, 1, ids=(4, 77))


def test_a_count_of_none_is_refused(source):
    with pytest.raises(ConfigError, match="count must be at least 1"):
        choose_persons(source, 0)


def test_a_file_without_labels_is_told(source):
    for row in source.document["annotations"]:
        row["keypoints"] = [0] * 51
    with pytest.raises(DataError, match="no person with a labelled keypoint"):
        choose_persons(source, 5)


def test_people_come_eight_to_a_row(source):
    assert preview_sheet(source, choose_persons(source, 11)).shape == (2 * HEIGHT, 8 * WIDTH, 3)
    assert preview_sheet(source, choose_persons(source, 3)).shape == (HEIGHT, 3 * WIDTH, 3)


@pytest.mark.parametrize(
    "names", [["left_wrist", "nose"], ["nose", "right_wrist"], ["left_knee", "right_knee", "neck"]]
)
def test_a_label_is_drawn_in_its_sides_colour_where_it_is(tmp_path, names):
    """The box is 1/1.25 of the tile's height, or width, about its middle."""
    drawn = draw_set(tmp_path, people=[1], joints=names)
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0]["bbox"] = [20, 20, 90, 121]
    drawn.annotations.write_text(json.dumps(document))
    source = read_coco(drawn.annotations, drawn.images)
    (person,) = source.persons()
    tile = preview_sheet(source, [person])
    scale = HEIGHT / (1.25 * 120)
    for name, (x, y) in zip(names, person.keypoints, strict=True):
        u, v = WIDTH / 2 + (x - (20 + 89 / 2)) * scale, HEIGHT / 2 + (y - (20 + 120 / 2)) * scale
        color = tile[round(float(v)), round(float(u))].astype(int)
        wanted = LEFT if name.startswith("left") else RIGHT if name.startswith("right") else (60, 220, 90)
        assert np.abs(color - wanted).max() < 30


def test_unlabelled_joints_are_not_drawn(source):
    for row in source.document["annotations"]:
        row["keypoints"][3:] = [5, 5, 0] * 16
    person = source.persons()[0]
    plain = preview_sheet(source, [person])
    for row in source.document["annotations"]:
        row["keypoints"][3:] = [50, 90, 0] * 16
    np.testing.assert_array_equal(preview_sheet(source, [source.persons()[0]]), plain)


def test_joints_without_limbs_get_those_that_are_known(tmp_path):
    """The stick figure's own lines are covered: between hip and knee there is orange or blue."""
    drawn = draw_set(tmp_path, people=[1], joints=["left_hip", "left_knee", "neck"])
    source = read_coco(drawn.annotations, drawn.images)
    assert not source.skeleton.limbs
    tile = preview_sheet(source, source.persons()).astype(int)
    orange = (np.abs(tile - LEFT).max(-1) < 30).sum()
    assert orange > 60  # two dots alone are less
    assert (np.abs(tile - GREY).max(-1) < 3).any()


def test_a_missing_picture_is_named(source):
    (source.images / "0002.png").unlink()
    with pytest.raises(ImageError, match=r"0002\.png"):
        preview_sheet(source, choose_persons(source, 99))

"""What is found, as numbers, tables, files and drawings."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import ConfigError, MissingPackageError, ShapeError, SkeletonError
from lightpose.io.images import read_image
from lightpose.ops.draw import color_of_id
from lightpose.results import Boxes, Poses, draw_poses
from lightpose.skeletons import Skeleton

THREE = Skeleton("three", ("nose", "left_knee", "right_knee"), (("left_knee", "right_knee"),))


def two_people(name: str = "") -> Poses:
    """Joint j of person p is at (10 p + j, 100 p + j), scored p / 2 + j / 10."""
    person, joint = np.meshgrid(np.arange(2), np.arange(3), indexing="ij")
    keypoints = np.stack([10 * person + joint, 100 * person + joint, person / 2 + joint / 10], -1).astype(np.float32)
    boxes = Boxes(np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.array([0.5, 0.25]))
    return Poses(keypoints, np.array([0.75, 0.125], np.float32), boxes, THREE, (40, 30), name)


def test_a_joint_is_had_by_its_name():
    knee = two_people()[1]["left_knee"]
    assert (knee.x, knee.y) == (11, 101)
    assert knee.score == pytest.approx(0.6)
    with pytest.raises(SkeletonError, match="no joint 'elbow'; the skeleton has nose, left_knee, right_knee"):
        two_people()[0]["elbow"]


def test_people_are_counted_iterated_sliced_and_chosen():
    poses = two_people("a.jpg")
    assert len(poses) == 2
    assert [person.score for person in poses] == [0.75, 0.125]
    assert poses[-1].box_xywh.tolist() == [5, 6, 7, 8]
    for some in (poses[1:], poses[poses.scores < 0.5], poses[np.array([1])]):
        assert (len(some), some.scores.tolist(), some.boxes.scores.tolist()) == (1, [0.125], [0.25])
        assert (some.name, some.image_hw, some.skeleton) == ("a.jpg", (40, 30), THREE)
    with pytest.raises(IndexError):
        poses[2]


def test_a_repr_is_short_and_says_what_there_is():
    assert repr(two_people("a.jpg")) == "Poses(2 people, 3 joints, image 30x40, a.jpg)"
    assert repr(two_people()[:1]) == "Poses(1 person, 3 joints, image 30x40)"
    assert repr(two_people()[0]) == "Pose(score 0.75, 3 joints)"
    assert repr(two_people().boxes) == "Boxes(2)"


def test_a_dict_is_plain_and_names_everything():
    table = two_people("a.jpg").to_dict()
    assert table == json.loads(json.dumps(table))
    assert (table["image"], table["width"], table["height"]) == ("a.jpg", 30, 40)
    assert table["people"][1]["keypoints"]["right_knee"] == {"x": 12.0, "y": 102.0, "score": 0.7}
    assert table["people"][0]["box"] == [1, 2, 3, 4]


def test_coco_rows_have_the_number_that_the_image_is_named_by():
    assert [row["image_id"] for row in two_people("val/000000397133.jpg").to_coco()] == [397133] * 2
    assert [row["image_id"] for row in two_people("beach.jpg").to_coco()] == [1, 1]
    [row] = two_people()[1:].to_coco(7, category_id=3)
    assert (row["image_id"], row["category_id"], row["score"]) == (7, 3, 0.125)
    assert row["keypoints"] == [10, 100, 0.5, 11, 101, 0.6, 12, 102, 0.7]
    assert two_people()[:0].to_coco() == []


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_has_a_row_for_each_joint_and_person(library: str):
    pytest.importorskip(library)
    frame = two_people("a.jpg").to_frame(library)
    assert type(frame).__module__.split(".")[0] == library
    rows = (
        frame.to_pylist()
        if library == "pyarrow"
        else frame.to_dict("records")
        if library == "pandas"
        else frame.to_dicts()
    )
    assert len(rows) == 6
    for row, record in zip(rows, two_people("a.jpg").to_records(), strict=True):
        assert list(row) == list(record)
        assert row == pytest.approx(record)
    assert len(two_people()[:0].to_frame(library)) == 0


def test_a_frame_of_an_unknown_library_is_refused():
    with pytest.raises(ConfigError, match="library 'excel' is unknown; use pandas, polars, pyarrow"):
        two_people().to_frame("excel")


def test_without_supervision_the_error_says_how_to_install_it():
    try:
        import supervision  # noqa: F401
    except ImportError:
        with pytest.raises(MissingPackageError, match=r"pip install 'lightpose\[supervision\]'"):
            two_people().to_supervision()


def test_supervision_takes_points_and_scores():
    supervision = pytest.importorskip("supervision")
    found = two_people().to_supervision()
    assert isinstance(found, supervision.KeyPoints)
    np.testing.assert_array_equal(found.xy, two_people().keypoints[..., :2])
    np.testing.assert_array_equal(found.keypoint_confidence, two_people().keypoints[..., 2])


def test_poses_are_saved_as_json_csv_or_a_drawing(tmp_path: Path):
    poses, image = two_people("a.jpg"), np.full((40, 30, 3), 90, np.uint8)
    poses.save(tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text()) == poses.to_dict()
    poses.save(tmp_path / "p.csv")
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["y"]) for row in rows] == [0, 1, 2, 100, 101, 102]
    poses.save(tmp_path / "p.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), draw_poses(image, poses))
    assert (image == 90).all(), "the image itself stays as it was"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("p.xlsx", "saved as .json or .csv"), ("p", "saved as .json or .csv"), ("p.png", "needs the image")],
)
def test_what_cannot_be_saved_is_refused_and_no_file_is_left(tmp_path: Path, name: str, reason: str):
    with pytest.raises(ConfigError, match=reason):
        two_people().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_ids_go_with_their_people_into_every_form(tmp_path: Path):
    poses = replace(two_people("a.jpg"), ids=[7, 3])
    assert (poses[0].id, poses[1:].ids.tolist(), poses[np.array([1, 0])].ids.tolist()) == (7, [3], [3, 7])
    assert [person.id for person in poses] == [7, 3]
    assert [person["id"] for person in poses.to_dict()["people"]] == [7, 3]
    assert [row["id"] for row in poses.to_records()] == [7, 7, 7, 3, 3, 3]
    assert poses.to_frame("pandas")["id"].tolist() == [7, 7, 7, 3, 3, 3]
    poses.save(tmp_path / "a.csv")
    rows = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert [row["id"] for row in rows] == [*"777333"]
    assert repr(poses[0]) == "Pose(id 7, score 0.75, 3 joints)"


def test_without_ids_no_form_speaks_of_them():
    poses = two_people("a.jpg")
    assert (poses.ids, poses[0].id, poses[:1].ids) == (None, None, None)
    assert "id" not in poses.to_dict()["people"][0]
    assert "id" not in poses.to_records()[0]
    assert list(poses.to_frame("pandas").columns) == [*poses.to_records()[0]]


def test_ids_are_as_many_as_people():
    with pytest.raises(ShapeError, match="2 people need 2 ids"):
        replace(two_people(), ids=[1])


def test_a_drawing_has_each_id_and_one_colour_for_it():
    poses = two_people()
    keypoints = np.array([[[20, 60, 1], [10, 90, 1], [40, 90, 1]], [[80, 60, 1], [70, 90, 1], [95, 90, 1]]], np.float32)
    poses, image = replace(poses, keypoints=keypoints), np.zeros((120, 120, 3), np.uint8)
    drawn = replace(poses, ids=[1, 2]).plot(image)
    assert drawn[:50].any()
    assert not poses.plot(image)[:50].any()
    middles = [drawn[88:93, x].max(0).tolist() for x in (25, 82)]  # of the limbs between the knees
    assert np.abs(np.subtract(middles, [color_of_id(1), color_of_id(2)])).max() <= 25  # thin lines are mixed with black
    swapped = replace(poses, ids=[2, 1]).plot(image)
    assert np.abs(np.subtract(swapped[88:93, 25].max(0), color_of_id(2))).max() <= 25

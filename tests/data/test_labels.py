"""Exports of CVAT, Label Studio and YOLO-pose give the people that the COCO form of the same data gives."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.data.labels import read_labels
from lightpose.data.people import read_people
from lightpose.errors import DataError
from lightpose.formats import frames_of, recognise, write_pairs
from tests.data.label_files import TOOLS, cvat_images, exported, yolo_pose
from tests.helpers import draw_set

pytest.importorskip("filelock")

JOINTS = ("nose", "neck", "left_wrist", "right_wrist", "left_ankle", "right_ankle")


@pytest.fixture(params=["coco17", "own"])
def drawn(request, tmp_path):
    """Four people with hidden joints and some that nobody labelled, of COCO's joints and of others."""
    drawn = draw_set(tmp_path / "drawn", **({} if request.param == "coco17" else {"joints": JOINTS}))
    document = json.loads(drawn.annotations.read_text())
    for number, row in enumerate(document["annotations"]):
        row["keypoints"][2 + 3 * number] = 1
        row["keypoints"][12:15] = [0, 0, 0]
    drawn.annotations.write_text(json.dumps(document))
    return drawn


def same_people(found, wanted, boxes=True):
    assert len(found) == len(wanted) == 4
    for person, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(person.visibility, other.visibility)
        seen = other.visibility > 0
        np.testing.assert_allclose(person.keypoints[seen], other.keypoints[seen], atol=0.011)
        assert person.image_hw == other.image_hw
        assert person.image_path.read_bytes() == other.image_path.read_bytes()
        if boxes:
            np.testing.assert_allclose(person.box_xywh, other.box_xywh, atol=0.02)
        else:
            assert (person.box_xywh[:2] <= other.keypoints[seen].min(0)).all()
            assert (person.box_xywh[:2] + person.box_xywh[2:] >= other.keypoints[seen].max(0) - 1).all()


@pytest.mark.parametrize("tool", TOOLS)
def test_an_export_has_the_people_of_the_coco_file(tool, drawn, tmp_path):
    wanted = read_coco(drawn.annotations, drawn.images)
    path, images = exported(tool, drawn, tmp_path / "export")
    found = read_coco(path, images)
    assert set(found.skeleton.joints) <= set(wanted.skeleton.joints)
    at = [wanted.skeleton.joints.index(joint) for joint in found.skeleton.joints]
    people = [replace(p, visibility=p.visibility[at], keypoints=p.keypoints[at]) for p in wanted.persons()]
    same_people(found.persons(), people, boxes="cvat" not in tool)
    assert len(read_people(path, images).rows()) == 4


@pytest.mark.parametrize("kind", ["cvat", "label-studio", "yolo-pose", "coco"])
def test_what_lightpose_writes_for_a_tool_comes_back(kind, drawn, tmp_path):
    wanted = read_coco(drawn.annotations, drawn.images)
    out = tmp_path / ("out" if kind == "yolo-pose" else "out.xml" if kind == "cvat" else "out.json")
    frames = list(frames_of(drawn.annotations))
    write_pairs(((poses, None) for poses in frames), out, kind)
    if kind == "label-studio":
        tasks = json.loads(out.read_text())
        for task in tasks:
            task["annotations"] = [{"result": task["predictions"][0]["result"]}]  # a person who agrees
        out.write_text(json.dumps(tasks))
    same_people(read_coco(out, drawn.images).persons(), wanted.persons(), boxes=kind != "cvat")


def test_the_zip_of_cvat_is_told_from_openposes(drawn, tmp_path):
    path, _ = exported("cvat", drawn, tmp_path / "export")
    assert recognise(path).name == "cvat"
    assert [len(poses) for poses in frames_of(path)] == [1, 2, 1]


def test_what_is_left_out_of_label_studios_tasks_is_said(drawn, tmp_path):
    path, images = exported("label-studio", drawn, tmp_path / "export")
    document, notes = read_labels(path, images)
    assert [row["file_name"] for row in document["images"]] == ["0001.png", "0002.png", "0003.png"]
    assert notes == (
        "nobody annotated 1 tasks; they are left out",
        "1 tasks were cancelled by all who annotated them; they are left out",
        "1 tasks have several annotations; the ground truth is used, else the last change",
    )


def test_the_ground_truth_goes_before_later_annotations(drawn, tmp_path):
    path, images = exported("label-studio", drawn, tmp_path / "export")
    right = read_coco(path, images).persons()[0].keypoints
    tasks = json.loads(path.read_text())
    tasks[0]["annotations"][1]["ground_truth"] = True  # an older one, nine pixels away
    path.write_text(json.dumps(tasks))
    apart = read_coco(path, images).persons()[0].keypoints - right
    assert np.allclose(apart[np.abs(apart).any(1)], (9, 0), atol=0.02)


def test_shapes_and_skeletons_that_are_not_people_are_left_out_and_said(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    dog = '<skeleton label="dog"><points label="paw" outside="0" occluded="0" points="1,2"></points></skeleton>'
    label = "<label><name>paw</name><type>points</type><parent>dog</parent></label>"
    path, images = cvat_images(document, drawn, tmp_path, more=dog)
    with zipfile.ZipFile(path) as archive:
        text = archive.read("annotations.xml").decode().replace("</labels>", f"{label}</labels>")
    (tmp_path / "a.xml").write_text(text)
    source = read_coco(tmp_path / "a.xml", images)
    assert len(source.persons()) == 4
    assert [note.split(": ", 1)[1] for note in source.notes] == [
        "shapes that are no skeletons are left out (3 box)",
        "3 skeletons are of 'dog', not of 'person'; they are left out",
    ]


def test_a_folder_of_images_chooses_the_part_of_a_yolo_set(drawn, tmp_path):
    document = json.loads(drawn.annotations.read_text())
    path, images = yolo_pose(document, drawn, tmp_path)
    assert [row["file_name"] for row in read_coco(path, images).document["images"]] == [
        "0001.png", "0002.png", "0003.png",
    ]  # fmt: skip
    val = read_coco(path.parent, images.parent / "val")
    assert [(row["file_name"], row["width"]) for row in val.document["images"]] == [("0001.png", 30)]
    assert "labels of 3 images that are not in" in val.notes[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has labels of 4 images, and none of them is in"):
        read_coco(path, tmp_path / "empty")


def test_joints_without_names_are_said_to_be_cocos(tmp_path):
    drawn = draw_set(tmp_path / "drawn")
    path, images = yolo_pose(json.loads(drawn.annotations.read_text()), drawn, tmp_path, names=False)
    assert (
        "data.yaml has no kpt_names; its 17 joints are taken to be those of coco17" in read_coco(path, images).notes[0]
    )
    path.write_text(path.read_text() + "flip_idx: [" + ", ".join(map(str, range(17))) + "]\n")
    assert "flip_idx of data.yaml is not what the names of joints say" in read_coco(path, images).notes[1]


def regions(*points, boxes=((10, 10, 30, 60),), **more):
    """A task with an annotation of those rectangles and joints, in percent of an image of 200x100."""
    one = {"original_width": 200, "original_height": 100, "image_rotation": 0, **more}
    rows = [
        {"id": f"b{n}", "type": "rectanglelabels", **one,
         "value": dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"rectanglelabels": ["person"]}}
        for n, box in enumerate(boxes)
    ]  # fmt: skip
    rows += [
        {"id": f"p{n}", "type": "keypointlabels", **one, "value": {"x": x, "y": y, "keypointlabels": [joint]}}
        for n, (joint, x, y) in enumerate(points)
    ]
    return {"id": 5, "data": {"photo": "a.jpg"}, "annotations": [{"result": rows}]}


def people_in(tmp_path, *tasks):
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    return read_labels(tmp_path / "t.json", None)[0]["annotations"]


def test_a_joint_belongs_to_the_smallest_rectangle_that_it_is_in(tmp_path):
    inner = (10, 10, 30, 60), (15, 15, 10, 10)
    rows = people_in(tmp_path, regions(("nose", 20, 20), ("left_eye", 12, 12), boxes=inner))
    assert [row["num_keypoints"] for row in rows] == [1, 1]
    assert rows[1]["keypoints"][:3] == [40, 20, 2]
    assert rows[1]["bbox"] == [30, 15, 20, 10]


def test_joints_without_any_rectangle_are_one_person(tmp_path):
    (row,) = people_in(tmp_path, regions(("nose", 20, 20), ("left_eye", 22, 18), boxes=()))
    assert row["num_keypoints"] == 2
    assert row["bbox"][2] > 4  # the joints' extent and a margin


def test_a_turned_rectangle_is_the_box_round_it(tmp_path):
    task = regions(("nose", 40, 20))
    task["annotations"][0]["result"][0]["value"]["rotation"] = 90  # about its left upper corner at 20, 10
    (row,) = people_in(tmp_path, task)
    assert row["bbox"] == [0, 10, 20, 60]  # 60 wide and 60 high before; to the left of the corner the image ends


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ([regions(("nose", 20, 20), ("nose", 22, 22), boxes=())], "task 5: the joint nose is there twice; draw a rect"),
        ([regions(("nose", 90, 90), boxes=((1, 1, 5, 5), (8, 8, 5, 5)))], "task 5: the joint nose is in no person's"),
        ([regions(("nose", 20, 20), image_rotation=90)], "task 5: the image was turned in Label Studio; turn it back"),
        ([regions(("nose", "x", 20))], "task 5: 'x' is no finite number"),
        (
            [{"image": "a.jpg", "annotator": 1}],
            "tasks without data; export it from Label Studio as JSON, not as JSON-M",
        ),
    ],
)
def test_tasks_that_cannot_be_told_are_refused(tasks, text, tmp_path):
    with pytest.raises(DataError, match=text):
        people_in(tmp_path, *tasks)


def test_files_that_are_no_labels_are_refused(drawn, tmp_path):
    for name, content, text in (
        ("a.zip", b"PK", "is damaged, or locked"),
        ("b.xml", b"<x/>", "outermost element is annotations"),
        ("c.xml", b"<!DOCTYPE x><annotations/>", "has a document type"),
        ("d.yaml", b"names: [person]", "has no kpt_shape"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=text):
            read_coco(tmp_path / name, tmp_path)
    with pytest.raises(DataError, match="there is no such file"):
        read_coco(tmp_path / "none.xml", tmp_path)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("data.yaml", "")
    with pytest.raises(DataError, match=r"has no annotations.xml, as CVAT's own format has; unpack it, and name"):
        read_coco(tmp_path / "set.zip", tmp_path)
    write_pairs(((p, None) for p in frames_of(drawn.annotations)), tmp_path / "op", "openpose")
    with pytest.raises(DataError, match=r"is openpose, and labels are COCO, YOLO-pose, CVAT 1.1 or Label Studio"):
        read_coco(tmp_path / "op", tmp_path)


def test_tracks_of_several_tasks_are_refused(tmp_path):
    tracks = "".join(f'<track id="{n}" label="person" task_id="{n}"></track>' for n in (1, 2))
    (tmp_path / "a.xml").write_text(f"<annotations>{tracks}</annotations>")
    with pytest.raises(DataError, match="tracks of 2 tasks, whose frames all begin anew; export each alone"):
        read_coco(tmp_path / "a.xml", tmp_path)

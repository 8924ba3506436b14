"""COCO files: what a good one gives, and what each kind of bad one is told."""

import copy
import json

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.errors import DataError
from lightpose.skeletons import COCO17

JOINTS = ["nose", "left_wrist", "right_wrist"]
DOCUMENT = {
    "images": [
        {"id": 7, "file_name": "a.jpg", "height": 40, "width": 60},
        {"id": 3, "file_name": "sub/b.jpg", "height": 30, "width": 20},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [5, 6, 21, 31], "area": 400, "iscrowd": 0,
         "keypoints": [10, 11, 2, 0, 0, 0, 14.5, 15.25, 1]},
        {"id": 2, "image_id": 3, "category_id": 1, "bbox": [1, 2, 11, 21], "keypoints": [4, 5, 2, 6, 7, 2, 8, 9, 2]},
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": JOINTS, "skeleton": [[1, 2]]}],
}  # fmt: skip


def write(folder, document):
    path = folder / "set.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def changed(*way, to):
    """DOCUMENT with the value at the end of the way set to `to`, or left out if `to` is ..."""
    document = copy.deepcopy(DOCUMENT)
    place = document
    for step in way[:-1]:
        place = place[step]
    if to is ...:
        del place[way[-1]]
    else:
        place[way[-1]] = to
    return document


def test_a_good_file_gives_its_persons_as_they_are_labelled(tmp_path):
    source = read_coco(write(tmp_path, DOCUMENT), tmp_path / "pictures")
    first, second = source.persons()
    assert source.skeleton.joints == tuple(JOINTS)
    assert source.skeleton.limbs == (("nose", "left_wrist"),)
    assert (first.image_path, second.image_path) == (
        tmp_path / "pictures" / "a.jpg",
        tmp_path / "pictures" / "sub" / "b.jpg",
    )
    assert (first.image_id, first.annotation_id, first.image_hw, first.area) == (7, 1, (40, 60), 400)
    assert first.keypoints.tolist() == [[10, 11], [0, 0], [14.5, 15.25]]
    assert first.visibility.tolist() == [2, 0, 1]
    assert first.box_xywh.tolist() == [5, 6, 20, 30], "the far edge is the last pixel, as in COCO's protocol"


def test_a_person_without_an_area_has_that_of_its_box(tmp_path):
    person = read_coco(write(tmp_path, DOCUMENT), tmp_path).persons()[1]
    assert person.box_xywh.tolist() == [1, 2, 10, 20]
    assert person.area == 200


def test_the_joints_of_coco_are_recognised(drawn):
    assert read_coco(drawn.annotations, drawn.images).skeleton is COCO17


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([-10, -5, 30, 20], [0, 0, 29, 19]),  # the protocol keeps the size of a box that begins left of the picture
        ([50, 35, 100, 100], [50, 35, 9, 4]),  # to the last column 59 and row 39
        ([-5, -5, 500, 500], [0, 0, 59, 39]),
    ],
)
def test_boxes_are_clipped_to_the_picture(tmp_path, box, clipped):
    source = read_coco(write(tmp_path, changed("annotations", 0, "bbox", to=box)), tmp_path)
    assert source.persons()[0].box_xywh.tolist() == clipped


@pytest.mark.parametrize("box", [[60, 0, 10, 10], [5, 6, 0, 31], [5, 6, 21, 1], [0, 40, 10, 10]])
def test_a_person_whose_box_has_no_area_in_the_picture_is_left_out(tmp_path, box):
    source = read_coco(write(tmp_path, changed("annotations", 0, "bbox", to=box)), tmp_path)
    assert [person.annotation_id for person in source.persons()] == [2]


@pytest.mark.parametrize(
    ("key", "value"),
    [("iscrowd", 1), ("keypoints", [0] * 9), ("keypoints", [3, 4, 0, 0, 0, 0, 5, 5, 0]), ("category_id", 9)],
)
def test_crowds_and_unlabelled_persons_and_other_things_are_left_out(tmp_path, key, value):
    document = changed("annotations", 0, key, to=value)
    document["categories"].append({"id": 9, "name": "dog"})
    assert [person.annotation_id for person in read_coco(write(tmp_path, document), tmp_path).persons()] == [2]


def test_a_file_without_annotations_has_no_persons(tmp_path):
    assert read_coco(write(tmp_path, changed("annotations", to=[])), tmp_path).persons() == []


def test_joints_are_matched_by_name_whatever_their_order(tmp_path):
    """A set of 19 shuffled joints, each labelled with its own place in COCO's order as x."""
    names = [*COCO17.joints, "neck", "head_top"]
    order = np.random.default_rng(0).permutation(19)
    document = changed("categories", 0, to={"id": 1, "name": "lsp", "keypoints": [names[n] for n in order]})
    for row in document["annotations"]:
        row["keypoints"] = [value for n in order for value in (int(n), 100 + int(n), 2)]
    source = read_coco(write(tmp_path, document), tmp_path)
    mine, theirs = COCO17.match(source.skeleton.joints)
    assert mine.tolist() == list(range(17))
    assert source.persons()[0].keypoints[theirs].tolist() == [[n, 100 + n] for n in range(17)]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*nowhere\.json: No such file"):
        read_coco(tmp_path / "nowhere.json", tmp_path)


NAN = float("nan")
BAD = {
    "no json": ("{'images': []}", r"set\.json is not a json file"),
    "cut short": (json.dumps(DOCUMENT)[:-20], "is not a json file"),
    "empty": ("", "is not a json file"),
    "a list": ("[]", "its top level is not an object"),
    "no images": (changed("images", to=...), "has no list called 'images'"),
    "no annotations": (changed("annotations", to=...), "has no list called 'annotations'"),
    "no categories": (changed("categories", to=...), "has no list called 'categories'"),
    "images no list": (changed("images", to={}), "has no list called 'images'"),
    "image no object": (changed("images", 1, to=5), "image number 1 is not an object"),
    **{
        f"image without {key}": (changed("images", 1, key, to=...), f"image number 1 has no '{key}'")
        for key in ("id", "file_name")
    },
    **{
        f"image without {key}": (changed("images", 1, key, to=...), r"image 3 \(sub/b.jpg\) has no height and width")
        for key in ("height", "width")
    },
    **{
        f"annotation without {key}": (changed("annotations", 1, key, to=...), f"annotation number 1 has no '{key}'")
        for key in ("id", "image_id", "category_id")
    },
    "annotation without bbox": (changed("annotations", 1, "bbox", to=...), r"must have a bbox of four finite"),
    "same image twice": (changed("images", 1, "id", to=7), "two images have the id 7"),
    "same annotation twice": (changed("annotations", 1, "id", to=1), "two annotations have the id 1"),
    "dangling image": (
        changed("annotations", 1, "image_id", to=8), "annotation 2 belongs to image 8, which is not in the file"),
    "dangling category": (
        changed("annotations", 1, "category_id", to=4), "annotation 2 has category 4, which is not in the file"),
    "too few joints": (changed("annotations", 1, "keypoints", to=[1, 2, 2]),
        r"annotation 2 of image 3 \(sub/b.jpg\) must have 3 keypoints"),
    "too many joints": (changed("annotations", 1, "keypoints", to=[1] * 51), "must have 3 keypoints"),
    "joints in rows": (changed("annotations", 1, "keypoints", to=[[1, 2, 2]] * 3), "must have 3 keypoints"),
    "NaN joint": (changed("annotations", 1, "keypoints", 4, to=NAN), "three finite numbers"),
    "infinite joint": (changed("annotations", 1, "keypoints", 4, to=-float("inf")), "three finite numbers"),
    "a word as joint": (changed("annotations", 1, "keypoints", 4, to="left"), "three finite numbers"),
    "NaN box": (changed("annotations", 1, "bbox", 0, to=NAN), "annotation 2 .*must have a bbox of four finite numbers"),
    "box of three": (changed("annotations", 1, "bbox", to=[1, 2, 3]), "must have a bbox of four finite numbers"),
    "no keypoint names": (changed("categories", 0, "keypoints", to=...), "has no category with a list of `keypoints`"),
    "no category": (changed("categories", to=[]), "has no category with a list of `keypoints` names"),
    "NaN area": (changed("annotations", 1, "area", to=NAN), "annotation 2 .*area"),
    "no number as area": (changed("annotations", 1, "area", to="wide"), "annotation 2 .*area"),
    "no number as width": (changed("images", 1, "width", to=None), "image .*width"),
    "no number as height": (changed("images", 1, "height", to="tall"), "image .*height"),
    "category no object": (changed("categories", to=["person", *DOCUMENT["categories"]]), "categor"),
    "list as image id": (changed("images", 1, "id", to=[3]), "image .*id"),
    "list as annotation's image": (
        changed("annotations", 1, "image_id", to=[7]), r"annotation 2 belongs to image \[7\]"),
    "number as file name": (changed("images", 1, "file_name", to=12), "file_name 12, which is no text"),
    "truth as category id": (changed("categories", 0, "id", to=True), "category number 0 has the id True"),
    "same category twice": (changed("categories", to=[*DOCUMENT["categories"], {"id": 1}]), "two categories have"),
    "NaN as crowd": (changed("annotations", 1, "iscrowd", to=NAN), r"annotation 2 .*has the iscrowd nan"),
    "joints by number": (changed("categories", 0, "keypoints", to={"0": "nose"}), "no list of names"),
    "joints in one text": (changed("categories", 0, "keypoints", to="nose,left_wrist"), "no list of names"),
    "joint without a name": (changed("categories", 0, "keypoints", 1, to=None), "joint name None"),
    "half a pixel": (changed("images", 1, "height", to=30.5), "height and width above 0, not 30.5 and 20"),
    "number beyond floats": (changed("annotations", 1, "bbox", 0, to=10**400), "must have a bbox of four finite"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "text"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_with_what_is_wrong(tmp_path, document, text):
    with pytest.raises(DataError, match=text) as caught:
        read_coco(write(tmp_path, document), tmp_path).persons()
    assert "set.json" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "images", "persons", "joints"),
    [
        ("coco_keypoints/val.json", 47, 124, 17),
        ("coco_keypoints/train.json", 28, 86, 17),
        ("lspet/val.json", 456, 456, 19),
        ("eval_fixtures/val2017_part_gt.json", 526, 1329, 17),
    ],
)
def test_a_real_file_holds_the_persons_it_is_known_to_hold(real_data, file, images, persons, joints):
    source = read_coco(real_data / file, real_data)
    assert len(source.document["images"]) == images
    assert len(source.persons()) == persons
    assert len(source.skeleton) == joints

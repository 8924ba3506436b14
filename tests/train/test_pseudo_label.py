"""Labels from a network: only where it is sure, never over those that are there, and where it saw them."""

import copy
import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.errors import ConfigError, SkeletonError
from lightpose.io.images import encode_image
from lightpose.skeletons import Skeleton
from lightpose.train.pseudo_label import LabelOptions, added_labels, label_persons, people_to_label
from lightpose.types import ModelSpec

pytestmark = pytest.mark.slow

FILE_JOINTS = ("nose", "left_eye", "right_eye", "tail")
NETWORK = Skeleton("net", ("left_eye", "right_eye", "chin", "nose"))
SEEN = {"left_eye": (30.0, 20.0), "right_eye": (18.5, 21.25), "chin": (24.0, 40.0), "nose": (24.0, 28.0)}
"""Where the network sees its joints, in pixels of a heatmap of 64×48."""

PICTURE_HW = (300, 400)
BOX = (100, 60, 81, 121)  # left, top, width, height


@dataclass
class FakeRuntime:
    """A network that sees its joints at the places of SEEN whatever the crop; asked by turns for crops and their mirror
    images. apart: how far off it is in the mirror image, in heatmap pixels. peaks: how high the Gaussian is."""

    spec: ModelSpec = field(default_factory=lambda: ModelSpec("fake", NETWORK, decoder="dark"))
    apart: dict = field(default_factory=dict)
    peaks: dict = field(default_factory=dict)
    crops: list = field(default_factory=list)
    name = "fake"
    precision = "float32"
    path = None

    def heatmaps(self, crops):
        self.crops.append(crops)
        mirrored = len(self.crops) % 2 == 0
        width = 48 if self.spec.geometry == "msra" else 47  # the mirror image of u is w - u, or w - 1 - u without bias
        maps = []
        for joint in NETWORK.joints:
            here = {"left_eye": "right_eye", "right_eye": "left_eye"}.get(joint, joint) if mirrored else joint
            u, v = SEEN[here]
            u = width - (u + self.apart.get(here, 0)) if mirrored else u
            y, x = np.mgrid[:64, :48]
            maps.append(self.peaks.get(here, 1) * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8))
        return np.repeat(np.array(maps, np.float32)[None], len(crops), axis=0)


def in_picture(joint, box=BOX):
    """Where SEEN is in the picture: the crop is 1.25 times the box, 3:4, about its middle; COCO boxes lose a pixel."""
    x, y, w, h = box[0], box[1], box[2] - 1, box[3] - 1
    pixel = 1.25 * max(w, 0.75 * h) / 48
    u, v = SEEN[joint]
    return x + w / 2 + (u - 24) * pixel, y + h / 2 + (v - 32) * pixel


def source(folder, *rows, images=1):
    """A COCO file with those annotations; what they do not say is a person of BOX without labels in picture 1."""
    usual = {"image_id": 1, "category_id": 1, "bbox": list(BOX), "area": 3000, "iscrowd": 0, "num_keypoints": 0}
    annotations = [{**usual, "id": n, "keypoints": [0] * 12, **row} for n, row in enumerate(rows, start=1)]
    pictures = [{"id": n, "file_name": f"{n}.png", "height": 300, "width": 400} for n in range(1, images + 1)]
    for picture in pictures:
        pixels = np.full((*PICTURE_HW, 3), picture["id"], np.uint8)
        (folder / picture["file_name"]).write_bytes(encode_image(pixels, ".png"))
    categories = [{"id": 1, "name": "animal", "keypoints": list(FILE_JOINTS)}, {"id": 2, "name": "box"}]
    document = {"images": pictures, "annotations": annotations, "categories": categories, "info": {"version": 1}}
    (folder / "set.json").write_text(json.dumps(document))
    return read_coco(folder / "set.json", folder)


def test_pre_labels_have_all_joints_in_the_image_hidden_where_the_network_is_not_sure(tmp_path):
    near = (385, 60, 14, 121)  # the right part of the crop is out of the image
    runtime = FakeRuntime(peaks={"nose": 0.2, "left_eye": 0.9}, apart={"left_eye": 9})
    file = source(tmp_path, {}, {"keypoints": [150, 110, 2, *[0] * 9]}, {"bbox": list(near)})
    first, second, third = labelled(file, runtime, hidden_below=0.4, agree=0.001)
    assert [first[joint][2] for joint in FILE_JOINTS] == [1, 2, 2, 0]
    assert second["nose"] == [150, 110, 2]
    assert second["right_eye"] == first["right_eye"]
    assert in_picture("left_eye", near)[0] > PICTURE_HW[1] - 1
    assert [third[joint][2] for joint in FILE_JOINTS] == [1, 0, 2, 0]
    with pytest.raises(ConfigError, match="hidden_below must be finite and not below 0, not -1"):
        LabelOptions(hidden_below=-1)


def labelled(file, runtime=None, **options):
    """Keypoints of every annotation by joint, after labelling."""
    document = label_persons(file, runtime or FakeRuntime(), LabelOptions(**options))
    return [dict(zip(FILE_JOINTS, np.reshape(row["keypoints"], (-1, 3)).tolist(), strict=True))
            for row in document["annotations"]]  # fmt: skip


def test_a_person_without_labels_gets_them_where_the_network_sees_the_joints(tmp_path):
    (person,) = labelled(source(tmp_path, {}))
    for joint in ("nose", "left_eye", "right_eye"):
        assert person[joint][:2] == pytest.approx(in_picture(joint), abs=0.1)
        assert person[joint][2] == 1
    assert person["tail"] == [0, 0, 0]  # the network has none


@pytest.mark.parametrize("geometry", ["msra", "udp"])
def test_both_geometries_agree_with_their_own_mirror_image(tmp_path, geometry):
    runtime = FakeRuntime(ModelSpec("fake", NETWORK, decoder="dark", geometry=geometry))
    (person,) = labelled(source(tmp_path, {}), runtime, agree=0.002)
    assert person["nose"][2] == person["left_eye"][2] == 1


def test_the_number_of_keypoints_is_counted_anew(tmp_path):
    document = label_persons(source(tmp_path, {}), FakeRuntime(), LabelOptions())
    assert document["annotations"][0]["num_keypoints"] == 3


def test_all_else_in_the_file_stays_and_so_does_the_file_itself(tmp_path):
    file = source(tmp_path, {"segmentation": [[1, 2, 3]]}, {"iscrowd": 1}, {"category_id": 2})
    before = copy.deepcopy(file.document)
    document = label_persons(file, FakeRuntime(), LabelOptions())
    assert file.document == before
    for row in (*document["annotations"], *before["annotations"]):
        row.pop("num_keypoints")
    assert document["annotations"][0].pop("keypoints") != before["annotations"][0].pop("keypoints")
    assert document == before


def test_labels_that_are_there_stay_to_the_letter(tmp_path):
    x, y = in_picture("nose")
    nose, tail = [round(x) + 0.125, round(y), 2], [7, 8.25, 1]
    document = label_persons(source(tmp_path, {"keypoints": [*nose, *[0] * 6, *tail]}), FakeRuntime(), LabelOptions())
    written = document["annotations"][0]["keypoints"]
    assert json.dumps(written[:3] + written[9:]) == json.dumps(nose + tail)
    assert written[5] == written[8] == 1


@pytest.mark.parametrize(("peak", "kept"), [(0.2, 0), (0.29, 0), (0.31, 1), (1, 1)])
def test_a_keypoint_needs_the_least_score(tmp_path, peak, kept):
    runtime = FakeRuntime(peaks={"left_eye": peak})
    (person,) = labelled(source(tmp_path, {}), runtime, min_score=0.3)
    assert person["left_eye"][2] == kept
    assert person["right_eye"][2] == person["nose"][2] == 1


def test_a_keypoint_that_the_mirror_image_denies_is_left_out(tmp_path):
    """The box's 120 pixels, 1.25 times which are the 64 of the heatmap, are 51.2 there: a hundredth is 0.512."""
    for apart, kept in ((0.45, 1), (0.55, 0), (-0.55, 0)):
        (person,) = labelled(source(tmp_path, {}), FakeRuntime(apart={"left_eye": apart}), agree=0.01)
        assert person["left_eye"] == [0, 0, 0] or kept
        assert person["left_eye"][2] == kept
        assert person["right_eye"][2] == person["nose"][2] == 1


def test_agreement_is_a_share_of_the_longer_side_of_the_box_however_large_that_is(tmp_path):
    """A wide box's crop is as wide as the box: its longer side is 38.4 heatmap pixels too."""
    wide = source(tmp_path, {"bbox": [20, 100, 301, 101]}, {"bbox": [100, 60, 41, 41]})
    for apart, kept in ((0.35, 1), (0.45, 0)):
        people = labelled(wide, FakeRuntime(apart={"nose": apart}), agree=0.01)
        assert [person["nose"][2] for person in people] == [kept, kept]


@pytest.mark.parametrize(("share", "kept"), [(0.04, 1), (0.08, 0)])
def test_a_person_whose_own_labels_the_network_contradicts_gets_no_new_ones(tmp_path, share, kept):
    """The nose is labelled that share of the longer side, 120 pixels, off what the network sees."""
    x, y = in_picture("nose")
    known = [x + 120 * share, y, 2]
    (person,) = labelled(source(tmp_path, {"keypoints": [*known, *[0] * 9]}), agree=0.06)
    assert person["nose"] == known
    assert person["left_eye"][2] == kept


def test_it_is_the_mean_contradiction_that_counts(tmp_path):
    (x, y), (u, v) = in_picture("nose"), in_picture("left_eye")
    off = 0.1 * 120
    (person,) = labelled(source(tmp_path, {"keypoints": [x + off, y, 2, u, v, 2, *[0] * 6]}), agree=0.06)
    assert person["right_eye"][2] == 1


def test_a_joint_that_only_the_file_has_contradicts_nothing(tmp_path):
    (person,) = labelled(source(tmp_path, {"keypoints": [*[0] * 9, 350, 20, 2]}))
    assert person["nose"][2] == 1
    assert person["tail"] == [350, 20, 2]


def test_replace_puts_the_networks_labels_in_the_place_of_the_files(tmp_path):
    file = source(tmp_path, {"keypoints": [10, 11, 2, 12, 13, 2, 0, 0, 0, 14, 15, 2]})
    runtime = FakeRuntime(peaks={"left_eye": 0.1})
    (person,) = labelled(file, runtime, replace=True)
    assert person["nose"][:2] == pytest.approx(in_picture("nose"), abs=0.1)
    assert person["nose"][2] == 1
    assert person["left_eye"] == [0, 0, 0]
    assert person["tail"] == [14, 15, 2]


@pytest.mark.parametrize(("side", "kept"), [(31, 0), (34, 1)])
def test_people_in_small_boxes_stay_as_they_are(tmp_path, side, kept):
    file = source(tmp_path, {"bbox": [100, 60, 20, side], "keypoints": [*[0] * 9, 5, 6, 2]})
    assert labelled(file, min_side=32)[0]["nose"][2] == kept
    assert len(people_to_label(file, LabelOptions(min_side=32))) == kept


def test_a_keypoint_far_outside_the_box_is_left_out(tmp_path):
    """The crop of a narrow box is wider than the box; eyes 6 heatmap pixels off the middle are outside it."""
    narrow = (100, 60, 21, 121)
    (person,) = labelled(source(tmp_path, {"bbox": list(narrow)}))
    for joint in ("left_eye", "nose"):
        x = in_picture(joint, narrow)[0]
        assert (person[joint][2] == 1) == (100 - 2 <= x <= 120 + 2)
    assert person["left_eye"][2] == 0


def test_a_keypoint_outside_the_picture_is_left_out(tmp_path):
    """A box at the left edge: the right eye, left of its middle, is beyond the edge but in the widened box."""
    edge = (0, 60, 26, 121)
    (person,) = labelled(source(tmp_path, {"bbox": list(edge)}), agree=1)
    assert -2.5 < in_picture("right_eye", edge)[0] < 0 < in_picture("nose", edge)[0]
    assert (person["right_eye"][2], person["nose"][2]) == (0, 1)


def test_everybody_gets_the_labels_of_his_own_box_whatever_the_batch(tmp_path):
    rng = np.random.default_rng(0)
    boxes = [[*rng.uniform(0, 150, 2).round(), *rng.uniform(50, 140, 2).round()] for _ in range(9)]
    file = source(tmp_path, *[{"bbox": box, "image_id": n % 4 + 1} for n, box in enumerate(boxes)], images=4)
    at_once = labelled(file, batch=100)
    for batch in (1, 2, 4):
        assert labelled(file, batch=batch) == at_once
    for person, box in zip(at_once, boxes, strict=True):
        assert person["nose"][:2] == pytest.approx(in_picture("nose", box), abs=0.1)


def test_the_network_sees_each_persons_own_picture_and_its_mirror_image(tmp_path):
    file = source(tmp_path, {"image_id": 2}, {"image_id": 1}, {"image_id": 2}, images=2)
    runtime = FakeRuntime()
    label_persons(file, runtime, LabelOptions(batch=2))
    straight, mirrored = np.concatenate(runtime.crops[::2]), np.concatenate(runtime.crops[1::2])
    np.testing.assert_array_equal(straight[:, :, ::-1], mirrored)
    assert [crop[128, 96, 0] for crop in straight] == [1, 2, 2]


def test_progress_ends_at_the_number_of_people(tmp_path):
    told = []
    file = source(tmp_path, *[{"image_id": n % 3 + 1} for n in range(7)], {"bbox": [1, 1, 9, 9]}, images=3)
    label_persons(file, FakeRuntime(), LabelOptions(batch=2), told.append)
    assert told == sorted(told)
    assert told[-1] == len(people_to_label(file, LabelOptions())) == 7


def test_a_file_without_people_is_given_back(tmp_path):
    file = source(tmp_path)
    assert label_persons(file, FakeRuntime(), LabelOptions()) == file.document


def test_what_was_added_is_counted(tmp_path):
    x, y = in_picture("nose")
    file = source(
        tmp_path, {}, {"keypoints": [x, y, 2, *[0] * 9]}, {"iscrowd": 1}, {"bbox": [1, 1, 9, 9]}, {"category_id": 2}
    )
    document = label_persons(file, FakeRuntime(), LabelOptions())
    assert added_labels(file, document) == (2, 3 + 2)
    assert added_labels(file, file.written) == (0, 0)
    replaced = label_persons(file, FakeRuntime(peaks={"left_eye": 0}), LabelOptions(replace=True))
    assert added_labels(file, replaced) == (2, 2 + 2)


def test_people_without_keypoints_get_some_and_odd_ones_who_get_none_stay_to_the_letter(tmp_path):
    odd = {"bbox": ["1", "1", "9", "9"], "keypoints": ["3", "4", "0.9", *[0] * 9], "area": None}
    file = source(tmp_path, {"keypoints": None, "num_keypoints": None}, odd, {"keypoints": [], "iscrowd": False})
    document = label_persons(file, FakeRuntime(), LabelOptions())
    first, second, third = document["annotations"]
    assert first["num_keypoints"] == third["num_keypoints"] == 3
    assert first["keypoints"][:2] == pytest.approx(in_picture("nose"), abs=0.1)
    assert second == file.written["annotations"][1]
    assert added_labels(file, document) == (2, 6)


def test_a_network_without_a_joint_of_the_file_is_refused(tmp_path):
    runtime = FakeRuntime(ModelSpec("fake", Skeleton("paws", ("left_paw", "right_paw"))))
    with pytest.raises(SkeletonError, match="no joint of skeleton 'paws'"):
        label_persons(source(tmp_path, {}), runtime, LabelOptions())


@pytest.mark.parametrize(
    ("options", "text"),
    [({"min_score": -1}, "min_score"), ({"agree": float("nan")}, "agree"), ({"min_side": float("inf")}, "min_side"),
     ({"batch": 0}, "batch must be at least 1")],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_named(options, text):
    with pytest.raises(ConfigError, match=text):
        LabelOptions(**options)

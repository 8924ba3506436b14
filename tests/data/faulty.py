"""A good COCO file, and one for every fault that the check can find."""

import numpy as np

from lightpose.data.check import check_coco
from lightpose.skeletons import COCO17
from tests.helpers import STANDING

HEIGHT, WIDTH = 480, 640
FIGURE = np.array([STANDING[joint] for joint in COCO17.joints])


def document(people=20):
    """That many pictures with a standing person each, by turns 230 and 92 pixels high; ids from 11 and 101."""
    images, annotations = [], []
    rng = np.random.default_rng(0)
    for n in range(people):
        size = np.array([100, 200]) if n % 2 == 0 else np.array([40, 80])
        corner = rng.uniform((30, 30), (300, 200))
        points = (corner + FIGURE * size).round(1)
        images.append({"id": 11 + n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH})
        row = {"id": 101 + n, "image_id": 11 + n, "category_id": 1, "iscrowd": 0, "num_keypoints": 17}
        row["bbox"] = [*(corner - 0.075 * size[1]).tolist(), *(size + 0.15 * size[1]).tolist()]
        row["area"] = 0.5 * row["bbox"][2] * row["bbox"][3]
        row["keypoints"] = np.insert(points, 2, 2, axis=1).ravel().tolist()
        annotations.append(row)
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}]
    return {"images": images, "annotations": annotations, "categories": categories}


def found(content, images=None):
    """Findings by their code."""
    return {finding.code: finding for finding in check_coco(content, images)}


def swap(row, *names):
    """Exchange left and right of those joints in a row."""
    points = np.array(row["keypoints"]).reshape(-1, 3)
    for name in names:
        pair = [COCO17.joints.index(f"{side}_{name}") for side in ("left", "right")]
        points[pair] = points[pair[::-1]]
    row["keypoints"] = points.ravel().tolist()


def row(number, **values):
    """A change of one annotation; a value of ... leaves the key out."""

    def change(content):
        target = content["annotations"][number]
        target.update(values)
        for key in [key for key, value in values.items() if value is ...]:
            del target[key]

    return change


def image(number, **values):
    def change(content):
        content["images"][number].update(values)

    return change


def category(**values):
    def change(content):
        content["categories"][0].update(values)

    return change


def keypoint(number, joint, x, y, v):
    def change(content):
        content["annotations"][number]["keypoints"][3 * joint : 3 * joint + 3] = [x, y, v]

    return change


def every(function):
    """A change of all annotations."""

    def change(content):
        for target in content["annotations"]:
            function(target, content)

    return change


def corners(target, _):
    x, y, w, h = target["bbox"]
    target["bbox"] = [x + 150, y + 30, x + 150 + w, y + 30 + h]


def centered(target, _):
    x, y, w, h = target["bbox"]
    target["bbox"] = [x + w / 2, y + h / 2, w, h]


def from_box(target, _):
    points = np.array(target["keypoints"]).reshape(-1, 3)
    points[:, :2] -= target["bbox"][:2]
    target["keypoints"] = points.ravel().tolist()


def relative(target, _):
    target["bbox"] = (np.array(target["bbox"]) / [WIDTH, HEIGHT, WIDTH, HEIGHT]).tolist()


def rider(joints):
    """A second category with those joints, and one of the people in it."""

    def change(content):
        content["categories"].append({"id": 2, "name": "rider", **({"keypoints": list(joints)} if joints else {})})
        content["annotations"][4]["category_id"] = 2

    return change


def names(style):
    """COCO's joints with the sides written in another way; style: from side and part to a name."""
    return [style(*name.split("_", 1)) if "_" in name else name for name in COCO17.joints]


def again(content):
    content["annotations"].append({**content["annotations"][4], "id": 999})


def same_box(content):
    content["annotations"].append(
        {**content["annotations"][4], "id": 999, "keypoints": [100, 100, 2] * 16 + [130, 190, 2]}
    )


def beside(content):
    zeros = {"id": 999, "keypoints": [0] * 51, "num_keypoints": 0, "bbox": [400, 30, 50, 90]}
    content["annotations"].append({**content["annotations"][4], **zeros})


FAULTS = {
    "no_object": (lambda d: d["annotations"].append(5), ("annotations[20]",)),
    "no_key": (row(4, image_id=...), ("annotation 105: image_id",)),
    "bad_image_id": (image(0, id=None), ("number 0",)),
    "bad_annotation_id": (row(4, id=1.5), ("number 4",)),
    "bad_category_id": (category(id=None), ("number 0",)),
    "repeated_category_id": (lambda d: d["categories"].append({"id": 1, "name": "dog"}), (1,)),
    "read_ids": (image(0, id="11"), ("images",)),
    "numbered_ids": (image(7, id=2**64), ("images",)),
    "text_number": (row(4, area="700"), ("annotation 105",)),
    "url_name": (image(0, file_name="https://example.com/0.png?w=3"), (11,)),
    "no_size": (image(0, height=None), (11,)),
    "no_size_at_all": (image(0, height=None), (11,)),
    "numbered_joints": (category(keypoints=list(range(17))), ("0", "1", "2", "3", "4")),
    "no_sides": (category(keypoints=list("abcdefghijklmnopq")), ("a", "b", "c", "d", "e")),
    "same_joints": (rider(COCO17.joints), ("rider",)),
    "other_categories": (rider(None), ("rider",)),
    "limbs_from_0": (category(skeleton=[[0, 16]]), ("person",)),
    "no_box": (row(4, bbox=..., keypoints=[]), (105,)),
    "no_keypoints": (row(4, keypoints=None), (105,)),
    "no_visibility": (row(4, keypoints=[5, 6] * 17), (105,)),
    "no_place": (row(4, keypoints=[float("nan"), 6, 0] + [5, 6, 2] * 16), (105,)),
    "no_crowd_mark": (row(4, iscrowd=float("nan")), (105,)),
    "more_keypoints": (row(4, foot_kpts=[0] * 18), (105,)),
    "repeated_image_id": (image(0, id=12), (12,)),
    "repeated_annotation_id": (row(4, id=101), (101,)),
    "dangling_image": (row(4, image_id=7), (105,)),
    "dangling_category": (row(4, category_id=7), (105,)),
    "bad_box": (row(4, bbox=[1, 2, float("nan"), 4]), (105,)),
    "bad_size": (image(2, height=0), (13,)),
    "bad_file_name": (image(2, file_name=5), (13,)),
    "same_file": (image(2, file_name="3.png"), ("3.png",)),
    "no_joint_names": (category(keypoints=[]), ("categories",)),
    "several_categories": (rider(["tail"]), ("rider",)),
    "bad_joint_names": (category(keypoints=["nose"] * 17), ("nose",) * 5),
    "bad_limbs": (category(skeleton=[[0, 17]]), ("person",)),
    "no_limbs": (category(keypoints=["forehead", *COCO17.joints[1:]]), ("person",)),
    "lone_sides": (category(keypoints=["right_nose", *COCO17.joints[1:]]), ("right_nose",)),
    "foreign_sides": (
        category(keypoints=names("{1}_{0}".format)), tuple(f"{side}" for side in names("{1}_{0}".format)[1:6])),
    "unmeasured_joints": (category(keypoints=["forehead", *COCO17.joints[1:]]), ("forehead",)),
    "empty_box": (row(4, bbox=[100, 100, 0, 50]), (105,)),
    "empty_box_unlabelled": (row(4, bbox=[700, 10, 20, 50], keypoints=[0] * 51, num_keypoints=0), (105,)),
    "box_outside": (row(4, bbox=[-3, 0, 500, 400], area=90000), (105,)),
    "xyxy_boxes": (every(corners), ()),
    "centered_boxes": (every(centered), (101, 102, 103, 104, 105)),
    "keypoints_in_box": (every(from_box), (101, 102, 103, 104, 105)),
    "relative_coordinates": (every(relative), (101, 102, 103, 104, 105)),
    "one_based": (every(lambda r, _: r.update(bbox=[1, *r["bbox"][1:]])), (101, 102, 103, 104, 105)),
    "bad_area": (row(4, area="wide"), (105,)),
    "no_area": (row(4, area=...), (105,)),
    "zero_area": (row(4, area=0), (105,)),
    "area_above_box": (row(4, area=1e5), (105,)),
    "tiny_area": (row(4, area=100), (105,)),
    "area_is_box": (every(lambda r, _: r.update(area=r["bbox"][2] * r["bbox"][3])), (101, 102, 103, 104, 105)),
    "small_people": (row(4, area=1023), (105,)),
    "no_crowd": (row(4, iscrowd=...), (105,)),
    "bad_crowd": (row(4, iscrowd=2), (105,)),
    "crowd_keypoints": (row(4, iscrowd=1), (105,)),
    "bad_keypoints": (row(4, keypoints=[1, 2, 2]), (105,)),
    "bad_visibility": (keypoint(4, 3, 200, 200, 0.7), (105,)),
    "labelled_at_origin": (keypoint(4, 3, 0, 0, 2), (105,)),
    "one_point": (row(4, keypoints=[150, 150, 2] * 17), (105,)),
    "keypoint_outside": (keypoint(4, 3, -5, 100, 2), (105,)),
    "keypoint_off_crop": (keypoint(4, 3, 600, 100, 2), (105,)),
    "placed_unlabelled": (keypoint(4, 3, 100, 100, 0), (105,)),
    "num_keypoints_zero": (row(4, num_keypoints=0), (105,)),
    "num_keypoints_phantom": (row(4, keypoints=[0] * 51), (105,)),
    "num_keypoints_off": (row(4, num_keypoints=16), (105,)),
    "no_num_keypoints": (row(4, num_keypoints=...), (105,)),
    "joint_never_labelled": (every(lambda r, _: r["keypoints"].__setitem__(slice(0, 3), [0, 0, 0])), ("nose",)),
    "other_person": (row(4, bbox=[450, 30, 80, 90], area=3600), (105,)),
    "labelled_twice": (again, (999,)),
    "same_box": (same_box, (999,)),
    "unlabelled_beside": (beside, (999,)),
    "nobody_counts": (every(lambda r, _: r.update(keypoints=[0] * 51, num_keypoints=0)), ("annotations",)),
    "no_medium": (every(lambda r, _: r.update(area=9217)), ("annotations",)),
    "no_large": (every(lambda r, _: r.update(area=9215)), ("annotations",)),
    "reversed_torso": (lambda d: swap(d["annotations"][4], "hip"), (105,)),
    "reversed_eyes": (lambda d: swap(d["annotations"][4], "eye"), (105,)),
    "reversed_head": (lambda d: swap(d["annotations"][4], "eye", "ear"), (105,)),
    "reversed_face": (lambda d: swap(d["annotations"][4], "eye"), (105,)),
}  # fmt: skip

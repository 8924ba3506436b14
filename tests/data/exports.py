"""A drawn data set as annotation tools export it: each with the habits that its documentation shows.

Every function takes a plain COCO document and the folder of its images, and returns the tool's document and the folder
that its file names are in. The people stay the same.
"""

import copy
import shutil

from lightpose.skeletons import COCO17

CROWDPOSE = (
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
)  # fmt: skip
COCO_LIMBS = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10],
              [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]  # fmt: skip


def renumbered(document, first=0, category=0):
    """Ids that begin elsewhere, and another category."""
    for image in document["images"]:
        image["id"] += first - 1
    for row in document["annotations"]:
        row.update(id=row["id"] + first - 1, image_id=row["image_id"] + first - 1, category_id=category)
    document["categories"][0]["id"] = category
    return document


def cvat(document, folder):
    """COCO Keypoints 1.0: licences of id 0, empty URLs, attributes, images in a folder of the subset."""
    for image in document["images"]:
        image.update(license=0, flickr_url="", coco_url="", date_captured=0, file_name=f"images/{image['file_name']}")
    for row in document["annotations"]:
        row.update(segmentation=[], area=float(row["area"]), attributes={"occluded": False, "track_id": row["id"]})
    document["categories"][0].update(supercategory="", skeleton=COCO_LIMBS)
    document.update(licenses=[{"name": "", "id": 0, "url": ""}], info={"contributor": "", "year": ""})
    return document, folder.parent


def label_studio(document, folder):
    """All ids from 0, categories too; paths as Windows writes them."""
    renumbered(document)
    for image in document["images"]:
        image["file_name"] = f"images\\{image['file_name']}"
    for row in document["annotations"]:
        row.update(segmentation=[], ignore=0)
    return document, folder.parent


def roboflow(document, folder):
    """Category 0 is the project, and the supercategory of the others; images are copies of new names."""
    renumbered(document, category=1)
    document["categories"][0].update(supercategory="people-a1B2", skeleton=COCO_LIMBS)
    document["categories"].insert(0, {"id": 0, "name": "people-a1B2", "supercategory": "none"})
    for image in document["images"]:
        name = image["file_name"].replace(".png", "_png.rf.21d9ecc535939df6226dbf15204e64a1.png")
        shutil.copy(folder / image["file_name"], folder / name)
        image.update(license=1, file_name=name, date_captured="2024-09-10T07:12:44+00:00", extra={"name": "photo.png"})
    return document, folder


def coco_annotator(document, folder):
    """iscrowd is true or false; people without keypoints lack the keys; paths on the server beside file names."""
    document["categories"][0].update(id=3, supercategory="", color="#1c", metadata={}, keypoint_colors=["#b"] * 17)
    for image in document["images"]:
        image.update(dataset_id=5, path=f"/datasets/people/{image['file_name']}", annotating=[], deleted=False)
    for row in document["annotations"]:
        row.update(category_id=3, iscrowd=False, isbbox=True, metadata={}, bbox=[float(side) for side in row["bbox"]])
    bare = {**document["annotations"][0], "id": 999, "area": 0, "bbox": [2.0, 2.0, 9.0, 9.0]}
    document["annotations"].append({key: value for key, value in bare.items() if "keypoints" not in key})
    return document, folder


def labelme2coco(document, folder):
    """File names that lead out of the folder and back, with backslashes; no num_keypoints."""
    for image in document["images"]:
        image["file_name"] = f"..\\{folder.name}\\{image['file_name']}"
    for row in document["annotations"]:
        del row["num_keypoints"]
        row["segmentation"] = [[*row["bbox"][:2], 9, 9, 8, 8]]
    document["categories"][0]["supercategory"] = "person"
    return document, folder


def fiftyone(document, folder):
    """Null where there is nothing: supercategory, skeleton, licence; points that are not placed are NaN."""
    for image in document["images"]:
        image.update(license=None, coco_url=None)
    document["annotations"][0]["keypoints"][:3] = [float("nan"), float("nan"), 0]
    for row in document["annotations"]:
        row.update(segmentation=None, score=None)
    document["categories"][0].update(supercategory=None, skeleton=None)
    return document, folder


def datumaro(document, folder):
    """Categories of other kinds come along, with annotations; attributes; areas and boxes of many digits."""
    document["categories"][0].update(id=2, supercategory="")
    document["categories"].insert(0, {"id": 1, "name": "background", "supercategory": ""})
    for row in document["annotations"]:
        row.update(category_id=2, attributes={"is_crowd": False}, segmentation=[], score=1.0)
    other = {"id": 998, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}
    document["annotations"].append({**other, "segmentation": [[0, 0, 5, 0, 5, 5]]})
    return document, folder


def mmpose(document, folder):
    """Pseudo-labels: the visibility is the network's score."""
    for row in document["annotations"]:
        row["keypoints"][2::3] = [0.3 + 0.04 * joint for joint in range(17)]
        row["score"] = 0.9
    return document, folder


def wholebody(document, folder):
    """COCO-WholeBody: feet, face and hands in keys of their own beside the 17."""
    more = {"foot_kpts": [0.0] * 18, "face_kpts": [0.0] * 204, "lefthand_kpts": [1.5, 2.5, 0.7] * 21,
            "righthand_kpts": [0.0] * 63, "foot_valid": False, "lefthand_valid": True,
            "lefthand_box": [1.0, 2.0, 3.0, 4.0]}  # fmt: skip
    for row in document["annotations"]:
        row.update(more)
    return document, folder


def crowdpose(document, folder):
    """14 joints under COCO's 17 limbs, a crowdIndex, and no area. The set is drawn with head_top for head."""
    for image in document["images"]:
        image["crowdIndex"] = 0.62
    for row in document["annotations"]:
        del row["area"]
    document["categories"][0].update(keypoints=list(CROWDPOSE), skeleton=COCO_LIMBS, supercategory="person")
    return document, folder


EXPORTS = {
    cvat: [],
    label_studio: [],
    roboflow: [],
    coco_annotator: ["1: annotation 999 of image 1 (0001.png)", "count as unlabelled"],
    labelme2coco: [],
    fiftyone: ["keypoints without a place", "1: annotation 1 of image 1 (0001.png)"],
    datumaro: ["1 of 5 annotations are in category 'background', which is not people; they are left out"],
    mmpose: ["all above 0 count as labels", "4: annotation 1 of image 1 (0001.png), …"],
    wholebody: ["hands, face and feet"],
    crowdpose: ["`skeleton` is not pairs of joint numbers"],
}
"""Each tool, and what is said of its file."""

JOINTS = {crowdpose: [*CROWDPOSE[:-2], "head_top", "neck"]}
"""The joints to draw, where they are not COCO's 17."""


def joints_of(tool):
    return JOINTS.get(tool, list(COCO17.joints))


def exported(tool, document, folder):
    """The tool's document of a plain one, and the folder of its images."""
    return tool(copy.deepcopy(document), folder)

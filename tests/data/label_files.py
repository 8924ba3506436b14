"""What the annotation tools export of a drawn set, in the shapes in which they write it."""

import json
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from lightpose.io.images import encode_image
from tests.helpers import PICTURE_HW, DrawnSet

HEIGHT, WIDTH = PICTURE_HW


def people_of(document, image):
    """The joints (N, K, 3) and boxes of an image's people."""
    rows = [row for row in document["annotations"] if row["image_id"] == image["id"]]
    return [(np.reshape(row["keypoints"], (-1, 3)), row["bbox"], row["id"]) for row in rows]


def joints_of(document):
    return document["categories"][0]["keypoints"]


def _meta(joints, more=""):
    parts = "".join(
        f"<label><name>{joint}</name><color>#1f77b4</color><type>points</type><attributes></attributes>"
        f"<parent>person</parent></label>"
        for joint in joints
    )
    return (
        "<meta><task><id>7</id><name>t</name><labels><label><name>person</name><color>#fff</color>"
        f"<type>skeleton</type><attributes></attributes><svg>&lt;circle/&gt;</svg></label>{parts}{more}</labels>"
        f"<start_frame>0</start_frame><stop_frame>2</stop_frame><frame_filter></frame_filter><source>c.mp4</source>"
        f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size></task></meta>"
    )


def _points(joints, triples, more=""):
    return "".join(
        f'<points label="{joint}" {more}source="manual" outside="{int(v == 0)}" occluded="{int(v == 1)}" '
        f'points="{x:.2f},{y:.2f}"></points>'
        for joint, (x, y, v) in zip(joints, triples, strict=True)
    )


def cvat_images(document, drawn, folder, more=""):
    """CVAT for images 1.1, in the .zip in which CVAT gives it; with a box that is no skeleton."""
    joints = joints_of(document)
    images = "".join(
        f'<image id="{number}" name={quoteattr(image["file_name"])} width="{WIDTH}" height="{HEIGHT}">'
        + "".join(
            f'<skeleton label="person" source="manual" z_order="0">{_points(joints, triples)}</skeleton>'
            for triples, _, _ in people_of(document, image)
        )
        + f'<box label="ball" source="manual" occluded="0" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>{more}'
        "</image>"
        for number, image in enumerate(document["images"])
    )
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{_meta(joints)}{images}'
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("annotations.xml", text + "</annotations>\n")
    return folder / "export.zip", drawn.images


def cvat_video(document, drawn, folder):
    """CVAT for video 1.1: a track for each person, a skeleton without outside in each frame, and one that ends it."""
    joints, tracks = joints_of(document), ""
    (folder / "frames/images").mkdir(parents=True)
    for number, image in enumerate(document["images"]):
        pixels = (drawn.images / image["file_name"]).read_bytes()
        (folder / f"frames/images/frame_{number:06}.PNG").write_bytes(pixels)
        for triples, _, person in people_of(document, image):
            sights = ""
            for frame, gone in ((number, False), (number + 1, True)):
                marked = np.where([[False, False, gone]], 0, triples)
                element = _points(joints, marked, 'keyframe="1" ')
                sights += f'<skeleton frame="{frame}" keyframe="1" z_order="0">{element}</skeleton>'
            tracks += f'<track id="{person - 1}" label="person" source="manual">{sights}</track>'
    text = f"<annotations><version>1.1</version>{_meta(joints)}{tracks}</annotations>"
    (folder / "annotations.xml").write_text(text)
    return folder / "annotations.xml", folder / "frames"


def _regions(document, image, shift=0.0):
    found, one = [], {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    for triples, (left, top, wide, high), person in people_of(document, image):
        place = {"x": 100 * left / WIDTH, "y": 100 * top / HEIGHT, "width": 100 * wide / WIDTH,
                 "height": 100 * high / HEIGHT, "rotation": 0}  # fmt: skip
        box = {"id": f"box{person}", "type": "rectanglelabels", "from_name": "box", "to_name": "image", **one}
        found.append({**box, "value": {**place, "rectanglelabels": ["person"]}})
        for joint, (x, y, v) in zip(joints_of(document), triples, strict=True):
            if v:
                name = f"{person}-{joint}"
                value = {"x": 100 * (x + shift) / WIDTH, "y": 100 * y / HEIGHT, "width": 0.5,
                         "keypointlabels": [joint]}  # fmt: skip
                own = {"id": name, "to_name": "image", **one, "value": value}
                found.append({**own, "type": "keypointlabels", "from_name": "joints"})
                found.append({"type": "relation", "from_id": name, "to_id": f"box{person}", "direction": "right"})
                if v == 1:
                    own |= {"value": {"choices": ["Hidden"]}, "type": "choices", "from_name": "visibility"}
                    found.append(own)
    return found


def label_studio(document, drawn, folder):
    """Label Studio's JSON: uploads with a token before their names, several annotators, some of whom gave up."""
    tasks = []
    for number, image in enumerate(document["images"], start=1):
        right = {"id": 10 * number, "completed_by": 1, "was_cancelled": False, "updated_at": "2025-03-02T10:00:00Z",
                 "result": _regions(document, image)}  # fmt: skip
        wrong = {**right, "id": 10 * number + 1, "result": _regions(document, image, shift=9)}
        older = {**wrong, "completed_by": 2, "updated_at": "2025-03-01T10:00:00Z"}
        cancelled = {**wrong, "completed_by": 3, "was_cancelled": True, "updated_at": "2025-04-01T10:00:00Z"}
        guess = {"model_version": "a", "result": wrong["result"]}
        given = [right, older, cancelled] if number == 1 else [right]
        data = {"image": f"/data/upload/1/1a2b3c4d-{image['file_name']}"}
        tasks.append({"id": number, "data": data, "annotations": given, "predictions": [guess]})
    tasks.append({"id": 90, "data": {"image": "later.png"}, "annotations": [], "predictions": [guess]})
    tasks.append({"id": 91, "data": {"image": "skip.png"}, "annotations": [cancelled], "predictions": []})
    (folder / "tasks.json").write_text(json.dumps(tasks))
    return folder / "tasks.json", drawn.images


def yolo_pose(document, drawn, folder, split="train", names=True):
    """A folder as Ultralytics has it, with images of another part, val, that has an image of the same name."""
    joints = joints_of(document)
    for part in (split, "val"):
        (folder / "yolo/images" / part).mkdir(parents=True)
        (folder / "yolo/labels" / part).mkdir(parents=True)
    for image in document["images"]:
        pixels = (drawn.images / image["file_name"]).read_bytes()
        (folder / "yolo/images" / split / image["file_name"]).write_bytes(pixels)
        lines = []
        for triples, (left, top, wide, high), _ in people_of(document, image):
            box = ((left + wide / 2) / WIDTH, (top + high / 2) / HEIGHT, wide / WIDTH, high / HEIGHT)
            values = [*box, *(n for x, y, v in triples for n in (x / WIDTH, y / HEIGHT, v))]
            lines.append("0 " + " ".join(f"{value:.6f}" for value in values))
        (folder / "yolo/labels" / split / Path(image["file_name"]).with_suffix(".txt")).write_text("\n".join(lines))
    (folder / "yolo/images/val/0001.png").write_bytes(encode_image(np.zeros((40, 30, 3), np.uint8), ".png"))
    (folder / "yolo/labels/val/0001.txt").write_text("0 0.5 0.5 0.5 0.5" + " 0.5 0.5 2" * len(joints))
    listed = "".join(f"    - {joint}\n" for joint in joints)
    text = f"path: .\ntrain: images/{split}\nval: images/val\nkpt_shape:\n- {len(joints)}\n- 3\nnames:\n  0: person\n"
    (folder / "yolo/data.yaml").write_text(text + (f"kpt_names:\n  0:\n{listed}" if names else ""))
    return folder / "yolo/data.yaml", folder / "yolo/images" / split


TOOLS = {"cvat": cvat_images, "cvat video": cvat_video, "label-studio": label_studio, "yolo-pose": yolo_pose}


def exported(tool: str, drawn: DrawnSet, folder: Path) -> tuple[Path, Path]:
    """The tool's file of a drawn set, and the folder of its images."""
    folder.mkdir(exist_ok=True)
    return TOOLS[tool](json.loads(drawn.annotations.read_text()), drawn, folder)

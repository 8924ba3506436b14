"""Tiny ONNX files laid out as networks that find boxes and joints at once, whose answers are constants."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.detect.graphs import CELLS, INPUT_HW, PEOPLE, SCORES, TWIN, write_graph

FAR = np.array([[40, 60, 50, 80]], np.float32)
"""A box that lies in the grey below a wide picture."""


def keypoints(people: int = 2, joints: int = 17) -> np.ndarray:
    """(people, joints, 3) in input pixels: all over their boxes, and a joint beyond the picture; scores in (0, 1)."""
    generator = np.random.default_rng(joints)
    boxes = np.concatenate([PEOPLE, FAR, TWIN])[:people, None]
    points = boxes[..., :2] + generator.uniform(0, 1, (people, joints, 2)) * (boxes[..., 2:] - boxes[..., :2])
    points[0, 0] = -5, 3
    return np.concatenate([points, generator.uniform(0, 1, (people, joints, 1))], -1).astype(np.float32)


def said(joints: int = 17, numbers: int = 3, **more: str) -> dict[str, str]:
    """Ultralytics' metadata."""
    return {"names": "{0: 'person'}", "kpt_shape": f"[{joints}, {numbers}]", "imgsz": str(list(INPUT_HW)), **more}


def yolo_pose(path: Path, found: np.ndarray | None = None, people: np.ndarray = PEOPLE, scores: np.ndarray = SCORES,
              classes: int = 1, **more: object) -> Path:  # fmt: skip
    """A column for each of 126 places; two persons, one of them twice, and one in the grey."""
    found = keypoints() if found is None else found
    numbers = found.shape[1] * found.shape[2]
    rows = np.zeros((CELLS, 4 + classes + numbers), np.float32)
    rows[:, 4 + classes :] = 40
    boxes = np.concatenate([people, TWIN, FAR]) if people is PEOPLE else people
    sure = np.concatenate([scores, [0.8, 0.9]]) if people is PEOPLE else scores
    joints = np.concatenate([found, found[:1], found[:1]]) if people is PEOPLE else found
    at = slice(20, 20 + len(boxes))
    rows[at, :2], rows[at, 2:4] = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    rows[at, 3 + classes] = sure
    rows[at, 4 + classes :] = joints.reshape(len(boxes), numbers)
    return write_graph(path, {"output0": np.ascontiguousarray(rows.T[None])}, **more)


def end_to_end(path: Path, found: np.ndarray | None = None, **more: object) -> Path:
    """A row for each person, filled up with zeros; the surest is a dog."""
    found = keypoints() if found is None else found
    rows = np.zeros((1, 300, 6 + found.shape[1] * found.shape[2]), np.float32)
    rows[0, 0, :6] = *PEOPLE[0], 0.95, 1
    rows[0, 1:3, :4], rows[0, 1:3, 4] = PEOPLE, SCORES
    rows[0, 1:3, 6:] = found.reshape(2, -1)
    names = {"names": "{0: 'person', 1: 'dog'}"}
    return write_graph(path, {"output0": rows}, **{"metadata": names, **more})


def rtmo(path: Path, found: np.ndarray | None = None, **more: object) -> Path:
    """As MMDeploy exports it, the least sure first."""
    found = keypoints() if found is None else found
    dets = np.concatenate([PEOPLE, SCORES[:, None]], 1)[None, ::-1]
    outputs = {"dets": np.ascontiguousarray(dets), "keypoints": np.ascontiguousarray(found[None, ::-1])}
    return write_graph(path, outputs, **more)


KINDS: dict[str, Callable[..., Path]] = {
    "YOLO-pose": yolo_pose,
    "YOLO-pose end to end": end_to_end,
    "RTMO": rtmo,
}
"""Files that all hold PEOPLE with SCORES, and their `keypoints`."""

"""The people found in an image or over time: boxes, poses and tracks, as numbers, tables, files and drawings."""

from lightpose.results.angles import Angles
from lightpose.results.boxes import Boxes
from lightpose.results.poses import STATES, Keypoint, Pose, Poses, coco_rows, draw_poses, number_in_name
from lightpose.results.stack import Stack
from lightpose.results.tracks import Tracks

__all__ = [
    "STATES",
    "Angles",
    "Boxes",
    "Keypoint",
    "Pose",
    "Poses",
    "Stack",
    "Tracks",
    "coco_rows",
    "draw_poses",
    "number_in_name",
]

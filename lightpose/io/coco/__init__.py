"""COCO-like files read once, by one set of rules that all commands stand on. See `reader`."""

from lightpose.io.coco.categories import Kind, People
from lightpose.io.coco.detections import Detection, people_of, read_detection_rows
from lightpose.io.coco.reader import Reading, read_annotations
from lightpose.io.coco.remarks import Remark, tell
from lightpose.io.coco.values import key, number

__all__ = [
    "Detection",
    "Kind",
    "People",
    "Reading",
    "Remark",
    "key",
    "number",
    "people_of",
    "read_annotations",
    "read_detection_rows",
    "tell",
]

"""Leeds Sports Pose and LSP-Extended (Johnson and Everingham, BMVC 2010 and CVPR 2011) as COCO keypoint documents.

Both have one labelled person an image and 14 joints in the order of `LSP14`, in a MATLAB file `joints.mat`. The same
third number means opposite things in the two, though both read me files call it visibility:

- LSP: `joints` is 3 × 14 × N; a third row of 1 marks a joint that is *hidden*. All joints have a place.
- LSP-Extended: `joints` is 14 × 3 × N; a third column of 1 marks a joint that is *labelled*; the places of the others
  mean nothing.

Neither says whether pixels are counted from 0 or from 1; places are taken as they are.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.data.convert import AREA_SHARE, Converted, annotation, category, clip_box, extent_box, load_mat
from lightpose.data.sizes import picture_hw
from lightpose.errors import DataError
from lightpose.skeletons import LSP14

__all__ = ["LspKind", "read_lsp"]

LspKind = Literal["lsp", "lspet"]

_DIGITS: dict[LspKind, int] = {"lsp": 4, "lspet": 5}


def read_lsp(joints: Path, images: Path, kind: LspKind) -> Converted:
    """The data set as a COCO keypoint document; an image's id is its number, im0001.jpg being 1.

    joints: the file `joints.mat`. images: the folder of images. A hidden joint has visibility 1, a visible one 2.
    Boxes are the joints' extent and a margin, clipped to the image; see convert.py for margin and area. Images
    without two labelled joints apart are left out. Raises DataError if the file is not of that kind, ImageError if an
    image is missing or broken.
    """
    triples = _triples(joints, kind)
    pictures: list[dict[str, Any]] = []
    rows = []
    skipped: Counter[str] = Counter()
    for number, person in enumerate(triples, start=1):
        name = f"im{number:0{_DIGITS[kind]}}.jpg"
        image_hw = picture_hw(images / name)
        labelled = person[person[:, 2] > 0, :2]
        box = clip_box(extent_box(labelled), image_hw) if len(labelled) else np.zeros(4)
        if not (box[2:] > 0).all():
            skipped["no labelled person in the image"] += 1
            continue
        pictures.append({"id": number, "file_name": name, "height": image_hw[0], "width": image_hw[1]})
        rows.append(annotation(number, number, box, AREA_SHARE * box[2] * box[3], person))
    return Converted({"images": pictures, "annotations": rows, "categories": [category(LSP14)]}, dict(skipped))


def _triples(path: Path, kind: LspKind) -> NDArray[np.float64]:
    """(N, 14, 3): x, y, and COCO's visibility."""
    joints = np.asarray(load_mat(path, "joints"))
    joints = joints[..., None] if joints.ndim == 2 else joints  # a single image
    other: LspKind = "lspet" if kind == "lsp" else "lsp"
    shapes: dict[LspKind, tuple[int, int]] = {"lsp": (3, len(LSP14)), "lspet": (len(LSP14), 3)}
    if joints.ndim == 3 and joints.shape[:2] == shapes[other]:
        raise DataError(f"{path} holds joints of {other}, not of {kind}; convert it as {other}")
    if joints.ndim != 3 or joints.shape[:2] != shapes[kind] or joints.dtype.kind not in "fiu":
        wanted = "×".join(map(str, shapes[kind]))
        raise DataError(f"{path} must hold numbers of shape {wanted}×N in `joints`, not {joints.shape}")
    triples = joints.transpose((2, 1, 0) if kind == "lsp" else (2, 0, 1)).astype(np.float64)
    flag = triples[..., 2] != 0
    finite = np.isfinite(triples).all(-1)
    triples[..., 2] = np.where(finite, np.where(flag, 1, 2) if kind == "lsp" else np.where(flag, 2, 0), 0)
    return triples

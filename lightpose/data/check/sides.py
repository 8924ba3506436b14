"""Checks of left and right by what a body cannot do: turn its hips against its shoulders, its eyes against its ears.

All are told from signs of cross products, so that it does not matter which way up a person is. Thresholds were set on
human labels: of 895 COCO persons whose shoulders and hips are labelled (526 images of val2017), three have a reversed
torso; of 637 visible faces and 279 heads with eyes and ears none is reversed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightpose.data.check.faults import Fault, Finding
from lightpose.data.check.table import Bools, Floats, Table

__all__ = ["check_sides"]

_WRONG = "Swapped labels teach the network to confuse the sides, and cost AP where it does not"
_LOOK = "Look at them (lightpose data preview --ids …) and exchange left and right where they are swapped."

TORSO = Fault("reversed_torso", "warning", "annotation", "Shoulders face one way and hips the other", _WRONG, _LOOK)
HEAD = Fault(
    "reversed_head", "warning", "annotation", "Eyes or ears face one way and shoulders the other", _WRONG, _LOOK
)
EYES = Fault("reversed_eyes", "warning", "annotation", "Eyes and ears have opposite left and right", _WRONG, _LOOK)
FACE = Fault(
    "reversed_face", "warning", "annotation", "The visible face is a mirror image by its eyes and nose", _WRONG, _LOOK,
)  # fmt: skip
SWAPPED_NAMES = Fault(
    "swapped_names", "error", "file", "Most visible faces are mirror images: left and right names are exchanged",
    "A network trained on this calls left right; mixed with other data it learns neither, and its AP here is near 0",
    "Exchange left_ and right_ in the category's names: left is the person's left, not the viewer's.",
)  # fmt: skip
BACKS = Fault(
    "mostly_backs", "warning", "file", "Most people are seen from behind, if left and right are the person's own",
    "If the sides are the viewer's, the network learns left and right the wrong way round",
    "Look at a preview: the person's left is drawn in orange.",
)  # fmt: skip


def check_sides(table: Table) -> Iterator[Finding]:
    """Persons whose left and right are likely to be swapped, and whether those of the whole file are."""
    spine, length = _spine(table)
    shoulders, hips = (_width(table, name, spine, length) for name in ("shoulder", "hip"))
    yield TORSO.at(table.ids, _opposed(shoulders, 0.25, hips, 0.2))
    eyes, ears = (_width(table, name, spine, length) for name in ("eye", "ear"))
    yield HEAD.at(table.ids, _opposed(shoulders, 0.35, eyes, 0.1) | _opposed(shoulders, 0.35, ears, 0.2))
    yield EYES.at(table.ids, _eyes_against_ears(table))
    face = _face(table)
    most = np.isfinite(face).sum() >= 10 and (face < 0).sum() > 0.5 * np.isfinite(face).sum()
    yield FACE.at(table.ids, face < -0.35, not most)
    yield SWAPPED_NAMES.naming(["categories"] if most else [])
    turned = shoulders[np.isfinite(shoulders) & table.person]
    backs = not most and len(turned) >= 50 and (turned > 0).mean() < 0.4
    yield BACKS.naming(["annotations"] if backs else [])


def _across(a: Floats, b: Floats) -> Floats:
    """Cross product of vectors (N, 2): above 0 if b is clockwise of a on a screen, where y points down."""
    product: Floats = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return product


def _pair(table: Table, name: str) -> tuple[Floats, Floats]:
    """A pair of joints: the vector from right to left and the point between, (N, 2) each."""
    left, right = table.joint(f"left_{name}"), table.joint(f"right_{name}")
    return left - right, (left + right) / 2


def _spine(table: Table) -> tuple[Floats, Floats]:
    """From between the shoulders to between the hips, (N, 2), and its length (N,), NaN if it has none."""
    spine = _pair(table, "hip")[1] - _pair(table, "shoulder")[1]
    length = np.linalg.norm(spine, axis=1)
    return spine, np.where(table.person & (length > 0), length, np.nan)


def _width(table: Table, name: str, spine: Floats, length: Floats) -> Floats:
    """How wide a pair of joints is across the spine, in lengths of the spine, (N,): above 0 facing the viewer."""
    return _across(_pair(table, name)[0], spine) / length**2


def _opposed(one: Floats, least: float, other: Floats, least_other: float) -> Bools:
    """Whether both are turned well to one side, and not to the same. Typical widths: shoulders 0.6, hips 0.4."""
    clear = (np.abs(one) > least) & (np.abs(other) > least_other)
    opposed: Bools = clear & (one * other < 0)
    return opposed


def _eyes_against_ears(table: Table) -> Bools:
    """Whether the two pairs, fixed on one skull, point in opposite directions and are more than a few pixels wide."""
    eyes, ears = _pair(table, "eye")[0], _pair(table, "ear")[0]
    widths = np.linalg.norm(eyes, axis=1), np.linalg.norm(ears, axis=1)
    least = np.maximum(0.02 * table.box[:, 2:].max(1, initial=0), 2)
    clear = (widths[0] > least) & (widths[1] > least) & table.person
    reversed_: Bools = clear & ((eyes * ears).sum(1) < -0.5 * widths[0] * widths[1])
    return reversed_


def _face(table: Table) -> Floats:
    """How far the nose is below the eyes, in distances between the eyes, (N,): below 0 if left and right are swapped.

    Only of faces whose three joints are visible: labels of a face seen through the back of the head are left out.
    """
    visible = np.ones(len(table.rows), bool)
    for name in ("nose", "left_eye", "right_eye"):
        place = table.joints.index(name) if name in table.joints else None
        visible &= False if place is None else table.keypoints[:, place, 2] == 2
    eyes, between = _pair(table, "eye")
    wide = (eyes**2).sum(1)
    drop = _across(eyes, table.joint("nose") - between) / np.where(wide > 0, wide, np.nan)
    return np.where(visible & table.person, drop, np.nan)

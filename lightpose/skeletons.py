"""Joint names, limbs and OKS sigmas. Joints of a data set and of a model are matched by name, never by number."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import SkeletonError

__all__ = [
    "AP10K",
    "BODY25",
    "COCO17",
    "COCO_SIGMAS",
    "HALPE26",
    "HAND21",
    "LSP14",
    "MPII16",
    "SKELETONS",
    "WHOLEBODY133",
    "Skeleton",
    "from_category",
    "from_toml",
    "get_skeleton",
    "load_toml",
    "mirror_name",
]

_LARGEST_TOML = 2**20
_DEEP_KEY = re.compile(rb"(?<![\w\"'-])[\w\"'-]++(?:[ \t]*+\.[ \t]*+[\w\"'-]++){32}")
"""A dotted key of more parts than any table has; the standard library needs the square of their number in memory."""

DEFAULT_SIGMA = 0.079
"""OKS sigma of a joint nobody has measured: COCO's shoulder, near the middle of its range."""


@dataclass(frozen=True)
class Skeleton:
    """The joints a model knows, in the order of its heatmaps.

    joints: K unique names; `left_x` and `right_x` are each other's mirror image, every other joint is its own.
    limbs: pairs of joint names to draw as lines.
    sigmas: K OKS constants, one standard deviation of the labelling as a share of the person's size.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.joints:
            raise SkeletonError(f"skeleton {self.name!r} has no joints; name at least one")
        repeated = sorted({joint for joint in self.joints if self.joints.count(joint) > 1})
        if repeated:
            raise SkeletonError(f"skeleton {self.name!r} names {', '.join(repeated)} twice; joint names must differ")
        if not self.sigmas:
            object.__setattr__(self, "sigmas", tuple(COCO_SIGMAS.get(joint, DEFAULT_SIGMA) for joint in self.joints))
        if len(self.sigmas) != len(self.joints):
            raise SkeletonError(
                f"skeleton {self.name!r} has {len(self.joints)} joints but {len(self.sigmas)} sigmas; give one each"
            )
        if not all(sigma > 0 for sigma in self.sigmas):
            raise SkeletonError(f"skeleton {self.name!r} has a sigma that is not above 0")
        unknown = sorted({joint for limb in self.limbs for joint in limb} - set(self.joints))
        if unknown:
            raise SkeletonError(f"skeleton {self.name!r} has limbs between unknown joints: {', '.join(unknown)}")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def flip_order(self) -> tuple[int, ...]:
        """For each joint, the number of the joint that it becomes in a mirrored image."""
        place = {joint: number for number, joint in enumerate(self.joints)}
        return tuple(place.get(mirror_name(joint), number) for number, joint in enumerate(self.joints))

    @property
    def limb_indices(self) -> NDArray[np.intp]:
        """(L, 2) numbers of the joints at the two ends of each limb."""
        place = {joint: number for number, joint in enumerate(self.joints)}
        return np.array([[place[a], place[b]] for a, b in self.limbs], dtype=np.intp).reshape(-1, 2)

    def match(self, names: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pair this skeleton's joints with another list of names.

        Returns (mine, theirs), two equally long index arrays: joint mine[i] is called names[theirs[i]].
        Joints that only one side has are in neither. Raises SkeletonError if nothing is shared.
        """
        place = {name: number for number, name in enumerate(names)}
        mine = [number for number, joint in enumerate(self.joints) if joint in place]
        if not mine:
            raise SkeletonError(
                f"no joint of skeleton {self.name!r} ({', '.join(self.joints)}) is among the data's: {', '.join(names)}"
            )
        return np.array(mine, dtype=np.intp), np.array([place[self.joints[n]] for n in mine], dtype=np.intp)


def mirror_name(joint: str) -> str:
    """The name of a joint in a mirrored image: left_x and right_x change places."""
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(side):
            return other + joint.removeprefix(side)
    return joint


def from_category(category: Mapping[str, Any]) -> Skeleton:
    """Skeleton of a COCO json's category: its `keypoints` names and its 1-based `skeleton` pairs.

    Raises SkeletonError if the names or pairs are missing or malformed.
    """
    names = category.get("keypoints")
    pairs = category.get("skeleton") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SkeletonError(f"category {category.get('name')!r} has no list of `keypoints` names")
    try:
        limbs = tuple((names[int(a) - 1], names[int(b) - 1]) for a, b in pairs)
        if any(int(end) < 1 for pair in pairs for end in pair):
            raise ValueError
    except (IndexError, TypeError, ValueError) as error:
        raise SkeletonError(
            f"category {category.get('name')!r} has a `skeleton` that is not pairs of numbers from 1 to {len(names)}"
        ) from error
    for known in SKELETONS.values():
        if known.joints == tuple(names):
            return known
    return Skeleton(str(category.get("name", "custom")), tuple(names), limbs)


def from_toml(path: str | Path) -> Skeleton:
    """Skeleton of a TOML file with `joints`, and optionally `name`, `limbs` (pairs of names) and `sigmas`.

    Raises SkeletonError if the file cannot be read or is malformed.
    """
    try:
        table = load_toml(path)
    except (OSError, ValueError) as error:
        raise SkeletonError(f"cannot read the skeleton file {path}: {error}") from error
    unknown = sorted(set(table) - {"name", "joints", "limbs", "sigmas"})
    if unknown:
        raise SkeletonError(f"{path}: unknown key {unknown[0]!r}; known are name, joints, limbs, sigmas")
    if not isinstance(table.get("joints", []), list):
        raise SkeletonError(f"{path}: joints must be a list of names")
    try:
        return Skeleton(
            str(table.get("name", Path(path).stem)),
            tuple(str(joint) for joint in table.get("joints", ())),
            tuple((str(a), str(b)) for a, b in table.get("limbs", ())),
            tuple(float(sigma) for sigma in table.get("sigmas", ())),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise SkeletonError(f"{path}: limbs must be pairs of joint names and sigmas numbers ({error})") from error


def load_toml(path: str | Path) -> dict[str, Any]:
    """A TOML file's content. Raises OSError if it cannot be read, ValueError if it is none, or too large or deep."""
    with Path(path).open("rb") as file:
        content = file.read(_LARGEST_TOML + 1)
    if len(content) > _LARGEST_TOML or _DEEP_KEY.search(content):
        raise ValueError(f"it has more than {_LARGEST_TOML} bytes, or a key of more than 32 parts")
    try:
        return tomllib.loads(content.decode())
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error


def get_skeleton(name_or_path: str) -> Skeleton:
    """A built-in skeleton by its name, or a custom one from a .toml file."""
    if name_or_path in SKELETONS:
        return SKELETONS[name_or_path]
    if name_or_path.endswith(".toml"):
        return from_toml(name_or_path)
    raise SkeletonError(f"unknown skeleton {name_or_path!r}; use {', '.join(SKELETONS)} or a .toml file")


COCO_SIGMAS: dict[str, float] = {
    "nose": 0.026,
    "left_eye": 0.025,
    "right_eye": 0.025,
    "left_ear": 0.035,
    "right_ear": 0.035,
    "left_shoulder": 0.079,
    "right_shoulder": 0.079,
    "left_elbow": 0.072,
    "right_elbow": 0.072,
    "left_wrist": 0.062,
    "right_wrist": 0.062,
    "left_hip": 0.107,
    "right_hip": 0.107,
    "left_knee": 0.087,
    "right_knee": 0.087,
    "left_ankle": 0.089,
    "right_ankle": 0.089,
}
"""OKS sigmas of COCO's evaluation (cocodataset.org, keypoints-eval), by joint name."""


def _both_sides(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Limbs of the left side, followed by the same limbs of the right side."""
    return tuple((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in pairs)


_ARMS_LEGS = _both_sides(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
_GIRDLES = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))

COCO17 = Skeleton(
    "coco17",
    tuple(COCO_SIGMAS),
    limbs=_ARMS_LEGS
    + _GIRDLES
    + _both_sides(("shoulder", "hip"), ("eye", "ear"), ("ear", "shoulder"))
    + (("left_eye", "right_eye"), ("nose", "left_eye"), ("nose", "right_eye")),
)

LSP14 = Skeleton(
    "lsp14",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
     "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top"),
    limbs=(*_ARMS_LEGS, *_GIRDLES, *_both_sides(("shoulder", "hip")), ("neck", "head_top")),
)  # fmt: skip

MPII16 = Skeleton(
    "mpii16",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "neck",
     "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    limbs=(*_ARMS_LEGS, ("pelvis", "thorax"), ("thorax", "neck"), ("neck", "head_top"),
           ("pelvis", "left_hip"), ("pelvis", "right_hip"), ("thorax", "left_shoulder"), ("thorax", "right_shoulder")),
)  # fmt: skip

_TORSO = (("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"))
_HEAD = (*_both_sides(("eye", "ear"), ("ear", "shoulder")), ("left_eye", "right_eye"), ("nose", "left_eye"),
         ("nose", "right_eye"))  # fmt: skip
_FEET = _both_sides(("ankle", "big_toe"), ("ankle", "small_toe"), ("ankle", "heel"))

HALPE26 = Skeleton(
    "halpe26",
    (*COCO17.joints, "head", "neck", "hip", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe",
     "left_heel", "right_heel"),
    limbs=(*_ARMS_LEGS, ("left_hip", "hip"), ("right_hip", "hip"), ("head", "neck"), ("neck", "hip"),
           ("neck", "left_shoulder"), ("neck", "right_shoulder"), *_HEAD, *_FEET),
    sigmas=(*COCO_SIGMAS.values(), 0.026, 0.026, 0.066, *[0.079] * 6),
)  # fmt: skip
"""Halpe's 26 body joints (github.com/Fang-Haoshu/Halpe-FullBody); its sigmas are of halpecocotools/cocoeval.py."""

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_FINGER_JOINTS = tuple(f"{finger}{number}" for finger in _FINGERS for number in (1, 2, 3, 4))
_HAND_SIGMAS = (0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021,
                0.021, 0.032, 0.02, 0.019, 0.022, 0.031)  # fmt: skip


def _finger_limbs(root: str, side: str = "") -> tuple[tuple[str, str], ...]:
    """From the root of a hand along each finger to its tip."""
    return tuple(
        (root if number == 1 else f"{side}{finger}{number - 1}", f"{side}{finger}{number}")
        for finger in _FINGERS
        for number in (1, 2, 3, 4)
    )


HAND21 = Skeleton("hand21", ("wrist", *_FINGER_JOINTS), limbs=_finger_limbs("wrist"), sigmas=_HAND_SIGMAS)
"""One hand, as COCO-WholeBody orders and measures it: each finger from the palm to its tip. Its sigmas are those of
evaluation/myeval_lefthand.py there; MMPose's configurations of hand data sets have none."""

_FACE_MIRRORED = (
    *((jaw, 16 - jaw) for jaw in range(8)), *((brow, 43 - brow) for brow in range(17, 22)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (55, 59), (56, 58),
    (60, 64), (61, 63), (65, 67),
)  # fmt: skip
"""Pairs of the 68 points of a face that are each other's mirror image; the first lies on the person's right, but for
the lower lips, where it lies on the left."""


def _face_names() -> tuple[str, ...]:
    """Of the 68 points in their order: `right_face_0` and `left_face_0` are COCO-WholeBody's face-0 and face-16."""
    names = {number: f"face_{number}" for number in range(68)}
    for first, second in _FACE_MIRRORED:
        low = min(first, second)
        sides = ("left", "right") if first in (55, 56, 65) else ("right", "left")
        names[first], names[second] = (f"{side}_face_{low}" for side in sides)
    return tuple(names.values())


_FOOT_JOINTS = ("big_toe", "small_toe", "heel")
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
    0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
    0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
    0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
    0.008, 0.008, 0.01, 0.008,
)  # fmt: skip

WHOLEBODY133 = Skeleton(
    "wholebody133",
    (*COCO17.joints, *(f"{side}_{joint}" for side in ("left", "right") for joint in _FOOT_JOINTS), *_face_names(),
     *(f"{side}_{joint}" for side in ("left", "right") for joint in ("hand_root", *_FINGER_JOINTS))),
    limbs=(*_ARMS_LEGS, *_GIRDLES, *_TORSO, *_HEAD, *_FEET, *_finger_limbs("left_wrist", "left_"),
           *_finger_limbs("right_wrist", "right_")),
    sigmas=(*COCO_SIGMAS.values(), 0.068, 0.066, 0.066, 0.092, 0.094, 0.094, *_FACE_SIGMAS, *_HAND_SIGMAS,
            *_HAND_SIGMAS),
)  # fmt: skip
"""COCO-WholeBody (Jin et al., ECCV 2020): body, feet, 68 points of the face, hands. Order and sigmas are of its
evaluation (github.com/jin-s13/COCO-WholeBody, evaluation/myeval_wholebody.py)."""

BODY25 = Skeleton(
    "body25",
    ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
     "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
     "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
     "right_small_toe", "right_heel"),
    limbs=(*_ARMS_LEGS, ("neck", "mid_hip"), ("neck", "left_shoulder"), ("neck", "right_shoulder"),
           ("mid_hip", "left_hip"), ("mid_hip", "right_hip"), ("neck", "nose"), ("nose", "left_eye"),
           ("nose", "right_eye"), *_both_sides(("eye", "ear"), ("ankle", "big_toe"), ("big_toe", "small_toe"),
                                               ("ankle", "heel"))),
    sigmas=(0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089,
            0.025, 0.025, 0.035, 0.035, 0.068, 0.066, 0.066, 0.092, 0.094, 0.094),
)  # fmt: skip
"""OpenPose's BODY_25 (its doc/02_output.md). It has no sigmas: these are COCO's and COCO-WholeBody's by name, the neck
has the shoulders', the middle of the hips theirs. For the neck, MMPose's coco_wholebody_openpose has 0.026 and its
coco_openpose 0.082, but neither list is in the order of its joints."""

AP10K = Skeleton(
    "ap10k",
    ("left_eye", "right_eye", "nose", "neck", "tail_root", "left_shoulder", "left_elbow", "left_front_paw",
     "right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip",
     "right_knee", "right_back_paw"),
    limbs=(("left_eye", "right_eye"), ("left_eye", "nose"), ("right_eye", "nose"), ("nose", "neck"),
           ("neck", "tail_root"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("tail_root", "left_hip"),
           ("tail_root", "right_hip"), *_both_sides(("shoulder", "elbow"), ("elbow", "front_paw"), ("hip", "knee"),
                                                    ("knee", "back_paw"))),
    sigmas=(0.025, 0.025, 0.026, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
            0.089, 0.089),
)  # fmt: skip
"""Animals of AP-10K (Yu et al., NeurIPS 2021 data sets). Its paper gives no sigmas; these are MMPose's
(configs/_base_/datasets/ap10k.py), which it took from COCO in the order of the numbers."""

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton for skeleton in (COCO17, LSP14, MPII16, HALPE26, WHOLEBODY133, HAND21, BODY25, AP10K)
}

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
    "COCO17",
    "COCO_SIGMAS",
    "LSP14",
    "MPII16",
    "SKELETONS",
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

SKELETONS: dict[str, Skeleton] = {skeleton.name: skeleton for skeleton in (COCO17, LSP14, MPII16)}

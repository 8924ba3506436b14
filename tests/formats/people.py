"""People to write and read: some that walk, and any that hypothesis makes."""

import numpy as np
from hypothesis import strategies as st

from lightpose.results import STATES, Boxes, Poses
from lightpose.skeletons import COCO17, Skeleton
from tests.helpers import STANDING

THREE = Skeleton("custom", ("nose", "left_knee", "right_knee"))


def walkers(frames: int = 40, fps: float = 25.0, skeleton: Skeleton = COCO17, name: str = "walk.mp4") -> list[Poses]:
    """Two people, 3 and 7, who walk to the right with swinging arms and legs; 7 is not in frames 10 to 13, and nobody
    is in frame 20. Their right ankles are unsure."""
    found = []
    base = np.array([STANDING[joint] for joint in skeleton.joints])
    for number in range(frames):
        people = []
        for person in (0, 1):
            points = base * (80, 200) + (100 + 200 * person + 3 * number, 60 + 10 * person)
            swing = 12 * np.sin(number / 4 + person + np.arange(len(base)))
            points[:, 0] += swing
            people.append(np.concatenate([points, np.full((len(base), 1), 0.9)], 1))
        joints = np.array(people, np.float32)
        joints[:, skeleton.joints.index("right_ankle"), 2] = 0.1
        here = [] if number == 20 else [0] if 10 <= number < 14 else [0, 1]
        ids, joints = np.array([3, 7])[here], joints[here]
        low, high = joints[..., :2].min(1), joints[..., :2].max(1)
        boxes = Boxes(np.concatenate([low - 5, high - low + 10], 1))
        scores = np.full(len(here), 0.8, np.float32)
        found.append(Poses(joints, scores, boxes, skeleton, (480, 640), name, ids, frame=number, time_s=number / fps))
    return found


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def frames_of_poses(draw: st.DrawFn, marks: bool = False, video: bool = True) -> list[Poses]:
    """A few frames of a few people with holes everywhere.

    marks: joints score 1, 0.1 or are missing, as annotation tools have them. video: with ids and times.
    """
    count = draw(st.integers(1, 5))
    steps = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    pool = draw(st.lists(st.integers(0, 5000), min_size=3, max_size=3, unique=True))
    found = []
    for frame in np.cumsum(steps) - steps[0]:
        ids = draw(st.lists(st.sampled_from(pool), max_size=3, unique=True))
        joints = np.zeros((len(ids), len(COCO17), 3), np.float32)
        for person in range(len(ids)):
            seed = draw(st.integers(0, 2**31))
            generator = np.random.default_rng(seed)
            joints[person, :, 0] = generator.uniform(2, 638, 17)
            joints[person, :, 1] = generator.uniform(2, 478, 17)
            joints[person, :, 2] = generator.choice([1, 0.1], 17) if marks else generator.uniform(0.05, 1, 17)
            joints[person, generator.random(17) < draw(numbers(0, 0.9))] = np.nan, np.nan, 0
            joints[person, 0] = draw(numbers(2, 638)), draw(numbers(2, 478)), 1
        seen = np.isfinite(joints[..., :2]).all(-1)
        low = np.nanmin(joints[..., :2], 1) if ids else np.zeros((0, 2))
        high = np.nanmax(joints[..., :2], 1) if ids else np.zeros((0, 2))
        assert seen[:, 0].all()
        boxes = Boxes(np.concatenate([low, high - low], 1))
        name = "clip.mp4" if video else f"{frame:012}.jpg"
        found.append(
            Poses(
                joints, draw(numbers(0.25, 1)) * np.ones(len(ids), np.float32), boxes, COCO17, (480, 640), name,
                np.array(ids, np.int64) if video else None,
                np.array(draw(st.lists(st.sampled_from(STATES[1:]), min_size=len(ids), max_size=len(ids))), np.str_),
                frame=int(frame), time_s=float(frame) / 25 if video else None,
            )
        )  # fmt: skip
    return found

"""Draw docs/angles.svg, where each joint angle and segment angle is measured: python tools/angles_figure.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightpose.ops.angles import ANGLES, angles_of

POINTS = {
    "head_top": (250, 40), "neck": (232, 105), "pelvis": (200, 250), "right_shoulder": (232, 110),
    "right_elbow": (250, 190), "right_wrist": (322, 216), "right_hip": (200, 250), "right_knee": (275, 330),
    "right_ankle": (215, 435), "right_heel": (200, 458), "right_big_toe": (272, 452),
}  # fmt: skip
"""A person who looks to the right, in pixels."""
BONES = (
    ("head_top", "neck"), ("neck", "pelvis"), ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("right_ankle", "right_heel"),
    ("right_heel", "right_big_toe"), ("right_ankle", "right_big_toe"),
)  # fmt: skip
JOINTS = {
    "shoulder": "right_shoulder",
    "elbow": "right_elbow",
    "hip": "right_hip",
    "knee": "right_knee",
    "ankle": "right_ankle",
}
SEGMENTS = {
    "trunk": ("pelvis", "neck"), "head": ("neck", "head_top"), "arm": ("right_shoulder", "right_elbow"),
    "forearm": ("right_elbow", "right_wrist"), "thigh": ("right_hip", "right_knee"),
    "shank": ("right_knee", "right_ankle"), "foot": ("right_heel", "right_big_toe"),
}  # fmt: skip


def value(name: str) -> str:
    """An angle of the drawn person, in whole degrees."""
    full = name if name in ANGLES else f"right_{name}"
    keypoints = np.array([(*point, 1.0) for point in POINTS.values()])
    return f"{name} {angles_of(keypoints, list(POINTS), [full], 'right')[0]:.0f}°"


def bones(shift: int) -> list[str]:
    """The stick figure, so far to the right."""
    return [
        f'<line x1="{POINTS[a][0] + shift}" y1="{POINTS[a][1]}" x2="{POINTS[b][0] + shift}" y2="{POINTS[b][1]}" '
        'stroke="#28a0ff" stroke-width="6" stroke-linecap="round"/>'
        for a, b in BONES
    ]


def drawing() -> str:
    """Two figures: joint angles on the left, segment angles against the horizontal on the right."""
    shift, parts = 330, [*bones(0), *bones(330)]
    for name, joint in JOINTS.items():
        x, y = POINTS[joint]
        side, anchor = (-16, "end") if name in ("shoulder", "hip", "ankle") else (16, "start")
        parts.append(f'<circle cx="{x}" cy="{y}" r="8" fill="none" stroke="#ff8a1e" stroke-width="3"/>')
        parts.append(f'<text x="{x + side}" y="{y + 5}" text-anchor="{anchor}">{value(name)}</text>')
    for name, (start, end) in SEGMENTS.items():
        (x, y), (to_x, to_y) = POINTS[start], POINTS[end]
        parts.append(
            f'<line x1="{x + shift}" y1="{y}" x2="{x + shift + 60}" y2="{y}" stroke="#888" stroke-dasharray="4 4"/>'
            f'<text x="{(x + to_x) / 2 + shift - 14}" y="{(y + to_y) / 2 + 5}" text-anchor="end">{value(name)}</text>'
        )
    look = 'font-family="sans-serif" font-size="15" fill="#777"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="60 0 680 490" {look}>'
    titles = '<text x="120" y="24">joints</text><text x="450" y="24">segments, against the horizontal</text>'
    return "\n".join([head, titles, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent.parent / "docs" / "angles.svg").write_text(drawing(), encoding="utf-8")

"""Draw the pictures of docs/formats.md, each by the tool that opens the file.

    python tools/format_pictures.py --tools TOOLS --poses poses.jsonl

TOOLS: a folder of environments, as tests/formats/tools.txt lists them, with matplotlib in `tables` too. poses.jsonl:
those of a video of one camera of Pose2Sim's demo, which `benchmarks/pose2sim_demo.py` leaves in OUT/cam01.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import lightpose
from lightpose import PoseEstimator, read_image

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples" / "photos" / "photographer.png"

DUCKDB = """
import sys, duckdb
import matplotlib.pyplot as plt
found = duckdb.sql(f'''select time_s, joint, 1920 - y as height from '{sys.argv[1]}'
    where person = 1 and joint in ('left_wrist', 'right_ankle', 'nose') and score > 0.2 order by time_s''').df()
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for joint, rows in found.groupby("joint", observed=True):
    axes.plot(rows.time_s, rows.height, label=joint)
axes.set(xlabel="time, s", ylabel="height in the image, px")
axes.legend()
figure.savefig(sys.argv[2], dpi=100)
"""

MOVEMENT = """
import sys
import matplotlib.pyplot as plt
from movement.io import load_poses
from movement.plots import plot_centroid_trajectory
data = load_poses.from_file(sys.argv[1], source_software="DeepLabCut", fps=60)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
plot_centroid_trajectory(data.position, individual=data.individuals.values[0], keypoints=["left_wrist"], ax=axes)
axes.invert_yaxis()
figure.savefig(sys.argv[2], dpi=100)
"""

SUPERVISION = """
import sys, json, numpy as np, supervision as sv
from PIL import Image
given = json.load(open(sys.argv[1]))
points = sv.KeyPoints(xy=np.array(given["xy"], np.float32), class_id=np.array(given["class_id"]),
    keypoint_confidence=np.array(given["confidence"], np.float32))
edges = [tuple(edge) for edge in given["edges"]]
image = np.ascontiguousarray(np.array(Image.open(sys.argv[3]).convert("RGB"))[..., ::-1])
image = sv.EdgeAnnotator(color=sv.Color.from_hex("#1f77b4"), thickness=2, edges=edges).annotate(image, points)
image = sv.VertexAnnotator(color=sv.Color.from_hex("#ff7f0e"), radius=4).annotate(image, points)
Image.fromarray(image[..., ::-1]).save(sys.argv[2], quality=85)
"""


def drawn_by(python: Path, code: str, *arguments: object) -> None:
    """Run a script in a tool's environment."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"MPLBACKEND": "agg"}
    subprocess.run([python, "-c", code, *map(str, arguments)], check=True, env=clean)


def main() -> None:
    """Write the pictures into docs/."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--poses", type=Path, required=True)
    options = parser.parse_args()
    tracks, docs = lightpose.read(options.poses), ROOT / "docs"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lightpose.write(tracks, place / "poses.parquet")
        drawn_by(options.tools / "tables/bin/python", DUCKDB, place / "poses.parquet", docs / "formats_duckdb.png")
        lightpose.write(tracks.person(1).fill(0.2), place / "dlc.csv", "dlc")
        drawn_by(options.tools / "movement/bin/python", MOVEMENT, place / "dlc.csv", docs / "formats_movement.png")
        poses = PoseEstimator().predict(read_image(PHOTO)).above(0.2)
        given = {
            "xy": poses.keypoints[..., :2].tolist(),
            "class_id": [0] * len(poses),
            "confidence": poses.keypoints[..., 2].tolist(),
            "edges": (poses.skeleton.limb_indices + 1).tolist(),
        }
        (place / "points.json").write_text(json.dumps(given))
        picture = docs / "formats_supervision.jpg"
        drawn_by(options.tools / "supervision/bin/python", SUPERVISION, place / "points.json", picture, PHOTO)


if __name__ == "__main__":
    main()

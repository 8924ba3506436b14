"""Pose2Sim's demo of four cameras with lightpose's keypoints: what its triangulation makes of them.

    python -m venv tools/pose2sim && tools/pose2sim/bin/pip install Pose2Sim
    python benchmarks/pose2sim_demo.py --python tools/pose2sim/bin/python --out demo -- --flip

What follows -- goes to `lightpose predict`. Pose2Sim associates, triangulates and reports by its demo's settings, with
the model COCO_17. Printed are people a frame of each camera, the mean reprojection error, and how many of the four
cameras were left out of a point in the mean. Pose2Sim's own estimator downloads weights; its guide says how to run it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import lightpose

STEPS = Path(__file__).parents[1] / "tests" / "formats" / "pose2sim_steps.py"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="that of the environment with Pose2Sim")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("predict", nargs="*", help="options of lightpose predict, after --")
    options = parser.parse_args()
    where = subprocess.run(
        [options.python, "-c", "import Pose2Sim; print(Pose2Sim.__path__[0])"],
        check=True,
        capture_output=True,
        text=True,
    )
    videos = sorted((Path(where.stdout.split("\n")[-2]) / "Demo_SinglePerson" / "videos").glob("*.mp4"))
    for video in videos:
        place = options.out / video.stem
        if not (place / "openpose").is_dir():
            command = [sys.executable, "-m", "lightpose", "predict", str(video), "--out", str(place), "--no-draw"]
            subprocess.run([*command, "--formats", "openpose", *options.predict], check=True)
        tracks = lightpose.read(place / "poses.jsonl")
        print(f"{video.stem}: {(tracks.state > 0).sum() / len(tracks):.2f} people a frame")
    shutil.rmtree(options.out / "pose2sim", ignore_errors=True)
    folders = [str(options.out / video.stem / "openpose") for video in videos]
    command = [options.python, str(STEPS), str(options.out / "pose2sim"), *folders]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    error_px, left_out, trc = json.loads(done.stdout.splitlines()[-1])
    print(f"mean reprojection error {error_px} px, {left_out} of {len(videos)} cameras left out in the mean; {trc}")


if __name__ == "__main__":
    main()

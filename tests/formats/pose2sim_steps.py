"""Run by the Python of an environment with Pose2Sim, of which nothing else of lightpose is asked.

    python pose2sim_py WORK                 prints the projection matrices of its demo's four cameras
    python pose2sim_py WORK FOLDER FOLDER … triangulates folders of OpenPose's JSON, one for each camera

The second prints the mean reprojection error in pixels, how many cameras were left out in the mean, and the TRC file.
"""

import contextlib
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

work, folders = Path(sys.argv[1]).resolve(), [Path(each).resolve() for each in sys.argv[2:]]

import Pose2Sim  # noqa: E402
import rtoml  # noqa: E402
from Pose2Sim.Pose2Sim import calibration, personAssociation, triangulation  # noqa: E402

demo = Path(Pose2Sim.__file__).parent / "Demo_SinglePerson"
(work / "calibration").mkdir(parents=True, exist_ok=True)
shutil.copy(demo / "calibration" / "Calib.qca.txt", work / "calibration")
shutil.copytree(demo / "videos", work / "videos", dirs_exist_ok=True)
shutil.copy(demo / "Config.toml", work)
config = rtoml.load(demo / "Config.toml")
config["project"]["project_dir"] = str(work)
config["pose"]["pose_model"] = "COCO_17"
config["personAssociation"]["single_person"]["tracked_keypoint"] = "Nose"
config["triangulation"]["make_c3d"] = False
os.chdir(work)
with contextlib.redirect_stdout(io.StringIO()):
    calibration(config)
    for number, folder in enumerate(folders, 1):
        shutil.copytree(folder, work / "pose" / f"cam{number:02}_json")
    if folders:
        personAssociation(config)
        triangulation(config)
if folders:
    told = (work / "logs.txt").read_text()
    error = re.findall(r"for all points on frames .* is ([\d.]+) px", told)[-1]
    left_out = re.findall(r"In average, ([\d.]+) cameras had to be excluded", told)[-1]
    found = [float(error), float(left_out), str(next((work / "pose-3d").glob("*.trc")))]
else:
    from Pose2Sim.common import computeP  # it logs when it is imported, which would keep Pose2Sim from writing its log

    found = [each.tolist() for each in computeP(next((work / "calibration").glob("*.toml")))]
sys.stdout.write(json.dumps(found) + "\n")

"""The other tools open what lightpose writes: each in a process of its own, in the environment that has it.

An environment is a folder of the variable LIGHTPOSE_OTHER_TOOLS, named as below, with what tests/formats/tools.txt
lists for it. A tool that the tests' own environment has needs none.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import lightpose
from lightpose.data.coco import read_coco
from lightpose.formats import frames_of
from lightpose.formats.base import made
from lightpose.formats.label_studio import labeling_config
from lightpose.io.images import encode_image
from lightpose.results import Tracks
from lightpose.skeletons import COCO17
from tests.formats.people import walkers
from tests.helpers import STANDING, draw_set

pytestmark = pytest.mark.slow


def opened_by(environment: str, package: str, code: str, *arguments: object) -> str:
    """What a script prints in the environment of a tool; skips the test where the tool is not there."""
    own = Path(os.environ.get("LIGHTPOSE_OTHER_TOOLS", "")) / environment / "bin" / "python"
    if "LIGHTPOSE_OTHER_TOOLS" in os.environ and own.exists():
        python = str(own)
    elif find_spec(package):
        python = sys.executable
    else:
        pytest.skip(f"{package} is not here; tests/formats/tools.txt says how to have it")
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONWARNINGS")}
    clean |= {"MPLBACKEND": "agg", "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=clean,
        cwd=Path(str(arguments[0])).parent,  # some write a log where they run
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def tracks() -> Tracks:
    return Tracks.from_frames(walkers())


@pytest.mark.parametrize("library", ["pandas", "polars", "duckdb", "pyspark"])
def test_tables_read_the_parquet(library: str, tracks: Tracks, tmp_path: Path):
    lightpose.write(tracks, tmp_path / "a.parquet")
    code = {
        "pandas": "import pandas as p, sys; d = p.read_parquet(sys.argv[1])\n"
        "d = d[(d.person == 7) & (d.joint == 'nose')]; print(len(d), d.x.sum())",
        "polars": "import polars as p, sys; d = p.read_parquet(sys.argv[1])\n"
        "d = d.filter((p.col('person') == 7) & (p.col('joint').cast(p.String) == 'nose')); print(len(d), d['x'].sum())",
        "duckdb": "import duckdb, sys\nprint(*duckdb.sql(f\"select count(*), sum(x) from '{sys.argv[1]}' where "
        "person = 7 and joint = 'nose'\").fetchall()[0])",
        "pyspark": "import sys; from pyspark.sql import SparkSession, functions as f\n"
        "s = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()\n"
        "d = s.read.parquet('file://' + sys.argv[1]).where(\"person = 7 and joint = 'nose'\")\n"
        "print(*d.agg(f.count('x'), f.sum('x')).first())",
    }[library]
    if library == "pyspark" and not shutil.which("java"):
        pytest.skip("Spark needs Java, and there is none")
    count, total = opened_by("tables", library, code, tmp_path / "a.parquet").split()
    nose = tracks.person(7).keypoints[:, 0, 0, 0]
    assert int(count) == np.isfinite(nose).sum() == 35
    assert float(total) == pytest.approx(np.nansum(nose), abs=0.2)


def test_movement_loads_deeplabcut_files(tracks: Tracks, tmp_path: Path):
    lightpose.write(tracks, tmp_path / "two.csv", "dlc")
    lightpose.write(tracks.person(3), tmp_path / "one.csv", "dlc")
    code = """
import sys, json, numpy as np
from movement.io import load_poses
for path in sys.argv[1:]:
    d = load_poses.from_file(path, source_software="DeepLabCut", fps=25)
    print(json.dumps([list(d.position.dims), list(d.position.shape), d.individuals.values.tolist(),
        d.keypoints.values.tolist(),
        float(d.position.sel(keypoints="nose", space="x", individuals=d.individuals.values[-1]).sum())]))
"""
    two, one = map(
        json.loads, opened_by("movement", "movement", code, tmp_path / "two.csv", tmp_path / "one.csv").splitlines()
    )
    dims = dict(zip(two[0], two[1], strict=True))
    assert (dims["time"], dims["individuals"], dims["keypoints"]) == (40, 2, 17)
    assert (two[2], tuple(two[3])) == (["person3", "person7"], COCO17.joints)
    assert two[4] == pytest.approx(np.nansum(tracks.person(7).keypoints[:, 0, 0, 0]), abs=0.1)
    assert one[4] == pytest.approx(np.nansum(tracks.person(3).keypoints[:, 0, 0, 0]), abs=0.1)


def test_opensim_reads_places_and_angles(tracks: Tracks, tmp_path: Path):
    one = tracks.person(3).fill(1)
    lightpose.write(one, tmp_path / "a.trc", height_m=1.72)
    lightpose.write(one, tmp_path / "a.mot")
    code = """
import sys, opensim
t = opensim.TimeSeriesTableVec3(sys.argv[1])
names = list(t.getColumnLabels())
column = t.getDependentColumn("LKnee")
print("FOUND", t.getNumRows(), len(names), t.getIndependentColumn()[1], column[5].get(0), column[5].get(1))
s = opensim.Storage(sys.argv[2])
a = opensim.ArrayDouble(); s.getDataColumn("left_knee", a)
print("FOUND", s.getSize(), s.isInDegrees(), a.get(5))
"""
    out = opened_by("opensim", "opensim", code, tmp_path / "a.trc", tmp_path / "a.mot")
    places, angles = (line.removeprefix("FOUND ") for line in out.splitlines() if line.startswith("FOUND"))
    rows, markers, second, x, y = map(float, places.split())
    knee = one.scale(1.72).keypoints[5, 0, COCO17.joints.index("left_knee")]
    assert (rows, markers, second) == (40, 17, 0.04)
    assert (x, y) == pytest.approx(tuple(knee[:2].tolist()), abs=1e-5)
    count, degrees, knee_5 = angles.split()
    assert (int(count), degrees) == (40, "True")
    assert float(knee_5) == pytest.approx(one.angles()["left_knee"][5, 0], abs=1e-3)


def test_sports2d_has_our_angles_from_our_trc(tracks: Tracks, tmp_path: Path):
    one = tracks.person(3)
    lightpose.write(one, tmp_path / "a_px.trc")
    code = """
import sys, json, numpy as np
from Pose2Sim.common import read_trc, angle_dict
from Sports2D.process import load_pose_file, compute_angles_for_person, add_shoulder_neck_hip_coords
Q, _, time, names, _ = read_trc(sys.argv[1])
points, scores = load_pose_file(Q)
found = []
angles = list(angle_dict)
for frame in range(len(points)):
    X, Y, S = points[frame, 0, :, 0], points[frame, 0, :, 1], scores[frame, 0]
    own, ids = list(names), list(range(len(names)))
    for k in ("Hip", "Neck"):
        X, Y, S = add_shoulder_neck_hip_coords(k, X, Y, S, ids, own)
        own.append(k); ids.append(len(X) - 1)
    found.append(compute_angles_for_person(X, Y, "auto", False, ids, own, angles, angle_dict)[1])
print(json.dumps([angles, np.array(found).tolist(), time.tolist()]))
"""
    out = opened_by("sports2d", "Sports2D", code, tmp_path / "a_px.trc")
    names, values, time_s = json.loads(out.strip().splitlines()[-1])
    theirs = {name.replace(" ", "_"): np.array(values, float)[:, n] for n, name in enumerate(names)}
    ours = one.angles()
    assert np.allclose(time_s, one.time_s)
    assert len(ours.names) == 19
    for name in ours.names:
        gap = np.abs((theirs[name] - ours[name][:, 0] + 90) % 180 - 90)
        assert np.isfinite(ours[name]).sum() == np.isfinite(theirs[name]).sum() == 39
        assert np.nanmax(gap) < 0.05, name


def test_pose2sim_triangulates_what_its_demo_cameras_see(tmp_path: Path):
    steps = (Path(__file__).parent / "pose2sim_steps.py").read_text()
    cameras = np.array(json.loads(opened_by("pose2sim", "Pose2Sim", steps, tmp_path / "a").splitlines()[-1]))
    body = np.array([(STANDING[joint][0] * 0.5, 0, 1.7 * (1 - STANDING[joint][1])) for joint in COCO17.joints])
    times = np.arange(40)[:, None, None] / 60
    places = body + np.sin(times * 3 + np.arange(17)[:, None]) * 0.05  # metres, z upwards: (40, 17, 3)
    folders = []
    for number, camera in enumerate(cameras):
        seen = np.concatenate([places, np.ones((40, 17, 1))], -1) @ camera.T
        assert (seen[..., 2] > 0).all()
        points = np.concatenate([seen[..., :2] / seen[..., 2:], np.full((40, 17, 1), 0.9)], -1)
        frames = [
            made(joints[None], COCO17, name=f"cam{number}.mp4", frame=n, time_s=n / 60, ids=np.array([1]))
            for n, joints in enumerate(points)
        ]
        folders.append(tmp_path / f"cam{number}")
        lightpose.write(frames, folders[-1], "openpose")
    out = opened_by("pose2sim", "Pose2Sim", steps, tmp_path / "b", *folders)
    error, left_out, trc = json.loads(out.splitlines()[-1])
    assert (error, left_out) == (0, 0)
    rows = [line.split("\t") for line in Path(trc).read_text().splitlines()]
    found = np.array(rows[5:], dtype=object)
    names = [name for name in rows[3][2:] if name]
    hip, knee = (names.index(name) for name in ("LHip", "LKnee"))
    values = np.array([[float(v) for v in row[2 : 2 + 3 * len(names)]] for row in found]).reshape(40, -1, 3)
    lengths = np.linalg.norm(values[:, hip] - values[:, knee], axis=-1)
    at = [COCO17.joints.index(joint) for joint in ("left_hip", "left_knee")]
    assert lengths == pytest.approx(np.linalg.norm(places[:, at[0]] - places[:, at[1]], axis=-1), abs=1e-3)


def test_datumaro_imports_coco_and_cvat_with_the_same_joints(tmp_path: Path):
    (tmp_path / "coco/annotations").mkdir(parents=True)
    (tmp_path / "coco/images/train").mkdir(parents=True)
    (tmp_path / "cvat/images").mkdir(parents=True)
    frames = walkers()
    lightpose.write(frames, tmp_path / "coco/annotations/person_keypoints_train.json", "coco")
    for number in range(len(frames)):
        image = encode_image(np.zeros((480, 640, 3), np.uint8), ".jpg")
        (tmp_path / f"coco/images/train/walk_{number:06}.jpg").write_bytes(image)
        (tmp_path / f"cvat/images/{number:06}.jpg").write_bytes(image)
    images = [replace(each, ids=None, time_s=None, name=f"{n:06}.jpg") for n, each in enumerate(frames)]
    lightpose.write(images, tmp_path / "cvat/train.xml", "cvat")
    code = """
import sys, json
from datumaro.components.dataset import Dataset
from datumaro.components.annotation import AnnotationType
coco = Dataset.import_from(sys.argv[1], "coco_person_keypoints")
labels = coco.categories()[AnnotationType.points].items
rows = [a for item in coco for a in item.annotations if a.type == AnnotationType.points]
rows.sort(key=lambda a: a.id)
print(json.dumps([len(coco), len(rows), rows[0].points, [int(v) for v in rows[0].visibility],
    labels[rows[0].label].labels]))
cvat = Dataset.import_from(sys.argv[2], "cvat")
names = cvat.categories()[AnnotationType.label].items
rows = [a for item in cvat for a in item.annotations if item.id == "000000"]
print(json.dumps([[names[a.label].name, a.points, a.attributes["occluded"]] for a in rows]))
"""
    coco, cvat = map(
        json.loads, opened_by("datumaro", "datumaro", code, tmp_path / "coco", tmp_path / "cvat").splitlines()[-2:]
    )
    joints = frames[0].keypoints
    count, people, points, marks, names = coco
    assert (count, people, tuple(names)) == (40, 74, COCO17.joints)
    assert np.allclose(np.reshape(points, (-1, 2)), joints[0, :, :2], atol=0.01)
    assert marks == [1 if joint == "right_ankle" else 2 for joint in COCO17.joints]
    assert [row[0] for row in cvat] == [*COCO17.joints] * 2
    assert np.allclose([row[1] for row in cvat], joints[..., :2].reshape(-1, 2), atol=0.01)
    assert [row[2] for row in cvat] == [joint == "right_ankle" for joint in COCO17.joints] * 2


def test_pycocotools_scores_annotations_against_results(tracks: Tracks, tmp_path: Path):
    lightpose.write(tracks, tmp_path / "truth.json", "coco")
    lightpose.write(walkers(name="000000.jpg"), tmp_path / "found.json", "coco-results")
    code = """
import sys, json
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
rows = json.load(open(sys.argv[2]))
for row in rows: row["image_id"] += 1
truth = COCO(sys.argv[1]); found = truth.loadRes(rows)
e = COCOeval(truth, found, "keypoints"); e.evaluate(); e.accumulate(); e.summarize()
print(e.stats[0])
"""
    out = opened_by("coco", "pycocotools", code, tmp_path / "truth.json", tmp_path / "found.json")
    assert float(out.strip().splitlines()[-1]) == pytest.approx(1.0)


def test_label_studio_validates_the_tasks(tracks: Tracks, tmp_path: Path):
    lightpose.write(tracks, tmp_path / "tasks.json", "label-studio")
    (tmp_path / "config.xml").write_text(labeling_config())
    code = """
import sys, json
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface(open(sys.argv[2]).read()); interface.validate()
tasks = json.load(open(sys.argv[1]))
wrong = [e for t in tasks for p in t["predictions"] for e in interface.validate_prediction(p, return_errors=True)]
print(len(tasks), wrong[:3])
"""
    out = opened_by("labelstudio", "label_studio_sdk", code, tmp_path / "tasks.json", tmp_path / "config.xml")
    assert out.split("\n")[-2] == "40 []"


def test_label_studio_exports_the_joints_that_are_read_from_its_json(tmp_path: Path):
    drawn = draw_set(tmp_path / "drawn", people=(1, 1, 1))
    lightpose.write(frames_of(drawn.annotations), tmp_path / "tasks.json", "label-studio")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    for number, task in enumerate(tasks, 1):
        task["id"], task["data"]["image"] = number, str(drawn.images / task["data"]["image"])
        task["annotations"] = [{"id": number, "completed_by": 1, "result": task["predictions"][0]["result"]}]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    (tmp_path / "config.xml").write_text(labeling_config())
    code = """
import sys, json
from label_studio_sdk.converter import Converter
Converter(open(sys.argv[2]).read(), project_dir=sys.argv[3]).convert_to_coco(sys.argv[1], sys.argv[3], is_dir=False)
found = json.load(open(sys.argv[3] + "/result.json"))
people = [c for c in found["categories"] if c.get("keypoints")]
print(json.dumps([people[0]["keypoints"], [a["keypoints"] for a in found["annotations"] if "keypoints" in a]]))
"""
    files = (tmp_path / "tasks.json", tmp_path / "config.xml", tmp_path / "out")
    names, theirs = json.loads(opened_by("labelstudio", "label_studio_sdk", code, *files).splitlines()[-1])
    ours = read_coco(tmp_path / "tasks.json", drawn.images).document["annotations"]
    assert tuple(names) == COCO17.joints
    assert (
        np.reshape(theirs, (3, 17, 3)).tolist() == np.reshape([row["keypoints"] for row in ours], (3, 17, 3)).tolist()
    )


def test_motmetrics_reads_the_boxes(tracks: Tracks, tmp_path: Path):
    lightpose.write(tracks, tmp_path / "mot.txt", "mot-challenge")
    code = """
import sys, motmetrics
d = motmetrics.io.loadtxt(sys.argv[1], fmt="mot15-2D")
ids = sorted(set(d.index.get_level_values("Id")))
print(len(d), d.index.get_level_values("FrameId").min(), ids, d.X.iloc[0])
"""
    out = opened_by("mot", "motmetrics", code, tmp_path / "mot.txt").strip()
    left = float(tracks.boxes[0, 0, 0])
    assert out.startswith("74 1 [3, 7] ")
    assert float(out.split()[-1]) == pytest.approx(left, abs=0.01 + 1)  # motmetrics counts pixels from 1


def test_supervision_has_the_points_and_ids():
    pytest.importorskip("supervision")
    poses = walkers()[0]
    assert poses.to_detections().tracker_id.tolist() == [3, 7]
    assert np.allclose(poses.to_supervision().xy, poses.keypoints[..., :2])

"""What is wrong with a file is one sentence that names the file, the line and the remedy."""

import json
from pathlib import Path
from typing import get_args

import pytest

import lightpose
from lightpose import cli
from lightpose.errors import ConfigError, DataError
from lightpose.formats import FORMATS, write
from tests.formats.people import walkers

TRC = (
    "PathFileType\t4\t(X/Y/Z)\ta\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n25\t25\t1\t1\t{}\n"
    "Frame#\tTime\tNose\n\tX1\n"
)
CSV = "source,frame,time_s,person,joint,x,y,score,state,x_raw,y_raw\n"
ROW = "a.mp4,0,0,1,nose,10,20,0.5,detected,,\n"
WRONG = {
    "a.csv of another width": (CSV + ROW.replace("a.mp4", "a,b"), r"a.csv:2: 12 fields and 11 columns; quote"),
    "a.csv with a wrong number": (
        CSV + ROW.replace("20", "zwei"),
        r"a.csv:2: y: 'zwei' is no finite number; correct it",
    ),
    "a.csv with infinity": (CSV + ROW.replace("20", "inf"), r"a.csv:2: y: 'inf' is no finite number"),
    "a.csv without a column": ("frame,person,joint,x,y\n", r"a.csv:1: the column 'source' is missing"),
    "a.csv with a column twice": (CSV.replace("y_raw", "x"), r"a.csv:1: the column 'x' is there twice; leave one out"),
    "a.csv with a column too many": ("frame,person,nose_x,nose_y,mood\n", r"a.csv:1: the column 'mood' is not one"),
    "a.csv with a joint twice": (
        CSV + ROW * 2,
        r"a.csv:2: person 1 has the joint 'nose' twice in a frame; leave one out",
    ),
    "a.csv with fewer joints": (
        CSV + ROW + ROW.replace("nose", "neck") + ROW.replace(",0,0,", ",1,0.1,"),
        r"a.csv:4: person 1 lacks the joint 'neck' in frame 1; write it",
    ),
    "a.csv with an unknown state": (
        CSV + ROW.replace("detected", "seen"),
        r"a.csv:2: the state 'seen' is unknown; it is",
    ),
    "a.csv that is empty": ("", r"a.csv is empty; give a table"),
    "a.csv that goes back": (
        CSV + ROW.replace(",0,0,", ",5,1,") + ROW,
        r"frame 0 comes after frame 5; numbers must rise",
    ),
    "a.csv with half a person number": (
        CSV + ROW.replace(",1,nose", ",1.5,nose"),
        r"a.csv:2: person: '1.5' is no whole",
    ),
    "a.jsonl with no JSON": ("{}}\n", r"a.jsonl:1: this line is no JSON; remove it"),
    "a.jsonl of others": ('{"a": 1}\n', r"a.jsonl:1: this is no line of lightpose's poses"),
    "a.trc in metres": (TRC.format("m") + "0\t0\t1\t2\t0\n", r"a.trc is in m; only files in pixels are read"),
    "a.trc with a long row": (TRC.format("px") + "0\t0\t1\t2\t0\t7\n", r"a.trc:6: 6 fields are not a frame, a time"),
    "a.trc of others": ("Frame\n", r"a.trc is no TRC file, whose first line begins with PathFileType"),
    "a.txt from frame 0": (
        "0,1,2,3,4,5,1,-1,-1,-1\n",
        r"a.txt:1: frame 0; MOTChallenge counts frames from 1, so add 1",
    ),
    "a.txt with an id twice": ("1,1,2,3,4,5\n1,1,2,3,4,5\n", r"a.txt:2: id 1 is twice in frame 1; leave one out"),
    "a.txt of another width": ("1,1,2\n", r"a.txt:1: 3 fields; a line is frame, id, left"),
    "a.xml with entities": ("<!DOCTYPE a><annotations/>", r"a.xml has a document type, which CVAT writes none of"),
    "a.xml that is none": ("<annotations>", r"a.xml is no XML .*; export it anew"),
    "a.xml of others": ("<html/>", r"a.xml is no file of CVAT, whose outermost element is annotations"),
    "a.json with another number of joints": (
        '{"people": [{"pose_keypoints_2d": [1, 2, 1]}]}',
        r"1 joints without names",
    ),
    "a.json with shares": (
        json.dumps({"people": [{"pose_keypoints_2d": [0.5, 0.5, 1] * 17}]}),
        r"a.json: its places are shares of an image whose size is unknown; add --video",
    ),
    "a.json of others": (
        '{"x": 1}',
        r'a.json is JSON of no known format \(it begins with \["x"\]\); name a file of poses',
    ),
    "a.json of results": ('[{"keypoints": [1, 2]}]', r"a.json: row 0 has no image_id, keypoints and score"),
    "a.zip that is none": ("PK", r"a.zip: this is no frame of OpenPose"),
    "a.parquet that was cut off": ("PAR1", r"a.parquet is no whole Parquet file .*start it again"),
    "a.foo": ("", r"a.foo does not tell its format; say which with --from-format"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_sentence_names_file_line_and_remedy(case: str, tmp_path: Path):
    content, text = WRONG[case]
    path = tmp_path / case.split()[0]
    path.write_text(content)
    with pytest.raises((DataError, ConfigError), match=text) as told:
        lightpose.read(path)
    assert "\n" not in str(told.value)


def folder_of_yolo(folder: Path, line: str, shape: str = "kpt_shape: [17, 3]") -> Path:
    (folder / "labels/train").mkdir(parents=True)
    (folder / "data.yaml").write_text(shape + "\n")
    (folder / "labels/train/a.txt").write_text(line)
    return folder


def test_yolo_labels_with_faults_are_told(tmp_path: Path):
    from lightpose.formats import Options, format_named

    good = "0 0.5 0.5 0.2 0.2 " + "0.5 0.5 2 " * 17
    for number, (line, shape, text) in enumerate(
        (
            (
                good + " 1",
                "kpt_shape: [17, 3]",
                r"a.txt:1: 57 numbers are not a class, a box and 3 for each of 17 joints",
            ),
            (good.replace("0.2", "200"), "kpt_shape: [17, 3]", r"a.txt:1: the box is in pixels, and labels are shares"),
            (good, "names: [person]", r"data.yaml has no kpt_shape such as \[17, 3\]; add it"),
        )
    ):
        folder = folder_of_yolo(tmp_path / str(number), line, shape)
        with pytest.raises(DataError, match=text):
            [*format_named("yolo-pose").read(folder, Options(image_hw=(480, 640)))]


def test_openpose_frames_that_contradict_are_told(tmp_path: Path):
    write(walkers(2), tmp_path / "op", "openpose")
    (tmp_path / "op/other_000000000001_keypoints.json").write_text('{"people": []}')
    with pytest.raises(DataError, match="are both frame 1; put each video into its own folder"):
        lightpose.read(tmp_path / "op")
    (tmp_path / "op/other_000000000001_keypoints.json").write_text('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}')
    (tmp_path / "op/walk_000000000001_keypoints.json").unlink()
    with pytest.raises(DataError, match="3 numbers are not x, y and score of 17 joints, as in the first file"):
        lightpose.read(tmp_path / "op")


def test_a_line_that_a_kill_cut_off_is_passed_over(tmp_path: Path):
    write(walkers(3), tmp_path / "a.jsonl")
    content = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(content[:-20])
    assert len(lightpose.read(tmp_path / "a.jsonl")) == 2


def test_a_parquet_file_of_a_later_schema_is_refused(tmp_path: Path, monkeypatch):
    from lightpose.formats import parquet

    monkeypatch.setattr(parquet, "VERSION", 9)
    write(walkers(3), tmp_path / "a.parquet")
    monkeypatch.undo()
    with pytest.raises(DataError, match="has schema 9, and this lightpose knows 1; install a newer one"):
        lightpose.read(tmp_path / "a.parquet")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with a.jsonl; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    write(walkers(), tmp_path / "a.jsonl")

    def of(line: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(line.split())
        return int(ended.value.code or 0), *capsys.readouterr()

    return of


def test_convert_says_what_is_lost_and_what_is_done(run, tmp_path: Path):
    code, out, errors = run("convert a.jsonl a_px.trc")
    assert (code, out) == (0, "a_px.trc: frames: 40, people: 74\n")
    assert "trc holds no boxes, ids, image sizes, joint scores and scores; they are left out" in errors
    assert "trc holds one person: 3, who is in 39 frames, is written; --person chooses another of 7" in errors
    assert run("convert a.jsonl b.jsonl") == (0, "b.jsonl: frames: 40, people: 74\n", "")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("convert a.jsonl b.csv --person 9", "there is no person 9 in a.jsonl; leave out --person to have all"),
        ("convert a.jsonl b.foo", "b.foo does not tell its format; choose one of jsonl, csv"),
        ("convert none.jsonl b.csv", "cannot read none.jsonl: there is no such file"),
        ("convert a.jsonl . --to openpose", ". is a link, or has something in it; name a new folder"),
        ("convert a.jsonl nowhere/b.csv", "there is no folder nowhere; make it first"),
        ("convert a.jsonl b.csv --fps 0", "fps must be frames a second, above 0, not 0.0"),
        ("convert a.jsonl b.trc --height 17", "a person's height is from 0.3 to 3 metres, not 17.0"),
        ("angles a.jsonl --out b.mot", "a .mot file has the angles of one person; add --person, of 3, 7"),
        ("angles a.jsonl --out b.xlsx", "angles are written as .csv or .mot; choose one of these suffixes"),
        ("angles a.jsonl --names left_toe", "there is no angle 'left_toe'; known are"),
        (
            "angles a.jsonl --names left_foot",
            "the angle left_foot needs left_big_toe, left_heel, which the skeleton lacks",
        ),
        ("angles a.jsonl --hz 13", "13.0 Hz needs over 26 frames a second, here are 25; choose fewer Hz"),
    ],
)
def test_a_wrong_command_writes_nothing(line: str, text: str, run, tmp_path: Path):
    code, out, errors = run(line)
    assert (code, out, errors.count("\n")) == (2, "", 1), errors
    assert text in errors
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_angles_are_written_for_spreadsheets_and_opensim(run, tmp_path: Path):
    pytest.importorskip("matplotlib")
    code, out, errors = run("angles a.jsonl --names left_knee --velocities v.csv --plot p.svg")
    assert (code, errors) == (0, "")
    assert out == "angles.csv: frames: 40, people: 2, angles: left_knee\n"
    rows = (tmp_path / "angles.csv").read_text().splitlines()
    assert rows[0] == "frame,time_s,person,left_knee"
    assert len(rows) == 1 + 80  # the gaps are short enough to fill
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")
    assert run("angles a.jsonl --person 3 --out a.mot")[0] == 0
    assert "nRows=40\nnColumns=20\ninDegrees=yes" in (tmp_path / "a.mot").read_text()


def test_the_command_offers_all_formats_that_are_written():
    from lightpose.cli.convert import FormatName

    assert set(get_args(FormatName)) == {name for name, kind in FORMATS.items() if kind.writer}

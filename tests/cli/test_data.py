"""`lightpose data` as a user runs it: in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightpose import read_image
from tests.helpers import DrawnSet

WEIGHTS = Path(__file__).parents[2] / "lightpose" / "weights" / "bundled" / "lpn50.onnx"


def lightpose(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "lightpose", "data", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, " ".join(done.stderr.split())


def spoil(drawn: DrawnSet, **values: object) -> Path:
    """The drawn set with the first annotation changed."""
    document = json.loads(drawn.annotations.read_text())
    document["annotations"][0].update(values)
    drawn.annotations.write_text(json.dumps(document))
    return drawn.annotations


def test_check_of_a_good_set_gives_code_0_and_what_is_in_it(tmp_path: Path, drawn: DrawnSet):
    code, output, errors = lightpose("check", drawn.annotations, "--images", drawn.images, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "3 images, 3 of them with labels" in output
    assert "4 persons, 4 labelled" in output
    assert "left_shoulder" in output
    assert "errors: 0, warnings: 0" in output


def test_check_of_a_spoiled_set_gives_code_1_and_says_what_follows_and_helps(tmp_path: Path, drawn: DrawnSet):
    code, output, errors = lightpose("check", spoil(drawn, num_keypoints=0, image_id=77), cwd=tmp_path)
    assert (code, errors) == (1, "")
    text = " ".join(output.split())
    assert "num_keypoints is 0 though joints are labelled (annotation 1)" in text
    assert "AP is −1" in text
    assert "Set num_keypoints to the number of joints" in text
    assert "errors: 2" in text


def test_check_as_json_is_the_same_for_programs(tmp_path: Path, drawn: DrawnSet):
    spoil(drawn, num_keypoints=0)
    code, output, _ = lightpose("check", drawn.annotations, "--json", cwd=tmp_path)
    told = json.loads(output)
    assert code == 1
    assert told["summary"]["labelled"] == 4
    assert told["summary"]["joints"]["nose"] == [4, 0]
    first = told["findings"][0]
    assert (first["code"], first["severity"], first["count"], first["examples"]) == (
        "num_keypoints_zero",
        "error",
        1,
        [1],
    )


def test_preview_writes_a_picture_of_those_asked_for(tmp_path: Path, drawn: DrawnSet):
    labelled = (drawn.annotations, "--images", drawn.images)
    code, output, errors = lightpose("preview", *labelled, "--out", "a.png", "--ids", 1, 3, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "a.png: 2 of 4 labelled persons" in output
    assert np.ptp(read_image(tmp_path / "a.png")) > 100
    code, output, _ = lightpose("preview", *labelled, "--out", "b.jpg", "--count", 3, "--seed", 5, cwd=tmp_path)
    assert "b.jpg: 3 of 4" in output


def test_label_adds_to_a_copy_and_says_how_much(tmp_path: Path, drawn: DrawnSet):
    before = spoil(drawn, keypoints=[0] * 51, num_keypoints=0).read_bytes()
    labelled = ("label", drawn.annotations, "--images", drawn.images, "--model", WEIGHTS, "--out", "new.json")
    code, output, errors = lightpose(*labelled, "--min-score", 0, "--agree", 9, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert drawn.annotations.read_bytes() == before
    new = json.loads((tmp_path / "new.json").read_text())["annotations"]
    count = new[0]["num_keypoints"]
    assert 0 < count == sum(new[0]["keypoints"][2::3])
    assert new[1:] == json.loads(before)["annotations"][1:]
    assert f"new.json: looked at 4 persons, 1 gained labels, {count} keypoints in all" in output


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["coco", "cvat", "label-studio", "yolo-pose"])
def test_pre_labels_for_a_tool_are_read_again(kind: str, tmp_path: Path, drawn: DrawnSet):
    spoil(drawn, keypoints=[0] * 51, num_keypoints=0)
    out = {"coco": "new.json", "cvat": "new.xml", "label-studio": "new.json", "yolo-pose": "new"}[kind]
    labelled = ("label", drawn.annotations, "--images", drawn.images, "--model", WEIGHTS, "--out", out)
    code, output, errors = lightpose(*labelled, "--to", kind, "--hidden-below", 0.99, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert f"{out}: looked at 4 persons, 1 gained labels, 17 keypoints in all" in output
    images = tmp_path / "new/images/train" if kind == "yolo-pose" else drawn.images
    if kind == "label-studio":
        assert "new_config.xml: the labelling interface, to paste into the project's settings" in output
        assert 'whenTagName="joints"' in (tmp_path / "new_config.xml").read_text()
        tasks = json.loads((tmp_path / out).read_text())
        for task in tasks:
            task["annotations"] = [{"result": task["predictions"][0]["result"]}]
        (tmp_path / out).write_text(json.dumps(tasks))
    code, _, errors = lightpose("check", out, "--images", images, "--json", cwd=tmp_path)
    assert (code, errors) == (0, "")
    if kind != "coco":
        assert lightpose("convert", kind, out, "--images", images, "--out", "back.json", cwd=tmp_path)[0] == 0
    else:
        (tmp_path / out).rename(tmp_path / "back.json")
    rows = json.loads((tmp_path / "back.json").read_text())["annotations"]
    marks = np.array([row["keypoints"][2::3] for row in rows])
    assert marks.tolist() == [[1] * 17, *[[2] * 17] * 3]  # the network's are hidden, those of a person as they were


def test_convert_writes_two_files_that_train(tmp_path: Path, drawn: DrawnSet):
    savemat = pytest.importorskip("scipy.io").savemat
    joints = np.random.default_rng(0).uniform(20, 140, (3, 14, 3))
    joints[2] = 0
    savemat(tmp_path / "joints.mat", {"joints": joints})
    for number in (1, 2, 3):
        (drawn.images / f"im{number:04}.jpg").write_bytes((drawn.images / "0001.png").read_bytes())
    command = ("convert", "lsp", "joints.mat", "--images", drawn.images, "--out", "lsp.json", "--val-after", 2)
    code, output, errors = lightpose(*command, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "lsp.json: 2 images, 2 persons" in output
    assert "lsp_val.json: 1 images, 1 persons" in output
    code, _, _ = lightpose("check", "lsp_val.json", "--images", drawn.images, cwd=tmp_path)
    assert code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "files", "complaint"),
    [
        (["check", "none.json"], {}, "cannot read none.json: No such file"),
        (["check", "a.json"], {"a.json": "{"}, "a.json is not a json file"),
        (["check", "a.json"], {"a.json": "[1]"}, "a.json: this is a list"),
        (["check", "a.json"], {"a.json": "3"}, "a.json: this is no COCO annotation file"),
        (["check", "a.json", "--images", "x"], {"a.json": '{"images": []}'}, "no folder of images called x"),
        (
            ["convert", "lsp", "a.mat", "--images", ".", "--out", "a.json"],
            {"a.mat": "x"},
            "a.mat is not a whole MATLAB",
        ),
        (["convert", "mpii", "no.mat", "--images", ".", "--out", "a.json"], {}, "cannot read no.mat: No such file"),
        (["preview", "a.json", "--images", ".", "--out", "b.jpg"], {"a.json": "{}"}, "no list called 'images'"),
        (["preview", "SET", "--images", "IMAGES", "--out", "b.doc"], {}, "cannot write images of the kind '.doc'"),
        (["preview", "SET", "--images", "IMAGES", "--out", "no/b.jpg"], {}, "no/"),
        (["preview", "SET", "--images", "IMAGES", "--out", "b.jpg", "--count", "0"], {}, "count must be at least 1"),
        (["preview", "SET", "--images", ".", "--out", "b.jpg"], {}, "0001.png: No such file"),
        (["label", "SET", "--images", "IMAGES", "--out", "SET"], {}, "people.json would overwrite"),
        (["label", "SET", "--images", "IMAGES", "--out", "b.json", "--model", "no.onnx"], {}, "no.onnx"),
        (["label", "SET", "--images", "IMAGES", "--out", "b.json", "--agree", "-1"], {}, "agree must be finite"),
        (["label", "SET", "--images", "IMAGES", "--out", "no/b.json"], {}, "there is no folder no; make it first"),
        (["preview", "SET", "--images", "IMAGES", "--out", "no/b.jpg"], {}, "there is no folder no; make it first"),
        (
            ["convert", "lsp", "no.mat", "--images", "x", "--out", "no/b.json"],
            {},
            "there is no folder no; make it first",
        ),
    ],
)
def test_bad_input_gets_a_sentence_and_exit_code_2(
    tmp_path: Path, drawn: DrawnSet, command: list[str], files: dict[str, str], complaint: str
):
    work = tmp_path / "work"
    work.mkdir()
    for name, content in files.items():
        (work / name).write_text(content)
    there = {"SET": str(drawn.annotations), "IMAGES": str(drawn.images)}
    code, _, errors = lightpose(*[there.get(word, word) for word in command], cwd=work)
    assert code == 2
    assert complaint in errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in work.iterdir()) == sorted(files)


def test_what_is_read_how_is_said_in_a_line_and_the_rest_goes_on(tmp_path: Path, drawn: DrawnSet):
    spoil(drawn, area=None, bbox=["14", "14", "70", "112"])
    out = tmp_path / "sheet.png"
    code, output, errors = lightpose("preview", drawn.annotations, "--images", drawn.images, "--out", out, cwd=tmp_path)
    assert (code, output.split(": ")[1]) == (0, "4 of 4 labelled persons\n")
    assert errors == (
        f"lightpose: {drawn.annotations}: numbers written as text are read as numbers "
        "(1: annotation 1 of image 1 (0001.png))"
    )


def test_check_and_preview_refuse_the_same_rows(tmp_path: Path, drawn: DrawnSet):
    spoil(drawn, bbox=["14", "14", "wide", "112"])
    code, _, errors = lightpose("preview", drawn.annotations, "--images", drawn.images, "--out", "a.png", cwd=tmp_path)
    assert code == 2
    assert "annotation 1 of image 1 (0001.png) must have a bbox of four finite numbers" in errors
    code, output, _ = lightpose("check", drawn.annotations, cwd=tmp_path)
    assert code == 1
    assert "lightpose refuses the file" in " ".join(output.split())

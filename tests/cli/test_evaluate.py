"""`lightpose evaluate` as a user runs it, in this process."""

import json
import zipfile

import pytest

pytest.importorskip("faster_coco_eval")

from lightpose.cli import main
from lightpose.skeletons import COCO17
from tests.helpers import draw_set

FAST = ("--no-flip",)


@pytest.fixture
def lightpose(capsys):
    """Runs the command; gives exit code, standard output, and standard error as one line."""

    def run(*arguments):
        with pytest.raises(SystemExit) as done:
            main(["evaluate", *map(str, arguments)])
        output, errors = capsys.readouterr()
        return done.value.code, output, " ".join(errors.split())

    return run


@pytest.fixture
def labelled(drawn):
    return "--annotations", drawn.annotations, "--images", drawn.images


def detections_of(drawn, path):
    """The given boxes as a detector's, one of them doubtful, and one of a picture that is not there."""
    rows = [
        {"image_id": row["image_id"], "category_id": 1, "bbox": row["bbox"], "score": 0.9}
        for row in json.loads(drawn.annotations.read_text())["annotations"]
    ]
    rows[0]["score"] = 0.1
    path.write_text(json.dumps([*rows, {**rows[0], "image_id": 99}]))
    return path


def test_every_figure_comes_with_how_it_was_got(lightpose, labelled):
    code, output, errors = lightpose(*labelled, "--decoder", "softargmax", "--padding", 1.4)
    assert (code, errors) == (0, "")
    first, figures = output.splitlines()
    assert "persons=4  boxes=given  protocol=lightpose  flip=True  decoder=softargmax" in first
    assert figures.startswith("ap ")
    crops = "msra geometry, crops 1.4 × the boxes"
    assert figures.endswith(f"(given boxes, flip test, softargmax β=160, {crops}, OKS-NMS hard 0.9 by box areas)")


def test_bootstrap_and_breakdown_add_to_the_json(lightpose, labelled):
    code, output, _ = lightpose(*labelled, *FAST, "--json", "--bootstrap", 50, "--breakdown")
    found = json.loads(output)
    assert code == 0
    for name in ("ap", "ap50", "ap75", "pck_0.1"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low <= high <= 1
    assert found["bootstrap"] == {"resamples": 50, "seed": 0, "level": 0.95}
    assert len(found["breakdown"]["joints"]) == 17
    again = json.loads(lightpose(*labelled, *FAST, "--json", "--bootstrap", 50, "--seed", 1)[1])
    assert again["ap"] == found["ap"]
    assert again["pck_0.1_interval"] != found["pck_0.1_interval"]


def test_a_detectors_boxes_and_the_papers_protocol(tmp_path, lightpose, labelled, drawn):
    boxes = detections_of(drawn, tmp_path / "boxes.json")
    arguments = (*labelled, "--boxes", boxes, "--protocol", "paper-code", "--json")
    found = json.loads(lightpose(*arguments)[1])
    assert (found["detections"], found["boxes_elsewhere"], found["pictures_with_boxes"]) == (4, 1, 3)
    assert (found["decoder"], found["beta"], found["nms_areas"]) == ("softargmax_quarter", 160, "crop")
    assert found["pck_0.1"] is None
    fewer = json.loads(lightpose(*arguments, "--box-threshold", 0.5, "--nms", "soft")[1])
    assert (fewer["detections"], fewer["box_threshold"], fewer["nms"]) == (3, 0.5, "soft")


def test_a_detectors_figures_stand_beside_those_in_the_given_boxes(tmp_path, lightpose, labelled):
    """One person is on the first and third picture, two are on the second: a detector of one box misses one of four."""
    pytest.importorskip("onnx")
    import numpy as np

    from tests.detect import graphs

    left = np.array([[1, 1, 33, 50]])  # of 64 x 96, where a picture's 200 x 160 pixels become 64 x 51
    detector = graphs.ours(tmp_path / "left.onnx", left, np.array([0.9]), threshold=0.4)
    arguments = (*labelled, *FAST, "--detector", detector)
    found = json.loads(lightpose(*arguments, "--json")[1])
    given = json.loads(lightpose(*labelled, *FAST, "--json")[1])
    assert (found["boxes"], found["box_threshold"], found["detections"]) == ("left.onnx (lightpose)", 0.4, 3)
    assert found["given_boxes"]["ap"] == given["ap"]
    assert found["lost"]["ap"] == pytest.approx(given["ap"] - found["ap"], abs=2e-6)
    assert "pck_0.1" not in found["lost"], "it is measured in the given boxes alone"
    lines = lightpose(*arguments, "--box-threshold", 0.95)[1].splitlines()
    assert "boxes=left.onnx (lightpose)  box_threshold=0.95  detections=0" in lines[0]
    assert lines[1].startswith("ap 0.0")
    assert lines[2].startswith("in the given boxes (what finding people costs): ap ")


def test_results_are_written_so_that_pycocotools_finds_the_same_ap(tmp_path, lightpose, labelled, drawn):
    pytest.importorskip("pycocotools")
    from tests.evaluate.oracles import oracle

    code, output, _ = lightpose(*labelled, *FAST, "--results", tmp_path / "r.json", "--json")
    rows = json.loads((tmp_path / "r.json").read_text())
    expected = oracle(json.loads(drawn.annotations.read_text()), rows)
    assert (code, len(rows)) == (0, 4)
    assert json.loads(output)["ap"] == pytest.approx(expected[0], abs=1e-6)


def test_joints_that_other_tools_count_otherwise_are_told_of_with_the_results(tmp_path, lightpose):
    drawn = draw_set(tmp_path / "drawn", (1, 2), joints=["neck", *COCO17.joints[5:]])
    arguments = ("--annotations", drawn.annotations, "--images", drawn.images, *FAST)
    code, _, errors = lightpose(*arguments, "--results", tmp_path / "r.json")
    assert code == 0
    assert "r.json: joints unknown to the network (neck) are 0, 0, 0 in it" in errors
    assert f"numpy.array({list(COCO17.sigmas[5:])})" in errors
    assert lightpose(*arguments)[2] == ""


def test_pictures_without_labels_give_a_submission_and_no_ap(tmp_path, lightpose, drawn):
    boxes = detections_of(drawn, tmp_path / "boxes.json")
    document = json.loads(drawn.annotations.read_text())
    info = tmp_path / "image_info_test-dev2017.json"
    info.write_text(json.dumps({"images": document["images"]}))
    arguments = ("--annotations", info, "--images", drawn.images, *FAST)
    code, output, errors = lightpose(*arguments, "--boxes", boxes, "--submission", tmp_path / "mine.zip")
    assert (code, errors) == (0, "")
    assert "ap " not in output
    assert "mine.zip: person_keypoints_test-dev2017_mine_results.json, 4 poses" in output
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        rows = json.loads(archive.read("person_keypoints_test-dev2017_mine_results.json"))
    assert [row["image_id"] for row in rows] == [1, 2, 2, 3]
    for more, complaint in (
        ((), "has no annotations, so no boxes either; give those of a detector"),
        (("--boxes", boxes), "has no annotations, so no AP; name a results or submission file"),
        (("--boxes", boxes, "--bootstrap", 9), "has no annotations: leave bootstrap, breakdown and plot out"),
    ):
        code, _, errors = lightpose(*arguments, *more)
        assert (code, complaint in errors) == (2, True)


def test_pckh_and_the_torsos_pck_are_tables_by_part(tmp_path, lightpose):
    from lightpose.skeletons import MPII16

    joints = [joint for joint in MPII16.joints if joint not in ("pelvis", "thorax")]
    drawn = draw_set(tmp_path / "drawn", (1, 2), joints=joints)
    document = json.loads(drawn.annotations.read_text())
    for row in document["annotations"]:
        row["head_box"] = [10, 10, 40, 50]
    drawn.annotations.write_text(json.dumps(document))
    labelled = ("--annotations", drawn.annotations, "--images", drawn.images, *FAST)
    found = json.loads(lightpose(*labelled, "--pck", "head", "--json")[1])
    assert list(found["pckh_0.5_parts"]) == ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "mean"]
    assert found["pckh_0.5_parts"]["mean"] == found["pckh_0.5"] >= found["pckh_0.1"]
    assert found["pckh_0.5_parts"]["head"] is None, "the bundled network knows no top of the head"
    code, output, _ = lightpose(*labelled, "--pck", "torso", "--bootstrap", 20)
    assert code == 0
    assert output.splitlines()[-2].split() == [*["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "mean"]]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bootstrap", -1], "bootstrap and seed must be whole numbers from 0 on"),
        (["--seed", -1], "bootstrap and seed must be whole numbers from 0 on"),
        (["--box-threshold", 0.5], "a box threshold needs the boxes of a detector"),
        (["--boxes", "b.json", "--pck", "head"], "PCK by the head is measured in the given boxes"),
        (["--detector", "d.onnx", "--pck", "head"], "PCK by the head is measured in the given boxes; leave --detector"),
        (["--detector", "d.onnx", "--boxes", "b.json"], "give --detector or --boxes"),
        (["--detector", "d.onnx"], "no weights at d.onnx"),
        (["--detector", "d.pt"], "detector 'd.pt' is unknown"),
        (["--boxes", "none.json"], "cannot read none.json"),
        (["--pck", "head"], "nobody has a head_box"),
        (["--submission", "a.json"], "COCO's server takes a zip; call the submission a.zip"),
        (["--results", "nowhere/a.json"], "nowhere/a.json cannot be written: there is no folder nowhere"),
        (["--results", "."], ". is a folder; name a file in it"),
        (["--protocol", "paper", "--decoder", "dark"], "the protocol paper has decoder softargmax, not dark"),
        (["--protocol", "paper", "--no-flip"], "the protocol paper has flip True, not False"),
        (["--beta", 0], "beta must be above 0"),
    ],
)
def test_settings_that_do_not_go_together_get_a_sentence_before_the_work(lightpose, labelled, arguments, complaint):
    code, output, errors = lightpose(*labelled, *arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


def test_a_set_that_shares_no_joint_with_the_network_is_refused_before_the_work(tmp_path, lightpose):
    drawn = draw_set(tmp_path / "drawn", (1,), joints=["neck", "head_top"])
    code, _, errors = lightpose("--annotations", drawn.annotations, "--images", drawn.images)
    assert code == 2
    assert "no joint of skeleton 'coco17'" in errors

"""`lightpose ablate` and `lightpose paper` as a user runs them, in this process."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("faster_coco_eval")

from lightpose.cli import main
from lightpose.weights import DEFAULT
from lightpose.weights.inspect import describe_weights

pytestmark = pytest.mark.slow

FAST = ("--no-flip",)


@pytest.fixture
def lightpose(capsys):
    """Runs a command; gives exit code, standard output, and standard error as one line."""

    def run(*arguments):
        with pytest.raises(SystemExit) as done:
            main([*map(str, arguments)])
        output, errors = capsys.readouterr()
        return done.value.code, output, " ".join(errors.split())

    return run


@pytest.fixture
def labelled(drawn):
    return "--annotations", drawn.annotations, "--images", drawn.images


@pytest.fixture
def log(tmp_path):
    epochs = [{"epoch": n, "stage": n // 2, "loss": 1.0, "ap": ap} for n, ap in enumerate((0.1, 0.2, 0.3, 0.25))]
    stages = [{"stage": 0, "ap": 0.2, "epoch": 1}]
    (tmp_path / "log.json").write_text(json.dumps({"model": "lpn50", "epochs": epochs, "stages": stages}))
    return tmp_path / "log.json"


def test_decoders_are_a_table_in_which_every_line_says_how(lightpose, labelled):
    code, output, errors = lightpose("ablate", "decode", "lpn50", *labelled, *FAST, "--betas", 160, "--bootstrap", 9)
    assert (code, errors) == (0, "")
    first, header, *rows, last = output.splitlines()
    assert first.endswith("people.json: 3 images, 4 persons")
    assert header.split() == ["model", "decoder", "AP", "gain", "AP50", "AP75", "AR", "PCK@0.1"]
    assert len(rows) == 7
    ways = ("argmax", "quarter", "softargmax β=160", "softargmax_quarter β=160", "dark", "dark_udp", "expected_oks")
    crops = f"msra geometry, crops {describe_weights(DEFAULT).spec.padding:g} × the boxes"
    for row, way in zip(rows, ways, strict=True):
        assert row.startswith("lpn50 ")
        assert f" {way} " in row
        assert row.endswith(f"(given boxes, no flip test, {way}, {crops}, OKS-NMS hard 0.9 by box areas)")
    assert ["[" in row for row in rows] == [False] + [True] * 6
    assert last == "in brackets: 95 % percentile intervals of gains, 9 draws, seed 0"


def test_records_of_decoders_and_of_an_evaluation_fill_the_papers_tables(tmp_path, lightpose, labelled):
    records = tmp_path / "decoders.json"
    records.write_text(lightpose("ablate", "decode", "lpn50", *labelled, *FAST, "--json")[1])
    assert len(json.loads(records.read_text())) == 15
    table = json.loads(lightpose("paper", "table5", "--results", records, "--json")[1])
    [row] = [row for row in table["rows"] if row["whose"] == "ours" and row["cells"]]
    assert set(row["cells"]) == {"Common", "β=40", "β=80", "β=120", "β=160", "β=200"}
    assert "differs from the paper: data drawn/people.json (3 images, 4 persons), not COCO val2017" in row["note"]

    report = tmp_path / "report.json"
    code, output, _ = lightpose("evaluate", *labelled, *FAST, "--decoder", "quarter", "--report", report)
    assert (code, output.splitlines()[-1]) == (0, f"{report}: a record of the figures")
    again = json.loads(report.read_text())
    twin = next(row for row in json.loads(records.read_text()) if row["decoder"] == "quarter")
    assert {name: again[name] for name in ("ap", "pck_0.1", "sha256", "parameters")} == {
        name: twin[name] for name in ("ap", "pck_0.1", "sha256", "parameters")
    }
    code, output, _ = lightpose("paper", "table3", "--results", report)
    assert code == 0
    assert f"{100 * again['ap']:.1f}" in next(line for line in output.splitlines() if "people.json" in line)
    assert output.count("(not measured)") == 5


def test_stages_are_a_table_side_by_side(lightpose, log):
    code, output, errors = lightpose("ablate", "stages", log, log.parent)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0].startswith(f"columns 2 to 4: {log}, lpn50, AP on a set that the log does not name, given boxes")
    assert [line.split() for line in lines[3:6]] == [
        ["0", "2", "20.00", "2", "20.00"], ["1", "4", "30.00*", "+10.00", "4", "30.00*", "+10.00"],
        ["all", "+10.00", "+10.00"],
    ]  # fmt: skip
    runs = json.loads(lightpose("ablate", "stages", log, "--json")[1])
    assert [mark["ap"] for mark in runs[0]["stages"]] == [0.2, 0.3]
    code, output, _ = lightpose("paper", "table4", "--results", log)
    assert "20.00" in next(line for line in output.splitlines() if str(log) in line)


def test_sizes_and_global_context_say_what_they_cannot_do(tmp_path, lightpose, labelled):
    for arguments, complaint in (
        (("size", "lpn50", "--input-hw", "128x96"), "lpn50 is fixed to one input size"),
        (("size", "lpn50", "--input-hw", "small"), "--input-hw must be HEIGHTxWIDTH, such as 256x192, not 'small'"),
        (("gc", "lpn50"), "there are no weights without global context; add them"),
        (("gc", tmp_path), "no weights at"),
        (("decode",), "name at least one weights file"),
        (("decode", "nothing.onnx"), "no weights at nothing.onnx"),
        (("decode", "lpn50", "--betas", 0), "beta must be above 0"),
        (("decode", "lpn50", "--bootstrap", -1), "bootstrap and seed must be whole numbers from 0 on"),
        (("decode", "lpn50", "--box-threshold", 0.5), "a box threshold needs the boxes of a detector"),
        (("decode", "lpn50", "--boxes", "none.json"), "cannot read none.json"),
    ):
        code, output, errors = lightpose("ablate", *arguments, *labelled)
        assert (code, output) == (2, "")
        assert complaint in errors


def test_tables_say_what_they_cannot_do(tmp_path, lightpose, log):
    pytest.importorskip("matplotlib")
    (tmp_path / "bad.json").write_text("{")
    for arguments, complaint in (
        (("table1", "--bench", log), "speeds are for figure4; table1 has none, so leave --bench out"),
        (("table1", "--results", log), "has no usable 'network'; write it with lightpose evaluate --report"),
        (("table5", "--results", tmp_path / "bad.json"), "is not a json file"),
        (("table4", "--results", tmp_path / "none"), "cannot read"),
        (("figure4", "--out", tmp_path / "f.doc"), "a plot cannot be written to"),
        (("figure4", "--out", tmp_path / "no" / "f.png"), "there is no folder"),
        (("figure4", "--out", tmp_path / "f.png", "--bench", log), "must be a list of objects with model"),
    ):
        code, output, errors = lightpose("paper", *arguments)
        assert (code, output) == (2, ""), arguments
        assert complaint in errors
    assert not list(tmp_path.glob("f.*"))


def test_a_report_that_cannot_be_written_is_refused_before_the_work(lightpose, labelled):
    code, output, errors = lightpose("evaluate", *labelled, "--report", "nowhere/a.json")
    assert (code, output) == (2, "")
    assert "nowhere/a.json cannot be written: there is no folder nowhere" in errors

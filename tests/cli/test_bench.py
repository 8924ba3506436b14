"""`lightpose bench` as a user calls it."""

import json
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from lightpose.cli import main
from tests.detect.graphs import pose_network

pytestmark = pytest.mark.slow

FAST = ("--repeats", "1", "--threads", "1", "--no-memory")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs the command in an empty folder with a small network; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    pose_network(tmp_path / "pose.onnx")

    def run(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["bench", *arguments])
        return ended.value.code, *capsys.readouterr()

    return run


def test_results_are_printed_and_written_as_json_and_markdown(bench, tmp_path: Path):
    files = ("--json", "r.json", "--markdown", "r.md")
    code, output, errors = bench("pose.onnx", *FAST, "--flip", "--batch", "1", "2", "--stages", "--people", "1", *files)
    assert (code, errors) == (0, "")
    assert "colors (pose.onnx)" in output
    rows = json.loads((tmp_path / "r.json").read_text())
    assert {"model", "engine", "precision", "batch", "threads", "input_hw", "flip", "ms_median", "ms_iqr", "fps",
            "fps_flip", "people_per_s", "peak_mb"} <= set(rows[0])  # fmt: skip
    assert [(row["batch"], row["input_hw"], len(row["end_to_end"])) for row in rows] == [
        (1, [64, 48], 1),
        (2, [64, 48], 0),
    ]
    text = (tmp_path / "r.md").read_text()
    assert text.count("| colors (pose.onnx) | 64x48 | onnxruntime | fp32 | 1 |") == 2
    assert "| colors | onnxruntime | 1 |" in text


def test_no_line_is_folded_where_there_is_no_terminal(bench, tmp_path: Path):
    name = f"{'p' * 120}.onnx"
    (tmp_path / "pose.onnx").rename(tmp_path / name)
    code, output, errors = bench(name, *FAST)
    assert (code, errors) == (0, "")
    [line] = [line for line in output.splitlines() if name in line]
    assert "onnxruntime" in line
    assert max(map(len, output.splitlines())) < 400


def test_what_became_slower_is_flagged_and_the_exit_code_says_so(bench, tmp_path: Path):
    bench("pose.onnx", *FAST, "--json", "old.json")
    [row] = json.loads((tmp_path / "old.json").read_text())
    for factor, code, word in ((1000, 0, "ok: pose.onnx 64x48 onnxruntime fp32"), (0.001, 1, "SLOWER: pose.onnx")):
        (tmp_path / "other.json").write_text(json.dumps([row | {"ms_median": factor * row["ms_median"]}]))
        found, output, _ = bench("pose.onnx", *FAST, "--compare", "other.json")
        assert found == code
        assert word in output
    found, _, errors = bench("pose.onnx", *FAST, "--batch", "2", "--compare", "old.json")
    assert found == 2
    assert "nothing that was measured is in the file to compare with" in errors


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("none.onnx",), "none.onnx is neither a file nor a network"),
        (("pose.onnx", "--repeats", "0"), "needs a network and a repeat at least"),
        (("pose.onnx", "--threads", "-1"), "threads must not be below 0"),
        (("pose.onnx", "--batch", "0"), "batches must be whole numbers"),
        (("pose.onnx", "--inputs", "64"), "--inputs must be HEIGHTxWIDTH"),
        (("pose.onnx", "--json", "no/r.json"), "there is no folder no"),
        (("pose.onnx", "--compare", "pose.onnx"), "pose.onnx"),
        (("pose.onnx", "--compare", "missing.json"), "missing.json"),
        (("pose.onnx", "--results", "r.json"), "--results are for --figure"),
        (("pose.onnx", *FAST, "--stages", "--people", "0"), "people, repeats and pictures must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(bench, arguments: tuple[str, ...], reason: str):
    pytest.importorskip("torch")
    code, _, errors = bench(*arguments)
    assert code == 2
    assert reason in errors
    assert errors.startswith("lightpose: ")
    assert errors.count("\n") == 1


def test_figure_4_is_drawn_of_the_fastest(bench, tmp_path: Path):
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    code, output, errors = bench("lpn50", *FAST, "--figure", "f.png")
    assert (code, errors) == (0, "")
    assert "drawn to f.png: 7 points with speed and AP; hollow: speed from here, AP from the paper" in output
    assert (tmp_path / "f.png").stat().st_size > 5000
    code, _, errors = bench("lpn50", *FAST, "--figure", "f.doc")
    assert code == 2
    assert "a plot cannot be written to f.doc" in errors

"""`lightpose bulk`: its words, exit codes and sentences."""

import json
from pathlib import Path

import pytest

from lightpose.cli import main
from lightpose.cli.bulk import with_run

pytest.importorskip("onnx")
pytest.importorskip("pyarrow")


@pytest.fixture
def said(capsys):
    """Runs a command, and gives its exit code, output and errors."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        return (ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["bulk", "photos", "--out", "x"], ["bulk", "run", "photos", "--out", "x"]),
        (["bulk", "--out", "x", "photos"], ["bulk", "run", "--out", "x", "photos"]),
        (["bulk", "./status", "--out", "x"], ["bulk", "run", "./status", "--out", "x"]),
        (["bulk", "status", "x"], ["bulk", "status", "x"]),
        (["bulk", "run", "status"], ["bulk", "run", "status"]),
        (["bulk", "--help"], ["bulk", "--help"]),
        (["bulk"], ["bulk"]),
        (["predict", "bulk"], ["predict", "bulk"]),
    ],
)
def test_run_may_be_left_out(given: list[str], meant: list[str]):
    assert with_run(given) == meant


@pytest.mark.parametrize("text", ["-1", "100%", "150%", "many", "5.5", "%", "nan%"])
def test_a_limit_of_failures_that_is_none_is_refused(text: str, said, tmp_path: Path):
    code, output, errors = said("bulk", tmp_path, "--out", tmp_path / "out", f"--max-failures={text}")
    assert (code, output) == (2, "")
    assert errors.startswith("lightpose: --max-failures must be a number of images such as 500, or a share such as 5%")


def test_a_dry_run_counts_and_writes_nothing(said, tmp_path: Path):
    from tests.scale.small import draw_images

    folder = draw_images(tmp_path / "in", 25)
    told = "20 images, the first of them 00000.png, in 3 shards; nothing was written\n"
    assert said("bulk", folder, "--out", tmp_path / "out", "--shard", 7, "--limit", 20, "--dry-run") == (0, told, "")
    assert not (tmp_path / "out").exists()


def test_a_camera_and_a_place_without_a_run_are_refused_in_a_sentence(said, tmp_path: Path):
    code, _, errors = said("bulk", "webcam:0", "--out", tmp_path / "out")
    assert (code, "is a camera, which has no end" in errors, errors.count("\n")) == (2, True, 1)
    for command in ("status", "verify"):
        code, _, errors = said("bulk", command, tmp_path / "none")
        assert (code, "holds no bulk run" in errors, errors.count("\n")) == (2, True, 1)


@pytest.mark.slow
def test_a_run_from_its_start_to_its_merge(said, tmp_path: Path):
    from tests.scale.small import draw_images, tiny_network

    folder, out, network = draw_images(tmp_path / "in", 20, broken=1), tmp_path / "out", tiny_network(tmp_path / "n")
    words = ["bulk", folder, "--out", out, "--model", network.model, "--detector", network.detector, "--shard", 8]
    code, output, errors = said(*words, "--workers", 1)
    assert (code, errors) == (1, "")
    assert output.startswith("20 images, 38 people; 1 unreadable\n")
    assert f"written: 3 parts in {out}\n" in output
    assert said("bulk", "status", out) == (0, "20 of 20 images, 3 of 3 parts\n38 people; 1 unreadable\n", "")
    assert said("bulk", "verify", out)[0] == 0
    assert said("bulk", "merge", out, "--to", tmp_path / "merged") == (
        0, f"written: 1 files in {tmp_path / 'merged'}\n", ""
    )  # fmt: skip
    (out / "part-000001.parquet").unlink()
    assert said("bulk", "status", out)[:2] == (1, "12 of 20 images, 2 of 3 parts\n22 people; 1 unreadable\n")
    assert said("bulk", "verify", out)[0] == 1
    assert json.loads((out / "_report.json").read_text())["finished"]
    code, _, errors = said(*words, "--flip")
    assert (code, "flip was false, and is true" in errors) == (2, True)

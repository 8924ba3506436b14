"""`lightpose weights` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightpose.cli import main
from lightpose.weights import DEFAULT, find_weights, known_sha256

Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def lightpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in the test's folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["weights", *map(str, arguments)])
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LPN-50 as its authors' code saves it."""
    torch = pytest.importorskip("torch")
    from tests.weights.foreign_networks import PoseResNet

    path = tmp_path_factory.mktemp("theirs") / "lpn_50.pth"
    torch.save(PoseResNet(50, 17, True, True).state_dict(), path)
    return path


def test_list_names_the_bundled_weights_with_their_sums(lightpose: Run):
    code, output, errors = lightpose("list")
    assert (code, errors) == (0, "")
    assert "256x192   17 joints" in output
    assert known_sha256()[DEFAULT] in output
    rows = json.loads(lightpose("list", "--json")[1])
    assert {row["name"]: row["sha256"] for row in rows} == known_sha256()


def test_info_tells_what_a_file_is_for(lightpose: Run):
    code, output, errors = lightpose("info", DEFAULT)
    assert (code, errors) == (0, "")
    for told in ("lpn50", "coco17, 17 joints: nose, left_eye", "256x192", "gc=True", "rgb", "msra"):
        assert told in output
    told = json.loads(lightpose("info", DEFAULT, "--json")[1])
    assert (told["known_as"], told["spec"]["skeleton"]["name"]) == (DEFAULT, "coco17")
    assert told["spec"]["decoder"] in output


def test_an_import_says_what_it_recognised_and_assumed_and_can_be_used(theirs: Path, tmp_path: Path, lightpose: Run):
    code, output, errors = lightpose("info", theirs)
    assert (code, errors) == (0, "")
    assert "lpn50, gc=True, 17 joints, of the LPN authors' code" in output
    assert "import it with: lightpose weights import" in " ".join(output.split())
    assert not list(tmp_path.iterdir())

    code, output, errors = lightpose(
        "import", theirs, "--out", "mine.safetensors", "--decoder", "dark", "--input-hw", 128, 96
    )
    assert (code, errors) == (0, "")
    text = " ".join(output.split())
    assert "color_order bgr assumed: as the LPN authors' code has it" in text
    assert "decoder dark as asked" in text
    assert "input_hw 128x96 as asked" in text
    assert "mine.safetensors: " in text
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]
    spec = json.loads(lightpose("info", "mine.safetensors", "--json")[1])["spec"]
    assert (spec["color_order"], spec["decoder"], spec["input_hw"]) == ("bgr", "dark", [128, 96])
    code, output, _ = lightpose("verify", "mine.safetensors")
    assert (code, output.startswith("mine.safetensors: OK (weights finite, fits its network)")) == (0, True)
    refused(lightpose("import", "mine.safetensors", "--out", "b.safetensors"), "lightpose's own already")


def refused(done: tuple[int | str | None, str, str], text: str) -> None:
    code, output, errors = done
    assert (code, output) == (2, "")
    assert errors.startswith("lightpose: ")
    assert text in " ".join(errors.split())
    assert errors.count("\n") == 1, "one sentence, no traceback"


def test_what_cannot_be_imported_is_refused_in_one_sentence_and_leaves_no_file(
    theirs: Path, tmp_path: Path, lightpose: Run
):
    (tmp_path / "broken.pth").write_bytes(theirs.read_bytes()[:5000])
    out = ("--out", "mine.safetensors")
    refused(lightpose("import", "broken.pth", *out), "broken.pth is not a whole PyTorch checkpoint")
    refused(lightpose("info", "broken.pth"), "broken.pth is not a whole PyTorch checkpoint")
    refused(lightpose("import", "none.pth", *out), "no checkpoint at none.pth")
    refused(lightpose("import", theirs, "--out", "mine.onnx"), "must end in .safetensors")
    refused(lightpose("import", theirs, *out, "--skeleton", "lsp14"), "has 14 joints; give one that fits")
    refused(lightpose("import", theirs, *out, "--input-hw", 100, 100), "must be two multiples of 16")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.pth"]


@pytest.mark.slow
def test_verify_goes_on_after_a_bad_file_and_says_so_in_its_exit_code(tmp_path: Path, lightpose: Run):
    content = find_weights(DEFAULT).read_bytes()
    (tmp_path / "whole.onnx").write_bytes(content)
    (tmp_path / "short.onnx").write_bytes(content[:-9999])
    code, output, errors = lightpose("verify", "short.onnx", "whole.onnx")
    assert code == 1
    assert output.startswith("whole.onnx: OK (as packed, ")
    assert errors.startswith("lightpose: short.onnx is not a whole ONNX file")
    assert lightpose("verify", "short.onnx")[:2] == (2, "")
    assert lightpose("verify")[0] == 0


def test_an_average_is_written_and_can_be_used(theirs: Path, tmp_path: Path, lightpose: Run):
    from lightpose.weights.network import load_network, save_network

    lightpose("import", theirs, "--out", "one.safetensors")
    network, spec = load_network(tmp_path / "one.safetensors")
    for value in network.parameters():
        value.data.mul_(3)
    save_network(tmp_path / "three.safetensors", network, spec)
    code, output, errors = lightpose(
        "average", "one.safetensors", "three.safetensors", "--shares", 3, 1, "--out", "mean.safetensors"
    )
    assert (code, errors) == (0, "")
    assert output.startswith("mean.safetensors: 11.")
    assert "the mean of 2 files" in output
    mean, _ = load_network(tmp_path / "mean.safetensors")
    for value, tripled in zip(mean.parameters(), network.parameters(), strict=True):
        assert abs(value - tripled / 2).max() <= 1e-5 * abs(tripled).max()
    assert lightpose("verify", "mean.safetensors")[0] == 0


def test_what_has_no_average_is_refused_in_one_sentence_and_leaves_every_file(
    theirs: Path, tmp_path: Path, lightpose: Run
):
    lightpose("import", theirs, "--out", "one.safetensors")
    whole = (tmp_path / "one.safetensors").read_bytes()
    two = ("one.safetensors", "one.safetensors")
    refused(lightpose("average", *two, "--out", "one.safetensors"), "would overwrite one.safetensors")
    refused(lightpose("average", *two, "--out", "mean.onnx"), "must end in .safetensors")
    refused(lightpose("average", "one.safetensors", "--out", "mean.safetensors"), "two or more weights files")
    refused(lightpose("average", *two, "--shares", 1, "--out", "mean.safetensors"), "there are 2 files, but 1 shares")
    refused(lightpose("average", "one.safetensors", find_weights(DEFAULT), "--out", "mean.safetensors"), ".onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]
    assert (tmp_path / "one.safetensors").read_bytes() == whole


def test_help_of_every_command_shows_an_example(lightpose: Run):
    for command in ("import", "list", "info", "verify", "average"):
        code, output, _ = lightpose(command, "--help")
        assert code == 0
        assert "Example: lightpose weights" in output

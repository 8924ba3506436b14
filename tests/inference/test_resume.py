"""A run over a folder that is killed, filled up, doubled or changed, and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from filelock import FileLock

from lightpose import Boxes, PoseEstimator
from lightpose.errors import ConfigError
from lightpose.inference.folder import LOCK, predict_images
from lightpose.inference.resume import PARTIAL
from lightpose.io.images import encode_image
from lightpose.io.sources import find_images
from tests.detect.graphs import pose_network

COUNT = 60


def people_of(image: np.ndarray) -> Boxes:
    """As many persons as the first pixel's red says, modulo 4."""
    number = np.arange(image[0, 0, 0] % 4, dtype=np.float32)
    return Boxes(np.stack([16 * number, 12 * number, 0 * number + 14, 0 * number + 20], -1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty images, the eleventh broken."""
    (tmp_path / "in").mkdir()
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = generator.integers(0, 256, (60, 50, 3), dtype=np.uint8)
        pixels[0, 0] = number
        (tmp_path / f"in/{number:03}.png").write_bytes(encode_image(pixels, ".png"))
    (tmp_path / "in/010.png").write_bytes(b"no image")
    return tmp_path / "in"


@pytest.fixture
def estimator(tmp_path: Path) -> PoseEstimator:
    return PoseEstimator(pose_network(tmp_path / "pose.onnx"), people_of, batch=4)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def stop_after(count: int):
    def progress(done: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_a_stopped_run_goes_on_where_it_was_and_ends_as_an_unbroken_one(
    estimator: PoseEstimator, folder: Path, tmp_path: Path
):
    files = find_images([str(folder)])
    predict_images(files, estimator, tmp_path / "whole")
    for count in (7, 30, 55):
        with pytest.raises(KeyboardInterrupt):
            predict_images(files, estimator, tmp_path / "out", progress=stop_after(count))
    results = predict_images(files, estimator, tmp_path / "out")
    assert results.resumed >= 50
    assert (results.images, len(results.failed)) == (COUNT - 1, 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_line_that_was_cut_off_is_done_again(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    files = find_images([str(folder)])
    predict_images(files, estimator, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        predict_images(files, estimator, tmp_path / "out", progress=stop_after(20))
    partial = tmp_path / "out" / PARTIAL
    partial.write_bytes(partial.read_bytes()[:-40])
    predict_images(files, estimator, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("line", [b"3", b"[]", b'{"name": "000.png"}', b'{"name": [], "stamp": 1}', b"[" * 100_000])
def test_a_damaged_line_and_what_follows_are_done_again(
    line: bytes, estimator: PoseEstimator, folder: Path, tmp_path: Path
):
    files = find_images([str(folder)])
    predict_images(files, estimator, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        predict_images(files, estimator, tmp_path / "out", progress=stop_after(20))
    partial = tmp_path / "out" / PARTIAL
    lines = partial.read_bytes().splitlines()
    lines[3] = line
    partial.write_bytes(b"\n".join(lines) + b"\n")
    predict_images(files, estimator, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_image_that_has_changed_is_done_again(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    files = find_images([str(folder)])
    with pytest.raises(KeyboardInterrupt):
        predict_images(files, estimator, tmp_path / "out", progress=stop_after(20))
    pixels = np.full((64, 40, 3), 3, np.uint8)
    (folder / "002.png").write_bytes(encode_image(pixels, ".png"))
    predict_images(files, estimator, tmp_path / "out")
    predict_images(files, estimator, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_another_run_is_refused_until_the_first_is_finished_or_dropped(
    estimator: PoseEstimator, folder: Path, tmp_path: Path
):
    files = find_images([str(folder)])
    with pytest.raises(KeyboardInterrupt):
        predict_images(files, estimator, tmp_path / "out", progress=stop_after(20))
    done = (tmp_path / "out" / PARTIAL).read_bytes()
    for others in (files[:5], [*files, files[0]][1:]):
        with pytest.raises(ConfigError, match="part of a run with other images or settings; repeat that command"):
            predict_images(others, estimator, tmp_path / "out")
    flipped = PoseEstimator(tmp_path / "pose.onnx", people_of, flip=True)
    with pytest.raises(ConfigError, match="add --restart to drop it"):
        predict_images(files, flipped, tmp_path / "out")
    assert (tmp_path / "out" / PARTIAL).read_bytes() == done, "nothing that was done is lost"
    results = predict_images(files[:5], estimator, tmp_path / "out", restart=True)
    assert (results.resumed, results.images) == (0, 5)
    assert not (tmp_path / "out" / PARTIAL).exists()


def test_two_runs_do_not_write_to_one_folder(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / LOCK), pytest.raises(ConfigError, match="another run is writing to"):
        predict_images(find_images([str(folder)]), estimator, tmp_path / "out")


def test_outputs_never_take_the_place_of_inputs(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    (tmp_path / "second").mkdir()
    (tmp_path / "second/003.png").write_bytes((folder / "004.png").read_bytes())
    before = contents(tmp_path / "second")
    with pytest.raises(ConfigError, match="would overwrite"):
        predict_images(find_images([str(folder), str(tmp_path / "second")]), estimator, tmp_path / "second")
    assert contents(tmp_path / "second") == before


def test_if_nothing_can_be_used_nothing_is_left(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    results = predict_images(find_images([str(folder / "010.png")]), estimator, tmp_path / "out")
    assert (results.images, len(results.failed)) == (0, 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_full_disk_loses_nothing_that_was_done(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    files = find_images([str(folder)])
    predict_images(files, estimator, tmp_path / "whole")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    code = f"{limit}; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    run = _program(tmp_path, folder, before=code)
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert len((tmp_path / "out" / PARTIAL).read_bytes()) > 10_000
    subprocess.run([sys.executable, "-c", _program(tmp_path, folder)], check=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _program(tmp_path: Path, folder: Path, before: str = "pass") -> str:
    return (
        f"{before}\n"
        "from pathlib import Path; from lightpose import PoseEstimator\n"
        "from lightpose.inference.folder import predict_images; from lightpose.io.sources import find_images\n"
        "from tests.inference.test_resume import people_of\n"
        f"estimator = PoseEstimator({str(tmp_path / 'pose.onnx')!r}, people_of, batch=4)\n"
        f"predict_images(find_images([{str(folder)!r}]), estimator, Path({str(tmp_path / 'out')!r}))\n"
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_run_is_taken_up_and_ends_as_an_unbroken_one(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    predict_images(find_images([str(folder)]), estimator, tmp_path / "whole")
    partial, killed = tmp_path / "out" / PARTIAL, 0
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.003.png.0123456789abcdef.partial").write_bytes(b"half an image")
    for lines in (5, 20, 40):
        process = subprocess.Popen([sys.executable, "-c", _program(tmp_path, folder)])
        while process.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") > lines):
            time.sleep(0.001)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert killed, "no run was killed while it worked"
    subprocess.run([sys.executable, "-c", _program(tmp_path, folder)], check=True)
    mine, whole = contents(tmp_path / "out"), contents(tmp_path / "whole")
    assert mine == whole, "and nothing half written is left"
    assert json.loads(mine["poses.json"])["failed"][0]["image"].endswith("010.png")

"""Whole runs with processes: rows, failures, poison, what is refused; each answer held against another way to it."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import lightpose.scale
from lightpose.errors import ConfigError, ImageError, LightposeError, StoreError
from lightpose.scale.bulk import Progress, run_bulk
from lightpose.scale.check import status_of, verify
from lightpose.scale.local import LocalEngine
from lightpose.scale.merge import merge
from lightpose.scale.report import Report
from lightpose.scale.settings import Settings
from tests.scale.small import (
    Deadly,
    Hanging,
    Raising,
    Stillborn,
    draw_images,
    mark,
    parts_of,
    rows_of,
    tiny_network,
    tiny_settings,
)

pytest.importorskip("onnx")
pytestmark = pytest.mark.slow


def bulk(folder: Path, out: Path, workers: int = 1, make_worker: object = None, **more: object) -> Report:
    """A run over a folder, with the tiny networks beside it."""
    others = {"make_worker": make_worker} if make_worker else {}
    settings = tiny_settings(folder.parent / "networks", **more)
    return run_bulk([str(folder)], str(out), settings, LocalEngine(workers, 1), **others)


@pytest.mark.parametrize("rows", ["image", "person"])
def test_rows_are_what_predict_finds_image_by_image_whatever_the_cut(rows: str, tmp_path: Path):
    folder = draw_images(tmp_path / "in", 23)
    found = []
    for number, (workers, shard) in enumerate([(1, 100), (2, 7), (3, 1)]):
        out = tmp_path / f"out{number}"
        report = bulk(folder, out, workers, shard=shard, rows=rows)
        assert (report.images, report.people, report.failed, report.shards) == (23, 46, 0, -(-23 // shard))
        assert verify(str(out)).faults == []
        found.append(rows_of(out))
    assert found[0] == found[1] == found[2]
    estimator = tiny_settings(tmp_path / "networks").network.open(2)
    expected = []
    for path in sorted(folder.iterdir()):
        poses = estimator.predict(path)
        own = {"source": path.name, "status": "ok", "error": None,
               "width": poses.image_hw[1], "height": poses.image_hw[0]}  # fmt: skip
        people = [
            {
                "score": pose.score,
                "box": dict(zip(("left", "top", "width", "height"), pose.box_xywh.tolist(), strict=True)),
                "box_score": pose.box_score,
                "keypoints": {joint: pose[joint]._asdict() for joint in pose.skeleton.joints},
            }
            for pose in poses
        ]
        if rows == "image":
            expected.append({**own, "people": people})
        else:
            expected += [{**own, "person": number, **person} for number, person in enumerate(people)]
    assert found[0] == expected


def test_failures_are_rows_with_a_status_and_are_counted(tmp_path: Path):
    folder = draw_images(tmp_path / "in", 20, broken=2)
    (folder / "empty.png").write_bytes(b"")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    (folder / "large.png").write_bytes((folder / "00000.png").read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTPOSE_MAX_PIXELS", "8000")
        (folder / "large.bmp").write_bytes(_large())
        report = bulk(folder, tmp_path / "out", rows="person")
    wanted = {"00003.png": "unreadable", "00013.png": "unreadable", "empty.png": "unreadable", "gone.png": "missing",
              "large.bmp": "too_large"}  # fmt: skip
    rows = rows_of(tmp_path / "out")
    assert {row["source"]: row["status"] for row in rows if row["status"] != "ok"} == wanted
    assert all(row["error"] and row["person"] is None and row["score"] is None for row in rows if row["status"] != "ok")
    assert dict(report.failures) == dict(Counter(wanted.values()))
    table = pq.read_table(tmp_path / "out/errors.parquet").to_pylist()
    assert {row["source"]: row["status"] for row in table} == wanted
    told = json.loads((tmp_path / "out/_report.json").read_text())
    assert (told["finished"], told["images"], told["failed"], told["people"]) == (True, 24 - 0, 5, 2 * 18 + 2)


def _large() -> bytes:
    from lightpose.io.images import encode_image

    return encode_image(np.zeros((100, 90, 3), np.uint8), ".bmp")


@pytest.mark.parametrize("rows", ["image", "person"])
def test_an_image_without_people_has_a_row(rows: str, tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 3), tmp_path / "out"
    network = replace(tiny_network(tmp_path / "networks"), detector_threshold=1.0)
    report = run_bulk([str(folder)], str(out), Settings(network, rows), LocalEngine(1, 1))
    assert (report.images, report.people) == (3, 0)
    found = rows_of(out)
    assert [(row["source"], row["status"]) for row in found] == [(f"0000{number}.png", "ok") for number in range(3)]
    people, none = ("people", []) if rows == "image" else ("person", None)
    assert all(row[people] == none for row in found)
    assert verify(str(out)).faults == []


BAD = [(Deadly, b"KILLS", "poison"), (Deadly, b"SEGV!", "poison"), (Raising, b"RAISE", "poison"),
       (Hanging, b"HANGS", "timeout")]  # fmt: skip


@pytest.mark.parametrize(("worker", "what", "status"), BAD)
def test_an_image_that_ends_its_process_alone_is_set_aside(worker: type, what: bytes, status: str, tmp_path: Path):
    folder = draw_images(tmp_path / "in", 60)
    bad = [mark(folder / f"{number:05}.png", what) for number in ((7, 11) if what == b"KILLS" else (7,))]
    patience = {"patience_s": 5.0} if status == "timeout" else {}
    report = bulk(folder, tmp_path / "out", 1, worker, shard=30, **patience)
    assert dict(report.failures) == {status: len(bad)}
    found = rows_of(tmp_path / "out")
    assert [row["source"] for row in found if row["status"] != "ok"] == bad
    assert verify(str(tmp_path / "out")).faults == []
    bulk(folder, tmp_path / "whole", 1, shard=30)
    others = [row for row in rows_of(tmp_path / "whole") if row["source"] not in bad]
    assert [row for row in found if row["source"] not in bad] == others


def test_the_same_call_again_does_nothing_and_another_is_refused(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 25), tmp_path / "out"
    bulk(folder, out)
    before = parts_of(out)
    assert bulk(folder, out).computed == 25
    assert parts_of(out) == before
    with pytest.raises(ConfigError, match=r'rows was "image", and is "person"\); use those, or name another --out'):
        bulk(folder, out, rows="person")
    with pytest.raises(ConfigError, match=r"limit was null, and is 5"):
        bulk(folder, out, limit=5)
    image = folder / "00024.png"
    image.write_bytes((folder / "00000.png").read_bytes())
    with pytest.raises(ConfigError, match=r"00024.png has changed since"):
        bulk(folder, out)
    image.unlink()
    with pytest.raises(ConfigError, match=r"number 25 was '00024.png', and is nothing"):
        bulk(folder, out)
    assert parts_of(out) == before


def test_a_model_file_that_was_replaced_is_refused(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 25), tmp_path / "out"
    bulk(folder, out)
    (out / "part-000001.parquet").unlink()
    settings = tiny_settings(tmp_path / "networks")
    import onnx

    graph = onnx.load(settings.network.model)
    graph.doc_string = "another"
    onnx.save(graph, settings.network.model)
    with pytest.raises(ConfigError, match=r"model_sha256 was .*, and is "):
        run_bulk([str(folder)], str(out), settings, LocalEngine(1, 1))


def test_a_lost_part_is_done_again_to_the_byte(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 25), tmp_path / "out"
    bulk(folder, out)
    before = parts_of(out)
    (out / "part-000001.parquet").unlink()
    assert status_of(str(out)).tally.images == 15
    assert bulk(folder, out).computed == 35
    assert parts_of(out) == before


def test_a_damaged_part_is_found_and_told(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 25), tmp_path / "out"
    bulk(folder, out)
    part, whole = out / "part-000001.parquet", (out / "part-000001.parquet").read_bytes()
    flipped = bytearray(whole)
    flipped[200] ^= 1
    part.write_bytes(flipped)
    assert verify(str(out)).count == 1
    part.write_bytes(whole[:-20])
    with pytest.raises(StoreError, match=r"part-000001.parquet .* is no whole Parquet file; remove it"):
        bulk(folder, out)
    part.write_bytes((out / "part-000002.parquet").read_bytes())
    with pytest.raises(StoreError, match=r"part-000001.parquet .* is of another run"):
        bulk(folder, out)
    assert "it is of another run, or of another shard" in verify(str(out)).faults[0]
    part.unlink()
    checked = verify(str(out))
    assert (checked.missing, checked.images, checked.faults) == (
        1, 15, ["part-000001.parquet is not there; run the command again"]
    )  # fmt: skip


def test_places_that_hold_something_else_are_refused(tmp_path: Path):
    folder = draw_images(tmp_path / "in", 3)
    with pytest.raises(ConfigError, match=r"is not empty \(00000.png\) and holds no run"):
        bulk(folder, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="there is no image in"):
        bulk(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(ConfigError, match="holds no run to go on with"):
        run_bulk([str(folder)], str(tmp_path / "new"), tiny_settings(tmp_path / "networks"), resume=True)
    with pytest.raises(ConfigError, match="holds no bulk run"):
        verify(str(tmp_path / "new"))


def test_too_many_failures_stop_the_run_and_a_higher_limit_goes_on(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 40, broken=8), tmp_path / "out"
    with pytest.raises(ConfigError, match=r"\d+ of \d+ images failed \(\d unreadable\), more than --max-failures"):
        bulk(folder, out, max_failures=3)
    assert not json.loads((out / "_report.json").read_text())["finished"]
    with pytest.raises(ConfigError, match=r"8 of 40 images failed"):
        bulk(folder, out, max_failures=0.1)
    assert bulk(folder, out, max_failures=0.2).failed == 8


def test_progress_never_falls_and_ends_at_all(tmp_path: Path):
    folder = draw_images(tmp_path / "in", 25)
    told: list[Progress] = []
    settings = tiny_settings(tmp_path / "networks")
    run_bulk([str(folder)], str(tmp_path / "out"), settings, LocalEngine(2, 1), progress=told.append)
    images = [each.images for each in told]
    assert images == sorted(images)
    assert images[-1] == told[-1].total == 25


def test_the_files_of_a_merge_have_the_rows_of_the_parts(tmp_path: Path):
    folder, out, to = draw_images(tmp_path / "in", 25), tmp_path / "out", tmp_path / "merged"
    bulk(folder, out)
    names = merge(str(out), str(to), 12)
    tables = [pq.read_table(to / name).to_pylist() for name in names]
    assert [len(table) for table in tables] == [12, 12, 1]
    assert [row for table in tables for row in table] == rows_of(out)
    with pytest.raises(ConfigError, match="is not empty"):
        merge(str(out), str(to), 12)
    (out / "part-000001.parquet").unlink()
    with pytest.raises(ConfigError, match="1 of 3 parts are not in"):
        merge(str(out), str(tmp_path / "other"), 12)


def test_a_full_disk_ends_the_run_in_one_sentence_and_it_goes_on_afterwards(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 25), tmp_path / "out"
    before, on_limit = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))  # the parts are larger, the manifest is not
        with pytest.raises(StoreError, match=r"cannot write .*part-00000\d.parquet: File too large"):
            bulk(folder, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, on_limit)
    assert parts_of(out) == {}
    assert not list(out.glob(".*.partial"))
    assert bulk(folder, out).images == 25
    assert verify(str(out)).faults == []


def test_a_clock_that_was_set_back_changes_nothing(tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 25), tmp_path / "out"
    bulk(folder, out)
    before = parts_of(out)
    for path in [*out.rglob("*")]:
        os.utime(path, (4e9, 4e9))  # as if all had been written in the year 2096
    (out / "part-000001.parquet").unlink()
    report = bulk(folder, out)
    assert parts_of(out) == before
    assert report.seconds > 0


def test_the_public_call_takes_options_by_name(tmp_path: Path):
    folder, network = draw_images(tmp_path / "in", 5), tiny_settings(tmp_path / "networks").network
    report = lightpose.scale.run(
        folder, tmp_path / "out", workers=1, model=network.model, detector=network.detector, shard=2, rows="person"
    )
    assert (report.images, report.shards) == (5, 3)
    with pytest.raises(ConfigError, match="row is no option of a bulk run"):
        lightpose.scale.run(folder, tmp_path / "out", row="person")


def test_workers_that_cannot_begin_end_the_run(tmp_path: Path):
    folder = draw_images(tmp_path / "in", 5)
    with pytest.raises(LightposeError, match=r"end before they begin \(it ended by SIGKILL\); .* fewer --workers"):
        bulk(folder, tmp_path / "out", make_worker=Stillborn)
    assert parts_of(tmp_path / "out") == {}


INTERRUPTED = """
import sys
from lightpose.cli import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_driver_and_ctrl_c_is_one_sentence(number: signal.Signals, tmp_path: Path):
    folder, out = draw_images(tmp_path / "in", 400), tmp_path / "out"
    network = tiny_settings(tmp_path / "networks").network
    (tmp_path / "main.py").write_text(INTERRUPTED)
    command = [sys.executable, tmp_path / "main.py", "bulk", folder, "--out", out, "--model", network.model,
               "--detector", network.detector, "--workers", "2", "--shard", "20"]  # fmt: skip
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # else that of who started the tests, perhaps none
    driver = subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heard
    )
    while not list(out.glob("part-*")):
        assert driver.poll() is None, driver.stderr.read()
        time.sleep(0.05)
    workers = _children(driver.pid)
    assert workers
    if number == signal.SIGINT:
        os.killpg(driver.pid, number)  # as a terminal does
    else:
        driver.kill()
    said = driver.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert driver.returncode == 130
        assert said == f"lightpose: interrupted; what is done stays in {out}, and the same command goes on with it\n"
    deadline = time.monotonic() + 30
    while any(_is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive their driver"
        time.sleep(0.05)
    again = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert verify(str(out)).images == 400


def _children(pid: int) -> list[int]:
    """The processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in (task / "children").read_text().split():
            found += [int(child), *_children(int(child))]
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

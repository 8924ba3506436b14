"""Formats of other tools, written while a run goes on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import lightpose
from lightpose.errors import ConfigError
from lightpose.formats import FORMATS, format_named
from lightpose.formats.base import Options
from lightpose.formats.parquet import GROUP, ParquetParts
from lightpose.inference.format_sinks import GROWING, FormatSink, check_formats
from lightpose.inference.sinks import JsonLines
from lightpose.types import Frame
from tests.formats.people import walkers

IMAGE = np.zeros((480, 640, 3), np.uint8)
WRITTEN = [name for name, kind in FORMATS.items() if kind.writer and name != "jsonl"]


@pytest.mark.parametrize("name", WRITTEN)
def test_each_format_is_written_as_convert_would_write_it(name: str, tmp_path: Path):
    kind, lines = format_named(name), JsonLines(tmp_path / "poses.jsonl")
    sink = FormatSink(kind, tmp_path, tmp_path / "poses.jsonl")
    for poses in walkers(30):
        frame = Frame(IMAGE, poses.name, poses.frame or 0, poses.time_s)
        sink.write(frame, poses)
        lines.write(frame, poses)
    for each in (lines, sink):
        each.close()
    assert (tmp_path / kind.file).exists()
    if kind.reader:
        frames = [*kind.read(tmp_path / kind.file, Options())]
        assert sum(map(len, frames)) == (29 if name == "trc" else 54)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".parts"]


@pytest.mark.parametrize("name", GROWING)
def test_what_a_kill_leaves_is_readable(name: str, tmp_path: Path):
    kind = format_named(name)
    sink = FormatSink(kind, tmp_path, tmp_path / "poses.jsonl")
    for number in range(2 * GROUP + 5):
        poses = walkers(1)[0]
        sink.write(Frame(IMAGE if name != "yolo-pose" else IMAGE[:8, :8], "a.mp4", number, number / 25), poses)
    place = tmp_path / ("poses.parts" if name == "parquet" else kind.file)
    if name == "yolo-pose":
        assert len([*(place / "labels/train").iterdir()]) == 2 * GROUP + 5
    else:
        assert len(lightpose.read(place, name, fps=25)) == (2 * GROUP if name == "parquet" else 2 * GROUP + 5)
    sink.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("name", ["csv", "csv-wide", "mot-challenge"])
def test_a_full_disk_leaves_whole_frames(name: str, tmp_path: Path):
    import resource
    import signal

    kind, frames, done = format_named(name), walkers(60), []
    sink = FormatSink(kind, tmp_path, tmp_path / "poses.jsonl")

    def write_all() -> None:
        for poses in frames:
            sink.write(Frame(IMAGE, poses.name, poses.frame or 0, poses.time_s), poses)
            done.append(len(poses))

    before, on_limit = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
        with pytest.raises(OSError, match=f"too large: '.*{kind.file}'"):
            write_all()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, on_limit)
    assert (tmp_path / kind.file).read_bytes().endswith(b"\n")
    assert (lightpose.read(tmp_path / kind.file, fps=25).state > 0).sum() == sum(done) > 0
    sink.close()


def test_parts_become_one_file_with_as_many_row_groups(tmp_path: Path):
    import pyarrow.parquet

    writer = ParquetParts(tmp_path / "a.parquet", Options())
    for number in range(GROUP + 1):
        poses = walkers(1)[0]
        writer.write(poses.__class__(**{**poses.__dict__, "frame": number, "time_s": number / 25}))
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    file = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    assert file.num_row_groups == 2
    about = json.loads(file.schema_arrow.metadata[b"lightpose"])
    assert (about["schema"], about["joints"][0], about["image_hw"]) == (1, "nose", [480, 640])
    assert lightpose.read(tmp_path / "a.parquet", start_s=12, end_s=13).frame.tolist() == [300]


def test_formats_that_cannot_be_are_refused_before_the_work(tmp_path: Path):
    with pytest.raises(ConfigError, match="the format 'bvh' is unknown; known are jsonl, csv"):
        check_formats(["bvh"], tmp_path, [])
    with pytest.raises(ConfigError, match=r"cannot have jsonl: poses\.json and poses\.jsonl are written anyway"):
        check_formats(["jsonl"], tmp_path, [])
    (tmp_path / "openpose").mkdir()
    (tmp_path / "openpose/mine.json").touch()
    with pytest.raises(ConfigError, match="has something in it; remove it, or name another --out"):
        check_formats(["openpose"], tmp_path, [])
    assert check_formats(["openpose"], tmp_path, [], continued=True)
    (tmp_path / "coco.json").touch()
    with pytest.raises(ConfigError, match="would overwrite"):
        check_formats(["coco"], tmp_path, [tmp_path / "coco.json"])

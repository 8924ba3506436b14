"""Every command with every pair of its paths made one file, in every way there is: refused before anything is touched.

The paths are read off the commands themselves, so a new option cannot be forgotten.
"""

import dataclasses
import itertools
import json
import os
import typing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import lightpose.cli as cli
from lightpose.cli.marks import FILLS, READS, WRITES, marks_of
from lightpose.inference.folder import LOCK as PREDICT_LOCK
from lightpose.inference.resume import PARTIAL
from lightpose.io.images import encode_image
from lightpose.io.places import Place, claimed
from tests.helpers import draw_set

NO_PATHS = {
    "Profile.input", "Size.input_hw", "Bench.inputs", "Predict.person", "Predict.detect_every", "Predict.formats",
    "Serve.host", "Serve.max_upload", "Serve.max_pixels", "Serve.token", "Serve.allow_host", "Serve.device",
    "Predict.device", "Evaluate.device",
    "Add.name", "Add.sha256", "Remove.names", "Angles.names", "Run.keep", "Run.column", "Run.max_failures",
    "Run.device", "Run.ray", "Run.metrics", "Run.detect_every",
}  # fmt: skip
"""Text that names no file."""

WORDS = {"Convert": ["lsp"], "Paper": ["figure4"]}
"""What the commands are told besides files."""

Names = tuple[str, ...]


def leaves(kind: object = cli.Command, names: Names = ()) -> Iterator[tuple[Names, type]]:
    """Every command: its words, and its dataclass."""
    for annotated in typing.get_args(kind):
        inner, marker = annotated.__origin__, annotated.__metadata__[0]
        words = (*names, marker.name)
        nested = typing.get_type_hints(inner, include_extras=True).get("command")
        yield from leaves(nested, words) if nested else [(words, inner)]


COMMANDS = dict(leaves())
WRITING = {names: kind for names, kind in COMMANDS.items() if {WRITES, FILLS} & set(marks_of(kind).values())}


def holds_text(hint: object) -> bool:
    if typing.get_origin(hint) is typing.Literal:
        return False
    return hint in (str, Path) or any(holds_text(part) for part in typing.get_args(hint))


def test_every_option_that_may_name_a_file_is_marked():
    assert len(COMMANDS) >= 22
    for kind in COMMANDS.values():
        hints = typing.get_type_hints(kind)
        texts = {field.name for field in dataclasses.fields(kind) if holds_text(hints[field.name])}
        unmarked = {f"{kind.__name__}.{name}" for name in texts - marks_of(kind).keys()}
        assert unmarked <= NO_PATHS, f"mark {unmarked} with Reads, ReadsNamed, Writes or Fills of cli/marks.py"


def same(_: Path, file: Path) -> Path:
    return file


def with_dots(_: Path, file: Path) -> Path:
    return Path(f"{file.parent}/./../{file.parent.name}/{file.name}")


def by_a_folder(folder: Path, file: Path) -> Path:
    (folder / "other").symlink_to(file.parent)
    return folder / "other" / file.name


def by_a_link(folder: Path, file: Path) -> Path:
    (folder / f"link{file.suffix}").symlink_to(file)
    return folder / f"link{file.suffix}"


def by_a_hard_link(folder: Path, file: Path) -> Path:
    os.link(file, folder / f"hard{file.suffix}")
    return folder / f"hard{file.suffix}"


WAYS = (same, with_dots, by_a_folder, by_a_link, by_a_hard_link)


def state(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All there is below a folder, links as links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_nlink, content)
    return found


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs a command that must be refused in one sentence that has all the given parts, and leave all as it was."""
    monkeypatch.chdir(tmp_path)

    def run(arguments, *parts: object) -> None:
        before = state(tmp_path)
        with pytest.raises(SystemExit) as ended:
            cli.main([*map(str, arguments)])
        output, errors = capsys.readouterr()
        assert (ended.value.code, output) == (2, ""), errors
        assert errors.startswith("lightpose: ")
        assert errors.count("\n") == 1
        assert "would overwrite" in errors or "are one file" in errors
        assert all(str(part) in errors for part in parts), errors
        assert state(tmp_path) == before

    return run


def arguments_of(names: Names, paths: dict[str, Path]) -> list[object]:
    """The command with all its paths."""
    kind = COMMANDS[names]
    hints = typing.get_type_hints(kind, include_extras=True)
    options, words = [], []
    for name, path in paths.items():
        positional = "Positional" in map(str, getattr(hints[name], "__metadata__", ()))
        if positional:
            words.append(path)
        else:
            options += [f"--{name.replace('_', '-')}", path]
    return [*names, *WORDS.get(kind.__name__, ()), *words, *options]


def combinations(kind: type) -> Iterator[tuple[str, str, object]]:
    """Pairs of options and how both become one file, or how one becomes the .bin of the other."""
    marks = marks_of(kind)
    reads, writes = ([name for name, mark in marks.items() if mark == each] for each in (READS, WRITES))
    fills = [name for name, mark in marks.items() if mark == FILLS]
    for pair in [*itertools.product(reads, writes), *itertools.combinations(writes, 2)]:
        yield from ((*pair, way) for way in (*WAYS, "first's .bin", "second's .bin"))
    yield from ((*pair, way) for pair in itertools.product(reads + writes, fills) for way in WAYS)


COMBINATIONS = [(names, *each) for names, kind in WRITING.items() for each in combinations(kind)]


@pytest.mark.parametrize("names", WRITING, ids=" ".join)
def test_no_output_is_an_input_or_another_output(names: Names, tmp_path: Path, refused):
    for number, (first, second, way) in enumerate(combinations(WRITING[names])):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = {name: folder / f"{name}.file" for name in marks_of(WRITING[names])}
        if callable(way):
            paths[first].write_text(first)
            paths[second] = way(folder, paths[first])
        else:
            owner, other = (first, second) if way == "first's .bin" else (second, first)
            paths[owner], paths[other] = folder / "graph.xml", folder / "graph.bin"
            for name in (owner, other):
                paths[name].write_text(name)
        refused(arguments_of(names, paths), paths[first], paths[second])


def test_so_many_combinations_are_tried():
    assert len(COMBINATIONS) >= 477


def test_a_file_that_is_being_written_is_refused(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for names, kind in WRITING.items():
        for out in (name for name, mark in marks_of(kind).items() if mark == WRITES):
            paths = {name: Path(f"{name}.file") for name in marks_of(kind)}
            with claimed(Place("--out", paths[out])):
                with pytest.raises(SystemExit) as ended:
                    cli.main([*map(str, arguments_of(names, paths))])
                assert ended.value.code == 2
                assert f"another run is writing to {paths[out]}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def put(way: object, folder: Path, place: Path, content: bytes) -> Path:
    """A file whose other name is `place`, which a run writes; gives the name by which it is read."""
    place.parent.mkdir()
    if way in (same, with_dots):
        place.write_bytes(content)
        return way(folder, place)
    read = folder / "read" / place.name
    read.parent.mkdir()
    read.write_bytes(content)
    if way is by_a_folder:
        place.parent.rmdir()
        place.parent.symlink_to("read")
    elif way is by_a_link:
        place.symlink_to(read)
    else:
        os.link(read, place)
    return read


PREDICTED = ("keypoints.json", "poses.json", PARTIAL, PREDICT_LOCK, "a.png")


@pytest.mark.parametrize("read", ["source", "model", "boxes", "detector"])
def test_prediction_writes_no_file_that_it_reads(read: str, tmp_path: Path, refused):
    pytest.importorskip("onnx")
    from tests.detect import graphs

    image = encode_image(np.zeros((40, 30, 3), np.uint8), ".png")
    model = graphs.pose_network(tmp_path / "pose.onnx")
    contents = {"source": image, "model": model.read_bytes(), "boxes": b"[]", "detector": b"[]"}
    names = [name for name in PREDICTED if read != "detector" or name.endswith(".json")]
    for number, (name, way) in enumerate(itertools.product(names, WAYS)):
        folder = tmp_path / str(number)
        (folder / "in").mkdir(parents=True)
        (folder / "in/a.png").write_bytes(image)
        file, out = put(way, folder, folder / "out" / name, contents[read]), folder / "out"
        option = [] if read == "source" else [f"--{read}"]
        others = ["--detector", "whole"] if read in ("source", "model") else []
        others += [] if read == "model" else ["--model", model]
        refused(["predict", folder / "in", *option, file, *others, "--out", out], file, out / name)


TRAINED = ("best.safetensors", "last.pt", "log.json", ".lock", "stage_0.safetensors", "stage_1.safetensors")
TOML = """
out = "{out}"
[model]
skeleton = "{skeleton}"
init = "{init}"
[plan]
kind = "iterative"
stages = 1
[distill]
teacher = "{teacher}"
[feature_distillation]
teacher = "{maps}"
trust = true
[data]
store = "{store}"
[[data.train]]
annotations = "{train}"
images = "{images}"
[data.val]
annotations = "{val}"
images = "{images}"
"""


@pytest.mark.parametrize("read", ["init", "teacher", "maps", "train", "val", "config"])
def test_training_writes_no_file_that_it_reads(read: str, tmp_path: Path, refused):
    pytest.importorskip("torch")
    settings = dict.fromkeys(("teacher", "maps"), "")
    settings |= {key: str(tmp_path / key) for key in ("train", "val", "images", "init.safetensors", "store")}
    settings["init"] = settings.pop("init.safetensors")
    written = [name for name in TRAINED if read != "init" or name.endswith(".safetensors")]
    for number, (name, way) in enumerate(itertools.product(written, WAYS)):
        folder = tmp_path / str(number)
        folder.mkdir()
        out = folder / "out"
        told = settings | {"out": str(out), "skeleton": "coco17"}
        config = TOML.format(**told).encode()
        file = put(way, folder, out / name, config if read == "config" else b"a file")
        if read != "config":
            (folder / "train.toml").write_text(TOML.format(**told | {read: str(file)}))
        refused(["train", file if read == "config" else folder / "train.toml"], file, out / name)


@pytest.fixture
def labelled(tmp_path):
    """A set of drawn people, its boxes as COCO results, and a folder of two more images."""
    drawn = draw_set(tmp_path / "set")
    (tmp_path / "q/raw").mkdir(parents=True)
    for place in ("q/raw/0001.png", "q/0001.png"):
        (tmp_path / place).write_bytes((drawn.images / "0002.png").read_bytes())
    rows = json.loads(drawn.annotations.read_text())["annotations"]
    boxes = [{**{key: row[key] for key in ("image_id", "bbox")}, "score": 1} for row in rows]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        ("predict set/images q --detector whole --out q", "q/0001.png"),
        ("predict q/raw q/0001.png --detector whole --out q", "q/0001.png"),
        ("data preview set/people.json --images set/images --out set/images/0001.png", "set/images/0001.png"),
        ("data label set/people.json --images set/images --out set/images/0002.png", "set/images/0002.png"),
        ("evaluate --annotations set/people.json --images set/images --plot set/images/0003.png", "0003.png"),
        ("evaluate --annotations set/people.json --images set/images --results set/images/0003.png", "0003.png"),
        ("export q/0001.png --images q --out q/raw/0001.png --to onnx", "q/raw/0001.png"),
        ("data convert lsp a.mat --images q --out v.json --val-every 2 --val-out v.json", "v.json"),
        ("data convert lsp set/v_val.json --images q --out set/v.json --val-every 2", "set/v_val.json"),
    ],
)
def test_images_that_are_read_stay_as_well(command: str, lost: str, labelled: Path, refused):
    (labelled / "set/v_val.json").touch()
    refused(command.split(), lost)


def test_what_is_no_input_may_lie_beside_the_inputs(labelled: Path, monkeypatch, capsys):
    """Earlier results, in folders that are read, are replaced."""
    monkeypatch.chdir(labelled)
    preview = "data preview set/people.json --images set/images --out set/images/sheet.png"
    predict = "predict q --detector whole --out q/out"
    for command in (preview, preview, predict, predict):
        with pytest.raises(SystemExit) as ended:
            cli.main(command.split())
        assert (ended.value.code, capsys.readouterr().err) == (0, "")
    assert (labelled / "q/out/raw/0001.png").exists()
    assert not (labelled / "q/out/out").exists()

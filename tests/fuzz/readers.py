"""Every reader of lightpose with a small valid file, how that is damaged, and the command that reads it."""

import importlib.util
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from lightpose.inference.resume import ResultFiles
from lightpose.inference.video import GROUP
from lightpose.inference.video_state import State
from lightpose.io.images import encode_image
from lightpose.skeletons import COCO17
from lightpose.types import ModelSpec
from tests.fuzz.binary import (
    Mutation,
    anywhere,
    header_words,
    jpeg_segments,
    named_boxes,
    onnx_fields,
    png_chunks,
    pnm_tokens,
    tiff_tags,
    xml_attributes,
)
from tests.fuzz.trees import checkpoint_tree, json_lines, json_tree, safetensors_header, toml_tree
from tests.helpers import draw_set

FORMATS = {
    "png": (png_chunks,), "jpg": (jpeg_segments,), "webp": (named_boxes,), "avif": (named_boxes,),
    "jp2": (named_boxes,),
    "tiff": (tiff_tags,), "bmp": (header_words,), "gif": (header_words,), "ppm": (pnm_tokens,),
}  # fmt: skip
XML = importlib.util.find_spec("openvino") is not None
CLIPS = ("mp4", "mkv", "avi", "webm") if importlib.util.find_spec("av") is not None else ()
LAYOUTS = ("ours", "yolox", "yolox_raw", "yolov5", "yolov6", "yolov8")
RECORD = {
    "model": "lpn50", "network": "lpn50", "input": "256x192", "gc": True, "ap": 0.7, "ap50": 0.9, "decoder": "argmax",
    "beta": 160.0, "flip": True, "protocol": "paper", "boxes": "given", "data": "val.json", "people": 3, "images": 2,
}  # fmt: skip
SPEED = {
    "model": "lpn50", "file": "lpn50", "engine": "onnxruntime", "precision": "fp32", "batch": 1, "threads": 1,
    "input_hw": [256, 192], "ms_median": 9.5, "ms_iqr": 0.5, "fps": 105.0, "fps_flip": 60.0, "machine": "a",
}  # fmt: skip
LOG = {
    "model": "lpn50", "data": "val.json",
    "epochs": [{"epoch": n, "stage": n // 2, "ap": 0.1 * n, "pck": 0.5, "loss": 0.1} for n in range(4)],
    "stages": [{"stage": 0, "epoch": 1, "ap": 0.1}],
}  # fmt: skip
TRAIN = """out = "out"
[model]
input_hw = [64, 48]
[optim]
batch = 4
epochs = 1
[data]
store = "out/crops"
[[data.train]]
annotations = "people.json"
images = "images"
[data.val]
annotations = "people.json"
images = "images"
"""
SKELETON = 'name = "hand"\njoints = ["a", "left_b", "right_b"]\nlimbs = [["a", "left_b"]]\nsigmas = [0.1, 0.2, 0.3]\n'


@dataclass(frozen=True)
class Reader:
    """A file, its damages, and the arguments of `lightpose`, or a function that reads it. writes: what may appear."""

    file: str
    damages: tuple[Mutation, ...]
    command: str | Callable[[str], object]
    writes: tuple[str, ...] = ()
    stdin: bool = False
    share: int = 2


def make_seeds(folder: Path) -> None:
    """The valid files, in a folder that every input gets a copy of."""
    drawn = draw_set(folder, people=(1, 2), joints=("nose", "left_wrist", "right_wrist"))
    drawn.annotations.write_text(drawn.annotations.read_text().replace("_wrist", "_hand"))
    document = json.loads(drawn.annotations.read_text())
    boxes = [
        {"image_id": each["image_id"], "category_id": 1, "bbox": each["bbox"], "score": 0.9}
        for each in document["annotations"]
    ]
    texts = {
        "boxes.json": boxes, "record.json": [RECORD], "speeds.json": [SPEED], "log.json": LOG,
    }  # fmt: skip
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "train.toml").write_text(TRAIN)
    (folder / "skeleton.toml").write_text(SKELETON)
    image = cv2.imread(str(folder / "images/0001.png"))
    (folder / "mixed").mkdir()
    for suffix in FORMATS:
        (folder / f"mixed/image.{suffix}").write_bytes(_encoded(image[:48, :64], suffix))
    _make_networks(folder)
    _make_matlab(folder)
    _make_half(folder, HALF, ResultFiles, "close", lambda self, *_: self.leave())
    if CLIPS:
        _make_clips(folder)
        _make_half(folder, HALF_CLIP, State, "remove", lambda _: None)


def _make_clips(folder: Path) -> None:
    """Short videos with sound in each container, and one that is long enough to be gone on with."""
    from tests.io.video.clips import write_clip

    for suffix in CLIPS:
        coded = {"codec": "libvpx", "sound": "libopus"} if suffix == "webm" else {}
        write_clip(folder / f"clip.{suffix}", [n / 30 for n in range(12)], click_s=0.1, **coded)
    write_clip(folder / "long.mp4", [n / 30 for n in range(GROUP + 6)])


def _encoded(image: np.ndarray, suffix: str) -> bytes:
    try:
        done, content = cv2.imencode(f".{suffix}", image)
    except cv2.error:
        done = False
    if done:
        return content.tobytes()
    head = b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 \0\0\0\0jp2 \0\0\0\x2djp2h\0\0\0\x16ihdr"  # no encoder here
    return head + bytes([0, 0, 0, 48, 0, 0, 0, 64, 0, 3, 7, 7, 0, 0]) + b"\0\0\0\0jp2c\xffO\xffQ" + bytes(60)


def _make_networks(folder: Path) -> None:
    from safetensors.numpy import save_file

    from tests.detect import graphs

    _make_pose(folder / "pose.onnx")
    if XML:
        from lightpose.runtime.openvino import read_graph, save_graph

        save_graph(*read_graph(folder / "pose.onnx"), folder / "pose.xml")
    for layout in LAYOUTS:
        getattr(graphs, layout)(folder / f"{layout}.onnx")
    spec = ModelSpec("simple50", COCO17, (64, 48)).to_json()
    save_file({"a": np.ones((3, 4), np.float32)}, folder / "some.safetensors", {"lightpose": spec})
    import torch

    checkpoint = {"state_dict": {"backbone.conv1.weight": torch.ones(4, 3, 3, 3)}, "meta": {"CLASSES": ["person"]}}
    torch.save(checkpoint, folder / "other.pth")
    progress = {"epoch": 1, "step": 0, "loss": 0.0, "epochs": [], "stages": []}
    torch.save({"progress": progress, "fingerprint": {"seed": 1}, "states": {}}, folder / "last.pt")


def _make_pose(path: Path) -> None:
    """The network of the tests, with keypoints of the shape that its description promises."""
    import onnx
    from onnx import helper

    from tests.detect.graphs import pose_network

    model = onnx.load(pose_network(path))
    graph = model.graph
    graph.node.pop()
    graph.node.append(helper.make_node("ReduceMax", ["heatmaps"], ["rows"], axes=[3], keepdims=0))
    graph.node.append(helper.make_node("AveragePool", ["rows"], ["keypoints"], kernel_shape=[5], strides=[5]))
    keypoints = helper.make_tensor_value_info("keypoints", onnx.TensorProto.FLOAT, ["N", 3, 3])
    graph.output[1].CopyFrom(keypoints)
    onnx.save(model, path)


def _make_matlab(folder: Path) -> None:
    from scipy.io import savemat

    (folder / "lsp").mkdir()
    joints = np.random.default_rng(0).uniform(5, 40, (3, 14, 2))
    joints[2] = 0
    savemat(folder / "joints.mat", {"joints": joints})
    for number in (1, 2):
        (folder / f"lsp/im{number:04}.jpg").write_bytes(encode_image(np.zeros((50, 50, 3), np.uint8), ".jpg"))
    from tests.data import test_convert as shapes

    (folder / "mpii").mkdir()
    shapes.mpii(folder / "mpii", [[shapes.rect(shapes.BODY)], [shapes.rect(shapes.BODY)]])


def _make_half(folder: Path, command: str, kind: type, method: str, instead: Callable[..., None]) -> None:
    """A folder of results whose run was stopped at its very end: a method does nothing else than leave them."""
    from lightpose.cli import main

    here = Path.cwd()
    os.chdir(folder)
    try:
        with patch.object(kind, method, instead), redirect_stdout(io.StringIO()):
            main(command.split())
    except SystemExit:
        pass
    finally:
        os.chdir(here)


def _skeleton(path: str) -> object:
    from lightpose.skeletons import from_toml

    return from_toml(path)


def _config(path: str) -> object:
    from lightpose.train import read_config

    return read_config(path)


def _checkpoint(path: str) -> object:
    from lightpose.train.checkpoint import load_checkpoint

    return load_checkpoint(Path(path).read_bytes(), Path(path), {"seed": 1}, {})


def _records(path: str) -> object:
    from lightpose.evaluate.record import read_records
    from lightpose.paper.tables import table5

    found = read_records([path])
    return [(each.network, each.gc, each.input_hw, each.figure("ap")) for each in found], table5(found).to_text()


def _speeds(path: str) -> object:
    from lightpose.paper.figure import read_speeds

    return read_speeds([path])


def _results(path: str) -> object:
    from lightpose.bench.results import compare, read_results

    return compare(read_results(path), [])


HALF = "predict images --out half --model pose.onnx --threads 1 --detector whole --no-draw"
HALF_CLIP = "predict long.mp4 --out halfclip --model pose.onnx --threads 1 --detector whole --no-draw"
PREDICT = "predict {source} --out out --model pose.onnx --threads 1"
LABELLED = "--images images --threads 1 --model pose.onnx"
DETECT = "--detector whole"


def readers() -> Iterator[Reader]:
    """The table, readers of the same file side by side."""
    out = ("out/*",)
    source = PREDICT.format(source="images")
    for suffix, damages in FORMATS.items():
        ways = (*damages, anywhere)
        yield Reader(f"mixed/image.{suffix}", ways, f"{PREDICT.format(source='mixed')} {DETECT}", out, share=4)
    for suffix in ("png", "jpg"):
        command = f"{PREDICT.format(source='-')} {DETECT}"
        yield Reader(f"mixed/image.{suffix}", (*FORMATS[suffix], anywhere), command, out, stdin=True)
    trees = (json_tree, json_tree, json_tree, anywhere)
    for command, writes in (
        ("data check people.json --images images", ()),
        (f"evaluate --annotations people.json {LABELLED} --no-flip", ()),
        (f"data label people.json {LABELLED} --out out.json", ("out.json",)),
        ("data preview people.json --images images --out out.png", ("out.png",)),
        ("evaluate-detector ours.onnx --annotations people.json --images images --threads 1", ()),
        (f"{source} --boxes people.json", out),
    ):
        yield Reader("people.json", trees, command, writes, share=6)
    yield Reader("people.json", trees, f"evaluate --annotations people.json {LABELLED} --boxes boxes.json --no-flip")
    yield Reader("boxes.json", trees, f"evaluate --annotations people.json {LABELLED} --boxes boxes.json --no-flip")
    yield Reader("boxes.json", trees, f"{source} --boxes boxes.json", out)
    for name, call in (("record.json", _records), ("speeds.json", _speeds), ("speeds.json", _results)):
        yield Reader(name, trees, call)
    yield Reader("log.json", trees, "ablate stages log.json")
    yield Reader("log.json", trees, "paper table4 --results log.json")
    yield Reader("half/.lightpose.partial.jsonl", (json_lines, json_lines, anywhere), HALF, ("half/*",))
    for suffix in CLIPS:
        yield Reader(
            f"clip.{suffix}", (named_boxes, anywhere), f"{PREDICT.format(source=f'clip.{suffix}')} {DETECT}", out
        )
    if CLIPS:
        yield Reader("halfclip/.lightpose.video.json", (json_tree, json_tree, anywhere), HALF_CLIP, ("halfclip/*",))
        yield Reader("halfclip/poses.jsonl", (json_lines, json_lines, anywhere), HALF_CLIP, ("halfclip/*",))
    tables = (toml_tree, toml_tree, anywhere)
    yield Reader("train.toml", tables, _config, share=4)
    yield Reader("skeleton.toml", tables, _skeleton)
    graphs = (onnx_fields, onnx_fields, anywhere)
    for name in LAYOUTS:
        yield Reader(f"{name}.onnx", graphs, f"{source} --detector {name}.onnx --no-draw", out)
    yield Reader("pose.onnx", graphs, f"{source} {DETECT} --no-draw", out, share=4)
    yield Reader("pose.onnx", graphs, "weights info pose.onnx")
    yield Reader("pose.onnx", graphs, "weights verify pose.onnx")
    if XML:
        yield Reader(
            "pose.xml", (xml_attributes, anywhere), f"{source.replace('.onnx', '.xml')} {DETECT} --no-draw", out
        )
        yield Reader("pose.bin", (anywhere,), "weights verify pose.xml", share=1)
        yield Reader("pose.xml", (xml_attributes, anywhere), "weights info pose.xml")
    headers = (safetensors_header, safetensors_header, anywhere)
    for command, writes in (
        ("weights info some.safetensors", ()),
        ("weights verify some.safetensors", ()),
        ("export some.safetensors --out out.onnx", ("out.onnx",)),
        ("weights average some.safetensors some.safetensors --out out.safetensors", ("out.safetensors",)),
    ):
        yield Reader("some.safetensors", headers, command, writes)
    for file, ways in (("other.pth", (checkpoint_tree, anywhere)), ("some.safetensors", headers)):
        yield Reader(file, ways, f"weights import {file} --out out.safetensors", ("out.safetensors",))
    yield Reader("last.pt", (checkpoint_tree, anywhere), _checkpoint)
    for kind, file, images in (("lsp", "joints.mat", "lsp"), ("mpii", "mpii/mpii.mat", "mpii")):
        command = f"data convert {kind} {file} --images {images} --out out.json"
        yield Reader(file, (anywhere, header_words), command, ("out.json",))


READERS = tuple(readers())
TURNS = tuple(number for number, each in enumerate(READERS) for _ in range(each.share))
"""Which reader an input is for, by its number: input i is for TURNS[i % len(TURNS)]."""

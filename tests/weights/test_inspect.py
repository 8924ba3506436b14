"""Weights files looked at and checked: what they say of themselves, and every way of being damaged."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import MissingPackageError, WeightsError
from lightpose.skeletons import COCO17, LSP14
from lightpose.types import SPEC_KEY, DetectorSpec
from lightpose.weights import DEFAULT, bundled_weights, file_sha256, find_weights, install_weights, known_sha256
from lightpose.weights.inspect import describe_weights, has_description, verify_weights


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A copy of the bundled graph under another name."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(find_weights(DEFAULT).read_bytes())
    return path


def rewrite(path: Path, metadata: str | None = None, value: float | None = None) -> None:
    """The graph with another description, or with a number of one of its weights replaced."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(path))
    if metadata is not None:
        onnx.helper.set_model_props(model, {SPEC_KEY: metadata})
    if value is not None:
        constant = next(c for c in model.graph.initializer if len(c.dims) == 4)
        changed = onnx.numpy_helper.to_array(constant).copy()
        changed.flat[3] = value
        constant.CopyFrom(onnx.numpy_helper.from_array(changed, constant.name))
    onnx.save(model, str(path))


@pytest.mark.slow
def test_every_bundled_file_has_its_sum_and_is_the_one_that_was_packed():
    assert set(known_sha256()) == set(bundled_weights())
    for name, path in bundled_weights().items():
        assert file_sha256(path) == known_sha256()[name]
        assert "as packed" in verify_weights(name).checks


def test_the_sums_are_of_all_bundled_files_as_sha256sum_would_write_them(tmp_path: Path):
    folder = find_weights(DEFAULT).parent
    copies = [tmp_path / path.name for path in folder.iterdir() if path.suffix in (".onnx", ".xml", ".bin")]
    for copy in copies:
        copy.write_bytes((folder / copy.name).read_bytes())
    install_weights(tmp_path)
    lines = [f"{hashlib.sha256(copy.read_bytes()).hexdigest()}  {copy.name}" for copy in sorted(copies)]
    assert (tmp_path / "SHA256SUMS").read_text().splitlines() == lines
    assert (folder / "SHA256SUMS").read_text().splitlines() == lines, "a bundled file changed"


def test_a_copy_is_known_whatever_it_is_called(graph: Path):
    file = describe_weights(graph)
    assert (file.known_as, file.size) == (DEFAULT, graph.stat().st_size)
    assert file.spec == describe_weights(DEFAULT).spec
    assert file.spec.skeleton == COCO17
    assert {"as packed", "runs", "outputs finite"} <= set(verify_weights(graph).checks)


def test_bundled_weights_that_changed_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lightpose.weights.inspect.known_sha256", lambda: {DEFAULT: "0" * 64})
    with pytest.raises(WeightsError, match="is not the file that lightpose was packed with; install lightpose again"):
        verify_weights(DEFAULT)
    with pytest.raises(WeightsError, match="is not the file that lightpose was packed with"):
        verify_weights(find_weights(DEFAULT))


def test_a_graph_cut_short_or_of_garbage_is_refused(graph: Path):
    for content in (graph.read_bytes()[:-5000], b"", b"garbage"):
        graph.write_bytes(content)
        with pytest.raises(WeightsError, match=r"is not a whole ONNX file|does not say what it is for"):
            verify_weights(graph)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_is_found_in_a_graph(graph: Path, value: float, monkeypatch: pytest.MonkeyPatch):
    rewrite(graph, value=value)
    with pytest.raises(WeightsError, match=r"network.stem.0.weight has values that are no numbers"):
        verify_weights(graph)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WeightsError, match=r"does not run on noise, so its weights are damaged|no numbers"):
        verify_weights(graph)


def test_an_input_that_would_fill_the_memory_is_refused(graph: Path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(graph)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**31 - 1
    onnx.save(model, graph)
    with pytest.raises(WeightsError, match="no crop is as large"):
        verify_weights(graph)


def test_a_changed_weight_is_another_file_but_whole(graph: Path):
    rewrite(graph, value=0.125)
    verdict = verify_weights(graph)
    assert verdict.file.known_as is None
    assert verdict.checks == ("weights finite", "runs", "outputs finite")


def test_a_description_that_does_not_fit_the_graph_is_refused(graph: Path):
    spec = describe_weights(DEFAULT).spec
    rewrite(graph, dataclasses.replace(spec, skeleton=LSP14).to_json())
    with pytest.raises(WeightsError, match=r"gives heatmaps of shape \(1, 17, 64, 48\), not \(1, 14, 64, 48\) as its"):
        verify_weights(graph)
    rewrite(graph, dataclasses.replace(spec, input_hw=(64, 64)).to_json())
    with pytest.raises(WeightsError, match="gives heatmaps of shape"):
        verify_weights(graph)
    for broken in ("{", "[]", "null", json.dumps({"model": "lpn50"})):
        rewrite(graph, broken)
        with pytest.raises(WeightsError, match="description is damaged"):
            describe_weights(graph)


def test_a_person_detector_is_described_as_one(graph: Path):
    rewrite(graph, DetectorSpec("lpn50_person").to_json())
    assert describe_weights(graph).spec == DetectorSpec("lpn50_person")


def test_files_of_others_are_not_taken_for_ours(graph: Path, tmp_path: Path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(graph))
    del model.metadata_props[:]
    onnx.save(model, str(graph))
    (tmp_path / "theirs.pth").write_bytes(b"x")
    for path in (graph, tmp_path / "theirs.pth"):
        assert not has_description(path)
        with pytest.raises(WeightsError, match="it was not written by lightpose"):
            describe_weights(path)


def test_a_safetensors_file_is_loaded_into_its_network(tmp_path: Path):
    torch = pytest.importorskip("torch")
    from lightpose.models import build
    from lightpose.types import ModelSpec
    from lightpose.weights.network import save_network

    spec, path = ModelSpec("lpn50", LSP14, (64, 48)), tmp_path / "mine.safetensors"
    network = build(spec)
    save_network(path, network, spec, half=True)
    assert describe_weights(path).spec == spec
    assert verify_weights(path).checks == ("weights finite", "fits its network")

    save_network(path, network, dataclasses.replace(spec, model="lpn101"))
    with pytest.raises(WeightsError, match="does not fit its network"):
        verify_weights(path)
    network.get_parameter("head.bias").data[2] = torch.nan
    save_network(path, network, spec)
    with pytest.raises(WeightsError, match=r"head\.bias has values that are no numbers"):
        verify_weights(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is not a whole safetensors file"):
        verify_weights(path)


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled weights as OpenVINO's two files."""
    engine = pytest.importorskip("lightpose.runtime.openvino", exc_type=Exception)
    path = tmp_path_factory.mktemp("ir") / "mine.xml"
    engine.save_graph(*engine.read_graph(find_weights(DEFAULT)), path)
    return path


@pytest.mark.slow
def test_an_xml_graph_is_described_and_verified_with_its_bin(ir: Path, tmp_path: Path):
    verdict = verify_weights(ir)
    assert verdict.checks == ("weights finite", "runs", "outputs finite")
    assert verdict.file.spec == describe_weights(DEFAULT).spec
    assert verdict.file.size == ir.stat().st_size + ir.with_suffix(".bin").stat().st_size
    (tmp_path / "mine.xml").write_bytes(ir.read_bytes())
    with pytest.raises(WeightsError, match=r"mine\.xml needs mine\.bin beside it"):
        describe_weights(tmp_path / "mine.xml")
    (tmp_path / "mine.bin").write_bytes(b"0" + ir.with_suffix(".bin").read_bytes()[1:])
    with pytest.raises(WeightsError, match=r"the mine\.bin beside .*mine\.xml is damaged or another graph's"):
        verify_weights(tmp_path / "mine.xml")
    (tmp_path / "mine.xml").write_text("<net></net>")
    assert not has_description(tmp_path / "mine.xml")


def test_a_number_that_is_none_is_found_in_an_xml_graph(graph: Path, tmp_path: Path):
    """In a weight of the first convolution; the .bin's sum fits."""
    rewrite(graph, value=np.nan)
    engine = pytest.importorskip("lightpose.runtime.openvino", exc_type=Exception)
    engine.save_graph(*engine.read_graph(graph), tmp_path / "nan.xml")
    with pytest.raises(WeightsError, match=r"nan\.xml: network\.stem\.0\.weight has values that are no numbers"):
        verify_weights(tmp_path / "nan.xml")


def test_without_openvino_its_files_are_refused(ir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "lightpose.runtime.openvino", raising=False)
    with pytest.raises(MissingPackageError, match="openvino"):
        verify_weights(ir)


def test_graphs_are_verified_without_the_package_onnx(graph: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert verify_weights(graph).checks == ("as packed", "runs", "outputs finite")


def test_graphs_are_listed_described_and_verified_without_torch(tmp_path: Path):
    code = (
        "import sys\n"
        "from lightpose.cli import main\n"
        "for command in (['list'], ['info', 'lpn50'], ['verify', 'lpn50']):\n"
        "    try: main(['weights', *command])\n"
        "    except SystemExit as end: assert end.code == 0\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(known_sha256()[DEFAULT]) == 3


def test_what_a_damaged_safetensors_file_says_is_cut(tmp_path: Path):
    header = b'{"__metadata__": {"a": "b"}, "x": "' + b"x" * 5000 + b'"}'
    (tmp_path / "long.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsError, match="is not a whole safetensors file") as raised:
        describe_weights(tmp_path / "long.safetensors")
    assert len(str(raised.value)) < 240 + len(str(tmp_path))

"""Which file and engine run, by the precision that is asked for."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lightpose import PoseEstimator
from lightpose.errors import ConfigError, WeightsError
from lightpose.weights import bundled_weights, find_weights
from lightpose.weights import open as opening
from lightpose.weights.open import open_runtime

PHOTO = Path(__file__).parents[2] / "examples/photos/photographer.png"


@pytest.fixture
def fast(monkeypatch):
    """A CPU that multiplies bytes fast."""
    monkeypatch.setattr(opening, "has_byte_products", lambda: True)


@pytest.fixture
def pair(tmp_path):
    """A network and its int8 file, copied from the bundled ones."""
    for name, copy in (("lpn50", "mine"), ("lpn50_int8", "mine_int8")):
        shutil.copy(bundled_weights()[name], tmp_path / f"{copy}.onnx")
    return tmp_path / "mine.onnx"


@pytest.mark.usefixtures("fast")
def test_auto_runs_the_int8_file_of_the_bundled_weights_and_of_ones_own(pair):
    for model, twin in (("lpn50", bundled_weights()["lpn50_int8"]), (pair, pair.with_name("mine_int8.onnx"))):
        runtime = open_runtime(model, 1, precision="auto")
        assert (runtime.name, runtime.precision, runtime.path) == ("onnxruntime", "int8", twin)


def test_auto_runs_the_file_itself_on_other_cpus(monkeypatch):
    monkeypatch.setattr(opening, "has_byte_products", lambda: False)
    assert open_runtime("lpn50", 1, precision="auto").precision == "float32"


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "flaw", ["no file", "of another network", "loss unknown", "loss too large", "not to be read", "damaged"]
)
def test_auto_runs_the_file_itself_without_a_good_int8_file(pair, flaw):
    onnx = pytest.importorskip("onnx")
    from lightpose.export.int8_onnx import record_ap_loss

    twin = pair.with_name("mine_int8.onnx")
    if flaw == "no file":
        twin.unlink()
    elif flaw == "damaged":
        twin.write_bytes(twin.read_bytes()[:1000])
    elif flaw == "of another network":
        model = onnx.load(str(pair))
        model.doc_string = "changed"
        pair.write_bytes(model.SerializeToString())
    else:
        record_ap_loss(twin, {"loss unknown": float("nan"), "loss too large": 0.51, "not to be read": 0.5}[flaw])
        if flaw == "not to be read":
            twin.write_bytes(
                twin.read_bytes().replace(b"lightpose_ap_loss\x12\x040.50", b"lightpose_ap_loss\x12\x04 low")
            )
    assert open_runtime(pair, 1, precision="auto").precision == "float32"


@pytest.mark.usefixtures("fast")
def test_a_file_is_run_as_it_is_unless_a_precision_is_asked_for():
    assert open_runtime("lpn50", 1).precision == "float32"
    assert open_runtime("lpn50_int8", 1).precision == "int8"
    assert open_runtime("lpn50_int8", 1, precision="auto").precision == "int8"


def test_int8_is_run_by_its_network_or_its_own_name(pair):
    for model in ("lpn50", "lpn50_int8", pair):
        assert open_runtime(model, 1, precision="int8").precision == "int8"


def test_what_there_is_not_is_refused(pair, tmp_path):
    twin = pair.with_name("mine_int8.onnx")
    with pytest.raises(ConfigError, match=r"lpn50_int8\.onnx is in int8; give the float32 file"):
        open_runtime("lpn50_int8", 1, precision="float32")
    with pytest.raises(ConfigError, match="bf16 is for the engine openvino, not onnxruntime"):
        open_runtime("lpn50", 1, "onnxruntime", precision="bf16")
    twin.write_bytes(find_weights("lpn50").read_bytes())
    with pytest.raises(WeightsError, match=r"mine_int8\.onnx was not made from .*mine\.onnx; make it again"):
        open_runtime(pair, 1, precision="int8")
    twin.unlink()
    with pytest.raises(WeightsError, match=r"mine\.onnx has no int8 file mine_int8\.onnx beside it; make it with"):
        open_runtime(pair, 1, precision="int8")
    with pytest.raises(WeightsError, match=r"has no int8 file mine_int8\.xml beside it"):
        open_runtime(pair, 1, "openvino", precision="int8")
    (tmp_path / "net.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="has no int8 file"):
        open_runtime(tmp_path / "net.safetensors", 1, precision="int8")


def test_bf16_is_openvinos_and_near():
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ConfigError, match="this CPU cannot compute in bfloat16"):
            open_runtime("lpn50", 1, precision="bf16")
        return
    runtime = open_runtime("lpn50", 1, precision="bf16")
    assert (runtime.name, runtime.precision) == ("openvino", "bf16")
    crops = np.random.default_rng(0).integers(0, 256, (1, 256, 192, 3), dtype=np.uint8)
    here, there = runtime.heatmaps(crops), open_runtime("lpn50", 1).heatmaps(crops)
    assert 0 < np.abs(here - there).max() < 0.05


@pytest.mark.usefixtures("fast")
def test_the_results_say_which_it_was(tmp_path):
    from lightpose.cli import main

    estimator = PoseEstimator("lpn50", "whole", threads=1)
    assert (estimator.runtime.precision, estimator.path) == ("int8", bundled_weights()["lpn50_int8"])
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["predict", str(PHOTO), "--out", str(tmp_path), "--precision", "float32"])
    assert json.loads((tmp_path / "poses.json").read_text())["precision"] == "float32"

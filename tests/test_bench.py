"""Benchmarks: what is measured, of which variants, and what is called slower."""

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightpose.bench.end_to_end import measure_end_to_end, scene
from lightpose.bench.interleave import interleaved
from lightpose.bench.measure import Row, measure
from lightpose.bench.memory import peak_mb, peak_of_process_mb
from lightpose.bench.results import compare, end_to_end_table, fastest, markdown, read_results, speed_table, write_json
from lightpose.bench.variants import Variant, find_source, variants_of
from lightpose.errors import ConfigError, DataError
from lightpose.io.images import encode_image
from tests.detect.graphs import pose_network

pytestmark = pytest.mark.slow


@pytest.fixture
def pose(tmp_path: Path) -> str:
    return str(pose_network(tmp_path / "pose.onnx"))


def variants(pose: str, tmp_path: Path, batches=(1, 3), threads=(1,)) -> list[Variant]:
    return variants_of(find_source(pose), ["onnxruntime"], batches, threads, tmp_path)


def row(**changes: object) -> Row:
    plain = Row("lpn50", "lpn50", "onnxruntime", "fp32", 1, 2, (256, 192), False, 9, 10.0, 0.5, 19.0, 100.0, None,
                100.0, None, "onnxruntime 1", "a CPU")  # fmt: skip
    return dataclasses.replace(plain, **changes)


def test_works_are_interleaved_each_after_a_run_that_does_not_count():
    calls: list[str] = []
    done: list[int] = []
    timings = interleaved([lambda: calls.append("a"), lambda: calls.append("b")], 3, done.append)
    assert calls == ["a", "a", "b", "b"] * 3
    assert done == [1, 2, 3]
    assert len(timings) == 2


def test_time_is_the_median_and_its_spread_between_the_quarters(monkeypatch: pytest.MonkeyPatch):
    """Five runs of 1, 2, 3, 4 and 100 s by a clock of ours: median 3 s, quarters at 2 and 4."""
    now = iter(np.cumsum([0, 1, 0, 2, 0, 100, 0, 4, 0, 3]).tolist())
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    [timing] = interleaved([lambda: None], 5)
    assert (timing.ms, timing.iqr_ms) == (3000, 2000)


def test_a_row_says_what_was_run_and_its_rates_fit_its_times(pose: str, tmp_path: Path):
    one, three = measure(variants(pose, tmp_path), 2, flip=True, memory=False)
    assert (one.model, one.file, one.engine, one.precision) == ("colors", pose, "onnxruntime", "fp32")
    assert ((one.batch, three.batch), one.threads, one.input_hw, one.flip) == ((1, 3), 1, (64, 48), True)
    assert one.engine_version.startswith("onnxruntime 1.")
    for found in (one, three):
        assert found.fps == pytest.approx(1000 / found.ms_median, rel=0.01)
        assert found.people_per_s == pytest.approx(found.batch * found.fps, rel=0.01)
        assert found.fps_flip is not None
        assert found.peak_mb is None


def test_without_the_flip_test_its_rate_is_not_told(pose: str, tmp_path: Path):
    [found] = measure(variants(pose, tmp_path, batches=(1,)), 1, memory=False)
    assert (found.flip, found.fps_flip) == (False, None)


def test_peak_memory_is_a_fresh_processs_and_not_this_ones(pose: str, tmp_path: Path):
    held = np.ones(100_000_000, np.uint64)  # 800 MB, more than a small network's process ever needs
    [variant] = variants(pose, tmp_path, batches=(1,))
    peak = peak_mb(variant, flip=False)
    assert peak is not None
    assert 30 < peak < held.nbytes / 1e6 < peak_of_process_mb()


def test_all_combinations_are_measured_once(pose: str, tmp_path: Path):
    found = variants(pose, tmp_path, batches=(1, 8, 1), threads=(1, 2, 1))
    assert [(one.threads, one.batch) for one in found] == [(1, 1), (1, 8), (2, 1), (2, 8)]
    with pytest.raises(ConfigError, match="batches must be whole numbers of at least 1"):
        variants(pose, tmp_path, batches=(0,))
    with pytest.raises(ConfigError, match="needs a network and a repeat at least"):
        measure([], 3)


def test_what_cannot_be_run_is_refused(pose: str):
    with pytest.raises(ConfigError, match=r"pose.onnx takes 64x48 only; leave --inputs out"):
        find_source(pose, (256, 192))
    pytest.importorskip("torch")
    with pytest.raises(ConfigError, match="yolo is neither a file nor a network; the networks are lpn50"):
        find_source("yolo")
    with pytest.raises(ConfigError, match="multiples of"):
        find_source("lpn50", (65, 48))


def test_bundled_weights_are_taken_at_their_size_and_else_the_network_untrained():
    pytest.importorskip("torch")
    assert find_source("lpn50").path == find_source("lpn50", (256, 192)).path != None  # noqa: E711
    assert find_source("lpn50", (64, 64)).path is None
    assert find_source("simple50").spec.input_hw == (256, 192)


def test_an_untrained_network_runs_in_every_engine_and_its_export_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nn = pytest.importorskip("torch.nn")
    from lightpose.models import MODELS

    monkeypatch.setitem(MODELS, "tiny", lambda joints: nn.Conv2d(3, joints, 4, stride=4))
    source = find_source("tiny", (32, 32))
    engines = ("onnxruntime", "torch", "torch_channels_last")
    found = variants_of(source, engines, [2], [1], tmp_path)
    [exported] = tmp_path.iterdir()
    written = exported.stat().st_mtime_ns
    for variant in variants_of(source, engines, [2], [1], tmp_path):
        assert variant.open().heatmaps(variant.crops()).shape == (2, 17, 8, 8)
    assert exported.stat().st_mtime_ns == written
    assert [one.engine for one in measure(found, 1, memory=False)] == list(engines)


def test_layouts_in_memory_change_no_answer(tmp_path: Path):
    pytest.importorskip("torch")
    from lightpose.bench.networks import TorchVariant
    from lightpose.models import build
    from lightpose.runtime.torch import TorchRuntime
    from lightpose.weights.network import save_network

    spec = find_source("lpn50", (32, 32)).spec
    network = build(spec)
    save_network(tmp_path / "a.safetensors", network, spec)
    crops = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = TorchRuntime(network, spec).heatmaps(crops)
    for engine in ("torch", "torch_channels_last"):
        found = TorchVariant(spec, tmp_path / "a.safetensors", engine, 1).heatmaps(crops)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_road_has_all_stages_and_its_shares_are_theirs(pose: str, tmp_path: Path):
    [variant] = variants(pose, tmp_path, batches=(1,))
    whole = measure_end_to_end(variant, people=3, repeats=1, pictures=2)
    own = whole.read + whole.crop + whole.decode + whole.draw + whole.write
    assert whole.people == 3
    assert whole.overhead_share == pytest.approx(own / whole.network, rel=0.02)
    assert whole.folder_overhead_share == pytest.approx(whole.folder_ms / whole.network - 1, rel=0.02)
    assert whole.detect is not None
    assert whole.predict_ms is not None
    assert whole.predict_ms > 0
    assert len(end_to_end_table([row(end_to_end=(whole,)), row()])) == 2


@pytest.mark.parametrize("people", [1, 4, 16])
def test_the_scene_is_like_a_photo_with_that_many_people_apart(people: int):
    image, boxes = scene(people)
    boxes.check_inside(*image.shape[:2])
    assert len(np.unique(boxes.xywh[:, :2], axis=0)) == people
    assert 4 < image.nbytes / len(encode_image(image)) < 12, "as much as good JPEGs of photos shrink"


def test_slower_is_what_is_so_by_more_than_the_spread_and_a_twentieth():
    before = [row().to_record()]  # 10 ms, spread 0.5
    for now, spread, slower in [(10.4, 0.0, False), (10.6, 0.0, True), (11.0, 2.0, False), (11.3, 2.0, True),
                                (5.0, 0.0, False)]:  # fmt: skip
        [change] = compare(before, [row(ms_median=now, ms_iqr=spread)])
        assert (change.slower, change.ratio) == (slower, now / 10)
        assert not change.elsewhere
    [change] = compare(before, [row(machine="another CPU")])
    assert change.elsewhere
    assert compare(before, [row(batch=8), row(threads=1), row(engine="openvino"), row(input_hw=(384, 288))]) == []


def test_results_come_back_from_their_file(tmp_path: Path):
    write_json([row(), row(batch=8)], tmp_path / "r.json")
    assert [change.ratio for change in compare(read_results(tmp_path / "r.json"), [row(), row(batch=8)])] == [1, 1]
    for text in ("{}", "[1]", '[{"model": "a"}]', json.dumps([row().to_record() | {"ms_median": None}])):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match="is not a list of results; write it with lightpose bench --json"):
            read_results(tmp_path / "bad.json")


def test_the_fastest_of_each_network_is_of_pictures_of_one_person():
    rows = [row(), row(engine="openvino", ms_median=8.0), row(batch=8, ms_median=1.0), row(model="simple50")]
    assert [(one.model, one.engine) for one in fastest(rows)] == [("lpn50", "openvino"), ("simple50", "onnxruntime")]


def test_speeds_are_told_as_multiples_of_the_first():
    """100 people a second, then half of them, then 8 in a run of 40 ms."""
    rows = [row(), row(people_per_s=50.0), row(batch=8, people_per_s=200.0)]
    titles, *lines = speed_table(rows)
    assert [line[titles.index("× the first")] for line in lines] == ["1.00", "0.50", "2.00"]


def test_tables_are_markdown():
    assert markdown([["network", "ms"], ["lpn50", "3"]], 1) == "| network | ms |\n| --- | ---: |\n| lpn50 | 3 |\n"
    titles, line = speed_table([row(file="a/mine.onnx")])
    assert dict(zip(titles, line, strict=True))["± half IQR"] == "0.25"
    assert line[0] == "lpn50 (mine.onnx)"

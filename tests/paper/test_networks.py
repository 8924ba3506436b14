"""Ablations of global context and input size, on small untrained networks."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("faster_coco_eval")

from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.errors import ConfigError, WeightsError  # noqa: E402
from lightpose.evaluate.job import Job  # noqa: E402
from lightpose.inference.top_down import PredictOptions  # noqa: E402
from lightpose.models import build  # noqa: E402
from lightpose.paper.ablate import Bench, ablate_gc, ablate_size  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from lightpose.weights.network import save_network  # noqa: E402
from lightpose.weights.open import open_runtime  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def bench(drawn):
    return Bench(read_coco(drawn.annotations, drawn.images), PredictOptions(False, batch=4))


@pytest.fixture
def save(tmp_path):
    """Writes an untrained network's file; gives its path."""

    def write(name, model="lpn50", size=(64, 48), **options):
        torch.manual_seed(0)
        spec = ModelSpec(model, COCO17, size, options)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save_network(path, build(spec), spec)
        return str(path)

    return write


def test_networks_are_paired_by_architecture_and_size_and_those_without_blocks_come_first(bench, save):
    models = [save("a.safetensors", gc=True), save("b.safetensors", size=(64, 64), gc=False),
              save("c.safetensors", size=(64, 64), gc=True), save("d.safetensors", gc=False)]  # fmt: skip
    groups = list(ablate_gc(bench, models))
    assert [[one.model[-13:-12] for one in group] for group in groups] == [["d", "a"], ["b", "c"]]
    small = [one.facts["parameters"] for one in groups[0]]
    assert small == [2_732_689, 2_911_153], "the paper's Table 3: 2.7M and 2.9M"
    assert [one.gain is None for one in groups[0]] == [True, False]
    assert [one.report.how["gc"] for one in groups[0]] == [False, True]


def test_a_training_runs_folder_stands_for_its_best_weights(bench, save):
    folders = [save(f"run{gc}/best.safetensors", gc=gc).removesuffix("/best.safetensors") for gc in (False, True)]
    [group] = ablate_gc(bench, folders)
    assert [one.model for one in group] == folders
    with pytest.raises(WeightsError, match="no weights at"):
        next(ablate_gc(bench, [str(bench.source.images)]))


def test_what_has_no_pair_or_no_choice_is_refused_before_the_work(bench, save):
    plain = save("plain.safetensors", gc=False)
    with pytest.raises(ConfigError, match="of lpn50 at 64x48 there are no weights with global context; add them"):
        next(ablate_gc(bench, [plain]))
    peer = save("peer.safetensors", "simple50", (64, 64))
    with pytest.raises(ConfigError, match="is a simple50, which has no global context blocks to leave out"):
        next(ablate_gc(bench, [plain, peer]))


def test_weights_are_measured_at_their_own_size_or_at_each_asked_for(bench, save):
    models = [save("small.safetensors", size=(64, 48)), save("large.safetensors", size=(96, 64))]
    [own] = ablate_size(bench, models)
    assert [one.report.how["input"] for one in own] == ["64x48", "96x64"]
    groups = list(ablate_size(bench, models[:1], [(64, 48), (128, 96)]))
    [(first, second)] = groups
    assert (first.report.how["input"], second.report.how["input"]) == ("64x48", "128x96")
    assert second.facts["paper_gflops"] == pytest.approx(4 * first.facts["paper_gflops"], rel=1e-2)
    assert first.report.figures == pytest.approx(own[0].report.figures, nan_ok=True)


def test_another_size_is_that_of_the_crops(bench, save):
    path = save("net.safetensors", size=(64, 48))
    [[found]] = ablate_size(bench, [path], [(96, 64)])
    runtime = open_runtime(path)
    runtime.spec = dataclasses.replace(runtime.spec, input_hw=(96, 64))
    expected = Job(bench.source, runtime, bench.options, bench.protocol)
    assert found.report.figures == pytest.approx(expected.report(expected.run()).figures, nan_ok=True)


def test_a_size_that_cannot_be_had_is_refused(bench, save):
    with pytest.raises(ConfigError, match=r"lpn50 is fixed to one input size; give the \.safetensors file"):
        next(ablate_size(bench, ["lpn50"], [(128, 96)]))
    with pytest.raises(ConfigError, match="multiples of 16"):
        next(ablate_size(bench, [save("net.safetensors")], [(100, 96)]))

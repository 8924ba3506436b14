"""Figures 1 to 3: what they show is what the network and the plan are."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from lightpose import cli
from lightpose.models.blocks import LightweightBottleneck
from lightpose.models.lpn import lpn50
from lightpose.paper.diagram import BLOCKS, draw_learning_rate, network_stages
from lightpose.train import read_config
from lightpose.train.config import OptimConfig, PlanConfig

ROOT = Path(__file__).parents[2]


def paper(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["paper", *map(str, words)])
    return int(ended.value.code or 0)


def test_the_stages_have_the_shapes_of_the_papers_architecture():
    network = lpn50().train()
    shapes = [stage.shape for stage in network_stages(network)]
    assert shapes == [
        (3, 256, 192), (64, 64, 48), (64, 64, 48), (128, 32, 24), (256, 16, 12), (512, 16, 12),
        (256, 32, 24), (256, 64, 48), (17, 64, 48),
    ]  # fmt: skip
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert network.stem[1].num_batches_tracked == 0, "the statistics of batch norm must not see the zeros"


def test_the_lightweight_block_has_as_many_weights_as_the_figure_says():
    width = 64
    block = LightweightBottleneck(width, width, gc=False)
    weights = sum(one.numel() for one in block.parameters() if one.dim() == 4)
    assert BLOCKS[1].caption == "2·M² + 9·M weights"
    assert weights == 2 * width**2 + 9 * width


@pytest.mark.parametrize("what", ["figure1", "figure2", "figure3"])
@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_the_command_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, suffix: str, start: bytes):
    out = tmp_path / f"drawn{suffix}"
    assert paper(what, "--out", out, "--json") == 0
    assert out.read_bytes().startswith(start)
    assert json.loads(capsys.readouterr().out) == {"drawn": str(out)}


def test_figure_3_has_the_learning_rates_of_the_papers_690_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = []
    monkeypatch.setattr("lightpose.paper.diagram.draw_learning_rate", lambda *all_of_it: given.append(all_of_it))
    assert paper("figure3", "--out", tmp_path / "f.svg") == 0
    [(rates, starts, _)] = given
    later = [1e-3] * 30 + [1e-4] * 30 + [1e-5] * 30
    assert rates == pytest.approx([1e-3] * 90 + later[30:] + 6 * later)
    assert starts == [0, 150, 240, 330, 420, 510, 600]


def test_the_plan_of_figure_3_is_that_of_the_papers_recipe():
    recipe = read_config(ROOT / "examples" / "paper.toml")
    assert (recipe.plan, recipe.optim) == (PlanConfig("iterative"), OptimConfig())


def test_a_plan_of_one_stage_can_be_drawn(tmp_path: Path):
    draw_learning_rate([0.1, 0.01], [0], tmp_path / "f.svg")
    assert (tmp_path / "f.svg").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("figure1", "--results", "a.json"), "leave --results out"),
        (("figure2", "--bench", "a.json"), "leave --bench out"),
        (("table1", "--out", "a.png"), "leave --out out"),
        (("figure3", "--out", "a.doc"), "a plot cannot be written to"),
        (("figure3", "--out", "no/a.svg"), "there is no folder"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words, message
):
    monkeypatch.chdir(tmp_path)
    assert paper(*words) == 2
    assert message in capsys.readouterr().err

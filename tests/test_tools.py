"""The scripts that make the bundled weights: their recipes, without the days that they take."""

from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("torch")

from lightpose.train.schedule import total_epochs

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.mark.parametrize("file", sorted(TOOLS.glob("*.py")), ids=lambda file: file.stem)
def test_a_tool_can_be_imported_and_runs_nothing_then(file: Path, capsys):
    import_module(f"tools.{file.stem}")
    assert capsys.readouterr() == ("", "")


def test_the_cosine_beside_the_stages_is_as_long_as_they_are_together():
    from tools.train_default_weights import Options, study

    stages, cosine = (run.config for run in study(Options(study="stages")))
    assert (stages.plan.kind, cosine.plan.kind) == ("iterative", "single")
    assert total_epochs(stages.plan, stages.optim) == total_epochs(cosine.plan, cosine.optim)


def test_the_study_of_global_context_changes_nothing_else():
    from tools.train_default_weights import Options, study

    found = {run.name: run.config.model for run in study(Options(study="gc"))}
    assert {(model.name, model.gc) for model in found.values()} == {
        (name, gc) for name in ("lpn50", "lpn101", "lpn152") for gc in (True, False)
    }


def test_a_stage_starts_from_the_last_better_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second stage gains on everyday people but loses too much on athletes, so the third starts from the first."""
    from tools import train_default_weights as tool

    found = iter([(32.0, 55.0), (33.0, 54.5), (35.0, 53.0), (33.5, 54.5)])
    started = []

    def measured(*_: object) -> dict[str, tool.Figures]:
        return {
            name: tool.Figures(ap, f"| x | {name} |") for name, ap in zip(tool.VALIDATION, next(found), strict=True)
        }

    def trained(run: tool.Run, options: tool.Options) -> Path:
        started.append(run.config.model.init)
        return options.out / f"{run.name}.safetensors"

    monkeypatch.setattr(tool, "measure", measured)
    monkeypatch.setattr(tool, "train_run", trained)
    best = tool.train_stages(tool.Options(out=tmp_path, start=tmp_path / "start.safetensors", stages=3))
    assert started == [str(tmp_path / f"{name}.safetensors") for name in ("start", "stage1", "stage1")]
    assert best == tmp_path / "stage3.safetensors"


def test_the_recipe_finds_its_sets_below_another_folder():
    from tools.train_default_weights import Options, recipe

    config = recipe(Options(data=Path("/elsewhere"), epochs=1))
    assert config.optim.epochs == 1
    assert [source.annotations for source in config.data.train][:1] == ["/elsewhere/coco_keypoints/train.json"]
    assert (config.data.val.annotations, config.data.val.images) == ("/elsewhere/val_everyday.json", "/elsewhere")


def test_the_detectors_recipe_is_one_for_a_detector_and_takes_as_many_epochs_as_asked(tmp_path: Path):
    from tools.train_default_detector import Options, recipe

    config = recipe(Options(out=tmp_path, epochs=3))
    assert (config.model.name, config.optim.epochs, config.out) == ("lpn50_person", 3, str(tmp_path / "detector"))


def test_everybody_in_a_picture_is_the_labelled_people_and_the_sure_others():
    """Boxes by hand: of one of two labelled people, of somebody else, of nobody sure, and noise within a person."""
    import numpy as np

    from tools.train_default_detector import everybody

    labelled = np.array([[10.0, 10, 20, 40], [300, 10, 20, 40]])
    boxes = np.array([[9.0, 9, 22, 42], [100, 10, 20, 40], [200, 10, 20, 40], [102, 12, 5, 5]])
    scores = np.array([0.9, 0.8, 0.3, 0.3])
    people, ignored = everybody(labelled, boxes, scores, exact=False)
    np.testing.assert_array_equal(people, np.stack([boxes[0], labelled[1], boxes[1], boxes[2]]))
    assert ignored.tolist() == [False, False, False, True]
    kept, _ = everybody(labelled, boxes, scores, exact=True)
    np.testing.assert_array_equal(kept, np.stack([*labelled, boxes[1], boxes[2]]))
    alone, ignored = everybody(labelled, boxes[:0], scores[:0], exact=False)
    assert (alone is labelled, ignored.tolist()) == (True, [False, False])


def test_the_plot_of_parts_has_a_point_for_each_figure_of_the_model_cards_table():
    from tools.weights_figure import DOCS, HEAD, drawing

    card = (DOCS / "model_card.md").read_text(encoding="utf-8")
    svg = (DOCS / "weights_by_part.svg").read_text(encoding="utf-8")
    assert svg == drawing(card), "the table has changed: run tools/weights_figure.py"
    cells = [cell.strip() for row in card.split(HEAD)[1].split("\n\n")[0].splitlines() for cell in row.split("|")[2:-1]]
    figures = [cell for cell in cells if "." in cell]
    assert svg.count('r="4"') == len(figures) + 4  # the legend has four dots


def test_the_plot_of_parts_names_the_table_that_is_missing():
    from lightpose.errors import LightposeError
    from tools.weights_figure import panels

    with pytest.raises(LightposeError, match="no table with this head"):
        panels("# Model card\n")

"""Each task of a network has its row on every floor, and what a row makes is of that task."""

from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch")

from lightpose.export.tasks import EXPORTERS
from lightpose.models import BUILDERS, DETECTORS, MODELS
from lightpose.skeletons import COCO17
from lightpose.train import read_config
from lightpose.train.tasks import TASKS, trainable
from lightpose.types import SPECS, DetectorSpec, ModelSpec, TaskName, read_spec, task_of
from lightpose.weights.network import load_any, read_task, save_network

EXAMPLES = Path(__file__).parent.parent / "examples"

SMALL = {
    "pose": ModelSpec("lpn50", COCO17, (64, 48)),
    "detector": DetectorSpec("lpn50_person", (64, 64), {"stride": 8}),
}


@pytest.mark.parametrize("table", [SPECS, BUILDERS, EXPORTERS, TASKS, SMALL])
def test_every_table_has_a_row_for_every_task_and_no_other(table):
    assert set(table) == set(get_args(TaskName))


@pytest.mark.parametrize("task", SMALL)
def test_a_tasks_description_and_weights_come_back_as_of_that_task(task, tmp_path):
    spec, path = SMALL[task], tmp_path / "net.safetensors"
    assert (spec.task, read_spec(spec.to_json())) == (task, spec)
    save_network(path, BUILDERS[task](spec), spec)
    assert (read_task(path), load_any(path)[1]) == (task, spec)
    assert EXPORTERS[task].title(spec) == {"pose": "17 joints", "detector": "a person detector"}[task]


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", '"detector"', "{}", '{"kind": "boat"}', '{"kind": ["detector"]}']
)
def test_a_description_that_names_no_task_is_read_as_a_pose_networks(text):
    assert task_of(text) == "pose"


@pytest.mark.parametrize(
    "file", sorted({*EXAMPLES.rglob("*.toml")} - {EXAMPLES / "own" / "dog.toml"}), ids=lambda file: file.stem
)
def test_an_example_trains_the_task_that_its_model_is_for(file: Path):
    config = read_config(file)
    assert isinstance(config, trainable(config).config)
    assert config.model.spec().task == ("detector" if config.model.name in DETECTORS else "pose")
    assert config.model.name in {**MODELS, **DETECTORS}

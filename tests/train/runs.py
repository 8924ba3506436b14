"""What the tests of training share: drawn persons, a small configuration, a diary of a run, and comparing runs."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lightpose.data.augment import AugmentConfig
from lightpose.data.coco import read_coco
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.inference.top_down import PredictOptions
from lightpose.runtime.torch import TorchRuntime
from lightpose.train.config import DataConfig, ModelConfig, OptimConfig, SourceConfig, TrainConfig
from lightpose.train.distributed import World
from lightpose.train.loop import Trainer
from lightpose.weights.network import load_network
from tests.helpers import DrawnSet

INPUT_HW = (64, 48)
PLAIN = AugmentConfig(scale=0, rotation_deg=0, rotation_probability=0, flip_probability=0)
LEARNER = ModelConfig(input_hw=INPUT_HW, sigma=1.0, exact_target=True, init="kaiming")
ROOT = Path(__file__).parents[2]


class Diary:
    """A Report that keeps what it is told."""

    def __init__(self):
        self.prepared, self.resumptions, self.steps = [], [], []
        self.evaluations, self.previews, self.stages = [], [], []

    def preparing(self, name, done, total):
        self.prepared.append((name, done, total))

    def started(self, run):
        self.start = run

    def resumed(self, epoch, step):
        self.resumptions.append((epoch, step))

    def stepped(self, epoch, step, steps, loss, lr):
        self.steps.append((epoch, step, steps, loss, lr))

    def evaluated(self, epoch):
        self.evaluations.append((epoch.number, epoch.loss, epoch.figures["ap"], epoch.best))

    def previewed(self, epoch, picture):
        self.previews.append((epoch, picture))

    def finished(self, stages):
        self.stages.append(tuple(stages))


@dataclass(frozen=True)
class Kill:
    """Ends the process outright, as the system does, when a report of that kind is made of an epoch (and step)."""

    when: str
    epoch: int
    step: int = 0

    def __getattr__(self, name):
        def tell(*about):
            epoch, step = (about[0], about[1]) if name == "stepped" else (len(about[0]) - 1, 0)
            if (name, epoch, step) == (self.when, self.epoch, self.step):
                os.kill(os.getpid(), signal.SIGKILL)

        return tell if name in ("stepped", "finished") else lambda *_: None


def data_of(drawn: DrawnSet, store, repeat=1.0):
    """The drawn persons to learn from, each that often an epoch, and to validate with."""
    source = SourceConfig(str(drawn.annotations), str(drawn.images))
    return DataConfig((replace(source, repeat=repeat),), source, str(store))


def config_for(data, out, **changes):
    """A run of two epochs, with all that has a state: Adam, a running average, changing views.

    changes: of the configuration, or of its optimizer where that has such a setting.
    """
    own = {key: value for key, value in changes.items() if key in TrainConfig.__dataclass_fields__}
    optim = {key: value for key, value in changes.items() if key not in own}
    settings = {
        "model": ModelConfig(input_hw=INPUT_HW, sigma=1.0),
        "optim": OptimConfig(**{"batch": 4, "epochs": 2, "milestones": (), "ema": 0.9, **optim}),
        "augment": AugmentConfig(color=0.1),
        "seed": 3,
        "device": "cpu",
        "preview_every": 0,
        "checkpoint_every_s": 0,
        **own,
    }
    return TrainConfig(data=data, out=str(out), **settings)


def trainer(config, report=None):
    return Trainer(config, Diary() if report is None else report, World(), torch.device("cpu"))


def train(config, report=None):
    """Run to the end; returns the progress."""
    return trainer(config, report).run()


def killed(config, kill):
    """Run in a process of its own until the kill strikes."""
    code = (
        "import sys, torch; torch.set_num_threads(1);"
        "from lightpose.train.config import *;from lightpose.train.loss import *;from lightpose.data.augment import *;"
        "from tests.train.runs import Kill, train;"
        f"train({config!r}, {kill!r})"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr


def checkpoint(out):
    return torch.load(Path(out) / "last.pt", weights_only=True)


def log(out):
    return json.loads((Path(out) / "log.json").read_text())


def tensors_of(path):
    return load_network(path)[0].state_dict()


def ap_of(path, data):
    network, spec = load_network(path)
    source = read_coco(data.val.annotations, data.val.images)
    return evaluate_given_boxes(source, TorchRuntime(network, spec), PredictOptions(flip=True)).scores.ap


def assert_same(found, expected, way=""):
    """The same nested dicts, lists and values, tensors to the bit."""
    assert type(found) is type(expected), way
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype, way
        assert torch.equal(found, expected), way
    elif isinstance(expected, dict):
        assert list(found) == list(expected), way
        for key in expected:
            assert_same(found[key], expected[key], f"{way}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), way
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{way}[{number}]")
    else:
        assert found == expected, way

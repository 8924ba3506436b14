"""Training a person detector on drawn people, on the same loop as pose networks."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.data.mosaic import SceneAugmentConfig  # noqa: E402
from lightpose.data.people import read_people  # noqa: E402
from lightpose.errors import ConfigError, WeightsError  # noqa: E402
from lightpose.evaluate.boxes import score_boxes  # noqa: E402
from lightpose.evaluate.detections import find_people  # noqa: E402
from lightpose.models import build  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.train import read_config  # noqa: E402
from lightpose.train.detection import DetectionTask, TorchDetector  # noqa: E402
from lightpose.train.detector_config import (  # noqa: E402
    DetectorConfig,
    DetectorModelConfig,
    SceneDataConfig,
    SceneSourceConfig,
)
from lightpose.train.run_config import OptimConfig  # noqa: E402
from lightpose.types import DetectorSpec, ModelSpec  # noqa: E402
from lightpose.weights.network import load_any, load_detector, load_network, save_network  # noqa: E402
from tests.train.runs import ROOT, Diary, assert_same, checkpoint, log, train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def config_for(drawn, out, **changes):
    """Two epochs of two steps of three pictures, each shown twice."""
    source = SceneSourceConfig(str(drawn.annotations), str(drawn.images), repeat=2)
    settings = {
        "data": SceneDataConfig((source,), source, str(drawn.images.parent / "pictures")),
        "model": DetectorModelConfig(input_hw=(64, 64)),
        "optim": OptimConfig(optimizer="adamw", lr=2e-3, batch=3, epochs=2, schedule="cosine", ema=0.9),
        "device": "cpu",
        "checkpoint_every_s": 0,
        "preview_every": 0,
    }
    return DetectorConfig(out=str(out), **{**settings, **changes})


@pytest.fixture(scope="module")
def learned(drawn_people, tmp_path_factory):
    """A run that learns its four persons by heart: its configuration and diary."""
    config = config_for(
        drawn_people,
        tmp_path_factory.mktemp("learned"),
        model=DetectorModelConfig(input_hw=(96, 96)),
        optim=OptimConfig(optimizer="adamw", lr=2e-3, batch=3, epochs=24, schedule="cosine", ema=0.9, clip_norm=10),
        augment=SceneAugmentConfig((1.0, 1.0), 0, 0, 0, 0),
        evaluate_every=24,
        preview_every=24,
        checkpoint_every_s=1e9,
    )
    diary = Diary()
    train(config, diary)
    return config, diary


def test_a_few_people_are_learned_by_heart(learned, drawn_people):
    """All four are found, and well, by the weights that were kept."""
    config, diary = learned
    losses = [entry[3] for entry in diary.steps]
    assert np.mean(losses[-4:]) < losses[0] / 4
    network, spec = load_detector(Path(config.out) / "best.safetensors")
    assert spec == config.model.spec()
    source = read_people(drawn_people.annotations, drawn_people.images)
    scores = score_boxes(source, find_people(source, TorchDetector(network, spec)))
    assert scores.ap50 > 0.9
    assert scores.recall == 1
    assert log(config.out)["epochs"][-1]["ap"] == pytest.approx(scores.ap, abs=1e-6)
    assert set(log(config.out)["epochs"][-1]) == {"epoch", "stage", "loss", "ap", "ap50", "recall"}


def test_the_preview_shows_the_pictures_with_boxes(learned):
    _, diary = learned
    ((epoch, picture),) = diary.previews
    assert (epoch, picture.shape, picture.dtype) == (23, (320, 3 * 320, 3), np.uint8)
    for color in ((255, 255, 255), (255, 140, 0)):
        assert (picture == color).all(-1).any(), "labels in white, predictions in orange"


def test_a_stopped_run_ends_as_if_nothing_had_happened(drawn_people, tmp_path):
    class Stop(Diary):
        def stepped(self, *about):
            super().stepped(*about)
            if about[:2] == (1, 1):
                raise KeyboardInterrupt

    whole, told = tmp_path / "whole", Diary()
    train(config_for(drawn_people, whole), told)
    parts = config_for(drawn_people, tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        train(parts, Stop())
    later = Diary()
    train(parts, later)
    assert later.resumptions == [(1, 0)]
    assert told.steps[2:] == later.steps
    assert_same(checkpoint(parts.out), checkpoint(whole))


def test_a_detector_starts_from_a_pose_networks_first_layers(drawn_people, tmp_path):
    spec = ModelSpec("lpn50", COCO17, (64, 48))
    torch.manual_seed(1)
    pose = build(spec)
    save_network(tmp_path / "pose.safetensors", pose, spec)
    model = DetectorModelConfig(input_hw=(64, 64), init=str(tmp_path / "pose.safetensors"))
    network = DetectionTask(config_for(drawn_people, tmp_path, model=model), torch.device("cpu")).network()
    theirs = pose.state_dict()
    for name, value in network.state_dict().items():
        if name.startswith(("stem", "layers")):
            assert torch.equal(value, theirs[name]), name


def test_a_detector_starts_from_a_detector(learned, drawn_people, tmp_path):
    best = Path(learned[0].out) / "best.safetensors"
    model = DetectorModelConfig(input_hw=(64, 64), init=str(best))
    network = DetectionTask(config_for(drawn_people, tmp_path, model=model), torch.device("cpu")).network()
    assert_same(dict(network.state_dict()), dict(load_detector(best)[0].state_dict()))


def test_what_is_frozen_stays_and_the_rest_moves(drawn_people, tmp_path):
    config = config_for(drawn_people, tmp_path)
    frozen = dataclasses.replace(config, optim=dataclasses.replace(config.optim, frozen=("stem", "layers.0"), epochs=1))
    torch.manual_seed(frozen.seed)
    start = DetectionTask(frozen, torch.device("cpu")).network().state_dict()
    train(frozen)
    end = checkpoint(tmp_path)["states"]["network"]
    moved = {name for name, value in end.items() if not torch.equal(value, start[name])}
    assert not any(name.startswith(("stem", "layers.0")) for name in moved)
    assert {"layers.1.0.branch.0.0.weight", "heads.1.1.bias", "layers.1.0.branch.0.1.running_mean"} <= moved


def test_a_frozen_part_that_is_not_there_is_named(drawn_people, tmp_path):
    config = config_for(drawn_people, tmp_path)
    with pytest.raises(
        ConfigError, match=r"optim\.frozen names 'trunk', which the network does not have; it has stem,"
    ):
        train(dataclasses.replace(config, optim=dataclasses.replace(config.optim, frozen=("trunk",))))


def test_each_kind_of_file_is_refused_where_the_other_is_wanted(learned, tmp_path):
    detector = Path(learned[0].out) / "best.safetensors"
    pose = ROOT / "weights" / "lpn50.safetensors"
    assert [type(load_any(path)[1]) for path in (detector, pose)] == [DetectorSpec, ModelSpec]
    with pytest.raises(
        WeightsError, match=r"best\.safetensors: this is a person detector, not a pose network; give it"
    ):
        load_network(detector)
    with pytest.raises(
        WeightsError, match=r"lpn50\.safetensors: this is a pose network, not a person detector; give it"
    ):
        load_detector(pose)
    spec = ModelSpec("simple50", COCO17, (64, 64))
    save_network(tmp_path / "other.safetensors", torch.nn.Conv2d(3, 3, 1), spec)
    with pytest.raises(WeightsError, match=r"other\.safetensors has no layers.* starts from an LPN-50, or a detector"):
        DetectionTask(config_for_file(tmp_path / "other.safetensors", learned[0]), torch.device("cpu")).network()


def config_for_file(path, config):
    return dataclasses.replace(config, model=dataclasses.replace(config.model, init=str(path)))


def test_the_example_trains_a_detector_and_a_detector_has_keys_of_its_own(tmp_path):
    config = read_config(ROOT / "examples" / "default" / "detector.toml")
    assert isinstance(config, DetectorConfig)
    assert config.model.spec() == DetectorSpec("lpn50_person", options={"stride": 4, "gc": True})
    path = tmp_path / "run.toml"
    path.write_text('out = "x"\n[model]\nname = "lpn50_person"\nskeleton = "coco17"\n')
    with pytest.raises(ConfigError, match=r"run\.toml: data is missing|unknown key model\.skeleton"):
        read_config(path)

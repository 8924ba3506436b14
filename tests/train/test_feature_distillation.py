"""Feature distillation: what it makes small, where its maps come from, and that they teach without labels."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from lightpose.errors import ConfigError  # noqa: E402
from lightpose.models import MODELS  # noqa: E402
from lightpose.models.detector import lpn50_person  # noqa: E402
from lightpose.train.feature_distillation import FeatureStudent, FeatureTeacher, feature_loss  # noqa: E402
from lightpose.train.run_config import FeatureDistillationConfig as Features  # noqa: E402
from lightpose.train.run_config import OptimConfig  # noqa: E402
from lightpose.weights.network import load_detector, load_network  # noqa: E402
from tests.train.runs import Diary, assert_same, checkpoint, config_for, train  # noqa: E402
from tests.train.test_detection import config_for as detector_config_for  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CPU = torch.device("cpu")
NETWORKS = {name: MODELS[name] for name in ("lpn50", "lpn101", "lpn152")}
NETWORKS |= {f"detector_{stride}": lambda stride=stride: lpn50_person(stride) for stride in (4, 8, 16)}


class Colors(nn.Module):
    """A teacher that sees two mixtures of colours at stride 8 and brightness, sharper, at stride 4."""

    def forward(self, pictures):
        red, green, blue = functional.avg_pool2d(pictures, 4).unbind(1)
        return [functional.avg_pool2d(torch.stack([red - blue, green], 1), 2), (red + green + blue)[:, None]]


def exported(module, path, input_hw=(64, 48)):
    example = torch.zeros(2, 3, *input_hw)
    if path.suffix == ".onnx":
        axes = {name: {0: "number"} for name in ("pictures", "coarse", "fine")}
        first, *others = axes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the older exporter's, which teachers are written by
            torch.onnx.export(
                module, (example,), path, dynamo=False, input_names=[first], output_names=others, dynamic_axes=axes
            )
    else:
        sizes = ({0: torch.export.Dim("pictures")},)
        torch.export.save(torch.export.export(module.eval(), (example,), dynamic_shapes=sizes), path)
    return str(path)


@pytest.fixture(scope="module", params=["pt2", "onnx"])
def colors(tmp_path_factory, request):
    return exported(Colors(), tmp_path_factory.mktemp("teacher") / f"colors.{request.param}")


def test_the_loss_is_one_less_correlation_channel_by_channel():
    """Worked by hand: (1, 2, 3, 4) against itself, stretched and shifted; its mirror; and (1, -1, -1, 1)."""
    row = torch.tensor([1.0, 2, 3, 4]).view(1, 1, 2, 2)
    same, turned, unrelated = 5 * row - 7, -row, torch.tensor([1.0, -1, -1, 1]).view(1, 1, 2, 2)
    for other, expected in ((same, 0), (turned, 2), (unrelated, 1)):
        assert feature_loss([other], [row]).item() == pytest.approx(expected, abs=1e-5)
    both = torch.cat([same, turned], 1)
    assert feature_loss([both], [row.expand(-1, 2, -1, -1)]).item() == pytest.approx(1, abs=1e-5)
    assert feature_loss([both, same], [row.expand(-1, 2, -1, -1), row]).item() == pytest.approx(0.5, abs=1e-5)


def test_a_channel_that_says_nothing_gives_a_finite_loss_and_gradient():
    guess = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = feature_loss([guess], [torch.ones(2, 1, 4, 4)])
    loss.backward()
    assert loss.isfinite()
    assert guess.grad.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_maps_of_a_network_are_as_it_says_and_its_answer_is_read_off_the_last(name):
    network = NETWORKS[name]().eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = network.pyramid(x)
        assert_same(network.read(maps[-1]), network(x))
    sizes = zip(network.strides, network.widths, strict=True)
    assert [tuple(seen.shape) for seen in maps] == [(1, width, 64 // step, 96 // step) for step, width in sizes]


def test_a_teacher_tells_its_maps_of_any_number_of_pictures(colors):
    teacher = FeatureTeacher(colors, (64, 48), CPU, torch.float32)
    assert teacher.channels == {8: 2, 4: 1}
    pictures = torch.randn(5, 3, 64, 48)
    for found, expected in zip(teacher(pictures), Colors()(pictures), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)
        assert not found.requires_grad


def test_what_is_no_teacher_is_refused(colors, tmp_path):
    for kind in ("pt2", "onnx"):
        (tmp_path / f"text.{kind}").write_text("nothing")
        for path in (f"nowhere.{kind}", str(tmp_path / f"text.{kind}")):
            with pytest.raises(
                ConfigError, match=rf"feature_distillation\.teacher .*\.{kind} is no program that gives maps"
            ):
                FeatureTeacher(path, (64, 48), CPU, torch.float32)
    with pytest.raises(
        ConfigError, match=r"feature_distillation\.teacher .*colors\..* is no program that gives maps of crops"
    ):
        FeatureTeacher(colors, (128, 96), CPU, torch.float32)
    with pytest.raises(ConfigError, match=r"has maps of strides \[4, 32\], the network \[4, 8, 16\]"):
        FeatureStudent(MODELS["lpn50"](), {4: 1, 32: 7})
    with pytest.raises(ConfigError, match=r"feature_distillation\.teacher needs an LPN or a person detector to teach"):
        FeatureStudent(MODELS["simple50"](), {4: 1})
    with pytest.raises(ConfigError, match=r"feature_distillation\.weight must be 0, or from 1e-06 to 1e\+06, not -1"):
        Features(weight=-1)


def test_a_pose_network_learns_what_its_teacher_sees(colors, people, tmp_path):
    """Beside the labels; and what is kept is the network alone."""
    optim = OptimConfig(optimizer="adamw", lr=3e-3, batch=4, epochs=3, schedule="cosine", clip_norm=5.0)
    diary = Diary()
    train(
        config_for(
            people,
            tmp_path,
            feature_distillation=Features(colors, 1000.0, trust=True),
            optim=optim,
            checkpoint_every_s=1e9,
        ),
        diary,
    )
    losses = [entry[3] for entry in diary.steps]
    assert losses[0] > 800, "hardly any correlation"
    assert np.mean(losses[-8:]) < 600
    network, _ = load_network(tmp_path / "best.safetensors")
    assert set(network.state_dict()) == set(MODELS["lpn50"]().state_dict())


def test_a_stopped_run_with_a_hint_ends_as_if_nothing_had_happened(drawn_people, tmp_path):
    class Stop(Diary):
        def stepped(self, *about):
            if about[:2] == (1, 1):
                raise KeyboardInterrupt

    features = Features(exported(Colors(), tmp_path / "colors.pt2", (64, 64)), trust=True)
    whole = detector_config_for(drawn_people, tmp_path / "whole", feature_distillation=features)
    parts = dataclasses.replace(whole, out=str(tmp_path / "parts"))
    train(whole)
    with pytest.raises(KeyboardInterrupt):
        train(parts, Stop())
    train(parts)
    assert_same(checkpoint(parts.out), checkpoint(whole.out))
    assert "guesses.8.weight" in checkpoint(whole.out)["states"]["network"]
    load_detector(Path(whole.out) / "best.safetensors")


def test_what_is_frozen_is_named_as_in_the_network_alone(colors, people, tmp_path):
    optim = OptimConfig(batch=4, epochs=1, frozen=("stem",))
    train(
        config_for(
            people,
            tmp_path,
            feature_distillation=Features(colors, trust=True),
            optim=optim,
            checkpoint_every_s=1e9,
        )
    )
    config = config_for(
        people,
        tmp_path / "other",
        feature_distillation=Features(colors, trust=True),
        optim=dataclasses.replace(optim, frozen=("x",)),
    )
    with pytest.raises(ConfigError, match=r"optim\.frozen names 'x', which the network does not have; it has stem"):
        train(config)

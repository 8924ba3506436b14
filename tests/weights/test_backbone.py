"""ImageNet backbones: every tensor of torchvision's or HRNet's naming lands in its place, and gives their features."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from lightpose.errors import ConfigError, WeightsError
from lightpose.models import MODELS
from lightpose.train.config import ModelConfig
from lightpose.weights.foreign.backbone import load_backbone
from tests.weights.foreign_networks import PoseHRNet, PoseResNet

pytestmark = pytest.mark.slow


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """The network with random numbers in every tensor, batch norms' statistics included."""
    torch.manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            spread = 0.2 / tensor[0].numel() ** 0.5 if tensor.ndim == 4 else 0.1
            tensor.normal_(1 if name.endswith(("bn1.weight", "running_var")) else 0, spread)
            tensor.abs_() if name.endswith("running_var") else None
    return network.eval()


def resnet() -> dict[str, torch.Tensor]:
    """A ResNet-50 as torchvision names it: conv1, bn1, layer1.0.conv1, layer1.0.downsample.0, …, fc."""
    state = randomised(PoseResNet(50), 1).state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith(("deconv", "final"))}
    return kept | {"fc.weight": torch.randn(1000, 2048), "fc.bias": torch.randn(1000)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagenet") / "resnet50-0676ba61.pth"
    torch.save(resnet(), path)
    return path


@pytest.mark.parametrize("model", ["simple50", "cpn50"])
def test_a_resnet_lands_completely_and_gives_its_own_features(file, model):
    network = MODELS[model]()
    rest = {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("backbone.")}
    landed = load_backbone(file, network, model)
    state = torch.load(file, weights_only=True)
    assert landed == sum(not name.startswith("fc.") for name in state)
    mine = list(network.backbone.state_dict().values())
    theirs = [value for name, value in state.items() if not name.startswith("fc.")]
    assert sorted(float(value.double().sum()) for value in mine) == sorted(float(v.double().sum()) for v in theirs)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in rest.items())
    other, images = PoseResNet(50), torch.randn(1, 3, 64, 64)
    other.load_state_dict(state, strict=False)
    other.deconv_layers, other.final_layer = nn.Identity(), nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(network.eval().backbone(images)[-1], other.eval()(images), rtol=1e-4, atol=1e-5)


def test_an_hrnet_lands_but_for_what_leads_to_its_classifier(tmp_path):
    theirs = randomised(PoseHRNet(32), 2)
    state = {name: value for name, value in theirs.state_dict().items() if not name.startswith("final_layer")}
    spare = {f"{name}.weight": torch.zeros(2) for name in ("incre_modules.0.0.conv1", "downsamp_modules.0.0",
             "final_layer.0", "classifier", "stage4.2.fuse_layers.1.0.0.0")}  # fmt: skip
    torch.save({**state, **spare}, tmp_path / "hrnetv2_w32.pth")
    network = MODELS["hrnet_w32"]()
    assert load_backbone(tmp_path / "hrnetv2_w32.pth", network, "hrnet_w32") == len(state)
    network.head.load_state_dict(theirs.final_layer.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(images), theirs(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("layer3.5.conv2.weight"), "lacks layer3.5.conv2.weight of the backbone of simple50"),
        (
            lambda state: state.update({"layer5.0.conv1.weight": torch.zeros(2)}),
            "for which the backbone of simple50 has",
        ),
        (lambda state: state.update({"conv1.weight": torch.zeros(64, 1, 7, 7)}), "has the shape"),
        (lambda state: state["conv1.weight"].fill_(float("nan")), "values that are no numbers"),
    ],
)
def test_a_tensor_too_few_too_many_or_wrong_is_refused_and_nothing_lands(file, tmp_path, change, told):
    state = torch.load(file, weights_only=True)
    change(state)
    torch.save(state, tmp_path / "bad.pth")
    network = MODELS["simple50"]()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=told):
        load_backbone(tmp_path / "bad.pth", network, "simple50")
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"conv1.weight": Attack()}, tmp_path / "attack.pth")
    with pytest.raises(WeightsError):
        load_backbone(tmp_path / "attack.pth", MODELS["simple50"](), "simple50")
    assert not (tmp_path / "ran").exists()


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ConfigError, match="lpn50 has none of its own"):
        ModelConfig(name="lpn50", backbone="resnet50.pth")
    with pytest.raises(ConfigError, match="are both files to start from"):
        ModelConfig(name="simple50", backbone="resnet50.pth", init="mine.safetensors")
    assert ModelConfig(name="simple50", backbone="resnet50.pth").backbone == "resnet50.pth"

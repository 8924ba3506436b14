"""What networks cost, counted by hand, by torch's own counter and by the paper."""

import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from lightpose.cli import main  # noqa: E402
from lightpose.errors import ConfigError, WeightsError  # noqa: E402
from lightpose.models import build  # noqa: E402
from lightpose.models.blocks import GlobalContext  # noqa: E402
from lightpose.models.lpn import LPN  # noqa: E402
from lightpose.skeletons import LSP14  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from lightpose.weights import find_weights  # noqa: E402
from lightpose.weights.cost import profile_model, profile_network  # noqa: E402
from lightpose.weights.network import save_network  # noqa: E402
from tests.models.test_lpn import PUBLISHED  # noqa: E402
from tests.models.test_peers import EXACT, SMALL  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


class Tiny(nn.Module):
    """One of each thing that is counted: 16×16 crops → 8×8 → attention → 16×16."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.up = nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1, groups=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.down(x))).flatten(2)  # (1, 4, 64)
        x = torch.bmm(torch.bmm(x, x.transpose(1, 2)), x)  # 4 × 4 likenesses of channels, times the channels
        out: Tensor = self.up(x.unflatten(2, (8, 8)))
        return out


class Chain(nn.Module):
    """Convolutions that keep 4 channels, and perhaps a sum with what came `back` of them before."""

    def __init__(self, length: int, back: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.others = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(length))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(length))
        self.back = back

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.first(x)]
        for convolution, norm in zip(self.others, self.norms, strict=True):
            maps.append(norm(convolution(maps[-1])).relu())
        return maps[-1] + maps[-1 - self.back] if self.back else maps[-1]


def test_a_tiny_network_costs_what_is_counted_by_hand():
    cost = profile_network(Tiny(), (16, 16), "tiny")
    assert (cost.model, cost.input_hw, cost.joints) == ("tiny", (16, 16), 2)
    assert cost.parameters == (4 * 3 * 9 + 4) + (4 + 4) + 2 * 2 * 16
    assert cost.paper_gflops * 2**30 == 4 * 3 * 9 * 64 + 4 * 16 * 256, "transposed: at the output's 16 × 16 pixels"
    assert cost.macs == 4 * 3 * 9 * 64 + 4 * 16 * 64 + 2 * (4 * 4 * 64), "as it is: at the input's 8 × 8, and two bmm"
    assert cost.activation_bytes == 4 * (3 * 16 * 16 + 4 * 8 * 8), "crop and first map; later less"


def test_layers_tell_the_same_piece_by_piece():
    layers = {layer.name: layer for layer in profile_network(Tiny(), (16, 16)).layers}
    assert {name: (layer.kind, layer.output, layer.parameters) for name, layer in layers.items()} == {
        "": ("Tiny", (1, 2, 16, 16), 0),
        "down": ("Conv2d", (1, 4, 8, 8), 112),
        "norm": ("BatchNorm2d", (1, 4, 8, 8), 8),
        "up": ("ConvTranspose2d", (1, 2, 16, 16), 64),
    }
    assert [layers[name].macs for name in ("", "down", "norm", "up")] == [2048, 6912, 0, 4096]
    assert [layers[name].paper_gflops * 2**30 for name in ("", "down", "norm", "up")] == [0, 6912, 0, 16384]


@pytest.mark.parametrize(
    ("length", "back", "maps"),
    [
        (1, 0, 2),  # a convolution needs its input and its output; batch norm and ReLU write over the latter
        (4, 0, 2),
        (1, 1, 2),  # the sum writes over one of its operands
        (2, 2, 3),  # while the second convolution runs, what is added at the end waits
        (3, 1, 2),
        (4, 3, 3),
    ],
)
def test_memory_is_what_is_needed_at_once(length, back, maps):
    cost = profile_network(Chain(length, back), (32, 16))
    assert cost.activation_bytes == maps * 4 * (4 * 32 * 16)


def test_attention_of_a_global_context_block_is_counted_in_the_block():
    network = nn.Sequential(nn.Conv2d(3, 8, 1), GlobalContext(8))
    layers = {layer.name: layer for layer in profile_network(network, (16, 16)).layers}
    assert layers["1"].kind == "GlobalContext"
    assert layers["1"].macs == 8 * 256, "each channel times the shares of 256 pixels"
    assert layers["1.attention"].macs == 8 * 256
    assert layers["1"].paper_gflops == 0, "the paper's rule leaves it out"


@pytest.mark.parametrize(("model", "gc", "parameters", "flops", "macs"), PUBLISHED[:2])
def test_the_lpn_costs_what_the_paper_says(model, gc, parameters, flops, macs):
    cost = profile_network(build(ModelSpec(model, LSP14, options={"gc": gc})), (256, 192))
    assert cost.joints == 14
    coco = profile_model(model) if gc else profile_network(LPN((3, 4, 6, 3), 17, gc=False), (256, 192))
    assert coco.parameters == parameters
    assert coco.paper_gflops == pytest.approx(flops, abs=1e-6)
    assert coco.macs / 1e9 == pytest.approx(macs, abs=6e-5)
    assert coco.parameters - cost.parameters == 3 * 257


@pytest.mark.parametrize("model", ["simple50", "cpn50"])
def test_peers_cost_what_their_convolutions_shapes_say(model):
    cost = profile_model(model)
    assert (cost.parameters, round(cost.paper_gflops * 2**30), cost.macs) == EXACT[model]


@pytest.mark.parametrize("family", [*SMALL, "lpn"])
def test_multiply_accumulates_are_half_of_what_torch_counts(family):
    network = (LPN((1, 1, 1, 1), 5) if family == "lpn" else SMALL[family]()).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 64, 128))
    cost = profile_network(network, (64, 128))
    assert cost.macs == counter.get_total_flops() / 2
    for name in ("parameters", "macs", "paper_gflops"):
        assert sum(getattr(layer, name) for layer in cost.layers) == getattr(cost, name)


def test_the_network_is_left_as_it_was():
    network = Tiny().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    profile_network(network, (16, 16))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_weights_file_is_profiled_at_its_own_size_with_its_own_joints(tmp_path):
    spec = ModelSpec("lpn50", LSP14, (64, 48), options={"gc": False})
    save_network(tmp_path / "mine.safetensors", build(spec), spec)
    path = str(tmp_path / "mine.safetensors")
    cost = profile_model(path)
    assert (cost.model, cost.input_hw, cost.joints) == (path, (64, 48), 14)
    assert cost.parameters == 2_732_689 - 3 * 257
    assert profile_model(path, (128, 96), 14).macs == 4 * cost.macs
    with pytest.raises(ConfigError, match="has 14 joints; leave --joints out"):
        profile_model(path, joints=17)


def test_an_exported_graph_is_profiled_as_the_network_it_came_from():
    cost, network = profile_model(str(find_weights("lpn50"))), profile_model("lpn50")
    assert cost.layers == network.layers
    assert (cost.parameters, cost.joints, cost.input_hw) == (2_911_153, 17, (256, 192))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"model": "lpn51"}, ConfigError, "lpn51 is neither a network nor a file; the networks are lpn50, lpn101"),
        ({"model": __file__}, WeightsError, "must be a .safetensors or .onnx file"),
        ({"model": "lpn50", "joints": 0}, ConfigError, "joints must be at least 1, not 0"),
        ({"model": "lpn50", "input_hw": (250, 192)}, ConfigError, "lpn50 takes .* multiples of 16, .* not 250x192"),
        ({"model": "simple50", "input_hw": (48, 48)}, ConfigError, "simple50 takes .* multiples of 32, .* not 48x48"),
        ({"model": "lpn50", "input_hw": (0, 192)}, ConfigError, "not 0x192"),
    ],
)
def test_what_cannot_be_profiled_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        profile_model(**arguments)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["profile", *arguments])
    return int(stop.value.code)


def test_the_command_prints_a_json_list(capsys):
    assert run("lpn50", "simple50", "--input", "64x96", "--joints", "5", "--json") == 0
    lpn, simple = json.loads(capsys.readouterr().out)
    assert list(lpn) == ["model", "input", "joints", "parameters", "paper_gflops", "macs", "activation_bytes"]
    assert (lpn["model"], lpn["input"], lpn["joints"]) == ("lpn50", "64x96", 5)
    assert simple["parameters"] == EXACT["simple50"][0] - 12 * 257
    assert simple["macs"] == profile_model("simple50", (64, 96), 5).macs


def test_the_command_tells_layers_in_json(capsys):
    assert run("lpn50", "--input", "64x64", "--json", "--layers") == 0
    (lpn,) = json.loads(capsys.readouterr().out)
    assert lpn["layers"][0] == {
        "name": "stem.0",
        "kind": "Conv2d",
        "output": [1, 64, 32, 32],
        "parameters": 9408,
        "paper_gflops": 9408 * 1024 / 2**30,
        "macs": 9408 * 1024,
    }
    assert sum(layer["macs"] for layer in lpn["layers"]) == lpn["macs"]


def test_the_command_prints_tables(capsys):
    assert run("lpn50", "--input", "64×64", "--layers") == 0
    text = capsys.readouterr().out
    assert [line.split() for line in text.splitlines() if line.strip().startswith("lpn50 ")][-1][:4] == [
        "lpn50", "64x64", "17", "2,911,153",
    ]  # fmt: skip
    assert "stem.0" in text
    assert "64x32x32" in text
    assert "layers.3.2.branch.3.transform.3" in text, "names are whole where there is no terminal"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "name at least one network or weights file"),
        (["nothing"], "nothing is neither a network nor a file"),
        (["lpn50", "--input", "256"], "--input must be HEIGHTxWIDTH, such as 256x192, not '256'"),
        (["hourglass8", "--input", "96x96"], "hourglass8 takes inputs whose sides are multiples of 64"),
    ],
)
def test_a_wrong_command_says_what_to_do(arguments, text, capsys):
    assert run(*arguments) == 2
    assert text in capsys.readouterr().err


def test_the_command_line_starts_without_torch():
    code = "import lightpose.cli, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

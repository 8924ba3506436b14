"""The networks against the paper's figures, against plain loops, and over sizes and joints."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from lightpose.errors import ConfigError  # noqa: E402
from lightpose.models import MODELS, build, initialise_kaiming  # noqa: E402
from lightpose.models.blocks import GlobalContext, LightweightBottleneck, upsample  # noqa: E402
from lightpose.skeletons import COCO17, LSP14  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

PUBLISHED = [  # model, gc, parameters, the paper's GFLOPs (2³⁰), true multiply-accumulates (10⁹)
    ("lpn50", True, 2_911_153, 1.007971, 1.0697),
    ("lpn50", False, 2_732_689, 1.006348, 1.0664),
    ("lpn101", True, 5_353_458, 1.414320, 1.5069),
    ("lpn101", False, 5_026_193, 1.411789, 1.5017),
    ("lpn152", True, 7_377_459, 1.822485, 1.9462),
    ("lpn152", False, 6_918_801, 1.818878, 1.9388),
]


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter and running statistic of some size, so that nothing hides behind a zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(noise + 0.5 if "running_var" in name else (noise - 0.5) * 0.6)
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "gc", "parameters", "flops", "macs"), PUBLISHED)
def test_a_network_has_the_published_parameters_and_operations(model, gc, parameters, flops, macs):
    counted = []

    def count(module, _inputs, output):
        counted.append(math.prod(module.weight.shape) * math.prod(output.shape[2:]))

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = MODELS[model](joints=17, gc=gc)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_hook(count)
        assert network(torch.zeros(1, 3, 256, 192)).shape == (1, 17, 64, 48)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert sum(counted) / 2**30 == pytest.approx(flops, abs=1e-6), "as the paper counts them"
    assert counter.get_total_flops() / 2 / 1e9 == pytest.approx(macs, abs=6e-5), "as they are"


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 64), (48, 32), (64, 48), (128, 96), (256, 192)])
def test_heatmaps_are_a_quarter_of_the_input_whatever_its_size(size_hw):
    heatmaps = MODELS["lpn50"]().eval()(torch.zeros(1, 3, *size_hw))
    assert heatmaps.shape == (1, 17, size_hw[0] // 4, size_hw[1] // 4)


@pytest.mark.parametrize("joints", [1, 5, 14, 17, 19])
def test_there_is_one_heatmap_for_each_joint(joints):
    assert MODELS["lpn50"](joints=joints).eval()(torch.zeros(2, 3, 32, 16)).shape == (2, joints, 8, 4)


def test_each_crop_of_a_batch_is_seen_alone():
    network = randomise(MODELS["lpn50"]())
    crops = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together, alone = network(crops), torch.cat([network(crop[None]) for crop in crops])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * float(together.abs().max()))


def test_convolutions_start_from_a_normal_distribution_of_one_thousandth():
    torch.manual_seed(0)
    network = MODELS["lpn50"]().requires_grad_(False)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    everything = torch.cat([module.weight.flatten() for module in convolutions])
    assert float(everything.std()) == pytest.approx(0.001, rel=0.005)
    assert abs(float(everything.mean())) < 5 * 0.001 / len(everything) ** 0.5
    for module in convolutions:
        doubt = 5 / (2 * module.weight.numel()) ** 0.5  # five standard errors of a standard deviation
        assert float(module.weight.std()) == pytest.approx(0.001, rel=doubt)
        assert module.bias is None or not module.bias.any()


def test_batch_norms_start_as_the_identity():
    norms = [module for module in MODELS["lpn50"]().modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)


def test_kaiming_initialisation_spreads_weights_by_the_root_of_two_over_fan_out():
    torch.manual_seed(0)
    network = MODELS["lpn50"]().requires_grad_(False)
    head = network.head.weight.clone()
    initialise_kaiming(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None and module.groups == 1:
            fan_out = module.out_channels * math.prod(module.kernel_size)
            doubt = 5 / (2 * module.weight.numel()) ** 0.5
            assert float(module.weight.std()) == pytest.approx((2 / fan_out) ** 0.5, rel=doubt)
        if isinstance(module, GlobalContext):
            x = torch.rand(1, module.attention.in_channels, 3, 2)
            assert torch.equal(module(x), x), "a global-context block begins as the identity"
    assert torch.equal(network.head.weight, head), "the output keeps its small start"


def test_only_the_head_and_global_context_have_biases():
    for gc in (True, False):
        named = dict(MODELS["lpn50"](gc=gc).named_modules())
        biased = {
            name for name, m in named.items() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d) and m.bias is not None
        }
        context = {
            f"{name}.{part}"
            for name, module in named.items()
            if isinstance(module, GlobalContext)
            for part in ("attention", "transform.0", "transform.3")
        }
        assert biased == {"head"} | context
        assert bool(context) == gc


@pytest.mark.parametrize(
    ("model", "depths"), [("lpn50", (3, 4, 6, 3)), ("lpn101", (3, 4, 23, 3)), ("lpn152", (3, 8, 36, 3))]
)
def test_every_bottleneck_has_a_global_context_block(model, depths):
    network = MODELS[model]()
    assert tuple(len(layer) for layer in network.layers) == depths
    assert sum(isinstance(module, GlobalContext) for module in network.modules()) == sum(depths)


@pytest.mark.parametrize(("channels", "hidden"), [(8, 16), (64, 16), (256, 16), (320, 20), (512, 32)])
def test_global_context_narrows_to_a_sixteenth_but_not_below_sixteen(channels, hidden):
    assert GlobalContext(channels).transform[0].out_channels == hidden


def test_global_context_equals_a_plain_loop():
    channels, height, width = 6, 3, 4
    block = randomise(GlobalContext(channels))
    x = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(2))
    state = {name: value.double().numpy().squeeze() for name, value in block.state_dict().items()}
    expected = x.double().numpy().copy()
    for n in range(2):
        pixels = [x[n, :, i, j].double().numpy() for i in range(height) for j in range(width)]
        shares = np.array([math.exp(pixel @ state["attention.weight"] + state["attention.bias"]) for pixel in pixels])
        context = sum(share * pixel for share, pixel in zip(shares / shares.sum(), pixels, strict=True))
        hidden = state["transform.0.weight"] @ context + state["transform.0.bias"]
        hidden = (hidden - hidden.mean()) / math.sqrt(hidden.var() + 1e-5)
        hidden = np.maximum(hidden * state["transform.1.weight"] + state["transform.1.bias"], 0)
        expected[n] += (state["transform.3.weight"] @ hidden + state["transform.3.bias"])[:, None, None]
    np.testing.assert_allclose(block(x).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(("inputs", "width", "stride"), [(8, 8, 1), (4, 8, 1), (8, 8, 2), (4, 8, 2)])
def test_a_bottleneck_is_three_convolutions_and_a_shortcut(inputs, width, stride):
    block = randomise(LightweightBottleneck(inputs, width, stride, gc=False))
    x = torch.rand(2, inputs, 6, 8, generator=torch.Generator().manual_seed(3))

    def norm(y, layer):
        part = [value[:, None, None] for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)]
        return (y - part[0]) / torch.sqrt(part[1] + layer.eps) * part[2] + part[3]

    first, second, third, _ = block.branch
    y = norm(torch.einsum("nchw,oc->nohw", x, first[0].weight[:, :, 0, 0]), first[1]).relu()
    padded = functional.pad(y, (1, 1, 1, 1))
    kernel = second[0].weight[:, 0, :, :, None, None]
    y = sum(kernel[:, i, j] * padded[:, :, i : i + 6, j : j + 8] for i in range(3) for j in range(3))
    y = norm(y[:, :, ::stride, ::stride], second[1]).relu()
    y = norm(torch.einsum("nchw,oc->nohw", y, third[0].weight[:, :, 0, 0]), third[1])
    shortcut = x
    if stride == 2 or inputs != width:
        at = x[:, :, ::stride, ::stride]
        shortcut = norm(torch.einsum("nchw,oc->nohw", at, block.shortcut[0].weight[:, :, 0, 0]), block.shortcut[1])
    torch.testing.assert_close(block(x), (y + shortcut).relu(), atol=1e-5, rtol=1e-5)
    assert isinstance(block.shortcut, nn.Identity) == (stride == 1 and inputs == width)


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(512, 256, 256), (256, 256, 256), (6, 4, 2), (5, 3, 1)])
def test_upsampling_is_grouped_by_what_input_and_output_share(inputs, outputs, groups):
    layers = upsample(inputs, outputs)
    assert layers[0].groups == groups
    assert layers.eval()(torch.zeros(1, inputs, 3, 2)).shape == (1, outputs, 6, 4)


def test_build_gives_the_network_that_a_spec_describes():
    network = build(ModelSpec("lpn101", LSP14, options={"gc": False}))
    expected = MODELS["lpn101"](joints=14, gc=False)
    assert [(n, v.shape) for n, v in network.state_dict().items()] == [
        (n, v.shape) for n, v in expected.state_dict().items()
    ]


@pytest.mark.parametrize(
    ("model", "options", "text"),
    [
        ("lpn51", {}, r"unknown model 'lpn51'; use lpn50, lpn101, lpn152"),
        ("lpn50", {"gcc": True}, r"model 'lpn50' does not take the options \{'gcc': True\}"),
    ],
)
def test_an_unknown_model_or_option_is_refused(model, options, text):
    with pytest.raises(ConfigError, match=text):
        build(ModelSpec(model, COCO17, options=options))

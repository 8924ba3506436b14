"""What the peers are built of, against arithmetic by hand, and its export."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from lightpose.export.pose import export_checked  # noqa: E402
from lightpose.models import initialise_kaiming  # noqa: E402
from lightpose.models.blocks import conv_bn  # noqa: E402
from lightpose.models.hourglass import Hourglass, Residual  # noqa: E402
from lightpose.models.hrnet import ExchangeModule  # noqa: E402
from lightpose.models.resnet import BasicBlock, Bottleneck, ResNet  # noqa: E402
from lightpose.runtime.torch import TorchRuntime  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from tests.models.test_peers import calm  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def test_a_resnet_gives_maps_at_strides_4_to_32():
    with torch.device("meta"):
        maps = ResNet((1, 2, 1, 1))(torch.zeros(1, 3, 64, 96))
    assert [tuple(each.shape) for each in maps] == [
        (1, 256, 16, 24),
        (1, 512, 8, 12),
        (1, 1024, 4, 6),
        (1, 2048, 2, 3),
    ]


@pytest.mark.parametrize(
    "block",
    [BasicBlock(4, 4), BasicBlock(4, 6), Bottleneck(8, 2, 8), Bottleneck(4, 2, 8), Bottleneck(8, 2, 8, stride=2)],
)
def test_a_residual_block_adds_its_shortcut_before_the_relu(block):
    block = block.eval()
    inputs = 4 if block.branch[0][0].in_channels == 4 else 8
    x = torch.randn(2, inputs, 6, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        branch = block.branch(x)
        same = branch.shape == x.shape
        assert isinstance(block.shortcut, nn.Identity) == same
        shortcut = x if same else functional.conv2d(x, block.shortcut[0].weight, stride=block.shortcut[0].stride)
        expected = (branch + shortcut / (1 if same else math.sqrt(1 + 1e-5))).clamp(min=0)
        torch.testing.assert_close(block(x), expected)
        assert (branch < 0).any(), "the branch itself ends without a ReLU"


def test_an_hourglass_of_identities_adds_the_largest_of_each_square():
    x = torch.tensor([[1.0, 5, 2, 0], [3, 4, 7, 1], [0, 0, 1, 2], [0, 9, 3, 4]])[None, None]
    hourglass = Hourglass(4, depth=2)
    for part in (hourglass, hourglass.inner):
        part.skip = part.down = part.up = nn.Identity()
    hourglass.inner.inner = nn.Identity()
    low = [[5.0 + 9, 7 + 9], [9 + 9, 4 + 9]]  # the largest of each square, plus the largest of them all
    grown = torch.tensor(low).repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(hourglass(x)[0, 0], x[0, 0] + grown)


def test_a_residual_of_the_hourglass_activates_first():
    block = Residual(4, 6).eval()
    x = -torch.rand(1, 4, 3, 3)
    nn.init.zeros_(block.branch[8].weight)
    nn.init.ones_(block.branch[8].bias)
    expected = functional.conv2d(x, block.shortcut.weight, block.shortcut.bias) + 1
    torch.testing.assert_close(block(x), expected, msg="the shortcut takes the input as it is, and no ReLU ends it")
    assert Residual(4, 4).branch[2].out_channels == 2, "half the width in the middle"


def test_branches_of_hrnet_exchange_what_they_see():
    module = ExchangeModule([1, 2], outputs=2).eval()
    module.branches = nn.ModuleList([nn.Identity(), nn.Identity()])
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.ones_(part.weight)
        elif isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0
    fine = torch.full((1, 1, 4, 4), 2.0)
    coarse = torch.tensor([[[1.0, 2], [3, -30]], [[10, 20], [30, 40]]])[None]
    with torch.no_grad():
        first, second = module([fine, coarse])
    # coarse → fine: the sum of both channels, on a square each; fine → coarse: 2 for each pixel a 3×3 at stride 2 sees
    grown = torch.tensor([[11.0, 22], [33, 10]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(first[0, 0], 2 + grown)
    seen = 2 * torch.tensor([[4.0, 6], [6, 9]])
    assert torch.equal(second[0], (coarse[0] + seen).clamp(min=0))


def test_a_merge_of_cpn_gives_the_same_before_upsampling_as_after():
    merge = nn.Conv2d(5, 5, 1)
    x = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    before = functional.interpolate(merge(x), scale_factor=2.0, mode="bilinear")
    after = merge(functional.interpolate(x, scale_factor=2.0, mode="bilinear"))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize(
    ("layer", "fan_out"),
    [
        (nn.Conv2d(64, 128, 3, padding=1, bias=False), 128 * 9),
        (nn.Conv2d(64, 128, 1), 128),
        (nn.Conv2d(256, 256, 3, padding=1, groups=256), 9),
        (nn.Conv2d(256, 512, 3, padding=1, groups=256), 2 * 9),
        (nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1), 32 * 16),
        (nn.ConvTranspose2d(512, 256, 4, stride=2, padding=1, groups=256), 16),
    ],
)
def test_kaiming_counts_the_outputs_that_one_input_feeds(layer, fan_out):
    torch.manual_seed(0)
    layer.requires_grad_(False)
    initialise_kaiming(nn.Sequential(layer))
    doubt = 5 / (2 * layer.weight.numel()) ** 0.5  # five standard errors of a standard deviation
    assert float(layer.weight.std()) == pytest.approx((2 / fan_out) ** 0.5, rel=doubt)
    assert layer.bias is None or not layer.bias.any()
    spark = torch.zeros(1, layer.in_channels, 7, 7)
    spark[0, 1, 3, 3] = 1
    nn.init.ones_(layer.weight)
    assert int(layer(spark).count_nonzero()) == fan_out


class Pieces(nn.Module):
    """What the peers' graphs have and the LPN's has not, once each: a whole peer takes a minute to export."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, 3, 2), conv_bn(8, 8, 3, 2))
        self.hourglass = Hourglass(8, depth=1)
        self.coarse = conv_bn(8, 16, 3, 2)
        self.exchange = ExchangeModule([8, 16], outputs=2, blocks=1)
        self.deconv = nn.Sequential(nn.ConvTranspose2d(16, 8, 4, 2, padding=1, bias=False), nn.BatchNorm2d(8))
        self.bottleneck = Bottleneck(16, 4, 8)
        self.head = nn.Conv2d(24, 17, 1)

    def forward(self, x):
        x = self.hourglass(self.stem(x))
        fine, coarse = self.exchange([x, self.coarse(x)])
        grown = functional.interpolate(self.bottleneck(coarse), scale_factor=2.0, mode="bilinear")  # as CPN does
        return self.head(torch.cat([fine, self.deconv(coarse), grown], dim=1))


def test_exported_pieces_of_peers_give_what_the_pieces_give(tmp_path):
    pytest.importorskip("onnxscript")
    network, spec = calm(Pieces()).float(), ModelSpec("pieces", COCO17, (64, 128))
    with torch.no_grad():
        network.head.weight *= 0.1
    export_checked(network, spec, tmp_path / "net.onnx")
    crops = np.random.default_rng(0).integers(0, 256, (4, 64, 128, 3), dtype=np.uint8)  # what it was compared on
    assert 0.3 < np.abs(TorchRuntime(network, spec).heatmaps(crops)).max() < 10, (
        "of a size that 1e-4 means something for"
    )

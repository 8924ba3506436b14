"""Networks rearranged for running give what they gave."""

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from lightpose.models.blocks import GroupedUpsampling, LightweightBottleneck, upsample  # noqa: E402
from lightpose.models.fused import EarlyContext, PhasedUpsampling, fuse  # noqa: E402
from lightpose.models.lpn import LPN  # noqa: E402
from tests.export.test_pose import randomise  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gc", [True, False])
@pytest.mark.parametrize("hw", [(64, 48), (32, 80)])
def test_a_fused_network_gives_what_it_gave_and_leaves_the_first_alone(gc, hw):
    network = randomise(LPN((1, 2, 1, 1), 5, gc=gc)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fused = fuse(network)
    assert network.training
    assert not fused.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        expected = network.eval()(noise(3, 3, *hw))
        torch.testing.assert_close(fused(noise(3, 3, *hw)), expected, atol=1e-5, rtol=1e-5)
    assert float(expected.std()) > 0.01


def test_nothing_of_the_slow_kind_is_left():
    kinds = {type(module) for module in fuse(LPN((1, 2, 1, 1), 5)).modules()}
    assert {EarlyContext, PhasedUpsampling} <= kinds
    assert not {LightweightBottleneck, nn.ConvTranspose2d, GroupedUpsampling, nn.BatchNorm2d} & kinds


@pytest.mark.parametrize("inputs", [8, 16, 24], ids="{} members".format)
def test_four_phases_are_a_transposed_convolution(inputs):
    """Also at the edges, and for groups of one, two and three members."""
    convolution = GroupedUpsampling(inputs, 8)
    phased = PhasedUpsampling(convolution, nn.Identity())
    x = noise(2, inputs, 3, 5)
    with torch.no_grad():
        expected = nn.functional.conv_transpose2d(x, convolution.weight, stride=2, padding=1, groups=8)
        torch.testing.assert_close(phased(x), expected, atol=1e-5, rtol=1e-5)


def test_upsampling_whose_groups_have_several_outputs_stays_as_it_is():
    network = nn.Sequential(upsample(8, 16)).eval()
    assert isinstance(fuse(network)[0][0], GroupedUpsampling)

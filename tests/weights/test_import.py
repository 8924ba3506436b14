"""Checkpoints of other projects: imported networks give the heatmaps of the originals; every tensor has its place."""

import pytest

torch = pytest.importorskip("torch")

from lightpose.models import MODELS  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.weights.foreign.convert import import_checkpoint  # noqa: E402
from lightpose.weights.foreign.names import their_name  # noqa: E402
from lightpose.weights.foreign.recognise import LPN_AUTHORS, POSE_HRNET, POSE_RESNET, recognise  # noqa: E402
from lightpose.weights.network import load_network, save_network  # noqa: E402
from tests.weights.foreign_networks import PoseHRNet, PoseResNet, trained  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CHEAP = {  # what is built → what it is recognised as
    "lpn with context": (lambda: PoseResNet(50, 17, True, True), ("lpn50", {"gc": True}, LPN_AUTHORS)),
    "lpn": (lambda: PoseResNet(50, 17, True), ("lpn50", {"gc": False}, LPN_AUTHORS)),
    "pose_resnet": (lambda: PoseResNet(50, 17), ("simple50", {}, POSE_RESNET)),
    "pose_hrnet": (lambda: PoseHRNet(32, 17), ("hrnet_w32", {}, POSE_HRNET)),
}
ALL = {
    **{
        f"lpn{depth}": (lambda depth=depth: PoseResNet(depth, 16, True, True), {"gc": True}) for depth in (50, 101, 152)
    },
    **{f"simple{depth}": (lambda depth=depth: PoseResNet(depth, 16), {}) for depth in (50, 101, 152)},
    **{f"hrnet_w{width}": (lambda width=width: PoseHRNet(width, 16), {}) for width in (32, 48)},
}


@pytest.mark.parametrize("kind", CHEAP)
def test_an_imported_network_gives_the_heatmaps_of_the_original(kind, tmp_path):
    make, (model, options, origin) = CHEAP[kind]
    original = trained(make())
    torch.save(original.state_dict(), tmp_path / "theirs.pth")
    imported = import_checkpoint(tmp_path / "theirs.pth")
    assert (imported.spec.model, imported.spec.options, imported.found.origin) == (model, options, origin)
    assert imported.spec.skeleton == COCO17
    save_network(tmp_path / "ours.safetensors", imported.network, imported.spec)
    network, spec = load_network(tmp_path / "ours.safetensors")
    assert spec == imported.spec
    crops = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected, found = original.double()(crops), network.double()(crops)
    assert expected.std() > 0.1, "a signal, not zeros, is compared"
    assert (found - expected).abs().max() < 1e-9


@pytest.mark.parametrize("model", ALL)
def test_every_tensor_of_every_depth_and_width_has_its_place(model):
    make, options = ALL[model]
    with torch.device("meta"):
        theirs = {name: tuple(value.shape) for name, value in make().state_dict().items()}
        ours = MODELS[model](joints=16, **options).state_dict()
    assert {their_name(name): tuple(value.shape) for name, value in ours.items()} == theirs
    found = recognise(theirs)
    assert (found.model, found.options, found.joints) == (model, options, 16)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("stem.1.running_mean", "bn1.running_mean"),
        ("backbone.stem.0.weight", "conv1.weight"),
        ("stem.1.0.weight", "conv2.weight"),
        ("backbone.layers.2.5.branch.1.0.weight", "layer3.5.conv2.weight"),
        ("layers.3.0.branch.3.attention.bias", "layer4.0.att.conv_mask.bias"),
        ("layers.3.0.branch.3.transform.1.weight", "layer4.0.att.channel_add_conv.1.weight"),
        ("layers.1.0.shortcut.1.bias", "layer2.0.downsample.1.bias"),
        ("upsample.1.4.running_var", "deconv_layers.10.running_var"),
        ("deconvs.6.weight", "deconv_layers.6.weight"),
        ("layer1.0.branch.2.1.running_var", "layer1.0.bn3.running_var"),
        ("transitions.2.3.0.0.weight", "transition3.3.0.0.weight"),
        ("stages.1.0.fuse.2.0.1.0.weight", "stage3.0.fuse_layers.2.0.1.0.weight"),
        ("stages.1.3.branches.2.3.branch.1.0.weight", "stage3.3.branches.2.3.conv2.weight"),
        ("head.bias", "final_layer.bias"),
    ],
)
def test_names_as_they_stand_in_published_checkpoints(ours, theirs):
    assert their_name(ours) == theirs

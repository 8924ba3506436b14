"""Weights files: what is written comes back, and what does not fit is refused with the reason."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import nn  # noqa: E402

from lightpose.errors import ConfigError, WeightsError  # noqa: E402
from lightpose.models import build  # noqa: E402
from lightpose.skeletons import COCO17, LSP14, MPII16, Skeleton  # noqa: E402
from lightpose.types import ModelSpec  # noqa: E402
from lightpose.weights.network import average_networks, load_into, load_network, save_network  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = ModelSpec(
    "lpn50",
    Skeleton("hand", ("thumb", "left_tip", "right_tip"), (("thumb", "left_tip"),), (0.05, 0.06, 0.07)),
    input_hw=(64, 48),
    options={"gc": False},
    color_order="bgr",
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
    geometry="udp",
    decoder="dark",
    beta=80.0,
    sigma=1.5,
)


def random_network(spec, seed=0):
    """A network none of whose tensors is as it was born."""
    network = build(spec)
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        value.copy_(torch.rand(value.shape, generator=generator) if value.is_floating_point() else torch.tensor(7))
    return network


@pytest.fixture(scope="module")
def network():
    return random_network(SPEC)


@pytest.fixture
def path(network, tmp_path):
    save_network(tmp_path / "net.safetensors", network, SPEC)
    return tmp_path / "net.safetensors"


def rewrite(path, metadata=..., tensors=None):
    """The file with other metadata or tensors."""
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    save_file(tensors or load_file(path), path, metadata=old if metadata is ... else metadata)


def test_a_network_comes_back_to_the_bit_with_its_spec(network, path):
    found, spec = load_network(path)
    assert spec == SPEC
    assert not found.training
    expected = network.state_dict()
    assert list(found.state_dict()) == list(expected)
    for name, value in found.state_dict().items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name]), name


def test_a_network_in_another_memory_layout_is_written_the_same(path, tmp_path):
    turned = random_network(SPEC).to(memory_format=torch.channels_last)
    save_network(tmp_path / "turned.safetensors", turned, SPEC)
    assert (tmp_path / "turned.safetensors").read_bytes() == path.read_bytes()


def test_half_a_file_rounds_each_weight_to_sixteen_bits(network, path, tmp_path):
    save_network(tmp_path / "half.safetensors", network, SPEC, half=True)
    found, spec = load_network(tmp_path / "half.safetensors")
    assert spec == SPEC
    for name, value in network.state_dict().items():
        expected = value.to(torch.float16).to(torch.float32) if value.is_floating_point() else value
        assert found.state_dict()[name].dtype == value.dtype
        assert torch.equal(found.state_dict()[name], expected), name
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * path.stat().st_size


def test_saving_leaves_the_network_alone_and_no_other_file(network, tmp_path):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_network(tmp_path / "half.safetensors", network, SPEC, half=True)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.dtype == before[name].dtype for name, value in network.state_dict().items())
    assert network.training
    assert [file.name for file in tmp_path.iterdir()] == ["half.safetensors"]


def test_load_into_takes_the_weights_whatever_the_crop_they_were_trained_on(network, path):
    other = dataclasses.replace(SPEC, input_hw=(128, 96), geometry="msra", sigma=2.0)
    fresh = build(other)
    load_into(path, fresh, other)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in fresh.state_dict().items())


def assert_all_but(found, expected, *names):
    """The same tensors, save for those of that name."""
    for name, value in found.state_dict().items():
        assert name in names or torch.equal(value, expected.state_dict()[name]), name


@pytest.mark.slow
def test_a_skeleton_of_ones_own_takes_over_the_joints_that_the_weights_know_by_name(tmp_path):
    """Five joints, two of them unknown to COCO: those start anew, and all before the head is as in the file."""
    theirs = ModelSpec("lpn50", COCO17, (64, 48), {"gc": True})
    stored = random_network(theirs)
    save_network(tmp_path / "coco.safetensors", stored, theirs)
    joints = ("right_wrist", "tail", "nose", "left_wrist", "left_paw")
    mine = dataclasses.replace(theirs, skeleton=Skeleton("mine", joints))
    fresh, before = build(mine), build(mine)
    before.load_state_dict(fresh.state_dict())
    load_into(tmp_path / "coco.safetensors", fresh, mine)
    assert_all_but(fresh, stored, "head.weight", "head.bias")
    for number, joint in enumerate(joints):
        known = joint in COCO17.joints
        source, row = (stored, COCO17.joints.index(joint)) if known else (before, number)
        assert torch.equal(fresh.head.weight[number], source.head.weight[row]), joint
        assert torch.equal(fresh.head.bias[number], source.head.bias[row]), joint


def test_weights_without_a_joint_in_common_give_all_but_the_head(path, network):
    spec = dataclasses.replace(SPEC, skeleton=LSP14)
    fresh = build(spec)
    before = {name: value.clone() for name, value in fresh.head.state_dict().items()}
    load_into(path, fresh, spec)
    assert_all_but(fresh, network, "head.weight", "head.bias")
    assert all(torch.equal(value, before[name]) for name, value in fresh.head.state_dict().items())


def test_half_a_file_is_matched_in_full_precision(network, tmp_path):
    save_network(tmp_path / "half.safetensors", network, SPEC, half=True)
    spec = dataclasses.replace(SPEC, skeleton=Skeleton("foot", ("left_tip", "heel", "thumb")))
    fresh = build(spec)
    load_into(tmp_path / "half.safetensors", fresh, spec)
    assert all(value.dtype in (torch.float32, torch.int64) for value in fresh.state_dict().values())
    assert torch.equal(fresh.head.bias[[0, 2]], network.head.bias[[1, 0]].half().float())


@pytest.mark.slow
def test_as_many_joints_in_another_order_turn_nothing_but_the_head(tmp_path):
    """Sixteen, which is also the width of hidden layers in global context, and of nothing that is a joint there."""
    theirs = ModelSpec("lpn50", MPII16, (64, 48), {"gc": True})
    stored = random_network(theirs)
    save_network(tmp_path / "mpii.safetensors", stored, theirs)
    order = list(reversed(range(16)))
    mine = dataclasses.replace(theirs, skeleton=Skeleton("back", tuple(MPII16.joints[n] for n in order)))
    fresh = build(mine)
    load_into(tmp_path / "mpii.safetensors", fresh, mine)
    assert any(value.shape[:1] == (16,) for name, value in stored.state_dict().items() if "transform" in name)
    assert_all_but(fresh, stored, "head.weight", "head.bias")
    assert torch.equal(fresh.head.weight, stored.head.weight[order])
    assert torch.equal(fresh.head.bias, stored.head.bias[order])


HAND = Skeleton("hand", ("thumb", "left_tip", "right_tip"))


@pytest.fixture(scope="module", params=["lpn50", "cpn50", "hourglass8"])
def born(request, tmp_path_factory):
    """A network for a hand as it is born, its spec and its file."""
    spec = ModelSpec(request.param, HAND, (64, 64))
    torch.manual_seed(0)
    network, path = build(spec), tmp_path_factory.mktemp("born") / "net.safetensors"
    save_network(path, network, spec)
    return network.eval(), spec, path


@pytest.mark.slow
def test_a_network_for_the_same_joints_in_another_order_gives_the_same_heatmaps_in_that_order(born):
    """Also where heatmaps are fed back into the network, as between stacked hourglasses."""
    stored, theirs, path = born
    mine = dataclasses.replace(theirs, skeleton=Skeleton("dnah", ("right_tip", "thumb", "left_tip")))
    fresh = build(mine)
    load_into(path, fresh, mine)
    crops = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected, found = stored(crops)[:, [2, 0, 1]], fresh.eval()(crops)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("born", ["hourglass8"], indirect=True)
def test_joints_that_are_fed_back_start_anew_where_the_weights_do_not_know_them(born):
    stored, theirs, path = born
    mine = dataclasses.replace(theirs, skeleton=Skeleton("paw", ("claw", "thumb", "left_pad", "right_pad")))
    fresh = build(mine)
    before = fresh.heatmap_returns[3].weight.detach().clone()
    load_into(path, fresh, mine)
    after = fresh.heatmap_returns[3].weight
    assert torch.equal(after[:, 1], stored.heatmap_returns[3].weight[:, 0])
    assert torch.equal(after[:, [0, 2, 3]], before[:, [0, 2, 3]])
    assert torch.equal(fresh.heads[7].weight[1], stored.heads[7].weight[0])


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"options": {"gc": True}}, {"model": "lpn101"}], ids=["option", "model"])
@pytest.mark.parametrize("skeleton", [SPEC.skeleton, LSP14], ids=["same joints", "other joints"])
def test_weights_of_another_architecture_are_refused(path, change, skeleton):
    spec = dataclasses.replace(SPEC, **change, skeleton=skeleton)
    with pytest.raises(WeightsError, match=r"net\.safetensors does not fit its network: "):
        load_into(path, build(spec), spec)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"cannot read the weights .*nowhere\.safetensors: No such file"):
        load_network(tmp_path / "nowhere.safetensors")


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(WeightsError):
        load_network(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a pickle", b"\xff" * 100], ids=["empty", "another kind", "noise"]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.safetensors is not a whole safetensors file"):
        load_network(tmp_path / "net.safetensors")


@pytest.mark.parametrize("share", [0.0001, 0.5, 0.999])
def test_a_file_cut_short_is_refused(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match=r"net\.safetensors is not a whole safetensors file"):
        load_network(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_file_without_a_spec_is_refused(path, metadata):
    rewrite(path, metadata)
    with pytest.raises(WeightsError, match=r"net\.safetensors does not say which model, joints and input it is for"):
        load_network(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", SPEC.to_json()[:-30], SPEC.to_json().replace("udp", "uvp")])
def test_a_damaged_spec_is_refused(path, text):
    rewrite(path, {"lightpose": text})
    with pytest.raises(WeightsError, match=r"the model's description is damaged or from another version"):
        load_network(path)


@pytest.mark.parametrize(("change", "text"), [({"model": "lpn500"}, "lpn500"), ({"options": {"width": 3}}, "width")])
def test_a_spec_of_a_network_nobody_knows_is_refused(path, change, text):
    rewrite(path, {"lightpose": dataclasses.replace(SPEC, **change).to_json()})
    with pytest.raises(WeightsError, match=text):
        load_network(path)


def test_a_spec_with_other_joints_than_the_tensors_is_refused(path):
    rewrite(path, {"lightpose": dataclasses.replace(SPEC, skeleton=COCO17).to_json()})
    with pytest.raises(WeightsError, match=r"net\.safetensors does not fit its network: size mismatch for head\."):
        load_network(path)


@pytest.mark.parametrize("number", [0, 1], ids=["missing", "unexpected"])
def test_a_file_with_other_tensors_than_the_network_is_refused(path, number):
    tensors = load_file(path)
    if number == 0:
        del tensors["head.bias"]
    else:
        tensors["tail.bias"] = torch.zeros(3)
    rewrite(path, tensors=tensors)
    with pytest.raises(WeightsError, match=[r'Missing key\(s\).*"head\.bias"', r'Unexpected key\(s\).*"tail'][number]):
        load_network(path)


def test_a_failed_save_keeps_the_old_file(path, tmp_path):
    """A network whose tensors cannot be written: two names for one memory, which safetensors refuses."""
    before = path.read_bytes()
    twins = nn.Module()
    twins.a = nn.Linear(2, 2)
    twins.b = twins.a
    with pytest.raises(Exception, match="share memory"):
        save_network(path, twins, SPEC)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.fixture
def three(tmp_path):
    """Files of one network whose weights are all 1, 2 and 6; the second has another crop and decoder."""
    paths = []
    for number, (value, decoder) in enumerate(((1, "dark"), (2, "argmax"), (6, "dark"))):
        network = build(SPEC)
        for tensor in network.state_dict().values():
            tensor.fill_(value)
        paths.append(tmp_path / f"{number}.safetensors")
        save_network(paths[-1], network, dataclasses.replace(SPEC, decoder=decoder, padding=1 + number / 8))
    return paths


@pytest.mark.slow
@pytest.mark.parametrize(("shares", "mean"), [(None, 3.0), ((1, 1, 0), 1.5), ((2, 1, 1), 2.5), ((0.1, 0, 0.3), 4.75)])
def test_an_average_weighs_each_file_by_its_share_and_is_set_up_as_the_first(three, shares, mean):
    network, spec = average_networks(three, shares)
    for name, value in network.state_dict().items():
        expected = mean if value.is_floating_point() else 6
        torch.testing.assert_close(value, torch.full_like(value, expected), msg=name)
    assert (spec.decoder, spec.padding) == ("dark", 1.0)
    assert not network.training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "text"),
    [((1, 2), "there are 3 files, but 2 shares"), ((1, -1, 1), "finite, not below 0"), ((0, 0, 0), "not all 0"),
     ((float("nan"), 1, 1), "finite, not below 0"), ((1e308, 1e308, 1e308), "finite, not below 0")],
)  # fmt: skip
def test_shares_that_make_no_average_are_refused(three, shares, text):
    with pytest.raises(ConfigError, match=text):
        average_networks(three, shares)


def test_one_file_is_no_average(three):
    with pytest.raises(ConfigError, match="two or more weights files"):
        average_networks(three[:1])


@pytest.mark.parametrize("change", [{"options": {"gc": True}}, {"skeleton": LSP14}, {"color_order": "rgb"}])
def test_networks_that_are_not_alike_have_no_average(path, tmp_path, change):
    spec = dataclasses.replace(SPEC, **change)
    save_network(tmp_path / "other.safetensors", build(spec), spec)
    with pytest.raises(WeightsError, match=r"other\.safetensors is not of the same network, joints and colours"):
        average_networks([path, tmp_path / "other.safetensors"])

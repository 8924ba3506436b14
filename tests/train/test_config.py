"""Reading a training configuration: what a good file gives, and how each fault is named."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from lightpose.data.augment import AugmentConfig
from lightpose.errors import ConfigError, RenamedWarning
from lightpose.skeletons import LSP14
from lightpose.train import read_config
from lightpose.train.config import (
    DataConfig,
    DistillConfig,
    FeatureDistillationConfig,
    ModelConfig,
    OptimConfig,
    PlanConfig,
    SourceConfig,
    TrainConfig,
)
from lightpose.train.loss import LossConfig
from lightpose.train.schedule import total_epochs

EXAMPLES = Path(__file__).parents[2] / "examples"

DATA = """
[[data.train]]
annotations = "a.json"
images = "a"
[data.val]
annotations = "v.json"
images = "v"
"""
SHORTEST = 'out = "runs/x"' + DATA
FULL = """
out = "runs/full"
seed = 5
device = "cpu"
amp = "bf16"
compile = true
evaluate_every = 2
preview_every = 0
checkpoint_every_s = 60
[model]
name = "lpn101"
skeleton = "lsp14"
input_hw = [128, 96]
gc = false
geometry = "udp"
padding = 1.4
decoder = "dark"
sigma = 1.5
exact_target = true
init = "kaiming"
[optim]
optimizer = "adamw"
lr = 2e-3
weight_decay = 0.01
batch = 64
accumulate = 4
epochs = 20
schedule = "cosine"
milestones = [8, 9]
warmup_epochs = 1
ema = 0.998
clip_norm = 5
sync_bn = true
[plan]
kind = "iterative"
stages = 3
restart_epoch = 10
[loss]
mse = 200
cross_entropy = 0.3
temperature = 10.0
hard_joints = 8
[distill]
teacher = "big.onnx"
weight = 2
min_score = 0.3
[augment]
scale = 0.25
rotation_deg = 20
rotation_probability = 1
flip_probability = 0.0
color = 0.1
half_body_probability = 0.3
[data]
store = "crops"
verify = false
on_device = false
[[data.train]]
annotations = "a.json"
images = "a"
[[data.train]]
annotations = "b.json"
images = "b"
repeat = 2.5
label_weights = [0.5, 1]
[data.val]
annotations = "v.json"
images = "v"
"""


def read(folder, text):
    path = folder / "run.toml"
    path.write_text(text)
    return read_config(path)


def test_every_setting_of_a_file_arrives(tmp_path):
    assert read(tmp_path, FULL) == TrainConfig(
        data=DataConfig(
            train=(SourceConfig("a.json", "a"), SourceConfig("b.json", "b", 2.5, (0.5, 1.0))),
            val=SourceConfig("v.json", "v"),
            store="crops",
            verify=False,
            on_device=False,
        ),
        out="runs/full",
        model=ModelConfig("lpn101", "lsp14", (128, 96), False, "udp", 1.4, "dark", 1.5, True, "kaiming"),
        optim=OptimConfig("adamw", 2e-3, 0.01, 64, 4, 20, "cosine", (8, 9), 1.0, 0.998, 5.0, True),
        plan=PlanConfig("iterative", 3, 10),
        loss=LossConfig(200.0, 0.3, 10.0, 8),
        distill=DistillConfig("big.onnx", 2.0, 0.3),
        augment=AugmentConfig(0.25, 20.0, 1.0, 0.0, 0.1, 0.3),
        seed=5,
        device="cpu",
        amp="bf16",
        compile=True,
        evaluate_every=2,
        preview_every=0,
        checkpoint_every_s=60.0,
    )


def test_what_a_file_leaves_out_is_as_in_the_paper(tmp_path):
    config = read(tmp_path, SHORTEST)
    optim, augment = config.optim, config.augment
    assert (optim.optimizer, optim.lr, optim.batch, optim.epochs, optim.weight_decay) == ("adam", 1e-3, 32, 150, 0)
    assert (optim.schedule, optim.milestones, optim.ema, optim.clip_norm) == ("steps", (90, 120), 0, 0)
    assert (augment.scale, augment.rotation_deg, augment.rotation_probability) == (0.3, 40, 0.6)
    assert (augment.flip_probability, augment.color, augment.half_body_probability) == (0.5, 0, 0)
    assert (config.loss.mse, config.loss.cross_entropy, config.loss.hard_joints) == (1, 0, 0)
    assert (config.plan.kind, config.plan.stages, config.plan.restart_epoch) == ("single", 6, 60)
    assert (config.distill.teacher, config.amp, config.compile, optim.accumulate) == ("", "off", False, 1)
    assert [(source.repeat, source.label_weights) for source in config.data.train] == [(1, (1, 1))]
    assert (config.model.name, config.model.gc, config.model.input_hw, config.model.sigma) == (
        "lpn50",
        True,
        (256, 192),
        2,
    )
    assert (config.model.init, config.model.exact_target, config.model.geometry) == ("paper", False, "msra")


def test_the_spec_says_of_the_weights_what_the_configuration_asks_for(tmp_path):
    spec = read(tmp_path, FULL).model.spec()
    assert (spec.model, spec.skeleton, spec.input_hw, spec.options) == ("lpn101", LSP14, (128, 96), {"gc": False})
    assert (spec.geometry, spec.padding, spec.sigma, spec.color_order) == ("udp", 1.4, 1.5, "rgb")


def test_the_papers_example_is_the_papers_recipe_whole():
    config = read_config(EXAMPLES / "paper.toml")
    assert total_epochs(config.plan, config.optim) == 690
    for part in ("optim", "loss", "augment", "distill"):
        assert getattr(config, part) == type(getattr(config, part))(), part
    assert config.model == ModelConfig()
    assert (config.plan.stages, config.plan.restart_epoch) == (6, 60)


def test_the_example_of_a_single_stage_is_the_papers_first():
    paper, single = (read_config(EXAMPLES / f"{name}.toml") for name in ("paper", "single"))
    assert total_epochs(single.plan, single.optim) == 150
    for part in ("model", "optim", "loss", "augment", "distill"):
        assert getattr(single, part) == getattr(paper, part), part


@pytest.mark.parametrize(
    "path", [path for path in sorted(EXAMPLES.rglob("*.toml")) if "[[data.train]]" in path.read_text()], ids=str
)
def test_every_example_can_be_read(path):
    assert read_config(path).data.train


BAD = {
    "unknown top key": ("epochs = 3\n" + SHORTEST, r"run\.toml: unknown key epochs; known are out, optim, plan"),
    "unknown key": (SHORTEST + "[optim]\nrate = 1", r"unknown key optim\.rate; known are optimizer, lr"),
    "unknown key of a source": (SHORTEST + "weight = 2", r"unknown key data\.val\.weight; known are annotations"),
    "unknown key of a train source": (
        SHORTEST.replace('images = "a"', "image = 1"), r"unknown key data\.train\[0\]\.image"),
    "no out": (DATA, r"run\.toml: out is missing"),
    "no data": ('out = "x"', r"run\.toml: data is missing"),
    "no val": ('out = "x"\n[[data.train]]\nannotations = "a"\nimages = "a"', r"data\.val is missing"),
    "no train": ('out = "x"\n[data.val]\nannotations = "a"\nimages = "a"', r"data\.train is missing"),
    "no sources": ('out = "x"\n[data]\ntrain = []\nval = {annotations = "v", images = "v"}', r"\[\[data\.train\]\]"),
    "no annotations": (SHORTEST.replace('annotations = "v.json"', ""), r"data\.val\.annotations is missing"),
    "word as number": (SHORTEST + '[optim]\nlr = "fast"', r"optim\.lr must be float, not 'fast'"),
    "yes as number": (SHORTEST + "[optim]\nlr = true", r"optim\.lr must be float, not True"),
    "yes as count": (SHORTEST + "[optim]\nbatch = true", r"optim\.batch must be int, not True"),
    "fraction as count": (SHORTEST + "[optim]\nepochs = 1.5", r"optim\.epochs must be int, not 1\.5"),
    "number as yes": (SHORTEST + "[model]\ngc = 1", r"model\.gc must be bool, not 1"),
    "number as word": (SHORTEST + "[model]\nname = 50", r"model\.name must be str, not 50"),
    "unknown choice": (SHORTEST + '[optim]\nschedule = "linear"', r"optim\.schedule must be 'steps' or 'cosine'"),
    "unknown geometry": (SHORTEST + '[model]\ngeometry = "mpii"', r"model\.geometry must be 'msra' or 'udp'"),
    "one side": (SHORTEST + "[model]\ninput_hw = [256]", r"model\.input_hw must be .*, not \[256\]"),
    "word as side": (SHORTEST + '[model]\ninput_hw = [256, "w"]', r"model\.input_hw\[1\] must be int, not 'w'"),
    "number as list": (SHORTEST + "[optim]\nmilestones = 90", r"optim\.milestones must be .*, not 90"),
    "word as milestone": (SHORTEST + '[optim]\nmilestones = [90, "x"]', r"optim\.milestones\[1\] must be int, not 'x'"),
    "number as table": ("model = 5\n" + SHORTEST, r"model must be a table"),
    "table as sources": ('out = "x"\n[data.train]\nimages = "a"\n[data.val]\nimages = "v"\nannotations = "v"',
                         r"data\.train must be"),
    "word as source": ('out = "x"\ndata = {train = ["a"], val = {annotations = "v", images = "v"}}',
                       r"data\.train\[0\] must be a table"),
    "no epochs": (SHORTEST + "[optim]\nepochs = 0", r"optim\.epochs must be from 1 to 1000000, not 0"),
    "negative lr": (SHORTEST + "[optim]\nlr = -1.0", r"optim\.lr must be from 1e-10 to 10, not -1\.0"),
    "NaN as lr": (SHORTEST + "[optim]\nlr = nan", r"optim\.lr must be a finite number, not nan"),
    "infinite lr": (SHORTEST + "[optim]\nlr = inf", r"optim\.lr must be a finite number, not inf"),
    "empty batch": (SHORTEST + "[optim]\nbatch = 0", r"optim\.batch must be from 1 to 65536, not 0"),
    "ema of one": (SHORTEST + "[optim]\nema = 1.0", r"optim\.ema must be in \[0, 1\), not 1\.0"),
    "negative warm-up": (SHORTEST + "[optim]\nwarmup_epochs = -1", r"optim\.warmup_epochs must be from 0 to optim\.epochs"),  # noqa: E501
    "never repeated": (SHORTEST.replace("[data.val]", "repeat = 0\n[data.val]"),
                       r"a\.json: repeat must be from 1e-09 to 1000, not 0"),
    "repeated for ever": (SHORTEST.replace("[data.val]", "repeat = inf\n[data.val]"), r"data\.train\[0\]\.repeat must be a finite number, not inf"),  # noqa: E501
    "weightless labels": (SHORTEST.replace("[data.val]", "label_weights = [0, 0]\n[data.val]"),
                          r"a\.json: label_weights\[0\] and .*\[1\] must not both be 0"),
    "negative label weight": (SHORTEST.replace("[data.val]", "label_weights = [-1, 1]\n[data.val]"),
                              r"a\.json: label_weights\[0\] must be 0, or from 1e-06"),
    "one label weight": (SHORTEST.replace("[data.val]", "label_weights = [1]\n[data.val]"),
                         r"data\.train\[0\]\.label_weights must be .*, not \[1\]"),
    "never evaluated": ("evaluate_every = 0\n" + SHORTEST, r"evaluate_every must be from 1 to \d+, not 0"),
    "negative seed": ("seed = -1\n" + SHORTEST, r"seed must be from 0 to \d+, not -1"),
    "negative preview": ("preview_every = -1\n" + SHORTEST, r"preview_every must be from 0 to \d+, not -1"),
    "amp as it was": ("amp = true\n" + SHORTEST, r"amp must be 'off' or 'auto' or 'bf16' or 'fp16', not True"),
    "no parts": (SHORTEST + "[optim]\naccumulate = 0", r"optim\.accumulate must be from 1 to 65536, not 0"),
    "unknown plan": (SHORTEST + '[plan]\nkind = "paper"', r"plan\.kind must be 'single' or 'iterative', not 'paper'"),
    "no stages": (SHORTEST + "[plan]\nstages = 0", r"plan\.stages must be from 1 to 1000, not 0"),
    "restart before the start": (SHORTEST + "[plan]\nrestart_epoch = -1", r"plan\.restart_epoch must be from 0 to 1000000, not -1"),  # noqa: E501
    "restart at the end": (SHORTEST + '[plan]\nkind = "iterative"\nrestart_epoch = 20\n[optim]\nepochs = 20',
                           r"plan\.restart_epoch 20 must be before the end, optim\.epochs 20"),
    "negative teacher": (SHORTEST + "[distill]\nweight = -1", r"distill\.weight must be 0, or from 1e-06 to 1e\+06, not -1"),  # noqa: E501
    "negative hard joints": (SHORTEST + "[loss]\nhard_joints = -1", r"loss\.hard_joints must be from 0 to \d+, not -1"),
    "half bodies": (SHORTEST + "[augment]\nhalf_body_probability = 2", r"augment\.half_body_probability must be from 0 to 1"),  # noqa: E501
    "no TOML": ("out = ", r"run\.toml is not a TOML file"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_by_the_name_of_the_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.toml: No such file"):
        read_config(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"run\.toml is not a TOML file"):
        read_config(tmp_path / "run.toml")


def test_an_input_size_the_network_cannot_take_is_refused():
    with pytest.raises(ConfigError, match=r"input_hw \(100, 96\) must be two multiples of 16"):
        ModelConfig(input_hw=(100, 96)).spec()


def test_the_old_name_of_feature_distillation_still_works_with_a_warning(tmp_path):
    with pytest.warns(RenamedWarning, match=r"run\.toml: \[hint\] is now called \[feature_distillation\]"):
        config = read(tmp_path, SHORTEST + '[hint]\nteacher = "maps.onnx"\nweight = 2\n')
    assert config.feature_distillation == FeatureDistillationConfig("maps.onnx", 2.0)
    with pytest.raises(ConfigError, match="hint is the old name of feature_distillation"):
        read(tmp_path, SHORTEST + "[hint]\n[feature_distillation]\n")

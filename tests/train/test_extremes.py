"""Every setting at values that nobody means: refused by its name before anything is done, or one that works.

The settings are found in the dataclasses themselves, so that a new one is tried by itself.
"""

import copy
import dataclasses
import math
import typing
from dataclasses import MISSING, is_dataclass

import pytest

pytest.importorskip("torch")

from lightpose.cli import main
from lightpose.errors import LightposeError
from lightpose.train import read_config
from lightpose.train.config import TrainConfig
from lightpose.train.detector_config import DetectorConfig
from lightpose.train.places import check_files
from tests.train.runs import Diary, trainer

HUGE = ("1000000000000", str(2**70))
OF_TYPE = {
    float: ("0", "-1", "1e-300", "nan", "inf", "-inf", "1e400", "1e308", *HUGE),
    int: ("0", "-1", "-9223372036854775808", *HUGE),
    str: ('""',),
    bool: (),
}
WRONG = {
    float: ('"x"', "true", "[]", "{}", "[1.0]", "1979-05-27"),
    int: ('"x"', "true", "[]", "{}", "0.5", "nan"),
    str: ("1", "true", "[]", "{}", "nan", "1979-05-27"),
    bool: ("1", "0", '"true"', "[]", "nan"),
}
ROOTS = {"pose": TrainConfig, "detector": DetectorConfig}


class Enough(Exception):  # noqa: N818
    """The first step is done."""


class FirstStep(Diary):
    """A Report that ends the run after its first step."""

    def stepped(self, _epoch, _step, _steps, loss, _lr):
        assert math.isfinite(loss)
        raise Enough


def leaves(kind, way=()):
    """The settings of a dataclass and of those in it: the way to each, and its annotation."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner, here = hints[field.name], (*way, field.name)
        if typing.get_origin(inner) is tuple and is_dataclass(typing.get_args(inner)[0]):
            inner, here = typing.get_args(inner)[0], (*here, 0)
        if is_dataclass(inner):
            yield from leaves(inner, here)
        else:
            yield here, inner, field.default if field.default is not MISSING else None


SETTINGS = {
    f"{task}:{'.'.join(map(str, way))}": (task, way, kind, default)
    for task, root in ROOTS.items()
    for way, kind, default in leaves(root)
}


def extremes(kind):
    """TOML values of the right type that nobody means, and values of a wrong type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return (), ('""', '"x"', "1", "nan", "[]", "{}")
    if origin is tuple:
        one = inner[0]
        count = 1 if inner[-1] is Ellipsis else len(inner)
        odd = [f"[{', '.join([value] * count)}]" for value in OF_TYPE[one]]
        bad = [f"[{', '.join([value] * count)}]" for value in WRONG[one]]
        return (*odd, "[]"), (*bad, '"x"', "1", "{}")
    return OF_TYPE[kind], WRONG[kind]


def dump(table, prefix=""):
    """Nested dicts as the text of a TOML file; a value is TOML already."""
    plain = [f"{key} = {value}" for key, value in table.items() if isinstance(value, str)]
    tables = []
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            tables += [f"[{name}]", *dump(value, name)]
        elif isinstance(value, list):
            tables += [line for each in value for line in (f"[[{name}]]", *dump(each, name))]
    return [*plain, *tables]


def base(task, drawn, out):
    """A small run that works."""
    source = {"annotations": f"'{drawn.annotations}'", "images": f"'{drawn.images}'"}
    sized = {"pose": {"input_hw": "[64, 48]"}, "detector": {"input_hw": "[64, 64]", "name": '"lpn50_person"'}}
    return {
        "out": f"'{out}'",
        "device": '"cpu"',
        "preview_every": "0",
        "optim": {"batch": "4", "epochs": "2", "milestones": "[]"},
        "model": sized[task],
        "data": {
            "store": f"'{drawn.images.parent / f'{task}_store'}'",
            "train": [dict(source)],
            "val": dict(source),
        },
    }


def write(folder, task, drawn, way, value):
    """The TOML file of the small run with one setting of another value; and the run's folder."""
    table = copy.deepcopy(base(task, drawn, folder / "out"))
    place = table
    for step in way[:-1]:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    place[way[-1]] = value
    path = folder / "run.toml"
    path.write_text("\n".join(dump(table)))
    return path


def refusal(path, act):
    """What a run is refused with before it does anything; None if it is not."""
    try:
        act()
    except LightposeError as error:
        assert not (path.parent / "out").exists(), "something was written"
        text = str(error)
        assert "\n" not in text, text
        assert len(text) < 600, text
        return text
    return None


@pytest.mark.parametrize(("task", "way", "kind", "default"), SETTINGS.values(), ids=SETTINGS)
def test_a_value_of_a_wrong_type_is_refused_by_the_key(tmp_path, drawn_people, task, way, kind, default):
    del default
    for value in extremes(kind)[1]:
        path = write(tmp_path, task, drawn_people, way, value)
        text = refusal(path, lambda path=path: read_config(path))
        assert text is not None, f"{way} = {value} was taken"
        key = ".".join(str(step) for step in way).replace(".0.", "[0].")
        assert f"{key} must be" in text or f"{key}[0] must be" in text or f"{key} is empty" in text, f"{value}: {text}"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "way", "kind", "default"), SETTINGS.values(), ids=SETTINGS)
def test_an_extreme_value_is_refused_by_its_name_or_works(
    tmp_path, drawn_people, one_thread, task, way, kind, default  # noqa: ARG001
):  # fmt: skip
    """What is not refused must come to its first step, with a finite loss."""
    for number, value in enumerate(extremes(kind)[0]):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = write(folder, task, drawn_people, way, value)
        text = refusal(path, lambda path=path: check_files(read_config(path), path))
        if text is not None:
            assert way[-1] in text, f"{value}: {text}"
            assert "must be" in text or "is empty" in text or "must not both be" in text, text
        elif value not in (str(default), '""'):
            with pytest.raises((Enough, LightposeError)) as ended:  # the latter of the data and this setting together
                trainer(read_config(path), FirstStep()).run()
            assert ended.type is Enough or way[-1] in str(ended.value), f"{value}: {ended.value}"


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("optim", "lr"), "1e400"),
        (("optim", "epochs"), str(2**70)),
        (("plan", "stages"), "1000000000000"),
        (("data", "train", 0, "repeat"), "1000000000000"),
        (("distill", "min_score"), "nan"),
        (("checkpoint_every_s",), "nan"),
        (("augment", "color"), "1000000000000"),
        (("optim", "frozen"), '["stem", ""]'),
        (("out",), '""'),
    ],
)
def test_the_command_says_a_sentence_and_writes_nothing(tmp_path, drawn_people, capsys, way, value):
    path = write(tmp_path, "pose", drawn_people, way, value)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(path)])
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert way[-1] in text
    assert "Traceback" not in text
    assert not (tmp_path / "out").exists()

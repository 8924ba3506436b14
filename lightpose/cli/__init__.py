"""The command line: `lightpose COMMAND`. The only place that parses arguments, prints and exits."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import cv2
import tyro
from tyro.conf import subcommand

from lightpose.cli.ablate import Ablate
from lightpose.cli.angles import Angles
from lightpose.cli.bench import Bench
from lightpose.cli.bulk import Bulk, with_run
from lightpose.cli.console import libraries_unheard
from lightpose.cli.convert import ConvertResults
from lightpose.cli.data import Data
from lightpose.cli.evaluate import Evaluate
from lightpose.cli.evaluate_detector import EvaluateDetector
from lightpose.cli.export import Export
from lightpose.cli.last_resort import finish
from lightpose.cli.marks import guarded
from lightpose.cli.models import Models
from lightpose.cli.paper import Paper
from lightpose.cli.predict import Predict
from lightpose.cli.profile import Profile
from lightpose.cli.quantize import Quantize
from lightpose.cli.serve import Serve
from lightpose.cli.train import Train
from lightpose.cli.weights import Weights

__all__ = ["main"]

Command = (
    Annotated[Predict, subcommand("predict", prefix_name=False)]
    | Annotated[Bulk, subcommand("bulk", prefix_name=False)]
    | Annotated[ConvertResults, subcommand("convert", prefix_name=False)]
    | Annotated[Angles, subcommand("angles", prefix_name=False)]
    | Annotated[Serve, subcommand("serve", prefix_name=False)]
    | Annotated[Train, subcommand("train", prefix_name=False)]
    | Annotated[Evaluate, subcommand("evaluate", prefix_name=False)]
    | Annotated[EvaluateDetector, subcommand("evaluate-detector", prefix_name=False)]
    | Annotated[Export, subcommand("export", prefix_name=False)]
    | Annotated[Quantize, subcommand("quantize", prefix_name=False)]
    | Annotated[Data, subcommand("data", prefix_name=False)]
    | Annotated[Profile, subcommand("profile", prefix_name=False)]
    | Annotated[Bench, subcommand("bench", prefix_name=False)]
    | Annotated[Ablate, subcommand("ablate", prefix_name=False)]
    | Annotated[Paper, subcommand("paper", prefix_name=False)]
    | Annotated[Weights, subcommand("weights", prefix_name=False)]
    | Annotated[Models, subcommand("models", prefix_name=False)]
)


RENAMED = {"--least-score": "--min-person-score"}
"""Options of the release before, and what they are called now."""


@libraries_unheard()
def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 done in part, 2 nothing done and a sentence on standard error says why."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be in no encoding at all
    set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # OpenCV 4's, 5's
    set_log_level(0)  # what is wrong with an image we say ourselves
    finish(lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    """The exit code of the command that the arguments name."""
    arguments = with_run(_renamed(arguments))
    if arguments == ["--version"]:
        print(f"lightpose {version('lightpose')}")
        return 0
    command = tyro.cli(
        Command,
        prog="lightpose",
        description="Find human keypoints in images, train networks that do, and measure them.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    with guarded(command):
        return command.run()


def _renamed(arguments: list[str]) -> list[str]:
    """The arguments with old names of options made new, and a note on each."""
    found = []
    for argument in arguments:
        name, mark, value = argument.partition("=")
        known = name.replace("_", "-") if name.startswith("--") else name
        if known in RENAMED:
            note = f"{name} is now called {RENAMED[known]}; the old name goes in a later version"
            print(f"lightpose: {note}", file=sys.stderr)
            found.append(RENAMED[known] + mark + value)
        else:
            found.append(argument)
    return found

"""The command line: `lightpose COMMAND`. The only place that parses arguments, prints and exits."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro
from tyro.conf import subcommand

from lightpose.cli.ablate import Ablate
from lightpose.cli.bench import Bench
from lightpose.cli.data import Data
from lightpose.cli.evaluate import Evaluate
from lightpose.cli.evaluate_detector import EvaluateDetector
from lightpose.cli.export import Export
from lightpose.cli.paper import Paper
from lightpose.cli.predict import Predict
from lightpose.cli.profile import Profile
from lightpose.cli.quantize import Quantize
from lightpose.cli.train import Train
from lightpose.cli.weights import Weights
from lightpose.errors import LightposeError

__all__ = ["main"]

Command = (
    Annotated[Predict, subcommand("predict", prefix_name=False)]
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
)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 done in part, 2 nothing done and a sentence on standard error says why."""
    try:
        command = tyro.cli(
            Command,
            prog="lightpose",
            description="Find human keypoints in pictures, train networks that do, and measure them.",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )
        sys.exit(command.run())
    except LightposeError as error:
        print(f"lightpose: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"lightpose: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("lightpose: interrupted", file=sys.stderr)
        sys.exit(130)

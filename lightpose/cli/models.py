"""`lightpose models`: keep weights files by names of one's own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from lightpose.cli.marks import ReadsNamed
from lightpose.cli.spec_table import print_table

__all__ = ["Models"]


@dataclass(frozen=True)
class ListModels:
    """List the files that are kept, with their SHA-256.

    Example: lightpose models list
    """

    json: bool = False
    """Print a json list, one object a file, instead of a table."""

    def run(self) -> int:
        """0 once they are printed."""
        from lightpose.weights.registry import kept_models, models_folder

        kept = kept_models()
        if self.json:
            print(json.dumps([asdict(each) for each in kept.values()], indent=2))
        elif kept:
            rows = [(each.name, f"{each.size / 1e6:.1f}", each.sha256, each.source) for each in kept.values()]
            print_table(("name", "MB", "sha256", "from"), rows)
        else:
            print(f"nothing is kept in {models_folder()}; add a file: lightpose models add NAME FILE")
        return 0


@dataclass(frozen=True)
class Add:
    """Keep a weights file by a name, which --model then takes.

    The file is copied or fetched into the user's data folder, or that of the environment variable LIGHTPOSE_MODELS. An
    interrupted download goes on when the same command is given again.
    Example: lightpose models add mine runs/mine/best.onnx
    """

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """Letters, digits, dots, hyphens and underscores."""
    source: Annotated[Positional[ReadsNamed], arg(metavar="FILE|ADDRESS")]
    """An .onnx, .safetensors or .zip file, or its https address."""
    sha256: str | None = None
    """Keep it only if it has this SHA-256; it is printed in any case."""
    max_mb: int = 2048
    """Refuse files that are larger, in megabytes of 2²⁰ bytes."""

    def run(self) -> int:
        """0 once it is kept."""
        from lightpose.cli.console import counting
        from lightpose.weights import bundled_weights
        from lightpose.weights.registry import add_model

        with counting("MB", 1) as advance:
            kept = add_model(self.name, self.source, self.sha256, self.max_mb * 2**20, reserved=bundled_weights())
            advance(1)
        print(f"{kept.name}: {kept.size / 1e6:.1f} MB, sha256 {kept.sha256}")
        if self.sha256 is None and "://" in self.source:
            print("Hold that sum against the one that its maker gives, or give it with --sha256.", file=sys.stderr)
        return 0


@dataclass(frozen=True)
class Remove:
    """Delete files that are kept.

    Example: lightpose models remove mine
    """

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME...")]
    """Their names."""

    def run(self) -> int:
        """0 once they are deleted."""
        from lightpose.errors import ConfigError
        from lightpose.weights.registry import remove_model

        if not self.names:
            raise ConfigError("name at least one file that is kept; see lightpose models list")
        for name in self.names:
            print(f"{remove_model(name).path}: deleted")
        return 0


@dataclass(frozen=True)
class Models:
    """Keep weights files by names of one's own."""

    command: (
        Annotated[ListModels, subcommand("list", prefix_name=False)]
        | Annotated[Add, subcommand("add", prefix_name=False)]
        | Annotated[Remove, subcommand("remove", prefix_name=False)]
    )

    def run(self) -> int:
        """What the subcommand gives."""
        return self.command.run()

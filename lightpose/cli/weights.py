"""`lightpose weights`: list, look at, check and average weights files, import and adopt other projects'."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg, subcommand

from lightpose.cli.adopt import Adopt, print_identified
from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.cli.spec_table import print_origins, print_table, size_text, spec_rows
from lightpose.errors import LightposeError, MissingPackageError, WeightsError
from lightpose.types import ColorOrder, DecoderName, GeometryName

__all__ = ["Weights"]

if TYPE_CHECKING:
    from lightpose.types import ModelSpec
    from lightpose.weights.foreign.recognise import Recognised
    from lightpose.weights.inspect import Description


@dataclass(frozen=True)
class Import:
    """Turn a checkpoint of another project into a weights file of lightpose.

    Reads .pth and .safetensors files of the LPN authors' code, Microsoft's pose_resnet (SimpleBaseline) and pose_hrnet,
    and MMPose's heatmap networks of ResNet-50, -101, -152 and HRNet-W32, -W48. Which network it is is told from its
    tensors, all of which must fit; no code in the file is run. What tensors cannot tell is printed with where it is
    from: look at what is assumed, and put it right with the options below.
    Needs `pip install 'lightpose[train]'`.
    Example: lightpose weights import pose_hrnet_w32_256x192.pth --out hrnet.safetensors
    """

    file: Positional[Reads]
    """The checkpoint."""
    out: Writes
    """The .safetensors file to write; `lightpose export` makes an .onnx of it."""
    skeleton: ReadsNamed | None = None
    """Names of the joints in the order of the heatmaps: coco17, mpii16, lsp14, or a .toml file."""
    input_hw: tuple[int, int] | None = None
    """Height and width of its crops, such as 384 288."""
    color_order: ColorOrder | None = None
    """Order of the colours it was fed."""
    geometry: GeometryName | None = None
    """How a box becomes a crop."""
    padding: float | None = None
    """How much wider than the box a crop is."""
    decoder: DecoderName | None = None
    """How heatmaps become points."""

    def run(self) -> int:
        """0 once the file is written."""
        try:
            from lightpose.weights.foreign.convert import import_checkpoint
            from lightpose.weights.foreign.settings import Settings
            from lightpose.weights.network import save_network
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        from lightpose.skeletons import get_skeleton

        _check_out(self.out)
        asked = Settings(
            skeleton=get_skeleton(self.skeleton) if self.skeleton else None,
            input_hw=self.input_hw,
            color_order=self.color_order,
            geometry=self.geometry,
            padding=self.padding,
            decoder=self.decoder,
        )
        imported = import_checkpoint(self.file, asked)
        save_network(self.out, imported.network, imported.spec)
        _print_recognised(self.file, imported.found, imported.spec, imported.origins)
        print(f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB, all {len(imported.found.names)} tensors fit")
        return 0


@dataclass(frozen=True)
class List:
    """List the weights that the package brings; their names can be given wherever a weights file can.

    Example: lightpose weights list
    """

    json: bool = False
    """Print a json list, one object a file, instead of a table."""

    def run(self) -> int:
        """0 once they are printed."""
        from lightpose.weights import bundled_weights
        from lightpose.weights.inspect import describe_weights

        files = {name: describe_weights(name) for name in bundled_weights()}
        if self.json:
            print(json.dumps([{"name": name, **_as_json(file)} for name, file in files.items()], indent=2))
            return 0
        rows = [
            (name, file.spec.model, size_text(file.spec), file.spec.finds, f"{file.size / 1e6:.1f}", file.sha256)
            for name, file in files.items()
        ]
        print_table(("name", "model", "input", "finds", "MB", "sha256"), rows)
        return 0


@dataclass(frozen=True)
class Info:
    """Tell what a weights file is for: network, joints, input, colours, geometry, decoder.

    Of another project's checkpoint or graph, tell what it is recognised as and how to import or adopt it.
    Example: lightpose weights info mine.onnx
    """

    file: Positional[ReadsNamed]
    """Name of bundled weights, a weights file (.onnx, .xml, .safetensors), or another project's checkpoint or graph."""
    json: bool = False
    """Print one json object instead of a table."""

    def run(self) -> int:
        """0 once it is printed."""
        from lightpose.weights import find_weights
        from lightpose.weights.inspect import describe_weights

        path = find_weights(self.file)
        if _is_graph_of_others(path):
            return self._graph(path)
        if _is_foreign(path):
            return self._foreign(path)
        file = describe_weights(path)
        if self.json:
            print(json.dumps(_as_json(file), indent=2))
        else:
            print_table(("", str(path)), [*spec_rows(file.spec), ("size", f"{file.size / 1e6:.1f} MB"),
                                           ("sha256", file.sha256), ("known as", file.known_as or "–")])  # fmt: skip
        return 0

    def _graph(self, path: Path) -> int:
        from lightpose.weights.foreign.graphs import identify_graph

        found = identify_graph(path)
        if self.json:
            told = {"path": str(path), "gives": found.shown.layout.name, "spec": dataclasses.asdict(found.spec)}
            print(json.dumps({**told, "origins": found.origins}, indent=2))
            return 0
        print_identified(path, found)
        print(f"keep that in the file with: lightpose weights adopt {shlex.quote(str(path))} --out mine.onnx")
        return 0

    def _foreign(self, path: Path) -> int:
        try:
            from lightpose.weights.foreign.convert import identify
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        found, spec, origins = identify(path)
        if self.json:
            told = {"path": str(path), "origin": found.origin, "spec": dataclasses.asdict(spec), "origins": origins}
            print(json.dumps(told, indent=2))
            return 0
        _print_recognised(path, found, spec, origins)
        print(f"import it with: lightpose weights import {shlex.quote(str(path))} --out mine.safetensors")
        return 0


@dataclass(frozen=True)
class Verify:
    """Check weights files: bundled ones to the bit; any of lightpose's for being whole, finite and fit for use.

    A graph is run once on noise; a .safetensors file is loaded into its network. The exit code is 1 if some files
    failed, 2 if all did. Example: lightpose weights verify lpn50 mine.onnx
    """

    files: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="[FILE|NAME...]")] = ()
    """Weights files, or names of bundled weights; all bundled ones if none are given."""

    def run(self) -> int:
        """0: all are whole, 1: some, 2: none."""
        from lightpose.weights import bundled_weights
        from lightpose.weights.inspect import verify_weights

        files, failed = self.files or tuple(bundled_weights()), 0
        for name in files:
            try:
                verdict = verify_weights(name)
            except LightposeError as error:
                failed += 1
                print(f"lightpose: {error}", file=sys.stderr)
            else:
                print(f"{name}: OK ({', '.join(verdict.checks)}); sha256 {verdict.file.sha256}")
        return 0 if not failed else 2 if failed == len(files) else 1


@dataclass(frozen=True)
class Average:
    """Write the mean of the weights of pose networks that were trained on from the same ones.

    Its accuracy is often between theirs, at times above the best, at no cost in speed: measure it with lightpose
    evaluate. Joints, crops and decoder are the first file's. Needs `pip install 'lightpose[train]'`.
    Example: lightpose weights average before.safetensors after.safetensors --shares 0.3 0.7 --out mean.safetensors
    """

    files: Annotated[Positional[tuple[Reads, ...]], arg(metavar="FILE FILE...")]
    """Two or more .safetensors files of the same network and joints."""
    out: Writes
    """The .safetensors file to write; `lightpose export` makes an .onnx of it."""
    shares: tuple[float, ...] = ()
    """What each file counts, in proportion; alike if not given."""

    def run(self) -> int:
        """0 once the file is written."""
        try:
            from lightpose.weights.network import average_networks, save_network
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        _check_out(self.out)
        network, spec = average_networks(self.files, self.shares or None)
        save_network(self.out, network, spec)
        print(f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB, the mean of {len(self.files)} files")
        return 0


@dataclass(frozen=True)
class Weights:
    """List, look at, check and average weights files, import and adopt other projects' checkpoints and graphs."""

    command: (
        Annotated[Import, subcommand("import", prefix_name=False)]
        | Annotated[Adopt, subcommand("adopt", prefix_name=False)]
        | Annotated[List, subcommand("list", prefix_name=False)]
        | Annotated[Info, subcommand("info", prefix_name=False)]
        | Annotated[Verify, subcommand("verify", prefix_name=False)]
        | Annotated[Average, subcommand("average", prefix_name=False)]
    )

    def run(self) -> int:
        """What the subcommand gives."""
        return self.command.run()


def _check_out(out: Path) -> None:
    """Refuse a file that is not called as weights are."""
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out} must end in .safetensors; `lightpose export` makes an .onnx of it")


def _is_foreign(path: Path) -> bool:
    """Whether a file is to be looked at as another project's checkpoint."""
    from lightpose.weights.inspect import has_description

    return path.suffix.lower() not in (".onnx", ".xml") and not has_description(path)


def _is_graph_of_others(path: Path) -> bool:
    """Whether a file is a graph that does not say what it is."""
    from lightpose.weights.inspect import has_description

    suffix = path.suffix.lower()
    return suffix == ".zip" or (suffix == ".onnx" and not has_description(path))


def _as_json(file: Description) -> dict[str, Any]:
    return {**dataclasses.asdict(file), "path": str(file.path)}


def _print_recognised(path: Path, found: Recognised, spec: ModelSpec, origins: Mapping[str, str]) -> None:
    """What a checkpoint was recognised as, and each setting with where it is from."""
    options = "".join(f", {name}={value}" for name, value in found.options.items())
    print(f"{path}: {found.model}{options}, {found.joints} joints, of {found.origin}")
    print_origins(spec, origins)

"""OpenVINO's two files, looked at without OpenVINO: what the .xml says, and whether the .bin is the one it came with.

The .xml holds the SHA-256 of the .bin, so its own stands for both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from xml.etree import ElementTree

from lightpose.errors import WeightsError

__all__ = ["BIN_KEY", "check_bin", "hash_bin", "keep_float32", "read_facts"]

BIN_KEY = "lightpose_bin_sha256"
"""Name under which the .xml's rt_info holds the SHA-256 of the .bin."""


def read_facts(path: Path) -> dict[str, str]:
    """What stands under `rt_info` in an .xml file, by name. Raises WeightsError if it is no whole graph."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a whole OpenVINO file ({type(error).__name__})") from error
    return {node.tag: node.attrib["value"] for node in root.iterfind("rt_info//*") if "value" in node.attrib}


def keep_float32(path: Path) -> None:
    """Mark every operation of an .xml file as one to compute in float32, for programs that set no precision.

    Else OpenVINO computes in bfloat16 where the CPU can. The mark is what `ov::disable_fp16_compression` leaves. It
    does not reach the products into which OpenVINO rewrites global context, so answers stay near, not equal.
    """
    tree = ElementTree.parse(path)
    for layer in tree.iterfind("layers/layer"):
        facts = layer.find("rt_info")
        if facts is None:
            facts = ElementTree.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, facts)
        ElementTree.SubElement(facts, "attribute", name="precise", version="0")
    tree.write(path)


def hash_bin(path: Path) -> str:
    """SHA-256 of the .bin beside an .xml file, in hexadecimal. Raises WeightsError if there is none."""
    try:
        with path.with_suffix(".bin").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} needs {path.with_suffix('.bin').name} beside it; copy both files") from error


def check_bin(path: Path, expected: str | None) -> None:
    """Raise WeightsError unless there is a .bin beside an .xml file, and it has that SHA-256 if one is known."""
    if hash_bin(path) != expected and expected is not None:
        name = path.with_suffix(".bin").name
        raise WeightsError(f"the {name} beside {path} is damaged or another graph's; copy both files again")

"""Damage to what is nested: JSON, TOML, the header of safetensors, the content of a checkpoint."""

import copy
import io
import json
import tomllib
from typing import Any

from numpy.random import Generator

MARK = "\x00deep\x00"
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 255, 2**31, 2**63, 2**64, 2**100, -(2**63), 0.5, -0.0, 1e-320, 1e308, -1e308, 625.0,
    float("nan"), float("inf"), float("-inf"), "", "0", "12", "1e5", "nan", "person", "null", "a\x1b[31mb", "\x00",
    "\ud800", "\u202eabc", "é" * 50, "../../x", "a\\b.png", "/dev/null", "x" * 100_000, [], {}, [[]], [None], {"": {}},
    [1] * 1000, list(range(51)), {"id": 1}, MARK,
)  # fmt: skip
"""Values that a file may have where another is meant."""


class Twin(str):
    """A key that equals no other, so that a table can have it twice."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container in a tree with each of its keys or indices."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            found.append((node, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


def edit(tree: Any, rng: Generator, nasty: tuple[Any, ...] = NASTY) -> Any:
    """The tree with one to three places changed; the tree itself may be replaced."""
    if rng.random() < 0.02:
        return _one(nasty, rng)
    for _ in range(int(rng.integers(1, 4))):
        found = places(tree) if isinstance(tree, dict | list) else []
        if found:
            _change(*found[int(rng.integers(len(found)))], found, rng, nasty)
    return tree


def _change(node: Any, key: Any, found: list[tuple[Any, Any]], rng: Generator, nasty: tuple[Any, ...]) -> None:
    value = node[key]
    way = rng.choice(["replace", "replace", "number", "text", "remove", "copy", "twice", "wrap", "rename"])
    if way == "replace":
        node[key] = _one(nasty, rng)
    elif way == "number" and isinstance(value, int | float):
        node[key] = [-value, value * 1000, value + 0.5, float(value), str(value), [value], -value - 1][rng.integers(7)]
    elif way == "text" and isinstance(value, str):
        node[key] = [value * 2, value.upper(), value[:-1], " " + value, value + "\n", value.encode().hex()][
            rng.integers(6)
        ]
    elif way == "remove":
        del node[key]
    elif way == "copy":  # what is right elsewhere
        other, at = found[rng.integers(len(found))]
        there = at in other if isinstance(other, dict) else at < len(other)
        node[key] = copy.deepcopy(other[at]) if there else None
    elif way == "twice":
        if isinstance(node, list):
            node.insert(key, value)
        else:
            node[Twin(key)] = _one(nasty, rng)
    elif way == "rename" and isinstance(node, dict):
        node[f"{key}_"] = node.pop(key)
    else:
        node[key] = [value] if rng.random() < 0.5 else {"value": value}


def _one(nasty: tuple[Any, ...], rng: Generator) -> Any:
    return copy.deepcopy(nasty[rng.integers(len(nasty))])


def json_tree(content: bytes, rng: Generator) -> bytes:
    """A JSON text with its tree changed; deep nesting stands where the mark is."""
    depth = int(rng.choice([50, 1500, 100_000]))
    text = json.dumps(edit(json.loads(content), rng))
    return text.replace(json.dumps(MARK), "[" * depth + "]" * depth).encode()


def json_lines(content: bytes, rng: Generator) -> bytes:
    """One line of a file of JSON lines changed, left out, cut off or moved."""
    lines = content.splitlines(keepends=True)
    at = int(rng.integers(len(lines)))
    way = rng.integers(4)
    if way == 0:
        del lines[at]
    elif way == 1:
        lines.append(lines[at])
    else:
        lines[at] = json_tree(lines[at], rng) + b"\n"
    return b"".join(lines)


def toml_tree(content: bytes, rng: Generator) -> bytes:
    """A TOML text with its tree changed."""
    tree = edit(tomllib.loads(content.decode()), rng)
    if not isinstance(tree, dict):
        return str(tree).encode(errors="replace")
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in tree.items()).encode(errors="replace")


def _key(key: str) -> str:
    return json.dumps(str(key), ensure_ascii=False)


def _toml(value: Any) -> str:
    if value == MARK and isinstance(value, str):
        return "[" * 500 + "]" * 500
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value is None:
        return '""'
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def safetensors_header(content: bytes, rng: Generator) -> bytes:
    """The header of a safetensors file changed as a tree; its length fits, mostly."""
    size = int.from_bytes(content[:8], "little")
    header = json_tree(content[8 : 8 + size], rng)
    told = len(header) if rng.random() < 0.9 else int(rng.choice([0, 1, 2**31, 2**62]))
    return told.to_bytes(8, "little") + header + content[8 + size :]


def checkpoint_tree(content: bytes, rng: Generator) -> bytes:
    """The content of a torch checkpoint changed as a tree, tensors being leaves."""
    import torch

    tree = torch.load(io.BytesIO(content), weights_only=True)
    tree = edit(_plain(tree), rng, (*NASTY[:-1], torch.zeros(0), torch.zeros(3, 3), torch.full((1,), float("nan"))))
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    return buffer.getvalue()


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list | tuple) else tree

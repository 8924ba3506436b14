"""ONNX files read and written field by field, so that a plain install, without the package onnx, can look at them.

Field numbers are those of onnx.proto3 (ModelProto, GraphProto, NodeProto, TensorProto); the encoding is Protocol
Buffers' (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import WeightsError

__all__ = ["Beginning", "read_beginning", "read_metadata", "with_metadata"]

MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_NODE, GRAPH_CONSTANT, GRAPH_INPUT = 1, 5, 11
NODE_INPUT, NODE_OUTPUT, NODE_KIND, NODE_ATTRIBUTE, ATTRIBUTE_TENSOR = 1, 2, 4, 5, 5
TENSOR_DIMS, TENSOR_TYPE, TENSOR_FLOATS, TENSOR_NAME, TENSOR_RAW, TENSOR_PLACE = 1, 2, 4, 8, 9, 14
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
FLOAT_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
LARGEST_ENTRY = 2**24
"""Bytes of an entry of the metadata."""
MOST_FIELDS = 10_000
"""Of a model, beside its graph: a dozen, and one for each entry of the metadata."""
PASSED = {"Cast", "Transpose", "Identity", "Reshape", "Unsqueeze", "Squeeze", "QuantizeLinear", "DequantizeLinear"}
"""Nodes that do not change the values of pixels."""


@dataclass(frozen=True)
class Beginning:
    """How a graph begins, and where its weights are.

    scales: for each node at its beginning that only shifts or scales pixels, its kind and its constants, 1 or 3
    numbers. external: whether weights lie in other files.
    """

    scales: tuple[tuple[str, NDArray[np.float64]], ...]
    external: bool


def read_beginning(content: bytes) -> Beginning:
    """Look at an ONNX file. Raises WeightsError if its fields are none."""
    view = memoryview(content)
    graph: Value = next((value for number, value in _fields(view) if number == MODEL_GRAPH), memoryview(b""))
    nodes: list[_Node] = []
    constants: dict[str, NDArray[np.float64] | None] = {}
    inputs: list[str] = []
    external = False
    for number, value in _fields(graph):
        if number == GRAPH_NODE:
            nodes.append(_node(value))
        elif number == GRAPH_CONSTANT:
            name, numbers, outside = _tensor(value)
            external |= outside
            constants[name] = numbers
        elif number == GRAPH_INPUT:
            inputs.append(next((_text(each) for field, each in _fields(value) if field == 1), ""))
    for node in nodes:
        if node.kind == "Constant" and node.constant is not None and node.outputs:
            constants[node.outputs[0]] = node.constant
    pixels = next((name for name in inputs if name not in constants), "")
    return Beginning(tuple(_scales(nodes, constants, pixels)), external)


def read_metadata(path: Path) -> dict[str, str]:
    """What stands beside the graph of an ONNX file; nothing where its fields are none. The graph is not read."""
    entries = []
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            place = 0
            for _ in range(MOST_FIELDS):
                if place >= size:
                    break
                file.seek(place)
                number, kind, start, length = _head(memoryview(file.read(20)))
                if number == MODEL_METADATA and kind == BYTES and length <= LARGEST_ENTRY:
                    file.seek(place + start)
                    entries.append(_entry(file.read(length)))
                place += start + length
    except (OSError, WeightsError):
        return {}
    return dict(entries)


def _head(view: memoryview) -> tuple[int, int, int, int]:
    """A field's number and kind, and where its value begins and how long it is."""
    tag, start = _varint(view, 0)
    if tag & 7 == VARINT:
        return tag >> 3, VARINT, _varint(view, start)[1], 0
    if tag & 7 == BYTES:
        length, start = _varint(view, start)
        return tag >> 3, BYTES, start, length
    if tag & 7 not in (EIGHT_BYTES, FOUR_BYTES):
        raise WeightsError("it is not a whole ONNX file")
    return tag >> 3, tag & 7, start, 8 if tag & 7 == EIGHT_BYTES else 4


def with_metadata(content: bytes, key: str, text: str) -> bytes:
    """An ONNX file with that entry in its metadata, in place of an older one. Raises WeightsError if it is none."""
    view, kept = memoryview(content), bytearray()
    start = 0
    for number, value, end in _spans(view):
        if number != MODEL_METADATA or not any(field == 1 and _text(each) == key for field, each in _fields(value)):
            kept += view[start:end]
        start = end
    entry = _bytes_field(1, key.encode()) + _bytes_field(2, text.encode())
    return bytes(kept) + _bytes_field(MODEL_METADATA, entry)


def _entry(content: bytes) -> tuple[str, str]:
    """Key and value of an entry of the metadata."""
    parts = {field: _text(value) for field, value in _fields(memoryview(content))}
    return parts.get(1, ""), parts.get(2, "")


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constant: NDArray[np.float64] | None


def _scales(
    nodes: list[_Node], constants: dict[str, NDArray[np.float64] | None], value: str
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Follow the pixels as long as one node alone takes them, and only shifts or scales them."""
    for _ in range(len(nodes)):
        takers = [node for node in nodes if value in node.inputs]
        if len(takers) != 1 or not takers[0].outputs:
            return
        (node,) = takers
        others = [found for name in node.inputs if name != value and (found := constants.get(name)) is not None]
        if node.kind in ("Sub", "Div", "Mul", "Add") and len(others) == 1 and others[0].size in (1, 3):
            yield node.kind, others[0].ravel()
        elif node.kind == "BatchNormalization" and len(others) == 4 and others[0].size == 3:
            yield node.kind, np.concatenate([each.ravel() for each in others])
        elif node.kind not in PASSED:
            return
        value = node.outputs[0]


def _node(view: Value) -> _Node:
    inputs: list[str] = []
    outputs: list[str] = []
    kind = ""
    constant: NDArray[np.float64] | None = None
    for number, value in _fields(view):
        if number == NODE_INPUT:
            inputs.append(_text(value))
        elif number == NODE_OUTPUT:
            outputs.append(_text(value))
        elif number == NODE_KIND:
            kind = _text(value)
        elif number == NODE_ATTRIBUTE:
            for field, each in _fields(value):
                constant = _tensor(each)[1] if field == ATTRIBUTE_TENSOR else constant
    return _Node(kind, tuple(inputs), tuple(outputs), constant)


def _tensor(view: Value) -> tuple[str, NDArray[np.float64] | None, bool]:
    """Name, values if they are at most twelve floats, and whether they lie in another file."""
    name, kind, outside = "", 0, False
    values: tuple[int, bytes] | None = None
    for number, value in _fields(view):
        if number == TENSOR_NAME:
            name = _text(value)
        elif number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_PLACE and isinstance(value, int):
            outside = value == 1
        elif number in (TENSOR_FLOATS, TENSOR_RAW) and _is_bytes(value) and len(value) <= 96:
            values = (number, bytes(value))
    if values is None or (values[0] == TENSOR_RAW and kind not in FLOAT_TYPES):
        return name, None, outside
    letters = "<f4" if values[0] == TENSOR_FLOATS else FLOAT_TYPES[kind]
    if len(values[1]) % np.dtype(letters).itemsize:
        raise WeightsError("it is not a whole ONNX file")
    return name, np.frombuffer(values[1], letters).astype(np.float64), outside


Value = memoryview | int
"""Of a field: bytes, which may be text or fields in turn, or a number."""


def _fields(view: Value) -> Iterator[tuple[int, Value]]:
    """Numbers and values of the fields in bytes."""
    return ((number, value) for number, value, _ in _spans(view))


def _spans(view: Value) -> Iterator[tuple[int, Value, int]]:
    """The same, with the place where each ends. Raises WeightsError if the bytes are no fields."""
    if isinstance(view, int):
        raise WeightsError("it is not a whole ONNX file")
    place = 0
    while place < len(view):
        tag, place = _varint(view, place)
        value: Value
        if tag & 7 == VARINT:
            value, place = _varint(view, place)
        elif tag & 7 in (BYTES, EIGHT_BYTES, FOUR_BYTES):
            length, place = _varint(view, place) if tag & 7 == BYTES else (8 if tag & 7 == EIGHT_BYTES else 4, place)
            value, place = view[place : place + length], place + length
        else:
            raise WeightsError("it is not a whole ONNX file")
        if place > len(view):
            raise WeightsError("it is not a whole ONNX file")
        yield tag >> 3, value, place


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(view):
            break
        value |= (view[place] & 127) << shift
        place += 1
        if view[place - 1] < 128:
            return value, place
    raise WeightsError("it is not a whole ONNX file")


def _is_bytes(value: Value) -> TypeGuard[memoryview]:
    return isinstance(value, memoryview)


def _text(value: Value) -> str:
    return bytes(value).decode("utf-8", "replace") if _is_bytes(value) else ""


def _bytes_field(number: int, content: bytes) -> bytes:
    return _number((number << 3) | BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """A varint."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])

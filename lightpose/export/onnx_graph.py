"""An ONNX graph that can be searched and changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightpose.types import FloatArray

__all__ = ["Graph"]


class Graph:
    """An ONNX graph with its nodes found by what they give, and its constants as arrays."""

    def __init__(self, model: Any) -> None:
        self.nodes = model.graph.node
        self._graph = model.graph
        self._constants = {each.name: each for each in model.graph.initializer}
        self.outputs = [each.name for each in model.graph.output]
        self.input_hw = tuple(side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim[1:3])
        del model.graph.value_info[:]  # shapes that would no longer be true

    def source(self, value: str) -> Any:
        """The node that gives a value, or None for an input or a constant."""
        return next((node for node in self.nodes if value in node.output), None)

    def users(self, value: str) -> list[Any]:
        """The nodes that take a value."""
        return [node for node in self.nodes if value in node.input]

    def constant(self, name: str) -> FloatArray | None:
        """A constant by name; None if there is none."""
        import onnx

        found: FloatArray | None = None
        if name in self._constants:
            found = onnx.numpy_helper.to_array(self._constants[name])
        return found

    def put(self, name: str, value: np.ndarray[Any, Any]) -> str:
        """Set a constant, new or not; returns its name."""
        import onnx

        if name not in self._constants:
            self._constants[name] = self._graph.initializer.add()
        self._constants[name].CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def insert(self, before: Any, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node in front of another; returns the name of its one output, which is its own."""
        import onnx

        place = next(place for place, node in enumerate(self.nodes) if node.name == before.name)
        self.nodes.insert(place, onnx.helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def join_halves(self) -> None:
        """Make float32 constants of those in half precision that a Cast turns into them."""
        import onnx

        for node in [node for node in self.nodes if node.op_type == "Cast" and node.input[0] in self._constants]:
            half = self._constants.pop(node.input[0])
            values = onnx.numpy_helper.to_array(half).astype(np.float32)
            half.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
            self._constants[node.output[0]] = half
            self.nodes.remove(node)

    def drop_unused(self) -> None:
        """Remove nodes and constants that no output depends on."""
        while unused := [node for node in self.nodes if not any(map(self._is_used, node.output))]:
            for node in unused:
                self.nodes.remove(node)
        used = {name for node in self.nodes for name in node.input}
        kept = [each for each in self._graph.initializer if each.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _is_used(self, value: str) -> bool:
        return value in self.outputs or bool(self.users(value))

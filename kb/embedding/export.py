"""BERT weights in, an int8 ONNX file out: the graph that embeds without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPH_VERSION = 1  # part of the file's name: change it whenever the graph below changes
OPSET = 20  # the first with Gelu as one operator

Array = NDArray[Any]


class _Graph:
    """ONNX nodes under construction; each method adds one step and gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        self._count = 0

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add one operator; the name of its output, or a list of names."""
        from onnx import helper

        self._count += 1
        names = [f"{operator.lower()}_{self._count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def hold(self, name: str, value: Array) -> str:
        """Store a constant under *name*."""
        self.weights[name] = value
        return name

    def linear(self, value: str, name: str, weight: Array, bias: Array, int8: bool) -> str:
        """A dense layer; with *int8* its weight is quantized a column at a time and its input as it comes."""
        if not int8:
            product = self.add("MatMul", value, self.hold(f"{name}.w", np.ascontiguousarray(weight)))
            return str(self.add("Add", product, self.hold(f"{name}.b", bias)))
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-8).astype(np.float32) / 127
        quantized = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        small, step, zero = self.add("DynamicQuantizeLinear", value, outputs=3)
        product = self.add("MatMulInteger", small, self.hold(f"{name}.q", quantized), zero, self.hold(f"{name}.z", np.zeros(1, np.int8).reshape(())))
        product = self.add("Cast", product, to=1)
        scaled = self.add("Mul", product, self.add("Mul", step, self.hold(f"{name}.s", scale)))
        return str(self.add("Add", scaled, self.hold(f"{name}.b", bias)))


def write_onnx(folder: Path, target: Path, int8: bool = True) -> None:
    """
    Write a BERT sentence encoder (mean pooling, length 1) as one ONNX file.

    Args:
        folder: The model as sentence-transformers stores it: config.json and model.safetensors.
        target: The file to write; parents must exist.
        int8: Quantize the dense layers and the word table; else keep fp32.

    Raises:
        ValueError: The model is not a BERT with mean pooling.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu" or not pooling.get("pooling_mode_mean_tokens", pooling.get("pooling_mode") == "mean"):
        raise ValueError(f"{folder.name}: not a BERT encoder with mean pooling; embed with sentence-transformers instead")
    tensors = {name.removeprefix("bert."): value.astype(np.float32) for name, value in load_file(folder / "model.safetensors").items() if "position_ids" not in name}
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head = width // heads
    graph = _Graph()

    def norm(value: str, name: str) -> str:
        return str(
            graph.add(
                "LayerNormalization",
                value,
                graph.hold(f"{name}.g", tensors[f"{name}.weight"]),
                graph.hold(f"{name}.o", tensors[f"{name}.bias"]),
                axis=-1,
                epsilon=config["layer_norm_eps"],
            )
        )

    def constant(name: str, *values: int) -> str:
        return graph.hold(name, np.array(values, np.int64))

    words = tensors["embeddings.word_embeddings.weight"]
    if int8:
        step = (np.abs(words).max(axis=1, keepdims=True) / 127 + 1e-12).astype(np.float32)
        rows = graph.add("Gather", graph.hold("words", np.rint(words / step).astype(np.int8)), "input_ids")
        embedded = graph.add("Mul", graph.add("Cast", rows, to=1), graph.add("Gather", graph.hold("words.step", step), "input_ids"))
    else:
        embedded = graph.add("Gather", graph.hold("words", words), "input_ids")
    places = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    length = graph.add("Shape", "input_ids", start=1, end=2)
    hidden = norm(graph.add("Add", embedded, graph.add("Slice", graph.hold("places", places), constant("zero", 0), length, constant("axis0", 0))), "embeddings.LayerNorm")

    mask = graph.add("Cast", "attention_mask", to=1)
    blocked = graph.add("Mul", graph.add("Sub", graph.hold("one", np.array(1, np.float32)), mask), graph.hold("low", np.array(-10000, np.float32)))
    blocked = graph.add("Unsqueeze", blocked, constant("axes12", 1, 2))
    split, merge = constant("split", 0, 0, heads, head), constant("merge", 0, 0, width)
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"

        def get(part: str, name: str = name) -> tuple[Array, Array]:
            return tensors[f"{name}.{part}.weight"].T, tensors[f"{name}.{part}.bias"]

        (wq, bq), (wk, bk), (wv, bv) = get("attention.self.query"), get("attention.self.key"), get("attention.self.value")
        shrink = np.float32(head**-0.5)  # folded into the query's weights: one operator fewer
        joined = graph.linear(hidden, f"{name}.qkv", np.concatenate([wq * shrink, wk, wv], axis=1), np.concatenate([bq * shrink, bk, bv]), int8)
        parts = graph.add("Split", joined, outputs=3, axis=2, num_outputs=3)
        query, key, value = (graph.add("Reshape", part, split) for part in parts)
        query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
        key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
        value = graph.add("Transpose", value, perm=[0, 2, 1, 3])
        weights = graph.add("Softmax", graph.add("Add", graph.add("MatMul", query, key), blocked), axis=-1)
        mixed = graph.add("Reshape", graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3]), merge)
        mixed = graph.linear(mixed, f"{name}.out", *get("attention.output.dense"), int8)
        hidden = norm(graph.add("Add", mixed, hidden), f"{name}.attention.output.LayerNorm")
        wide = graph.add("Gelu", graph.linear(hidden, f"{name}.wide", *get("intermediate.dense"), int8))
        hidden = norm(graph.add("Add", graph.linear(wide, f"{name}.narrow", *get("output.dense"), int8), hidden), f"{name}.output.LayerNorm")

    column = graph.add("Unsqueeze", mask, constant("axis2", 2))
    total = graph.add("ReduceSum", graph.add("Mul", hidden, column), constant("axis1", 1), keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", column, "axis1", keepdims=0))
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["embedding"], axis=-1, p=2))

    shape = ["batch", "length"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "sentence_encoder",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])],
            [numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    onnx.save(model, str(target))

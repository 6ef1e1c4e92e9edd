"""BERT weights in, an int8 ONNX file out: the graph that embeds one text a run, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPH_VERSION = 2  # part of the file's name: change it whenever the graph below changes
OPSET = 20  # the first with Gelu as one operator
FUSED = "com.microsoft"  # operators of ONNX Runtime itself: attention in one pass over the cache, and a dense int8 layer in one step

Array = NDArray[Any]


class _Graph:
    """ONNX nodes under construction; each method adds one step and gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        self._count = 0

    def add(self, operator: str, *inputs: str, outputs: int = 1, domain: str | None = None, **attributes: Any) -> Any:
        """Add one operator; the name of its output, or a list of names."""
        from onnx import helper

        self._count += 1
        names = [f"{operator.lower()}_{self._count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def hold(self, name: str, value: Array) -> str:
        """Store a constant under *name*."""
        self.weights[name] = value
        return name

    def constant(self, name: str, *values: int) -> str:
        """Store whole numbers under *name*."""
        return self.hold(name, np.array(values, np.int64))

    def linear(self, value: str, name: str, weight: Array, bias: Array) -> str:
        """A dense layer; its weight is quantized a column at a time, its input as it comes."""
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-8).astype(np.float32) / 127
        quantized = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        return str(self.add("DynamicQuantizeMatMul", value, self.hold(f"{name}.q", quantized), self.hold(f"{name}.s", scale), "", self.hold(f"{name}.b", bias), domain=FUSED))


def write_onnx(folder: Path, target: Path) -> None:
    """
    Write a BERT sentence encoder (mean pooling, length 1) with int8 layers as one ONNX file.

    The input is one text, `input_ids` of shape (1, length), so that nothing has to be masked. Lookups, attention, norms
    and the mean stay fp32.

    Args:
        folder: The model as sentence-transformers stores it: config.json and model.safetensors.
        target: The file to write; parents must exist.

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
    graph = _Graph()

    def norm(value: str, name: str) -> str:
        gain, offset = graph.hold(f"{name}.g", tensors[f"{name}.weight"]), graph.hold(f"{name}.o", tensors[f"{name}.bias"])
        return str(graph.add("LayerNormalization", value, gain, offset, axis=-1, epsilon=config["layer_norm_eps"]))

    words = tensors["embeddings.word_embeddings.weight"]
    step = (np.abs(words).max(axis=1, keepdims=True) / 127 + 1e-12).astype(np.float32)
    rows = graph.add("Gather", graph.hold("words", np.rint(words / step).astype(np.int8)), "input_ids")
    embedded = graph.add("Mul", graph.add("Cast", rows, to=TensorProto.FLOAT), graph.add("Gather", graph.hold("words.step", step), "input_ids"))
    places = tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    length = graph.add("Shape", "input_ids", start=1, end=2)
    hidden = norm(
        graph.add("Add", embedded, graph.add("Slice", graph.hold("places", places), graph.constant("zero", 0), length, graph.constant("first", 0))), "embeddings.LayerNorm"
    )

    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"

        def dense(value: str, part: str, factor: float = 1.0, name: str = name) -> str:
            return graph.linear(value, f"{name}.{part}", tensors[f"{name}.{part}.weight"].T * np.float32(factor), tensors[f"{name}.{part}.bias"] * np.float32(factor))

        query = dense(hidden, "attention.self.query", (width // heads) ** -0.5)  # the scale of attention, folded into the weights
        key, value = dense(hidden, "attention.self.key"), dense(hidden, "attention.self.value")
        mixed = graph.add("MultiHeadAttention", query, key, value, domain=FUSED, num_heads=heads, scale=1.0)
        hidden = norm(graph.add("Add", dense(mixed, "attention.output.dense"), hidden), f"{name}.attention.output.LayerNorm")
        wide = graph.add("Gelu", dense(hidden, "intermediate.dense"))
        hidden = norm(graph.add("Add", dense(wide, "output.dense"), hidden), f"{name}.output.LayerNorm")

    mean = graph.add("ReduceMean", hidden, graph.constant("second", 1), keepdims=0)
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["embedding"], axis=-1, p=2))

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "sentence_encoder",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "length"])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, width])],
            [numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)],
        ir_version=9,
    )
    onnx.save(model, str(target))

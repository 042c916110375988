"""Makes a network of half precision one of 8 bits: python -m release.isnet WHOLE SMALL. Needs the package onnx."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def shrink(model: onnx.ModelProto) -> None:
    """Keeps the kernels of convolutions as 8 bits and a scale for every channel, and computes in single precision:
    processors have no half one. What is left out of a kernel is at most 1/254 of its largest factor."""
    graph = model.graph
    kept = [(each.name, numpy_helper.to_array(each)) for each in graph.initializer]
    del graph.initializer[:], graph.value_info[:]
    made = []
    for name, values in kept:
        values = values.astype(np.float32) if values.dtype == np.float16 else values
        if values.ndim == 4:
            scale = np.maximum(np.abs(values).max((1, 2, 3)), 1e-12) / 127
            codes = np.round(values / scale[:, None, None, None]).astype(np.int8)
            graph.initializer.extend([numpy_helper.from_array(codes, f"{name}.codes"),
                                      numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale")])
            made.append(helper.make_node("DequantizeLinear", [f"{name}.codes", f"{name}.scale"], [name], axis=0))
        else:
            graph.initializer.append(numpy_helper.from_array(values, name))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
            elif node.op_type == "Constant" and attribute.t.data_type == TensorProto.FLOAT16:
                values = numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(numpy_helper.from_array(values, attribute.t.name))
    _sort(graph, [*made, *graph.node])


def _sort(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Gives a graph these nodes, each behind those whose outputs it takes."""
    known = {"", *(each.name for each in (*graph.initializer, *graph.input))}
    waiting = nodes
    del graph.node[:]
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise SystemExit(f"{graph.name} has nodes without inputs.")
        graph.node.extend(ready)
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]


def main(whole: Path, small: Path) -> None:
    """Of the network's outputs the first is kept: the matte."""
    extractor = onnx.utils.Extractor(onnx.load(whole))
    model = extractor.extract_model(["input"], ["output"])
    shrink(model)
    model.opset_import[0].version = max(model.opset_import[0].version, 13)  # scales for every channel
    onnx.checker.check_model(model)
    onnx.save(model, small)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

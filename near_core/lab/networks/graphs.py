"""near-mini's graphs: which networks it is made of, which weights file holds them, and how they export to ONNX."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim

from ...models.mini import layout, runtime
from . import asset_networks, photo_networks, solid_networks

WEIGHTS = Path(__file__).parents[2] / "weights"  # <stage>.safetensors, float16
GRAPHS = runtime.FOLDER  # what export writes and the runtime reads


@dataclass(frozen=True)
class Graph:
    """One network of near-mini. stage: the weights file; make: the module; inputs: example tensors by name, in order;
    dynamic: input name -> {axis: name of the size that varies}; outputs: names."""

    stage: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], dict[str, Tensor]]
    dynamic: dict[str, dict[int, str]]
    outputs: tuple[str, ...]


def _rows(*shape: int) -> Tensor:
    return torch.rand(*shape)


def _around(count: int) -> Tensor:
    return torch.randint(0, count + 1, (count, layout.NEIGHBOURS))


_CELLS = (2 * layout.COARSE) ** 3
_IMAGE = (1, layout.PICTURE, layout.SIZE, layout.SIZE)

ALL: dict[str, Graph] = {
    "encoder": Graph(
        "latent", asset_networks.Encoder,
        lambda: {"voxels": _rows(50, layout.CHILDREN * layout.CHILD), "neighbours": _around(50)},
        {"voxels": {0: "N"}, "neighbours": {0: "N"}}, ("slat",)),
    "iad": Graph(
        "latent", asset_networks.IntrinsicDecoder,
        lambda: {"slat": _rows(50, layout.LATENT), "neighbours": _around(50)},
        {"slat": {0: "N"}, "neighbours": {0: "N"}}, ("h", "occupied", "children")),
    "tokenizer": Graph(
        "renderer", asset_networks.LightTokenizer,
        lambda: {"radiance": _rows(layout.TOKENS, layout.RADIANCE)}, {}, ("tokens",)),
    "lad": Graph(
        "renderer", asset_networks.LightingDecoder,
        lambda: {"surfel": _rows(50, layout.SURFEL), "terms": _rows(50, layout.TERMS, 3), "h": _rows(50, layout.HIDDEN),
                 "view": _rows(50, 3), "reflected": _rows(50, 3), "normal": _rows(50, 3),
                 "tokens": _rows(layout.TOKENS, layout.TOKEN), "directions": _rows(layout.TOKENS, 3)},
        {name: {0: "K"} for name in ("surfel", "terms", "h", "view", "reflected", "normal")}, ("radiance",)),
    "intrinsics": Graph(
        "intrinsics", photo_networks.Intrinsics,
        lambda: {"image": _rows(*_IMAGE), "pose": _rows(1, layout.POSE)}, {}, ("layers", "trunk", "elevation")),
    "structure": Graph(
        "structure", solid_networks.Structure,
        lambda: {"image": _rows(2, *_IMAGE[1:]), "layers": _rows(2, layout.LAYERS, *_IMAGE[2:]),
                 "trunk": _rows(2, layout.TRUNK, layout.SIZE // 2, layout.SIZE // 2),
                 "surface": _rows(2, layout.SURFACE, *_IMAGE[2:]), "uv": _rows(2, 2, _CELLS, 2),
                 "depth": _rows(2, 2, _CELLS), "towards": _rows(2, 3)},
        {name: {0: "photos"} for name in ("image", "layers", "trunk", "surface", "uv", "depth", "towards")},
        ("logits",)),
    "matte": Graph(
        "matte", photo_networks.Matte,
        lambda: {"picture": _rows(1, 3, layout.MATTE_SIZE, layout.MATTE_SIZE)}, {}, ("logits",)),
    "slat": Graph(
        "slat", photo_networks.Slat,
        lambda: {"pixel": _rows(50, layout.PIXEL), "state": _rows(50, layout.LATENT), "time": _rows(1),
                 "neighbours": _around(50)},
        {name: {0: "N"} for name in ("pixel", "state", "neighbours")}, ("slat", "confidence")),
}


def module(name: str, weights: Path = WEIGHTS) -> nn.Module:
    """A network with its trained weights, in eval mode. Raises FileNotFoundError where its stage is not trained."""
    graph = ALL[name]
    kept = load_file(weights / f"{graph.stage}.safetensors")
    network = graph.make()
    network.load_state_dict({k.removeprefix(f"{name}."): v.float() for k, v in kept.items()
                             if k.startswith(f"{name}.")})
    return network.eval()


def store(stage: str, state: dict[str, Tensor], weights: Path = WEIGHTS) -> Path:
    """Writes a stage's weights, float16, as they are committed; of a state that holds other networks too, its own."""
    path = weights / f"{stage}.safetensors"
    own = {name for name, graph in ALL.items() if graph.stage == stage}
    save_file({k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()
               if k.partition(".")[0] in own}, path)
    return path


def stages(weights: Path = WEIGHTS) -> list[str]:
    """The stages that are trained."""
    return sorted({g.stage for g in ALL.values() if (weights / f"{g.stage}.safetensors").exists()})


def digest(weights: Path = WEIGHTS) -> str:
    """Names a set of weights: 16 hexadecimal digits of their SHA-256."""
    sums = hashlib.sha256()
    for stage in stages(weights):
        sums.update((weights / f"{stage}.safetensors").read_bytes())
    return sums.hexdigest()[:16]


def export(out: Path = GRAPHS, weights: Path = WEIGHTS) -> list[Path]:
    """Writes <graph>.onnx of every trained stage, and model.json with the weights' digest.

    Weights stay float16 in the file and become float32 when it is loaded: half the size, the same numbers as in torch.
    Skipped where the files are already those of these weights.
    """
    import onnx

    out.mkdir(parents=True, exist_ok=True)
    names = [name for name, graph in ALL.items() if graph.stage in stages(weights)]
    paths = [out / f"{name}.onnx" for name in names]
    about = out / "model.json"
    described = {"digest": digest(weights), "graphs": names}
    if about.exists() and json.loads(about.read_text()) == described and all(p.exists() for p in paths):
        return paths
    for name, path in zip(names, paths):
        graph = ALL[name]
        example = graph.inputs()
        sizes = {size: Dim(size, min=2, max=1 << 22) for axes in graph.dynamic.values() for size in axes.values()}
        shapes = {key: {axis: sizes[size] for axis, size in graph.dynamic.get(key, {}).items()} or None
                  for key in example}
        program = torch.onnx.export(module(name, weights), tuple(example.values()), dynamo=True,
                                    input_names=list(example), output_names=list(graph.outputs),
                                    dynamic_shapes=tuple(shapes.values()), verbose=False)
        onnx.save(strip(halve(program.model_proto)), path)
    about.write_text(json.dumps(described))
    return paths


def strip(model):
    """The model without what the exporter notes of where each node came from, the folders of this machine among it: the
    same weights give the same bytes everywhere."""
    parts = [model, model.graph, *model.functions, *model.graph.node, *model.graph.initializer, *model.graph.input,
             *model.graph.output, *(node for function in model.functions for node in function.node)]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]
    return model


def halve(model):
    """The model with its large float32 constants stored as float16 behind a Cast."""
    import onnx
    from onnx import helper, numpy_helper

    casts, kept = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims, initial=1) >= 256:
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name + ".half")
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
            kept.append(half)
        else:
            kept.append(tensor)
    nodes = casts + list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]
    return model

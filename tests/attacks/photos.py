"""What an artist says of photos, as a Blender file keeps it, and the extension that brings a larger network."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

import numpy as np

from near_core.create import matting
from near_core.create.hints import Hints
from near_core.create.photo_config import MattingConfig
from tests.create.pictures import disc

PICTURE = disc(48, 32, 12, (20, 16)).astype(np.float32) / 255
SEEN = matting.MattingNetwork(32, lambda seen: (seen[..., 0] > 0.6).astype(np.float32), 2)  # what is red


def make_hints() -> list[bytes]:
    """As an object remembers them. Blender reads them, so it has to be there."""
    from near_blender.asset import photo_options
    dabs = np.float32([[.5, .5, .1], [.4, .6, .05]])
    return [photo_options.write_hints(each).encode() for each in (
        Hints((.2, .1, .8, .9), dabs, dabs[:1] / 4, 1), Hints(inside=dabs), Hints((.1, .1, .9, .9)))]


def read_hints(path: Path) -> None:
    """As an artist sees them drawn, writes them down again, and has the worker follow them."""
    from near_blender.asset import photo_options
    from near_blender.asset.sketch import Sketch
    hints = photo_options.read_hints(path.read_bytes().decode(errors="surrogateescape"))
    if hints is None:
        return
    sketch = Sketch(hints)
    sketch.picture = np.round(PICTURE * 255).astype(np.uint8)
    sketch.draw()
    again = photo_options.read_hints(photo_options.write_hints(sketch.hints)) or Hints()
    assert (again.box is None) == (sketch.hints.box is None) and len(again.inside) == len(sketch.hints.inside)
    matte = matting.MatteFinder(SEEN, PICTURE, MattingConfig(offered_objects=2)).find(hints)
    assert matte.shape == PICTURE.shape[:2] and np.isfinite(matte).all() and 0 <= matte.min() and matte.max() <= 1


def make_descriptions() -> list[bytes]:
    """What model.json of NeAR Matte says."""
    return [json.dumps({"digest": "0" * 64, "graphs": ["isnet"]}).encode()]


def make_networks() -> list[bytes]:
    """A network of one convolution in place of NeAR Matte's: red is object."""
    import onnx
    from onnx import helper, numpy_helper
    red = np.float32([20, -10, -10]).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "red"], ["logits"]),
         helper.make_node("Sigmoid", ["logits"], ["output"])], "isnet",
        *([helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, channels, 1024, 1024))]
          for name, channels in (("input", 3), ("output", 1))), [numpy_helper.from_array(red, "red")])
    out = io.BytesIO()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), out)
    return [out.getvalue()]


def read_extension(path: Path) -> None:
    """Has what is installed, of which one file is that of path, look at a picture."""
    kinds = {".json": ("model.json", make_descriptions), ".onnx": ("isnet.onnx", make_networks)}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        home = Path(folder) / "blender_org" / matting.ADDED
        home.mkdir(parents=True)
        for suffix, (name, make) in kinds.items():
            (home / name).write_bytes(path.read_bytes() if suffix == path.suffix else make()[0])
        try:
            matte = matting.predict_matte(matting.open_added.__wrapped__(Path(folder)), PICTURE)
        except MemoryError:  # a worker says so
            return
    assert matte.shape == PICTURE.shape[:2] and np.isfinite(matte).all(), "a pixel that is no number"

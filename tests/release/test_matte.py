"""The extension NeAR Matte: only the network that was looked at is packed, and what 8 bits leave of one."""

import io
import json
import tarfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from near_core.models.onnx import load_onnxruntime
from release import isnet, matte
from release.shell import Stop


def write_package(path, pieces: list[bytes]) -> None:
    """What the registry packs: a network in pieces, listed by where each begins."""
    chunks = [{"hash": f"piece{n}", "offsets": [10 * n, 10 * n + 10]} for n in range(len(pieces))]
    entries = {"LICENSE.md": b"a licence", **{f"dist/piece{n}": piece for n, piece in enumerate(pieces)},
               "dist/resources.json": json.dumps({matte.MODEL: {"chunks": chunks[::-1]}}).encode()}
    with tarfile.open(path, "w:gz") as archive:
        for name, data in entries.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def test_only_the_network_that_was_looked_at_is_packed(tmp_path, monkeypatch):
    package = tmp_path / "package.tgz"
    write_package(package, [b"first half", b"other half"])
    with pytest.raises(Stop, match="not the one that was looked at"):
        matte._read(package)
    monkeypatch.setattr(matte, "SHA256", matte.hashlib.sha256(b"first halfother half").hexdigest())
    assert matte._read(package) == (b"first halfother half", b"a licence")
    whole = package.read_bytes()
    for damaged in (b"no package", whole[:len(whole) // 2]):
        package.write_bytes(damaged)
        with pytest.raises(Stop, match="is not what `npm pack"):
            matte._read(package)


def test_a_network_of_8_bits_says_nearly_the_same():
    """Of half precision, its nodes in no order, as that of the package."""
    rng = np.random.default_rng(0)
    kernels, bias = rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float16), np.float16([0.5, -0.5, 0.25, 0])
    value = lambda name, channels: helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, channels, 8, 8))
    nodes = [helper.make_node("Conv", ["half", "kernels", "bias"], ["conv"], pads=[1] * 4),
             helper.make_node("Cast", ["input"], ["half"], to=TensorProto.FLOAT16),
             helper.make_node("Cast", ["conv"], ["output"], to=TensorProto.FLOAT)]
    graph = helper.make_graph(nodes, "net", [value("input", 3)], [value("output", 4)],
                              [numpy_helper.from_array(kernels, "kernels"), numpy_helper.from_array(bias, "bias")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    isnet.shrink(model)
    onnx.checker.check_model(model)
    assert {each.data_type for each in model.graph.initializer if each.name == "kernels.codes"} == {TensorProto.INT8}
    seen = rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    session = load_onnxruntime().InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    said = session.run(None, {"input": seen})[0]
    padded = np.pad(seen[0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    truth = np.einsum("ocij,chwij->ohw", kernels.astype(np.float32), windows) + bias.astype(np.float32)[:, None, None]
    assert np.abs(said[0] - truth).max() < 0.02 * np.abs(truth).max() and np.abs(said[0] - truth).max() > 0

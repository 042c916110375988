"""What finds the object: the network that comes with NeAR, and the larger one of an extension."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from near_core.create import create, matting, photo
from near_core.create.hints import Hints
from near_core.create.photo_config import MattingConfig
from near_core.errors import NearError
from near_core.models.mini.runtime import NearMini
from tests.create.pictures import check_disc, disc, mask_of


def test_the_matte_looks_nearer_at_a_small_object(model):
    """A cross of an eighth of the picture's width, on a noisy wall."""
    y, x = np.mgrid[:500, :500] - np.array([210, 330])[:, None, None]
    truth = (np.hypot(x, y) < 30) & (np.minimum(np.abs(x), np.abs(y)) < 6)
    rng = np.random.default_rng(0)
    wall = np.float32([0.35, 0.45, 0.6]) + rng.normal(0, 0.02, (500, 500, 1))
    picture = np.where(truth[..., None], np.float32([0.8, 0.15, 0.1]), wall).astype(np.float32)
    overlap = lambda alpha: ((alpha > 0.5) & truth).sum() / ((alpha > 0.5) | truth).sum()
    once = matting.predict_matte(matting.open_near(model, MattingConfig(looks=1)), picture)
    nearer = matting.predict_matte(matting.open_near(model), picture)
    assert nearer.shape == truth.shape and overlap(nearer) > max(0.9, overlap(once))
    assert not matting.predict_matte(matting.open_near(model), np.zeros((40, 30, 3), np.float32)).max() > 1


def write_added(folder: Path, bias: float = 0.0) -> None:
    """The extension NeAR Matte in a repository of extensions, with a network of one convolution: red is object."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    red = np.float32([20, -10, -10]).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["input", "red", "bias"], ["logits"]), helper.make_node("Sigmoid", ["logits"],
                                                                                         ["output"])], "isnet",
        *([helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, channels, 1024, 1024))]
          for name, channels in (("input", 3), ("output", 1))),
        [numpy_helper.from_array(red, "red"), numpy_helper.from_array(np.float32([bias]), "bias")])
    made = folder / "blender_org" / "near_matte"
    made.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), made / "isnet.onnx")
    (made / "model.json").write_text(json.dumps({"digest": "", "graphs": ["isnet"]}))


def test_the_added_network_is_asked_only_where_it_is_needed_and_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setattr(matting, "open_added", partial(matting.open_added, tmp_path))
    find = create.matte_of(NearMini(), "isnet")
    check_disc(photo.prepare(np.dstack([disc(), mask_of()]), matte=find))
    with pytest.raises(NearError, match="NeAR Matte is not installed"):
        photo.prepare(disc(), matte=find)
    with pytest.raises(NearError, match="no matting named grabcut"):
        create.matte_of(NearMini(), "grabcut")


def test_the_added_network_finds_the_object_and_follows_hints(monkeypatch, tmp_path):
    write_added(tmp_path)
    monkeypatch.setattr(matting, "open_added", partial(matting.open_added, tmp_path))
    picture, truth = disc(480, 320, 100, (240, 160)), mask_of(480, 320, 100, (240, 160)) > 0
    alpha = create.matte_of(NearMini(), "isnet")(picture / np.float32(255))
    assert alpha.shape == truth.shape and ((alpha > 0.5) & truth).sum() > 0.99 * ((alpha > 0.5) | truth).sum()
    left = Hints(box=(0, 0, 0.5, 1))
    half = create.matte_of(NearMini(), "isnet", hints=left)(picture / np.float32(255))
    assert half[:, :236][truth[:, :236]].mean() > 0.95 and not half[:, 244:].any()


def test_a_damaged_network_says_so(tmp_path):
    write_added(tmp_path)
    next(tmp_path.rglob("isnet.onnx")).write_bytes(b"no network")
    with pytest.raises(NearError, match="isnet.onnx is damaged"):
        matting.open_added(tmp_path).answer(np.zeros((1024, 1024, 3), np.float32))


def test_a_network_that_answers_with_another_size_is_damaged(tmp_path):
    write_added(tmp_path)
    path = next(tmp_path.rglob("isnet.onnx"))
    made = onnx.load(path)
    made.graph.node[0].attribute.append(onnx.helper.make_attribute("strides", [2, 2]))
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(made, path)
    with pytest.raises(NearError, match="isnet.onnx is damaged"):
        matting.open_added(tmp_path).answer(np.zeros((1024, 1024, 3), np.float32))


def test_folders_that_blender_does_not_name_are_not_looked_into(monkeypatch, tmp_path):
    """Around a checkout, and in the folder that a process was started in, whoever wrote there."""
    write_added(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEAR_EXTENSIONS", os.pathsep.join(["blender_org", "."]))
    monkeypatch.setattr(matting, "__file__", str(tmp_path / "mine/near/near_core/create/matting.py"))
    (tmp_path / "mine").mkdir()
    with pytest.raises(NearError, match="NeAR Matte is not installed"):
        matting.open_added()
    (tmp_path / "blender_org" / "near_matte").rename(tmp_path / "mine" / "near_matte")
    assert matting.open_added().side == 1024, "beside a checkout"
    matting.open_added.cache_clear()
    extensions = tmp_path / "extensions"
    write_added(extensions)
    monkeypatch.setattr(matting, "__file__", str(extensions / "mine/near/near_core/create/matting.py"))
    assert matting.open_added().side == 1024
    matting.open_added.cache_clear()


def test_the_added_network_is_found_where_blender_keeps_extensions(monkeypatch, tmp_path):
    write_added(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(NearError, match="NeAR Matte is not installed"):
        matting.open_added(elsewhere)
    monkeypatch.setenv("NEAR_EXTENSIONS", os.pathsep.join(["", str(elsewhere), str(tmp_path / "blender_org")]))
    assert matting.open_added(elsewhere).side == 1024


@pytest.mark.parametrize("described", [None, "{", "[]", "{}", '{"digest": "", "graphs": []}', "[" * 100_000])
def test_an_added_folder_that_is_damaged_says_so_until_it_is_mended(tmp_path, described):
    write_added(tmp_path)
    about = next(tmp_path.rglob("model.json"))
    whole = about.read_text()
    about.unlink() if described is None else about.write_text(described)
    for _ in range(2):
        with pytest.raises(NearError, match="model.json is damaged"):
            matting.open_added(tmp_path)
    about.write_text(whole)
    assert matting.open_added(tmp_path).answer(np.zeros((1024, 1024, 3), np.float32)).shape == (1024, 1024)


def test_the_added_network_cannot_run_without_its_runtime(tmp_path, monkeypatch):
    write_added(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NearError, match="onnxruntime is not there"):
        matting.open_added(tmp_path)


def test_in_a_shallow_folder_nothing_is_added(monkeypatch):
    monkeypatch.setattr(matting, "__file__", "/app/near_core/create/matting.py")
    with pytest.raises(NearError, match="NeAR Matte is not installed"):
        matting.open_added()

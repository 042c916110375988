"""near_core.image.exr: layers in and out, against OpenEXR's own reader."""

import os
import sys

import numpy as np
import pytest

from near_core import image
from near_core.errors import NearError
from tests.pictures import radiance


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_exr_round_trip(tmp_path, half, channels):
    picture = radiance(channels=channels)
    image.write_exr(tmp_path / "a.exr", {"Combined": picture}, half=half)
    assert np.allclose(image.read(tmp_path / "a.exr"), picture, rtol=1e-3 if half else 0, atol=1e-6 if half else 0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.exr"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_names_need_not_be_unicode(tmp_path):
    """As an older system, or a stick from one, has them; OpenEXR takes no others."""
    folder, picture = tmp_path / "caf\udce9", radiance(channels=3)
    folder.mkdir()
    for path in (folder / "a.exr", tmp_path / "b\udce9.exr"):
        image.write_exr(path, {"Combined": picture})
        assert np.array_equal(image.read(path), picture)
        assert image.read_layers(path)[""].shape == picture.shape
    assert sorted(os.listdir(tmp_path)) == ["b\udce9.exr", "caf\udce9"] and os.listdir(folder) == ["a.exr"]


@pytest.mark.parametrize("size", [(1, 1), (16, 8), (33, 40)])
def test_whatever_of_a_file_finds_no_room_it_is_said(tmp_path, size):
    """Its end, too, which OpenEXR writes when it closes the file, and does not say that it could not."""
    resource = pytest.importorskip("resource")
    passes = {"Combined": radiance(*size, 3), "Depth": radiance(*size, 1)}
    image.write_exr(tmp_path / "a.exr", passes)
    whole = (tmp_path / "a.exr").read_bytes()
    for kept in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
        (tmp_path / "a.exr").write_bytes(b"before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (kept, resource.RLIM_INFINITY))
        try:
            image.write_exr(tmp_path / "a.exr", passes)
        except NearError as error:
            assert kept < len(whole) and "could not be written" in str(error)
        else:
            assert kept == len(whole)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert (tmp_path / "a.exr").read_bytes() == (whole if kept == len(whole) else b"before")
        assert os.listdir(tmp_path) == ["a.exr"]


def test_multilayer_exr_uses_blenders_names(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    passes = {"Combined": radiance(), "Depth": radiance(channels=1), "Normal": radiance(channels=3),
              "Base Color": radiance(channels=3), "Shadow": radiance(channels=1)}
    image.write_exr(tmp_path / "a.exr", passes)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        names = set(file.channels())
    assert {"ViewLayer.Combined.R", "ViewLayer.Depth.Z", "ViewLayer.Normal.X", "ViewLayer.Base Color.B"} <= names
    layers = image.read_layers(tmp_path / "a.exr")
    for name, picture in passes.items():
        assert np.array_equal(layers[f"ViewLayer.{name}"], picture)
    assert np.array_equal(image.read(tmp_path / "a.exr"), passes["Combined"])


def test_multi_part_exr(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    a, b = radiance(channels=4), radiance(channels=1)
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    parts = [OpenEXR.Part({**header, "name": "c"}, {"VL.Combined.RGBA": a}),
             OpenEXR.Part({**header, "name": "d"}, {"VL.Depth.Z": b[..., 0]})]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    layers = image.read_layers(tmp_path / "a.exr")
    assert np.array_equal(layers["VL.Depth"], b)
    assert np.array_equal(image.read(tmp_path / "a.exr")[..., :3], a[..., :3])


def test_exr_data_window_is_placed_in_the_picture(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.NO_COMPRESSION,
              "dataWindow": (np.array([2, 1], np.int32), np.array([4, 2], np.int32)),
              "displayWindow": (np.array([0, 0], np.int32), np.array([9, 4], np.int32))}
    OpenEXR.File(header, {"Y": np.ones((2, 3), np.float32)}).write(str(tmp_path / "a.exr"))
    picture = image.read(tmp_path / "a.exr")[..., 0]
    assert picture.shape == (5, 10) and picture.sum() == 6 and picture[1:3, 2:5].all()

"""Reading data sets: the evaluation set where it is there, a small one written by hand, and broken ones."""

import json

import numpy as np
import pytest

from near_core import image
from near_core.errors import NearError
from near_core.lab.datasets.dataset import Dataset
from near_core.scene import environment

CAMERA = {"matrix_world": [[1, 0, 0, 0], [0, 0, -1, -2], [0, 1, 0, 0], [0, 0, 0, 1]], "fov_x_deg": 40.0,
          "resolution": [8, 8]}


@pytest.fixture
def small(tmp_path):
    """One asset, two pictures: a map turned by 90 degrees, and uniform light."""
    folder = tmp_path / "set" / "views" / "thing"
    folder.mkdir(parents=True)
    (tmp_path / "hdris").mkdir()
    light = np.zeros((16, 32, 3), np.float32)
    light[:, 7:9] = 5.0  # a stripe at +Y
    opaque = np.concatenate([light, np.ones((16, 32, 1))], -1)
    image.write_exr(tmp_path / "hdris" / "stripe.exr", {"Combined": opaque})
    image.write_exr(folder / "0.exr", {"Combined": np.full((8, 8, 4), 0.5, np.float32)}, half=True)
    (folder / "0.json").write_text(json.dumps({"role": "input", "hdri": "stripe.exr", "uniform": None, "camera": CAMERA,
                                               "hdri_rotation_deg": 90.0, "world_strength": 2.0, "image": "0.exr"}))
    (folder / "1.json").write_text(json.dumps({"hdri": None, "uniform": 0.5, "camera": CAMERA, "image": "1.exr"}))
    (tmp_path / "set" / "meta.json").write_text(json.dumps(
        {"assets": ["thing"], "models": "../models", "hdris": "../hdris", "exclude_hdris": ["stripe.exr"],
         "files": {"other": "models/other_1.glb"}}))
    return Dataset(tmp_path / "set")


def test_views_cameras_and_lights(small):
    first, second = small.views("thing")
    assert (first.n, first.role, second.n) == (0, "input", 1)
    assert first.image().shape == (8, 8, 4) and first.image().max() == 0.5
    assert np.allclose(first.camera.position, (0, -2, 0)) and np.allclose(first.camera.forward, (0, 1, 0))
    # turned by +90 degrees about +Z, the direction +X is looked up at +Y: the light comes from +X, twice as strong
    assert np.allclose(first.environment().look_up(np.array([[1.0, 0, 0]], np.float32)), 10, atol=1e-3)
    assert np.allclose(first.environment().look_up(np.array([[0, 1.0, 0]], np.float32)), 0, atol=1e-3)
    assert np.allclose(second.environment().map, 0.5)


def test_models_and_exclusions(small):
    assert small.model("thing") == (small.path / "../models/thing.glb").resolve()
    assert small.model("other") == (small.path / "models/other_1.glb").resolve()
    assert small.excluded_hdris == {"stripe.exr"} and small.excluded_groups == set()
    assert small.categories == {"thing": ""}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"assets": 3}'])
def test_a_folder_that_is_no_data_set_is_refused_in_words(tmp_path, text):
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(NearError, match="meta.json"):
        Dataset(tmp_path)


def test_a_broken_view_is_named(small):
    path = small.path / "views" / "thing" / "0.json"
    path.write_text(json.dumps({"camera": CAMERA}))
    with pytest.raises(NearError, match="0.json"):
        small.view("thing", 0)


def test_the_evaluation_set_reads_as_documented(shared):
    data = Dataset(shared / "data" / "eval")
    assert len(data.assets) == 24 and data.excluded_groups and len(data.excluded_hdris) == 6
    asset = "kd_keg_decorated"
    assert data.model(asset).exists() and data.categories[asset] == "lowpoly"
    views = data.views(asset)
    assert [v.role for v in views] == ["input", "relight", "novel", "novel", "novel", "homogenised"]
    assert isinstance(views[0].environment(), environment.Environment) and views[5].uniform == 1
    passes = views[0].passes()
    inside = passes["Combined"][..., 3] > 0.99
    normals = np.linalg.norm(passes["Normal"][inside], axis=-1)
    assert np.median(normals) == pytest.approx(1, abs=1e-2)
    distance = np.linalg.norm(views[0].camera.position)
    assert np.abs(np.median(passes["Depth"][inside]) - distance) < 0.6  # the object is within its unit cube
    assert 0 <= passes["Roughness"][inside].min() and passes["Roughness"][inside].max() <= 1.01

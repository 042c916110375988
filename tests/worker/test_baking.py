"""Assets out again: what is lost on the way to a mesh or to splats."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from near_core import mesh as meshes
from near_core.create.create import create_from_mesh
from near_core.engine import Engine
from near_core.errors import NearError
from near_core.image import srgb_encode
from near_core.lab.bench.inputs import SAMPLES
from near_core.scene import AssetLook, Instance, Settings
from near_core.scene import environment as environments
from near_core.worker import baking


@pytest.fixture(scope="module")
def keg():
    return create_from_mesh(meshes.load(SAMPLES / "keg.glb"), name="keg", normalize=True)


@pytest.fixture(scope="module")
def light():
    map = np.full((32, 64, 3), 0.4, np.float32)
    map[4:8, 10:20] = 8
    return environments.Environment(map)


def stand(asset, light, **options) -> baking.Situation:
    matrix = np.eye(4)
    matrix[:3, :3] = 2 * environments.turn_z(30)
    matrix[:3, 3] = 1, 2, 0.5
    return baking.Situation(Instance(asset, matrix, **options), light)


def test_what_is_flat_is_named(keg, light):
    with pytest.raises(NearError, match="flat"):
        baking.Situation(Instance(keg, np.diag([1.0, 1, 0, 1])), light)
    baking.Situation(Instance(keg, np.eye(4), look=AssetLook(opacity=0.0)), light)


def test_a_skin_is_its_mesh(renderer, keg, light):
    mesh, psnr = baking.bake_mesh(renderer, stand(keg, light))
    assert len(mesh.faces) == len(keg.skin.faces) and psnr > 40


def test_a_mesh_wears_the_look(renderer, keg, light):
    look = AssetLook(tint=(0.3, 0.6, 1.0), roughness=-0.5)
    glowing = [replace(each, emission=(0.5, 0.5, 0), emission_map=each.maps[0]) for each in keg.skin.materials]
    keg = replace(keg, skin=replace(keg.skin, materials=tuple(glowing)))
    mesh, psnr = baking.bake_mesh(renderer, stand(keg, light, look=look))
    assert psnr > 34 and all(each.glows for each in mesh.materials)
    plain = baking.make_mesh(keg, keg.surfels)
    assert mesh.materials[0].roughness < plain.materials[0].roughness or mesh.materials[0].roughness_map is not None


@pytest.mark.slow
def test_surfels_are_blended_onto_maps(renderer, keg, light):
    mesh, psnr = baking.bake_mesh(renderer, stand(replace(keg, skin=None), light), side=1024)
    assert psnr > 23
    [material] = mesh.materials
    assert material.base_color_map.shape[0] > 900 and mesh.corner_uv.min() > 0 and mesh.corner_uv.max() < 1
    area = np.abs(np.cross(mesh.corner_uv[:, 1] - mesh.corner_uv[:, 0], mesh.corner_uv[:, 2] - mesh.corner_uv[:, 0]))
    assert area.min() > 0, "no face without a place on the maps"


def flatten(asset, light) -> baking.Situation:
    flat = np.eye(4)
    flat[:3, :3] = 2 * environments.turn_z(30) @ np.diag([1, 1, 0.3])
    return baking.Situation(Instance(asset, flat), light)


def test_what_is_scaled_unevenly_is_compared_as_it_is_drawn(renderer, keg, light):
    situation = flatten(keg, light)
    view, settings = baking.list_views(situation.instance.matrix)[0], Settings(passes=("Combined",))
    drawn = Engine().render([situation.instance], view, light, settings)["Combined"]
    np.testing.assert_allclose(situation.draw(renderer, keg, view)[..., :3], srgb_encode(drawn[..., :3]), atol=1e-5)


@pytest.mark.slow
def test_splats_of_what_is_scaled_unevenly_have_its_light(renderer, keg, light):
    data, psnr = baking.bake_splats(renderer, flatten(keg, light))
    assert psnr > 23.5, "21.2 with the light of what is not stretched"
    plain, _ = baking.bake_splats(renderer, stand(keg, light))
    (_, _, one), (_, _, other) = (each.partition(b"end_header\n") for each in (data, plain))
    places = [np.frombuffer(each, "<f4").reshape(-1, 26)[:, :3] for each in (one, other)]
    np.testing.assert_allclose(*places, atol=1e-6)


@pytest.mark.slow
def test_splats_are_written_as_viewers_read_them(renderer, keg, light):
    data, psnr = baking.bake_splats(renderer, stand(keg, light))
    assert psnr > 24
    head, _, body = data.partition(b"end_header\n")
    lines = head.decode().split("\n")
    count = int(next(line for line in lines if line.startswith("element")).split()[2])
    names = [line.split()[2] for line in lines if line.startswith("property")]
    assert names[:3] == ["x", "y", "z"] and names[-4:] == ["rot_0", "rot_1", "rot_2", "rot_3"]
    assert {"f_dc_0", "opacity", "scale_2", "f_rest_8"} <= set(names)
    assert len(body) == 4 * count * len(names)
    table = np.frombuffer(body, "<f4").reshape(count, -1)
    assert np.isfinite(table).all() and count > 10_000
    size = np.ptp(table[:, :3], axis=0)
    assert size.max() == pytest.approx(keg.extent, rel=0.03), "metres"
    assert size[1] == pytest.approx(keg.extent * np.ptp(keg.surfels.position[:, 2]), rel=0.05), "Y is up and down"
    assert np.allclose(np.linalg.norm(table[:, -4:], axis=1), 1, atol=1e-4)
    assert struct.unpack("<f", body[:4])[0] == table[0, 0]

"""Variations of models: other materials on the same shape, another shape under the same materials."""

import dataclasses
import json
import struct

import numpy as np
import pytest

from near_core import mesh
from near_core.errors import NearError
from near_core.lab.datasets import procedural, shapes, variation


def _materials(data):
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20:20 + length])["materials"]


def test_redrawn_materials_keep_the_shape(objects, tmp_path):
    plain = next(m for m in objects.values() if all(x.base_color_map is None for x in m.materials))
    data = procedural.to_glb(plain)
    assert variation.read_flags(data) == {"flat"}
    new, drawn = variation.redraw(data, 5)
    assert variation.redraw(data, 5)[0] == new and variation.redraw(data, 6)[0] != new
    for material, chosen in zip(_materials(new), drawn.values()):
        surface = material["pbrMetallicRoughness"]
        assert surface["roughnessFactor"] == pytest.approx(chosen[0]["roughness"], abs=1e-4)
    (tmp_path / "old.glb").write_bytes(data)
    (tmp_path / "new.glb").write_bytes(new)
    old, changed = mesh.load(tmp_path / "old.glb"), mesh.load(tmp_path / "new.glb")
    assert np.array_equal(old.vertices, changed.vertices) and np.array_equal(old.faces, changed.faces)


def test_a_palette_texture_gets_a_material_per_colour(shared, tmp_path):
    path = shared / "data" / "assets" / "models" / "kd_chest_gold.glb"
    new, drawn = variation.redraw(path.read_bytes(), 1)
    assert max(len(chosen) for chosen in drawn.values()) > 3
    (tmp_path / "new.glb").write_bytes(new)
    old, changed = mesh.load(path), mesh.load(tmp_path / "new.glb")
    assert np.array_equal(old.vertices, changed.vertices) and np.array_equal(old.corner_uv, changed.corner_uv)
    assert len(np.unique(changed.materials[0].roughness_map)) > 3
    assert changed.materials[0].roughness_map.shape == changed.materials[0].base_color_map.shape[:2]


def test_a_file_that_is_no_glb_is_refused_in_words():
    for data in (b"", b"glTF", b"glTF" + b"\xff" * 40, b"x" * 100):
        with pytest.raises(NearError, match="glTF"):
            variation.read_flags(data)


def test_reshaped_models_keep_their_surface_and_get_another_shape(objects):
    for seed, made in list(objects.items())[:8]:
        new = variation.reshape(made, seed)
        assert np.array_equal(variation.reshape(made, seed).vertices, new.vertices)
        assert not np.allclose(variation.reshape(made, seed + 1).vertices, new.vertices, atol=0.01)
        assert np.array_equal(new.faces, made.faces) and np.array_equal(new.corner_uv, made.corner_uv)
        low, high = mesh.compute_bounds(new)
        assert np.allclose(low + high, 0, atol=1e-5) and (high - low).max() == pytest.approx(1, abs=1e-5)


def test_reshaped_normals_stand_on_the_surface():
    for seed in range(6):
        part = shapes.superquadric(np.random.default_rng(seed))
        plain = mesh.Mesh(part.vertices.astype(np.float32), part.faces.astype(np.int32))
        flat, _ = mesh.compute_face_normals(plain)
        made = variation.reshape(dataclasses.replace(plain, corner_normal=flat[:, None].repeat(3, 1)), seed)
        new, area = mesh.compute_face_normals(made)
        cosine = (made.corner_normal * new[:, None]).sum(-1)[area > 1e-6]
        assert np.quantile(cosine, 0.02) > 0.98, seed

"""Procedural objects, finishes and variations: reproducible, closed, plausible, and the same after the file."""

import dataclasses
import json
import struct

import numpy as np
import pytest

from near_core import mesh
from near_core.lab.datasets import materials as finish
from near_core.lab.datasets import procedural, shapes, variation

pytest.importorskip("skimage")
pytest.importorskip("trimesh")
pytest.importorskip("manifold3d")

SEEDS = range(24)


@pytest.fixture(scope="module")
def objects():
    return {seed: procedural.make(seed) for seed in SEEDS}


def test_objects_fill_the_unit_cube_and_have_everything_a_surface_needs(objects):
    for seed, made in objects.items():
        low, high = mesh.bounds(made)
        assert np.allclose(low + high, 0, atol=1e-5) and (high - low).max() == pytest.approx(1, abs=1e-5), seed
        assert made.corner_uv.shape == (len(made.faces), 3, 2) and np.isfinite(made.corner_uv).all()
        assert np.allclose(np.linalg.norm(made.corner_normal, axis=-1), 1, atol=1e-3), seed
        assert 0 <= made.material_index.min() and made.material_index.max() < len(made.materials)
        assert len(made.faces) < 200_000


def test_corner_normals_side_with_the_winding(objects):
    for seed, made in objects.items():
        flat, area = mesh.face_normals(made)
        cosine = (made.corner_normal * flat[:, None]).sum(-1).min(1)
        assert cosine[area > 1e-9].min() > 0, seed


def test_a_seed_names_one_object_and_others_differ(objects):
    again = procedural.make(3)
    assert np.array_equal(again.vertices, objects[3].vertices)
    maps = [m.base_color_map for m in again.materials], [m.base_color_map for m in objects[3].materials]
    assert all((a is None and b is None) or np.array_equal(a, b) for a, b in zip(*maps))
    assert len({made.vertices.tobytes() for made in objects.values()}) == len(objects)


@pytest.mark.parametrize("kind", shapes.SHAPES)
def test_shapes_wind_outwards(kind):
    for seed in range(5):
        part = kind(np.random.default_rng(seed))
        a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
        assert (np.cross(a, b) * c).sum() > 0, seed


def test_the_file_holds_the_same_object(objects, tmp_path):
    for seed in (0, 4, 9):
        made = objects[seed]
        path = tmp_path / f"{seed}.glb"
        path.write_bytes(procedural.to_glb(made))
        loaded = mesh.load(path)
        assert len(loaded.faces) == len(made.faces)
        assert np.allclose(mesh.bounds(loaded), mesh.bounds(made), atol=1e-4)
        # faces come material by material, in order: compare corner by corner
        order = np.argsort(made.material_index, kind="stable")
        assert np.allclose(loaded.vertices[loaded.faces], made.vertices[made.faces[order]], atol=2e-5)
        assert np.allclose(loaded.corner_uv, made.corner_uv[order], atol=2e-5)
        assert np.allclose(loaded.corner_normal, made.corner_normal[order], atol=1e-2)
        used = [made.materials[i] for i in np.unique(made.material_index)]
        read = [loaded.materials[i] for i in dict.fromkeys(loaded.material_index)]
        for ours, theirs in zip(used, read):
            assert np.allclose(ours.base_color, theirs.base_color, atol=0.003)  # the writer keeps 8 bits of a factor
            assert (ours.roughness, ours.metallic) == pytest.approx((theirs.roughness, theirs.metallic), abs=1e-6)
            if ours.roughness_map is not None:
                assert np.array_equal(ours.roughness_map, theirs.roughness_map)
                assert np.array_equal(ours.metallic_map, theirs.metallic_map)
                assert np.array_equal(ours.base_color_map[..., :3], theirs.base_color_map[..., :3])
            if ours.normal_map is not None:
                assert np.array_equal(ours.normal_map, theirs.normal_map)


def test_patterns_continue_over_their_edges():
    for name, maker in finish.PATTERN_MAKERS.items():
        if name in ("checker", "bricks", "weave"):
            continue  # hard edges everywhere
        for seed in range(3):
            field = maker(np.random.default_rng(seed))
            assert field.shape == (finish.SIZE,) * 2 and 0 <= field.min() and field.max() <= 1, name
            for axis in (0, 1):
                inside = np.abs(np.diff(field, axis=axis)).mean()
                over = np.abs(np.take(field, 0, axis) - np.take(field, -1, axis)).mean()
                assert over < 3 * inside + 0.02, (name, seed, axis)


def test_finishes_stay_physical_and_varied():
    drawn = [finish.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert all(0 <= c <= 1 for f in drawn for c in f.color)
    assert all(0.04 <= f.roughness <= 1 and 0 <= f.metallic <= 1 for f in drawn)
    assert 0.1 < np.mean([f.metallic > 0.5 for f in drawn]) < 0.4
    assert {f.kind for f in drawn} == set(finish.KINDS)


def _materials(data):
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20:20 + length])["materials"]


def test_redrawn_materials_keep_the_shape(objects, tmp_path):
    plain = next(m for m in objects.values() if all(x.base_color_map is None for x in m.materials))
    data = procedural.to_glb(plain)
    assert variation.flags(data) == {"flat"}
    new, drawn = variation.redraw(data, 5)
    assert variation.redraw(data, 5)[0] == new and variation.redraw(data, 6)[0] != new
    for material, (finishes) in zip(_materials(new), drawn.values()):
        surface = material["pbrMetallicRoughness"]
        assert surface["roughnessFactor"] == pytest.approx(finishes[0]["roughness"], abs=1e-4)
    (tmp_path / "old.glb").write_bytes(data)
    (tmp_path / "new.glb").write_bytes(new)
    old, changed = mesh.load(tmp_path / "old.glb"), mesh.load(tmp_path / "new.glb")
    assert np.array_equal(old.vertices, changed.vertices) and np.array_equal(old.faces, changed.faces)


def test_a_palette_texture_gets_a_finish_per_colour(shared, tmp_path):
    path = shared / "data" / "assets" / "models" / "kd_chest_gold.glb"
    new, drawn = variation.redraw(path.read_bytes(), 1)
    assert max(len(finishes) for finishes in drawn.values()) > 3
    (tmp_path / "new.glb").write_bytes(new)
    old, changed = mesh.load(path), mesh.load(tmp_path / "new.glb")
    assert np.array_equal(old.vertices, changed.vertices) and np.array_equal(old.corner_uv, changed.corner_uv)
    assert len(np.unique(changed.materials[0].roughness_map)) > 3
    assert changed.materials[0].roughness_map.shape == changed.materials[0].base_color_map.shape[:2]


def test_a_file_that_is_no_glb_is_refused_in_words():
    from near_core.errors import NearError
    for data in (b"", b"glTF", b"glTF" + b"\xff" * 40, b"x" * 100):
        with pytest.raises(NearError, match="glTF"):
            variation.flags(data)


def test_reshaped_models_keep_their_surface_and_get_another_shape(objects):
    for seed, made in list(objects.items())[:8]:
        new = variation.reshape(made, seed)
        assert np.array_equal(variation.reshape(made, seed).vertices, new.vertices)
        assert not np.allclose(variation.reshape(made, seed + 1).vertices, new.vertices, atol=0.01)
        assert np.array_equal(new.faces, made.faces) and np.array_equal(new.corner_uv, made.corner_uv)
        low, high = mesh.bounds(new)
        assert np.allclose(low + high, 0, atol=1e-5) and (high - low).max() == pytest.approx(1, abs=1e-5)


def test_reshaped_normals_stand_on_the_surface():
    for seed in range(6):
        part = shapes.superquadric(np.random.default_rng(seed))
        plain = mesh.Mesh(part.vertices.astype(np.float32), part.faces.astype(np.int32))
        flat, _ = mesh.face_normals(plain)
        made = variation.reshape(dataclasses.replace(plain, corner_normal=flat[:, None].repeat(3, 1)), seed)
        new, area = mesh.face_normals(made)
        cosine = (made.corner_normal * new[:, None]).sum(-1)[area > 1e-6]
        assert np.quantile(cosine, 0.02) > 0.98, seed

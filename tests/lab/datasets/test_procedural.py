"""Procedural objects: reproducible, closed, plausible, and the same after the file."""

import numpy as np
import pytest

from near_core import mesh
from near_core.lab.datasets import procedural


def test_objects_fill_the_unit_cube_and_have_everything_a_surface_needs(objects):
    for seed, made in objects.items():
        low, high = mesh.compute_bounds(made)
        assert np.allclose(low + high, 0, atol=1e-5) and (high - low).max() == pytest.approx(1, abs=1e-5), seed
        assert made.corner_uv.shape == (len(made.faces), 3, 2) and np.isfinite(made.corner_uv).all()
        assert np.allclose(np.linalg.norm(made.corner_normal, axis=-1), 1, atol=1e-3), seed
        assert 0 <= made.material_index.min() and made.material_index.max() < len(made.materials)
        assert len(made.faces) < 200_000


def test_corner_normals_side_with_the_winding(objects):
    for seed, made in objects.items():
        flat, area = mesh.compute_face_normals(made)
        cosine = (made.corner_normal * flat[:, None]).sum(-1).min(1)
        assert cosine[area > 1e-9].min() > 0, seed


def test_a_seed_names_one_object_and_others_differ(objects):
    again = procedural.make(3)
    assert np.array_equal(again.vertices, objects[3].vertices)
    maps = [m.base_color_map for m in again.materials], [m.base_color_map for m in objects[3].materials]
    assert all((a is None and b is None) or np.array_equal(a, b) for a, b in zip(*maps))
    assert len({made.vertices.tobytes() for made in objects.values()}) == len(objects)


def test_the_file_holds_the_same_object(objects, tmp_path):
    for seed in (0, 4, 9):
        made = objects[seed]
        path = tmp_path / f"{seed}.glb"
        path.write_bytes(procedural.to_glb(made))
        loaded = mesh.load(path)
        assert len(loaded.faces) == len(made.faces)
        assert np.allclose(mesh.compute_bounds(loaded), mesh.compute_bounds(made), atol=1e-4)
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

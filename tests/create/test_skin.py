"""What of a mesh its skin keeps: all of a small one, the shape of a large one, maps that fit the file."""

from dataclasses import replace

import numpy as np

from near_core.create.config import SkinConfig
from near_core.create.skin import make_skin, merge_vertices
from near_core.mesh import Material, Mesh, compute_face_normals
from near_core.mesh.texture import decode


def ball(rows: int, **attributes) -> Mesh:
    """A ball of 4 rows^2 triangles."""
    v, u = np.meshgrid(np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, 2 * rows + 1), indexing="ij")
    vertices = 0.5 * np.stack([np.sin(v) * np.cos(u), np.sin(v) * np.sin(u), np.cos(v)], -1).reshape(-1, 3)
    corner = (np.arange(rows)[:, None] * (2 * rows + 1) + np.arange(2 * rows)).ravel()
    below = corner + 2 * rows + 1
    faces = np.concatenate([np.stack([corner, below, below + 1], 1), np.stack([corner, below + 1, corner + 1], 1)])
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), **attributes)


def test_a_small_mesh_keeps_its_corners():
    mesh = ball(8)
    normal = mesh.vertices[mesh.faces] * 2
    uv = np.random.default_rng(0).uniform(size=(len(mesh.faces), 3, 2)).astype(np.float32)
    mesh = replace(mesh, corner_normal=normal, corner_uv=uv)
    skin, kept = make_skin(mesh, SkinConfig()), compute_face_normals(mesh)[1] > 0
    assert 0 < len(skin.faces) == kept.sum()
    assert np.array_equal(skin.vertices[skin.faces], mesh.vertices[mesh.faces[kept]])
    assert np.array_equal(skin.normal[skin.faces], normal[kept]) and np.array_equal(skin.uv[skin.faces], uv[kept])
    assert make_skin(ball(8), SkinConfig()).normal is None


def test_a_large_mesh_keeps_its_shape():
    mesh = merge_vertices(ball(60), 4000)
    assert 1500 < len(mesh.faces) <= 4000
    length = np.linalg.norm(mesh.vertices[np.unique(mesh.faces)], axis=1)
    assert 0.48 < length.min() and length.max() < 0.501
    assert np.isclose(compute_face_normals(mesh)[1].sum(), np.pi, rtol=0.02)


def test_what_is_there_twice_goes_first():
    mesh = ball(8)
    mesh = replace(mesh, faces=mesh.faces[compute_face_normals(mesh)[1] > 0])
    count, times = len(mesh.faces), 20
    turned = np.concatenate([np.roll(mesh.faces, turn, 1) for turn in range(times)])
    assert np.array_equal(merge_vertices(Mesh(mesh.vertices, turned), count).faces, mesh.faces)
    own = (np.arange(times)[:, None, None] * len(mesh.vertices) + mesh.faces).reshape(-1, 3)
    copies = Mesh(np.tile(mesh.vertices, (times, 1)), own.astype(np.int32))
    assert len(merge_vertices(copies, count).faces) <= count
    skin = make_skin(copies, SkinConfig())
    assert len(skin.faces) == count and np.array_equal(skin.vertices[skin.faces], mesh.vertices[mesh.faces])
    sides = Mesh(mesh.vertices, np.concatenate([mesh.faces, mesh.faces[:, ::-1]]))
    layers = Mesh(mesh.vertices, np.tile(mesh.faces, (2, 1)), materials=(Material(), Material(roughness=0.2)),
                  material_index=np.repeat([0, 1], count).astype(np.int32))
    for kept in (sides, layers):
        assert len(make_skin(kept, SkinConfig()).faces) == 2 * count


def test_of_triangles_upon_each_other_one_stays():
    """Coarser and coarser cells would leave none of them."""
    corners = np.float32([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]])
    merged = merge_vertices(Mesh(corners, np.tile(np.int32([[0, 1, 2], [1, 2, 0]]), (50, 1))), 40)
    assert len(merged.faces) == 1 and np.allclose(compute_face_normals(merged)[1], 0.125)


def test_of_confetti_the_largest_stay():
    """Each piece lies in a cell of its own, whatever their size; a file holds no more than it is read with."""
    place = np.random.default_rng(0).permutation(50)
    middle = (40 * np.stack([place, place % 7, 0 * place], 1) + 0.5) / 2048 - 0.5
    corners = middle[:, None] + np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]) * (4e-6 * (1 + place))[:, None, None]
    mesh = Mesh(corners.reshape(-1, 3).astype(np.float32), np.arange(150, dtype=np.int32).reshape(50, 3))
    merged = merge_vertices(mesh, 40)
    assert np.array_equal(merged.faces, mesh.faces[place >= 10])


def test_maps_are_kept_whole_where_they_fit():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (128, 128, 4), np.uint8)
    noise[..., 3] = 255
    rough = np.tile(np.arange(128, dtype=np.uint8), (128, 1))
    material = Material(base_color_map=noise, roughness_map=rough, metallic_map=rough)
    mesh = replace(ball(4), corner_uv=np.zeros((64, 3, 2), np.float32), materials=(material, material))
    skin = make_skin(mesh, SkinConfig())
    assert skin.materials[0].maps == skin.materials[1].maps == (0, 1, 1, -1)
    glowing = replace(material, emission=(2, 1, 0), emission_map=noise.copy())
    lit = make_skin(replace(mesh, materials=(material, glowing)), SkinConfig())
    assert lit.pictures == skin.pictures and lit.materials[0] == skin.materials[0]
    assert (lit.materials[1].emission, lit.materials[1].emission_map) == ((2, 1, 0), 0)
    dark = make_skin(replace(mesh, materials=(material, replace(glowing, emission_map=0 * noise))), SkinConfig())
    assert (dark.materials, dark.pictures) == (skin.materials, skin.pictures), "nothing is kept of what is black"
    assert np.array_equal(decode(skin.pictures[0], "it"), noise)
    assert np.array_equal(decode(skin.pictures[1], "it")[..., 0], rough)
    small = make_skin(mesh, SkinConfig(picture_bytes=8000))
    assert sum(map(len, small.pictures)) <= 8000
    assert abs(decode(small.pictures[0], "it")[..., :3].mean() - noise[..., :3].mean()) < 8

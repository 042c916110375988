"""near_core.mesh.gltf: files against what the format says."""

import json
import time
import tracemalloc

import numpy as np
import pytest
import trimesh
from PIL import Image

from near_core import mesh
from near_core.errors import NearError
from tests.gltf import TRIANGLE, gltf, png


def test_gltf_factors_that_are_missing_are_one(tmp_path):
    found = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, material={})).materials[0]
    assert (found.base_color, found.roughness, found.metallic) == ((1, 1, 1, 1), 1, 1)


def test_a_mesh_without_material_is_grey(tmp_path):
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}))
    found = loaded.materials[loaded.material_index[0]]
    assert (found.base_color, found.roughness, found.metallic) == ((0.8, 0.8, 0.8, 1), 0.5, 0)
    assert loaded.corner_uv is None and loaded.corner_normal is None


def test_gltf_is_turned_upright_and_nodes_are_applied(tmp_path):
    nodes = [{"translation": [10, 0, 0], "children": [1]},
             {"rotation": [0, 0, np.sqrt(0.5), np.sqrt(0.5)], "scale": [2, 1, 1], "mesh": 0}]
    normal = np.float32([[1, 0, 0]] * 3)
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "NORMAL": normal}, nodes=nodes))
    # x is doubled, turned onto y, moved; then y up becomes z up
    np.testing.assert_allclose(loaded.vertices, [[10, 0, 0], [10, 0, 2], [9, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(loaded.corner_normal[0, 0], [0, 0, 1], atol=1e-6)


def test_normals_follow_a_sheared_and_mirrored_node(tmp_path):
    matrix = np.array([[-1, 0.5, 0, 0], [0, 2, 0, 0], [0, 0.3, 1, 0], [0, 0, 0, 1.0]])
    normal = np.float32([[0, 0, 1]] * 3)
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "NORMAL": normal},
                            nodes=[{"matrix": matrix.T.ravel().tolist(), "mesh": 0}]))
    by_winding = mesh.compute_face_normals(loaded)[0][0]
    np.testing.assert_allclose(loaded.corner_normal[0, 0], by_winding, atol=1e-5)


def test_joints_place_a_skinned_mesh(tmp_path):
    # two joints: the first doubles, the second moves by (0, 0, 4); the node's own matrix does not count
    nodes = [{"mesh": 0, "skin": 0, "translation": [9, 9, 9]}, {"scale": [2, 2, 2], "children": [2]},
             {"translation": [0, 0, 2]}]
    inverse = np.float32([np.eye(4), np.diag([0.5, 0.5, 0.5, 1])]).reshape(2, 16)
    weights = np.float32([[1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    path = gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "JOINTS_0": np.uint8([[0, 1, 0, 0]] * 3),
                                      "WEIGHTS_0": weights, "_INVERSE": inverse},
                nodes=nodes, header={"scenes": [{"nodes": [0, 1]}]})
    content = json.loads(path.read_text())
    for accessor in content["accessors"]:
        if accessor["type"] == "VEC16":
            accessor["type"] = "MAT4"
        if accessor["componentType"] == 5121:
            accessor["normalized"] = False
    matrices = content["meshes"][0]["primitives"][0]["attributes"].pop("_INVERSE")
    content["skins"] = [{"joints": [1, 2], "inverseBindMatrices": matrices}]
    path.write_text(json.dumps(content))
    np.testing.assert_allclose(mesh.load(path).vertices, [[0, 0, 0], [2, 0, 0], [0, -2, 1.5]], atol=1e-6)


@pytest.mark.parametrize("mode, expected", [(5, [[0, 1, 2], [3, 2, 1]]), (6, [[0, 1, 2], [0, 2, 3]])])
def test_strips_and_fans(tmp_path, mode, expected):
    square = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": square}, indices=[0, 1, 2, 3], mode=mode))
    np.testing.assert_array_equal(loaded.faces, expected)


def test_maps_are_unpacked(tmp_path):
    base = np.uint8([[[255, 0, 0, 255], [0, 255, 0, 128]]])
    packed = np.uint8([[[9, 100, 200], [9, 110, 210]]])
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 1},
                                         "roughnessFactor": 0.5}, "normalTexture": {"index": 2, "scale": 0.05}}
    uv = np.float32([[0, 0], [1, 0], [0, 1]])
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "TEXCOORD_0": uv}, material=material,
                            images=(png(base), png(packed), png(packed))))
    found = loaded.materials[0]
    np.testing.assert_array_equal(found.base_color_map[..., :3], base[..., :3])
    assert (found.base_color_map[..., 3] == 255).all()  # alphaMode is OPAQUE
    np.testing.assert_array_equal(found.roughness_map, packed[..., 1])
    np.testing.assert_array_equal(found.metallic_map, packed[..., 2])
    assert (found.roughness, found.metallic, found.normal_scale) == (0.5, 1, 0.05)
    np.testing.assert_allclose(loaded.corner_uv[0], [[0, 1], [1, 1], [0, 0]])  # V goes up


STRONG = {"KHR_materials_emissive_strength": {"emissiveStrength": 40}}


@pytest.mark.parametrize("material, emission", [
    ({"emissiveFactor": [1, 0.5, 0]}, (1, 0.5, 0)), ({"extensions": STRONG}, (0, 0, 0)),
    ({"emissiveFactor": [1, 0.5, 0], "extensions": STRONG}, (40, 20, 0)),
    ({"emissiveFactor": [-1, float("inf"), float("nan")]}, (0, 1e6, 0))])
def test_what_glows_has_its_strength(tmp_path, material, emission):
    found = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, material=material)).materials[0]
    assert found.emission == emission and found.glows is any(emission) and found.emission_map is None


@pytest.mark.parametrize("factor, metallic, rough, expected", [
    (1.0, 0.0, 0.04, 0.04), (0.4, 0.0, 0.04, 0.5), (1.0, 1.0, 0.04, 0.5), (1.0, 0.0, 0.7, 0.5)])
def test_a_clear_coat_is_the_gloss_of_what_is_no_metal(tmp_path, factor, metallic, rough, expected):
    coat = {"KHR_materials_clearcoat": {"clearcoatFactor": factor, "clearcoatRoughnessFactor": rough}}
    material = {"pbrMetallicRoughness": {"metallicFactor": metallic, "roughnessFactor": 0.5}, "extensions": coat}
    found = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, material=material)).materials[0]
    assert found.roughness == expected


def test_what_glows_has_its_map(tmp_path):
    map_ = np.uint8([[[255, 0, 0, 0], [0, 255, 0, 128]]])
    material = {"emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": 0, "texCoord": 1}}
    uv = np.float32([[0, 0], [1, 0], [0, 1]])
    attributes = {"POSITION": TRIANGLE, "TEXCOORD_0": 7 * uv, "TEXCOORD_1": uv}
    loaded = mesh.load(gltf(tmp_path / "a.gltf", attributes, material=material, images=(png(map_),)))
    np.testing.assert_array_equal(loaded.materials[0].emission_map[..., :3], map_[..., :3])
    np.testing.assert_allclose(loaded.corner_uv[0], [[0, 1], [1, 1], [0, 0]])
    dark = mesh.load(gltf(tmp_path / "b.gltf", attributes, material=material, images=(png(0 * map_),)))
    assert not dark.materials[0].glows


def test_alpha_is_cut_off(tmp_path):
    base = np.uint8([[[255, 0, 0, 200], [0, 255, 0, 20]]])
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, "alphaMode": "MASK", "alphaCutoff": 0.5}
    found = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, material=material, images=(png(base),)))
    np.testing.assert_array_equal(found.materials[0].base_color_map[0, :, 3], [255, 0])


def test_a_texture_transform_is_applied(tmp_path):
    transform = {"offset": [0.5, 0.25], "rotation": np.pi / 2, "scale": [2, 3]}
    material = {"pbrMetallicRoughness": {"baseColorTexture": {
        "index": 0, "texCoord": 1, "extensions": {"KHR_texture_transform": transform}}}}
    uv = np.float32([[0, 0], [1, 0], [0, 1]])
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "TEXCOORD_0": uv * 7, "TEXCOORD_1": uv},
                            material=material, images=(png(np.zeros((2, 2, 3))),)))
    # KHR_texture_transform: translation * rotation * scale, rotation [[cos, sin], [-sin, cos]], V down
    expected = np.array([[0.5, 0.25], [0.5, 0.25 - 2], [0.5 + 3, 0.25]])
    np.testing.assert_allclose(loaded.corner_uv[0], np.c_[expected[:, 0], 1 - expected[:, 1]], atol=1e-6)


def test_vertex_colours_are_linear_and_normalized(tmp_path):
    colors = np.uint16([[65535, 0, 0], [0, 65535, 0], [0, 0, 13107]])
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "COLOR_0": colors}, material={}))
    np.testing.assert_allclose(loaded.corner_color[0], [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0.2, 1]], atol=1e-5)


@pytest.mark.parametrize("material, alpha", [
    ({}, [1, 1, 1]), ({"alphaMode": "BLEND"}, [0, 0.5, 1]), ({"alphaMode": "MASK"}, [0, 1, 1]),
    ({"alphaMode": "MASK", "alphaCutoff": 0.75}, [0, 0, 1])])
def test_alpha_of_vertex_colours_is_what_the_material_makes_of_it(tmp_path, material, alpha):
    colors = np.float32([[1, 0.5, 0, 0], [1, 0.5, 0, 0.5], [1, 0.5, 0, 1]])
    loaded = mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "COLOR_0": colors}, material=material))
    np.testing.assert_allclose(loaded.corner_color[0, :, 3], alpha)
    np.testing.assert_allclose(loaded.corner_color[0, :, :3], colors[:, :3])


def test_glb_by_trimesh_keeps_its_surface(tmp_path):
    scene = trimesh.Scene()
    moved = trimesh.transformations.translation_matrix((5, 0, 0))
    scene.add_geometry(trimesh.creation.box((1, 2, 3)), transform=moved)
    scene.add_geometry(trimesh.creation.icosphere(2))
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    loaded, extent, centre = mesh.normalize(mesh.load(tmp_path / "a.glb"))
    assert extent == pytest.approx(6.5) and len(loaded.faces) == 12 + 320
    np.testing.assert_allclose(centre, [2.25, 0, 0], atol=1e-6)
    np.testing.assert_allclose(mesh.compute_bounds(loaded)[1], [0.5, 1.5 / 6.5, 1 / 6.5], atol=1e-6)


@pytest.mark.parametrize("change", [
    {"nodes": [{"mesh": 0, "children": [0]}]}, {"nodes": [{"mesh": 3}]}, {"scenes": [{"nodes": [7]}]}, {"meshes": 3},
    {"accessors": [{"componentType": 5126, "count": 2**40, "type": "VEC3"}]},
    {"accessors": [{"componentType": 5126, "count": 3, "type": "VEC3", "bufferView": 0, "byteOffset": -36}]},
    {"bufferViews": [{"buffer": 0, "byteOffset": -4, "byteLength": 36}]},
    {"bufferViews": [{"buffer": 0, "byteLength": 2**50}]}, {"buffers": [{"byteLength": 36, "uri": "../../secret"}]},
    {"extensionsRequired": ["KHR_draco_mesh_compression"]}, {"nodes": [{"mesh": 0, "scale": [0, 0, 0]}]},
])
def test_hostile_gltf(tmp_path, change):
    with pytest.raises(NearError):
        mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, header=change))


def test_vertices_that_only_an_extension_holds_are_named_though_it_is_not_required(tmp_path):
    made = gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE})
    tree = json.loads(made.read_text())
    for entry in tree["accessors"]:
        del entry["bufferView"]
    tree["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
    made.write_text(json.dumps(tree))
    with pytest.raises(NearError, match="uses Draco compression"):
        mesh.load(made)


@pytest.mark.parametrize(("changes", "said"), [
    ({"textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]}, "uses KTX2 textures"),
    ({"textures": [{"source": 0, "extensions": {"KHR_texture_basisu": {"source": 0}}}]}, None),
    ({"nodes": [{"mesh": 0, "extensions": {"EXT_mesh_gpu_instancing": {"attributes": {}}}}]}, "uses GPU instances")])
def test_pictures_and_places_that_only_an_extension_tells_are_named(tmp_path, changes, said):
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    made = gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, material=material, images=(png(np.zeros((2, 2, 3))),),
                header=changes)
    if said is None:
        assert mesh.load(made).materials[0].base_color_map is not None
    else:
        with pytest.raises(NearError, match=said):
            mesh.load(made)


def test_an_attribute_that_takes_no_room_in_the_file_takes_none_in_memory(tmp_path):
    accessors = [{"componentType": 5126, "count": 3, "type": "VEC3", "bufferView": 0},
                 {"componentType": 5126, "count": 40_000_000, "type": "VEC3"}]
    path = gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE, "NORMAL": TRIANGLE}, header={"accessors": accessors})
    tracemalloc.start()
    with pytest.raises(NearError, match="damaged"):
        mesh.load(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_thousand_materials_of_one_picture_share_what_is_made_of_it(tmp_path):
    picture = np.full((256, 256, 4), 200)
    packed = {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 0}}
    materials = [{"pbrMetallicRoughness": packed, "normalTexture": {"index": 0}}] * 1000
    file = gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, images=(png(picture),), header={"materials": materials})
    tracemalloc.start()
    loaded = mesh.load(file)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    first, last = loaded.materials[0], loaded.materials[999]
    assert (last.base_color_map[..., 3] == 255).all() and last.roughness_map[0, 0] == 200
    assert all(getattr(first, f"{name}_map") is getattr(last, f"{name}_map") for name in ("base_color", "normal"))


@pytest.mark.timing
def test_parts_that_nodes_multiply_are_counted_first(tmp_path):
    """Twenty thousand nodes that place twenty thousand primitives without a face are 400 million, in 1 MB."""
    empty = {"accessors": [{"componentType": 5126, "count": 0, "type": "VEC3"}],
             "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}] * 20_000}],
             "nodes": [{"children": list(range(1, 20_001))}] + [{"mesh": 0}] * 20_000}
    many = {"nodes": [{"mesh": 0}] + [{}] * 60_000}
    for header in (empty, many, {"materials": [{}] * 60_000}):
        start = time.process_time()
        with pytest.raises(NearError, match="50,000 parts"):
            mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, header=header))
        assert time.process_time() - start < 5


@pytest.mark.timing
def test_a_skin_is_read_once_for_all_that_it_moves(tmp_path):
    rich = {"POSITION": TRIANGLE, "JOINTS_0": np.zeros((3, 4), np.uint16), "WEIGHTS_0": np.ones((3, 4), np.float32)}
    header = {"skins": [{"joints": [0] * 20_000}], "scenes": [{"nodes": list(range(1000))}]}
    path = gltf(tmp_path / "a.gltf", rich, nodes=[{"mesh": 0, "skin": 0}] * 1000, header=header)
    path.write_text(path.read_text().replace('"normalized": true', '"normalized": false'))
    start = time.process_time()
    assert len(mesh.load(path).faces) == 1000
    assert time.process_time() - start < 5


def test_a_file_beside_is_kept_once_however_many_buffers_name_it(tmp_path):
    (tmp_path / "big.bin").write_bytes(TRIANGLE.tobytes() + bytes(4_000_000))
    buffers = [{"byteLength": 36, "uri": "big.bin"}] * 50
    views = [{"buffer": n, "byteLength": 36} for n in range(50)]
    accessors = [{"bufferView": n, "componentType": 5126, "count": 3, "type": "VEC3"} for n in range(50)]
    parts = [{"attributes": {"POSITION": n}} for n in range(50)]
    path = gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, header={
        "buffers": buffers, "bufferViews": views, "accessors": accessors, "meshes": [{"primitives": parts}]})
    tracemalloc.start()
    assert len(mesh.load(path).faces) == 50
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_random_damage_never_escapes(tmp_path):
    box = trimesh.creation.box()
    box.visual = trimesh.visual.TextureVisuals(uv=np.zeros((8, 2)), material=trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.new("RGB", (4, 4), (9, 9, 9))))
    whole = bytearray(trimesh.Scene(box).export(file_type="glb"))
    rng = np.random.default_rng(0)
    path = tmp_path / "a.glb"
    for _ in range(150):
        damaged = whole.copy()
        for at in rng.integers(0, len(whole), 4):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            mesh.load(path)
        except NearError:
            pass


def test_too_many_triangles_are_counted_before_they_are_read(tmp_path):
    nodes = [{"children": list(range(1, 2001))}] + [{"mesh": 0}] * 2000
    header = {"accessors": [{"componentType": 5126, "count": 60000, "type": "VEC3"}], "nodes": nodes}
    with pytest.raises(NearError, match="million"):
        mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, header=header))


def test_every_shared_model_loads(shared):
    for path in sorted((shared / "data/assets/models").glob("*.glb"))[::40]:
        loaded = mesh.load(path)
        assert len(loaded.faces) and np.isfinite(loaded.vertices).all()
        np.testing.assert_allclose(np.ptp(mesh.compute_bounds(loaded), axis=0).max(), 1, atol=0.02)

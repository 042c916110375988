"""What nodes compute, baked by the second Blender: compared with what they are known to compute."""

from dataclasses import replace

import bpy
import numpy as np
import pytest

from near_blender import scratch
from near_blender.asset import payload
from near_blender.client import client
from near_blender.cycles import scene as cycles_scene
from near_blender.scene import geometry
from near_core import errors
from near_core.image import srgb_decode


@pytest.fixture
def box():
    """A box off its origin, whose colour is where a point lies in its bounds, and whose roughness is how high."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=(3, 2, 1), scale=(2, 1, 1.5))
    ob = bpy.context.object
    ob.data.transform(((1, 0, 0, 0.7), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
    material = bpy.data.materials.new("Computed")
    material.use_nodes = True
    tree = material.node_tree
    shader, place, split = (tree.nodes["Principled BSDF"], tree.nodes.new("ShaderNodeTexCoord"),
                            tree.nodes.new("ShaderNodeSeparateXYZ"))
    shader.inputs["Metallic"].default_value = 0.25
    tree.links.new(place.outputs["Generated"], shader.inputs["Base Color"])
    tree.links.new(place.outputs["Generated"], split.inputs[0])
    tree.links.new(split.outputs["Z"], shader.inputs["Roughness"])
    ob.data.materials.append(material)
    return ob


def measure(ob, asset) -> tuple[np.ndarray, np.ndarray]:
    """How far colour (N, 3) and roughness (N,) of an asset's surfels are from what the box has there."""
    surfels, size = asset.surfels, np.array(ob.dimensions) / max(ob.dimensions)
    inside = surfels.position / size + 0.5
    return np.abs(surfels.base_color - inside), np.abs(surfels.roughness - inside[:, 2])


def test_what_is_computed_is_baked(box):
    box.modifiers.new("Subdivision", "SUBSURF").subdivision_type = "SIMPLE"
    assert bpy.ops.near.create_asset_from_mesh(detail="STANDARD") == {"FINISHED"}
    asset = payload.decode_asset(bpy.context.object)
    color, rough = measure(box, asset)
    assert np.median(color) < 0.01 and np.quantile(color, 0.99) < 0.05
    assert np.median(rough) < 0.01 and np.quantile(rough, 0.99) < 0.05
    assert np.allclose(asset.surfels.metallic, 0.25, atol=0.01) and len(asset.skin.pictures) == 2
    assert len(bpy.data.scenes) == 1 and [each.name for each in bpy.data.materials if each.users][:1] == ["Computed"]


def test_without_baking_it_is_named(box):
    bpy.ops.near.create_asset_from_mesh(detail="DRAFT", bake=False)
    assert np.ptp(payload.decode_asset(bpy.context.object).surfels.base_color, axis=0).max() < 0.01
    assert geometry.read_mesh(box, bpy.context.scene).is_computed


def test_what_glows_is_baked_with_its_strength(box):
    """Half of the surface is mixed with what glows in the colours of its place."""
    tree = box.data.materials[0].node_tree
    place, shader, output = (tree.nodes[name] for name in ("Texture Coordinate", "Principled BSDF", "Material Output"))
    mix, glow = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeEmission")
    glow.inputs["Strength"].default_value = 60
    tree.links.new(place.outputs["Generated"], glow.inputs["Color"])
    for output_, socket in ((shader.outputs[0], mix.inputs[1]), (glow.outputs[0], mix.inputs[2]),
                            (mix.outputs[0], output.inputs["Surface"])):
        tree.links.new(output_, socket)
    baked, notes = read_away(box)
    made = baked.materials[0]
    where, color = sample_middles(baked)
    _, sent = sample_middles(replace(baked, materials=(replace(made, base_color_map=made.emission_map),)))
    assert np.abs(color - where).max() < 0.05 and np.abs(sent * made.emission - 30 * where).max() < 1.5
    assert [note for note in notes if "Emission" in note] == []


def bake(*objects):
    """Instances of objects as one: read as they are, and what the second Blender makes of it."""
    many = bpy.data.objects.new("Many", None)
    many.instance_type, many.instance_collection = "COLLECTION", bpy.data.collections.new("Many")
    for ob in objects:
        many.instance_collection.objects.link(ob)
    bpy.context.scene.collection.objects.link(many)
    plain, (baked, notes) = geometry.read_mesh(many, bpy.context.scene), read_away(many)
    return plain.mesh, baked, notes


def read_away(ob, side: int = 256):
    """What the second Blender makes of an object: its mesh, and the notes."""
    path, _folder = scratch.hand_over(ob, "object")
    answer = client.read_surface(path, ob.name, 1, 0.0, side).result()
    return answer["mesh"], answer["notes"]


def test_what_is_no_surface_is_named_as_the_artist_calls_it(box):
    """The second Blender has drawn the scene, and so has an object of that name already."""
    box.modifiers.new("Hair", "PARTICLE_SYSTEM")
    box.particle_systems[0].settings.type = "HAIR"
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    client.get_cycles().draw(state, cycles_scene.describe_camera_object(camera), (4, 4), samples=1).result()
    assert read_away(box, 0)[1][0] == "Cube: its hair is left out"


def test_instances_other_materials_and_names_are_kept(box):
    """A plain red slot beside the computed one, of which one input's image is gone, and two instances of the whole."""
    computed = box.data.materials[0]
    computed.name, computed.use_fake_user = "Computed.001", True
    tree = computed.node_tree
    gone = tree.nodes.new("ShaderNodeTexImage")
    tree.links.new(gone.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Metallic"])
    red = bpy.data.materials.new("Red")
    red.use_nodes = True
    red.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.6, 0.1, 0.1, 1)
    box.data.materials.append(red)
    box.data.polygons[0].material_index = 1
    box.data.update()
    other = box.copy()
    other.location.x += 5
    plain, baked, notes = bake(box, other)
    assert len(notes) == 1 and notes[0].startswith("Computed.001: Metallic")
    assert len(baked.faces) == len(plain.faces) == 24 and np.allclose(
        np.sort(baked.vertices, 0), np.sort(plain.vertices, 0), atol=1e-6)
    names = [material.name for material in baked.materials]
    assert baked.materials[names.index("Red")].base_color[:3] == pytest.approx((0.6, 0.1, 0.1))
    assert (baked.material_index == names.index("Red")).sum() == 4
    made = baked.materials[names.index("Computed.001")]
    assert made.metallic_map is None and made.metallic == 0.25 and made.roughness_map is not None


def test_a_group_is_entered_that_materials_share(box):
    tree = box.data.materials[0].node_tree
    inside = bpy.data.node_groups.new("Inside", "ShaderNodeTree")
    inside.interface.new_socket("Color", in_out="INPUT", socket_type="NodeSocketColor")
    inside.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    entry, end, shader = (inside.nodes.new(kind) for kind in ("NodeGroupInput", "NodeGroupOutput",
                                                              "ShaderNodeBsdfPrincipled"))
    inside.links.new(entry.outputs[0], shader.inputs["Base Color"])
    inside.links.new(shader.outputs[0], end.inputs[0])
    group = tree.nodes.new("ShaderNodeGroup")
    group.node_tree = inside
    tree.links.new(tree.nodes["Texture Coordinate"].outputs["Generated"], group.inputs[0])
    tree.links.new(group.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    other = box.copy()
    other.data, other.location.x = box.data.copy(), 9
    other.data.materials[0] = box.data.materials[0].copy()
    _, baked, notes = bake(box, other)
    assert len(baked.materials) == 2 and not notes
    assert all(np.ptp(material.base_color_map[..., :3].reshape(-1, 3), 0).min() > 200 for material in baked.materials)


def sample_middles(mesh) -> tuple[np.ndarray, np.ndarray]:
    """The middle of every triangle: where it lies in the bounds, and the colour of the first map there, (F, 3) each."""
    picture = mesh.materials[0].base_color_map[..., :3] / 255
    column, row = np.floor(mesh.corner_uv.mean(1) * (256, -256) + (0, 256)).astype(int).T
    inside = (mesh.vertices - mesh.vertices.min(0)) / np.ptp(mesh.vertices, axis=0)
    return inside[mesh.faces].mean(1), srgb_decode(picture[row, column].astype(np.float32))


def test_generated_coordinates_are_those_before_a_bend(box):
    box.modifiers.new("Cuts", "SUBSURF").subdivision_type = "SIMPLE"
    straight, plain = sample_middles(read_away(box)[0])
    taper = box.modifiers.new("Taper", "SIMPLE_DEFORM")
    taper.deform_method, taper.deform_axis, taper.factor = "TAPER", "Z", 1.5
    bent, color = sample_middles(read_away(box)[0])
    assert np.abs(plain - straight).max() < 0.05 and np.abs(bent - straight).max() > 0.2
    assert np.abs(color - straight).max() < 0.05


def test_eight_uv_maps_leave_room_for_what_is_baked(box):
    while box.data.uv_layers.new() is not None:
        pass
    assert len(box.data.uv_layers) == 8
    baked, notes = read_away(box)
    assert not notes and np.ptp(baked.materials[0].base_color_map[..., :3].reshape(-1, 3), 0).min() > 200
    tree = box.data.materials[0].node_tree
    for layer in box.data.uv_layers:
        tree.nodes.new("ShaderNodeUVMap").uv_map = layer.name
    with pytest.raises(errors.NearError, match="room"):
        read_away(box)


def test_a_large_mesh_is_read_by_the_second_blender(box):
    """The same asset, where the artist does not wait for it."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    assert not geometry.is_large(box, depsgraph)
    box.modifiers.new("Cuts", "SUBSURF").render_levels = 8
    box.modifiers[0].subdivision_type = "SIMPLE"
    assert geometry.is_large(box, bpy.context.evaluated_depsgraph_get())
    box.modifiers[0].render_levels = 2
    plain = geometry.read_mesh(box, bpy.context.scene)
    for side, notes in ((256, []), (0, plain.notes)):
        mesh, said = read_away(box, side)
        assert np.array_equal(mesh.faces, plain.mesh.faces) and said == notes
        assert np.allclose(mesh.vertices, plain.mesh.vertices, atol=1e-6)

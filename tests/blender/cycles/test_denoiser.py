"""What guides the denoiser of ordinary things."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.client import client
from near_blender.cycles import denoiser
from near_blender.cycles import scene as cycles_scene

SIZE = 64, 48


def make_metal(roughness: float) -> bpy.types.Material:
    material = bpy.data.materials.new("Metal")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Metallic"].default_value, shader.inputs["Roughness"].default_value = 1, roughness
    return material


def choose(albedo: np.ndarray, mirrored: float, clear: bool = False, world: float = 0.0) -> np.ndarray:
    """The albedo that a denoiser sees of a surface whose own is 0.5, of which it mirrors a part, before a World."""
    plain = np.zeros((*albedo.shape, 3), np.float32)
    guides = denoiser.choose_guides(np.repeat(albedo[..., None], 3, 2), plain,
                                    [plain + 0.5 * (1 - mirrored), plain + 0.5 * mirrored, plain, plain + world], plain,
                                    np.full(albedo.shape, clear))
    return guides[0][..., 0]


def test_a_surface_stands_in_for_what_it_mirrors_alone():
    seen = np.random.default_rng(0).random((8, 8), np.float32)
    assert np.allclose(choose(seen, 1.0), 0.5)
    assert np.allclose(choose(seen, 1.0, world=0.2), 0.7), "where it ends, what is behind has an albedo, too"
    assert np.array_equal(choose(seen, 0.2), seen), "what is matt has a texture"
    assert np.array_equal(choose(seen, 1.0, clear=True), seen), "and so has what a mirror shows"


def test_what_is_clear_is_marked_meanwhile():
    smooth, rough = make_metal(0.05), make_metal(0.2)
    smooth.pass_index = rough.pass_index = 7
    marks = denoiser.Marks()
    assert marks.misleads
    for wanted, expected in ((True, (1, 0)), (False, (7, 7))):
        marks.put(wanted)
        assert (smooth.pass_index, rough.pass_index) == expected
    bpy.data.materials.remove(rough)
    make_metal(0.5)
    assert not denoiser.Marks().misleads


def test_normals_are_turned_as_cycles_has_them():
    x, y, z = np.eye(3)
    matrix = np.eye(4)
    matrix[:3, :3] = 2 * np.stack([y, z, x], 1)  # the camera's own axes in the world, twice as large
    assert np.allclose(denoiser.turn(np.float32([[y, z, x]]), matrix), [[(1, 0, 0), (0, 1, 0), (0, 0, -1)]])


def draw(scene: bpy.types.Scene, samples: int, denoise: bool) -> np.ndarray:
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    camera = cycles_scene.describe_camera_object(scene.camera)
    drawn = client.get_cycles().draw(state, camera, SIZE, samples=samples, denoise=denoise).result()
    return drawn["passes"]["Combined"][..., :3]


@pytest.mark.parametrize("roughness, left", [(0.2, 0.3), (1.0, 0.6)])
def test_rough_metal_keeps_no_grain(roughness, left):
    """Below a sky of squares; of the noise of one sample so much is left at most. Cycles' own leaves 0.7 of 0.2."""
    scene = stage.make_stage(*SIZE)
    bpy.ops.mesh.primitive_plane_add(size=40)
    bpy.context.object.data.materials.append(make_metal(roughness))
    tree = scene.world.node_tree
    sky, place = tree.nodes.new("ShaderNodeTexChecker"), tree.nodes.new("ShaderNodeTexCoord")
    sky.inputs["Scale"].default_value = 6
    tree.links.new(place.outputs["Generated"], sky.inputs["Vector"])
    tree.links.new(sky.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    true = draw(scene, 256, False)
    noisy, clean = (np.square(draw(scene, 1, denoise) - true)[24:].mean() ** 0.5 for denoise in (False, True))
    print(noisy, clean, clean / noisy)
    assert clean < left * noisy

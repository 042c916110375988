"""An asset's mesh as Blender's: its colours in the file's working space, its normals as they were."""

from dataclasses import replace

import bpy
import numpy as np
import pytest
import stage

from near_blender import colorspace
from near_blender.asset import baked_mesh, proxy
from near_core import directions
from near_core import mesh as meshes

DYE = 0.8, 0.1, 0.3
# what red, green and blue of Rec.709 are in Rec.2020 and, about, in ACEScg
SPACES = {"Linear Rec.2020": (0.6274, 0.0691, 0.0164, 0.3293, 0.9195, 0.088, 0.0433, 0.0114, 0.8956),
          "ACEScg": (0.6131, 0.0702, 0.0206, 0.3395, 0.9164, 0.1096, 0.0474, 0.0135, 0.8698)}


@pytest.fixture
def square():
    """Two triangles in colours of their own, upright."""
    corners = np.float32([[-0.3, 0, -0.3], [0.3, 0, -0.3], [0.3, 0, 0.3], [-0.3, 0, 0.3]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    colors = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    picture = np.full((2, 2, 4), 255, np.uint8)
    look = meshes.Material(base_color=(*DYE, 1), emission=DYE, base_color_map=picture, emission_map=picture)
    return meshes.Mesh(corners, faces, np.zeros((2, 3, 2), np.float32), None, colors, np.zeros(2, np.int32), (look,))


@pytest.mark.parametrize("space", [colorspace.REC709, *SPACES.values()], ids=["Linear Rec.709", *SPACES])
def test_every_colour_is_in_the_working_space(square, monkeypatch, space):
    monkeypatch.setattr(colorspace, "get_working_space", lambda: space)
    mesh = baked_mesh.make_mesh(square, "Square", "Square")
    colors = np.empty(24, np.float32)
    mesh.color_attributes[baked_mesh.COLOR].data.foreach_get("color", colors)
    wanted = np.concatenate([colorspace.from_rec709(square.corner_color[..., :3]), square.corner_color[..., 3:]], -1)
    assert np.allclose(colors.reshape(2, 3, 4), wanted, atol=1e-6)
    dye, nodes = colorspace.from_rec709(np.float32(DYE)), mesh.materials[0].node_tree.nodes
    factors = [np.array(socket.default_value[:3]) for node in nodes if node.type == "MIX" for socket in node.inputs
               if socket.type == "RGBA" and not socket.is_linked]
    assert any(np.allclose(each, dye) for each in factors), "what the map of the base colour is multiplied with"
    assert any(np.allclose(each, dye / 0.8, atol=1e-6) for each in factors), "and that of what glows"


def read_normals(made: meshes.Mesh) -> np.ndarray:
    mesh = baked_mesh.make_mesh(made, "Roof", "Roof")
    normals = np.empty(18, np.float32)
    mesh.corner_normals.foreach_get("vector", normals)
    return normals.reshape(2, 3, 3)


@pytest.mark.parametrize("kind", ["of faces", "of vertices", "of corners"])
def test_normals_are_the_meshs(square, kind):
    """Of a roof, which is flat where nothing says otherwise."""
    roof = replace(square, vertices=square.vertices + np.float32([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0.5, 0]]))
    sides = roof.vertices[roof.faces]
    wanted = np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0])[:, None].repeat(3, 1)
    if kind != "of faces":
        turned = directions.unit(wanted) + np.random.default_rng(0).normal(0, 0.3, wanted.shape)
        wanted = turned if kind == "of corners" else turned.reshape(6, 3)[[0, 1, 2, 5]][roof.faces]
    wanted = directions.unit(wanted).astype(np.float32)
    made = read_normals(roof if kind == "of faces" else replace(roof, corner_normal=wanted))
    assert np.allclose(made, wanted, atol=2e-3)


def test_it_stands_where_a_sheared_asset_does(square, ball):
    source, parent = stage.add_asset(ball), bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale, source.parent, source.rotation_euler = (2, 1, 1), parent, (0, 0.7, 0.2)
    bpy.context.view_layer.update()
    made = baked_mesh.build(bpy.context, square, source)
    bpy.context.view_layer.update()
    matrix = proxy.compute_asset_matrix(source, np.array(source.matrix_world))
    wanted = square.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.allclose([made.matrix_world @ vertex.co for vertex in made.data.vertices], wanted, atol=1e-5)

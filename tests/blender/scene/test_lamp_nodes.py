"""What nodes make of lamps, in real Cycles."""

import bpy
import numpy as np

from near_blender.scene import lamp_nodes
from near_core import directions
from near_core.light import patterns
from near_core.scene import soundness
from tests.blender.scene.test_lamps import add, collect


def wire(ob, kind: str, output: str, **inputs):
    """A node of that kind before the Color or Strength of a lamp."""
    tree = ob.data.node_tree
    node, emission = tree.nodes.new(kind), tree.nodes["Emission"]
    for name, value in inputs.items():
        node.inputs[name].default_value = value
    tree.links.new(node.outputs[output], emission.inputs["Strength" if kind == "ShaderNodeLightFalloff" else "Color"])
    return node


SHIFTS = {"POINT": 0, "SPOT": 1}  # without one, half of a bulb takes light away


def add_by_direction(kind: str):
    """A lamp whose nodes compute its colour from where its light goes."""
    ob = add(kind, energy=10, use_nodes=True)
    ob.rotation_euler, tree = (0.5, 0.2, 1.0), ob.data.node_tree
    if kind == "SPOT":
        ob.data.spot_size = 1.2
    shift, place = tree.nodes.new("ShaderNodeVectorMath"), tree.nodes.new("ShaderNodeTexCoord")
    shift.inputs[1].default_value = [SHIFTS[kind]] * 3
    tree.links.new(place.outputs["Normal"], shift.inputs[0])
    tree.links.new(shift.outputs[0], tree.nodes["Emission"].inputs["Color"])
    return ob


def wait() -> list:
    """Lamps, once what is baked of them is there."""
    for bake in collect().bakes:
        assert bake.wait(60)
    return collect().lamps


def test_falloff_and_its_smoothness_count_as_at_one_metre():
    lamp = add("POINT", energy=10, use_nodes=True)
    wire(lamp, "ShaderNodeLightFalloff", "Linear", Strength=3, Smooth=0.5)
    found, = collect().lamps
    np.testing.assert_allclose(found.color, np.full(3, 20))
    assert (found.falloff, found.smooth, found.pattern) == (1, 0.5, None)


def test_what_nodes_compute_by_direction_is_baked():
    made = {kind: add_by_direction(kind) for kind in ("POINT", "SPOT")}
    assert all(lamp.pattern is None for lamp in collect().lamps)  # not yet
    found = wait()
    assert found[0].pattern is wait()[0].pattern and not lamp_nodes.list_bakes()
    for lamp in found:
        own = np.random.default_rng(2).uniform(-1, 1, (300, 3))
        own = directions.unit(own * (0.4, 0.4, 0) - (0, 0, 1) if lamp.kind == "spot" else own)
        own = own[np.abs(own[:, 1]) < 0.9]
        way = (own @ np.array(made[lamp.kind.upper()].matrix_world)[:3, :3].T).astype(np.float32)
        sent = patterns.look_up(lamp, way) * lamp.color / 10
        np.testing.assert_allclose(sent, SHIFTS[lamp.kind.upper()] + own, atol=0.03)
        assert soundness.is_sound(lamp)


def test_of_too_many_lamps_the_first_have_patterns(monkeypatch):
    """And nobody waits for the others."""
    monkeypatch.setattr(lamp_nodes, "MOST", 1)
    for kind in ("POINT", "SPOT"):
        add_by_direction(kind)
    assert [lamp.pattern is not None for lamp in wait()] == [True, False] and not collect().bakes


def test_an_area_shines_in_pieces_as_an_image_on_its_face():
    ob = add("AREA", energy=9, use_nodes=True, shape="RECTANGLE", size=3, size_y=1.5)
    ob.location, ob.rotation_euler = (1, 0, 0), (0, 0, np.pi)
    image = bpy.data.images.new("Window", 6, 6, float_buffer=True)
    pixels = np.zeros((6, 6, 4), np.float32)
    pixels[4:, :2] = 4, 2, 0, 1  # above, on the left
    image.pixels.foreach_set(pixels.ravel())
    tree = ob.data.node_tree
    place, texture = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeTexImage")
    texture.image, texture.interpolation = image, "Closest"
    tree.links.new(place.outputs["Parametric"], texture.inputs[0])
    tree.links.new(texture.outputs[0], tree.nodes["Emission"].inputs["Color"])
    whole, = collect().lamps
    piece, = wait()
    np.testing.assert_allclose([whole.color, piece.color], [[4, 2, 0]] * 2, rtol=0.02)
    assert piece.size == (1, 0.5) and piece.shape == "RECTANGLE"
    np.testing.assert_allclose(piece.position, (2, -0.5, 0), atol=1e-6)

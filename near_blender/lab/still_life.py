"""A table with a lamp and a few ordinary things, built by code: what the demo puts neural assets among.

x to the right, y away from the camera, z up from the table's top; metres.
"""

import math
from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector

LAMP = Vector((-0.54, 0.16, 0.0))  # where its foot stands
SHADE = Vector((-0.33, 0.04, 0.345))  # the middle of its shade's rim


def build() -> None:
    """Adds everything to the open file's scene: things, lights and the camera."""
    build_table()
    build_wall()
    build_lamp()
    build_books()
    build_glass()
    build_plant()
    build_pencils()
    build_window()
    build_camera()


# --- ingredients


def make_material(name: str, color: tuple[float, ...] = (0.8, 0.8, 0.8), **inputs: float) -> Any:
    """A Principled material; inputs by their names with _ for a space."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    principled = material.node_tree.nodes["Principled BSDF"]
    principled.inputs["Base Color"].default_value = (*color, 1)
    for key, value in inputs.items():
        principled.inputs[key.replace("_", " ").title().replace("Ior", "IOR")].default_value = value
    return material


def add_nodes(material: Any, chain: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Nodes of these types in a row, each first output in the next one's named or first input ("to")."""
    nodes, links = material.node_tree.nodes, material.node_tree.links
    made: list[Any] = []
    for kind, values in chain:
        node = nodes.new(f"ShaderNode{kind}")
        for key, value in values.items():
            if key not in ("to", "out"):
                node.inputs[key].default_value = value
        if made:
            links.new(made[-1].outputs[values.get("out", 0)], node.inputs[values.get("to", 0)])
        made.append(node)
    return made


def add_mesh(name: str, build_into: Any, material: Any, bevel: float = 0.0) -> Any:
    """An object whose mesh the function build_into(bmesh) makes."""
    mesh, shape = bpy.data.meshes.new(name), bmesh.new()
    build_into(shape)
    bmesh.ops.recalc_face_normals(shape, faces=shape.faces)
    shape.to_mesh(mesh)
    shape.free()
    mesh.materials.append(material)
    ob = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(ob)
    if bevel:
        modifier: Any = ob.modifiers.new("Bevel", "BEVEL")
        modifier.width, modifier.segments, modifier.limit_method = bevel, 3, "ANGLE"
    mesh.shade_smooth()
    return ob


def add_box(name: str, size: tuple[float, float, float], middle: Any, material: Any, turn: float = 0.0,
            bevel: float = 0.002) -> Any:
    def build_into(shape: Any) -> None:
        bmesh.ops.create_cube(shape, size=1, matrix=Matrix.Diagonal((*size, 1)))
    ob = add_mesh(name, build_into, material, bevel)
    ob.location, ob.rotation_euler.z = middle, math.radians(turn)
    return ob


def add_lathe(name: str, profile: list[tuple[float, float]], middle: Any, material: Any, steps: int = 64) -> Any:
    """A profile of (radius, height) turned about z."""
    def build_into(shape: Any) -> None:
        rings = [[shape.verts.new((r * math.cos(a), r * math.sin(a), z))
                  for a in np.linspace(0, 2 * math.pi, steps, endpoint=False)] for r, z in profile]
        for low, high in zip(rings, rings[1:]):
            for k in range(steps):
                shape.faces.new((low[k], low[k - 1], high[k - 1], high[k]))
        bmesh.ops.remove_doubles(shape, verts=shape.verts, dist=1e-6)
    ob = add_mesh(name, build_into, material)
    ob.location = middle
    return ob


def add_tube(name: str, points: list[Any], radius: float, material: Any) -> Any:
    """A smooth round tube through points."""
    curve: Any = bpy.data.curves.new(name, "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution, curve.use_fill_caps = "3D", radius, 6, True
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(len(points) - 1)
    for point, place in zip(spline.bezier_points, points):
        point.co, point.handle_left_type, point.handle_right_type = place, "AUTO", "AUTO"
    curve.materials.append(material)
    ob = bpy.data.objects.new(name, curve)
    bpy.context.scene.collection.objects.link(ob)
    return ob


# --- things


def build_table() -> None:
    """Oiled oak boards along x, each with a grain of its own."""
    for number in range(6):
        wood = make_material(f"Oak {number}", roughness=0.38)
        grain = add_nodes(wood, [
            ("TexCoord", {}), ("Mapping", {"Scale": (1.1, 14, 14), "Location": (3.7 * number, 1.9 * number, 0),
                                           "to": "Vector", "out": "Object"}),
            ("TexNoise", {"Scale": 2.2, "Detail": 9, "Roughness": 0.62, "Distortion": 0.9, "to": "Vector"}),
            ("ValToRGB", {"to": "Fac"}), ("BsdfPrincipled", {})])
        ramp, tone = grain[3].color_ramp, (0.86, 1.05, 0.94, 1.1, 0.9, 1.0)[number]
        ramp.elements[0].position, ramp.elements[1].position = 0.34, 0.68
        ramp.elements[0].color = (0.105 * tone, 0.047 * tone, 0.019 * tone, 1)
        ramp.elements[1].color = (0.33 * tone, 0.175 * tone, 0.078 * tone, 1)
        nodes, links = wood.node_tree.nodes, wood.node_tree.links
        principled = nodes["Principled BSDF"]
        nodes.remove(grain[4])
        links.new(grain[3].outputs["Color"], principled.inputs["Base Color"])
        bump = nodes.new("ShaderNodeBump")
        bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = 0.12, 0.002
        links.new(grain[2].outputs[0], bump.inputs["Height"])
        links.new(bump.outputs[0], principled.inputs["Normal"])
        add_box(f"Board {number}", (2.6, 0.178, 0.04), (0, -0.42 + 0.18 * number, -0.02), wood, bevel=0.0025)


def build_wall() -> None:
    plaster = make_material("Plaster", (0.055, 0.115, 0.125), roughness=0.85)
    add_box("Wall", (6, 0.1, 4), (0, 0.80, 0.5), plaster, bevel=0)
    frame, paper = make_material("Frame", (0.03, 0.02, 0.015), roughness=0.3), make_material("Paper", (0.75, 0.7, 0.6))
    add_box("Picture Frame", (0.34, 0.03, 0.42), (0.36, 0.74, 0.42), frame, bevel=0.004)
    add_box("Picture", (0.28, 0.03, 0.36), (0.36, 0.736, 0.42), paper, bevel=0)
    sun, sea = make_material("Sun", (0.75, 0.25, 0.06), roughness=0.9), make_material("Sea", (0.05, 0.16, 0.2))
    add_lathe("Sun", [(0, 0), (0.065, 0)], (0.39, 0.7195, 0.46), sun).rotation_euler.x = math.pi / 2
    add_box("Sea", (0.28, 0.001, 0.15), (0.36, 0.7205, 0.315), sea, bevel=0)


def build_lamp() -> None:
    """A desk lamp of enamelled steel and brass; a small warm lamp shines in its shade."""
    enamel = make_material("Enamel", (0.02, 0.16, 0.10), roughness=0.22, coat_weight=0.5)
    brass = make_material("Brass", (0.82, 0.55, 0.22), metallic=1, roughness=0.24)
    white = make_material("White Enamel", (0.85, 0.83, 0.78), roughness=0.4)
    add_lathe("Lamp Foot", [(0, 0), (0.085, 0), (0.088, 0.008), (0.08, 0.018), (0.02, 0.026), (0.012, 0.04), (0, 0.04)],
              LAMP, enamel)
    top = SHADE + Vector((-0.055, 0.03, 0.115))
    add_tube("Lamp Arm", [LAMP + Vector((0, 0, 0.03)), LAMP + Vector((-0.02, 0.005, 0.26)),
                          LAMP + Vector((0.04, -0.02, 0.46)), top], 0.0075, brass)
    axis = Vector((0.35, -0.12, -1)).normalized()
    turn = axis.to_track_quat("-Z", "Y").to_euler()
    profile = [(0.098, 0), (0.1, 0.002), (0.086, 0.04), (0.052, 0.085), (0.03, 0.1), (0.028, 0.135), (0, 0.137)]
    inside = [(0.098, 0.0), (0.084, 0.039), (0.05, 0.083), (0, 0.098)]
    for name, shape, material in (("Lamp Shade", profile, enamel), ("Lamp Shade Inside", inside, white)):
        add_lathe(name, shape, SHADE, material).rotation_euler = turn
    bulb = make_material("Bulb")
    bulb.node_tree.nodes["Principled BSDF"].inputs["Emission Color"].default_value = (1, 0.72, 0.42, 1)
    bulb.node_tree.nodes["Principled BSDF"].inputs["Emission Strength"].default_value = 18
    glow = add_lathe("Bulb", [(0.024 * math.cos(a), 0.024 * math.sin(a))
                              for a in np.linspace(-math.pi / 2, math.pi / 2, 13)], SHADE - 0.045 * axis, bulb)
    glow.visible_shadow = False
    light: Any = bpy.data.lights.new("Lamp", "POINT")
    light.energy, light.color, light.shadow_soft_size = 10, (1, 0.72, 0.45), 0.024
    ob = bpy.data.objects.new("Lamp", light)
    ob.location = glow.location
    bpy.context.scene.collection.objects.link(ob)


def build_books() -> None:
    page = make_material("Pages", (0.72, 0.65, 0.5), roughness=0.9)
    z = 0.0
    for name, size, color, turn in (("Blue Book", (0.27, 0.19, 0.042), (0.02, 0.06, 0.14), 9),
                                    ("Red Book", (0.235, 0.165, 0.034), (0.30, 0.035, 0.025), -5)):
        cloth = make_material(name, color, roughness=0.65)
        middle = Vector((0.36, 0.13, z + size[2] / 2))
        spin = Matrix.Rotation(math.radians(turn), 3, "Z")
        for side in (-1, 1):
            add_box(f"{name} Cover", (size[0], size[1], 0.004), middle + Vector((0, 0, side * (size[2] / 2 - 0.002))),
                    cloth, turn, 0.0015)
        add_box(f"{name} Spine", (size[0], 0.004, size[2]), middle + spin @ Vector((0, -size[1] / 2, 0)), cloth, turn,
                0.0018)
        add_box(f"{name} Pages", (size[0] - 0.012, size[1] - 0.012, size[2] - 0.008), middle, page, turn, 0)
        gold = make_material(f"{name} Title", (0.8, 0.6, 0.25), metallic=1, roughness=0.35)
        for x, width in ((-0.07, 0.004), (0.0, 0.06), (0.07, 0.004)):
            add_box(f"{name} Title", (width, 0.0006, size[2] * (0.7 if width < 0.01 else 0.25)),
                    middle + spin @ Vector((x, -size[1] / 2 - 0.0021, 0)), gold, turn, 0)
        z += size[2]


def build_glass() -> None:
    """A tumbler with water in it."""
    glass = make_material("Glass", (1, 1, 1), roughness=0.0, ior=1.45, transmission_weight=1)
    water = make_material("Water", (0.93, 0.98, 1), roughness=0.0, ior=1.33, transmission_weight=1)
    place = (0.53, -0.15, 0)
    add_lathe("Glass", [(0, 0), (0.033, 0), (0.036, 0.003), (0.041, 0.118), (0.0405, 0.12), (0.0393, 0.119),
                        (0.034, 0.012), (0.03, 0.009), (0, 0.009)], place, glass, 96)
    add_lathe("Water", [(0, 0.0092), (0.03, 0.0092), (0.0338, 0.0122), (0.0372, 0.078), (0, 0.078)], place, water, 96)


def build_plant() -> None:
    """A small pot with leaves, which reach into the picture from the right."""
    clay = make_material("Clay", (0.42, 0.17, 0.085), roughness=0.8)
    leaf = make_material("Leaf", (0.05, 0.16, 0.035), roughness=0.4, subsurface_weight=0.1)
    place = Vector((0.64, 0.30, 0))
    add_lathe("Pot", [(0, 0), (0.05, 0), (0.066, 0.1), (0.073, 0.1), (0.075, 0.125), (0.066, 0.125), (0.062, 0.105),
                      (0, 0.1)], place, clay)
    random = np.random.default_rng(4)
    for number in range(19):
        turn = number * 2.4 + random.uniform(-0.2, 0.2)
        lean, size = random.uniform(0.25, 1.0), random.uniform(0.16, 0.27)
        add_mesh(f"Leaf {number}", lambda shape, lean=lean, size=size: _leaf(shape, lean, size), leaf).matrix_world = (
            Matrix.Translation(place + Vector((0, 0, 0.1))) @ Matrix.Rotation(turn, 4, "Z"))


def _leaf(shape: Any, lean: float, size: float) -> None:
    """A blade that rises and bends outward along x."""
    rows, out, up = [], 0.0, 0.0
    for t in np.linspace(0, 1, 12):
        angle = lean * (0.35 + 1.3 * t)
        width = 0.021 * math.sin(math.pi * min(1.0, 0.06 + 0.94 * t) ** 0.8) * size / 0.2
        rows.append((out, up, width))
        out, up = out + size / 11 * math.sin(angle), up + size / 11 * math.cos(angle)
    verts = [[shape.verts.new((out, side * width, up + 0.2 * abs(side) * width)) for side in (-1, -0.5, 0, 0.5, 1)]
             for out, up, width in rows]
    for low, high in zip(verts, verts[1:]):
        for k in range(4):
            shape.faces.new((low[k], low[k + 1], high[k + 1], high[k]))


def build_pencils() -> None:
    """A few pencils in a stoneware cup, behind the lamp's foot."""
    stone = make_material("Stoneware", (0.55, 0.5, 0.43), roughness=0.5)
    place = Vector((-0.70, 0.34, 0))
    add_lathe("Cup", [(0, 0), (0.04, 0), (0.045, 0.005), (0.045, 0.11), (0.041, 0.11), (0.04, 0.01), (0, 0.01)], place,
              stone)
    for number, color in enumerate(((0.6, 0.35, 0.02), (0.03, 0.1, 0.3), (0.45, 0.03, 0.02), (0.02, 0.2, 0.1))):
        paint = make_material(f"Pencil {number}", color, roughness=0.35)
        pencil = add_lathe(f"Pencil {number}", [(0, 0), (0.0037, 0), (0.0037, 0.165), (0.001, 0.18), (0, 0.18)],
                           place + 0.012 * Vector((math.cos(number * 2), math.sin(number * 2), 1)), paint, 6)
        pencil.rotation_euler = 0.16 * math.sin(number * 1.9), 0.17 * math.cos(number * 2.3), number


def build_window() -> None:
    """Cool light of the evening, from the right and behind the camera."""
    light: Any = bpy.data.lights.new("Window", "AREA")
    light.energy, light.color, light.shape, light.size, light.size_y = 24, (0.6, 0.76, 1), "RECTANGLE", 0.9, 1.2
    ob = bpy.data.objects.new("Window", light)
    ob.location = (1.7, -0.9, 1.15)
    ob.rotation_euler = (Vector((0, 0.1, 0.1)) - ob.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(ob)


def build_world(name: str, degrees: float, strength: float = 1.0) -> None:
    """A World with one of the HDRIs that ship with Blender, turned about z."""
    world: Any = bpy.data.worlds.new(name)
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    coordinates, mapping = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    texture, background = nodes.new("ShaderNodeTexEnvironment"), nodes.new("ShaderNodeBackground")
    output = nodes.new("ShaderNodeOutputWorld")
    path = Path(bpy.utils.resource_path("LOCAL")) / f"datafiles/studiolights/world/{name}.exr"
    background.inputs["Strength"].default_value = strength
    texture.image = bpy.data.images.load(str(path), check_existing=True)
    mapping.inputs["Rotation"].default_value[2] = math.radians(degrees)
    links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], background.inputs["Color"])
    links.new(background.outputs["Background"], output.inputs["Surface"])


def build_camera() -> None:
    """The table's."""
    add_camera("Table", 50, (0.10, -1.68, 0.53), (0.03, 0.06, 0.168))


def add_camera(name: str, lens: float, place: tuple[float, float, float], target: tuple[float, float, float]) -> None:
    """The scene's camera, at place looking at target, metres. lens: millimetres."""
    data = bpy.data.cameras.new(name)
    data.lens = lens
    ob = bpy.data.objects.new(name, data)
    ob.location = place
    ob.rotation_euler = (Vector(target) - ob.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(ob)
    bpy.context.scene.camera = ob

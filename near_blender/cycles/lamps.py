"""What a lamp's nodes make of its light by direction, as Cycles has it, in the second Blender.

The lamp, without a size, stands in the middle of a white ball; what the ball shows, over what it shows of the same lamp
without nodes, is free of noise. Of an area with images it is its face instead that a camera looks at.
"""

from __future__ import annotations

import math
from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix

from .. import colorspace
from .._core import scene as scenes
from ..client import cycles_loss
from .stage import Drawing, add_object, alone, append, look_around, set_up

SIZES = {"POINT": (512, 256), "SPOT": (256, 256), "AREA": (128, 128)}  # texels of a pattern
_SAMPLES = {"POINT": 16, "SPOT": 16, "AREA": 64}
_FACE = 48  # texels along the face of an area
_BALL = 1.0  # metres: where a Light Falloff changes nothing
_SMALL = 1e-3  # size of an area in it
_FAINT = 1e-3  # of the brightest, below which nothing is known


def bake(request: Any) -> np.ndarray:
    """(H, W, 3) float32 linear Rec.709, factors of a lamp's colour and strength as scene.Lamp.pattern has them.

    request: path of a .blend file, name of the lamp in it, turn (3, 3) of the lamp in the world, frame, painted, and
    surface: whether the face of an area is meant, as lamp_nodes.LampNodes.surface. Raises NearError, Cancelled.
    """
    with alone("Lamp") as scene:
        before = set(bpy.data.images)
        light: Any = append("lights", request)
        cycles_loss.restore_painted(request["painted"], set(bpy.data.images) - before)
        plain: Any = bpy.data.lights.new("Plain", light.type)
        _prepare(scene, light, request)
        for each in (light, plain):
            _make_small(each)
        if light.type == "SPOT":
            plain.spot_size = light.spot_size
        lamp = add_object(scene, light)
        lamp.matrix_world = scene.camera.matrix_world @ Matrix.Scale(_SMALL if light.type == "AREA" else 1, 4)
        if request["surface"]:
            _look_at_face(scene, lamp, (light, plain))
        else:
            _surround(scene)
        made = _draw(scene, request)
        lamp.data = plain
        whole = _draw(scene, request)
    return np.where(whole > _FAINT * whole.max(), made / np.maximum(whole, 1e-9), 0).astype(np.float32)


def _prepare(scene: Any, light: Any, request: Any) -> None:
    """Nothing in the scene but a camera that looks as the lamp does."""
    set_up(scene)
    render, cycles = scene.render, scene.cycles
    scene.frame_set(request["frame"])
    render.resolution_x, render.resolution_y = SIZES[light.type]
    render.resolution_percentage, render.use_persistent_data, render.film_transparent = 100, False, False
    cycles.samples, cycles.use_denoising, cycles.max_bounces, cycles.device = _SAMPLES[light.type], False, 0, "CPU"
    cycles.light_sampling_threshold = cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 1.0
    scene.camera = add_object(scene, bpy.data.cameras.new("Lamp"))
    look_around(scene.camera, np.zeros(3))
    scene.camera.matrix_world = Matrix(np.asarray(request["turn"]).tolist()).to_4x4()
    wide, high = scenes.measure_pattern(light.type.lower(), getattr(light, "spot_size", math.pi))
    panorama = scene.camera.data if hasattr(scene.camera.data, "panorama_type") else scene.camera.data.cycles
    panorama.longitude_min, panorama.longitude_max = -wide / 2, wide / 2
    panorama.latitude_min, panorama.latitude_max = -high / 2, high / 2


def _surround(scene: Any) -> None:
    """Puts a ball around the lamp."""
    mesh, ball = bpy.data.meshes.new("Ball"), bmesh.new()
    bmesh.ops.create_icosphere(ball, subdivisions=6, radius=_BALL)
    ball.to_mesh(mesh)
    ball.free()
    add_object(scene, mesh)


def _look_at_face(scene: Any, lamp: Any, lights: tuple[Any, ...]) -> None:
    """Puts a camera before an area's face, a square of a metre, so that its +X is at the right: mirrored."""
    scene.render.resolution_x = scene.render.resolution_y = _FACE
    camera, turn = scene.camera, lamp.matrix_world.to_3x3().normalized().to_4x4()
    for light in lights:
        light.shape, light.size, light.size_y = "RECTANGLE", 1.0, 1.0
    lamp.matrix_world, lamp.visible_camera = turn, True
    camera.data.type, camera.data.ortho_scale = "ORTHO", 1.0
    camera.matrix_world = turn @ Matrix.Translation((0, 0, -_BALL)) @ Matrix.Rotation(math.pi, 4, "Y")


def _make_small(light: Any) -> None:
    """A lamp of one watt per steradian, white, whose light comes from its middle, with hard edges."""
    light.color, light.energy, light.use_shadow = (1, 1, 1), 4 * math.pi, False
    for name, value in (("use_temperature", False), ("exposure", 0.0), ("normalize", True), ("shadow_soft_size", 0.0),
                        ("spot_blend", 0.0), ("spread", math.pi), ("use_soft_falloff", True)):
        if hasattr(light, name):
            setattr(light, name, value)


def _draw(scene: Any, request: Any) -> np.ndarray:
    drawn = Drawing({}, request.progress).run(scene)
    colors = colorspace.to_rec709(drawn["Combined"][..., :3])
    return colors[:, ::-1] if request["surface"] else colors  # a face is seen from before it

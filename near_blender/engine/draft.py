"""Ordinary objects in Rendered mode: a quick draft by Blender's gpu module, the assets' picture at its depth in it.

The World and the lamps light it simply, without shadows. All of it runs in the main thread with a window's context.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .. import colorspace
from .._core import cache, environment, scene
from ..scene import surfaces
from . import draft_shaders
from .arrival import lay_out, upload

Environment = environment.Environment

_WIDEST = 2048  # pixels of the World behind
_KINDS = {"point": 0.0, "spot": 1.0, "area": 2.0, "sun": 3.0}


@dataclass(frozen=True)
class View:
    """Where a viewport looks from. projection: view -> clip, view: world -> view, (4, 4) float64. size: pixels."""

    projection: np.ndarray
    view: np.ndarray
    size: tuple[int, int]

    @property
    def is_orthographic(self) -> bool:
        return bool(self.projection[3, 3] == 1)


@dataclass(frozen=True)
class Light:
    """What lights a draft. backdrop: the World as the camera sees it, None with a transparent film. exposure: what
    the light that is seen is multiplied by."""

    environment: Environment
    backdrop: Environment | None
    lamps: Sequence[scene.Lamp] = ()
    exposure: float = 1.0


@dataclass(frozen=True)
class AssetsLayer:
    """The picture of the assets as textures: premultiplied colour in the working space, and metres along the view."""

    color: Any
    depth: Any


class Draft:
    """What one viewport draws ordinary objects with."""

    def __init__(self) -> None:
        self._surface = draft_shaders.make_surface_shader()
        self._backdrop = draft_shaders.make_backdrop_shader()
        self._layer = draft_shaders.make_layer_shader()
        corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
        self._quad = _make_batch({"corner": corners}, "TRI_STRIP")
        self._white = upload(np.ones((1, 1, 4), np.float32))
        self._batches: dict[int, tuple[surfaces.Part, Any]] = {}  # by the id of the part, which lives as long
        self._maps: cache.RecentResults[Any] = cache.RecentResults(2)
        self._images: dict[int, Any] = {}  # by session_uid, while it draws
        self._target: Any = None

    def draw(self, shown: surfaces.Surfaces, view: View, light: Light, layer: AssetsLayer | None) -> Any:
        """The picture as a texture: ordinary objects, holdouts as holes, and the layer of the assets; their proxies
        where there is none."""
        import gpu
        types: Any = gpu.types
        state: Any = gpu.state
        self._images = {image.session_uid: image for image in bpy.data.images}
        if self._target is None or (self._target.width, self._target.height) != view.size:
            self._target = types.GPUOffScreen(*view.size, format="RGBA16F")
        frame = types.GPUUniformBuf(types.Buffer("FLOAT", _FLOATS, _pack_frame(view, light)))
        drawn = [(part, Matrix(each.matrix.tolist()), each.is_hole) for each in shown.shown
                 if layer is None or not each.is_asset for part in shown.parts.get(each.name, ())]
        is_solid = lambda part, _, is_hole: is_hole or part.look.opacity >= 1
        with self._target.bind(), _left_plain(state):
            state.active_framebuffer_get().clear(color=(0, 0, 0, 0), depth=1.0)
            state.blend_set("NONE")
            if light.backdrop is not None:
                self._draw_backdrop(frame, light.backdrop)
            state.depth_test_set("LESS_EQUAL")
            state.depth_mask_set(True)
            self._draw_parts(frame, [each for each in drawn if is_solid(*each)])
            state.blend_set("ALPHA_PREMULT")
            if layer is not None:
                self._draw_layer(view, layer)
            state.depth_mask_set(False)
            self._draw_parts(frame, [each for each in drawn if not is_solid(*each)])
        self._forget(shown)
        self._images.clear()
        return self._target.texture_color

    def _draw_backdrop(self, frame: Any, backdrop: Environment) -> None:
        self._backdrop.bind()
        self._backdrop.uniform_block("frame", frame)
        self._backdrop.uniform_sampler("picture", self._maps.get_or(backdrop.hash, lambda: _upload_map(backdrop)))
        self._quad.draw(self._backdrop)

    def _draw_layer(self, view: View, layer: AssetsLayer) -> None:
        p = view.projection
        self._layer.bind()
        self._layer.uniform_sampler("picture", layer.color)
        self._layer.uniform_sampler("depth", layer.depth)
        # an orthographic camera of near_core stands at the near plane
        self._layer.uniform_float("span", (-p[2, 2], -1, 1, 0) if view.is_orthographic else (p[2, 2], p[2, 3], 0, 0))
        self._quad.draw(self._layer)

    def _draw_parts(self, frame: Any, parts: list[tuple[surfaces.Part, Matrix, bool]]) -> None:
        shader = self._surface
        shader.bind()
        shader.uniform_block("frame", frame)
        for part, matrix, is_hole in parts:
            look, texture = part.look, self._find_texture(part.look.image)
            color = colorspace.from_rec709(np.array([look.color, look.emission]))
            shader.uniform_float("model", matrix)
            shader.uniform_float("base_opacity", (*color[0], look.opacity))
            is_textured = texture is not self._white
            shader.uniform_float("look", (look.roughness, look.metallic, float(is_textured), float(is_hole)))
            shader.uniform_float("glow", (*color[1], 0))
            shader.uniform_sampler("picture", texture)
            self._find_batch(part).draw(shader)

    def _find_texture(self, number: int) -> Any:
        import gpu
        image = self._images.get(number)
        try:
            return self._white if image is None else gpu.texture.from_image(image)
        except (RuntimeError, ValueError):
            return self._white  # its file is gone

    def _find_batch(self, part: surfaces.Part) -> Any:
        if id(part) not in self._batches:
            v = part.vertices
            self._batches[id(part)] = part, _make_batch(
                {"position": v[:, :3], "normal": v[:, 3:6], "at": v[:, 6:8], "color": v[:, 8:]}, "TRIS")
        return self._batches[id(part)][1]

    def _forget(self, shown: surfaces.Surfaces) -> None:
        """Drops the batches of what is no longer there."""
        used = {id(part) for parts in shown.parts.values() for part in parts}
        for key in self._batches.keys() - used:
            del self._batches[key]


@contextlib.contextmanager
def _left_plain(state: Any) -> Iterator[None]:
    """Blender's own drawing goes on as it expects to, whatever went wrong meanwhile."""
    try:
        yield
    finally:
        state.depth_mask_set(False)
        state.depth_test_set("NONE")
        state.blend_set("NONE")


def _upload_map(backdrop: Environment) -> Any:
    step = -(-backdrop.map.shape[1] // _WIDEST)
    color = colorspace.from_rec709(backdrop.map[::step, ::step, :3])
    return upload(lay_out(np.concatenate([color, np.ones_like(color[..., :1])], -1)))


def _make_batch(columns: dict[str, np.ndarray], kind: str) -> Any:
    import gpu
    types: Any = gpu.types
    form = types.GPUVertFormat()
    for name, values in columns.items():
        form.attr_add(id=name, comp_type="F32", len=values.shape[1], fetch_mode="FLOAT")
    buffer = types.GPUVertBuf(form, len(next(iter(columns.values()))))
    for name, values in columns.items():
        buffer.attr_fill(name, np.ascontiguousarray(values))
    return types.GPUBatch(type=kind, buf=buffer)


# --- the block of numbers that every shader reads

_FLOATS = 3 * 16 + 4 + 9 * 4 + draft_shaders.LAMPS * 16 + 4


def _pack_frame(view: View, light: Light) -> np.ndarray:
    to_clip, to_map = view.projection @ view.view, np.eye(4)
    to_map[:3, :3] = light.environment.world_to_map
    back = np.linalg.inv(view.view)
    eye = (*(-back[:3, 2]), 0) if view.is_orthographic else (*back[:3, 3], 1)
    lamps = np.zeros((draft_shaders.LAMPS, 16))
    nearest = sorted(light.lamps, key=lambda lamp: -_weigh(lamp, np.array(eye[:3])))[:draft_shaders.LAMPS]
    for row, lamp in zip(lamps, nearest):
        row[:] = _pack_lamp(lamp)
    strength = light.backdrop.strength if light.backdrop is not None else 0
    return np.concatenate([
        *(matrix.T.ravel() for matrix in (to_clip, np.linalg.inv(to_clip), to_map)), eye,
        np.pad(compute_sky(light.environment), ((0, 0), (0, 1))).ravel(), lamps.ravel(),
        (len(nearest), strength * light.exposure, light.exposure, 0)]).astype(np.float32)


def _weigh(lamp: scene.Lamp, place: np.ndarray) -> float:
    """How much a lamp matters: as many as the shader takes are lit."""
    far = 1.0 if lamp.kind == "sun" else max(float(((lamp.position - place) ** 2).sum()), 1e-6)
    return float(np.abs(lamp.color).max()) / far


def _pack_lamp(lamp: scene.Lamp) -> np.ndarray:
    """(16,): position and kind, axis, what arrives a metre away, cosines of a spot's edge."""
    axis = -lamp.matrix[:3, 2] / max(float(np.linalg.norm(lamp.matrix[:3, 2])), 1e-30)
    watts = {"point": 4 * math.pi, "spot": 4 * math.pi, "area": math.pi, "sun": 1.0}[lamp.kind]
    color = colorspace.from_rec709(np.asarray(lamp.color) / watts)
    half = lamp.spot_angle / 2
    return np.array([*lamp.position, _KINDS[lamp.kind], *axis, 0, *color, 0,
                     math.cos(half), math.cos(half * (1 - lamp.blend)) + 1e-4, 0, 0])


_HARMONICS = 0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274
_DIFFUSE = 1, 2 / 3, 2 / 3, 2 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4  # a cosine's share of each, over pi


def compute_sky(sky: Environment) -> np.ndarray:
    """(9, 3): light that a white surface gives back by its direction in the map's frame, as spherical harmonics in the
    order of the shader (Ramamoorthi and Hanrahan 2001)."""
    rows, columns = sky.map.shape[:2]
    step = max(1, rows // 32)
    small = np.asarray(sky.map[:rows // step * step, :columns // step * step, :3], np.float64)
    small = small.reshape(rows // step, step, columns // step, step, 3).mean((1, 3)) * sky.strength
    up = math.pi * (0.5 - (np.arange(len(small)) + 0.5) / len(small))[:, None]
    around = 2 * math.pi * (0.5 - (np.arange(small.shape[1]) + 0.5) / small.shape[1])
    x, y, z = np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up) + 0 * around
    basis = np.array([1 + 0 * z, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y])
    basis *= np.array(_HARMONICS)[:, None, None]
    weight = np.cos(up) * (math.pi / len(small)) * (2 * math.pi / small.shape[1]) + 0 * around
    sums = np.einsum("kij,ij,ijc->kc", basis, weight, small)
    return colorspace.from_rec709(sums * (np.array(_HARMONICS) * np.array(_DIFFUSE))[:, None])

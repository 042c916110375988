"""Small scenes, each of one thing that a picture shows, drawn by near_core alone: a ring of numbers, the keg, and a
cup from a photo."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from near_core import mesh
from near_core.asset import NeuralAsset
from near_core.create.create import create_from_image, create_from_mesh
from near_core.image import srgb_encode
from near_core.render.renderer import Renderer
from near_core.scene import (
    AssetLook,
    Environment,
    Instance,
    Lamp,
    Lens,
    Occluders,
    Settings,
    Shutter,
    camera,
    environment,
)

SIZE = 160, 90
VIEW = camera.orbit(30, 25, 1.5, 50, *SIZE)
NIGHT = environment.uniform((0.05,) * 3)
ASSETS = Path(__file__).resolve().parents[3] / "near_blender" / "assets"


@cache
def renderer() -> Renderer:
    """One for all: how light goes through an asset is worked out once."""
    return Renderer()


@cache
def sky() -> Environment:
    """A bright spot low on one side of a blue dome."""
    rows, columns = np.mgrid[:32, :64]
    sun = np.exp(-((rows - 12) ** 2 + (columns - 20) ** 2) / 6.0)[..., None] * (30, 25, 18)
    return Environment((sun + (0.3, 0.4, 0.6)).astype(np.float32))


@cache
def ring(roughness: float = 0.5, metallic: float = 0.0, glow: float = 0.0) -> NeuralAsset:
    """One that lies on a plate. glow: what both send of red, half as much of green."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 49), np.linspace(0, 2 * np.pi, 25))
    torus = np.stack([(0.7 + 0.25 * np.cos(v)) * np.cos(u), (0.7 + 0.25 * np.cos(v)) * np.sin(u), 0.25 * np.sin(v)], -1)
    corner = np.arange(24 * 49).reshape(24, 49)[:, :48].reshape(-1)
    faces = np.concatenate([corner[:, None] + [0, 1, 50], corner[:, None] + [0, 50, 49]])
    plate = np.float32([[x, y, -0.3] for x in (-1, 1) for y in (-1, 1)])
    points = np.concatenate([torus.reshape(-1, 3), plate]).astype(np.float32)
    faces = np.concatenate([faces, len(points) - 4 + np.int32([[0, 2, 3], [0, 3, 1]])]).astype(np.int32)
    material = mesh.Material(base_color=(0.7, 0.3, 0.15, 1), roughness=roughness, metallic=metallic,
                             emission=(glow, glow / 2, 0))
    return create_from_mesh(mesh.Mesh(points, faces, materials=(material,)), name="Ring", normalize=True)


@cache
def keg() -> NeuralAsset:
    """The sample that comes with the extension: textured, so that it has a skin."""
    return create_from_mesh(mesh.load(ASSETS / "keg.glb"), name="Keg", normalize=True)


@cache
def cup() -> NeuralAsset:
    """What becomes of one photo: networks say it, and its skin is painted."""
    return create_from_image([ASSETS / "coffee.jpg"], name="Cup")


def place(x: float = 0, y: float = 0, z: float = 0, scale: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """(4, 4): scaled, turned about Z by degrees, moved."""
    c, s = math.cos(math.radians(turn)) * scale, math.sin(math.radians(turn)) * scale
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, scale, z], [0, 0, 0, 1.0]])


def lamp(kind: str, power: float, **options) -> Lamp:
    """One that shines down from above and in front."""
    matrix = np.eye(4)
    a = math.radians(40)
    matrix[:3, :3] = [[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]]
    matrix[:3, 3] = 0, -1.2, 1.4
    return Lamp(kind, matrix, np.full(3, power), **options)


def draw(instances=None, view=VIEW, light=None, settings=Settings(), show: str = "Combined", **options) -> np.ndarray:
    """(H, W, 4) uint8 of a pass."""
    instances = instances or [Instance(ring(), place())]
    picture = renderer().render(instances, view, light or sky(), settings, **options)[show]
    if show == "Combined":
        return encode(picture)
    values = np.broadcast_to(0.5 * picture + 0.5 if show == "Normal" else picture, (*picture.shape[:2], 3))
    return np.dstack([np.round(np.clip(values, 0, 1) * 255), np.full(picture.shape[:2], 255)]).astype(np.uint8)


def encode(picture: np.ndarray) -> np.ndarray:
    """(H, W, 4) premultiplied linear as uint8: sRGB with straight alpha, as a PNG has it."""
    color, alpha = picture[..., :3], np.clip(picture[..., 3:], 0, 1)
    straight = srgb_encode(np.clip(color / np.maximum(alpha, 1e-6) * (alpha > 0), 0, 1))
    return np.round(np.dstack([straight, alpha]) * 255).astype(np.uint8)


def draw_keg(distance: float = 1.8, **options) -> np.ndarray:
    """The keg from a little above."""
    return draw([Instance(keg(), place())], camera.orbit(30, 20, distance, 50, *SIZE), **options)


def draw_moving() -> np.ndarray:
    """The ring goes to the right while the shutter is open."""
    matrices = np.stack([[place(x)] for x in (-0.2, 0.2)])
    return draw(shutter=Shutter((VIEW, VIEW), matrices))


def draw_behind_a_wall() -> np.ndarray:
    """Half of the ring lies in the shadow of an ordinary wall."""
    wall = Occluders(np.float32([[-2, -0.9, 0.8], [0, -0.9, 0.8], [0, 1, 0.8], [-2, 1, 0.8]]),
                     np.int32([[0, 1, 2], [0, 2, 3]]))
    return draw(lamps=[lamp("sun", 3.0, angle=0.05)], occluders=wall)


def draw_window() -> np.ndarray:
    """A spot through a window's cross, whose light falls with the distance alone."""
    panes = np.ones((16, 16, 3), np.float32)
    panes[7:9] = panes[:, 7:9] = 0
    return draw(light=NIGHT, lamps=[lamp("spot", 100.0, radius=0.02, pattern=panes, falloff=1.0)])


def draw_gathering() -> np.ndarray:
    """Kegs and rings, scaled, turned, side by side."""
    return draw([Instance((ring(), keg())[(x + y) % 2], place(0.5 * x, 0.5 * y, scale=0.45, turn=40 * x + 20 * y))
                 for x in (-1, 0, 1) for y in (-1, 0, 1)])


SCENES: dict[str, Callable[[], np.ndarray]] = {
    "plain": draw,
    "uniform": lambda: draw(light=environment.uniform((0.8, 0.8, 0.8))),
    "turned_light": lambda: draw(light=sky().turn(environment.turn_z(120), 2.0)),
    "background": lambda: draw(settings=Settings(background=True)),
    "draft": lambda: draw(settings=Settings(quality="draft")),
    "transport": lambda: draw(settings=Settings(shading="transport")),
    "split_sum": lambda: draw(settings=Settings(shading="split-sum")),
    "metal": lambda: draw([Instance(ring(0.15, 1.0), place())]),
    "rough": lambda: draw([Instance(ring(1.0), place())]),
    "orthographic": lambda: draw(view=camera.from_json({**camera.to_json(VIEW), "type": "ORTHO", "ortho_scale": 1.4})),
    "close": lambda: draw(view=camera.orbit(20, 30, 0.7, 50, *SIZE)),
    "keg": draw_keg,
    "keg_close": lambda: draw_keg(0.9),
    "keg_sun": lambda: draw_keg(light=NIGHT, lamps=[lamp("sun", 3.0, angle=0.01)]),
    "photo": lambda: draw([Instance(cup(), place())], camera.orbit(20, 30, 1.6, 50, *SIZE)),
    "gathering": draw_gathering,
    "look": lambda: draw([Instance(ring(), place(), look=AssetLook(tint=(0.3, 1, 0.6), hue=0.2, opacity=0.7))]),
    "point": lambda: draw(light=NIGHT, lamps=[lamp("point", 80.0, radius=0.05)]),
    "spot": lambda: draw(light=NIGHT, lamps=[lamp("spot", 200.0, radius=0.02)]),
    "window": draw_window,
    "glow": lambda: draw([Instance(ring(0.3, 0.0, 0.4), place())], light=NIGHT),
    "area": lambda: draw(light=NIGHT, lamps=[lamp("area", 60.0, size=(0.8, 0.3))]),
    "wall": draw_behind_a_wall,
    "moving": draw_moving,
    "lens": lambda: draw(lens=Lens(0.05, 1.8)),
    "normals": lambda: draw(show="Normal"),
}

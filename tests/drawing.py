"""A small scene of random numbers that uses most kernels, which tests share."""

from dataclasses import replace

import numpy as np

from near_core.asset import NeuralAsset, Skin, SkinMaterial
from near_core.asset.deformation import Body, Deformation
from near_core.render.renderer import Renderer
from near_core.scene import (
    INSTANCES,
    PASSES,
    AssetLook,
    Environment,
    Instance,
    Lamp,
    Lens,
    Occluders,
    Probe,
    Settings,
    Shutter,
    camera,
)
from tests.random_assets import some_surfels
from tests.surfaces import dress

WAYS = ("plain", "lamps", "around", "blurred", "crowd", "draft", "bent", "flat", "far", "close")


def move(x: float, y: float, z: float, size: float = 1.0) -> np.ndarray:
    matrix = np.diag([size, size, size, 1.0])
    matrix[:3, 3] = x, y, z
    return matrix


def make_drawing():
    """A function that draws, on so many threads, two assets, one with a skin, under a map and a lamp: plainly or in
    another of WAYS, each of which uses what the others leave out."""
    surfels, rng = some_surfels(4000), np.random.default_rng(0)
    coords = dress(surfels).coords
    corner = rng.uniform(-0.4, 0.4, (90, 3)).astype(np.float32)
    skin = Skin(corner, None, rng.random((90, 2), np.float32), None, np.arange(90, dtype=np.int32).reshape(30, 3),
                np.zeros(30, np.int32), (SkinMaterial((.7, .5, .3, 1), .3, .5, 1, ("repeat",) * 2, (-1,) * 4),), ())
    make = lambda **options: NeuralAsset(coords, rng.random((len(coords), 8)).astype(np.float16),
                                         np.zeros((len(coords), 0), np.float16), surfels, **options)
    bare, skinned = Instance(make(), np.eye(4)), Instance(make(skin=skin), np.eye(4) + 0.3 * np.eye(4, k=3))
    placed, view = [bare, skinned], camera.orbit(30, 20, 2, 40, 96, 64)
    light = Environment(rng.gamma(0.3, 2, (32, 64, 3)).astype(np.float32))
    lamp = Lamp("point", move(2, 0, 0), np.full(3, 50.0), radius=0.1)
    lamps = [lamp, Lamp("sun", np.eye(4), np.full(3, 2.0), angle=0.1), Lamp("spot", move(0, 0, 2), np.full(3, 90.0)),
             Lamp("area", move(0, 0.4, 2), np.full(3, 30.0), size=(0.6, 0.3), shape="ELLIPSE", spread=2.0)]
    walls = Occluders(rng.uniform(-1, 1, (60, 3)).astype(np.float32) + np.float32([0, 0, 1]),
                      np.arange(60, dtype=np.int32).reshape(20, 3))
    probe = Probe(rng.random((32, 64, 4), np.float32), rng.uniform(0.6, 9, (32, 64)).astype(np.float32), np.zeros(3),
                  rng.random((32, 64), np.float32))
    ends = [np.stack([move(0, 0, -0.1 * end), move(0.3, 0.1 * end, 0)]) for end in (0, 1)]
    shutter = Shutter([view, camera.orbit(33, 20, 2, 40, 96, 64)], np.stack(ends), (0.5, 1.0))
    rest = rng.uniform(-0.45, 0.45, (400, 3)).astype(np.float32)
    bent = Body(skinned.asset, surfels).deform(Deformation(rest, (rest * [1, 1, 0.8] + 0.1 * rest[:, ::-1] ** 2)))
    many = [replace(placed[number % 2], matrix=move(*rng.uniform(-1, 1, 3), 0.3), unlit_by=frozenset([number % 3]),
                    look=AssetLook(tint=(1, 0.5, 0.5), hue=0.1 * number, opacity=1 - 0.1 * (number % 5)))
            for number in range(12)]
    flat = replace(view, orthographic=True, intrinsics=np.diag([40.0, 40, 1]) + [[0, 0, 48], [0, 0, 32], [0, 0, 0]])
    away = move(20_000, -9000, 100)
    afar = replace(view, world_to_camera=view.world_to_camera @ np.linalg.inv(away))
    ways = {
        "plain": {}, "lamps": {"lamps": lamps, "occluders": walls},
        "around": {"instances": [replace(each, probe=probe) for each in placed]},
        "blurred": {"shutter": shutter, "lens": Lens(0.05, 1.5, 5, 0.3, 1.5)},
        "crowd": {"instances": many, "lamps": lamps},
        "draft": {"settings": Settings("draft", background=True)},
        "bent": {"instances": [bare, replace(skinned, asset=bent)]},
        "flat": {"camera": flat, "settings": Settings(shading="transport", passes=(*PASSES, INSTANCES))},
        "far": {"camera": afar, "instances": [replace(each, matrix=away @ each.matrix) for each in placed],
                "lamps": [replace(each, matrix=away @ each.matrix) for each in lamps]},
        "close": {"camera": camera.orbit(30, 20, 0.9, 40, 96, 64), "occluders": walls}}

    def draw(threads: int, way: str = "plain") -> dict[str, np.ndarray]:
        given = {"instances": placed, "camera": view, "environment": light, "lamps": [lamp], "settings": Settings()}
        given |= ways[way]
        return Renderer().render(**given | {"settings": replace(given["settings"], threads=threads)})
    return draw

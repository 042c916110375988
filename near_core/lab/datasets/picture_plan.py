"""Which pictures of an object are rendered: its cameras and lights, drawn at random or as the evaluation asks."""

from __future__ import annotations

import argparse
import math
import random

from ...errors import NearError


def plan_pictures(args: argparse.Namespace, asset: str, hdris: list[str]) -> list[dict]:
    """The pictures of one object; they depend on the seed and the object's name alone, so shards and repeats agree.

    args: the options of render-dataset. hdris: file names of the maps. Returns a dict a picture, with the keys of its
    view file (docs/datasets.md) and how its camera is placed. Raises NearError where there are too few maps.
    """
    chance = random.Random(f"{args.seed} {asset}")
    return _plan_evaluation(chance, hdris) if args.layout == "evaluation" else _plan_training(args, chance, hdris)


def _plan_training(args: argparse.Namespace, chance: random.Random, hdris: list[str]) -> list[dict]:
    pictures: list[dict] = []
    for view in range(args.views):
        role = "front" if view == 0 else "close" if view % 4 == 3 else "orbit"
        camera = _draw_camera(chance, role)
        maps = chance.sample(hdris, min(args.lights, len(hdris)))
        lights = [(name, round(chance.uniform(0, 360), 3)) for name in maps] + [(None, 0.0)] * args.uniform_light
        for light, (name, rotation) in enumerate(lights):
            gbuffer = args.gbuffer and light == 0
            pictures.append(_describe(len(pictures), view, light, role, camera, name, rotation, gbuffer))
    return pictures


def _plan_evaluation(chance: random.Random, hdris: list[str]) -> list[dict]:
    if len(hdris) < 4:
        raise NearError("An evaluation set needs four maps.", "Add .hdr files to the folder.")
    a, b, c, d = chance.sample(hdris, 4)
    turns = [round(chance.uniform(0, 360), 3) for _ in range(4)]
    front = _draw_orbit(chance, (-60, 60), (5, 30), 1.0, 40.0)
    others = [_draw_orbit(chance, (-180, 180), (-10, 55), 1.0, 40.0) for _ in range(3)]
    plan = [("input", 0, front, a, turns[0]), ("relight", 0, front, b, turns[1]), ("novel", 1, others[0], b, turns[1]),
            ("novel", 2, others[1], c, turns[2]), ("novel", 3, others[2], d, turns[3]),
            ("homogenised", 0, front, None, 0.0)]
    return [_describe(n, view, 0, role, camera, name, turn, n == 0)
            for n, (role, view, camera, name, turn) in enumerate(plan)]


def _describe(n, view, light, role, camera, hdri, rotation, gbuffer) -> dict:
    return {"n": n, "view": view, "light": light, "role": role, "camera": camera, "hdri": hdri,
            "uniform": 1.0 if hdri is None else None, "hdri_rotation_deg": rotation, "world_strength": 1.0,
            "gbuffer": gbuffer}


def _draw_camera(chance: random.Random, role: str) -> dict:
    """A camera at random: half of them at 40 degrees, the others from 10 to 90 on a logarithmic scale."""
    fov = 40.0 if chance.random() < 0.5 else math.exp(chance.uniform(math.log(10), math.log(90)))
    if role == "front":
        return _draw_orbit(chance, (-60, 60), (5, 30), chance.uniform(1.0, 1.2), 40.0)
    if role == "orbit":
        return _draw_orbit(chance, (-180, 180), (-20, 70), chance.uniform(1.0, 1.6), fov)
    close = _draw_orbit(chance, (-180, 180), (-20, 60), 1.0, min(fov, 60.0))
    width = chance.uniform(0.35, 0.9)  # what the picture shows across, in radii of the bounding sphere
    return close | {"kind": "close", "distance": width / (2 * math.tan(math.radians(close["fov"]) / 2))}


def _draw_orbit(chance: random.Random, azimuth: tuple, elevation: tuple, distance: float, fov: float) -> dict:
    low, high = (math.sin(math.radians(e)) for e in elevation)  # even over the sphere
    return {"kind": "orbit", "azimuth": chance.uniform(*azimuth), "distance": distance, "fov": fov,
            "elevation": math.degrees(math.asin(chance.uniform(low, high))), "seed": chance.randrange(2**31)}

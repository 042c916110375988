"""Where a picture's time goes: on one thread, so that the phases add up to the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from kernels.lab import splat_floor

from ..._kernels import smooth, specular, splat, triangles
from ...create import create
from ...light import arrival, lamplight, points, principled, terms, transport
from ...models.mini import runtime
from ...render import passes, pieces, skin, splatting, strips
from ...render.renderer import Renderer
from ...scene import Instance, Settings
from ...scene.environment import turn_z
from .config import SIZES, BenchConfig
from .inputs import make_crowd, make_crowd_view, make_light, make_meshes, make_view
from .racers import RacingBlender, list_subjects
from .timing import divide, time_call

# phase -> where it is worked out
PLACES: dict[str, list[tuple[Any, str]]] = {
    "transport": [(transport, "prepare_transport"), (transport, "prepare_light"), (transport, "illuminate_all"),
                  (lamplight, "illuminate"), (points, "tell"), (points, "meet")],
    "reflections": [(specular, "trace_specular"), (specular, "reflect"), (points, "mirror_asset"),
                    (smooth, "smooth")],
    "lighting decoder": [(runtime.NearMini, "run"), (terms, "gather_decoder_inputs")],
    "shading": [(terms, "shade"), (principled, "evaluate"), (arrival, "light_points"), (arrival, "shade_points"),
                (pieces, "describe_points")],
    "projection": [(splatting, "place_all"), (splatting, "face_all"), (splatting, "select"), (splatting, "project")],
    "rasterizing": [(splat, "rasterize"), (splat, "sum_contributions"), (triangles, "cover"),
                    (triangles, "find_points"), (triangles, "resolve"), (skin.PreparedSkin, "find_feet"),
                    (strips, "draw_samples")],
    "passes": [(passes, "develop"), (passes, "shrink"), (passes, "pack")]}
# sorting is a part of the kernels that draw Gaussians: done once more to be known
PHASES = ("transport", "reflections", "lighting decoder", "shading", "projection", "sorting", "rasterizing", "passes",
          "other")
# how many surfels a picture shades, about -> which keg, how many of it, the picture's size
CASES = {"10k": ("small", 1, "512"), "20k": ("large", 1, "512"), "200k": ("large", 9, "1080p")}
# what is drawn, in which quality -> without its skin, or with it
KINDS = {"final": ("final", False), "draft": ("draft", False), "skin": ("final", True)}
IN_BLENDER = ("512", "1080p", "4k")


def measure(config: BenchConfig) -> Iterator[tuple[str, dict]]:
    """A row for pictures inside of Blender; then for every case, kind and change since the picture before."""
    with RacingBlender("near") as racer:
        racer.open(list_subjects(None, 1, config.cache)[0], config.cache)
        for name in IN_BLENDER[:1 if config.quick else 3]:
            drawn = [racer.draw(SIZES[name], 1, "") for _ in range(1 + config.repeat(5))][1:]
            yield f"{name} in Blender", {key: median(each[key] for each in drawn) for key in ("seconds", "copying")}
    made = {name: create.create_from_mesh(shape, name=name) for name, shape in make_meshes().items()}
    for case, (name, count, size) in list(CASES.items())[:1 if config.quick else 3]:
        for kind, (quality, skinned) in KINDS.items():
            neural = made[name] if skinned else replace(made[name], skin=None)
            crowd = [Instance(neural, np.eye(4))] if count == 1 else make_crowd([neural], count)
            for change in ("camera", "light"):
                yield f"{case} {kind}, {change}", _measure_case(crowd, SIZES[size], quality, change, config)


def _measure_case(crowd: list[Instance], size: tuple[int, int], quality: str, change: str, config: BenchConfig) -> dict:
    """Medians of processor seconds by phase, of the whole, and of that without the lighting decoder, in turns."""
    renderer, light = Renderer(), make_light(0)

    def draw(number: int, shading: str = "auto") -> None:
        moved, turned = (number, 0) if change == "camera" else (0, number)
        view = make_view(moved, size) if len(crowd) == 1 else make_crowd_view(moved, len(crowd), size)
        renderer.render(crowd, view, light.turn(turn_z(5 * turned), 1.0), Settings(quality, shading, threads=1))

    draw(0)
    rows, plain = [], []
    for number in range(1, 1 + config.repeat(5)):
        with divide(PLACES) as spent, note_pictures() as pictures:
            whole = time_call(draw, number, time.process_time)
        sorting = sum(time_call(lambda n: splat_floor.sort(*each[:3], samples=each[3], threads=1),  # noqa: B023
                                clock=time.process_time) for each in pictures)
        spent["sorting"], spent["rasterizing"] = sorting, spent["rasterizing"] - sorting
        rows.append([*(spent[name] for name in PHASES[:-1]), whole - sum(spent.values()), whole])
        plain.append(time_call(lambda n: draw(n + 1000, "transport"), number, time.process_time))
    found = dict(zip((*PHASES, "seconds"), np.median(rows, 0).tolist()))
    return {"size": size} | found | {"without_decoder": median(plain)}


@contextmanager
def note_pictures() -> Iterator[list[tuple[splat.Projection, int, int, int]]]:
    """Gives a list that fills with what is sorted meanwhile: projection, width, height, samples."""
    noted, rasterize, weigh = [], splat.rasterize, splat.sum_contributions

    def rasterized(projection: splat.Projection, features: np.ndarray, width: int, height: int, **options: Any) -> Any:
        noted.append((projection, width, height, options.get("samples", 1)))
        return rasterize(projection, features, width, height, **options)

    def weighed(projection: splat.Projection, width: int, height: int, **options: Any) -> Any:
        noted.append((projection, width, height, 1))
        return weigh(projection, width, height, **options)

    splat.rasterize, splat.sum_contributions = rasterized, weighed
    try:
        yield noted
    finally:
        splat.rasterize, splat.sum_contributions = rasterize, weigh

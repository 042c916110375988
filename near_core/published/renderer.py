"""Pictures and assets with the published checkpoints, as render.renderer and create.create make them with near-mini."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from ..asset import NeuralAsset
from ..cache import RecentResults
from ..directions import polar_rotation, unit
from ..errors import Message, NearError
from ..models.near.conditioning import MAP_COLUMNS, MAP_ROWS
from ..models.near.frame import LitAsset
from ..models.near.memory import Shortage
from ..models.near.pipeline import TOKEN_STEP, Pipeline
from ..progress import Progress, part, silent
from ..render.composite import put_behind
from ..scene import Camera, Environment, Instance, Settings
from .create import create_from_image

# Degrees added to the published rotation. 0 puts the raster's centre on the asset's +Y as the published code's formulas
# read; it can be confirmed only with the official weights (four azimuths of a map with one sun).
ROTATION_OFFSET = 0.0
ALL_THREADS = torch.get_num_threads()
TILT = 1e-4  # radians between the asset's and the map's vertical up to which the map is only turned


class PublishedRenderer:
    """Draws pictures and keeps what the next one can use: keys and values per map and rotation, features per asset."""

    def __init__(self, folder: str | Path, device: str = "auto", precision: str = "auto",
                 companions: Sequence[str | Path] = ()):
        """folder: a checkpoint; the rest as in pipeline.Pipeline."""
        self.notes: list[str] = []
        self._chosen = folder, precision, companions
        self._may_move = device == "auto"
        self._start(device)

    def _start(self, device: str) -> None:
        folder, precision, companions = self._chosen
        self.pipeline = Pipeline(folder, device, precision, companions)
        self._decoded, self._memories = RecentResults(8), RecentResults(4)

    def render(self, instances: list[Instance], camera: Camera, environment: Environment,
               settings: Settings = Settings(), progress: Progress = silent) -> dict[str, np.ndarray]:
        """One picture; arguments, passes and errors as in render.renderer.Renderer.render. Confidence is 1 wherever
        something is. Where the device was left open and a graphics processor has too little memory, the processor
        computes it.
        """
        picture = self._compute(lambda report: self._draw(instances, camera, environment, settings, report), progress)
        self.notes += [Message("{name} was made with another published checkpoint than the one that draws it, so it "
                               "may look different.", name=name) for name in self._find_strangers(instances)]
        return picture

    def create_from_image(self, photos: list, progress: Progress = silent, **options: Any) -> NeuralAsset:
        """An asset with this checkpoint's latent; arguments and errors as in published.create.create_from_image."""
        return self._compute(lambda report: create_from_image(
            photos, pipeline=self.pipeline, progress=report, **options), progress)

    def _find_strangers(self, instances: list[Instance]) -> list[str]:
        """Assets that say they were made with another checkpoint, each once. Imported latents say nothing."""
        return list(dict.fromkeys(each.asset.name for each in instances
                                  if each.asset.model_hash and each.asset.model_hash != self.pipeline.digest))

    def _compute(self, work: Callable[[Progress], Any], progress: Progress) -> Any:
        """What work(progress) returns, on the processor where memory runs out and the device was left open."""
        self.notes = []
        try:
            with interruptible(progress) as report:
                return work(report)
        except (Shortage, MemoryError, RuntimeError) as error:
            if type(error) is RuntimeError and "allocate" not in str(error):
                raise
            device = self.pipeline.device.type
            self.pipeline.unload()
            if device != "cpu" and self._may_move:
                self._start("cpu")
                made = self._compute(work, progress)
                self.notes = [Message("The GPU has too little memory, so the published model runs on the processor.")]
                return made
            if isinstance(error, NearError):
                raise
            if isinstance(error, MemoryError):
                raise NearError("The Gaussians do not fit into memory.",
                                "Choose a smaller picture or a camera farther away.") from error
            raise NearError("The memory of {device} ran out while the published model was at work.",
                            "Close other programs, choose half precision or another device.", device=device) from error

    def _draw(self, instances: list[Instance], camera: Camera, environment: Environment, settings: Settings,
              progress: Progress) -> dict[str, np.ndarray]:
        torch.set_num_threads(settings.threads or ALL_THREADS)
        seen = [each for each in instances if abs(np.linalg.det(np.asarray(each.matrix)[:3, :3])) > 1e-18]
        lit = []
        for number, instance in enumerate(seen):
            progress("Asset", 0.8 * number / len(seen))
            lit.append(self._light_asset(instance, environment, part(
                progress, 0.8 * number / len(seen), 0.8 * (number + 1) / len(seen))))
        progress("Shading", 0.8)
        sky = environment.look_up(camera.pixel_directions()) if settings.background else None
        if lit:
            picture = _develop(self.pipeline.frame(lit, camera).maps, environment.strength, sky)
        else:
            picture = _develop(_make_empty(camera.height, camera.width), 1.0, sky)
        progress("Done", 1.0)
        return {name: picture[name] for name in settings.passes}

    def _light_asset(self, instance: Instance, environment: Environment, progress: Progress) -> LitAsset:
        asset = instance.asset
        if asset.model != "near":
            raise NearError("{name} has no latent of the published model.",
                            "Create it again with the published checkpoint, or render it with the embedded model.",
                            name=asset.name)
        decoded = self._decoded.get_or(asset.hash, lambda: self.pipeline.decode(asset.coords, asset.slat))
        progress("Light", 0.5)
        asset_to_map = environment.world_to_map @ polar_rotation(np.asarray(instance.matrix, np.float64))
        radiance, degrees, key = match_light(environment, asset_to_map)
        # the register tokens are the same for every asset, so that what the network keeps of them and the light is too
        memory = self._memories.get_or(
            key, lambda: self.pipeline.memorize(decoded, self.pipeline.tokens(radiance(), degrees)))
        return LitAsset(decoded, memory, instance.matrix)


@contextmanager
def interruptible(progress: Progress) -> Iterator[Progress]:
    """Gives a progress to report to; meanwhile every layer of every network asks first whether to go on."""
    last = "Networks", 0.0

    def report(phase: str, fraction: float) -> None:
        nonlocal last
        last = phase, fraction
        progress(phase, fraction)

    handle = register_module_forward_pre_hook(lambda module, inputs: progress(*last))
    try:
        yield report
    finally:
        handle.remove()


def match_light(environment: Environment, asset_to_map: np.ndarray):
    """What the tokenizer gets for an asset. asset_to_map: (3, 3) rotation or reflection.

    A map that stands upright over the asset is only turned; for a tilted or mirrored asset it is resampled into the
    asset's frame. Returns a function that gives the radiance (H, W, 3) at strength 1, the published rotation in
    degrees, and a key that is equal where the tokens are.
    """
    upright = math.acos(min(1.0, asset_to_map[2, 2])) < TILT and np.linalg.det(asset_to_map) > 0
    if upright:
        turned = math.degrees(math.atan2(asset_to_map[1, 0], asset_to_map[0, 0]))
        degrees = round((ROTATION_OFFSET - turned) % 360 / TOKEN_STEP) * TOKEN_STEP
        return lambda: environment.map, degrees, (environment.hash, degrees)
    resampled = Environment(environment.map, asset_to_map)
    key = (environment.hash, np.round(asset_to_map, 3).tobytes())
    return lambda: resampled.look_up(_spread_map_directions()), ROTATION_OFFSET, key


def _spread_map_directions() -> np.ndarray:
    """Unit directions (512, 1024, 3) float32 of an equirect map's pixel centres: centre +X, quarter +Y, top +Z."""
    azimuth = (0.5 - (np.arange(MAP_COLUMNS) + 0.5) / MAP_COLUMNS) * 2 * math.pi
    elevation = (0.5 - (np.arange(MAP_ROWS) + 0.5) / MAP_ROWS)[:, None] * math.pi
    return np.stack(np.broadcast_arrays(np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation),
                                        np.sin(elevation)), -1).astype(np.float32)


def _make_empty(height: int, width: int) -> dict[str, np.ndarray]:
    sizes = {"color": 3, "normal": 3, "base_color": 3}
    return {name: np.zeros((height, width, sizes.get(name, 1)), np.float32) for name in (
        "color", "alpha", "alpha_view", "depth_view", "normal", "base_color", "roughness", "metallic", "shadow")}


def _develop(maps: dict[str, np.ndarray], strength: float, sky: np.ndarray | None) -> dict[str, np.ndarray]:
    """The product's passes from the published maps."""
    combined = np.concatenate([maps["color"] * strength, maps["alpha_view"]], 2)
    if sky is not None:
        put_behind(combined, sky)

    def divided(name: str, alpha: np.ndarray) -> np.ndarray:
        return maps[name] / np.maximum(alpha, 1e-6) * (alpha > 1e-4)

    alpha = maps["alpha"]
    return {"Combined": combined, "Depth": maps["depth_view"], "Normal": unit(maps["normal"]) * (alpha > 1e-4),
            "Base Color": divided("base_color", alpha), "Roughness": divided("roughness", alpha),
            "Metallic": divided("metallic", alpha), "Shadow": divided("shadow", maps["alpha_view"]),
            "Confidence": (alpha > 1e-4).astype(np.float32), "Emission": np.zeros_like(maps["base_color"])}

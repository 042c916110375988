"""What the frozen `intrinsics` says of photos, kept: the stage `structure` learns from it again and again, and no photo
goes through that network twice.

Objects of pools are bent, lit and photographed as for `joint` (studio.py), some from all sides. One
<number>.safetensors for each object, 3 MB with four photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .... import files
from ....models.mini.layout import PICTURE, Layer, Picture, SurfacePlane
from ...networks.solid_networks import join_maps
from ...options import option
from ..loop import autocast, start_from
from .packed_objects import load_lights, load_pools
from .studio import Studio, locate_cells

WORSENED = 0.5  # of the photos' layers are made worse before `structure` sees them
STRETCH = 0.25  # by which their depth and thickness are stretched, the logarithm's standard deviation
BUMPS = 0.025  # sides of the crop: how far they are off besides, over eighths of the crop
TOGETHER = 8  # objects that are photographed at once
DEPTHS = slice(Layer.DEPTH, Layer.THICKNESS + 1)


@dataclass(frozen=True, kw_only=True)
class LooksConfig:
    """What is photographed and looked at."""

    pool: tuple[Path, ...] = option(
        "packed objects; may be given again, also the same ones, to draw them more often", "folder")
    lights: Path = option("maps made ready by `train pool --hdris`", ".safetensors file")
    intrinsics: Path = option("weights of the stage intrinsics", ".safetensors file")
    out: Path = option("where the looks go; those that are there stay", "folder")
    objects: int = option("how many objects are photographed", "objects", 1000)
    views: int = option("photos of each", "photos", 4)
    real: float = option("share of the objects that are taken as they are, under Cycles' light", "0..1", 0.25)
    seed: int = option("of what is drawn by chance", "number", 0)
    limit: int | None = option("at most so many objects of each pool", "objects", None)
    threads: int = option("how many threads torch takes", "threads", 2)


def write_looks(config: LooksConfig) -> None:
    """Photographs objects of pools and writes what the frozen `intrinsics` says of them, for the stage structure."""
    from ..stages.intrinsics import IntrinsicsOnly
    torch.set_num_threads(config.threads)
    device = torch.device("cpu")
    objects, often = load_pools(config.pool, config.limit)
    _, fine, suns = load_lights(config.lights, device)
    studio = Studio(objects, fine, suns, device, config.seed, often)
    network = IntrinsicsOnly().eval().requires_grad_(False)
    start_from(network, config.intrinsics)
    config.out.mkdir(parents=True, exist_ok=True)
    for first in range(0, config.objects, TOGETHER):
        numbers = range(first, min(first + TOGETHER, config.objects))
        paths = [config.out / f"{config.seed:03d}_{number:06d}.safetensors" for number in numbers]
        if all(path.exists() for path in paths):
            continue
        studio.restart(config.seed * 1_000_003 + first)
        with torch.no_grad():
            looks = look_at(network, studio.shoot_around(len(paths), config.views, config.real))
        for row, path in enumerate(paths):
            with files.writing(path) as part:
                save_file({key: value[row].contiguous() for key, value in looks.items()}, part)
        if first % (TOGETHER * 16) == 0:
            print(f"{numbers.stop} objects", flush=True)


def look_at(networks: torch.nn.Module, shots: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is kept of Studio.shoot_around's photos: `maps` (G, V, C, S/2, S/2) float16 as join_maps, `surface` (G, V,
    SURFACE, S, S) float16 as SurfacePlane but front and back in sides of the crop, back behind the front; and `solid`
    (G, 64, 64, 64) uint8, eighths, reach, matrix, window and mirrored, which read_looks turns to what Structure
    wants."""
    count = shots["image"].shape[:2]
    image, pose = shots["image"].flatten(0, 1), shots["pose"].flatten(0, 1)
    layers, trunk = [], []
    for some, known in zip(image.split(TOGETHER), pose.split(TOGETHER)):
        with autocast(image.device.type):
            said = networks.intrinsics(some.contiguous(memory_format=torch.channels_last), known)
        layers.append(said[0].float())
        trunk.append(said[1].float())
    layers, trunk = torch.cat(layers), torch.cat(trunk)
    surface = torch.cat([layers[:, DEPTHS], image[:, Picture.ALPHA, None]], 1)
    return {"maps": join_maps(image, layers, trunk).half().unflatten(0, count),
            "surface": surface.half().unflatten(0, count),
            "solid": (shots["solid"] * 8).round().to(torch.uint8),
            **{key: shots[key] for key in ("reach", "matrix", "window", "mirrored")}}


def worsen_depths(depths: Tensor, mask: Tensor) -> Tensor:
    """Depth and thickness (B, 2, S, S) that are off as those of things never seen, of WORSENED of the photos. mask:
    (B, S, S), where they count."""
    count, device = len(depths), depths.device
    chosen = (torch.rand(count, 1, 1, device=device) < WORSENED).float()
    depth, weight = depths[:, 0], mask.sum((1, 2)).clamp(min=1)
    middle = ((depth * mask).sum((1, 2)) / weight)[:, None, None]
    factor = torch.exp(torch.randn(2, count, 1, 1, device=device) * STRETCH * chosen)
    bumps = F.interpolate(torch.randn(count, 2, 8, 8, device=device), depths.shape[2:], mode="bicubic")
    bumps = bumps * BUMPS * chosen[:, None]
    return torch.stack([middle + (depth - middle) * factor[0], depths[:, 1] * factor[1]], 1) + bumps


def read_looks(paths: list[Path], photos: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """A batch of B objects, each with so many of its photos, some of the layers made worse: what Structure.predict
    takes, (B N, ...), and solid (B, 64, 64, 64)."""
    parts = []
    for path in paths:
        with safe_open(path, "pt") as kept:
            views = kept.get_slice("reach").get_shape()[0]
            pick = torch.from_numpy(np.sort(rng.permutation(views)[:photos]))
            part = {key: torch.stack([kept.get_slice(key)[int(view)] for view in pick]) for key in ("maps", "surface")}
            part |= {key: kept.get_tensor(key)[pick] for key in ("reach", "matrix", "window", "mirrored")}
            parts.append(part | {"solid": kept.get_tensor("solid")[None]})
    looks = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    maps, surface, side = looks["maps"].float(), looks["surface"].float(), looks["reach"][:, None, None]
    mask = (surface[:, SurfacePlane.ALPHA] > 0.5).float()
    surface[:, :2] = worsen_depths(surface[:, :2], mask)
    maps[:, PICTURE:][:, DEPTHS] = F.avg_pool2d(surface[:, :2], 2)
    surface[:, SurfacePlane.FRONT] *= side
    surface[:, SurfacePlane.BACK] = surface[:, SurfacePlane.FRONT] + surface[:, SurfacePlane.BACK].clamp(min=0) * side
    uv, depth, towards = locate_cells(looks["matrix"], looks["window"], looks["mirrored"])
    return {"maps": maps, "surface": surface, "uv": uv, "depth": depth, "towards": towards,
            "solid": looks["solid"].float() / 8}

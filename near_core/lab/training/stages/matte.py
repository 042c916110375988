"""Stage `matte`: renders over crops of HDRIs; which pixels are the object."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .... import image
from ....models.mini.layout import MATTE_SIZE, Picture
from ...networks.photo_networks import Matte
from ...options import option
from ..data import photos
from ..data.color import srgb_encode
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch

_STEPS = (torch.arange(MATTE_SIZE, dtype=torch.float32) + 0.5) / MATTE_SIZE * 2 - 1


class MatteOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.matte = Matte()


def _placed(picture: Tensor, scale: float, x: float, y: float, mirrored: bool) -> Tensor:
    """(4, H, W) seen through a square window: magnified by scale, its middle at x, y in [-1, 1]."""
    across = (_STEPS - x) / scale * (-1 if mirrored else 1)
    where = torch.stack([across[None].expand(MATTE_SIZE, MATTE_SIZE), ((_STEPS - y) / scale)[:, None].expand(
        MATTE_SIZE, MATTE_SIZE)], -1)
    return F.grid_sample(picture[None], where[None], align_corners=False)[0]


def _backdrop(maps: list[np.ndarray], rng: np.random.Generator) -> Tensor:
    """(3, S, S) linear: a perspective view of a map, sharp or blurred, or a plain studio sweep."""
    if rng.random() < 0.2:
        a, b = rng.uniform(0, 1, (2, 3)) ** 2
        ramp = torch.linspace(0, 1, MATTE_SIZE)[None, :, None] ** float(rng.uniform(0.5, 2))
        first, second = (torch.from_numpy(each).float()[:, None, None] for each in (a, b))
        return first * (1 - ramp) + second * ramp + torch.zeros(3, MATTE_SIZE, MATTE_SIZE)
    source = torch.from_numpy(maps[rng.integers(len(maps))]).permute(2, 0, 1)
    zoom, middle = rng.uniform(0.12, 0.45), rng.uniform(-0.55, 0.55)
    x = (_STEPS * zoom / 2 + rng.uniform(-1, 1) + 1) % 2 - 1
    y = (_STEPS * zoom + middle).clamp(-1, 1)
    where = torch.stack([x[None].expand(MATTE_SIZE, MATTE_SIZE), y[:, None].expand(MATTE_SIZE, MATTE_SIZE)], -1)
    out = F.grid_sample(source[None], where[None], align_corners=False, padding_mode="border")[0]
    out = out * float(rng.uniform(0.3, 0.9) / max(float(out.mean()), 1e-3))
    if rng.random() < 0.5:
        kernel = int(rng.integers(1, 6)) * 2 + 1
        out = F.avg_pool2d(out[None], kernel, 1, kernel // 2, count_include_pad=False)[0]
    return out


def sample(view: photos.LitView, maps: list[np.ndarray], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A composite (3, S, S) in [-1, 1] and its alpha (S, S)."""
    picture = photos.mix_lights(view, rng, True)
    cx, cy, side = photos.find_crop(picture[Picture.ALPHA].numpy())
    size = picture.shape[1]
    fill = rng.uniform(0.35, 0.95) * size / side * 1.2
    x, y = -(cx / size * 2 - 1) * fill, -(cy / size * 2 - 1) * fill
    free = 1 - fill * side / size / 1.2
    placed = _placed(picture, fill, x + rng.uniform(-free, free) * 0.7, y + rng.uniform(-free, free) * 0.7,
                     bool(rng.random() < 0.5))
    alpha = placed[Picture.ALPHA].clamp(0, 1)
    behind = _backdrop(maps, rng)
    if rng.random() < 0.6:  # something of a contact shadow below the object
        shade = F.avg_pool2d(alpha[None, None], 31, 1, 15)[0, 0].roll(int(rng.integers(0, 20)), 0)
        behind = behind * (1 - 0.6 * shade * float(rng.random()))
    composite = srgb_encode(placed[Picture.COLOR] + behind * (1 - alpha))
    composite = composite + torch.randn_like(composite) * float(rng.uniform(0, 0.03))
    return (composite.clamp(0, 1) * 2 - 1), alpha


def intersection_over_union(logits: Tensor, alpha: Tensor) -> float:
    """Of logits (S, S) above 0 and alpha (S, S) above one half."""
    a, b = logits > 0, alpha > 0.5
    return float((a & b).sum() / (a | b).sum().clamp(min=1))


def step_loss(networks: MatteOnly, picture: Tensor, alpha: Tensor) -> Tensor:
    """Cross-entropy and Dice of composites (B, 3, S, S) against their alpha (B, S, S)."""
    with autocast():
        logits = networks.matte(picture)
    p = logits.float().sigmoid()
    dice = 1 - (2 * (p * alpha).sum((1, 2)) + 1) / (p.sum((1, 2)) + alpha.sum((1, 2)) + 1)
    return F.binary_cross_entropy_with_logits(logits.float(), alpha) + dice.mean()


def check(networks: MatteOnly, tests: list[tuple[Tensor, Tensor]]) -> Score:
    """The mean intersection over union of composites held out."""
    scores = [intersection_over_union(networks.matte(p[None])[0], a) for p, a in tests]
    return float(np.mean(scores)), {"median": float(np.median(scores)), "worst": float(np.min(scores))}


@dataclass(frozen=True, kw_only=True)
class MatteConfig(RunConfig):
    """How `matte` is trained."""

    data: Path = option("the data set it learns from, with its maps", "folder")
    dev: Path = option("the dev set: its maps are behind nothing that is learned", "folder")
    backbone: Path | None = option("ImageNet weights of EfficientNet-Lite0", ".pth file", None)
    batch: int = option("composites a step", "composites", 8)
    limit: int | None = option("at most so many objects of the data set", "objects", None)
    minutes: float = 20.0
    check_every: float = 4.0


def train(config: MatteConfig) -> None:
    """Trains the matte: which pixels of a photo are the object."""
    set_up_torch(config)
    data, dev = config.data, config.dev
    meta, dev_meta = (json.loads((d / "meta.json").read_text()) for d in (data, dev))
    rng = np.random.default_rng()
    hdris = sorted((data / meta["hdris"]).glob("*.hdr"))
    read = lambda held: [np.clip(image.read(p)[..., :3], 0, 20) for p in hdris
                         if (p.name in dev_meta["exclude_hdris"]) == held]
    maps, held_maps = read(False), read(True)
    views = [v for n in meta["assets"][:config.limit] for v in photos.read_views(data / "views" / n)]
    held = [v for n in dev_meta["assets"] for v in photos.read_views(dev / "views" / n, 3)]
    fixed = np.random.default_rng(1)
    tests = [sample(v, held_maps, fixed) for v in held]
    print(f"{len(views)} views, {len(tests)} held-out composites", flush=True)

    def make() -> tuple[Tensor, Tensor]:
        made = [sample(views[rng.integers(len(views))], maps, rng) for _ in range(config.batch)]
        return torch.stack([m[0] for m in made]), torch.stack([m[1] for m in made])

    batches = background(make)
    networks = MatteOnly().to(memory_format=torch.channels_last)
    if config.backbone and config.is_new:
        networks.matte.backbone.load_state_dict(torch.load(config.backbone, weights_only=True), strict=False)
    Run(config, networks).train(lambda: step_loss(networks, *next(batches)), lambda: check(networks, tests))

"""Stage `matte`: which pixels of a photo are the object in front."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .... import image
from ....models.mini.layout import MATTE_SIZE
from ...networks.photo_networks import Matte
from ...options import option
from ..data import mattes, photos
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from

FROZEN = 3  # blocks of the backbone that stay as they were learned from ImageNet, and its first convolution
SURE = 0.6  # weight of a photo from which its object is cut out too
COARSE = 0.4  # what the coarse answer counts in the loss

Test = tuple[Tensor, Tensor]  # a picture (3, S, S) in [-1, 1] and its alpha (S, S)


class MatteOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.matte = Matte()
        for name, parameter in self.matte.backbone.named_parameters():
            block = name.removeprefix("_blocks.").partition(".")[0]
            parameter.requires_grad_(block.isdigit() and int(block) >= FROZEN)


def matte_loss(logits: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy and overlap of whole objects, (B, S, S) each, both minding outlines more (Wei et al. 2020, F3Net),
    as much as each picture's alpha is worth, weight (B,)."""
    logits = logits.float()
    mind = 1 + 4 * (mattes.box_blur(alpha, max(logits.shape[-1] // 20, 1)) - alpha).abs()
    entropy = F.binary_cross_entropy_with_logits(logits, alpha, reduction="none")
    entropy = (entropy * mind).sum((1, 2)) / mind.sum((1, 2))
    p = logits.sigmoid()
    both = (p * alpha * mind).sum((1, 2))
    overlap = 1 - (both + 1) / (((p + alpha) * mind).sum((1, 2)) - both + 1)
    return ((entropy + overlap) * weight).mean()


def step_loss(networks: MatteOnly, picture: Tensor, alpha: Tensor, weight: Tensor) -> Tensor:
    """The loss of pictures (B, 3, S, S) whose alpha (B, S, S) is worth weight (B,), at full size and at stride 16."""
    with autocast():
        logits, coarse = networks.matte.forward_with_coarse(picture.contiguous(memory_format=torch.channels_last))
    return matte_loss(logits, alpha, weight) + COARSE * matte_loss(coarse, F.avg_pool2d(alpha, 16), weight)


def intersection_over_union(logits: Tensor, alpha: Tensor) -> float:
    """Of logits (S, S) above 0 and alpha (S, S) above one half."""
    a, b = logits > 0, alpha > 0.5
    return float((a & b).sum() / (a | b).sum().clamp(min=1))


def check(networks: MatteOnly, held: list[Test], composites: list[Test]) -> Score:
    """The mean intersection over union of photos held out, where there are any, else that of composites."""
    over = [[intersection_over_union(networks.matte(picture[None])[0], alpha) for picture, alpha in tests]
            for tests in (held or composites, composites)]
    scores = np.array(over[0])
    return float(scores.mean()), {"median": float(np.median(scores)), "below 0.8": int((scores < 0.8).sum()),
                                  "composites": float(np.mean(over[1]))}


@dataclass(frozen=True, kw_only=True)
class MatteConfig(RunConfig):
    """How `matte` is trained."""

    data: Path = option("the data set of renders it learns from, with its maps", "folder")
    dev: Path = option("the dev set: its maps are behind nothing that is learned", "folder")
    photos: tuple[Path, ...] = option("photos <name>.jpg with mattes <name>.png", "folder", ())
    leave_out: tuple[Path, ...] = option("photos of the names in it are not used", "folder", ())
    places: tuple[Path, ...] = option("photos to put things before", "folder", ())
    cutouts: tuple[Path, ...] = option("pictures with alpha", "folder", ())
    backbone: Path | None = option("ImageNet weights of EfficientNet-Lite0", ".pth file", None)
    start: Path | None = option("weights to go on from, where their shapes fit", ".safetensors", None)
    size: int = option("sides of the square that is learned from, a multiple of 32", "pixels", MATTE_SIZE)
    batch: int = option("pictures a step", "pictures", 8)
    limit: int | None = option("at most so many objects of the data set", "objects", None)
    minutes: float = 50.0
    check_every: float = 4.0


def read_compositor(config: MatteConfig) -> tuple[mattes.Compositor, list[Test], list[Test]]:
    """Where samples are made; photos held out, and composites of the dev set's objects over its maps."""
    meta, dev_meta = (json.loads((d / "meta.json").read_text()) for d in (config.data, config.dev))
    maps: dict[bool, list] = {True: [], False: []}
    for path in sorted((config.data / meta["hdris"]).glob("*.hdr")):
        light = np.clip(image.read(path)[..., :3], 0, 20).astype(np.float16)
        maps[path.name in dev_meta["exclude_hdris"]].append(light)
    learned, held = mattes.read_photos(config.photos, config.leave_out)
    views = [v for n in meta["assets"][:config.limit] for v in photos.read_views(config.data / "views" / n)]
    sources = {"photo": learned, "cut": [p for p in learned if p.weight > SURE and mattes.is_complete(p)],
               "cutout": mattes.read_cutouts(config.cutouts), "render": views}
    places = mattes.read_places(config.places, (*config.leave_out, *config.photos))  # where a matte shows a thing, none
    counts = {kind: len(things) for kind, things in sources.items()}
    print(counts | {"place": len(places), "held": len(held)}, flush=True)
    compositor = mattes.Compositor(sources, places, maps[False], config.size, np.random.default_rng())
    fixed = mattes.Compositor({}, [], maps[True], config.size, np.random.default_rng(1))
    composites = [(fixed.expose(picture) * 2 - 1, alpha) for picture, alpha in
                  (fixed.compose(mattes.render_view(view, fixed.rng)) for n in dev_meta["assets"]
                   for view in photos.read_views(config.dev / "views" / n, 1))]
    return compositor, [mattes.squeeze(photo, config.size) for photo in held], composites


def draw_batches(compositor: mattes.Compositor, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Pictures (B, 3, S, S) in [-1, 1], their alpha (B, S, S), and what they are worth (B,)."""
    def make() -> tuple[Tensor, Tensor, Tensor]:
        pictures, alphas, weights = zip(*(compositor.draw() for _ in range(size)))
        return torch.stack(pictures), torch.stack(alphas), torch.tensor(weights)
    return background(make)


def train(config: MatteConfig) -> None:
    """Trains the matte: which pixels are the object. It keeps the weights that are best on photos held out."""
    set_up_torch(config)
    compositor, held, composites = read_compositor(config)
    networks = MatteOnly().to(memory_format=torch.channels_last)
    if config.backbone and config.is_new:
        networks.matte.backbone.load_state_dict(torch.load(config.backbone, weights_only=True), strict=False)
    start_from(networks, config.start)
    batches = draw_batches(compositor, config.batch)
    Run(config, networks).train(lambda: step_loss(networks, *next(batches)), lambda: check(networks, held, composites))

"""Stage `slat`: the latent of voxels whose place is known, from the pixels of one photo under any light.

The target is light-free by construction: the octants of the surface itself, judged through the frozen intrinsic decoder.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .. import asset as assets
from .. import latent, reconstruct
from ..models.mini_photo import Slat
from ..surfels import Surfels
from . import photos
from .intrinsics import IntrinsicsOnly
from .latent import Autoencoder, loss_of
from .loop import Run, Schedule, background, start_from

VOXELS = 8000


class SlatOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.slat = Slat()


def turned_surfels(surfels: Surfels, turn: np.ndarray) -> Surfels:
    turn = turn.T.astype(np.float32)
    return replace(surfels, position=surfels.position @ turn, normal=surfels.normal @ turn,
                   shading_normal=surfels.shading_normal @ turn)


def sample(asset: assets.NeuralAsset, view: photos.View, rng: np.random.Generator, augment: bool) -> dict:
    """The photo, and the voxels with their true octants; `finish` adds what the photo's layers say of them."""
    camera, surfels, coords = view.camera, asset.surfels, asset.coords
    if augment and rng.random() < 0.2:
        camera, turn = photos.turned(camera, 90 * int(rng.integers(1, 4)))
        surfels = turned_surfels(surfels, turn)
        coords = np.unique(np.clip(((surfels.position + 0.5) * 64).astype(int), 0, 63), axis=0).astype(np.uint8)
    if augment:  # predicted voxels are never exact: some too many, some missing
        extra = coords[rng.random(len(coords)) < 0.15].astype(int) + rng.integers(-1, 2, 3)
        coords = coords[rng.random(len(coords)) > 0.05]
        coords = np.unique(np.concatenate([coords, np.clip(extra, 0, 63)]), axis=0).astype(np.uint8)
    if len(coords) > VOXELS and augment:
        apart = np.abs(coords.astype(int) - coords[rng.integers(len(coords))]).max(1)
        coords = coords[np.argpartition(apart, VOXELS)[:VOXELS]]
    picture = photos.mixed_light(view, rng, augment)
    window = photos.crop_window(picture[3].numpy())
    octants = latent.octants(surfels, coords)
    if augment:
        window = photos.jittered(window, rng)
        order = rng.permutation(3)
        picture[:3], octants[..., 7:10] = picture[:3][torch.from_numpy(order)], octants[..., 7:10][..., order]
    return {"image": photos.network_image(picture, window), "octants": torch.from_numpy(octants), "coords": coords,
            "camera": photos.cropped(camera, window)}


def finish(intrinsics: IntrinsicsOnly, item: dict, spread: float = 1.0) -> dict[str, Tensor]:
    """The inputs of the network for a sample; spread: how far the noise strays."""
    with torch.no_grad():
        pose = torch.from_numpy(reconstruct.pose_of(item["camera"]))
        layers = intrinsics.intrinsics(item["image"][None], pose[None])[0][0].float().numpy()
    view = reconstruct.View(item["camera"], item["image"].numpy(), layers)
    octants, coords = item["octants"], item["coords"]
    normal = torch.nn.functional.normalize((octants[..., 4:7] * octants[..., :1]).sum(1), dim=-1).numpy()
    pixel, seen = reconstruct.voxel_pixels(view, (coords.astype(np.float32) + 0.5) / 64 - 0.5, normal)
    tensor = torch.from_numpy
    return {"pixel": tensor(pixel), "neighbours": tensor(latent.neighbours(coords)), "octants": octants,
            "noise": spread * torch.randn(1, 4) * (1 - tensor(seen)[:, None])}


def likelier(networks: SlatOnly, decoder: Autoencoder, item: dict) -> dict:
    """The sample with the better one of two noises: so guesses of what is hidden differ by the noise and cover what is
    likely, instead of all being the mean (multiple choice learning; Guzman-Rivera et al. 2012)."""
    hidden = (item["noise"] != 0).any(1, keepdim=True)
    other = dict(item, noise=torch.randn(1, 4) * hidden)
    with torch.no_grad():
        return min(item, other, key=lambda choice: float(judge(networks, decoder, choice)[0]))


def judge(networks: SlatOnly, decoder: Autoencoder, item: dict) -> tuple[Tensor, dict]:
    """The loss of one photo and its parts; the decoder is frozen."""
    slat, confidence = networks.slat(item["pixel"], item["noise"], item["neighbours"])
    _, occupied, children = decoder.iad(slat.float(), item["neighbours"])
    loss, parts = loss_of(item["octants"], occupied.float(), children.float())
    full = item["octants"][..., 0]
    wrong = ((children[..., 6:9] - item["octants"][..., 7:10]).abs().mean(-1) * full).sum(-1) / full.sum(-1).clamp(min=1)
    sure = torch.exp(-6 * wrong.detach().float())
    with torch.no_grad():
        target = decoder.encoder(item["octants"].flatten(1), item["neighbours"])
    parts["latent"] = (slat - target).abs().mean()
    parts["confidence"] = (confidence.float() - sure).square().mean()
    return loss + 0.1 * parts["latent"] + parts["confidence"], parts


def run(args: argparse.Namespace) -> int:
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    data, dev = Path(args.data), Path(args.dev)
    names = json.loads((data / "meta.json").read_text())["assets"]
    held_names = json.loads((dev / "meta.json").read_text())["assets"]

    def load(folder: Path, chosen: list[str], views: int | None) -> list:
        return [(assets.load(p), photos.read_views(folder / "views" / n, views)) for n in chosen
                if (p := Path(args.assets) / f"{n}.near").exists()]

    train, held = load(data, names[:args.limit], None), load(dev, held_names, 1)
    print(f"{len(train)} objects, {len(held)} held out", flush=True)
    decoder = Autoencoder().eval().requires_grad_(False)
    start_from(decoder, Path(args.latent))
    intrinsics = IntrinsicsOnly().eval().requires_grad_(False)
    start_from(intrinsics, Path(args.intrinsics))
    rng = np.random.default_rng()
    tests = [finish(intrinsics, sample(asset, views[0], np.random.default_rng(0), False), 0.0) for asset, views in held]

    def make() -> dict:
        asset, views = train[rng.integers(len(train))]
        return finish(intrinsics, sample(asset, views[rng.integers(len(views))], rng, True))

    items = background(make)

    def step() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return judge(networks, decoder, likelier(networks, decoder, next(items)))[0]

    def check(networks: nn.Module) -> tuple[float, dict]:
        parts = [judge(networks, decoder, item)[1] for item in tests]
        mean = {k: round(float(np.mean([float(p[k]) for p in parts])), 4) for k in parts[0]}
        return -mean["colour"] * 6 - mean["material"] * 4 - mean["normal"] - mean["occupied"], mean

    networks = SlatOnly()
    if args.start and not (Path(args.out) / "state.pt").exists():
        start_from(networks, Path(args.start))
    Run(Path(args.out), networks, Schedule(args.rate, minutes=args.minutes)).train(step, check, args.check_every)
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    for name, kind, default in (("data", str, ""), ("dev", str, ""), ("assets", str, ""), ("out", str, ""),
                                ("latent", str, ""), ("intrinsics", str, ""), ("start", str, ""), ("minutes", float, 30.0),
                                ("rate", float, 1e-3), ("threads", int, 2), ("limit", int, None),
                                ("check-every", float, 5.0)):
        arguments.add_argument(f"--{name}", type=kind, default=default)
    raise SystemExit(run(arguments.parse_args()))

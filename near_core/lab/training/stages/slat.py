"""Stage `slat`: the latent of voxels whose place is known, from the pixels of one photo under any light.

Half of the steps learn the mean of what is likely, the others a rectified flow over the voxels that the photo hides.
The target is light-free by construction: the octants of the surface itself, judged through the frozen intrinsic decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .... import asset as assets
from ....asset import Surfels
from ....asset import octants as latent
from ....create.material import flow_noise, voxel_pixels
from ....create.view import View, pose_of
from ....models.mini.layout import LATENT, Latent
from ...datasets.dataset import Dataset
from ...networks.photo_networks import Slat
from ...options import option
from ..data import photos, relight
from ..data.color import srgb_encode
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from
from .intrinsics import IntrinsicsOnly
from .latent import Autoencoder, loss_of

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


def finish(intrinsics: IntrinsicsOnly, decoder: Autoencoder, item: dict, time: float = 0.0) -> dict[str, Tensor]:
    """The inputs of the network for a sample at a time of the flow; at 0 those of the mean."""
    tensor = torch.from_numpy
    octants, coords = item["octants"], item["coords"]
    neighbours = tensor(latent.neighbours(coords))
    with torch.no_grad():
        pose = tensor(pose_of(item["camera"]))
        layers = intrinsics.intrinsics(item["image"][None], pose[None])[0][0].float().numpy()
        target = decoder.encoder(octants.flatten(1), neighbours)
    view = View(item["camera"], item["image"].numpy(), layers)
    normal = F.normalize((octants[..., 4:7] * octants[..., :1]).sum(1), dim=-1).numpy()
    pixel, seen = voxel_pixels(view, (coords.astype(np.float32) + 0.5) / 64 - 0.5, normal)
    noise = tensor(flow_noise(len(coords), np.random.default_rng()))
    state = (time * target + (1 - time) * noise) * (1 - tensor(seen)[:, None]) * (time > 0)
    return {"pixel": tensor(pixel), "neighbours": neighbours, "octants": octants, "target": target, "state": state,
            "time": torch.tensor([time])}


def lit(lights: relight.Lights, octants: Tensor, children: Tensor, seed: int | None = None) -> Tensor:
    """How wrong voxels look under a random light from a random side, (1,) mean squared error: children (N, 8, 12) as
    the decoder has them against true octants (N, 8, CHILD)."""
    full = octants[..., :1]
    mean = lambda x: (x * full).sum(1) / full.sum(1).clamp(min=1)  # noqa: E731
    side = torch.rand(2, generator=None if seed is None else torch.Generator().manual_seed(seed))
    elevation = side[1:] - 0.3
    normal = F.normalize(mean(octants[..., 4:7]), dim=-1, eps=1e-6) @ relight.camera_to_world(6.3 * side[:1], elevation)[0]

    def layers(color: Tensor, material: Tensor) -> Tensor:
        return torch.cat([normal, srgb_encode(mean(color)), mean(material)], 1).T[None]

    return lights.error(layers(children[..., 6:9], children[..., 9:11]), layers(octants[..., 7:10], octants[..., 10:12]),
                        (normal[None, :, 2] < -0.1).float(), elevation, seed)


def judge(networks: SlatOnly, decoder: Autoencoder, lights: relight.Lights, item: dict, seed: int | None = None
          ) -> tuple[Tensor, dict]:
    """The loss of one photo and its parts, "relit" in dB; the decoder is frozen. Off the flow's start, hidden voxels are
    judged by the squared distance of latents, whose least is the flow's."""
    slat, confidence = networks.slat(item["pixel"], item["state"], item["time"], item["neighbours"])
    _, occupied, children = decoder.iad(slat.float(), item["neighbours"])
    loss, parts = loss_of(item["octants"], occupied.float(), children.float())
    full = item["octants"][..., 0]
    wrong = ((children[..., 6:9] - item["octants"][..., 7:10]).abs().mean(-1) * full).sum(-1) / full.sum(-1).clamp(min=1)
    sure = torch.exp(-6 * wrong.detach().float())
    parts["latent"] = (slat - item["target"]).abs().mean()
    parts["confidence"] = (confidence.float() - sure).square().mean()
    if item["time"] > 0:
        hidden = 1 - item["pixel"][:, 5:6]
        apart = (slat - item["target"]) / torch.from_numpy(Latent.SPREAD)
        parts["flow"] = (apart.square() * hidden).sum() / (LATENT * hidden.sum()).clamp(min=1)
        return 0.3 * loss + 2 * parts["flow"], parts
    wrong = lit(lights, item["octants"], children.float(), seed)
    parts["relit"] = -10 * torch.log10(wrong.clamp(min=1e-5)).mean()
    return loss + 0.1 * parts["latent"] + parts["confidence"] + 2 * relight.loss(wrong), parts


@dataclass(frozen=True, kw_only=True)
class SlatConfig(RunConfig):
    """How `slat` is trained."""

    data: tuple[Path, ...] = option("a data set; may be given again", "folder")
    dev: Path = option("the dev set", "folder")
    assets: Path = option(".near files of the sets' objects; the others are left out", "folder")
    latent: Path = option("weights of the stage latent", ".safetensors file")
    intrinsics: Path = option("weights of the stage intrinsics", ".safetensors file")
    start: Path | None = option("weights of an earlier run to go on from", ".safetensors file", None)
    limit: int | None = option("at most so many objects of each set", "objects", None)


def load_objects(config: SlatConfig, folder: Path, views: int | None) -> list[tuple[assets.NeuralAsset, list[photos.View]]]:
    """The assets of a data set, and their first views."""
    return [(assets.load(path), photos.read_views(folder / "views" / name, views))
            for name in Dataset(folder).assets[:config.limit] if (path := config.assets / f"{name}.near").exists()]


def train(config: SlatConfig) -> None:
    """Trains the slat: the latent of voxels whose place is known, from the pixels of a photo."""
    set_up_torch(config)
    objects = [one for folder in config.data for one in load_objects(config, folder, None)]
    held = load_objects(config, config.dev, 1)
    print(f"{len(objects)} objects, {len(held)} held out", flush=True)
    decoder = Autoencoder().eval().requires_grad_(False)
    start_from(decoder, config.latent)
    intrinsics = IntrinsicsOnly().eval().requires_grad_(False)
    start_from(intrinsics, config.intrinsics)
    hdris = config.data[0] / Dataset(config.data[0]).meta["hdris"]
    lights = relight.Lights.of(relight.read_maps(hdris, Dataset(config.dev).excluded_hdris))
    rng = np.random.default_rng()
    tests = [finish(intrinsics, decoder, sample(asset, views[0], np.random.default_rng(0), False))
             for asset, views in held]

    def make() -> dict:
        asset, views = objects[rng.integers(len(objects))]
        time = rng.random() if rng.random() < 0.5 else 0.0
        return finish(intrinsics, decoder, sample(asset, views[rng.integers(len(views))], rng, True), time)

    items = background(make)
    networks = SlatOnly()
    if config.is_new:
        start_from(networks, config.start)

    def loss() -> Tensor:
        with autocast():
            return judge(networks, decoder, lights, next(items))[0]

    def check() -> Score:
        parts = [judge(networks, decoder, lights, item, seed)[1] for seed, item in enumerate(tests)]
        mean = {k: round(float(np.mean([float(p[k]) for p in parts])), 4) for k in parts[0]}
        return mean["relit"] - mean["colour"] * 6 - mean["material"] * 4 - mean["normal"] - mean["occupied"], mean

    Run(config, networks).train(loss, check)

"""Stage `slat`: the latent of voxels whose place is known, from the pixels of one photo under any light.

Half of the steps learn the mean of what is likely, the others a rectified flow over the voxels that the photo hides.
The target is light-free by construction: the octants of the surface itself, judged through the frozen intrinsic
decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .... import asset as assets
from ....asset import Surfels, octants
from ....create.material import draw_noise, gather_pixels
from ....create.view import LayerView, describe_pose
from ....models.mini.layout import LATENT, DecodedOctant, Latent, Octant, Picture, Pixel
from ...datasets.dataset import Dataset
from ...networks.photo_networks import Slat
from ...options import option
from ..data import photos, relight
from ..data.color import srgb_encode
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from
from .intrinsics import IntrinsicsOnly
from .latent import Autoencoder, compute_loss

VOXELS = 8000


class SlatOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.slat = Slat()


def turn_surfels(surfels: Surfels, turn: np.ndarray) -> Surfels:
    """The surfels after a (3, 3) rotation about the origin."""
    turn = turn.T.astype(np.float32)
    return replace(surfels, position=surfels.position @ turn, normal=surfels.normal @ turn,
                   shading_normal=surfels.shading_normal @ turn)


def take_photo(asset: assets.NeuralAsset, view: photos.LitView, rng: np.random.Generator, augment: bool) -> dict:
    """A view of an asset, and N of its voxels.

    augment: lights mixed, the crop off, the asset turned about Z, in other hues, voxels wrong, all by chance.
    Returns image (PICTURE, S, S), coords (N, 3) uint8, their true octants (N, CHILDREN, CHILD), and the crop's camera;
    add_inputs says what the networks see of them.
    """
    camera, surfels, coords = view.camera, asset.surfels, asset.coords
    if augment and rng.random() < 0.2:
        camera, turn = photos.turn_camera(camera, 90 * int(rng.integers(1, 4)))
        surfels = turn_surfels(surfels, turn)
        coords = np.unique(np.clip(((surfels.position + 0.5) * 64).astype(int), 0, 63), axis=0).astype(np.uint8)
    if augment:  # predicted voxels are never exact: some too many, some missing
        extra = coords[rng.random(len(coords)) < 0.15].astype(int) + rng.integers(-1, 2, 3)
        coords = coords[rng.random(len(coords)) > 0.05]
        coords = np.unique(np.concatenate([coords, np.clip(extra, 0, 63)]), axis=0).astype(np.uint8)
    if len(coords) > VOXELS and augment:
        apart = np.abs(coords.astype(int) - coords[rng.integers(len(coords))]).max(1)
        coords = coords[np.argpartition(apart, VOXELS)[:VOXELS]]
    picture = photos.mix_lights(view, rng, augment)
    window = photos.find_crop(picture[Picture.ALPHA].numpy())
    cells = octants.gather(surfels, coords)
    if augment:
        window = photos.jitter_crop(window, rng)
        order = rng.permutation(3)
        picture[Picture.COLOR] = picture[Picture.COLOR][torch.from_numpy(order)]
        cells[..., Octant.BASE_COLOR] = cells[..., Octant.BASE_COLOR][..., order]
    return {"image": photos.make_network_image(picture, window), "octants": torch.from_numpy(cells), "coords": coords,
            "camera": photos.crop_camera(camera, window)}


def add_inputs(intrinsics: IntrinsicsOnly, decoder: Autoencoder, item: dict, time: float = 0.0) -> dict[str, Tensor]:
    """What the network sees of take_photo's voxels, and their true octants and latent, `target` (N, LATENT).

    time: of the flow, 0..1; at 0 the inputs are those of the mean. Returns pixel (N, PIXEL), neighbours (N, 27), state
    (N, LATENT) and time (1,).
    """
    tensor = torch.from_numpy
    cells, coords = item["octants"], item["coords"]
    neighbours = tensor(octants.find_neighbours(coords))
    with torch.no_grad():
        pose = tensor(describe_pose(item["camera"]))
        layers = intrinsics.intrinsics(item["image"][None], pose[None])[0][0].float().numpy()
        target = decoder.encoder(cells.flatten(1), neighbours)
    view = LayerView(item["camera"], item["image"].numpy(), layers)
    normal = F.normalize((cells[..., Octant.NORMAL] * cells[..., Octant.OCCUPIED, None]).sum(1), dim=-1).numpy()
    pixel, seen = gather_pixels(view, (coords.astype(np.float32) + 0.5) / 64 - 0.5, normal)
    noise = tensor(draw_noise(len(coords), np.random.default_rng()))
    state = (time * target + (1 - time) * noise) * (1 - tensor(seen)[:, None]) * (time > 0)
    return {"pixel": tensor(pixel), "neighbours": neighbours, "octants": cells, "target": target, "state": state,
            "time": torch.tensor([time])}


def relight_voxels(lights: relight.Lights, cells: Tensor, children: Tensor, seed: int | None = None) -> Tensor:
    """How wrong voxels look under a random light from a random side, (1,) mean squared error of display values:
    children (N, CHILDREN, CHILD - 1) as DecodedOctant against true octants (N, CHILDREN, CHILD). seed draws the
    light."""
    full = cells[..., Octant.OCCUPIED, None]
    mean = lambda x: (x * full).sum(1) / full.sum(1).clamp(min=1)
    side = torch.rand(2, generator=None if seed is None else torch.Generator().manual_seed(seed))
    elevation = side[1:] - 0.3
    turn = relight.camera_to_world(6.3 * side[:1], elevation)[0]
    normal = F.normalize(mean(cells[..., Octant.NORMAL]), dim=-1, eps=1e-6) @ turn

    def layers(color: Tensor, material: Tensor) -> Tensor:
        return torch.cat([normal, srgb_encode(mean(color)), mean(material)], 1).T[None]

    said = layers(children[..., DecodedOctant.BASE_COLOR], children[..., DecodedOctant.ROUGHNESS_METALLIC])
    true = layers(cells[..., Octant.BASE_COLOR], cells[..., Octant.ROUGHNESS_METALLIC])
    return lights.error(said, true, (normal[None, :, 2] < -0.1).float(), elevation, seed)


def judge(networks: SlatOnly, decoder: Autoencoder, lights: relight.Lights, item: dict, seed: int | None = None
          ) -> tuple[Tensor, dict]:
    """The loss of one photo and its parts, "relit" in dB; the decoder is frozen. Off the flow's start, hidden voxels
    are judged by the squared distance of latents, whose least is the flow's."""
    slat, confidence = networks.slat(item["pixel"], item["state"], item["time"], item["neighbours"])
    _, occupied, children = decoder.iad(slat.float(), item["neighbours"])
    loss, parts = compute_loss(item["octants"], occupied.float(), children.float())
    full = item["octants"][..., Octant.OCCUPIED]
    off = (children[..., DecodedOctant.BASE_COLOR] - item["octants"][..., Octant.BASE_COLOR]).abs().mean(-1)
    wrong = (off * full).sum(-1) / full.sum(-1).clamp(min=1)
    sure = torch.exp(-6 * wrong.detach().float())
    parts["latent"] = (slat - item["target"]).abs().mean()
    parts["confidence"] = (confidence.float() - sure).square().mean()
    if item["time"] > 0:
        hidden = 1 - item["pixel"][:, Pixel.IS_SEEN]
        apart = (slat - item["target"]) / torch.from_numpy(Latent.SPREAD)
        parts["flow"] = (apart.square() * hidden).sum() / (LATENT * hidden.sum()).clamp(min=1)
        return 0.3 * loss + 2 * parts["flow"], parts
    wrong = relight_voxels(lights, item["octants"], children.float(), seed)
    parts["relit"] = -10 * torch.log10(wrong.clamp(min=1e-5)).mean()
    return loss + 0.1 * parts["latent"] + parts["confidence"] + 2 * relight.mean_log(wrong), parts


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


def load_objects(config: SlatConfig, folder: Path,
                 views: int | None) -> list[tuple[assets.NeuralAsset, list[photos.LitView]]]:
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
    tests = [add_inputs(intrinsics, decoder, take_photo(asset, views[0], np.random.default_rng(0), False))
             for asset, views in held]

    def make() -> dict:
        asset, views = objects[rng.integers(len(objects))]
        time = rng.random() if rng.random() < 0.5 else 0.0
        return add_inputs(intrinsics, decoder, take_photo(asset, views[rng.integers(len(views))], rng, True), time)

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

"""Stage `intrinsics`: one photo under any light -> depth, thickness, normal and material of every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....create.view import pose_of, reach
from ....directions import unit
from ....models.mini.layout import LAYERS
from ...datasets.dataset import Dataset
from ...networks.photo_networks import Intrinsics
from ...options import option
from ..data import photos, relight
from ..data import samples as subjects
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from

LEAN = 12.0  # degrees a photo may be rolled by
UNPOSED = 0.15  # of the photos come without a camera
FINISH = (torch.arange(LAYERS) >= 8)[:, None, None]  # the layers roughness and metallic
STEEP = 0.15  # sides of the crop: depths that differ more are different surfaces


class IntrinsicsOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.intrinsics = Intrinsics()
        self.to(memory_format=torch.channels_last)


def sample(subject: subjects.Subject, number: int, rng: np.random.Generator, augment: bool) -> dict[str, Tensor]:
    """A photo (4, S, S), its true layers (LAYERS, S, S), where they count (S, S), and the camera's elevation."""
    view = subject.views[number]
    picture = photos.mixed_light(view, rng, augment)
    layers = torch.from_numpy(subject.layers(number))
    window, roll, mirrored = photos.crop_window(picture[3].numpy()), 0.0, False
    if augment:
        window = photos.jittered(window, rng)
        roll, mirrored = math.radians(rng.normal(0, LEAN / 2)), bool(rng.random() < 0.5)
        if rng.random() < 0.15:  # light and colours may be of any hue
            order = torch.from_numpy(rng.permutation(3))
            picture[:3], layers[5:8] = picture[:3][order], layers[5:8][order]
    image = photos.network_image(picture, window, roll, mirrored)
    where = photos.pixels_of(window, picture.shape[1:], roll, mirrored)
    layers = F.grid_sample(layers[None], where[None], mode="nearest", align_corners=False)[0]
    crop = photos.cropped(view.camera, window)
    layers[:2] /= reach(crop)
    c, s = math.cos(roll), math.sin(roll)
    x, y = layers[2] * c + layers[3] * s, layers[3] * c - layers[2] * s
    layers[2], layers[3] = (-x if mirrored else x), y
    up = view.camera.position
    pose = pose_of(crop)
    pose[1] *= -1 if mirrored else 1
    if augment and rng.random() < UNPOSED:
        pose[:] = 0
    return {"image": image, "pose": torch.from_numpy(pose), "layers": layers[:-1], "mask": layers[-1] * (image[3] > 0.5),
            "unfinished": torch.tensor(not subject.finished),
            "elevation": torch.tensor(math.asin(unit(up)[2]), dtype=torch.float32)}


def gradients(depth: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """How much the slopes (B, S, S) differ at four widths, where the true surface is whole."""
    total = depth.new_zeros(())
    for step in (1, 2, 4, 8):
        for axis in (1, 2):
            near, far = (slice(None, -step), slice(step, None))
            a = (slice(None),) * axis + (far,)
            b = (slice(None),) * axis + (near,)
            slope = truth[a] - truth[b]
            whole = mask[a] * mask[b] * (slope.abs() < STEEP * (0.5 + step / 4))
            total = total + ((depth[a] - depth[b] - slope).abs() * whole).sum() / whole.sum().clamp(min=1)
    return total


def look(networks: IntrinsicsOnly, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What the network says of a batch of photos: layers, trunk, elevation."""
    with autocast(batch["image"].device.type):
        layers, trunk, elevation = networks.intrinsics(
            batch["image"].contiguous(memory_format=torch.channels_last), batch["pose"])
    return layers.float(), trunk.float(), elevation.float()


def judge(said: tuple[Tensor, Tensor, Tensor], batch: dict[str, Tensor], lights: relight.Lights, seed: int | None = None,
          ) -> tuple[Tensor, dict]:
    """The loss of what look() said of a batch, and its parts: mean absolute errors over the pixels that show the object,
    of the normals 1 - the cosine, of metallic the cross-entropy (most things are not metal: the median would always say
    so), and of pictures of the layers under another light the PSNR in dB. seed draws those lights."""
    (layers, _, elevation), mask = said, batch["mask"]
    # where nobody knows how rough and metallic an object is, what the network says is right, and teaches nothing
    unknown = batch["unfinished"][:, None, None, None] & FINISH.to(layers.device)
    layers, truth = (torch.where(unknown, layers.detach(), known) for known in (layers, batch["layers"]))
    count, off = mask.sum((1, 2)).clamp(min=1), layers - truth
    mean = lambda error: ((error * mask).sum((1, 2)) / count).mean()  # (B, S, S), over the objects  # noqa: E731
    normal = F.normalize(layers[:, 2:5], dim=1, eps=1e-3)
    doubt = F.binary_cross_entropy(layers[:, 9].clamp(1e-3, 1 - 1e-3), truth[:, 9], reduction="none")
    parts = {"depth": mean(off[:, 0].abs()), "thickness": mean(off[:, 1].abs()),
             "colour": mean(off[:, 5:8].abs().mean(1)), "roughness": mean(off[:, 8].abs()), "metallic": mean(doubt),
             "normal": mean(1 - (normal * truth[:, 2:5]).sum(1)),
             "slope": gradients(layers[:, 0], truth[:, 0], mask),
             "elevation": (elevation - batch["elevation"]).abs().mean()}
    thin = lambda maps: maps[..., ::2, ::2].flatten(-2)  # every fourth pixel tells enough  # noqa: E731
    lit = lights.error(thin(layers[:, 2:]), thin(truth[:, 2:]), thin(mask), batch["elevation"], seed)
    parts["relit"] = -10 * torch.log10(lit.clamp(min=1e-5)).mean()
    # colours are also judged as a whole: a tint or an exposure that is off everywhere weighs most in a picture
    tint = (off[:, 5:8] * mask[:, None]).sum((2, 3)) / count[:, None]
    # squares as well: where a photo leaves two answers, a picture suffers less from the one between them
    loss = (6 * parts["depth"] + 3 * parts["thickness"] + 3 * parts["colour"] + 10 * mean(off[:, 5:8].square().mean(1))
            + tint.abs().mean() + 10 * tint.square().mean() + parts["roughness"] + 4 * mean(off[:, 8].square())
            + 0.8 * parts["metallic"] + 0.6 * parts["normal"] + 4 * parts["slope"] + 0.2 * parts["elevation"]
            + relight.loss(lit))
    return loss, parts


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


@dataclass(frozen=True, kw_only=True)
class IntrinsicsConfig(RunConfig, subjects.SetsConfig):
    """How `intrinsics` is trained."""

    backbone: Path | None = option("ImageNet weights of EfficientNet-Lite0", ".pth file", None)
    start: Path | None = option("weights of an earlier run to go on from", ".safetensors file", None)
    batch: int = option("photos a step", "photos", 8)
    minutes: float = 60.0
    rate: float = 6e-4
    check_every: float = 4.0


def train(config: IntrinsicsConfig) -> None:
    """Trains the intrinsics: a photo's pixels to depth, thickness, normal, base colour, roughness and metallic."""
    set_up_torch(config)
    objects, held = subjects.load_sets(config)
    hdris = config.data[0] / Dataset(config.data[0]).meta["hdris"]
    lights = relight.Lights.of(relight.read_maps(hdris, Dataset(config.dev).excluded_hdris))
    rng = np.random.default_rng()
    tests = collate([sample(s, 0, np.random.default_rng(0), False) for s in held])

    def make() -> dict[str, Tensor]:
        chosen = [objects[rng.integers(len(objects))] for _ in range(config.batch)]
        return collate([sample(s, s.draw(rng), rng, True) for s in chosen])

    batches = background(make)
    networks = IntrinsicsOnly()
    if config.is_new:
        if config.backbone:
            networks.intrinsics.backbone.load_state_dict(torch.load(config.backbone, weights_only=True), strict=False)
        start_from(networks, config.start)

    def loss() -> Tensor:
        batch = next(batches)
        return judge(look(networks, batch), batch, lights)[0]

    def check() -> Score:
        loss, parts = judge(look(networks, tests), tests, lights, seed=0)
        return -float(loss), {key: round(float(value), 4) for key, value in parts.items()}

    Run(config, networks).train(loss, check)

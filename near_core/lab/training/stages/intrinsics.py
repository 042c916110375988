"""Stage `intrinsics`: one photo under any light -> depth, thickness, normal and material of every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....create.view import describe_pose, reach
from ....directions import unit
from ....models.mini.layout import LAYERS, Layer, Picture, Pose
from ...datasets.dataset import Dataset
from ...networks.photo_networks import Intrinsics
from ...options import option
from ..data import photos, relight, samples
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from

ROLL = 6.0  # degrees by which photos are rolled, the standard deviation
UNPOSED = 0.15  # of the photos come without a camera
DEPTH_JUMP = 0.15  # sides of the crop: depths that differ more are different surfaces
IS_MATERIAL = torch.zeros(LAYERS, 1, 1, dtype=torch.bool)  # the layers that nobody knows of an unfinished object
IS_MATERIAL[Layer.ROUGHNESS_METALLIC] = True
DEPTHS = [Layer.DEPTH, Layer.THICKNESS]


class IntrinsicsOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.intrinsics = Intrinsics()
        self.to(memory_format=torch.channels_last)


def take_photo(sample: samples.Sample, number: int, rng: np.random.Generator, augment: bool) -> dict[str, Tensor]:
    """What the network sees of a view of an object, and what it should say.

    augment: lights mixed, the crop off, rolled, in a mirror, in other hues, without a camera, all by chance.
    Returns image (PICTURE, S, S) and pose (POSE,) as layout has them; layers (LAYERS, S, S), mask (S, S), 1 where they
    count, elevation () radians, and unfinished (), whether nobody knows the object's roughness and metallic.
    """
    view = sample.views[number]
    picture = photos.mix_lights(view, rng, augment)
    layers = torch.from_numpy(sample.layers(number))
    window, roll, mirrored = photos.find_crop(picture[Picture.ALPHA].numpy()), 0.0, False
    if augment:
        window = photos.jitter_crop(window, rng)
        roll, mirrored = math.radians(rng.normal(0, ROLL)), bool(rng.random() < 0.5)
        if rng.random() < photos.HUED:
            order = torch.from_numpy(rng.permutation(3))
            picture[Picture.COLOR] = picture[Picture.COLOR][order]
            layers[Layer.BASE_COLOR] = layers[Layer.BASE_COLOR][order]
    image = photos.make_network_image(picture, window, roll, mirrored)
    where = photos.place_pixels(window, picture.shape[1:], roll, mirrored)
    layers = F.grid_sample(layers[None], where[None], mode="nearest", align_corners=False)[0]
    crop = photos.crop_camera(view.camera, window)
    layers[DEPTHS] /= reach(crop)
    c, s = math.cos(roll), math.sin(roll)
    x, y = layers[Layer.NORMAL_X].clone(), layers[Layer.NORMAL_Y].clone()
    layers[Layer.NORMAL_X], layers[Layer.NORMAL_Y] = (x * c + y * s) * (-1 if mirrored else 1), y * c - x * s
    up = view.camera.position
    pose = describe_pose(crop)
    pose[Pose.DIRECTION_X] *= -1 if mirrored else 1
    if augment and rng.random() < UNPOSED:
        pose[:] = 0
    return {"image": image, "pose": torch.from_numpy(pose), "layers": layers[:-1],
            "mask": layers[-1] * (image[Picture.ALPHA] > 0.5),
            "unfinished": torch.tensor(not sample.finished),
            "elevation": torch.tensor(math.asin(unit(up)[2]), dtype=torch.float32)}


def compare_slopes(depth: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """How much the slopes of depths (B, S, S) differ from the true ones at four widths, where the true surface is
    whole."""
    total = depth.new_zeros(())
    for step in (1, 2, 4, 8):
        for axis in (1, 2):
            near, far = (slice(None, -step), slice(step, None))
            a = (slice(None),) * axis + (far,)
            b = (slice(None),) * axis + (near,)
            slope = truth[a] - truth[b]
            whole = mask[a] * mask[b] * (slope.abs() < DEPTH_JUMP * (0.5 + step / 4))
            total = total + ((depth[a] - depth[b] - slope).abs() * whole).sum() / whole.sum().clamp(min=1)
    return total


def predict(networks: IntrinsicsOnly, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What the network says of a batch of B photos, float32.

    Returns layers (B, LAYERS, S, S), the trunk (B, TRUNK, S / 2, S / 2), and elevation (B,) radians.
    """
    with autocast(batch["image"].device.type):
        layers, trunk, elevation = networks.intrinsics(
            batch["image"].contiguous(memory_format=torch.channels_last), batch["pose"])
    return layers.float(), trunk.float(), elevation.float()


def judge(said: tuple[Tensor, Tensor, Tensor], batch: dict[str, Tensor], lights: relight.Lights,
          seed: int | None = None) -> tuple[Tensor, dict]:
    """The loss of what predict() said of a batch, and its parts: mean absolute errors over the pixels that show the
    object, of the normals 1 - the cosine, of metallic the cross-entropy (most things are not metal: the median would
    always say so), and of pictures of the layers under another light the PSNR in dB. seed draws those lights."""
    (layers, _, elevation), mask = said, batch["mask"]
    # where nobody knows how rough and metallic an object is, what the network says is right, and teaches nothing
    unknown = batch["unfinished"][:, None, None, None] & IS_MATERIAL.to(layers.device)
    layers, truth = (torch.where(unknown, layers.detach(), known) for known in (layers, batch["layers"]))
    count, off = mask.sum((1, 2)).clamp(min=1), layers - truth
    color = off[:, Layer.BASE_COLOR]
    mean = lambda error: ((error * mask).sum((1, 2)) / count).mean()  # (B, S, S), over the objects
    normal = F.normalize(layers[:, Layer.NORMAL], dim=1, eps=1e-3)
    doubt = F.binary_cross_entropy(layers[:, Layer.METALLIC].clamp(1e-3, 1 - 1e-3), truth[:, Layer.METALLIC],
                                   reduction="none")
    parts = {"depth": mean(off[:, Layer.DEPTH].abs()), "thickness": mean(off[:, Layer.THICKNESS].abs()),
             "colour": mean(color.abs().mean(1)), "roughness": mean(off[:, Layer.ROUGHNESS].abs()),
             "metallic": mean(doubt),
             "normal": mean(1 - (normal * truth[:, Layer.NORMAL]).sum(1)),
             "slope": compare_slopes(layers[:, Layer.DEPTH], truth[:, Layer.DEPTH], mask),
             "elevation": (elevation - batch["elevation"]).abs().mean()}
    thin = lambda maps: maps[..., ::2, ::2].flatten(-2)  # every fourth pixel tells enough
    lit = lights.error(thin(layers[:, Layer.SHADED]), thin(truth[:, Layer.SHADED]), thin(mask), batch["elevation"],
                       seed)
    parts["relit"] = -10 * torch.log10(lit.clamp(min=1e-5)).mean()
    # colours are also judged as a whole: a tint or an exposure that is off everywhere weighs most in a picture
    tint = (color * mask[:, None]).sum((2, 3)) / count[:, None]
    # squares as well: where a photo leaves two answers, a picture suffers less from the one between them
    loss = (6 * parts["depth"] + 3 * parts["thickness"] + 3 * parts["colour"] + 10 * mean(color.square().mean(1))
            + tint.abs().mean() + 10 * tint.square().mean()
            + parts["roughness"] + 4 * mean(off[:, Layer.ROUGHNESS].square())
            + 0.8 * parts["metallic"] + 0.6 * parts["normal"] + 4 * parts["slope"] + 0.2 * parts["elevation"]
            + relight.mean_log(lit))
    return loss, parts


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of what take_photo returned: a first axis more."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


@dataclass(frozen=True, kw_only=True)
class IntrinsicsConfig(RunConfig, samples.SetsConfig):
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
    objects, held = samples.load_sets(config)
    hdris = config.data[0] / Dataset(config.data[0]).meta["hdris"]
    lights = relight.Lights.of(relight.read_maps(hdris, Dataset(config.dev).excluded_hdris))
    rng = np.random.default_rng()
    tests = collate([take_photo(s, 0, np.random.default_rng(0), False) for s in held])

    def make() -> dict[str, Tensor]:
        chosen = [objects[rng.integers(len(objects))] for _ in range(config.batch)]
        return collate([take_photo(s, s.choose_view(rng), rng, True) for s in chosen])

    batches = background(make)
    networks = IntrinsicsOnly()
    if config.is_new:
        if config.backbone:
            networks.intrinsics.backbone.load_state_dict(torch.load(config.backbone, weights_only=True), strict=False)
        start_from(networks, config.start)

    def loss() -> Tensor:
        batch = next(batches)
        return judge(predict(networks, batch), batch, lights)[0]

    def check() -> Score:
        loss, parts = judge(predict(networks, tests), tests, lights, seed=0)
        return -float(loss), {key: round(float(value), 4) for key, value in parts.items()}

    Run(config, networks).train(loss, check)

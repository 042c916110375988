"""Stage `structure`: one photo with a camera, through the frozen `intrinsics` -> the solid on 64^3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor, nn

from ....create.view import MIRROR, compute_cell_centres, describe_pose, gather_grid_inputs, reach
from ....models.mini.layout import Layer, Picture, Pose
from ...networks.photo_networks import Structure
from ...options import option
from ..data import photos, samples
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from
from .intrinsics import IntrinsicsOnly, collate, predict

CENTRES = compute_cell_centres(64)


class StructureOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.structure = Structure()
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)


def take_photo(sample: samples.Sample, number: int, rng: np.random.Generator, augment: bool) -> dict[str, Tensor]:
    """What the network sees of a view of an object, and the true solid (64, 64, 64), 0..1.

    augment: lights mixed, the crop off, the object turned about Z, in a mirror, in other hues, all by chance.
    Returns image (PICTURE, S, S), pose (POSE,), reach () asset units, solid, and create.view.gather_grid_inputs
    of CENTRES.
    """
    view = sample.views[number]
    camera, solid = view.camera, sample.solid
    picture = photos.mix_lights(view, rng, augment)
    window = photos.find_crop(picture[Picture.ALPHA].numpy())
    mirrored = False
    if augment:
        window = photos.jitter_crop(window, rng)
        order = torch.from_numpy(rng.permutation(3))
        picture[Picture.COLOR] = picture[Picture.COLOR][order]
        if rng.random() < 0.2:  # the artist's guess of the azimuth is rarely exact
            quarter = int(rng.integers(1, 4))
            camera, _ = photos.turn_camera(camera, 90 * quarter)
            solid = np.rot90(solid, quarter, (0, 1))
        mirrored = bool(rng.random() < 0.5)
    image = photos.make_network_image(picture, window)
    if mirrored:  # photo, camera and object as in a mirror that stands at x = 0
        image, solid = image.flip(2), solid[::-1]
    crop = photos.crop_camera(camera, window)
    inputs = gather_grid_inputs(crop, CENTRES * MIRROR if mirrored else CENTRES)
    inputs["pose"] = describe_pose(crop)
    if mirrored:
        inputs["uv"][..., 0] *= -1
        inputs["towards"][0] *= -1
        inputs["pose"][Pose.DIRECTION_X] *= -1
    return {"image": image, "reach": torch.tensor(reach(crop), dtype=torch.float32),
            "solid": torch.from_numpy(np.ascontiguousarray(solid)).float() / 8,
            **{key: torch.from_numpy(np.ascontiguousarray(value)).float() for key, value in inputs.items()}}


def predict_solid(networks: StructureOnly, layers: Tensor, trunk: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Logits (B, 64, 64, 64) of a batch, from what intrinsics.predict() said of it."""
    image, side = batch["image"], batch["reach"][:, None, None]
    front = layers[:, Layer.DEPTH] * side
    back = front + layers[:, Layer.THICKNESS].clamp(min=0) * side
    surface = torch.stack([front, back, image[:, Picture.ALPHA]], 1)  # as SurfacePlane
    with autocast(image.device.type):
        return networks.structure(image, layers, trunk, surface, batch["uv"], batch["depth"], batch["towards"]).float()


def predict_both(intrinsics: IntrinsicsOnly, networks: StructureOnly, batch: dict[str, Tensor]) -> Tensor:
    """Logits (B, 64, 64, 64) of a batch of photos."""
    with torch.no_grad():
        layers, trunk, _ = predict(intrinsics, batch)
    return predict_solid(networks, layers, trunk, batch)


def compute_loss(logits: Tensor, solid: Tensor) -> Tensor:
    """Cross-entropy, most of it near the true surface, and Dice."""
    most, least = F.max_pool3d(solid, 2), -F.max_pool3d(-solid, 2)
    near = F.max_pool3d(most, 3, 1, 1) + F.max_pool3d(-least, 3, 1, 1)  # 1 around the surface, 0 elsewhere
    weight = F.interpolate(0.3 + 3 * near[:, None], scale_factor=2)[:, 0]
    entropy = (F.binary_cross_entropy_with_logits(logits, solid, reduction="none") * weight).sum() / weight.sum()
    p = logits.sigmoid()
    dice = 1 - (2 * (p * solid).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + solid.sum((1, 2, 3)) + 1)
    return 3 * entropy + dice.mean()


def measure_f1(predicted: np.ndarray, truth: np.ndarray, within: float) -> float:
    """Harmonic mean of precision and recall of cells within `within` cells of one another."""
    if not predicted.any():
        return 0.0
    near = lambda grid: distance_transform_edt(~grid) <= within
    precision, recall = near(truth)[predicted].mean(), near(predicted)[truth].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def score_solid(logits: np.ndarray, sample: samples.Sample) -> tuple[float, float]:
    """F1 of the surface voxels within 1/32 of the asset, and intersection over union of the solid."""
    solid = logits > 0
    shell = np.zeros_like(solid)
    shell[tuple(sample.shell.T.astype(int))] = True
    truth = sample.solid >= 4
    overlap = (solid & truth).sum() / max((solid | truth).sum(), 1)
    return measure_f1(solid & ~binary_erosion(solid), shell, 2.0), float(overlap)


@dataclass(frozen=True, kw_only=True)
class StructureConfig(RunConfig, samples.SetsConfig):
    """How `structure` is trained."""

    intrinsics: Path = option("weights of the stage intrinsics", ".safetensors file")
    start: Path | None = option("weights of an earlier run to go on from", ".safetensors file", None)
    batch: int = option("photos a step", "photos", 4)
    minutes: float = 60.0
    check_every: float = 4.0


def train(config: StructureConfig) -> None:
    """Trains the structure: the solid on 64^3 of a photo, from what the frozen `intrinsics` says of it."""
    set_up_torch(config)
    objects, held = samples.load_sets(config)
    rng = np.random.default_rng()
    tests = [collate([take_photo(s, 0, np.random.default_rng(0), False)]) for s in held]
    intrinsics = IntrinsicsOnly().eval().requires_grad_(False)
    start_from(intrinsics, config.intrinsics)

    def make() -> dict[str, Tensor]:
        chosen = [objects[rng.integers(len(objects))] for _ in range(config.batch)]
        return collate([take_photo(s, s.choose_view(rng), rng, True) for s in chosen])

    batches = background(make)
    networks = StructureOnly()
    if config.is_new:
        start_from(networks, config.start)

    def loss() -> Tensor:
        batch = next(batches)
        return compute_loss(predict_both(intrinsics, networks, batch), batch["solid"])

    def check() -> Score:
        made = [predict_both(intrinsics, networks, batch) for batch in tests]
        found = [score_solid(logits[0].numpy(), sample) for logits, sample in zip(made, held)]
        loss = np.mean([float(compute_loss(logits, batch["solid"])) for logits, batch in zip(made, tests)])
        return float(np.mean([f for f, _ in found])), {
            "worst": min(f for f, _ in found), "iou": float(np.mean([o for _, o in found])), "loss": float(loss)}

    Run(config, networks).train(loss, check)

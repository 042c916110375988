"""Stage `structure`: photos with cameras, through the frozen `intrinsics` -> the solid on 64^3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor, nn

from ....create.view import compute_cell_centres, describe_pose, gather_grid_inputs, reach
from ....models.mini.layout import Layer, Picture
from ...networks.solid_networks import Structure, split_cells
from ...options import option
from ..data import looks, photos, samples
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch, start_from
from .intrinsics import IntrinsicsOnly, collate, predict

CENTRES = compute_cell_centres(64)
MOST = 4  # photos of an object, at most
SEVERAL = (0, 2, 3)  # the dev set's views that count as several photos


class StructureOnly(nn.Module):
    """The network under the name it is saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.structure = Structure()
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)


def take_photo(sample: samples.Sample, number: int) -> dict[str, Tensor]:
    """What the networks see of a view of an object.

    Returns image (PICTURE, S, S), pose (POSE,), reach () asset units, and create.view.gather_grid_inputs of CENTRES.
    """
    view = sample.views[number]
    picture = photos.mix_lights(view, np.random.default_rng(0), False)
    window = photos.find_crop(picture[Picture.ALPHA].numpy())
    crop = photos.crop_camera(view.camera, window)
    inputs = gather_grid_inputs(crop, CENTRES) | {"pose": describe_pose(crop), "reach": np.float32(reach(crop))}
    return {"image": photos.make_network_image(picture, window)} | {
        key: torch.from_numpy(np.array(value, np.float32)) for key, value in inputs.items()}


def predict_solid(networks: StructureOnly, layers: Tensor, trunk: Tensor, batch: dict[str, Tensor],
                  objects: int | None = None) -> Tensor:
    """Logits (B, 64, 64, 64) of a batch of photos, from what intrinsics.predict() said of it: of so many objects, else
    of one for each photo."""
    image, side = batch["image"], batch["reach"][:, None, None]
    front = layers[:, Layer.DEPTH] * side
    back = front + layers[:, Layer.THICKNESS].clamp(min=0) * side
    surface = torch.stack([front, back, image[:, Picture.ALPHA]], 1)  # as SurfacePlane
    with autocast(image.device.type):
        return networks.structure(image, layers, trunk, surface, batch["uv"], batch["depth"], batch["towards"],
                                  objects or len(image)).float()


class HeldOut:
    """The dev set's objects in one photo and in several, looked at once."""

    def __init__(self, held: list[samples.Sample], networks: IntrinsicsOnly):
        self.held, self.looked = held, []
        for sample in held:
            batch = collate([take_photo(sample, number) for number in SEVERAL if number < len(sample.views)])
            with torch.no_grad():
                layers, trunk, _ = predict(networks, batch)
            self.looked.append((layers, trunk, batch))

    def score(self, networks: StructureOnly, photos: int) -> dict[str, float]:
        """Mean F1 and overlap of the first half of the objects and of the second, each with so many photos; and the
        mean loss of the first."""
        found, losses = [], []
        for sample, (layers, trunk, batch) in zip(self.held, self.looked):
            few = {key: value[:photos] for key, value in batch.items()}
            logits = predict_solid(networks, layers[:photos], trunk[:photos], few, 1)
            found.append(score_solid(logits[0].numpy(), sample))
            losses.append(float(judge_solid(logits, torch.from_numpy(sample.solid)[None].float() / 8)))
        half = (len(found) + 1) // 2
        f1, overlap = np.array(found).T.tolist()
        mean = lambda values: round(float(np.mean(values)), 4) if len(values) else 0.0
        return {"f1": mean(f1[:half]), "overlap": mean(overlap[:half]), "loss": mean(losses[:half]),
                "other_f1": mean(f1[half:]), "other_overlap": mean(overlap[half:])}


def find_surface(solid: Tensor) -> Tensor:
    """(B, 64, 64, 64) -> (B, 32^3): 1 around the true surface, 0 elsewhere."""
    most, least = F.max_pool3d(solid, 2), -F.max_pool3d(-solid, 2)
    return (F.max_pool3d(most, 3, 1, 1) + F.max_pool3d(-least, 3, 1, 1)).flatten(1)


def choose_cells(near: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Numbers (B, K) of cells to learn from, most of them near the true surface, and how many each stands for."""
    chance = 0.1 + (near > 0.5).float()
    cells = torch.multinomial(chance, count, replacement=True)
    return cells, chance.sum(1, keepdim=True) / (count * chance.gather(1, cells))


def compute_loss(logits: Tensor, solid: Tensor, near: Tensor, stands: Tensor) -> Tensor:
    """Cross-entropy, most of it near the true surface, and Dice.

    logits, solid: (B, 8, K), cells as split_cells has them. near: (B, K) as find_surface. stands: (B, K), how many
    cells each stands for.
    """
    stands = stands[:, None]
    weight = (0.3 + 3 * near[:, None]) * stands
    entropy = F.binary_cross_entropy_with_logits(logits, solid, reduction="none")
    entropy = (entropy * weight).sum() / (weight.sum() * solid.shape[1])
    p, whole = logits.sigmoid(), lambda values: (values * stands).sum((1, 2))
    dice = 1 - (2 * whole(p * solid) + 1) / (whole(p) + whole(solid) + 1)
    return 3 * entropy + dice.mean()


def judge_solid(logits: Tensor, solid: Tensor) -> Tensor:
    """compute_loss of all cells: logits and solid (B, 64, 64, 64)."""
    near = find_surface(solid)
    return compute_loss(*(split_cells(grid[:, None])[:, 0] for grid in (logits, solid)), near, torch.ones_like(near))


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
class StructureConfig(RunConfig):
    """How `structure` is trained."""

    looks: tuple[Path, ...] = option("what `train looks` wrote; may be given again", "folder")
    intrinsics: Path = option("weights of the stage intrinsics, those of `train looks`", ".safetensors file")
    dev: Path = option("the dev set", "folder")
    prepared_dev: Path = option("its objects as `train samples` left them", "folder")
    start: Path | None = option("weights of an earlier run to go on from", ".safetensors file", None)
    batch: int = option("objects a step", "objects", 4)
    still: tuple[str, ...] = option(
        "a part of the network that stays as it is, so that a step costs less; may be given again", "its name", ())
    several: float = option("share of the steps with two photos of each object or more", "0..1", 0.5)
    cells: int = option("of 32^3, whose children are learned from in a step, most of them near the surface", "cells",
                        6144)
    minutes: float = 60.0
    check_every: float = 4.0


def train(config: StructureConfig) -> None:
    """Trains the structure: the solid on 64^3 of one photo or several, from what the frozen `intrinsics` says."""
    set_up_torch(config)
    rng = np.random.default_rng()
    frozen = IntrinsicsOnly().eval().requires_grad_(False)
    start_from(frozen, config.intrinsics)
    held = HeldOut(samples.load_samples(config.prepared_dev, config.dev), frozen)
    networks = StructureOnly()
    if config.is_new:
        start_from(networks, config.start)
    for name in config.still:
        networks.structure.get_submodule(name).requires_grad_(False)

    def make() -> dict[str, Tensor]:
        paths = [path for folder in config.looks for path in folder.glob("*.safetensors")]  # there may be new ones
        count = int(rng.integers(2, MOST + 1)) if rng.random() < config.several else 1
        return looks.read_looks([paths[number] for number in rng.integers(len(paths), size=config.batch)], count, rng)

    batches = background(make)

    def loss() -> Tensor:
        batch = next(batches)
        solid = batch.pop("solid")
        near = find_surface(solid)
        cells, stands = choose_cells(near, config.cells)
        with autocast():
            logits = networks.structure.predict(**batch, objects=len(solid), cells=cells).float()
        truth = split_cells(solid[:, None])[:, 0].gather(2, cells[:, None].expand(-1, 8, -1))
        return compute_loss(logits, truth, near.gather(1, cells), stands)

    def check() -> Score:
        found = {"one": held.score(networks, 1), "several": held.score(networks, len(SEVERAL))}
        return sum(each["f1"] + each["overlap"] for each in found.values()), {
            f"{name}_{key}": value for name, each in found.items() for key, value in each.items()}

    run = Run(config, networks)
    if not run.step:
        run.check(check)
    run.train(loss, check)

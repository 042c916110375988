"""Stage `structure`: one photo with a known camera -> the occupied cells of 32^3, and their children in 64^3."""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import trimesh
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn

from ..models.mini_photo import COARSE, Refine, Structure, look_up
from . import photos
from .loop import Run, Schedule, background, start_from

POINTS = 120_000
CHILDREN = 3072  # refined per step and sample


class StructureAndRefine(nn.Module):
    """Both networks under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.structure, self.refine = Structure(), Refine()
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)


def surface_points(path: Path, seed: int = 0) -> np.ndarray:
    """(POINTS, 3) float16, points of a GLB's surface in the asset's frame (Z up)."""
    mesh = trimesh.load(path, force="mesh", process=False)
    points, _ = trimesh.sample.sample_surface(mesh, POINTS, seed=seed)
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1).astype(np.float16)


def occupancy(points: np.ndarray, resolution: int) -> np.ndarray:
    """(resolution,)*3 bool: cells of [-0.5, 0.5]^3 with a point in them."""
    cells = np.clip(((points + 0.5) * resolution).astype(int), 0, resolution - 1)
    grid = np.zeros((resolution,) * 3, bool)
    grid[tuple(cells.T)] = True
    return grid


def load(data: Path, models: Path, names: list[str]) -> list[tuple[np.ndarray, list[photos.View]]]:
    """Points and views of every asset of a data set."""
    def one(name: str):
        return surface_points(models / f"{name}.glb"), photos.read_views(data / "views" / name)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, names))


def sample(points: np.ndarray, view: photos.View, rng: np.random.Generator, augment: bool) -> dict[str, Tensor]:
    """Network inputs and targets of one photo."""
    camera, points = view.camera, points.astype(np.float32)
    if augment and rng.random() < 0.25:
        camera, turn = photos.turned(camera, rng.uniform(-180, 180))
        points = points @ turn.T.astype(np.float32)
        scale = min(1.0, 0.499 / np.abs(points).max()) * (rng.uniform(0.85, 1) if rng.random() < 0.5 else 1)
        points, matrix = points * scale, camera.world_to_camera.copy()
        matrix[:3, 3] *= scale
        camera = photos.cameras.replace(camera, world_to_camera=matrix)
    picture = photos.mixed_light(view, rng, augment)
    window = photos.crop_window(picture[3].numpy())
    if augment:
        cx, cy, side = window
        jitter = rng.normal(0, 0.02, 2) * side
        window = cx + jitter[0], cy + jitter[1], side * rng.uniform(0.95, 1.15)
    image = photos.network_image(picture, window)
    centres = photos.cell_centres(COARSE)
    uv, ray = photos.project(centres, camera, window)
    fine = torch.from_numpy(occupancy(points, 2 * COARSE))
    coarse = F.max_pool3d(fine[None].float(), 2)[0] > 0
    return {"image": image, "uv": uv, "ray": ray, "fine": fine, "coarse": coarse,
            "camera": camera, "window": window}


def children_of(cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """cells (K, 3) of 32^3 -> children (K*8, 3) of 64^3, their centres (K*8, 3), their corners (K*8, 3) as -1 or 1."""
    corner = torch.stack(torch.meshgrid(*[torch.arange(2)] * 3, indexing="ij"), -1).reshape(8, 3)
    children = (cells[:, None] * 2 + corner).reshape(-1, 3)
    return children, (children + 0.5) / (2 * COARSE) - 0.5, (corner * 2.0 - 1).repeat(len(cells), 1)


def refine(networks: StructureAndRefine, cells: Tensor, features: Tensor, maps: Tensor, item: dict) -> tuple:
    """Logits of all children of cells (K, 3) of one sample. features (W, 32, 32, 32), maps (C, h, w)."""
    children, centres, corner = children_of(cells)
    uv, ray = photos.project(centres, item["camera"], item["window"])
    pixel = torch.cat([look_up(maps[None], uv[None]), look_up(item["image"][None], uv[None])], -1)[0]
    cell = features[:, cells[:, 0], cells[:, 1], cells[:, 2]].T.repeat_interleave(8, 0)
    return children, networks.refine(cell.float(), pixel.float(), ray, corner)


def loss_of(networks: StructureAndRefine, batch: list[dict]) -> Tensor:
    """Weighted cross-entropy plus Dice on the cells, cross-entropy on the children of occupied or likely cells."""
    stack = lambda key: torch.stack([item[key] for item in batch])  # noqa: E731
    with torch.autocast("cpu", torch.bfloat16):
        logits, features, maps = networks.structure(stack("image"), stack("uv"), stack("ray"))
    logits, target = logits.float(), stack("coarse").float()
    p = logits.sigmoid()
    dice = 1 - (2 * (p * target).sum((1, 2, 3)) + 1) / (p.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1)
    loss = F.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(1.5)) * 2 + dice.mean()
    for k, item in enumerate(batch):
        likely = ((p[k].detach() > 0.5) | item["coarse"]).nonzero()
        cells = likely[torch.randperm(len(likely))[:CHILDREN // 8]]
        children, child_logits = refine(networks, cells, features[k].float(), maps[k].float(), item)
        truth = item["fine"][children[:, 0], children[:, 1], children[:, 2]].float()
        loss = loss + F.binary_cross_entropy_with_logits(child_logits, truth) / len(batch)
    return loss


def predict(networks: StructureAndRefine, item: dict, threshold: float = 0.4) -> np.ndarray:
    """(64, 64, 64) bool."""
    with torch.autocast("cpu", torch.bfloat16):
        logits, features, maps = networks.structure(item["image"][None], item["uv"][None], item["ray"][None])
    cells = (logits[0].float().sigmoid() > threshold).nonzero()
    fine = np.zeros((2 * COARSE,) * 3, bool)
    if len(cells):
        children, child = refine(networks, cells, features[0].float(), maps[0].float(), item)
        fine[tuple(children[child > 0].numpy().T)] = True
    return fine


def f1(predicted: np.ndarray, truth: np.ndarray, within: float) -> float:
    """Harmonic mean of precision and recall of cells within `within` cells of one another."""
    if not predicted.any():
        return 0.0
    near = lambda grid: distance_transform_edt(~grid) <= within  # noqa: E731
    precision, recall = near(truth)[predicted].mean(), near(predicted)[truth].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def run(args: argparse.Namespace) -> int:
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    data, dev = Path(args.data), Path(args.dev)
    meta, dev_meta = (json.loads((d / "meta.json").read_text()) for d in (data, dev))
    names = meta["assets"][:args.limit]
    started = time.time()
    train = load(data, data / meta["models"], names)
    held = load(dev, dev / dev_meta["models"], dev_meta["assets"])
    print(f"{len(train)} objects, {len(held)} held out, loaded in {time.time() - started:.0f} s", flush=True)
    rng = np.random.default_rng()
    tests = [sample(points, views[0], np.random.default_rng(0), False) for points, views in held]

    def make() -> list[dict]:
        batch = []
        for _ in range(args.batch):
            points, views = train[rng.integers(len(train))]
            batch.append(sample(points, views[rng.integers(len(views))], rng, True))
        return batch

    def check(networks: nn.Module) -> tuple[float, dict]:
        made = [predict(networks, item) for item in tests]
        truths = [item["fine"].numpy() for item in tests]
        scores = [f1(a, b, 2.0) for a, b in zip(made, truths)]
        overlap = [float((a & b).sum() / (a | b).sum()) for a, b in zip(made, truths)]
        return float(np.mean(scores)), {"iou64": float(np.mean(overlap)), "worst": float(np.min(scores))}

    networks = StructureAndRefine()
    if args.backbone and not (Path(args.out) / "state.pt").exists():
        weights = torch.load(args.backbone, weights_only=True)
        networks.structure.encoder.backbone.load_state_dict(weights, strict=False)
    if args.start and not (Path(args.out) / "state.pt").exists():
        start_from(networks, Path(args.start))
    training = Run(Path(args.out), networks, Schedule(args.rate, minutes=args.minutes))
    batches = background(make)
    training.train(lambda: loss_of(networks, next(batches)), check, args.check_every)
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", help="weights of an earlier run (.safetensors) to go on from")
    parser.add_argument("--backbone", help="ImageNet weights of EfficientNet-Lite0 (.pth)")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    for name, kind, default in (("data", str, ""), ("dev", str, ""), ("out", str, ""), ("minutes", float, 60.0),
                                ("batch", int, 4), ("rate", float, 1e-3), ("threads", int, 2), ("limit", int, None),
                                ("check-every", float, 8.0)):
        arguments.add_argument(f"--{name}", type=kind, default=default)
    add_arguments(arguments)
    raise SystemExit(run(arguments.parse_args()))

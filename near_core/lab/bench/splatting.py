"""Splatting beside the arithmetic that it cannot do without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from kernels.lab import splat_floor

from ..._kernels import splat, splat_gradients
from .config import BenchConfig
from .timing import find_least

COUNTS = (10_000, 100_000, 1_000_000)
SIZES = ((256, 256), (1024, 1024), (3840, 2160))
CHANNELS = 12


def measure(config: BenchConfig) -> Iterator[tuple[str, dict]]:
    """A row for every number of Gaussians, size and number of threads: 1 and all."""
    for count in COUNTS[:1] if config.quick else COUNTS:
        for size in SIZES[:1] if config.quick else SIZES:
            projection, features = make_ball(count, *size)
            for threads in (1, config.threads):
                yield (f"{count} {size[0]}x{size[1]} {'one thread' if threads == 1 else 'all threads'}",
                       {"count": count, "size": size, "threads": threads}
                       | _measure_case(projection, features, size, threads, config.repeat(5)))


def make_ball(count: int, width: int, height: int) -> tuple[splat.Projection, np.ndarray]:
    """A ball of Gaussians that fills a picture, each about as wide as the space between them, and their features."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(count, 3))
    xyz = (0.42 * direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32)
    covariance = np.zeros((count, 6), np.float32)
    covariance[:, [0, 3, 5]] = (0.42 * np.sqrt(4 * np.pi / count) * 0.4) ** 2 * rng.uniform(0.3, 1.2, (count, 3))
    focal = height / 2 / np.tan(np.radians(16))
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    pose = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 1.6], [0, 0, 0, 1]], np.float32)
    projection = splat.project(xyz, covariance, rng.uniform(0.3, 1, count).astype(np.float32), pose, intrinsics, width,
                               height)
    return projection, rng.normal(size=(count, CHANNELS)).astype(np.float32)


def _measure_case(projection: splat.Projection, features: np.ndarray, size: tuple[int, int], threads: int, runs: int
                  ) -> dict[str, float]:
    """Pairs, and the least seconds of drawing, its sorting alone, the floor of both kinds of pairs, reading Gaussians
    in the order of depth and in their own, and gradients; and their ratios."""
    pairs = splat_floor.count_pairs(projection, *size, threads=threads)
    done = splat_floor.work_out(pairs.left, CHANNELS, threads)[0]
    loss = np.ones((size[1], size[0], CHANNELS), np.float32)
    rows = np.flatnonzero(projection.radius > 0).astype(np.uint32)
    by_depth = rows[np.argsort(projection.depth[rows], kind="stable")]
    splats = np.ones((len(features), splat_floor.SPLAT), np.float32)
    steps = {"seconds": partial(splat.rasterize, projection, features, *size, threads=threads),
             "sorting": partial(splat_floor.sort, projection, *size, threads=threads),
             "floor_left": partial(splat_floor.work_out, pairs.left, CHANNELS, threads),
             "memory": partial(splat_floor.read_rows, by_depth, splats, features, threads),
             "memory_in_order": partial(splat_floor.read_rows, rows, splats, features, threads),
             "backward": partial(splat_gradients.rasterize_backward, projection, features, *size, loss,
                                 threads=threads)}
    clock = time.process_time if threads == 1 else time.perf_counter
    row = {name: find_least(step, runs, clock) for name, step in steps.items()}
    row["floor_left"] *= pairs.left / done
    row["floor"] = row["floor_left"] * pairs.taken / pairs.left
    return {"pairs": pairs.taken, "pairs_left": pairs.left} | row | {
        "over_floor": row["seconds"] / row["floor"], "over_floor_left": row["seconds"] / row["floor_left"],
        "backward_over_forward": row["backward"] / row["seconds"]}

"""Assets as what stands around each other: a probe of the assets beside one, where nothing else says what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._kernels import ggx, grid
from ..light.shadows import turn_rays
from ..scene import Probe
from .config import NeighbourConfig
from .sight import SeenInstance, StandingInstances

FINER = 2  # rays along a texel's edge


@dataclass(frozen=True, eq=False)
class Neighbour:
    """An asset beside another one. solid: its M surfels. radiance: (M, 3) float32, what leaves them. matrix: (4, 4),
    asset frame -> world."""

    solid: grid.Grid
    radiance: np.ndarray
    matrix: np.ndarray


def choose(seen: Sequence[SeenInstance], standing: StandingInstances, config: NeighbourConfig = NeighbourConfig()
           ) -> dict[int, tuple[list[int], float]]:
    """Which instances of a picture get a probe of their neighbours, whom it shows, numbers among all instances, and how
    much of it counts, 0..1: those that look largest, without a probe of their own, the last of them fading away."""
    largest = sorted({each.number: each for each in seen if each.instance.probe is None}.values(),
                     key=lambda each: -each.pixels)
    found = {}
    least = np.array([config.least_angle if surfels is None or surfels.emission is None else config.least_glow
                      for surfels in (standing.instances[row].asset.surfels for row in standing.rows)])
    shares = find_shares(np.array([each.pixels for each in largest]), config)
    for each, share in zip(largest, shares[shares > 0].tolist()):  # they descend
        place = int(np.searchsorted(standing.rows, each.number))
        away = np.linalg.norm(standing.center - standing.center[place], axis=1)
        near = (standing.radius > least * away) & (np.arange(len(away)) != place)
        nearest = np.flatnonzero(near)[np.argsort(away[near], kind="stable")][:config.shown]
        if len(nearest):
            found[each.number] = [int(standing.rows[row]) for row in nearest], share
    return found


def find_shares(pixels: np.ndarray, config: NeighbourConfig = NeighbourConfig()) -> np.ndarray:
    """How much of its probe counts for each of N instances, 0..1. pixels: (N,), how wide their cells are, descending;
    what the camera is among is infinitely large."""
    def fade(count: int) -> np.ndarray:
        # nothing is told by an infinite one, though it gets none
        least = max([config.least_pixels, *pixels[count:count + 1][np.isfinite(pixels[count:count + 1])]])
        return np.clip((pixels / least - 1) / config.fade, 0, 1) * (np.arange(len(pixels)) < count)

    shares = fade(config.most)
    if len(pixels) > config.most and np.isfinite(pixels[0]):  # where all look as large, the first is not alone
        alike = np.clip(1 - (pixels[0] / max(pixels[config.most], 1e-9) - 1) / config.fade, 0, 1)
        shares = np.maximum(shares, alike * fade(config.most_alike))
    return np.ceil(shares * config.steps) / config.steps  # in steps: what changes is lit again


def draw_probe(position: np.ndarray, neighbours: Sequence[Neighbour], share: float = 1.0,
               config: NeighbourConfig = NeighbourConfig(), threads: int = 0) -> Probe:
    """What is seen of neighbours from a position (3,), metres, world. share: 0..1, how solid they are."""
    rows = config.probe_rows * FINER
    direction = np.ascontiguousarray(ggx.compute_directions(rows).reshape(-1, 3), np.float32)
    origin, nearest = np.asarray(position, np.float32)[None], np.full(len(direction), np.inf, np.float32)
    radiance = np.zeros((len(direction), 4), np.float32)
    for each in neighbours:
        start, along, length = turn_rays(np.linalg.inv(each.matrix), origin, direction)
        start = np.ascontiguousarray(np.broadcast_to(start, along.shape))
        hit, met = each.solid.trace(start, np.ascontiguousarray(along), threads=threads)
        away = met / length
        first = np.flatnonzero((hit >= 0) & (away < nearest))
        faces = np.einsum("kc,kc->k", each.solid.normal[hit[first]], along[first]) < 0
        nearest[first] = away[first]
        radiance[first, :3] = each.radiance[hit[first]] * faces[:, None]
        radiance[first, 3] = 1
    blocks = config.probe_rows, FINER, 2 * config.probe_rows, FINER
    radiance, nearest = radiance.reshape(*blocks, 4).mean((1, 3)), nearest.reshape(blocks).min((1, 3))
    return Probe(radiance * np.float32(share), nearest, np.asarray(position, np.float64))

"""Bulbs: what shines brightly in a probe from near by and looks small, as lamps of their own place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .._kernels import ggx
from ..directions import unit
from ..image import luminance
from ..scene import Environment, Lamp, Probe
from .config import BulbConfig


def take_bulbs(probe: Probe, world: Environment, config: BulbConfig = BulbConfig()) -> tuple[Probe, list[Lamp]]:
    """A probe without its bulbs, and these as point lamps: their light comes from where they are, not from where the
    probe saw them."""
    rows = len(probe.distance)
    direction = ggx.compute_directions(rows)
    solid = np.cos((0.5 - (np.arange(rows)[:, None] + 0.5) / rows) * math.pi) * math.pi / rows * math.pi / rows
    solid = np.broadcast_to(solid, probe.distance.shape)
    whole = probe.radiance[..., :3] + (1 - probe.radiance[..., 3:]) * world.look_up(direction)
    limit = config.radiance * float((luminance(whole) * solid).sum() / (4 * math.pi))
    shine = luminance(probe.radiance[..., :3])
    left = (shine > limit) & np.isfinite(probe.distance)
    if probe.mirrored is not None:
        left &= probe.mirrored < config.most_mirrored
    kept, found = np.ones_like(shine), []
    while left.any() and len(found) < config.most:
        brightest = np.unravel_index(np.argmax(np.where(left, shine, 0)), shine.shape)
        near = left & (direction @ direction[brightest] > math.cos(2 * config.widest))
        near &= np.abs(probe.distance - probe.distance[brightest]) <= config.depth * probe.distance[brightest]
        left &= ~near
        for piece in _split(direction, near, solid, config):
            lamp = _make_lamp(probe, direction, solid[piece], piece, limit, config)
            if lamp is not None:
                found.append(lamp)
                kept[piece] = limit / shine[piece]
    if not found:
        return probe, []
    color = probe.radiance * np.append(np.ones(3), 0).astype(np.float32) * kept[..., None].astype(np.float32)
    color[..., 3] = probe.radiance[..., 3]
    return replace(probe, radiance=color), found


def _split(direction: np.ndarray, near: np.ndarray, solid: np.ndarray, config: BulbConfig) -> list[np.ndarray]:
    """Some texels `near` (H, W) as pieces that look about round: a tube is a row of bulbs. solid: (H, W) steradians."""
    towards, weight = direction[near].astype(np.float64), solid[near][:, None]
    middle = unit((towards * weight).sum(0))
    cap = 2 * math.pi * (1 - min(float((towards @ middle).min()), 1 - 1e-6))
    count = min(math.ceil(config.round * cap / float(weight.sum())), config.pieces, len(towards))
    if count < 2:
        return [near]
    off = towards - middle
    along = off @ np.linalg.eigh((off * weight).T @ off)[1][:, -1]
    piece = np.full(near.shape, -1)
    piece[near] = np.minimum((along - along.min()) / np.ptp(along) * count, count - 1)
    return [each for each in (piece == number for number in range(count)) if each.any()]


def _make_lamp(probe: Probe, direction: np.ndarray, solid: np.ndarray, near: np.ndarray, limit: float,
               config: BulbConfig) -> Lamp | None:
    """What some texels `near` (H, W) show above a limit, as a lamp; None where it looks too wide for one. solid: (K,)
    steradians of each."""
    color = probe.radiance[near][:, :3].astype(np.float64)
    excess = color * (1 - limit / luminance(color))[:, None] * solid[:, None]
    middle = (direction[near] * luminance(excess)[:, None]).sum(0)
    middle /= max(float(np.linalg.norm(middle)), 1e-12)
    if math.acos(np.clip((direction[near] @ middle).min(), -1, 1)) > config.widest:
        return None
    wide = min(math.sqrt(solid.sum() / math.pi), 0.5)  # as a ball of which the front is seen
    away = float(probe.distance[near].min()) / (1 - wide)
    matrix = np.eye(4)
    matrix[:3, 3] = probe.position + middle * away
    return Lamp("point", matrix, 4 * math.pi * excess.sum(0) * away ** 2, radius=wide * away,
                hull=config.hull * wide * away)

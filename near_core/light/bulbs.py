"""Bulbs: what shines brightly in a probe from near by and looks small, as lamps of their own place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .._kernels import ggx
from ..directions import unit
from ..image import luminance
from ..scene import Environment, Lamp, Occluders, Probe
from .config import BulbConfig


def take_bulbs(probe: Probe, world: Environment, config: BulbConfig = BulbConfig(),
               occluders: Occluders | None = None, lamps: Sequence[Lamp] = ()) -> tuple[Probe, list[Lamp]]:
    """A probe without its bulbs, and these as point lamps: their light comes from where they are, not from where the
    probe saw them. occluders and lamps say what shines behind glass."""
    soft, rows = probe.soften(), len(probe.distance)
    direction = ggx.compute_directions(rows)
    solid = np.cos((0.5 - (np.arange(rows)[:, None] + 0.5) / rows) * math.pi) * math.pi / rows * math.pi / rows
    solid = np.broadcast_to(solid, probe.distance.shape)
    whole = soft.radiance[..., :3] + (1 - soft.radiance[..., 3:]) * world.look_up(direction)
    # a World of negative colours is darker than black
    limit = config.radiance * max(float((luminance(whole) * solid).sum() / (4 * math.pi)), 0.0)
    shine = luminance(soft.radiance[..., :3])
    left = (shine > limit) & np.isfinite(probe.distance)
    if probe.mirrored is not None:
        left &= probe.mirrored < config.most_mirrored
    soft, through = _look_through_glass(soft, direction, left, occluders, lamps, config)
    kept, found = np.ones_like(shine), []
    while left.any() and len(found) < config.most:
        brightest = np.unravel_index(np.argmax(np.where(left, shine, 0)), shine.shape)
        near = left & (direction @ direction[brightest] > math.cos(2 * config.widest))
        near &= np.abs(soft.distance - soft.distance[brightest]) <= config.depth * soft.distance[brightest]
        left &= ~near
        for piece in _split(direction, near, solid, config):
            lamp = _make_lamp(soft, direction, solid[piece], piece, limit, config)
            if lamp is not None:
                found.append(replace(lamp, through_glass=bool(through[piece].mean() > 0.5)))
                kept[piece] = limit / shine[piece]
    if not found:
        return probe, []
    share = kept[..., None].astype(np.float32)
    shown = luminance(probe.radiance[..., :3])  # where glass is smooth, brighter than what matt surfaces get
    sharp = np.where(kept < 1, np.minimum(kept, limit / np.maximum(shown, 1e-9)), 1)[..., None].astype(np.float32)
    color = np.concatenate([probe.radiance[..., :3] * sharp, probe.radiance[..., 3:]], -1)
    return replace(probe, radiance=color, diffuse=None if probe.diffuse is None else probe.diffuse * share), found


def _look_through_glass(probe: Probe, direction: np.ndarray, bright: np.ndarray, occluders: Occluders | None,
                        lamps: Sequence[Lamp], config: BulbConfig) -> tuple[Probe, np.ndarray]:
    """A probe whose bright texels (H, W) are as far away as what shines there, not the glass before it; and which of
    them show glass, (H, W) bool."""
    through = np.zeros_like(bright)
    solid = None if occluders is None else occluders.drop(glass=True)
    if occluders is None or solid is None or solid is occluders or not bright.any():
        return probe, through
    towards = np.ascontiguousarray(direction[bright])
    origin = np.broadcast_to(probe.position.astype(np.float32), towards.shape)
    glass, behind = occluders.measure(origin, towards), solid.measure(origin, towards)
    for lamp in (lamp for lamp in lamps if lamp.kind != "sun"):
        way = lamp.position - probe.position
        away = float(np.linalg.norm(way))
        meets = towards @ (way / max(away, 1e-9)).astype(np.float32) > math.cos(config.widest)
        behind = np.where(meets & (away > glass), np.minimum(behind, away), behind)
    through[bright] = glass < 0.999 * behind
    distance = probe.distance.copy()
    distance[bright] = np.where(through[bright] & np.isfinite(behind), behind, distance[bright])
    return replace(probe, distance=distance), through


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

"""Colours of a surface that several photos show: every spot takes the photos that see it best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..asset import CELL, RESOLUTION, Surfels, Texels
from ..image import srgb_decode
from ..models.mini.layout import SIZE, MaterialColumn
from ..scene import Camera
from .config import ReconstructionConfig
from .hull import Silhouette
from .material import detail_of
from .view import PhotoView, project


def measure_front(surfels: Surfels, camera: Camera) -> np.ndarray:
    """How far below the frame's origin the nearest surfel lies at each pixel of a crop, asset units: (SIZE, SIZE)
    float32, inf where there is none."""
    uv, depth = project(surfels.position, camera)
    corner = np.floor((uv + 1) / 2 * SIZE - 0.5).astype(int)
    nearest = np.full((SIZE + 1, SIZE + 1), np.inf, np.float32)
    for step in np.ndindex(2, 2):  # a surfel is about as wide as a pixel
        x, y = (corner + step).T
        inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        np.minimum.at(nearest, (y[inside], x[inside]), depth[inside])
    return nearest[:SIZE, :SIZE]


def weigh_view(surfels: Surfels, view: PhotoView, config: ReconstructionConfig = ReconstructionConfig()) -> np.ndarray:
    """How well a photo shows surfels, (M,) float32 from 0: by the angle, the pixels on a cell, and the distance from
    the outline, beside which a photo may show what lies behind."""
    shown, uv = view.shows(surfels.position)
    facing = (surfels.normal * view.camera.directions_to(surfels.position)).sum(1)
    facing = np.clip((facing - config.grazing_cosine) / (1 - config.grazing_cosine), 0, 1)
    matrix = view.camera.world_to_camera.astype(np.float32)
    away = np.maximum(surfels.position @ matrix[2, :3] + matrix[2, 3], 1e-3)
    pixels = np.float32(view.camera.intrinsics[0, 0] * CELL) / away
    inside = Silhouette(view.photo, view.camera).measure_depth(surfels.position)
    edge = np.clip(inside / config.edge_fade, 0.05, 1)
    return (shown * facing**2 * pixels * edge).astype(np.float32)


def fuse_photos(surfels: Surfels, texels: Texels, views: list[PhotoView],
                config: ReconstructionConfig = ReconstructionConfig()) -> tuple[Surfels, Texels]:
    """Surfels and their texels in the colours that photos show, those that none shows in the colours around them.

    views: whose fronts are those of the shape, as measure_front finds them.
    """
    weight = np.stack([weigh_view(surfels, view, config) for view in views])
    best = weight.max(0)
    share = (weight / np.maximum(best, 1e-9)) ** config.best_view_power
    share /= np.maximum(share.sum(0), 1e-9)
    seen = np.clip(best / config.seen_weight, 0, 1)
    places = [project(surfels.position, view.camera)[0] for view in views]
    looks = [view.inside(view.material, uv) for view, uv in zip(views, places)]
    details = [detail_of(view, uv) for view, uv in zip(views, places)]
    color = sum(s[:, None] * (look[:, MaterialColumn.BASE_COLOR] + d) for s, look, d in zip(share, looks, details))
    rest = sum(s[:, None] * look[:, 3:] for s, look in zip(share, looks))
    found = np.concatenate([color, rest], 1)
    hidden = spread(surfels.position, found, seen)
    made = found * seen[:, None] + hidden * (1 - seen[:, None])
    base = np.clip(made[:, :3], 0, 1)
    owner = texels.surfel
    shift = np.zeros_like(texels.shift)
    for view, s, look, d in zip(views, share, looks, details):
        at = project(texels.position, view.camera)[0]
        fine = view.inside(view.material, at)[:, MaterialColumn.BASE_COLOR] + detail_of(view, at)
        shift += (s * seen)[owner, None] * (fine - (look[:, MaterialColumn.BASE_COLOR] + d)[owner])
    surfels = replace(surfels, base_color=srgb_decode(base).astype(np.float32),
                      roughness=np.clip(made[:, 3], 0, 1).astype(np.float32),
                      metallic=np.clip(made[:, 4], 0, 1).astype(np.float32),
                      confidence=np.maximum(surfels.confidence, seen).astype(np.float32))
    return surfels, replace(texels, shift=shift.astype(np.float32))


def spread(position: np.ndarray, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Values (M, C) of points (M, 3) of the asset's frame as they are around them, in the finest cells that hold some
    weight (M,): (M, C) float32; each coarser grid fills in what the finer one lacks."""
    out = np.zeros_like(values)
    for edge in (4, 8, 16, 32, RESOLUTION):
        cell = np.clip((position + 0.5) * edge, 0, edge - 1)
        row = cell.astype(int) @ np.array([edge * edge, edge, 1])
        total = np.bincount(row, weight, edge**3)[row]
        mean = np.stack([np.bincount(row, weight * v, edge**3)[row] for v in values.T], 1)
        trust = total / (total + 1)
        mean = mean / np.maximum(total, 1e-9)[:, None]
        out = mean if edge == 4 else out + trust[:, None] * (mean - out)
    return out.astype(np.float32)

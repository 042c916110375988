"""Colours of a surface that several photos show: every spot takes the photos that see it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..asset import CELL, RESOLUTION, Surfels, Texels
from ..image import srgb_decode, srgb_encode
from ..image.filters import double
from ..models.mini.layout import MATERIAL, SIZE, Layer
from ..scene import Camera
from .config import LightFitConfig, ReconstructionConfig
from .hull import Silhouette
from .irradiance import explain_colors, gather_lobes
from .symmetry import MIRRORS, Movement, find_mirrors, list_movements, measure_asymmetry
from .view import PhotoView, look_up, project


def measure_front(points: np.ndarray, camera: Camera) -> np.ndarray:
    """How far below the frame's origin the nearest of points (P, 3) of a surface lies at each pixel of a crop, asset
    units: (SIZE, SIZE) float32, inf where there is none. They lie about as far apart as surfels do."""
    uv, depth = project(points, camera)
    corner = np.floor((uv + 1) / 2 * SIZE - 0.5).astype(int)
    nearest = np.full((SIZE + 1, SIZE + 1), np.inf, np.float32)
    for step in np.ndindex(2, 2):  # which are about as wide as a pixel
        x, y = (corner + step).T
        inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        np.minimum.at(nearest, (y[inside], x[inside]), depth[inside])
    return nearest[:SIZE, :SIZE]


def follow_surface(views: Sequence[PhotoView], points: np.ndarray) -> None:
    """Moves photos' fronts to a surface, of which there are points (P, 3): what photos show of each other's sides, the
    shape knows better than each photo by itself."""
    for view in views:
        nearest = measure_front(points, view.camera)
        view.front = np.where(np.isfinite(nearest), nearest, view.front)


def weigh_view(surfels: Surfels, view: PhotoView, outline: Silhouette,
               config: ReconstructionConfig = ReconstructionConfig()) -> np.ndarray:
    """How well a photo shows surfels, (M,) float32 from 0: by the angle, the pixels on a cell, and the distance from
    its outline, beside which a photo may show what lies behind."""
    shown, uv = view.shows(surfels.position)
    facing = (surfels.normal * view.camera.directions_to(surfels.position)).sum(1)
    facing = np.clip((facing - config.grazing_cosine) / (1 - config.grazing_cosine), 0, 1)
    matrix = view.camera.world_to_camera.astype(np.float32)
    away = np.maximum(surfels.position @ matrix[2, :3] + matrix[2, 3], 1e-3)
    pixels = np.float32(view.camera.intrinsics[0, 0] * CELL) / away
    inside = outline.measure_depth(surfels.position)
    edge = np.clip(inside / config.edge_fade, 0.05, 1)
    return (shown * facing**2 * pixels * edge).astype(np.float32)


@dataclass(frozen=True, eq=False)
class PhotoEvidence:
    """What V photos say of M surfels. lobes: (M, K), as irradiance.gather_lobes. seen: (V, M, 3) linear, as
    photographed. trust: (V, M), how well each photo shows a surfel, next to nothing where another shows it better."""

    lobes: np.ndarray
    seen: np.ndarray
    trust: np.ndarray


def fuse_photos(surfels: Surfels, texels: Texels, views: list[PhotoView],
                mirrors: Sequence[Movement] = MIRRORS, config: ReconstructionConfig = ReconstructionConfig(),
                fit: LightFitConfig = LightFitConfig()) -> tuple[Surfels, Texels, PhotoEvidence]:
    """Surfels and their texels in the colours that photos show, free of the photos' light, those that none shows in the
    colours around them; and what they were made of.

    views: whose fronts are those of the shape, as measure_front finds them. mirrors: in which photos may show it as
    well, where it is its own image in them.
    """
    weight, fine, looks, whose = _gather_looks(surfels, texels, views, mirrors, config)
    best = weight.max(0)
    share = (weight / np.maximum(best, 1e-9)) ** config.best_view_power
    trust = weight * share
    share /= np.maximum(share.sum(0), 1e-9)
    seen = np.clip(best / config.seen_weight, 0, 1)[:, None]
    coarse = np.stack([average_by(texels.surfel, color, texels.area, len(surfels)) for color in fine])
    looks = even_out(looks, trust, whose, fit)
    guess = (share[..., None] * looks).sum(0)
    guess = guess * seen + spread(surfels.position, guess, seen[:, 0]) * (1 - seen)
    prior = srgb_decode(np.clip(guess[:, :3], 0, 1))
    lobes = gather_lobes(surfels, np.clip(prior, fit.darkest, 1), fit)
    color = explain_colors(lobes, coarse, trust, prior, fit)
    display = srgb_encode(color)
    display = display * seen + spread(surfels.position, display, seen[:, 0]) * (1 - seen)
    made = replace(surfels, base_color=srgb_decode(np.clip(display, 0, 1)).astype(np.float32),
                   roughness=np.clip(guess[:, 3], 0, 1), metallic=np.clip(guess[:, 4], 0, 1),
                   confidence=np.clip(weight[:len(views)].max(0) / config.seen_weight, 0, 1).astype(np.float32))
    own = texels.surfel
    ratio = sum((s * seen[:, 0])[own, None] * np.log(np.maximum(f, 2e-3) / np.maximum(c[own], 2e-3))
                for s, f, c in zip(share, fine, coarse))
    colored = np.clip(color[own] * np.exp(np.clip(ratio, -1.5, 1.5)), 0, 1)
    shift = srgb_encode(colored) - srgb_encode(np.clip(color[own], 0, 1))
    said = PhotoEvidence(lobes, coarse[:len(views)], trust[:len(views)])
    return made, replace(texels, shift=shift.astype(np.float32)), said


def _gather_looks(surfels: Surfels, texels: Texels, views: list[PhotoView], mirrors: Sequence[Movement],
                  config: ReconstructionConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How well V photos show M surfels, (V, M); what they show of K texels, (V, K, 3) linear; and what networks make of
    the surfels, (V, M, MATERIAL). These are followed by the same of photos in mirrors, which count less; (V,) the
    numbers of the photos."""
    still, outlines = Movement(), [Silhouette(view.photo, view.camera) for view in views]
    glances = [(number, still) for number in range(len(views))]
    glances += _choose_twins(surfels, views, outlines, mirrors, config)
    weight = np.empty((len(glances), len(surfels)), np.float32)
    fine = np.empty((len(glances), len(texels.position), 3), np.float32)
    looks = np.empty((len(glances), len(surfels), MATERIAL), np.float32)
    for row, (number, movement) in enumerate(glances):
        view, there = views[number], movement.move_surfels(surfels)
        weight[row] = weigh_view(there, view, outlines[number], config)
        weight[row] *= 1 if movement == still else config.mirror_share
        fine[row] = _look_at_photo(view, movement.move(texels.position))
        looks[row] = _look_at_layers(view, there)
    return weight, fine, looks, np.array([number for number, _ in glances])


def _choose_twins(surfels: Surfels, views: list[PhotoView], outlines: list[Silhouette], mirrors: Sequence[Movement],
                  config: ReconstructionConfig) -> list[tuple[int, Movement]]:
    """The numbers of photos, and in which mirrors: the few that show the most of the surfels better than all photos
    themselves do; others would count next to nothing. Only mirrors in which the surfels are their own image."""
    if config.symmetry == "off":
        return []
    own = find_mirrors(lambda mirror, _: mirror in mirrors and measure_asymmetry(surfels, mirror) < config.mirror_lack)
    few = surfels.take(slice(None, None, config.mirror_stride))
    weigh = lambda number, there: weigh_view(there, views[number], outlines[number], config)
    best = np.maximum.reduce([weigh(number, few) for number in range(len(views))])
    found = []
    for movement in list_movements(own)[1:]:
        twins = movement.move_surfels(few)
        for number in range(len(views)):
            found.append((float((config.mirror_share * weigh(number, twins) > best).mean()), number, movement))
    found = sorted((each for each in found if each[0] > config.mirror_use), key=lambda each: -each[0])
    return [(number, movement) for _, number, movement in found[:config.mirror_most]]


def even_out(looks: np.ndarray, weight: np.ndarray, whose: np.ndarray, config: LightFitConfig = LightFitConfig()
             ) -> np.ndarray:
    """What V photos say of surfels, (V, M, 3 and more) display colours first, so that they agree where several show
    the same ones: each photo's colours are scaled as a whole, in the mean not at all. weight: (V, M). whose: (V,) the
    photos' numbers, upwards, then those of what shows them in mirrors: it is scaled as they are, and says nothing of
    that, for both sides of what is symmetric may be of different colours.

    What networks take for colour keeps some of each photo's light, exposure and white balance.
    """
    every = np.log(np.maximum(srgb_decode(np.clip(looks[..., :3], 0, 1)), 0.01))
    log, weight = every[:whose.max() + 1], weight[:whose.max() + 1]
    root = np.sqrt(weight)
    pairs = root @ root.T  # (V, V)
    mixed = np.tensordot(root[..., None] * log, root, (1, 1)).swapaxes(1, 2)  # (V, V, C): logarithms of the first
    apart = mixed - mixed.swapaxes(0, 1)
    np.fill_diagonal(pairs, 0)
    # where hardly anything is seen by two photos, what they disagree about is as likely the surface
    matrix = np.diag(pairs.sum(1) + config.even_stiffness * weight.sum(1) + 1e-6) - pairs
    gain = -np.linalg.solve(matrix, apart.sum(1))
    gain -= gain.mean(0)
    out = looks.copy()
    out[..., :3] = srgb_encode(np.clip(np.exp(every + gain[whose, None]), 0, 1))
    return out


def _look_at_photo(view: PhotoView, points: np.ndarray) -> np.ndarray:
    """The photo's colours at points (P, 3), linear, of what is object alone: (P, 3) float32."""
    uv = project(points, view.camera)[0]
    alpha = view.photo.alpha
    found = look_up(np.concatenate([view.photo.rgb.transpose(2, 0, 1) * alpha, alpha[None]]), uv)
    return found[:, :3] / np.maximum(found[:, 3:], 0.1)


def _look_at_layers(view: PhotoView, surfels: Surfels) -> np.ndarray:
    """The material (M, MATERIAL) that the networks see in a photo at surfels, display colours."""
    return view.inside(np.clip(view.layers[Layer.MATERIAL], 0, 1), project(surfels.position, view.camera)[0])


def average_by(row: np.ndarray, values: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    """(count, C) float32: means of values (K, C) by row (K,), weighted (K,); 0 where there is none."""
    total = np.bincount(row, weight, count)
    sums = np.stack([np.bincount(row, weight * v, count) for v in values.T], 1)
    return (sums / np.maximum(total, 1e-12)[:, None]).astype(np.float32)


def spread(position: np.ndarray, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Values (M, C) of points (M, 3) of the asset's frame as they are around them, by their weight (M,), smooth: (M, C)
    float32. Each grid of cells fills in what the next finer one lacks."""
    row = np.clip((position + 0.5) * RESOLUTION, 0, RESOLUTION - 1).astype(int) @ [RESOLUTION**2, RESOLUTION, 1]
    shape = (RESOLUTION,) * 3
    sums = [np.stack([np.bincount(row, weight * v, RESOLUTION**3).reshape(shape) for v in values.T]
                     + [np.bincount(row, weight, RESOLUTION**3).reshape(shape)]).astype(np.float32)]
    while sums[-1].shape[1] > 2:
        half = sums[-1].shape[1] // 2
        sums.append(sums[-1].reshape(-1, half, 2, half, 2, half, 2).sum((2, 4, 6)))
    whole = sums[-1].sum((1, 2, 3))
    found = np.broadcast_to((whole[:-1] / max(whole[-1], 1e-9))[:, None, None, None], sums[-1][:-1].shape)
    for level in reversed(sums):
        if level.shape[1] > found.shape[1]:
            found = np.stack([double(plane) for plane in found])
        total = level[-1]
        found = found + total / (total + 1) * (level[:-1] / np.maximum(total, 1e-9) - found)
    return np.ascontiguousarray(found.reshape(len(found), -1)[:, row].T, np.float32)

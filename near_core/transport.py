"""Light transport on an asset's own surfels: who sees the sky, who sees whom, and what a mirror would see.

Radiosity with a hit table per asset, next to filtered importance sampling of the GGX lobe per view. Light is
prepared once per map in the map's own frame; assets look it up with turned directions, so that rotating the World,
an object or the camera never resamples a map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ._kernels import ggx, grid
from .environment import Environment
from .progress import Progress, silent
from .surfels import RESOLUTION, Surfels

DIRECTIONS = 64  # of the hit table
SUN_DIRECTIONS = 64  # at most, drawn by the map's energy
SPOT_DIRECTIONS = 16  # of these, at most, towards its spots
SPOT = 16  # times the mean radiance; what outshines this is a spot
SPOT_SHARE = 0.01  # of the map's energy, below which spots are not worth their directions
BOUNCES = 4
AT_ONCE = 16384  # surfels whose rays are traced between two looks at progress
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def fibonacci_sphere(count: int) -> np.ndarray:
    """Evenly spread unit directions (count, 3) float32; each stands for 4 pi / count steradians."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    azimuth = i * math.pi * (1 + math.sqrt(5))
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], -1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Light:
    """A map made ready, in the map's own frame, at strength 1.

    pyramid: kernels.ggx.Pyramid. irradiance: (h, 2h, 3) E by normal. suns: (S, 3) directions drawn by energy with
    sun_weight (S, 3): sum of weight * f(direction) estimates the integral of radiance * f over the sphere.
    spots: how many of them, the last ones, stand for what is brighter than SPOT times the mean; base: the pyramid
    without that (the same one where spots is 0). mean: solid-angle mean luminance.
    """

    pyramid: object
    base: object
    irradiance: np.ndarray
    suns: np.ndarray
    sun_weight: np.ndarray
    spots: int
    mean: float


def prepare_light(environment: Environment) -> Light:
    """Everything that depends on the map alone."""
    pyramid = ggx.pyramid(environment.map)
    mean = float(ggx.solid_angle_mean(pyramid) @ LUMINANCE)
    limit = np.minimum(1, SPOT * mean / np.maximum(environment.map @ LUMINANCE, 1e-9))
    base, spots = pyramid, 0
    if limit.min() < 1:
        dimmed = ggx.pyramid(environment.map * limit[..., None])
        if ggx.solid_angle_mean(dimmed) @ LUMINANCE < (1 - SPOT_SHARE) * mean:
            base, spots = dimmed, SPOT_DIRECTIONS
    suns, weight = ggx.importance_directions(base, SUN_DIRECTIONS - spots)
    if spots:
        bright = replace(pyramid, texels=pyramid.texels - base.texels)
        suns, weight = (np.concatenate(pair) for pair in zip((suns, weight), ggx.importance_directions(bright, spots)))
    carries = weight.any(1)  # a map whose light is in few places leaves directions over
    return Light(pyramid, base, ggx.irradiance(pyramid), suns[carries], weight[carries],
                 int(carries[SUN_DIRECTIONS - spots:].sum()), mean)


@dataclass(frozen=True, eq=False)
class Transport:
    """An asset made ready: its surfels in a grid, and what each of them sees in DIRECTIONS directions.

    table: (M, DIRECTIONS) int32, the surfel hit, -1 the sky, -2 below the surfel's horizon. links: who lights whom.
    """

    surfels: Surfels
    grid: grid.Grid
    directions: np.ndarray
    table: np.ndarray
    links: grid.Links


def prepare_transport(surfels: Surfels, threads: int = 0, progress: Progress = silent) -> Transport:
    """Everything that depends on the asset alone."""
    lattice = grid.Grid(surfels.position, surfels.normal, RESOLUTION)
    directions = fibonacci_sphere(DIRECTIONS)
    table = np.empty((len(surfels), DIRECTIONS), np.int32)
    parts = lattice.parts(AT_ONCE)
    for number, index in enumerate(parts):
        progress("Light transport", number / len(parts))
        table[index] = lattice.trace_table(directions, index=index, threads=threads)
    return Transport(surfels, lattice, directions, table,
                     grid.link(table, directions, surfels.shading_normal, threads=threads))


@dataclass(frozen=True, eq=False)
class Illumination:
    """What arrives at every surfel under one light, (M, 3) float32 at strength 1.

    open: irradiance of the whole sky. direct: of the sky the surfel sees. bounced: from other surfels.
    radiosity: radiance that leaves the surfel (diffuse; metals by their F0). visibility: (M,) direct / open.
    lit: (M, light.spots) bool, which spots reach it; None where no ray went there.
    """

    open: np.ndarray
    direct: np.ndarray
    bounced: np.ndarray
    radiosity: np.ndarray
    visibility: np.ndarray
    lit: np.ndarray | None = None


def reflectance(surfels: Surfels) -> np.ndarray:
    """Hemispherical albedo (M, 3) of what a bounce leaves behind: diffuse base, or F0 of a metal."""
    dielectric = 0.94 * (1 - surfels.metallic[:, None]) + surfels.metallic[:, None]
    return np.clip(surfels.base_color * dielectric, 0, 0.98)


def illuminate(transport: Transport, light: Light, asset_to_map: np.ndarray, *, suns: bool = True,
               threads: int = 0, progress: Progress = silent) -> Illumination:
    """Diffuse light transport: visible sky, then BOUNCES rounds of gathering.

    asset_to_map: (3, 3), turns directions of the asset's frame into the map's.
    suns: trace rays towards the map's energy (sharp suns); without, the hit table alone (while a World turns).
    """
    surfels, turn = transport.surfels, asset_to_map.astype(np.float32)
    normal = surfels.shading_normal
    open_sky = ggx.irradiance_at(light.irradiance, normal @ turn.T)
    lit = None
    if suns:
        seen, whole = np.empty((2, len(surfels), 3), np.float32)
        opened = np.empty((len(surfels), len(light.suns)), bool)
        parts = transport.grid.parts(AT_ONCE)
        for number, index in enumerate(parts):
            progress("Light transport", number / len(parts))
            seen[index], whole[index], opened[index] = transport.grid.trace_sky(
                light.suns @ turn, light.sun_weight, normal[index], index=index, threads=threads)
        lit = opened[:, len(light.suns) - light.spots:] if light.spots else None
    else:
        sky = light.pyramid.sample(transport.directions @ turn.T,
                                   np.full(DIRECTIONS, math.log2(light.pyramid.height / 8), np.float32))
        seen, whole = grid.gather_sky(transport.table, transport.directions, normal, sky, threads=threads)
    direct = open_sky * np.clip(seen / np.maximum(whole, 1e-9), 0, 1)
    bounced, radiosity = grid.bounce(transport.links, direct, reflectance(surfels) / np.float32(math.pi), BOUNCES,
                                     threads=threads)
    visibility = np.clip((direct @ LUMINANCE) / np.maximum(open_sky @ LUMINANCE, 1e-9), 0, 1)
    return Illumination(open_sky, direct, bounced, radiosity, visibility, lit)

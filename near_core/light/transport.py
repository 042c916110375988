"""Light transport on an asset's own surfels: who sees the sky, who sees whom, and what a mirror would see.

Radiosity with a hit table per asset, next to filtered importance sampling of the GGX lobe per view. Light is
prepared once per map in the map's own frame; assets look it up with turned directions, so that rotating the World,
an object or the camera never resamples a map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._kernels import ggx, grid, specular
from ..asset import Surfels
from ..asset.surfels import SURFEL_RESOLUTION
from ..directions import fibonacci_sphere, unit
from ..image import luminance
from ..progress import Progress, silent
from ..scene import Camera, Environment, Lamp, Probe
from . import lamps, near
from .config import TransportConfig
from .near import Backdrop, NearLayer, NearLight

AT_ONCE = 16384  # surfels whose rays are traced between two looks at progress


@dataclass(frozen=True, eq=False)
class PreparedLight:
    """An environment made ready: all but its rotation and strength are of its map alone, in the map's own frame, at
    strength 1 (docs/conventions.md).

    environment: its map, rotation and strength.
    pyramid, base: kernels.ggx.Pyramid of the whole map, and without its spots (the same one where there are none).
    sky: of what the suns leave. irradiance, base_irradiance: of the whole and of the base by normal, one level.
    suns: (S, 3) directions with sun_weight (S, 3): sum of weight * f(direction) estimates the integral of radiance * f
    for what outshines the sky.
    spots: how many of them, the last ones, stand for spots. mean: solid-angle mean luminance, 1e-8 at least.
    limited: of the whole map, what metals show of it that are themselves mirrored.
    near: what of it stands near by; None where all of it is far.
    tokens: (T, C) float32, what a light tokenizer makes of terms.look_up_tokens; None where no network was asked.
    """

    environment: Environment
    pyramid: ggx.Pyramid
    base: ggx.Pyramid
    sky: ggx.Pyramid
    irradiance: ggx.Pyramid
    base_irradiance: ggx.Pyramid
    suns: np.ndarray
    sun_weight: np.ndarray
    spots: int
    mean: float
    limited: ggx.Pyramid
    near: NearLight | None = None
    tokens: np.ndarray | None = None

    def turn(self, environment: Environment) -> PreparedLight:
        """The same light under another rotation and strength. environment: one of the same map."""
        return replace(self, environment=environment)

    def asset_to_map(self, rotation: np.ndarray) -> np.ndarray:
        """(3, 3), turns directions of an asset's frame into the map's. rotation: (3, 3), asset frame -> world."""
        return self.environment.world_to_map @ rotation

    def join_suns(self, apart: float) -> tuple[np.ndarray, np.ndarray]:
        """Directions (R, 3) that each stand for the suns within `apart` radians of the strongest of them, and which of
        them stands for each, (S,)."""
        near, power = self.suns @ self.suns.T >= math.cos(apart), self.sun_weight.sum(1)
        np.fill_diagonal(near, True)  # lengths are rounded
        which, middle = np.full(len(power), -1), []
        for strongest in np.argsort(-power, kind="stable"):
            if which[strongest] < 0:
                group = near[strongest] & (which < 0)
                which[group] = len(middle)
                middle.append(power[group] @ self.suns[group])
        return unit(np.array(middle, np.float32).reshape(-1, 3)), which

    def find_openness(self, normal: np.ndarray) -> np.ndarray | float:
        """NearLight.find_openness, 1 where nothing is near."""
        return 1.0 if self.near is None else self.near.find_openness(np.ascontiguousarray(normal, np.float32))

    def choose(self, name: str, matrix: np.ndarray | None) -> NearLayer:
        """What rays look up: "whole", or the "base" without spots, or the "sky" without suns.

        matrix: (4, 4), of the asset that they leave; without it all light is far.
        """
        if self.near is None or matrix is None:
            return NearLayer(None, {"whole": self.pyramid, "base": self.base, "sky": self.sky}[name])
        return getattr(self.near, name).move(self.near.place(matrix))

    def look_up(self, camera: Camera) -> np.ndarray:
        """What a camera sees of the environment with nothing in front, of the map itself: the pyramid's largest level
        has a power of two of rows, and shows a small map in blocks. (H, W, 3) float32, strength applied."""
        return self.environment.look_up(camera.pixel_rays(), threads=1)


def prepare_probe(probe: Probe, world: Environment, far: Sequence[Lamp] = (),
                  config: TransportConfig = TransportConfig(), behind: Backdrop | None = None) -> PreparedLight:
    """A probe before a World, as the environment that both make together, with lamps in it that count as far. behind:
    this World, where it is known."""
    behind = behind or near.prepare_backdrop(world, probe.count_columns(world))
    light = prepare_light(lamps.add_far(probe.soften().lay_over(behind.environment), far, probe.position), config)
    spot, sun = (limit * light.mean if count else math.inf for limit, count in (
        (config.spot_radiance, light.spots), (config.sun_radiance, len(light.suns))))
    return replace(light, limited=light.pyramid, near=near.prepare(probe, behind, spot, sun, config.shadow_reach))


def take_suns(light: PreparedLight, config: TransportConfig = TransportConfig()) -> tuple[Environment, list[Lamp]]:
    """A World without its suns, and these as lamps, so that what stands around casts shadows of them. Spots that lie
    close to each other are one sun; what is wider than one, a window or a softbox, stays where it is."""
    world, count, rows = light.environment, len(light.suns) - light.spots, light.pyramid.height
    kept, base = light.pyramid.level(0).copy(), light.base.level(0)
    shining = np.nonzero((kept > base).any(-1))
    direction = ggx.compute_directions(rows)[shining]
    solid = np.sin((shining[0] + 0.5) * math.pi / rows) * (math.pi / rows) ** 2
    power = (kept[shining] - base[shining]) * solid[:, None]
    towards, found, left = light.suns[count:], [], np.ones(light.spots, bool)
    for brightest in np.argsort(-light.sun_weight[count:].sum(1)):
        group = (direction @ towards[brightest] > math.cos(config.sun_group)) & power.any(1)
        if not left[brightest] or not group.any():
            continue
        left &= towards @ towards[brightest] <= math.cos(config.sun_group)
        sun = _make_sun(direction[group], power[group], world, math.pi / rows)
        if sun.angle <= config.sun_widest:
            found.append(sun)
            power[group] = 0
            taken = tuple(each[group] for each in shining)
            kept[taken] = base[taken]
    return Environment(kept, world.world_to_map, world.strength), found


def _make_sun(direction: np.ndarray, power: np.ndarray, world: Environment, texel: float) -> Lamp:
    """Bright texels (K, 3) of a World as a lamp. power: (K, 3), their radiance times steradians. texel: radians."""
    share = power.sum(1, dtype=np.float64)
    middle = unit(share @ direction)
    away = np.arccos(np.clip(direction @ middle, -1, 1))
    order = np.argsort(away)
    half = away[order][np.searchsorted(np.cumsum(share[order]), share.sum() / 2)]  # a disc's radius over sqrt(2)
    matrix, axis = np.eye(4), middle @ world.world_to_map
    matrix[:3, 2] = axis
    matrix[:3, 0] = unit(np.cross(np.eye(3)[np.argmin(np.abs(axis))], axis))
    matrix[:3, 1] = np.cross(axis, matrix[:3, 0])
    return Lamp("sun", matrix, power.sum(0, dtype=np.float64) * world.strength,
                angle=max(float(2 * math.sqrt(2) * half), texel))


def prepare_light(environment: Environment, config: TransportConfig = TransportConfig()) -> PreparedLight:
    """Everything that depends on the map alone. 10 ms to 0.2 s, by the map's size."""
    pyramid = ggx.build_pyramid(environment.map)
    mean = max(float(luminance(ggx.average_radiance(pyramid))), 1e-8)
    base, spots, spot_weight = _split_bright(pyramid, config.spot_radiance * mean, config.least_share * mean,
                                             config.spot_directions)
    coarse = max(pyramid.height // config.sky_rows, 1).bit_length() - 1
    small = ggx.build_pyramid(np.ascontiguousarray(base.level(coarse)))
    sky, suns, weight = _split_bright(small, config.sun_radiance * mean, config.least_share * mean,
                                      config.sun_directions)
    whole = left = ggx.make_single_level(ggx.integrate_irradiance(pyramid))
    if len(spots):
        left = ggx.make_single_level(ggx.integrate_irradiance(base))
    return PreparedLight(environment, pyramid, base, sky, whole, left,
                         np.concatenate([suns, spots]), np.concatenate([weight, spot_weight]), len(spots), mean,
                         pyramid.dim(config.spot_glare * mean, config.mirror_rows) if len(spots) else pyramid)


def _split_bright(pyramid: ggx.Pyramid, limit: float, least: float,
                  count: int) -> tuple[ggx.Pyramid, np.ndarray, np.ndarray]:
    """A map dimmed to a luminance of limit, and what it loses as `count` directions (S, 3) with weights (S, 3) at most;
    the map itself and none where that is no more than `least` in the mean."""
    whole = np.ascontiguousarray(pyramid.level(0))
    dimmed = ggx.build_pyramid(whole * np.minimum(1, limit / np.maximum(luminance(whole), 1e-9))[..., None])
    bright = replace(pyramid, texels=pyramid.texels - dimmed.texels)
    if luminance(ggx.average_radiance(bright)) <= least:
        return pyramid, np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)
    directions, weight = ggx.draw_directions(bright, count)
    carries = weight.any(1)  # a map whose light is in few places leaves directions over
    return dimmed, directions[carries], weight[carries]


@dataclass(frozen=True, eq=False)
class FineGrid:
    """Finer surfels that merged ones are traced through: coarse cells cast shadows on themselves.

    grid: of the finer. heirs: (M,) int32, which of them looks for a merged one. owners: (M',) int32, the merged one
    that each belongs to.
    """

    grid: grid.Grid
    heirs: np.ndarray
    owners: np.ndarray


@dataclass(frozen=True, eq=False)
class Transport:
    """An asset made ready: its surfels in a grid, and what each of them sees in config.hit_directions directions.

    fine: what they are traced through, None where that is their own grid. words: which directions are open, as
    grid.pack_open. links: who lights whom.
    albedo: (M, 3) float32, radiance that a surfel's diffuse side sends per irradiance. mirrors: rows of
    specular.Mirrors for the surfels of `traced`, None where none is a metal. enclosed: (M,) float32, 0..1, of what a
    surfel sees, how much is other surfels' backs: it lies inside of something.
    """

    surfels: Surfels
    grid: grid.Grid
    fine: FineGrid | None
    directions: np.ndarray
    words: np.ndarray
    links: grid.Links  # type: ignore[name-defined]  # the module, not the field above
    albedo: np.ndarray
    mirrors: np.ndarray | None
    enclosed: np.ndarray
    config: TransportConfig

    @property
    def traced(self) -> grid.Grid:  # type: ignore[name-defined]
        """What rays towards light are traced through."""
        return self.fine.grid if self.fine else self.grid

    @property
    def owners(self) -> np.ndarray | None:
        """Which surfel each of those of `traced` belongs to, int32; None where they are the same."""
        return self.fine.owners if self.fine else None

    def find_origins(self, index: np.ndarray) -> np.ndarray:
        """The surfels of `traced` from which rays leave for those at index (K,), (K,) int32."""
        return np.ascontiguousarray(self.fine.heirs[index] if self.fine else index, np.int32)

    def find_mirrors(self, light: PreparedLight, matrix: np.ndarray | None, bounces: int) -> specular.Mirrors | None:
        """What rays see of metals under a light, None where there are none. matrix: as PreparedLight.choose takes it.
        bounces: as scene.Settings has them."""
        if self.mirrors is None or not bounces:
            return None
        layer = light.choose("whole", matrix)
        far = light.limited if layer.far is light.pyramid else layer.far
        return specular.Mirrors(self.mirrors, far, layer.around, self.config.mirror_bounces)

    def bounce(self, direct: np.ndarray, bounces: int, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """What arrives from other surfels where the irradiance `direct` (M, 3) arrives first, (M, 3), and the radiance
        that leaves, (M, 4) RGB0: nothing where nobody sees it. bounces: as scene.Settings has them."""
        bounced, radiosity = grid.bounce(self.links, direct, self.albedo, min(bounces, self.config.bounces),
                                         threads=threads)
        return bounced, radiosity if bounces else np.zeros_like(radiosity)

    def receive(self, radiance: np.ndarray, threads: int) -> np.ndarray:
        """Irradiance (M, 3) of what surfels send, (M, 3)."""
        white = np.full_like(radiance, 1 / math.pi)
        return grid.bounce(self.links, radiance / white, white, 1, threads=threads)[0]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (M, n) of the surfels as those of the surfels of `traced`."""
        return values.take(self.fine.owners, 0) if self.fine else values


def prepare_transport(surfels: Surfels, threads: int = 0, progress: Progress = silent,
                      config: TransportConfig = TransportConfig(), resolution: int = SURFEL_RESOLUTION,
                      fine: FineGrid | None = None) -> Transport:
    """Everything that depends on the asset alone. resolution: cells along an edge of the surfels' grid. fine: what
    merged surfels are traced through."""
    lattice = grid.Grid(surfels.position, surfels.normal, resolution)
    directions = fibonacci_sphere(config.hit_directions)
    table = np.empty((len(surfels), config.hit_directions), np.int32)
    parts = lattice.parts(AT_ONCE)
    for number, index in enumerate(parts):
        progress("Light transport", number / len(parts))
        traced, rows = (lattice, index) if fine is None else (fine.grid, fine.heirs[index])
        table[index] = traced.trace_table(directions, index=rows, threads=threads)
    words = grid.pack_open(table)
    enclosed = grid.settle(table, surfels.position, surfels.normal, directions, config.fold / resolution,
                           owners=fine and fine.owners, threads=threads)
    return Transport(surfels, lattice, fine, directions, words,
                     grid.link(table, directions, surfels.shading_normal, threads=threads),
                     compute_albedo(surfels, config) / np.float32(math.pi), describe_mirrors(surfels, fine),
                     enclosed, config)


def describe_mirrors(surfels: Surfels, fine: FineGrid | None) -> np.ndarray | None:
    """Rows of specular.Mirrors for surfels, or for those that they are traced through; None where none is a metal."""
    metallic = surfels.metallic[:, None]
    if not metallic.any():
        return None
    rows = np.concatenate([surfels.shading_normal, surfels.roughness[:, None], metallic * surfels.base_color, metallic],
                          1, dtype=np.float32)
    return rows[fine.owners] if fine else rows


@dataclass(frozen=True, eq=False)
class Illumination:
    """What arrives at every surfel under one light, (M, 3) float32 at strength 1.

    open: irradiance of the whole sky. direct: of the sky the surfel sees. bounced: from other surfels.
    radiosity: (M, 4) RGB0, radiance that leaves the surfel (diffuse; metals by their F0). visibility: (M,), direct over
    open. lit: (M, light.spots) bool, which spots reach it; None where no ray went there. bounces: how often light went
    from surface to surface; 0: nobody sees them.
    """

    open: np.ndarray
    direct: np.ndarray
    bounced: np.ndarray
    radiosity: np.ndarray
    visibility: np.ndarray
    lit: np.ndarray | None = None
    bounces: int = 4


def join(several: Sequence[Illumination]) -> Illumination:
    """Illuminations of the same M surfels one after the other, (G M, n); but radiosity is (G, M, 4)."""
    whole = {name: np.concatenate([getattr(each, name) for each in several])
             for name in ("open", "direct", "bounced", "visibility")}
    lit = None if several[0].lit is None else np.concatenate([each.lit for each in several])
    return Illumination(**whole, radiosity=np.stack([each.radiosity for each in several]), lit=lit,
                        bounces=several[0].bounces)


def compute_albedo(surfels: Surfels, config: TransportConfig = TransportConfig()) -> np.ndarray:
    """Hemispherical albedo (M, 3) of what a bounce leaves behind: diffuse base, or F0 of a metal."""
    dielectric = config.dielectric_albedo * (1 - surfels.metallic[:, None]) + surfels.metallic[:, None]
    return np.clip(surfels.base_color * dielectric, 0, config.greatest_albedo)


def illuminate(transport: Transport, light: PreparedLight, rotation: np.ndarray, matrix: np.ndarray | None = None, *,
               suns: bool = True, bounces: int = 4, threads: int = 0, progress: Progress = silent) -> Illumination:
    """Diffuse light transport: visible sky, then rounds of gathering.

    rotation: (3, 3), the asset's: asset frame -> world. matrix: (4, 4), the same with its place and size; without it
        all light is far.
    suns: trace rays towards what outshines the sky; without, the hit table alone (while a World turns). bounces: as
        scene.Settings has them.
    """
    return illuminate_all(transport, light, rotation[None], [matrix], suns=suns, bounces=bounces, threads=threads,
                          progress=progress)[0]


def illuminate_all(transport: Transport, light: PreparedLight, rotations: np.ndarray,
                   matrices: Sequence[np.ndarray | None], *, suns: bool = True, bounces: int = 4, threads: int = 0,
                   progress: Progress = silent) -> list[Illumination]:
    """The same of the asset in each of rotations (G, 3, 3), at each of G matrices."""
    turns, config = light.asset_to_map(rotations).astype(np.float32), transport.config
    sky, count = (light.sky, len(light.suns)) if suns else (light.pyramid, 0)
    shadows, which = light.join_suns(config.sun_apart * SURFEL_RESOLUTION / transport.grid.resolution)
    opened = _trace_suns(transport, (shadows[:count] @ turns).reshape(-1, 3), threads, progress)
    lod = np.full(config.hit_directions * len(turns), math.log2(sky.height / config.table_rows), np.float32)
    radiance = sky.sample((transport.directions @ turns.swapaxes(1, 2)).reshape(-1, 3), lod, threads=threads)
    radiance *= np.float32(4 * math.pi / config.hit_directions)
    made = []
    for number, (turn, seen, matrix) in enumerate(zip(turns, np.split(radiance, len(turns)), matrices)):
        towards, alone = light.suns[:count] @ turn, opened.take(which[:count] + number * len(shadows), 1)
        open_sky, direct, visibility = grid.gather_direct(
            np.concatenate([transport.directions, towards]), np.concatenate([seen, light.sun_weight[:count]]),
            transport.words, alone, transport.surfels.shading_normal,
            light.base_irradiance if count else light.irradiance, turn, apart=light.spots if count else 0,
            threads=threads)
        if light.near is not None and matrix is not None:
            layer = light.choose("sky" if suns else "whole", matrix)
            direct = np.maximum(direct + _gather_near(transport, layer, turn, threads), 0)
        bounced, radiosity = transport.bounce(direct, bounces, threads)
        lit = alone[:, count - light.spots:] if count and light.spots else None
        made.append(Illumination(open_sky, direct, bounced, radiosity, visibility, lit, bounces))
    return made


def _trace_suns(transport: Transport, towards: np.ndarray, threads: int, progress: Progress) -> np.ndarray:
    """Which surfels nothing of the asset hides from suns in directions (R, 3), asset frame. (M, R) bool."""
    opened = np.empty((len(transport.surfels), len(towards)), bool)
    parts = transport.grid.parts(AT_ONCE) if len(towards) else []
    for number, index in enumerate(parts):
        progress("Light transport", number / len(parts))
        if transport.fine is None:
            transport.grid.trace_sky(towards, opened, index=index, threads=threads)
        else:
            opened[index] = transport.fine.grid.see_sky(towards, transport.fine.heirs[index], threads=threads)
    return opened


def _gather_near(transport: Transport, layer: NearLayer, turn: np.ndarray, threads: int) -> np.ndarray:
    """By how much more arrives at every surfel, (M, 3), than if what is around were seen from the probe's place."""
    surfels, directions = transport.surfels, transport.directions
    lod = math.log2(layer.around.color.height / transport.config.table_rows)
    middle = layer.around.move(np.eye(3, 4))
    far = middle.look(layer.far, np.zeros_like(directions), directions @ turn.T,
                      np.full(len(directions), lod, np.float32), threads=threads)
    bounced = _find_bounced(directions, turn) if layer.around.mirrored is not None and layer.level else None
    return layer.around.gather(layer.far, surfels.position, surfels.shading_normal, directions, far, transport.words,
                               lod, turn, bounced=bounced, threads=threads)


def _find_bounced(directions: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """From which of the directions (D, 3) light comes to a level mirror that is seen in each, (D,) int32; -1 above."""
    seen = directions @ turn.T
    nearest = ((seen * np.float32([1, 1, -1])) @ seen.T).argmax(1)
    return np.where(seen[:, 2] < 0, nearest, -1).astype(np.int32)

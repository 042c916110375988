"""Instances that are drawn by their skins: light arrives at their surfels, the points under the pixels are shaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..asset import CELL, Surfels
from ..asset.levels import LEVELS
from ..directions import unit
from ..light import arrival, points, terms
from ..light.points import LitSurface, MetPoints, PixelPoints, Told
from ..light.terms import Shaded
from ..models.mini.layout import Term
from ..progress import Progress, part, silent
from ..scene import PARTS, Camera, Settings
from ..scene.look import PLAIN, AssetLook
from . import light_parts, passes, strips
from .config import SplattingConfig
from .moments import Blur, KnownPicture, Moment, Picture
from .parallel import parallel_map
from .pieces import Between, Edges, PlacedSkin
from .sight import SeenInstance, limit_surfels
from .skin import PreparedSkin

Radiance = Callable[[Shaded, Settings], np.ndarray]  # what shaded surfels send at strength 1, (K, 3)


@dataclass(frozen=True, eq=False)
class SkinnedInstance:
    """An instance with a skin. radiance: how its points shine by the settings. tell: what its surfels tell of the
    light. look: of the instance; number: its own, from 1. share: 0..1 of what is seen of it, before its surfels.
    channel: of its identity among the features, None without."""

    skin: PreparedSkin
    lit: LitSurface
    radiance: Radiance
    tell: Callable[[], points.Told]
    look: AssetLook = PLAIN
    number: int = 1
    share: float = 1.0
    channel: int | None = None


def measure_nearness(seen: SeenInstance, quality: str, config: SplattingConfig = SplattingConfig()) -> float:
    """How far an instance is on the way from surfels to its skin, 0..1: 1 where it is near enough. quality:
    scene.Settings.quality."""
    if quality != "final" or seen.instance.asset.skin is None:
        return 0.0
    nearer = np.log2(max(seen.pixels, 1e-9) / config.skin_cell)
    return float(np.clip(min(nearer, config.skin_level + 1 - seen.exact) / config.fade, 0, 1))


def add_skins(seen: Sequence[SeenInstance], quality: str, config: SplattingConfig = SplattingConfig()
              ) -> list[SeenInstance]:
    """The same with those that skins show, once each, lit at the level whose cells are small enough for light. On its
    way a skin first fades in before its surfels; then these, whose edges alone are seen beside it, fade away."""
    made, skinned, coarser = [], set(), _find_coarseness(seen, quality, config)
    for each in seen:
        nearness = measure_nearness(each, quality, config)
        if nearness > 0 and each.number not in skinned:
            skinned.add(each.number)
            level = int(np.clip(np.floor(each.exact + coarser), 0, LEVELS - 1))
            made.append(replace(each, level=level, share=1.0, skin=min(2 * nearness, 1)))
        if nearness <= 0.5:
            made.append(each)
        elif nearness < 1:  # a disc of share u lets (1 - opacity) ** u through
            through = 1 - config.opacity * (2 - 2 * nearness)
            made.append(replace(each, share=each.share * np.log(through) / np.log(1 - config.opacity)))
    return made


def _find_coarseness(seen: Sequence[SeenInstance], quality: str, config: SplattingConfig) -> float:
    """By how many levels light on skins is coarser, where small ones are so many that it takes long."""
    small = {each.number: each for each in seen if each.exact > 0 and measure_nearness(each, quality, config) > 0}
    pixels = np.array([each.pixels for each in small.values()])
    voxels = np.array([len(each.instance.asset.coords) for each in small.values()])
    wide = limit_surfels(pixels, voxels, config.final_cell, config.skin_surfels)
    return float(min(np.log2(wide / config.final_cell), config.skin_coarser))


def draw(instances: Sequence[SkinnedInstance], camera: Camera, channels: int, settings: Settings,
         config: SplattingConfig = SplattingConfig(), progress: Progress = silent, blur: Blur | None = None
         ) -> Iterator[Picture]:
    """Pictures, of which one is drawn: one that is sharp, or one for each moment of a blur."""
    told = parallel_map(lambda instance: instance.tell(), instances, settings.threads)
    placed = [_place(instance, around, channels, settings, camera) for instance, around in zip(instances, told)]
    if blur is None:
        yield strips.draw(placed, camera, channels, settings.threads, config, part(progress, 0.3, 1.0),
                        settings.filter_width)
        return
    image, alpha = strips.draw([replace(each, share=1.0) for each in placed], camera, channels, settings.threads,
                               config, part(progress, 0.3, 0.7), settings.filter_width)
    wide = blur.soften(image, camera, slice(passes.DEPTH + 1, passes.count_features(settings.passes)))
    seen = KnownPicture(camera, image, alpha, wide)
    for moment in blur.moments:
        progress("Drawing", 0.7)
        moved = [_move(each, instance, moment, seen, config) for each, instance in zip(placed, instances)]
        there = [each for each in moved if abs(np.linalg.det(each.matrix[:3, :3])) >= 1e-18]  # no scale through 0
        yield strips.draw_samples(there, moment.camera, channels, np.float32([moment.offset]),
                                np.ones((1, 1, 1), np.float32), settings.threads, config)


def _move(placed: PlacedSkin, instance: SkinnedInstance, moment: Moment, seen: KnownPicture, config: SplattingConfig
          ) -> PlacedSkin:
    """A skin where it is at a moment, in the colours that it had in the middle of the exposure."""
    matrix, reach = placed.matrix, config.same_point * CELL * float(np.cbrt(abs(np.linalg.det(placed.matrix[:3, :3]))))

    def look_up(points: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        world = points @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
        return seen.look_up(world, depth, reach)

    return replace(placed, matrix=moment.motions.get(instance.number, np.eye(4)) @ matrix, known=look_up)


def _place(instance: SkinnedInstance, around: Told, channels: int, settings: Settings, camera: Camera) -> PlacedSkin:
    lit = instance.lit
    cut = (camera.world_to_camera @ lit.matrix @ instance.skin.bounds.T)[2].min() <= camera.near
    rotation, covector = lit.rotation.astype(np.float32), np.linalg.inv(lit.matrix[:3, :3]).astype(np.float32)
    gain = np.float32(instance.look.gain)

    def meet(seen: PixelPoints, to_camera: np.ndarray, known: Edges | None) -> tuple[MetPoints, np.ndarray]:
        met = points.meet(lit, around, seen, np.ascontiguousarray(to_camera @ rotation), cut, known)
        return met, points.mirror_asset(lit, met, seen.pattern % len(lit.transport.surfels))

    def shade(surfels: Surfels, to_camera: np.ndarray, arrived: np.ndarray, depth: np.ndarray) -> np.ndarray:
        shaded, by_lamps = arrival.shade_points(surfels, to_camera @ rotation, arrived)
        shaded = replace(shaded, terms=terms.take_part(shaded.terms, settings.shading))
        radiance, parts = _send(instance, shaded, by_lamps, settings)
        asked = {"Normal", "Shadow"} & set(settings.passes)
        normal = unit(surfels.shading_normal @ covector) if asked else surfels.shading_normal
        open_sky = lit.light.find_openness(normal) if "Shadow" in asked else 1
        trusted = points.find_confidence(lit, surfels) if "Confidence" in settings.passes else surfels.confidence
        known = passes.pack(depth, radiance, {
            "Base Color": surfels.base_color, "Normal": normal,
            "Roughness": surfels.roughness, "Metallic": surfels.metallic, "Shadow": shaded.visibility * open_sky,
            "Confidence": trusted, "Emission": gain * surfels.glow, **parts}, settings.passes, instance.look.is_hole)
        if known.shape[1] == channels:
            return known
        features = np.zeros((len(surfels), channels), np.float32)
        features[:, :known.shape[1]] = known
        if instance.channel is not None:
            features[:, known.shape[1] + instance.channel] = 1
        return features

    return PlacedSkin(instance.skin, lit.matrix, instance.look.dress, meet, partial(arrival.light_points, lit), shade,
                      None if cut else _interpolate(lit), share=instance.share)


def _interpolate(lit: LitSurface) -> Between | None:
    """Where light on a skin may be interpolated: not that of lamps, whose shadows' edges nobody would find."""
    if lit.lamps is not None:
        return None
    config = lit.transport.config
    return Between(partial(points.find_even, config=config), partial(points.find_edges, lit), config.even_edge)


def _send(instance: SkinnedInstance, shaded: Shaded, by_lamps: np.ndarray | None, settings: Settings
          ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What points send to the camera, (K, 3), and what light_parts.split makes of it. by_lamps: as arrival.shade_points
    returns it."""
    strength, gain, parts = instance.lit.light.environment.strength, np.float32(instance.look.gain), {}
    radiance = instance.radiance(shaded, settings) * strength
    if by_lamps is not None:
        by_lamps = terms.take_part(by_lamps, settings.shading)
        radiance += by_lamps[:, Term.SKY] + by_lamps[:, Term.BOUNCED] + by_lamps[:, Term.SPECULAR]
    radiance *= gain
    if PARTS.keys() & {*settings.passes}:
        sent = shaded.terms * strength if by_lamps is None else shaded.terms * strength + by_lamps
        parts = light_parts.split(radiance, gain * sent, shaded.surfels, shaded.view, settings.passes)
    if shaded.surfels.emission is not None and settings.shading != "glossy":
        radiance += gain * shaded.surfels.emission
    return radiance, parts


def merge(one: np.ndarray, one_alpha: np.ndarray, other: np.ndarray, other_alpha: np.ndarray, reach: float = 0.0
          ) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures' features (H, W, C) and alphas (H, W) as one: at each pixel the nearer lies over the farther. reach:
    metres by which the first may be farther and still lie over the other."""
    depths = [np.where(image[..., passes.SHOWN] > 1e-4, image[..., passes.DEPTH]
                       / np.maximum(image[..., passes.SHOWN], 1e-4), np.inf) for image in (one, other)]
    first = depths[0] <= depths[1] + np.float32(reach)
    near_alpha = np.where(first, one_alpha, other_alpha)
    through, front = (1 - near_alpha)[..., None], first[..., None]
    image = np.where(front, one, other) + through * np.where(front, other, one)
    return image, near_alpha + through[..., 0] * np.where(first, other_alpha, one_alpha)

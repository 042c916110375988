"""Instances under their light on their way through a frame, and the surfels of them that are shaded together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..light import terms
from ..light.lamplight import LampLight
from ..light.shadows import Surroundings
from ..light.transport import Illumination, PreparedLight, join
from ..models.mini.layout import Term
from ..scene import Settings
from ..scene.look import AssetLook
from . import light_parts, passes
from .parallel import parallel_map
from .preparation import PreparedAsset
from .skin import PreparedSkin
from .splatting import Selection, VisibleInstance
from .surface import DecodedVoxels

AT_ONCE = 2048  # surfels shaded together: what they need stays in a core's cache
MOST = 8192  # the same of a crowd, whose portions take as long to be asked for as cores gain by their caches
PORTIONS = 64  # of a picture, about, from which on they are larger: threads still share them evenly


@dataclass(frozen=True, eq=False)
class LitInstance:
    """An instance, at one level of detail. number: its place among all, from 1. light: the World, with what the
    instance's probe shows before it. illumination: of the asset as it stands under this light; lamps: under the
    picture's lamps, None where none shine. matrix: (4, 4), rotation: (3, 3), asset frame -> world. visible: its surfels
    before the camera, None where skins are all that is drawn. pixels: how wide a cell of level 0 is. skin: what it is
    drawn by instead, or None. look: as the asset wears it already, but for exposure and opacity. surroundings: what
    casts shadows in the light of lamps. skin_share: 0..1 of what the skin shows; the rest shows the instance's surfels.
    intrinsics: what the lighting decoder is asked with, None where it is not asked. key: equal where the light on the
    asset is."""

    number: int
    asset: PreparedAsset
    light: PreparedLight
    illumination: Illumination
    lamps: LampLight | None
    matrix: np.ndarray
    rotation: np.ndarray
    visible: VisibleInstance | None
    pixels: float
    skin: PreparedSkin | None
    look: AssetLook
    surroundings: Surroundings
    skin_share: float
    intrinsics: DecodedVoxels | None
    key: Hashable


Radiance = Callable[[LitInstance, terms.Shaded, PreparedLight, Settings], np.ndarray]  # (K, 3) at strength 1


@dataclass(frozen=True, eq=False)
class Portion:
    """K surfels that are shaded together. lit: their instance, or one that stands for several of the same asset under
    the same World: its illumination is then all of theirs as transport.join makes it, its rotation (G, 3, 3), and group
    (K,) int32, ascending, says which of them each surfel is of; None where they are of one.

    index: (K,) rows of the asset. view: (K, 3), asset frame, to the camera. normal: (K, 3) shading, world. depth: (K,)
    metres before the camera. at: (K,) rows of a selection.
    """

    lit: LitInstance
    group: np.ndarray | None
    index: np.ndarray
    view: np.ndarray
    normal: np.ndarray
    depth: np.ndarray
    at: np.ndarray

    def split(self, size: int = AT_ONCE) -> Iterator[Portion]:
        """The same in portions of a size at most."""
        count = len(self.index)
        for rows in np.array_split(np.arange(count), -(-count // size)) if count > size else [slice(None)]:
            yield replace(self, group=self.group if self.group is None else self.group[rows], **{
                name: getattr(self, name)[rows] for name in ("index", "view", "normal", "depth", "at")})


def divide(lit: Sequence[LitInstance], selection: Selection, threads: int = 0) -> list[Portion]:
    """What is shaded, in portions. Instances of an asset under one World are shaded together, those that stand alike as
    one."""
    shaded = np.flatnonzero(selection.shaded)
    ends = np.searchsorted(shaded, [rows.stop for rows in selection.rows])
    alike: dict[Hashable, list[tuple[LitInstance, slice, np.ndarray]]] = {}
    for item, rows, at in zip(lit, selection.rows, np.split(shaded, ends[:-1])):
        if len(at):
            alone = item.lamps is not None or item.light.near is not None or item.intrinsics is not None
            key = id(item.asset), id(item.light), item.look.exposure, alone and (id(item.illumination), id(item.lamps))
            alike.setdefault(key, []).append((item, rows, at))
    joined = parallel_map(lambda group: _join(group, selection.projection.depth), list(alike.values()), threads)
    size = min(max(len(shaded) // PORTIONS, AT_ONCE), MOST)
    return [portion for whole in joined for portion in whole.split(size)]


def _join(group: Sequence[tuple[LitInstance, slice, np.ndarray]], depth: np.ndarray) -> Portion:
    """Instances, their rows in a selection, and which of these are shaded, as one portion. depth: of all rows."""
    standing = {id(item.illumination): item for item, _, _ in group}
    lit, several = group[0][0], len(standing) > 1
    if several:
        items = list(standing.values())
        lit = replace(lit, illumination=join([item.illumination for item in items]),
                      rotation=np.stack([item.rotation for item in items]))
    place, columns = {key: number for number, key in enumerate(standing)}, []
    for item, rows, at in sorted(group, key=lambda each: place[id(each[0].illumination)]):
        index = at - rows.start
        # rows times O are O^T d
        columns.append((np.full(len(at), place[id(item.illumination)], np.int32), index,
                        item.visible.to_camera[index] @ item.rotation.astype(np.float32),
                        item.visible.placed.shading_normal[index], depth[at], at))
    made = [np.concatenate(column) for column in zip(*columns)]
    return Portion(lit, made[0] if several else None, *made[1:])


def shade(portion: Portion, settings: Settings, rays: int, radiance: Radiance) -> tuple[np.ndarray, np.ndarray]:
    """Features (K, C), as passes.pack makes them, and how much what is in proportion to it grows with the
    base colour, (K, 3 n), as light_parts.grow says. rays: specular ones per surfel."""
    item, light = portion.lit, portion.lit.light
    transport, strength = item.asset.transport, light.environment.strength
    shaded = terms.shade(transport, item.illumination, light, item.rotation, portion.index, portion.view, rays,
                         item.matrix, threads=1, shining=item.lamps, group=portion.group)
    shaded = replace(shaded, terms=terms.take_part(shaded.terms, settings.shading))
    sum_, sent = radiance(item, shaded, light, settings) * strength, shaded.terms * strength
    if item.lamps is not None:
        by_lamps = terms.shade_lamps(transport, item.lamps, item.matrix, item.rotation, shaded)
        by_lamps = terms.take_part(by_lamps, settings.shading)
        sum_ += by_lamps[:, Term.SKY] + by_lamps[:, Term.BOUNCED] + by_lamps[:, Term.SPECULAR]
        sent += by_lamps
    surfels, gain = shaded.surfels, np.float32(item.look.gain)
    sum_, sent = sum_ * gain, sent * gain
    parts = light_parts.split(sum_, sent, surfels, portion.view, settings.passes)
    if surfels.emission is not None and settings.shading != "glossy":
        sum_ = sum_ + gain * surfels.emission
    open_sky = light.find_openness(portion.normal) if "Shadow" in settings.passes else 1
    features = passes.pack(portion.depth, sum_, {
        "Base Color": surfels.base_color, "Normal": portion.normal, "Roughness": surfels.roughness,
        "Metallic": surfels.metallic, "Shadow": shaded.visibility * open_sky, "Confidence": surfels.confidence,
        "Emission": gain * surfels.glow, **parts}, settings.passes, item.look.is_hole)
    # what is diffuse is in proportion to it; so are a metal's reflections, nearly
    colored = sent[:, Term.SKY] + sent[:, Term.BOUNCED] + surfels.metallic[:, None] * sent[:, Term.SPECULAR]
    return features, light_parts.grow(colored, parts, surfels, settings.passes)

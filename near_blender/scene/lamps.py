"""Blender's lamps as near_core's, with what their nodes, visibility and light linking say."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import scene
from . import fog, lamp_nodes

BLOCKERS = {"MESH", "CURVE", "SURFACE", "META", "FONT"}  # what casts shadows on assets
_BEYOND = 1e12  # metres: where suns are
_PIECES, _EVEN = 3, 0.1  # of an area with an image, along an edge; what differs less is even
_SAME, _MOST_GROUPS = 0.03, 8  # shares of a lamp's light that differ less are one, and how many there may be


@dataclass
class VisibleLamps:
    """The lamps that a depsgraph shows. Nothing of it is Blender's own, so that it outlives undo.

    links: beside each what it is linked to light. reached: beside each numbers of the instances that it reaches, None
    for all. bodies: what stands between. bakes: of patterns that some have not yet.
    """

    lamps: list[scene.Lamp] = field(default_factory=list)
    links: list[Linking | None] = field(default_factory=list)
    reached: list[frozenset[int] | None] = field(default_factory=list)
    bodies: list[fog.FogBody] = field(default_factory=list)
    bakes: list[lamp_nodes.PatternBake] = field(default_factory=list)

    def list_unlit(self, receiver: str, number: int = 0) -> list[int]:
        """Numbers of the lamps that light linking keeps from an object, named by its name_full, or that stand for such
        as reach other instances than that `number`."""
        return [row for row, (link, reached) in enumerate(zip(self.links, self.reached)) if
                link is not None and receiver not in link or reached is not None and number not in reached]

    def dim(self, everywhere: np.ndarray | None, places: np.ndarray) -> VisibleLamps:
        """The same as they shine through volumes on instances at places (I, 3): of each lamp one for every group of
        instances that get about as much of it. everywhere: extinction of the World's, as WorldLight.fog."""
        if not len(places) or not (self.bodies or everywhere is not None and everywhere.any()):
            return self
        left = [self._let_through(lamp, places, everywhere) for lamp in self.lamps]
        groups = _group(np.concatenate([np.empty((len(places), 0)), *left], 1))
        members = [np.flatnonzero(groups == number) for number in range(groups.max() + 1)]
        return replace(self, links=self.links * len(members),
                       lamps=[replace(lamp, color=lamp.color * share[rows].mean(0)) for rows in members
                              for lamp, share in zip(self.lamps, left)],
                       reached=[frozenset(rows.tolist()) for rows in members for _ in self.lamps])

    def _let_through(self, lamp: scene.Lamp, places: np.ndarray, everywhere: np.ndarray | None) -> np.ndarray:
        """What share of a lamp's light, (I, 3), volumes leave of it on its way to places (I, 3)."""
        ways = np.broadcast_to(lamp.matrix[:3, 2], places.shape) if lamp.kind == "sun" else lamp.position - places
        length = np.linalg.norm(ways, axis=1, keepdims=True)
        ways, length = ways / np.maximum(length, 1e-12), np.full_like(length, _BEYOND) if lamp.kind == "sun" else length
        depth = np.zeros((1, 3)) if everywhere is None else everywhere * length
        return np.exp(-sum((body.extinction * body.measure_ways(places, ways, length[:, 0])[:, None]
                            for body in self.bodies), depth))


def _group(shares: np.ndarray) -> np.ndarray:
    """Rows (I, K) that are about the same get the same number, (I,)."""
    middles, away = [0], np.abs(shares - shares[0]).max(1, initial=0)
    groups = np.zeros(len(shares), int)
    while away.max() > _SAME and len(middles) < _MOST_GROUPS:
        middles.append(int(np.argmax(away)))
        other = np.abs(shares - shares[middles[-1]]).max(1, initial=0)
        groups[other < away] = len(middles) - 1
        away = np.minimum(away, other)
    return groups


@dataclass(frozen=True)
class Linking:
    """What Blender makes of a linking collection: what it includes, or all that it does not exclude; names."""

    included: frozenset[str]
    excluded: frozenset[str]

    def __contains__(self, name: str) -> bool:
        return name in self.included or not self.included and name not in self.excluded


def collect_lamps(depsgraph: bpy.types.Depsgraph) -> VisibleLamps:
    """Every lamp that shines, instances included."""
    found = VisibleLamps(bodies=fog.collect(depsgraph))
    reader = lamp_nodes.LampReader(depsgraph.scene_eval.frame_current)
    casters = sorted({ob.original.name_full for ob in depsgraph.objects if ob.type in BLOCKERS})
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if not (instance.show_self and ob.type == "LIGHT"):
            continue
        for lamp in read_lamp(ob, np.array(instance.matrix_world, np.float64), reader):
            found.lamps.append(replace(lamp, unblocked_by=_list_unblocking(ob.original, casters), group=ob.lightgroup))
            found.links.append(read_linking(ob.original.light_linking.receiver_collection))
            found.reached.append(None)
    found.bakes = lamp_nodes.list_bakes()
    return found


def read_lamp(ob: Any, matrix: np.ndarray, reader: lamp_nodes.LampReader) -> list[scene.Lamp]:
    """The lamp ob, evaluated, as it stands at matrix (4, 4), an area with an image on its face in pieces; none where it
    sends nothing, has no area, or is a portal."""
    data = ob.data
    nodes = reader.read(data, matrix)
    color = _read_color(data) * nodes.factor
    if not getattr(data, "normalize", True):
        color = color * _measure(data, matrix)
    dark = data.type == "AREA" and (getattr(data.cycles, "is_portal", False) or not _measure(data, matrix) > 0)
    if dark or not (np.isfinite(matrix).all() and np.isfinite(color).all() and color.any()):
        return []
    lamp = scene.Lamp(
        data.type.lower(), matrix, color, radius=float(getattr(data, "shadow_soft_size", 0.0)),
        angle=float(getattr(data, "angle", 0.0)), spot_angle=float(getattr(data, "spot_size", math.pi)),
        blend=float(getattr(data, "spot_blend", 0.0)), size=_read_size(data),
        shape="ELLIPSE" if getattr(data, "shape", "") in ("DISK", "ELLIPSE") else "RECTANGLE",
        spread=float(getattr(data, "spread", math.pi)), shadow=bool(data.use_shadow),
        diffuse=float(ob.visible_diffuse), specular=float(ob.visible_glossy), pattern=nodes.pattern,
        falloff=nodes.falloff, smooth=nodes.smooth)
    return [lamp] if nodes.surface is None else divide(lamp, nodes.surface)


def divide(lamp: scene.Lamp, surface: np.ndarray) -> list[scene.Lamp]:
    """An area as rectangles that each have their part of what its face shows. surface: as LampNodes.surface."""
    if np.ptp(surface, (0, 1)).max() < _EVEN:
        return [lamp]
    (rows, columns), pieces = surface.shape[:2], []
    y, x = (1 - (np.arange(rows) + 0.5) / rows * 2)[:, None], (np.arange(columns) + 0.5) / columns * 2 - 1
    shown = (x * x + y * y <= 1) if lamp.shape == "ELLIPSE" else np.ones((rows, columns), bool)
    light = surface * (shown / shown.sum())[..., None]
    size = lamp.size[0] / _PIECES, lamp.size[1] / _PIECES
    for row, column in itertools.product(range(_PIECES), repeat=2):
        own = light[row * rows // _PIECES:(row + 1) * rows // _PIECES,
                    column * columns // _PIECES:(column + 1) * columns // _PIECES].sum((0, 1))
        if own.any():
            place = np.eye(4)
            place[:2, 3] = (column - (_PIECES - 1) / 2) * size[0], ((_PIECES - 1) / 2 - row) * size[1]
            pieces.append(replace(lamp, matrix=lamp.matrix @ place, color=lamp.color * own, size=size,
                                  shape="RECTANGLE"))
    return pieces


def _measure(data: Any, matrix: np.ndarray) -> float:
    """What a lamp's strength is multiplied with where it grows with its size: square metres, a sun's steradians."""
    if data.type == "SUN":
        return math.pi * math.sin(data.angle / 2) ** 2
    if data.type != "AREA":
        return 4 * math.pi * data.shadow_soft_size ** 2
    wide, high = _read_size(data)
    area = wide * high * float(np.linalg.norm(np.cross(matrix[:3, 0], matrix[:3, 1])))
    return area * (math.pi / 4 if data.shape in ("DISK", "ELLIPSE") else 1)


def _read_size(data: Any) -> tuple[float, float]:
    wide = float(getattr(data, "size", 0.0))
    return wide, float(data.size_y) if getattr(data, "shape", "") in ("RECTANGLE", "ELLIPSE") else wide


def _read_color(data: Any) -> np.ndarray:
    """(3,) float64, linear Rec.709: watts, or W/m2 of a sun, without what nodes make of them."""
    color = np.array(data.color, np.float64)
    if getattr(data, "use_temperature", False):
        color = color * np.array(data.temperature_color, np.float64)
    return colorspace.to_rec709(color) * data.energy * 2.0 ** getattr(data, "exposure", 0.0)


def _list_unblocking(lamp: Any, casters: list[str]) -> tuple[str, ...]:
    """Names of the objects that cast no shadow in the light of a lamp, original."""
    link = read_linking(lamp.light_linking.blocker_collection)
    return () if link is None else tuple(name for name in casters if name not in link)


def read_linking(collection: Any) -> Linking | None:
    """Of a collection, None where there is none."""
    if collection is None:
        return None
    states: dict[str, str] = {}
    for link, child in zip(collection.collection_children, collection.children):
        states |= dict.fromkeys((ob.name_full for ob in child.all_objects), link.light_linking.link_state)
    for link, each in zip(collection.collection_objects, collection.objects):
        states[each.name_full] = link.light_linking.link_state
    return Linking(*(frozenset(name for name, state in states.items() if state == kind)
                     for kind in ("INCLUDE", "EXCLUDE")))

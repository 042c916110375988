"""What modifiers, shape keys and edits make of a proxy, as copies and deformations that its asset follows.

Each vertex of a proxy knows where it rests in the asset's frame and which asset it belongs to; modifiers hand both on.
Whatever reaches the evaluated mesh is read from there: vertices that rest at the same place are copies, and the way
from rest to where they are is an affine map or a deformation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from .. import handlers, opening
from .._core import deformation, errors
from . import payload, proxy

MARGIN = 1.03  # sizes of a deformed proxy; the cube of its asset, whose surface stands off the proxy a little
SAME = 1e-5  # asset units: vertices that rest so close rest at the same place
_FEW = 0.05  # of a copy's vertices that may rest where others of it do
_LEAST_SHARE = 0.6  # of the parts of a proxy that must be left


@dataclass(frozen=True, eq=False)
class Copy:
    """One of the assets that a proxy shows. payload: which. frame: (4, 4) float64, the asset's frame -> the object's;
    with a deformation, the deformed asset's frame."""

    payload: bpy.types.Mesh
    frame: np.ndarray
    deformation: deformation.Deformation | None = None


@dataclass(frozen=True)
class Following:
    """copies: what to draw. problem: what the asset cannot follow, for the artist; "" where it follows all."""

    copies: list[Copy]
    problem: errors.Message = errors.Message("")


_problems: dict[str, errors.Message] = {}  # by an object's full name, until something changes


def find_problem(ob: Any) -> errors.Message:
    """What the asset of the evaluated proxy ob cannot follow, for a panel that is drawn again and again."""
    if ob.name_full not in _problems:
        _problems[ob.name_full] = follow(ob).problem
    return _problems[ob.name_full]


def follow(ob: Any) -> Following:
    """What the evaluated proxy ob shows."""
    own: Any = ob.original.near.asset

    def as_edited(problem: str = "") -> Following:
        return Following([Copy(own, proxy.compute_asset_matrix(ob, np.eye(4)))], errors.join(problem))

    if ob.original.mode == "EDIT":  # the evaluated mesh comes when that ends
        return as_edited()
    if not len(ob.data.vertices):  # its modifiers leave instances alone, which come by themselves
        return Following([]) if len(ob.original.data.vertices) else as_edited(errors.Message("its mesh is empty"))
    rest, now, asset = proxy.read_vertices(ob.data)
    if not len(rest):
        return as_edited(errors.Message("its modifiers make a new mesh, which is not followed"))
    if not np.isfinite(now).all():
        return as_edited(errors.Message("vertices at infinity are not followed"))
    copies, problems, numbers = [], list[str](), np.unique(asset)
    for number in numbers:
        rows = np.flatnonzero(asset == number)
        alone = number and np.count_nonzero(numbers) == 1  # whatever it says: its asset may have been exchanged
        mesh = own if alone else _find_payload(own, int(number))
        if mesh is None:
            problems.append(errors.Message("parts of another asset are not in this file") if number else
                            errors.Message("geometry that was joined to it is not drawn"))
            continue
        found, problem = _split(rest[rows], lambda rows=rows: _find_islands(ob.data)[rows])
        copies += [Copy(mesh, *_fit(rest[rows][part], now[rows][part])) for part in found]
        problems.append(problem or (_find_loss(ob, rest[rows]) if mesh == own and len(found) == 1 else ""))
    problem = errors.join(*dict.fromkeys(problems), between=", ")
    return Following(copies, problem) if copies else as_edited(problem)


def find_strangers(ob: Any) -> str:
    """What the modifiers of the evaluated object ob, which is no asset's, bring of assets."""
    if proxy.MARK in ob.data.attributes and proxy.MARK not in getattr(ob.original.data, "attributes", ()):
        return errors.Message("assets that Geometry Nodes realize are drawn as their proxies; leave them instances")
    return ""


def _find_payload(own: Any, number: int) -> Any:
    """The payload whose proxies are marked with a number; own, or another one in this file."""
    if number in (proxy.ANY, proxy.mark(payload.find_hash(own) or "")):
        return own
    return next((mesh for mesh in bpy.data.meshes if number and payload.is_payload(mesh)
                 and proxy.mark(payload.find_hash(mesh) or "") == number), None)


def _split(rest: np.ndarray, find_islands: Any) -> tuple[list[np.ndarray], str]:
    """Rows of the vertices (V, 3) that each copy has, and what cannot be told apart. find_islands: () -> (V,)."""
    place, first = _name_places(rest)
    if len(first) > (1 - _FEW) * len(rest):
        return [np.arange(len(rest))], ""
    period = int(np.flatnonzero(place == place[0])[1:2].sum())  # where the first comes the second time
    if period and len(rest) % period == 0 and (place.reshape(-1, period) == place[:period]).all():
        return list(np.arange(len(rest)).reshape(-1, period)), ""
    island = find_islands()
    copies: list[list[np.ndarray]] = []
    taken = np.zeros(len(first), bool)  # places that the last copy has
    for number in np.unique(island):
        rows = np.flatnonzero(island == number)
        if len(np.unique(place[rows])) < (1 - _FEW) * len(rows):
            return [first], errors.Message("copies that are merged with each other are not followed")
        if not copies or taken[place[rows]].mean() > _FEW:
            copies.append([])
            taken[:] = False
        copies[-1].append(rows)
        taken[place[rows]] = True
    return [np.concatenate(rows) for rows in copies], ""


def _name_places(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points rest (V,), as a number that those with the same place share, and the first row of each place."""
    cells = np.round(rest / SAME).astype(np.int64) @ (1 << 40, 1 << 20, 1)
    _, first, place = np.unique(cells, return_index=True, return_inverse=True)
    return place, first


def _find_islands(mesh: Any) -> np.ndarray:
    """(V,) a number for each vertex, the same for those that edges join."""
    edges = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", edges)
    a, b = edges.reshape(-1, 2).T
    island = np.arange(len(mesh.vertices))
    while True:
        least = np.minimum(island[a], island[b])
        lower = island.copy()
        np.minimum.at(lower, a, least)
        np.minimum.at(lower, b, least)
        lower = lower[lower]
        if (lower == island).all():
            return island
        island = lower


def _find_loss(ob: Any, rest: np.ndarray) -> str:
    """What an asset's only copy lacks, by an artist's edits or by modifiers."""
    if proxy.count_parts(rest) < _LEAST_SHARE * ob.original.data.get(proxy.PARTS, 0):
        return errors.Message("what is cut away is drawn all the same")
    return ""


def _fit(rest: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, deformation.Deformation | None]:
    """A copy's frame and deformation."""
    matrix, off = proxy.fit(rest, now)
    if off <= proxy.TOLERANCE:
        return matrix, None
    low, high = now.min(0), now.max(0)
    frame = np.diag([*np.full(3, max(MARGIN * (high - low).max(), 1e-9)), 1.0])
    frame[:3, 3] = (low + high) / 2
    posed = ((now - frame[:3, 3]) / frame[0, 0]).astype(np.float32)
    return frame, deformation.Deformation(rest.astype(np.float32), posed)


@bpy.app.handlers.persistent
def _on_change(*_: Any) -> None:
    _problems.clear()


_HANDLERS = {"depsgraph_update_post": _on_change, "frame_change_post": _on_change}


def register() -> None:
    opening.add(_problems.clear)
    handlers.add(_HANDLERS)


def unregister() -> None:
    handlers.remove(_HANDLERS)
    opening.remove(_problems.clear)

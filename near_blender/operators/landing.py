"""Where in the scene an asset lands, and how large it is then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty
from bpy_extras import view3d_utils
from mathutils import Matrix, Vector

APART = 1.25  # widths between the middles of neighbours
FARTHEST = 1000.0  # metres from the viewer: ground that lies beyond is not meant


@dataclass(frozen=True)
class Landing:
    """point: what the middle of the asset's underside stands on, world. size: metres along its longest side."""

    point: tuple[float, float, float]
    size: float


class SizeOption:
    """A property for operators that make assets of what has no size."""

    size: FloatProperty(
        name="Size", subtype="DISTANCE", default=1.0, min=1e-4, soft_max=10, max=1e4,
        description="Length of the asset's longest side, where no mesh tells it. The last one is remembered")


class PlacementOption:
    """A property for operators that make assets of what stands in the scene."""

    placement: EnumProperty(
        name="Placement", default="REPLACE",
        items=[("REPLACE", "Replace", "The asset stands where its source does, which is hidden"),
               ("BESIDE", "Beside", "The asset stands to the right of its source, which stays as it is")],
        description="Where the asset goes")


def find_point(context: bpy.types.Context, event: Any = None) -> tuple[float, float, float]:
    """What is under the mouse of an event in a 3D viewport, an object or the ground; else the 3D cursor."""
    region, window = context.region, context.region_data
    point: Any = context.scene.cursor.location
    if event is None or region is None or window is None or region.type != "WINDOW":
        return tuple(point)
    at = event.mouse_x - region.x, event.mouse_y - region.y
    start: Any = view3d_utils.region_2d_to_origin_3d(region, window, at)
    along: Any = view3d_utils.region_2d_to_vector_3d(region, window, at)
    hit, place, *_ = context.scene.ray_cast(context.evaluated_depsgraph_get(), start, along)
    if hit:
        point = place
        return tuple(point)
    far = -start.z / along.z if abs(along.z) > 1e-6 else -1.0
    ground = start + far * along
    viewer: Any = window.view_matrix.inverted_safe().translation  # rays of orthographic views start far behind it
    return tuple(ground if far > 0 and (ground - viewer).length < FARTHEST else point)


def line_up(objects: Sequence[bpy.types.Object], point: tuple[float, float, float] | None) -> None:
    """Has assets' new objects keep their sizes and stand side by side along X, the first one on a point; without one
    around the 3D cursor, where they are."""
    x, before = 0.0, 0.0
    for ob in objects:
        sides: Any = ob.dimensions
        wide = sides[0]
        x += APART * (before + wide) / 2 * (before > 0)
        before = wide
        if point is not None:
            land(ob, Landing((point[0] + x, point[1], point[2]), max(sides)))
        else:
            ob.location.x += x


def land(ob: bpy.types.Object, landing: Landing) -> None:
    """Scales and moves an asset's new object, which is not turned."""
    data: Any = ob.data
    places = np.empty(3 * len(data.vertices), np.float32)
    data.vertices.foreach_get("co", places)
    if not len(places):
        return
    low, high = places.reshape(-1, 3).min(0).astype(float), places.reshape(-1, 3).max(0).astype(float)
    scale = landing.size / max(float((high - low).max()), 1e-9)
    ob.scale = (scale,) * 3
    ob.location = Vector(landing.point) - scale * Vector(((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]))


def stand(ob: bpy.types.Object, frame: Sequence[float]) -> None:
    """Has an asset's new object stand where cameras saw it. frame: as of follow."""
    ob.matrix_world = _stand(frame)


def follow(ob: bpy.types.Object, before: Sequence[float], now: Sequence[float]) -> None:
    """Has an asset's object, whose asset was made again, stand where cameras see that now; what an artist has moved
    since stays moved. before, now: the cubes of both assets in the world of the cameras, middle and edge; an edge of 0
    where no camera saw it."""
    if before[3]:
        ob.matrix_world = ob.matrix_world @ _stand(before).inverted() @ _stand(now)
    else:
        ob.matrix_world = _stand(now)


def _stand(frame: Sequence[float]) -> Matrix:
    """From a cube of edge 1 around the origin to one in the world."""
    return Matrix.LocRotScale(Vector(frame[:3]), None, Vector((frame[3],) * 3))

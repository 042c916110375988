"""What a part of a picture shows of a skin: points under its pixels, and what they look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from .._kernels import corners, smooth, triangles
from ..asset import Surfels
from ..light.points import MetPoints
from ..light.shadows import Feet
from ..light.spots import SIDE
from ..progress import Progress, part
from ..scene import Camera
from .config import SplattingConfig
from .parallel import parallel_map
from .skin import PreparedSkin, describe_points

AT_ONCE = 32768  # points shaded together: each part costs a millisecond of Python
SHARES = 16  # of a skin's points that threads take, where that leaves half as many to each


@dataclass(frozen=True, eq=False)
class Between:
    """Where what arrives at points may be interpolated. find_even: points, a pixel's edge at each and by how much its
    normals turn -> how many pixels may lie between those that stand for others, (K,) uint8. find_edges: points that
    were met -> what jumps where it may not, (K, P) float32, by `edge` at most."""

    find_even: Callable[[Surfels, np.ndarray, np.ndarray], np.ndarray]
    find_edges: Callable[[MetPoints], np.ndarray]
    edge: float


@dataclass(frozen=True, eq=False)
class PlacedSkin:
    """A skin in the world. matrix: (4, 4) float64, asset frame -> world. dress: its points in their look. meet: what K
    of its points are told and mirror of the asset, with noise: their surfels, directions to the camera (K, 3) in the
    world, key (K,), pattern (K,) and a pixel's edge at each (K,), what finds where they touch the skin, which point
    speaks for each (K,), by how much a pixel's normals turn (K,), as points.meet takes it, at the corner of how large a
    tile each stands for others (K,) -> MetPoints, (K, n). light:
    these, the latter without noise -> what arrives, (K, n). shade: what they look like: their surfels, directions to
    the camera, what arrives, depth (K,) -> features (K, C), as passes.pack makes them. between: None where all of its
    points are worked out. known: of K points of an opaque skin, asset frame, and their depth, the features where they
    are known, and whether they are, (K,) bool. share: 0..1 of what is seen of it; its inside is not seen through it."""

    prepared: PreparedSkin
    matrix: np.ndarray
    dress: Callable[[Surfels], Surfels]
    meet: Callable[[Surfels, np.ndarray, np.ndarray, np.ndarray, np.ndarray, Callable[[], Feet], np.ndarray,
                    np.ndarray, np.ndarray], tuple[MetPoints, np.ndarray]]
    light: Callable[[MetPoints, np.ndarray], np.ndarray]
    shade: Callable[[Surfels, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    between: Between | None = None
    known: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    share: float = 1.0

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self.matrix)

    def eye(self, camera: Camera) -> np.ndarray:
        """(4,) float64: where the camera is, asset frame, and 1; the direction to it and 0 where it is orthographic."""
        inverse = self._inverse
        if camera.orthographic:
            return np.append(-inverse[:3, :3] @ camera.forward, 0)
        return np.append(inverse[:3, :3] @ camera.position + inverse[:3, 3], 1)

    def look_back(self, position: np.ndarray, camera: Camera) -> np.ndarray:
        """Directions to the camera (K, 3), world, from points of the asset's frame."""
        return camera.directions_to(
            position @ self.matrix[:3, :3].T.astype(np.float32) + self.matrix[:3, 3].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Strip:
    """A part of a picture while skins are added to it. image (H, W, C), premultiplied, and alpha (H, W): what is there
    so far. weight: as strips.draw_samples takes it. lens: what both of the triangles' kernels are told."""

    camera: Camera
    image: np.ndarray
    alpha: np.ndarray
    weight: np.ndarray
    lens: dict
    config: SplattingConfig
    progress: Progress

    def take(self, box: tuple[slice, slice]) -> Strip:
        """The part of it in those rows and columns, which is the same memory."""
        rows, columns = box
        camera = self.camera.crop(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        return replace(self, camera=camera, image=self.image[box], alpha=self.alpha[box])


@dataclass(frozen=True, eq=False)
class Piece:
    """What a strip shows of one skin. box: of the strip, where it is; strip: that alone; through: (H, W, S) of these,
    what each sample weighs, None where all weigh 1. points: K of them; size: (K,) of a pixel's edge at each, asset
    units. known: what PlacedSkin's says of these points, None where all are to be shaded."""

    skin: PlacedSkin
    box: tuple[slice, slice]
    strip: Strip
    through: np.ndarray | None
    points: triangles.Points
    size: np.ndarray
    known: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def fresh(self) -> Piece:
        """The same with the points alone that are to be shaded."""
        if self.known is None:
            return self
        new = np.flatnonzero(~self.known[1])
        return replace(self, points=self.points.take(new), size=self.size[new], known=None)

    @property
    def start(self) -> tuple[int, int]:
        """Column and row at which its picture's own begin."""
        left, top = np.round((self.strip.camera.frame or (0, 0))[:2]).astype(int)
        return int(left), int(top)

    def add(self, features: np.ndarray, opacity: np.ndarray, left: np.ndarray | None) -> None:
        """Adds it to the strip: features (N, C) and opacity (N,) of the N points that were shaded. `left` (H, W, S), of
        the whole strip, becomes what goes through its samples; None where nothing is transparent."""
        if self.known is not None:
            whole, found = self.known
            whole[~found], shaded, opacity = features, opacity, np.ones(len(found), np.float32)
            features, opacity[~found] = np.ascontiguousarray(whole), shaded
        strip = self.strip
        image, alpha = np.ascontiguousarray(strip.image), np.ascontiguousarray(strip.alpha)
        triangles.resolve(self.points, features, opacity * np.float32(self.skin.share), strip.weight, self.through,
                          image, alpha, threads=strip.lens["threads"])
        if image is not strip.image:
            strip.image[:], strip.alpha[:] = image, alpha
        if left is not None and self.skin.prepared.transparent:
            shown = self.points.owner >= 0
            before = 1 if self.through is None else self.through[shown]
            left[self.box][shown] = before * (1 - opacity[self.points.owner[shown]])


class _Shading:
    """A piece while its points are shaded. surfels: all K of them. corners: which of them lie between others, None
    where none do. met: parts of those that are worked out, N of them. rows: (N,), which these are, one part after the
    other; place: (K,) int32, the reverse. mirrored, arrived: (N, n) of these."""

    def __init__(self, piece: Piece, threads: int):
        self.piece, self.threads = piece, threads
        skin, points, camera = piece.skin, piece.points, piece.strip.camera
        self.surfels = skin.dress(describe_points(skin.prepared, points, piece.size, skin.eye(camera),
                                                  piece.strip.config, threads))
        self.turned = 1 - np.sqrt(np.einsum("kc,kc->k", points.normal, points.normal))
        self.corners = self._find_corners()
        self.edge = np.zeros(len(points), np.uint8) if self.corners is None else self.corners.edge
        self.met: list[MetPoints] = []
        self.rows, self.place = np.empty(0, int), np.empty(len(points), np.int32)
        self.mirrored = self.arrived = np.empty((0, 0), np.float32)

    def _find_corners(self) -> corners.Corners | None:
        piece, surfels, between = self.piece, self.surfels, self.piece.skin.between
        even = None if between is None else between.find_even(surfels, piece.size, self.turned)
        tiles, camera = piece.strip.config.skin_tiles, piece.strip.camera
        if even is None or not even.any() or not tiles:
            return None
        return corners.find(piece.points.pixel, surfels.position, surfels.normal, surfels.shading_normal,
                            surfels.roughness, piece.size, even, camera.width, camera.height, piece.start,
                            tiles, threads=self.threads)

    def choose(self) -> np.ndarray:
        """The rows that are to be worked out: what lies between no others."""
        return np.arange(len(self.surfels)) if self.corners is None else self.corners.own

    def meet(self, rows: np.ndarray) -> tuple[np.ndarray, MetPoints, np.ndarray]:
        """Those rows, what these of its points are told and mirror, as PlacedSkin.meet."""
        piece, skin, camera = self.piece, self.piece.skin, self.piece.strip.camera
        chosen, size, config = piece.points.take(rows), piece.size[rows], piece.strip.config
        left, top = piece.start  # windows of a picture send the same rays
        across, down = chosen.pixel % camera.width - left, chosen.pixel // camera.width - top
        pattern, edge = (across % SIDE + SIDE * (down % SIDE)).astype(np.int32), self.edge[rows]
        step = np.maximum(edge, 1)  # those that others lie between are averaged over such
        key = (across // step % SIDE + SIDE * (down // step % SIDE)).astype(np.int32)
        met, mirrored = skin.meet(self.surfels.take(rows), skin.look_back(chosen.position, camera), key, pattern, size,
                                  partial(skin.prepared.find_feet, chosen),
                                  _find_leads(across, down, chosen, config.skin_alike * size), self.turned[rows], edge)
        return rows, met, mirrored

    def keep(self, made: Sequence[tuple[np.ndarray, MetPoints, np.ndarray]]) -> None:
        """Keeps what was met."""
        if not made:
            return
        new, first = np.concatenate([rows for rows, _, _ in made]), len(self.rows)
        self.rows = np.concatenate([self.rows, new])
        self.place[new] = np.arange(first, first + len(new), dtype=np.int32)
        self.met += [met for _, met, _ in made]
        self.mirrored = np.concatenate(([self.mirrored] if first else []) + [mirrored for _, _, mirrored in made])

    def settle(self) -> np.ndarray:
        """The rows that are to be worked out as well, as something jumps between their corners."""
        if self.corners is None or not self.met:
            return np.empty(0, int)
        between = self.piece.skin.between
        edges = np.concatenate([between.find_edges(met) for met in self.met])
        self.corners.settle(self.place, edges, between.edge, self.threads)
        return np.setdiff1d(self.corners.own, self.rows, assume_unique=True)

    def smooth(self) -> None:
        """Takes the noise of few rays from what its points mirror of the asset."""
        if not self.mirrored.any():
            return
        camera, config, pixel = self.piece.strip.camera, self.piece.strip.config, self.piece.points.pixel
        first, mirrors = 0, []
        for met in self.met:
            mirrors.append(met.mirrors_as + first)
            first += len(met.mirrors_as)
        own = self.choose()
        order, rank = self.place[own], np.empty(len(own), np.int32)
        rank[order] = np.arange(len(own), dtype=np.int32)
        self._average(own, pixel.take(own), camera.width, camera.height, 1, config.smooth_reach,
                      rank[np.concatenate(mirrors)[order]])
        if self.corners is None:
            return
        tile, (left, top) = max(config.skin_tiles), self.piece.start
        apart = np.flatnonzero(self.edge == tile)  # too far from each other to have been averaged
        column, line = ((at - start % tile) // tile for at, start in (
            (pixel.take(apart) % camera.width, left), (pixel.take(apart) // camera.width, top)))
        wide, tall = camera.width // tile + 1, camera.height // tile + 1
        if len(apart):
            self._average(apart, line * wide + column, wide, tall, tile, config.tile_reach, None)

    def _average(self, rows: np.ndarray, pixel: np.ndarray, width: int, height: int, edge: int, reach: int,
                 lead: np.ndarray | None) -> None:
        """Means of what some points mirror over those around, in a picture whose pixels are `edge` times as large."""
        surfels, place = self.surfels, self.place[rows]
        self.mirrored[place] = smooth.smooth(
            self.mirrored.take(place, 0), pixel.astype(np.int32), surfels.position.take(rows, 0),
            surfels.normal.take(rows, 0), surfels.shading_normal.take(rows, 0), surfels.roughness.take(rows),
            self.piece.size.take(rows) * np.float32(edge), width, height, lead=lead, reach=reach,
            threads=self.threads)

    def light(self) -> list[Callable[[], np.ndarray]]:
        """Calls that work out what arrives at each part of what was met."""
        ends = np.cumsum([0, *(len(met.size) for met in self.met)])
        return [partial(self.piece.skin.light, met, self.mirrored[start:end])
                for met, start, end in zip(self.met, ends[:-1], ends[1:])]

    def shade(self, rows: slice) -> np.ndarray:
        """Features of some points."""
        skin, points = self.piece.skin, self.piece.points
        arrived = (self.arrived.take(self.place[rows], 0) if self.corners is None
                   else self.corners.blend(self.place, self.arrived, rows, 1))
        return skin.shade(self.surfels.take(rows), skin.look_back(points.position[rows], self.piece.strip.camera),
                          arrived, points.depth[rows])


def _divide(rows: np.ndarray) -> list[np.ndarray]:
    """Rows in parts, an even number of them where there are several."""
    count = max(-(-len(rows) // AT_ONCE), min(-(-2 * len(rows) // AT_ONCE), SHARES))
    return np.array_split(rows, count + (count > 1 and count % 2)) if count else []


def _find_leads(across: np.ndarray, down: np.ndarray, points: triangles.Points, reach: np.ndarray) -> np.ndarray:
    """Of K points at these columns and rows of a picture, (K,) int: the upper left one of two by two pixels that show
    one surface alone, no farther away than reach (K,), asset units, else the point itself."""
    column, line = across >> 1, down >> 1
    tile = (line - line.min()) * (np.ptp(column) + 1) + column - column.min()
    upper, first = np.flatnonzero((across | down) % 2 == 0), np.full(tile.max() + 1, -1)
    first[tile[upper]] = upper
    lead = first[tile]
    apart = points.position - points.position.take(lead, 0)
    alike = (lead >= 0) & (np.bincount(tile)[tile] <= 4)
    alike &= np.einsum("kc,kc->k", apart, apart) < reach**2
    return np.where(alike, lead, np.arange(len(reach)))


def shade(pieces: Sequence[Piece], strip: Strip) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features (K, C) and opacity (K,) of each piece's points; the pieces of many skins keep all threads busy."""
    threads, progress = strip.lens["threads"], strip.progress
    alone = 1 if len(pieces) > 1 else threads
    shadings = parallel_map(lambda piece: _Shading(piece, alone), pieces, threads)

    def meet(wanted: Sequence[np.ndarray], begin: float, end: float) -> None:
        parts = [(each, rows) for each, own in zip(shadings, wanted) for rows in _divide(own)]
        met = parallel_map(lambda one: one[0].meet(one[1]), parts, threads, "Drawing", part(progress, begin, end))
        for each in shadings:
            each.keep([made for (owner, _), made in zip(parts, met) if owner is each])

    meet([each.choose() for each in shadings], 0.0, 0.4)
    meet(parallel_map(_Shading.settle, shadings, threads), 0.4, 0.6)
    parallel_map(_Shading.smooth, shadings, threads)
    return _finish(shadings, strip)


def _finish(shadings: Sequence[_Shading], strip: Strip) -> list[tuple[np.ndarray, np.ndarray]]:
    threads, progress = strip.lens["threads"], strip.progress
    lights = [(each, light) for each in shadings for light in each.light()]
    arrived = parallel_map(lambda one: one[1](), lights, threads)
    for each in shadings:
        each.arrived = np.concatenate([made for (owner, _), made in zip(lights, arrived) if owner is each] or
                                      [each.arrived])
    features = [np.empty((len(each.surfels), strip.image.shape[2]), np.float32) for each in shadings]
    parts = [(number, slice(rows[0], rows[-1] + 1)) for number, each in enumerate(shadings)
             for rows in _divide(np.arange(len(each.surfels)))]

    def shade_part(one: tuple[int, slice]) -> None:
        number, rows = one
        features[number][rows] = shadings[number].shade(rows)

    parallel_map(shade_part, parts, threads, "Drawing", part(progress, 0.6, 1.0))
    return [(made, each.surfels.opacity) for made, each in zip(features, shadings)]

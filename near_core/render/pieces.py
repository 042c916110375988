"""What a part of a picture shows of a skin: points under its pixels, and what they look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from .._kernels import corners, smooth, triangles
from ..asset import Surfels
from ..light.points import MetPoints, PixelPoints
from ..light.spots import SIDE
from ..progress import Progress, part
from ..scene import Camera
from .config import SplattingConfig
from .parallel import parallel_map
from .skin import PreparedSkin, describe_points

AT_ONCE = 32768  # points shaded together: each part costs a millisecond of Python
SHARES = 16  # of a skin's points that threads take, where that leaves half as many to each
Edges = tuple[np.ndarray, np.ndarray]  # as Between.find_edges makes them
Arriving = Callable[[np.ndarray], np.ndarray]  # what points mirror of the asset, without noise -> what arrives, (K, n)


@dataclass(frozen=True, eq=False)
class Between:
    """Where what arrives at points may be interpolated. find_even: points, a pixel's edge at each and by how much its
    normals turn -> which may stand for others, (K,) bool. find_edges: points that were met -> what jumps where it may
    not, by `edge` at most, and what is interpolated of it elsewhere, (K, P) float32 each."""

    find_even: Callable[[Surfels, np.ndarray, np.ndarray], np.ndarray]
    find_edges: Callable[[MetPoints], Edges]
    edge: float


@dataclass(frozen=True, eq=False)
class PlacedSkin:
    """A skin in the world. matrix: (4, 4) float64, asset frame -> world. dress: its points in their look. meet: what K
    of its points are told and mirror of the asset, with noise: the points, directions to the camera (K, 3) in the
    world, where edges lie around, as points.meet takes them -> MetPoints, (K, n). light: the former -> what arrives,
    once the latter has no noise. shade: what they look like: their surfels, directions to the camera, what arrives,
    depth (K,) -> features (K, C), as passes.pack makes them. between: None where all of its points are worked out.
    known: of K points of an opaque skin, asset frame, and their depth, the features where they are known, and whether
    they are, (K,) bool. share: 0..1 of what is seen of it; its inside is not seen through it."""

    prepared: PreparedSkin
    matrix: np.ndarray
    dress: Callable[[Surfels], Surfels]
    meet: Callable[[PixelPoints, np.ndarray, Edges | None], tuple[MetPoints, np.ndarray]]
    light: Callable[[MetPoints], Arriving]
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


@dataclass(eq=False)
class _Part:
    """Points of a piece that are worked out together: which, (K,), what they are told and mirror, as PlacedSkin.meet
    says; the edges there, None where nobody asks; what arrives, None until it was asked."""

    rows: np.ndarray
    met: MetPoints
    mirrored: np.ndarray
    edges: Edges | None
    arriving: Arriving | None = None


class _Shading:
    """A piece while its points are shaded. surfels: all K of them. corners: which of them lie between others, None
    where none do. parts: of those that are worked out, N of them, one after the other; place: (K,) int32, where each of
    them is among these. edges: as Between.find_edges makes them, of the first parts. mirrored, arrived: (N, n) of
    all."""

    def __init__(self, piece: Piece, threads: int):
        self.piece, self.threads = piece, threads
        skin, points, camera = piece.skin, piece.points, piece.strip.camera
        self.surfels = skin.dress(describe_points(skin.prepared, points, piece.size, skin.eye(camera),
                                                  piece.strip.config, threads))
        self.turned = np.empty(len(points), np.float32)
        self.corners = self._find_corners()
        self.stands = np.zeros(len(points), bool) if self.corners is None else self.corners.stands
        self.parts: list[_Part] = []
        self.place, self.count = np.empty(len(points), np.int32), 0
        self.edges: Edges = (np.empty((0, 0), np.float32),) * 2
        self.mirrored = self.arrived = np.empty((0, 0), np.float32)

    def _find_corners(self) -> corners.Corners | None:
        piece, surfels, between = self.piece, self.surfels, self.piece.skin.between
        even = np.zeros(len(surfels), bool)

        def look(rows: slice) -> None:
            normal = piece.points.normal[rows]
            self.turned[rows] = 1 - np.sqrt(np.einsum("kc,kc->k", normal, normal))
            if between is not None:
                even[rows] = between.find_even(surfels.take(rows), piece.size[rows], self.turned[rows])

        parallel_map(look, _slice(len(surfels)), self.threads)
        if not even.any():
            return None
        camera = piece.strip.camera
        return corners.find(piece.points.pixel, surfels.position, surfels.normal, surfels.shading_normal,
                            surfels.roughness, piece.size, even, camera.width, camera.height, piece.start,
                            threads=self.threads)

    def choose(self) -> np.ndarray:
        """The rows that are to be worked out: what lies between no others."""
        return np.arange(len(self.surfels)) if self.corners is None else self.corners.own

    def meet(self, rows: np.ndarray, around: np.ndarray | None = None) -> _Part:
        """Some rows worked out. around: (K, 4), the corners between which something jumps."""
        piece, skin, camera = self.piece, self.piece.skin, self.piece.strip.camera
        chosen, size, config = piece.points.take(rows), piece.size[rows], piece.strip.config
        left, top = piece.start  # windows of a picture send the same rays
        across, down = chosen.pixel % camera.width - left, chosen.pixel // camera.width - top
        stands = self.stands[rows]  # they have other rays than such around them
        step = np.where(stands, corners.APART, 1)
        seen = PixelPoints(
            points=self.surfels.take(rows), size=size, find_feet=partial(skin.prepared.find_feet, chosen),
            lead=_find_leads(across, down, chosen, config.skin_alike * size), turned=self.turned[rows], stands=stands,
            pattern=(across // step % SIDE + SIDE * (down // step % SIDE)).astype(np.int32))
        met, mirrored = skin.meet(seen, skin.look_back(chosen.position, camera),
                                  None if around is None else self._look_around(chosen.pixel, around))
        part = _Part(rows, met, mirrored, None)
        if self.corners is None or around is not None:
            self.light(part)
        else:
            part.edges = skin.between.find_edges(met)
        return part

    def _look_around(self, pixel: np.ndarray, around: np.ndarray) -> Edges:
        """Of points at these pixels, between corners (K, 4): what jumps there, (K, P) bool, and, where it does not,
        what lies between."""
        jumps, values = (each.take(self.place.take(around), 0) for each in self.edges)
        where = self.piece.points.pixel.take(around)
        u, v = (_find_share(at(pixel), at(where[:, 0]), at(where[:, 3])) for at in (
            lambda each: each % self.piece.strip.camera.width, lambda each: each // self.piece.strip.camera.width))
        share = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], 1)
        return np.ptp(jumps, 1) >= np.float32(self.piece.skin.between.edge), np.einsum("kc,kcp->kp", share, values)

    def light(self, part: _Part) -> None:
        """Works out what arrives at a part."""
        part.arriving = self.piece.skin.light(part.met)

    def keep(self, made: Sequence[_Part]) -> None:
        """Keeps parts that were met."""
        for each in made:
            self.place[each.rows] = np.arange(self.count, self.count + len(each.rows), dtype=np.int32)
            self.count += len(each.rows)
        self.parts += made

    def settle(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows that are to be worked out as well, as something jumps between their corners, (R, 4)."""
        if self.corners is None or not self.parts:
            return np.empty(0, int), np.empty((0, 4), np.int32)
        jumps, values = zip(*(part.edges for part in self.parts))
        self.edges = np.concatenate(jumps), np.concatenate(values)
        return self.corners.settle(self.place, self.edges[0], self.piece.skin.between.edge, self.threads)

    def smooth(self) -> None:
        """Takes the noise of few rays from what its points mirror of the asset."""
        self.mirrored = np.concatenate([part.mirrored for part in self.parts] or [self.mirrored])
        if not self.mirrored.any():
            return
        camera, config, pixel = self.piece.strip.camera, self.piece.strip.config, self.piece.points.pixel
        first, mirrors = 0, []
        for each in self.parts:
            mirrors.append(each.met.mirrors_as + first)
            first += len(each.rows)
        own = self.choose()
        order, rank = self.place[own], np.empty(len(own), np.int32)
        rank[order] = np.arange(len(own), dtype=np.int32)
        self._average(own, pixel.take(own), camera.width, camera.height, 1, config.smooth_reach,
                      rank[np.concatenate(mirrors)[order]])
        if self.stands.any():  # fewer of them have been averaged than of points side by side
            self._average_corners(config.corner_reach)

    def _average_corners(self, reach: int) -> None:
        """The same of corners of tiles, over others around."""
        rows, camera, tile = np.flatnonzero(self.stands), self.piece.strip.camera, corners.APART
        pixel, wide, tall = self.piece.points.pixel.take(rows), camera.width // tile + 1, camera.height // tile + 1
        column, line = ((at - start % tile) // tile for at, start in zip(
            (pixel % camera.width, pixel // camera.width), self.piece.start))
        self._average(rows, line * wide + column, wide, tall, tile, reach, None)

    def _average(self, rows: np.ndarray, pixel: np.ndarray, width: int, height: int, edge: int, reach: int,
                 lead: np.ndarray | None) -> None:
        """Means of what some points mirror over those around, in a picture whose pixels are `edge` times as large."""
        surfels, place = self.surfels, self.place[rows]
        self.mirrored[place] = smooth.smooth(
            self.mirrored.take(place, 0), pixel.astype(np.int32), surfels.position.take(rows, 0),
            surfels.normal.take(rows, 0), surfels.shading_normal.take(rows, 0), surfels.roughness.take(rows),
            self.piece.size.take(rows) * np.float32(edge), width, height, lead=lead, reach=reach,
            threads=self.threads)

    def arrive(self) -> list[Callable[[], np.ndarray]]:
        """Calls that say what arrives at each part."""
        ends = np.cumsum([0, *(len(part.rows) for part in self.parts)])
        return [partial(part.arriving, self.mirrored[start:end])
                for part, start, end in zip(self.parts, ends[:-1], ends[1:])]

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


def _slice(count: int) -> list[slice]:
    """The same of all of so many rows, as slices."""
    ends = np.cumsum([0, *map(len, _divide(np.arange(count)))])
    return [slice(start, end) for start, end in zip(ends[:-1], ends[1:])]


def _find_share(at: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """How far on the way from first to last something is, 0 where there is none. (K,) float32."""
    return ((at - first) / np.maximum(last - first, 1)).astype(np.float32)


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

    def run(tasks: Sequence[tuple[_Shading, Callable[[], _Part]]], begin: float, end: float) -> None:
        made = parallel_map(lambda task: task[1](), tasks, threads, "Drawing", part(progress, begin, end))
        for each in shadings:
            each.keep([new for (owner, _), new in zip(tasks, made) if owner is each and new is not None])

    run([(each, partial(each.meet, rows)) for each in shadings for rows in _divide(each.choose())], 0.0, 0.4)
    settled = parallel_map(_Shading.settle, shadings, threads)
    second = [(each, partial(each.meet, rows.take(some), around.take(some, 0)))
              for each, (rows, around) in zip(shadings, settled) for some in _divide(np.arange(len(rows)))]
    # light at the first ones keeps threads busy that have no part of the second
    run(second + [(each, partial(each.light, part)) for each in shadings for part in each.parts
                  if part.arriving is None], 0.4, 0.7)
    parallel_map(_Shading.smooth, shadings, threads)
    return _finish(shadings, strip)


def _finish(shadings: Sequence[_Shading], strip: Strip) -> list[tuple[np.ndarray, np.ndarray]]:
    threads, progress = strip.lens["threads"], strip.progress
    calls = [(each, call) for each in shadings for call in each.arrive()]
    arrived = parallel_map(lambda one: one[1](), calls, threads)
    for each in shadings:
        each.arrived = np.concatenate([made for (owner, _), made in zip(calls, arrived) if owner is each] or
                                      [each.arrived])
    features = [np.empty((len(each.surfels), strip.image.shape[2]), np.float32) for each in shadings]
    parts = [(number, rows) for number, each in enumerate(shadings) for rows in _slice(len(each.surfels))]

    def shade_part(one: tuple[int, slice]) -> None:
        number, rows = one
        features[number][rows] = shadings[number].shade(rows)

    parallel_map(shade_part, parts, threads, "Drawing", part(progress, 0.7, 1.0))
    return [(made, each.surfels.opacity) for made, each in zip(features, shadings)]

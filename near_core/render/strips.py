"""Skins in a picture: triangles on its samples, strip by strip, and the points under its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from .._kernels import pages, smooth, triangles
from ..asset import Surfels
from ..light.points import MetPoints
from ..light.shadows import Feet
from ..light.spots import SIDE
from ..progress import Progress, part, silent
from ..scene import Camera
from . import reconstruction
from .config import SplattingConfig
from .parallel import parallel_map
from .skin import PreparedSkin, describe_points

AT_ONCE = 32768  # points shaded together: each part costs a millisecond of Python
SHARES = 16  # of a skin's points that threads take, where that leaves half as many to each
MANY = 4  # skins from which points are looked for on one thread for each
AHEAD = 16  # skins in which they are, before the first are shaded
TOGETHER = 2 ** 27  # bytes that skins whose points are shaded together may keep about a strip's samples


@dataclass(frozen=True, eq=False)
class PlacedSkin:
    """A skin in the world. matrix: (4, 4) float64, asset frame -> world. meet: what K of its points are told and mirror
    of the asset, with noise: their surfels, directions to the camera (K, 3) in the world, key (K,), a pixel's edge at
    each (K,), what finds where they touch the skin, which point speaks for each (K,), by how much a pixel's normals
    turn (K,), as points.meet takes it -> MetPoints, (K, n). shade: what they look like: these, the latter without
    noise, depth (K,) -> features (K, C), as passes.pack makes them. known: of K points of an opaque skin, asset frame,
    and their depth, the features where they are known, and whether they are, (K,) bool. share: 0..1 of what is seen of
    it; its inside is not seen through it."""

    prepared: PreparedSkin
    matrix: np.ndarray
    meet: Callable[[Surfels, np.ndarray, np.ndarray, np.ndarray, Callable[[], Feet], np.ndarray, np.ndarray],
                   tuple[MetPoints, np.ndarray]]
    shade: Callable[[MetPoints, np.ndarray, np.ndarray], np.ndarray]
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


def draw(skins: Sequence[PlacedSkin], camera: Camera, channels: int, threads: int = 0,
         config: SplattingConfig = SplattingConfig(), progress: Progress = silent, width: float = 1.5
         ) -> tuple[np.ndarray, np.ndarray]:
    """A picture of skins alone: features (H, W, C), premultiplied, and alpha (H, W), as kernels.splat.rasterize's.
    width: pixels, of the filter, as Cycles' Filter Width."""
    offset = reconstruction.spread(config.skin_offsets, width)
    return draw_samples(skins, camera, channels, offset, reconstruction.weigh(offset, width), threads, config, progress)


def draw_samples(skins: Sequence[PlacedSkin], camera: Camera, channels: int, offset: np.ndarray, weight: np.ndarray,
                 threads: int = 0, config: SplattingConfig = SplattingConfig(), progress: Progress = silent
                 ) -> tuple[np.ndarray, np.ndarray]:
    """The same of samples at offset (S, 2) from a pixel's centre, which count in the pixels around by weight
    (S, D, D), float32."""
    image, alpha = (pages.full((camera.height, camera.width, *more), 0) for more in ((channels,), ()))
    # what lies around a strip counts in it, and what it mirrors is averaged with what lies around
    margin = weight.shape[1] // 2 and weight.shape[1] // 2 + config.smooth_reach
    boxes = [_find_box(skin, camera, weight.shape[1] // 2 + 1) for skin in skins]
    boxes = [box for box in boxes if all(side.start < side.stop for side in box)]
    if not boxes:
        return image, alpha
    down, across = (slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
                    for axis in (0, 1))
    wide = across.stop - across.start
    rows = max(config.skin_pixels // wide, 1)
    for top in range(down.start, down.stop, rows):
        height = min(rows, down.stop - top)
        window = camera.crop(across.start - margin, top - margin, wide + 2 * margin, height + 2 * margin)
        drawn = _draw_strip(skins, window, channels, offset, weight, threads, config,
                            part(progress, top / camera.height, (top + height) / camera.height))
        for whole, strip in zip((image, alpha), drawn):
            whole[top:top + height, across] = strip[margin:margin + height, margin:margin + wide]
    return image, alpha


def _find_box(skin: PlacedSkin, camera: Camera, reach: int) -> tuple[slice, slice]:
    """The rows and columns of a picture in which a skin can count, where its samples do up to `reach` pixels away."""
    x, y, z, _ = (skin.prepared.bounds @ (camera.world_to_camera @ skin.matrix).T).T
    if not camera.orthographic and z.min() <= camera.near:
        return slice(0, camera.height), slice(0, camera.width)
    made = []
    for axis, along, size in ((1, y, camera.height), (0, x, camera.width)):
        at = camera.intrinsics[axis, axis] * along / (1 if camera.orthographic else z) + camera.intrinsics[axis, 2]
        low, high = np.clip([at.min() - reach, at.max() + reach + 1], 0, size).astype(int)
        made.append(slice(int(low), max(int(high), int(low))))
    return made[0], made[1]


@dataclass(frozen=True, eq=False)
class _Strip:
    """A part of a picture while skins are added to it. image (H, W, C), premultiplied, and alpha (H, W): what is there
    so far. weight: as draw_samples takes it. lens: what both of the triangles' kernels are told."""

    camera: Camera
    image: np.ndarray
    alpha: np.ndarray
    weight: np.ndarray
    lens: dict
    config: SplattingConfig
    progress: Progress

    def take(self, box: tuple[slice, slice]) -> _Strip:
        """The part of it in those rows and columns, which is the same memory."""
        rows, columns = box
        camera = self.camera.crop(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        return replace(self, camera=camera, image=self.image[box], alpha=self.alpha[box])


def _draw_strip(skins: Sequence[PlacedSkin], camera: Camera, channels: int, offset: np.ndarray, weight: np.ndarray,
                threads: int, config: SplattingConfig, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """What draw_samples draws, layer by layer behind what is transparent."""
    image, alpha = (pages.full((camera.height, camera.width, *more), 0) for more in ((channels,), ()))
    strip = _Strip(camera, image, alpha, weight, {"orthographic": camera.orthographic, "threads": threads}, config,
                   progress)
    first = np.cumsum([0] + [len(skin.prepared.skin.faces) for skin in skins])
    boxes = [_find_box(skin, camera, weight.shape[1] // 2 + 1) for skin in skins]
    if len(skins) == 1:  # all of the strip, which is not copied
        boxes = [(slice(0, camera.height), slice(0, camera.width))]
    shown = [(skin, int(start), box) for skin, start, box in zip(skins, first, boxes)
             if all(side.start < side.stop for side in box)]
    through: np.ndarray | None = None
    before, transparent = None, any(skin.prepared.transparent for skin, _, _ in shown)
    for _ in range(config.skin_layers):
        samples = triangles.Samples.empty(camera.width, camera.height, offset)
        for skin, start, _ in shown:
            mesh = skin.prepared.skin
            triangles.cover(samples, mesh.vertices, mesh.faces, start, camera.world_to_camera @ skin.matrix,
                            camera.intrinsics, near=camera.near, far=camera.far, before=before, **strip.lens)
        left = pages.full(samples.face.shape, 0) if transparent else None
        for pieces in _group(_find_pieces(shown, samples, through, strip)):
            for piece, look in zip(pieces, _shade([piece.fresh for piece in pieces], strip)):
                piece.add(*look, left)
        through = left
        if left is None or not (left > config.skin_faint).any():
            break
        before = triangles.Samples(samples.offset, np.where(left > config.skin_faint, samples.face, triangles.ENOUGH),
                                   samples.depth)
    return strip.image, strip.alpha


@dataclass(frozen=True, eq=False)
class _Piece:
    """What a strip shows of one skin. box: of the strip, where it is; strip: that alone; through: (H, W, S) of these,
    what each sample weighs, None where all weigh 1. points: K of them; size: (K,) of a pixel's edge at each, asset
    units. known: what PlacedSkin's says of these points, None where all are to be shaded."""

    skin: PlacedSkin
    box: tuple[slice, slice]
    strip: _Strip
    through: np.ndarray | None
    points: triangles.Points
    size: np.ndarray
    known: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def fresh(self) -> _Piece:
        """The same with the points alone that are to be shaded."""
        if self.known is None:
            return self
        new = np.flatnonzero(~self.known[1])
        return replace(self, points=self.points.take(new), size=self.size[new], known=None)

    def divide(self) -> list[slice]:
        """Its points in parts, an even number of them where there are several."""
        count = max(-(-len(self.points) // AT_ONCE), min(-(-2 * len(self.points) // AT_ONCE), SHARES))
        ends = np.linspace(0, len(self.points), count + (count > 1 and count % 2) + 1).astype(int)
        return [slice(*pair) for pair in zip(ends[:-1], ends[1:])]

    def meet(self, rows: slice) -> tuple[MetPoints, np.ndarray]:
        """What some of its points are told and mirror, as PlacedSkin.meet."""
        skin, chosen, size, camera = self.skin, self.points.take(rows), self.size[rows], self.strip.camera
        surfels = describe_points(skin.prepared, chosen, size, skin.eye(camera), self.strip.config)
        world = chosen.position @ skin.matrix[:3, :3].T.astype(np.float32) + skin.matrix[:3, 3].astype(np.float32)
        left, top = np.round((camera.frame or (0, 0))[:2]).astype(int)  # windows of a picture send the same rays
        across, down = chosen.pixel % camera.width - left, chosen.pixel // camera.width - top
        key = (across % SIDE + SIDE * (down % SIDE)).astype(np.int32)
        turned = 1 - np.sqrt(np.einsum("kc,kc->k", chosen.normal, chosen.normal))
        return skin.meet(surfels, camera.directions_to(world), key, size, partial(skin.prepared.find_feet, chosen),
                         _find_leads(across, down, chosen, self.strip.config.skin_alike * size), turned)

    def smooth(self, met: Sequence[MetPoints], mirrored: np.ndarray, threads: int) -> np.ndarray:
        """What its points mirror of the asset, as PlacedSkin.meet, without the noise of their few rays."""
        if not mirrored.any():
            return mirrored
        camera, join = self.strip.camera, lambda name: np.concatenate([getattr(each.points, name) for each in met])
        starts = np.cumsum([0, *(len(each.points) for each in met[:-1])])
        lead = np.concatenate([each.mirrors_as + start for each, start in zip(met, starts)], dtype=np.int32)
        return smooth.smooth(mirrored, self.points.pixel, self.points.position, join("normal"), join("shading_normal"),
                             join("roughness"), self.size, camera.width, camera.height, lead=lead,
                             reach=self.strip.config.smooth_reach, threads=threads)

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


def _find_pieces(skins: Sequence[tuple[PlacedSkin, int, tuple[slice, slice]]], samples: triangles.Samples,
                 through: np.ndarray | None, strip: _Strip) -> Iterator[_Piece]:
    """What a strip shows of skins, whose faces are numbered from a number on and lie in a box."""
    if len(skins) < MANY:
        yield from (_find_piece(*each, samples, through, strip) for each in skins)
        return
    alone = replace(strip, lens=strip.lens | {"threads": 1})
    for start in range(0, len(skins), AHEAD):
        found = parallel_map(lambda each: _find_piece(*each, samples, through, alone), skins[start:start + AHEAD],
                             strip.lens["threads"])
        yield from (replace(piece, strip=replace(piece.strip, lens=strip.lens)) for piece in found)


def _find_piece(skin: PlacedSkin, start: int, box: tuple[slice, slice], samples: triangles.Samples,
                through: np.ndarray | None, strip: _Strip) -> _Piece:
    """through: (H, W, S) of the strip, what each sample weighs; None where all weigh 1."""
    mesh, taken, face = skin.prepared.skin, strip.take(box), np.ascontiguousarray(samples.face[box])
    shown = None if through is None else np.ascontiguousarray(through[box])
    camera = taken.camera
    pixel_size = 1 / (camera.intrinsics[0, 0] * np.cbrt(abs(np.linalg.det(skin.matrix[:3, :3]))))
    depth = np.ascontiguousarray(samples.depth[box])
    points = triangles.find_points(
        triangles.Samples(samples.offset, face, depth), mesh.vertices, mesh.faces, start,
        camera.world_to_camera @ skin.matrix, camera.intrinsics, eye=skin.eye(camera), pixel_size=pixel_size,
        normal=mesh.normal, uv=mesh.uv, color=mesh.color, material=mesh.material, through=shown, **strip.lens)
    known = None if skin.known is None or skin.prepared.transparent else skin.known(points.position, points.depth)
    size = np.float32(pixel_size) * (np.ones_like(points.depth) if camera.orthographic else points.depth)
    return _Piece(skin, box, taken, shown, points, size, known)


def _group(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Those that show anything, as many at once as memory has room for."""
    group: list[_Piece] = []
    for piece in pieces:
        if len(piece.points):
            group.append(piece)
        if sum(each.points.owner.nbytes for each in group) >= TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _shade(pieces: Sequence[_Piece], strip: _Strip) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features (K, C) and opacity (K,) of each piece's points; the pieces of many skins keep all threads busy."""
    threads, progress = strip.lens["threads"], strip.progress
    parts = [(number, rows) for number, piece in enumerate(pieces) for rows in piece.divide()]
    met = parallel_map(lambda each: pieces[each[0]].meet(each[1]), parts, threads, "Drawing", part(progress, 0.0, 0.6))
    told: list[list[MetPoints]] = [[each for (owner, _), (each, _) in zip(parts, met) if owner == number]
                                   for number in range(len(pieces))]

    def smooth_piece(number: int) -> np.ndarray:
        mirrored = [each for (owner, _), (_, each) in zip(parts, met) if owner == number]
        alone = 1 if len(pieces) > 1 else threads
        return pieces[number].smooth(told[number], np.concatenate(mirrored), alone) if mirrored else np.empty((0, 7))

    mirrored = parallel_map(smooth_piece, range(len(pieces)), threads)
    features = [np.empty((len(piece.points), strip.image.shape[2]), np.float32) for piece in pieces]

    def shade_part(each: int) -> None:
        number, rows = parts[each]
        piece = pieces[number]
        features[number][rows] = piece.skin.shade(met[each][0], mirrored[number][rows], piece.points.depth[rows])

    parallel_map(shade_part, range(len(parts)), threads, "Drawing", part(progress, 0.6, 1.0))
    opacity = [np.concatenate([np.empty(0, np.float32), *(each.points.opacity for each in those)]) for those in told]
    return list(zip(features, opacity))

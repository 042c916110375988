"""Skins in a picture: triangles on its samples, strip by strip, and the points under its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from .._kernels import corners, pages, triangles
from ..progress import Progress, part, silent
from ..scene import Camera
from . import reconstruction
from .config import SplattingConfig
from .parallel import parallel_map
from .pieces import Piece, PlacedSkin, Strip, shade

MANY = 4  # skins from which points are looked for on one thread for each
AHEAD = 16  # skins in which they are, before the first are shaded
TOGETHER = 2 ** 27  # bytes that skins whose points are shaded together may keep about a strip's samples


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
    # what lies around a strip counts in it, and what arrives there is interpolated, and averaged with what lies around
    margin = weight.shape[1] // 2 + corners.APART * (1 + config.corner_reach) + config.smooth_reach
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


def _draw_strip(skins: Sequence[PlacedSkin], camera: Camera, channels: int, offset: np.ndarray, weight: np.ndarray,
                threads: int, config: SplattingConfig, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """What draw_samples draws, layer by layer behind what is transparent."""
    image, alpha = (pages.full((camera.height, camera.width, *more), 0) for more in ((channels,), ()))
    strip = Strip(camera, image, alpha, weight, {"orthographic": camera.orthographic, "threads": threads}, config,
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
            for piece, look in zip(pieces, shade([piece.fresh for piece in pieces], strip)):
                piece.add(*look, left)
        through = left
        if left is None or not (left > config.skin_faint).any():
            break
        before = triangles.Samples(samples.offset, np.where(left > config.skin_faint, samples.face, triangles.ENOUGH),
                                   samples.depth)
    return strip.image, strip.alpha


def _find_pieces(skins: Sequence[tuple[PlacedSkin, int, tuple[slice, slice]]], samples: triangles.Samples,
                 through: np.ndarray | None, strip: Strip) -> Iterator[Piece]:
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
                through: np.ndarray | None, strip: Strip) -> Piece:
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
    return Piece(skin, box, taken, shown, points, size, known)


def _group(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Those that show anything, as many at once as memory has room for."""
    group: list[Piece] = []
    for piece in pieces:
        if len(piece.points):
            group.append(piece)
        if sum(each.points.owner.nbytes for each in group) >= TOGETHER:
            yield group
            group = []
    if group:
        yield group

"""Pictures that are blurred because the shutter is open for a while, or the lens is no pinhole: means of sharp ones.

What is seen is shaded once, about the middle of the exposure and from the middle of the lens. For each moment, a time
and a point of the lens, it is moved to where it then is and drawn again with one sample a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._kernels import splat
from ..directions import polar_rotation
from ..scene import Camera, Instance, Settings
from ..scene.exposure import Lens, Shutter
from . import gaussians, passes, reconstruction
from .config import SplattingConfig
from .sight import find_standing
from .splatting import PlacedInstance, Selection, VisibleInstance, face_all, project, weigh

FAR = 1e4  # metres: where the World counts as being
Picture = tuple[np.ndarray, np.ndarray]  # features (H, W, C), premultiplied, and alpha (H, W)


@dataclass(frozen=True, eq=False)
class Moment:
    """A time and a point of the lens. camera: as it sees then and there. motions: number of an instance, from 1 ->
    (4, 4), the world at the middle of the exposure -> where it then is; others stand still. offset: (2,) of its sample
    from a pixel's centre, pixels."""

    camera: Camera
    motions: Mapping[int, np.ndarray]
    offset: tuple[float, float]

    @property
    def jittered(self) -> Camera:
        """The camera whose pixels' centres lie where the sample does."""
        return replace(self.camera, intrinsics=self.camera.intrinsics - _shift(*self.offset))

    def move(self, placed: PlacedInstance, number: int) -> PlacedInstance:
        """An instance of that number where it then is."""
        if number not in self.motions:
            return placed
        motion = self.motions[number]
        turn = polar_rotation(motion).T.astype(np.float32)
        return replace(placed, shape=placed.shape.move(motion), matrix=motion @ placed.matrix,
                       normal=placed.normal @ turn, shading_normal=placed.shading_normal @ turn)

    def face(self, instances: Sequence[VisibleInstance], numbers: Sequence[int], config: SplattingConfig
             ) -> list[VisibleInstance]:
        """Instances of these numbers, one at least, before the camera where all of them then are."""
        return face_all([self.move(each.placed, number) for each, number in zip(instances, numbers)], self.camera,
                        config, [each.share for each in instances])


@dataclass(frozen=True, eq=False)
class Blur:
    """The moments of a picture. reach: pixels that anything in it is displaced by at most. lens: what it is seen
    through, None for a pinhole."""

    moments: tuple[Moment, ...]
    reach: float
    lens: Lens | None = None

    def soften(self, image: np.ndarray, camera: Camera, columns: slice) -> np.ndarray:
        """Makes features (H, W, C) of a sharp picture, in these columns, as coarse as the lens' points see a point
        apart, in place: what glints far out of focus would be a dot for each moment. What is less than half as unsharp
        stays out of these means. Returns how far apart that is, (H, W) metres."""
        shown = image[..., passes.SHOWN]
        if self.lens is None:
            return np.zeros_like(shown)
        depth = np.maximum(image[..., passes.DEPTH] / np.maximum(shown, 1e-6), 1e-6)
        over = np.float32(1) if camera.orthographic else depth
        between = np.float32(self.lens.radius * np.sqrt(np.pi / len(self.moments)))
        wide = between * np.abs(depth / self.lens.focus - 1) * (shown > 1e-4)
        apart = camera.intrinsics[0, 0] * wide / over  # pixels
        for level in range(1, int(np.log2(max(apart.max(initial=0), 1))) + 1):
            _soften_level(image, apart, 2 ** level, columns)
        return wide

    def widen(self, projection: splat.Projection) -> splat.Projection:
        """Discs with room for all the places where they are seen."""
        return projection._replace(radius=np.where(projection.radius > 0, projection.radius + int(self.reach) + 1, 0))

    def reveal(self, selection: Selection, instances: Sequence[VisibleInstance], numbers: Sequence[int], threads: int,
               config: SplattingConfig) -> Selection:
        """A selection whose shaded surfels are those at the opening and the closing of the shutter as well."""
        shaded = selection.shaded
        for moment in (self.moments[0], self.moments[-1]):
            seen = moment.face(instances, numbers, config)
            weight = weigh(project(gaussians.concatenate([each.shape for each in seen]), moment.camera, config.low_pass,
                                   threads), selection.occlusion_depth, moment.camera, threads, config)
            shaded = shaded | np.concatenate([each.front for each in seen]) & (weight > config.seen)
        return replace(selection, shaded=shaded)

    def look_up(self, sky: Callable[[Camera], np.ndarray], camera: Camera) -> Callable[[Camera], np.ndarray]:
        """The mean of a sky over the moments, for windows of camera's picture."""
        def average(window: Camera) -> np.ndarray:
            cut = window.intrinsics - camera.intrinsics
            seen = [sky(replace(window, world_to_camera=each.camera.world_to_camera,
                                intrinsics=each.camera.intrinsics + cut)) for each in self.moments]
            return np.asarray(sum(seen) / np.float32(len(seen)))
        return average


def plan(instances: Sequence[Instance], camera: Camera, shutter: Shutter | None, lens: Lens | None,
         settings: Settings = Settings(), config: SplattingConfig = SplattingConfig()) -> Blur | None:
    """The moments that a picture is the mean of; None where it is sharp."""
    if shutter is None and (lens is None or lens.radius <= 0):
        return None
    shutter = shutter or Shutter([camera], np.array([[each.matrix for each in instances]]).reshape(1, -1, 4, 4))
    reach = _measure_reach(instances, camera, shutter, lens, settings.background)
    if reach < config.least_blur:
        return None
    most = config.draft_moments if settings.quality == "draft" else config.final_moments
    count = int(np.clip(np.ceil(reach * config.moments_per_pixel), config.least_moments, most))
    times = shutter.draw_times(count)
    points = np.zeros((count, 2)) if lens is None else lens.draw_points(count)[_scatter(count)]
    offsets = reconstruction.place(_spread(count), settings.filter_width)
    moving = _find_moving(instances, shutter)
    made = [Moment(_look_through(_find_camera(shutter, time), point, lens), _find_motions(moving, shutter, time),
                   tuple(offset)) for time, point, offset in zip(times, points, offsets.tolist())]
    return Blur(tuple(made), min(reach, max(camera.width, camera.height) / 2), lens)


def average(pictures: Iterable[Picture]) -> Picture:
    """The mean of pictures, one at least."""
    rest = iter(pictures)
    image, alpha = next(rest)
    count = 1
    for features, cover in rest:
        count, image, alpha = count + 1, image + features, alpha + cover
    return (image, alpha) if count == 1 else (image / np.float32(count), alpha / np.float32(count))


def draw_splats(selection: Selection, instances: Sequence[VisibleInstance], numbers: Sequence[int],
                features: np.ndarray, occlusion_depth: np.ndarray, blur: Blur, threads: int,
                config: SplattingConfig = SplattingConfig()) -> Iterator[Picture]:
    """A picture for each moment. features (N, C), occlusion_depth (N,): of the plain surfels, then of each instance's
    texels, as detail.refine has them. numbers: of the instances, from 1."""
    for moment in blur.moments:
        seen = moment.face(instances, numbers, config)
        whole = gaussians.concatenate([each.shape for each in seen]).take(selection.plain)
        shape = gaussians.concatenate([whole, *(each.take_texels(texels)
                                                for each, texels in zip(seen, selection.texels) if len(texels))])
        camera = moment.jittered
        image, alpha, _ = splat.rasterize(project(shape, camera, config.sharp_low_pass, threads), features,
                                          camera.width, camera.height, occlusion_depth=occlusion_depth, threads=threads)
        yield image, alpha


@dataclass(frozen=True, eq=False)
class KnownPicture:
    """What was seen about the middle of the exposure, for points that are seen again. image (H, W, C), premultiplied,
    alpha (H, W): as that camera saw. wide: (H, W) metres within which it tells of no single points."""

    camera: Camera
    image: np.ndarray
    alpha: np.ndarray
    wide: np.ndarray

    def look_up(self, points: np.ndarray, depth: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Features (K, C) of points (K, 3), where they were then, world, and whether they were seen, (K,) bool. depth:
        (K,) metres, to be told of them. reach: metres within which two points are the same."""
        camera = self.camera
        x, y, z = (points @ camera.world_to_camera[:3, :3].T.astype(np.float32)
                   + camera.world_to_camera[:3, 3].astype(np.float32)).T
        over = np.float32(1) if camera.orthographic else np.maximum(z, 1e-9)
        k = camera.intrinsics
        column = np.floor(k[0, 0] * x / over + k[0, 2]).astype(np.int64)
        row = np.floor(k[1, 1] * y / over + k[1, 2]).astype(np.int64)
        inside = (z > camera.near) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        at = np.where(inside, row * camera.width + column, 0)
        alpha = self.alpha.reshape(-1)[at]
        features = self.image.reshape(-1, self.image.shape[-1])[at] / np.maximum(alpha, 1e-6)[:, None]
        found = inside & (alpha > 0.3) & (np.abs(features[:, passes.DEPTH] - z) < reach + self.wide.reshape(-1)[at])
        features[:, passes.DEPTH] = depth
        return features, found


def _soften_level(image: np.ndarray, apart: np.ndarray, edge: int, columns: slice) -> None:
    """Blur.soften, where points are seen apart by so many pixels to twice as many."""
    own = (apart >= edge) & (apart < 2 * edge)
    rows, across = (np.flatnonzero(own.any(axis)) for axis in (1, 0))
    if not len(rows):
        return
    part = tuple(slice(max(each[0] - edge, 0), each[-1] + 1 + edge) for each in (rows, across))
    told = np.concatenate([image[part][..., columns], image[part][..., passes.SHOWN:passes.SHOWN + 1]], -1)
    sums = _add_blocks(told * (apart[part] >= edge / 2)[..., None], edge)
    y, x = np.nonzero(own[part])
    around = _look_between(sums, (y + 0.5) / edge, (x + 0.5) / edge)
    image[part][y, x, columns] = around[:, :-1] / np.maximum(around[:, -1:], 1e-6) * told[y, x, -1:]


def _add_blocks(values: np.ndarray, edge: int) -> np.ndarray:
    """The sums of values (H, W, C) over squares of so many pixels, those at the end smaller."""
    for axis in (0, 1):
        values = np.add.reduceat(values, range(0, values.shape[axis], edge), axis)
    return values


def _look_between(values: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values (h, w, C) at places in units of these cells, whose middles lie at halves, linear between them."""
    ends = np.array(values.shape[:2]) - 1
    found = np.zeros((len(y), values.shape[2]), np.float32)
    (top, left), (down, across) = [np.floor(at - 0.5).astype(int) for at in (y, x)], [(at - 0.5) % 1 for at in (y, x)]
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (down if i else 1 - down) * (across if j else 1 - across)
        rows, columns = np.clip(top + i, 0, ends[0]), np.clip(left + j, 0, ends[1])
        found += share[:, None].astype(np.float32) * values[rows, columns]
    return found


def _measure_reach(instances: Sequence[Instance], camera: Camera, shutter: Shutter, lens: Lens | None,
                   background: bool) -> float:
    """Pixels that anything is displaced by at most."""
    standing = find_standing(instances)
    signs = np.stack(np.meshgrid(*[(-1, 1)] * 3), -1).reshape(-1, 3)
    corners = standing.center[:, None] + standing.radius[:, None, None] * signs / np.sqrt(3)
    corners = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], 2)  # (I, 8, 4)
    sky = _spread_sky(camera) if background else np.zeros((0, 4))
    middle = _project(camera, np.concatenate([corners.reshape(-1, 4), sky]))
    moved_by, spread = 0.0, 0.0
    for each, matrices in zip(shutter.cameras, shutter.matrices):
        motions = np.array([matrices[row] @ np.linalg.inv(own) for row, own in zip(standing.rows, standing.matrices)])
        places = np.einsum("nij,nkj->nki", motions.reshape(-1, 4, 4), corners)
        seen = _project(each, np.concatenate([places.reshape(-1, 4), sky]))
        moved_by = max(moved_by, float(np.linalg.norm(seen[:, :2] - middle[:, :2], axis=1).max(initial=0)))
        if lens is not None:
            off = np.abs(seen[:, 2] / lens.focus - 1) / (1 if camera.orthographic else seen[:, 2])
            spread = max(spread, 2 * lens.radius * camera.intrinsics[0, 0] * float(off.max(initial=0)))
    return 2 * moved_by + spread


def _spread_sky(camera: Camera) -> np.ndarray:
    """Far points in the picture's corners and its middle, (5, 4)."""
    x = (np.array([0, 1, 0, 1, 0.5]) * camera.width - camera.intrinsics[0, 2]) / camera.intrinsics[0, 0]
    y = (np.array([0, 0, 1, 1, 0.5]) * camera.height - camera.intrinsics[1, 2]) / camera.intrinsics[1, 1]
    rays = np.stack([FAR * x, FAR * y, np.full(5, FAR), np.ones(5)], 1)
    return rays @ np.linalg.inv(camera.world_to_camera).T


def _project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Pixels and depth (K, 3) of world points (K, 4), as if what lies before the near plane lay on it."""
    x, y, z = (points @ camera.world_to_camera.T)[:, :3].T
    z = np.maximum(z, max(camera.near, 1e-6))
    over = 1 if camera.orthographic else z
    k = camera.intrinsics
    return np.stack([k[0, 0] * x / over + k[0, 2], k[1, 1] * y / over + k[1, 2], z], 1)


def _look_through(camera: Camera, point: np.ndarray, lens: Lens | None) -> Camera:
    """A camera whose eye lies at a point (2,) of the lens; what is in focus stays where it is."""
    if lens is None:
        return camera
    (a, b), away = point, np.eye(4)
    if camera.orthographic:  # parallel rays of another direction
        away[:2, 3], away[:2, 2] = (-a, -b), (a / lens.focus, b / lens.focus)
        return replace(camera, world_to_camera=away @ camera.world_to_camera)
    away[:2, 3] = -a, -b
    k = camera.intrinsics
    return replace(camera, world_to_camera=away @ camera.world_to_camera,
                   intrinsics=k + _shift(k[0, 0] * a / lens.focus, k[1, 1] * b / lens.focus))


def _find_camera(shutter: Shutter, time: float) -> Camera:
    one, other, share = _find_keys(shutter.cameras, time)
    if one is other:
        return one
    matrix = interpolate(np.linalg.inv(one.world_to_camera), np.linalg.inv(other.world_to_camera), share)
    return replace(one, world_to_camera=np.linalg.inv(matrix),
                   intrinsics=(1 - share) * one.intrinsics + share * other.intrinsics)


def _find_moving(instances: Sequence[Instance], shutter: Shutter) -> dict[int, np.ndarray]:
    """Number of each instance that moves, from 1 -> the inverse of its own matrix; what cannot be placed stays."""
    own = np.array([each.matrix for each in instances], np.float64).reshape(-1, 4, 4)
    with np.errstate(all="ignore"):
        moves = (np.abs(shutter.matrices - own) > 1e-12).any((0, 2, 3)) & (np.abs(np.linalg.det(own)) >= 1e-18)
    moves &= np.isfinite(shutter.matrices).all((0, 2, 3))
    return {int(number) + 1: np.linalg.inv(own[number]) for number in np.flatnonzero(moves)}


def _find_motions(moving: Mapping[int, np.ndarray], shutter: Shutter, time: float) -> dict[int, np.ndarray]:
    one, other, share = _find_keys(shutter.matrices, time)
    return {number: interpolate(one[number - 1], other[number - 1], share) @ inverse
            for number, inverse in moving.items()}


def _find_keys(keys: Sequence, time: float) -> tuple:
    """The keys before and after a time, 0..1, and the share of the way between them."""
    at = time * (len(keys) - 1)
    first = min(int(at), max(len(keys) - 2, 0))
    return keys[first], keys[min(first + 1, len(keys) - 1)], at - first


def interpolate(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Between two affine maps (4, 4): origins go straight, rotations turn evenly, scales and shears blend."""
    if np.array_equal(one, other):
        return one
    first, second = polar_rotation(one), polar_rotation(other)
    turn = first.T @ second
    blended = (1 - share) * one + share * other
    if np.linalg.det(turn) < 0:  # one of them is mirrored: nothing turns one into the other
        return blended
    angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
    if angle > 1e-6:
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        if np.linalg.norm(axis) < 1e-6:  # half a turn: either way is as far
            axis = (turn + np.eye(3))[:, np.argmax(np.diag(turn))]
        axis = axis / np.linalg.norm(axis)
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        part = np.eye(3) + np.sin(share * angle) * cross + (1 - np.cos(share * angle)) * cross @ cross
        stretch = (1 - share) * first.T @ one[:3, :3] + share * second.T @ other[:3, :3]
        blended[:3, :3] = first @ part @ stretch
    return blended


def _shift(x: float, y: float) -> np.ndarray:
    """(3, 3), moves a principal point by pixels where it is added to intrinsics."""
    moved = np.zeros((3, 3))
    moved[:2, 2] = x, y
    return moved


def _spread(count: int) -> np.ndarray:
    """(count, 2) places in a pixel, evenly around its centre, that go with neither times nor points of the lens: with a
    few that take turns, what moves had as few steps along each row. The recurrence R4 (Roberts 2018), two axes of it.
    """
    return (np.arange(count)[:, None] * (0.733891856627126, 0.6287067210378087) + 0.5) % 1 - 0.5


def _scatter(count: int) -> np.ndarray:
    """An order of `count` points in which neighbours lie far apart, so that times and points of the lens do not go
    together."""
    return np.argsort((np.arange(count) * 0.7548776662466927) % 1, kind="stable")

"""Where a photo of a known shape was taken from: resection without points.

A camera fits where the shape fills the photo's outline, where it faces as the networks say that the photo does, and
where its inner edges, jumps of depth and creases, lie on the photo's. Directions are tried all around, coarsely: for
each one the place and the distance follow from the box around the outline. The best of them are then moved, less and
less each round, in finer pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .._kernels import triangles
from ..directions import unit
from ..errors import NearError
from ..image import srgb_encode
from ..image.filters import blur_binomial
from ..mesh import Mesh, compute_face_normals
from ..models.mini.layout import Layer
from ..models.mini.runtime import NearMini
from ..progress import Progress, silent
from ..scene import Camera
from ..scene.camera import orbit, pinhole
from .config import ResectionConfig
from .photo import FOV, Photo, rotate_onto
from .skin import merge_vertices
from .stance import Stance
from .view import estimate_elevation, look_at, measure_stride


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a picture of side S shows. mask: (S, S) float32 0..1 or bool. normal: (S, S, 3) float32, camera's frame,
    unit or 0. edges: (S, S) float32 0..1, blurred."""

    mask: np.ndarray
    normal: np.ndarray
    edges: np.ndarray


class Resection:
    """A photo and a shape, and how well they fit.

    photo: with layers (LAYERS, SIZE, SIZE), what the networks say of it. shape: in the asset's frame. first: where the
    search begins. fov_known: whether its field of view is the photo's. Raises NearError for a shape without area.
    """

    def __init__(self, photo: Photo, layers: np.ndarray, shape: Mesh, first: Stance, fov_known: bool,
                 config: ResectionConfig = ResectionConfig()):
        self.photo, self.first, self.fov_known, self.config = photo, first, fov_known, config
        coarse = merge_vertices(shape, config.faces)
        if not len(coarse.faces):
            raise NearError("The mesh has no area: all its triangles are lines.", "Choose a mesh with a surface.")
        used, row = np.unique(coarse.faces, return_inverse=True)
        self._vertices = np.ascontiguousarray(coarse.vertices[used], np.float32)
        self._faces = np.ascontiguousarray(row.reshape(-1, 3), np.int32)
        self._normals = compute_face_normals(coarse)[0].astype(np.float32)
        self._shown = {side: _describe_photo(photo, layers, side, config) for side in config.sides}
        self._costs: dict[tuple[Stance, int], float] = {}

    def place(self, stance: Stance) -> Camera:
        """The camera of the crop. It stands outside of the shape."""
        photo, (width, height) = self.photo, self.photo.source_size
        bare = photo.cropped(Camera(np.eye(4), pinhole(stance.fov, width, height), width, height))
        focal, centre = np.diag(bare.intrinsics)[:2], bare.intrinsics[:2, 2]
        corners = (np.reshape(photo.box, (2, 2)) - photo.crop[:2]) * (len(photo.alpha) / photo.crop[2])
        low, high = (corners - centre) / focal
        rotation = _turn(stance, unit(np.append((low + high) / 2, 1.0)))
        seen = self._vertices @ rotation.T.astype(np.float32)
        # the place x + high z >= all of the shape there: two lines in the depth z, which meet where it fills the box
        least, most = ((edge * seen[:, 2:] - seen[:, :2]) for edge in (high, low))
        least, most = least.min(0), most.max(0)
        depth = float(np.average((most - least) / (high - low), weights=(high - low) ** 2)) * np.exp(stance.away)
        depth = max(depth, float(-seen[:, 2].min()) + self.config.nearest)
        matrix = np.eye(4)
        matrix[:3, :3], matrix[2, 3] = rotation, depth
        stride = measure_stride(replace(bare, world_to_camera=matrix))
        matrix[:2, 3] = ((high + low) * depth + least + most) / 2 + np.array([stance.right, stance.down]) * stride
        return replace(bare, world_to_camera=matrix)

    def draw(self, camera: Camera, side: int, blurred: bool = True) -> _Shown:
        """What a picture of the shape shows. blurred: whether its edges are."""
        camera = camera.resize(side, side)
        samples = triangles.Samples.empty(side, side, np.zeros((1, 2), np.float32))
        triangles.cover(samples, self._vertices, self._faces, 0, camera.world_to_camera, camera.intrinsics, threads=1)
        face, depth = samples.face[..., 0], samples.depth[..., 0]
        mask = face >= 0
        normal = np.zeros((side, side, 3), np.float32)
        normal[mask] = self._normals[face[mask]] @ camera.world_to_camera[:3, :3].T.astype(np.float32)
        rays = replace(camera, world_to_camera=np.eye(4)).pixel_rays()
        normal *= np.where((normal * rays).sum(-1) > 0, -1, 1)[..., None]
        jump = self.config.jump * np.where(mask, depth, 0)[..., None] * side
        crease = _differ(normal, mask, lambda a, b: 1 - (a * b).sum(-1))
        edges = np.maximum(_differ(jump, mask, lambda a, b: np.abs(a - b)[..., 0]), crease)
        edges = np.minimum(edges, 1)
        return _Shown(mask, normal, _blur(edges) if blurred else edges)

    def measure_overlap(self, camera: Camera) -> float:
        """Of the shape's outline and the photo's: what both cover over what any does."""
        side = self.config.sides[-1]
        return 1 - _measure_outline(self.draw(camera, side).mask, self._shown[side].mask)

    def measure(self, stance: Stance, side: int) -> float:
        """What speaks against a stance, in pictures of a side among config.sides; 0: nothing."""
        key = stance, side
        if key not in self._costs:
            config, photo, shape = self.config, self._shown[side], self.draw(self.place(stance), side)
            both, first = shape.mask & (photo.mask > 0.5), self.first
            facing = (shape.normal[both] * photo.normal[both]).sum(-1).mean() if both.any() else 0.0
            edges = _correlate(shape.edges, photo.edges, shape.mask & (photo.mask > 0.9))
            turned, raised, rolled = np.radians([stance.azimuth - first.azimuth, stance.elevation - first.elevation,
                                                 stance.roll])
            self._costs[key] = float(
                _measure_outline(shape.mask, photo.mask) + config.facing * (1 - facing) + config.edges * (1 - edges)
                + config.start * ((1 - np.cos(turned)) / 2 + raised**2) + config.roll * rolled**2
                + config.fov * np.log(stance.fov / first.fov) ** 2)
        return self._costs[key]

    def search(self, within: float = np.inf, progress: Progress = silent) -> Stance:
        """The stance that fits best. within: degrees of azimuth from the first, how far it may be at most."""
        config, [coarse, middle, fine] = self.config, self.config.sides
        grid = [replace(self.first, azimuth=self.first.azimuth + turn, elevation=float(height))
                for turn in np.arange(-180, 180, config.step) if abs(turn) <= within
                for height in np.arange(-90 + config.step, 90, config.step)]
        chosen: list[Stance] = []
        for number, stance in enumerate(grid):
            progress("Pose", 0.4 * number / len(grid))
            self.measure(stance, coarse)
        for stance in sorted(grid, key=lambda each: self.measure(each, coarse)):
            if len(chosen) < config.kept and all(_measure_apart(stance, other) > 1.3 * config.step for other in chosen):
                chosen.append(stance)
        better = [self.refine(stance, middle, 1.0, False, within)
                  for stance in _count(chosen, lambda share: progress("Pose", 0.4 + 0.3 * share))]
        better.sort(key=lambda each: self.measure(each, middle))
        best = [self.refine(stance, fine, 0.5, not self.fov_known, within)
                for stance in _count(better[:config.finished], lambda share: progress("Pose", 0.7 + 0.3 * share))]
        return min(best, key=lambda each: self.measure(each, fine))

    def fit(self, stance: Stance) -> Stance:
        """The stance near a given one that fits best."""
        near = self.refine(stance, self.config.sides[1], 1.0, False)
        return self.refine(near, self.config.sides[2], 0.5, not self.fov_known)

    def refine(self, stance: Stance, side: int, scale: float, fov: bool, within: float = np.inf) -> Stance:
        """A stance near by that fits better. scale: times the first steps. fov: whether that may change, too. within:
        as in search."""
        steps = [(name, step) for name, step in self.config.steps if fov or name != "fov"]
        least = self.measure(stance, side)
        for number in range(self.config.rounds):
            for name, step in steps:
                for change in (scale * 0.5**number * step, -scale * 0.5**number * step):
                    moved = stance.move(name, change)
                    near = abs(moved.azimuth - self.first.azimuth) <= within
                    if near and (cost := self.measure(moved, side)) < least:
                        stance, least = moved, cost
                        break
        return stance


def open_resection(model: NearMini, photo: Photo, shape: Mesh, azimuth: float, elevation: float | None,
                   fov: float | None, config: ResectionConfig = ResectionConfig()) -> Resection:
    """A photo, looked at by the networks (three runs), and a shape in the asset's frame. azimuth, elevation, fov:
    degrees, where the search begins; elevation None: as high as the photo looks, fov None: it is searched, too."""
    height = estimate_elevation(model, photo) if elevation is None else elevation
    first = Stance(azimuth, height, fov=fov or FOV)
    layers = look_at(model, photo, photo.guess_camera(azimuth, height, first.fov)).layers
    return Resection(photo, layers, shape, first, fov is not None, config)


def draw_over(resection: Resection, stance: Stance, side: int = 512) -> np.ndarray:
    """The photo's crop with the shape's outline and inner edges over it: (side, side, 3) uint8, sRGB."""
    from PIL import Image
    photo = resection.photo
    faint = np.float32(0.35) + 0.65 * photo.alpha[..., None]
    crop = np.uint8(np.clip(srgb_encode(np.clip(photo.rgb, 0, 1)) * photo.alpha[..., None] + 1 - faint, 0, 1) * 255)
    picture = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BILINEAR)).copy()
    drawn = resection.draw(resection.place(stance), side, blurred=False)
    picture[_find_rim(drawn.edges > 0.8)] = (40, 150, 255)  # what is seen obliquely is an edge as a whole
    outline = _find_rim(drawn.mask)
    picture[outline | np.roll(outline, 1, 0) | np.roll(outline, 1, 1)] = (255, 130, 20)
    return picture


def _find_rim(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask (S, S) beside one outside of it."""
    return mask & ~np.logical_and.reduce([np.roll(mask, shift, axis) for axis in (0, 1) for shift in (1, -1)])


def _turn(stance: Stance, middle: np.ndarray) -> np.ndarray:
    """(3, 3) world to camera, the object's middle in the direction (3,) of the camera's frame."""
    angle = np.radians(stance.roll)
    roll = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return rotate_onto(middle) @ roll @ orbit(stance.azimuth, stance.elevation, 1, 40, 8, 8).world_to_camera[:3, :3]


def _describe_photo(photo: Photo, layers: np.ndarray, side: int, config: ResectionConfig) -> _Shown:
    """What a photo shows, in a picture of a side that divides those of the photo and its layers."""
    mask, alpha = _pool(photo.alpha[..., None], side)[..., 0], photo.alpha[..., None]
    normal = unit(np.moveaxis(layers[Layer.NORMAL], 0, 2)) * (_pool(alpha, layers.shape[-1]) > 0.5)
    normal = _pool(normal, side)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.where(length > 1e-3, normal / np.maximum(length, 1e-3), 0).astype(np.float32)
    color = _pool(srgb_encode(np.clip(photo.rgb, 0, 1)) * alpha, side) / np.maximum(mask[..., None], 1e-3)
    solid = mask > 0.9
    slope = _differ(color, solid, lambda a, b: np.abs(a - b).max(-1))
    strong = np.quantile(slope[solid], config.strong_share) + 1e-3 if solid.any() else 1.0
    return _Shown(mask, normal, _blur(np.minimum(slope / strong, 1)))


def _differ(values: np.ndarray, mask: np.ndarray, measure: Callable[[np.ndarray, np.ndarray], np.ndarray]
            ) -> np.ndarray:
    """(S, S): how much the pixels of (S, S, C) in a mask differ from those to the left and above, together."""
    found = np.zeros(mask.shape, np.float32)
    found[:, 1:] = (measure(values[:, 1:], values[:, :-1]) * (mask[:, 1:] & mask[:, :-1])) ** 2
    found[1:] += (measure(values[1:], values[:-1]) * (mask[1:] & mask[:-1])) ** 2
    return np.sqrt(found)


def _measure_outline(drawn: np.ndarray, mask: np.ndarray) -> float:
    """1 less what both masks (S, S) cover over what any does."""
    return 1 - float(np.minimum(drawn, mask).sum() / max(np.maximum(drawn, mask).sum(), 1e-6))


def _correlate(left: np.ndarray, right: np.ndarray, mask: np.ndarray) -> float:
    """The correlation, -1..1, of two pictures (S, S) in a mask; 0 where one is even."""
    if not mask.any():
        return 0.0
    a, b = left[mask] - left[mask].mean(), right[mask] - right[mask].mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-6))


def _measure_apart(left: Stance, right: Stance) -> float:
    """The angle between two directions of view, degrees."""
    one, other = (orbit(each.azimuth, each.elevation, 1, 40, 8, 8).forward for each in (left, right))
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def _pool(values: np.ndarray, side: int) -> np.ndarray:
    """(S, S, C) as means of blocks, (side, side, C); side divides S."""
    block = len(values) // side
    return values.reshape(side, block, side, block, -1).mean((1, 3))


def _blur(values: np.ndarray) -> np.ndarray:
    return blur_binomial(blur_binomial(values))


def _count(items: list[Stance], report: Callable[[float], None]) -> Iterator[Stance]:
    for number, item in enumerate(items):
        report(number / len(items))
        yield item

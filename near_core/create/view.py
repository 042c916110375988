"""A photo in the asset's frame: what it shows, layer by layer, and where a point falls in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..asset import CELL
from ..directions import unit
from ..image import srgb_encode
from ..image.filters import (
    blur_box,
    blur_masked,
    find_clusters,
    local_maximum,
    local_minimum,
    local_range,
    neighbourhoods,
    spread_dominant,
)
from ..models.mini.layout import POSE, RESOLVED, SIZE, Layer, Picture, Pose
from ..models.mini.runtime import NearMini
from ..scene import Camera
from . import delighting
from .config import ReconstructionConfig
from .photo import ELEVATION, Photo
from .photo_config import DelightingConfig
from .symmetry import LEFT_RIGHT

STRIDE = 3.0  # sides of the crop that a shift of 1 is at most


def make_network_image(photo: Photo) -> np.ndarray:
    """(PICTURE, SIZE, SIZE) float32, as Picture; no sharper than RESOLVED pixels."""
    from PIL import Image
    alpha = photo.alpha[..., None]
    color = srgb_encode(np.clip(photo.rgb, 0, 1)) * 2 - 1
    planes = np.concatenate([color * alpha, alpha], -1).transpose(2, 0, 1)
    resize = lambda plane, size: plane.resize((size, size), Image.Resampling.BILINEAR)
    return np.stack([np.asarray(resize(resize(Image.fromarray(np.ascontiguousarray(plane)), RESOLVED), SIZE))
                     for plane in planes])


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where points of the asset's frame fall in the crop's picture.

    points: (P, 3) float32. Returns uv (P, 2), (-1, -1) the top left corner, and depth (P,) below the frame's origin,
    asset units.
    """
    matrix = camera.world_to_camera.astype(np.float32)
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    focal, centre = np.diag(camera.intrinsics)[:2].astype(np.float32), camera.intrinsics[:2, 2].astype(np.float32)
    pixel = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) * focal + centre
    return pixel / np.array([camera.width, camera.height], np.float32) * 2 - 1, seen[:, 2] - matrix[2, 3]


def move_camera(camera: Camera, change: np.ndarray) -> Camera:
    """A camera around the frame's origin that was moved. change: (5,) azimuth and elevation in radians, the logarithm
    of the distance, and the shift of what it sees to the right and down, in strides."""
    turn, tilt, away, right, down = change
    matrix, (c, s), (d, e) = camera.world_to_camera, (np.cos(turn), np.sin(turn)), (np.cos(tilt), np.sin(tilt))
    around_z = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    around_x = np.array([[1, 0, 0], [0, d, -e], [0, e, d]])
    moved = np.eye(4)
    moved[:3, :3] = around_x @ matrix[:3, :3] @ around_z
    moved[:3, 3] = (matrix[:3, 3] + np.array([right, down, 0]) * measure_stride(camera)) * np.exp(away)
    return replace(camera, world_to_camera=moved)


def recentre(camera: Camera, centre: np.ndarray, size: float) -> Camera:
    """The camera after what it sees was moved by -centre (3,) and divided by its size."""
    matrix = camera.world_to_camera.copy()
    matrix[:3, 3] = (matrix[:3, :3] @ centre + matrix[:3, 3]) / size
    intrinsics = camera.intrinsics
    if camera.orthographic:  # pixels per metre
        intrinsics = np.diag([size, size, 1.0]) @ intrinsics
        intrinsics[:2, 2] = camera.intrinsics[:2, 2]
    return replace(camera, world_to_camera=matrix, intrinsics=intrinsics)


def measure_stride(camera: Camera) -> float:
    """By what cameras are shifted, asset units: the distance of a crop's camera, but not of one that is far away."""
    return min(camera.world_to_camera[2, 3], STRIDE * reach(camera))


def reach(camera: Camera) -> float:
    """The side of a crop in asset units, where the frame's origin lies."""
    return camera.width / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3]


def measure_elevation(camera: Camera) -> float:
    """Degrees above the horizon of the asset's frame, from which a camera looks."""
    x, y, z = camera.position
    return float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def describe_pose(camera: Camera) -> np.ndarray:
    """(POSE,) float32: what Intrinsics wants to know of a crop's camera."""
    pose = np.ones(POSE, np.float32)
    pose[Pose.DIRECTION] = unit(camera.position)
    pose[Pose.REACH], pose[Pose.TANGENT] = reach(camera), camera.width / camera.intrinsics[0, 0] / 2
    return pose


def gather_grid_inputs(camera: Camera, points: np.ndarray) -> dict[str, np.ndarray]:
    """What Structure wants to know of points (P, 3) and a crop's camera: uv (2, P, 2) and depth below the frame's
    origin (2, P), of the points and their mirror images in x = 0; towards (3,), unit, from the origin to the camera."""
    sides = [project(p, camera) for p in (points, LEFT_RIGHT.move(points))]
    position = camera.position.astype(np.float32)
    return {"uv": np.stack([uv for uv, _ in sides]), "depth": np.stack([depth for _, depth in sides]),
            "towards": position / max(float(np.linalg.norm(position)), 1e-6)}


def look_up(maps: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """maps (C, h, w) at uv (P, 2), bilinear, 0 outside. (P, C) float32."""
    channels, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1))).reshape(channels, -1)
    x = np.clip((uv[:, 0] + 1) / 2 * width + 0.5, 0, width + 0.999)
    y = np.clip((uv[:, 1] + 1) / 2 * height + 0.5, 0, height + 0.999)
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    at = y0 * (width + 2) + x0
    found = (padded[:, at] * ((1 - fx) * (1 - fy)) + padded[:, at + 1] * (fx * (1 - fy))
             + padded[:, at + width + 2] * ((1 - fx) * fy) + padded[:, at + width + 3] * (fx * fy))
    return found.T.astype(np.float32)


def compute_cell_centres(resolution: int) -> np.ndarray:
    """(resolution^3, 3) float32 centres of the cells of [-0.5, 0.5]^3, x slowest."""
    axis = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def lift_pixels(view: LayerView, mask: np.ndarray) -> np.ndarray:
    """(P, 3) float32: where the front of a view lies in the asset's frame, behind the pixels of a mask (SIZE, SIZE)."""
    camera, (y, x) = view.camera, np.nonzero(mask)
    pixel = (np.stack([x, y], 1) + 0.5) * (camera.width / SIZE, camera.height / SIZE)
    ray = np.c_[(pixel - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2], np.ones(len(x))]
    seen = ray * (view.front[y, x] + camera.world_to_camera[2, 3])[:, None]
    return ((seen - camera.world_to_camera[:3, 3]) @ camera.world_to_camera[:3, :3]).astype(np.float32)


class LayerView:
    """One photo's layers in the asset's frame.

    camera: of the crop. image: (PICTURE, S, S) as make_network_image, S = SIZE. mask: (S, S) bool, opaque. front, back:
    (S, S) below the frame's origin, asset units. torn: (S, S) bool, beside a jump in depth. normal: (3, S, S), camera's
    frame. material: (MATERIAL, S, S), display colour. around: the same, as it is around every pixel, also beside the
    object. config: what counts as torn, around and shown.
    """

    def __init__(self, camera: Camera, image: np.ndarray, layers: np.ndarray,
                 config: ReconstructionConfig = ReconstructionConfig()):
        """layers: (LAYERS, SIZE, SIZE), as Intrinsics returns them."""
        self.camera, self.image, self.config = camera, image, config
        self.mask = self.image[Picture.ALPHA] > 0.5
        side = reach(camera)
        self.front = layers[Layer.DEPTH] * side
        self.back = self.front + np.maximum(layers[Layer.THICKNESS], 0) * side
        self.torn = self._find_jumps()
        self.normal, self.material = layers[Layer.NORMAL], self._mend_rim(np.clip(layers[Layer.MATERIAL], 0, 1))
        self.around = blur_masked(self.material, self.mask, config.hidden_blend_radius)

    @cached_property
    def through(self) -> np.ndarray:
        """(LEVELS, MATERIAL, S, S): the material, ever broader, also beside the object: as what lies behind it may
        look. Detail fades first, then all but the colour that most of the surroundings have."""
        colors = find_clusters(self.material[:, self.mask].T, self.config.hidden_colors)
        return np.stack([blur_masked(self.material, self.mask, self.config.hidden_detail_radius)] +
                        [spread_dominant(self.material, self.mask, colors, radius)
                         for radius in self.config.hidden_radii])

    def see_through(self, uv: np.ndarray, behind: np.ndarray) -> np.ndarray:
        """The material (P, MATERIAL) of what lies so many asset units behind the front, (P,), at uv (P, 2)."""
        levels = np.stack([look_up(level, np.clip(uv, -1, 1)) for level in self.through])
        level = np.clip(behind / (CELL * self.config.hidden_fade), 0, len(levels) - 1 - 1e-4)
        low = level.astype(int)
        share = (level - low)[:, None]
        row = np.arange(len(uv))
        return levels[low, row] * (1 - share) + levels[low + 1, row] * share

    def inside(self, maps: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """Maps (C, SIZE, SIZE) at uv (P, 2), of the pixels alone that show the object, or of the nearest of them beside
        it; (P, C), 0 far from all."""
        known = np.concatenate([maps * self.mask, self.mask[None].astype(np.float32)])
        found = look_up(known, uv)
        beside = np.flatnonzero(found[:, -1] < self.config.least_inside)
        found[beside] = look_up(_continue(known), uv[beside])
        return found[:, :-1] / np.maximum(found[:, -1:], 1e-3)

    def recentre(self, centre: np.ndarray, size: float) -> None:
        """The same photo after all that the asset's frame holds was moved by -centre (3,) and divided by its size."""
        below = self.camera.world_to_camera[2, :3] @ centre
        self.camera = recentre(self.camera, centre, size)
        self.front, self.back = ((layer - np.float32(below)) / np.float32(size) for layer in (self.front, self.back))

    def _find_jumps(self) -> np.ndarray:
        """Where the front jumps, (SIZE, SIZE) bool. A slope that goes on around is none: it is seen obliquely."""
        steps = local_range(np.where(self.mask & np.isfinite(self.front), self.front, np.nan))
        around = blur_masked(steps[None], self.mask, self.config.jump_radius)[0]
        return (steps > self.config.depth_jump * reach(self.camera)) & (steps > self.config.jump_share * around)

    def _mend_rim(self, material: np.ndarray) -> np.ndarray:
        """A material (MATERIAL, SIZE, SIZE) that has, where the picture's pixels are not all object, what is inside
        beside them: networks take the grey that such pixels fade to for the object's."""
        alpha, radius = self.image[Picture.ALPHA], self.config.rim_radius
        whole = alpha > self.config.whole_alpha
        near = blur_box(blur_box(whole.astype(np.float32), radius), radius) > 0.02  # thin parts have no inside
        share = np.clip((self.config.whole_alpha - alpha) / self.config.rim_fade, 0, 1) * near
        return material + share * (blur_masked(material, whole, radius) - material)

    def near_jumps(self, uv: np.ndarray) -> np.ndarray:
        """How near places uv (P, 2) are to where the surface is torn, (P,) float32 0..1."""
        around = local_maximum(self.torn.astype(np.float32), self.config.seam_radius)
        return look_up(blur_box(blur_box(around, 1), 1).astype(np.float32)[None], uv)[:, 0]

    def shows(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which points (P, 3) the photo shows, those hardly behind the front: (P,) bool; and their uv (P, 2)."""
        behind, uv = self.measure_behind(points)
        return behind < self.config.front_slack, uv

    def measure_behind(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far points (P, 3) lie behind the front, beside a jump in depth behind the nearest front around, in cells
        of 128^3: (P,), inf where there is none; and their uv (P, 2)."""
        uv, depth = project(points, self.camera)
        at = np.clip(((uv + 1) / 2 * SIZE).astype(int), 0, SIZE - 1)
        known = self.mask & np.isfinite(self.front)
        nearest = local_minimum(np.where(known, self.front, np.inf))[at[:, 1], at[:, 0]]
        even = known & ~self.torn  # there, what is seen obliquely must not lie behind itself
        sloping, weight = look_up(np.stack([np.where(even, self.front, 0), even]).astype(np.float32), uv).T
        front = np.where(weight > 0.5, sloping / np.maximum(weight, 1e-3), nearest)
        return np.where((np.abs(uv) < 1).all(1) & np.isfinite(front), (depth - front) / CELL, np.inf), uv


def _continue(known: np.ndarray, pixels: int = 2) -> np.ndarray:
    """Maps (C, S, S), the last of them where they are known, 0 or 1, that go on as they are for some pixels more."""
    for _ in range(pixels):
        around = np.stack([neighbourhoods(plane).sum(0) for plane in known])
        known = np.where(known[-1] > 0, known, around / np.maximum(around[-1], 1))
        known[-1] = known[-1] > 0
    return known


@dataclass(frozen=True, eq=False)
class Look:
    """What Intrinsics says of a photo.

    image: (PICTURE, S, S), the photo as make_network_image, S = SIZE. layers: (LAYERS, S, S), the mean of what it says
    of the photo and of its mirror image. trunks: the features for Structure, (TRUNK, S / 2, S / 2), of the photo and of
    its mirror image.
    """

    photo: Photo
    image: np.ndarray
    layers: np.ndarray
    trunks: tuple[np.ndarray, np.ndarray]


def look_at(model: NearMini, photo: Photo, camera: Camera) -> Look:
    """Looks at a photo: two runs of a network. camera: of the crop."""
    image, pose = make_network_image(photo), describe_pose(camera)
    twin = pose.copy()
    twin[Pose.DIRECTION_X] *= -1
    layers, trunk, _ = _run(model, image, pose)
    # what it says of the photo in a mirror errs otherwise: the mean of both errs less
    other, other_trunk, _ = _run(model, image[..., ::-1], twin)
    return Look(photo, image, (layers + mirror_layers(other)) / 2, (trunk, other_trunk))


def estimate_elevation(model: NearMini, photo: Photo) -> float:
    """From how many degrees above the horizon a photo was taken, by a glance at it (one run of the network)."""
    return _elevation(_run(model, make_network_image(photo), np.zeros(POSE, np.float32))[2])


def find_camera(model: NearMini, photo: Photo, azimuth: float, elevation: float | None, fov: float,
                maximum_shrink: float = ReconstructionConfig.maximum_shrink) -> Camera:
    """The likely camera of a crop, by a glance at the photo (one run of the network): what it shows is in the middle of
    the asset's cube, and shrunk, by maximum_shrink at most, where it would not fit.

    azimuth, elevation, fov: degrees, as in Photo.guess_camera. elevation None: as high as the photo looks.
    """
    image = make_network_image(photo)
    camera = photo.guess_camera(azimuth, ELEVATION if elevation is None else elevation, fov)
    layers, _, radians = _run(model, image, describe_pose(camera))
    if elevation is None:  # the network tells it by the picture alone, whatever camera it was told
        camera = photo.guess_camera(azimuth, _elevation(radians), fov)
    return centre_object(camera, layers, image[Picture.ALPHA] > 0.5, maximum_shrink)


def _elevation(radians: float) -> float:
    """Degrees, as far as photos are taken from above and below."""
    return float(np.clip(np.degrees(radians), -60, 80))


def _run(model: NearMini, image: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Layers (LAYERS, S, S), trunk (TRUNK, S / 2, S / 2) and elevation in radians of one picture."""
    layers, trunk, radians = model.run("intrinsics", image=image[None], pose=pose[None])
    return layers[0], trunk[0], float(radians[0])


class PhotoView(LayerView):
    """A photo that was looked at, seen from a camera. Its material explains the photo better than the look's does
    (delighting.py).

    photo: as it was. display: (3, S, S) its colours, display, times alpha. layers, trunks: as in Look.
    """

    def __init__(self, look: Look, camera: Camera, config: ReconstructionConfig = ReconstructionConfig(),
                 light: DelightingConfig = DelightingConfig()):
        self.photo, self.layers, self.trunks = look.photo, look.layers, look.trunks
        self.display = srgb_encode(np.clip(look.photo.rgb, 0, 1)).transpose(2, 0, 1) * look.photo.alpha
        super().__init__(camera, look.image, delighting.refine_albedo(look.layers, look.image, light), config)

    @cached_property
    def _fine(self) -> np.ndarray:
        """The fine crop as (4, FINE, FINE) float32, 0..1."""
        return self.photo.fine.transpose(2, 0, 1).astype(np.float32) / 255

    def find_fine(self, uv: np.ndarray) -> np.ndarray:
        """How the photo's fine crop differs from its crop at uv (P, 2), (P, 3) display colours."""
        if self.photo.fine is None:
            return np.zeros((len(uv), 3), np.float32)
        crop = look_up(np.concatenate([self.display, self.photo.alpha[None]]), uv)
        fine = look_up(self._fine, uv)
        inside = (crop[:, 3:] > 0.95) & (fine[:, 3:] > 0.95)
        return np.where(inside, fine[:, :3] - crop[:, :3] / np.maximum(crop[:, 3:], 0.5), 0)


def mirror_layers(layers: np.ndarray) -> np.ndarray:
    """Layers (LAYERS, SIZE, SIZE) of a photo as those of its mirror image."""
    flipped = layers[..., ::-1].copy()
    flipped[Layer.NORMAL_X] *= -1
    return flipped


def centre_object(camera: Camera, layers: np.ndarray, mask: np.ndarray,
                  maximum_shrink: float = ReconstructionConfig.maximum_shrink) -> Camera:
    """The camera of a crop after the object in it was moved to the middle of the asset's cube, and shrunk, by
    maximum_shrink at most, where it would not fit.

    camera: a guess by the silhouette alone, which does not know how deep the object is; layers (LAYERS, S, S) do. mask:
    (S, S) bool, where they count.
    """
    matrix, side = camera.world_to_camera, reach(camera)
    y, x = np.nonzero(mask)
    if not len(x):
        return camera
    pixel = (np.stack([x, y], 1) + 0.5) * (camera.width / SIZE, camera.height / SIZE)
    ray = np.c_[(pixel - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2], np.ones(len(x))]
    front = layers[Layer.DEPTH] * side
    back = front + np.maximum(layers[Layer.THICKNESS], 0) * side
    z = np.stack([front, back])[:, y, x] + matrix[2, 3]
    points = ((ray * z[..., None]).reshape(-1, 3) - matrix[:3, 3]) @ matrix[:3, :3]
    low, high = np.percentile(points, (1, 99), 0)
    wide = np.ptp(np.percentile(points[:len(x)], (0.5, 99.5), 0), 0).max()  # what is seen, for that would be cut off
    moved = matrix.copy()
    moved[:3, 3] = (matrix[:3, :3] @ (low + high) / 2 + matrix[:3, 3]) / np.clip(wide, 1, maximum_shrink)
    return replace(camera, world_to_camera=moved)

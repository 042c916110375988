"""A photo in the asset's frame: what it shows, layer by layer, and where a point falls in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..asset import CELL
from ..directions import unit
from ..image import srgb_encode
from ..image.filters import blur_masked, local_minimum, local_range
from ..models.mini.layout import POSE, RESOLVED, SIZE, Layer, Picture, Pose
from ..models.mini.runtime import NearMini
from ..scene import Camera
from . import delighting
from .config import DelightingConfig, ReconstructionConfig
from .photo import Photo

MIRROR = np.array([-1, 1, 1], np.float32)


def network_image(photo: Photo) -> np.ndarray:
    """(4, SIZE, SIZE) float32: display colour over grey in [-1, 1], and alpha 0..1; no sharper than RESOLVED pixels."""
    from PIL import Image
    alpha = photo.alpha[..., None]
    colour = srgb_encode(np.clip(photo.rgb, 0, 1)) * 2 - 1
    planes = np.concatenate([colour * alpha, alpha], -1).transpose(2, 0, 1)
    resize = lambda plane, size: plane.resize((size, size), Image.Resampling.BILINEAR)  # noqa: E731
    return np.stack([np.asarray(resize(resize(Image.fromarray(np.ascontiguousarray(plane)), RESOLVED), SIZE))
                     for plane in planes])


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where points of the asset's frame fall in the crop's picture.

    points: (P, 3) float32. Returns uv (P, 2), (-1, -1) the top left corner; ray (P, 4): unit direction from the camera
    in the asset's frame, and how much deeper than the frame's origin.
    """
    matrix = camera.world_to_camera.astype(np.float32)
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    focal, centre = np.diag(camera.intrinsics)[:2].astype(np.float32), camera.intrinsics[:2, 2].astype(np.float32)
    pixel = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) * focal + centre
    uv = pixel / np.array([camera.width, camera.height], np.float32) * 2 - 1
    ray = unit(points - camera.position.astype(np.float32))
    return uv, np.concatenate([ray, seen[:, 2:] - matrix[2, 3]], 1)


def reach(camera: Camera) -> float:
    """The side of a crop in asset units, where the frame's origin lies."""
    return camera.width / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3]


def pose_of(camera: Camera) -> np.ndarray:
    """(6,) float32: what Intrinsics wants to know of a crop's camera."""
    pose = np.ones(POSE, np.float32)
    pose[Pose.DIRECTION] = unit(camera.position)
    pose[Pose.REACH], pose[Pose.TANGENT] = reach(camera), camera.width / camera.intrinsics[0, 0] / 2
    return pose


def grid_inputs(camera: Camera, points: np.ndarray) -> dict[str, np.ndarray]:
    """What Structure wants to know of points (P, 3) and a crop's camera: uv (2, P, 2) and depth below the frame's origin
    (2, P), of the points and their mirror images in x = 0; towards (3,), unit, from the origin to the camera."""
    sides = [project(p, camera) for p in (points, points * MIRROR)]
    position = camera.position.astype(np.float32)
    return {"uv": np.stack([uv for uv, _ in sides]), "depth": np.stack([ray[:, 3] for _, ray in sides]),
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


def cell_centres(resolution: int) -> np.ndarray:
    """(resolution^3, 3) float32 centres of the cells of [-0.5, 0.5]^3, x slowest."""
    axis = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


class LayerView:
    """One photo's layers in the asset's frame.

    camera: of the crop. image: (PICTURE, SIZE, SIZE) as network_image. mask: (SIZE, SIZE) bool, opaque. front, back:
    (SIZE, SIZE) below the frame's origin, asset units. torn: (SIZE, SIZE) bool, beside a jump in depth. normal: (3, SIZE,
    SIZE), camera's frame. material: (MATERIAL, SIZE, SIZE), display colour. around: the same, as it is around every pixel,
    also beside the object. config: what counts as torn, around and shown.
    """

    def __init__(self, camera: Camera, image: np.ndarray, layers: np.ndarray,
                 config: ReconstructionConfig = ReconstructionConfig()):
        """layers: (LAYERS, SIZE, SIZE), as Intrinsics returns them."""
        self.camera, self.image, self.config = camera, image, config
        self.mask = self.image[Picture.ALPHA] > 0.5
        side = reach(camera)
        self.front = layers[Layer.DEPTH] * side
        self.back = self.front + np.maximum(layers[Layer.THICKNESS], 0) * side
        self.torn = local_range(np.where(self.mask, layers[Layer.DEPTH], np.nan)) > config.depth_jump
        self.normal, self.material = layers[Layer.NORMAL], np.clip(layers[Layer.MATERIAL], 0, 1)
        self.around = blur_masked(self.material, self.mask, config.hidden_blend_radius)

    def inside(self, maps: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """Maps (C, SIZE, SIZE) at uv (P, 2), of the pixels alone that show the object; (P, C), 0 far from all."""
        found = look_up(np.concatenate([maps * self.mask, self.mask[None].astype(np.float32)]), uv)
        return found[:, :-1] / np.maximum(found[:, -1:], 1e-3)

    def shows(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which points (P, 3) the photo shows, those hardly behind the front: (P,) bool; and their uv (P, 2)."""
        uv, ray = project(points, self.camera)
        at = np.clip(((uv + 1) / 2 * SIZE).astype(int), 0, SIZE - 1)
        front = local_minimum(np.where(self.mask, self.front, np.inf))[at[:, 1], at[:, 0]]
        return (ray[:, 3] < front + self.config.front_slack * CELL) & (np.abs(uv) < 1).all(1) & np.isfinite(front), uv


@dataclass(frozen=True, eq=False)
class Look:
    """What Intrinsics says of a photo, looked at once together with its mirror image.

    image: (PICTURE, SIZE, SIZE), the photo as network_image. layers: (LAYERS, SIZE, SIZE), the mean of both. trunks: the
    features for Structure, (TRUNK, SIZE / 2, SIZE / 2), of the photo and of its mirror image. elevation: degrees above
    the horizon from which the photo was taken, by the picture alone, whatever camera the look was told.
    """

    photo: Photo
    image: np.ndarray
    layers: np.ndarray
    trunks: tuple[np.ndarray, np.ndarray]
    elevation: float


def look_at(model: NearMini, photo: Photo, camera: Camera) -> Look:
    """Looks at a photo: two runs of a network. camera: of the crop, as far as it is known."""
    image, pose = network_image(photo), pose_of(camera)
    twin = pose.copy()
    twin[Pose.DIRECTION_X] *= -1
    # what it says of the photo in a mirror errs otherwise: the mean of both errs less
    (layers, trunk, radians), (other, other_trunk, other_radians) = (
        model.run("intrinsics", image=picture[None], pose=known[None])
        for picture, known in ((image, pose), (image[..., ::-1], twin)))
    elevation = float(np.degrees(radians[0] + other_radians[0]) / 2)
    return Look(photo, image, (layers[0] + mirror_layers(other[0])) / 2, (trunk[0], other_trunk[0]),
                min(max(elevation, -60.0), 80.0))


class PhotoView(LayerView):
    """A photo that was looked at, seen from a camera. Its material explains the photo better than the look's does
    (delighting.py).

    photo: as it was. display: (3, S, S) its colours, display, times alpha. layers: (LAYERS, SIZE, SIZE) what Intrinsics
    says, for this camera. trunks: as in Look.
    """

    def __init__(self, look: Look, camera: Camera, layers: np.ndarray,
                 config: ReconstructionConfig = ReconstructionConfig(), light: DelightingConfig = DelightingConfig()):
        self.photo, self.trunks, self.layers = look.photo, look.trunks, layers
        self.display = srgb_encode(np.clip(look.photo.rgb, 0, 1)).transpose(2, 0, 1) * look.photo.alpha
        super().__init__(camera, look.image, delighting.refine_albedo(layers, look.image, light), config)


def mirror_layers(layers: np.ndarray) -> np.ndarray:
    """Layers (LAYERS, SIZE, SIZE) of a photo as those of its mirror image."""
    flipped = layers[..., ::-1].copy()
    flipped[Layer.NORMAL_X] *= -1
    return flipped


def centre_object(look: Look, camera: Camera, maximum_shrink: float = ReconstructionConfig.maximum_shrink
                  ) -> tuple[Camera, np.ndarray]:
    """The camera of a crop after the object that a look shows was moved to the middle of the asset's cube, and shrunk, by
    maximum_shrink at most, where it would not fit; and the look's layers for it, (LAYERS, SIZE, SIZE).

    camera: a guess by the silhouette alone, which does not know how deep the object is.
    """
    matrix, side = camera.world_to_camera, reach(camera)
    y, x = np.nonzero(look.image[Picture.ALPHA] > 0.5)
    if not len(x):
        return camera, look.layers
    pixel = (np.stack([x, y], 1) + 0.5) * (camera.width / SIZE, camera.height / SIZE)
    ray = np.c_[(pixel - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2], np.ones(len(x))]
    front = look.layers[Layer.DEPTH] * side
    back = front + np.maximum(look.layers[Layer.THICKNESS], 0) * side
    z = np.stack([front, back])[:, y, x] + matrix[2, 3]
    points = ((ray * z[..., None]).reshape(-1, 3) - matrix[:3, 3]) @ matrix[:3, :3]
    low, high = np.percentile(points, (1, 99), 0)
    wide = np.ptp(np.percentile(points[:len(x)], (0.5, 99.5), 0), 0).max()  # what is seen, for that would be cut off
    shrink = np.clip(wide, 1, maximum_shrink)
    moved = matrix.copy()
    moved[:3, 3] = (matrix[:3, :3] @ (low + high) / 2 + matrix[:3, 3]) / shrink
    centred = replace(camera, world_to_camera=moved)
    layers = look.layers.copy()
    layers[Layer.DEPTH] = ((front + matrix[2, 3]) / shrink - moved[2, 3]) / reach(centred)
    layers[Layer.THICKNESS] *= side / shrink / reach(centred)
    return centred, layers

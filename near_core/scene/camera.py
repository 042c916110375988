"""Pinhole and orthographic cameras in OpenCV convention (x right, y down, z forward)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..errors import NearError

MAX_SIDE, MAX_DRAWN = 16384, 32768  # pixels: of files, and that kernels can count
FAR = 250.0  # metres; from there a cube of 1 m, drawn in perspective, is off by 0.2 % at most
# Blender's camera looks along -Z with +Y up; turning y and z over gives OpenCV's axes
_FLIP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Camera:
    """Where a picture is taken from and how the world falls onto its pixels.

    world_to_camera: (4, 4) float64, metres, world Z-up -> camera x right, y down, z forward.
    intrinsics: (3, 3) float64, pixels; pixel (i, j) covers [i, i+1) x [j, j+1), its centre is at +0.5.
        Orthographic: fx and fy are pixels per metre.
    width, height: pixels.
    near, far: metres along the camera's axis; what lies outside is not drawn.
    frame: (left, top, width, height) of the whole picture that this one is a window of, in pixels from the window's
        top left corner; None where it is the whole.
    """

    world_to_camera: np.ndarray
    intrinsics: np.ndarray
    width: int
    height: int
    orthographic: bool = False
    near: float = 0.01
    far: float = 1e6
    frame: tuple[float, float, int, int] | None = None

    @property
    def position(self) -> np.ndarray:
        """(3,) float64, metres, world."""
        rotation, translation = self.world_to_camera[:3, :3], self.world_to_camera[:3, 3]
        return -rotation.T @ translation

    @property
    def forward(self) -> np.ndarray:
        """(3,) float64 unit, world: the direction the camera looks in."""
        return self.world_to_camera[2, :3]

    def directions_to(self, points: np.ndarray) -> np.ndarray:
        """Unit directions from world points (K, 3) to the camera; parallel where it is orthographic. (K, 3) float32."""
        if self.orthographic:
            return np.broadcast_to(-self.forward.astype(np.float32), points.shape)
        to_camera = self.position.astype(np.float32) - points
        to_camera *= (1 / np.sqrt(np.maximum(np.einsum("kc,kc->k", to_camera, to_camera), 1e-24)))[:, None]
        return to_camera

    def pixel_directions(self) -> np.ndarray:
        """Unit world directions through the pixel centres, away from the camera. (H, W, 3) float32."""
        rays = self.pixel_rays()
        length = np.sqrt(sum(rays[..., axis] * rays[..., axis] for axis in range(3)))
        for axis in range(3):
            rays[..., axis] /= length
        return rays

    def pixel_rays(self) -> np.ndarray:
        """The same of any length. (H, W, 3) float32."""
        x = (np.arange(self.width) + 0.5 - self.intrinsics[0, 2]) / self.intrinsics[0, 0]
        y = (np.arange(self.height) + 0.5 - self.intrinsics[1, 2]) / self.intrinsics[1, 1]
        if self.orthographic:
            x, y = np.zeros_like(x), np.zeros_like(y)
        right, down, forward = self.world_to_camera[:3, :3]
        across, along = (x[:, None] * right).astype(np.float32), (y[:, None] * down + forward).astype(np.float32)
        rays = np.empty((self.height, self.width, 3), np.float32)
        for axis in range(3):  # a row's part and a column's part
            np.add(across[:, axis], along[:, axis, None], out=rays[..., axis])
        return rays

    def lift(self, at: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """World points (P, 3) float64 at places of the picture (P, 2), pixels, and depths (P,) along the view axis."""
        across = (at - self.intrinsics[:2, 2]) / np.diag(self.intrinsics)[:2]
        local = np.column_stack([across * (1 if self.orthographic else depth[:, None]), depth, np.ones(len(depth))])
        return (local @ np.linalg.inv(self.world_to_camera).T)[:, :3]

    def measure_pixel(self, depth: np.ndarray) -> np.ndarray:
        """Metres that a pixel is wide at depths along the view axis, any shape."""
        return (np.ones_like(depth) if self.orthographic else depth) / np.float32(self.intrinsics[0, 0])

    def crop(self, x: int, y: int, width: int, height: int) -> Camera:
        """The same view seen through a window of the picture, in pixels from the top left."""
        intrinsics = self.intrinsics.copy()
        intrinsics[0, 2] -= x
        intrinsics[1, 2] -= y
        left, top, *size = self.frame or (0, 0, self.width, self.height)
        return replace(self, intrinsics=intrinsics, width=width, height=height, frame=(left - x, top - y, *size))

    def narrow(self) -> Camera:
        """An orthographic camera as a perspective one that is FAR from the origin and sees what is there alike."""
        if not self.orthographic:
            return self
        matrix, intrinsics = self.world_to_camera.copy(), self.intrinsics.copy()
        matrix[2, 3] = FAR
        intrinsics[0, 0], intrinsics[1, 1] = FAR * np.diag(intrinsics)[:2]
        return Camera(matrix, intrinsics, self.width, self.height)

    def flatten(self, distance: float = 3.0) -> Camera:
        """A perspective camera as an orthographic one, which sees the origin alike. distance: of that, metres."""
        matrix, intrinsics = self.world_to_camera.copy(), self.intrinsics.copy()
        intrinsics[0, 0], intrinsics[1, 1] = np.diag(intrinsics)[:2] / matrix[2, 3]
        matrix[2, 3] = distance
        return replace(self, world_to_camera=matrix, intrinsics=intrinsics, orthographic=True)

    def resize(self, width: int, height: int) -> Camera:
        """The same view at another pixel count."""
        x, y = width / self.width, height / self.height
        left, top, wide, high = self.frame or (0, 0, 0, 0)
        frame = self.frame and (left * x, top * y, round(wide * x), round(high * y))
        return replace(self, intrinsics=np.diag([x, y, 1.0]) @ self.intrinsics, width=width, height=height, frame=frame)


def from_matrix_world(matrix_world: np.ndarray, intrinsics: np.ndarray, width: int, height: int, **options) -> Camera:
    """A camera from Blender's camera-to-world matrix (4, 4); its scale is ignored as Blender does."""
    matrix = np.asarray(matrix_world, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise NearError("The camera's matrix_world is not a 4x4 matrix of finite numbers.", "Check the camera file.")
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if lengths.min() < 1e-9:
        raise NearError("The camera's matrix has a zero scale.", "Apply or reset the camera's scale.")
    rotation = (matrix[:3, :3] / lengths) @ _FLIP
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation.T
    world_to_camera[:3, 3] = -rotation.T @ matrix[:3, 3]
    return Camera(world_to_camera, np.asarray(intrinsics, np.float64), int(width), int(height), **options)


def orbit(azimuth: float, elevation: float, distance: float, fov: float, width: int, height: int) -> Camera:
    """A camera that looks at the origin with +Z up.

    azimuth: degrees; 0 stands on -Y and sees an asset's front, +90 on +X. elevation: degrees, up.
    distance: metres. fov: degrees, full horizontal angle.
    """
    a, e = math.radians(azimuth), math.radians(elevation)
    back = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
    right = np.array([math.cos(a), math.sin(a), 0.0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    matrix[:3, 3] = back * distance
    return from_matrix_world(matrix, pinhole(fov, width, height), width, height)


def pinhole(fov: float, width: int, height: int) -> np.ndarray:
    """(3, 3) intrinsics of square pixels with the principal point in the middle; fov: degrees, horizontal."""
    focal = 0.5 * width / math.tan(math.radians(fov) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def to_json(camera: Camera) -> dict:
    """A camera of square pixels as docs/formats.md describes it; from_json takes it."""
    matrix = np.linalg.inv(camera.world_to_camera)
    matrix[:3, :3] = matrix[:3, :3] @ _FLIP
    width, (x, y) = camera.width, camera.intrinsics[:2, 2]
    across = width / camera.intrinsics[0, 0]
    lens = {"type": "ORTHO", "ortho_scale": across} if camera.orthographic else {
        "fov_x_deg": math.degrees(2 * math.atan(across / 2))}
    return {"matrix_world": matrix.tolist(), "resolution": [width, camera.height], **lens,
            "shift_x": (width / 2 - x) / width, "shift_y": (y - camera.height / 2) / width}


def check_size(width: int, height: int, most: int = MAX_DRAWN) -> None:
    """Raises NearError where a picture has no pixels, or more than `most` a side."""
    if not (1 <= width <= most and 1 <= height <= most):
        raise NearError("A picture of {width} x {height} pixels cannot be drawn.",
                        "Choose a resolution from 1 to {most} pixels a side.", width=width, height=height, most=most)


def from_json(view: dict, size: tuple[int, int] | None = None) -> Camera:
    """A camera from the `camera` object of a view file (docs/formats.md).

    view: `matrix_world` 4x4 camera to world, `fov_x_deg`, `resolution` [W, H] or one number; optional `type`
        PERSP|ORTHO, `ortho_scale` metres across, `shift_x`, `shift_y` in units of the width, `clip` [near, far] metres.
    size: (width, height) pixels instead of the file's.
    Raises NearError naming the key that is missing or wrong.
    """
    try:
        resolution = size or view["resolution"]
        width, height = (resolution, resolution) if np.isscalar(resolution) else resolution
        lens = view.get("type", "PERSP")
        if lens not in ("PERSP", "ORTHO"):
            raise ValueError(f"type {lens!r}")
        orthographic = lens == "ORTHO"
        near, far = view.get("clip", (0.01, 1e6))
        if orthographic:
            scale = float(view["ortho_scale"])
            intrinsics = np.diag([width / scale if scale else np.inf] * 2 + [1.0])
            intrinsics[:2, 2] = width / 2, height / 2
        else:
            intrinsics = pinhole(float(view["fov_x_deg"]), width, height)
        intrinsics[0, 2] -= float(view.get("shift_x", 0)) * width
        intrinsics[1, 2] += float(view.get("shift_y", 0)) * width
        matrix, near, far = np.asarray(view["matrix_world"], np.float64), float(near), float(far)
        if width != int(width) or height != int(height):
            raise ValueError("resolution")
    except KeyError as error:
        raise NearError("The camera has no {missing}.", "Add it to the camera file.", missing=error.args[0]) from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise NearError("The camera file is malformed ({reason}).", "Compare it with docs/formats.md.",
                        reason=error) from error
    check_size(width, height, MAX_SIDE)
    if not (np.isfinite(intrinsics).all() and 1e-3 < intrinsics[0, 0] < 1e9):
        raise NearError("The camera's field of view or scale is out of range.",
                        "Choose an fov_x_deg between 0 and 180, or a positive ortho_scale.")
    if not near < far:
        raise NearError("The camera's clipping range is empty.", "Choose a clip whose end lies beyond its start.")
    return from_matrix_world(matrix, intrinsics, width, height, orthographic=orthographic, near=near, far=far)

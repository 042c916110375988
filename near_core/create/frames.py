"""Where an object stands that cameras of a scene saw: a cube around it becomes the asset's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..directions import unit
from ..errors import NearError
from .alignment import measure_hull
from .config import AlignmentConfig
from .photo import Photo
from .shot import Shot
from .view import recentre


@dataclass(frozen=True)
class AssetFrame:
    """The asset's cube among cameras. middle: (3,) float64, in their world. size: the edge, in its metres."""

    middle: np.ndarray
    size: float

    def enter(self, shot: Shot) -> Shot:
        """A photo whose camera stands in the world as one whose camera stands in the asset's frame."""
        return shot if shot.camera is None else replace(shot, camera=recentre(shot.camera, self.middle, self.size))


def find_frame(shots: Sequence[Shot], photos: Sequence[Photo], anchor: Sequence[float],
               config: AlignmentConfig = AlignmentConfig()) -> AssetFrame:
    """The cube around what cameras in a world, those of the shots that have one, see where they look together.

    anchor: (3,) where the object stands about; tells only how far away it is, and only where no other camera does.
    Raises NearError where a camera looks elsewhere, with the name of its photo; of two with both.
    """
    known = [(shot, photo) for shot, photo in zip(shots, photos) if shot.camera is not None]
    starts, rays = (np.array(each) for each in zip(*(_look(*each) for each in known)))
    middle = _meet(starts, rays, anchor, config)
    sizes = np.array([_measure(*each, middle) for each in known])
    if ((_miss(starts, rays, middle) > sizes / 2) | (((middle - starts) * rays).sum(1) <= 0)).any():
        _refuse([shot.name for shot, _ in known], _find_astray(starts, rays, anchor, config))
    rough = AssetFrame(middle, float(sizes.max()) * config.frame_room)
    if len(known) < 2:
        return rough
    inside = [photo.cropped(rough.enter(shot).narrow().camera) for shot, photo in known]
    try:
        low, high = measure_hull([photo for _, photo in known], inside, config)
    except NearError:  # the outlines have no place in common: which one does not fit is found with all the others
        return rough
    size = float((high - low).max()) * rough.size
    return AssetFrame(middle + (low + high) / 2 * rough.size, size * config.frame_room)


def _find_astray(starts: np.ndarray, rays: np.ndarray, anchor: Sequence[float], config: AlignmentConfig) -> int:
    """The number of the ray without which the others meet best."""
    misses = []
    for number in range(len(rays)):
        rest = np.arange(len(rays)) != number
        middle = _meet(starts[rest], rays[rest], anchor, config)
        misses.append(_miss(starts[rest], rays[rest], middle).max(initial=0))
    return int(np.argmin(misses))


def _refuse(names: Sequence[str], astray: int) -> None:
    """Raises NearError for photos whose cameras do not look at one place, the astray one least."""
    if len(names) == 1:
        raise NearError("The camera of {photo} does not look at the object.",
                        "Choose another camera, or put the 3D cursor where the object stands.", photo=names[0])
    if len(names) == 2:  # either may be wrong
        raise NearError("The cameras of {first} and {second} do not look at the same object.",
                        "Choose the cameras that they were taken from, or their views.", first=names[0],
                        second=names[1])
    raise NearError("The camera of {photo} does not look at what the other photos show.",
                    "Choose the camera that it was taken from, or its view.", photo=names[astray])


def _look(shot: Shot, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
    """Where the ray through the middle of what a photo shows begins, (3,), and its way, (3,) unit."""
    starts, rays = _rays_through(shot, photo)
    return starts[0], rays[0]


def _rays_through(shot: Shot, photo: Photo) -> tuple[np.ndarray, np.ndarray]:
    """Where the rays through the middle of the box around what a photo shows, and through both ends of its longer side,
    begin, (3, 3), and their ways, (3, 3) unit."""
    camera = shot.camera.resize(*photo.source_size)
    x0, y0, x1, y1 = photo.box
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) / 2
    step = (half, 0) if x1 - x0 >= y1 - y0 else (0, half)
    at = np.array([[x, y], [x - step[0], y - step[1]], [x + step[0], y + step[1]]])
    rays, starts = np.c_[(at - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2], np.ones(3)], np.zeros((3, 3))
    if camera.orthographic:
        starts[:, :2], rays[:, :2] = rays[:, :2], 0
    turn = camera.world_to_camera[:3, :3]
    return camera.position + starts @ turn, unit(rays @ turn)


def _meet(starts: np.ndarray, rays: np.ndarray, anchor: Sequence[float], config: AlignmentConfig) -> np.ndarray:
    """(3,) the place nearest to all rays (K, 3) from their starts, and a little to the anchor."""
    across = np.eye(3) - rays[:, :, None] * rays[:, None]
    weak = config.anchor_weight * np.eye(3)
    return np.linalg.solve(across.sum(0) + weak, (across @ starts[:, :, None]).sum(0)[:, 0] + weak @ np.array(anchor))


def _miss(starts: np.ndarray, rays: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(K,) how far rays pass by a place."""
    return np.linalg.norm(np.cross(rays, place - starts), axis=1)


def _measure(shot: Shot, photo: Photo, place: np.ndarray) -> float:
    """How long what a photo shows is, if it is at a place."""
    (_, left, right), (_, first, last) = _rays_through(shot, photo)
    if shot.camera.orthographic:
        return float(np.linalg.norm(right - left))
    half = np.arccos(np.clip(first @ last, -1, 1)) / 2
    return float(2 * np.linalg.norm(place - left) * np.sin(max(half, 1e-5)))

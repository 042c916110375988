"""Scenes far from the world's origin: 32-bit floats hold no millimetres there, so a picture is drawn around another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .camera import Camera
from .exposure import Shutter
from .lamp import Lamp
from .occluders import Occluders
from .settings import Instance

FAR = 8192.0  # metres from the origin, from which a camera counts as far
STEP = 4096.0  # metres between the places that become the origin: few, so that what is kept stays of use


@dataclass(frozen=True, eq=False)
class WorldOrigin:
    """A place (3,), metres, world, that things are moved to the origin from; the world's own moves nothing."""

    place: np.ndarray

    @property
    def is_own(self) -> bool:
        """Whether nothing moves."""
        return not self.place.any()

    def move_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Matrices (..., 4, 4) into the world."""
        moved = np.array(matrix, np.float64)
        moved[..., :3, 3] -= self.place
        return moved

    def move_camera(self, camera: Camera) -> Camera:
        """A camera."""
        moved = np.array(camera.world_to_camera, np.float64)
        moved[:3, 3] += moved[:3, :3] @ self.place
        return replace(camera, world_to_camera=moved)

    def move_instance(self, instance: Instance) -> Instance:
        """An instance with its probe."""
        probe = instance.probe
        if probe is not None:
            probe = replace(probe, position=np.asarray(probe.position, np.float64) - self.place)
        return replace(instance, matrix=self.move_matrix(instance.matrix), probe=probe)

    def move_lamps(self, lamps: Sequence[Lamp]) -> list[Lamp]:
        """Lamps."""
        return [replace(lamp, matrix=self.move_matrix(lamp.matrix)) for lamp in lamps]

    def move_occluders(self, occluders: Occluders | None) -> Occluders | None:
        """Triangles, if any."""
        return occluders and replace(occluders, vertices=(occluders.vertices - self.place).astype(np.float32))

    def move_shutter(self, shutter: Shutter | None) -> Shutter | None:
        """A shutter, if any."""
        return shutter and replace(shutter, matrices=self.move_matrix(shutter.matrices),
                                   cameras=[self.move_camera(camera) for camera in shutter.cameras])


def find_origin(camera: Camera) -> WorldOrigin:
    """The origin around which a camera's picture is drawn."""
    position = np.nan_to_num(camera.position)
    return WorldOrigin(np.round(position / STEP) * STEP if np.abs(position).max() > FAR else np.zeros(3))

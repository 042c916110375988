"""Which numbers a scene may hold. Others come of damaged files, and of drivers that divide by nothing: what is asked
with them ends in words, not in a picture that is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..asset.deformation import Deformation
from .camera import Camera
from .environment import Environment
from .exposure import Lens, Shutter
from .lamp import Lamp
from .look import AssetLook
from .occluders import Occluders
from .probe import Probe
from .settings import Instance, Settings

LARGEST = 1e12  # metres, watts and the like: 32 bits hold the cube of it
MOST_TURNS = 1.001  # of a rotation's numbers
LEAST_TURN = 1e-3  # of a camera's axes: the volume that they span
MOST_STOPS = 64.0
MOST_THREADS = 4096
FARTHEST = 1e3  # edges of the cube that what a deformation moves lies in


def is_sound(what: Any) -> bool:
    """Whether all numbers of a part of a scene can be drawn with."""
    return what is None or _CHECKS[type(what)](what)


def _hold(*values: Any, most: float = LARGEST, least: float = -np.inf) -> bool:
    """Whether all numbers lie between -most, or least, and most; what is no number does not."""
    arrays = (each for each in map(np.asarray, values) if each.size)
    return all(max(least, -most) <= each.min() and each.max() <= most for each in arrays)


def _check_camera(camera: Camera) -> bool:
    focal = np.diag(camera.intrinsics)[:2]
    return (_hold(camera.world_to_camera, camera.intrinsics, camera.frame or 0)
            and _hold(camera.world_to_camera[:3, :3], most=MOST_TURNS)
            and abs(np.linalg.det(camera.world_to_camera[:3, :3])) > LEAST_TURN and _hold(focal, most=1e9, least=1e-6)
            and bool(camera.near <= camera.far))


def _check_lens(lens: Lens) -> bool:
    return _hold(lens.radius, lens.rotation, lens.blades) and _hold(lens.focus, lens.ratio, least=1e-6)


def _check_shutter(shutter: Shutter) -> bool:
    return _hold(shutter.openness) and all(map(_check_camera, shutter.cameras))


def _check_lamp(lamp: Lamp) -> bool:
    return (_hold(lamp.matrix, lamp.color) and _hold(lamp.size, lamp.radius, lamp.hull, least=0)
            and _hold(lamp.angle, lamp.spot_angle, lamp.spread, lamp.blend, lamp.diffuse, lamp.specular, lamp.falloff,
                      most=100, least=0) and _hold(lamp.smooth, least=0)
            and (lamp.pattern is None or lamp.pattern.size > 0 and _check_map(np.abs(lamp.pattern))))


def _check_environment(light: Environment) -> bool:
    return _hold(light.world_to_map, most=MOST_TURNS) and _hold(light.strength)


def _check_map(radiance: np.ndarray) -> bool:
    """What is kept of a map goes by its bytes: those of another shape or type would be taken for it."""
    return radiance.ndim == 3 and radiance.shape[2] == 3 and radiance.dtype == np.float32 and _hold(radiance, least=0)


def _check_probe(probe: Probe) -> bool:
    mirrored, shape = probe.distance if probe.mirrored is None else probe.mirrored, probe.distance.shape
    diffuse = probe.radiance[..., :3] if probe.diffuse is None else probe.diffuse
    sent = np.zeros((0, *shape, 3)) if probe.sent is None else probe.sent
    return (probe.radiance.shape == (*shape, 4) and mirrored.shape == shape and probe.position.shape == (3,)
            and diffuse.shape == (*shape, 3) and _hold(probe.radiance, probe.position, diffuse, sent)
            and sent.shape == (len(probe.groups), *shape, 3)
            and _hold(mirrored, probe.distance, most=np.inf, least=0))


def _check_occluders(occluders: Occluders) -> bool:
    """Vertices at infinity leave out the faces that they are corners of."""
    owner = np.empty(0, np.int32) if occluders.owner is None else occluders.owner
    clear = np.empty(0, bool) if occluders.clear is None else occluders.clear
    return (occluders.vertices.shape[1:] == occluders.faces.shape[1:] == (3,)
            and all(len(each) in (0, len(occluders.faces)) and each.ndim == 1 for each in (owner, clear))
            and clear.dtype == bool
            and all(isinstance(name, str) for name in occluders.owners)
            and _hold(occluders.faces, most=len(occluders.vertices) - 1, least=0)
            and _hold(owner, most=len(occluders.owners) - 1, least=0))


def _check_deformation(deformation: Deformation) -> bool:
    rest, posed = deformation.rest, deformation.posed
    return rest.shape == posed.shape == (len(rest), 3) and _hold(rest, posed, most=FARTHEST)


def _check_look(look: AssetLook) -> bool:
    return (_hold(look.tint, look.saturation, most=1e6, least=0) and _hold(look.hue)
            and _hold(look.exposure, most=MOST_STOPS) and _hold(look.roughness, look.metallic, most=1)
            and _hold(look.opacity, most=1, least=0))


def _check_instance(instance: Instance) -> bool:
    """Where it stands alone."""
    return _hold(instance.matrix)


def _check_settings(settings: Settings) -> bool:
    return _hold(settings.coarseness, settings.filter_width, least=0) and _hold(settings.threads, most=MOST_THREADS)


_CHECKS: dict[type, Any] = {
    Camera: _check_camera, Lens: _check_lens, Shutter: _check_shutter, Lamp: _check_lamp,
    Environment: _check_environment, np.ndarray: _check_map, Probe: _check_probe, Occluders: _check_occluders,
    Deformation: _check_deformation, AssetLook: _check_look, Instance: _check_instance, Settings: _check_settings}

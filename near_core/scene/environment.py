"""Environment: the light of a World, an equirectangular map with a rotation and a strength."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .._kernels import ggx
from ..errors import Message, NearError

MAX_RADIANCE = float(np.finfo(np.float16).max)  # 65,504, of a map at strength 1
BRIGHTEST = 1e9  # of a file's or a World's; a sky's sun has about a million, and anything brighter is clipped to it


@dataclass(frozen=True, eq=False)
class Environment:
    """Light from infinitely far away.

    map: (H, W, 3) float32, linear Rec.709 radiance, equirect: centre +X, quarter from the left +Y, top row +Z.
    world_to_map: (3, 3) float64 rotation; a world direction d is looked up at world_to_map @ d.
    strength: multiplies the map; s times the strength gives exactly s times the picture.
    diffuse, glossy: whether it lights surfaces, whether it is mirrored by them; Cycles' Ray Visibility.
    """

    map: np.ndarray
    world_to_map: np.ndarray = field(default_factory=lambda: np.eye(3))
    strength: float = 1.0
    diffuse: bool = True
    glossy: bool = True

    @cached_property
    def hash(self) -> str:
        """Content hash of the map alone: rotation and strength never cost a new preparation."""
        return hashlib.sha256(np.ascontiguousarray(self.map)).hexdigest()[:32]

    def turn(self, world_to_map: np.ndarray, strength: float, diffuse: bool = True, glossy: bool = True) -> Environment:
        """The same map under another rotation and strength; its hash is computed once for all of them."""
        turned = Environment(self.map, world_to_map, strength, diffuse, glossy)
        vars(turned)["hash"] = self.hash  # where cached_property keeps it
        return turned

    def look_up(self, directions: np.ndarray, *, threads: int = 0) -> np.ndarray:
        """Radiance from world directions (..., 3) of any length, bilinear, strength applied. (..., 3) float32."""
        flat = np.ascontiguousarray(directions, np.float32).reshape(-1, 3)
        seen = ggx.look_up(np.ascontiguousarray(self.map, np.float32), flat, self.world_to_map, self.strength,
                           threads=threads)
        return seen.reshape(directions.shape)


def turn_z(degrees: float) -> np.ndarray:
    """(3, 3) world_to_map of an `env_rotation`: the looked-up direction is turned by +degrees about +Z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def uniform(color: tuple[float, float, float]) -> Environment:
    """The same linear radiance from everywhere."""
    return take_map(np.broadcast_to(np.asarray(color, np.float32), (16, 32, 3)))


def sanitize(map: np.ndarray, what: str = Message("The environment map"), most: float = MAX_RADIANCE) -> np.ndarray:
    """A map (H, W, 3) that is safe to light with: finite, not negative, at most `most`. (H, W, 3) float32."""
    if map.ndim != 3 or map.shape[2] < 3 or min(map.shape[:2]) < 1:
        raise NearError("{what} is not a colour picture.", "Choose an equirectangular .exr or .hdr file.", what=what)
    rgb = np.array(map[..., :3], np.float32, order="C")
    clean(rgb, most)
    return rgb


def clean(values: np.ndarray, most: float = BRIGHTEST) -> None:
    """Makes radiance finite and 0..most, in place: pictures can be gigabytes. Half floats overflow to infinity."""
    np.nan_to_num(values, copy=False, nan=0.0, posinf=MAX_RADIANCE, neginf=0.0)
    np.clip(values, 0, most, out=values)


def take_map(map: np.ndarray, what: str = Message("The environment map")) -> Environment:
    """A map (H, W, 3) of any brightness as light: what is above MAX_RADIANCE goes into the strength."""
    rgb = sanitize(map, what, BRIGHTEST)
    scale = max(1.0, float(rgb.max()) / MAX_RADIANCE)
    if scale > 1:
        rgb /= np.float32(scale)
        np.minimum(rgb, np.float32(MAX_RADIANCE), out=rgb)
    return Environment(rgb, strength=scale)

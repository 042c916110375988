"""Probe: what stands around an asset, seen from one point."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._kernels import ggx
from .environment import Environment

FINER, WIDEST = 4, 1024  # texels of a composed map: along one of the probe's, and in all, at most


@dataclass(frozen=True, eq=False)
class Probe:
    """A panorama of the scene from an asset's middle, without the World, the lamps and the asset itself, which still
    casts its shadow on what is seen.

    radiance: (H, 2H, 4) float32, linear Rec.709, premultiplied; equirect as Environment.map, along the world's axes.
    distance: (H, 2H) float32, metres from position, infinite where nothing is. position: (3,) float64, metres, world.
    mirrored: (H, 2H) float32, the share of the radiance that smooth surfaces mirror; None where it is not known.
    diffuse: (H, 2H, 3) float32, premultiplied, what matt surfaces get of it, for which mirrors and glass are less
        smooth: Cycles' Filter Glossy. None where that is the radiance.
    groups: names of light groups. sent: (G, H, 2H, 3) float32, what each sends of the radiance; None without groups.
    """

    radiance: np.ndarray
    distance: np.ndarray
    position: np.ndarray
    mirrored: np.ndarray | None = None
    diffuse: np.ndarray | None = None
    groups: tuple[str, ...] = ()
    sent: np.ndarray | None = None

    @cached_property
    def hash(self) -> str:
        """Content hash."""
        content = hashlib.sha256(np.ascontiguousarray(self.radiance, np.float32))
        content.update(np.ascontiguousarray(self.distance, np.float32))
        content.update(np.ascontiguousarray(self.position, np.float64))
        content.update(repr(self.groups).encode())
        for more in (self.mirrored, self.diffuse, self.sent):
            if more is not None:
                content.update(np.ascontiguousarray(more, np.float32))
                content.update(f"{more.ndim}".encode())
        return content.hexdigest()[:32]

    def take_group(self, group: str) -> Probe:
        """The same, of what a light group sends. It is mirrored as all of it is."""
        own = self.sent[self.groups.index(group)] if self.sent is not None and group in self.groups else 0
        radiance = self.radiance * np.float32([0, 0, 0, 1])
        radiance[..., :3] += own
        diffuse = None if self.diffuse is None else self.diffuse * np.minimum(
            radiance[..., :3] / np.maximum(self.radiance[..., :3], 1e-9), 1)
        return replace(self, radiance=radiance, diffuse=diffuse, groups=(), sent=None)

    def darken(self) -> Probe:
        """The same, of things that send nothing."""
        radiance = self.radiance * np.float32([0, 0, 0, 1])
        return Probe(radiance, self.distance, self.position)

    def soften(self) -> Probe:
        """The same as matt surfaces get it."""
        if self.diffuse is None:
            return self
        return replace(self, radiance=np.concatenate([self.diffuse, self.radiance[..., 3:]], -1), diffuse=None)

    @property
    def nbytes(self) -> int:
        """Of its arrays."""
        return sum(each.nbytes for each in (self.radiance, self.distance, self.mirrored, self.diffuse, self.sent)
                   if each is not None)

    def count_columns(self, environment: Environment) -> int:
        """How many texels wide a map of both is."""
        own = self.radiance.shape[1]
        return int(np.clip(environment.map.shape[1], own, max(own, min(FINER * own, WIDEST))))

    def lay_over(self, environment: Environment) -> Environment:
        """The light of both: the probe, and the World where it shows between. Along the world's axes, at strength 1."""
        directions = ggx.compute_directions(self.count_columns(environment) // 2)
        near = Environment(np.ascontiguousarray(self.radiance[..., :3], np.float32)).look_up(directions)
        cover = Environment(np.repeat(self.radiance[..., 3:], 3, -1)).look_up(directions)
        return Environment(near + (1 - cover) * environment.look_up(directions))


def make_empty(position: np.ndarray, rows: int = 128) -> Probe:
    """A probe where nothing stands around position (3,)."""
    return Probe(np.zeros((rows, 2 * rows, 4), np.float32), np.full((rows, 2 * rows), np.inf, np.float32), position)

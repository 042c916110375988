"""Discs of surfels in a picture, whose colours can be changed and differentiated at will."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._kernels import splat, splat_gradients
from ..asset import CELL, Surfels, levels
from ..scene import Camera
from . import splatting
from .config import SplattingConfig


@dataclass
class ProjectedDiscs:
    """Discs in a picture, ready for any colours. projection: of all N. front: (N,) bool, those that face the camera.
    gain: (H, W, 1), what the blended colours are multiplied with. alpha: (H, W).
    samples: per pixel."""

    projection: splat.Projection
    front: np.ndarray
    gain: np.ndarray
    alpha: np.ndarray
    samples: int
    threads: int

    @classmethod
    def of(cls, discs: Surfels, resolution: int, camera: Camera, width: float = 1.0,
           threads: int = 0, config: SplattingConfig = SplattingConfig()) -> ProjectedDiscs:
        """By the renderer's rules, every length in cells of `resolution` a side instead of its own.

        width: of the discs, over the renderer's.
        """
        scale = resolution * CELL  # makes the cells as large as the renderer's; the matrix takes it back
        magnified = replace(discs, position=discs.position * np.float32(scale),
                            area=discs.area * np.float32((scale * width) ** 2))
        placed = splatting.place(levels.start(magnified), None, np.diag([1 / scale] * 3 + [1.0]), config)
        visible = splatting.face(placed, camera, config)
        projection = splatting.project(visible.shape, camera, config.sharp_low_pass, threads)
        share, alpha, _ = splat.rasterize(projection, visible.front[:, None].astype(np.float32), camera.width,
                                          camera.height, samples=config.final_samples, threads=threads)
        solid = np.minimum(alpha[..., None], share * config.solidity) * (share > 1e-4)
        return cls(projection, visible.front, solid / np.maximum(share, 1e-6), solid[..., 0], config.final_samples,
                   threads)

    def draw(self, colors: np.ndarray) -> np.ndarray:
        """colours: (N, 3) linear. (H, W, 4) premultiplied."""
        height, width = self.alpha.shape
        blended, _, _ = splat.rasterize(self.projection, colors * self.front[:, None], width, height,
                                        samples=self.samples, threads=self.threads)
        return np.concatenate([blended * self.gain, self.alpha[..., None]], -1)

    def differentiate(self, colors: np.ndarray, d_picture: np.ndarray) -> np.ndarray:
        """What a change of the picture (H, W, 3) means for the colours (N, 3)."""
        height, width = self.alpha.shape
        back = splat_gradients.rasterize_backward(
            self.projection, colors * self.front[:, None], width, height,
            np.ascontiguousarray(d_picture * self.gain, np.float32), samples=self.samples,
            threads=self.threads)
        return back.features * self.front[:, None]

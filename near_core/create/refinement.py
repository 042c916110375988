"""Refining an asset of several photos: its colours, drawn in the photos' lights, become the photos again.

Surfels are splatted as the renderer does it, each photo in the light that fits it. What differs from the photos goes
back through the splats to the surfels, which grow brighter or darker in proportion (Lee and Seung 2001, "Algorithms for
Non-negative Matrix Factorization": the error never grows, and no colour turns negative). Then the lights are fitted
anew.
"""

from __future__ import annotations

import numpy as np

from ..asset import Surfels, Texels
from ..asset.surfels import SURFEL_RESOLUTION
from ..progress import Progress, silent
from ..render.discs import ProjectedDiscs
from .config import LightFitConfig, RefinementConfig
from .fusion import PhotoEvidence
from .irradiance import light_up
from .tone import scale_colors
from .view import PhotoView


class _Drawing:
    """A photo that surfels are drawn in: target (S, S, 3), premultiplied, and weight (S, S, 1) of its pixels."""

    def __init__(self, surfels: Surfels, view: PhotoView, trust: np.ndarray, config: RefinementConfig):
        self.discs = ProjectedDiscs.of(surfels, SURFEL_RESOLUTION, view.camera)
        self.target = view.photo.rgb * view.photo.alpha[..., None]
        # what another photo shows better, that one decides
        own = self.discs.draw(np.repeat(np.minimum(trust[:, None] / config.whole_trust, 1), 3, 1))[..., :1]
        # a step of display values is as long as the value is bright, about
        self.weight = own * view.photo.alpha[..., None] / (self.target.mean(-1, keepdims=True) + config.dark)
        self._any = np.zeros((len(surfels), 3), np.float32)

    def trace_back(self, picture: np.ndarray) -> np.ndarray:
        """What a picture (S, S, 3), weighted, sends to each surfel: (M, 3)."""
        return self.discs.differentiate(self._any, self.weight * picture)


def refine_colors(surfels: Surfels, texels: Texels, views: list[PhotoView], said: PhotoEvidence,
                  progress: Progress = silent, config: RefinementConfig = RefinementConfig(),
                  fit: LightFitConfig = LightFitConfig()) -> tuple[Surfels, Texels]:
    """Surfels and texels in colours that give the photos back, as far as one light for each photo allows.

    said: what fuse_photos made the colours of. What no photo shows stays as it is. progress may raise Cancelled.
    """
    drawings = [_Drawing(surfels, view, trust, config) for view, trust in zip(views, said.trust)]
    before = np.maximum(surfels.base_color, fit.darkest)
    color, steps = before, config.rounds * config.steps
    for number in range(steps):
        progress("Refining", number / steps)
        if number % config.steps == 0:
            lights = _find_lights(color, said, fit)
        color = _step(color, before, drawings, lights, config)
    return scale_colors(surfels, texels, color / before)


def _find_lights(color: np.ndarray, said: PhotoEvidence, fit: LightFitConfig) -> list[np.ndarray]:
    """Per photo (M, 3): what arrives at every surfel, 0 where it shows nothing of them."""
    found = []
    for seen, trust in zip(said.seen, said.trust):
        lit = light_up(said.lobes, color, seen, trust, fit)
        found.append(np.zeros_like(color))
        if lit is not None:
            found[-1][lit[0]] = lit[1]
    return found


def _step(color: np.ndarray, before: np.ndarray, drawings: list[_Drawing], lights: list[np.ndarray],
          config: RefinementConfig) -> np.ndarray:
    """Colours (M, 3) after one step towards the photos, held near those before."""
    wanted, drawn = np.zeros_like(color), np.zeros_like(color)
    for drawing, light in zip(drawings, lights):
        picture = drawing.discs.draw(color * light)[..., :3]
        wanted += light * drawing.trace_back(drawing.target)
        drawn += light * drawing.trace_back(picture)
    hold = config.stiffness * drawn / color
    moved = color * (wanted + hold * before + 1e-9) / (drawn + hold * color + 1e-9)
    return np.clip(moved, before / config.farthest, np.minimum(before * config.farthest, 1)).astype(np.float32)

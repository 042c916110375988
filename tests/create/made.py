"""An asset of a photo, and what was seen of its making."""

from dataclasses import dataclass

import numpy as np

from near_core.asset import NeuralAsset
from near_core.create.create import Listener, create_from_image
from near_core.create.shot import Shot
from near_core.mesh import Mesh
from near_core.models.mini.runtime import NearMini


@dataclass(frozen=True)
class Made:
    """An asset, the mesh that gave its shape, what was seen of it meanwhile, and how often each network ran."""

    asset: NeuralAsset
    mesh: Mesh | None
    previews: list[tuple[np.ndarray, np.ndarray]]
    runs: list[str]


class Counting(NearMini):
    """Notes in `runs` which networks it is asked for."""

    def __init__(self):
        super().__init__()
        self.runs: list[str] = []

    def run(self, graph, **inputs):
        self.runs.append(graph)
        return super().run(graph, **inputs)


def make(photo, mesh: Mesh | None = None) -> Made:
    """photo: a picture (H, W, 4) uint8 and its camera."""
    picture, camera = photo
    counting, previews = Counting(), []
    asset = create_from_image([Shot(picture, camera=camera)], mesh=mesh, name="red", model=counting,
                              listener=Listener(preview=lambda *seen: previews.append(seen)))
    return Made(asset, mesh, previews, counting.runs)

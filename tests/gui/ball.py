"""What most scripts begin with."""

from pathlib import Path

import numpy as np
import trimesh

from near_core import asset
from near_core.create.create import create_from_mesh
from near_core.mesh import Mesh


def save_ball(out: Path) -> None:
    """Puts ball.near into a folder: a grey ball, 1 m wide."""
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    mesh = Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32))
    asset.save(create_from_mesh(mesh, name="Ball"), out / "ball.near")

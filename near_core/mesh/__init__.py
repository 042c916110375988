"""Triangle meshes with materials: what one is, how files become one, how it meets a grid."""

from .files import load
from .mesh import Material, Mesh, bounds, checked, face_normals, merged, normalized
from .voxelize import occupied

__all__ = ["Material", "Mesh", "bounds", "checked", "face_normals", "load", "merged", "normalized", "occupied"]

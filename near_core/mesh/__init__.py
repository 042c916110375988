"""Triangle meshes with materials: what one is, how files become one, how it meets a grid."""

from .files import load
from .mesh import MAX_TRIANGLES, Material, Mesh, bounds, checked, face_normals, merged, normalized, too_many
from .voxelize import occupied

__all__ = ["MAX_TRIANGLES", "Material", "Mesh", "bounds", "checked", "face_normals", "load", "merged", "normalized",
           "occupied", "too_many"]

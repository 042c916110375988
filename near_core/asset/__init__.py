"""What a neural asset is: voxels with a latent, the surfels and texels of its surface, its file, its proxy mesh.

`octants` stands between surfels and the networks, `proxy_mesh` makes what Blender shows: import them by name.
"""

from .layout import VoxelMaterial
from .neural_asset import RESOLUTION, NeuralAsset, estimate_voxel_normals, from_bytes, hash_bytes, load, save, to_bytes
from .skin import Skin, SkinMaterial
from .surfels import CELL, Surfels, concatenate
from .texels import EDGE, Texels
from .trust import TrustedArc

__all__ = ["CELL", "EDGE", "RESOLUTION", "NeuralAsset", "Skin", "SkinMaterial", "Surfels", "Texels", "TrustedArc",
           "VoxelMaterial", "concatenate", "from_bytes", "hash_bytes", "load", "save", "to_bytes",
           "estimate_voxel_normals"]

"""The columns of an asset's material."""

from __future__ import annotations


class VoxelMaterial:
    """(N, COLUMNS): what a voxel is made of, whatever model wrote its latent."""

    COLUMNS = 8
    BASE_COLOR = slice(0, 3)  # linear
    ROUGHNESS = 3
    METALLIC = 4
    MATERIAL = slice(0, 5)  # base colour, roughness, metallic
    NORMAL = slice(5, 7)  # octahedral
    CONFIDENCE = 7  # 0..1, 1 = seen by a photo or taken from a mesh

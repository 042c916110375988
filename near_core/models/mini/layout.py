"""near-mini's tensors: their sizes, and what stands in which column or plane. Without torch.

Rows (N, C) are read as `pixel[:, Pixel.SEEN]`, planes (C, S, S) as `layers[Layer.NORMAL]`. Single values are integers
and drop their axis; where a later product needs the axis, they are slices of length one.
"""

from __future__ import annotations

import numpy as np

# sizes of grids and pictures
SIZE = 128  # pixels of the square crop that the photo networks see
RESOLVED = 104  # what those pixels resolve: the pictures that the networks learned from were this coarse
MATTE_SIZE = 320  # pixels of the square into which a photo is squeezed for the matte
COARSE = 32  # cells along an edge of the grid that Structure thinks on; their children are the asset's 64^3
NEIGHBOURS = 27  # rows of a voxel's 3x3x3 neighbourhood, x slowest; the 13th is the voxel itself

# sizes of rows and stacks of planes, as below
PICTURE, LAYERS, SURFACE = 4, 10, 3
POSE = 6
PIXEL = 30
LATENT, MATERIAL = 16, 5
CHILDREN, CHILD = 8, 13  # octants of a voxel, cells of the 128^3 grid, x slowest; what the encoder sees of each
TERMS, SURFEL = 5, 11

# features without names
TRUNK = 64  # channels that Intrinsics hands to Structure, at half of SIZE
HIDDEN = 32  # channels of h, the intrinsic decoder's features
TOKENS, TOKEN = 96, 48  # directions of the light tokenizer; channels of a token
RADIANCE = 9  # what a token is made of: three colours at three widths


class Picture:
    """(PICTURE, SIZE, SIZE): a crop as the networks see it."""

    COLOR = slice(0, 3)  # display colour over grey, -1..1
    ALPHA = 3  # 0..1


class Layer:
    """(LAYERS, SIZE, SIZE): what Intrinsics says of each pixel."""

    DEPTH = 0  # of the front, below the frame's origin; sides of the crop
    THICKNESS = 1  # from the front to the last surface behind it; sides of the crop
    NORMAL = slice(2, 5)  # camera's frame, not unit
    NORMAL_X, NORMAL_Y = 2, 3
    BASE_COLOR = slice(5, 8)  # display
    ROUGHNESS = 8
    METALLIC = 9
    GEOMETRY = slice(0, 5)
    MATERIAL = slice(5, 10)  # as Material
    SHADED = slice(2, 10)  # what a light needs: normal and material
    ROUGHNESS_METALLIC = slice(8, 10)


class SurfacePlane:
    """(SURFACE, SIZE, SIZE): the layers as Structure looks them up."""

    FRONT = 0  # below the frame's origin, asset units
    BACK = 1  # of the last surface behind it
    ALPHA = 2


class Pose:
    """(POSE,): what Intrinsics is told of the crop's camera; all 0 where nothing is known."""

    KNOWN = 0  # 1
    DIRECTION = slice(1, 4)  # unit, from the frame's origin to the camera
    DIRECTION_X = 1
    REACH = 4  # side of the crop in asset units, where the origin lies
    TANGENT = 5  # of half the field of view


class MaterialColumn:
    """(..., MATERIAL): a material in a row or in planes; colours are linear or display, as the whole says."""

    BASE_COLOR = slice(0, 3)
    ROUGHNESS = 3
    METALLIC = 4
    ROUGHNESS_METALLIC = slice(3, 5)


class Pixel:
    """(N, PIXEL): what Slat sees of a voxel. Materials have MATERIAL columns, display colour."""

    SEEN = slice(0, 5)  # the layers' material where the voxel falls, 0 where the photo does not show it
    IS_SEEN = slice(5, 6)  # 1 or 0
    MIRRORED = slice(6, 11)  # the same of the voxel's mirror image in the plane x = 0
    IS_MIRRORED = slice(11, 12)
    WHOLE = slice(12, 17)  # the photo's mean material
    AROUND = slice(17, 22)  # the mean material around the place where the voxel falls
    POSITION = slice(22, 25)  # asset's frame
    NORMAL = slice(25, 28)  # unit, asset's frame
    FACING = slice(28, 29)  # cosine between the normal and the direction to the camera
    IS_BOTH = slice(29, 30)  # seen, and its mirror image too


class Latent:
    """(N, LATENT): a voxel."""

    MATERIAL = slice(0, 5)  # the voxel's mean, linear, as -1..1: what a photo shows and tweaks change
    BASE_COLOR = slice(0, 3)
    LEARNED = slice(5, 16)  # what the autoencoder found to be left
    SPREAD = np.repeat(np.float32([0.4, 2.2]), [5, 11])  # standard deviations over all assets, about


class Octant:
    """(N, CHILDREN, CHILD): an octant of a voxel as the encoder sees it, 0 where it is empty."""

    OCCUPIED = 0  # 1 or 0
    OFFSET = slice(1, 4)  # from the cell's centre, cells
    NORMAL = slice(4, 7)  # unit
    BASE_COLOR = slice(7, 10)  # linear
    ROUGHNESS = 10
    METALLIC = 11
    TWO_SIDED = 12  # 1 or 0
    MATERIAL = slice(7, 12)
    ROUGHNESS_METALLIC = slice(10, 12)


class DecodedOctant:
    """(N, CHILDREN, CHILD - 1): an octant as the intrinsic decoder says it; whether it is occupied comes beside it."""

    OFFSET = slice(0, 3)
    NORMAL = slice(3, 6)
    BASE_COLOR = slice(6, 9)
    ROUGHNESS = 9
    METALLIC = 10
    TWO_SIDED = 11  # logit; a probability once octants.decode has read it
    MATERIAL = slice(6, 11)
    ROUGHNESS_METALLIC = slice(9, 11)


class Term:
    """(K, TERMS, 3): radiance that a surfel sends to the camera, term by term."""

    SKY_OPEN = 0  # diffuse, as if nothing hid the sky
    SKY = 1  # diffuse, what of the sky is visible
    BOUNCED = 2  # diffuse, from other surfels
    SPECULAR_OPEN = 3  # as if nothing hid what is reflected
    SPECULAR = 4  # with what is in the way
    SENT = [1, 2, 4]  # those that add up to the picture
    OPEN = [0, 3]  # those that add up to the picture of a surfel alone in the world
    DIFFUSE, GLOSSY = [0, 1, 2], [3, 4]


class SurfelColumn:
    """(K, SURFEL): what the lighting decoder is told of a surfel beside its light."""

    BASE_COLOR = slice(0, 3)  # linear
    ROUGHNESS = 3
    METALLIC = 4
    SHADING_COSINE = 5  # between shading normal and view
    COSINE = 6  # between normal and view
    BENDING = 7  # cosine between normal and shading normal
    AREA = 8  # cells squared
    VISIBILITY = 9  # of the sky's irradiance
    BLOCKED = 10  # share of the specular lobe that hits the asset

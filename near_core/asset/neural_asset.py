"""NeuralAsset, and the tensors that its file holds."""

from __future__ import annotations

import io
import json
import math
import os
import tokenize
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..directions import decode_octahedral, encode_octahedral, unit
from ..errors import Message, NearError
from ..image.guard import DAMAGED
from ..mesh import BRIGHTEST
from . import near_file, skin
from .layout import VoxelMaterial
from .near_file import MAX_BYTES, hash_bytes
from .skin import Skin
from .surfels import Surfels
from .texels import Texels
from .trust import TrustedArc, find_trusted_arc

RESOLUTION = 64
MAX_VOXELS = RESOLUTION ** 3
MAX_SURFELS = 4_000_000
MAX_TEXELS = 16_000_000
MAX_AREA = 65504.0  # of a surfel, cells squared: what a half float holds; triangles upon each other have more
MAX_HEADER = 1000  # letters that say what an array of an .npz is; a hundred do
SURFEL_TYPES = {"surfel_position": np.uint16, "surfel_normal": np.int16, "surfel_shading_normal": np.int16,
                "surfel_base_color": np.float16, "surfel_material": np.uint8, "surfel_area": np.float16}


@dataclass(frozen=True, eq=False)
class NeuralAsset:
    """Sparse voxels of a 64^3 grid with a light-free structured latent.

    coords: (N, 3) uint8, 0..63, unique; voxel centre = (coords + 0.5) / 64 - 0.5 in the asset's frame.
    material: (N, 8) float16, the latent decoded once, independent of any model: columns as VoxelMaterial's.
    slat: (N, C) float16, the structured latent of `model`.
    surfels: the surface below the voxels where it is known better than the latent tells (assets made here).
    texels: the same surface finer, in place and colour. skin: the same as triangles with maps, finest of all.
    name: what the artist calls it. source: where it came from, without a path. extent: metres of the cube's edge.
    model, model_hash: which networks wrote the latent. thumbnail: (h, w, 4) uint8 sRGB or None. camera: of the photo
    that it was made from, in its frame, as docs/formats.md describes cameras; None where there is none.
    """

    coords: np.ndarray
    material: np.ndarray
    slat: np.ndarray
    surfels: Surfels | None = None
    texels: Texels | None = None
    name: str = "Neural Asset"
    source: str = ""
    extent: float = 1.0
    model: str = ""
    model_hash: str = ""
    thumbnail: np.ndarray | None = None
    skin: Skin | None = None
    camera: dict[str, Any] | None = None

    @cached_property
    def hash(self) -> str:
        """hash_bytes of the asset's file, the one it was read from or the one it would be: the key of caches."""
        return hash_bytes(to_bytes(self))

    @cached_property
    def box(self) -> np.ndarray:
        """(2, 3) float64, the lowest corner of its voxels and the highest, in voxels."""
        return np.array([self.coords.min(0), self.coords.max(0) + 1.0])

    @cached_property
    def supple_skin(self) -> Skin | None:
        """The skin with edges that are short enough to bend, the same for all poses."""
        return self.skin and skin.subdivide(self.skin, skin.LONGEST_BENT)

    @cached_property
    def trusted(self) -> TrustedArc | None:
        """From how far around the asset is known rather than guessed; None where it has no surfels."""
        return None if self.surfels is None else find_trusted_arc(self.surfels)


def _pack_surfels(surfels: Surfels) -> dict[str, np.ndarray]:
    unorm = lambda x, top: np.round(np.clip(x, 0, 1) * top)
    glow = np.flatnonzero(False if surfels.emission is None else surfels.emission.any(1)).astype(np.int32)
    sent = {"surfel_glow": glow, "surfel_emission": np.clip(surfels.emission[glow], 0, BRIGHTEST, dtype=np.float32)
            } if len(glow) else {}
    return sent | {
        "surfel_position": unorm(surfels.position + 0.5, 65535).astype(np.uint16),
        "surfel_normal": np.round(encode_octahedral(surfels.normal) * 32767).astype(np.int16),
        "surfel_shading_normal": np.round(encode_octahedral(surfels.shading_normal) * 32767).astype(np.int16),
        "surfel_base_color": surfels.base_color.astype(np.float16),
        "surfel_material": unorm(np.stack([surfels.roughness, surfels.metallic, surfels.opacity,
                                           surfels.confidence], -1), 255).astype(np.uint8),
        "surfel_area": np.minimum(surfels.area, MAX_AREA).astype(np.float16),
    }


def _read_surfels(tensors: dict[str, np.ndarray]) -> Surfels | None:
    if "surfel_position" not in tensors:
        return None
    roughness, metallic, opacity, confidence = (tensors["surfel_material"].astype(np.float32) / 255).T
    return Surfels(
        position=tensors["surfel_position"].astype(np.float32) / 65535 - 0.5,
        normal=decode_octahedral(tensors["surfel_normal"].astype(np.float32) / 32767),
        shading_normal=decode_octahedral(tensors["surfel_shading_normal"].astype(np.float32) / 32767),
        base_color=tensors["surfel_base_color"].astype(np.float32),
        roughness=roughness, metallic=metallic, opacity=opacity, confidence=confidence,
        area=tensors["surfel_area"].astype(np.float32), emission=_read_emission(tensors))


def _read_emission(tensors: dict[str, np.ndarray]) -> np.ndarray | None:
    """What surfels emit, None where there is nothing. Raises ValueError or KeyError where that is damaged."""
    if "surfel_glow" not in tensors:
        return None
    row, sent = tensors["surfel_glow"], tensors["surfel_emission"]
    emission = np.zeros((len(tensors["surfel_position"]), 3), np.float32)
    if not (row.dtype == np.int32 and row.ndim == 1 and 0 < len(row) and 0 <= row[0] and row[-1] < len(emission)
            and (np.diff(row.astype(np.int64)) > 0).all() and sent.dtype == np.float32
            and sent.shape == (len(row), 3) and (sent >= 0).all() and (sent <= BRIGHTEST).all()):
        raise ValueError("surfel_glow")
    emission[row] = sent
    return emission


def _pack_texels(texels: Texels, surfels: int) -> dict[str, np.ndarray]:
    return {
        "texel_count": np.bincount(texels.surfel, minlength=surfels).astype(np.uint8),
        "texel_position": np.round(np.clip(texels.position + 0.5, 0, 1) * 65535).astype(np.uint16),
        "texel_shift": np.round(np.clip(texels.shift, -1, 1) * 32767).astype(np.int16),
        "texel_area": np.minimum(texels.area, MAX_AREA).astype(np.float16),
    }


def _read_texels(tensors: dict[str, np.ndarray]) -> Texels | None:
    if "texel_count" not in tensors:
        return None
    count = tensors["texel_count"]
    return Texels(np.repeat(np.arange(len(count), dtype=np.int32), count),
                  tensors["texel_position"].astype(np.float32) / 65535 - 0.5,
                  tensors["texel_shift"].astype(np.float32) / 32767, tensors["texel_area"].astype(np.float32))


def to_bytes(asset: NeuralAsset) -> bytes:
    """The asset as the bytes of a `.near` file; equal assets give equal bytes."""
    tensors = {"coords": asset.coords.astype(np.uint8), "material": asset.material.astype(np.float16),
               "slat": asset.slat.astype(np.float16)}
    if asset.surfels is not None:
        tensors |= _pack_surfels(asset.surfels)
        if asset.texels is not None and len(asset.texels):
            tensors |= _pack_texels(asset.texels, len(asset.surfels))
    if asset.skin is not None:
        tensors |= skin.pack(asset.skin)
    if asset.thumbnail is not None:
        tensors["thumbnail"] = asset.thumbnail.astype(np.uint8)
    return near_file.pack(tensors, {
        "resolution": str(RESOLUTION), "model": asset.model, "model_hash": asset.model_hash, "name": asset.name,
        "source": os.path.basename(asset.source), "extent": repr(float(asset.extent)),
        **({} if asset.camera is None else {"camera": json.dumps(asset.camera)})})


def from_bytes(data: bytes | memoryview, what: str = Message("The asset")) -> NeuralAsset:
    """Reads a `.near` file's bytes; every size is checked against the data before anything is allocated.

    what: how messages name it. Raises NearError.
    """
    tensors, metadata = near_file.unpack(data, what)
    damaged = near_file.describe_damage(what)
    try:
        asset = _read_asset(tensors, metadata, damaged)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise damaged from error
    vars(asset)["hash"] = hash_bytes(data)  # where cached_property keeps it
    return asset


def _read_asset(tensors: dict[str, np.ndarray], metadata: dict, damaged: NearError) -> NeuralAsset:
    coords, material, slat = tensors["coords"], tensors["material"], tensors["slat"]
    count = len(coords)
    fits = (coords.dtype == np.uint8 and coords.shape == (count, 3) and 0 < count <= MAX_VOXELS
            and material.dtype == slat.dtype == np.float16 and material.shape == (count, VoxelMaterial.COLUMNS)
            and slat.ndim == 2 and len(slat) == count and slat.shape[1] <= 256
            and int(coords.max()) < RESOLUTION and np.isfinite(material.astype(np.float32)).all()
            and np.isfinite(slat.astype(np.float32)).all())
    if not fits:
        raise damaged
    shapes = {"surfel_position": 3, "surfel_normal": 2, "surfel_shading_normal": 2, "surfel_base_color": 3,
              "surfel_material": 4}
    if "surfel_position" in tensors:
        surfels = len(tensors["surfel_position"])
        if not (0 < surfels <= MAX_SURFELS and tensors["surfel_area"].shape == (surfels,)
                and all(tensors[name].dtype == dtype for name, dtype in SURFEL_TYPES.items())
                and all(tensors[k].shape == (surfels, n) for k, n in shapes.items())
                and np.isfinite(tensors["surfel_base_color"].astype(np.float32)).all()
                and np.isfinite(tensors["surfel_area"].astype(np.float32)).all()):
            raise damaged
    if "texel_count" in tensors:
        texels = len(tensors["texel_position"])
        if not (0 < texels <= MAX_TEXELS and tensors["texel_count"].dtype == np.uint8
                and tensors["texel_position"].dtype == np.uint16 and tensors["texel_shift"].dtype == np.int16
                and tensors["texel_count"].shape == tensors["surfel_area"].shape
                and int(tensors["texel_count"].sum(dtype=np.int64)) == texels
                and tensors["texel_position"].shape == tensors["texel_shift"].shape == (texels, 3)
                and tensors["texel_area"].shape == (texels,)
                and np.isfinite(tensors["texel_area"].astype(np.float32)).all()):
            raise damaged
    extent, camera = float(metadata.get("extent", 1)), json.loads(metadata.get("camera", "null"))
    thumbnail = tensors.get("thumbnail")
    if not (np.isfinite(extent) and extent > 0 and (camera is None or isinstance(camera, dict))
            and (thumbnail is None or _is_thumbnail(thumbnail))):
        raise damaged
    return NeuralAsset(coords, material, slat, _read_surfels(tensors), _read_texels(tensors),
                       str(metadata.get("name", "Neural Asset"))[:200],
                       str(metadata.get("source", ""))[:200], extent, str(metadata.get("model", "")),
                       str(metadata.get("model_hash", "")), thumbnail, skin.read(tensors), camera)


def _is_thumbnail(values: np.ndarray) -> bool:
    return (values.ndim == 3 and values.shape[2] == 4 and values.dtype == np.uint8
            and 0 < min(values.shape) <= max(values.shape) <= skin.MAX_SIDE)


def save(asset: NeuralAsset, path: str | Path) -> None:
    """Writes `path` whole or not at all. Raises NearError."""
    files.write(path, to_bytes(asset))


def load(path: str | Path) -> NeuralAsset:
    """Reads a `.near` file, or published latents: an `.npz` with coords, feats, color_feats, brm_feats. Raises
    NearError."""
    path = Path(path)
    try:
        with files.Ending(path) as file:
            if file.size > MAX_BYTES:
                raise NearError("{file} is larger than any asset.", "Check that it is a .near file.", file=path.name)
            data = file.read()
    except OSError as error:
        raise NearError("{file} could not be read ({reason}).", "Check the path.", file=path.name,
                        reason=error.strerror) from error
    if path.suffix.lower() == ".npz":
        return _read_published(data, path)
    return from_bytes(data, path.name)


def _read_published(data: bytes, path: Path) -> NeuralAsset:
    damaged = NearError("{file} is not a published latent (feats, coords).", "Choose an intact .npz file.",
                        file=path.name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            if sum(entry.file_size for entry in listed) > MAX_BYTES or not all(
                    entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in listed):
                raise damaged
            coords = _read_array(archive, "coords")
            slat = np.concatenate([_read_array(archive, name) for name in ("feats", "color_feats", "brm_feats")
                                   if f"{name}.npy" in archive.namelist()], 1)
    except (zipfile.BadZipFile, tokenize.TokenError, *DAMAGED) as error:
        raise damaged from error
    if coords.shape[1] != 3 or not 0 < len(coords) <= MAX_VOXELS or len(slat) != len(coords):
        raise damaged
    if coords.min() < 0 or not coords.max() < RESOLUTION or not np.isfinite(slat).all():
        raise damaged
    material = np.zeros((len(coords), VoxelMaterial.COLUMNS), np.float16)
    # a grey stand-in for models that cannot read the latent
    material[:, VoxelMaterial.BASE_COLOR], material[:, VoxelMaterial.ROUGHNESS] = 0.5, 0.6
    material[:, VoxelMaterial.CONFIDENCE] = 1
    material[:, VoxelMaterial.NORMAL] = encode_octahedral(estimate_voxel_normals(coords.astype(int)))
    return NeuralAsset(np.ascontiguousarray(coords, np.uint8), material, slat.astype(np.float16), name=path.stem[:32],
                       source=path.name, model="near")


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array (N, C) of numbers out of an .npz, which has to hold as much as it promises before room is made for it.
    Raises DAMAGED, BadZipFile and TokenError."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, columns_first, dtype = read(file, max_header_size=MAX_HEADER)  # numpy's own is beyond Python's parser
        count = math.prod(shape)
        if len(shape) != 2 or min(shape) < 0 or dtype.kind not in "iuf" or count * dtype.itemsize > MAX_BYTES:
            raise ValueError(name)
        values = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return values.reshape(shape[::-1]).T if columns_first else values.reshape(shape)


def estimate_voxel_normals(coords: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3) of voxels (N, 3): away from where most of their neighbours are."""
    filled = np.zeros((RESOLUTION + 8,) * 3, np.float32)
    filled[tuple(coords.T + 4)] = 1
    for axis in (0, 1, 2) * 2:
        filled = np.roll(filled, 1, axis) + filled + np.roll(filled, -1, axis)
    slope = np.stack([np.roll(filled, 1, axis) - np.roll(filled, -1, axis) for axis in range(3)], -1)
    found = slope[tuple(coords.T + 4)]
    found[~found.any(1)] = (0, 0, 1)
    return unit(found)

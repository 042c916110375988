"""Objects packed as surfels, small enough to be sent to a machine with a GPU.

One <asset>.safetensors each, about 200 kB, half of that once compressed. The stage `joint` photographs them anew.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from scipy import ndimage

from .... import files, image
from .... import mesh as meshes
from ....asset import CELL
from ....asset.surfels import SURFEL_RESOLUTION
from ....create import sampling
from ....directions import decode_octahedral, encode_octahedral
from ....errors import NearError
from ...datasets import procedural
from ...datasets.dataset import Dataset
from ...options import option
from . import ldraw, photos, samples
from .relight import Lights, read_maps

SOLID = 0.5  # opacity from which a surfel counts
BURIED = 3  # cells below the surface, what lies in an object is seen by nobody
QUALITY = 90  # of the pictures' WebP
FINE = 48  # rows of the maps in which photographed objects are mirrored
SUNS = 256  # directions that stand for a map
STEPS = 63  # of a normal's two coordinates
LEVELS = 31  # of roughness, metallic, and of how far a surfel's plane is from its cell's middle


@dataclass
class PackedObject:
    """An object of a pool.

    position: (N, 3) float32, asset units. normal: (N, 3) float32 unit, as wound. color: (N, 3) uint8, display.
    material: (N, 2) float32, roughness and metallic. inside: (128^3 / 8,) uint8, packed bits. finished: whether its
    roughness and metallic are worth learning from. camera: (P, 4, 4) float32, world to camera, OpenCV. focal: (P,)
    float32, in sides of the picture. view: (P,) uint8, the same number for pictures of one camera. pictures:
    (P, S, S, 4) uint8, colours as compress_radiance() leaves them, straight alpha.
    """

    position: np.ndarray
    normal: np.ndarray
    color: np.ndarray
    material: np.ndarray
    inside: np.ndarray
    finished: bool
    camera: np.ndarray
    focal: np.ndarray
    view: np.ndarray
    pictures: np.ndarray


def compress_radiance(linear: np.ndarray) -> np.ndarray:
    """Linear radiance as bytes: display code of c / (1 + c), so that suns keep a value of their own."""
    return np.round(image.srgb_encode(linear / (1 + linear)) * 255).astype(np.uint8)


def encode_morton(cell: np.ndarray) -> np.ndarray:
    """(N,) uint32 along a Z-order curve of cells (N, 3): neighbours stay together, which compresses well."""
    code = np.zeros(len(cell), np.uint32)
    for bit in range(7):
        for axis in range(3):
            code |= ((cell[:, axis].astype(np.uint32) >> bit) & 1) << (3 * bit + axis)
    return code


def decode_morton(code: np.ndarray) -> np.ndarray:
    """The cells (N, 3) int64 of encode_morton."""
    cell = np.zeros((len(code), 3), np.int64)
    for bit in range(7):
        for axis in range(3):
            cell[:, axis] |= ((code.astype(np.int64) >> (3 * bit + axis)) & 1) << bit
    return cell


def pack_surface(mesh: meshes.Mesh) -> dict[str, np.ndarray]:
    """The arrays of an object's surface, coarser than it is: normals to two degrees, colours to six bits."""
    inside = samples.find_inside(sampling.sample_points(mesh, samples.SAMPLES).position)
    surfels = sampling.sample_sides(mesh)
    cell = np.clip(((surfels.position + 0.5) / CELL).astype(int), 0, SURFEL_RESOLUTION - 1)
    buried = ndimage.binary_erosion(inside, np.ones((3, 3, 3)), BURIED)
    kept = np.flatnonzero((surfels.opacity > SOLID) & ~buried[tuple(cell.T)])
    kept = kept[np.argsort(encode_morton(cell[kept]), kind="stable")]
    surfels, cell = surfels.take(kept), cell[kept]
    plane = ((surfels.position - (cell + 0.5) * CELL + 0.5) * surfels.normal).sum(1) / CELL  # -0.87..0.87
    color = np.round(image.srgb_encode(np.clip(surfels.base_color, 0, 1)) * 255).astype(np.uint8)
    material = np.stack([surfels.roughness, surfels.metallic], 1)
    return {"step": np.diff(encode_morton(cell), prepend=np.uint32(0)).astype(np.uint32),
            "plane": np.round((np.clip(plane, -1, 1) / 2 + 0.5) * LEVELS).astype(np.uint8),
            "normal": np.round((encode_octahedral(surfels.shading_normal) / 2 + 0.5) * STEPS).astype(np.uint8).T.copy(),
            "colour": (color >> 2).T.copy(),
            "finish": np.round(np.clip(material, 0, 1) * LEVELS).astype(np.uint8).T.copy(),
            "inside": np.packbits(inside)}


def pack_pictures(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of an object's pictures, a folder of a data set's views: WebP files one after the other, cameras."""
    views = photos.read_views(folder)
    cameras, focals, numbers, files = [], [], [], []
    for number, view in enumerate(views):
        for picture in view.pictures.astype(np.float32):
            alpha = picture[..., 3:]
            straight = np.where(alpha > 0, picture[..., :3] / np.maximum(alpha, 1e-3), 0)
            opaque = np.round(alpha * 255).clip(0, 255).astype(np.uint8)
            pixels = np.concatenate([compress_radiance(np.maximum(straight, 0)), opaque], -1)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "WEBP", quality=QUALITY)
            cameras.append(view.camera.world_to_camera)
            focals.append(view.camera.intrinsics[0, 0] / view.camera.width)
            numbers.append(number)
            files.append(np.frombuffer(file.getvalue(), np.uint8))
    return {"camera": np.stack(cameras).astype(np.float32), "focal": np.float32(focals), "view": np.uint8(numbers),
            "webp": np.concatenate(files), "end": np.cumsum([len(f) for f in files])}


def load_object(path: Path) -> PackedObject:
    """An object as pack_surface and pack_pictures left it."""
    kept = load_file(path)
    cell = decode_morton(np.cumsum(kept["step"], dtype=np.uint32))
    normal = decode_octahedral(kept["normal"].T.astype(np.float32) / STEPS * 2 - 1).astype(np.float32)
    plane = (kept["plane"].astype(np.float32) / LEVELS * 2 - 1) * CELL
    files = np.split(kept["webp"], kept["end"][:-1]) if "webp" in kept else []
    pictures = [np.asarray(Image.open(io.BytesIO(file.tobytes())).convert("RGBA")) for file in files]
    color = kept["colour"].T
    none = np.zeros((0, 4, 4), np.float32)
    camera, focal = kept.get("camera", none), kept.get("focal", none[:, 0, 0])
    return PackedObject(
        (cell + 0.5).astype(np.float32) * CELL - 0.5 + plane[:, None] * normal, normal, (color << 2 | color >> 4),
        kept["finish"].T.astype(np.float32) / LEVELS, kept["inside"], bool(kept["finished"]), camera, focal,
        kept.get("view", focal.astype(np.uint8)),
        np.stack(pictures) if pictures else np.zeros((0, 1, 1, 4), np.uint8))


def load_pools(folders: tuple[Path, ...],
               limit: int | None = None) -> tuple[list[PackedObject], list[int]]:
    """The objects of pools, and how often each one's folder is listed."""
    times = Counter(folders)
    paths = [(path, times[folder]) for folder in times for path in sorted(folder.glob("*.safetensors"))[:limit]]
    with ProcessPoolExecutor() as processes:
        objects = list(processes.map(load_object, [path for path, _ in paths], chunksize=8))
    return objects, [often for _, often in paths]


def prepare_lights(maps: list[np.ndarray]) -> dict[str, np.ndarray]:
    """What Lights needs for `relight` and, finer, for photographs; and for each map SUNS directions drawn by its
    brightness (M, SUNS, 3), with the radiance that each stands for."""
    rng, directions, radiance = np.random.default_rng(0), [], []
    for light in maps:
        height = min(256, len(light))
        step = len(light) // height
        small = light[:height * step, :2 * height * step].reshape(height, step, 2 * height, step, 3).mean((1, 3))
        up = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
        energy = (image.luminance(small) * np.cos(up)[:, None]).ravel()
        pick = rng.choice(energy.size, SUNS, p=energy / energy.sum())
        up, around = up[pick // (2 * height)], -2 * np.pi * ((pick % (2 * height) + 0.5) / (2 * height) - 0.5)
        directions.append(np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], 1))
        brightness = np.maximum(image.luminance(small.reshape(-1, 3)[pick]), 1e-9)
        radiance.append(small.reshape(-1, 3)[pick] / brightness[:, None] * energy.mean())
    return {"coarse": Lights.of(maps).atlas.numpy(), "fine": Lights.of(maps, FINE).atlas.numpy().astype(np.float16),
            "direction": np.float32(directions), "radiance": np.float32(radiance)}


def load_lights(path: Path, device: torch.device) -> tuple[Lights, Lights, tuple[np.ndarray, np.ndarray]]:
    """The lights of `relight`, those of photographs, and their suns, as Studio wants them."""
    kept = load_file(path)
    on = lambda atlas: Lights(torch.from_numpy(atlas.astype(np.float32)).to(device))
    return on(kept["coarse"]), on(kept["fine"]), (kept["direction"], kept["radiance"])


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """What is packed: one of data, models, ldraw, procedural and hdris."""

    data: Path | None = option("pack the objects of a data set, with its pictures", "folder", None)
    models: Path | None = option("pack .glb and .obj files, at any depth, without pictures", "folder", None)
    ldraw: Path | None = option("pack parts of every kind of an LDraw library", "folder", None)
    procedural: int | None = option("pack procedural objects", "objects", None)
    hdris: Path | None = option("make the maps ready that light packed objects", "folder", None)
    exclude: tuple[Path, ...] = option("another set's meta.json, whose exclude_hdris are left out; may be given again",
                                       "file", ())
    out: Path = option("where the packed objects go; for --hdris the file of the maps", "folder or .safetensors file")
    shard: str = option("only every N-th object, starting with I", "I/N", "0/1")


def _objects(config: PoolConfig) -> list[tuple[str, Callable[[], meshes.Mesh], Path | None, bool]]:
    """Name, mesh, the folder of pictures and whether it is finished, of all that is to be packed."""
    if config.data:
        data = Dataset(config.data)
        return [(name, lambda name=name: data.mesh(name), data.path / "views" / name, name not in data.unfinished)
                for name in data.assets]
    if config.models:
        found = sorted(p for p in config.models.rglob("*") if p.suffix.lower() in (".glb", ".obj"))
        return [("_".join(path.relative_to(config.models).with_suffix("").parts),
                 lambda path=path: meshes.normalize(meshes.load(path))[0], None, path.suffix.lower() == ".glb")
                for path in found]
    if config.ldraw:
        library = ldraw.LdrawLibrary(config.ldraw)
        return [("ldraw_" + part.removesuffix(".dat"), lambda part=part: library.read_mesh(part), None, False)
                for part in library.list_parts()]
    return [(f"procedural_{seed}", lambda seed=seed: procedural.make(seed), None, True)
            for seed in range(config.procedural)]


def write_pool(config: PoolConfig) -> None:
    """Packs objects for `joint`, <object>.safetensors each, or makes the maps ready that light them."""
    given = [name for name in ("data", "models", "ldraw", "procedural", "hdris") if getattr(config, name) is not None]
    if len(given) != 1:
        raise NearError(f"What is packed is told {len(given)} times.",
                        "Give one of --data, --models, --ldraw, --procedural and --hdris.")
    if config.hdris:
        without = set().union(*(Dataset(path.parent).excluded_hdris for path in config.exclude))
        config.out.parent.mkdir(parents=True, exist_ok=True)
        with files.writing(config.out) as part:
            save_file(prepare_lights(read_maps(config.hdris, without)), part)
        return

    def packed(make: Callable[[], meshes.Mesh], views: Path | None, finished: bool) -> dict[str, np.ndarray]:
        pictures = pack_pictures(views) if views and views.is_dir() else {}
        return pack_surface(make()) | pictures | {"finished": np.array(finished)}

    if not re.fullmatch(r"\d+/[1-9]\d*", config.shard):
        raise NearError(f"--shard {config.shard} is not I/N.", "0/4 takes the first of every four objects.")
    shard, shards = (int(part) for part in config.shard.split("/"))
    samples.write_arrays(config.out, [(name, lambda rest=rest: packed(*rest))
                                      for name, *rest in _objects(config)[shard::shards]])

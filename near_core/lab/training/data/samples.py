"""Objects of a data set as the photo stages learn them: what every view shows of the surface, and the solid itself.

Prepared once per object from its mesh (a second of processor time) and kept as <asset>.safetensors beside a run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy import ndimage

from .... import files, image
from .... import mesh as meshes
from ....asset import CELL, Surfels
from ....asset.surfels import SURFEL_RESOLUTION
from ....create import sampling
from ....directions import unit
from ....errors import NearError
from ....models.mini.layout import Layer
from ....scene import Camera
from ...datasets.dataset import Dataset
from ...options import option
from . import photos

SAMPLES = 6  # points per cell of the 128^3 grid
FRONT = 0.4  # of the photos that are learned from show the front, beside those that do by chance


@dataclass
class Sample:
    """An object and its views.

    views: V of them. depth: (V, 2, H, W) float16, asset units: how much deeper than the frame's origin the front is,
    and how much deeper than the front the last surface behind it. bytes: (V, 9, H, W) uint8: normal in the camera's
    frame (-1..1), display colour, roughness, metallic, 255 where the mesh is seen. solid: (64, 64, 64) uint8, how many
    of a voxel's eight octants lie inside. shell: (N, 3) uint8, voxels with a surface. finished: whether its roughness
    and metallic are worth learning from.
    """

    name: str
    views: list[photos.LitView]
    depth: np.ndarray
    bytes: np.ndarray
    solid: np.ndarray
    shell: np.ndarray
    finished: bool = True

    def choose_view(self, rng: np.random.Generator) -> int:
        """A view to learn from: the first one, which looks at the front as most photos do, FRONT of the times."""
        return 0 if rng.random() < FRONT else int(rng.integers(len(self.views)))

    def layers(self, view: int) -> np.ndarray:
        """(LAYERS + 1, H, W) float32, as Layer but depths in asset units; the last one is 1 where the others mean
        something."""
        found = np.concatenate([self.depth[view], np.float32(self.bytes[view]) / 255]).astype(np.float32)
        found[Layer.NORMAL] = found[Layer.NORMAL] * 2 - 1
        return found


def render_layers(points: Surfels, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees of surface points: depth (2, H, W) float16 and bytes (9, H, W) uint8, as in Sample."""
    matrix = camera.world_to_camera.astype(np.float32)
    seen = points.position @ matrix[:3, :3].T + matrix[:3, 3]
    pixel = np.floor(seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) * np.diag(camera.intrinsics)[:2].astype(np.float32)
                     + camera.intrinsics[:2, 2].astype(np.float32)).astype(int)
    width, height = camera.width, camera.height
    inside = np.flatnonzero((pixel >= 0).all(1) & (pixel < (width, height)).all(1) & (seen[:, 2] > camera.near))
    at, z = pixel[inside, 1] * width + pixel[inside, 0], seen[inside, 2]
    front, back = np.full(width * height, np.inf, np.float32), np.full(width * height, -np.inf, np.float32)
    np.minimum.at(front, at, z)
    np.maximum.at(back, at, z)
    near = z <= front[at] + 1.5 * CELL
    at, chosen = at[near], inside[near]
    count = np.bincount(at, minlength=width * height)
    mean = lambda values: np.bincount(at, values, width * height) / np.maximum(count, 1)
    normal = points.shading_normal[chosen] @ matrix[:3, :3].T
    away = (points.normal[chosen] * (points.position[chosen] - camera.position.astype(np.float32))).sum(1) > 0
    normal[away] *= -1
    normal = np.stack([mean(n) for n in normal.T])
    normal = unit(normal, axis=0)
    color = image.srgb_encode(np.clip([mean(c) for c in points.base_color[chosen].T], 0, 1))
    covered = count > 0
    depth = np.where(covered, [mean(seen[chosen, 2]) - matrix[2, 3], back - front], 0)
    rest = np.concatenate([normal / 2 + 0.5, color, [mean(points.roughness[chosen])],
                           [mean(points.metallic[chosen])], [covered]])
    shape = height, width
    return (depth.astype(np.float16).reshape(2, *shape),
            np.round(np.clip(rest, 0, 1) * 255).astype(np.uint8).reshape(9, *shape))


def find_inside(points: np.ndarray) -> np.ndarray:
    """(128, 128, 128) bool: the cells that hold points (K, 3) or lie inside what they enclose. Gaps of up to two cells
    count as closed."""
    cell = np.clip(((points + 0.5) / CELL).astype(int), 0, SURFEL_RESOLUTION - 1) + 2
    shell = np.zeros((SURFEL_RESOLUTION + 4,) * 3, bool)
    shell[tuple(cell.T)] = True
    outside = ndimage.label(~ndimage.binary_dilation(shell, np.ones((3, 3, 3))))[0]
    outside = ndimage.binary_dilation(outside == outside[0, 0, 0], np.ones((3, 3, 3))) & ~shell
    return ~outside[2:-2, 2:-2, 2:-2]


def count_inside(points: np.ndarray) -> np.ndarray:
    """(64, 64, 64) uint8: how many octants of each voxel hold points (K, 3) or lie inside what they enclose."""
    half = SURFEL_RESOLUTION // 2
    return find_inside(points).reshape(half, 2, half, 2, half, 2).sum((1, 3, 5)).astype(np.uint8)


def prepare_sample(mesh: meshes.Mesh, cameras: list[Camera]) -> dict[str, np.ndarray]:
    """The arrays of Sample, but for its views."""
    points = sampling.sample_points(mesh, SAMPLES)
    made = [render_layers(points, camera) for camera in cameras]
    shell = np.unique(np.clip(((points.position + 0.5) * 64).astype(int), 0, 63), axis=0)
    return {"depth": np.stack([m[0] for m in made]), "bytes": np.stack([m[1] for m in made]),
            "solid": count_inside(points.position), "shell": shell.astype(np.uint8)}


def write_arrays(out: Path, objects: list[tuple[str, Callable[[], dict[str, np.ndarray]]]]) -> None:
    """Makes the arrays of every object that has no file yet, and writes <name>.safetensors, whole or not at all; says
    which ones can't be made."""
    out.mkdir(parents=True, exist_ok=True)
    for number, (name, make) in enumerate(objects):
        path = out / f"{name}.safetensors"
        if path.exists():
            continue
        try:
            arrays = make()
        except NearError as error:
            print(f"{name}: {error}", flush=True)
            continue
        with files.writing(path) as part:
            save_file(arrays, part)
        if number % 100 == 0:
            print(f"{number} {name}", flush=True)


def load_samples(folder: Path, data: Path, views: int | None = None) -> list[Sample]:
    """The samples of a data set that are prepared in a folder."""
    found, known = [], Dataset(data)
    unfinished = known.unfinished
    for name in known.assets:
        path = folder / f"{name}.safetensors"
        if path.exists():
            kept = load_file(path)
            shown = photos.read_views(data / "views" / name, views)
            if len(shown) <= len(kept["depth"]):
                found.append(Sample(name, shown, **kept, finished=name not in unfinished))
    return found


def load_sets(config: SetsConfig) -> tuple[list[Sample], list[Sample]]:
    """What a stage learns from, every view of all its data sets, and the first views of the dev set."""
    if len(config.data) != len(config.prepared):
        raise NearError(f"{len(config.data)} --data and {len(config.prepared)} --prepared don't fit together.",
                        "Give one --prepared for every --data, in the same order.")
    train = [sample for data, prepared in zip(config.data, config.prepared) for sample in load_samples(prepared, data)]
    held = load_samples(config.prepared_dev, config.dev, 1)
    print(f"{len(train)} objects, {len(held)} held out", flush=True)
    return train, held


@dataclass(frozen=True, kw_only=True)
class SetsConfig:
    """Which data sets a stage learns from, and which one it is checked with."""

    data: tuple[Path, ...] = option(
        "a data set; may be given again, also the same one, to draw from it more often", "folder")
    prepared: tuple[Path, ...] = option("its objects as `train samples` left them, in the order of --data", "folder")
    dev: Path = option("the dev set", "folder")
    prepared_dev: Path = option("its objects as `train samples` left them", "folder")


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """Which objects are prepared."""

    data: Path = option("a data set", "folder")
    out: Path = option("where the prepared objects go; those that are there stay", "folder")
    limit: int | None = option("at most so many objects", "objects", None)


def write_samples(config: SamplesConfig) -> None:
    """Writes what every camera of a data set sees of the mesh, and the solid, <asset>.safetensors for each object."""
    data = Dataset(config.data)
    seen = {name: photos.read_cameras(data.path / "views" / name) for name in data.assets[:config.limit]}
    write_arrays(config.out, [(name, lambda name=name: prepare_sample(data.mesh(name), seen[name]))
                              for name in seen if seen[name]])

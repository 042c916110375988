"""What is measured: assets from the sample mesh, crowds of them, skies with a sun, cameras that go around."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import mesh
from ...asset import NeuralAsset
from ...create import create
from ...scene import Environment, Instance, camera
from ...scene.environment import turn_z

SAMPLES = Path(__file__).resolve().parents[3] / "near_blender" / "assets"


def make_meshes() -> dict[str, mesh.Mesh]:
    """The keg made smaller, about 10,000 voxels, and with the bottom of a pedestal under it, about 20,000."""
    keg, _, _ = mesh.normalize(mesh.load(SAMPLES / "keg.glb"))
    angle = np.linspace(0, 2 * np.pi, 65)[:-1]
    ring = np.stack([0.43 * np.cos(angle), 0.43 * np.sin(angle), np.full(64, keg.vertices[:, 2].min() - 0.02)], 1)
    vertices = np.concatenate([ring, ring.mean(0, keepdims=True)]).astype(np.float32)
    faces = np.stack([np.arange(64), (np.arange(64) + 1) % 64, np.full(64, 64)], 1).astype(np.int32)
    floor = mesh.Mesh(vertices, faces, material_index=np.full(64, len(keg.materials), np.int32))
    plain = mesh.Material()
    return {"small": replace(keg, vertices=keg.vertices * np.float32(0.75)),
            "large": mesh.merge([keg, floor], (*keg.materials, plain))}


def make_variants(count: int) -> list[NeuralAsset]:
    """Different assets: the keg, wider or slimmer and turned."""
    keg, _, _ = mesh.normalize(mesh.load(SAMPLES / "keg.glb"))
    wide = np.linspace(0.4, 1, count)
    return [create.create_from_mesh(replace(keg, vertices=np.float32(keg.vertices * [w, w, 1] @ turn_z(20 * n))),
                                    name=f"keg {n}") for n, w in enumerate(wide)]


def make_crowd(assets: list[NeuralAsset], count: int) -> list[Instance]:
    """Instances in rows a metre apart, each of another size and turn. They fill make_crowd_view's picture."""
    rng, columns, out = np.random.default_rng(0), int(np.ceil((1.8 * count) ** 0.5)), []
    rows = -(-count // columns)
    for number in range(count):
        matrix = np.eye(4)
        matrix[:3, :3] = rng.uniform(0.6, 1.1) * turn_z(rng.uniform(0, 360))
        matrix[:2, 3] = number % columns - (columns - 1) / 2, number // columns - (rows - 1) / 2
        out.append(Instance(assets[number % len(assets)], matrix))
    return out


def make_crowd_view(number: int, count: int, size: tuple[int, int]) -> camera.Camera:
    """Camera number n of a walk around a crowd that it sees all of."""
    return camera.orbit(2 * number, 50, 2 * count ** 0.5, 45, *size)


def make_light(seed: int) -> Environment:
    """A soft sky with a sun; another seed, another map."""
    rng = np.random.default_rng(seed)
    sky = np.repeat(np.linspace(1, 0.2, 256, dtype=np.float32)[:, None], 512, 1)[..., None] * rng.uniform(0.5, 1, 3)
    sky = sky.astype(np.float32)
    row, column = rng.integers(20, 100), rng.integers(0, 500)
    sky[row:row + 4, column:column + 4] = 500
    return Environment(sky)


def make_view(number: int, size: tuple[int, int]) -> camera.Camera:
    """Camera number n of a walk around the asset. size: width and height, pixels."""
    return camera.orbit(20 + 7 * number, 20, 2, 40 * max(1, size[0] / size[1]) ** 0.8, *size)

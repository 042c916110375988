"""Gaussian splats in the layout of 3D Gaussian Splatting (Kerbl et al. 2023), with colours under one light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._kernels import splat
from ..directions import polar_rotation
from ..scene import Camera
from .gaussians import SurfelGaussians

C0, C1 = 0.28209479177387814, 0.4886025119029199  # spherical harmonics of degree 0 and 1
LOW_PASS = 0.3  # square pixels, as the published rasterizer adds
AXES = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # Z up to COLMAP's Y down, Z forward
RIDGE = 0.3  # keeps what few directions say from being exaggerated


@dataclass(frozen=True, eq=False)
class SplatCloud:
    """N flat Gaussians in one frame. shape: theirs. normal: (N, 3) across them. harmonics: (N, 4, 3) of display colour
    less a half, as the published rasterizer takes them."""

    shape: SurfelGaussians
    normal: np.ndarray
    harmonics: np.ndarray

    def draw(self, camera: Camera, matrix: np.ndarray, threads: int = 0) -> np.ndarray:
        """What a viewer of splats shows of them at matrix (4, 4): (H, W, 4) display colours, premultiplied."""
        shape = self.shape.move(matrix)
        towards = -camera.directions_to(shape.xyz) @ polar_rotation(matrix).astype(np.float32)
        color = np.clip(np.einsum("nb,nbc->nc", evaluate_basis(towards), self.harmonics) + 0.5, 0, None)
        seen = splat.project(shape.xyz, shape.covariance, shape.opacity, camera.world_to_camera, camera.intrinsics,
                             camera.width, camera.height, near=camera.near, far=camera.far, low_pass=LOW_PASS,
                             antialiased=False, threads=threads)
        image, alpha, _ = splat.rasterize(seen, np.ascontiguousarray(color, np.float32), camera.width, camera.height,
                                          threads=threads)
        return np.concatenate([image, alpha[..., None]], 2)

    def to_ply(self, scale: float) -> bytes:
        """The bytes of a .ply file as viewers of splats read it: Y down, Z forward, metres. scale: metres per unit."""
        through = np.einsum("ni,nij,nj->n", self.normal, _unpack(self.shape.covariance), self.normal)
        trace = self.shape.covariance[:, [0, 3, 5]].sum(1)
        across = np.maximum((trace - through) / 2, 1e-12)
        sizes = 0.5 * np.log(np.maximum(np.stack([across, across, through], 1), 1e-12)) + np.log(scale)
        normal: np.ndarray = np.asarray(self.normal @ AXES.T)
        opacity = np.clip(self.shape.opacity, 1e-4, 1 - 1e-4)
        harmonics = self._turn_harmonics()
        columns: np.ndarray = np.concatenate([
            self.shape.xyz @ AXES.T * np.float32(scale), normal, harmonics[:, 0],
            harmonics[:, 1:].transpose(0, 2, 1).reshape(len(normal), 9),
            np.log(opacity / (1 - opacity))[:, None], sizes, _turn_to(normal)], 1).astype("<f4")
        names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{k}" for k in range(3)), *(f"f_rest_{k}" for k in range(9)),
                 "opacity", *(f"scale_{k}" for k in range(3)), *(f"rot_{k}" for k in range(4))]
        head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(columns)}",
                *(f"property float {name}" for name in names), "end_header", ""]
        return "\n".join(head).encode() + columns.tobytes()

    def _turn_harmonics(self) -> np.ndarray:
        """The harmonics for directions of AXES' frame."""
        order = (1, 2, 0)  # degree 1 holds -y, z, -x
        signs = (-1, 1, -1)
        vector = np.empty_like(self.harmonics[:, 1:])
        for k, axis in enumerate(order):
            vector[:, axis] = signs[k] * self.harmonics[:, 1 + k]
        turned = np.einsum("ij,njc->nic", AXES, vector)
        made = self.harmonics.copy()
        for k, axis in enumerate(order):
            made[:, 1 + k] = signs[k] * turned[:, axis]
        return made


def evaluate_basis(towards: np.ndarray) -> np.ndarray:
    """Spherical harmonics (N, 4) of unit directions (N, 3) from the camera to splats."""
    x, y, z = towards.T
    return np.stack([np.full_like(x, C0), -C1 * y, C1 * z, -C1 * x], 1)


def fit_harmonics(colors: np.ndarray, towards: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Harmonics (N, 4, 3) of display colours (D, N, 3) seen along D directions (D, 3), each with weight (D, N)."""
    basis = evaluate_basis(towards)
    normal = np.einsum("dn,da,db->nab", weight, basis, basis)
    right = np.einsum("dn,da,dnc->nac", weight, basis, colors - 0.5)
    total = weight.sum(0)
    for k in range(4):
        normal[:, k, k] += 1e-6 + (RIDGE * C1 ** 2 * total if k else 0)
    return np.linalg.solve(normal, right).astype(np.float32)


def _unpack(covariance: np.ndarray) -> np.ndarray:
    rows, columns = np.triu_indices(3)
    whole = np.empty((len(covariance), 3, 3), np.float32)
    whole[:, rows, columns] = whole[:, columns, rows] = covariance
    return whole


def _turn_to(normal: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4), w x y z, that turn Z to normals (N, 3)."""
    x, y, z = normal.T
    made = np.stack([1 + z, -y, x, np.zeros_like(x)], 1)
    made[z < -0.9999] = (0, 1, 0, 0)
    return made / np.linalg.norm(made, axis=1, keepdims=True)

"""The published two-pass picture: Gaussians of the lighting network to maps, by the splatting kernel."""

import numpy as np
import torch
import torch.nn.functional as F

from .._kernels import splat
from .near_gaussians import rotation_matrix

NEAR, FAR = 1.0, 3.0  # metres, of the published pipeline


def covariance(rotation, scaling):
    """(M, 4) unit quaternions and (M, 3) standard deviations to (M, 6): xx, xy, xz, yy, yz, zz."""
    axes = rotation_matrix(rotation) * scaling[:, None]  # columns: scaled axes
    full = axes @ axes.mT
    return full[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]


def pixel_intrinsics(intrinsics, width, height):
    """Normalized intrinsics to pixels; the published renderer puts the centre in the middle whatever they say."""
    fx, fy = float(intrinsics[0, 0]), float(intrinsics[1, 1])
    return np.array([[fx * width, 0, width / 2], [0, fy * height, height / 2], [0, 0, 1]], np.float32)


def splat_pass(gaussians, scaling, features, extrinsics, intrinsics, size, near=NEAR, far=FAR, background=None):
    """Splat (M, C) features. scaling: "_scaling" or "_scaling_view". intrinsics: pixels. size: (width, height).
    Returns image (H, W, C), alpha (H, W), depth (H, W), float32, and the projection."""
    shape = covariance(gaussians.rotation(), gaussians.scaling(scaling))
    seen = splat.project(array(gaussians.xyz()), array(shape), array(gaussians.opacity()[:, 0]), array(extrinsics),
                         intrinsics, *size, near=near, far=far)
    return *splat.rasterize(seen, array(features), *size, background=background), seen


def features(gaussians, basis, extrinsics):
    """What the two passes splat: (M, 9) materials and (M, 11) light, the last three of each a camera-space normal."""
    turn = torch.as_tensor(extrinsics)[:3, :3].T.to(gaussians.raw["_xyz"])
    facing = gaussians.normal("_scaling_view")
    material = torch.cat([gaussians.base_color(), gaussians.value("_metallic"), gaussians.value("_roughness"),
                          gaussians.value("_pbr1"), gaussians.normal() @ turn], 1)
    colour = basis(gaussians.raw["_rgb"], facing)
    light = torch.cat([colour[:, :3], gaussians.value("_shadow"), colour[:, 3:5], gaussians.value("_hdri1"),
                       gaussians.value("_hdri2"), facing @ turn], 1)
    return material, light


def render(gaussians, basis, extrinsics, intrinsics, size, near=NEAR, far=FAR):
    """Maps of the published renderer by name, (H, W, C) float32, premultiplied over black; normals in OpenGL camera axes.

    extrinsics: (4, 4) world to camera; intrinsics: (3, 3) normalized; size: (width, height).
    """
    material, light = features(gaussians, basis, extrinsics)
    pixels = pixel_intrinsics(intrinsics, *size)
    maps = {}
    for end, scaling, values, names in (
            ("", "_scaling", material, (("base_color", 3), ("metallic", 1), ("roughness", 1), ("pbr1", 1), ("normal", 3))),
            ("_view", "_scaling_view", light, (("color", 3), ("shadow", 1), ("brightness", 1), ("nush1", 1), ("hdri1", 1),
                                               ("hdri2", 1), ("normal_view", 3)))):
        image, alpha, depth, _ = splat_pass(gaussians, scaling, values, extrinsics, pixels, size, near, far)
        starts = np.cumsum([count for _, count in names])[:-1]
        maps.update(zip((name for name, _ in names), np.split(image, starts, 2)))
        maps["normal" + end] = maps["normal" + end] * np.array([1, -1, -1], np.float32)
        maps["alpha" + end], maps["depth" + end] = alpha[..., None], depth[..., None]
        maps["normal_from_depth" + end] = normal_from_depth(depth, extrinsics, pixels) * alpha[..., None]
    return maps


def normal_from_depth(depth, extrinsics, intrinsics):
    """Normals (H, W, 3) of the surface a depth map (H, W) shows, in OpenGL camera axes; 0 at the border."""
    height, width = depth.shape
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    pixel = np.stack([columns, rows, np.ones_like(rows)], -1)
    rotation = np.asarray(extrinsics, np.float32)[:3, :3]
    camera = np.linalg.inv(np.asarray(extrinsics, np.float32))[:3, 3]
    points = depth[..., None] * (pixel @ np.linalg.inv(intrinsics).T @ rotation) + camera
    normal = np.zeros_like(points)
    across, down = points[2:, 1:-1] - points[:-2, 1:-1], points[1:-1, 2:] - points[1:-1, :-2]
    inner = np.cross(across, down)
    normal[1:-1, 1:-1] = inner / np.maximum(np.linalg.norm(inner, axis=-1, keepdims=True), 1e-12)
    return normal @ rotation.T * np.array([1, -1, -1], np.float32)


def shrink(image, size):
    """(H, W, C) to size (width, height), bilinear with antialiasing."""
    small = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None], size[::-1], mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def array(tensor):
    return np.ascontiguousarray(torch.as_tensor(tensor).detach().float().cpu().numpy())

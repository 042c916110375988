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
    seen = project(gaussians, scaling, extrinsics, intrinsics, size, near, far)
    return *splat.rasterize(seen, array(features), *size, background=background), seen


def project(gaussians, scaling, extrinsics, intrinsics, size, near=NEAR, far=FAR, orthographic=False):
    """Where the Gaussians lie in the picture; arguments as in `splat_pass`."""
    shape = covariance(gaussians.rotation(), gaussians.scaling(scaling))
    return splat.project(array(gaussians.xyz()), array(shape), array(gaussians.opacity()[:, 0]), array(extrinsics),
                         array(intrinsics), *size, near=near, far=far, orthographic=orthographic)


def material_features(gaussians, extrinsics):
    """(M, 9): base colour, metallic, roughness, the unnamed third, camera-space normal."""
    return torch.cat([gaussians.base_color(), gaussians.value("_metallic"), gaussians.value("_roughness"),
                      gaussians.value("_pbr1"), gaussians.normal() @ _turn(gaussians, extrinsics)], 1)


def light_features(gaussians, basis, extrinsics):
    """(M, 11): radiance, shadow, brightness and four unnamed ones, camera-space normal."""
    facing = gaussians.normal("_scaling_view")
    colour = basis(gaussians.raw["_rgb"], facing)
    return torch.cat([colour[:, :3], gaussians.value("_shadow"), colour[:, 3:5], gaussians.value("_hdri1"),
                      gaussians.value("_hdri2"), facing @ _turn(gaussians, extrinsics)], 1)


def _turn(gaussians, extrinsics):
    return torch.as_tensor(extrinsics)[:3, :3].T.to(gaussians.raw["_xyz"])


MATERIAL_MAPS = (("base_color", 3), ("metallic", 1), ("roughness", 1), ("pbr1", 1), ("normal", 3))
LIGHT_MAPS = (("color", 3), ("shadow", 1), ("brightness", 1), ("nush1", 1), ("hdri1", 1), ("hdri2", 1), ("normal_view", 3))


def maps_of(image, alpha, depth, layout, end):
    """The maps of one pass by name, (H, W, C) each; normals in OpenGL camera axes (y up, z to the viewer)."""
    maps = dict(zip((name for name, _ in layout), np.split(image, np.cumsum([count for _, count in layout])[:-1], 2)))
    maps["normal" + end] = maps["normal" + end] * np.array([1, -1, -1], np.float32)
    return maps | {"alpha" + end: alpha[..., None], "depth" + end: depth[..., None]}


def render(gaussians, basis, extrinsics, intrinsics, size, near=NEAR, far=FAR):
    """Maps of the published renderer by name, (H, W, C) float32, premultiplied over black.

    extrinsics: (4, 4) world to camera; intrinsics: (3, 3) normalized; size: (width, height).
    """
    pixels, maps = pixel_intrinsics(intrinsics, *size), {}
    for end, scaling, values, layout in (
            ("", "_scaling", material_features(gaussians, extrinsics), MATERIAL_MAPS),
            ("_view", "_scaling_view", light_features(gaussians, basis, extrinsics), LIGHT_MAPS)):
        image, alpha, depth, _ = splat_pass(gaussians, scaling, values, extrinsics, pixels, size, near, far)
        maps |= maps_of(image, alpha, depth, layout, end)
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

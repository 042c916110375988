"""The published two-pass picture: Gaussians of the lighting network to maps, by the splatting kernel."""

import numpy as np
import torch
import torch.nn.functional as F

from ..._kernels import splat
from ...directions import unit
from .gaussians import rotation_matrix
from .layout import LIGHT_MAPS, MATERIAL_MAPS

NEAR, FAR = 1.0, 3.0  # metres, of the published pipeline


def shape(gaussians, scaling, matrix=None):
    """What is projected. scaling: "_scaling" or "_scaling_view"; matrix: (4, 4) asset to world, None for the same
    frame. Returns positions (M, 3), covariances (M, 6) as xx, xy, xz, yy, yz, zz, and opacities (M,)."""
    axes = rotation_matrix(gaussians.rotation()) * gaussians.scaling(scaling)[:, None]  # columns: scaled axes
    xyz = gaussians.xyz()
    if matrix is not None:
        xyz, axes = xyz @ matrix[:3, :3].T + matrix[:3, 3], matrix[:3, :3] @ axes
    full = axes @ axes.mT
    return xyz, full[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]], gaussians.opacity()[:, 0]


def pixel_intrinsics(intrinsics, width, height):
    """Normalized intrinsics to pixels; the published renderer puts the centre in the middle whatever they say."""
    fx, fy = float(intrinsics[0, 0]), float(intrinsics[1, 1])
    return np.array([[fx * width, 0, width / 2], [0, fy * height, height / 2], [0, 0, 1]], np.float32)


def splat_pass(gaussians, scaling, features, extrinsics, intrinsics, size, near=NEAR, far=FAR, background=None):
    """Splat (M, C) features. scaling: "_scaling" or "_scaling_view". intrinsics: pixels. size: (width, height).
    Returns image (H, W, C), alpha (H, W), depth (H, W), float32, and the projection."""
    seen = splat.project(*(to_array(each) for each in shape(gaussians, scaling)), to_array(extrinsics),
                         to_array(intrinsics), *size, near=near, far=far)
    return *splat.rasterize(seen, to_array(features), *size, background=background), seen


def material_features(gaussians, turn):
    """(M, 9): base colour, metallic, roughness, the unnamed third, normal. turn: (3, 3), applied to normals as rows."""
    return torch.cat([gaussians.base_color(), gaussians.value("_metallic"), gaussians.value("_roughness"),
                      gaussians.value("_pbr1"), F.normalize(gaussians.normal() @ turn, dim=1)], 1)


def light_features(gaussians, basis, turn):
    """(M, 11): radiance, shadow, brightness and three unnamed ones, normal. turn: (3, 3), applied to normals as
    rows."""
    facing = gaussians.normal("_scaling_view")
    color = basis(gaussians.raw["_rgb"], facing)
    return torch.cat([color[:, :3], gaussians.value("_shadow"), color[:, 3:5], gaussians.value("_hdri1"),
                      gaussians.value("_hdri2"), F.normalize(facing @ turn, dim=1)], 1)


def name_maps(image, alpha, depth, layout, end):
    """The maps of one pass by name, (H, W, C) each, with alpha and depth."""
    ends = np.cumsum([channels for _, (channels,) in layout])[:-1]
    maps = dict(zip((name for name, _ in layout), np.split(image, ends, 2)))
    return maps | {"alpha" + end: alpha[..., None], "depth" + end: depth[..., None]}


def render(gaussians, basis, extrinsics, intrinsics, size, near=NEAR, far=FAR):
    """Maps of the published renderer by name, (H, W, C) float32, premultiplied over black; normals in OpenGL camera
    axes.

    extrinsics: (4, 4) world to camera; intrinsics: (3, 3) normalized; size: (width, height).
    """
    pixels, maps = pixel_intrinsics(intrinsics, *size), {}
    turn = torch.as_tensor(extrinsics)[:3, :3].T.to(gaussians.raw["_xyz"])
    for end, scaling, values, layout in (
            ("", "_scaling", material_features(gaussians, turn), MATERIAL_MAPS),
            ("_view", "_scaling_view", light_features(gaussians, basis, turn), LIGHT_MAPS)):
        image, alpha, depth, _ = splat_pass(gaussians, scaling, values, extrinsics, pixels, size, near, far)
        maps |= name_maps(image, alpha, depth, layout, end)
        maps["normal" + end] = maps["normal" + end] * np.array([1, -1, -1], np.float32)
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
    normal[1:-1, 1:-1] = unit(inner)
    return normal @ rotation.T * np.array([1, -1, -1], np.float32)


def shrink(image, size):
    """(H, W, C) to size (width, height), bilinear with antialiasing."""
    small = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None], size[::-1], mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).numpy()


def to_array(tensor):
    """A tensor or array as a contiguous float32 array of the same shape."""
    return np.ascontiguousarray(torch.as_tensor(tensor).detach().float().cpu().numpy())

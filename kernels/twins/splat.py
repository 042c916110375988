"""What `kernels.splat` computes, in plain torch: any float dtype, differentiable, one Gaussian at a time.

The rules are gsplat 1.5's (Ye et al. 2024, "gsplat: an open-source library for Gaussian splatting"); projection is EWA
splatting (Zwicker et al. 2002) with the opacity compensation of Mip-Splatting (Yu et al. 2023).
"""

from typing import NamedTuple

import torch

from ..splat import OFFSETS

ALPHA_MIN, ALPHA_MAX, TRANSMITTANCE_MIN, CLOSED = 1 / 255, 0.999, 1e-4, 1 / 6


class ProjectionTensors(NamedTuple):
    """As `kernels.splat.Projection`, in tensors; culled rows are zero."""

    mean: torch.Tensor  # (N, 2)
    conic: torch.Tensor  # (N, 3)
    depth: torch.Tensor  # (N,)
    radius: torch.Tensor  # (N,) int32
    opacity: torch.Tensor  # (N,)


def covariance_matrix(covariance: torch.Tensor) -> torch.Tensor:
    """(N, 6) upper triangles xx, xy, xz, yy, yz, zz -> (N, 3, 3)."""
    return covariance[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)


def project(xyz, covariance, opacity, world_to_camera, intrinsics, width: int, height: int, *, near=0.01, far=1e10,
            low_pass=0.3, antialiased=True, orthographic=False) -> ProjectionTensors:
    """Arguments as in `kernels.splat.project`, tensors of one dtype."""
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    focal, centre = intrinsics.diagonal()[:2], intrinsics[:2, 2]
    size = torch.tensor([width, height], dtype=xyz.dtype)
    point = xyz @ rotation.T + translation  # (N, 3) camera space
    z = point[:, 2]
    inside = (z >= near) & (z <= far)
    z_safe = torch.where(inside, z, torch.ones_like(z))[:, None]

    if orthographic:
        mean = focal * point[:, :2] + centre
        jacobian = torch.diag(focal)[:, [0, 1, 1]] * torch.tensor([1, 1, 0])  # (2, 3)
        jacobian = jacobian.expand(len(xyz), 2, 3)
    else:
        slope = point[:, :2] / z_safe
        mean = focal * slope + centre
        # Off screen the Jacobian is taken at a clamped place: 0.3 tan(half field of view) beyond the picture's edge.
        slack = 0.3 * (0.5 * size / focal)
        slope = torch.minimum(torch.maximum(slope, -(centre / focal + slack)), (size - centre) / focal + slack)
        scale = focal / z_safe  # (N, 2)
        jacobian = torch.cat([torch.diag_embed(scale), (-scale * slope)[:, :, None]], dim=2)  # (N, 2, 3)

    linear = jacobian @ rotation
    flat = linear @ covariance_matrix(covariance) @ linear.mT  # (N, 2, 2)
    blurred = flat + low_pass * torch.eye(2, dtype=xyz.dtype)
    determinant, sharp_determinant = _determinant(blurred), _determinant(flat)
    finite = torch.isfinite(mean).all(1) & torch.isfinite(determinant) & torch.isfinite(opacity)
    keep = inside & finite & (determinant > 0)
    determinant = torch.where(keep, determinant, torch.ones_like(determinant))
    if antialiased:
        opacity = opacity * (sharp_determinant / determinant).clamp(min=0).sqrt()
    conic = torch.stack([blurred[:, 1, 1], -blurred[:, 0, 1], blurred[:, 0, 0]], 1) / determinant[:, None]

    reach = (2 * (255 * opacity.detach()).clamp(min=1).log()).sqrt()
    # In standard deviations; 3.33 is where an opaque Gaussian falls to 1/255.
    reach = torch.where(opacity > 1, reach, torch.full_like(reach, 3.33))
    extent = (reach[:, None] * blurred.detach().diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()).ceil()  # (N, 2)
    on_screen = ((mean + extent > 0) & (mean - extent < size)).all(1)
    keep = keep & on_screen & (opacity >= ALPHA_MIN)

    def kept(values):
        return torch.where(keep.reshape(-1, *[1] * (values.ndim - 1)), values, torch.zeros_like(values))

    return ProjectionTensors(kept(mean), kept(conic), kept(z), kept(extent.amax(1)).int(), kept(opacity))


def rasterize(projection: ProjectionTensors, features, width: int, height: int, *, background=None,
              occlusion_depth=None, samples=1):
    """Arguments and results as in `kernels.splat.rasterize`; a fourth result is each Gaussian's summed weight (N,)."""
    if samples == 4:
        taken = [rasterize(projection._replace(mean=projection.mean - torch.tensor(offset)),
                           features, width, height, background=background, occlusion_depth=occlusion_depth)
                 for offset in OFFSETS]
        image, alpha, weights = (sum(each[i] for each in taken) / 4 for i in (0, 1, 3))
        depth = sum(each[1] * each[2] for each in taken) / 4 / alpha.clamp(min=1e-10)
        return image, alpha, depth, weights
    mean, conic, depth, radius, opacity = projection
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixel = torch.stack([columns, rows], 2).to(mean.dtype) + 0.5
    transmittance = torch.ones(height, width, dtype=mean.dtype)
    stopped = torch.zeros(height, width, dtype=torch.bool)
    hidden = torch.full_like(transmittance, torch.inf)  # the depth behind which nothing is seen any more
    image = torch.zeros(height, width, features.shape[1] + 1, dtype=mean.dtype)
    weights = torch.zeros(len(mean), dtype=mean.dtype)
    usable = (radius > 0) & (opacity >= ALPHA_MIN) & torch.isfinite(torch.cat([features, depth[:, None]], 1)).all(1)
    for i in torch.argsort(depth, stable=True).tolist():
        if not usable[i]:
            continue
        dx, dy = (mean[i] - pixel).unbind(2)
        a, b, c = conic[i]
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = (opacity[i] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
        hit = (sigma >= 0) & (alpha >= ALPHA_MIN) & ~stopped
        # A pixel ends before the Gaussian that would leave it (nearly) opaque.
        after = transmittance * (1 - alpha)
        stopped = stopped | (hit & (after <= TRANSMITTANCE_MIN))
        hit = hit & ~stopped
        taken = torch.where(hit, alpha * transmittance, torch.zeros_like(alpha))
        weight = torch.where(depth[i] <= hidden, taken, torch.zeros_like(taken))
        if occlusion_depth is not None:
            behind = hidden.clamp(max=(depth[i] + occlusion_depth[i]).item())
            hidden = torch.where(hit & (after <= CLOSED), behind, hidden)
        transmittance = torch.where(hit, after, transmittance)
        image = image + torch.cat([weight[:, :, None] * features[i], taken[:, :, None] * depth[i]], 2)
        weights = weights + torch.nn.functional.one_hot(torch.tensor(i), len(mean)) * weight.sum()
    alpha = 1 - transmittance
    expected = image[:, :, -1] / alpha.clamp(min=1e-10)
    image = image[:, :, :-1]
    if background is not None:
        image = image + transmittance[:, :, None] * background
    return image, alpha, expected, weights


def _determinant(m: torch.Tensor) -> torch.Tensor:
    return m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]

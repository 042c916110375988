"""The splatting kernels as differentiable torch functions (training and fitting; rendering uses `kernels.splat`)."""

import numpy as np
import torch

from .. import splat as _splat
from ..splat_gradients import project_backward, rasterize_backward


def splat(xyz, covariance, opacity, features, world_to_camera, intrinsics, width: int, height: int, *,
          near: float = 0.01, far: float = 1e10, low_pass: float = 0.3, antialiased: bool = True,
          orthographic: bool = False, occlusion_depth=None, samples: int = 1, threads: int = 0):
    """Projects and composites Gaussians; differentiable in xyz, covariance, opacity and features.

    CPU tensors, shapes and units as in `kernels.splat.project` and `rasterize`: xyz (N, 3), covariance (N, 6), opacity
    (N,), features (N, C), world_to_camera (4, 4), intrinsics (3, 3), occlusion_depth (N,) metres or None,
    samples 1 or 4. Returns image (height, width, C), alpha and depth (height, width), float32, over black.
    """
    options = dict(near=near, far=far, low_pass=low_pass, antialiased=antialiased, orthographic=orthographic,
                   threads=threads)
    camera = (world_to_camera.detach().numpy(), intrinsics.detach().numpy(), width, height)
    depth = None if occlusion_depth is None else _array(occlusion_depth)
    drawn = dict(occlusion_depth=depth, samples=samples, threads=threads)
    return _Splat.apply(xyz, covariance, opacity, features, camera, options, drawn)


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(context, xyz, covariance, opacity, features, camera, options, drawn):
        arrays = [_array(tensor) for tensor in (xyz, covariance, opacity, features)]
        *gaussians, colors = arrays
        projection = _splat.project(*gaussians, *camera, **options)
        outputs = _splat.rasterize(projection, colors, *camera[2:], **drawn)
        context.set_materialize_grads(False)  # what no loss asks for is None, which costs nothing
        context.arrays, context.projection, context.camera = arrays, projection, camera
        context.options, context.drawn = options, drawn
        return tuple(torch.from_numpy(output) for output in outputs)

    @staticmethod
    def backward(context, *d_outputs):
        *gaussians, colors = context.arrays
        height, width = context.camera[3], context.camera[2]
        losses = [None if d is None else _array(d) for d in d_outputs]
        if losses[0] is None:
            losses[0] = np.zeros((height, width, colors.shape[1]), np.float32)
        gradients = rasterize_backward(context.projection, colors, *context.camera[2:], *losses,
                                       **context.drawn)
        d_gaussians = project_backward(*gaussians, *context.camera, context.projection, gradients,
                                       **context.options)
        return *(torch.from_numpy(d) for d in (*d_gaussians, gradients.features)), None, None, None


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy(), np.float32)

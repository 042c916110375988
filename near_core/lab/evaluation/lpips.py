"""LPIPS, a learned distance of pictures, where its published weights lie in a folder. Nothing is downloaded.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018); version 0.1 with
AlexNet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import NearError
from ...image import srgb_encode

BACKBONE, HEAD = "alexnet*.pth", "alex.pth"  # as torchvision and the package lpips name them
# key of the convolution, its stride and padding, and whether it reads a halved picture
LAYERS = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of colours in -1..1


class Lpips:
    """The distance of two pictures; smaller is more alike.

    folder: with AlexNet's ImageNet weights and LPIPS' own, both as published. Raises NearError where they are missing.
    """

    def __init__(self, folder: str | Path):
        import torch

        found = [next(iter(sorted(Path(folder).glob(name))), None) for name in (BACKBONE, HEAD)]
        if None in found:
            raise NearError(f"{Path(folder).name} holds no weights of LPIPS.", f"Put {BACKBONE} and {HEAD} into it.")
        try:
            backbone, head = (torch.load(path, map_location="cpu", weights_only=True) for path in found)
            self.layers = [(backbone[f"features.{key}.weight"], backbone[f"features.{key}.bias"], *how)
                           for key, *how in LAYERS]
            self.weights = [head[f"lin{number}.model.1.weight"] for number in range(len(LAYERS))]
        except Exception as error:  # whatever a damaged file makes of the reader
            raise NearError("The weights of LPIPS could not be read.", "Get the published files again.") from error

    def __call__(self, prediction: np.ndarray, truth: np.ndarray) -> float:
        """prediction, truth: (H, W, 3+) linear, premultiplied; 64 pixels a side or more."""
        import torch

        with torch.no_grad():
            each = [self._features(p) for p in (prediction, truth)]
            return float(sum(torch.nn.functional.conv2d((a - b).square(), weight).mean()
                             for a, b, weight in zip(*each, self.weights)))

    def _features(self, picture: np.ndarray) -> list:
        """Unit feature vectors of every layer, each (1, C, h, w)."""
        import torch
        import torch.nn.functional as F

        x = 2 * torch.from_numpy(srgb_encode(np.nan_to_num(picture[..., :3]))).permute(2, 0, 1)[None] - 1
        x = (x - torch.tensor(SHIFT)[:, None, None]) / torch.tensor(SCALE)[:, None, None]
        features = []
        for weight, bias, stride, padding, halved in self.layers:
            x = F.relu(F.conv2d(F.max_pool2d(x, 3, 2) if halved else x, weight, bias, stride, padding))
            features.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return features

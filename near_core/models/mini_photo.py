"""near-mini, the photo side: image features -> structure (32^3) -> children (64^3).

Everything is aligned to the photo's pixels: a cell of the grid looks up the features where it falls in the picture,
so the networks generalise by what they see rather than by which object it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .mini import LATENT, SparseBlock

SIZE = 128  # pixels of the square crop the networks see
PIXEL = 16  # colour and alpha at four widths, what Slat sees of the photo
COARSE = 32  # cells along an edge of the structure grid; its children make the asset's 64^3

# EfficientNet-Lite0 (Tan and Le 2019, the variant without squeeze-and-excitation): kernel, stride, expansion, out
_STAGES = [(3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40), (3, 2, 6, 80), (3, 1, 6, 80),
           (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112), (5, 2, 6, 192), (5, 1, 6, 192),
           (5, 1, 6, 192), (5, 1, 6, 192), (3, 1, 6, 320)]
_TAPS = {0: 16, 2: 24, 4: 40, 10: 112, 15: 320}  # block after which a stride ends -> channels (strides 2..32)


class SameConv(nn.Conv2d):
    """Convolution that pads as TensorFlow does: the odd pixel goes to the right and the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        total = self.kernel_size[0] - self.stride[0]
        before = total // 2
        return F.conv2d(F.pad(x, (before, total - before, before, total - before)), self.weight, self.bias,
                        self.stride, 0, 1, self.groups)


class MobileBlock(nn.Module):
    """Inverted residual: expand, depthwise, project; batch norms are frozen."""

    def __init__(self, inside: int, kernel: int, stride: int, expansion: int, out: int):
        super().__init__()
        wide = inside * expansion
        self._expand_conv = nn.Conv2d(inside, wide, 1, bias=False) if expansion > 1 else None
        self._bn0 = nn.BatchNorm2d(wide, eps=1e-3) if expansion > 1 else None
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=1e-3)
        self.skip = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self._expand_conv is not None:
            y = F.relu6(self._bn0(self._expand_conv(y)))
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skip else y


class Backbone(nn.Module):
    """EfficientNet-Lite0 up to stride 32; keys as in its published weights. (B, 3, S, S) in [-1, 1] -> five maps."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks, inside = [], 32
        for kernel, stride, expansion, out in _STAGES:
            blocks.append(MobileBlock(inside, kernel, stride, expansion, out))
            inside = out
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        taps = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in _TAPS:
                taps.append(x)
        return taps  # (B, 16, S/2, S/2) ... (B, 320, S/32, S/32)

    def train(self, mode: bool = True) -> Backbone:
        return super().train(False)  # batch statistics of small batches would drift


class ImageEncoder(nn.Module):
    """(B, 4, S, S) sRGB colour over grey in [-1, 1] and alpha 0..1 -> pixel features (B, C, S/2, S/2)."""

    def __init__(self, channels: int = 32, inner: int = 64):
        super().__init__()
        self.backbone = Backbone()
        self.lateral = nn.ModuleList(nn.Conv2d(c, inner, 1) for c in _TAPS.values())
        self.smooth = nn.ModuleList(nn.Conv2d(inner, inner, 3, padding=1) for _ in range(len(_TAPS) - 1))
        self.alpha = nn.Conv2d(4, inner, 4, stride=2, padding=1)
        self.out = nn.Conv2d(inner, channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        taps = self.backbone(image[:, :3])
        x = self.lateral[-1](taps[-1])
        for level in range(len(taps) - 2, -1, -1):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) + self.lateral[level](taps[level])
            if level == 0:
                x = x + self.alpha(image)
            x = F.silu(self.smooth[level](x))
        return self.out(x)


def look_up(maps: Tensor, uv: Tensor) -> Tensor:
    """maps (B, C, h, w) at uv (B, P, 2) in [-1, 1], (-1, -1) the top left corner -> (B, P, C); 0 outside."""
    found = F.grid_sample(maps, uv[:, None], mode="bilinear", padding_mode="zeros", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


class ResBlock3d(nn.Module):
    def __init__(self, inside: int, out: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, inside)
        self.conv1 = nn.Conv3d(inside, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, out)
        self.conv2 = nn.Conv3d(out, out, 3, padding=1)
        self.skip = nn.Conv3d(inside, out, 1) if inside != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(y)))


class Structure(nn.Module):
    """Which cells of the 32^3 grid hold a surface, from features looked up along the photo's rays.

    image: (B, 4, S, S) as ImageEncoder. uv: (B, 32^3, 2) where each cell's centre falls in the crop, in [-1, 1].
    ray: (B, 32^3, 4): unit direction from the camera in the grid's frame, and depth minus the centre's depth.
    Returns logits (B, 32, 32, 32), cell features (B, W, 32, 32, 32), pixel features (B, C, S/2, S/2).
    """

    def __init__(self, width: int = 32, channels: int = 32):
        super().__init__()
        w = width
        self.encoder = ImageEncoder(channels)
        self.enter = nn.Conv3d(channels + 8, w, 1)
        self.down1, self.down2, self.down3 = ResBlock3d(w, w), ResBlock3d(w, 2 * w), ResBlock3d(2 * w, 4 * w)
        self.middle = nn.Sequential(ResBlock3d(4 * w, 4 * w), ResBlock3d(4 * w, 4 * w))
        self.up3, self.up2 = ResBlock3d(8 * w, 2 * w), ResBlock3d(4 * w, w)
        self.up1 = ResBlock3d(2 * w, w)
        self.occupied = nn.Conv3d(w, 1, 1)

    def forward(self, image: Tensor, uv: Tensor, ray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.encoder(image)
        x = torch.cat([look_up(maps, uv), look_up(image, uv), ray], -1)  # (B, 32^3, C + 8)
        # (B, C + 8, 32, 32, 32), channels last in memory: what the convolutions are fastest on
        x = x.unflatten(1, (COARSE, COARSE, COARSE)).permute(0, 4, 1, 2, 3)
        a = self.down1(self.enter(x))  # (B, W, 32, 32, 32)
        b = self.down2(F.avg_pool3d(a, 2))  # (B, 2W, 16, 16, 16)
        c = self.down3(F.avg_pool3d(b, 2))  # (B, 4W, 8, 8, 8)
        x = self.middle(F.avg_pool3d(c, 2))  # (B, 4W, 4, 4, 4)
        x = self.up3(torch.cat([F.interpolate(x, scale_factor=2), c], 1))
        x = self.up2(torch.cat([F.interpolate(x, scale_factor=2), b], 1))
        cells = self.up1(torch.cat([F.interpolate(x, scale_factor=2), a], 1))
        return self.occupied(cells)[:, 0], cells, maps


class Refine(nn.Module):
    """Which of a cell's eight children hold a surface.

    cell: (P, W) features of the parent. pixel: (P, C + 4) pixel features and RGBA where the child falls.
    ray: (P, 4) as in Structure, for the child. child: (P, 3) its corner in the parent, -1 or 1. Returns (P,) logits.
    """

    def __init__(self, width: int = 32, channels: int = 32, hidden: int = 96):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width + channels + 4 + 4 + 3, hidden), nn.SiLU(),
                                 nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 8))
        self.skip = nn.Linear(width, 8)

    def forward(self, cell: Tensor, pixel: Tensor, ray: Tensor, child: Tensor) -> Tensor:
        # eight answers, one per corner, so that a corner picks its own part of the cell's features
        every = self.mlp(torch.cat([cell, pixel, ray, child], -1)) + self.skip(cell)
        corner = torch.stack([child[:, 0] * x + child[:, 1] * y + child[:, 2] * z > 2.5
                              for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], -1)
        return (every * corner.to(every.dtype)).sum(-1)


class Slat(nn.Module):
    """The latent of voxels whose place is known, from the photo's pixels and the voxels around.

    pixel: (N, 16) display colour over grey and alpha where the voxel falls, at four widths, the last the whole photo's
    mean. ray: (N, 4) as in Structure. seen: (N, 1), 1 where nothing stands in front. noise: (N, 4), 0 where seen: what
    the photo does not decide. Returns slat (N, 16) and confidence (N,) 0..1.
    """

    def __init__(self, width: int = 80, depth: int = 4):
        super().__init__()
        self.enter = nn.Linear(PIXEL + 4 + 1 + 4, width)
        self.seen = nn.Linear(PIXEL, width)  # only what is seen may trust its own pixel
        self.blocks = nn.ModuleList(SparseBlock(width) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, LATENT + 1))

    def forward(self, pixel: Tensor, ray: Tensor, seen: Tensor, noise: Tensor, neighbours: Tensor
                ) -> tuple[Tensor, Tensor]:
        x = self.enter(torch.cat([pixel, ray, seen, noise], -1)) + seen * self.seen(pixel)
        for block in self.blocks:
            x = block(x, neighbours)
        out = self.leave(x)
        # the network corrects a first guess: the photo's colour as it is where the voxel is seen, its mean elsewhere
        sharp, mean = pixel[:, :4], pixel[:, 12:]
        guess = seen * sharp[:, :3] / sharp[:, 3:].clamp(min=0.1) + (1 - seen) * mean[:, :3]
        linear = ((guess + 1) / 2).clamp(0.01, 1.0) ** 2.2
        slat = torch.cat([out[:, :3] + 2 * linear - 1, out[:, 3:LATENT]], -1)
        return slat, torch.sigmoid(out[:, LATENT])


class Matte(nn.Module):
    """What of a photo is the object in front. picture: (1, 3, 192, 192) sRGB in [-1, 1] -> logits (1, 192, 192)."""

    def __init__(self, inner: int = 48):
        super().__init__()
        self.backbone = Backbone()
        self.lateral = nn.ModuleList(nn.Conv2d(c, inner, 1) for c in _TAPS.values())
        self.smooth = nn.ModuleList(nn.Sequential(nn.Conv2d(inner, inner, 3, padding=1), nn.SiLU(),
                                                  nn.Conv2d(inner, inner, 3, padding=1)) for _ in _TAPS)
        self.edge = nn.Conv2d(3, 16, 3, padding=1)
        self.out = nn.Sequential(nn.Conv2d(inner + 16, 24, 3, padding=1), nn.SiLU(), nn.Conv2d(24, 1, 3, padding=1))

    def forward(self, picture: Tensor) -> Tensor:
        taps = self.backbone(picture)
        x = self.lateral[-1](taps[-1])
        x = x + x.mean((2, 3), keepdim=True)  # what the picture is about, everywhere
        for level in range(len(taps) - 1, -1, -1):
            if level < len(taps) - 1:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) + self.lateral[level](taps[level])
            x = x + self.smooth[level](F.silu(x))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.out(torch.cat([x, F.silu(self.edge(picture))], 1))[:, 0]


MATTE_SIZE = 192  # pixels; a photo is squeezed into this square

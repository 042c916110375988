"""near-mini, the photo side: a picture -> its matte; its layers; the latent of a surface that it shows.

Everything is aligned to the photo's pixels: a cell of the grid looks up the features where it falls in the picture,
so the networks generalise by what they see rather than by which object it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.mini.layout import (
    LATENT,
    LAYERS,
    PICTURE,
    PIXEL,
    POSE,
    TRUNK,
    Layer,
    MaterialColumn,
    Picture,
    Pixel,
)
from .asset_networks import SparseBlock

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
        x = F.pad(x, (before, total - before, before, total - before))
        if self.groups == 1 or not torch.is_grad_enabled():
            return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)
        with torch.autocast(x.device.type, enabled=False):  # depthwise gradients in bfloat16 take five times as long
            return F.conv2d(x.float(), self.weight, self.bias, self.stride, 0, 1, self.groups)


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


class Intrinsics(nn.Module):
    """What a photo shows of an object, pixel by pixel, free of its light; and from how high it was taken.

    image: (B, PICTURE, S, S). pose: (B, POSE), 0 where the camera is not known.
    Returns layers (B, LAYERS, S, S); trunk (B, TRUNK, S/2, S/2), features for Structure; elevation (B,) radians, of the
    camera above the horizon.
    """

    def __init__(self, inner: int = TRUNK):
        super().__init__()
        self.backbone = Backbone()
        self.lateral = nn.ModuleList(nn.Conv2d(c, inner, 1) for c in _TAPS.values())
        self.smooth = nn.ModuleList(nn.Sequential(nn.Conv2d(inner, inner, 3, padding=1), nn.SiLU(),
                                                  nn.Conv2d(inner, inner, 3, padding=1)) for _ in _TAPS)
        self.alpha = nn.Conv2d(PICTURE, inner, 4, stride=2, padding=1)
        self.whole = nn.Sequential(nn.Linear(320, 128), nn.SiLU(), nn.Linear(128, inner + 1))
        self.pose = nn.Sequential(nn.Linear(POSE, 64), nn.SiLU(), nn.Linear(64, inner * len(_TAPS)))
        # the photo's light tints and dims all of it: a gain and an offset per channel, from the whole picture
        self.tone = nn.Sequential(nn.Linear(320 + 6, 128), nn.SiLU(), nn.Linear(128, 6))
        self.narrow = nn.Conv2d(inner, 32 - PICTURE, 1)
        self.out = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, LAYERS, 3, padding=1))
        nn.init.normal_(self.out[-1].weight, std=0.003)
        nn.init.normal_(self.whole[-1].weight, std=0.003)
        nn.init.normal_(self.pose[-1].weight, std=0.003)
        nn.init.normal_(self.tone[-1].weight, std=0.003)

    def forward(self, image: Tensor, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taps = self.backbone(image[:, Picture.COLOR])
        posed = self.pose(pose).unflatten(1, (len(taps), -1))[..., None, None]
        whole = self.whole(taps[-1].mean((2, 3)))
        x = self.lateral[-1](taps[-1]) + whole[:, :-1, None, None]
        for level in range(len(taps) - 1, -1, -1):
            if level < len(taps) - 1:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
                x = x + self.lateral[level](taps[level])
            if level == 0:
                x = x + self.alpha(image)
            x = x + posed[:, level]
            x = x + self.smooth[level](F.silu(x))
        fine = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        out = self.out(torch.cat([fine, image], 1))
        alpha = image[:, Picture.ALPHA, None]
        photo = (image[:, Picture.COLOR] + alpha) / 2  # display colour, 0 where there is no object
        area = alpha.mean((2, 3)).clamp(min=1e-3)
        mean, square = photo.mean((2, 3)) / area, (photo * photo).mean((2, 3)) / area
        tone = self.tone(torch.cat([taps[-1].mean((2, 3)), mean, square], 1))[..., None, None]
        color = photo * torch.exp(tone[:, :3]) + tone[:, 3:] + out[:, Layer.BASE_COLOR]
        rough_metallic = torch.sigmoid(out[:, Layer.ROUGHNESS_METALLIC])
        return torch.cat([out[:, Layer.GEOMETRY], color, rough_metallic], 1), x, whole[:, -1]


class Slat(nn.Module):
    """The latent of voxels whose place is known, from the photo's layers and the voxels around: what is likeliest where
    the photo decides, one evaluation of a rectified flow where it does not (Liu et al. 2023).

    pixel: (N, PIXEL). state: (N, LATENT), time * latent + (1 - time) * noise where hidden, 0 where seen. time: (1,)
    0..1. Where state and time are 0, the answer is the mean of what is likely.
    Returns the latent that the flow leads to, (N, LATENT), as far as can be told, and confidence (N,) 0..1.
    """

    def __init__(self, width: int = 80, depth: int = 4):
        super().__init__()
        self.enter = nn.Linear(PIXEL + LATENT + 1, width)
        self.blocks = nn.ModuleList(SparseBlock(width) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, LATENT + 1))

    def forward(self, pixel: Tensor, state: Tensor, time: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        x = self.enter(torch.cat([pixel, state, time.expand(pixel.shape[0], 1)], -1))
        for block in self.blocks:
            x = block(x, neighbours)
        out = self.leave(x)
        # the network corrects a first guess: what is seen there, else at the mirror image, else before it and in all
        seen = pixel[:, Pixel.IS_SEEN]
        twin = pixel[:, Pixel.IS_MIRRORED] * (1 - seen)
        hidden = (pixel[:, Pixel.WHOLE] + pixel[:, Pixel.AROUND]) / 2
        guess = seen * pixel[:, Pixel.SEEN] + twin * pixel[:, Pixel.MIRRORED] + (1 - seen - twin) * hidden
        guess = guess[:, MaterialColumn.BASE_COLOR]
        first = F.pad(2 * guess.clamp(0.01, 1.0) ** 2.2 - 1, (0, LATENT - 3))
        known = time * (1 - seen)  # towards its end the flow hardly moves
        return (1 - known) * first + known * state + out[:, :LATENT], torch.sigmoid(out[:, LATENT])


class MapAttention(nn.Module):
    """Every cell of a map hears of all others (Vaswani et al. 2017), and knows its place by a depthwise convolution
    that feels the map's border (Chu et al. 2023). (B, C, H, W) -> the same."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.place = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = (x + self.place(x)).flatten(2).transpose(1, 2)  # (B, H W, C)
        query, key, value = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        x = x + self.mlp(self.norm2(x))
        return x.transpose(1, 2).unflatten(2, (height, width))


class DecoderLevel(nn.Module):
    """A step of Matte's decoder: it joins the coarser map, the backbone's tap and what the whole picture is about."""

    def __init__(self, inside: int, out: int, whole: int):
        super().__init__()
        self.join = nn.Conv2d(inside, out, 1)
        self.whole = nn.Linear(whole, out)
        self.norm = nn.GroupNorm(8, out)
        self.conv1, self.conv2 = nn.Conv2d(out, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)

    def forward(self, coarse: Tensor, tap: Tensor, whole: Tensor) -> Tensor:
        x = self.join(torch.cat([F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False), tap], 1))
        x = x + self.whole(whole)[:, :, None, None]
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class Matte(nn.Module):
    """What of a photo is the object in front. picture: (B, 3, S, S) sRGB in [-1, 1], S = layout.MATTE_SIZE, or any
    multiple of 32 while it trains -> logits (B, S, S).

    What the picture is about is settled on the coarsest map, where every cell hears of all others; finer levels, which
    each hear of the whole too, follow its outline.
    """

    def __init__(self, deep: int = 160, widths: tuple[int, ...] = (24, 48, 64, 96)):
        super().__init__()
        self.backbone = Backbone()
        *fine, deepest = _TAPS.values()
        self.enter = nn.Conv2d(deepest, deep, 1)
        self.overview = nn.Sequential(MapAttention(deep), MapAttention(deep))
        self.levels = nn.ModuleList(DecoderLevel(below + tap, width, deep)
                                    for below, tap, width in zip(widths[1:] + (deep,), fine, widths))
        self.pixels = nn.Conv2d(12, widths[0], 3, padding=1)
        self.coarse = nn.Conv2d(widths[-1], 1, 1)
        self.out = nn.Sequential(nn.Conv2d(widths[0], widths[0], 3, padding=1), nn.SiLU(),
                                 nn.Conv2d(widths[0], 4, 3, padding=1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.forward_with_coarse(picture)[0]

    def forward_with_coarse(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and those of stride 16 (B, S/16, S/16), for training."""
        *taps, deepest = self.backbone(picture)
        x = self.overview(self.enter(deepest))
        whole = x.mean((2, 3))
        maps = []
        for level, tap in zip(reversed(self.levels), reversed(taps)):
            x = level(x, tap, whole)
            maps.append(x)
        x = x + self.pixels(F.pixel_unshuffle(picture, 2))
        return F.pixel_shuffle(self.out(F.silu(x)), 2)[:, 0], self.coarse(maps[0])[:, 0]

"""The published light tokenizer (Hdri_Encoder): a 9-channel light map to 64 x 64 tokens."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import blocks

DIMS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)  # ConvNeXt-tiny (Liu et al. 2022)
DIRECTION_FREQUENCIES = 8


class ImageNorm(blocks.LayerNorm):
    """Layer norm over the channels of an image (B, C, H, W)."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Conv2d(nn.Conv2d):
    """A convolution that brings its input to the dtype of its weight."""

    def forward(self, x):
        return super().forward(x.to(self.weight.dtype))


class ImageGroupNorm(nn.GroupNorm):
    """Group norm of an image (B, C, H, W), in float32."""

    def forward(self, x):
        return F.group_norm(x.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7 x 7 convolution, then an MLP per pixel; the places 1, 4 and 6 of the key names hold no weights."""

    def __init__(self, channels):
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))
        self.block = nn.ModuleDict({
            "0": Conv2d(channels, channels, 7, padding=3, groups=channels), "2": blocks.LayerNorm(channels),
            "3": blocks.Linear(channels, 4 * channels), "5": blocks.Linear(4 * channels, channels)})

    def forward(self, x):
        h = self.block["2"](self.block["0"](x).permute(0, 2, 3, 1))  # (B, H, W, C)
        h = self.block["5"](F.gelu(self.block["3"](h)))
        return x + self.layer_scale * h.permute(0, 3, 1, 2)


def stage(before, channels, depth, in_channels):
    """A ConvNeXt stage: the stem (before = 4) or a halving (before = 2), then `depth` blocks."""
    convolution = Conv2d(in_channels, channels, before, stride=before)
    entry = [convolution, ImageNorm(channels)] if before == 4 else [ImageNorm(in_channels), convolution]
    return nn.Sequential(nn.Sequential(*entry), nn.Sequential(*[ConvNeXtBlock(channels) for _ in range(depth)]))


class ConvNeXt(nn.Module):
    """The four stages of the image network, from a six-channel picture."""

    def __init__(self, dims=DIMS, depths=DEPTHS):
        super().__init__()
        self.stage1 = stage(4, dims[0], depths[0], 6)
        self.stage2 = stage(2, dims[1], depths[1], dims[0])
        self.stage3 = stage(2, dims[2], depths[2], dims[1])
        self.stage4 = stage(2, dims[3], depths[3], dims[2])

    def pyramid(self, x):
        """x: (B, 6, H, W), tone-mapped and logarithmic radiance. Returns features at 1/4, 1/8, 1/16 and 1/32."""
        levels = []
        for stage_ in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage_(x.to(memory_format=torch.channels_last))
            levels.append(x)
        return levels


class DirectionEncoder(nn.Module):
    """Directions (B, 3, H, W) to (B, 51, H, W): the direction, then per axis 8 sines and 8 cosines."""

    def __init__(self):
        super().__init__()
        self.freq_bands = nn.Parameter(math.pi * 2.0 ** torch.arange(DIRECTION_FREQUENCIES), requires_grad=False)

    def forward(self, directions):
        angles = directions[:, :, None] * self.freq_bands.float()[:, None, None]  # (B, 3, 8, H, W)
        waves = torch.cat([angles.sin(), angles.cos()], 2).flatten(1, 2)
        return torch.cat([directions, waves], 1)


class Fusion(nn.Module):
    """Image features gated by where they come from, beside features of the direction itself."""

    def __init__(self, channels, direction_channels, out_channels):
        super().__init__()
        hidden = max(16, channels // 8)
        self.dir_adapter = nn.Sequential(
            Conv2d(direction_channels, channels, 1), ImageGroupNorm(min(8, channels // 4), channels), nn.GELU())
        self.attention = nn.Sequential(
            Conv2d(channels + direction_channels, hidden, 1), ImageGroupNorm(min(4, hidden // 4), hidden), nn.GELU(),
            Conv2d(hidden, channels, 1), nn.Sigmoid())
        self.fusion = nn.Sequential(
            Conv2d(2 * channels, out_channels, 1), ImageGroupNorm(min(8, out_channels // 4), out_channels), nn.GELU())
        self.residual_proj = nn.Identity() if channels == out_channels else Conv2d(channels, out_channels, 1)

    def forward(self, x, directions):
        gated = x * self.attention(torch.cat([x, directions], 1))
        return self.fusion(torch.cat([gated, self.dir_adapter(directions)], 1)) + self.residual_proj(x)


class RotaryAttention(nn.Module):
    """Self attention with rotary positions (Su et al. 2021) along the flattened raster of the map."""

    def __init__(self, channels, heads, rope_base):
        super().__init__()
        self.heads, self.rope_base = heads, rope_base
        self.q_proj = blocks.Linear(channels, channels, bias=False)
        self.k_proj = blocks.Linear(channels, channels, bias=False)
        self.v_proj = blocks.Linear(channels, channels, bias=False)
        self.out_proj = blocks.Linear(channels, channels)

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                   for layer in (self.q_proj, self.k_proj, self.v_proj))  # (B, heads, T, D)
        out = F.scaled_dot_product_attention(rotate(q, self.rope_base), rotate(k, self.rope_base), v)
        return self.out_proj(out.transpose(1, 2).flatten(2))


def rotate(x, base=10000.0):
    """Turn pairs (i, i + D/2) of x (..., T, D) by token index times base^(-2 i / D)."""
    length, channels = x.shape[-2:]
    exponent = torch.arange(0, channels, 2, dtype=torch.float32, device=x.device) / channels
    angles = torch.arange(length, dtype=torch.float32, device=x.device)[:, None] * (1 / base ** exponent)
    cos, sin = angles.cos(), angles.sin()  # (T, D/2)
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)


class TransformerLayer(nn.Module):
    """Attention and MLP, both behind an RMS norm, added to the residual stream. (B, T, C) to (B, T, C)."""

    def __init__(self, channels, heads, rope_base):
        super().__init__()
        self.self_attn = RotaryAttention(channels, heads, rope_base)
        self.linear1 = blocks.Linear(channels, 4 * channels)
        self.linear2 = blocks.Linear(4 * channels, channels)
        self.norm1 = blocks.RMSNorm(channels)
        self.norm2 = blocks.RMSNorm(channels)

    def forward(self, x):
        x = x + self.self_attn(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class Hdri_Encoder(ConvNeXt):
    """Image pyramid, fusion with directions, transformer. dims, depths: of the image network."""

    def __init__(self, output_dim=768, num_tokens=4096, cnn_out_channels=256, n_heads=8, num_transformer_layers=2,
                 rope_base=10000.0, dims=DIMS, depths=DEPTHS):
        super().__init__(dims, depths)
        self.side = math.isqrt(num_tokens)
        self.dir_encoder = DirectionEncoder()
        encoded = 3 * (2 * DIRECTION_FREQUENCIES + 1)
        self.fusion_c3 = Fusion(dims[1], encoded, cnn_out_channels)
        self.fusion_c4 = Fusion(dims[2], encoded, cnn_out_channels)
        self.fusion_c5 = Fusion(dims[3], encoded, cnn_out_channels)
        self.projection_conv = Conv2d(3 * cnn_out_channels, output_dim, 1)
        self.transformer_encoder = nn.Module()
        layer = TransformerLayer(output_dim, n_heads, rope_base)
        self.transformer_encoder.layers = nn.ModuleList([layer] * num_transformer_layers)  # one layer, used repeatedly
        self.ln_final = blocks.RMSNorm(output_dim)

    def fuse(self, directions, c3, c4, c5):
        """directions: (B, 3, H, W). Returns the three levels after fusion, each at its own size."""
        return [fusion(level, self.directions_at(directions, level.shape[-2:]))
                for fusion, level in ((self.fusion_c3, c3), (self.fusion_c4, c4), (self.fusion_c5, c5))]

    def directions_at(self, directions, size):
        """The encoded directions, bilinear at another size. At an even fraction of the raster each value is the mean of
        the four pixels about it, and only those are encoded."""
        height, width = directions.shape[-2:]
        down, across = height // size[0], width // size[1]
        if (down * size[0], across * size[1]) != (height, width) or down % 2 or across % 2:
            return F.interpolate(self.dir_encoder(directions), size=size, mode="bilinear")
        around = [directions[..., down // 2 - 1 + y::down, across // 2 - 1 + x::across] for y in (0, 1) for x in (0, 1)]
        return sum(self.dir_encoder(each) for each in around) / 4

    def project(self, fused):
        """Fused levels to (B, T, output_dim), tokens in raster order."""
        size = (self.side, self.side)
        joined = torch.cat([F.interpolate(level.float(), size=size, mode="bilinear") for level in fused], 1)
        return self.projection_conv(joined).flatten(2).transpose(1, 2).float()

    def forward(self, light_map):
        """light_map: (B, 9, 512, 512) from `conditioning.light_map`. Returns tokens (B, num_tokens,
        output_dim)."""
        _, c3, c4, c5 = self.pyramid(light_map[:, :6])
        tokens = self.project(self.fuse(light_map[:, 6:], c3, c4, c5))
        for layer in self.transformer_encoder.layers:
            tokens = layer(tokens)
        return self.ln_final(tokens)

"""TRELLIS's structure models: which voxels of the 64^3 grid are occupied, from noise and an image."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import blocks
from .vae import head_count


class SparseStructureFlowModel(nn.Module):
    """Velocity of the noisy dense structure latent."""

    def __init__(self, resolution, in_channels, model_channels, cond_channels, out_channels, num_blocks,
                 num_heads=None, num_head_channels=64, mlp_ratio=4, patch_size=2, pe_mode="ape", share_mod=False,
                 qk_rms_norm=False, qk_rms_norm_cross=False):
        super().__init__()
        self.patch, self.cells = patch_size, resolution // patch_size
        heads = head_count(model_channels, num_heads, num_head_channels)
        self.t_embedder = blocks.TimestepEmbedder(model_channels)
        if share_mod:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), blocks.Linear(model_channels, 6 * model_channels))
        coords = torch.cartesian_prod(*[torch.arange(self.cells)] * 3)
        self.register_buffer("pos_emb", blocks.position_embedding(coords, model_channels))
        self.input_layer = blocks.Linear(in_channels * patch_size ** 3, model_channels)
        self.blocks = nn.ModuleList(
            blocks.FlowBlock(model_channels, cond_channels, heads, mlp_ratio, qk_rms_norm, qk_rms_norm_cross, share_mod)
            for _ in range(num_blocks))
        self.out_layer = blocks.Linear(model_channels, out_channels * patch_size ** 3)

    def memorize(self, context):
        """Keys and values of the image tokens (B, T, cond_channels) for every block; they hold for all steps."""
        return [block.cross_attn.memorize(context) for block in self.blocks]

    def forward(self, x, t, memory):
        """x: (B, in_channels, R, R, R); t: (B,) time, 0 to 1000; memory: `memorize` of the image.
        Returns the velocity, (B, out_channels, R, R, R)."""
        count, length = len(x), self.cells ** 3
        rows = patchify(x, self.patch).flatten(2).transpose(1, 2).flatten(0, 1)  # (B L, in_channels patch^3)
        rows = self.input_layer(rows).float() + self.pos_emb.float().repeat(count, 1)
        time = self.t_embedder(t).float()
        modulation = self.adaLN_modulation(time).float() if hasattr(self, "adaLN_modulation") else time
        sets = [torch.arange(count * length, device=x.device).view(count, length)]
        item = torch.arange(count, device=x.device).repeat_interleave(length) if count > 1 else slice(None)
        for block, tokens in zip(self.blocks, memory):
            rows = block(rows, modulation, tokens, sets, [length] * count, item)
        rows = self.out_layer(blocks.normalize(rows, 1e-5)).float()
        grid = rows.view(count, length, -1).transpose(1, 2).unflatten(2, (self.cells,) * 3)
        return unpatchify(grid, self.patch)


def patchify(x, size):
    """(B, C, R, R, R) to (B, C size^3, R/size, ...): the cells of a patch become channels, patch-minor."""
    x = x.unflatten(4, (-1, size)).unflatten(3, (-1, size)).unflatten(2, (-1, size))  # (B, C, D, p, H, p, W, p)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


def unpatchify(x, size):
    """The inverse of `patchify`; also the three-dimensional pixel shuffle."""
    x = x.unflatten(1, (-1, size, size, size))  # (B, C, p, p, p, D, H, W)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)


class ChannelNorm(blocks.LayerNorm):
    """Layer norm over the channels of a volume (B, C, D, H, W)."""

    def __init__(self, channels):
        super().__init__(channels, 1e-5)

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class VolumeGroupNorm(nn.GroupNorm):
    """Group norm of a volume (B, C, D, H, W) in 32 groups, in float32."""

    def __init__(self, channels):
        super().__init__(32, channels)

    def forward(self, x):
        return F.group_norm(x.float(), 32, self.weight.float(), self.bias.float(), self.eps)


NORMS = {"layer": ChannelNorm, "group": VolumeGroupNorm}


class Conv3d(nn.Conv3d):
    """A convolution that brings its input to the dtype of its weight."""

    def forward(self, x):
        return super().forward(x.to(self.weight.dtype))


class VolumeResBlock(nn.Module):
    """Two convolutions, each behind a norm, added to their input. (B, C, D, H, W) to the same."""

    def __init__(self, channels, norm):
        super().__init__()
        self.norm1, self.norm2 = norm(channels), norm(channels)
        self.conv1, self.conv2 = Conv3d(channels, channels, 3, padding=1), Conv3d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class Upsample(nn.Module):
    """(B, C, D, H, W) to (B, C', 2 D, 2 H, 2 W)."""

    def __init__(self, channels, out_channels):
        super().__init__()
        self.conv = Conv3d(channels, out_channels * 8, 3, padding=1)

    def forward(self, x):
        return unpatchify(self.conv(x), 2)


class Downsample(nn.Module):
    """(B, C, D, H, W) to (B, C', D / 2, H / 2, W / 2)."""

    def __init__(self, channels, out_channels):
        super().__init__()
        self.conv = Conv3d(channels, out_channels, 2, stride=2)

    def forward(self, x):
        return self.conv(x)


class SparseStructureDecoder(nn.Module):
    """Structure latent to occupancy."""

    def __init__(self, out_channels, latent_channels, num_res_blocks, channels, num_res_blocks_middle=2,
                 norm_type="layer"):
        super().__init__()
        norm, stages = NORMS[norm_type], []
        for width, following in zip(channels, [*channels[1:], None]):
            stages += [VolumeResBlock(width, norm) for _ in range(num_res_blocks)]
            stages += [Upsample(width, following)] if following else []
        self.input_layer = Conv3d(latent_channels, channels[0], 3, padding=1)
        self.middle_block = nn.Sequential(*[VolumeResBlock(channels[0], norm) for _ in range(num_res_blocks_middle)])
        self.blocks = nn.ModuleList(stages)
        self.out_layer = nn.Sequential(norm(channels[-1]), nn.SiLU(), Conv3d(channels[-1], out_channels, 3, padding=1))

    def forward(self, z):
        """z: (B, latent_channels, r, r, r). Returns logits (B, out_channels, R, R, R); occupied where > 0."""
        x = self.middle_block(self.input_layer(z))
        for block in self.blocks:
            x = block(x)
        return self.out_layer(x)

    def occupied(self, z):
        """Returns the coords (N, 4) int32 of the voxels with a positive logit."""
        return torch.nonzero(self(z)[:, 0] > 0).int()


class SparseStructureEncoder(nn.Module):
    """Occupancy to the structure latent; only to prove equality with the reference."""

    def __init__(self, in_channels, latent_channels, num_res_blocks, channels, num_res_blocks_middle=2,
                 norm_type="layer"):
        super().__init__()
        norm, stages = NORMS[norm_type], []
        for width, following in zip(channels, [*channels[1:], None]):
            stages += [VolumeResBlock(width, norm) for _ in range(num_res_blocks)]
            stages += [Downsample(width, following)] if following else []
        self.input_layer = Conv3d(in_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(stages)
        self.middle_block = nn.Sequential(*[VolumeResBlock(channels[-1], norm) for _ in range(num_res_blocks_middle)])
        self.out_layer = nn.Sequential(
            norm(channels[-1]), nn.SiLU(), Conv3d(channels[-1], 2 * latent_channels, 3, padding=1))

    def forward(self, x):
        """x: (B, in_channels, R, R, R). Returns mean and log variance, (B, latent_channels, r, r, r) each."""
        x = self.input_layer(x)
        for block in self.blocks:
            x = block(x)
        return self.out_layer(self.middle_block(x)).chunk(2, 1)

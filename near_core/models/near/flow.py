"""The published latent flow (SLatFlowModel): velocity of the noisy latent of the voxels, given an image."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from ...errors import NearError
from . import blocks, sparse
from .vae import head_count, positions


class SparseResBlock(nn.Module):
    """Two submanifold convolutions modulated by time; may first move one level down or up."""

    def __init__(self, channels, time_channels, out_channels):
        super().__init__()
        self.norm1 = blocks.LayerNorm(channels)
        self.conv1 = sparse.Convolution(channels, out_channels)
        self.conv2 = sparse.Convolution(out_channels, out_channels)
        self.emb_layers = nn.Sequential(nn.SiLU(), blocks.Linear(time_channels, 2 * out_channels))
        self.skip_connection = nn.Identity() if channels == out_channels else blocks.Linear(channels, out_channels)

    def forward(self, x, time, coords, pairs):
        """x: (N, channels); time: (B, time_channels). Returns (N, out_channels) float32."""
        scale, shift = self.emb_layers(time).float()[coords[:, 0].long()].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)), coords, pairs)
        h = self.conv2(F.silu(blocks.normalize(h) * (1 + scale) + shift), coords, pairs)
        return h.float() + self.skip_connection(x)


class SLatFlowModel(nn.Module):
    """A transformer over 2^3 pooled voxels between convolution stages at full resolution."""

    def __init__(self, resolution, in_channels, model_channels, cond_channels, out_channels, num_blocks,
                 num_heads=None, num_head_channels=64, mlp_ratio=4, patch_size=2, num_io_res_blocks=2,
                 io_block_channels=None, pe_mode="ape", use_skip_connection=True, share_mod=False, qk_rms_norm=False,
                 qk_rms_norm_cross=False):
        super().__init__()
        levels = list(io_block_channels or [])  # channels before each halving of the resolution
        if len(levels) != int(math.log2(patch_size)) or len(levels) > 1:
            raise NearError("The latent flow asks for patch size {patch_size} with {stages} input stages.",
                            "Use a checkpoint with patch size 1 or 2, as the published ones have.",
                            patch_size=patch_size, stages=len(levels))
        if share_mod and levels:
            raise NearError("The latent flow shares its modulation but has convolution stages that need their own.",
                            "Use a checkpoint with share_mod off or io_block_channels null.")
        self.pe_mode, self.use_skip_connection = pe_mode, use_skip_connection
        self.t_embedder = blocks.TimestepEmbedder(model_channels)
        if share_mod:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), blocks.Linear(model_channels, 6 * model_channels))
        outer = levels[0] if levels else model_channels
        heads = head_count(model_channels, num_heads, num_head_channels)
        self.input_layer = blocks.Linear(in_channels, outer)
        down = [outer] * num_io_res_blocks + [model_channels] if levels else []
        self.input_blocks = nn.ModuleList(SparseResBlock(a, model_channels, b) for a, b in zip(down, down[1:]))
        self.blocks = nn.ModuleList(
            blocks.FlowBlock(model_channels, cond_channels, heads, mlp_ratio, qk_rms_norm, qk_rms_norm_cross, share_mod)
            for _ in range(num_blocks))
        joined = 2 if use_skip_connection else 1  # a skip connection doubles the channels
        self.out_blocks = nn.ModuleList(
            SparseResBlock(channels * joined, model_channels, outer) for channels in reversed(down[1:]))
        self.out_layer = blocks.Linear(outer, out_channels)

    def memorize(self, context):
        """Keys and values of the image tokens (B, T, cond_channels) for every block; they hold for all steps."""
        return [block.cross_attn.memorize(context) for block in self.blocks]

    def forward(self, coords, feats, t, memory):
        """feats: (N, in_channels) noisy latent; t: (B,) time, 0 to 1000; memory: `memorize` of the image.
        Returns the velocity (N, out_channels)."""
        time = self.t_embedder(t).float()  # (B, C)
        x = self.input_layer(feats).float()
        x, inner, row, skips, fine, coarse = self._down(x, time, coords)
        x = x + positions(inner, x.shape[1], self.pe_mode)
        sets, lengths = sparse.items(inner), sparse.lengths(inner)
        item = inner[:, 0].long() if len(lengths) > 1 else slice(None)
        modulation = self.adaLN_modulation(time).float() if hasattr(self, "adaLN_modulation") else time
        for block, tokens in zip(self.blocks, memory):
            x = block(x, modulation, tokens, sets, lengths, item)
        for index, block in enumerate(self.out_blocks):
            if self.use_skip_connection:
                x = torch.cat([x, skips.pop()], 1)
            x = block(x if index else x[row], time, coords, fine)
        return self.out_layer(blocks.normalize(x, 1e-5)).float()

    def _down(self, x, time, coords):
        """The input stages. Returns features, coords of the level of the transformer, each voxel's row there, the
        features to skip to the output stages, and the neighbour tables of both levels."""
        if not self.input_blocks:
            return x, coords, None, [], None, None
        fine, skips = sparse.neighbours(coords, 3), []
        for block in self.input_blocks[:-1]:
            x = block(x, time, coords, fine)
            skips.append(x)
        inner, x, row = sparse.downsample(coords, x)
        coarse = sparse.neighbours(inner, 3)
        x = self.input_blocks[-1](x, time, inner, coarse)
        return x, inner, row, skips + [x], fine, coarse

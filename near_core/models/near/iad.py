"""The published Intrinsic-Aware Decoder (SLatGaussianDecoder): latent to view-independent features of the voxels."""
import torch
import torch.nn as nn

from . import blocks, sparse
from .vae import attention_sets, head_count, positions


class DecoderBlock(nn.Module):
    """Attention to the register tokens, windowed self attention, MLP; norms have no parameters."""

    def __init__(self, channels, context_channels, heads, mlp_ratio, qk_rms_norm):
        super().__init__()
        self.attn = blocks.SelfAttention(channels, heads, qk_rms_norm)
        self.register_attn = blocks.RegisterAttention(channels, context_channels, heads)
        self.mlp = blocks.MLP(channels, mlp_ratio)

    def forward(self, x, registers, sets, lengths):
        x = x + self.register_attn(blocks.normalize(x), self.register_attn.memorize(registers), lengths)
        x = x + self.attn(blocks.normalize(x), sets)
        return x + self.mlp(blocks.normalize(x))


class SLatGaussianDecoder(nn.Module):
    """The decoder; `cond_channels`, the width of the register tokens, equals `model_channels`."""

    def __init__(self, resolution, model_channels, latent_channels, cond_channels, num_blocks,
                 num_register_tokens=16, num_heads=None, num_head_channels=64, mlp_ratio=4, attn_mode="swin",
                 window_size=8, pe_mode="ape", qk_rms_norm=False):
        super().__init__()
        self.attn_mode, self.window_size, self.pe_mode = attn_mode, window_size, pe_mode
        heads = head_count(model_channels, num_heads, num_head_channels)
        self.reg_tokens = nn.Parameter(torch.zeros(1, num_register_tokens, model_channels))
        self.input_layer = blocks.Linear(latent_channels, model_channels)
        self.blocks = nn.ModuleList(
            DecoderBlock(model_channels, cond_channels, heads, mlp_ratio, qk_rms_norm) for _ in range(num_blocks))

    def forward(self, coords, feats):
        """coords: (N, 4); feats: (N, latent_channels), latent as stored in an asset (not normalized).
        Returns h (N, model_channels) float32, and the register tokens (B, num_register_tokens, model_channels), which
        are constants that the lighting network attends to as well."""
        lengths = sparse.lengths(coords)
        x = self.input_layer(feats).float()  # (N, C)
        x = x + positions(coords, x.shape[1], self.pe_mode)
        registers = self.reg_tokens.expand(len(lengths), -1, -1)  # (B, R, C)
        for block, sets in zip(self.blocks, attention_sets(coords, self.attn_mode, self.window_size, len(self.blocks))):
            x = block(x, registers, sets, lengths)
        return x, registers

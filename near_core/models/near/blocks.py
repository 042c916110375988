"""Attention, MLP, norms and encodings shared by the networks.

Tokens of all batch items lie in one (N, C) array, the items' rows one after the other; a dense grid is the case where
every item has the same number of rows. Sub-layers compute in the dtype of their weights, norms and the residual stream
in float32, so that a network turned to bfloat16 loses precision only inside matrix products.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from .attention import attend


class Linear(nn.Linear):
    """A linear layer that brings its input to the dtype of its weight."""

    def forward(self, x):
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class LayerNorm(nn.LayerNorm):
    """Layer norm with scale and shift, in float32."""

    def __init__(self, channels, eps=1e-6):
        super().__init__(channels, eps)

    def forward(self, x):
        return F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


def normalize(x, eps=1e-6):
    """Layer norm over the last axis without scale and shift, in float32."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=eps)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich 2019), in float32."""

    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return F.rms_norm(x.float(), x.shape[-1:], self.weight.float(), self.eps)


class HeadRMSNorm(nn.Module):
    """Queries or keys (N, heads, D) to unit length times sqrt(D) times a learned scale per head and channel."""

    def __init__(self, heads, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(heads, channels))

    def forward(self, x):
        return (F.normalize(x.float(), dim=-1) * self.gamma.float() * x.shape[-1] ** 0.5).to(x.dtype)


ROWS_AT_ONCE = 2048  # of an MLP; a hidden layer of this height is reused by the allocator instead of mapped anew


class MLP(nn.Module):
    """Two linear layers around a tanh-GELU."""

    def __init__(self, channels, ratio):
        super().__init__()
        hidden = int(channels * ratio)
        self.mlp = nn.Sequential(Linear(channels, hidden), nn.GELU("tanh"), Linear(hidden, channels))

    def forward(self, x):
        return join([self.mlp(rows) for rows in x.split(ROWS_AT_ONCE)])


class SelfAttention(nn.Module):
    """Attention among the rows of each set of a partition: a window, or all rows of a batch item."""

    def __init__(self, channels, heads, qk_rms_norm=False):
        super().__init__()
        self.heads = heads
        self.to_qkv = Linear(channels, 3 * channels)
        if qk_rms_norm:
            self.q_rms_norm = HeadRMSNorm(heads, channels // heads)
            self.k_rms_norm = HeadRMSNorm(heads, channels // heads)
        self.qk_rms_norm = qk_rms_norm
        self.to_out = Linear(channels, channels)

    def forward(self, x, sets):
        """x: (N, C); sets: see `partition`. Returns (N, C)."""
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)  # (N, heads, D) each
        if self.qk_rms_norm:
            q, k = self.q_rms_norm(q), self.k_rms_norm(k)
        out = torch.empty_like(q)
        for rows in sets:  # (S, L): S sets of L rows
            q_set, k_set, v_set = (each[rows].transpose(1, 2) for each in (q, k, v))  # (S, heads, L, D)
            out[rows] = F.scaled_dot_product_attention(q_set, k_set, v_set).transpose(1, 2)
        return self.to_out(out.flatten(1))


class CrossAttention(nn.Module):
    """Attention of the rows of a batch item to the context tokens of that item."""

    def __init__(self, channels, context_channels, heads, qk_rms_norm=False):
        super().__init__()
        self.heads = heads
        self.to_q = Linear(channels, channels)
        self.to_kv = Linear(context_channels, 2 * channels)
        if qk_rms_norm:
            self.q_rms_norm = HeadRMSNorm(heads, channels // heads)
            self.k_rms_norm = HeadRMSNorm(heads, channels // heads)
        self.qk_rms_norm = qk_rms_norm
        self.to_out = Linear(channels, channels)

    def memorize(self, context):
        """context: (B, T, context_channels). Returns keys and values, (B, heads, T, D) each; they outlive many
        calls."""
        k, v = self.to_kv(context).unflatten(-1, (2, self.heads, -1)).unbind(2)  # (B, T, heads, D) each
        if self.qk_rms_norm:
            k = self.k_rms_norm(k)
        return k.transpose(1, 2).contiguous(), v.transpose(1, 2).contiguous()

    def forward(self, x, memory, lengths):
        """x: (N, C); memory: from `memorize`; lengths: rows of each batch item. Returns (N, C)."""
        q = self.to_q(x).unflatten(-1, (self.heads, -1))  # (N, heads, D)
        if self.qk_rms_norm:
            q = self.q_rms_norm(q)
        out = [attend(rows, k, v) for rows, k, v in zip(q.split(lengths), *memory)]  # (n, heads, D) each
        return self.to_out(join(out).flatten(1))


class RegisterAttention(CrossAttention):
    """Cross attention to few tokens that stay the same for all rows. Their keys times the query weights, and their
    values times the output weights, are small matrices: with them a row costs heads * T instead of 2 C columns."""

    def memorize(self, context):
        """context: (B, T, context_channels). Returns, for each item, weight and bias of the scores (heads T, C) and
        (heads T,), and the weight of the output (C, heads T)."""
        query, output = self.to_q.weight.float().unflatten(0, (self.heads, -1)), self.to_out.weight.float()
        k, v = super().memorize(context)
        k = k.float() / k.shape[-1] ** 0.5  # (B, heads, T, D)
        weight = torch.einsum("bhtd,hdc->bhtc", k, query).flatten(1, 2)
        bias = torch.einsum("bhtd,hd->bht", k, self.to_q.bias.float().unflatten(0, (self.heads, -1))).flatten(1)
        value = torch.einsum("bhtd,chd->bcht", v.float(), output.unflatten(1, (self.heads, -1))).flatten(2)
        return tuple(each.to(self.to_q.weight.dtype) for each in (weight, bias, value))

    def forward(self, x, memory, lengths):
        out = []
        for rows, weight, bias, value in zip(x.to(self.to_q.weight.dtype).split(lengths), *memory):
            scores = F.linear(rows, weight, bias).unflatten(1, (self.heads, -1))  # (n, heads, T)
            out.append(F.linear(scores.softmax(2).flatten(1), value, self.to_out.bias))
        return join(out)


def join(parts, axis=0):
    """torch.cat that leaves a single part alone."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


class FlowBlock(nn.Module):
    """Transformer block of the flow models: self attention and MLP modulated by time, cross attention to the image."""

    def __init__(self, channels, context_channels, heads, mlp_ratio, qk_rms_norm, qk_rms_norm_cross, share_mod):
        super().__init__()
        self.norm2 = LayerNorm(channels)
        self.self_attn = SelfAttention(channels, heads, qk_rms_norm)
        self.cross_attn = CrossAttention(channels, context_channels, heads, qk_rms_norm_cross)
        self.mlp = MLP(channels, mlp_ratio)
        if not share_mod:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(channels, 6 * channels))

    def forward(self, x, time, memory, sets, lengths, item):
        """x: (N, C); time: (B, C), or (B, 6C) where all blocks share the modulation; item: (N,) batch index or 0."""
        modulation = self.adaLN_modulation(time) if hasattr(self, "adaLN_modulation") else time
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = modulation.float()[item].chunk(6, -1)
        x = x + gate_1 * self.self_attn(normalize(x) * (1 + scale_1) + shift_1, sets)
        x = x + self.cross_attn(self.norm2(x), memory, lengths)
        return x + gate_2 * self.mlp(normalize(x) * (1 + scale_2) + shift_2)


class TimestepEmbedder(nn.Module):
    """Diffusion time (B,) to (B, channels): sinusoids, then a small MLP."""

    def __init__(self, channels, frequencies=256):
        super().__init__()
        self.frequencies = frequencies
        self.mlp = nn.Sequential(Linear(frequencies, channels), nn.SiLU(), Linear(channels, channels))

    def forward(self, t):
        return self.mlp(timestep_embedding(t, self.frequencies))


def timestep_embedding(t, channels):
    """t: (B,). Returns (B, channels): cosines then sines of t * 10000^(-i / (channels / 2))."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    embedding = torch.cat([angles.cos(), angles.sin()], -1)
    return F.pad(embedding, (0, channels % 2))


def position_embedding(coords, channels):
    """coords: (N, 3) integer. Returns (N, channels) float32: sines and cosines per axis, axes one after the other."""
    count = channels // 3 // 2
    frequencies = 1 / 10000 ** (torch.arange(count, dtype=torch.float32, device=coords.device) / count)
    angles = coords.float()[..., None] * frequencies  # (N, 3, count)
    embedding = torch.cat([angles.sin(), angles.cos()], -1).flatten(1)
    return F.pad(embedding, (0, channels - embedding.shape[1]))


def frequency_encoding(x, count):
    """x: (N, d). Returns (N, d (2 count + 1)): x, then sin(2^k x) and sin(2^k x + pi/2), d-major (Mildenhall 2020)."""
    angles = (x[..., None] * 2.0 ** torch.arange(count, dtype=x.dtype, device=x.device)).flatten(1)  # (N, d count)
    return torch.cat([x, angles.sin(), (angles + math.pi / 2).sin()], -1)


def partition(keys):
    """Rows with equal keys belong to one set. keys: (N,) int. Returns a list of (S, L) int64 arrays of row numbers:
    the S sets that have L rows, for every L that occurs."""
    order = torch.argsort(keys, stable=True)
    sizes = torch.unique_consecutive(keys[order], return_counts=True)[1]
    starts = sizes.cumsum(0) - sizes
    return [order[starts[sizes == size][:, None] + torch.arange(size, device=keys.device)]
            for size in sizes.unique().tolist()]

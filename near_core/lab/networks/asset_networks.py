"""near-mini, the asset side and the light side: encoder, intrinsic decoder, light tokenizer, lighting decoder.

Voxels are sparse: a network sees them as rows (N, C) and their 27 neighbours as row numbers (N, 27), N where there is
none. Shading happens per surfel; a surfel knows its voxel's row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.mini.layout import (
    CHILD,
    CHILDREN,
    HIDDEN,
    LATENT,
    MATERIAL,
    NEIGHBOURS,
    RADIANCE,
    SURFEL,
    TERMS,
    TOKEN,
    Latent,
    Octant,
    SurfelColumn,
    Term,
)

REACH = 0.4  # of the logarithm of a gain of the lighting decoder


def _gather(x: Tensor, neighbours: Tensor) -> Tensor:
    """Rows of the neighbourhood side by side, zeros where there is no neighbour. (N, C) -> (N, 27 C)."""
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])  # (N + 1, C)
    return padded.index_select(0, neighbours.flatten()).view(neighbours.shape[0], NEIGHBOURS * x.shape[1])


class _Convolve(torch.autograd.Function):
    """SparseConv with a backward pass of gathers: row i is the k-th neighbour of j where j is the (26 - k)-th of i."""

    @staticmethod
    def forward(context, x, weight, bias, neighbours):
        context.save_for_backward(x, weight, neighbours)
        return torch.addmm(bias, _gather(x, neighbours), weight.T)

    @staticmethod
    def backward(context, dy):
        x, weight, neighbours = context.saved_tensors
        out, inside = weight.shape[0], x.shape[1]
        flipped = weight.view(out, NEIGHBOURS, inside).flip(1).permute(1, 0, 2).reshape(NEIGHBOURS * out, inside)
        dx = _gather(dy, neighbours) @ flipped if context.needs_input_grad[0] else None
        return dx, dy.T @ _gather(x, neighbours), dy.sum(0), None


class SparseConv(nn.Module):
    """Submanifold 3x3x3 convolution as one gather and one product."""

    def __init__(self, inside: int, out: int):
        super().__init__()
        self.linear = nn.Linear(NEIGHBOURS * inside, out)

    def forward(self, x: Tensor, neighbours: Tensor) -> Tensor:
        if not self.training:
            return self.linear(_gather(x, neighbours))  # (N, 27 C) -> (N, out)
        exact = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        return _Convolve.apply(x.to(exact), self.linear.weight.to(exact), self.linear.bias.to(exact), neighbours)


class SparseBlock(nn.Module):
    """x + conv(silu(norm(x))), then x + mlp(norm(x))."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.conv = nn.LayerNorm(channels), SparseConv(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.SiLU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor, neighbours: Tensor) -> Tensor:
        x = x + self.conv(F.silu(self.norm1(x)), neighbours)
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """What a mesh's surfels say about each voxel -> its latent. voxels: (N, CHILDREN * CHILD), octants -> (N, LATENT).

    The latent's first five channels are the voxel's mean base colour, roughness and metallic as -1..1: what a photo
    shows most directly, and what material tweaks change. The others are learned.
    """

    def __init__(self, width: int = 64, depth: int = 2):
        super().__init__()
        self.enter = nn.Linear(CHILDREN * CHILD, width)
        self.blocks = nn.ModuleList(SparseBlock(width) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, LATENT - MATERIAL))

    def forward(self, voxels: Tensor, neighbours: Tensor) -> Tensor:
        x = self.enter(voxels)
        for block in self.blocks:
            x = block(x, neighbours)
        octants = voxels.unflatten(1, (CHILDREN, CHILD))
        full = octants[..., Octant.OCCUPIED, None]
        mean = (octants[..., Octant.MATERIAL] * full).sum(1) / full.sum(1).clamp(min=1)
        return torch.cat([(2 * mean - 1).to(x.dtype), self.leave(x)], -1)


class IntrinsicDecoder(nn.Module):
    """Latent -> h and the octants' surface and material; independent of view and light.

    slat: (N, LATENT). Returns h (N, HIDDEN), occupied logits (N, CHILDREN), children (N, CHILDREN, CHILD - 1), as
    DecodedOctant.
    """

    def __init__(self, width: int = 64, depth: int = 3):
        super().__init__()
        self.enter = nn.Linear(LATENT, width)
        self.blocks = nn.ModuleList(SparseBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.h = nn.Linear(width, HIDDEN)
        self.octants = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, CHILDREN * CHILD))

    def forward(self, slat: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.enter(slat)
        for block in self.blocks:
            x = block(x, neighbours)
        x = self.norm(x)
        raw = self.octants(x).unflatten(1, (CHILDREN, CHILD))  # (N, 8, 13)
        around = torch.logit(((slat[:, Latent.MATERIAL] + 1) / 2).clamp(0.01, 0.99))  # octants vary around it
        normal = F.normalize(raw[..., Octant.NORMAL], dim=-1, eps=1e-6)
        material = torch.sigmoid(raw[..., Octant.MATERIAL] + around[:, None])
        children = torch.cat([0.5 * torch.tanh(raw[..., Octant.OFFSET]), normal, material,
                              raw[..., Octant.TWO_SIDED, None]], -1)
        return self.h(x), raw[..., Octant.OCCUPIED], children


class LightTokenizer(nn.Module):
    """Directions with the radiance around them, at three widths -> light tokens.

    radiance: (T, RADIANCE) linear, around T directions of the map's frame, over the map's mean luminance.
    Returns (T, TOKEN); a token is tied to its direction, so turning the World turns directions only.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * RADIANCE, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                 nn.Linear(width, TOKEN))

    def forward(self, radiance: Tensor) -> Tensor:
        log = torch.log1p(radiance)
        return self.mlp(torch.cat([log, log - log.mean(0, keepdim=True)], -1))


class LightingDecoder(nn.Module):
    """What the transport leaves over: gains on its terms, within e^-REACH and e^REACH, per surfel, view and light.

    surfel: (K, SURFEL). terms: (K, TERMS, 3) over the map's mean luminance.
    h: (K, HIDDEN) of the surfel's voxel. view: (K, 3) unit, asset frame. reflected, normal: (K, 3) unit, map frame.
    tokens: (T, TOKEN), directions: (T, 3) of the map's frame.
    Returns radiance (K, 3), same unit.
    """

    def __init__(self, width: int = 96, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(SURFEL + 6 + HIDDEN, 2 * heads)  # how sharply a head looks around normal and reflection
        self.value = nn.Linear(TOKEN, heads * 8)
        inside = SURFEL + 3 * TERMS + HIDDEN + 3 + heads * 8
        self.enter = nn.Linear(inside, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.features = nn.Linear(width, 16)
        # the neural basis: features and the encoded normal to gains of three terms and a residual
        self.basis = nn.Sequential(nn.Linear(16 + 15, 32), nn.SiLU(), nn.Linear(32, 3 + 3))
        for parameter in self.basis[-1].parameters():
            nn.init.zeros_(parameter)  # training starts from the transport itself

    def attend(self, query: Tensor, axis: Tensor, tokens: Tensor, directions: Tensor) -> Tensor:
        """Each head looks around an axis with a width of its own: softmax of sharpness * cosine. (K, H * 8)."""
        cosine = axis @ directions.T  # (K, T)
        weight = torch.softmax(F.softplus(query)[..., None] * 4 * cosine[:, None], -1)  # (K, H', T)
        value = self.value(tokens).unflatten(1, (self.heads, 8))  # (T, H, 8)
        return torch.einsum("kht,thc->khc", weight, value[:, :query.shape[1]])

    def forward(self, surfel: Tensor, terms: Tensor, h: Tensor, view: Tensor, reflected: Tensor, normal: Tensor,
                tokens: Tensor, directions: Tensor) -> Tensor:
        log = torch.log1p(8 * terms.clamp(min=0)).flatten(1)  # (K, 15)
        query = self.query(torch.cat([surfel, normal, reflected, h], -1))  # (K, 2 H)
        half = self.heads // 2
        looked = torch.cat([self.attend(query[:, :half], normal, tokens, directions),
                            self.attend(query[:, half:self.heads], reflected, tokens, directions)], 1).flatten(1)
        x = F.silu(self.enter(torch.cat([surfel, log, h, view, looked], -1)))
        for layer in self.hidden:
            x = x + F.silu(layer(x))
        basis = self.basis(torch.cat([self.features(x), encode_normal(normal)], -1))  # (K, 6)
        change = REACH * torch.tanh(basis / REACH)  # so that what was learned from some objects cannot spoil others
        sent = (terms[:, Term.SENT] * torch.exp(change[:, :3])[..., None]).sum(1)
        # and by at most a twenty-fifth of the base colour beside them
        return (sent + 0.1 * change[:, 3:] * surfel[:, SurfelColumn.BASE_COLOR].clamp(min=0.02)).clamp(min=0)


def encode_normal(normal: Tensor) -> Tensor:
    """(K, 3) -> (K, 15): itself and two octaves of sines and cosines."""
    return torch.cat([normal] + [f(normal * s) for s in (torch.pi, 2 * torch.pi) for f in (torch.sin, torch.cos)], -1)

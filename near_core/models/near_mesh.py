"""TRELLIS's mesh decoder and dual marching cubes, only to prove equality with the reference: the product needs no mesh of a
latent."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import blocks, sparse
from .near_vae import SparseTransformer


class Subdivision(nn.Module):
    """Every voxel into eight, with two convolutions at the finer level."""

    def __init__(self, channels, out_channels):
        super().__init__()
        self.act_layers = nn.ModuleList([sparse.GroupNorm(32, channels)])
        self.out_layers = nn.ModuleDict({
            "0": sparse.Convolution(channels, out_channels), "1": sparse.GroupNorm(32, out_channels),
            "3": sparse.Convolution(out_channels, out_channels)})
        self.skip_connection = (nn.Identity() if channels == out_channels
                                else sparse.Convolution(channels, out_channels, 1))

    def forward(self, coords, x):
        h = F.silu(self.act_layers[0](x, sparse.lengths(coords)))
        fine, h = sparse.subdivide(coords, h)
        x = sparse.subdivide(coords, x)[1]
        pairs, rows = sparse.neighbours(fine, 3), sparse.lengths(fine)
        h = F.silu(self.out_layers["1"](self.out_layers["0"](h, fine, pairs), rows))
        if not isinstance(self.skip_connection, nn.Identity):
            x = self.skip_connection(x, fine)
        return fine, self.out_layers["3"](h, fine, pairs).float() + x


class SLatMeshDecoder(SparseTransformer):
    """Latent to the signed distances, deformations, weights and colours of cubes four times finer."""

    def __init__(self, resolution, model_channels, latent_channels, num_blocks, representation_config, **options):
        super().__init__(latent_channels, model_channels, num_blocks, **options)
        outputs = 101 if representation_config.get("use_color", False) else 53
        self.upsample = nn.ModuleList([Subdivision(model_channels, model_channels // 4),
                                       Subdivision(model_channels // 4, model_channels // 8)])
        self.out_layer = blocks.Linear(model_channels // 8, outputs)

    def forward(self, coords, feats):
        """Returns coords (64 N, 4) and features (64 N, 53 or 101)."""
        x = self.features(coords, feats)
        for stage in self.upsample:
            coords, x = stage(coords, x)
        return coords, self.out_layer(x)

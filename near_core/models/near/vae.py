"""The TRELLIS transformer over sparse voxels and the encoder and decoder built on it directly (the published NeAR
decoders in iad.py and lad.py extend this design). Used to prove equality with the reference."""
import torch.nn as nn

from ...errors import NearError
from . import blocks, sparse
from .gaussians import DecodedGaussians, Representation


def head_count(channels, heads, channels_per_head):
    """Attention heads, given directly or by their width. Raises ValueError where they do not divide the channels."""
    heads = heads or channels // channels_per_head
    if channels % heads:
        raise ValueError(f"{heads} heads do not divide {channels} channels")
    return heads


def attention_sets(coords, attn_mode, window_size, count):
    """The partition that each of `count` blocks attends within; the windows shift by half in every second block."""
    if attn_mode == "full":
        return [sparse.items(coords)] * count
    if attn_mode != "swin":
        raise NearError('The network asks for the attention mode "{mode}".',
                        'Use a checkpoint whose attn_mode is "swin" or "full".', mode=attn_mode)
    shifts = [sparse.windows(coords, window_size, shift) for shift in (0, window_size // 2)]
    return [shifts[index % 2] for index in range(count)]


def positions(coords, channels, pe_mode):
    """What is added to the features of the voxels so that they know their place."""
    if pe_mode not in ("ape", "null"):
        raise NearError('The network asks for the position embedding "{mode}".',
                        'Use a checkpoint whose pe_mode is "ape" or "null".', mode=pe_mode)
    return blocks.position_embedding(coords[:, 1:], channels) if pe_mode == "ape" else 0


class TransformerBlock(nn.Module):
    """Self attention and MLP, both on normalized features and added to the residual stream."""

    def __init__(self, channels, heads, mlp_ratio, qk_rms_norm):
        super().__init__()
        self.attn = blocks.SelfAttention(channels, heads, qk_rms_norm)
        self.mlp = blocks.MLP(channels, mlp_ratio)

    def forward(self, x, sets):
        x = x + self.attn(blocks.normalize(x), sets)
        return x + self.mlp(blocks.normalize(x))


class SparseTransformer(nn.Module):
    """Linear layer, position embedding and a stack of blocks."""

    def __init__(self, in_channels, model_channels, num_blocks, num_heads=None, num_head_channels=64, mlp_ratio=4,
                 attn_mode="swin", window_size=8, pe_mode="ape", qk_rms_norm=False):
        super().__init__()
        self.attn_mode, self.window_size, self.pe_mode = attn_mode, window_size, pe_mode
        heads = head_count(model_channels, num_heads, num_head_channels)
        self.input_layer = blocks.Linear(in_channels, model_channels)
        self.blocks = nn.ModuleList(
            TransformerBlock(model_channels, heads, mlp_ratio, qk_rms_norm) for _ in range(num_blocks))

    def features(self, coords, feats):
        """coords: (N, 4), feats: (N, in_channels). Returns (N, model_channels)."""
        x = self.input_layer(feats).float()
        x = x + positions(coords, x.shape[1], self.pe_mode)
        for block, sets in zip(self.blocks, attention_sets(coords, self.attn_mode, self.window_size, len(self.blocks))):
            x = block(x, sets)
        return x


class SLatEncoder(SparseTransformer):
    """Image features per voxel to the mean and log variance of the latent."""

    def __init__(self, resolution, in_channels, model_channels, latent_channels, num_blocks, **options):
        super().__init__(in_channels, model_channels, num_blocks, **options)
        self.out_layer = blocks.Linear(model_channels, 2 * latent_channels)

    def forward(self, coords, feats):
        """Returns mean and log variance, (N, latent_channels) each."""
        return self.out_layer(blocks.normalize(self.features(coords, feats), 1e-5)).chunk(2, 1)


class SLatGaussianDecoderOri(SparseTransformer):
    """TRELLIS's own decoder: latent to Gaussians with a colour each."""

    LAYOUT = (("_xyz", (3,)), ("_features_dc", (1, 3)), ("_scaling", (3,)), ("_rotation", (4,)), ("_opacity", (1,)))

    def __init__(self, resolution, model_channels, latent_channels, num_blocks, representation_config, **options):
        super().__init__(latent_channels, model_channels, num_blocks, **options)
        self.resolution = resolution
        self.representation = Representation.from_config(representation_config)
        self.register_buffer("offset_perturbation", self.representation.perturbation())
        self.out_layer = blocks.Linear(model_channels, 14 * self.representation.num_gaussians)

    def forward(self, coords, feats):
        """Returns one `DecodedGaussians` per batch item."""
        out = self.out_layer(blocks.normalize(self.features(coords, feats), 1e-5)).float()
        raw = self.representation.split(out, self.LAYOUT)
        raw["_xyz"] = self.representation.place(raw["_xyz"], coords, self.resolution, self.offset_perturbation)
        return [DecodedGaussians(item, self.representation) for item in self.representation.per_item(raw, coords)]

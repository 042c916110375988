"""DINOv2 with register tokens (Oquab et al. 2023, Darcet et al. 2024): the image features the flow models attend to."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from ...errors import NearError
from . import blocks

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pictures it was trained on
HEAD_CHANNELS = 64  # of every published size

# names in the weights that the hub hands out (facebook/dinov2-with-registers-*), and those of the original file
HUB_NAMES = (("embeddings.position_embeddings", "pos_embed"),
             ("embeddings.patch_embeddings.projection", "patch_embed.proj"), ("embeddings.", ""),
             ("encoder.layer.", "blocks."), ("attention.output.dense", "attn.proj"),
             ("layer_scale1.lambda1", "ls1.gamma"), ("layer_scale2.lambda1", "ls2.gamma"), ("layernorm.", "norm."))
HUB_PARTS = ("query", "key", "value")  # of what the original file keeps as one matrix


def restore_names(shapes, get):
    """Weights of the hub's file as the original file names them. shapes: key -> shape; get(key) reads one. Returns both
    for the original names; other files come back as they are."""
    if "embeddings.cls_token" not in shapes:
        return shapes, get
    sources = {}  # original name -> the hub's, three where they are to be joined
    for key in shapes:
        name = key
        for old, new in HUB_NAMES:
            name = name.replace(old, new)
        joined = name.replace("attention.attention.query", "attn.qkv")
        if joined != name:
            sources[joined] = [key.replace("query", part) for part in HUB_PARTS]
        elif "attention.attention." not in name:
            sources[name] = [key]
    found = {name: (sum(shapes.get(key, (0,))[0] for key in keys), *shapes[keys[0]][1:])
             for name, keys in sources.items()}
    return found, lambda name: torch.cat([get(key) for key in sources[name]])


def infer_settings(shapes):
    """Settings that the weights, by their original names, tell: key -> shape. Returns keywords of
    DinoVisionTransformer."""
    try:
        width, patch = shapes["cls_token"][2], shapes["patch_embed.proj.weight"][2]
        return {"embed_dim": width, "patch_size": patch, "img_size": math.isqrt(shapes["pos_embed"][1] - 1) * patch,
                "num_heads": width // HEAD_CHANNELS, "num_register_tokens": shapes.get("register_tokens", (0, 0))[1],
                "depth": len([key for key in shapes if key.endswith(".norm1.weight")])}
    except (KeyError, IndexError):
        return {}  # the comparison of keys says what is missing


class DinoAttention(nn.Module):
    """Attention among all tokens of a picture. (B, T, C) to (B, T, C)."""

    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.qkv = blocks.Linear(channels, 3 * channels)
        self.proj = blocks.Linear(channels, channels)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, T, D) each
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class DinoMLP(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.fc1 = blocks.Linear(channels, hidden)
        self.fc2 = blocks.Linear(hidden, channels)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        return x * self.gamma


class DinoBlock(nn.Module):
    """Attention and MLP, both behind a norm, scaled and added to the residual stream. (B, T, C) to (B, T, C)."""

    def __init__(self, channels, heads, mlp_ratio, layer_scale):
        super().__init__()
        self.norm1, self.norm2 = blocks.LayerNorm(channels), blocks.LayerNorm(channels)
        self.attn = DinoAttention(channels, heads)
        self.mlp = DinoMLP(channels, int(channels * mlp_ratio))
        if layer_scale:
            self.ls1, self.ls2 = LayerScale(channels), LayerScale(channels)
        else:
            self.ls1, self.ls2 = nn.Identity(), nn.Identity()

    def forward(self, x):
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class DinoVisionTransformer(nn.Module):
    """The defaults are ViT-L/14 with 4 registers, at 518 pixels."""

    def __init__(self, img_size=518, patch_size=14, embed_dim=1024, depth=24, num_heads=16, mlp_ratio=4,
                 num_register_tokens=4, init_values=1.0, ffn_layer="mlp", block_chunks=0, interpolate_antialias=True,
                 interpolate_offset=0.0):
        super().__init__()
        if ffn_layer != "mlp" or block_chunks:
            raise NearError("The image encoder is a DINOv2 of another kind.",
                            "Use one with ffn_layer mlp and block_chunks 0, such as ViT-L/14 with registers.")
        self.antialias, self.offset = interpolate_antialias, interpolate_offset
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (img_size // patch_size) ** 2, embed_dim))
        if num_register_tokens:
            self.register_tokens = nn.Parameter(torch.zeros(1, num_register_tokens, embed_dim))
        self.mask_token = nn.Parameter(torch.zeros(1, embed_dim))  # of its training; kept because checkpoints hold it
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)
        self.blocks = nn.ModuleList(
            DinoBlock(embed_dim, num_heads, mlp_ratio, init_values) for _ in range(depth))
        self.norm = blocks.LayerNorm(embed_dim)

    def positions(self, height, width):
        """Position embeddings (1, 1 + height width, C) for another number of patches than it was trained with."""
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        if (height, width) == (side, side):
            return self.pos_embed.float()
        first, grid = self.pos_embed.float().split([1, side * side], 1)
        grid = grid.view(1, side, side, -1).permute(0, 3, 1, 2)
        scale = ({"scale_factor": ((height + self.offset) / side, (width + self.offset) / side)} if self.offset
                 else {"size": (height, width)})
        grid = F.interpolate(grid, mode="bicubic", antialias=self.antialias, **scale)
        return torch.cat([first, grid.flatten(2).transpose(1, 2)], 1)

    def forward(self, image):
        """image: (B, 3, H, W), normalized by MEAN and STD, sides multiples of the patch size. Returns the tokens
        (B, 1 + registers + patches, C) before the final norm: class, registers, patches."""
        patches = self.patch_embed.proj(image.to(self.patch_embed.proj.weight.dtype)).float()  # (B, C, h, w)
        height, width = patches.shape[-2:]
        x = torch.cat([self.cls_token.float().expand(len(image), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        x = x + self.positions(height, width)
        if hasattr(self, "register_tokens"):
            x = torch.cat([x[:, :1], self.register_tokens.float().expand(len(image), -1, -1), x[:, 1:]], 1)
        for block in self.blocks:
            x = block(x)
        return x

    def condition(self, image):
        """What the flow models attend to: all tokens, normalized without scale and shift."""
        return blocks.normalize(self(image), 1e-5)

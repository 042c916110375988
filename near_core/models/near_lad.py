"""The published Lighting-Aware renderer (SLatGaussianRenderer): features of the voxels, light tokens and a camera to
Gaussians. Voxels do not see each other here, so any subset of them can be lit alone."""
import torch
import torch.nn as nn

from . import blocks, sparse
from .near_gaussians import Gaussians, Representation
from .near_vae import head_count, positions

ROWS_AT_ONCE = 4096  # voxels per pass through the blocks; bounds memory
GEOMETRY = (("_xyz", (3,)), ("_base_color", (1, 3)), ("_scaling", (3,)), ("_rotation", (4,)), ("_opacity", (1,)))
MATERIAL = (("_roughness", (1,)), ("_metallic", (1,)), ("_pbr1", (1,)))
SCALE = (("_scaling_view", (3,)),)
LIGHT = (("_rgb", (32,)), ("_shadow", (1,)), ("_hdri1", (1,)), ("_hdri2", (1,)))


class Block(nn.Module):
    """Attention to the register tokens, attention to the light tokens, MLP; norms have no parameters."""

    def __init__(self, channels, context_channels, heads, mlp_ratio):
        super().__init__()
        self.register_attn = blocks.CrossAttention(channels, context_channels, heads)
        self.cross_attn = blocks.CrossAttention(channels, context_channels, heads)
        self.mlp = blocks.MLP(channels, mlp_ratio)

    def forward(self, x, memory, lengths):
        registers, light = memory
        x = x + self.register_attn(blocks.normalize(x), registers, lengths)
        x = x + self.cross_attn(blocks.normalize(x), light, lengths)
        return x + self.mlp(blocks.normalize(x))


def _head(channels, hidden, out_channels):
    return nn.Sequential(blocks.Linear(channels, hidden), nn.GELU(), blocks.Linear(hidden, out_channels))


class SLatGaussianRenderer(nn.Module):
    def __init__(self, resolution, model_channels, latent_channels, cond_channels, num_blocks, representation_config,
                 num_register_tokens=16, num_heads=None, num_head_channels=64, mlp_ratio=4, attn_mode="swin",
                 window_size=8, pe_mode="null", qk_rms_norm=False):
        super().__init__()
        self.resolution, self.pe_mode = resolution, pe_mode
        self.representation = Representation.from_config(representation_config)
        heads, count = head_count(model_channels, num_heads, num_head_channels), self.representation.num_gaussians
        self.register_buffer("offset_perturbation", self.representation.perturbation())
        self.input_layer = blocks.Linear(latent_channels, model_channels)
        self.blocks = nn.ModuleList(
            Block(model_channels, cond_channels, heads, mlp_ratio) for _ in range(num_blocks))
        eps = torch.finfo(torch.float32).eps
        self.ob_views_encoder = blocks.Linear(75, model_channels)
        self.ob_views_norm = blocks.RMSNorm(model_channels, eps)
        self.ob_dists_encoder = blocks.Linear(25, model_channels)
        self.ob_dists_norm = blocks.RMSNorm(model_channels, eps)
        self.gs_out_layer = _head(model_channels, model_channels, 14 * count)
        self.pbr_out_layer = _head(model_channels, model_channels, 3 * count)
        self.scale_out_layer = blocks.Linear(model_channels, 3 * count)
        self.rgb_out_layer = blocks.Linear(model_channels, 35 * count)

    def memorize(self, registers, light):
        """Keys and values of the tokens, for every block: registers (B, R, C), light (B, T, C). They hold as long as
        asset and light stay, whatever the camera does."""
        return [(block.register_attn.memorize(registers), block.cross_attn.memorize(light)) for block in self.blocks]

    def observe(self, coords, cameras):
        """How each voxel is seen. coords: (N, 4); cameras: (B, 3), world. Returns (N, C) float32.
        Camera and voxel centre come from frames that lie half a cube apart; the network was trained so."""
        views, distances = view_vectors(coords, cameras, self.resolution)
        views = self.ob_views_norm(self.ob_views_encoder(blocks.frequency_encoding(views, 12)))
        return views + self.ob_dists_norm(self.ob_dists_encoder(blocks.frequency_encoding(distances, 12)))

    def geometry(self, h, observed, coords):
        """What pass and light do not change. h, observed: (N, C). Returns raw attributes (N, G, ...)."""
        out = torch.cat([self.gs_out_layer(blocks.normalize(rows, 1e-5) + seen).float()
                         for rows, seen in zip(h.split(ROWS_AT_ONCE), observed.split(ROWS_AT_ONCE))])
        raw = self.representation.split(out, GEOMETRY)
        raw["_xyz"] = self.representation.place(raw["_xyz"], coords, self.resolution, self.offset_perturbation)
        return raw

    def material(self, h, observed):
        """Roughness, metallic and the unnamed third. h, observed: (N, C). Returns raw attributes (N, G, 1)."""
        return self.representation.split(self.pbr_out_layer(blocks.normalize(h, 1e-5) + observed).float(), MATERIAL)

    def light(self, h, observed, coords, memory):
        """The blocks and the heads that read them. memory: from `memorize`. Returns raw attributes (N, G, ...)."""
        x = self.input_layer(h).float() + observed + positions(coords, observed.shape[1], self.pe_mode)
        out, first = [], 0
        for item, count in enumerate(sparse.lengths(coords)):
            own = [tuple(tuple(each[item:item + 1] for each in pair) for pair in pairs) for pairs in memory]
            for rows in x[first:first + count].split(ROWS_AT_ONCE):
                for block, tokens in zip(self.blocks, own):
                    rows = block(rows, tokens, [len(rows)])
                rows = blocks.normalize(rows, 1e-5)
                out.append((self.scale_out_layer(rows).float(), self.rgb_out_layer(rows).float()))
            first += count
        scale, colour = (torch.cat(parts) for parts in zip(*out))
        return self.representation.split(scale, SCALE) | self.representation.split(colour, LIGHT)

    def forward(self, coords, h, registers, light, extrinsics):
        """h, registers: from the decoder; light: (B, T, C) tokens; extrinsics: (B, 4, 4) world to camera.
        Returns one `Gaussians` per batch item."""
        cameras = torch.inverse(extrinsics)[:, :3, 3]
        observed = self.observe(coords, cameras)
        raw = (self.geometry(h, observed, coords) | self.material(h, observed)
               | self.light(h, observed, coords, self.memorize(registers, light)))
        return [Gaussians(item, self.representation, camera)
                for item, camera in zip(self.representation.per_item(raw, coords), cameras)]


def view_vectors(coords, cameras, resolution):
    """Unit vectors (N, 3) from the cameras (B, 3) to the voxel centres, and the distances (N, 1)."""
    vector = (coords[:, 1:].float() + 0.5) / resolution - cameras[coords[:, 0].long()]
    distance = torch.linalg.norm(vector, dim=1, keepdim=True)
    return vector / distance, distance

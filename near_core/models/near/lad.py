"""The published Lighting-Aware renderer (SLatGaussianRenderer): features of the voxels, light tokens and a camera to
Gaussians. Voxels do not see each other here, so any subset of them can be lit alone."""
import torch
import torch.nn as nn

from . import blocks, sparse
from .gaussians import DecodedGaussians, Representation
from .layout import FREQUENCIES, GEOMETRY, LIGHT, MATERIAL, SCALE, count_columns, encoding_columns
from .vae import head_count, positions

ROWS_AT_ONCE = 2048  # voxels per pass through the blocks; bounds memory


class LightingBlock(nn.Module):
    """Attention to the register tokens, attention to the light tokens, MLP; norms have no parameters."""

    def __init__(self, channels, context_channels, heads, mlp_ratio):
        super().__init__()
        self.register_attn = blocks.RegisterAttention(channels, context_channels, heads)
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
    """The lighting network; `cond_channels` is the width of its tokens."""

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
            LightingBlock(model_channels, cond_channels, heads, mlp_ratio) for _ in range(num_blocks))
        eps = torch.finfo(torch.float32).eps
        self.ob_views_encoder = blocks.Linear(encoding_columns(3), model_channels)
        self.ob_views_norm = blocks.RMSNorm(model_channels, eps)
        self.ob_dists_encoder = blocks.Linear(encoding_columns(1), model_channels)
        self.ob_dists_norm = blocks.RMSNorm(model_channels, eps)
        self.gs_out_layer = _head(model_channels, model_channels, count_columns(GEOMETRY) * count)
        self.pbr_out_layer = _head(model_channels, model_channels, count_columns(MATERIAL) * count)
        self.scale_out_layer = blocks.Linear(model_channels, count_columns(SCALE) * count)
        self.rgb_out_layer = blocks.Linear(model_channels, count_columns(LIGHT) * count)

    def memorize(self, registers, light):
        """Keys and values of the tokens, for every block: registers (B, R, C), light (B, T, C). They hold as long as
        asset and light stay, whatever the camera does."""
        return [(block.register_attn.memorize(registers), block.cross_attn.memorize(light)) for block in self.blocks]

    def observe(self, coords, cameras):
        """How each voxel is seen. coords: (N, 4); cameras: (B, 3), world. Returns (N, C) float32.
        Camera and voxel centre come from frames that lie half a cube apart; the network was trained so."""
        return torch.cat([self._observe_rows(rows, cameras) for rows in coords.split(ROWS_AT_ONCE)])

    def _observe_rows(self, coords, cameras):
        views, distances = view_vectors(coords, cameras, self.resolution)
        views = self.ob_views_norm(self.ob_views_encoder(blocks.frequency_encoding(views, FREQUENCIES)))
        return views + self.ob_dists_norm(self.ob_dists_encoder(blocks.frequency_encoding(distances, FREQUENCIES)))

    def geometry(self, h, observed):
        """What the light does not change. h, observed: (N, C). Returns the output of its head (N, 14 G) float32."""
        return torch.cat([self.gs_out_layer(blocks.normalize(rows, 1e-5) + seen).float()
                          for rows, seen in zip(h.split(ROWS_AT_ONCE), observed.split(ROWS_AT_ONCE))])

    def place(self, geometry, coords):
        """geometry: (N, 14 G). Returns the raw attributes (N, G, ...) that follow from it alone: all but the light."""
        raw = {}
        for layout in (GEOMETRY, MATERIAL, SCALE):
            raw |= self.representation.split(geometry, layout)
        raw["_xyz"] = self.representation.place(raw["_xyz"], coords, self.resolution, self.offset_perturbation)
        return raw

    def light(self, geometry, h, observed, coords, memory):
        """The blocks and what they decide. memory: from `memorize`. Returns raw attributes (N, G, ...)."""
        out, first = [], 0
        for item, count in enumerate(sparse.lengths(coords)):
            tokens = [tuple(tuple(each[item:item + 1] for each in pair) for pair in pairs) for pairs in memory]
            for start in range(first, first + count, ROWS_AT_ONCE):
                rows = slice(start, min(start + ROWS_AT_ONCE, first + count))
                out.append(self._light_rows(h[rows], observed[rows], geometry[rows], coords[rows], tokens))
            first += count
        return self.representation.split(torch.cat(out), LIGHT)

    def _light_rows(self, h, observed, geometry, coords, memory):
        x = self.input_layer(h).float() + observed + positions(coords, observed.shape[1], self.pe_mode)
        for block, tokens in zip(self.blocks, memory):
            x = block(x, tokens, [len(x)])
        x = blocks.normalize(x, 1e-5)
        material = self.pbr_out_layer(blocks.normalize(h, 1e-5) + observed)
        out = torch.cat([geometry, material.float(), self.scale_out_layer(x).float(), self.rgb_out_layer(x).float()], 1)
        return out[:, :count_columns(LIGHT) * self.representation.num_gaussians]

    def forward(self, coords, h, registers, light, extrinsics):
        """h, registers: from the decoder; light: (B, T, C) tokens; extrinsics: (B, 4, 4) world to camera.
        Returns one `DecodedGaussians` per batch item."""
        cameras = torch.inverse(extrinsics)[:, :3, 3]
        observed = self.observe(coords, cameras)
        geometry = self.geometry(h, observed)
        raw = (self.place(geometry, coords)
               | self.light(geometry, h, observed, coords, self.memorize(registers, light)))
        return [DecodedGaussians(item, self.representation, camera)
                for item, camera in zip(self.representation.per_item(raw, coords), cameras)]


def view_vectors(coords, cameras, resolution):
    """Unit vectors (N, 3) from the cameras (B, 3) to the voxel centres, and the distances (N, 1)."""
    vector = (coords[:, 1:].float() + 0.5) / resolution - cameras[coords[:, 0].long()]
    distance = torch.linalg.norm(vector, dim=1, keepdim=True)
    return vector / distance, distance

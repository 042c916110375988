"""Packed objects as they are photographed: bent or as they are, given materials, lit.

Where the light comes from is decided by shadow maps of a few directions that are drawn by a map's brightness, how
bright it is by the map's own irradiance, mirror images by its prefiltered levels. That is less than Cycles knows:
nothing mirrors the object itself.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....asset import CELL
from ....asset.surfels import SURFEL_RESOLUTION
from ....create.view import compute_cell_centres
from ....models.mini.layout import SIZE, MaterialColumn
from .bending import Bending
from .color import srgb_decode
from .groups import extent, rotate, rows_of
from .raster import RASTER
from .relight import ROUGHNESS, reflectances
from .shadows import shadow_surfels
from .stock import Stock

WIDE = 0.62  # of a cell: how far a surfel's disc reaches from its middle
SUNS, SKIES = 20, 12  # directions of shadow maps: by a map's brightness, and even over the sphere
BOUNCE = 0.5  # of what the surroundings reflect into a corner
PAIRED = 0.2  # of the bent objects are two, put together


class Scene:
    """G objects as they are photographed: the first `known` as they are, the others bent, some of them two in one.

    M surfels in all: entry (M,) whose they are, position (M, 3) world, tangents, two (M, 3), half a disc long, normal
    (M, 3) unit, color (M, 3) display, roughness and metallic (M,), lit (2, M, 3) and sky (2, M) as shadow_surfels.
    Of each object: radius (G,), solid (G, 64, 64, 64) 0..1, finished (G,) bool, map (G,) which lights it, turn
    (G, 3, 3) world to map. P parts: source (P,) in the stock, part_entry (P,), and scale (P,) and offset (P, 3) from
    their bent frames to the world.
    """

    def __init__(self, stock: Stock, chosen: np.ndarray, known: int) -> None:
        """chosen: (G,) numbers of objects in the stock."""
        self.stock, self.chosen, self.known = stock, chosen, known
        second = self._choose_parts()
        still = self.part_entry < known
        self.bending = Bending(still, stock.chance.generator)
        rows, of = rows_of(stock.start[self.source], stock.count[self.source])
        self.entry = self.part_entry[of]
        bent, along = self._bend(stock.position[rows], stock.normal[rows], of)
        self._place_parts(bent, of, still, second)
        self.position = bent * self.scale[of, None] + self.offset[of]
        self.tangents = [t * self.scale[of, None] for t in along]
        self.normal = F.normalize(torch.linalg.cross(*self.tangents), dim=1, eps=1e-12)
        self.radius = extent(self.position.norm(dim=1, keepdim=True), self.entry, len(chosen))[1][:, 0]
        self.solid = self._solid()
        self._choose_materials(rows)
        self._light()

    def _choose_parts(self) -> Tensor:
        """The objects that every entry is made of; says which parts are the second of their entry, (P,) bool."""
        chance, count = self.stock.chance, len(self.chosen)
        pair = [g for g in range(self.known, count) if chance.rng.random() < PAIRED]
        others = chance.rng.choice(len(self.stock), len(pair), p=self.stock.weight)
        source = np.concatenate([self.chosen, others]).astype(np.int64)
        entry = np.concatenate([np.arange(count), np.array(pair, np.int64)]).astype(np.int64)
        order = np.argsort(entry, kind="stable")
        second, self.source, self.part_entry = (
            torch.from_numpy(each[order]).to(chance.device) for each in (np.arange(len(entry)) >= count, source, entry))
        return second

    def _bend(self, position: Tensor, normal: Tensor, of: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Surfels (M, 3) of parts (M,), bent, and two tangents (M, 3) that are carried along with the surface."""
        helper = torch.where(normal[:, 2:].abs() < 0.7, normal.new_tensor([0, 0, 1.0]), normal.new_tensor([1.0, 0, 0]))
        first = F.normalize(torch.linalg.cross(helper, normal), dim=1)
        step = WIDE * CELL
        bent = self.bending.bend(position, of)
        return bent, [self.bending.bend(position + t * step, of) - bent
                      for t in (first, torch.linalg.cross(normal, first))]

    def _place_parts(self, bent: Tensor, of: Tensor, still: Tensor, second: Tensor) -> None:
        """Scale and offset of every part: the second stands on, beside or in front of the first, and what is new of
        them is centred, its longest side 1."""
        count = len(self.chosen)
        low, high = extent(bent, of, len(self.source))
        size, middle = high - low, (low + high) / 2
        scale, offset = torch.ones_like(size[:, 0]), -middle * (~still)[:, None]
        if second.any():
            after = torch.where(second)[0]
            scale[after], shift = self._attach(size[after - 1], size[after])
            offset[after] = shift - middle[after] * scale[after, None]
        low, high = extent(bent * scale[of, None] + offset[of], self.entry, count)
        made = torch.arange(count, device=low.device) >= self.known
        whole = torch.where(made, 1 / (high - low).amax(1), torch.ones_like(high[:, 0]))
        shift = -(low + high) / 2 * made[:, None]
        self.scale = scale * whole[self.part_entry]
        self.offset = (offset + shift[self.part_entry]) * whole[self.part_entry, None]

    def _attach(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Scale (A,) and place (A, 3) of parts of sizes (A, 3), beside other ones that are centred."""
        chance, count = self.stock.chance, len(after)
        scale = (0.3 + 0.7 * chance.uniform(count)) * before.amax(1) / after.amax(1)
        axis = chance.integers(3, count)
        sign = torch.where(chance.uniform(count) < 0.5, -1.0, 1.0)
        sign = torch.where(axis == 2, torch.ones_like(sign), sign)
        shift = (chance.uniform(count, 3) - 0.5) * 0.6 * before
        shift[:, 0] *= chance.uniform(count) < 0.4
        gap = (before + scale[:, None] * after) / 2 * (0.7 + 0.3 * chance.uniform(count, 1))
        return scale, shift.scatter_(1, axis[:, None], (gap * sign[:, None]).gather(1, axis[:, None]))

    def place(self, points: Tensor, matrix: Tensor) -> Tensor:
        """points (M, 3) of the entries in their cameras' frames."""
        return rotate(matrix[self.entry, :3, :3], points) + matrix[self.entry, :3, 3]

    def _solid(self) -> Tensor:
        """(G, 64, 64, 64), how much of each voxel is inside: the bending undone on 32^3 and read off in between."""
        count, parts, device = len(self.chosen), len(self.source), self.position.device
        coarse = torch.from_numpy(compute_cell_centres(32)).to(device) * (1 + 1 / 31)  # corners of the cube among them
        place = (coarse[None] - self.offset[:, None]) / self.scale[:, None, None]
        of = torch.arange(parts, device=device).repeat_interleave(len(coarse))
        found = self.bending.unbend(place.reshape(-1, 3), of).reshape(parts, 32, 32, 32, 3).permute(0, 4, 1, 2, 3)
        solid = torch.zeros(count, 64, 64, 64, device=device)
        axis = ((torch.arange(SURFEL_RESOLUTION, device=device) + 0.5) / SURFEL_RESOLUTION - 0.5) * 2
        fine = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).flip(-1)[None]
        for part in range(parts):
            if self.part_entry[part] < self.known:
                dense = fine[0].flip(-1).permute(3, 0, 1, 2) / 2
            else:
                dense = F.grid_sample(found[part:part + 1], fine, mode="bilinear", align_corners=True)[0]
            within = self.stock.is_inside(self.source[part], dense)
            mean = F.avg_pool3d(within[None, None], 2)[0, 0]
            solid[self.part_entry[part]] = torch.maximum(solid[self.part_entry[part]], mean)
        return solid

    def _choose_materials(self, rows: Tensor) -> None:
        """Display colour, roughness and metallic: as packed, or drawn anew for each colour, or tinted."""
        stock, chance, count = self.stock, self.stock.chance, len(self.chosen)
        color, material = stock.color[rows].float() / 255, stock.material[rows]
        made = torch.arange(count, device=chance.device) >= self.known
        every = lambda flags: torch.ones(count, device=chance.device).scatter_reduce_(
            0, self.part_entry, flags[self.source].float(), "amin") > 0  # of an entry's parts
        known, plain = every(stock.finished), every(stock.plain)
        drawn = chance.uniform(count)
        redrawn = made & torch.where(known, drawn < 0.35, drawn < 0.9)
        self.finished = known | redrawn
        bins = (stock.color[rows] >> 6).long()
        cluster = (bins[:, 0] * 4 + bins[:, 1]) * 4 + bins[:, 2]
        cluster = cluster * plain[self.entry]  # what is textured keeps its colours, and has one material
        new = stock.materials[chance.integers(len(stock.materials), count, 64)][self.entry, cluster]
        recolored = redrawn & plain & (chance.uniform(count) < 0.6)
        shade = (color.mean(1, keepdim=True) / (((bins.float() + 0.5) / 4).mean(1, keepdim=True))).clamp(0.5, 1.5)
        tint = 1 + chance.normal(count, 3) * 0.12 * made[:, None]
        color = torch.where(recolored[self.entry, None], new[:, MaterialColumn.BASE_COLOR] * shade,
                            color * tint[self.entry])
        material = torch.where(redrawn[self.entry, None], new[:, MaterialColumn.ROUGHNESS_METALLIC], material)
        shine = chance.normal(count) * 0.12 * made
        self.color = color.clamp(0.02, 1)
        roughness, self.metallic = material.unbind(1)
        self.roughness = (roughness + shine[self.entry]).clamp(0.03, 1)

    def _light(self) -> None:
        """A map for each object, turned at random, and how much of its light reaches each surfel."""
        chance, count = self.stock.chance, len(self.chosen)
        directions, radiance = self.stock.suns
        self.map = chance.integers(len(directions), count)
        angle = chance.uniform(count) * 2 * math.pi
        c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        self.turn = torch.stack([torch.stack([c, -s, zero], 1), torch.stack([s, c, zero], 1),
                                 torch.stack([zero, zero, zero + 1], 1)], 1)
        pick = chance.integers(directions.shape[1], count, SUNS)
        suns = directions[self.map[:, None], pick] @ self.turn  # map -> world
        skies = F.normalize(chance.normal(count, SKIES, 3), dim=-1)
        self.lit, self.sky = shadow_surfels(self.position, self.normal, self.entry, self.radius * 2.05, suns,
                                            radiance[self.map[:, None], pick], skies)

    def shade(self, row: Tensor, matrix: Tensor, window: Tensor) -> Tensor:
        """(G, 4, R, R) linear premultiplied: the surfels `row` (G, R, R), -1 for none, as the cameras see them."""
        count, lights = len(row), self.stock.lights
        hit, row = row >= 0, row.clamp(min=0).flatten(1)
        steps = (torch.arange(RASTER, device=row.device) + 0.5) / RASTER - 0.5
        plane = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2)
        plane = plane * window[:, None, 2:] + window[:, None, :2]
        ray = torch.cat([plane, torch.ones_like(plane[..., :1])], -1)
        ray = F.normalize(torch.einsum("bji,bpj->bpi", matrix[:, :3, :3], ray), dim=-1)
        normal = self.normal[row]
        away = (normal * ray).sum(-1) > 0
        normal = torch.where(away[..., None], -normal, normal)
        side = away.long()
        cosine = -(normal * ray).sum(-1).clamp(max=-0.02)
        mirrored = F.normalize(ray + 2 * cosine[..., None] * normal, dim=-1)
        rough, metal, base = self.roughness[row].clamp(0.05, 1), self.metallic[row], srgb_decode(self.color[row])
        mirror = lights.look_up(self.map, self.turn @ mirrored.transpose(1, 2), lights.level(rough))
        diffuse = lights.look_up(self.map, self.turn @ normal.transpose(1, 2), torch.full_like(rough, len(ROUGHNESS)))
        lit, sky = self.lit[side, row].transpose(1, 2), self.sky[side, row]
        mean = diffuse.mean(2, keepdim=True)
        bounced = (1 - sky)[:, None] * mean * base.mean(1)[:, :, None] * BOUNCE
        matt, shiny = reflectances(base.transpose(1, 2), rough, metal, cosine)
        # a lobe sees the sky past an edge as far as it is narrow (Lagarde and de Rousiers 2014)
        open_ = ((cosine + sky) ** torch.exp2(-16 * rough - 1) - 1 + sky).clamp(0, 1)[:, None]
        share = torch.lerp(open_, open_ * lit.mean(1, keepdim=True).clamp(max=1), rough[:, None])
        color = matt * (diffuse * lit + bounced) + shiny * (mirror * share + bounced * (1 - share))
        alpha = hit.flatten(1)[:, None].float()
        return torch.cat([color * alpha, alpha], 1).reshape(count, 4, RASTER, RASTER)

    def layers(self, front: Tensor, back: Tensor, row: Tensor, matrix: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
        """The true layers (G, LAYERS, SIZE, SIZE) of what rasterize_surfels found, and where there are any, (G, SIZE,
        SIZE).

        matrix: (G, 4, 4) world to camera. reach: (G,) sides of the crops where the origin lies, asset units.
        """
        pick = ((torch.arange(SIZE, device=row.device) + 0.5) / SIZE * RASTER).long()
        few = lambda maps: maps[:, pick][:, :, pick]
        front, back, row = few(front), few(back), few(row)
        hit, row = row >= 0, row.clamp(min=0)
        normal = torch.einsum("bij,bhwj->bihw", matrix[:, :3, :3], self.normal[row])
        normal = torch.where(normal[:, 2:] > 0, -normal, normal)
        size = reach[:, None, None]
        depth = torch.stack([(front - matrix[:, 2, 3, None, None]) / size, (back - front).clamp(min=0) / size], 1)
        rest = torch.stack([self.roughness[row], self.metallic[row]], 1)
        found = torch.cat([depth, normal, self.color[row].permute(0, 3, 1, 2), rest], 1)
        return torch.where(hit[:, None], found, torch.zeros_like(found)), hit.float()

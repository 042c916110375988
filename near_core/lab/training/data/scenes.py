"""What a studio photographs: objects of a pool, bent or as they are, finished, lit, and splatted as discs.

Where the light comes from is decided by shadow maps of a few directions that are drawn by a map's brightness, how bright it
is by the map's own irradiance, mirror images by its prefiltered levels. That is less than Cycles knows: nothing mirrors the
object itself.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....asset import CELL
from ....asset.surfels import RESOLUTION
from ....create.view import cell_centres
from ....models.mini.layout import RESOLVED, SIZE
from .color import srgb_decode
from .relight import ROUGHNESS, reflectances

RASTER = 2 * RESOLVED  # pixels a side of the z-buffer
DISC = 4  # points along a surfel's side
WIDE = 0.62  # of a cell: how far those reach from its middle
WAVES = 4  # of an object's bending
SUNS, SKIES = 20, 12  # directions of shadow maps: by a map's brightness, and even over the sphere
SHADOW = 96  # pixels a side of a shadow map
STEEP = 6  # pixels of a shadow map, at most, that a slanting surface may lie behind what the map shows
BOUNCE = 0.5  # of what the surroundings reflect into a corner
NONE = 2**63 - 1  # what a pixel holds that no surfel falls on
PAIRED = 0.2  # of the bent objects are two, put together


def rows_of(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """start, count: (P,). The rows start..start + count of all, one after the other, and whose they are."""
    of = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    first = torch.cumsum(count, 0) - count
    return torch.arange(len(of), device=of.device) - first[of] + start[of], of


def rotate(axes: Tensor, points: Tensor) -> Tensor:
    """axes (M, K, 3) times points (M, 3): (M, K). Not as a product of matrices: those are too small for one."""
    return (axes * points[:, None]).sum(-1)


def extent(points: Tensor, of: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The least and the largest coordinates (count, C) of points (M, C) by what they belong to, ascending."""
    groups = points.split(torch.bincount(of, minlength=count).tolist())
    return torch.stack([group.amin(0) for group in groups]), torch.stack([group.amax(0) for group in groups])


class Bending:
    """A smooth change of shape for each of P parts: waves are added, then the axes stretched.

    What is alike on both sides of x = 0 stays so where `even`. Parts that are `still` keep their shape.
    """

    def __init__(self, still: Tensor, rng: torch.Generator):
        count, device = len(still), still.device
        draw = lambda *shape: torch.rand(*shape, generator=rng, device=device)  # noqa: E731
        normal = lambda *shape: torch.randn(*shape, generator=rng, device=device)  # noqa: E731
        self.even = draw(count) < 0.75
        self.frequency = F.normalize(normal(count, WAVES, 3), dim=-1) * (0.3 + 1.3 * draw(count, WAVES, 1))
        self.phase = draw(count, WAVES) * 2 * math.pi
        slope = normal(count, WAVES, 3) * 0.12 * (~still)[:, None, None]
        self.height = slope / (2 * math.pi * self.frequency.norm(dim=-1, keepdim=True))
        self.stretch = torch.exp(normal(count, 3) * 0.25 * (~still)[:, None])

    def waves(self, points: Tensor, of: Tensor) -> Tensor:
        """What is added to points (M, 3) of parts (M,)."""
        even = self.even[of]
        folded = torch.where(even, points[:, 0].abs(), points[:, 0])
        place = torch.stack([folded, points[:, 1], points[:, 2]], 1)
        found = torch.zeros_like(points)
        for wave in range(WAVES):
            phase = (place * self.frequency[of, wave]).sum(1) * 2 * math.pi + self.phase[of, wave]
            found += self.height[of, wave] * torch.sin(phase)[:, None]
        side = torch.where(even, torch.tanh(6 * points[:, 0]), torch.ones_like(folded))
        return torch.cat([found[:, :1] * side[:, None], found[:, 1:]], 1)

    def bend(self, points: Tensor, of: Tensor) -> Tensor:
        return (points + self.waves(points, of)) * self.stretch[of]

    def unbend(self, points: Tensor, of: Tensor) -> Tensor:
        """The points that bend takes to these, by fixed-point iteration: the waves are never steep."""
        goal = points / self.stretch[of]
        found = goal
        for _ in range(8):
            found = goal - self.waves(found, of)
        return found


class Scene:
    """G objects as they are photographed: the first `known` as they are, the others bent, some of them two in one."""

    def __init__(self, studio, chosen: np.ndarray, known: int):
        self.studio, self.chosen, self.known = studio, chosen, known
        device, count = studio.device, len(chosen)
        pair = [g for g in range(known, count) if studio.chance.random() < PAIRED]
        others = studio.chance.choice(len(studio.views), len(pair), p=studio.weight)
        source = np.concatenate([chosen, others]).astype(np.int64)
        entry = np.concatenate([np.arange(count), np.array(pair, np.int64)]).astype(np.int64)
        order = np.argsort(entry, kind="stable")
        second = torch.from_numpy((np.arange(len(entry)) >= count)[order]).to(device)
        source, part_entry = torch.from_numpy(source[order]).to(device), torch.from_numpy(entry[order]).to(device)
        still = part_entry < known
        self.source, self.part_entry, self.bending = source, part_entry, Bending(still, studio.rng)
        rows, of = rows_of(studio.start[source], studio.count[source])
        self.entry = part_entry[of]
        place, normal = studio.position[rows], studio.normal[rows]
        # two tangents, carried along with the surface
        helper = torch.where(normal[:, 2:].abs() < 0.7, normal.new_tensor([0, 0, 1.0]), normal.new_tensor([1.0, 0, 0]))
        first = F.normalize(torch.linalg.cross(helper, normal), dim=1)
        step = WIDE * CELL
        bent = self.bending.bend(place, of)
        along = [self.bending.bend(place + t * step, of) - bent for t in (first, torch.linalg.cross(normal, first))]
        low, high = extent(bent, of, len(source))
        size, middle = high - low, (low + high) / 2
        scale = torch.ones(len(source), device=device)
        offset = -middle * (~still)[:, None]
        if len(pair):  # the second part stands on, beside or in front of the first
            before = torch.where(second)[0] - 1
            after = before + 1
            scale[after] = (0.3 + 0.7 * studio.rand(len(after))) * size[before].amax(1) / size[after].amax(1)
            axis = torch.randint(3, (len(after),), generator=studio.rng, device=device)
            sign = torch.where(studio.rand(len(after)) < 0.5, -1.0, 1.0)
            sign = torch.where(axis == 2, torch.ones_like(sign), sign)
            shift = (studio.rand(len(after), 3) - 0.5) * 0.6 * size[before]
            shift[:, 0] *= studio.rand(len(after)) < 0.4
            gap = (size[before] + scale[after, None] * size[after]) / 2 * (0.7 + 0.3 * studio.rand(len(after), 1))
            shift.scatter_(1, axis[:, None], (gap * sign[:, None]).gather(1, axis[:, None]))
            offset[after] = shift - middle[after] * scale[after, None]
        position = bent * scale[of, None] + offset[of]
        low, high = extent(position, self.entry, count)
        made = torch.arange(count, device=device) >= known
        whole = torch.where(made, 1 / (high - low).amax(1), torch.ones_like(high[:, 0]))
        shift = -(low + high) / 2 * made[:, None]
        self.scale = scale * whole[part_entry]
        self.offset = (offset + shift[part_entry]) * whole[part_entry, None]
        self.position = bent * self.scale[of, None] + self.offset[of]
        self.tangents = [t * self.scale[of, None] for t in along]
        self.normal = F.normalize(torch.linalg.cross(*self.tangents), dim=1, eps=1e-12)
        _, far = extent(self.position.norm(dim=1, keepdim=True), self.entry, count)
        self.radius = far[:, 0]
        self.solid = self._solid()
        self._finish(rows)
        self._light()

    def place(self, points: Tensor, matrix: Tensor) -> Tensor:
        """points (M, 3) of the entries in their cameras' frames."""
        return rotate(matrix[self.entry, :3, :3], points) + matrix[self.entry, :3, 3]

    def _solid(self) -> Tensor:
        """(G, 64, 64, 64), how much of each voxel is inside: the bending undone on 32^3 and read off in between."""
        count, parts, device = len(self.chosen), len(self.source), self.position.device
        coarse = torch.from_numpy(cell_centres(32)).to(device) * (1 + 1 / 31)  # corners of the cube among them
        place = (coarse[None] - self.offset[:, None]) / self.scale[:, None, None]
        of = torch.arange(parts, device=device).repeat_interleave(len(coarse))
        found = self.bending.unbend(place.reshape(-1, 3), of).reshape(parts, 32, 32, 32, 3).permute(0, 4, 1, 2, 3)
        solid = torch.zeros(count, 64, 64, 64, device=device)
        axis = ((torch.arange(RESOLUTION, device=device) + 0.5) / RESOLUTION - 0.5) * 2
        fine = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).flip(-1)[None]
        for part in range(parts):
            if self.part_entry[part] < self.known:
                dense = fine[0].flip(-1).permute(3, 0, 1, 2) / 2
            else:
                dense = F.grid_sample(found[part:part + 1], fine, mode="bilinear", align_corners=True)[0]
            within = self.studio.is_inside(self.source[part], dense)
            mean = F.avg_pool3d(within[None, None], 2)[0, 0]
            solid[self.part_entry[part]] = torch.maximum(solid[self.part_entry[part]], mean)
        return solid

    def _finish(self, rows: Tensor) -> None:
        """Display colour (M, 3), roughness and metallic (M,): as packed, or drawn anew for each colour, or tinted."""
        studio, count = self.studio, len(self.chosen)
        colour, finished = studio.colour[rows].float() / 255, studio.finish[rows]
        made = torch.arange(count, device=studio.device) >= self.known
        every = lambda flags: torch.ones(count, device=studio.device).scatter_reduce_(  # noqa: E731
            0, self.part_entry, flags[self.source].float(), "amin") > 0  # of an entry's parts
        known, plain = every(studio.finished), every(studio.plain)
        chance = studio.rand(count)
        redrawn = made & torch.where(known, chance < 0.35, chance < 0.9)
        self.finished = known | redrawn
        bins = (studio.colour[rows] >> 6).long()
        cluster = (bins[:, 0] * 4 + bins[:, 1]) * 4 + bins[:, 2]
        cluster = cluster * plain[self.entry]  # what is textured keeps its colours, and has one finish
        table = torch.randint(len(studio.finishes), (count, 64), generator=studio.rng, device=studio.device)
        drawn = studio.finishes[table][self.entry, cluster]
        recoloured = redrawn & plain & (studio.rand(count) < 0.6)
        shade = (colour.mean(1, keepdim=True) / (((bins.float() + 0.5) / 4).mean(1, keepdim=True))).clamp(0.5, 1.5)
        tint = 1 + studio.randn(count, 3) * 0.12 * made[:, None]
        colour = torch.where(recoloured[self.entry, None], drawn[:, :3] * shade, colour * tint[self.entry])
        finished = torch.where(redrawn[self.entry, None], drawn[:, 3:], finished)
        shine = studio.randn(count) * 0.12 * made
        self.colour = colour.clamp(0.02, 1)
        self.roughness = (finished[:, 0] + shine[self.entry]).clamp(0.03, 1)
        self.metallic = finished[:, 1]

    def _light(self) -> None:
        """How much of each map's light reaches each surfel, past the object itself: `lit` (2, M, 3) of what falls on its two
        sides, and `sky` (2, M) of all directions, by the cosine."""
        studio, count = self.studio, len(self.chosen)
        directions, radiance = studio.suns
        self.map = torch.randint(len(directions), (count,), generator=studio.rng, device=studio.device)
        angle = studio.rand(count) * 2 * math.pi
        c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        self.turn = torch.stack([torch.stack([c, -s, zero], 1), torch.stack([s, c, zero], 1),
                                 torch.stack([zero, zero, zero + 1], 1)], 1)  # world -> map
        pick = torch.randint(directions.shape[1], (count, SUNS), generator=studio.rng, device=studio.device)
        lit = directions[self.map[:, None], pick] @ self.turn  # map -> world
        weight = radiance[self.map[:, None], pick]
        even = F.normalize(studio.randn(count, SKIES, 3), dim=-1)
        towards = torch.cat([lit, even], 1)
        steep = towards[..., 2:].abs() < 0.7
        helper = torch.where(steep, towards.new_tensor([0, 0, 1.0]), towards.new_tensor([1.0, 0, 0]))
        across = F.normalize(torch.linalg.cross(helper, towards), dim=-1)
        up = torch.linalg.cross(towards, across)
        entry, total = self.entry, SUNS + SKIES
        size = len(entry)
        sums = torch.zeros(2, 2, size, 4, device=studio.device)  # side; with shadows, without; rgb and sky
        reach = (self.radius * 2.05)[entry]
        for start in range(0, total, 4):
            some = slice(start, start + 4)
            project = lambda axes: rotate(axes[:, some][entry], self.position)  # noqa: B023
            at = lambda axes: (((project(axes) / reach[:, None] + 0.5) * SHADOW).long().clamp(0, SHADOW - 1))  # noqa: B023
            number = entry[:, None] * 4 + torch.arange(4, device=studio.device)
            pixel = (number * SHADOW + at(up)) * SHADOW + at(across)
            height = project(towards)
            shadow = torch.full((count * 4 * SHADOW * SHADOW,), -9.0, device=studio.device)
            shadow.scatter_reduce_(0, pixel.reshape(-1), height.reshape(-1), "amax")
            cosine = rotate(towards[:, some][entry], self.normal)
            slope = ((1 - cosine * cosine).clamp(min=0).sqrt() / cosine.abs().clamp(min=1e-3)).clamp(max=STEEP)
            seen = (height >= shadow[pixel] - reach[:, None] / SHADOW * (1 + slope)).float()
            for side, sign in ((0, 1.0), (1, -1.0)):
                facing = (cosine * sign).clamp(min=0)
                for k in range(4):
                    if start + k < SUNS:
                        strength = weight[:, start + k][entry] * facing[:, k:k + 1]
                        sums[side, 0, :, :3] += strength * seen[:, k:k + 1]
                        sums[side, 1, :, :3] += strength
                    else:
                        sums[side, 0, :, 3] += facing[:, k] * seen[:, k]
                        sums[side, 1, :, 3] += facing[:, k]
        self.sky = (sums[:, 0, :, 3] + 0.2) / (sums[:, 1, :, 3] + 0.2)  # (2, M)
        small = 0.02 * weight.mean((1, 2))[entry][:, None]
        self.lit = (sums[:, 0, :, :3] + small * self.sky[..., None]) / (sums[:, 1, :, :3] + small)

    def shade(self, row: Tensor, matrix: Tensor, window: Tensor) -> Tensor:
        """(G, 4, R, R) linear premultiplied: the surfels `row` (G, R, R), -1 for none, as the cameras see them."""
        count, lights = len(row), self.studio.lights
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
        rough, metal, base = self.roughness[row].clamp(0.05, 1), self.metallic[row], srgb_decode(self.colour[row])
        mirror = lights.look_up(self.map, self.turn @ mirrored.transpose(1, 2), lights.level(rough))
        diffuse = lights.look_up(self.map, self.turn @ normal.transpose(1, 2), torch.full_like(rough, len(ROUGHNESS)))
        lit, sky = self.lit[side, row].transpose(1, 2), self.sky[side, row]
        mean = diffuse.mean(2, keepdim=True)
        bounced = (1 - sky)[:, None] * mean * base.mean(1)[:, :, None] * BOUNCE
        matt, shiny = reflectances(base.transpose(1, 2), rough, metal, cosine)
        # a lobe sees the sky past an edge as far as it is narrow (Lagarde and de Rousiers 2014)
        open_ = ((cosine + sky) ** torch.exp2(-16 * rough - 1) - 1 + sky).clamp(0, 1)[:, None]
        share = torch.lerp(open_, open_ * lit.mean(1, keepdim=True).clamp(max=1), rough[:, None])
        colour = matt * (diffuse * lit + bounced) + shiny * (mirror * share + bounced * (1 - share))
        alpha = hit.flatten(1)[:, None].float()
        return torch.cat([colour * alpha, alpha], 1).reshape(count, 4, RASTER, RASTER)

    def layers(self, front: Tensor, back: Tensor, row: Tensor, matrix: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
        """The true layers (G, LAYERS, SIZE, SIZE), and where there are any."""
        pick = ((torch.arange(SIZE, device=row.device) + 0.5) / SIZE * RASTER).long()
        few = lambda maps: maps[:, pick][:, :, pick]  # noqa: E731
        front, back, row = few(front), few(back), few(row)
        hit, row = row >= 0, row.clamp(min=0)
        normal = torch.einsum("bij,bhwj->bihw", matrix[:, :3, :3], self.normal[row])
        normal = torch.where(normal[:, 2:] > 0, -normal, normal)
        size = reach[:, None, None]
        depth = torch.stack([(front - matrix[:, 2, 3, None, None]) / size, (back - front).clamp(min=0) / size], 1)
        rest = torch.stack([self.roughness[row], self.metallic[row]], 1)
        found = torch.cat([depth, normal, self.colour[row].permute(0, 3, 1, 2), rest], 1)
        return torch.where(hit[:, None], found, torch.zeros_like(found)), hit.float()


def splat(scene: Scene, matrix: Tensor, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Depth along the axis of the front and of the last surface, and the front's surfel, -1 for none: (G, R, R) each."""
    count, device = len(matrix), matrix.device
    turn, frame = matrix[scene.entry, :3, :3], window[scene.entry]
    middle = rotate(turn, scene.position) + matrix[scene.entry, :3, 3]
    first, second = (rotate(turn, t) for t in scene.tangents)
    number = torch.arange(len(middle), device=device)
    nearest = torch.full((count * RASTER * RASTER + 1,), NONE, dtype=torch.int64, device=device)
    last = torch.zeros(count * RASTER * RASTER + 1, device=device)
    steps = [(2 * k + 1) / DISC - 1 for k in range(DISC)]
    for u in steps:
        for v in steps:
            point = middle + u * first + v * second
            pixel = ((point[:, :2] / point[:, 2:].clamp(min=1e-3) - frame[:, :2]) / frame[:, 2:] + 0.5) * RASTER
            x, y = pixel.floor().long().unbind(1)
            at = (scene.entry * RASTER + y) * RASTER + x
            within = (x >= 0) & (x < RASTER) & (y >= 0) & (y < RASTER) & (point[:, 2] > 1e-3)
            at = torch.where(within, at, len(last) - 1)
            z = point[:, 2].contiguous()
            # positive floats keep their order as integers
            nearest.scatter_reduce_(0, at, z.view(torch.int32).long() << 32 | number, "amin")
            last.scatter_reduce_(0, at, z, "amax")
    nearest, last = nearest[:-1].reshape(count, RASTER, RASTER), last[:-1].reshape(count, RASTER, RASTER)
    hit = nearest < NONE
    front = (nearest >> 32).to(torch.int32).view(torch.float32)
    row = torch.where(hit, nearest & 0xFFFFFFFF, -1)
    return torch.where(hit, front, torch.zeros_like(front)), last, row

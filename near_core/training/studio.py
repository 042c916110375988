"""Objects of a pool, bent, finished, lit and photographed anew for every sample; on whatever device torch has.

Surfels are splatted as discs into a z-buffer. Where the light comes from is decided by shadow maps of a few directions
that are drawn by a map's brightness, how bright it is by the map's own irradiance, mirror images by its prefiltered
levels. That is less than Cycles knows (nothing mirrors the object itself), but no sample comes twice. Objects that have
pictures by Cycles are also taken as they are, under those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import finish, reconstruct
from ..models.mini_photo import SIZE
from ..surfels import CELL, RESOLUTION
from .photos import MARGIN, to_display
from .pool import Packed
from .relight import ROUGHNESS, Lights
from .subjects import FRONT

RASTER = 2 * reconstruct.SHARP  # pixels a side of the z-buffer
DISC = 4  # points along a surfel's side
WIDE = 0.62  # of a cell: how far those reach from its middle
WAVES = 4  # of an object's bending
SUNS, SKIES = 20, 12  # directions of shadow maps: by a map's brightness, and even over the sphere
SHADOW = 96  # pixels a side of a shadow map
STEEP = 6  # pixels of a shadow map, at most, that a slanting surface may lie behind what the map shows
BOUNCE = 0.5  # of what the surroundings reflect into a corner
KNOWN = 0.6  # the larger, the fewer solids are those of objects as they are
PLAIN = 0.7  # of neighbouring surfels that are of one colour: above it, a colour is a part
FRAME = 1.08  # room around the bounding sphere, as render-dataset's cameras leave it
NONE = 2**63 - 1  # what a pixel holds that no surfel falls on
PAIRED = 0.2  # of the bent objects are two, put together


@dataclass
class Shots:
    """B photos. image: (B, 4, S, S), pose: (B, POSE), layers: (B, LAYERS, S, S), mask: (B, S, S), unfinished and
    elevation: (B,), as the stage `intrinsics` learns from them; reach: (B,). solid: (B', 64, 64, 64), uv: (B', 2, 64^3, 2),
    depth: (B', 2, 64^3), towards: (B', 3), as `structure` does, of the first B' of them."""

    image: Tensor
    pose: Tensor
    layers: Tensor
    mask: Tensor
    unfinished: Tensor
    elevation: Tensor
    reach: Tensor
    solid: Tensor
    uv: Tensor
    depth: Tensor
    towards: Tensor


def display_to_linear(x: Tensor) -> Tensor:
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


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


class Studio:
    """All objects of a pool on a device, and the maps that light them.

    lights: maps fine enough to be mirrored. suns: (M, K, 3) directions drawn by each map's brightness, and radiance
    (M, K, 3) that each stands for.
    """

    def __init__(self, objects: list[Packed], lights: Lights, suns: tuple[np.ndarray, np.ndarray], device: torch.device,
                 seed: int = 0, often: list[int] | None = None):
        """often: how many times as often as others each object is drawn."""
        self.device, self.lights = device, lights
        weight = np.ones(len(objects)) if often is None else np.array(often, float)
        self.weight = weight / weight.sum()
        self.restart(seed)
        on = lambda parts: torch.from_numpy(np.concatenate(parts)).to(device)  # noqa: E731
        self.position, self.normal = on([o.position for o in objects]), on([o.normal for o in objects])
        self.colour, self.finish = on([o.colour for o in objects]), on([o.finish for o in objects])
        self.count = torch.tensor([len(o.position) for o in objects], device=device)
        self.start = torch.cumsum(self.count, 0) - self.count
        self.inside = on([o.inside[None] for o in objects])
        self.finished = torch.tensor([o.finished for o in objects], device=device)
        # neighbours along the curve that surfels are sorted by
        alike = [(o.colour[1:] == o.colour[:-1]).all(1).mean() for o in objects]
        self.plain = torch.tensor(np.array(alike) > PLAIN, device=device)
        self.suns = tuple(torch.from_numpy(part).to(device) for part in suns)
        finishes = [finish.draw(self.chance) for _ in range(4096)]
        self.finishes = torch.tensor([[*f.color, f.roughness, f.metallic] for f in finishes], device=device)
        taken = [o.pictures for o in objects if len(o.pictures)]
        self.pictures = on(taken) if taken else None
        self.views: list[list[tuple[Tensor, float, list[int]]]] = []  # of each object: camera, focal, rows of pictures
        row = 0
        for o in objects:
            numbers = sorted(set(o.view.tolist()))
            self.views.append([(torch.from_numpy(o.camera[o.view == n][0]), float(o.focal[o.view == n][0]),
                                (row + np.flatnonzero(o.view == n)).tolist()) for n in numbers])
            row += len(o.view)
        self.photographed = np.flatnonzero([bool(v) for v in self.views])
        self.known = self.weight[self.photographed] / max(self.weight[self.photographed].sum(), 1e-9)
        self.centres = torch.from_numpy(reconstruct.cell_centres(64)).to(device)

    def restart(self, seed: int) -> None:
        """The same samples once more."""
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.chance = np.random.default_rng(seed)

    def rand(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.rng, device=self.device)

    def randn(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.rng, device=self.device)

    def shoot(self, objects: int, views: int, real: float, solids: int) -> Shots:
        """objects x views photos, a share `real` of the objects as they are, under Cycles' light; and the grids of `solids`
        of the photos. Where no object has pictures by Cycles, all are bent."""
        known = round(objects * real) if len(self.photographed) else 0
        still = self.chance.choice(self.photographed, known, p=self.known) if known else np.zeros(0)
        bent = self.chance.choice(len(self.views), objects - known, p=self.weight)
        chosen = np.concatenate([still, bent]).astype(np.int64)
        scene = Scene(self, chosen, known)
        parts = [self._photograph(scene, view) for view in range(views)]
        joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        entry = torch.arange(objects, device=self.device).repeat(views)
        # `structure` sees fewer of those that `intrinsics` may know by heart
        order = torch.argsort(self.rand(len(entry)) + KNOWN * (entry < known))
        joined, entry = {key: value[order] for key, value in joined.items()}, entry[order]
        few = slice(solids)
        solid = scene.solid[entry[few]]
        mirrored = joined["mirrored"][few]
        solid = torch.where(mirrored[:, None, None, None], solid.flip(1), solid)
        grid = self.grids(joined["matrix"][few], joined["window"][few], mirrored)
        return Shots(joined["image"], joined["pose"], joined["layers"], joined["mask"], ~scene.finished[entry],
                     joined["elevation"], joined["reach"], solid, *grid)

    def grids(self, matrix: Tensor, window: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uv, depth and towards of Structure, for cameras (B, 4, 4) and their crops (B, 3), perhaps in a mirror."""
        sign = torch.where(mirrored, -1.0, 1.0)
        uvs, depths = [], []
        for side in (1.0, -1.0):
            flip = torch.stack([side * sign, torch.ones_like(sign), torch.ones_like(sign)], -1)
            turn = matrix[:, :3, :3] * flip[:, None]
            seen = self.centres @ turn.transpose(1, 2) + matrix[:, None, :3, 3]
            uv = (seen[..., :2] / seen[..., 2:].clamp(min=1e-3) - window[:, None, :2]) / window[:, None, 2:] * 2
            uv[..., 0] *= sign[:, None]
            uvs.append(uv)
            depths.append(seen[..., 2] - matrix[:, None, 2, 3])
        towards = F.normalize(-torch.einsum("bji,bj->bi", matrix[:, :3, :3], matrix[:, :3, 3]), dim=1)
        towards[:, 0] *= sign
        return torch.stack(uvs, 1), torch.stack(depths, 1), towards

    def is_inside(self, number: Tensor, points: Tensor) -> Tensor:
        """Whether points (3, ...) of an object's own frame lie inside it: float32 (...)."""
        cell = torch.floor((points + 0.5) * RESOLUTION).long()
        valid = ((cell >= 0) & (cell < RESOLUTION)).all(0)
        x, y, z = cell.clamp(0, RESOLUTION - 1)
        at = (x * RESOLUTION + y) * RESOLUTION + z
        return (valid & ((self.inside[number][at >> 3] >> (7 - (at & 7))) & 1 > 0)).float()

    # --- one photo of every object

    def _cameras(self, scene: Scene) -> Tensor:
        """World to camera (G, 4, 4), as render-dataset places them; half of them look at the front."""
        count = len(scene.chosen)
        front = self.rand(count) < 0.55
        u = self.rand(5, count)
        azimuth = torch.where(front, (u[0] * 2 - 1) * math.pi / 3, (u[0] * 2 - 1) * math.pi)
        low, high = (torch.where(front, math.sin(math.radians(a)), math.sin(math.radians(b)))
                     for a, b in ((5, -20), (30, 70)))
        elevation = torch.asin(low + (high - low) * u[1])
        wide = math.log(10) + math.log(9) * u[2]
        fov = torch.where(front | (u[3] < 0.5), torch.full_like(wide, 40.0), torch.exp(wide)) * math.pi / 180
        radius = scene.radius * FRAME / torch.sin(fov / 2) * (1 + u[4] * torch.where(front, 0.2, 0.6))
        return orbit(azimuth, elevation, radius)

    def _photograph(self, scene: Scene, view: int) -> dict[str, Tensor]:
        matrix, count = self._cameras(scene), len(scene.chosen)
        pictures: list[tuple[float, list[int]]] = []
        for entry in range(scene.known):
            shown = self.views[scene.chosen[entry]]
            number = 0 if self.chance.random() < FRONT else int(self.chance.integers(len(shown)))
            camera, focal, rows = shown[number]
            matrix[entry] = camera.to(self.device)
            pictures.append((focal, rows))
        elevation = torch.asin(F.normalize(-torch.einsum("bji,bj->bi", matrix[:, :3, :3], matrix[:, :3, 3]), dim=1)[:, 2])
        # the picture's axes may be turned in its plane
        roll = self.randn(count) * (self.rand(count) < 0.5) * math.radians(6)
        c, s = roll.cos(), roll.sin()
        turn = torch.zeros(count, 4, 4, device=self.device)
        turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = c, s, -s, c
        turn[:, 2, 2] = turn[:, 3, 3] = 1
        upright, matrix = matrix, turn @ matrix
        seen = scene.place(scene.position, matrix)
        low, high = extent(seen[:, :2] / seen[:, 2:].clamp(min=1e-3), scene.entry, count)
        side = MARGIN * (high - low).amax(1) * (0.95 + 0.25 * self.rand(count))
        middle = (low + high) / 2 + self.randn(count, 2) * 0.02 * side[:, None]
        window = torch.cat([middle, side[:, None]], 1)
        front, back, row = splat(scene, matrix, window)
        photo = scene.shade(row, matrix, window)  # (G, 4, R, R) linear, premultiplied
        photo = F.avg_pool2d(photo, 2)
        if pictures:
            photo[:scene.known] = self._taken(pictures, window[:scene.known], roll[:scene.known])
        image = self._developed(photo)
        reach = side * matrix[:, 2, 3]
        layers, hit = scene.layers(front, back, row, matrix, reach)
        mirrored = self.rand(count) < 0.5
        flipped = lambda x: torch.where(mirrored.view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)  # noqa: E731
        image, layers, hit = flipped(image), flipped(layers), flipped(hit)
        sign = torch.where(mirrored, -1.0, 1.0)
        layers[:, 2] *= sign[:, None, None]
        hued = self.rand(count) < 0.15  # light and colours may be of any hue
        order = torch.argsort(self.rand(count, 3), 1)
        order = torch.where(hued[:, None], order, torch.arange(3, device=self.device))
        order = order[:, :, None, None].expand(-1, -1, SIZE, SIZE)
        image = torch.cat([image[:, :3].gather(1, order), image[:, 3:]], 1)
        layers = torch.cat([layers[:, :5], layers[:, 5:8].gather(1, order), layers[:, 8:]], 1)
        position = F.normalize(-torch.einsum("bji,bj->bi", upright[:, :3, :3], upright[:, :3, 3]), dim=1)
        one = torch.ones_like(sign)
        pose = torch.stack([one, position[:, 0] * sign, position[:, 1], position[:, 2], reach, side / 2], 1)
        pose = pose * (self.rand(count) >= 0.12)[:, None]
        return {"image": image, "pose": pose, "layers": layers, "mask": hit * (image[:, 3] > 0.5), "elevation": elevation,
                "reach": reach, "mirrored": mirrored, "matrix": matrix, "window": window}

    def _taken(self, pictures: list[tuple[float, list[int]]], window: Tensor, roll: Tensor) -> Tensor:
        """Crops (B, 4, R / 2, R / 2) of Cycles' pictures, their lights mixed."""
        size, mixed = RASTER // 2, []
        for _, rows in pictures:
            stored = self.pictures[rows].float() / 255
            linear = display_to_linear(stored[..., :3])
            linear = linear / (1 - linear).clamp(min=0.01) * stored[..., 3:]
            share = torch.from_numpy(self.chance.dirichlet(np.full(len(rows), 0.5)).astype(np.float32)).to(self.device)
            share = share[:, None] * (0.8 + 0.4 * self.rand(len(rows), 3))
            mixed.append(torch.cat([torch.einsum("lhwc,lc->hwc", linear, share), stored[0, ..., 3:]], -1))
        steps = (torch.arange(size, device=self.device) + 0.5) / size - 0.5
        ray = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
        ray = ray * window[:, None, None, 2:] + window[:, None, None, :2]
        c, s = roll.cos()[:, None, None], roll.sin()[:, None, None]
        ray = torch.stack([c * ray[..., 0] - s * ray[..., 1], s * ray[..., 0] + c * ray[..., 1]], -1)
        focal = torch.tensor([focal for focal, _ in pictures], device=self.device)[:, None, None, None]
        return F.grid_sample(torch.stack(mixed).permute(0, 3, 1, 2), ray * focal * 2, align_corners=False)

    def _developed(self, photo: Tensor) -> Tensor:
        """(B, 4, R, R) linear premultiplied -> (B, 4, SIZE, SIZE) as network_image; exposed for the subject, roughly."""
        alpha = photo[:, 3:].clamp(0, 1)
        straight = photo[:, :3] / alpha.clamp(min=1e-3)
        peak = torch.where(alpha[:, 0] > 0.5, straight.amax(1), torch.zeros_like(alpha[:, 0])).flatten(1)
        opaque = (alpha[:, 0] > 0.5).flatten(1).sum(1)
        order = peak.sort(1, descending=True).values
        level = order.gather(1, (opaque * 0.2).long().clamp(max=order.shape[1] - 1)[:, None])[:, 0]
        target, blend = 0.25 + 0.85 * self.rand(len(photo)), self.rand(len(photo)) * (self.rand(len(photo)) < 0.5)
        straight = straight * ((target / level.clamp(min=1e-3)) ** blend)[:, None, None, None]
        developed = torch.cat([(to_display(straight) * 2 - 1) * alpha, alpha], 1)
        return F.interpolate(developed, (SIZE, SIZE), mode="bilinear", align_corners=False)


def orbit(azimuth: Tensor, elevation: Tensor, radius: Tensor) -> Tensor:
    """World to camera (B, 4, 4), OpenCV, looking at the origin; azimuth 0 is the front, -Y."""
    position = torch.stack([elevation.cos() * azimuth.sin(), -elevation.cos() * azimuth.cos(), elevation.sin()], -1)
    right = torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], -1)
    down = torch.linalg.cross(-position, right)
    matrix = torch.zeros(len(radius), 4, 4, device=radius.device)
    matrix[:, :3, :3] = torch.stack([right, down, -position], 1)
    matrix[:, 2, 3] = radius
    matrix[:, 3, 3] = 1
    return matrix


class Scene:
    """G objects as they are photographed: the first `known` as they are, the others bent, some of them two in one."""

    def __init__(self, studio: Studio, chosen: np.ndarray, known: int):
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
        coarse = torch.from_numpy(reconstruct.cell_centres(32)).to(device) * (1 + 1 / 31)  # corners of the cube among them
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
            project = lambda axes: rotate(axes[:, some][entry], self.position)  # noqa: E731, B023
            at = lambda axes: (((project(axes) / reach[:, None] + 0.5) * SHADOW).long().clamp(0, SHADOW - 1))  # noqa: E731
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
        rough, metal, base = self.roughness[row].clamp(0.05, 1), self.metallic[row], display_to_linear(self.colour[row])
        above = torch.searchsorted(lights.roughness, rough.contiguous()).clamp(1, len(ROUGHNESS) - 1)
        low, high = lights.roughness[above - 1], lights.roughness[above]
        level = above - 1 + (rough - low) / (high - low)
        mirror = lights.look_up(self.map, self.turn @ mirrored.transpose(1, 2), level)
        diffuse = lights.look_up(self.map, self.turn @ normal.transpose(1, 2), torch.full_like(level, len(ROUGHNESS)))
        lit, sky = self.lit[side, row].transpose(1, 2), self.sky[side, row]
        mean = diffuse.mean(2, keepdim=True)
        bounced = (1 - sky)[:, None] * mean * base.mean(1)[:, :, None] * BOUNCE
        a, b = 1 - rough, 0.0425 - 0.0275 * rough  # the split-sum table's fit, as in relight
        slope = torch.minimum(a * a, torch.exp2(-9.28 * cosine)) * a + b
        scale, bias = -1.04 * slope + 1.04 - 0.572 * rough, 1.04 * slope + 0.022 * rough - 0.04
        base = base.transpose(1, 2)
        f0 = 0.04 * (1 - metal[:, None]) + base * metal[:, None]
        # a lobe sees the sky past an edge as far as it is narrow (Lagarde and de Rousiers 2014)
        open_ = ((cosine + sky) ** torch.exp2(-16 * rough - 1) - 1 + sky).clamp(0, 1)[:, None]
        share = torch.lerp(open_, open_ * lit.mean(1, keepdim=True).clamp(max=1), rough[:, None])
        shown = (f0 * scale[:, None] + bias[:, None]) * (mirror * share + bounced * (1 - share))
        colour = 0.95 * base * (1 - metal[:, None]) * (diffuse * lit + bounced) + shown
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

"""Objects of a pool, photographed anew for every sample, on whatever device torch has.

Most are bent, finished and lit by chance (scenes.py): no sample comes twice. Those that have pictures by Cycles are also
taken as they are, under those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....asset.surfels import RESOLUTION
from ....create.view import cell_centres
from ....models.mini.layout import SIZE
from ...datasets.materials import draw_uniform
from .color import srgb_decode, srgb_encode
from .packed_objects import Packed
from .photos import MARGIN
from .relight import Lights, camera_to_world
from .samples import FRONT
from .scenes import RASTER, Scene, extent, splat

KNOWN = 0.6  # the larger, the fewer solids are those of objects as they are
PLAIN = 0.7  # of neighbouring surfels that are of one colour: above it, a colour is a part
FRAME = 1.08  # room around the bounding sphere, as render-dataset's cameras leave it


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
        finishes = [draw_uniform(self.chance) for _ in range(4096)]
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
        self.centres = torch.from_numpy(cell_centres(64)).to(device)

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
            linear = srgb_decode(stored[..., :3])
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
        developed = torch.cat([(srgb_encode(straight) * 2 - 1) * alpha, alpha], 1)
        return F.interpolate(developed, (SIZE, SIZE), mode="bilinear", align_corners=False)


def orbit(azimuth: Tensor, elevation: Tensor, radius: Tensor) -> Tensor:
    """World to camera (B, 4, 4), OpenCV, looking at the origin; azimuth 0 is the front, -Y."""
    matrix = torch.zeros(len(radius), 4, 4, device=radius.device)
    matrix[:, :3, :3] = camera_to_world(azimuth - math.pi / 2, elevation).transpose(1, 2)
    matrix[:, 2, 3] = radius
    matrix[:, 3, 3] = 1
    return matrix

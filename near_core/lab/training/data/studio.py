"""Objects of a pool, photographed anew for every sample, on whatever device torch has.

Most are bent, given materials and lit by chance (scenes.py): no sample comes twice. Those that have pictures by Cycles
are also taken as they are, under those.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....asset import RESOLUTION
from ....create.view import compute_cell_centres
from ....models.mini.layout import SIZE, Layer, Picture
from .color import srgb_decode, srgb_encode
from .groups import extent
from .packed_objects import PackedObject
from .photos import HUED, MARGIN
from .raster import RASTER, rasterize_surfels
from .relight import Lights, camera_to_world
from .samples import FRONT
from .scenes import Scene
from .stock import Chance, Stock

KNOWN = 0.6  # the larger, the fewer solids are those of objects as they are
FRAME = 1.08  # room around the bounding sphere, as render-dataset's cameras leave it
ASTRAY = math.radians(8)  # a photographer's sides are off by so much, the standard deviation
UNPOSED = 0.12  # of the photos come without a camera


@dataclass
class Shots:
    """B photos. image: (B, 4, S, S), pose: (B, POSE), layers: (B, LAYERS, S, S), mask: (B, S, S), unfinished and
    elevation: (B,), as the stage `intrinsics` learns from them; reach: (B,). solid: (B', 64, 64, 64), uv: (B', 2, 64^3,
    2), depth: (B', 2, 64^3), towards: (B', 3), as `structure` does, of the first B' of them."""

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
    """The objects of pools on a device, the maps that light them, and Cycles' pictures of some.

    stock: what scenes are made of. pictures: (P, S, S, 4) uint8 as packed, None where there are none. views: of each
    object its cameras, world to camera (4, 4), focal length in sides of the picture, and the rows of their pictures.
    """

    def __init__(self, objects: list[PackedObject], lights: Lights, suns: tuple[np.ndarray, np.ndarray],
                 device: torch.device, seed: int = 0, often: list[int] | None = None) -> None:
        """lights: fine enough to be mirrored. suns: as Stock has them. often: how many times as often as others each
        object is drawn."""
        self.device, self.chance = device, Chance(device, seed)
        self.stock = Stock.of(objects, lights, suns, self.chance, often)
        taken = [o.pictures for o in objects if len(o.pictures)]
        self.pictures = torch.from_numpy(np.concatenate(taken)).to(device) if taken else None
        self.views: list[list[tuple[Tensor, float, list[int]]]] = []
        row = 0
        for o in objects:
            self.views.append([(torch.from_numpy(o.camera[o.view == n][0]), float(o.focal[o.view == n][0]),
                                (row + np.flatnonzero(o.view == n)).tolist()) for n in sorted(set(o.view.tolist()))])
            row += len(o.view)
        self.photographed = np.flatnonzero([bool(v) for v in self.views])
        weight = self.stock.weight[self.photographed]
        self.known = weight / max(weight.sum(), 1e-9)

    def restart(self, seed: int) -> None:
        """The same samples once more."""
        self.chance.restart(seed)

    def shoot(self, objects: int, views: int, real: float, solids: int) -> Shots:
        """objects x views photos, a share `real` of the objects as they are, under Cycles' light; and the grids of
        `solids` of the photos. Where no object has pictures by Cycles, all are bent."""
        scene = self._set_up(objects, real)
        parts = [self._photograph(scene, *self._choose_cameras(scene), self._toss(objects)) for _ in range(views)]
        joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        entry = torch.arange(objects, device=self.device).repeat(views)
        # `structure` sees fewer of those that `intrinsics` may know by heart
        order = torch.argsort(self.chance.uniform(len(entry)) + KNOWN * (entry < scene.known))
        joined, entry = {key: value[order] for key, value in joined.items()}, entry[order]
        few = slice(solids)
        solid = scene.solid[entry[few]]
        mirrored = joined["mirrored"][few]
        solid = torch.where(mirrored[:, None, None, None], solid.flip(1), solid)
        grid = locate_cells(joined["matrix"][few], joined["window"][few], mirrored)
        return Shots(joined["image"], joined["pose"], joined["layers"], joined["mask"], ~scene.finished[entry],
                     joined["elevation"], joined["reach"], solid, *grid)

    def shoot_around(self, objects: int, views: int, real: float) -> dict[str, Tensor]:
        """`views` photos of each of G objects, a share `real` of them as they are; half of the others are seen from
        evenly spread sides, as a careful photographer takes them. Objects, not photos, are in a mirror.

        Returns `solid` (G, 64, 64, 64) and (G, V, ...) image, pose and reach, as in Shots, matrix (4, 4), window (3,)
        and mirrored (), for locate_cells.
        """
        scene, mirrored, ring = self._set_up(objects, real), self._toss(objects), self._toss(objects)
        ring &= torch.arange(objects, device=self.device) >= scene.known
        first, pictures = self._choose_cameras(scene)
        parts = [self._photograph(scene, first, pictures, mirrored)]
        for number in range(1, views):
            upright, pictures = self._choose_cameras(scene)
            angle = number * 2 * math.pi / views + self.chance.normal(objects) * ASTRAY
            upright = torch.where(ring[:, None, None], first @ turn_around(angle), upright)
            parts.append(self._photograph(scene, upright, pictures, mirrored))
        solid = torch.where(mirrored[:, None, None, None], scene.solid.flip(1), scene.solid)
        return {"solid": solid} | {key: torch.stack([part[key] for part in parts], 1) for key in (
            "image", "pose", "reach", "matrix", "window", "mirrored")}

    def _set_up(self, objects: int, real: float) -> Scene:
        """A scene of so many objects, a share `real` of them as they are."""
        known = round(objects * real) if len(self.photographed) else 0
        still = self.chance.rng.choice(self.photographed, known, p=self.known) if known else np.zeros(0)
        bent = self.chance.rng.choice(len(self.stock), objects - known, p=self.stock.weight)
        return Scene(self.stock, np.concatenate([still, bent]).astype(np.int64), known)

    def _toss(self, count: int) -> Tensor:
        """(count,) bool, half of them."""
        return self.chance.uniform(count) < 0.5

    # --- one photo of every object

    def _photograph(self, scene: Scene, upright: Tensor, pictures: list[tuple[float, list[int]]], mirrored: Tensor
                    ) -> dict[str, Tensor]:
        """A photo of each of the scene's G objects, what is true of it, and how it was taken: `matrix` (G, 4, 4) world
        to camera, `window` (G, 3) the crop in the plane z = 1, `mirrored` (G,) bool, as told.

        upright, pictures: as _choose_cameras has them.
        """
        roll, matrix = self._roll(upright)
        window = self._frame(scene, matrix)
        front, back, row = rasterize_surfels(scene.position, scene.tangents, scene.entry, matrix, window)
        photo = F.avg_pool2d(scene.shade(row, matrix, window), 2)
        if pictures:
            photo[:scene.known] = self._crop_pictures(pictures, window[:scene.known], roll[:scene.known])
        image = self._develop(photo)
        reach = window[:, 2] * matrix[:, 2, 3]
        layers, hit = scene.layers(front, back, row, matrix, reach)
        flipped = lambda x: torch.where(mirrored.view(-1, *[1] * (x.dim() - 1)), x.flip(-1), x)
        image, layers, hit = flipped(image), flipped(layers), flipped(hit)
        sign = torch.where(mirrored, -1.0, 1.0)
        layers[:, Layer.NORMAL_X] *= sign[:, None, None]
        self._change_hues(image, layers)
        x, y, z = direction_to(upright).unbind(1)
        pose = torch.stack([torch.ones_like(x), x * sign, y, z, reach, window[:, 2] / 2], 1)  # as layout.Pose
        pose = pose * (self.chance.uniform(len(pose)) >= UNPOSED)[:, None]
        return {"image": image, "pose": pose, "layers": layers, "mask": hit * (image[:, Picture.ALPHA] > 0.5),
                "elevation": torch.asin(z), "reach": reach, "mirrored": mirrored, "matrix": matrix, "window": window}

    def _choose_cameras(self, scene: Scene) -> tuple[Tensor, list[tuple[float, list[int]]]]:
        """World to camera (G, 4, 4); and of the objects that are as they are Cycles' cameras, with their focal lengths
        and the rows of their pictures."""
        matrix, pictures = self._place_cameras(scene), []
        for entry in range(scene.known):
            shown = self.views[scene.chosen[entry]]
            number = 0 if self.chance.rng.random() < FRONT else int(self.chance.rng.integers(len(shown)))
            camera, focal, rows = shown[number]
            matrix[entry] = camera.to(self.device)
            pictures.append((focal, rows))
        return matrix, pictures

    def _place_cameras(self, scene: Scene) -> Tensor:
        """World to camera (G, 4, 4), as render-dataset places them; half of them look at the front."""
        count = len(scene.chosen)
        front = self.chance.uniform(count) < 0.55
        u = self.chance.uniform(5, count)
        azimuth = torch.where(front, (u[0] * 2 - 1) * math.pi / 3, (u[0] * 2 - 1) * math.pi)
        low, high = (torch.where(front, math.sin(math.radians(a)), math.sin(math.radians(b)))
                     for a, b in ((5, -20), (30, 70)))
        elevation = torch.asin(low + (high - low) * u[1])
        wide = math.log(10) + math.log(9) * u[2]
        fov = torch.where(front | (u[3] < 0.5), torch.full_like(wide, 40.0), torch.exp(wide)) * math.pi / 180
        radius = scene.radius * FRAME / torch.sin(fov / 2) * (1 + u[4] * torch.where(front, 0.2, 0.6))
        return orbit(azimuth, elevation, radius)

    def _roll(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Half of the pictures are turned in their plane, by (G,) radians: those, and the cameras after it."""
        count = len(matrix)
        roll = self.chance.normal(count) * (self.chance.uniform(count) < 0.5) * math.radians(6)
        c, s = roll.cos(), roll.sin()
        turn = torch.zeros(count, 4, 4, device=self.device)
        turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = c, s, -s, c
        turn[:, 2, 2] = turn[:, 3, 3] = 1
        return roll, turn @ matrix

    def _frame(self, scene: Scene, matrix: Tensor) -> Tensor:
        """The crops (G, 3), middle x, y and side in the plane z = 1: a little off, as a rough matte gives them."""
        seen, count = scene.place(scene.position, matrix), len(matrix)
        low, high = extent(seen[:, :2] / seen[:, 2:].clamp(min=1e-3), scene.entry, count)
        side = MARGIN * (high - low).amax(1) * (0.95 + 0.25 * self.chance.uniform(count))
        middle = (low + high) / 2 + self.chance.normal(count, 2) * 0.02 * side[:, None]
        return torch.cat([middle, side[:, None]], 1)

    def _change_hues(self, image: Tensor, layers: Tensor) -> None:
        """Puts the colours of some photos and of their layers in another order, in place."""
        count = len(image)
        hued = self.chance.uniform(count) < HUED
        order = torch.argsort(self.chance.uniform(count, 3), 1)
        order = torch.where(hued[:, None], order, torch.arange(3, device=self.device))
        order = order[:, :, None, None].expand(-1, -1, SIZE, SIZE)
        image[:, Picture.COLOR] = image[:, Picture.COLOR].gather(1, order)
        layers[:, Layer.BASE_COLOR] = layers[:, Layer.BASE_COLOR].gather(1, order)

    def _crop_pictures(self, pictures: list[tuple[float, list[int]]], window: Tensor, roll: Tensor) -> Tensor:
        """Crops (B, 4, R / 2, R / 2) of Cycles' pictures, linear premultiplied, their lights mixed."""
        size, mixed = RASTER // 2, []
        for _, rows in pictures:
            stored = self.pictures[rows].float() / 255
            linear = srgb_decode(stored[..., :3])
            linear = linear / (1 - linear).clamp(min=0.01) * stored[..., 3:]
            share = self.chance.rng.dirichlet(np.full(len(rows), 0.5)).astype(np.float32)
            share = torch.from_numpy(share).to(self.device)[:, None] * (0.8 + 0.4 * self.chance.uniform(len(rows), 3))
            mixed.append(torch.cat([torch.einsum("lhwc,lc->hwc", linear, share), stored[0, ..., 3:]], -1))
        steps = (torch.arange(size, device=self.device) + 0.5) / size - 0.5
        ray = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
        ray = ray * window[:, None, None, 2:] + window[:, None, None, :2]
        c, s = roll.cos()[:, None, None], roll.sin()[:, None, None]
        ray = torch.stack([c * ray[..., 0] - s * ray[..., 1], s * ray[..., 0] + c * ray[..., 1]], -1)
        focal = torch.tensor([focal for focal, _ in pictures], device=self.device)[:, None, None, None]
        return F.grid_sample(torch.stack(mixed).permute(0, 3, 1, 2), ray * focal * 2, align_corners=False)

    def _develop(self, photo: Tensor) -> Tensor:
        """(B, 4, R, R) linear premultiplied -> (B, 4, SIZE, SIZE) as make_network_image; exposed for the subject,
        roughly."""
        alpha = photo[:, 3:].clamp(0, 1)
        straight = photo[:, :3] / alpha.clamp(min=1e-3)
        peak = torch.where(alpha[:, 0] > 0.5, straight.amax(1), torch.zeros_like(alpha[:, 0])).flatten(1)
        opaque = (alpha[:, 0] > 0.5).flatten(1).sum(1)
        order = peak.sort(1, descending=True).values
        level = order.gather(1, (opaque * 0.2).long().clamp(max=order.shape[1] - 1)[:, None])[:, 0]
        target = 0.25 + 0.85 * self.chance.uniform(len(photo))
        blend = self.chance.uniform(len(photo)) * (self.chance.uniform(len(photo)) < 0.5)
        straight = straight * ((target / level.clamp(min=1e-3)) ** blend)[:, None, None, None]
        developed = torch.cat([(srgb_encode(straight) * 2 - 1) * alpha, alpha], 1)
        return F.interpolate(developed, (SIZE, SIZE), mode="bilinear", align_corners=False)


def locate_cells(matrix: Tensor, window: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """uv (B, 2, 64^3, 2), depth (B, 2, 64^3) and towards (B, 3) of Structure, for cameras (B, 4, 4) and their crops
    (B, 3), perhaps in a mirror."""
    sign = torch.where(mirrored, -1.0, 1.0)
    centres = torch.from_numpy(compute_cell_centres(RESOLUTION)).to(matrix.device)
    uvs, depths = [], []
    for side in (1.0, -1.0):
        flip = torch.stack([side * sign, torch.ones_like(sign), torch.ones_like(sign)], -1)
        turn = matrix[:, :3, :3] * flip[:, None]
        seen = centres @ turn.transpose(1, 2) + matrix[:, None, :3, 3]
        uv = (seen[..., :2] / seen[..., 2:].clamp(min=1e-3) - window[:, None, :2]) / window[:, None, 2:] * 2
        uv[..., 0] *= sign[:, None]
        uvs.append(uv)
        depths.append(seen[..., 2] - matrix[:, None, 2, 3])
    towards = direction_to(matrix)
    towards[:, 0] *= sign
    return torch.stack(uvs, 1), torch.stack(depths, 1), towards


def turn_around(angle: Tensor) -> Tensor:
    """(B, 4, 4), turns about +Z by angles (B,), radians: behind a camera's matrix, they move the camera."""
    turn = torch.eye(4, device=angle.device).repeat(len(angle), 1, 1)
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = angle.cos(), angle.sin(), -angle.sin(), angle.cos()
    return turn


def direction_to(matrix: Tensor) -> Tensor:
    """Unit vectors (B, 3) from the origin to cameras (B, 4, 4), world to camera."""
    return F.normalize(-torch.einsum("bji,bj->bi", matrix[:, :3, :3], matrix[:, :3, 3]), dim=1)


def orbit(azimuth: Tensor, elevation: Tensor, radius: Tensor) -> Tensor:
    """World to camera (B, 4, 4), OpenCV, looking at the origin; azimuth 0 is the front, -Y."""
    matrix = torch.zeros(len(radius), 4, 4, device=radius.device)
    matrix[:, :3, :3] = camera_to_world(azimuth - math.pi / 2, elevation).transpose(1, 2)
    matrix[:, 2, 3] = radius
    matrix[:, 3, 3] = 1
    return matrix

"""Pictures to learn mattes from: photos with mattes, and composites of what was cut out of them, of pictures with alpha
and of renders, over photos of places, crops of HDRIs and plain walls; all of it seen through a camera's exposure, blur,
noise and JPEG."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from . import photos
from .color import srgb_encode

HELD = 6  # every sixth photo is held out, by a checksum of its name
SHARES = {"photo": 0.5, "cut": 0.16, "cutout": 0.18, "render": 0.16}  # of the samples: photos as they are, what was cut
# out of them, pictures with alpha, renders
SMALL = 100  # pixels of the longer side: smaller pictures with alpha are left out
CROWD = 0.22  # of the composites: two or three things that are all the object
INTRICATE = 3.0  # times a disc is drawn, a thing with a long outline is at most
GLASS = 0.08  # of the composites: what is behind shows through the thing, or through a part of it
MOTTLED = 0.15  # of the things: a part has another colour and brightness
SHADOW = 0.2  # of the samples: a shadow falls across the thing and what is behind it


@dataclass(frozen=True)
class Matted:
    """rgba: (H, W, 4) uint8 sRGB, straight alpha. weight: 0..1, how much its alpha is worth."""

    rgba: np.ndarray
    weight: float = 1.0

    @cached_property
    def intricacy(self) -> float:
        """How often it is drawn: 1 for a disc, more for what is thin or has holes."""
        solid = self.rgba[..., 3] > 127
        edge = (solid[1:] != solid[:-1]).sum() + (solid[:, 1:] != solid[:, :-1]).sum()
        return float(np.clip(edge / 4.5 / np.sqrt(max(solid.sum(), 1)), 1, INTRICATE))


def read_photos(folders: tuple[Path, ...], left_out: tuple[Path, ...]) -> tuple[list[Matted], list[Matted]]:
    """Photos <name>.jpg with mattes <name>.png, without the names that are in the folders left out: to learn from, and
    held out. A matte is worth the less the more of it lies between 0 and 1."""
    without = {path.stem for folder in left_out for path in folder.iterdir()}
    learned, held = [], []
    for path in sorted(path for folder in folders for path in folder.glob("*.jpg")):
        if path.stem in without:
            continue
        with Image.open(path) as photo, Image.open(path.with_suffix(".png")) as matte:
            rgba = np.dstack([np.asarray(photo.convert("RGB")), np.asarray(matte.convert("L"))])
        alpha = rgba[..., 3] / 255
        unsure = np.minimum(alpha, 1 - alpha).sum() / max(alpha.sum(), 1)
        (held if is_held(path) else learned).append(Matted(rgba, float(np.clip(1.2 - 6 * unsure, 0.2, 1))))
    return learned, held


def is_held(path: Path) -> bool:
    """Whether a photo is held out."""
    return zlib.crc32(path.stem.encode()) % HELD == 0


def is_complete(photo: Matted) -> bool:
    """Whether the photo's borders cut next to nothing of the object off."""
    solid = photo.rgba[..., 3] > 127
    return np.mean(np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])) < 0.02


def read_cutouts(folders: tuple[Path, ...]) -> list[Matted]:
    """Pictures with alpha, at most 512 pixels, cropped to what is in them."""
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*.png")):
        with Image.open(path) as picture:
            if max(picture.size) < SMALL:
                continue
            picture = picture.convert("RGBA")
            picture.thumbnail((512, 512))
            box = picture.getchannel("A").point(lambda a: 255 * (a > 127)).getbbox()
            if box and np.mean(np.asarray(picture)[..., 3] < 128) > 0.02:
                found.append(Matted(np.asarray(picture.crop(box))))
    return found


def read_places(folders: tuple[Path, ...], left_out: tuple[Path, ...]) -> list[np.ndarray]:
    """Photos (H, W, 3) uint8 to put things before, without the names left out and those of photos held out."""
    without = {path.stem for folder in left_out for path in folder.iterdir()}
    paths = sorted(path for folder in folders for path in folder.glob("*.jpg"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths
            if path.stem not in without and not is_held(path)]


def render_view(view: photos.LitView, rng: np.random.Generator) -> Matted:
    """A render under one mixture of its lights."""
    picture = photos.mix_lights(view, rng, True)
    color = srgb_encode(picture[:3] / picture[3:].clamp(min=1e-3))
    return Matted((torch.cat([color, picture[3:].clamp(0, 1)]).permute(1, 2, 0) * 255 + 0.5).byte().numpy())


def _planes(rgba: np.ndarray) -> Tensor:
    """(C, H, W) float32 0..1."""
    return torch.tensor(rgba).permute(2, 0, 1).float() / 255


def _look_through(picture: Tensor, across: Tensor, down: Tensor, padding: str) -> Tensor:
    """(C, H, W) looked up at across, down (S, S) in [-1, 1], shrunk first where its pixels are the finer ones."""
    size = across.shape[0]
    step = min(float((across[size // 2, -1] - across[size // 2, 0]).abs()) * picture.shape[2],
               float((down[-1, size // 2] - down[0, size // 2]).abs()) * picture.shape[1]) / 2 / size
    if step > 1.5:
        kernel = int(round(step))
        picture = F.avg_pool2d(picture[None], kernel, ceil_mode=True, count_include_pad=False)[0]
    return F.grid_sample(picture[None], torch.stack([across, down], -1)[None], padding_mode=padding,
                         align_corners=False)[0]


def _box(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of what is solid in a picture (H, W, 4) uint8: x, y in [-1, 1]."""
    solid = rgba[..., 3] > 127
    ends = [(found[0], found[-1] + 1) for found in (np.flatnonzero(solid.any(axis)) for axis in (0, 1))]
    return tuple(np.array(ends).T / solid.shape[::-1] * 2 - 1)


class Compositor:
    """Where samples are made. size: pixels of a sample."""

    def __init__(self, sources: dict[str, list], places: list[np.ndarray], maps: list[np.ndarray], size: int,
                 rng: np.random.Generator):
        self.sources, self.places, self.maps, self.size, self.rng = sources, places, maps, size, rng
        shares = np.array([SHARES[kind] if sources.get(kind) else 1e-9 for kind in SHARES])
        self.shares = shares / shares.sum()
        self._loose = [kind for kind in SHARES if kind != "photo" and sources.get(kind)]  # not where they were taken
        self._odds = {kind: np.cumsum([each.intricacy for each in things]) for kind, things in sources.items()
                      if kind != "render"}

    def grid(self) -> tuple[Tensor, Tensor]:
        """x and y (S, S) in [-1, 1] of a sample's pixels."""
        steps = (torch.arange(self.size, dtype=torch.float32) + 0.5) / self.size * 2 - 1
        return steps[None].expand(self.size, -1), steps[:, None].expand(-1, self.size)

    def pick(self, things: list):
        """One of them by chance."""
        return things[self.rng.integers(len(things))]

    def draw(self) -> tuple[Tensor, Tensor, float]:
        """A picture (3, S, S) in [-1, 1], its alpha (S, S), and what it is worth."""
        kind = self.rng.choice(list(SHARES), p=self.shares)
        thing = self.take(kind)
        more = self.rng.integers(1, 3) if self._loose and self.rng.random() < CROWD else 0
        others = [self.take(self.pick(self._loose)) for _ in range(more)]
        picture, alpha = self.crop(thing) if kind == "photo" else self.compose(thing, *others)
        if self.rng.random() < SHADOW:
            picture = picture * (1 - float(self.rng.uniform(0.3, 0.75)) * self.part())
        return self.expose(picture) * 2 - 1, alpha, thing.weight

    def part(self) -> Tensor:
        """(S, S) 0..1: what of the square is on one side of a line, sharp or soft."""
        rng, (x, y), turn = self.rng, self.grid(), self.rng.uniform(0, 2 * np.pi)
        away = float(np.cos(turn)) * x + float(np.sin(turn)) * y - float(rng.uniform(-0.5, 0.5))
        return (away * float(np.exp(rng.uniform(0.5, 4)))).sigmoid()

    def take(self, kind: str) -> Matted:
        """A thing of a kind in SHARES by chance, intricate ones more often."""
        if kind == "render":
            return render_view(self.pick(self.sources[kind]), self.rng)
        odds = self._odds[kind]
        return self.sources[kind][int(np.searchsorted(odds, self.rng.uniform(0, odds[-1])))]

    def crop(self, photo: Matted) -> tuple[Tensor, Tensor]:
        """A window of the photo, squeezed into a square: all of it, close to the object, or between."""
        rng, planes = self.rng, _planes(photo.rgba)
        low, high = _box(photo.rgba)
        margin = rng.uniform(-0.08, 0.3) * (high - low)
        share = rng.uniform(0, 1, (2, 2)) * rng.uniform(0, 1) ** 0.5 if rng.random() < 0.75 else np.ones((2, 2))
        low = np.maximum(low - margin, -1) * (1 - share[0]) - share[0]
        high = np.minimum(high + margin, 1) * (1 - share[1]) + share[1]
        x, y = self.grid()
        if rng.random() < 0.5:
            x = -x
        roll = float(rng.normal(0, 0.12)) if rng.random() < 0.4 else 0.0
        x, y = x + roll * y, y - roll * x
        middle, half = (low + high) / 2, (high - low) / 2
        x, y = x * float(half[0]) + float(middle[0]), y * float(half[1]) + float(middle[1])
        seen = _look_through(planes, x, y, "reflection")
        return seen[:3], seen[3]

    def compose(self, *things: Matted) -> tuple[Tensor, Tensor]:
        """Things before something else, the first in front of the others."""
        rng, filling = self.rng, 1.0 if len(things) == 1 else 0.65
        light, alpha = self.place(things[0], filling)
        for thing in things[1:]:
            more, solid = self.place(thing, filling)
            light, alpha = light + more * (1 - alpha), alpha + solid * (1 - alpha)
        behind = self.make_backdrop(light / alpha.clamp(min=1e-3), alpha)
        if rng.random() < 0.6:  # something of a contact shadow below the object
            shade = box_blur(alpha[None], int(rng.integers(5, 30)))[0].roll(int(rng.integers(0, 25)), 0)
            behind = behind * (1 - 0.7 * shade * float(rng.random()))
        if rng.random() < GLASS:
            light = self.see_through(light, alpha, behind)
        return light + behind * (1 - alpha), alpha

    def see_through(self, light: Tensor, alpha: Tensor, behind: Tensor) -> Tensor:
        """A thing's colour times alpha (3, S, S) as if all or a part of it were of glass: its outline, edges and
        highlights stay, elsewhere what is behind shows, shifted as by glass."""
        rng = self.rng
        detail = 6 * (light - box_blur(light, 3)).abs().amax(0)
        clear = float(rng.uniform(0.5, 0.95)) * box_blur(alpha[None], int(rng.integers(2, 6)))[0] ** 3
        clear = clear * (1 - detail).clamp(0, 1) * (self.part() if rng.random() < 0.5 else 1)
        shifted = behind.roll(tuple(rng.integers(-12, 13, 2).tolist()), (1, 2)) * float(rng.uniform(0.7, 1.05))
        return light * (1 - clear) + (shifted * alpha * clear).clamp(0, 1)

    def place(self, thing: Matted, filling: float = 1.0) -> tuple[Tensor, Tensor]:
        """A thing somewhere in the square: colour times alpha (3, S, S), and alpha (S, S). filling: how large it is at
        most, of what one alone is."""
        rng, planes = self.rng, _planes(thing.rgba)
        low, high = _box(thing.rgba)
        middle, half = (low + high) / 2, (high - low) / 2
        sides = half * thing.rgba.shape[1::-1]
        # shares of the square's sides that the thing takes; nearly half of those that are alone are small
        is_small = filling == 1 and rng.random() < 0.45
        fill = filling * (rng.uniform(0.12, 0.4) if is_small else rng.uniform(0.4, 1.05))
        fill = np.clip(fill * np.exp(rng.normal(0, 0.1, 2)) * sides / sides.max(), 0.05, 1.1)
        at = rng.uniform(-1, 1, 2) * np.maximum(1 - fill, 0.05) * 0.8
        x, y = self.grid()
        x, y = x - float(at[0]), y - float(at[1])
        roll = float(rng.normal(0, 0.15)) if rng.random() < 0.5 else 0.0
        x, y = (x + roll * y) * float(half[0] / fill[0]), (y - roll * x) * float(half[1] / fill[1])
        if rng.random() < 0.5:
            x = -x
        planes = torch.cat([planes[:3] * planes[3:], planes[3:]])
        seen = _look_through(planes, x + float(middle[0]), y + float(middle[1]), "zeros")
        color = seen[:3] / seen[3].clamp(min=1e-3)
        light = self.tint(color, 0.25)
        if rng.random() < MOTTLED:
            light = light + (self.tint(color, 0.6) - light) * self.part()
        return light * seen[3], seen[3]

    def make_backdrop(self, color: Tensor, alpha: Tensor) -> Tensor:
        """(3, S, S) display: what is behind a thing; at times with a table on which it stands, or with things out of
        focus."""
        rng = self.rng
        out = self.make_scenery(color, alpha)
        if self._loose and rng.random() < 0.25:
            foot = torch.nonzero(alpha.amax(1) > 0.5)
            low = float(foot[-1] if len(foot) else self.size * 0.8) / self.size * 2 - 1
            x, y = self.grid()
            below = (y - (low - float(rng.uniform(0, 0.7))) + x * float(rng.normal(0, 0.05))) * self.size / 2
            below = (below / float(rng.uniform(1, 4)) + 0.5).clamp(0, 1)
            out = out * (1 - below) + self.make_scenery(color, alpha) * below
        if self._loose and rng.random() < 0.15:
            for _ in range(rng.integers(1, 4)):
                light, solid = self.place(self.take(self.pick(self._loose)), 0.7)
                radius = int(rng.integers(4, 12))
                other = box_blur(box_blur(torch.cat([light, solid[None]]), radius), radius)
                out = other[:3] + out * (1 - other[3:])
        return box_blur(box_blur(out, radius := int(rng.integers(1, 8))), radius) if rng.random() < 0.5 else out

    def make_scenery(self, color: Tensor, alpha: Tensor) -> Tensor:
        """(3, S, S) display: a place, a perspective view of a map, or a wall, at times of the object's own colour."""
        rng, kind = self.rng, self.rng.random()
        x, y = self.grid()
        if kind < 0.52 and self.places:
            zoom = rng.uniform(0.3, 1, 2)
            middle = rng.uniform(-1, 1, 2) * (1 - zoom)
            out = _look_through(_planes(self.pick(self.places)), x * float(zoom[0]) * (1 if rng.random() < 0.5 else -1)
                                + float(middle[0]), y * float(zoom[1]) + float(middle[1]), "border")
            return self.tint(out, 0.25)
        if kind < 0.72:
            zoom, middle, turn = (float(rng.uniform(*ends)) for ends in ((0.12, 0.45), (-0.55, 0.55), (-1, 1)))
            out = _look_through(torch.from_numpy(self.pick(self.maps)).permute(2, 0, 1).float(),
                                (x * zoom / 2 + turn + 1) % 2 - 1, (y * zoom + middle).clamp(-1, 1), "border")
            return srgb_encode(out * float(rng.uniform(0.3, 0.9) / max(float(out.mean()), 1e-3)))
        ends = torch.from_numpy(rng.uniform(0, 1, (2, 3)) * 0.3 + rng.uniform(0, 0.7, (2, 1))).float()
        inside = torch.nonzero(alpha > 0.9)
        if len(inside) and rng.random() < 0.5:
            row, column = inside[rng.integers(len(inside))].tolist()
            ends = ends * 0.15 + color[:, row, column] * 0.9
        ramp = ((y + float(rng.normal()) * x) * 0.4 + 0.5).clamp(0, 1) ** float(rng.uniform(0.3, 3))
        return (ends[0][:, None, None] * (1 - ramp) + ends[1][:, None, None] * ramp).clamp(0, 1)

    def tint(self, picture: Tensor, strength: float) -> Tensor:
        """Another exposure, white balance, contrast and saturation; display values."""
        rng = self.rng
        gain = torch.from_numpy(np.exp(rng.normal(0, strength) + rng.normal(0, strength / 4, 3))).float()
        picture = picture.clamp(1e-4, 1) ** float(np.exp(rng.normal(0, strength / 2))) * gain[:, None, None]
        grey = picture.mean(0, keepdim=True)
        return (grey + (picture - grey) * float(np.exp(rng.normal(0, strength)))).clamp(0, 1)

    def expose(self, picture: Tensor) -> Tensor:
        """(3, S, S) as a camera would hand it over."""
        rng = self.rng
        picture = self.tint(picture, 0.2) if rng.random() < 0.7 else picture
        if rng.random() < 0.05:
            picture = picture.mean(0, keepdim=True).expand(3, -1, -1)
        if rng.random() < 0.35:
            picture = box_blur(picture, 1)
        if rng.random() < 0.2:  # a picture that was enlarged
            share = float(rng.uniform(0.3, 0.8))
            small = F.interpolate(picture[None], scale_factor=share, mode="bilinear", antialias=True)
            picture = F.interpolate(small, picture.shape[1:], mode="bilinear")[0]
        if rng.random() < 0.5:
            picture = picture + torch.randn_like(picture) * (0.3 + picture.sqrt()) * float(rng.uniform(0, 0.05))
        if rng.random() < 0.5:
            file = io.BytesIO()
            pixels = (picture.clamp(0, 1) * 255).byte().permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(25, 95)))
            picture = _planes(np.asarray(Image.open(file)))
        return picture.clamp(0, 1)


def box_blur(maps: Tensor, radius: int) -> Tensor:
    """(C, H, W): the mean over the square around every pixel, one axis after the other."""
    for kernel, padding in (((2 * radius + 1, 1), (radius, 0)), ((1, 2 * radius + 1), (0, radius))):
        maps = F.avg_pool2d(maps[None], kernel, 1, padding, count_include_pad=False)[0]
    return maps


def squeeze(photo: Matted, size: int) -> tuple[Tensor, Tensor]:
    """A photo as it is, squeezed: (3, S, S) in [-1, 1] and (S, S)."""
    rgb, alpha = Image.fromarray(photo.rgba[..., :3]), Image.fromarray(photo.rgba[..., 3])
    small = [np.asarray(part.resize((size, size), Image.Resampling.BILINEAR)) for part in (rgb, alpha)]
    return _planes(small[0]) * 2 - 1, torch.tensor(small[1]).float() / 255

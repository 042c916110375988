"""Pictures to learn mattes from: photos with mattes, and composites of what was cut out of them, of pictures with alpha
and of renders, over photos of places, crops of HDRIs and plain walls; all of it seen through a camera's exposure, blur,
noise and JPEG."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Matted:
    """rgba: (H, W, 4) uint8 sRGB, straight alpha. weight: 0..1, how much its alpha is worth."""

    rgba: np.ndarray
    weight: float = 1.0


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
        thing = self.pick(self.sources[kind])
        thing = render_view(thing, self.rng) if kind == "render" else thing
        picture, alpha = self.crop(thing) if kind == "photo" else self.compose(thing)
        return self.expose(picture) * 2 - 1, alpha, thing.weight

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

    def compose(self, thing: Matted) -> tuple[Tensor, Tensor]:
        """A thing before something else."""
        rng, planes = self.rng, _planes(thing.rgba)
        low, high = _box(thing.rgba)
        middle, half = (low + high) / 2, (high - low) / 2
        sides = half * thing.rgba.shape[1::-1]
        # shares of the square's sides that the thing takes; a third of all things are small
        fill = rng.uniform(0.12, 0.4) if rng.random() < 0.35 else rng.uniform(0.4, 1.05)
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
        alpha = seen[3]
        color = self.tint(seen[:3] / alpha.clamp(min=1e-3), 0.25)
        behind = self.make_backdrop(color, alpha)
        if rng.random() < 0.6:  # something of a contact shadow below the object
            shade = box_blur(alpha[None], int(rng.integers(5, 30)))[0].roll(int(rng.integers(0, 25)), 0)
            behind = behind * (1 - 0.7 * shade * float(rng.random()))
        return color * alpha + behind * (1 - alpha), alpha

    def make_backdrop(self, color: Tensor, alpha: Tensor) -> Tensor:
        """(3, S, S) display: a place, a perspective view of a map, or a wall, at times of the object's own colour."""
        rng, kind = self.rng, self.rng.random()
        x, y = self.grid()
        if kind < 0.55 and self.places:
            zoom = rng.uniform(0.3, 1, 2)
            middle = rng.uniform(-1, 1, 2) * (1 - zoom)
            out = _look_through(_planes(self.pick(self.places)), x * float(zoom[0]) * (1 if rng.random() < 0.5 else -1)
                                + float(middle[0]), y * float(zoom[1]) + float(middle[1]), "border")
            out = self.tint(out, 0.25)
        elif kind < 0.78:
            zoom, middle, turn = (float(rng.uniform(*ends)) for ends in ((0.12, 0.45), (-0.55, 0.55), (-1, 1)))
            out = _look_through(torch.from_numpy(self.pick(self.maps)).permute(2, 0, 1).float(),
                                (x * zoom / 2 + turn + 1) % 2 - 1, (y * zoom + middle).clamp(-1, 1), "border")
            out = srgb_encode(out * float(rng.uniform(0.3, 0.9) / max(float(out.mean()), 1e-3)))
        else:
            ends = torch.from_numpy(rng.uniform(0, 1, (2, 3)) * 0.3 + rng.uniform(0, 0.7, (2, 1))).float()
            inside = torch.nonzero(alpha > 0.9)
            if len(inside) and rng.random() < 0.4:
                row, column = inside[rng.integers(len(inside))].tolist()
                ends = ends * 0.15 + color[:, row, column] * 0.9
            ramp = ((y + float(rng.normal()) * x) * 0.4 + 0.5).clamp(0, 1) ** float(rng.uniform(0.3, 3))
            return (ends[0][:, None, None] * (1 - ramp) + ends[1][:, None, None] * ramp).clamp(0, 1)
        return box_blur(box_blur(out, radius := int(rng.integers(1, 8))), radius) if rng.random() < 0.5 else out

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

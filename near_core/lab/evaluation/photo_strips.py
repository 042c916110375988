"""Pictures of what becomes of photos, for docs/photos.md.

`python -m near_core.lab.evaluation.photo_strips --turnaround DIR --photos DIR --hdri E --out DIR`

A picture for each object. Its rows: a photo, and the asset of it from four sides; where there are photos of four sides,
these, and the asset of all of them. Nothing is told but which sides they show.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

import numpy as np

from ... import image
from ...asset import NeuralAsset
from ...create.create import create_from_image
from ...create.shot import Shot, find_view
from ...errors import NearError
from ...light import transport
from ...render.renderer import Renderer
from ...render.thumbnail import TURNTABLE
from ...scene import Environment, Instance, Settings, environment
from ...scene.camera import orbit
from ..datasets.dataset import Dataset
from .baselines import take_photo

VIEWS = ("front", "right", "back", "left")  # of a turnaround's pictures 0 to 3
ELEVATION, FOV, DISTANCE = 15.0, 40.0, 1.9  # from where assets are drawn
GREY = 0.05  # linear, behind assets
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def compose_strip(photos: list[np.ndarray], name: str, light: Environment, size: int, renderer: Renderer) -> np.ndarray:
    """The picture of an object, (height, width, 3) uint8 sRGB. photos: the front alone, or all of VIEWS."""
    rows = [[fit_tile(put_on_white(photos[0]), size), *_draw_turntable([Shot(photos[0])], name, light, size, renderer)]]
    if len(photos) > 1:
        small = [fit_tile(put_on_white(photo), size // 2) for photo in photos]
        four = np.concatenate([np.concatenate(small[:2], 1), np.concatenate(small[2:], 1)])
        shots = [Shot(photo, **find_view(view)) for photo, view in zip(photos, VIEWS)]
        rows.append([four, *_draw_turntable(shots, name, light, size, renderer)])
    return np.concatenate([np.concatenate(row, 1) for row in rows])


def _draw_turntable(shots: list[Shot], name: str, light: Environment, size: int, renderer: Renderer
                    ) -> list[np.ndarray]:
    try:
        asset = create_from_image(shots, name=name, model=renderer.model)
    except NearError as error:
        return [write_tile(str(error), size)] + [np.zeros((size, size, 3), np.uint8)] * (len(TURNTABLE) - 1)
    return [draw_tile(asset, light, side, size, renderer) for side in TURNTABLE]


def draw_tile(asset: NeuralAsset, light: Environment, azimuth: float, size: int, renderer: Renderer) -> np.ndarray:
    """The asset over grey, (size, size, 3) uint8 sRGB."""
    camera = orbit(azimuth, ELEVATION, DISTANCE, FOV, size, size)
    picture = renderer.render([Instance(asset, np.eye(4))], camera, light, Settings(passes=("Combined",)))["Combined"]
    return np.round(image.srgb_encode(picture[..., :3] + (1 - picture[..., 3:]) * GREY) * 255).astype(np.uint8)


def put_on_white(photo: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3 or 4) uint8 on white, (H, W, 3) uint8."""
    alpha = photo[..., 3:].astype(np.float32) / 255
    return np.round(photo[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8) if photo.shape[2] == 4 else photo


def fit_tile(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 in the middle of a square of `size` pixels."""
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((size, size))
    square = Image.new("RGB", (size, size), (0, 0, 0))
    square.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.asarray(square)


def write_tile(text: str, size: int) -> np.ndarray:
    """A tile that says why there is no picture."""
    from PIL import Image, ImageDraw

    square = Image.new("RGB", (size, size), (90, 20, 20))
    ImageDraw.Draw(square).multiline_text((8, 8), textwrap.fill(text, max(8, size // 7)), fill=(255, 255, 255))
    return np.asarray(square)


def normalize_light(path: Path) -> Environment:
    """A map, made as bright as any: its mean luminance becomes 1."""
    light = Environment(environment.sanitize(image.read(path, max_side=1024), path.name))
    return Environment(light.map, strength=1 / max(transport.prepare_light(light).mean, 1e-6))


def main(arguments: list[str] | None = None) -> int:
    """Carries out the command. Returns the exit status; says in a line what is wrong."""
    parser = argparse.ArgumentParser(prog="near_core.lab.evaluation.photo_strips", description=__doc__.split("\n")[0])
    parser.add_argument("--turnaround", type=Path, help="a data set whose pictures 0 to 3 are of four sides")
    parser.add_argument("--photos", type=Path, help="folder of single photos")
    parser.add_argument("--hdri", type=Path, required=True, help="the light")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--size", type=int, default=160, help="pixels of a tile's side, an even number")
    args = parser.parse_args(arguments)
    try:
        from PIL import Image

        light, renderer = normalize_light(args.hdri), Renderer()
        args.out.mkdir(parents=True, exist_ok=True)
        for name, photos in _list_objects(args.turnaround, args.photos):
            Image.fromarray(compose_strip(photos, name, light, args.size, renderer)).save(
                args.out / f"{name}.jpg", quality=85)
            print(name, file=sys.stderr, flush=True)
        return 0
    except NearError as error:
        print(error, file=sys.stderr)
        return 2


def _list_objects(turnaround: Path | None, folder: Path | None):
    """Names and photos, (H, W, 3 or 4) uint8."""
    if folder is not None:
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise NearError(f"{folder} holds no photos.", f"Choose a folder with {', '.join(SUFFIXES)} files.")
        for path in paths:
            yield path.stem, [image.read_photo(path)]
    if turnaround is not None:
        data = Dataset(turnaround)
        for asset in data.assets:
            yield asset, [take_photo(data.view(asset, number).image()) for number in range(len(VIEWS))]


if __name__ == "__main__":
    raise SystemExit(main())

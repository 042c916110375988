"""One picture of what becomes of photos.

`python -m near_core.lab.evaluation.photo_sheet --photos DIR --hdri E … --out S.jpg`

A row for each photo: itself, the matte, and the asset under every light from the photo's side and two others. Nothing
is chosen: default camera, elevation estimated, our own matte, every photo of the folder, and where no asset comes
out, the reason.
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
from ...errors import NearError
from ...light import transport
from ...render.renderer import Renderer
from ...scene import Environment, Instance, Settings, environment
from ...scene.camera import orbit

SIDES = (0, 60, 180)  # degrees of azimuth
ELEVATION, FOV, DISTANCE = 15.0, 40.0, 1.9
GREY = 0.05  # linear, behind everything
GAP = 4  # pixels
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def compose_sheet(photos: list[Path], lights: list[Environment], size: int, keep_alpha: bool = False,
                  threads: int = 0) -> np.ndarray:
    """The picture, (height, width, 3) uint8 sRGB; tiles are `size` pixels a side.

    keep_alpha: take a photo's own alpha for its matte; otherwise it is put on white first and the matte is ours.
    """
    renderer, rows = Renderer(), []
    for path in photos:
        photo = put_on_white(image.read_photo(path)) if not keep_alpha else image.read_photo(path)
        row = [fit_tile(put_on_white(photo), size)]
        try:
            rows.append(row + _draw_asset_tiles(photo, path.stem, renderer, lights, size, threads))
        except NearError as error:
            rows.append(row + [write_tile(str(error), size)])
        print(f"{path.name}: {len(rows[-1])} tiles", file=sys.stderr, flush=True)
    columns = 2 + len(SIDES) * len(lights)
    grey = image.srgb_encode(np.full((size + GAP, size + GAP, 3), GREY, np.float32))
    joined = np.tile(np.round(grey * 255).astype(np.uint8), (len(rows), columns, 1))
    for y, row in enumerate(rows):
        for x, part in enumerate(row):
            joined[y * (size + GAP):, x * (size + GAP):][:size, :size] = part
    return joined[:-GAP, :-GAP]


def _draw_asset_tiles(photo: np.ndarray, name: str, renderer: Renderer, lights: list[Environment], size: int,
                      threads: int) -> list[np.ndarray]:
    """The matte, and the asset from every side under every light."""
    mattes: list[np.ndarray] = []
    asset = create_from_image([photo], elevation=None, name=name, model=renderer.model,
                              on_preview=lambda matte, _: mattes.append(matte))
    matte = np.round(np.repeat(mattes[0][..., None], 3, 2) * 255).astype(np.uint8)
    return [fit_tile(matte, size), *(draw_tile(asset, light, side, size, renderer, threads)
                                     for light in lights for side in SIDES)]


def draw_tile(asset: NeuralAsset, light: Environment, azimuth: float, size: int, renderer: Renderer,
              threads: int = 0) -> np.ndarray:
    """The asset over grey, (size, size, 3) uint8 sRGB."""
    camera = orbit(azimuth, ELEVATION, DISTANCE, FOV, size, size)
    picture = renderer.render([Instance(asset, np.eye(4))], camera, light,
                              Settings(passes=("Combined",), threads=threads))["Combined"]
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
    """A map, made as bright as the others: its mean luminance becomes 1."""
    light = Environment(environment.sanitize(image.read(path, max_side=1024), path.name))
    return Environment(light.map, strength=1 / max(transport.prepare_light(light).mean, 1e-6))


def main(arguments: list[str] | None = None) -> int:
    """Carries out the command. Returns the exit status; says in a line what is wrong."""
    parser = argparse.ArgumentParser(prog="near_core.lab.evaluation.photo_sheet", description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--hdri", type=Path, action="append", required=True, help="a light; may be given again")
    parser.add_argument("--out", type=Path, required=True, help=".jpg or .png")
    parser.add_argument("--size", type=int, default=224, help="pixels of a tile's side")
    parser.add_argument("--keep-alpha", action="store_true", help="take a photo's own alpha instead of our matte")
    parser.add_argument("--threads", type=int, default=0, help="0 = all")
    args = parser.parse_args(arguments)
    try:
        photos = sorted(p for p in args.photos.glob("*") if p.suffix.lower() in SUFFIXES)
        if not photos:
            raise NearError(f"{args.photos} holds no photos.", f"Choose a folder with {', '.join(SUFFIXES)} files.")
        if args.out.suffix.lower() not in SUFFIXES or not args.out.absolute().parent.is_dir():
            raise NearError(f"{args.out} can't be written.", "Name a .jpg or .png in a folder that is there.")
        from PIL import Image

        lights = [normalize_light(path) for path in args.hdri]
        made = compose_sheet(photos, lights, args.size, args.keep_alpha, args.threads)
        Image.fromarray(made).save(args.out, quality=90)
        return 0
    except NearError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())

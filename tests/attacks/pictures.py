"""Intact pictures of every kind that a reader may be handed."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np

from near_core import image
from near_core.mesh import texture
from tests.pictures import radiance

TEXTURES = (("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"}),
            ("TIFF", {"compression": "jpeg"}), ("TIFF", {"compression": "packbits"}), ("GIF", {}), ("BMP", {}),
            ("TGA", {"compression": "tga_rle"}), ("AVIF", {}), ("WEBP", {"lossless": True}))


def encode(kind: str, **options) -> bytes:
    """A picture of noise as Pillow writes it."""
    from PIL import Image
    rng, out = np.random.default_rng(0), io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)).save(out, kind, **options)
    return out.getvalue()


def make_textures() -> list[bytes]:
    """What a mesh's texture may be besides PNG and JPEG: it goes by its bytes, not by its name."""
    from PIL import Image
    lined, moving = io.BytesIO(), io.BytesIO()
    Image.new("1", (64, 64)).save(lined, "TIFF", compression="group4")
    Image.new("P", (64, 64)).save(moving, "GIF", save_all=True, append_images=[Image.new("P", (64, 64), 3)] * 3)
    return [*(encode(kind, **options) for kind, options in TEXTURES), lined.getvalue(), moving.getvalue()]


def read_texture(path: Path) -> None:
    """As the texture of a mesh, and as the photo that its name says it is."""
    texture.decode(path.read_bytes(), "A texture")
    image.read_photo(path)


def make_exrs() -> list[bytes]:
    """As we write them, and in every compression that OpenEXR has, in lines and tiles."""
    import OpenEXR
    picture, large = radiance(9, 12), radiance(40, 48)
    layers = {"Combined": picture, "Depth": picture[..., :1], "Normal": picture[..., :3]}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.exr"

        def keep(write) -> None:
            write()
            found.append(path.read_bytes())

        keep(lambda: image.write_exr(path, {"Combined": picture}))
        keep(lambda: image.write_exr(path, layers, half=True))
        for name in sorted(each for each in dir(OpenEXR) if each.endswith("_COMPRESSION") and each[:3] != "NUM"):
            for tiled in (False, True):
                kind = OpenEXR.tiledimage if tiled else OpenEXR.scanlineimage
                header = {"compression": getattr(OpenEXR, name), "type": kind} | (
                    {"tiles": OpenEXR.TileDescription()} if tiled else {})
                keep(lambda: OpenEXR.File(header, {"RGBA": large.astype(np.float16 if tiled else np.float32)}  # noqa: B023
                                          ).write(str(path)))
    return found

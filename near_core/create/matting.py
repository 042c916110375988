"""Which pixels of a photo are the object: by near-mini's network, or by an installed rembg."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import NearError
from ..image.filters import drop_specks
from ..image.guided_filter import fit_to_guide
from ..models.mini.layout import MATTE_SIZE
from ..models.mini.runtime import NearMini
from .config import MattingConfig

Window = tuple[slice, slice]  # of a photo's rows and columns

# rembg's models, the best first: what opens their files
REMBG = {"isnet-general-use": "dis_custom", "u2net": "u2net_custom"}


def predict_matte(model: NearMini, picture: np.ndarray, config: MattingConfig = MattingConfig()) -> np.ndarray:
    """How much of each pixel of a photo (H, W, 3), sRGB 0..1, belongs to the object in front. (H, W) float32 0..1.

    The network looks at the whole photo, and then from nearer at what it is surest of, as long as that is small
    and config.looks allow. What it says last follows the edges of the photo's own pixels.
    """
    window = (slice(0, picture.shape[0]), slice(0, picture.shape[1]))
    for look in range(1, config.looks + 1):
        seen, alpha = _look(model, picture[window], config)
        sure = alpha > max(config.sure_alpha * alpha.max(), config.faint_alpha)
        nearer = _window_around(sure, window, picture.shape[:2], config.crop_margin)
        if nearer is None or look == config.looks or _area(nearer) > config.small_window * _area(window):
            break
        window = nearer
    matte = np.zeros(picture.shape[:2], np.float32)
    matte[window] = _enlarge(alpha, seen, picture[window], config)
    return matte


def _look(model: NearMini, picture: np.ndarray, config: MattingConfig) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3), sRGB 0..1, squeezed into the square that the network sees (S, S, 3), and the mean of what it
    says of that and of its mirror image, without specks: (S, S) float32."""
    seen = _resize(picture, (MATTE_SIZE, MATTE_SIZE))
    squeezed = seen.transpose(2, 0, 1)[None] * 2 - 1
    logits = [model.run("matte", picture=side)[0][0] for side in (squeezed, squeezed[..., ::-1])]
    alpha = sum(1 / (1 + np.exp(-side)) for side in (logits[0], logits[1][:, ::-1])) / 2
    return seen, np.where(drop_specks(alpha > config.faint_alpha, config.speck_share, alpha > 0.5), alpha, 0)


def _area(window: Window) -> int:
    return (window[0].stop - window[0].start) * (window[1].stop - window[1].start)


def _window_around(solid: np.ndarray, window: Window, shape: tuple[int, int], margin: float) -> Window | None:
    """A square of margin times the size of what is solid (S, S) in a window of a photo of that shape, within the photo;
    None where nothing is solid."""
    if not solid.any():
        return None
    ranges = []
    for axis, whole in enumerate(window):
        found = np.flatnonzero(solid.any(1 - axis))
        scale = (whole.stop - whole.start) / solid.shape[axis]
        ranges.append((whole.start + found[0] * scale, whole.start + (found[-1] + 1) * scale))
    half = margin * max(high - low for low, high in ranges) / 2

    def side(low: float, high: float, size: int) -> slice:
        """At least 8 pixels, which every photo has."""
        first, last = max(int((low + high) / 2 - half), 0), min(math.ceil((low + high) / 2 + half), size)
        return slice(min(first, size - 8), max(last, first + 8))

    return side(*ranges[0], shape[0]), side(*ranges[1], shape[1])


def _enlarge(alpha: np.ndarray, seen: np.ndarray, picture: np.ndarray, config: MattingConfig) -> np.ndarray:
    """alpha (S, S) at the size of the picture (H, W, 3) whose squeezed image (S, S, 3) it was found in."""
    fit = _resize(fit_to_guide(alpha, seen, config.edge_radius, config.edge_tolerance), picture.shape[:2])
    return np.clip((fit[..., :3] * picture).sum(-1) + fit[..., 3], 0, 1)


def _resize(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W, C) at another size, float32."""
    from PIL import Image
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in np.moveaxis(maps, -1, 0)]
    return np.stack([np.asarray(plane.resize(shape[::-1], Image.Resampling.BILINEAR)) for plane in planes], -1)


def open_rembg() -> Callable[[np.ndarray], np.ndarray]:
    """What an installed rembg takes for the object, as remove_background does. It gets the file of a model that it once
    downloaded, so that it asks for no other. Raises NearError where the package or a model is missing."""
    try:
        from rembg import new_session
    except (ImportError, SystemExit) as error:  # without onnxruntime, it exits
        raise NearError("The Python package rembg is not installed.",
                        f'Install it with "{sys.executable} -m pip install rembg[cpu]", or use NeAR\'s own matting.'
                        ) from error
    home = Path(os.environ.get("U2NET_HOME") or Path(os.environ.get("XDG_DATA_HOME") or "~", ".u2net")).expanduser()
    found = [(home / f"{model}.onnx", kind) for model, kind in REMBG.items() if (home / f"{model}.onnx").is_file()]
    if not found:
        raise NearError(f"rembg has none of its models {' and '.join(REMBG)} in {home}.",
                        f'Download one with "rembg d {next(iter(REMBG))}", or use NeAR\'s own matting.')
    path, kind = found[0]
    try:
        session = new_session(kind, model_path=str(path))
    except Exception as error:  # onnxruntime has errors of many kinds
        raise NearError(f"rembg cannot read its model {path}.",
                        "Delete the file and let rembg download it again.") from error

    def matte(picture: np.ndarray) -> np.ndarray:
        from PIL import Image
        mask = session.predict(Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)))[0]
        return np.asarray(mask, np.float32) / 255
    return matte

"""Which pixels of a photo are the object: by near-mini's network, or by an installed rembg."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import NearError
from ..image.filters import drop_specks
from ..models.mini.layout import MATTE_SIZE
from ..models.mini.runtime import NearMini
from .config import MattingConfig

# rembg's models, the best first: what opens their files
REMBG = {"isnet-general-use": "dis_custom", "u2net": "u2net_custom"}


def predict_matte(model: NearMini, picture: np.ndarray, config: MattingConfig = MattingConfig()) -> np.ndarray:
    """How much of each pixel of a photo (H, W, 3), sRGB 0..1, belongs to the object in front. (H, W) float32 0..1.

    The network looks config.looks times: at the whole photo, and then from nearer at what it has found.
    """
    alpha = _matted(model, picture)
    for _ in range(config.looks - 1):
        y, x = np.nonzero(alpha > 0.5)
        if not len(y):
            return alpha
        middle = np.array([y.min() + y.max(), x.min() + x.max()]) / 2
        half = config.crop_margin * max(np.ptp(y), np.ptp(x)) / 2
        low = np.maximum(np.floor(middle - half), 0).astype(int)
        window = tuple(slice(a, max(int(np.ceil(b)), a + 8)) for a, b in zip(low, middle + half + 1))
        alpha[window] = _matted(model, picture[window])
        alpha = np.where(drop_specks(alpha > config.faint_alpha, config.speck_share, alpha > 0.5), alpha, 0)
    return alpha


def _matted(model: NearMini, picture: np.ndarray) -> np.ndarray:
    """What the network says of a picture (H, W, 3), sRGB 0..1, and its mirror image: their mean, (H, W) float32."""
    from PIL import Image
    height, width = picture.shape[:2]
    small = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).resize((MATTE_SIZE,) * 2,
                                                                                    Image.Resampling.BOX)
    squeezed = np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    logits = [model.run("matte", picture=seen)[0][0] for seen in (squeezed, squeezed[..., ::-1])]
    alpha = sum(1 / (1 + np.exp(-seen)) for seen in (logits[0], logits[1][:, ::-1])) / 2
    return np.clip(np.asarray(Image.fromarray(alpha).resize((width, height), Image.Resampling.BICUBIC)), 0, 1)


def installed_rembg() -> Callable[[np.ndarray], np.ndarray]:
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

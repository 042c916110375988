"""Passes: which features a picture needs of every surfel, and how the blended features become its passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .._kernels import pages
from ..progress import Progress, silent
from ..scene import CHANNELS, INSTANCES, LIGHT, PARTS, Camera, Settings
from .config import SplattingConfig
from .identity import RANKS, Identity, rank
from .parallel import parallel_map

# features (K, C) of surfels, float32: 1, depth in metres, radiance, and what DATA a picture wants of them
SHOWN, DEPTH, RADIANCE = 0, 1, slice(2, 5)
GROWING = ("Diffuse", "Glossy", "Diffuse Color", "Glossy Color")  # with the base colour, as radiance does
# divided by alpha in the end, but for LIGHT and PARTS
DATA = ("Base Color", "Normal", "Roughness", "Metallic", "Shadow", "Confidence", "Emission", *GROWING)
BAND = 16  # rows of the picture that are developed together: what they need stays in a core's cache


def data_columns(wanted: tuple[str, ...]) -> dict[str, slice]:
    """Where the features have the data of the wanted passes."""
    found, start = {}, RADIANCE.stop
    for name in DATA:
        if name in wanted:
            found[name] = slice(start, start := start + CHANNELS[name])
    return found


def count_features(wanted: tuple[str, ...]) -> int:
    """C, the number of features."""
    return RADIANCE.stop + sum(CHANNELS[name] for name in DATA if name in wanted)


def pack(depth: np.ndarray, radiance: np.ndarray, data: Mapping[str, np.ndarray],
         wanted: tuple[str, ...], hole: bool = False) -> np.ndarray:
    """Features (K, C) float32 of surfels. depth: (K,). radiance: (K, 3). data: of the wanted DATA, (K, n) or (K,).
    hole: whether they show nothing of themselves."""
    made = np.empty((len(depth), count_features(wanted)), np.float32)
    made[:, SHOWN], made[:, DEPTH], made[:, RADIANCE] = 1, depth, radiance
    for name, columns in data_columns(wanted).items():
        made[:, columns] = 0 if hole else data[name].reshape(len(made), -1)
    return made


def develop(image: np.ndarray, alpha: np.ndarray, camera: Camera, sky: Callable[[Camera], np.ndarray] | None,
            settings: Settings, config: SplattingConfig = SplattingConfig(), progress: Progress = silent,
            identity: Identity | None = None) -> dict[str, np.ndarray]:
    """Passes by name, (H, W, n) float32 each, in the order that settings want them.

    image: (H, W, C) blended features, and behind them the weights of identity's channels where INSTANCES is wanted.
    alpha: (H, W), of all that is drawn, far sides too. sky: gives the radiance behind a window of the picture, which
    Combined shows where settings say so.
    """
    wanted = settings.passes
    made = {name: pages.full((camera.height, camera.width, CHANNELS.get(name, 2 * RANKS)), 0) for name in wanted}
    shown = tuple(name for name in wanted if name in CHANNELS and name != "Environment")

    def develop_band(top: int) -> None:
        rows = slice(top, min(top + BAND, camera.height))
        shows = np.flatnonzero(alpha[rows].any(0))
        columns = slice(shows[0], shows[-1] + 1) if len(shows) else slice(0)
        behind = None if sky is None else sky(camera.crop(0, top, camera.width, rows.stop - top))
        if behind is not None and "Environment" in made:
            made["Environment"][rows] = behind
        behind = behind if settings.background else None
        if behind is not None and "Combined" in made:  # all that is seen beside what is drawn
            made["Combined"][rows, :, :3], made["Combined"][rows, :, 3] = behind, 1
        if not len(shows):
            return
        place, behind = (rows, columns), None if behind is None else behind[:, columns]
        blended = image[place]
        front = np.maximum(blended[..., SHOWN], 1e-6)
        solid = np.minimum(alpha[place], front * config.solidity) * (blended[..., SHOWN] > 1e-4)
        depth = blended[..., DEPTH] / front * (solid > 0)
        premultiplied = scale(blended, solid / front, RADIANCE.start)
        for name, values in unpack(premultiplied, solid, depth, behind, shown).items():
            made[name][place] = values
        if "Environment" in made:
            made["Environment"][place] *= (1 - solid)[..., None]
        if identity is not None:
            made[INSTANCES][place] = rank(premultiplied[..., -identity.count:], identity.numbers[place])

    parallel_map(develop_band, range(0, camera.height, BAND), settings.threads, "Passes", progress)
    return made


def shrink(image: np.ndarray, times: int) -> np.ndarray:
    """A picture (H, W) or (H, W, C) as the means of times x times pixels."""
    if times == 1:
        return image
    high, wide = image.shape[0] // times, image.shape[1] // times
    out = np.zeros((high, wide, *image.shape[2:]), np.float32)
    for y in range(times):
        for x in range(times):
            out += image[y::times, x::times]
    return out / np.float32(times * times)


def scale(image: np.ndarray, factor: np.ndarray, start: int = 0) -> np.ndarray:
    """image (H, W, C) times factor (H, W), channel by channel: numpy is slow along a short axis. Channels before start
    are left undefined."""
    out = np.empty(image.shape, np.float32)
    for c in range(start, image.shape[-1]):
        np.multiply(image[..., c], factor, out=out[..., c])
    return out


def unpack(image: np.ndarray, alpha: np.ndarray, depth: np.ndarray, sky: np.ndarray | None, wanted: tuple[str, ...]
           ) -> dict[str, np.ndarray]:
    """Passes by name, (H, W, n) float32 each, in the order wanted.

    image: (H, W, C) blended features, premultiplied. alpha, depth: (H, W). sky: (H, W, 3) radiance behind, or None.
    """
    made = {"Depth": depth[..., None]}
    if "Combined" in wanted:
        made["Combined"] = np.empty((*alpha.shape, 4), np.float32)
        open_share = 1 - alpha
        for c in range(3):
            radiance = image[..., RADIANCE.start + c]
            made["Combined"][..., c] = radiance if sky is None else radiance + open_share * sky[..., c]
        made["Combined"][..., 3] = alpha if sky is None else 1
    over_alpha = np.where(alpha > 1e-4, 1 / np.maximum(alpha, 1e-4), 0).astype(np.float32)
    for name, columns in data_columns(wanted).items():
        made[name] = image[..., columns] if name in (*LIGHT, *PARTS) else scale(image[..., columns], over_alpha)
    if "Normal" in wanted:
        length = np.sqrt(np.einsum("hwc,hwc->hw", made["Normal"], made["Normal"]))
        made["Normal"] /= np.maximum(length, 1e-12)[..., None]
    return {name: np.ascontiguousarray(made[name], np.float32) for name in wanted}

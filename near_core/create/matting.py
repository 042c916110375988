"""Which pixels of a photo are the object: by near-mini's network, or by the larger one of the extension NeAR Matte."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..cache import RecentResults
from ..errors import NearError
from ..image.filters import blur_masked, drop_specks, grow, label_pieces, resize
from ..image.guided_filter import fit_to_guide
from ..models.mini.layout import MATTE_SIZE
from ..models.mini.runtime import NearMini
from .background import follow_colors
from .hints import Hints, follow_hints
from .photo_config import MattingConfig

MATTINGS = ("near", "isnet")  # what finds an object: our own network, or the added one
Window = tuple[slice, slice]  # of a photo's rows and columns
Found = tuple[Window, np.ndarray, np.ndarray]  # where the network looked, what it saw, what it said

ADDED = "near_matte"  # the folder of the extension NeAR Matte
ADDED_SIDE = 1024  # pixels of the square that its network sees


@dataclass(frozen=True)
class MattingNetwork:
    """What tells an object from the rest. side: pixels of the square that it sees. answer: such a picture (S, S, 3),
    sRGB 0..1 -> how much of each pixel is object, (S, S) float32 0..1. looks: at a photo at most. is_fine: its answer
    needs no help at edges."""

    side: int
    answer: Callable[[np.ndarray], np.ndarray]
    looks: int
    is_fine: bool = False


def open_near(model: NearMini, config: MattingConfig = MattingConfig()) -> MattingNetwork:
    """The network that comes with NeAR: the mean of what it says of a picture and of its mirror image."""

    def answer(seen: np.ndarray) -> np.ndarray:
        squeezed = seen.transpose(2, 0, 1)[None] * 2 - 1
        logits = [model.run("matte", picture=side)[0][0] for side in (squeezed, squeezed[..., ::-1])]
        return sum(1 / (1 + np.exp(-side)) for side in (logits[0], logits[1][:, ::-1])) / 2

    return MattingNetwork(MATTE_SIZE, answer, config.looks)


def require_known(matting: str) -> None:
    """Raises NearError for a matting that is none of MATTINGS."""
    if matting not in MATTINGS:
        raise NearError("There is no matting named {matting}.", "Choose {choices}.", matting=matting,
                        choices=" or ".join(MATTINGS))


def open_matting(model: NearMini, matting: str, config: MattingConfig = MattingConfig()) -> MattingNetwork:
    """The network by its name in MATTINGS. Raises NearError for another name, and as open_added."""
    require_known(matting)
    return open_near(model, config) if matting == "near" else open_added()


@cache
def open_added(extensions: Path | None = None) -> MattingNetwork:
    """ISNet (Qin et al. 2022), which the extension NeAR Matte brings. extensions: where Blender's repositories of
    extensions lie; None: where they do, seen from an installed one; a Blender names others in NEAR_EXTENSIONS. Raises
    NearError where it is not there or damaged."""
    named = [Path(each) for each in os.environ.get("NEAR_EXTENSIONS", "").split(os.pathsep) if os.path.isabs(each)]
    beside = _list_repositories() if extensions is None else sorted(extensions.glob("*"))
    files = [each / ADDED / "isnet.onnx" for each in (*named, *beside)]
    found = [file for file in files if os.path.isfile(file)]
    if not found:
        raise NearError("The extension NeAR Matte is not installed.",
                        "Install near-matte.zip, or use NeAR's own matting.")
    model = _read_added(found[0].parent)

    def answer(seen: np.ndarray) -> np.ndarray:
        try:
            said = model.run("isnet", input=seen.transpose(2, 0, 1)[None] - np.float32(0.5))[0]
            return np.clip(said.reshape(ADDED_SIDE, ADDED_SIDE), 0, 1)
        except (MemoryError, NearError):
            raise
        except Exception as error:  # onnxruntime has errors of many kinds
            raise _complain(found[0]) from error

    return MattingNetwork(ADDED_SIDE, answer, 1, True)


def _list_repositories() -> list[Path]:
    """The folder that NeAR lies in, and where that is one of Blender's repositories of extensions the other ones."""
    above = Path(__file__).parents
    if len(above) < 5:
        return []
    return [above[3], *(sorted(above[4].glob("*")) if above[4].name == "extensions" else [])]


def _read_added(folder: Path) -> NearMini:
    """The model in the folder of NeAR Matte. Raises NearError where that is damaged, or where nothing can run it."""
    if find_spec("onnxruntime") is None:
        raise NearError("onnxruntime is not there.", "Reinstall the add-on.")
    about = folder / "model.json"
    try:
        model = NearMini(folder)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _complain(about) from error
    if "isnet" not in model.graphs:
        raise _complain(about)
    return model


def _complain(file: Path) -> NearError:
    return NearError("{file} is damaged.", "Install near-matte.zip again.", file=file)


def predict_matte(network: MattingNetwork, picture: np.ndarray, config: MattingConfig = MattingConfig(),
                  hints: Hints | None = None) -> np.ndarray:
    """How much of each pixel of a photo, as in MatteFinder, belongs to the object in front. (H, W) float32 0..1."""
    return MatteFinder(network, picture, config).find(hints or Hints())


class MatteFinder:
    """The object in a photo (H, W, 3), sRGB 0..1, by the network and an artist's hints; in one with alpha, (H, W, 4),
    by this and the hints. What the network said is kept, so that the next hint is followed at once.

    The network looks at the whole photo, or at an artist's box, and then from nearer at what it is surest of, as long
    as that is small and its looks allow. What it says last is corrected by dabs of a brush, and follows the edges of
    the photo's own pixels.
    """

    def __init__(self, network: MattingNetwork, picture: np.ndarray, config: MattingConfig = MattingConfig()):
        self.picture, self._network, self._config = picture[..., :3], network, config
        self._alpha = picture[..., 3] if picture.shape[2] == 4 else None
        self._looks: RecentResults[Found] = RecentResults(16)
        self._objects: list[np.ndarray] | None = None

    def find(self, hints: Hints) -> np.ndarray:
        """(H, W) float32 0..1. Raises NearError for an object that is not there."""
        if hints.number:
            return self._find_offered(hints)
        if self._alpha is not None:
            return follow_hints(self._alpha, self.picture, hints, self._config)
        window, seen, alpha = self._look(*self._frame(hints))
        (top, bottom), (left, right) = ((each.start, each.stop) for each in window)
        height, width = self.picture.shape[:2]
        there = hints.crop(left / width, top / height, (right - left) / width, (bottom - top) / height)
        matte = np.zeros((height, width), np.float32)
        matte[window] = self._enlarge(follow_hints(alpha, seen, there, self._config), seen, self.picture[window])
        return matte

    def list_objects(self) -> list[np.ndarray]:
        """Mattes (H, W) float32 of the objects that the photo shows, one after the other: the pieces of what stands
        out, then what stands out once these are painted over; the pieces of the photo's own alpha alone."""
        if self._objects is None:
            found: list[np.ndarray] = []
            finder, known, config = self, np.zeros(self.picture.shape[:2], bool), self._config
            while len(found) < config.offered_objects:
                matte = finder.find(Hints())
                solid = matte > 0.5
                if matte.max() < config.sure_object or not config.smallest_object < solid.mean() < 0.98 or (
                        (solid & known).sum() > config.offered_overlap * solid.sum()):
                    break
                pieces = label_pieces(drop_specks(solid, config.speck_share))
                found += [np.where(reach_from(pieces == n, matte > config.faint_alpha), matte, 0)
                          for n in range(1, pieces.max() + 1)]
                if self._alpha is not None:
                    break
                known |= matte > config.faint_alpha
                finder = MatteFinder(self._network, paint_over(self.picture, known), config)
            self._objects = found[:config.offered_objects]
        return self._objects

    def _find_offered(self, hints: Hints) -> np.ndarray:
        objects = self.list_objects()
        if not 0 < hints.number <= len(objects):
            raise NearError("There is no object {number} in the photo. Objects found: {count}.",
                            "Choose another number, or draw a box around the object.", number=hints.number,
                            count=len(objects))
        matte = objects[hints.number - 1]
        if not hints.has_dabs and hints.box is None:
            return matte
        if self._alpha is not None:
            return follow_hints(matte, self.picture, hints, self._config)
        small, seen = (resize(maps, (self._network.side,) * 2) for maps in (matte[..., None], self.picture))
        return self._enlarge(follow_hints(small[..., 0], seen, hints, self._config), seen, self.picture)

    def _frame(self, hints: Hints) -> tuple[Window, int]:
        """Where to look first, and how many times at most: a box is what it is."""
        height, width = self.picture.shape[:2]
        if hints.box is not None:
            x0, y0, x1, y1 = hints.box
            across, down = (self._config.hint_margin * side for side in (x1 - x0, y1 - y0))
            return (_side((y0 - down) * height, (y1 + down) * height, height),
                    _side((x0 - across) * width, (x1 + across) * width, width)), 1
        whole = slice(0, height), slice(0, width)
        window = self._look(whole, self._network.looks)[0]
        for x, y, _ in hints.inside:  # on what it did not look at from near
            if not (window[0].start <= y * height < window[0].stop and window[1].start <= x * width < window[1].stop):
                return whole, 1
        return whole, self._network.looks

    def _look(self, window: Window, looks: int) -> Found:
        """Where the network looked last, what it saw there, (S, S, 3), and what it said of it, (S, S)."""
        return self._looks.get_or(str((window, looks)), lambda: self._look_nearer(window, looks))

    def _look_nearer(self, window: Window, looks: int) -> Found:
        picture, config = self.picture, self._config
        for look in range(1, looks + 1):
            seen, alpha = self._answer(picture[window])
            sure = alpha > max(config.sure_alpha * alpha.max(), config.faint_alpha)
            nearer = _window_around(sure, window, picture.shape[:2], config.crop_margin)
            if nearer is None or look == looks or _area(nearer) > config.small_window * _area(window):
                break
            window = nearer
        return window, seen, alpha if self._network.is_fine else self._drop_specks(self._follow_colors(alpha, seen))

    def _drop_specks(self, alpha: np.ndarray) -> np.ndarray:
        """alpha (H, W) without pieces of which next to nothing is sure."""
        return np.where(drop_specks(alpha > self._config.faint_alpha, self._config.speck_share, alpha > 0.5), alpha, 0)

    def _follow_colors(self, alpha: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """alpha (S, S) with what the colours of seen (S, S, 3) change, which is looked at with half as many pixels."""
        half = (len(alpha) // 2,) * 2
        small = resize(alpha[..., None], half)[..., 0]
        change = follow_colors(small, resize(seen, half), self._config) - small
        return np.clip(alpha + resize(change[..., None], alpha.shape)[..., 0], 0, 1)

    def _answer(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A picture (H, W, 3) squeezed into the square that the network sees (S, S, 3), and what it says of that,
        without specks: (S, S) float32."""
        seen = resize(picture, (self._network.side,) * 2)
        return seen, self._drop_specks(self._network.answer(seen))

    def _enlarge(self, alpha: np.ndarray, seen: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """alpha (S, S) at the size of the picture (H, W, 3) whose squeezed image (S, S, 3) it was found in."""
        if self._network.is_fine:
            return resize(alpha[..., None], picture.shape[:2])[..., 0]
        config = self._config
        fit = resize(fit_to_guide(alpha, seen, config.edge_radius, config.edge_tolerance), picture.shape[:2])
        return np.clip((fit[..., :3] * picture).sum(-1) + fit[..., 3], 0, 1)


def paint_over(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) with what is around in place of a mask (H, W) bool."""
    small = resize(np.dstack([picture, mask]), (MATTE_SIZE // 4,) * 2)
    behind = small[..., 3] < 0.05
    if not behind.any():
        return picture
    filled = blur_masked(np.moveaxis(small[..., :3], -1, 0), behind, 5)
    return np.where(mask[..., None], resize(np.moveaxis(filled, 0, -1), picture.shape[:2]), picture)


def reach_from(seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask (H, W) bool that are nearest to seeds in it, (H, W) bool: these, grown by a few pixels."""
    for _ in range(4):
        seeds = grow(seeds) & mask
    return seeds


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
    rows, columns = (_side((low + high) / 2 - half, (low + high) / 2 + half, size)
                     for (low, high), size in zip(ranges, shape))
    return rows, columns


def _side(low: float, high: float, size: int) -> slice:
    """Pixels from low to high of a photo's side: at least 8, which every photo has."""
    first, last = min(max(int(low), 0), size - 8), min(math.ceil(high), size)
    return slice(first, max(last, first + 8))

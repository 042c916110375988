"""Pictures of one camera as one: two of assets, a sky behind, and assets among what another renderer drew."""

from __future__ import annotations

import numpy as np

from ..directions import unit
from ..image import filters
from ..image.guided_filter import fit_to_guide
from ..scene import GROUP, LIGHT, PARTS, PASSES, Camera, Environment, Settings
from .config import CompositeConfig
from .parallel import parallel_map

# never mixed: of what covers most of a pixel
NEAREST = ("Depth", "Object Index", "Material Index", "Vector", "Position")
COVER = "Cover"  # (H, W, 1): how much of a pixel things cover, the sky aside, and catch shadows in; else its alpha says
CLEAR = "Clear"  # (H, W, 1): how much of a pixel something covers without mist before it
# (H, W, 2 R) each: R pairs of id and coverage, the greatest coverage first; id 0 is nothing
RANKED = ("Cryptomatte Object", "Cryptomatte Material", "Cryptomatte Asset")
_COVERING = (*LIGHT, *PARTS, CLEAR)  # premultiplied
BAND = 16  # rows that a sky is put behind at once: what they need stays in a core's cache
LEAST_COVERAGE = 1e-4  # of a pixel: what covers less gets no rank


def merge(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two pictures of the same camera as one: at each pixel the nearer lies over the farther. Both have all PASSES."""
    depths = [np.where(picture["Depth"] > 0, picture["Depth"], np.inf) for picture in (one, other)]
    first = depths[0] <= depths[1]
    near, far = ({name: np.where(front, one[name], other[name]) for name in PASSES} for front in (first, ~first))
    through = 1 - near["Combined"][..., 3:]
    weights = near["Combined"][..., 3:], through * far["Combined"][..., 3:]
    total = np.maximum(sum(weights), 1e-6)
    out = {name: (weights[0] * near[name] + weights[1] * far[name]) / total for name in PASSES}
    out |= {name: near[name] + through * far[name] for name in LIGHT}
    out["Normal"] = unit(out["Normal"])
    return out


def put_behind(combined: np.ndarray, sky: np.ndarray) -> None:
    """Puts sky (H, W, 3) behind the premultiplied picture (H, W, 4), in place; alpha becomes 1."""
    free = 1 - combined[..., 3]
    for c in range(3):  # numpy is slow along a short axis
        combined[..., c] += free * sky[..., c]
    combined[..., 3] = 1


def put_sky_behind(made: dict[str, np.ndarray], environment: Environment, camera: Camera, settings: Settings) -> None:
    """Puts what a camera sees of an environment behind its passes, on a transparent film, in place: in Combined where
    settings have a background, and in Environment where that is there."""
    def put_band(top: int) -> None:
        part = made["Combined"][top:top + BAND]
        sky = environment.look_up(camera.crop(0, top, camera.width, len(part)).pixel_rays(), threads=1)
        if "Environment" in made:
            made["Environment"][top:top + BAND] = (1 - part[..., 3:]) * sky
        if settings.background:
            put_behind(part, sky)
    parallel_map(put_band, range(0, camera.height, BAND), settings.threads)


def compose(assets: dict[str, np.ndarray], ordinary: dict[str, np.ndarray], front: dict[str, np.ndarray] | None = None,
            held: np.ndarray | float = 0.0, cut: np.ndarray | float = 0.0, pixel: np.ndarray | float = 0.0,
            blurred: bool = False, config: CompositeConfig = CompositeConfig()) -> dict[str, np.ndarray]:
    """Assets among ordinary things: front + (1 - front's alpha) assets + (1 - assets' alpha) (ordinary - front).

    Where `front` shows something it covers the assets; what is left of `ordinary` without it is what lies behind them.
    So no edge counts twice, and where no asset is, the picture is `ordinary` itself.

    assets: passes as Renderer.render returns them, on a transparent film. ordinary: the same passes of everything but
    the assets, which are unseen in it. front: that again with the assets cut out of it, which is transparent there and
    behind them; None where nothing is in front of an asset. Data passes of these two are means over the pixel, 0 where
    nothing is (not divided by alpha); their Combined alpha is 1 where a sky is seen, and Depth 0 there. Each (H, W, n)
    float32. All may hold NEAREST, RANKED and CLEAR, these two COVER. What `ordinary` alone has is premultiplied, and 0
    on assets. held: (H, W, 1), how much of the assets' alpha is a hole in the picture. cut: the same of a pixel that
    holes in front of the assets cover; where both kinds do most, there are no data. pixel: metres that a pixel is wide
    at the assets, (H, W) or one for all; with 0 nothing sinks into anything. blurred: whether assets are: where they
    are in a pixel for a part of the time, `front` has what is seen meanwhile, too. Returns ordinary's passes but COVER.
    """
    front = None if front is None else _clean(front, ordinary, blurred, config)
    if front is not None and np.any(pixel):
        front = front if blurred else _fill_holes(front, assets, pixel, config)
        assets, held = _fade(assets, seen := _find_seen(assets, ordinary, front, pixel, blurred, config)), held * seen
    alpha, made = assets["Combined"][..., 3:], {}
    free, hiding = _measure_free(alpha, front, cut, blurred, config)
    hollow = _find_hollow(hole := alpha * cut + free * held, free * (alpha - held), alpha, ordinary, front)
    for name in ordinary.keys() - {COVER}:
        before = None if front is None else front[name]
        if name in NEAREST:
            made[name] = np.where(hollow, np.float32(0), _choose(name, assets, ordinary, front))
        elif name in RANKED:
            made[name] = _rank(assets[name], ordinary[name], before, hiding, free)
        else:
            own = assets[name] * (free if _is_covering(name) else free * alpha) if name in assets else 0
            made[name] = own + _lie_around(ordinary[name], before, hiding)
    made["Combined"][..., 3:] = ordinary["Combined"][..., 3:] * (1 - alpha) + alpha * (1 - cut) - free * held
    covered = free * (alpha - held) + _lie_around(_cover(ordinary), None if front is None else _cover(front), hiding)
    _divide({name: made[name] for name in made.keys() & assets.keys() - {*RANKED, *NEAREST}
             if not _is_covering(name)}, covered, hollow)
    _empty(made, hole, config.left)
    return made


def _empty(made: dict[str, np.ndarray], hole: np.ndarray, left: float) -> None:
    """Takes the light out of where holes (H, W, 1) leave this little of a pixel, in place: divided by its colour, it
    would be that of what lies behind."""
    if hole.any():
        seen = (hole <= 0.5) | (made["Combined"][..., 3:] >= left)
        for name in filter(_is_covering, made):
            made[name] *= seen


def _clean(front: dict[str, np.ndarray], ordinary: dict[str, np.ndarray], blurred: bool, config: CompositeConfig
           ) -> dict[str, np.ndarray]:
    """front without the grain of its alpha, which nobody denoises: what both pictures' colours show stays, and so does
    what varies more than few samples make it. What is sharp has grain in a haze alone, that covers a part of all pixels
    around."""
    mixed = (front["Combined"][..., 3] > 0) & (front["Combined"][..., 3] < 1)
    mixed = mixed if blurred else filters.local_maximum(~mixed * 1.0, config.hole_edge) < 1
    if not mixed.any():
        return front
    ends, reach = [np.flatnonzero(mixed.any(axis)) for axis in (1, 0)], 3 * config.hole_edge
    part = tuple(slice(max(int(each[0]) - reach, 0), int(each[-1]) + 1 + reach) for each in ends)
    alpha = front["Combined"][part][..., 3].astype(np.float64)
    colors = [each["Combined"][part][..., :3].mean(2, dtype=np.float64) for each in (front, ordinary)]
    middle = max(float(colors[1].mean()), 1e-9)
    guide = np.stack([np.minimum(each / middle, config.glare) for each in colors], -1)
    fit = fit_to_guide(alpha, guide, config.hole_edge, config.even)
    smooth = np.clip((fit[..., :-1] * guide).sum(-1) + fit[..., -1], 0, 1)
    mean, varies = (filters.blur_box(each, config.hole_edge) for each in (alpha, (alpha - smooth) ** 2))
    sharp = np.maximum((config.sharp if blurred else config.hazy) * mean * (1 - mean), 1e-9)
    kept = np.where(blurred | mixed[part], np.clip(varies / sharp - 1, 0, 1), 1)
    made = front["Combined"].copy()
    made[part][..., 3] = smooth + kept * (alpha - smooth)
    return front | {"Combined": made}


def _fill_holes(front: dict[str, np.ndarray], assets: dict[str, np.ndarray], pixel: np.ndarray | float,
                config: CompositeConfig) -> dict[str, np.ndarray]:
    """front with what stands between an asset and another part of assets far behind it, around the nearer one: the
    hole of that, a little larger than it is, took it away. It goes on as it is farther from there."""
    shown = assets["Depth"][..., 0]
    depth, step = np.where(shown > 0, shown, np.float32(1e30)), np.broadcast_to(config.rim * pixel, shown.shape)
    nearest = -filters.local_maximum(-depth, config.hole_edge)
    unknown = (shown > 0) & (depth - nearest > step)
    if not unknown.any():
        return front
    front = front | {name: front[name].copy() for name in front if _is_covering(name)}
    alpha, (height, width) = front["Combined"][..., 3].copy(), depth.shape
    for _ in range(config.hole_edge + 1):
        y, x = np.nonzero(unknown)
        rows = np.clip(y + np.array([-1, -1, -1, 0, 0, 1, 1, 1])[:, None], 0, height - 1)
        columns = np.clip(x + np.array([-1, 0, 1, -1, 1, -1, 0, 1])[:, None], 0, width - 1)
        told = ~unknown[rows, columns] & (shown[rows, columns] > depth[y, x] - step[y, x])
        share = told / np.maximum(told.sum(0), 1)
        more = (told.any(0)) & ((share * alpha[rows, columns]).sum(0) > alpha[y, x])
        for name in filter(_is_covering, front):
            around = (share[..., None] * front[name][rows, columns]).sum(0)
            front[name][y[more], x[more]] = around[more]
        unknown[y, x], alpha = ~told.any(0), front["Combined"][..., 3]
    return front


def _is_covering(name: str) -> bool:
    return name in _COVERING or name.startswith(GROUP)


def _divide(data: dict[str, np.ndarray], covered: np.ndarray, hollow: np.ndarray) -> None:
    """Makes means over what covers a pixel of means over the pixel, in place; none where it is hollow."""
    for values in data.values():
        values *= ~hollow / np.where(covered > 1e-4, covered, 1)
    if "Normal" in data:
        data["Normal"][:] = unit(data["Normal"])


def _measure_free(alpha: np.ndarray, front: dict[str, np.ndarray] | None, cut: np.ndarray | float, blurred: bool,
                  config: CompositeConfig) -> tuple[np.ndarray, np.ndarray]:
    """How much of assets nothing is in front of while they are in a pixel, nor a hole, and how much of what is neither
    in front nor beside them they hide. alpha: theirs. All (H, W, 1). blurred: where they do not cover all around, noise
    is smoothed, and with it what is thin."""
    if front is None:
        return np.ones_like(alpha) - cut, alpha
    left = 1 - front["Combined"][..., 3:]
    if not blurred:
        return left - cut, alpha
    edge, smooth = config.hole_edge, lambda values: filters.blur_box(values[..., 0], config.hole_edge)[..., None]
    there = np.maximum(filters.local_maximum(alpha[..., 0], edge)[..., None], 1e-6)
    before = (there - left) / there
    free = 1 - np.clip(smooth(before) / config.grain - 1, 0, 1) * np.clip(before, 0, 1)
    whole = 1 - filters.local_maximum(1 - alpha[..., 0], edge)[..., None] > config.solid
    # a hole is there for longer than its asset, whose share of it changes slowly; what is left goes to it and to what
    # is behind by this, so that all adds up to one however thin things are
    longer = smooth(left) / np.maximum(smooth(free), 1e-6)
    hiding = np.where(whole, alpha, np.minimum(alpha / np.maximum(longer, 1e-6), 1))
    return np.where(whole, left, left * hiding / np.maximum(alpha, 1e-6)) - cut, hiding


def _find_seen(assets: dict[str, np.ndarray], ordinary: dict[str, np.ndarray], front: dict[str, np.ndarray],
               pixel: np.ndarray | float, blurred: bool, config: CompositeConfig) -> np.ndarray:
    """How much of the assets has not sunk into what is ordinary, (H, W, 1): a wall, the ground around a foot.

    Assets are cut out of `front` a little larger than they are, and with them the rim of what they stick in. Where this
    left nothing, or only a part of what is no thin thing, the depths of both say where the line of contact runs. A
    shadow catcher hides nothing, and what is blurred does so only where the asset covers all.
    """
    depth, alpha = ordinary["Depth"][..., 0], assets["Combined"][..., 3]
    if blurred:  # it is that of one ray through the lens, at one moment
        around, there = (filters.blur_box(each, config.hole_edge) for each in (depth, depth > 0))
        depth = np.where(depth > 0, around / np.maximum(there, 1e-6), 0)
    ahead, gone = assets["Depth"][..., 0] - depth, 1 - front["Combined"][..., 3]  # metres
    solid = (ordinary["Combined"][..., 3] > config.solid) & (depth > 0)
    inside = solid & (alpha > (config.solid if blurred else 1 - config.solid))
    near = inside & (ahead < config.rim * pixel)
    # of a pixel in whose middle the line runs a half is hidden, but none where the asset covers no more than the other
    slope = np.maximum(_measure_slope(np.where(inside, ahead, np.nan)), 1e-9)
    seen = np.clip(1.5 - alpha - ahead / slope, 0, 1)
    smooth = _measure_bend(depth) < pixel
    rim = (near | inside & smooth) & (seen < 1) & (gone > config.solid)
    if not blurred:
        rim |= near & (seen < 1) & (gone > 1 - config.solid) & smooth
    if not blurred:  # the depth of hair is that of one ray, which may meet one where hardly any is: no line, but specks
        rim &= filters.blur_box(rim, 1) > 2.5 / 9
    for _ in range(2):  # where the cut ends, the rim is there in part
        rim |= inside & smooth & (filters.local_minimum(~rim * 1.0) < 1)
    return np.where(rim, seen, 1)[..., None].astype(np.float32)


def _measure_slope(values: np.ndarray) -> np.ndarray:
    """How much values (H, W) change within a pixel, by the neighbours that differ least; NaN are none."""
    slopes = []
    for axis in (0, 1):
        step = np.abs(np.diff(values, axis=axis, prepend=np.nan, append=np.nan))
        slopes.append(np.nan_to_num(np.fmin(*(np.take(step, range(k, k + values.shape[axis]), axis) for k in (0, 1)))))
    return np.hypot(*slopes)


def _measure_bend(depth: np.ndarray) -> np.ndarray:
    """By how much depths (H, W) change more from a pixel to the next than from the one before: not on a plane, but
    where a thin thing is before something else."""
    padded = np.pad(depth, 1, mode="edge")
    across = padded[1:-1, 2:] + padded[1:-1, :-2] - 2 * depth
    return np.maximum(np.abs(across), np.abs(padded[2:, 1:-1] + padded[:-2, 1:-1] - 2 * depth))


def _fade(assets: dict[str, np.ndarray], seen: np.ndarray) -> dict[str, np.ndarray]:
    faded = assets | {name: values * seen for name, values in assets.items() if _is_covering(name)}
    for name in assets.keys() & set(RANKED):
        covers = np.arange(assets[name].shape[-1]) % 2 == 1
        faded[name] = np.where(covers, assets[name] * seen, assets[name])
    return faded


def _lie_around(ordinary: np.ndarray, front: np.ndarray | None, alpha: np.ndarray) -> np.ndarray:
    """What is not the assets': front + (1 - alpha) (ordinary - front)."""
    return (1 - alpha) * ordinary if front is None else (1 - alpha) * ordinary + alpha * front


def _cover(picture: dict[str, np.ndarray]) -> np.ndarray:
    """How much of each pixel things cover, the sky aside, (H, W, 1)."""
    if COVER in picture:
        return picture[COVER]
    alpha = picture["Combined"][..., 3:]
    return alpha if "Depth" not in picture else alpha * ((picture["Depth"] > 0) | (alpha < 1))


def _find_hollow(hole: np.ndarray, own: np.ndarray, alpha: np.ndarray, ordinary: dict[str, np.ndarray],
                 front: dict[str, np.ndarray] | None) -> np.ndarray:
    """Where holes are what covers most of a pixel, (H, W, 1) bool or one for all. hole, own: how much they and assets
    beside them do."""
    if not hole.any():
        return np.zeros(1, bool)
    before = 0 if front is None else _cover(front)
    behind = (1 - alpha) * np.maximum(_cover(ordinary) - before, 0)
    return hole > np.maximum(own, np.maximum(before, behind))


def _choose(name: str, assets: dict[str, np.ndarray], ordinary: dict[str, np.ndarray],
            front: dict[str, np.ndarray] | None) -> np.ndarray:
    """A pass of NEAREST: what the assets say where they cover more than what is before and behind them."""
    alpha = assets["Combined"][..., 3:]
    if front is None:
        return np.where(alpha > (1 - alpha) * _cover(ordinary), assets[name], ordinary[name])
    before = _cover(front)
    own, behind = (1 - before) * alpha, (1 - alpha) * np.maximum(_cover(ordinary) - before, 0)
    other = np.where((alpha > 0) & (before > behind), front[name], ordinary[name])
    return np.where((own > 0) & (own >= np.maximum(before, behind)), assets[name], other)


def _rank(own: np.ndarray, behind: np.ndarray, front: np.ndarray | None, alpha: np.ndarray, free: np.ndarray
          ) -> np.ndarray:
    """Pairs of id and coverage of all. own: coverages of the assets alone, adding up to alpha."""
    made, touched = behind.copy(), alpha[..., 0] > 0
    weighed = [(own, free[touched]), (behind, 1 - alpha[touched])]
    if front is not None:
        weighed.append((front, alpha[touched]))
    pairs = np.concatenate([ranks[touched].reshape(len(share), ranks.shape[-1] // 2, 2)
                            * np.stack([np.ones_like(share), share], -1) for ranks, share in weighed], 1)
    made[touched] = merge_ranks(pairs, behind.shape[-1] // 2).reshape(len(pairs), behind.shape[-1])
    return made


def merge_ranks(pairs: np.ndarray, count: int) -> np.ndarray:
    """The `count` greatest of K pixels' pairs of id and coverage, (K, L, 2) -> (K, count, 2); equal ids are added."""
    if not len(pairs):
        return np.zeros((0, count, 2), np.float32)
    order = np.argsort(pairs[..., 0], 1)
    ids, covered = (np.take_along_axis(pairs[..., k], order, 1) for k in (0, 1))
    first = np.ones(ids.shape, bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    total = np.zeros_like(covered)
    total[first] = np.add.reduceat(covered.ravel(), np.flatnonzero(first))
    total[(total < LEAST_COVERAGE) | (ids == 0)] = 0
    best = np.argsort(-total, 1, kind="stable")[:, :count]
    out = np.zeros((len(pairs), count, 2), np.float32)
    out[:, :best.shape[1], 1] = np.take_along_axis(total, best, 1)
    out[:, :best.shape[1], 0] = np.where(out[:, :best.shape[1], 1] > 0, np.take_along_axis(ids, best, 1), 0)
    return out

"""Against Cycles: how long each takes for a picture of the same quality, from a camera that has moved.

The peer is the fastest of Cycles without a denoiser, with OpenImageDenoise Fast and with High, at the smallest number
of samples whose picture is as near to the reference as NeAR's.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ... import image
from ..evaluation.metrics import psnr
from .config import SIZES, BenchConfig
from .racers import RacingBlender, Subject, list_subjects

DENOISERS = ("FAST", "", "HIGH")  # the likely winner first: the others are followed as long as they may still win
OWN = {"samples": 4, "denoiser": "FAST"}  # of the ordinary objects beside NeAR's assets
ENOUGH = 2048  # samples of a reference that is not denoised
SURPASSED = 3  # times the time of the best so far, after which a kind of Cycles gets no more samples

Size = tuple[int, int]


def measure(config: BenchConfig) -> Iterator[tuple[str, dict]]:
    """A row for every subject and size."""
    subjects = [each for each in list_subjects(config.data, config.objects, config.cache)
                if not config.subjects or each.name in config.subjects]
    quickest: dict[tuple[Size, str], float] = {}
    with RacingBlender("near") as own, RacingBlender("cycles") as peer:
        for subject in subjects:
            sizes = [subject.size] if subject.truth else [SIZES[name] for name in config.sizes]
            peer.open(subject, config.cache)
            if config.references:
                for size in sizes:
                    yield f"{subject.name} {size[0]}x{size[1]}", {"reference": _find_reference(
                        subject, size, peer, config).name}
                continue
            own.open(subject, config.cache)
            first = {"first": [own.draw(sizes[0], **OWN)["seconds"], peer.draw(sizes[0], 1, "FAST")["seconds"]]}
            for size in sizes:
                row = Race(own, peer, subject, size, config).run(quickest)
                yield f"{subject.name} {size[0]}x{size[1]}", row | (first if size == sizes[0] else {})


def _find_reference(subject: Subject, size: Size, peer: RacingBlender, config: BenchConfig) -> Path:
    """The reference with the most samples that is there; else one is drawn."""
    if subject.truth:
        return subject.truth
    start = f"{subject.name}-{size[0]}x{size[1]}-"
    found = {int(path.stem.removeprefix(start)): path for path in config.cache.glob(f"{start}*.exr")}
    if not found:
        count = config.reference_samples
        path = config.cache / f"{start}{count}.exr"
        part = path.with_suffix(".part.exr")
        peer.draw(size, count, "" if count >= ENOUGH else "HIGH", part)
        part.replace(path)
        return path
    return found[max(found)]


class Race:
    """Two racers and a subject, already on their stages."""

    def __init__(self, own: RacingBlender, peer: RacingBlender, subject: Subject, size: Size, config: BenchConfig):
        self.own, self.peer, self.subject, self.size, self.config = own, peer, subject, size, config
        self.reference = _find_reference(subject, size, peer, config)
        self.truth = image.read(self.reference)
        self.picture = config.cache / "picture.exr"

    def run(self, quickest: dict[tuple[Size, str], float]) -> dict:
        """A row: both times and what led to them. quickest: seconds of one sample of each kind of Cycles, of the races
        so far at each size; a kind that cannot win is left out."""
        self.own.draw(self.size, **OWN)  # what is known from now on: the asset, its light
        goal = self._judge(self.own, **OWN)[1]
        self.peer.draw(self.size, 1, "FAST")
        curves: dict[str, list[tuple[int, float, float]]] = {}
        for denoiser in DENOISERS:
            best = self._find_best(curves, goal)
            if best is None or quickest.get((self.size, denoiser), 0) < SURPASSED * best[0]:
                curves[denoiser] = self._climb(denoiser, goal, best)
                quickest[self.size, denoiser] = min(quickest.get((self.size, denoiser), np.inf),
                                                    curves[denoiser][0][1])
        best = self._find_best(curves, goal)
        denoiser, samples = best[1:] if best else self._find_nearest(curves)
        pairs = [(self.own.draw(self.size, **OWN, around=turn),
                  self.peer.draw(self.size, samples, denoiser, around=turn))
                 for turn in range(1, 1 + self.config.repeat(5))]
        own, peer = (np.array([each[which]["seconds"] for each in pairs]) for which in (0, 1))
        worked = np.median([[each["processor"] for each in pair] for pair in pairs], 0).tolist()
        return {"scene": self.subject.scene is not None, "size": self.size, "psnr": goal,
                "seconds": float(np.median(own)), "all_seconds": own.tolist(), "reference": self.reference.name,
                "reached": best is not None, "peer": denoiser, "peer_samples": samples,
                "peer_seconds": float(np.median(peer)), "ratio": statistics.median(peer / own), "processor": worked,
                "processor_ratio": worked[1] / max(worked[0], 1e-3), "curves": curves}

    def _judge(self, racer: RacingBlender, samples: int, denoiser: str) -> tuple[float, float]:
        """Seconds and dB of the whole picture."""
        seconds = racer.draw(self.size, samples, denoiser, self.picture)["seconds"]
        return seconds, psnr(image.read(self.picture), self.truth)

    def _climb(self, denoiser: str, goal: float, best: tuple[float, str, int] | None) -> list[tuple[int, float, float]]:
        """Samples, seconds and dB of one kind of Cycles with twice as many samples again and again, until it is as good
        as `goal` or too slow; and once between the last two."""
        curve, samples, longest = [], 1, self.config.longest
        if best is not None:
            longest = min(longest, SURPASSED * best[0])
        while not curve or curve[-1][1] < longest and curve[-1][2] < goal:
            curve.append((samples, *self._judge(self.peer, samples, denoiser)))
            samples *= 2
        last = curve[-1][0]
        if last >= 4 and curve[-1][2] >= goal:
            curve.insert(-1, (last * 3 // 4, *self._judge(self.peer, last * 3 // 4, denoiser)))
        return curve

    def _find_best(self, curves: dict[str, list[tuple[int, float, float]]], goal: float
                   ) -> tuple[float, str, int] | None:
        """The fastest that is as good as `goal`: seconds, denoiser, samples."""
        reached = [(seconds, denoiser, samples) for denoiser, curve in curves.items()
                   for samples, seconds, quality in curve if quality >= goal]
        return min(reached, default=None)

    def _find_nearest(self, curves: dict[str, list[tuple[int, float, float]]]) -> tuple[str, int]:
        """The best picture of all, where none is good enough: denoiser, samples."""
        return max(((quality, denoiser, samples) for denoiser, curve in curves.items()
                    for samples, _, quality in curve))[1:]

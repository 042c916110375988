"""What a benchmark is asked with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import NearError
from ..options import option

SIZES = {"128": (128, 128), "360p": (640, 360), "512": (512, 512), "1080p": (1920, 1080), "4k": (3840, 2160)}
CACHE = Path(__file__).resolve().parents[3] / ".cache" / "bench"


@dataclass(frozen=True)
class BenchConfig:
    """One run of `near_core bench`."""

    json: Path | None = option("where the numbers go; rows that are there and not measured again stay", "file", None)
    plots: Path | None = option("folder that gets numbers.md and the plots of all that --json holds", "folder", None)
    parts: tuple[str, ...] = option("what is measured: cycles, splatting, phases, scale, latency", "parts",
                                    ("cycles", "splatting", "phases", "scale", "latency"), separated=True)
    quick: bool = option("few cases and repetitions, to see that everything runs", "", False)
    runs: int = option("repetitions of each measurement, of which the median counts", "runs", 7)
    threads: int = option("processor threads; 0 are all", "threads", 0)
    data: Path | None = option("what has the data sets eval and scenes, for cycles; without it the sample mesh",
                               "folder", None)
    subjects: tuple[str, ...] = option("names of objects and scenes for the part cycles; default all", "names", (),
                                       separated=True)
    objects: int = option("objects, and at most as many scenes, for the part cycles", "subjects", 8)
    sizes: tuple[str, ...] = option(f"sizes of objects' pictures in the part cycles, of {', '.join(SIZES)}", "sizes",
                                    ("512", "1080p"), separated=True)
    reference_samples: int = option("of a reference in the part cycles; one of fewer than 2048 is denoised", "samples",
                                    2048)
    references: bool = option("in the part cycles, only make the references that are missing", "", False)
    minutes: float = option("of each part, after which no other row of it is begun; 0: all rows", "minutes", 0.0)
    longest: float = option("picture of Cycles, after which it gets no more samples", "seconds", 20.0)
    cache: Path = option("what is kept for the next run: references and assets", "folder", CACHE)

    def __post_init__(self) -> None:
        unknown = [name for name in self.sizes if name not in SIZES]
        if unknown:
            raise NearError(f"There is no size {unknown[0]!r}.", f"Choose from {', '.join(SIZES)}.")

    def repeat(self, times: int) -> int:
        """How often something is measured that deserves `times` repetitions."""
        return 2 if self.quick else max(round(times * self.runs / 7), 3)

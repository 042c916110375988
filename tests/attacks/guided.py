"""Attacks a reader, led by the branches its code goes through: `python -m tests.attacks.guided TARGET SECONDS [SEED]`.

`build.py setup --fuzz` installs atheris, which watches near_core and keeps the inputs that reach new branches in
.cache/fuzz. An input that a reader takes in a wrong way ends the run and lies beside them as crash-*; as case.*, where
it hangs the process or takes it along.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cache" / "fuzz"
LARGEST = 20_000  # bytes of an input, or twice the largest intact one


def main(name: str, seconds: int, seed: int) -> None:
    """Fuzzes one reader; atheris ends the process."""
    import atheris
    with atheris.instrument_imports(include=["near_core"], enable_loader_override=False):
        from tests.attacks import hunt, targets
    import numpy as np

    targets.lower_limits()
    target, corpus = targets.TARGETS[name], FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    cases = [path.read_bytes() for path in (ROOT / "tests/attacks/cases").glob(f"{name}-*")]
    largest = max(LARGEST, 2 * max(map(len, target.intact())))
    for data in [*target.intact(), *cases]:
        hunt.read(target, data, str(FOLDER))  # what is loaded at the first use does not count
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)

    def take(data: bytes) -> None:
        if what := hunt.read(target, data, str(FOLDER)):
            raise AssertionError(f"{name} {what}")

    def change(data: bytes, most: int, number: int) -> bytes:
        """As the hunt does, so that the damage reaches what lies below a right shell, or byte by byte."""
        rng = np.random.default_rng(number)
        if target.ways and rng.integers(2):
            try:
                return target.ways[0](data, rng)[:most]
            except Exception:  # the shell is broken already
                pass
        return atheris.Mutate(data, most)

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", f"-max_len={largest}", f"-seed={seed}",
                   f"-artifact_prefix={FOLDER}/", "-print_final_stats=1", "-rss_limit_mb=0"], take,
                  custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)

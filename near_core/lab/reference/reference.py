"""Equality of the published networks and conventions with the reference implementation, proven by stored fixtures.

A fixture is `NAME.json` (configuration, meaning) beside `NAME.npz` (weights w/, inputs in/, intermediates mid/, outputs
out/). `verify` runs each through our code and gives one row.
"""
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from ... import files
from ...errors import NearError
from . import checks
from .conventions import EXACT


@dataclass
class Comparison:
    """One compared array. error, tolerance: the largest difference and what is allowed, in the array's units."""

    name: str
    error: float
    tolerance: float


@dataclass
class FixtureResult:
    """What became of one fixture. reason: the worst comparison's name, or why nothing was compared."""

    name: str
    verdict: str  # "pass", "fail" or "not applicable"
    max_error: float | None = None  # of the part nearest to or furthest beyond its tolerance; None where nothing ran
    tolerance: float | None = None
    reason: str = ""
    parts: list[Comparison] = field(default_factory=list)


class Fixture:
    """One fixture, and the comparisons made with it so far."""

    def __init__(self, path):
        self.path, self.name = path, path.stem
        self.config = json.loads(path.read_text())
        self.arrays = np.load(path.with_suffix(".npz"), allow_pickle=False)
        self.parts = []

    def __contains__(self, key):
        return key in self.arrays

    def names(self, prefix):
        """Names of the arrays that start with prefix, sorted."""
        return sorted(key for key in self.arrays if key.startswith(prefix))

    def __getitem__(self, key):
        """An array as a tensor; 16-bit ones (exact by construction) as float32."""
        tensor = torch.from_numpy(np.array(self.arrays[key]))
        return tensor.float() if tensor.dtype == torch.float16 else tensor

    def weights(self, prefix="w/"):
        """The stored weights, by their keys without the prefix."""
        return {key[len(prefix):]: self[key] for key in self.names(prefix)}

    def load(self, network, prefix="w/"):
        """The network with the stored weights, every one of which must have its place, ready to run."""
        network.load_state_dict(self.weights(prefix), strict=True)
        return network.eval()

    def compare(self, name, ours, tolerance=EXACT, reference=None):
        """Adds the largest difference of ours, an array or tensor, to the stored array `name`, or to reference.

        tolerance: of max(1, largest reference value). Raises NearError where shapes differ.
        """
        reference = self[name] if reference is None else reference
        ours = torch.as_tensor(np.array(ours) if isinstance(ours, np.ndarray) else ours).detach()
        if ours.shape != reference.shape:
            raise NearError(f"{name} has shape {tuple(ours.shape)}, the reference {tuple(reference.shape)}.")
        scale = max(1.0, float(reference.double().abs().max()))
        error = float((ours.double() - reference.double()).abs().max())
        self.add(name, error, tolerance * scale)

    def add(self, name, error, tolerance):
        """A part without a number (nan, infinity) counts as off by 1e30."""
        self.parts.append(Comparison(name, float(np.nan_to_num(float(error), nan=1e30, posinf=1e30)), float(tolerance)))


def verify(fixtures, only=""):
    """Prints and returns a `FixtureResult` for each fixture of a folder, sorted by name.

    only: the start of the names to run. Raises NearError where there are none.
    """
    paths = [path for path in sorted(Path(fixtures).glob("*.json")) if path.name.startswith(only)]
    if not paths:
        raise NearError(f"There are no fixtures in {fixtures}.", "Name a folder with NAME.json and NAME.npz files.")
    rows = []
    for path in paths:
        rows.append(verify_one(path))
        print(format_result(rows[-1]), flush=True)
    return rows


def verify_one(path):
    """path: a NAME.json. Returns its `FixtureResult`."""
    try:
        fixture = Fixture(path)
        check = checks.find_check(fixture)
        if check is None:
            raise NearError("No check is known for a fixture of this name.", "Name it as the part it exercises.")
        if isinstance(check, str):
            return FixtureResult(fixture.name, "not applicable", reason=check)
        with torch.inference_mode():
            check(fixture)
    except Exception as error:  # a fixture that our code cannot run is a failed row, and the others still run
        return FixtureResult(path.stem, "fail", None, None, reason=f"{type(error).__name__}: {error}")
    worst = max(fixture.parts, key=lambda part: part.error / max(part.tolerance, 1e-30))
    passed = all(part.error <= part.tolerance for part in fixture.parts)
    verdict = "pass" if passed else "fail"
    return FixtureResult(fixture.name, verdict, worst.error, worst.tolerance, worst.name, fixture.parts)


def write(rows, path):
    """Write the rows as JSON: a list of objects, one for each fixture, with its parts."""
    files.write(path, json.dumps([asdict(row) for row in rows], indent=1))


def add_arguments(parser):
    """The options of `near_core verify-reference`."""
    parser.add_argument("--fixtures", required=True, metavar="DIR", help="folder with NAME.json and NAME.npz files")
    parser.add_argument("--json", metavar="R.json", help="where the rows go; default: nowhere")
    parser.add_argument("--only", metavar="START", default="",
                        help="only fixtures whose name starts like this; default: all")


def run(args):
    """Print one line for each fixture. Returns 1 if any failed, else 0."""
    rows = verify(args.fixtures, args.only)
    if args.json:
        write(rows, args.json)
    return int(any(row.verdict == "fail" for row in rows))


def format_result(row):
    """One line of text about a FixtureResult."""
    if row.verdict == "not applicable":
        return f"{row.name:28} not applicable: {row.reason}"
    if row.max_error is None:
        return f"{row.name:28} {row.verdict}: {row.reason}"
    return f"{row.name:28} {row.verdict}  error {row.max_error:.1e}  tolerance {row.tolerance:.1e}  {row.reason}"

"""NeAR and Cycles side by side: two Blenders that draw the same subjects in turns, and what they draw."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import asset, files, image, mesh
from ...create import create
from ...errors import NearError
from ...scene.camera import orbit
from ..datasets.dataset import Dataset
from .inputs import SAMPLES, make_light

SCRIPT = Path(__file__).resolve().parents[3] / "near_blender" / "lab" / "racer.py"
MARK = "near "  # begins a line of SCRIPT that is an answer
FOV = math.radians(40)  # of the short side of a picture


@dataclass(frozen=True)
class Subject:
    """What is drawn: a scene file, or a model under a map that is turned by `turn` degrees, seen by a camera at
    `matrix` (camera -> world). truth: a reference that came with it, of that size."""

    name: str
    scene: Path | None = None
    model: Path | None = None
    hdri: Path | None = None
    turn: float = 0.0
    matrix: tuple[tuple[float, ...], ...] = ()
    truth: Path | None = None
    size: tuple[int, int] = (0, 0)


class RacingBlender:
    """A Blender with one engine, "near" or "cycles", that lives as long as the `with` block.

    Raises NearError where there is no bpy, or with Blender's words where a picture fails.
    """

    def __init__(self, engine: str):
        self.engine = engine
        self._child = subprocess.Popen([sys.executable, str(SCRIPT), engine], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> RacingBlender:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.stdin.close()
        try:
            self._child.wait(20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def _ask(self, **request) -> dict:
        try:
            print(json.dumps(request), file=self._child.stdin, flush=True)
            line = next((line for line in self._child.stdout if line.startswith(MARK)), "")
        except BrokenPipeError:
            line = ""
        answer = json.loads(line[len(MARK):]) if line else {"failed": "it ended"}
        if "failed" in answer:
            raise NearError(f"Blender with {self.engine} failed ({answer['failed']}).",
                            "Install the Python package bpy, and see that the subject's files are whole.")
        return answer

    def open(self, subject: Subject, folder: Path) -> None:
        """Brings a subject onto the stage. folder: keeps the assets that are made."""
        text = lambda path: "" if path is None else str(path.resolve())
        made = _make_asset(subject, folder) if subject.model and self.engine == "near" else None
        self._ask(op="open", scene=text(subject.scene), model=text(subject.model), hdri=text(subject.hdri),
                  turn=subject.turn, camera=subject.matrix, fov=FOV, asset=text(made))

    def draw(self, size: tuple[int, int], samples: int, denoiser: str, out: Path | None = None, around: float = 0.0
             ) -> dict:
        """Draws from a camera that has moved. samples, denoiser: "" for none, "FAST" or "HIGH", of what Cycles draws.
        out: where the picture goes. around: degrees that the camera has gone around the world's Z axis; at 0 it has
        turned by what no picture shows. Returns `seconds` of the whole, `processor` seconds of all that took part, and
        NeAR's of `copying` into Blender."""
        return self._ask(op="draw", size=size, samples=samples, denoiser=denoiser, around=around,
                         out="" if out is None else str(out.resolve()))


def _make_asset(subject: Subject, folder: Path) -> Path:
    path = folder / f"{subject.name}.near"
    if not path.is_file():
        made = create.create_from_mesh(mesh.load(subject.model), name=subject.name, normalize=True)
        files.write(path, asset.to_bytes(made))
    return path


def list_subjects(data: Path | None, count: int, folder: Path) -> list[Subject]:
    """The objects and scenes of a folder with the data sets `eval` and `scenes` (docs/training.md): of the objects
    every third from the second on, `count` of each. Without a folder the sample mesh alone, under inputs.make_light's
    sky, which is written to `folder`."""
    if data is None:
        sky = folder / "sky.exr"
        image.write_exr(sky, {"Combined": make_light(0).map})
        pose = np.linalg.inv(orbit(30, 20, 2.2, 40, 1, 1).world_to_camera) @ np.diag([1, -1, -1, 1])
        return [Subject("keg", model=SAMPLES / "keg.glb", hdri=sky, matrix=tuple(map(tuple, pose.tolist())))]
    objects = Dataset(data / "eval")
    return ([_take_object(objects, name) for name in objects.assets[1::3][:count]]
            + [_take_scene(path) for path in sorted((data / "scenes").glob("*.blend"))[:count]])


def _take_object(objects: Dataset, name: str) -> Subject:
    """An object as its picture 4 shows it: any camera, a map with a sun, a moon or lamps."""
    view = objects.view(name, 4)
    return Subject(name, model=objects.model(name), hdri=view.hdri, turn=view.rotation,
                   matrix=tuple(map(tuple, view.camera_json["matrix_world"])))


def _take_scene(path: Path) -> Subject:
    truth = path.with_suffix(".exr")
    height, width = image.read(truth).shape[:2]
    return Subject(path.stem, scene=path, truth=truth, size=(width, height))

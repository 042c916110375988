"""Draws the pictures of a data set and measures them: one asset after the other, one row a picture."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ... import image
from ...asset import NeuralAsset
from ...create.config import PhotosConfig, SamplingConfig
from ...create.create import create_from_image, create_from_mesh
from ...create.photo import ELEVATION, FOV
from ...create.shot import Shot
from ...errors import NearError
from ...light.config import TransportConfig
from ...models.mini.runtime import NearMini
from ...render.config import SplattingConfig
from ...render.renderer import Renderer
from ...scene import Instance, Settings
from ..datasets.dataset import Dataset, DatasetView
from . import error_classes, metrics, report
from .baselines import VisibilityRenderer, average_color, fill_silhouette, take_opaque_photo, take_photo
from .lpips import Lpips
from .summary import PictureScore

# task -> the numbers of the pictures it predicts; task 1 creates from the mesh, the others from picture 0
TASKS = {1: (0, 1, 2, 3, 4), 2: (0,), 3: (1,), 4: (2, 3, 4), 5: (5,)}
PHOTO = 0
ROOT = Path(__file__).parents[3]  # of near_core and kernels
LEFT_OUT = ("lab/training", "lab/bench", "lab/reference", "lab/networks")  # folders of near_core that change no number


@dataclass(frozen=True)
class Configs(PhotosConfig):
    """What was tuned, with the values that everybody gets; `--set` tries others."""

    sampling: SamplingConfig = SamplingConfig()
    splatting: SplattingConfig = SplattingConfig()
    transport: TransportConfig = TransportConfig()


class Evaluator:
    """Predicts the pictures of one asset after the other and measures them.

    tasks: numbers from TASKS. settings: how predictions are drawn. own_column: also create without the given alpha and
    camera. save_images: folder for predictions or None. pictures: keep thumbnails for a report. lpips: measured too
    where it is given. model: instead of the embedded one. configs: what was tuned. Raises NearError where the model
    lacks what the tasks need.
    """

    def __init__(self, dataset: Dataset, tasks: tuple[int, ...], settings: Settings, own_column: bool = True,
                 save_images: Path | None = None, pictures: bool = False, lpips: Lpips | None = None,
                 model: NearMini | None = None, configs: Configs = Configs()):
        self.dataset, self.tasks, self.settings, self.configs = dataset, tasks, settings, configs
        self.own_column, self.save_images, self.pictures = own_column, save_images, pictures
        self.lpips, self.engine = lpips, fingerprint()
        self._renderer = Renderer(model, configs.splatting, configs.transport)
        self._visibility = VisibilityRenderer(self._renderer)
        self._model = self._renderer.model
        if max(tasks) > 1 and not {"intrinsics", "structure", "slat"} <= set(self._model.graphs):
            raise NearError("Tasks 2 to 5 need the photo networks, which this build does not have.", "Use --tasks 1.")

    @property
    def key(self) -> str:
        """Changes with anything that may change a number: code, weights, data set, settings, configs."""
        parts = (self.engine, json.dumps(self.dataset.meta, sort_keys=True), repr(self.settings), repr(self.configs),
                 str(self.tasks), str(self.own_column), str(self.save_images), str(self.pictures),
                 str(bool(self.lpips)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def measure(self, asset: str) -> list[PictureScore]:
        """All rows of one asset, in the order of the tasks."""
        rows = self._measure_forward(asset) if 1 in self.tasks else []
        if any(task > 1 for task in self.tasks):
            rows += self._measure_photo(asset)
        return rows

    def _measure_forward(self, asset: str) -> list[PictureScore]:
        neural = create_from_mesh(self.dataset.mesh(asset), name=asset, model=self._model,
                                  sampling_config=self.configs.sampling)
        rows = []
        for view in self._list_views(asset, 1):
            drawn = {"given": self._draw(neural, view, self.settings)}
            alone = replace(self.settings, passes=("Combined",))
            for shading in ("split-sum", "transport"):
                if shading == self.settings.shading:
                    continue
                if shading == "transport" and "lad" not in self._model.graphs:  # then "auto" has just drawn it
                    drawn[shading] = {"Combined": drawn["given"]["Combined"]}
                else:
                    drawn[shading] = self._draw(neural, view, replace(alone, shading=shading))
            drawn["visibility"] = self._draw(neural, view, alone, self._visibility)
            made = [self._score(1, view, column, prediction) for column, prediction in drawn.items()]
            truth = view.passes() if view.n == PHOTO else {}
            if error_classes.NEEDED <= set(truth):
                masks = error_classes.classify(truth, drawn["given"]["Shadow"])
                for row in made:
                    row.classes = error_classes.sum_errors(drawn[row.column]["Combined"], truth["Combined"], masks)
            rows += made
        return rows

    def _measure_photo(self, asset: str) -> list[PictureScore]:
        view = self.dataset.view(asset, PHOTO)
        given = take_photo(view.image())
        color = average_color(view.image())
        neural = self._create(Shot(given, camera=view.camera), asset)
        rows = []
        for task in (t for t in self.tasks if t > 1):
            for target in self._list_views(asset, task):
                prediction = self._draw(neural, target, self.settings)
                silhouette = prediction["Combined"][..., 3:]
                rows.append(self._score(task, target, "given", prediction))
                rows += [self._score(task, target, name, {"Combined": fill_silhouette(silhouette, c)}) for name, c in
                         (("mean_color", color), ("mean_color_oracle", average_color(target.image())))]
        if self.own_column:
            neural = self._create(Shot(take_opaque_photo(view), elevation=ELEVATION, fov=FOV), asset)
            rows += [self._score(task, target, "own", self._draw(neural, target, self.settings))
                     for task in self.tasks if task > 1 for target in self._list_views(asset, task)]
        return rows

    def _create(self, photo: Shot, name: str) -> NeuralAsset:
        return create_from_image([photo], name=name, model=self._model, config=self.configs)

    def _list_views(self, asset: str, task: int) -> list[DatasetView]:
        return [view for view in self.dataset.views(asset) if view.n in TASKS[task]]

    def _draw(self, neural: NeuralAsset, view: DatasetView, settings: Settings,
              renderer: Renderer | None = None) -> dict[str, np.ndarray]:
        renderer = renderer or self._renderer
        return renderer.render([Instance(neural, np.eye(4))], view.camera, view.environment(), settings)

    def _score(self, task: int, view: DatasetView, column: str, prediction: dict[str, np.ndarray]) -> PictureScore:
        picture, truth = prediction["Combined"], view.image()
        row = PictureScore(task, view.asset, view.n, column, metrics.measure_picture(picture, truth, self.lpips))
        if view.n == PHOTO and len(prediction) > 1:
            row.passes = metrics.measure_passes(prediction, view.passes())
        if column == "given" and self.save_images:
            folder = self.save_images / view.asset
            folder.mkdir(parents=True, exist_ok=True)
            image.write_exr(folder / f"{view.n}.t{task}.exr", {"Combined": picture})
        if column == "given" and self.pictures:
            row.pictures = report.encode_strip(picture, truth)
        return row


@cache
def fingerprint(root: Path = ROOT) -> str:
    """Hash of the engine's code and weights, so that no number outlives what made it.

    root: the folder of near_core and kernels.
    """
    core, kernels = root / "near_core", root / "kernels"
    left_out = [core / folder for folder in LEFT_OUT]
    found = [*core.rglob("*.py"), *core.glob("weights/**/*"), *kernels.rglob("*.py"), *kernels.glob("src/*")]
    digest = hashlib.sha256()
    for path in sorted(p for p in found if p.is_file() and not any(p.is_relative_to(f) for f in left_out)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

"""Every asset drawn, and new ones made, with the model that fits: the embedded near-mini, or a published checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .asset import NeuralAsset, octants
from .asset.deformation import Body, Deformation
from .cache import RecentResults, count_bytes
from .create.create import create_from_image
from .errors import Message, NearError
from .models.mini.runtime import RememberingMini
from .progress import Progress, part, silent
from .render import light_groups, light_parts
from .render.composite import merge, put_sky_behind
from .render.renderer import Renderer
from .render.stretching import stretch_all
from .scene import (
    GROUP,
    PARTS,
    PASSES,
    PLAIN,
    Camera,
    Environment,
    Instance,
    Lamp,
    Lens,
    Occluders,
    Settings,
    Shutter,
)

BODIES = 512 * 2**20  # bytes of what the poses of deformed assets share
GUIDES = ("anchor", "thickness", "symmetry", "refine")  # what published networks do not ask of an object


class Engine:
    """Draws pictures of any assets.

    model: the folder of a published checkpoint, or None for the embedded model alone. device: "auto", "cpu", "cuda" or
    "mps"; precision: "auto", "float32", "bfloat16" or "float16"; companions: folders with what creating takes beyond
    the checkpoint; all for published networks only.
    notes: after each picture or asset, one sentence for everything the person should know about it.
    blurred: whether the last picture was, in part at least.
    """

    def __init__(self, model: str | Path | None = None, device: str = "auto", precision: str = "auto",
                 companions: Sequence[str | Path] = ()) -> None:
        self.notes: list[str] = []
        self.blurred = False
        self._embedded = Renderer()
        self._chosen = None if model is None else (model, device, precision, companions)
        self._looking: RememberingMini | None = None  # at photos
        self._posed: dict[tuple[str, str, bool], NeuralAsset] = {}
        self._bodies: RecentResults[Body] = RecentResults(BODIES, count_bytes)
        self._drawn: list[set[str]] = []  # hashes of the assets in the last pictures
        self._published: Any = None  # published.renderer.PublishedRenderer, whose module needs torch

    @property
    def model_hash(self) -> str:
        """Of the embedded model."""
        return self._embedded.model.digest

    @property
    def embedded(self) -> Renderer:
        """What draws with the embedded model."""
        return self._embedded

    def pose(self, asset: NeuralAsset, deformation: Deformation | None, coarse: bool = False
             ) -> tuple[NeuralAsset, float]:
        """The asset as a deformation has it, kept as long as pictures show it, and how large its cube is there; itself
        without one. coarse: as deformation.Body takes it."""
        if deformation is None:
            return asset, 1.0
        body = self._bodies.get_or((asset.hash, coarse), lambda: Body(
            asset, octants.choose_surfels(asset, self._embedded.model), coarse))
        key = asset.hash, deformation.hash, coarse
        if key not in self._posed:
            self._posed[key] = body.deform(deformation)
        return self._posed[key], body.size

    def _stretch(self, instances: Sequence[Instance], shutter: Shutter | None, make: bool
                 ) -> tuple[list[Instance], Shutter | None]:
        """The same scene as stretching.stretch_all has it."""
        made, back = list(instances), np.tile(np.eye(4), (len(instances), 1, 1))
        own = [number for number, each in enumerate(instances) if not self._is_published(each)]
        stretched, back[own] = stretch_all([instances[number] for number in own], self._embedded.model, self._posed,
                                           make)
        for number, each in zip(own, stretched):
            made[number] = each
        return made, shutter and replace(shutter, matrices=shutter.matrices @ back)

    def _is_published(self, instance: Instance) -> bool:
        return self._chosen is not None and instance.asset.model == "near"

    def _forget_poses(self, instances: list[Instance]) -> None:
        """Drops deformed assets that neither this picture nor the one before shows."""
        self._drawn = [*self._drawn[-1:], {each.asset.hash for each in instances}]
        for key, made in list(self._posed.items()):
            if not any(made.hash in drawn for drawn in self._drawn):
                self._embedded.forget(self._posed.pop(key).hash)

    def render(self, instances: list[Instance], camera: Camera, environment: Environment,
               settings: Settings = Settings(), progress: Progress = silent, lamps: Sequence[Lamp] = (),
               occluders: Occluders | None = None, shutter: Shutter | None = None, lens: Lens | None = None
               ) -> dict[str, np.ndarray]:
        """One picture; arguments, passes and errors as in render.renderer.Renderer.render. The published model does not
        tell INSTANCES apart and leaves them out, nor PARTS and GROUPs: one holds all. It draws without blur."""
        asked = instances
        instances, shutter = self._stretch(instances, shutter, settings.quality == "final")
        self._forget_poses([*asked, *instances])
        full = [each for each in instances if self._is_published(each)]
        rest = [each for each in instances if not self._is_published(each)]
        self.notes = [Message("{name} was made for the published model, which is not chosen: near-mini draws it from "
                              "its material, so it may look different.", name=name)
                      for name in _list_names([each for each in asked if not self._is_published(each)])]
        if not full:
            made = self._embedded.render(rest, camera, environment, settings, progress, lamps, occluders, shutter, lens)
            self.blurred = self._embedded.blurred
            return made
        published = self._open(progress)
        parts = [name for name in settings.passes if name in PARTS or name.startswith(GROUP)]
        settings = replace(settings, passes=tuple(name for name in settings.passes if name in PASSES))
        if not rest and not parts:
            picture = published.render(full, camera, environment, settings, progress)
        else:
            bare = replace(settings, background=False, passes=tuple(PASSES))
            picture = merge(published.render(full, camera, environment, bare, part(progress, 0.0, 0.7)),
                            self._embedded.render(rest, camera, environment, bare, part(progress, 0.7, 1.0), lamps,
                                                  occluders, shutter and _take(shutter, instances, rest), lens))
            picture |= _leave_whole(picture, settings, parts)
            if settings.background or "Environment" in parts:
                put_sky_behind(picture, environment, camera, settings)
            picture = {name: picture[name] for name in (*settings.passes, *parts)}
        self.notes += published.notes
        self.blurred = bool(rest) and self._embedded.blurred
        if shutter is not None or lens is not None:
            self.notes.append(Message("The published model draws without motion blur and depth of field."))
        looked = dict.fromkeys(each.asset.name for each in full if each.look != PLAIN)
        self.notes += [Message("The published model does not show the look of {name}.", name=name) for name in looked]
        return picture

    def prepare(self, instances: list[Instance], camera: Camera, settings: Settings = Settings(),
                progress: Progress = silent, lens: Lens | None = None) -> None:
        """Makes ready what the embedded model takes for a picture, whatever its light is; as Renderer.prepare."""
        instances, _ = self._stretch(instances, None, settings.quality == "final")
        self._embedded.prepare([each for each in instances if not self._is_published(each)], camera, settings, progress,
                               lens)

    def create_from_image(self, photos: list, progress: Progress = silent, **options: Any) -> NeuralAsset:
        """An asset of the object in photos; arguments and errors as in create.create.create_from_image. The published
        networks ask neither from where a photo was taken nor how thick things are."""
        self.notes, seed = [], options.get("seed", 0)
        if not (isinstance(seed, int | np.integer) and seed >= 0):
            raise NearError("There is no seed {number}.", "Choose a whole number, 0 or more.", number=seed)
        if self._chosen is None:
            if self._looking is None:
                self._looking = RememberingMini()
            return create_from_image(photos, model=self._looking, progress=progress, notes=self.notes, **options)
        published = self._open(progress)
        made = published.create_from_image(
            photos, progress, **{key: value for key, value in options.items() if key not in GUIDES})
        self.notes = published.notes
        return made

    def _open(self, progress: Progress):
        if self._published is None:
            progress("Checkpoint", 0.0)
            try:
                from .published.renderer import PublishedRenderer
            except ImportError as error:
                raise NearError("The published model needs the Python package {package}.",
                                "Choose a Python that has it, or use Set Up in the preferences.",
                                package=error.name) from error
            self._published = PublishedRenderer(*self._chosen)
        return self._published


def _leave_whole(picture: dict[str, np.ndarray], settings: Settings, parts: list[str]) -> dict[str, np.ndarray]:
    """Parts and groups where nothing tells them apart."""
    return (light_parts.leave_whole(picture["Combined"], picture["Emission"], parts)
            | light_groups.leave_whole(picture["Combined"], settings.group, parts))


def _list_names(instances: list[Instance]) -> list[str]:
    """Assets whose latent belongs to a published model, each once."""
    return list(dict.fromkeys(each.asset.name for each in instances if each.asset.model == "near"))


def _take(shutter: Shutter, instances: list[Instance], some: list[Instance]) -> Shutter:
    """The motions of some of the instances."""
    rows = [number for number, each in enumerate(instances) if any(each is one for one in some)]
    return replace(shutter, matrices=shutter.matrices[:, rows])

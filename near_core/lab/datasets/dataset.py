"""A data set on disk: objects seen by cameras under lights. Read lazily; written by render_dataset.

Layout: meta.json, views/<asset>/<n>.json + <n>.exr (docs/datasets.md).
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ... import files, image, mesh
from ...errors import NearError
from ...scene import Camera, Environment, camera, environment

# what meta.json holds beside numbers: lists of names, a name, names by name
META = {"assets": list, "exclude_groups": list, "exclude_hdris": list, "unfinished": list, "models": str, "hdris": str,
        "files": dict, "categories": dict}


@dataclass(frozen=True)
class DatasetView:
    """One picture of a data set: where it was taken from, under which light, and its files.

    asset: name of the object. n: number of the picture. role: what it is for ("input", "relight", "novel", ...).
    camera_json: the view file's `camera` object. hdri: the light's map, None under uniform light.
    uniform: radiance of the uniform light, None under a map. rotation: degrees, env_rotation. strength: multiplies.
    path: the picture.
    """

    asset: str
    n: int
    role: str
    camera_json: dict
    hdri: Path | None
    uniform: float | None
    rotation: float
    strength: float
    path: Path

    @property
    def camera(self) -> Camera:
        """Where it was taken from, in the set's world."""
        return camera.from_json(self.camera_json)

    def image(self) -> np.ndarray:
        """(H, W, 4) float32, linear, premultiplied."""
        return image.read(self.path)

    def environment(self) -> Environment:
        """The light of this picture."""
        if self.hdri is None:
            return environment.uniform((self.uniform * self.strength,) * 3)
        light = environment.sanitize(image.read(self.hdri), self.hdri.name)
        return Environment(light, environment.turn_z(self.rotation), self.strength)

    def passes(self) -> dict[str, np.ndarray]:
        """The true G-buffer that lies beside the picture, by pass name; data are divided by alpha.

        Combined (H, W, 4), Base Color (H, W, 3), Roughness, Metallic (H, W, 1), Normal (H, W, 3) world,
        Depth (H, W, 1) metres along the camera's axis, 0 where empty. Only what there is a file for.
        """
        combined = self.image()
        alpha = combined[..., 3:]
        divided = lambda x: np.where(alpha > 0, x / np.maximum(alpha, 1e-4), 0)
        found = {"Combined": combined}
        files = {name: self.path.with_name(f"{self.n}.{name}.exr") for name in
                 ("basecolor", "material", "normal", "depth")}
        if files["basecolor"].exists():
            found["Base Color"] = divided(image.read(files["basecolor"])[..., :3])
        if files["material"].exists():
            material = divided(image.read(files["material"])[..., :2])
            found["Roughness"], found["Metallic"] = material[..., :1], material[..., 1:]
        if files["normal"].exists():
            found["Normal"] = image.read(files["normal"])[..., :3]
        if files["depth"].exists():
            found["Depth"] = image.read(files["depth"])[..., :1]
        return found


class Dataset:
    """A data set's folder. Nothing but meta.json is read before it is asked for.

    path: the folder. Raises NearError when it is none.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise NearError(f"There is no data set {self.path}.", "Choose a folder made by render-dataset.")
        self.meta = _read_json(self.path / "meta.json")
        if not isinstance(self.meta.get("assets"), list):
            raise NearError(f"{self.path.name}/meta.json lists no assets.", "Choose a folder made by render-dataset.")
        for key, kind in META.items():
            value = self.meta.get(key, kind())
            names = [value] if kind is str else [*value, *value.values()] if isinstance(value, dict) else value
            if not isinstance(value, kind) or not all(isinstance(name, str) and name.isprintable() for name in names):
                raise NearError(f"{self.path.name}/meta.json does not hold names as {key}.", "Render the set again.")

    @property
    def assets(self) -> list[str]:
        """Names of the objects, in the set's order."""
        return list(self.meta["assets"])

    @property
    def excluded_groups(self) -> set[str]:
        """Families of models that are kept out of training because this set tests on them."""
        return set(self.meta.get("exclude_groups", ()))

    @property
    def excluded_hdris(self) -> set[str]:
        """File names of the maps that are kept out of training because this set tests on them."""
        return set(self.meta.get("exclude_hdris", ()))

    @property
    def unfinished(self) -> set[str]:
        """Assets whose roughness and metallic were made up where their files say nothing of them."""
        return set(self.meta.get("unfinished", ()))

    def mesh(self, asset: str) -> mesh.Mesh:
        """The asset's mesh where it stands in the set's world: centred, its longest side 1."""
        loaded = mesh.load(self.model(asset))
        return mesh.normalize(loaded)[0] if self.meta.get("normalised") else loaded

    def model(self, asset: str) -> Path:
        """The asset's mesh file. Sets that are not marked as `normalised` use its own frame as their world."""
        named = self.meta.get("files", {}).get(asset, f"{self.meta.get('models', 'models')}/{asset}.glb")
        return (self.path / named).resolve()

    def views(self, asset: str) -> list[DatasetView]:
        """All pictures of an asset that are there, by number."""
        folder = self.path / "views" / asset
        numbers = sorted(int(p.stem) for p in folder.glob("*.json") if p.stem.isdigit())
        return [self.view(asset, n) for n in numbers]

    def view(self, asset: str, n: int) -> DatasetView:
        """Picture n of an asset. Raises NearError when its file is missing or malformed."""
        path = self.path / "views" / asset / f"{n}.json"
        data = _read_json(path)
        try:
            hdri, uniform = data.get("hdri"), data.get("uniform")
            if hdri is None and uniform is None:
                raise KeyError("hdri")
            return DatasetView(asset, n, data.get("role", ""), data["camera"],
                        None if hdri is None else (self.path / self.meta.get("hdris", "hdris") / hdri).resolve(),
                        None if hdri is not None else float(uniform), float(data.get("hdri_rotation_deg", 0)),
                        float(data.get("world_strength", 1)), path.with_name(data.get("image", f"{n}.exr")))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise NearError(f"{path} is malformed ({error}).", "Render it again.") from error

    @cached_property
    def categories(self) -> dict[str, str]:
        """asset -> category, from meta.json or models.csv beside the models; "" where they say nothing."""
        if "categories" in self.meta:
            return dict(self.meta["categories"])
        rows = read_models_csv((self.path / self.meta.get("models", "models")).resolve())
        return {asset: rows.get(self.model(asset).stem, {}).get("category", "") for asset in self.assets}


def read_models_csv(folder: Path) -> dict[str, dict]:
    """models.csv of a folder of models: file stem -> its row (category, group, flags ...); empty without the file."""
    path = folder / "models.csv"
    if not os.path.isfile(path):  # of a folder whose name is too long Path says that by an exception
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise NearError(f"{path} is malformed ({error}).",
                        "Its first line must name its columns, one of them file.") from error


def _read_json(path: Path) -> dict:
    data = files.read_json(path, "Render it again.")
    if not isinstance(data, dict):
        raise NearError(f"{path} is not a JSON object.", "Render it again.")
    return data

"""Assets as what other programs read: a textured mesh, or Gaussian splats under the light of the scene; and how near
these come to the neural picture, from six views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..asset import octants
from ..asset.textured_mesh import make_mesh
from ..create.create import create_from_mesh
from ..directions import fibonacci_sphere, polar_rotation, unit
from ..errors import NearError
from ..image import srgb_decode, srgb_encode
from ..mesh import Material, Mesh, encode_light
from ..progress import Progress, part, silent
from ..render import gaussians
from ..render.renderer import Renderer
from ..render.sight import find_standing
from ..render.splat_cloud import SplatCloud, fit_harmonics
from ..render.stretching import stretch_all
from ..scene import PLAIN, AssetLook, Camera, Environment, Instance, Lamp, Occluders, Settings
from ..scene import camera as cameras
from ..scene.look import shift

DIRECTIONS = 32  # from which splats' colours are fitted
VIEWS = tuple((60.0 * number, 10.0 if number % 2 else 30.0) for number in range(6))  # azimuth, elevation, degrees
SIZE = 256  # pixels of each


@dataclass(frozen=True, eq=False)
class Situation:
    """Where an asset stands and in what light."""

    instance: Instance
    environment: Environment
    lamps: Sequence[Lamp] = ()
    occluders: Occluders | None = None

    def __post_init__(self) -> None:
        """Raises NearError where the asset has no room."""
        if not len(find_standing([replace(self.instance, look=PLAIN)]).rows):
            raise NearError("The object is flat: its scale is 0 along an axis.", "Give it another scale.")

    def draw(self, renderer: Renderer, asset: Any, camera: Camera) -> np.ndarray:
        """The picture of an asset in its place, (H, W, 4) display colours, premultiplied."""
        instance = replace(self.instance, asset=asset, look=replace(self.instance.look, opacity=1.0))
        made = renderer.render([_stretch(instance, renderer)], camera, self.environment,
                               Settings(passes=("Combined",)), lamps=self.lamps, occluders=self.occluders)["Combined"]
        return np.concatenate([srgb_encode(made[..., :3]), made[..., 3:]], 2)


def bake_mesh(renderer: Renderer, situation: Situation, side: int = 2048, progress: Progress = silent
              ) -> tuple[Mesh, float]:
    """The asset as a mesh with maps, asset frame, in the look that it has; and its PSNR in dB."""
    asset, look = situation.instance.asset, situation.instance.look
    progress("Surface", 0.0)
    made = make_mesh(asset, octants.choose_surfels(asset, renderer.model), side)
    if not look.is_plain:
        made = replace(made, materials=tuple(_dress(material, look) for material in made.materials))
    again = create_from_mesh(made, name=asset.name, model=renderer.model, progress=part(progress, 0.2, 0.6))
    plain = replace(situation, instance=replace(situation.instance, look=AssetLook(exposure=look.exposure)))
    return made, _compare(renderer, situation, lambda camera: plain.draw(renderer, again, camera),
                          part(progress, 0.6, 1.0))


def bake_splats(renderer: Renderer, situation: Situation, extent: float | None = None, progress: Progress = silent
                ) -> tuple[bytes, float]:
    """The asset as Gaussian splats in the bytes of a .ply file; and its PSNR in dB. extent: metres that the edge of the
    asset's cube has in it; None: those that the asset says, which it has at rest."""
    instance, asset = situation.instance, situation.instance.asset
    away = fibonacci_sphere(DIRECTIONS).astype(np.float64)
    lit = _stretch(instance, renderer)
    prepared, radiance, gain = renderer.radiate(lit, situation.environment, away, lamps=situation.lamps,
                                                progress=part(progress, 0.0, 0.6), occluders=situation.occluders)
    if lit is not instance:  # its surfels, in the same order, where they lie at rest
        prepared = renderer.radiate(instance, situation.environment, away[:1])[0]
    surfels, texels = prepared.level.surfels, prepared.texels
    own = np.setdiff1d(np.arange(len(surfels)), texels.surfel) if texels is not None else np.arange(len(surfels))
    rows, shape = own, prepared.discs.take(own)
    if texels is not None:
        radiance = np.concatenate([radiance[:, own], np.maximum(
            radiance[:, texels.surfel] + prepared.shift * gain[:, texels.surfel], 0)], 1)
        rows, shape = np.concatenate([own, texels.surfel]), gaussians.concatenate([shape, prepared.detail])
    normal = surfels.normal[rows]
    local = away @ polar_rotation(np.asarray(instance.matrix, np.float64))
    turned = unit(normal @ np.linalg.inv(np.asarray(instance.matrix, np.float64)[:3, :3]).astype(np.float32))
    weight = np.maximum(away.astype(np.float32) @ turned.T, 0)  # (D, N), as much as they are seen from there
    weight += 1e-3
    cloud = SplatCloud(shape, normal, fit_harmonics(srgb_encode(radiance), -local, weight))
    psnr = _compare(renderer, situation, lambda camera: cloud.draw(camera, instance.matrix), part(progress, 0.7, 1.0))
    return cloud.to_ply(extent or asset.extent), psnr


def compare_plain(renderer: Renderer, situation: Situation, progress: Progress = silent) -> float:
    """PSNR in dB of the asset without the look that it has in the scene, as files have it."""
    plain = replace(situation, instance=replace(situation.instance, look=PLAIN))
    return _compare(renderer, situation, lambda camera: plain.draw(renderer, plain.instance.asset, camera), progress)


def _stretch(instance: Instance, renderer: Renderer) -> Instance:
    """An instance as engine.Engine draws it where it is alone."""
    return stretch_all([instance], renderer.model, {})[0][0]


def _dress(material: Material, look: AssetLook) -> Material:
    """A material with the look in its maps; its factors become 1 where there are maps."""
    r, g, b, alpha = material.base_color
    changed: dict[str, Any] = {"base_color": (*look.recolor(np.float32([[r, g, b]]))[0].tolist(), alpha)}
    if material.base_color_map is not None:
        linear = srgb_decode(material.base_color_map[..., :3] / 255).reshape(-1, 3) * np.float32([r, g, b])
        code = np.round(srgb_encode(look.recolor(linear)) * 255).astype(np.uint8)
        changed = {"base_color": (1.0, 1.0, 1.0, alpha), "base_color_map": np.concatenate(
            [code.reshape(*material.base_color_map.shape[:2], 3), material.base_color_map[..., 3:]], 2)}
    if material.glows:
        changed |= _dress_light(material, look)
    for name, by in (("roughness", look.roughness), ("metallic", look.metallic)):
        factor, picture = getattr(material, name), getattr(material, f"{name}_map")
        if picture is None:
            changed[name] = float(shift(np.float32(factor), by))
        else:
            changed |= {name: 1.0, f"{name}_map": np.round(shift(
                picture.astype(np.float32) / 255 * np.float32(factor), by) * 255).astype(np.uint8)}
    return replace(material, **changed)


def _dress_light(material: Material, look: AssetLook) -> dict[str, Any]:
    """The fields of a material that glows, with the look in its map."""
    picture, sent = material.emission_map, np.array(material.emission, np.float32)
    if picture is None:
        return {"emission": tuple(look.tint_light(sent[None])[0].tolist())}
    linear = srgb_decode(picture[..., :3] / 255).reshape(-1, 3) * sent
    most, made = encode_light(look.tint_light(linear).reshape(*picture.shape[:2], 3))
    return {"emission": (most, most, most), "emission_map": made}


def _compare(renderer: Renderer, situation: Situation, draw: Callable[[Camera], np.ndarray], progress: Progress
             ) -> float:
    """PSNR in dB of what `draw` shows against the neural picture, over the object's pixels of all views."""
    total, count = 0.0, 0
    for number, view in enumerate(list_views(situation.instance.matrix)):
        progress("Comparing", number / len(VIEWS))
        truth, made = situation.draw(renderer, situation.instance.asset, view), draw(view)
        solid = truth[..., 3] > 0.5
        total += float(((np.clip(made[..., :3], 0, 1) - truth[..., :3])[solid] ** 2).sum())
        count += 3 * int(solid.sum())
    return float(-10 * np.log10(max(total / max(count, 1), 1e-10)))


def list_views(matrix: np.ndarray) -> list[Camera]:
    """Six cameras around an asset that stands at matrix (4, 4)."""
    matrix = np.asarray(matrix, np.float64)
    scale, turn = float(np.linalg.norm(matrix[:3, :3], 2)), np.eye(4)
    turn[:3, :3] = polar_rotation(matrix)
    if np.linalg.det(turn) < 0:
        turn[:3, 0] *= -1
    found = []
    for azimuth, elevation in VIEWS:
        view = cameras.orbit(azimuth, elevation, 2.2 * scale, 40, SIZE, SIZE)
        place = turn.copy()
        place[:3, 3] = matrix[:3, 3]
        found.append(replace(view, world_to_camera=view.world_to_camera @ np.linalg.inv(place)))
    return found

"""The verb render: instances, a camera and an environment become passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from .._kernels import splat
from ..asset import NeuralAsset, Texels, octants
from ..asset.octants import choose_surfels, encode
from ..cache import RecentResults
from ..directions import polar_rotation
from ..light import lamplight, terms, transport
from ..light.config import LampConfig, TransportConfig
from ..light.lamplight import LampLight
from ..light.points import LitSurface
from ..light.shadows import Surroundings
from ..light.transport import Illumination, PreparedLight
from ..models.mini import runtime
from ..models.mini.layout import Term
from ..progress import Progress, part, silent
from ..scene import INSTANCES, Camera, Environment, Instance, Lamp, Occluders, Settings
from . import deferred, identity, passes, splatting
from .config import SplattingConfig
from .deferred import SkinnedInstance
from .detail import refine
from .identity import Identity
from .parallel import parallel_map
from .skin import PreparedSkin
from .splatting import PlacedInstance, Selection, VisibleInstance

AT_ONCE = 2048  # surfels shaded together: what they need stays in a core's cache


@dataclass(frozen=True, eq=False)
class PreparedAsset:
    """An asset made ready, M surfels and K texels.

    transport: the surfels and what they see of each other. texels: or None; shift: (K, 3) float32, their linear base
    colour less their surfels'. voxel: (M,) rows of the surfels' voxels in h. h: (N, H) float32, intrinsic features of
    the voxels; None where the model has none.
    """

    transport: transport.Transport
    texels: Texels | None
    shift: np.ndarray | None
    voxel: np.ndarray
    h: np.ndarray | None


def prepare_asset(asset: NeuralAsset, model: runtime.NearMini, config: TransportConfig = TransportConfig(),
                  threads: int = 0, progress: Progress = silent) -> PreparedAsset:
    """Everything that depends on the asset alone. 0.2 to 1 s."""
    surfels = choose_surfels(asset, model)
    h = None
    if "iad" in model.graphs:
        slat = asset.slat
        if asset.model_hash != model.digest:  # another model's latent means nothing to this one
            slat = encode(model, surfels, asset.coords)
        progress("Asset", 0.25)
        h = model.run("iad", slat=slat, neighbours=octants.find_neighbours(asset.coords))[0]
    texels = asset.texels
    shift = None if texels is None else texels.compute_colors(surfels) - surfels.base_color[texels.surfel]
    carried = transport.prepare_transport(surfels, threads, part(progress, 0.5, 1.0), config)
    return PreparedAsset(carried, texels, shift, octants.find_voxels(surfels, asset.coords), h)


@dataclass(frozen=True, eq=False)
class LitInstance:
    """An instance on its way through a frame. number: its place among all, from 1. light: the World, with what the
    instance's probe shows before it. illumination: of the asset as it stands under this light; lamps: under the
    picture's lamps, None where none shine. matrix: (4, 4), rotation: (3, 3), asset frame -> world. visible: its surfels
    before the camera. skin: what it is drawn by instead, or None."""

    number: int
    asset: PreparedAsset
    light: PreparedLight
    illumination: Illumination
    lamps: LampLight | None
    matrix: np.ndarray
    rotation: np.ndarray
    visible: VisibleInstance
    skin: PreparedSkin | None = None


def _stands(instance: Instance) -> bool:
    matrix = np.asarray(instance.matrix, np.float64)
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) >= 1e-18)


class Renderer:
    """Draws pictures and keeps what the next one can use: light per map, transport per asset, both per rotation.

    model: the networks, by default those of this build. splatting, transport: how surfels are drawn, how light is
    carried; they hold for every picture.
    """

    def __init__(self, model: runtime.NearMini | None = None, splatting: SplattingConfig = SplattingConfig(),
                 transport: TransportConfig = TransportConfig(), lamps: LampConfig = LampConfig()) -> None:
        self.model, self.splatting, self.transport = model or runtime.NearMini(), splatting, transport
        self.lamps = lamps
        self._lights: RecentResults[PreparedLight] = RecentResults(32)
        self._assets: RecentResults[PreparedAsset] = RecentResults(16)
        self._skins: RecentResults[PreparedSkin] = RecentResults(8)
        self._placed: RecentResults[PlacedInstance] = RecentResults(32)
        self._illuminations: RecentResults[Illumination] = RecentResults(32)
        self._lamplights: RecentResults[LampLight | None] = RecentResults(32)

    def render(self, instances: list[Instance], camera: Camera, environment: Environment,
               settings: Settings = Settings(), progress: Progress = silent, lamps: Sequence[Lamp] = (),
               occluders: Occluders | None = None) -> dict[str, np.ndarray]:
        """One picture. lamps: light the instances. occluders: cast shadows on them.

        Returns: pass name -> (H, W, C) float32, row 0 on top, as scene.PASSES; radiance is scene-linear Rec.709.
        Raises NearError where a picture would be wrong, Cancelled when progress does.
        """
        progress("Light", 0.0)
        light = self._lights.get_or(environment.hash, lambda: self._prepare_light(environment)).turn(environment)
        lit = []
        for number in range(len(instances)):
            report = part(progress, 0.5 * number / len(instances), 0.5 * (number + 1) / len(instances))
            if _stands(instances[number]):  # else nothing can be seen
                lit.append(self._illuminate(instances, number, camera, light, settings, report, lamps, occluders))
        picture = self._draw(lit, camera, light, settings, part(progress, 0.5, 1.0))
        progress("Done", 1.0)
        return picture

    def radiance(self, item: LitInstance, shaded: terms.Shaded, light: PreparedLight, settings: Settings
                 ) -> np.ndarray:
        """What K shaded surfels of an instance send to the camera, (K, 3) at strength 1. A baseline is a Renderer with
        another radiance."""
        if settings.shading == "split-sum":
            return shaded.terms[:, Term.SKY_OPEN] + shaded.terms[:, Term.SPECULAR_OPEN]
        if settings.shading != "auto" or item.asset.h is None or "lad" not in self.model.graphs:
            return shaded.terms[:, Term.SKY] + shaded.terms[:, Term.BOUNCED] + shaded.terms[:, Term.SPECULAR]
        inputs = terms.gather_decoder_inputs(shaded, light, item.rotation)
        return light.mean * self.model.run("lad", h=item.asset.h[item.asset.voxel[shaded.index]], **inputs)[0]

    def _radiate(self, item: LitInstance, shaded: terms.Shaded, settings: Settings) -> np.ndarray:
        return self.radiance(item, shaded, item.light, settings)

    def _prepare_asset(self, asset: NeuralAsset, settings: Settings, progress: Progress = silent) -> PreparedAsset:
        return self._assets.get_or(asset.hash, lambda: prepare_asset(
            asset, self.model, self.transport, settings.threads, progress))

    def _prepare_light(self, environment: Environment) -> PreparedLight:
        light = transport.prepare_light(environment, self.transport)
        if "tokenizer" not in self.model.graphs:
            return light
        return replace(light, tokens=self.model.run(
            "tokenizer", radiance=terms.look_up_tokens(light, terms.spread_tokens()))[0])

    def _illuminate(self, instances: Sequence[Instance], number: int, camera: Camera, light: PreparedLight,
                    settings: Settings, progress: Progress, lamps: Sequence[Lamp], occluders: Occluders | None
                    ) -> LitInstance:
        """The instance of this number among those that stand around it."""
        instance, asset = instances[number], instances[number].asset
        matrix = np.asarray(instance.matrix, np.float64)
        progress("Asset", 0.0)
        prepared = self._prepare_asset(asset, settings, part(progress, 0.0, 0.4))
        progress("Light transport", 0.4)
        light = self._put_probe(light, instance)
        rotation, suns = polar_rotation(matrix), settings.quality == "final"
        key = (asset.hash, light.environment.hash, suns, np.round(light.asset_to_map(rotation), 7).tobytes())
        illumination = self._illuminations.get_or(key, lambda: transport.illuminate(
            prepared.transport, light, rotation, suns=suns, threads=settings.threads,
            progress=part(progress, 0.4, 1.0)))
        shining = [lamp for i, lamp in enumerate(lamps) if i not in instance.unlit_by]
        lamplit = None
        if shining:
            around = self._surround(instances, number, occluders, settings)
            shone = (asset.hash, matrix.tobytes(), tuple(lamp.key for lamp in shining), around.key)
            lamplit = self._lamplights.get_or(shone, lambda: lamplight.illuminate(
                prepared.transport, shining, matrix, rotation, around, self.lamps, settings.threads))
        placed = self._placed.get_or((asset.hash, matrix.tobytes()), lambda: splatting.place(
            prepared.transport.surfels, prepared.texels, matrix, self.splatting))
        return LitInstance(number + 1, prepared, light, illumination, lamplit, matrix, rotation,
                           splatting.face(placed, camera, self.splatting),
                           self._find_skin(asset, placed, camera, settings))

    def _find_skin(self, asset: NeuralAsset, placed: PlacedInstance, camera: Camera, settings: Settings
                   ) -> PreparedSkin | None:
        """What draws an instance instead of its surfels: its skin, where it has one and these are wide enough."""
        if asset.skin is None or settings.quality != "final" or self.splatting.measure_cell(
                placed.cell, placed.middle, camera) < self.splatting.skin_cell:
            return None
        return self._skins.get_or(asset.hash, lambda: PreparedSkin(asset.skin))

    def _surround(self, instances: Sequence[Instance], number: int, occluders: Occluders | None, settings: Settings
                  ) -> Surroundings:
        """What can cast shadows on the instance of this number."""
        rest = [each for i, each in enumerate(instances) if i != number and _stands(each)]
        others = tuple((self._prepare_asset(each.asset, settings).transport.grid, np.linalg.inv(each.matrix))
                       for each in rest)
        return Surroundings(others, occluders, (
            *((each.asset.hash, np.asarray(each.matrix, np.float64).tobytes()) for each in rest),
            occluders and occluders.hash))

    def _put_probe(self, light: PreparedLight, instance: Instance) -> PreparedLight:
        """What an instance is lit by: the World, where its probe shows nothing before it."""
        probe, world = instance.probe, light.environment
        if probe is None:
            return light
        key = (world.hash, world.strength, world.world_to_map.tobytes(), probe.hash)
        return self._lights.get_or(key, lambda: self._prepare_light(probe.lay_over(world)))

    def _draw(self, lit: list[LitInstance], camera: Camera, light: PreparedLight, settings: Settings,
              progress: Progress) -> dict[str, np.ndarray]:
        samples, threads, wanted = self.splatting.samples(settings.quality), settings.threads, settings.passes
        sky = light.look_up if settings.background else None
        if not lit:
            empty = np.broadcast_to(np.float32(0), (camera.height, camera.width, passes.count_features(wanted)))
            return passes.develop(empty, empty[..., 0], camera, sky, wanted, threads, self.splatting, progress)
        visible = [item.visible for item in lit]
        selection = splatting.select(visible, camera, samples > 1, threads, self.splatting, part(progress, 0.0, 0.1))
        who = None
        if INSTANCES in wanted:
            who = identity.share_channels(selection.projection, selection.rows, [item.number for item in lit],
                                          camera.width, camera.height)
        skinned = [item.skin is not None for item in lit]
        image, alpha = None, None
        if any(skinned):
            image, alpha = self._draw_skins(lit, selection, camera, settings, who, part(progress, 0.1, 0.8))
            selection = selection.drop(skinned)
        if not all(skinned):
            splats = self._draw_splats(lit, selection, camera, settings, who, part(progress, 0.1, 0.8))
            image, alpha = splats if image is None else deferred.merge(image, alpha, *splats)
        return passes.develop(image, alpha, camera, sky, wanted, threads, self.splatting, part(progress, 0.9, 1.0), who)

    def _draw_skins(self, lit: Sequence[LitInstance], selection: Selection, camera: Camera, settings: Settings,
                    who: Identity | None, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        """Features and alpha of the instances with skins, as _draw_splats."""
        instances = []
        for number, (item, rows) in enumerate(zip(lit, selection.rows)):
            if item.skin is None:
                continue
            shaded = np.flatnonzero(selection.shaded[rows])
            instances.append(SkinnedInstance(
                item.skin, LitSurface(item.asset.transport, item.light, item.illumination, item.lamps, item.matrix,
                                    item.rotation), shaded, item.visible.to_camera[shaded],
                partial(self._radiate, item),
                settings.shading == "auto" and item.asset.h is not None and "lad" in self.model.graphs,
                None if who is None else int(who.channel[number])))
        channels = passes.count_features(settings.passes) + (0 if who is None else who.count)
        return deferred.draw(instances, camera, channels, settings, self.transport.rays(settings.quality),
                             self.splatting, progress)

    def _draw_splats(self, lit: Sequence[LitInstance], selection: Selection, camera: Camera, settings: Settings,
                     who: Identity | None, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
        """Features (H, W, C), premultiplied, and alpha (H, W) of what a selection draws."""
        samples, threads = self.splatting.samples(settings.quality), settings.threads
        features, gain = self._shade(lit, selection, settings, progress)
        if who is not None:
            features = who.append(features, selection.rows)
        projection, depth = selection.projection, selection.occlusion_depth
        if samples > 1:
            projection, features, depth = refine(
                selection, [item.visible for item in lit], [item.asset.shift for item in lit], features, gain, camera,
                settings.passes, threads, self.splatting)
        image, alpha, _ = splat.rasterize(projection, features, camera.width, camera.height, occlusion_depth=depth,
                                          samples=samples, threads=threads)
        return image, alpha

    def _shade(self, lit: Sequence[LitInstance], selection: Selection, settings: Settings, progress: Progress
               ) -> tuple[np.ndarray, np.ndarray]:
        """Features (M, C) of the selection's surfels, as passes.pack makes them, 0 where a surfel is not shaded; and
        how much their radiance grows with their base colour, (M, 3)."""
        count = len(selection.shaded)
        features = np.zeros((count, passes.count_features(settings.passes)), np.float32)
        gain = np.zeros((count, 3), np.float32)
        for number, (item, rows) in enumerate(zip(lit, selection.rows)):
            shaded = np.flatnonzero(selection.shaded[rows])

            def shade_part(index: np.ndarray) -> None:
                at = rows.start + index  # noqa: B023 (done before the next item)
                features[at], gain[at] = self._shade_part(
                    item, index, selection.projection.depth[at], settings)  # noqa: B023

            parallel_map(shade_part, np.array_split(shaded, -(-len(shaded) // AT_ONCE) or 1), settings.threads,
                         "Shading", part(progress, number / len(lit), (number + 1) / len(lit)))
        return features, gain

    def _shade_part(self, item: LitInstance, index: np.ndarray, depth: np.ndarray, settings: Settings
                    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of an instance's surfels at index (K,), in depth (K,) metres before the camera."""
        visible, light, strength = item.visible, item.light, item.light.environment.strength
        # rows times O are O^T d
        view = np.ascontiguousarray(visible.to_camera[index] @ item.rotation.astype(np.float32))
        shaded = terms.shade(item.asset.transport, item.illumination, light, item.rotation, index, view,
                             self.transport.rays(settings.quality), threads=1)
        radiance, sent = self.radiance(item, shaded, light, settings) * strength, shaded.terms * strength
        if item.lamps is not None:
            by_lamps = terms.shade_lamps(item.asset.transport, item.lamps, item.matrix, item.rotation, shaded,
                                         self.transport.rays(settings.quality), threads=1)
            radiance += by_lamps[:, Term.SKY] + by_lamps[:, Term.BOUNCED] + by_lamps[:, Term.SPECULAR]
            sent += by_lamps
        surfels = shaded.surfels
        features = passes.pack(depth, radiance, {
            "Base Color": surfels.base_color, "Normal": visible.placed.shading_normal[index],
            "Roughness": surfels.roughness, "Metallic": surfels.metallic, "Shadow": shaded.visibility,
            "Confidence": surfels.confidence}, settings.passes)
        # what is diffuse is in proportion to it; so are a metal's reflections, nearly
        colored = sent[:, Term.SKY] + sent[:, Term.BOUNCED] + surfels.metallic[:, None] * sent[:, Term.SPECULAR]
        return features, colored / np.maximum(surfels.base_color, 1e-3)

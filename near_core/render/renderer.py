"""The verb render: instances, a camera and an environment become passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .._kernels import splat
from ..asset import CELL, NeuralAsset, Texels
from ..asset import octants as latent
from ..asset.octants import encode, surfels_of
from ..cache import RecentResults
from ..directions import polar_rotation, unit
from ..light import terms, transport
from ..light.config import TransportConfig
from ..models.mini import runtime
from ..progress import Progress, part, silent
from ..scene import PASSES, Camera, Environment, Instance, Settings
from . import gaussians, passes
from .config import SplattingConfig
from .parallel import parallel_map
from .splatting import faint_weight, project, seen_weights

AT_ONCE = 2048  # surfels shaded together: what they need stays in a core's cache
FINE_AT_ONCE = 8192  # texels, likewise
BAND = 16  # rows of the picture, likewise


@dataclass(frozen=True, eq=False)
class _Prepared:
    """An asset made ready. voxel: (M,) rows of the surfels' voxels; h: (N, H) intrinsic features, None without model.
    colors: (K, 3) linear, of the texels."""

    transport: transport.Transport
    texels: Texels | None
    colors: np.ndarray | None
    voxel: np.ndarray
    h: np.ndarray | None


@dataclass(frozen=True, eq=False)
class _Standing:
    """An asset's M surfels in the world. normal, shading_normal: (M, 3). cell: metres, about. fine: its texels."""

    shape: gaussians.Gaussians
    fine: gaussians.Gaussians | None
    normal: np.ndarray
    shading_normal: np.ndarray
    cell: np.float32

    @classmethod
    def of(cls, prepared: _Prepared, matrix: np.ndarray, config: SplattingConfig) -> _Standing:
        """matrix: (4, 4) asset frame -> world."""
        surfels, texels = prepared.transport.surfels, prepared.texels
        covector = np.linalg.inv(matrix[:3, :3]).astype(np.float32)  # n @ M^-1 is M^-T n
        cell = CELL * np.cbrt(abs(np.linalg.det(matrix[:3, :3])))
        fine = None if texels is None else gaussians.from_texels(texels, surfels, matrix, config)
        return cls(gaussians.from_surfels(surfels, matrix, config), fine, unit(surfels.normal @ covector),
                   unit(surfels.shading_normal @ covector), np.float32(cell))


@dataclass
class _Drawn:
    """One instance on its way through a frame; all of its M surfels are drawn."""

    prepared: _Prepared
    illumination: transport.Illumination
    rotation: np.ndarray  # (3, 3) asset frame -> world
    front: np.ndarray  # (M,) bool, those that face the camera; the others only block what is behind
    to_camera: np.ndarray  # (M, 3) world
    normal: np.ndarray  # (M, 3) world, shading
    shape: gaussians.Gaussians
    fine: gaussians.Gaussians | None  # its texels
    hides: np.float32  # metres behind its surface


class Renderer:
    """Draws pictures and keeps what the next one can use: light per map, transport per asset, both per rotation.

    model: the networks, by default those of this build. splatting, transport: how surfels are drawn, how light is
    carried; they hold for every picture.
    """

    def __init__(self, model: runtime.NearMini | None = None, splatting: SplattingConfig = SplattingConfig(),
                 transport: TransportConfig = TransportConfig()) -> None:
        self.model, self.splatting, self.transport = model or runtime.NearMini(), splatting, transport
        self._lights = RecentResults(4)
        self._prepared = RecentResults(16)
        self._standing = RecentResults(32)
        self._illuminations = RecentResults(32)

    def render(self, instances: list[Instance], camera: Camera, environment: Environment,
               settings: Settings = Settings(), progress: Progress = silent) -> dict[str, np.ndarray]:
        """One picture.

        Returns: pass name -> (H, W, C) float32, row 0 on top, as scene.PASSES; radiance is scene-linear Rec.709.
        Raises NearError where a picture would be wrong, Cancelled when progress does.
        """
        progress("Light", 0.0)
        light = self._lights.get_or(environment.hash, lambda: self._prepare_light(environment)).turn(environment)
        drawn = []
        for number, instance in enumerate(instances):
            report = part(progress, 0.5 * number / len(instances), 0.5 * (number + 1) / len(instances))
            item = self._place(instance, camera, light, settings, report)
            if item is not None:
                drawn.append(item)
        picture = self._draw(drawn, camera, light, settings, part(progress, 0.5, 1.0))
        progress("Done", 1.0)
        return picture

    def _prepare_light(self, environment: Environment) -> transport.PreparedLight:
        light = transport.prepare_light(environment, self.transport)
        if "tokenizer" not in self.model.graphs:
            return light
        return replace(light, tokens=self.model.run(
            "tokenizer", radiance=terms.token_radiance(light, terms.token_directions()))[0])

    def _place(self, instance: Instance, camera: Camera, light: transport.PreparedLight, settings: Settings,
               progress: Progress) -> _Drawn | None:
        matrix = np.asarray(instance.matrix, np.float64)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-18:
            return None  # scaled to nothing: there is nothing to see
        progress("Asset", 0.0)
        asset = instance.asset
        prepared = self._prepared.get_or(asset.hash, lambda: self._prepare(asset, settings.threads, progress))
        progress("Light transport", 0.4)
        rotation = polar_rotation(matrix)
        suns = settings.quality == "final"
        key = (asset.hash, light.environment.hash, suns, np.round(light.asset_to_map(rotation), 7).tobytes())
        illumination = self._illuminations.get_or(key, lambda: transport.illuminate(
            prepared.transport, light, rotation, suns=suns, threads=settings.threads,
            progress=part(progress, 0.4, 1.0)))
        standing = self._standing.get_or((asset.hash, matrix.tobytes()),
                                         lambda: _Standing.of(prepared, matrix, self.splatting))
        shape = standing.shape
        to_camera = camera.directions_to(shape.xyz)
        front = np.einsum("kc,kc->k", standing.normal, to_camera) > self.splatting.facing
        # a sheet's far side lies where its near side does: moved back it never comes first
        back = np.float32(self.splatting.far_side_offset) * standing.cell
        xyz = shape.xyz - to_camera * np.where(front, np.float32(0), back)[:, None]
        return _Drawn(prepared, illumination, rotation, front, to_camera, standing.shading_normal,
                      replace(shape, xyz=xyz), standing.fine if settings.quality == "final" else None,
                      np.float32(self.splatting.occlusion_depth * standing.cell))

    def _prepare(self, asset: NeuralAsset, threads: int, progress: Progress) -> _Prepared:
        surfels = surfels_of(asset, self.model)
        h = None
        if "iad" in self.model.graphs:
            around = latent.neighbours(asset.coords)
            slat = asset.slat
            if asset.model_hash != self.model.digest:  # another model's latent means nothing to this one
                slat = encode(self.model, surfels, asset.coords)
            progress("Asset", 0.1)
            h = self.model.run("iad", slat=slat, neighbours=around)[0]
        texels = asset.texels
        return _Prepared(transport.prepare_transport(surfels, threads, part(progress, 0.2, 0.4), self.transport),
                         texels, None if texels is None else texels.colors(surfels), latent.voxel_of(surfels, asset.coords), h)

    def _features(self, item: _Drawn, keep: np.ndarray, light: transport.PreparedLight, settings: Settings
                  ) -> tuple[np.ndarray, np.ndarray]:
        """Features of the kept surfels: their radiance to the camera and what the passes show, passes.pack's (K, C); and
        how much their radiance grows with their base colour, (K, 3)."""
        view = np.ascontiguousarray(item.to_camera[keep] @ item.rotation.astype(np.float32))  # rows times O are O^T d
        shaded = terms.shade(item.prepared.transport, item.illumination, light, item.rotation, keep,
                                view, self.transport.rays(settings.quality), threads=1)
        surfels = shaded.surfels
        radiance = self.radiance(item, shaded, light, settings) * light.environment.strength
        features = passes.pack(radiance, {
            "Base Color": surfels.base_color, "Normal": item.normal[keep], "Roughness": surfels.roughness,
            "Metallic": surfels.metallic, "Shadow": shaded.visibility, "Confidence": surfels.confidence}, settings.passes)
        # what is diffuse is in proportion to it; so are a metal's reflections, nearly
        colored = shaded.terms[:, 1] + shaded.terms[:, 2] + surfels.metallic[:, None] * shaded.terms[:, 4]
        return features, colored * (light.environment.strength / np.maximum(surfels.base_color, 1e-3))

    def radiance(self, item: _Drawn, shaded: terms.Shaded, light: transport.PreparedLight, settings: Settings
                 ) -> np.ndarray:
        """What K shaded surfels of an instance send to the camera, (K, 3) at strength 1. What it asks is in the arguments
        and in the model: a baseline is a Renderer with another radiance."""
        if settings.shading == "split-sum":
            return shaded.terms[:, 0] + shaded.terms[:, 3]
        if not self._decodes(item, settings):
            return shaded.terms[:, 1] + shaded.terms[:, 2] + shaded.terms[:, 4]
        inputs = terms.decoder_inputs(shaded, light, item.rotation)
        h = item.prepared.h[item.prepared.voxel[shaded.index]]
        return light.mean * self.model.run("lad", h=h, **inputs)[0]

    def _decodes(self, item: _Drawn, settings: Settings) -> bool:
        return settings.shading == "auto" and item.prepared.h is not None and "lad" in self.model.graphs

    def _draw(self, drawn: list[_Drawn], camera: Camera, light: transport.PreparedLight, settings: Settings,
              progress: Progress) -> dict[str, np.ndarray]:
        width, height, channels = camera.width, camera.height, passes.width(settings.passes)
        sky = light.look_up if settings.background else None
        if not drawn:
            empty = np.broadcast_to(np.float32(0), (height, width, 2 + channels))
            return _developed(empty, empty[..., 0], camera, sky, settings, self.splatting, progress)
        progress("Visibility", 0.0)
        shape, samples = gaussians.merged([item.shape for item in drawn]), self.splatting.samples(settings.quality)
        projection = project(shape, camera, self.splatting.low_pass, settings.threads)
        progress("Visibility", 0.05)
        hides = np.concatenate([np.full(len(item.front), item.hides) for item in drawn])
        weight = seen_weights(projection, hides, camera, settings.threads, self.splatting)
        features, gain = np.zeros((len(weight), 2 + channels), np.float32), np.zeros((len(weight), 3), np.float32)
        start = 0
        for number, item in enumerate(drawn):
            rows = start + np.flatnonzero(item.front & (weight[start:start + len(item.front)] > self.splatting.seen))
            keep = rows[weight[rows] >= faint_weight(projection, rows, self.splatting)] - start

            def shade(index: np.ndarray) -> None:
                rows = start + index  # noqa: B023 (done before the next item)
                features[rows, 0], features[rows, 1] = 1, projection.depth[rows]
                features[rows, 2:], gain[rows] = self._features(item, index, light, settings)  # noqa: B023

            parallel_map(shade, np.array_split(keep, -(-len(keep) // AT_ONCE) or 1), settings.threads, "Shading",
                          part(progress, 0.1 + 0.7 * number / len(drawn), 0.1 + 0.7 * (number + 1) / len(drawn)))
            start += len(item.front)
        progress("Drawing", 0.8)
        if samples > 1:
            projection, features, hides = _refined(drawn, shape, projection, features, gain, hides, camera, settings,
                                                    self.splatting)
        image, alpha, _ = splat.rasterize(projection, features, width, height, occlusion_depth=hides, samples=samples,
                                          threads=settings.threads)
        return _developed(image, alpha, camera, sky, settings, self.splatting, part(progress, 0.9, 1.0))


def _refined(drawn: list[_Drawn], shape: gaussians.Gaussians, projection: splat.Projection, features: np.ndarray,
             gain: np.ndarray, hides: np.ndarray, camera: Camera, settings: Settings,
             config: SplattingConfig) -> tuple[splat.Projection, np.ndarray, np.ndarray]:
    """What is drawn with four samples a pixel: texels in place of their surfels where these are shaded and wide enough.

    shape, projection: of the drawn surfels, as one sample a pixel takes them. features: (M, 2 + C) theirs, the first 1
    where they are shaded. gain: (M, 3) radiance by base colour. hides: (M,).
    Returns projection, features and hides of what takes their place.
    """
    plain, chosen, start = projection.radius > 0, [], 0
    for item in drawn:
        rows = slice(start, start + len(item.front))
        if item.fine is not None:
            wide = (features[rows, 0] > 0) & (projection.radius[rows] >= config.texel_radius)
            texels = np.flatnonzero(wide[item.prepared.texels.surfel])
            plain[start + item.prepared.texels.surfel[texels]] = False
            chosen += [(item, start, part) for part in np.array_split(texels, -(-len(texels) // FINE_AT_ONCE) or 1)]
        start = rows.stop
    chosen.insert(0, (None, 0, np.flatnonzero(plain)))  # the surfels that stay
    ends = np.cumsum([len(part) for _, _, part in chosen])
    made = splat.Projection(*(np.empty((ends[-1], *each.shape[1:]), each.dtype) for each in projection))
    shown, behind = np.empty((ends[-1], features.shape[1]), np.float32), np.empty(ends[-1], np.float32)

    def refine(number: int) -> None:
        item, start, part = chosen[number]
        slot = slice(ends[number] - len(part), ends[number])
        if item is None:
            rows, fine = part, shape.take(part)
        else:
            surfel = item.prepared.texels.surfel[part]
            rows, fine = start + surfel, item.fine.take(part)
        for kept, new in zip(made, project(fine, camera, config.sharp_low_pass, 1)):
            kept[slot] = new
        shown[slot], behind[slot] = features[rows], hides[rows]
        if item is not None:
            shift = item.prepared.colors[part] - item.prepared.transport.surfels.base_color[surfel]
            shown[slot, 1] = made.depth[slot]
            shown[slot, 2:5] = np.maximum(shown[slot, 2:5] + shift * gain[rows], 0)
            if "Base Color" in settings.passes:
                shown[slot, 5:8] += shift

    parallel_map(refine, range(len(chosen)), settings.threads)
    return made, shown, behind


def _developed(image: np.ndarray, alpha: np.ndarray, camera: Camera, sky: Callable[[Camera], np.ndarray] | None,
               settings: Settings, config: SplattingConfig, progress: Progress) -> dict[str, np.ndarray]:
    """Passes of a blended image (H, W, 2 + C): share of surfels that face the camera, their depth, passes.pack's C.

    alpha: (H, W). sky: gives the radiance behind a window of the picture.
    """
    made = {name: np.zeros((camera.height, camera.width, PASSES[name]), np.float32) for name in settings.passes}

    def develop(top: int) -> None:
        rows = slice(top, min(top + BAND, camera.height))
        if sky is None and not alpha[rows].any():
            return
        blended = image[rows]
        front = np.maximum(blended[..., 0], 1e-6)
        solid = np.minimum(alpha[rows], front * config.solidity) * (blended[..., 0] > 1e-4)
        depth = blended[..., 1] / front * (solid > 0)
        behind = None if sky is None else sky(camera.cropped(0, top, camera.width, len(blended)))
        band = passes.unpack(passes.scaled(blended[..., 2:], solid / front), solid, depth, behind, settings.passes)
        for name, values in band.items():
            made[name][rows] = values

    parallel_map(develop, range(0, camera.height, BAND), settings.threads, "Passes", progress)
    return made

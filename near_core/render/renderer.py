"""The verb render: instances, a camera and an environment become passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from .._kernels import splat
from ..asset import CELL
from ..cache import RecentResults, count_bytes
from ..directions import unit
from ..light import points, terms
from ..light.config import LampConfig, TransportConfig
from ..light.points import LitSurface
from ..light.transport import PreparedLight
from ..models.mini import runtime
from ..models.mini.layout import Term
from ..progress import Progress, part, silent
from ..scene import INSTANCES, KINDS, Camera, Environment, Instance, Lamp, Occluders, Settings, list_groups
from ..scene.camera import check_size
from ..scene.exposure import Lens, Shutter
from ..scene.origin import find_origin
from . import deferred, identity, light_groups, light_parts, moments, passes, shading, splatting
from .config import SplattingConfig
from .deferred import SkinnedInstance
from .detail import refine
from .dressing import list_layers
from .identity import Identity
from .lighting import InstanceLights, Lighting, divide, is_divided, leave_lit
from .moments import Blur, Picture
from .parallel import parallel_map
from .placement import PlacedInstances
from .preparation import OLDER, PreparedAsset, PreparedAssets
from .shading import LitInstance, Portion
from .sight import SeenInstance, StandingInstances, find_seen, find_standing
from .splatting import Selection

MANY = 8  # instances from which each is lit on a thread of its own


class Renderer:
    """Draws pictures and keeps what the next one can use: light per map, transport per asset and level, both per
    rotation.

    model: the networks, by default those of this build. splatting, transport: how surfels are drawn, how light is
    carried; they hold for every picture. blurred: whether the last picture was, as nothing moves in some.
    """

    def __init__(self, model: runtime.NearMini | None = None, splatting: SplattingConfig = SplattingConfig(),
                 transport: TransportConfig = TransportConfig(), lamps: LampConfig = LampConfig()) -> None:
        self.model, self.splatting, self.transport = model or runtime.NearMini(), splatting, transport
        self.lamps = lamps
        self._assets = PreparedAssets(self.model, splatting, transport)
        self._lights = InstanceLights(self.model, self._assets, transport, lamps)
        self._placed = PlacedInstances(splatting)
        self._told: RecentResults[points.Told] = RecentResults(OLDER, count_bytes)
        self._lights.posed += [self._placed.kept, self._told]
        self.blurred = False

    def render(self, instances: list[Instance], camera: Camera, environment: Environment,
               settings: Settings = Settings(), progress: Progress = silent, lamps: Sequence[Lamp] = (),
               occluders: Occluders | None = None, shutter: Shutter | None = None, lens: Lens | None = None
               ) -> dict[str, np.ndarray]:
        """One picture. lamps: light the instances. occluders: cast shadows on them. shutter, lens: blur it; light is
        that of the instances' own matrices.

        Returns: pass name -> (H, W, C) float32, row 0 on top, as scene.PASSES; radiance is scene-linear Rec.709.
        Raises NearError where a picture would be wrong, Cancelled when progress does.
        """
        check_size(camera.width, camera.height)
        others = {"lamps": lamps, "occluders": occluders, "shutter": shutter, "lens": lens}
        if (render := self._choose(environment, settings)) is not None:
            return render(instances, camera, environment, settings, progress, **others)
        progress("Light", 0.0)
        origin = find_origin(camera)
        if not origin.is_own:
            instances, camera = [origin.move_instance(each) for each in instances], origin.move_camera(camera)
            lamps, occluders = origin.move_lamps(lamps), origin.move_occluders(occluders)
            shutter = origin.move_shutter(shutter)
        # some light takes several pictures
        kind = settings.quality, settings.shading, settings.diffuse_bounces, settings.group
        self._lights.begin(kind)
        light = self._lights.prepare(environment)
        blur = moments.plan(instances, camera, shutter, lens, settings, self.splatting)
        self.blurred, config = blur is not None, self._widen(blur)
        standing = find_standing(instances)
        seen = self._find_seen(instances, camera, settings, config, standing)
        self._assets.prepare_all(seen, settings.threads, part(progress, 0.0, 0.2))
        around = Lighting(self._lights.prepare(leave_lit(environment)), lamps, standing, occluders,
                          settings.diffuse_bounces)
        self._lights.surround(around, kind)
        if settings.quality == "final":
            seen = self._lights.look_around(seen, around, settings.threads, part(progress, 0.2, 0.3))
        lit = self._illuminate_all(seen, camera, around, settings, part(progress, 0.3, 0.5))
        picture = self._draw(lit, camera, light, settings, part(progress, 0.5, 1.0), blur)
        self._lights.end()
        progress("Done", 1.0)
        return picture

    def _choose(self, environment: Environment, settings: Settings) -> Callable[..., dict[str, np.ndarray]] | None:
        """What draws a picture that takes several; None for one alone."""
        if list_groups(settings.passes):
            return self._render_groups
        if light_parts.list_kinds(settings):
            return self._render_direct
        return self._render_apart if is_divided(environment, settings) else None

    def prepare(self, instances: list[Instance], camera: Camera, settings: Settings = Settings(),
                progress: Progress = silent, lens: Lens | None = None) -> None:
        """Makes ready what a picture takes whatever its light is, for who has to wait for that. Raises Cancelled when
        progress does."""
        check_size(camera.width, camera.height)
        config = self._widen(moments.plan(instances, camera, None, lens, settings, self.splatting))
        seen = self._find_seen(instances, camera, settings, config, find_standing(instances))
        self._assets.prepare_all(seen, settings.threads, part(progress, 0.0, 0.9))
        for each in seen:
            if skin := self._assets.find_skin(each):
                _ = skin.textured
        progress("Done", 1.0)

    def _find_seen(self, instances: list[Instance], camera: Camera, settings: Settings, config: SplattingConfig,
                   standing: StandingInstances) -> list[SeenInstance]:
        coarseness = settings.coarseness if settings.quality == "draft" else 1.0
        return deferred.add_skins(find_seen(instances, camera, settings.quality, config, coarseness, standing),
                                  settings.quality, self.splatting)

    def _render_apart(self, instances: list[Instance], camera: Camera, environment: Environment, settings: Settings,
                      progress: Progress, **others: Any) -> dict[str, np.ndarray]:
        """As render, where what lights surfaces is not what they mirror: each part of their light under what it
        sees."""
        (world, lit), (other, rest) = divide(environment, settings)
        made = self.render(instances, camera, world, lit, part(progress, 0.0, 0.5), **others)
        parts = tuple(name for name in ("Combined", *KINDS) if name in settings.passes)
        if parts:
            rest = replace(rest, passes=parts, background=False)
            for name, more in self.render(instances, camera, other, rest, part(progress, 0.5, 1.0), **others).items():
                made[name][..., :3] += more[..., :3]
        return made

    def _render_direct(self, instances: list[Instance], camera: Camera, environment: Environment, settings: Settings,
                       progress: Progress, **others: Any) -> dict[str, np.ndarray]:
        """As render, where light is asked for by how it comes: what is left of it in a picture without bounces is
        direct."""
        whole = self.render(instances, camera, environment, light_parts.take_whole(settings), part(progress, 0.0, 0.5),
                            **others)
        direct = self.render(instances, camera, environment, light_parts.take_direct(settings),
                             part(progress, 0.5, 1.0), **others)
        return light_parts.join(whole, direct, settings)

    def _render_groups(self, instances: list[Instance], camera: Camera, environment: Environment, settings: Settings,
                       progress: Progress, lamps: Sequence[Lamp], **others: Any) -> dict[str, np.ndarray]:
        """As render, with what light groups send: a picture for each, of its light alone."""
        groups = list_groups(settings.passes)
        steps = [part(progress, step / (len(groups) + 1), (step + 1) / (len(groups) + 1))
                 for step in range(len(groups) + 1)]
        made = self.render(instances, camera, environment, light_groups.take_whole(settings), steps[0], lamps, **others)
        sent = {}
        for group, report in zip(groups, steps[1:]):
            those, world, shining, own = light_groups.take_group(group, instances, environment, lamps, settings)
            sent[group] = self.render(those, camera, world, own, report, shining, **others)["Combined"][..., :3].copy()
        if light_groups.are_all(groups, instances, environment, lamps, settings):
            light = made["Combined"][..., :3]
            light_groups.share_out(light - made["Environment"] if settings.background else light, sent)
        made |= light_groups.name_passes(sent)
        return {name: made[name] for name in settings.passes}

    def radiate(self, instance: Instance, environment: Environment, directions: np.ndarray,
                settings: Settings = Settings(), progress: Progress = silent, lamps: Sequence[Lamp] = (),
                occluders: Occluders | None = None) -> tuple[PreparedAsset, np.ndarray, np.ndarray]:
        """What all M surfels of an instance send in directions (D, 3), unit, world: its prepared asset, radiance
        (D, M, 3) and how much of it grows with the base colour, (D, M, 3)."""
        if is_divided(environment, settings):
            (asset, *lit), (_, *rest) = (
                self.radiate(instance, world, directions, each, part(progress, 0.5 * half, 0.5 * half + 0.5), lamps,
                             occluders) for half, (world, each) in enumerate(divide(environment, settings)))
            return asset, lit[0] + rest[0], lit[1] + rest[1]
        instance = replace(instance, look=replace(instance.look, opacity=1.0))  # what is faded shines as it would
        around = Lighting(self._lights.prepare(leave_lit(environment)), lamps, find_standing([instance]), occluders,
                          settings.diffuse_bounces)
        self._lights.surround(around, (settings.quality, settings.shading, settings.diffuse_bounces))
        seen = SeenInstance(0, instance, np.asarray(instance.matrix, np.float64), 0, 1.0, np.inf)
        item = self._illuminate(seen, around, settings, settings.threads, part(progress, 0.0, 0.3))
        count = len(item.asset.level.surfels)
        made, gain = np.empty((2, len(directions), count, 3), np.float32)
        normal = unit(item.asset.level.surfels.shading_normal @ np.linalg.inv(item.matrix[:3, :3]).astype(np.float32))
        none, rows = replace(settings, passes=("Combined",)), np.arange(count)

        def shade(work: tuple[int, Portion]) -> None:
            number, portion = work
            features, gain[number, portion.at] = self._shade_portion(portion, none)
            made[number, portion.at] = features[:, passes.RADIANCE]

        views = (np.tile((each @ item.rotation).astype(np.float32), (count, 1)) for each in directions)
        parallel_map(shade, [(number, portion) for number, view in enumerate(views) for portion in Portion(
            item, None, rows, view, normal, np.zeros(count), rows).split()], settings.threads, "Shading",
            part(progress, 0.3, 1.0))
        return item.asset, made, gain

    def forget(self, asset: str) -> None:
        """Drops what is kept of the asset with this hash, which will not come again."""
        self._assets.forget(asset)
        self._lights.forget(asset)
        self._told.discard(lambda key: key[0][0] == asset)

    def _widen(self, blur: Blur | None) -> SplattingConfig:
        """Has what comes into the picture during the exposure count as seen."""
        config = self.splatting
        return config if blur is None else replace(config, margin=config.margin + int(blur.reach))

    def radiance(self, item: LitInstance, shaded: terms.Shaded, light: PreparedLight, settings: Settings
                 ) -> np.ndarray:
        """What K shaded surfels of an instance send to the camera, (K, 3) at strength 1. A baseline is a Renderer with
        another radiance."""
        if settings.shading == "split-sum":
            return shaded.terms[:, Term.SKY_OPEN] + shaded.terms[:, Term.SPECULAR_OPEN]
        if item.intrinsics is None or settings.shading != "auto":
            return shaded.terms[:, Term.SKY] + shaded.terms[:, Term.BOUNCED] + shaded.terms[:, Term.SPECULAR]
        inputs = terms.gather_decoder_inputs(shaded, light, item.rotation)
        return light.mean * self.model.run("lad", h=item.intrinsics.take(shaded.index), **inputs)[0]

    def _is_decoded(self, seen: SeenInstance, settings: Settings) -> bool:
        """Whether the lighting decoder is asked: for no draft, of which it would take a quarter for nothing that is
        seen, nor for merged surfels, of which it learned from none, nor for skins, whose points know more of the light
        than surfels do."""
        asked = settings.shading == "auto" and settings.quality == "final" and seen.level == 0 and not seen.skin
        return asked and "lad" in self.model.graphs

    def _radiate(self, item: LitInstance, shaded: terms.Shaded, settings: Settings) -> np.ndarray:
        return self.radiance(item, shaded, item.light, settings)

    def _illuminate_all(self, seen: Sequence[SeenInstance], camera: Camera, around: Lighting, settings: Settings,
                        progress: Progress) -> list[LitInstance]:
        if len(seen) < MANY:
            lit = [self._illuminate(each, around, settings, settings.threads,
                                    part(progress, number / len(seen), (number + 1) / len(seen)))
                   for number, each in enumerate(seen)]
        else:
            self._lights.illuminate_alike(seen, around, settings.quality == "final", settings.threads,
                                          part(progress, 0.0, 0.5))
            lit = parallel_map(lambda each: self._illuminate(each, around, settings, 1, silent), seen,
                               settings.threads, "Light transport", part(progress, 0.5, 1.0))
        if INSTANCES not in settings.passes and all(each.skin for each in seen):
            return lit  # nobody asks which of the surfels are seen
        visible = self._placed.face(seen, [item.asset for item in lit], camera, settings.threads)
        return [replace(item, visible=each) for item, each in zip(lit, visible)]

    def _illuminate(self, seen: SeenInstance, around: Lighting, settings: Settings, threads: int, progress: Progress
                    ) -> LitInstance:
        lit, instance = self._lights.shine(seen, around, settings.quality == "final", threads, progress), seen.instance
        return LitInstance(seen.number + 1, lit.asset, lit.light, lit.illumination, lit.lamps, seen.matrix,
                           lit.rotation, None, seen.pixels, self._assets.find_skin(seen), instance.look,
                           lit.surroundings, seen.skin,
                           self._assets.find_intrinsics(instance.asset) if self._is_decoded(seen, settings) else None,
                           lit.key)

    def _select(self, lit: Sequence[LitInstance], camera: Camera, settings: Settings, config: SplattingConfig,
                progress: Progress = silent) -> Selection | None:
        """What of instances is shaded and drawn; None where skins are all that is drawn."""
        visible = [item.visible for item in lit if item.visible is not None]
        if not visible:
            return None
        return splatting.select(visible, camera, self.splatting.samples(settings.quality) > 1, settings.threads, config,
                                progress, any(item.skin is None for item in lit))

    def _draw(self, lit: list[LitInstance], camera: Camera, light: PreparedLight, settings: Settings,
              progress: Progress, blur: Blur | None = None) -> dict[str, np.ndarray]:
        threads, wanted = settings.threads, settings.passes
        sky, config = light.look_up if settings.background or "Environment" in wanted else None, self._widen(blur)
        if sky is not None and blur is not None:
            sky = blur.look_up(sky, camera)
        if not lit:
            empty = np.broadcast_to(np.float32(0), (camera.height, camera.width, passes.count_features(wanted)))
            return passes.develop(empty, empty[..., 0], camera, sky, settings, self.splatting, progress)
        selection, who = self._select(lit, camera, settings, config, part(progress, 0.0, 0.1)), None
        if INSTANCES in wanted:
            reached = selection.projection if blur is None else blur.widen(selection.projection)
            who = identity.share_channels(reached, selection.rows, [item.number for item in lit],
                                          camera.width, camera.height)
        image, alpha = None, None
        layers = list_layers([item.number for item in lit], [item.look for item in lit])
        for place, layer in enumerate(layers):
            items = [lit[number] for number in layer]
            chosen = selection if len(layers) == 1 else self._select(items, camera, settings, config)
            if blur is not None and chosen is not None:
                chosen = blur.reveal(chosen, [item.visible for item in items], [item.number for item in items], threads,
                                     config)
            report = part(progress, 0.1 + 0.7 * place / len(layers), 0.1 + 0.7 * (place + 1) / len(layers))
            drawn = self._draw_layer(items, chosen, camera, settings, who and who.take(layer), report, blur)
            image, alpha = drawn if image is None else deferred.merge(image, alpha, *drawn)
        return passes.develop(image, alpha, camera, sky, settings, self.splatting, part(progress, 0.9, 1.0), who)

    def _draw_layer(self, lit: Sequence[LitInstance], selection: Selection | None, camera: Camera, settings: Settings,
                    who: Identity | None, progress: Progress, blur: Blur | None = None) -> Picture:
        """Instances that are equally faded."""
        skinned = [item.skin is not None for item in lit]
        drawn, fade = [], np.float32(min(lit[0].look.opacity, 1))
        if any(skinned):
            drawn.append(self._draw_skins(lit, camera, settings, who, progress, blur))
        if selection is not None and not all(skinned):
            chosen = selection.drop(skinned) if any(skinned) else selection
            drawn.append(self._draw_splats(lit, chosen, camera, settings, who, progress, blur))
        # a skin that fades lies over its surfels
        fading = [item.matrix[:3, :3] for item in lit if 0 < item.skin_share < 1]
        before = self.splatting.skin_before * CELL * max((float(np.linalg.norm(each, 2)) for each in fading), default=0)
        image, alpha = moments.average(each[0] if len(each) == 1 else deferred.merge(
            each[0][0], each[0][1], each[1][0], each[1][1], before)
            for each in zip(*drawn))
        return (image, alpha) if fade == 1 else (image * fade, alpha * fade)

    def _draw_skins(self, lit: Sequence[LitInstance], camera: Camera, settings: Settings, who: Identity | None,
                    progress: Progress, blur: Blur | None) -> Iterable[Picture]:
        """The instances with skins, as _draw_splats."""
        instances = []
        for number, item in enumerate(lit):
            if item.skin is None:
                continue
            surface = LitSurface(item.asset.transport, item.light, item.illumination, item.lamps, item.matrix,
                                 item.rotation, item.surroundings, item.skin.occluders)
            instances.append(SkinnedInstance(
                item.skin, surface, partial(self._radiate, item),
                partial(self._told.get_or, item.key, partial(points.tell, surface)), item.look, item.number,
                item.skin_share, None if who is None else int(who.channel[number])))
        channels = passes.count_features(settings.passes) + (0 if who is None else who.count)
        return deferred.draw(instances, camera, channels, settings, self.splatting, progress, blur)

    def _draw_splats(self, lit: Sequence[LitInstance], selection: Selection, camera: Camera, settings: Settings,
                     who: Identity | None, progress: Progress, blur: Blur | None) -> Iterable[Picture]:
        """What a selection draws: one sharp picture, or one for each moment of a blur."""
        samples, threads = self.splatting.samples(settings.quality), settings.threads
        times = self._choose_times(lit, selection) if samples > 1 and blur is None else 1
        camera = camera.resize(times * camera.width, times * camera.height) if times > 1 else camera
        features, gain = self._shade(lit, selection, settings, progress)
        if who is not None:
            features = who.append(features, selection.rows)
        projection, depth, visible = selection.projection, selection.occlusion_depth, [item.visible for item in lit]
        if samples > 1 or blur is not None:
            projection, features, depth = refine(
                selection, visible, [item.asset.shift for item in lit], features, gain, camera, settings,
                self.splatting)
        if blur is not None:
            return moments.draw_splats(selection, visible, [item.number for item in lit], features, depth, blur,
                                       threads, self.splatting)
        image, alpha, _ = splat.rasterize(projection, features, camera.width, camera.height, occlusion_depth=depth,
                                          samples=samples, threads=threads)
        return [(passes.shrink(image, times), passes.shrink(alpha, times))]

    def _choose_times(self, lit: Sequence[LitInstance], selection: Selection) -> int:
        """How many times wider and higher than the picture splats are drawn: where they are smaller than pixels, a few
        samples miss many of them."""
        config = self.splatting
        largest = max((item.pixels for item in lit if item.skin is None), default=0.0)
        discs = len(selection.plain) + sum(map(len, selection.texels))
        return config.fine_times if largest <= config.fine_cell and discs <= config.fine_discs else 1

    def _shade(self, lit: Sequence[LitInstance], selection: Selection, settings: Settings, progress: Progress
               ) -> tuple[np.ndarray, np.ndarray]:
        """Features (M, C) of the selection's surfels, as passes.pack makes them, 0 where a surfel is not shaded; and
        how much they grow with their base colour, (M, 3 n), as light_parts.grow says."""
        count = len(selection.shaded)
        features = np.zeros((count, passes.count_features(settings.passes)), np.float32)
        growing = 1 + sum(name in passes.GROWING for name in settings.passes)
        gain = np.zeros((count, 3 * growing), np.float32)

        def shade(portion: Portion) -> None:
            features[portion.at], gain[portion.at] = self._shade_portion(portion, settings)

        parallel_map(shade, shading.divide(lit, selection, settings.threads), settings.threads, "Shading", progress)
        return features, gain

    def _shade_portion(self, portion: Portion, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
        rays = max(self.transport.rays(settings.quality) >> portion.lit.asset.level.number, self.transport.least_rays)
        return shading.shade(portion, settings, rays, self.radiance)

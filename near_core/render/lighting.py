"""Instances under their light: the World, what their probes or their neighbours show before it, and lamps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from ..cache import RecentResults, count_bytes
from ..directions import polar_rotation
from ..light import lamplight, near, terms, transport
from ..light import lamps as _lamps
from ..light.bulbs import take_bulbs
from ..light.config import LampConfig, TransportConfig
from ..light.lamplight import LampLight, LampReach
from ..light.shadows import Caster, Surroundings
from ..light.transport import Illumination, PreparedLight
from ..models.mini import runtime
from ..progress import Progress, part, silent
from ..scene import Environment, Instance, Lamp, Occluders, Probe, Settings
from ..scene.environment import uniform
from ..scene.probe import make_empty
from . import neighbours
from .neighbours import Neighbour
from .parallel import parallel_map
from .preparation import MANY, MEGABYTE, OLDER, PreparedAsset, PreparedAssets
from .sight import SeenInstance, StandingInstances

TOGETHER = 8  # instances of an asset whose light is worked out together
PROBES = 16 * MEGABYTE  # of probes: all of a picture have room


@dataclass(frozen=True, eq=False)
class Lighting:
    """What a picture's instances stand in: the World, lamps, and what casts shadows in their light: instances and
    occluders. bounces: as Settings has them."""

    world: PreparedLight
    lamps: Sequence[Lamp]
    standing: StandingInstances
    occluders: Occluders | None
    bounces: int = 4

    @cached_property
    def key(self) -> Hashable:
        """Equal where all of it is."""
        world, standing = self.world.environment, self.standing
        around = [standing.instances[row] for row in standing.rows]
        return (world.hash, world.world_to_map.tobytes(), world.strength, tuple(lamp.key for lamp in self.lamps),
                standing.rows.tobytes(), standing.matrices.tobytes(), standing.casts.tobytes(),
                tuple((each.asset.hash, each.name) for each in around), self.occluders and self.occluders.hash,
                self.bounces)


@dataclass(frozen=True, eq=False)
class AssetInLight:
    """An asset as it stands in its light. light: the World, with what a probe shows before it. illumination: under this
    light; lamps: under lamps, None where none shine. rotation: (3, 3), asset frame -> world. surroundings: what casts
    shadows in the light of lamps. key: equal where all of it is. needed: keys of what it was made of, as
    InstanceLights keeps lights, bulbs, illuminations, lamps' lights and lamps' reaches."""

    asset: PreparedAsset
    light: PreparedLight
    illumination: Illumination
    lamps: LampLight | None
    rotation: np.ndarray
    surroundings: Surroundings
    key: Hashable
    needed: tuple[Sequence[Hashable], ...]


class InstanceLights:
    """Lights instances, and keeps what the next picture can use: light per map, illumination per asset and rotation."""

    def __init__(self, model: runtime.NearMini, assets: PreparedAssets, config: TransportConfig, lamps: LampConfig
                 ) -> None:
        self._model, self._assets, self._transport, self._config = model, assets, config, lamps
        self._lights: RecentResults[PreparedLight] = RecentResults(OLDER, lambda light: count_bytes(
            light, light.near and light.near.whole.far))  # which is the backdrop's
        self._backdrops: RecentResults[near.Backdrop] = RecentResults(128 * MEGABYTE, count_bytes)
        self._worlds: RecentResults[tuple[Environment, list[Lamp]]] = RecentResults(4)
        self._probes: RecentResults[Probe] = RecentResults(PROBES, count_bytes)
        self._bulbs: RecentResults[tuple[Probe | None, list[Lamp]]] = RecentResults(0, count_bytes)
        self._illuminations: RecentResults[Illumination] = RecentResults(OLDER, count_bytes)
        self._reaches: RecentResults[LampReach] = RecentResults(OLDER, count_bytes)
        self._lamplights: RecentResults[tuple[LampLight | None, list[Hashable]]] = RecentResults(OLDER, count_bytes)
        # what is kept for each pose: of the last picture, this one, and a little that is older
        self.posed: list[RecentResults] = [self._bulbs, self._illuminations, self._lamplights, self._reaches]
        self._around: Hashable = None  # Lighting.key of the last picture
        self._shone: RecentResults[AssetInLight] = RecentResults(math.inf)  # in this one and in the one before
        self._shone_before = self._shone

    def forget(self, asset: str) -> None:
        """Drops what is kept of the asset with this hash."""
        for kept in self.posed:
            kept.discard(lambda key: key[0] == asset)
        self._shone.clear()
        self._shone_before.clear()

    def surround(self, around: Lighting, kind: Hashable) -> None:
        """Begins a picture of a kind whose instances stand in this: where the last one's stood in the same, they are
        known."""
        for kept in self.posed:
            kept.begin(kind)
        self._shone_before, self._shone = self._shone, RecentResults(math.inf)
        if self._around != around.key:
            self._shone_before.clear()
            self._around = around.key

    def begin(self, kind: Hashable) -> None:
        """Begins a picture. The lights of the last one of this kind stay while it is drawn: else two large maps, or a
        map and many probes, would be prepared anew for each."""
        self._lights.begin(kind)

    def end(self) -> None:
        """The picture is whole: until then, what the one before it needed stays, for this one may be broken off."""
        for kept in (self._lights, *self.posed):
            kept.end()

    def prepare(self, environment: Environment) -> PreparedLight:
        """An environment made ready."""
        return self._lights.get_or(environment.hash, lambda: self._tokenize(
            transport.prepare_light(environment, self._transport))).turn(environment)

    def _tokenize(self, light: PreparedLight) -> PreparedLight:
        if "tokenizer" not in self._model.graphs:
            return light
        return replace(light, tokens=self._model.run(
            "tokenizer", radiance=terms.look_up_tokens(light, terms.spread_tokens()))[0])

    def look_around(self, seen: Sequence[SeenInstance], around: Lighting, threads: int, progress: Progress
                    ) -> list[SeenInstance]:
        """The same, those beside other assets with a probe of these."""
        chosen = neighbours.choose(seen, around.standing)
        levels = {each.number: each.level for each in seen}  # at which they are made ready anyway
        owns = {each.number: each for each in reversed(seen) if each.number in chosen}
        shown = {number: [(other, levels.get(other, owns[number].level)) for other in beside]
                 for number, (beside, _) in chosen.items()}
        wanted, phase = list(dict.fromkeys(itertools.chain(*shown.values()))), "Light transport"
        each_on = 1 if len(wanted) >= MANY else threads
        made = parallel_map(lambda each: self._light_alone(*each, around, each_on), wanted, threads, phase,
                            part(progress, 0.0, 0.5))
        lights = dict(zip(wanted, made))

        def draw(number: int) -> Probe:
            own, share, beside = owns[number], chosen[number][1], [lights[each] for each in shown[number]]
            make = partial(_draw_probe, own.matrix[:3, 3], [make for _, make in beside], share, each_on)
            return self._probes.get_or((own.matrix.tobytes(), share, *(key for key, _ in beside)), make)

        probes = dict(zip(chosen, parallel_map(draw, list(chosen), threads, phase, part(progress, 0.5, 1.0))))
        return [replace(each, instance=replace(each.instance, probe=probes[each.number]))
                if each.number in probes else each for each in seen]

    def _light_alone(self, number: int, level: int, around: Lighting, threads: int
                     ) -> tuple[Hashable, Callable[[], Neighbour]]:
        """An instance as if nothing stood beside it: what its light depends on, and a function that makes it."""
        standing = around.standing
        place = int(np.searchsorted(standing.rows, number))
        alone = SeenInstance(number, standing.instances[number], standing.matrices[place], level, 1.0, 0.0,
                             skin=1.0)  # its texels are not seen
        lit = self.shine(alone, around, True, threads)

        def make() -> Neighbour:
            radiance = lit.illumination.radiosity[:, :3] * np.float32(lit.light.environment.strength)
            if lit.lamps is not None:
                radiance = radiance + lit.lamps.radiosity[:, :3]
            return Neighbour(lit.asset.transport.grid, radiance, alone.matrix)
        return lit.key, make

    def illuminate_alike(self, seen: Sequence[SeenInstance], around: Lighting, suns: bool, threads: int,
                         progress: Progress) -> None:
        """Works out at once what stands in the World alone, those of one asset together: a crowd's instances take
        longer to be asked one by one."""
        alike: dict[Hashable, list[tuple[tuple, np.ndarray, SeenInstance]]] = {}
        wanted: set[tuple] = set()  # those that stand alike are one
        chosen = [each for each in seen if each.instance.probe is None and not around.lamps]
        rotations = polar_rotation(np.array([each.matrix for each in chosen]).reshape(-1, 4, 4))
        for each, rotation in zip(chosen, rotations):
            which = each.instance.asset.hash, each.level, each.instance.look.material, around.bounces
            key = *_name_light(which, around.world, rotation, suns), None
            if key not in wanted and key not in self._illuminations:
                wanted.add(key)
                alike.setdefault((which, each.skin > 0), []).append((key, rotation, each))

        def illuminate(group: list[tuple[tuple, np.ndarray, SeenInstance]]) -> None:
            keys, rotations, those = zip(*group)
            made = self._assets.prepare(those[0], 1).transport
            for key, each in zip(keys, transport.illuminate_all(
                    made, around.world, np.stack(rotations), [None] * len(keys), suns=suns, bounces=around.bounces,
                    threads=1)):
                self._illuminations.put(key, each)
        parts = [group[start:start + TOGETHER] for group in alike.values() for start in range(0, len(group), TOGETHER)]
        parallel_map(illuminate, parts, threads, "Light transport", progress)

    def shine(self, seen: SeenInstance, around: Lighting, suns: bool, threads: int, progress: Progress = silent
              ) -> AssetInLight:
        """Lights an instance. around: what surround was told. suns: trace rays towards what outshines the sky."""
        instance = seen.instance
        key = (instance.asset.hash, seen.number, seen.level, seen.skin > 0, seen.matrix.tobytes(), suns,
               instance.look.material, instance.probe and instance.probe.hash, instance.unlit_by, instance.shadow)
        lit = self._shone.get_or(key, lambda: self._shone_before.get_or(key, lambda: self._shine(
            seen, around, suns, threads, progress)))
        # else the next picture, in other surroundings, would make anew what this one did not ask for
        kinds: tuple[RecentResults, ...] = (self._lights, self._bulbs, self._illuminations, self._lamplights,
                                            self._reaches)
        for kept, keys in zip(kinds, lit.needed):
            kept.use(keys)
        return lit

    def _shine(self, seen: SeenInstance, around: Lighting, suns: bool, threads: int, progress: Progress
               ) -> AssetInLight:
        progress("Light transport", 0.0)  # each step may take long, and who asked for another picture waits
        prepared, instance, matrix = self._assets.prepare(seen, threads), seen.instance, seen.matrix
        world, suns_of_world = self._take_suns(around.world, instance)
        (probe, bulbs), taken = self._take_bulbs(world, instance, around)
        if probe is not None and not around.bounces:
            probe = probe.darken()
        shining = [lamp for i, lamp in enumerate(around.lamps) if i not in instance.unlit_by] + suns_of_world + bulbs
        shining, far = _lamps.choose(shining, matrix, self._config)
        (light, lights), rotation = self._find_light(around.world, world, probe, seen, far), polar_rotation(matrix)
        progress("Light transport", 0.3)
        which = instance.asset.hash, seen.level, instance.look.material, around.bounces
        key = *_name_light(which, light, rotation, suns), light.near and (probe and probe.hash, matrix.tobytes())
        illumination = self._illuminations.get_or(key, lambda: transport.illuminate(
            prepared.transport, light, rotation, matrix, suns=suns, bounces=around.bounces, threads=threads,
            progress=part(progress, 0.3, 0.6)))
        if not shining and prepared.transport.surfels.emission is None:
            return AssetInLight(prepared, light, illumination, None, rotation, Surroundings(),
                                (key, light.environment.strength, matrix.tobytes(), None),
                                (lights, taken, [key], [], []))
        surroundings = self._surround(seen, shining, around) if shining else Surroundings()
        place = (*which, matrix.tobytes()) if shining else which
        shone = (*place, tuple((lamp.key, surroundings.describe(lamp)) for lamp in shining))

        def shed() -> tuple[LampLight | None, list[Hashable]]:
            keys: list[Hashable] = []

            def recall(lamp: Lamp, side: int, make: Callable[[], LampReach]) -> LampReach:
                progress("Light transport", 0.6)
                keys.append((*place, lamp.key, side, surroundings.describe(lamp)))
                return self._reaches.get_or(keys[-1], make)
            return lamplight.illuminate(prepared.transport, shining, matrix, rotation, surroundings, self._config,
                                        threads, recall, around.bounces), keys
        lamplit, reaches = self._lamplights.get_or(shone, shed)
        return AssetInLight(prepared, light, illumination, lamplit, rotation, surroundings,
                            (key, light.environment.strength, matrix.tobytes(), shone),
                            (lights, taken, [key], [shone], reaches))

    def _surround(self, seen: SeenInstance, shining: Sequence[Lamp], around: Lighting) -> Surroundings:
        """What can cast shadows on an instance; others as coarsely as it is seen itself."""
        standing, own = around.standing, seen.instance
        found = {lamp.key: standing.find_casters(seen.number, lamp) for lamp in shining}
        rows = sorted(set().union(*found.values()))
        others = [(standing.instances[standing.rows[row]], standing.matrices[row], row) for row in rows]
        inverses = np.linalg.inv(standing.matrices[rows])
        casters = tuple(Caster(self._assets.find_solid(each.asset, seen.level), inverse, each.name,
                               (each.asset.hash, matrix.tobytes(), each.name), standing.center[row],
                               standing.radius[row])
                        for (each, matrix, row), inverse in zip(others, inverses))
        between = {key: np.searchsorted(rows, each).tolist() for key, each in found.items()}
        return Surroundings(casters, around.occluders, own.name, own.shadow, between)

    def _take_suns(self, light: PreparedLight, instance: Instance) -> tuple[Environment, list[Lamp]]:
        """The World without its suns, and these, where something around an instance may be in their way."""
        if instance.probe is None or not light.spots:
            return light.environment, []
        world = light.environment
        return self._worlds.get_or((world.hash, world.world_to_map.tobytes(), world.strength),
                                   lambda: transport.take_suns(light, self._transport))

    def _take_bulbs(self, world: Environment, instance: Instance, around: Lighting
                    ) -> tuple[tuple[Probe | None, list[Lamp]], list[Hashable]]:
        """An instance's probe without the bulbs that it shows, and these; and the key that they are kept by."""
        probe = instance.probe
        if probe is None:
            return (None, []), []
        glass = around.occluders if around.occluders is not None and around.occluders.has_glass else None
        lamps = around.lamps if glass is not None else ()
        key = (probe.hash, world.hash, world.strength, world.world_to_map.tobytes(), glass and glass.hash,
               tuple(lamp.key for lamp in lamps))
        return self._bulbs.get_or(key, lambda: take_bulbs(probe, world, occluders=glass, lamps=lamps)), [key]

    def _find_light(self, light: PreparedLight, world: Environment, probe: Probe | None, seen: SeenInstance,
                    far: Sequence[Lamp]) -> tuple[PreparedLight, list[Hashable]]:
        """What an instance is lit by beside lamps: the World where its probe shows nothing before it; and far lamps.
        And the key of what is kept for it alone."""
        if probe is None and not far:
            return light, []
        if probe is None:
            probe = make_empty(seen.matrix[:3, 3])
        kept, columns = (world.hash, world.strength, world.world_to_map.tobytes()), probe.count_columns(world)

        def prepare() -> PreparedLight:
            behind = self._backdrops.get_or((*kept, columns), lambda: near.prepare_backdrop(world, columns))
            return self._tokenize(transport.prepare_probe(probe, world, far, self._transport, behind))
        key = (*kept, probe.hash, tuple(lamp.key for lamp in far))
        return self._lights.get_or(key, prepare), [key]


def _name_light(which: tuple, light: PreparedLight, rotation: np.ndarray, suns: bool) -> tuple:
    """What an asset's illumination is kept by where all light is far."""
    return *which, light.environment.hash, suns, np.round(light.asset_to_map(rotation), 7).tobytes()


def _draw_probe(position: np.ndarray, beside: Sequence[Callable[[], Neighbour]], share: float, threads: int) -> Probe:
    return neighbours.draw_probe(position, [make() for make in beside], share, threads=threads)


def leave_lit(environment: Environment) -> Environment:
    """The World that lights assets: a dark one where it lights neither kind of ray."""
    return environment if environment.diffuse or environment.glossy else uniform((0, 0, 0))


def is_divided(environment: Environment, settings: Settings) -> bool:
    """Whether what lights surfaces is not what they mirror."""
    return (environment.diffuse != environment.glossy
            or (settings.diffuse_bounces == 0) != (settings.glossy_bounces == 0))


def divide(environment: Environment, settings: Settings) -> list[tuple[Environment, Settings]]:
    """What diffuse and what glossy rays see, each with how their part of the light is drawn; first what sees the
    World."""
    seen, dark = environment.turn(environment.world_to_map, environment.strength), uniform((0, 0, 0))
    mirrored = max(settings.diffuse_bounces, 1) if settings.glossy_bounces else 0
    parts = [(environment.diffuse, "diffuse", settings.diffuse_bounces), (environment.glossy, "glossy", mirrored)]
    return [(seen if sees else dark, replace(settings, shading=kind, diffuse_bounces=count, glossy_bounces=count))
            for sees, kind, count in sorted(parts, key=lambda each: not each[0])]

"""What stands around the assets of a final picture: probes, and what is behind them, as the second Blender draws it."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import bpy
import numpy as np

from .. import flags
from .._core import asset, cache, composite, scene
from .._core import screens as screening
from ..asset import looks
from ..client import client, worker_process
from ..cycles import aovs
from ..cycles import scene as cycles_scene
from ..cycles.jobs import EMPTY, OWN, PASSES
from ..scene import lamps, probe_places, sync, world
from . import ordinary, passes, slivers

MOST_PROBES = 64  # a frame; instances beyond share the nearest one
FEW_PROBES = 8  # up to which they are large
LARGE, SMALL = ((256, 128), 4), ((128, 64), 4)  # texels, and samples for each
MARGIN = 2  # pixels around assets in which their edges can still be seen
ASSET_FACES = 10_000  # of an asset's skin in Cycles, about
LEAST = 0.02  # of a pixel that an asset covers, from which something may be before it
FOOT = 32  # cells that something is before the edge of an asset at least
NEAR = 6.0  # sizes of an asset around it in which what moves is seen in its probe
STILL = {"ARRAY", "BEVEL", "DECIMATE", "EDGE_SPLIT", "MIRROR", "MULTIRES", "REMESH", "SCREW", "SKIN", "SOLIDIFY",
         "SUBSURF", "TRIANGULATE", "WEIGHTED_NORMAL", "WELD", "WIREFRAME"}  # modifiers that do the same in every frame
MEANS = {*aovs.VALUES, "Shadow", "Confidence"}  # passes that are means over what covers a pixel
_probes: cache.RecentResults[scene.Probe] = cache.RecentResults(16 << 20, lambda probe: probe.nbytes)
_occluders: cache.RecentResults[scene.Occluders] = cache.RecentResults(4)


class OrdinaryThings:
    """The ordinary part of a view layer of a frame, and what the second Blender is asked about it."""

    def __init__(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets):
        """Raises NearError where the scene cannot be handed over."""
        frame: Any = depsgraph.scene_eval
        self.state = cycles_scene.capture(depsgraph)
        self.moving: np.ndarray | None = None  # as exposure.Motion.standing
        self.occluders: scene.Occluders | None = None  # what casts the lamps' shadows, once it was taken
        self._assets, self._options = assets, ordinary.read_options(frame, depsgraph.view_layer_eval)
        self._threads = flags.choose_threads(frame)
        self._proxies = sorted({each["name"] for each in assets.instances})
        self._moving = _describe_objects(depsgraph)
        self._middles = np.array([middle for middle, _, _ in self._moving.values()]).reshape(-1, 3)
        self._radii = np.array([radius for _, radius, _ in self._moving.values()])
        self._scene = f"{self.state.fields['scene']} {self.state.fields['layer']} {_describe_time(frame)}"
        self._solids = probe_places.Solids(depsgraph, [assets.bounds[number] for number in _choose(assets)])
        self._linked = {ob.name_full: link for ob in depsgraph.objects if (link := lamps.read_linking(
            ob.original.light_linking.receiver_collection)) is not None and ordinary.shines(ob)}
        self._groups = passes.list_groups(depsgraph.view_layer_eval)
        self._behind = world.find_group(depsgraph)
        self._filter_width = sync.find_filter_width(frame)
        self._shares = getattr(getattr(frame, "cycles", None), "device", "CPU") == "CPU"  # processors with the worker
        meshes: list[Any] = [ob for ob in depsgraph.objects if ob.type == "MESH" and not sync.is_asset(ob)]
        self._faces = ASSET_FACES * len(self._proxies) + sum(len(ob.data.polygons) for ob in meshes)
        self._cuts = ordinary.has_holdouts(depsgraph)
        self._unclear = None if self._cuts else ordinary.find_unclear(depsgraph)

    def renew(self, depsgraph: bpy.types.Depsgraph) -> None:
        """Hands the scene over again: something over there is not as Blender told."""
        cycles_scene.forget()
        self.state = cycles_scene.capture(depsgraph)

    def ask_light(self, shadows: bool) -> tuple[worker_process.JobHandle | None, worker_process.JobHandle | None]:
        """Asks for the probes that are not known yet, and for what casts the lamps' shadows; None where all is known.
        shadows: whether lamps cast any; what glows may be taken for one."""
        cycles = client.get_cycles()
        chosen = _choose(self._assets)
        size, samples = LARGE if len(chosen) <= FEW_PROBES else SMALL
        self._keys = [self._describe_place(number, size) for number in chosen]
        self._known = {key: _probes[key] for key, _ in self._keys if key in _probes}  # what comes may push them out
        self._asked = {key: place for key, place in self._keys if key not in self._known}
        probes = cycles.probe(
            self.state, list(self._asked.values()), proxies=self._proxies, size=size, samples=samples,
            threads=self._threads, channel="probes", groups=self._groups,
            behind=self._behind) if self._asked else None
        where = {name: described for name, (_, radius, described) in self._moving.items() if radius < np.inf}
        shaded = (shadows or ordinary.glows()) and bool(self._assets.instances)
        self._standing = f"{self._scene} {self._proxies} {where}" if shaded else ""
        self.occluders = _occluders[self._standing] if self._standing in _occluders else None
        occluders = cycles.occluders(self.state, proxies=self._proxies, channel="occluders") \
            if self._standing and self.occluders is None else None
        return probes, occluders

    def take_light(self, probes: worker_process.JobHandle | None, occluders: worker_process.JobHandle | None,
                   *, anyway: bool = False) -> bool:
        """Lights every instance by the probe that stands nearest, with what ask_light asked for, done. Says whether it
        did: not where the scene over there was not the one that is meant, unless anyway. Raises what the jobs did."""
        answers = [job.result() for job in (probes, occluders) if job is not None]
        if any(answer["stale"] for answer in answers) and not anyway:
            return False
        for answer in answers:
            for key, probe in zip(self._asked, answer.get("probes", ())):
                self._known[key] = probe
                _probes.put(key, probe)
            if "occluders" in answer:
                self.occluders = answer["occluders"]
                _occluders.put(self._standing, self.occluders)
        known = [self._known[key] for key, _ in self._keys]
        places = np.array([probe.position for probe in known])
        for number, instance in enumerate(self._assets.instances):
            if number not in self._assets.held:
                away = np.linalg.norm(places - instance["matrix"][:3, 3], axis=1)
                self._assets.give_probe(number, known[int(np.argmin(away))])
        return True

    def ask_picture(self, view: dict[str, Any], wanted: tuple[str, ...], transparent: bool, screens: np.ndarray
                    ) -> worker_process.JobHandle:
        """The ordinary picture. view: camera, size and border, and screens, as CyclesProcess.draw takes them."""
        return self._draw(view, passes=_list_drawn(wanted), transparent=transparent, screens=screens,
                          channel="ordinary")

    def _draw(self, view: dict[str, Any], **options: Any) -> worker_process.JobHandle:
        """A picture with the samples that the artist asks for; options: further ones of CyclesProcess.draw."""
        return client.get_cycles().draw(
            self.state, **view, proxies=self._proxies, samples=self._options.samples, denoise=self._options.denoise,
            threads=self._threads, **options)

    def waits(self, camera: scene.Camera) -> bool:
        """Whether Cycles is to draw once it is known what assets hide, not beside the worker that draws these."""
        boxes = measure_nearest(np.array(self._assets.bounds).reshape(-1, 8, 3), camera)
        return self._shares and self._spares(int(np.isfinite(boxes).sum()))

    def find_screens(self, made: dict[str, np.ndarray], camera: scene.Camera, held: np.ndarray) -> np.ndarray:
        """Where nobody need look at what is ordinary, as ask_picture takes it. made, camera: as ask_front has them.
        held: (H, W, 1), what holdouts cover."""
        alpha = made["Combined"][..., 3] * (held[..., 0] == 0)
        found = screening.find(alpha, made["Depth"][..., 0], camera, self._filter_width)
        return found if self._spares(len(found) * screening.ScreenConfig.edge ** 2) else found[:0]

    def _spares(self, pixels: int) -> bool:
        """Whether not to draw so many pixels spares more than it takes to tell Cycles, which then sorts all that it has
        anew: a face takes about as long as a sample of a pixel."""
        return pixels * self._options.samples > self._faces

    def ask_front(self, depsgraph: bpy.types.Depsgraph, view: dict[str, Any], camera: scene.Camera,
                  wanted: tuple[str, ...], made: dict[str, np.ndarray], behind: dict[str, np.ndarray]
                  ) -> list[worker_process.JobHandle]:
        """The part of the ordinary picture that is in front of assets, and where there are ordinary holdouts that once
        more with these as surfaces; nothing where nothing is in front.

        camera: of made, behind: passes of the assets, and of ask_picture as convert returns them.
        """
        if not self._assets.instances:
            return []
        nearest: np.ndarray | float = 0.0
        thin: np.ndarray | float = np.inf
        if self._unclear is not None:
            own = np.where(made["Combined"][..., 3] > LEAST, made["Depth"][..., 0], np.inf)
            thin, others = slivers.find(depsgraph, camera, own)
            nearest = measure_nearest(np.concatenate([self._unclear, others]), camera)
        box = find_front(made, behind, self._measure_cell(), nearest, thin)
        if box is None:
            return []
        left, top = view["border"][:2] if view["border"] else (0, 0)
        self._front = box
        border = left + box[0], top + box[1], left + box[2], top + box[3]
        standing = self._assets.standing if self.moving is None else np.moveaxis(self.moving, 0, 1)
        holes = list({(each["name"], places.tobytes()): (each["name"], places) for each, places in zip(
            self._assets.instances, standing)}.values())  # copies by modifiers are one mesh
        names = _list_drawn(wanted)
        return [self._draw(view | {"border": border}, passes=names if holdouts else ["Combined"], transparent=True,
                           holes=holes, holdouts=holdouts, channel=f"front {holdouts}")
                for holdouts in ((True, False) if self._cuts else (True,))]

    def take_front(self, drawn: list[dict[str, np.ndarray]], behind: dict[str, np.ndarray], wanted: tuple[str, ...],
                   ranks: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What composite.compose takes as `front` and `cut`, of the passes that ask_front's jobs drew."""
        front = self._place_front(convert(drawn[0], wanted, ranks), behind)
        if "Environment" in front:  # it lies behind
            group = f"{scene.GROUP}{self._behind}"
            if group in front:
                front[group] -= front["Environment"]
            front["Environment"][:] = 0
        if len(drawn) == 1:
            return front, np.zeros(1, np.float32)
        whole = self._place_front({"Combined": drawn[1]["Combined"]}, behind)["Combined"][..., 3:]
        return front, np.maximum(whole - front["Combined"][..., 3:], 0)

    def _place_front(self, front: dict[str, np.ndarray], behind: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Passes of what ask_front drew, as large as the picture behind."""
        left, top, right, bottom = self._front
        placed = {}
        for name, values in front.items():
            placed[name] = np.zeros_like(behind[name])
            placed[name][top:bottom, left:right] = values
        return placed

    def _measure_cell(self) -> float:
        """The finest asset's cell in metres."""
        sizes = [np.cbrt(abs(np.linalg.det(each["matrix"][:3, :3]))) for each in self._assets.instances]
        return asset.CELL * float(min(sizes))

    def _describe_place(self, number: int, size: tuple[int, int]) -> tuple[str, tuple[np.ndarray, list[str]]]:
        """What a probe of an instance depends on, hashed, and what the second Blender is told. size: its texels."""
        matrix, name = (self._assets.instances[number][key] for key in ("matrix", "name"))
        middle, reach = matrix[:3, 3], NEAR * float(np.linalg.norm(matrix[:3, :3], 2))
        bounds, away = self._assets.bounds[number], np.linalg.norm(self._middles - middle, axis=1)
        near = list(itertools.compress(self._moving, away - self._radii < reach))
        position, through = probe_places.find(matrix, bounds, self._solids.meet(bounds, name), sync.is_asset)
        unlit_by = [each for each, link in self._linked.items() if name not in link]
        content = hashlib.sha256(f"{self._scene} {name} {size} {sorted(through)} {unlit_by}".encode())
        content.update(np.round(position, 5).tobytes())
        for each in near:
            content.update(f"{each} {self._moving[each][2]}".encode())
        return content.hexdigest(), (position, [name, *sorted(through), *unlit_by])


def _choose(assets: sync.VisibleAssets) -> list[int]:
    """Numbers of the instances that get probes of their own: all, or such that lie far apart."""
    lit = [number for number in range(len(assets.instances)) if number not in assets.held]
    places = np.array([assets.instances[number]["matrix"][:3, 3] for number in lit]).reshape(-1, 3)
    if len(lit) <= MOST_PROBES:
        return lit
    chosen, away = [0], np.linalg.norm(places - places[0], axis=1)
    while len(chosen) < MOST_PROBES:
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return [lit[k] for k in chosen]


def _describe_objects(depsgraph: bpy.types.Depsgraph) -> dict[str, tuple[np.ndarray, float, str]]:
    """Where everything but cameras stands: name -> middle (3,), radius, matrix and look as text. A lamp's reaches
    everywhere."""
    shown, matrices = list(depsgraph.objects), sync.read_matrices(depsgraph.objects)
    boxes = np.empty((len(shown), 8, 3), np.float32)
    depsgraph.objects.foreach_get("bound_box", boxes.ravel())
    corners = boxes @ matrices[:, :3, :3].transpose(0, 2, 1) + matrices[:, None, :3, 3]
    middles = corners.mean(1)
    radii = np.linalg.norm(corners - middles[:, None], axis=2).max(1, initial=0)
    places = np.round(matrices, 6)
    found = {}
    for ob, middle, radius, place in zip(shown, middles, radii.tolist(), places):
        kind = ob.type
        if kind == "CAMERA":
            continue
        look = looks.read(ob) if sync.is_asset(ob) else scene.PLAIN
        described = place.tobytes().hex() + ("" if look == scene.PLAIN else repr(look))
        found[ob.name_full] = middle, np.inf if kind == "LIGHT" else radius, described
    return found


def _describe_time(frame: Any) -> str:
    """The frame, where more than objects may change with it; their places are looked at one by one."""
    owners: list[Any] = [*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights, *bpy.data.node_groups,
                         *bpy.data.shape_keys, *bpy.data.meshes]
    timed = any(owner.animation_data for owner in owners) or any(
        image.source in ("MOVIE", "SEQUENCE") for image in bpy.data.images) or any(
        tree.node_tree and tree.node_tree.animation_data for tree in (*bpy.data.materials, *bpy.data.worlds))
    moved = any(ob.modifiers and (ob.animation_data or any(each.type not in STILL for each in ob.modifiers))
                for ob in bpy.data.objects)
    return f"{frame.frame_current} {frame.frame_subframe}" if timed or moved else "still"


def find_front(made: dict[str, np.ndarray], behind: dict[str, np.ndarray], cell: float, nearest: np.ndarray | float,
               thin: np.ndarray | float = np.inf) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the pixels in which ordinary things may lie in front of assets; None where none can.

    made, behind: passes of the assets and of what is ordinary. cell: metres that count as behind. nearest: metres,
    (H, W) or one for all, from which on something may lie in front of what Depth shows. thin: the same, where something
    does that it missed.
    """
    depth, own, alpha = behind["Depth"][..., 0], made["Depth"][..., 0], made["Combined"][..., 3]
    depth = np.minimum(np.where(depth > 0, depth, np.inf), thin)
    # the ground before an asset's foot comes nearer within a pixel than the asset that covers a little of it
    ahead = own - depth > cell * np.where(alpha > 0.5, 2, FOOT)
    before = (alpha > LEAST) & (ahead | (nearest < own))
    if not before.any():
        return None
    rows, columns = np.flatnonzero(before.any(1)), np.flatnonzero(before.any(0))
    height, width = before.shape
    return (max(int(columns[0]) - MARGIN, 0), max(int(rows[0]) - MARGIN, 0),
            min(int(columns[-1]) + 1 + MARGIN, width), min(int(rows[-1]) + 1 + MARGIN, height))


def measure_nearest(corners: np.ndarray, camera: scene.Camera) -> np.ndarray:
    """Metres along the view axis, (H, W) float32, before which none of some boxes is: infinite where none can be seen.
    corners: (N, 8, 3), world."""
    nearest = np.full((camera.height, camera.width), np.inf, np.float32)
    x, y, z = np.moveaxis(corners @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3], 2, 0)
    low, high = z.min(1, initial=np.inf), z.max(1, initial=-np.inf)
    if not np.isfinite(corners).all() or not camera.orthographic and ((low <= camera.near) & (high > 0)).any():
        nearest[:] = 0  # it is all around the camera
        return nearest
    scale = 1 if camera.orthographic else 1 / np.where(z > 0, z, np.inf)
    spans = [(camera.intrinsics[axis, axis] * along * scale + camera.intrinsics[axis, 2], size)
             for axis, along, size in ((0, x, camera.width), (1, y, camera.height))]
    edges = [np.clip(edge, 0, size).astype(int) for at, size in spans
             for edge in (np.floor(at.min(1, initial=np.inf)) - MARGIN, np.ceil(at.max(1, initial=-np.inf)) + MARGIN)]
    for left, right, top, bottom, near in zip(*edges, low):
        if near > 0 or camera.orthographic:
            np.minimum(nearest[top:bottom, left:right], near, out=nearest[top:bottom, left:right])
    return nearest


def _list_drawn(wanted: tuple[str, ...]) -> list[str]:
    """Those of the passes that the second Blender knows, Depth, and what data are divided by."""
    names = dict.fromkeys((*wanted, "Depth", *[composite.COVER] * bool(MEANS & set(wanted))))
    return [name for name in names if name in PASSES or name.startswith((OWN, scene.GROUP))]


def convert(answer: dict[str, np.ndarray], wanted: tuple[str, ...], ranks: int) -> dict[str, np.ndarray]:
    """Passes of the second Blender as composite.compose takes them."""
    made = {name: answer[name][..., :scene.count_channels(name)] for name in _list_drawn(wanted) if name in answer}
    if passes.MIST in made:
        made[composite.CLEAR] = 1 - made.pop(passes.MIST)
    made["Depth"] = np.where(made["Depth"] > EMPTY, 0, made["Depth"]).astype(np.float32)
    if composite.COVER in made:
        _weigh(made)
    if "Confidence" in wanted:
        made["Confidence"] = made[composite.COVER].copy()
    for name in set(wanted) & passes.RANKED.keys():
        layers = [answer[each] for each in sorted(answer) if each.startswith(passes.RANKED[name][0])]
        made[name] = np.concatenate(layers, -1)[..., :2 * ranks]
    return made


def _weigh(made: dict[str, np.ndarray]) -> None:
    """Makes composite.COVER, and by it what surfaces say of themselves, of what Cycles has added up; in place."""
    alpha, said = made["Combined"][..., 3:], made[composite.COVER]
    solid = alpha * ((made["Depth"] > 0) | (alpha < 1))
    cover = np.where(said > 0, np.minimum(said, 1), solid)  # some surfaces, as a volume's, say nothing
    for name in aovs.VALUES:
        if name in made:
            made[name] = made[name] * (cover / np.where(said > 0, said, 1))
    made[composite.COVER] = cover.astype(np.float32)


def forget() -> None:
    """Empties the caches."""
    _probes.clear()
    _occluders.clear()

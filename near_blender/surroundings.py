"""What stands around the assets of a final picture: probes, and what is behind them, as the second Blender draws it."""

from __future__ import annotations

import hashlib
from typing import Any

import bpy
import numpy as np

from . import client, cycles_scene, ordinary, passes, sync, worker_process
from ._core import cache, scene

EMPTY = 1e9  # metres: Cycles has 1e10 where nothing is
MOST_PROBES = 32  # a frame; instances beyond share the nearest one
NEAR = 6.0  # sizes of an asset around it in which what moves is seen in its probe
# what near_core calls a pass -> what the second Blender does
_CYCLES = {"Combined": "Combined", "Depth": "Depth", "Normal": "Normal", "Emission": "Emission",
           "Object Index": "Object Index", "Material Index": "Material Index", passes.RANKED: "Cryptomatte Object"}
_probes: cache.RecentResults[scene.Probe] = cache.RecentResults(256)


class OrdinaryThings:
    """The ordinary part of a view layer of a frame, and what the second Blender is asked about it."""

    def __init__(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets):
        """Raises NearError where the scene cannot be handed over."""
        frame: Any = depsgraph.scene_eval
        self.state = cycles_scene.capture(depsgraph)
        self._assets, self._options = assets, ordinary.read_options(frame)
        self._threads = frame.render.threads if frame.render.threads_mode == "FIXED" else 0
        self._proxies = sorted({ob.name_full for ob in assets.objects})
        self._moving, self._still = _describe_objects(depsgraph), _describe_time(frame)

    def ask_probes(self) -> worker_process.JobHandle | None:
        """Asks for the probes that are not known yet; None where all are."""
        self._keys = [self._describe_place(number) for number in _choose(self._assets.instances)]
        unknown = {key: place for key, place in self._keys if key not in _probes}
        if not unknown:
            return None
        self._asked = list(unknown)
        return client.get_cycles().probe(self.state, list(unknown.values()), proxies=self._proxies,
                                         threads=self._threads, channel="probes")

    def give_probes(self, job: worker_process.JobHandle | None) -> bool:
        """Lights every instance by the probe that stands nearest; job: what ask_probes returned, done. Says whether
        the scene over there was the one that is meant. Raises what the job did."""
        if job is not None:
            answer = job.result()
            if answer["stale"]:
                return False
            for key, probe in zip(self._asked, answer["probes"]):
                _probes.put(key, probe)
        known = [_probes[key] for key, _ in self._keys]
        places = np.array([probe.position for probe in known])
        for number, instance in enumerate(self._assets.instances):
            away = np.linalg.norm(places - instance["matrix"][:3, 3], axis=1)
            self._assets.give_probe(number, known[int(np.argmin(away))])
        return True

    def ask_picture(self, view: dict[str, Any], wanted: tuple[str, ...], transparent: bool) -> worker_process.JobHandle:
        """The ordinary picture. view: camera, size and border, as CyclesProcess.draw takes them."""
        names = [_CYCLES[name] for name in dict.fromkeys((*wanted, "Depth")) if name in _CYCLES]
        return client.get_cycles().draw(
            self.state, **view, proxies=self._proxies, passes=names, samples=self._options.samples,
            denoise=self._options.denoise, threads=self._threads, transparent=transparent, channel="ordinary")

    def _describe_place(self, number: int) -> tuple[str, tuple[np.ndarray, list[str]]]:
        """What a probe of an instance depends on, hashed, and what the second Blender is told."""
        matrix, name = self._assets.instances[number]["matrix"], self._assets.objects[number].name_full
        position, reach = matrix[:3, 3], NEAR * float(np.linalg.norm(matrix[:3, :3], 2))
        scene_and_layer = self.state.fields["scene"], self.state.fields["layer"]
        content = hashlib.sha256(f"{scene_and_layer} {name} {self._still}".encode())
        content.update(np.round(position, 5).tobytes())
        for each, (middle, radius, described) in self._moving.items():
            if np.linalg.norm(middle - position) - radius < reach:
                content.update(f"{each} {described}".encode())
        return content.hexdigest(), (position, [name])


def _choose(instances: list[dict[str, Any]]) -> list[int]:
    """Numbers of the instances that get probes of their own: all, or such that lie far apart."""
    places = np.array([each["matrix"][:3, 3] for each in instances]).reshape(-1, 3)
    if len(places) <= MOST_PROBES:
        return list(range(len(places)))
    chosen, away = [0], np.linalg.norm(places - places[0], axis=1)
    while len(chosen) < MOST_PROBES:
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return chosen


def _describe_objects(depsgraph: bpy.types.Depsgraph) -> dict[str, tuple[np.ndarray, float, str]]:
    """Where everything but cameras stands: name -> middle (3,), radius, matrix as text. Lamps reach everywhere."""
    found = {}
    for ob in depsgraph.objects:
        if ob.type == "CAMERA":
            continue
        matrix = np.array(ob.matrix_world, np.float64)
        corners = np.array([matrix @ (*corner, 1) for corner in ob.bound_box])[:, :3]
        middle = corners.mean(0)
        radius = np.inf if ob.type == "LIGHT" else float(np.linalg.norm(corners - middle, axis=1).max())
        found[ob.name_full] = middle, radius, np.round(matrix, 6).tobytes().hex()
    return found


def _describe_time(frame: Any) -> str:
    """The frame, where more than objects may change with it; their places are looked at one by one."""
    owners: list[Any] = [*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights, *bpy.data.node_groups,
                         *bpy.data.shape_keys, *bpy.data.meshes]
    timed = any(owner.animation_data for owner in owners) or any(
        image.source in ("MOVIE", "SEQUENCE") for image in bpy.data.images) or any(
        tree.node_tree and tree.node_tree.animation_data for tree in (*bpy.data.materials, *bpy.data.worlds))
    moved = any(ob.modifiers and any(each.type != "SUBSURF" for each in ob.modifiers) for ob in bpy.data.objects)
    return f"{frame.frame_current} {frame.frame_subframe}" if timed or moved else "still"


def convert(answer: dict[str, np.ndarray], wanted: tuple[str, ...], ranks: int) -> dict[str, np.ndarray]:
    """Passes of the second Blender as composite.compose takes them."""
    made = {name: answer[name] for name in _CYCLES if name in answer}
    made["Depth"] = np.where(made["Depth"] > EMPTY, 0, made["Depth"]).astype(np.float32)
    solid = made["Combined"][..., 3:] * ((made["Depth"] > 0) | (made["Combined"][..., 3:] < 1))
    for name in set(wanted) & {"Confidence", "Shadow"}:
        made[name] = solid.astype(np.float32)
    for name in set(wanted) & {"Base Color", "Roughness", "Metallic"}:
        made[name] = np.zeros((*solid.shape[:2], scene.PASSES[name]), np.float32)
    if passes.RANKED in wanted:
        pairs = np.concatenate([answer[name] for name in sorted(answer) if name.startswith(passes.OBJECT)], -1)
        made[passes.RANKED] = pairs[..., :2 * ranks]
    return made


def forget() -> None:
    """Empties the cache of probes."""
    _probes.clear()

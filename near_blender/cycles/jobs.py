"""What the second Blender can be asked for; main.py lists the messages, client/cycles_process.py what is answered."""

from __future__ import annotations

import itertools
import os
from collections.abc import Container, Iterator
from dataclasses import replace
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import composite, errors, filters, image, light_passes, progress
from .._core import scene as scenes
from . import aovs as cycles_aovs
from . import contact_sheet, denoiser
from . import lamps as cycles_lamps
from . import occluders as cycles_occluders
from . import textures as cycles_textures
from . import world as cycles_world
from .filter import GLOSSY, TRANSMITTED
from .front import measure_pixel
from .stage import StagedScene, can_denoise

OWN = "AOV "  # what stands before the name of an AOV of the artist's, which is a pass, too
# pass -> (the view layer's switch, Cycles' names for it before and from 5.0)
PASSES = {"Combined": ("", ("Combined",)), "Depth": ("use_pass_z", ("Depth",)),
          "Normal": ("use_pass_normal", ("Normal",)), "Position": ("use_pass_position", ("Position",)),
          "UV": ("use_pass_uv", ("UV",)),
          "Vector": ("use_pass_vector", ("Vector",)), "Mist": ("use_pass_mist", ("Mist",)),
          **{f"{kind} {part}": (f"use_pass_{kind.lower()}_{part.lower()}", (f"{old}{part[:3]}", f"{kind} {part}"))
             for kind, old in (("Diffuse", "Diff"), ("Glossy", "Gloss"), ("Transmission", "Trans"))
             for part in ("Direct", "Indirect", "Color")},
          "Volume Direct": ("cycles.use_pass_volume_direct", ("VolumeDir", "Volume Direct")),
          "Volume Indirect": ("cycles.use_pass_volume_indirect", ("VolumeInd", "Volume Indirect")),
          "Emission": ("use_pass_emit", ("Emit", "Emission")),
          "Environment": ("use_pass_environment", ("Env", "Environment")),
          "Shadow": ("use_pass_ambient_occlusion", ("AO", "Ambient Occlusion")),
          "Object Index": ("use_pass_object_index", ("IndexOB", "Object Index")),
          "Material Index": ("use_pass_material_index", ("IndexMA", "Material Index")),
          **{name: ("", (aov,)) for name, (aov, _) in cycles_aovs.AOVS.items()},
          **{f"Cryptomatte {kind}": (f"use_pass_cryptomatte_{kind.lower()}", (f"Crypto{kind}",))
             for kind in ("Object", "Material", "Asset")}}
_COLORS = ("Combined", *light_passes.NAMES, "Base Color")
_BLUR = 2  # texels, twice
_LEAST = 32  # pixels along an edge of what is denoised
_FILTERED = {GLOSSY: 0.05, TRANSMITTED: 0.005}  # of what an asset sees, from which diffuse rays see it otherwise
_CLEAR = 0.5  # of the light they send on at least
EMPTY = 1e9  # metres: Cycles has 1e10 where nothing is


class CyclesJobs:
    """The operations of near_core.worker.worker.Worker in the second Blender."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, Any]] = {}
        self._stage = StagedScene()
        self._denoiser = denoiser.Denoiser()

    def describe(self) -> dict[str, Any]:
        """What "hello" says."""
        return {"pid": os.getpid(), "blender": bpy.app.version_string, "denoises": can_denoise(bpy.context.scene)}

    def keep(self, message: dict[str, Any]) -> None:
        """Remembers where a scene lies; it is opened when it is asked for."""
        self._files = {message["hash"]: message, **dict(list(self._files.items())[:7])}

    def answer(self, request: Any) -> dict[str, Any]:
        """Does what a request asks for. Raises NearError, Cancelled."""
        if request["op"] == "world":
            return {"maps": cycles_world.bake(request)}
        if request["op"] == "lamp":
            return {"pattern": cycles_lamps.bake(request)}
        if request["op"] == "pixels":
            return {"pixels": cycles_world.read_pixels(request)}
        if request["op"] == "textures":
            return cycles_textures.read(request)
        if request["op"] == "gather":
            request.progress("Writing the contact sheet and the movie", 0)
            return {"wrote": contact_sheet.gather(request["paths"], **request["wanted"])}
        if request["scene"] not in self._files:
            return {"event": "missing", "hashes": [request["scene"]]}
        request.progress("Loading the scene", 0)
        self._stage.open(request["scene"], self._files[request["scene"]])
        if request["op"] == "open":
            return {}
        self._stage.pose(request.fields, request.progress)
        answer = {"draw": self.draw, "probe": self.probe, "occluders": self.occluders}[request["op"]](request)
        if request.fields.get("denoise") and not can_denoise(self._stage.scene):
            answer["warning"] = errors.Message("This Blender has no OpenImageDenoise: ordinary objects are drawn with "
                                               "noise.")
        return answer

    def draw(self, request: Any) -> dict[str, Any]:
        """One picture."""
        stage, scene, wanted = self._stage, self._stage.scene, request["passes"]
        stage.look_through(request["camera"])
        border, rows, columns = widen(request["border"], request["size"])
        stage.frame(request["size"], border)
        stage.hide_from_camera(request["proxies"])
        transparent = request["transparent"]
        scene.render.film_transparent = stage.own["film_transparent"] if transparent is None else transparent
        scene.cycles.film_exposure = stage.own["film_exposure"]
        catches = scene.render.film_transparent and any(ob.is_shadow_catcher for ob in stage.objects)
        guides = (request["denoise"] and stage.layer.cycles.use_denoising and not catches and stage.marks.misleads
                  and denoiser.MARKED not in wanted and self._denoiser.suits(scene.cycles))
        stage.marks.put(guides)
        stage.use_samples(request["samples"], (request["denoise"] or catches) and not guides, request["threads"])
        _choose_passes(stage.layer, {*wanted, *(denoiser.SURFACE if guides else ())})
        stage.layer.cycles.denoising_store_passes = guides
        stage.keep_uv("UV" in wanted)
        stage.values.want(stage.layer, wanted)
        with stage.without_film_tricks(holdouts=not request["holdouts"]):
            try:
                stage.holes.cut(request["holes"], measure_pixel(request["camera"], request["size"]),
                                composite.CompositeConfig().hole_edge, stage.time,
                                request["camera"].get("motion", {}).get("shutter", 0))
                stage.holes.screen(request["screens"])
                drawn = stage.draw(request.progress)
            finally:
                stage.holes.close()
        if guides:
            self._clean(drawn, request)
        if not request["denoise"] and "Noisy Image" in drawn:
            drawn["Combined"][..., :3] = drawn["Noisy Image"][..., :3]  # the alpha of a shadow stays clean
        _give_color(drawn)
        passes = dict(found for name in wanted for found in _pick(name, drawn))
        return {"passes": {name: values[rows, columns] for name, values in passes.items()}, "stale": stage.stale}

    def _clean(self, drawn: dict[str, np.ndarray], request: Any) -> None:
        """Takes the noise of a picture away, in place."""
        request.progress("Drawing ordinary objects", 0.95)
        albedo, normal = (drawn[name] for name in denoiser.GUIDES)
        *colors, surface, clear = (_pick(name, drawn)[0][1][..., :3] for name in denoiser.SURFACE)
        surface = denoiser.turn(surface, request["camera"]["matrix"])
        guides = denoiser.choose_guides(albedo, normal, colors, surface, clear[..., 0] > 0.5)
        drawn["Combined"][..., :3] = self._denoiser.clean(
            drawn["Combined"][..., :3], guides, self._stage.scene.cycles.denoising_quality, request["threads"])

    def probe(self, request: Any) -> dict[str, Any]:
        """Some panoramas."""
        stage = self._stage
        stage.layer.cycles.denoising_store_passes = False
        stage.frame(request["size"], None)
        stage.scene.render.film_transparent = True
        stage.scene.cycles.film_exposure = 1.0
        stage.use_samples(request["samples"], request["denoise"], request["threads"])
        needed = {"Depth", *GLOSSY, TRANSMITTED[-1], *(name for kind in stage.filter.list_unseen() for name in kind),
                  *["Environment"] * bool(request["groups"])}
        _choose_passes(stage.layer, needed)
        stage.keep_uv(False)
        reflected = {ob.name_full: ob.visible_diffuse or ob.visible_glossy for ob in stage.objects}
        shown = [*request["proxies"], *(name for name, value in reflected.items() if value)]
        unseen = [ob.name_full for ob in stage.objects if ob.type == "LIGHT" or not reflected[ob.name_full]]

        def draw(wanted: list[dict[str, Any]], tell: Any) -> Iterator[dict[str, np.ndarray]]:
            for number, probe in enumerate(wanted):
                stage.look_around(probe["position"])
                stage.hide_from_camera([*unseen, *probe["hidden"]], shown=shown)
                part = progress.part(tell, number / len(wanted), (number + 1) / len(wanted))
                with stage.without_film_tricks(others=True):
                    yield keep_light(stage.draw(part))

        drawn = list(draw(request["probes"], progress.part(request.progress, 0.0, 0.6)))
        probes = [_make_probe(each, probe["position"], request["groups"], request["behind"])
                  for each, probe in zip(drawn, request["probes"])]
        roughness, unseen_kinds = stage.filter.measure(), stage.filter.list_unseen()
        smooth = [number for number, each in enumerate(drawn)
                  if (roughness or unseen_kinds) and is_filtered(each)]
        try:
            stage.filter.use(roughness if smooth else 0.0)
            soft = draw([request["probes"][number] for number in smooth], progress.part(request.progress, 0.6, 1.0)
                        ) if roughness else (drawn[number] for number in smooth)
            for number, each in zip(smooth, soft):
                diffuse = _take_light(each)[..., :3] - sum(_find_light(kind, each) for kind in unseen_kinds)
                probes[number] = replace(probes[number], diffuse=np.maximum(diffuse, 0, dtype=np.float32))
        finally:
            stage.filter.use(0.0)
        return {"probes": probes, "stale": stage.stale}

    def occluders(self, request: Any) -> dict[str, Any]:
        """What casts shadows."""
        found: list[tuple[scenes.Occluders, int]] = []
        self._stage.draw(request.progress, lambda depsgraph: found.append(
            cycles_occluders.collect(depsgraph, request["proxies"], request["budget"])))
        answer, left = found[-1] if found else (scenes.Occluders(np.empty((0, 3), np.float32),
                                                                 np.empty((0, 3), np.int32)), 0)
        warning = errors.Message("{count} triangles far from the assets cast no shadows on them.",
                                 count=left) if left else ""
        return {"occluders": answer, "stale": self._stage.stale, "warning": warning}


def widen(border: tuple[int, int, int, int] | None, size: tuple[int, int]
          ) -> tuple[tuple[int, int, int, int] | None, slice, slice]:
    """A border that the denoiser sees enough in, and which rows and columns of it are meant: of a few pixels alone it
    makes nearly black ones."""
    if border is None:
        return None, slice(None), slice(None)
    kept, wide = [], []
    for low, high, count in zip(border[:2], border[2:], size):
        start = max(min(low - (_LEAST - high + low) // 2, low, count - _LEAST), 0)
        wide.append((start, min(max(start + _LEAST, high), count)))
        kept.append(slice(low - start, high - start))
    (left, right), (top, bottom) = wide
    return (left, top, right, bottom), kept[1], kept[0]


def keep_light(drawn: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Panoramas with what the denoiser added or took put back, blurred: the light of an area stays what was sampled.

    Of few samples, the Fast denoiser alone changes the mean of 16 texels by 1 to 6 %.
    """
    noisy, clean = drawn.get("Noisy Image"), drawn["Combined"]
    if noisy is None:
        return drawn
    off = np.pad(noisy - clean, ((0, 0), (2 * _BLUR, 2 * _BLUR), (0, 0)), mode="wrap").transpose(2, 0, 1)
    for _ in range(2):
        off = np.stack([filters.blur_box(plane, _BLUR) for plane in off])
    kept = clean + off.transpose(1, 2, 0)[:, 2 * _BLUR:-2 * _BLUR].astype(np.float32)
    return drawn | {"Combined": np.clip(np.nan_to_num(kept), 0, (np.inf, np.inf, np.inf, 1)).astype(np.float32)}


def _make_probe(drawn: dict[str, np.ndarray], position: np.ndarray, groups: list[str], behind: str) -> scenes.Probe:
    """groups: light groups that are told apart. behind: that of the World, which is no part of a probe."""
    distance = _pick("Depth", drawn)[0][1][..., 0]
    distance = np.where(distance > EMPTY, np.float32(np.inf), distance)
    sent = [_take_light(drawn, f"{scenes.GROUP}{group}") for group in groups]
    if behind in groups:
        sent[groups.index(behind)] -= _take_light(drawn, "Environment")
    return scenes.Probe(_take_light(drawn), distance, position, find_mirrored(drawn), groups=tuple(groups),
                        sent=np.stack(sent) if sent else None)


def _take_light(drawn: dict[str, np.ndarray], name: str = "Combined") -> np.ndarray:
    """A panorama's radiance, (H, W, 4 or 3) float32."""
    most = scenes.environment.BRIGHTEST
    return np.clip(np.nan_to_num(_pick(name, drawn)[0][1]), -most, most)


def find_mirrored(drawn: dict[str, np.ndarray]) -> np.ndarray:
    """The share of a panorama's radiance that surfaces mirror, (H, W) float32 in 0..1."""
    whole = np.nan_to_num(_pick("Combined", drawn)[0][1][..., :3])
    shown, whole = (filters.blur_box(image.luminance(light), 1) for light in (  # they are noisy
        _find_light(GLOSSY, drawn), whole))
    return np.clip(shown / np.maximum(whole, 1e-9), 0, 1).astype(np.float32)


def is_filtered(drawn: dict[str, np.ndarray]) -> bool:
    """Whether a panorama shows enough glass, or mirrors, that send on most of the light."""
    rows = len(drawn["Combined"])
    solid = np.sin((np.arange(rows)[:, None] + 0.5) * np.pi / rows)
    shares = ((image.luminance(_pick(kind[-1], drawn)[0][1][..., :3]) > _CLEAR) * solid / (2 * rows * solid.sum())
              for kind in _FILTERED)
    return any(share.sum() > least for share, least in zip(shares, _FILTERED.values()))


def _choose_passes(layer: Any, wanted: Container[str]) -> None:
    """Has a view layer draw the wanted ones of PASSES."""
    for name, (switch, _) in PASSES.items():
        owner, _, switch = switch.rpartition(".")
        if switch:
            setattr(getattr(layer, owner) if owner else layer, switch, name in wanted)


def _give_color(drawn: dict[str, np.ndarray]) -> None:
    """Multiplies the light of a picture by its colours, in place, where these are drawn."""
    called = {name: each for name in light_passes.COLORED for each in PASSES[name][1] if each in drawn}
    for kind, path in itertools.product(light_passes.KINDS, light_passes.PATHS):
        if called.keys() >= {f"{kind} {path}", f"{kind} Color"}:
            drawn[called[f"{kind} {path}"]] *= drawn[called[f"{kind} Color"]]


def _find_light(kind: tuple[str, ...], drawn: dict[str, np.ndarray]) -> np.ndarray:
    """What a kind of surface sends, (H, W, 3). kind: names of its passes, direct, indirect and colour."""
    direct, indirect, color = (_pick(name, drawn)[0][1][..., :3] for name in kind)
    return np.nan_to_num((direct + indirect) * color)


def _pick(name: str, drawn: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The passes that are meant by name, with the names they go by."""
    if name in composite.RANKED:
        found = [(key, drawn[key]) for key in sorted(drawn) if key.startswith(PASSES[name][1])]
    else:
        called = (name.removeprefix(OWN),) if name.startswith((OWN, scenes.GROUP)) else PASSES[name][1]
        found = [(name, drawn[key]) for key in called if key in drawn]
    if not found:
        raise errors.NearError("Cycles made no pass {name}.", "Report this with the version of Blender.", name=name)
    is_color = name in _COLORS or name.startswith(scenes.GROUP)
    return [(key, _convert(values)) for key, values in found] if is_color else found


def _convert(values: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3 or more) of the working space as Rec.709; themselves where that is it."""
    colors = values[..., :3]
    converted = colorspace.to_rec709(colors)
    return values if converted is colors else np.concatenate([converted, values[..., 3:]], -1)

"""The passes of the whole picture: which a view layer wants, what they are called in Blender, how they get there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import composite, cryptomatte, light_passes, scene
from ..cycles import jobs as cycles_jobs
from ..scene import sync

EMPTY_DEPTH = 1e10  # metres, as Cycles
BAND = 16  # rows of a pass that are moved at once, within a core's cache
# Cryptomatte's passes -> what Cycles and Blender's node call their layers, and what of a sync.Owner they tell apart
RANKED = dict(zip(composite.RANKED, (("CryptoObject", "name"), ("CryptoMaterial", "material"), ("CryptoAsset", "top"))))
_MOST_RANKS = 16
_LONGEST = 63  # bytes of a pass's name
MIST = "Mist"  # what is not composite.CLEAR
UV = "UV"  # of ordinary things alone, as AOVs are
POSITION = "Position"  # of position.make_positions
VECTOR = "Vector"  # of exposure.make_vectors; like Cycles, a picture with motion blur has none
WHO = ("Object Index", "Material Index", *RANKED)  # made of scene.INSTANCES

# view layer switches: pass name -> (owner, property); Combined is always there
_SWITCHES: dict[str, tuple[str, str]] = {"Depth": ("", "use_pass_z"), "Normal": ("", "use_pass_normal"),
             "Base Color": ("near", "use_pass_base_color"), "Roughness": ("near", "use_pass_roughness"),
             "Metallic": ("near", "use_pass_metallic"), "Shadow": ("near", "use_pass_shadow"),
             "Confidence": ("near", "use_pass_confidence"), VECTOR: ("", "use_pass_vector"),
             MIST: ("", "use_pass_mist"), POSITION: ("", "use_pass_position"),
             UV: ("", "use_pass_uv"),
             **{name: cycles_jobs.PASSES[name][0].rpartition(".")[::2] for name in light_passes.NAMES},
             "Object Index": ("", "use_pass_object_index"), "Material Index": ("", "use_pass_material_index"),
             **{name: ("", f"use_pass_{name.lower().replace(' ', '_')}") for name in RANKED}}
_CHANNELS: dict[str, tuple[str, Any]] = {  # the others are one VALUE named X
    "Combined": ("RGBA", "COLOR"), "Depth": ("Z", "VALUE"), "Normal": ("XYZ", "VECTOR"), "Base Color": ("RGB", "COLOR"),
    **dict.fromkeys(light_passes.NAMES, ("RGB", "COLOR")), MIST: ("Z", "VALUE"), VECTOR: ("XYZW", "VECTOR"),
    POSITION: ("XYZ", "VECTOR"), UV: ("UVA", "VECTOR")}
_AOVS: dict[str, tuple[str, Any]] = {"VALUE": ("X", "VALUE"), "COLOR": ("RGBA", "COLOR")}  # by their types
# an AOV that is called so is left out
_TAKEN = {*_SWITCHES, *(called for _, names in cycles_jobs.PASSES.values() for called in names)}
_BUILT_IN = ("Combined", "Depth", "Normal")  # passes that Blender adds by itself
_RENAMED = (*light_passes.NAMES, "Object Index", "Material Index")  # from 5.0; a compositor's links go by these names
_WORKING = ("Combined", "Base Color", *light_passes.NAMES)  # in Blender's working space


def list_wanted(view_layer: Any, vectors: bool = True) -> tuple[str, ...]:
    """The passes that view_layer wants. vectors: whether there can be some."""
    owners = _find_owners(view_layer)
    return ("Combined", *(name for name, (owner, prop) in _SWITCHES.items()
                          if getattr(owners[owner], prop, False) and (vectors or name != VECTOR)),
            *(f"{scene.GROUP}{group}" for group in list_groups(view_layer)),
            *(f"{cycles_jobs.OWN}{aov.name}" for aov in _list_aovs(view_layer)))


def _find_owners(view_layer: Any) -> dict[str, Any]:
    return {"": view_layer, "near": view_layer.near, "cycles": getattr(view_layer, "cycles", None)}


def drop_light(view_layer: Any) -> None:
    """Has view_layer want no pass of light but Combined."""
    owners = _find_owners(view_layer)
    for owner, prop in (_SWITCHES[name] for name in light_passes.NAMES):
        if owners[owner] is not None:
            setattr(owners[owner], prop, False)
    with bpy.context.temp_override(scene=view_layer.id_data, view_layer=view_layer):
        for _ in range(len(view_layer.lightgroups)):
            bpy.ops.scene.view_layer_remove_lightgroup()


def list_groups(view_layer: Any) -> list[str]:
    """The light groups of a view layer, but those whose passes' names Blender would cut off."""
    return [group.name for group in view_layer.lightgroups
            if len(f"{scene.GROUP}{group.name}".encode()) <= _LONGEST]


def _list_aovs(view_layer: Any) -> list[Any]:
    return [aov for aov in view_layer.aovs if aov.is_valid and aov.name not in _TAKEN]


def list_neural(wanted: Iterable[str], held: bool = False, alone: bool = True) -> tuple[str, ...]:
    """What near_core is to draw for them. held: whether there are holdouts among the assets. alone: whether it draws
    the World, too."""
    names = [name for name in wanted if name.startswith(scene.GROUP)
             or name in scene.CHANNELS and (alone or name != "Environment")]
    if {VECTOR, MIST, POSITION} & set(wanted) and "Depth" not in names:
        names.append("Depth")
    return (*names, scene.INSTANCES) if held or set(wanted) & {*WHO, VECTOR, MIST} else tuple(names)


def declare(engine: bpy.types.RenderEngine, frame: bpy.types.Scene, view_layer: Any) -> None:
    """Tells Blender of the passes, for the compositor's sockets."""
    for name, channels, kind in _list_layers(view_layer):
        engine.register_pass(frame, view_layer, name, len(channels), channels, kind)


def add(engine: bpy.types.RenderEngine, view_layer: Any) -> None:
    """Has the picture that is drawn next hold the passes."""
    for name, channels, _ in _list_layers(view_layer):
        if name not in _BUILT_IN:
            engine.add_pass(name, len(channels), channels, layer=view_layer.name)


def _list_layers(view_layer: Any) -> Iterable[tuple[str, str, Any]]:
    aovs = {f"{cycles_jobs.OWN}{aov.name}": aov for aov in _list_aovs(view_layer)}
    for name in list_wanted(view_layer):
        if name in aovs:
            yield aovs[name].name, *_AOVS[aovs[name].type]
        elif name in RANKED:
            for number in range(count_ranks(view_layer) // 2):
                yield f"{RANKED[name][0]}{number:02}", "rgba", "COLOR"  # small, and no file compresses ids with loss
        else:
            one = ("RGB", "COLOR") if name.startswith(scene.GROUP) else ("X", "VALUE")
            yield _call(name), *_CHANNELS.get(name, one)


def _call(name: str) -> str:
    """What a pass is called in this Blender."""
    return cycles_jobs.PASSES[name][1][bpy.app.version >= (5, 0, 0)] if name in _RENAMED else name


def count_ranks(view_layer: Any) -> int:
    """Levels of view_layer's Cryptomatte, an even number."""
    return (min(view_layer.pass_cryptomatte_depth, _MOST_RANKS) + 1) // 2 * 2


def expose(made: dict[str, np.ndarray], exposure: float) -> None:
    """Multiplies what is light by the film's exposure, as Cycles does: colours and Shadow stay."""
    if exposure != 1:  # which it nearly always is, and a large picture takes its time
        for name in made:
            if name in (*scene.LIGHT, *scene.SPLIT_LIGHT) or name.startswith(scene.GROUP):
                made[name][..., :3] *= exposure


def identify(made: dict[str, np.ndarray], assets: sync.VisibleAssets, wanted: Iterable[str], ranks: int) -> None:
    """Puts the passes of WHO in the place of scene.INSTANCES. Holdouts are nobody."""
    if not set(wanted) & set(WHO):
        made.pop(scene.INSTANCES, None)
        return
    pixels = made["Combined"].shape[:2]
    nobody = np.zeros((*pixels, 2), np.float32)  # the published model does not tell instances apart
    pairs = made.pop(scene.INSTANCES, nobody).reshape(*pixels, -1, 2)
    number = pairs[..., 0].astype(int)

    owners = assets.owners

    def look_up(values: Sequence[float], of: np.ndarray) -> np.ndarray:
        said = np.array([0, *values], np.float32)
        said[np.array(assets.held, int) + 1] = 0
        return said[of]

    if "Object Index" in wanted:
        made["Object Index"] = look_up([owner.index for owner in owners], number[..., :1])
    if "Material Index" in wanted:
        made["Material Index"] = look_up([owner.material_index for owner in owners], number[..., :1])
    touched = pairs[..., 0, 1] > 0
    for name in set(wanted) & RANKED.keys():
        called = [getattr(owner, RANKED[name][1]) for owner in owners]
        seen = pairs[touched]
        seen[..., 0] = look_up([float(cryptomatte.compute_id(each)) for each in called], number[touched])
        made[name] = np.zeros((*pixels, 2 * ranks), np.float32)
        made[name][touched] = composite.merge_ranks(seen, ranks).reshape(-1, 2 * ranks)


def write(layer: Any, made: dict[str, np.ndarray], view: str) -> None:
    """Puts passes (H, W, C) into Blender's: rows bottom-up, colours in the working space, empty depth far away. `made`
    is used up."""
    made = {name: _convert(name, values) for name, values in made.items()}
    light_passes.take_color(made)
    for name, values in made.items():
        if name in RANKED:
            layers = {f"{RANKED[name][0]}{number:02}": values[..., 4 * number:4 * number + 4]
                      for number in range(values.shape[-1] // 4)}
        else:
            layers = {MIST if name == composite.CLEAR else _call(name.removeprefix(cycles_jobs.OWN)): values}
        for called, part in layers.items():
            target = layer.passes.find_by_name(called, view)
            if target is not None:
                target.rect.foreach_set(_turn_over(part).ravel())


def _turn_over(values: np.ndarray) -> np.ndarray:
    """A pass (H, W, C) bottom-up, in its own memory if it can be: fresh memory takes longer than all else here."""
    if not (values.flags.c_contiguous and values.flags.writeable and values.dtype == np.float32):
        return np.ascontiguousarray(values[::-1], np.float32)
    height = len(values)
    for top in range(0, height // 2, BAND):
        rows = min(BAND, height // 2 - top)
        upper, lower = values[top:top + rows], values[height - top - rows:height - top]
        kept = upper[::-1].copy()
        upper[:] = lower[::-1]
        lower[:] = kept
    return values


def _convert(name: str, values: np.ndarray) -> np.ndarray:
    """A pass (H, W, C) of near_core with Blender's colours and depth."""
    if name == "Depth":
        values[values == 0] = EMPTY_DEPTH
    if name == composite.CLEAR:
        return 1 - np.clip(values, 0, 1)
    if name in _WORKING or name.startswith(scene.GROUP):
        colors = values[..., :3]
        converted = colorspace.from_rec709(colors)
        return values if converted is colors else np.concatenate([converted, values[..., 3:]], -1)
    return values


def describe(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, ordinary: bool
             ) -> None:
    """Writes into the finished picture which names its Cryptomattes hold. ordinary: whether others than assets are
    drawn."""
    layer = depsgraph.view_layer_eval
    wanted = RANKED.keys() & set(list_wanted(layer))
    others = [ob for ob in depsgraph.objects if ob.type != "CAMERA"] if ordinary and wanted else []
    owners = [*assets.owners, *map(sync.describe_owner, others)]
    for name in wanted:
        called, part = RANKED[name]
        names = {getattr(owner, part) for owner in owners}
        if part == "material" and ordinary:
            names |= {each.name for each in depsgraph.ids if isinstance(each, bpy.types.Material)}
        for key, value in cryptomatte.describe(f"{layer.name}.{called}", names).items():
            engine.get_result().stamp_data_add_field(key, value)

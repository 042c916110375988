"""What light is made of, as compositors take it apart: diffuse, glossy, its colours, straight or by other surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..asset import Surfels
from ..light import principled
from ..models.mini.layout import Term
from ..scene import KINDS, PARTS, Settings

_COLORS = tuple(f"{kind} Color" for kind in KINDS)


def split(radiance: np.ndarray, sent: np.ndarray, surfels: Surfels, view: np.ndarray, wanted: Sequence[str]
          ) -> dict[str, np.ndarray]:
    """The wanted PARTS of K points, (K, 3) each. radiance: (K, 3), what they send without what they emit. sent: (K,
    TERMS, 3), what it is by its terms: what a network adds has both kinds in the same proportion. view: (K, 3) unit,
    to the camera."""
    made: dict[str, np.ndarray] = {}
    if {*KINDS} & {*wanted}:
        diffuse, glossy = sent[:, Term.SKY] + sent[:, Term.BOUNCED], sent[:, Term.SPECULAR]
        share = np.abs(diffuse) / np.maximum(np.abs(diffuse) + np.abs(glossy), 1e-20)  # a lamp may take light away
        made["Diffuse"] = diffuse + share * (radiance - diffuse - glossy)
        made["Glossy"] = radiance - made["Diffuse"]
    if {*_COLORS} & {*wanted}:
        cosine = np.clip(np.einsum("kc,kc->k", surfels.shading_normal, view), 1e-3, 1)
        made.update(zip(_COLORS, principled.find_colors(surfels.base_color, surfels.roughness, surfels.metallic,
                                                        cosine)))
    return made


def grow(colored: np.ndarray, parts: dict[str, np.ndarray], surfels: Surfels, wanted: Sequence[str]) -> np.ndarray:
    """How much radiance, and each of passes.GROWING that is wanted, grows with the base colour, (K, 3 n). colored:
    (K, 3), how much of the radiance is in proportion to it."""
    metal = surfels.metallic[:, None]
    shares = [colored, *(values if name.startswith("Diffuse") else metal * values
                         for name, values in parts.items() if name in wanted)]
    return np.concatenate([share / np.maximum(surfels.base_color, 1e-3) for share in shares], 1)


def list_kinds(settings: Settings) -> list[str]:
    """Those whose light is asked for by how it comes."""
    return [kind for kind in KINDS if {f"{kind} Direct", f"{kind} Indirect"} & {*settings.passes}]


def take_whole(settings: Settings) -> Settings:
    """The same picture with whole kinds in the place of their two parts."""
    kinds = list_kinds(settings)
    kept = [name for name in settings.passes if name.removesuffix(" Direct").removesuffix(" Indirect") not in kinds]
    return replace(settings, passes=(*kept, *kinds))


def take_direct(settings: Settings) -> Settings:
    """A picture of what comes straight from what shines: nothing else sends light, as in Cycles without bounces."""
    shading = "transport" if settings.shading == "auto" else settings.shading
    return replace(settings, passes=tuple(list_kinds(settings)), background=False, diffuse_bounces=0, glossy_bounces=0,
                   shading=shading)


def join(whole: dict[str, np.ndarray], direct: dict[str, np.ndarray], settings: Settings) -> dict[str, np.ndarray]:
    """The passes of settings, of the pictures that take_whole and take_direct ask for."""
    for kind, straight in direct.items():
        np.minimum(straight, whole[kind], out=straight)
        whole[f"{kind} Direct"], whole[f"{kind} Indirect"] = straight, whole[kind] - straight
    return {name: whole[name] for name in settings.passes}


def leave_whole(combined: np.ndarray, emission: np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """The wanted PARTS where nothing tells them apart: all of the light (H, W, 4), without a World behind, but for what
    is emitted, (H, W, 3), is direct and diffuse, of white surfaces."""
    nothing, light = np.zeros_like(emission), combined[..., :3] - emission
    told = {"Diffuse": light, "Diffuse Direct": light, "Diffuse Color": np.repeat(combined[..., 3:], 3, -1)}
    return {name: told.get(name, nothing).copy() for name in wanted if name in PARTS}

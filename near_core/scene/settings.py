"""What a picture is made of and made with: instances, settings, passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..asset import NeuralAsset
from .look import PLAIN, AssetLook
from .probe import Probe

# name -> channels; what each holds: docs/conventions.md
PASSES = {"Combined": 4, "Depth": 1, "Normal": 3, "Base Color": 3, "Roughness": 1, "Metallic": 1, "Shadow": 1,
          "Confidence": 1, "Emission": 3}
LIGHT = ("Combined", "Emission")  # those of PASSES that are premultiplied; the others are not, or cannot be
# on request beside PASSES, premultiplied: what Combined is the sum of beside Emission, with its colour in it; Direct:
# straight from what shines, Indirect: by other surfaces; and what share of light from everywhere surfaces send on
KINDS = ("Diffuse", "Glossy")
SPLIT_LIGHT = (*(f"{kind}{path}" for kind in KINDS for path in ("", " Direct", " Indirect")), "Environment")
PARTS = dict.fromkeys((*SPLIT_LIGHT, *(f"{kind} Color" for kind in KINDS)), 3)
CHANNELS = PASSES | PARTS
# on request, before a light group's name: what it sends of Combined, (H, W, 3), without what is behind
GROUP = "Combined_"
INSTANCES = "Instances"  # on request beside PASSES: pairs of an instance's number, from 1, and how much it covers


@dataclass(frozen=True)
class Instance:
    """An asset standing in the world.

    matrix: (4, 4) float64, asset frame -> world, any invertible affine map. probe: what stands around it, None where
    there is only the World. unlit_by: numbers of the lamps that do not light it. look: what the artist changes of its
    material and how it is shown. shadow: whether it casts shadows in the light of lamps. name: what Lamp.unblocked_by
    calls it. group: the light group of what it emits.
    """

    asset: NeuralAsset
    matrix: np.ndarray
    probe: Probe | None = None
    unlit_by: frozenset[int] = frozenset()
    look: AssetLook = PLAIN
    shadow: bool = True
    name: str = ""
    group: str = ""


@dataclass(frozen=True)
class Settings:
    """How a picture is computed."""

    quality: str = "final"  # "draft" while something moves, "final" at rest
    # "auto" the trained model if there is one, else "transport"; "split-sum"; parts of "transport": "diffuse", "glossy"
    shading: str = "auto"
    background: bool = False  # draw the environment behind the assets (alpha 1 everywhere)
    passes: tuple[str, ...] = tuple(PASSES)  # which of PASSES to return; PARTS, GROUPs and INSTANCES where asked
    threads: int = 0  # 0 = all
    coarseness: float = 1.0  # times as wide as usual that the cells of a draft's surfels may be
    diffuse_bounces: int = 4  # how often light goes on from surface to surface; 0: they are lit by what shines alone
    glossy_bounces: int = 4  # 0: they mirror what shines alone
    filter_width: float = 1.5  # pixels, as Cycles' Filter Width: how far samples of skins count
    group: str = ""  # the World's light group


def count_channels(name: str) -> int | None:
    """Of a pass; None of those that are not ours."""
    return 3 if name.startswith(GROUP) else CHANNELS.get(name)


def list_groups(passes: Iterable[str]) -> list[str]:
    """The light groups that passes are of."""
    return [name.removeprefix(GROUP) for name in passes if name.startswith(GROUP)]

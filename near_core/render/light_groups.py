"""Light groups, as Cycles has them: what of a picture's light the lamps, the World and the things of each send. Each is
a picture of its own; what is worked out otherwise for a part of the light than for all of it is shared out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..scene import GROUP, Environment, Instance, Lamp, Settings
from ..scene.environment import uniform


@dataclass(frozen=True)
class GroupConfig:
    """unnamed: share of what probes show, from which on some of it belongs to no group: the rest is noise."""

    unnamed: float = 0.03


def take_whole(settings: Settings) -> Settings:
    """The same picture without groups, with what they add up to, and what is behind that."""
    kept = [name for name in settings.passes if not name.startswith(GROUP)]
    behind = ["Environment"] * settings.background
    return replace(settings, passes=tuple(dict.fromkeys((*kept, "Combined", *behind))))


def take_group(group: str, instances: Sequence[Instance], environment: Environment, lamps: Sequence[Lamp],
               settings: Settings) -> tuple[list[Instance], Environment, list[Lamp], Settings]:
    """A picture of what a group sends: instances, World, lamps and settings."""
    shining = [number for number, lamp in enumerate(lamps) if lamp.group == group]
    unlit = [frozenset(row for row, number in enumerate(shining) if number in each.unlit_by) for each in instances]
    made = [replace(each, unlit_by=dark, probe=each.probe and each.probe.take_group(group),
                    look=each.look if each.group == group or not _glows(each) else replace(each.look, glows=False))
            for each, dark in zip(instances, unlit)]
    return (made, environment if settings.group == group else uniform((0, 0, 0)), [lamps[number] for number in shining],
            replace(settings, passes=("Combined",), background=False, group=group))


def _glows(instance: Instance) -> bool:
    return instance.asset.surfels is not None and instance.asset.surfels.emission is not None


def are_all(groups: Sequence[str], instances: Sequence[Instance], environment: Environment, lamps: Sequence[Lamp],
            settings: Settings, config: GroupConfig = GroupConfig()) -> bool:
    """Whether all light belongs to these groups."""
    senders = {lamp.group for lamp in lamps} | {each.group for each in instances if _glows(each)}
    if environment.strength and environment.map.any():
        senders.add(settings.group)
    probes = {id(each.probe): each.probe for each in instances if each.probe is not None}.values()
    shown = sum(float(each.radiance[..., :3].sum()) for each in probes)
    named = sum(float(each.take_group(group).radiance[..., :3].sum()) for each in probes for group in groups)
    return senders <= {*groups} and abs(shown - named) <= config.unnamed * shown


def share_out(light: np.ndarray, groups: dict[str, np.ndarray]) -> None:
    """Has groups add up to all of the light, (H, W, 3) each, in place: each is changed in proportion to itself."""
    total = sum(np.abs(each) for each in groups.values())
    left = light - sum(groups.values())
    rest = np.divide(left, total, out=np.zeros_like(left), where=total > 0)
    for each in groups.values():
        each += rest * np.abs(each)
    next(iter(groups.values()))[:] += np.where(total > 0, 0, left)


def show_world(made: dict[str, np.ndarray], group: str) -> None:
    """Puts what of the World is seen into its group, in place, where both are there; as in Cycles behind a transparent
    film, too."""
    if (name := f"{GROUP}{group}") in made and "Environment" in made:
        made[name] += made["Environment"]


def leave_whole(combined: np.ndarray, group: str, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """The wanted passes of groups where nothing tells them apart: all of the light (H, W, 4) is in the World's."""
    return {name: combined[..., :3] * np.float32(name == f"{GROUP}{group}") for name in wanted
            if name.startswith(GROUP)}


def name_passes(groups: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The groups' pictures by the names of their passes."""
    return {f"{GROUP}{group}": picture for group, picture in groups.items()}

"""What an asset's object takes over from the one that it stands for, beside its place: settings, and what moves it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..cycles import motion as cycles_motion

_SETTINGS = ("pass_index", "color", "visible_camera", "visible_diffuse", "visible_glossy", "visible_transmission",
             "visible_volume_scatter", "visible_shadow", "is_holdout", "is_shadow_catcher")
_HIDING = ("hide_render", "hide_viewport")


def inherit_settings(ob: Any, other: Any) -> None:
    """What renders and scripts ask an object for: its settings and custom properties."""
    for name in _SETTINGS:
        setattr(ob, name, getattr(other, name))
    for name in other.keys():
        if name not in other.bl_rna.properties:  # before 5.0 add-ons' properties are among them
            ob[name] = other[name]


def inherit_moves(ob: Any, other: Any) -> None:
    """Constraints, keys, drivers and NLA strips; both objects share their actions. What would show the other again,
    which is hidden now, is muted there."""
    for constraint in other.constraints:
        ob.constraints.copy(constraint)
    moves = other.animation_data
    if moves is None:
        return
    moves.use_tweak_mode = False  # in which no action can be exchanged, and a strip's is the active one
    own = ob.animation_data_create()
    own.use_nla = moves.use_nla
    for track in moves.nla_tracks:
        _copy_track(own.nla_tracks.new(), track)
    _assign(own, moves.action, getattr(moves, "action_slot", None))
    for driver in moves.drivers:
        own.drivers.from_existing(src_driver=driver)
    _mute_hiding(moves)


def _copy_track(own: Any, track: Any) -> None:
    own.name, free = track.name, max((int(strip.frame_end) + 1 for strip in track.strips), default=0)
    for strip in _list_clips(track.strips):
        made = own.strips.new(strip.name, free, strip.action)  # it is a frame's, and may be longer than it will be
        if hasattr(strip, "action_slot"):
            made.action_slot = strip.action_slot
        for name in [each.identifier for each in strip.bl_rna.properties if not each.is_readonly]:
            with contextlib.suppress(AttributeError, TypeError, ValueError):  # of other kinds of strips
                if name not in ("action", "action_slot"):
                    setattr(made, name, getattr(strip, name))
    own.mute, own.is_solo = track.mute, track.is_solo


def _list_clips(strips: Any) -> Iterator[Any]:
    """The strips that play an action, those that meta strips hold, too: these lie where they play."""
    for strip in strips:
        if strip.action is not None:
            yield strip
        elif not strip.mute:
            yield from _list_clips(strip.strips)


def _assign(moves: Any, action: Any, slot: Any) -> None:
    """Gives an object an action, from 4.4 with the slot of that identifier."""
    moves.action = action
    if slot is not None:
        moves.action_slot = next((each for each in action.slots if each.identifier == slot.identifier), None)


def _mute_hiding(moves: Any) -> None:
    for each in [moves, *cycles_motion.list_strips(moves.nla_tracks)]:
        if any(curve.data_path in _HIDING for curve in cycles_motion.list_curves(each)):
            _assign(each, each.action.copy(), getattr(each, "action_slot", None))
        for curve in cycles_motion.list_curves(each):
            curve.mute |= curve.data_path in _HIDING
    for driver in moves.drivers:
        driver.mute |= driver.data_path in _HIDING

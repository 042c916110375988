"""Where several photos were taken from: what is known, and what their outlines tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import image
from ..errors import Message
from ..models.mini.runtime import NearMini
from ..progress import Progress, part, silent
from ..scene import Camera
from .alignment import Agreement, align_cameras
from .coherence import CoherenceConfig, find_elevation, measure_lack
from .config import AlignmentConfig
from .extents import fit_block
from .hull import shows_outline
from .photo import FOV, Photo
from .shot import Shot, check_count
from .sides import SideSearch, Way, list_free_sides
from .view import estimate_elevation, measure_elevation

Angles = tuple[float, float]  # degrees, azimuth and elevation as Shot has them


@dataclass(frozen=True, eq=False)
class PlacedPhoto:
    """A photo that is used. camera: of its crop."""

    shot: Shot
    photo: Photo
    camera: Camera


def list_shots(photos: Sequence[Shot | str | Path | np.ndarray]) -> list[Shot]:
    """Every photo as a Shot. Where none says which side it shows, they go around the object evenly, from its front on.
    Raises NearError for too many."""
    check_count(photos)
    shots = [photo if isinstance(photo, Shot) else Shot(photo) for photo in photos]
    if any(shot.azimuth is not None or shot.camera is not None for shot in shots):
        return shots
    return [shot if shot.camera is not None else replace(shot, azimuth=360 * number / len(shots))
            for number, shot in enumerate(shots)]


def list_angles(shots: Sequence[Shot], placed: Sequence[PlacedPhoto]) -> list[Angles | None]:
    """From where each photo turned out to be taken; None for one that was left out."""
    cameras = {id(each.shot): each.camera for each in placed}
    return [_find_angles(cameras[id(shot)]) if id(shot) in cameras else None for shot in shots]


def _find_angles(camera: Camera) -> Angles:
    x, y, _ = camera.position
    return float(np.degrees(np.arctan2(x, -y))), measure_elevation(camera)


def find_lens(shot: Shot) -> float:
    """The horizontal angle that a photo covers, degrees: as told, as its file says, or the usual one."""
    return find_known_lens(shot) or FOV


def find_known_lens(shot: Shot) -> float | None:
    """The same as told or as its file says, None where neither does."""
    return shot.fov or (None if isinstance(shot.picture, np.ndarray) else image.read_field_of_view(shot.picture))


def place_cameras(model: NearMini, shots: Sequence[Shot], photos: Sequence[Photo], notes: list[str],
                  progress: Progress = silent, config: AlignmentConfig = AlignmentConfig()) -> list[PlacedPhoto]:
    """The cameras of two or more photos: those that are known, and the others so that all outlines agree.

    notes: takes a sentence for each photo that is left out, because it is there twice or shows something else, for
    each whose side was guessed, and one, with the photo that fits least, where photos contradict each other.
    """
    kept = [number for number in range(len(photos)) if not any(
        np.array_equal(photos[number].rgb, photos[other].rgb) for other in range(number))]
    notes += [Message("{photo} is there twice: the second one is left out.", photo=shots[n].name)
              for n in range(len(photos)) if n not in kept]
    shots, photos = [shots[n] for n in kept], [photos[n] for n in kept]
    heights = [estimate_elevation(model, photo) for shot, photo in zip(shots, photos)
               if shot.camera is None and shot.elevation is None]
    usual = float(np.median(heights)) if heights else 0.0
    turns = [shot.azimuth or 0.0 for shot in shots]
    cameras = [_look_from(turn, shot, photo, usual) for turn, shot, photo in zip(turns, shots, photos)]
    free = [shot.camera is None for shot in shots]
    for number, turn in _guess_sides(shots, photos, cameras, usual, part(progress, 0.0, 0.2), config).items():
        turns[number] = turn
        notes.append(Message("{photo} seems to be taken from {turn:.0f} degrees; choose its view if that is wrong.",
                             photo=shots[number].name, turn=turn))
    usual = _find_height(shots, photos, turns, usual, part(progress, 0.2, 0.7), config)
    cameras = likely = [_look_from(turn, shot, photo, usual) for turn, shot, photo in zip(turns, shots, photos)]
    if any(free) and len(photos) > 1:
        cameras = align_cameras(photos, cameras, free, part(progress, 0.7, 0.9), config)
    progress("Cameras", 0.9)
    agreement = Agreement(photos, cameras, config)
    stranger = agreement.find_stranger()
    if stranger is not None:
        notes.append(Message("{photo} does not fit the other photos and is left out: it shows something else, or from "
                             "another side.", photo=shots[stranger].name))
    else:
        notes += _list_doubts(shots, photos, agreement, likely if all(free) else [], config)
    return [PlacedPhoto(*each) for number, each in enumerate(zip(shots, photos, cameras)) if number != stranger]


def _list_doubts(shots: Sequence[Shot], photos: Sequence[Photo], agreement: Agreement, likely: Sequence[Camera],
                 config: AlignmentConfig) -> list[Message]:
    """A sentence where photos contradict each other. likely: where they were taken as their views say, before their
    outlines moved that; none where cameras were told."""
    guessed = any(photo.is_found for photo in photos)
    if agreement.contradicts(config.found_doubt if guessed else config.doubt):
        return [_name_contradiction([shot.name for shot in shots], agreement)]
    if not guessed and _fit_nothing(photos, likely, config):
        return [Message("The photos' outlines do not fit one object with these views. Choose the view of each photo, "
                        "or leave out those that show something else.")]
    return []


def _fit_nothing(photos: Sequence[Photo], likely: Sequence[Camera], config: AlignmentConfig) -> bool:
    """Whether outlines lack much as long as cameras do not turn."""
    seen = [(photo, camera) for photo, camera in zip(photos, likely) if shows_outline(photo)]
    seen = seen[::-(-len(seen) // CoherenceConfig.most)] if len(seen) >= CoherenceConfig.fewest else []
    if not seen:
        return False
    some, cameras = zip(*seen)
    return measure_lack(some, fit_block(some, cameras, [True] * len(some), config).cameras
                        ) > CoherenceConfig.contradiction


def _name_contradiction(names: Sequence[str], agreement: Agreement) -> Message:
    if len(names) == 2:
        return Message("The outlines of {first} and {second} contradict each other: they show different things, or "
                       "their views are not the ones that were chosen.", first=names[0], second=names[1])
    return Message("The outlines of the photos contradict each other, most of all that of {photo}: it shows something "
                   "else, or its view is not the one that was chosen.",
                   photo=names[int(np.argmin(agreement.measure_without()))])


def _look_from(azimuth: float, shot: Shot, photo: Photo, usual: float) -> Camera:
    """The camera of a photo's crop: what is known, or a likely one. azimuth, usual: degrees, where it is not told from
    which azimuth and elevation."""
    if shot.camera is not None:
        return photo.cropped(shot.camera)
    return photo.guess_camera(azimuth, usual if shot.elevation is None else shot.elevation, find_lens(shot))


def _find_height(shots: Sequence[Shot], photos: Sequence[Photo], turns: Sequence[float], usual: float,
                 progress: Progress, config: AlignmentConfig, coherence: CoherenceConfig = CoherenceConfig()) -> float:
    """From how many degrees photos were taken of which nobody said it, all from the same. turns: their azimuths. usual:
    what the networks say, and what it is of so few photos that outlines do not tell."""
    level = [number for number, shot in enumerate(shots)
             if shot.camera is None and shot.elevation is None and shows_outline(photos[number])]
    if len(level) < coherence.fewest:
        return usual
    level.sort(key=lambda number: turns[number] % 360)
    around = [level[len(level) * place // coherence.most] for place in range(coherence.most)] \
        if len(level) > coherence.most else level
    some = [photos[number] for number in around]

    def place(height: float) -> list[Camera]:
        likely = [_look_from(turns[n], shots[n], photos[n], height) for n in around]
        return fit_block(some, likely, [True] * len(some), config).cameras

    return find_elevation(some, place, usual, progress, coherence)


def _guess_sides(shots: Sequence[Shot], photos: Sequence[Photo], cameras: Sequence[Camera], usual: float,
                 progress: Progress, config: AlignmentConfig) -> Way:
    """From where photos of which nobody said it are taken likely: from the sides of the object that nobody named, or
    where else all outlines agree plainly better."""
    unknown = [n for n, shot in enumerate(shots) if shot.camera is None and shot.azimuth is None]
    if not unknown:
        return {}
    angles = [_find_angles(camera) for n, camera in enumerate(cameras) if n not in unknown]
    known = [azimuth for azimuth, height in angles if abs(height) < config.steep]
    count = len(unknown) + len(known)
    rings = [list_free_sides(known, each) for each in sorted({count, max(count, config.least_sides)}, reverse=True)]
    place = lambda number, turn: _look_from(turn, shots[number], photos[number], usual)
    return SideSearch(photos, cameras, unknown, place, progress, config).find(*rings)

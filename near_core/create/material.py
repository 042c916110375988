"""What a photo's surface is made of: the latent of voxels, and surfels that take the photo's own pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..asset import CELL, RESOLUTION, Surfels, Texels
from ..asset.octants import find_neighbours
from ..directions import unit
from ..image import srgb_decode, srgb_encode
from ..models.mini.layout import LATENT, MATERIAL, PIXEL, Latent, MaterialColumn, Picture, Pixel
from ..models.mini.runtime import NearMini
from .config import ReconstructionConfig
from .grain import continue_grain
from .symmetry import LEFT_RIGHT, Movement
from .view import LayerView, PhotoView, look_up, project


def gather_pixels(view: LayerView, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What Slat sees of points (P, 3) that face along normals (P, 3): (P, PIXEL) float32; and which are seen, (P,)."""
    pixel = np.empty((len(points), PIXEL), np.float32)
    for movement, material, known in ((Movement(), Pixel.SEEN, Pixel.IS_SEEN),
                                      (LEFT_RIGHT, Pixel.MIRRORED, Pixel.IS_MIRRORED)):
        moved = movement.move(points)
        shown, uv = view.shows(moved)
        shown &= (movement.move(normals) * view.camera.directions_to(moved)).sum(1) > -0.1
        if known == Pixel.IS_MIRRORED and view.config.symmetry == "off":
            shown[:] = False
        pixel[:, known] = shown[:, None]
        pixel[:, material] = view.inside(view.material, uv) * pixel[:, known]
    pixel[:, Pixel.WHOLE] = view.material[:, view.mask].mean(1) if view.mask.any() else np.zeros(MATERIAL)
    pixel[:, Pixel.AROUND] = look_up(view.around, project(points, view.camera)[0])
    pixel[:, Pixel.POSITION], pixel[:, Pixel.NORMAL] = points, normals
    towards = np.broadcast_to(unit(view.camera.position), points.shape)
    pixel[:, Pixel.FACING] = (normals * towards).sum(1, keepdims=True)
    pixel[:, Pixel.IS_BOTH] = pixel[:, Pixel.IS_SEEN] * pixel[:, Pixel.IS_MIRRORED]
    return pixel, pixel[:, Pixel.IS_SEEN][:, 0]


def draw_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Where the flow starts, (N, LATENT) float32: half of it is one draw for all voxels, so that guesses of what is
    hidden differ as a whole, not in spots."""
    whole, own = rng.standard_normal((1, LATENT)), rng.standard_normal((count, LATENT))
    return (np.sqrt(0.5) * Latent.SPREAD * (whole + own)).astype(np.float32)


def predict_latent(model: NearMini, views: list[PhotoView], coords: np.ndarray, normals: np.ndarray, seed: int = 0,
                   steps: int = ReconstructionConfig.flow_steps) -> tuple[np.ndarray, np.ndarray]:
    """The latent of voxels (N, 3) that face along normals (N, 3): (N, LATENT) float32; and how sure it is, (N,) 0..1.

    seed: 0 takes the middle of what is likely where no photo shows the surface, others follow the flow from a noise of
    theirs to some likely one in so many steps. What a photo shows is the same for all seeds.
    """
    centres = (coords.astype(np.float32) + 0.5) / RESOLUTION - 0.5
    around = find_neighbours(coords)
    noise = draw_noise(len(coords), np.random.default_rng(seed))
    slats, sure = [], []
    for view in views:
        pixel, seen = gather_pixels(view, centres, normals)
        middle, confidence = model.run("slat", pixel=pixel, state=np.zeros_like(noise), time=np.float32([0]),
                                       neighbours=around)
        slat, hidden = middle, 1 - seen[:, None]
        state = noise * hidden
        for step in range(steps if seed else 0):
            slat = model.run("slat", pixel=pixel, state=state, time=np.float32([step / steps]),
                             neighbours=around)[0]
            state += (slat - state) * hidden / (steps - step)
        slat = middle + (slat - middle) * hidden
        slats.append(slat)
        sure.append(confidence)
    weight = np.stack(sure)[..., None] ** 2 + 1e-4
    return (np.stack(slats) * weight).sum(0) / weight.sum(0), np.max(sure, 0)


def blend_hidden_material(surfels: Surfels, view: LayerView,
                          share: float = ReconstructionConfig.photo_material_weight, turned: bool = False) -> Surfels:
    """Surfels nearer, by a share, to the photo's own material: that of the mirror image where it is seen, else what the
    photo shows before the place and as high, the broader the farther it lies behind. turned: the thing is alike from
    all around an upright axis, so that its rear is the mirror image of its front.

    What is hidden is mostly made of what is seen, which is less often wrong than what a network thinks of the place.
    """
    blend = lambda own, other: (own * (1 - share) + other * share).astype(np.float32)
    uv, depth = project(surfels.position, view.camera)
    behind = depth - view.inside(view.front[None], uv)[:, 0]
    before, far = _find_before(surfels.position, view)
    behind = np.maximum(behind, far)
    guess = view.see_through(before, behind)
    broad = np.clip(behind / (CELL * view.config.hidden_fade), 0, 1)[:, None]  # right behind the front detail is left
    guess[:, MaterialColumn.BASE_COLOR] += broad * continue_grain(surfels.position, surfels.normal, view)
    twin, at = _visibility_of(LEFT_RIGHT.move_surfels(surfels), view)
    twin *= view.config.symmetry != "off"
    guess += twin[:, None] * (view.inside(view.material, at) - guess)
    if turned:
        twin, at = _visibility_of(_swap_front(surfels, view), view)
        guess += twin[:, None] * (view.inside(view.material, at) - guess)
    color = blend(srgb_encode(surfels.base_color), guess[:, MaterialColumn.BASE_COLOR])
    return replace(surfels, base_color=srgb_decode(np.clip(color, 0, 1)),
                   roughness=blend(surfels.roughness, guess[:, MaterialColumn.ROUGHNESS]),
                   metallic=blend(surfels.metallic, guess[:, MaterialColumn.METALLIC]))


def _find_before(points: np.ndarray, view: LayerView) -> tuple[np.ndarray, np.ndarray]:
    """Where a photo shows, (P, 2), what lies level before points (P, 3), and how far before them, (P,): seen from
    above, what is before them along the view is higher than they are, as the lid is before a pot's rear; from far above
    it is before them along the view. By steps across the cube, the last one halved."""
    maps = np.stack([view.front, np.ones_like(view.front)]) * view.mask
    towards, (level, steep) = np.array(view.camera.directions_to(points)), view.config.level_sines
    towards[:, 2] *= np.clip((np.abs(towards[:, 2]) - level) / (steep - level), 0, 1)
    towards = unit(towards)

    def is_behind(far: np.ndarray) -> np.ndarray:
        uv, depth = project(points + towards * far[:, None], view.camera)
        front, whole = look_up(maps, uv).T
        return (whole > 0.5) & (depth * whole > front)

    far, going = np.zeros(len(points), np.float32), np.ones(len(points), bool)
    step = np.float32(1 / view.config.level_steps)
    for _ in range(view.config.level_steps):
        going &= is_behind(far + step)
        far += step * going
    for _ in range(view.config.level_halvings):
        step /= 2
        far += step * is_behind(far + step)
    return project(points + towards * far[:, None], view.camera)[0], far


def _swap_front(surfels: Surfels, view: LayerView) -> Surfels:
    """Surfels of what was turned in a mirror that stands in its axis and faces the camera."""
    axis = np.average(surfels.position[:, :2], 0, surfels.area)
    away = unit(view.camera.position[:2] - axis).astype(np.float32)
    flip = lambda values, middle: values - 2 * np.pad(
        ((values[:, :2] - middle) @ away)[:, None] * away, ((0, 0), (0, 1)))
    return replace(surfels, position=flip(surfels.position, axis.astype(np.float32)),
                   normal=flip(surfels.normal, 0), shading_normal=flip(surfels.shading_normal, 0))


def project_photo(surfels: Surfels, texels: Texels, view: PhotoView) -> tuple[Surfels, Texels]:
    """Surfels and their texels with the photo's own pixels where it shows them: their material free of light, and its
    fine detail."""
    weight, uv = _visibility_of(surfels, view)
    material = view.inside(view.material, uv)
    color = material[:, MaterialColumn.BASE_COLOR] + _detail_of(view, uv)
    blend = lambda old, new: old * (1 - weight) + new * weight
    made = replace(
        surfels, base_color=blend(surfels.base_color.T, srgb_decode(np.clip(color, 0, 1)).T).T,
        roughness=blend(surfels.roughness, material[:, MaterialColumn.ROUGHNESS]),
        metallic=blend(surfels.metallic, material[:, MaterialColumn.METALLIC]),
        confidence=weight)  # however sure a network is of what is hidden
    at, own = project(texels.position, view.camera)[0], texels.surfel
    shift = view.inside(view.material, at)[:, MaterialColumn.BASE_COLOR] + _detail_of(view, at) - color[own]
    # a texel may lie beyond the outline that its surfel's middle is just inside of
    share = weight[own, None] * (look_up(view.mask[None].astype(np.float32), at) > 0.1)
    return made, replace(texels, shift=texels.shift * (1 - share) + shift * share)


def find_detail(views: Sequence[PhotoView], points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """How points (K, 3) of a surface with normals (K, 3) differ in the photos at twice the crops' resolution, (K, 3)
    display colours: the mean of the photos that show them best."""
    return average_shown(views, points, normals, [view.find_fine for view in views])


def average_shown(views: Sequence[PhotoView], points: np.ndarray, normals: np.ndarray,
                  looks: Sequence[Callable[[np.ndarray], np.ndarray]]) -> np.ndarray:
    """(K, 3): the mean of what photos say of points (K, 3) of a surface with normals (K, 3), of those that show them
    best; towards 0 where none does. looks: what each says at uv (P, 2), (P, 3)."""
    made, total = np.zeros_like(points), np.zeros((len(points), 1), np.float32)
    for view, look in zip(views, looks):
        shown, uv = measure_visibility(points, normals, view)
        facing = np.clip((normals * view.camera.directions_to(points)).sum(1), 0, 1)
        seen = np.flatnonzero(shown > 0)
        weight = ((shown * facing) ** view.config.best_view_power)[seen, None]
        made[seen] += weight * shown[seen, None] * look(uv[seen])
        total[seen] += weight
    return made / np.maximum(total, 1e-12)


def blend_normals(surfels: Surfels, view: LayerView, share: float = ReconstructionConfig.normal_blend) -> Surfels:
    """Surfels whose shading normals lean, by a share, to those that the photo shows: the shape found in it is too
    round."""
    weight, uv = _visibility_of(surfels, view)
    own = surfels.normal
    seen = unit(view.inside(view.normal, uv)) @ view.camera.world_to_camera[:3, :3].astype(np.float32)
    leant = surfels.shading_normal + (seen - surfels.shading_normal) * (share * weight[:, None])
    leant += own * np.maximum(0.1 - (leant * own).sum(1, keepdims=True), 0)  # not away from the surface
    return replace(surfels, shading_normal=unit(leant))


def widen_roughness(surfels: Surfels, error: float = ReconstructionConfig.normal_error_rms) -> Surfels:
    """Surfels that are the rougher for not knowing their normals: a spread of normals looks like roughness (Toksvig
    2005, "Mipmapping normal maps"), and highlights that stand in the wrong place are worse than soft ones.

    error: root mean square of the sine by which normals are off.
    """
    # of the microfacets, whose width is roughness^2
    spread = np.minimum(surfels.roughness**4 + np.float32(error**2), 1)
    return replace(surfels, roughness=spread**0.25)


def boost_metallic(surfels: Surfels, gain: float = ReconstructionConfig.metallic_gain) -> Surfels:
    """Surfels that are so many times as metallic, 1 at most: what networks think of a metal is a mean."""
    return replace(surfels, metallic=np.minimum(surfels.metallic * np.float32(gain), 1))


def _visibility_of(surfels: Surfels, view: LayerView) -> tuple[np.ndarray, np.ndarray]:
    return measure_visibility(surfels.position, surfels.normal, view)


def measure_visibility(points: np.ndarray, normals: np.ndarray, view: LayerView) -> tuple[np.ndarray, np.ndarray]:
    """How well the photo shows points (N, 3) with normals (N, 3), (N,) float32 0..1, and where, (N, 2)."""
    behind, uv = view.measure_behind(points)
    facing = (normals * view.camera.directions_to(points)).sum(1)
    config = view.config
    shown = np.clip(2.5 - 2 * behind / config.front_slack, 0, 1)
    within = np.clip(2 * look_up(view.mask[None].astype(np.float32), uv)[:, 0] - 1, 0, 1)
    painted = np.clip((facing - config.grazing_cosine) / config.grazing_fade, 0, 1) * within
    return (painted * shown).astype(np.float32), uv


def _detail_of(view: PhotoView, uv: np.ndarray) -> np.ndarray:
    """What the networks' 128 pixels cannot hold: how the photo at uv (P, 2) differs from its own average there, (P, 3)
    in display colours."""
    alpha = look_up(view.photo.alpha[None], uv)
    sharp = look_up(view.display, uv) / np.maximum(alpha, 0.1)
    average = (view.image[Picture.COLOR] / np.maximum(view.image[Picture.ALPHA], 0.5) + 1) / 2
    return np.where(alpha > 0.9, sharp - view.inside(average, uv), 0)

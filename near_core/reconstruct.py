"""From photos to a solid, its surface and the latent of its voxels, with near-mini's photo networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import delighting, isosurface, latent, shell
from .asset import RESOLUTION
from .camera import Camera
from .errors import NearError
from .image import srgb_decode, srgb_encode
from .mesh import Mesh
from .photo import Photo
from .progress import Progress, silent
from .render import _unit
from .runtime import NearMini
from .surfels import CELL, Surfels
from .surfels import RESOLUTION as FINE
from .texels import Texels

SIZE = 128  # pixels of the crop the networks see
SHARP = 104  # what those pixels resolve: the pictures that the networks learned from were this coarse
PIXEL = 30  # what Slat sees of a voxel
LATENT = 16  # channels of what it says
SPREAD = np.repeat(np.float32([0.4, 2.2]), [5, 11])  # of its channels over all assets, about: the material's, the rest's
FLOW_STEPS = 4  # from noise to what a hidden voxel may be like
TORN = 0.06  # sides of the crop: where the depth jumps further between pixels, the surface is not one
CRUST = 2.5  # cells: how thick what the photo shows is at least
SMOOTHING = (0.6, -0.62) * 3  # shares of the way to the mean around, one step after the other
FAIRING = (1.0, -1.05) * 12  # more such steps, where the photo does not show the surface
FADE = 3  # cells from what it shows to where all of them are taken
PLAIN = 0.5  # share that the photo's own material has in what it does not show; the rest is what Slat makes of the place
BENT = 0.5  # share that the photo's normals have in those of a shape that was found in it
SLANT = 0.4  # by which the normals of such a shape are off, about: the sine's root mean square
VIVID = 1.1  # times the saturation that the networks find: the mean of what is likely is paler than any of it
LOGIT = 1.5  # of Structure, for one cell of distance, about
AROUND = 10  # pixels, twice: from how far what is hidden takes after what is seen before it
FULLER = 0.8  # added to its logits once they are smoothed, which alone would make thin parts thinner
SHRUNK = 1.25  # times, at most, so that what a photo without a camera shows is inside the cube
MIRROR = np.array([-1, 1, 1], np.float32)


def network_image(photo: Photo) -> np.ndarray:
    """(4, SIZE, SIZE) float32: display colour over grey in [-1, 1], and alpha 0..1; no sharper than SHARP pixels."""
    from PIL import Image
    alpha = photo.alpha[..., None]
    colour = srgb_encode(np.clip(photo.rgb, 0, 1)) * 2 - 1
    planes = np.concatenate([colour * alpha, alpha], -1).transpose(2, 0, 1)
    resize = lambda plane, size: plane.resize((size, size), Image.Resampling.BILINEAR)  # noqa: E731
    return np.stack([np.asarray(resize(resize(Image.fromarray(np.ascontiguousarray(plane)), SHARP), SIZE))
                     for plane in planes])


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where points of the asset's frame fall in the crop's picture.

    points: (P, 3) float32. Returns uv (P, 2), (-1, -1) the top left corner; ray (P, 4): unit direction from the camera
    in the asset's frame, and how much deeper than the frame's origin.
    """
    matrix = camera.world_to_camera.astype(np.float32)
    seen = points @ matrix[:3, :3].T + matrix[:3, 3]
    focal, centre = np.diag(camera.intrinsics)[:2].astype(np.float32), camera.intrinsics[:2, 2].astype(np.float32)
    pixel = seen[:, :2] / np.maximum(seen[:, 2:], 1e-3) * focal + centre
    uv = pixel / np.array([camera.width, camera.height], np.float32) * 2 - 1
    ray = points - camera.position.astype(np.float32)
    ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-9)
    return uv, np.concatenate([ray, seen[:, 2:] - matrix[2, 3]], 1)


def reach(camera: Camera) -> float:
    """The side of a crop in asset units, where the frame's origin lies."""
    return camera.width / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3]


def pose_of(camera: Camera) -> np.ndarray:
    """(6,) float32: what Intrinsics wants to know of a crop's camera."""
    position = camera.position / np.linalg.norm(camera.position)
    return np.array([1, *position, reach(camera), camera.width / camera.intrinsics[0, 0] / 2], np.float32)


def grid_inputs(camera: Camera, points: np.ndarray) -> dict[str, np.ndarray]:
    """What Structure wants to know of points (P, 3) and a crop's camera: uv (2, P, 2) and depth below the frame's origin
    (2, P), of the points and their mirror images in x = 0; towards (3,), unit, from the origin to the camera."""
    sides = [project(p, camera) for p in (points, points * MIRROR)]
    position = camera.position.astype(np.float32)
    return {"uv": np.stack([uv for uv, _ in sides]), "depth": np.stack([ray[:, 3] for _, ray in sides]),
            "towards": position / max(float(np.linalg.norm(position)), 1e-6)}


def look_up(maps: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """maps (C, h, w) at uv (P, 2), bilinear, 0 outside. (P, C) float32."""
    channels, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1))).reshape(channels, -1)
    x = np.clip((uv[:, 0] + 1) / 2 * width + 0.5, 0, width + 0.999)
    y = np.clip((uv[:, 1] + 1) / 2 * height + 0.5, 0, height + 0.999)
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    at = y0 * (width + 2) + x0
    found = (padded[:, at] * ((1 - fx) * (1 - fy)) + padded[:, at + 1] * (fx * (1 - fy))
             + padded[:, at + width + 2] * ((1 - fx) * fy) + padded[:, at + width + 3] * (fx * fy))
    return found.T.astype(np.float32)


def cell_centres(resolution: int) -> np.ndarray:
    """(resolution^3, 3) float32 centres of the cells of [-0.5, 0.5]^3, x slowest."""
    axis = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


class View:
    """One photo's layers in the asset's frame.

    camera: of the crop. image: (4, SIZE, SIZE) as network_image. layers: as Intrinsics returns them. mask: (SIZE, SIZE)
    bool, opaque. front, back: (SIZE, SIZE) below the frame's origin, asset units. torn: (SIZE, SIZE) bool, beside a jump
    in depth. normal: (3, SIZE, SIZE), the camera's frame. material: (5, SIZE, SIZE) display colour, roughness, metallic.
    around: the same, as it is around every pixel, also beside the object.
    """

    def __init__(self, camera: Camera, image: np.ndarray, layers: np.ndarray):
        self.camera, self.image = camera, image
        self.mask = self.image[3] > 0.5
        side = reach(camera)
        self.front = layers[0] * side
        self.back = self.front + np.maximum(layers[1], 0) * side
        self.torn = _spread(np.where(self.mask, layers[0], np.nan)) > TORN
        self.normal, self.material = layers[2:5], np.clip(layers[5:], 0, 1)
        self.around = _means(self.material, self.mask)

    def inside(self, maps: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """Maps (C, SIZE, SIZE) at uv (P, 2), of the pixels alone that show the object; (P, C), 0 far from all."""
        found = look_up(np.concatenate([maps * self.mask, self.mask[None].astype(np.float32)]), uv)
        return found[:, :-1] / np.maximum(found[:, -1:], 1e-3)

    def shows(self, points: np.ndarray, slack: float = 3 * CELL) -> tuple[np.ndarray, np.ndarray]:
        """Which points (P, 3) the photo shows, those hardly behind the front: (P,) bool; and their uv (P, 2)."""
        uv, ray = project(points, self.camera)
        at = np.clip(((uv + 1) / 2 * SIZE).astype(int), 0, SIZE - 1)
        front = _least(np.where(self.mask, self.front, np.inf))[at[:, 1], at[:, 0]]
        return (ray[:, 3] < front + slack) & (np.abs(uv) < 1).all(1) & np.isfinite(front), uv


class Look(View):
    """A photo that Intrinsics has looked at, and its mirror image.

    photo: as it was. layers: (LAYERS, SIZE, SIZE) what it says, the mean of both; the look's own material explains the
    photo better (delighting.py). trunks: its features for Structure, of the photo and of its mirror image.
    """

    def __init__(self, model: NearMini, photo: Photo, camera: Camera):
        image, pose = network_image(photo)[None], pose_of(camera)[None]
        layers, trunk, _ = model.run("intrinsics", image=image, pose=pose)
        # what it says of the photo in a mirror errs otherwise: the mean of both errs less
        other, twin, _ = model.run("intrinsics", image=image[..., ::-1], pose=pose * np.float32([1, -1, 1, 1, 1, 1]))
        self.layers = (layers[0] + mirrored(other[0])) / 2
        self.photo, self.trunks = photo, (trunk[0], twin[0])
        super().__init__(camera, image[0], delighting.explained(self.layers, image[0]))


def mirrored(layers: np.ndarray) -> np.ndarray:
    """Layers (LAYERS, SIZE, SIZE) of a photo as those of its mirror image."""
    flipped = layers[..., ::-1].copy()
    flipped[2] *= -1  # the normal's x
    return flipped


def centred(look: Look) -> Camera:
    """The camera of a crop after the object that its layers show was moved to the middle of the asset's cube, and
    shrunk, by SHRUNK at most, where it would not fit: better than the look's own, a guess by the silhouette alone."""
    camera = look.camera
    matrix, y, x = camera.world_to_camera, *np.nonzero(look.mask)
    if not len(x):
        return camera
    pixel = (np.stack([x, y], 1) + 0.5) * (camera.width / SIZE, camera.height / SIZE)
    ray = np.c_[(pixel - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2], np.ones(len(x))]
    z = np.stack([look.front, look.back])[:, y, x] + matrix[2, 3]
    points = ((ray * z[..., None]).reshape(-1, 3) - matrix[:3, 3]) @ matrix[:3, :3]
    low, high = np.percentile(points, (1, 99), 0)
    wide = np.ptp(np.percentile(points[:len(x)], (0.5, 99.5), 0), 0).max()  # what is seen, for that would be cut off
    moved = matrix.copy()
    moved[:3, 3] = (matrix[:3, :3] @ (low + high) / 2 + matrix[:3, 3]) / np.clip(wide, 1, SHRUNK)
    return replace(camera, world_to_camera=moved)


def elevation_of(model: NearMini, photo: Photo) -> float:
    """From how many degrees above the horizon a photo was taken, by its look."""
    radians = model.run("intrinsics", image=network_image(photo)[None], pose=np.zeros((1, 6), np.float32))[2]
    return float(np.clip(np.degrees(radians[0]), -60, 80))


def _shifted(values: np.ndarray) -> np.ndarray:
    """(9, H, W): the 3x3 neighbours of every pixel."""
    padded = np.pad(values, 1, mode="edge")
    height, width = values.shape
    return np.stack([padded[y:y + height, x:x + width] for y in range(3) for x in range(3)])


def _spread(values: np.ndarray) -> np.ndarray:
    around = _shifted(values)
    return np.nan_to_num(np.fmax.reduce(around) - np.fmin.reduce(around))


def _least(values: np.ndarray) -> np.ndarray:
    return _shifted(values).min(0)


def field(model: NearMini, views: list[Look], progress: Progress = silent) -> np.ndarray:
    """How deep the centres of the 128^3 cells lie inside the object, in cells, about: (128, 128, 128) float32.

    All photos vote on the solid. The first one, whose camera makes the frame, also cuts it out: nothing outside its
    silhouette or before its front, and behind that front, which is settled first, a body as round as its outline at least.
    Raises NearError where nothing is left, Cancelled when progress does.
    """
    logits = np.zeros((RESOLUTION,) * 3, np.float32)
    for number, view in enumerate(views):
        progress("Shape", 0.7 * number / len(views))
        logits += _solid(model, view) / len(views)
    progress("Shape", 0.7)
    logits = _softened(logits) + FULLER
    deep = np.clip(_doubled(logits) / LOGIT, -4, 4).ravel()
    view, points = views[0], cell_centres(FINE)
    view.front = settled(view, logits)
    progress("Shape", 0.8)
    near = np.flatnonzero(_silhouette(view, points) > -1)
    deep[np.setdiff1d(np.arange(len(deep)), near, assume_unique=True)] = -1
    points = points[near]
    progress("Shape", 0.9)
    uv, ray = project(points, view.camera)
    front, oblique, thick = view.inside(np.stack([view.front, _oblique(view), rounded(view)]), uv).T
    behind = (ray[:, 3] - front) / (CELL * np.maximum(oblique, 1))
    body = np.maximum((thick - (ray[:, 3] - front)) / CELL, CRUST - behind)
    whole = view.inside(1.0 - view.torn[None], uv)[:, 0] > 0.5
    cut = np.where(whole, np.minimum(behind, np.maximum(deep[near], body)), deep[near])
    deep[near] = np.minimum(cut, _silhouette(view, points))
    if not (deep > 0).any():
        raise NearError("No shape was found in the photo.", "Use a photo in which the whole object is seen.")
    return deep.reshape((FINE,) * 3)


def _solid(model: NearMini, view: Look) -> np.ndarray:
    """Logits (64, 64, 64) of what is inside, by a photo and its mirror image: the mean of both errs less."""
    surface = np.stack([view.front, view.back, view.image[3]])
    inputs = grid_inputs(view.camera, cell_centres(RESOLUTION))
    found = []
    for trunk, layers, flip in zip(view.trunks, (view.layers, mirrored(view.layers)), (1, -1)):
        seen = {"image": view.image[..., ::flip], "surface": surface[..., ::flip], "layers": layers, "trunk": trunk}
        # in a mirror that stands at x = 0, what was a voxel is its mirror image
        place = {"uv": inputs["uv"][::flip] * np.float32([flip, 1]), "depth": inputs["depth"][::flip],
                 "towards": inputs["towards"] * np.float32([flip, 1, 1])}
        arrays = {key: np.ascontiguousarray(value)[None] for key, value in (seen | place).items()}
        found.append(model.run("structure", **arrays)[0][0][::flip])
    return (found[0] + found[1]) / 2


def _oblique(view: View) -> np.ndarray:
    """How much longer a way behind the front is along the view than across the surface, (SIZE, SIZE), at most 4."""
    slopes = np.gradient(np.where(view.mask, view.front, np.nan), reach(view.camera) / SIZE)
    return np.minimum(np.nan_to_num(np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2), nan=1.0), 4)


def rounded(view: View) -> np.ndarray:
    """How thick a view's front is at least, (SIZE, SIZE), asset units: as of a round body whose radius is that of the
    largest disc around the pixel that the silhouette has room for, but no thicker than the layers say."""
    edge = _distances(view.mask & ~view.torn)
    radius = edge.copy()
    for size in np.geomspace(1, max(edge.max(), 1), 16):
        radius[_distances(edge < size) < size] = size  # covered by a disc of that size around a pixel that has room for it
    across = 2 * np.sqrt(np.maximum(edge * (2 * radius - edge), 0)) * reach(view.camera) / SIZE
    return np.minimum(across, np.maximum(view.back - view.front, 0)).astype(np.float32)


def settled(view: View, logits: np.ndarray) -> np.ndarray:
    """The front of a view (SIZE, SIZE) where the solid has it, by logits (64, 64, 64), with the photo's detail: the
    solid knows better how far away a part is, the photo how it is shaped. Only the smooth difference is taken over."""
    solid = np.argwhere(logits > 0)
    uv, ray = project(((solid + 0.5) / RESOLUTION - 0.5).astype(np.float32), view.camera)
    at = ((uv + 1) / 2 * SIZE).astype(int)
    inside = ((at >= 0) & (at < SIZE)).all(1)
    at, depth = at[inside], ray[inside, 3] - 0.5 / RESOLUTION
    nearest = np.full((SIZE + 2, SIZE + 2), np.inf, np.float32)
    for y, x in np.ndindex(3, 3):  # a voxel covers more than a pixel
        np.minimum.at(nearest, (at[:, 1] + y, at[:, 0] + x), depth)
    known = view.mask & np.isfinite(nearest[1:-1, 1:-1])
    away = np.where(known, nearest[1:-1, 1:-1] - view.front, 0)
    if not known.any():
        return view.front
    total, weight = away + np.median(away[known]) * 1e-3, known + np.float32(1e-3)
    for _ in range(2):
        total, weight = _blurred(total), _blurred(weight)
    return (view.front + total / weight).astype(np.float32)


def _distances(mask: np.ndarray) -> np.ndarray:
    """How far every pixel of a mask (S, S) is from the next one outside, in pixels; beyond the picture is outside."""
    padded = np.pad(mask, 1)
    steps = np.arange(len(padded), dtype=np.float32)
    apart = (steps[:, None] - steps) ** 2
    along = np.where(padded[:, None, :], np.float32(np.inf), apart[None]).min(2)  # squared, within each row
    return np.sqrt((apart[..., None] + along).min(1))[1:-1, 1:-1]


def _blurred(values: np.ndarray, radius: int = 6) -> np.ndarray:
    """The mean over squares of 2 radius + 1 pixels."""
    for axis in (0, 1):
        ends = [(radius + 1, radius) if i == axis else (0, 0) for i in (0, 1)]
        sums = np.cumsum(np.pad(values, ends, mode="edge"), axis, dtype=np.float64)
        values = (np.take(sums, range(2 * radius + 1, sums.shape[axis]), axis)
                  - np.take(sums, range(0, sums.shape[axis] - 2 * radius - 1), axis)) / (2 * radius + 1)
    return values


def _means(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Values (C, H, W) as they are around every pixel in a mask, (C, H, W); far from the mask, their mean in it."""
    weight = mask.astype(np.float32)
    mean = (values * weight).sum((1, 2), keepdims=True) / max(weight.sum(), 1)
    near = np.concatenate([values * weight + 1e-3 * mean, weight[None] + 1e-3])
    for _ in range(2):
        near = np.stack([_blurred(plane, AROUND) for plane in near])
    return (near[:-1] / near[-1:]).astype(np.float32)


def _silhouette(view: Look, points: np.ndarray) -> np.ndarray:
    """(P,) positive where the photo is more than half opaque, in cells, about, near its edge."""
    uv, _ = project(points, view.camera)
    return (look_up(view.photo.alpha[None], uv)[:, 0] - 0.5) * 2


def _softened(values: np.ndarray) -> np.ndarray:
    """A grid, smoothed by 1 2 1 along every axis: what one photo cannot know would else show as scratches."""
    for axis in range(3):
        padded = np.moveaxis(np.pad(values, [(int(a == axis),) * 2 for a in range(3)], mode="edge"), axis, 0)
        values = np.moveaxis(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], 0, axis)
    return values


def _doubled(values: np.ndarray) -> np.ndarray:
    """A grid at twice the resolution, linear between the cells' centres."""
    for axis in range(3):
        values = np.moveaxis(values, axis, 0)
        before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
        fine = np.empty((2 * len(values), *values.shape[1:]), np.float32)
        fine[0::2], fine[1::2] = 0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after
        values = np.moveaxis(fine, 0, axis)
    return values


def surface(deep: np.ndarray, view: Look) -> Mesh:
    """The mesh around what is inside a field, smoothed without shrinking (Taubin 1995); smoothed most where the photo
    does not show it, and so nothing is known of its detail."""
    vertices, quads = isosurface.extract(deep)
    around = lambda values: shell.means_around(values[quads].mean(1), quads, len(vertices))  # noqa: E731
    for share in SMOOTHING:
        vertices = vertices + share * (around(vertices) - vertices)
    points = vertices.astype(np.float32)
    facing = (shell.vertex_normals(vertices, quads) * view.camera.directions_to(points)).sum(1) > 0.1
    hidden = 1 - (view.shows(points)[0] & facing).astype(np.float32)[:, None]
    for _ in range(FADE):
        hidden = np.minimum(hidden, around(hidden))
    for share in FAIRING:
        vertices = vertices + share * hidden * (around(vertices) - vertices)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Mesh(vertices, faces, corner_normal=shell.vertex_normals(vertices, quads)[faces])


def voxel_pixels(view: View, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What Slat sees of points (P, 3) that face along normals (P, 3): (P, PIXEL) float32; and which are seen, (P,)."""
    parts = []
    for mirror in (np.ones(3, np.float32), MIRROR):
        shown, uv = view.shows(points * mirror)
        towards = view.camera.directions_to(points * mirror)
        shown &= ((normals * mirror) * towards).sum(1) > -0.1
        weight = shown[:, None].astype(np.float32)
        parts += [view.inside(view.material, uv) * weight, weight]
    whole = np.broadcast_to(view.material[:, view.mask].mean(1) if view.mask.any() else np.zeros(5, np.float32),
                            (len(points), 5))
    around = look_up(view.around, project(points, view.camera)[0])
    towards = np.broadcast_to(view.camera.position / np.linalg.norm(view.camera.position), points.shape)
    pixel = np.concatenate([*parts, whole, around, points, normals, (normals * towards).sum(1, keepdims=True),
                            parts[1] * parts[3]], 1)
    return pixel.astype(np.float32), parts[1][:, 0]


def flow_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Where the flow starts, (N, LATENT) float32: half of it is one draw for all voxels, so that guesses of what is
    hidden differ as a whole, not in spots."""
    whole, own = rng.standard_normal((1, LATENT)), rng.standard_normal((count, LATENT))
    return (np.sqrt(0.5) * SPREAD * (whole + own)).astype(np.float32)


def decide(model: NearMini, views: list[Look], coords: np.ndarray, normals: np.ndarray, seed: int = 0
           ) -> tuple[np.ndarray, np.ndarray]:
    """The latent of voxels (N, 3) that face along normals (N, 3): (N, LATENT) float32; and how sure it is, (N,) 0..1.

    seed: 0 takes the middle of what is likely where no photo shows the surface, others follow the flow from a noise of
    theirs to some likely one. What a photo shows is the same for all seeds.
    """
    centres = (coords.astype(np.float32) + 0.5) / RESOLUTION - 0.5
    around = latent.neighbours(coords)
    noise = flow_noise(len(coords), np.random.default_rng(seed))
    slats, sure = [], []
    for view in views:
        pixel, seen = voxel_pixels(view, centres, normals)
        middle, confidence = model.run("slat", pixel=pixel, state=np.zeros_like(noise), time=np.float32([0]),
                                       neighbours=around)
        slat, hidden = middle, 1 - seen[:, None]
        state = noise * hidden
        for step in range(FLOW_STEPS if seed else 0):
            slat = model.run("slat", pixel=pixel, state=state, time=np.float32([step / FLOW_STEPS]),
                             neighbours=around)[0]
            state += (slat - state) * hidden / (FLOW_STEPS - step)
        slat = middle + (slat - middle) * hidden
        slats.append(slat)
        sure.append(confidence)
    weight = np.stack(sure)[..., None] ** 2 + 1e-4
    return (np.stack(slats) * weight).sum(0) / weight.sum(0), np.max(sure, 0)


def toned(surfels: Surfels, view: Look) -> Surfels:
    """Surfels nearer to the photo's own material: that of the mirror image where it is seen, else what the photo shows
    around the place, and as a whole.

    What is hidden is mostly made of what is seen, which is less often wrong than what a network thinks of the place.
    """
    pixel, _ = voxel_pixels(view, surfels.position, surfels.normal)
    seen, twin = pixel[:, 5:6], pixel[:, 11:12] * (1 - pixel[:, 5:6])
    hidden = (pixel[:, 12:17] + pixel[:, 17:22]) / 2
    guess = seen * pixel[:, :5] + twin * pixel[:, 6:11] + (1 - seen - twin) * hidden
    blend = lambda own, other: (own * (1 - PLAIN) + other * PLAIN).astype(np.float32)  # noqa: E731
    return replace(surfels, base_color=srgb_decode(np.clip(blend(srgb_encode(surfels.base_color), guess[:, :3]), 0, 1)),
                   roughness=blend(surfels.roughness, guess[:, 3]), metallic=blend(surfels.metallic, guess[:, 4]))


def painted(surfels: Surfels, texels: Texels, view: Look) -> tuple[Surfels, Texels]:
    """Surfels and their texels with the photo's own pixels where it shows them: their material free of light, and its
    fine detail."""
    weight, uv = _shown(surfels, view)
    material = view.inside(view.material, uv)
    color = material[:, :3] + _fine(view, uv)
    blend = lambda old, new: old * (1 - weight) + new * weight  # noqa: E731
    made = replace(
        surfels, base_color=blend(surfels.base_color, srgb_decode(np.clip(color, 0, 1))),
        roughness=blend(surfels.roughness[:, None], material[:, 3:4])[:, 0],
        metallic=blend(surfels.metallic[:, None], material[:, 4:5])[:, 0],
        confidence=np.maximum(surfels.confidence, weight[:, 0]))
    at, own = project(texels.position, view.camera)[0], texels.surfel
    shift = view.inside(view.material, at)[:, :3] + _fine(view, at) - color[own]
    return made, replace(texels, shift=texels.shift * (1 - weight[own]) + shift * weight[own])


def bent(surfels: Surfels, view: Look) -> Surfels:
    """Surfels whose shading normals lean to those that the photo shows: the shape found in it is rounder."""
    weight, uv = _shown(surfels, view)
    own = surfels.normal
    seen = _unit(view.inside(view.normal, uv)) @ view.camera.world_to_camera[:3, :3].astype(np.float32)
    leant = surfels.shading_normal + (seen - surfels.shading_normal) * (BENT * weight)
    leant += own * np.maximum(0.1 - (leant * own).sum(1, keepdims=True), 0)  # not away from the surface
    return replace(surfels, shading_normal=_unit(leant))


def roughened(surfels: Surfels) -> Surfels:
    """Surfels that are the rougher for not knowing their normals: a spread of normals looks like roughness (Toksvig
    2005, "Mipmapping normal maps"), and highlights that stand in the wrong place are worse than soft ones."""
    spread = np.minimum(surfels.roughness**4 + np.float32(SLANT**2), 1)  # of the microfacets, whose width is roughness^2
    return replace(surfels, roughness=spread**0.25)


def vivid(surfels: Surfels) -> Surfels:
    """Surfels with VIVID colours of the same mean display value."""
    display = srgb_encode(surfels.base_color)
    grey = display.mean(1, keepdims=True)
    return replace(surfels, base_color=srgb_decode(np.clip(grey + VIVID * (display - grey), 0, 1)))


def _shown(surfels: Surfels, view: Look) -> tuple[np.ndarray, np.ndarray]:
    """How well the photo shows surfels, (N, 1) float32 0..1, and where, (N, 2)."""
    shown, uv = view.shows(surfels.position)
    facing = (surfels.normal * view.camera.directions_to(surfels.position)).sum(1)
    return (np.clip((facing - 0.05) / 0.2, 0, 1) * shown)[:, None].astype(np.float32), uv


def _fine(view: Look, uv: np.ndarray) -> np.ndarray:
    """What the networks' 128 pixels cannot hold: how the photo at uv (P, 2) differs from its own average there, (P, 3)
    in display colours."""
    photo = view.photo
    colour = srgb_encode(np.clip(photo.rgb, 0, 1)).transpose(2, 0, 1)
    alpha = look_up(photo.alpha[None], uv)
    sharp = look_up(colour * photo.alpha, uv) / np.maximum(alpha, 0.1)
    return np.where(alpha > 0.9, sharp - (view.inside(view.image[:3], uv) + 1) / 2, 0)

"""The verb create: a mesh, photos or both become a neural asset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from .. import mesh as meshes
from ..asset import NeuralAsset, Surfels, Texels
from ..asset.blending import SurfelBlend
from ..asset.layout import VoxelMaterial
from ..asset.octants import apply_materials, decode, encode
from ..directions import decode_octahedral
from ..errors import Message, NearError
from ..image.filters import label_pieces
from ..models.mini.layout import Picture
from ..models.mini.runtime import NearMini
from ..progress import Progress, part, silent
from ..scene import Camera, Occluders
from ..scene.camera import to_json
from . import sampling
from .config import DETAILS, PhotosConfig, ReconstructionConfig, SamplingConfig, ToneConfig
from .ends import settle_frame
from .evidence import reconstruct_surface
from .frames import AssetFrame, find_frame
from .fusion import follow_surface, fuse_photos
from .handedness import seem_reversed
from .hints import Hints
from .leaning import lean_normals
from .material import (
    blend_hidden_material,
    blend_normals,
    boost_metallic,
    find_detail,
    predict_latent,
    project_photo,
    widen_roughness,
)
from .matting import open_matting, predict_matte, require_known
from .painting import Paint, paint_skin
from .photo import Matte, Photo, prepare
from .photo_config import MattingConfig
from .poses import Angles, PlacedPhoto, find_known_lens, find_lens, list_angles, list_shots, place_cameras
from .refinement import refine_colors
from .regularity import doubt_mirror, suppose_turned
from .resection import Resection, draw_over, open_resection
from .shape import carve_solid, extract_surface, settle
from .shot import ORTHOGRAPHIC, Shot
from .skin import make_skin
from .stack import centre_stack, find_stack, suppose_stack
from .symmetry import MIRRORS, Movement
from .thickness import HINTS, SYMMETRIES, TURNED
from .tone import boost_saturation, calm_highlights, correct_brightness
from .view import PhotoView, find_camera, look_at, make_network_image

MODEL = "near-mini"
SOLID = 0.999  # opacity of what nothing is cut out of


def _ignore(*told: object) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Who is told what is found in photos, as soon as it is known.

    preview: the first photo's matte (S, S) and its crop's colours (S, S, 3) linear. pose: each photo's crop under the
    lines of the mesh where that was found in it, (S, S, 3) uint8; not drawn for nobody. views: from where each photo
    was taken, None for one that was left out. frame: where the asset's frame is in the world that cameras stand in.
    """

    preview: Callable[[np.ndarray, np.ndarray], None] = _ignore
    pose: Callable[[np.ndarray], None] | None = None
    views: Callable[[list[Angles | None]], None] = _ignore
    frame: Callable[[AssetFrame], None] = _ignore


def create_from_mesh(mesh: meshes.Mesh, *, name: str, source: str = "", normalize: bool = False,
                     detail: str = "standard", model: NearMini | None = None, progress: Progress = silent,
                     sampling_config: SamplingConfig = SamplingConfig()) -> NeuralAsset:
    """A neural asset of a mesh in the asset's frame, the cube [-0.5, 0.5]^3, Z up.

    normalize: centre the mesh and scale its longest side to 1 first; the asset's extent keeps its size in metres.
    detail: how much of the mesh and its maps the asset keeps, one of DETAILS.
    sampling_config: what was tuned; for trying other values.
    Raises NearError for a mesh without a surface and an unknown detail, Cancelled when progress does.
    """
    if detail not in DETAILS:
        raise NearError("There is no detail called {detail}.", "Choose one of {choices}.", detail=detail,
                        choices=", ".join(DETAILS))
    extent = 1.0
    meshes.check(mesh)
    if normalize:
        mesh, extent, _ = meshes.normalize(mesh)
    progress("Surface", 0.0)
    surfels = sampling.sample_surfels(mesh, part(progress, 0.0, 0.8), config=sampling_config)
    progress("Skin", 0.8)
    keep = DETAILS[detail]
    skin = None if keep is None else make_skin(mesh, keep)
    progress("Voxels", 0.82)
    coords, material = sampling.voxelize(mesh, surfels)
    progress("Latent", 0.86)
    model = model or NearMini()
    slat = encode(model, surfels, coords) if "encoder" in model.graphs else np.zeros((len(coords), 0), np.float16)
    progress("Done", 1.0)
    return NeuralAsset(coords, material, slat, surfels, name=name, source=source, extent=extent, model=MODEL,
                       model_hash=model.digest, skin=skin)


def create_from_image(photos: Sequence[Shot | str | Path | np.ndarray], *, name: str, source: str = "",
                      mesh: meshes.Mesh | None = None, normalize: bool = False,
                      anchor: Sequence[float] | None = None, thickness: str = "auto", symmetry: str = "auto",
                      refine: bool = False, seed: int = 0, matting: str = "near", model: NearMini | None = None,
                      progress: Progress = silent, listener: Listener = Listener(), notes: list[str] | None = None,
                      config: PhotosConfig = PhotosConfig()) -> NeuralAsset:
    """A neural asset of the object in photos, free of their light.

    photos: Shots, which say what is known of each, or bare picture files and (H, W, 3 or 4) uint8 arrays. The first
        decides the frame; where none has an azimuth, they are taken to be seen from evenly spaced ones,
        counterclockwise from above. Cameras of several that are not known are found by the agreement of outlines. An
        elevation that is not known is estimated by the photo's look; a lens is what the file says, else photo.FOV.
    mesh: the object's shape, in the asset's frame; cameras that are not known are searched by it (resection.py), from
        what is told on. normalize: as in create_from_mesh.
    anchor: (3,) metres, of cameras that stand in a world: where a mesh has its origin in it, or where the object is
        about. That is found where they look; this tells how far away, where one camera alone does not. None: cameras
        stand in the asset's frame.
    thickness: a hint from HINTS, of how deep the object is: as a thing as thin as a wing, as a round body of its
        outline, as full as the networks think, alike from all around an upright axis as what was turned on a lathe, or
        as such a cup, which is open on top; auto: as its parts look, or turned where one photo shows that plainly.
    symmetry: another hint, one of SYMMETRIES. on: the left is the mirror image of the right, in shape, too; off:
        nothing is taken from a mirror image; auto: on where photos do not contradict it, but what is seen stays.
    refine: several photos come back better, since their colours are refined until they do; other views suffer a little
        where the shape is wrong.
    seed: changes what no photo shows; 0: the middle of what is likely.
    matting: what finds the object in a photo that neither mask nor alpha cuts out, one of matting.MATTINGS: our own
        network, or ISNet, where the extension NeAR Matte is installed.
    notes: takes a sentence for everything the person should know, as a photo that does not fit the others.
    config: what was tuned; for trying other values.
    Raises NearError for a photo without an object, Cancelled when progress does.
    """
    model = model or NearMini()
    if not {"intrinsics", "structure", "slat"} <= set(model.graphs):
        raise NearError("This build has no trained photo networks.", "Create the asset from a mesh instead.")
    extent, centre, notes = 1.0, np.zeros(3), [] if notes is None else notes
    reconstruction = _follow_hints(config.reconstruction, thickness, symmetry)
    reconstruction = replace(reconstruction, refine=refine or reconstruction.refine)
    if mesh is not None:
        meshes.check(mesh)
    if mesh is not None and normalize:
        mesh, extent, centre = meshes.normalize(mesh)
    shots = list_shots(photos)
    pictures = _cut_out(model, shots, matting, notes, listener, part(progress, 0.0, 0.15), config.matting)
    if anchor is not None and any(shot.camera is not None for shot in shots):
        frame = find_frame(shots, pictures, anchor) if mesh is None else AssetFrame(np.add(anchor, centre), extent)
        shots = [frame.enter(shot) for shot in shots]
        listener.frame(frame)
    shots = [shot.narrow() for shot in shots]
    for shot, picture in zip(shots, pictures):
        _require_cube(picture, shot, anchor is None)
    unknown = any(shot.camera is None for shot in shots)
    placed = 0.5 if mesh is None and len(shots) > 1 and unknown else 0.2  # of the time, when all cameras are known
    if mesh is not None:
        poses = _resect_each(model, shots, pictures, mesh, notes, listener, part(progress, 0.15, placed))
    elif len(shots) > 1:
        poses = place_cameras(model, shots, pictures, notes, part(progress, 0.15, placed))
    else:
        poses = [PlacedPhoto(shots[0], pictures[0], _place_camera(model, pictures[0], shots[0], reconstruction))]
        reconstruction = reconstruction.doubt_camera() if unknown else reconstruction
    listener.views(list_angles(shots, poses))
    views: list[PhotoView] = []
    for number, pose in enumerate(poses):
        progress("Layers", placed + 0.05 * number / len(poses))
        views.append(PhotoView(look_at(model, pose.photo, pose.camera), pose.camera, reconstruction, config.delighting))
    found = all(shot.camera is None for shot in shots)
    if mesh is None and found and seem_reversed(views):
        notes.append(Message("The photos seem to go around the object the other way. If that is so, exchange the views "
                             "of its left and right."))
    made = _reconstruct(model, views, mesh, found, seed, part(progress, placed + 0.05, 1.0), reconstruction)
    taken = poses[0].photo.uncropped(views[0].camera)
    if poses[0].shot.fov == ORTHOGRAPHIC:
        taken = taken.flatten()
    return replace(made, name=name, source=source, extent=extent, camera=to_json(taken))


def _cut_out(model: NearMini, shots: list[Shot], matting: str, notes: list[str], listener: Listener,
             progress: Progress, config: MattingConfig) -> list[Photo]:
    """Each shot's photo, cut out of its background, as cameras saw it."""
    photos: list[Photo] = []
    for number, shot in enumerate(shots):
        report = part(progress, number / len(shots), (number + 1) / len(shots))
        matte = matte_of(model, matting, config, shot.hints)
        photo = prepare(shot.picture, shot.mask, matte, report, config, shot.hints is not None)
        photos.append(photo.mirror() if shot.mirrored else photo)
        _tell_doubts(photos[-1], shot, len(shots) == 1, notes, config)
        if number == 0:
            listener.preview(photos[0].alpha, photos[0].rgb)
    return photos


def _require_cube(photo: Photo, shot: Shot, around_origin: bool) -> None:
    """Raises NearError for a camera that cannot have taken a photo of the asset's cube. around_origin: whether who gave
    the camera knows where that stands."""
    if shot.camera is None:
        return
    if not photo.shows_cube(photo.cropped(shot.camera)):
        raise NearError("The camera of {photo} does not look at the object.",
                        "It stands around the origin, its longest side about 1 long." if around_origin else
                        "Choose the camera that it was taken from, or its view.", photo=shot.name)


def _tell_doubts(photo: Photo, shot: Shot, alone: bool, notes: list[str], config: MattingConfig) -> None:
    """Notes where neither the photo nor a person said what is object, and what is taken for one are things apart from
    each other, or is little of a photo alone: so it is in landscapes and panoramas, which show none."""
    if not photo.is_found or shot.hints is not None:
        return
    sizes = np.bincount(label_pieces(photo.alpha > 0.5).ravel())[1:]
    count = int((sizes > config.apart_share * sizes.max()).sum())
    if count > 1:
        notes.append(Message("{photo} shows {count} things apart from each other, and all became one asset. If one is "
                             "meant, correct the matte, or choose it by its number.", photo=shot.name, count=count))
    left, top, right, bottom = photo.box
    width, height = photo.source_size
    if alone and max((right - left) / width, (bottom - top) / height) < config.small_box:
        notes.append(Message("What was taken for the object is small in {photo}. If something else is meant, correct "
                             "the matte; an object that fills the photo becomes sharper.", photo=shot.name))


def _follow_hints(config: ReconstructionConfig, thickness: str, symmetry: str) -> ReconstructionConfig:
    """The config with an artist's hints from HINTS and SYMMETRIES; auto leaves it as it is."""
    for what, hint, known in (("thickness", thickness, HINTS), ("symmetry", symmetry, SYMMETRIES)):
        if hint not in known:
            raise NearError("There is no {what} named {hint}.", "Choose one of {choices}.", what=what, hint=hint,
                            choices=", ".join(known))
    given = {"thickness": thickness, "symmetry": symmetry}
    return replace(config, **{what: hint for what, hint in given.items() if hint != "auto"})


def _place_camera(model: NearMini, photo: Photo, shot: Shot, config: ReconstructionConfig) -> Camera:
    """The camera of the one photo's crop: what the shot knows, or what the photo looks like."""
    if shot.camera is not None:
        return photo.cropped(shot.camera)
    azimuth, lens = shot.azimuth or 0.0, find_lens(shot)
    stack = find_stack(make_network_image(photo)[Picture.ALPHA] > 0.5) if shot.elevation is None else None
    if stack is not None:
        camera = centre_stack(photo.guess_camera(azimuth, stack.elevation, lens), stack)
        if suppose_stack(PhotoView(look_at(model, photo, camera), camera, config)) is not None:
            return camera
    return find_camera(model, photo, azimuth, shot.elevation, lens, config.maximum_shrink)


def _resect_each(model: NearMini, shots: list[Shot], photos: list[Photo], mesh: meshes.Mesh, notes: list[str],
                 listener: Listener, progress: Progress) -> list[PlacedPhoto]:
    """The photos of a mesh, with the cameras that it was found under."""
    ends = np.linspace(0, 1, len(shots) + 1)
    return [PlacedPhoto(shot, photo, _resect(model, photo, shot, mesh, len(shots) == 1, notes, listener,
                                             part(progress, *own)))
            for shot, photo, *own in zip(shots, photos, ends, ends[1:])]


def _resect(model: NearMini, photo: Photo, shot: Shot, mesh: meshes.Mesh, alone: bool, notes: list[str],
            listener: Listener, progress: Progress) -> Camera:
    """The camera of a crop of a photo that shows a mesh. alone: there is no other photo, so that the mesh may be looked
    at from anywhere."""
    if shot.camera is not None:
        return photo.cropped(shot.camera)
    progress("Pose", 0.0)
    resection = open_resection(model, photo, mesh, shot.azimuth or 0.0, shot.elevation, find_known_lens(shot))
    stance = resection.search(np.inf if alone or shot.azimuth is None else 30.0, progress)
    overlap = resection.measure_overlap(resection.place(stance))
    if overlap < resection.config.least_overlap:
        notes.append(Message("{photo} does not fit the shape: their outlines overlap by {overlap:.0%} only. Give its "
                             "camera or view, or another shape.", photo=shot.name, overlap=overlap))
    if listener.pose is not None:
        listener.pose(draw_over(resection, stance))
    return resection.place(stance)


def open_shape(shot: Shot, shape: Occluders, matting: str = "near", progress: Progress = silent) -> Resection:
    """A photo and the triangles that it shows, of any size, ready to be fitted. Errors as in create_from_image."""
    model = NearMini()
    photo = prepare(shot.picture, shot.mask, matte_of(model, matting, hints=shot.hints), progress)
    mesh = meshes.normalize(meshes.Mesh(shape.vertices, shape.faces))[0]
    progress("Pose", 0.0)
    return open_resection(model, photo, mesh, shot.azimuth or 0.0, shot.elevation, find_known_lens(shot))


def _reconstruct(model: NearMini, views: list[PhotoView], mesh: meshes.Mesh | None, found: bool, seed: int,
                 progress: Progress, config: ReconstructionConfig) -> NeuralAsset:
    """The asset that photos show, without a name. mesh: its shape, where that is known. found: no camera was told."""
    shape, error, mirrors = mesh, None, MIRRORS  # a mesh knows its normals
    progress("Shape", 0.0)
    if mesh is None:
        error = config.normal_error_rms
        if len(views) > 1:
            shape, mirrors = reconstruct_surface(model, views, part(progress, 0.0, 0.4), config)
            shape = settle_frame(shape, views, mirrors) if found else shape
            shape = shape if config.thickness in TURNED else lean_normals(shape, views)
        else:
            deep, config = _find_solid(model, views[0], part(progress, 0.0, 0.4), config)
            shape = extract_surface(deep, views[0], config)
            shape = settle(shape, views[0]) if config.cube_room else shape
    made = _apply_materials(model, views, shape, error, seed, part(progress, 0.4, 0.8), config, mirrors)
    leans = mesh is None and len(views) == 1  # a shape of several photos knows its normals better than each
    if leans:
        made = replace(made, surfels=blend_normals(made.surfels, views[0], config.normal_blend))
    if made.surfels.opacity.min() > SOLID:  # else texels know what the mesh's alpha cuts out
        fine = [view for view in views if view.photo.fine is not None]
        paint = Paint(SurfelBlend(made.surfels, made.texels), partial(find_detail, fine) if fine else None)
        made = replace(made, texels=None, skin=paint_skin(shape, paint, leans, part(progress, 0.8, 1.0)))
    progress("Done", 1.0)
    return made


def _find_solid(model: NearMini, view: PhotoView, progress: Progress, config: ReconstructionConfig
                ) -> tuple[np.ndarray, ReconstructionConfig]:
    """The field of what one photo shows, as carve_solid, and the config with what that was taken for."""
    guesses = config.thickness == "auto"
    found = suppose_stack(view) if guesses and config.stacks else None
    if found is None:
        deep = carve_solid(model, view, progress, config)
        if config.cube_room:
            doubt_mirror(view)
        found = suppose_turned(view, deep, config) if guesses else None
        if found is None:
            return deep, config
    return found, replace(config, thickness="turned")


def _apply_materials(model: NearMini, views: list[PhotoView], shape: meshes.Mesh, normal_error: float | None, seed: int,
                     progress: Progress, config: ReconstructionConfig, mirrors: Sequence[Movement]) -> NeuralAsset:
    """The asset of a shape with the materials that photos show. normal_error: of the shape's normals, as
    widen_roughness wants it; None where they are exact. mirrors: as fuse_photos takes them."""
    progress("Surface", 0.0)
    surfels, texels = sampling.sample_surface(shape, part(progress, 0.0, 0.4))
    # a mesh's own texture does not count, nor what it emits: the photo decides
    surfels, texels = replace(surfels, emission=None), texels.drop_colors()
    coords, material = sampling.voxelize(shape, surfels)
    progress("Material", 0.4)
    if len(views) > 1 or normal_error is not None and config.thickness in TURNED:  # which knows its front, too
        follow_surface(views, surfels.position)
    normals = decode_octahedral(material[:, VoxelMaterial.NORMAL].astype(np.float32))
    slat, confidence = predict_latent(model, views, coords, normals, seed, config.flow_steps)
    progress("Material", 0.55)
    surfels = apply_materials(surfels, coords, decode(model, slat, coords), confidence)
    surfels, texels = _take_colors(surfels, texels, views, mirrors, part(progress, 0.55, 0.75), config)
    if normal_error is not None:
        surfels = widen_roughness(surfels, normal_error)
    progress("Latent", 0.75)
    material = sampling.average_materials(surfels, coords)
    slat = encode(model, surfels, coords)
    return NeuralAsset(coords, material, slat, surfels, texels, model=MODEL, model_hash=model.digest)


def _take_colors(surfels: Surfels, texels: Texels, views: list[PhotoView], mirrors: Sequence[Movement],
                 progress: Progress, config: ReconstructionConfig) -> tuple[Surfels, Texels]:
    """Surfels and their texels in the photos' colours, free of their light. mirrors: as fuse_photos takes them."""
    if len(views) == 1:
        surfels = blend_hidden_material(surfels, views[0], config.photo_material_weight, config.thickness in TURNED)
        surfels, texels = project_photo(surfels, texels, views[0])
        surfels, texels = correct_brightness(surfels, texels)
        return boost_saturation(surfels, config.saturation), texels
    progress("Colours", 0.0)
    surfels, texels, said = fuse_photos(surfels, texels, views, mirrors, config)
    surfels, texels = correct_brightness(*calm_highlights(surfels, texels), ToneConfig.several_brightness)
    surfels = boost_metallic(boost_saturation(surfels, config.saturation), config.metallic_gain)
    if config.refine:
        surfels, texels = refine_colors(surfels, texels, views, said, part(progress, 0.4, 1.0))
    return surfels, texels


def matte_of(model: NearMini, matting: str = "near", config: MattingConfig = MattingConfig(),
             hints: Hints | None = None) -> Matte | None:
    """What finds the object in a photo, by its name in matting.MATTINGS. Raises NearError for another name. Scripts
    beside the project that score mattes ask for it by this name."""
    require_known(matting)
    if matting == "near" and "matte" not in model.graphs:
        if hints is not None:
            raise NearError("Hints on the photo need NeAR's own matting.", "Choose it, or give a mask.")
        return None
    # no network is opened before a photo needs it
    return lambda picture: predict_matte(open_matting(model, matting, config), picture, config, hints)

"""Create Neural Asset: from photos, or from an object of the scene."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from .._core import errors
from .._core import image as images
from .._core import shot as shots
from ..asset import payload, photo_options
from ..client import client
from ..paths import RELATIVE
from ..references import Reference
from ..scene import geometry, surface_jobs
from ..translations import say
from . import jobs, landing, pictures, place, provenance, watching
from .drawing import PhotoDrawing, begin
from .photo_editor import run_in_editor
from .pictures import check_picture
from .place import is_object_mode, report_errors
from .transfer import list_chosen_paths


class NEAR_OT_create_asset_from_mesh(watching.Called, landing.PlacementOption, bpy.types.Operator):
    bl_idname = "near.create_asset_from_mesh"
    bl_label = "Create Neural Asset from Mesh"
    bl_description = ("Turn each selected object, with its modifiers and materials, into a neural asset. An instance "
                      "of a collection becomes one asset of all that is in it")
    bl_options = {"REGISTER"}

    object_name: StringProperty(
        name="Object", description="Object to use instead of the selected ones", options={"SKIP_SAVE"})
    detail: EnumProperty(
        name="Detail", default="STANDARD",
        items=[
            ("DRAFT", "Draft (1 to 3 MB, 2 s)",
             "Without the mesh's triangles: small and quick, soft when seen from near"),
            ("STANDARD", "Standard (2 to 5 MB, 3 s)", "Keeps 40,000 triangles and 1 MB of maps: sharp as a whole"),
            ("CLOSEUP", "Close-up (up to 8 MB, 5 s)",
             "Keeps 120,000 triangles and 3 MB of maps, for scans and large textures seen from near")],
        description="How much of the mesh and its textures the asset keeps, how large its file becomes and about how "
                    "long that takes")
    bake: BoolProperty(
        name="Bake Materials", default=True,
        description="Bake what nodes compute, as procedural textures, into maps; without, their own values are used")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            waits, scene = not self._is_interactive, Reference.to_scene(context.scene)
            detail, beside = self.detail.lower(), self.placement == "BESIDE"
            side = surface_jobs.SIDES[detail] if self.bake else 0
            return jobs.run_all(self, context, [jobs.Start(ob.name, partial(
                _start, Reference.to_object(ob), ob.name, scene, detail, beside, side, waits))
                for ob in find_meshes(context, self.object_name)], wait=waits)
        return {"CANCELLED"}


def _start(told: Reference, name: str, seen_in: Reference, detail: str, beside: bool, side: int, waits: bool
           ) -> jobs.Creation:
    """Begins to make an asset of an object's mesh. name: of the object. seen_in: the scene that renders it. side,
    waits: as of surface_jobs.start. Raises NearError."""
    ob, scene = told.find(), seen_in.find()
    if ob is None or scene is None:
        raise errors.NearError("There is no object named {name} in this scene.", "Select a mesh object.", name=name)

    def make(surface: geometry.ObjectSurface) -> Any:
        return client.create_from_mesh(surface.mesh, name=name, source=name, normalize=True, detail=detail)

    job: Any = surface_jobs.start(ob, scene, make, tells=True, waits=waits, side=side)
    return jobs.Creation(job, name, source=partial(place.MeshSource.of, told, job, beside))


class NEAR_OT_create_asset_from_image(watching.Called, photo_options.PhotoOptions, landing.SizeOption,
                                      landing.PlacementOption, bpy.types.Operator):
    bl_idname = "near.create_asset_from_image"
    bl_label = "Create Neural Asset from Image"
    bl_description = "Turn a photo of an object, or several photos of the same one, into a neural asset"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE", *RELATIVE})
    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", *RELATIVE, "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    image_name: StringProperty(
        name="Image", options={"SKIP_SAVE", "HIDDEN"}, description="Image of this file to use instead of one on disk")
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    picks: BoolProperty(
        name="Pick Object First", options={"SKIP_SAVE"},
        description="Draw on the photo what of it is the object, before the asset is made")
    mesh_object: StringProperty(
        name="Shape", options={"SKIP_SAVE"},
        description="Object whose shape the asset takes; without it, the shape is guessed from the photo")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._is_interactive = True
        if self.filepath or self.files or self.image_name:
            self._point = landing.find_point(context, None if self.image_name else event)  # files were dropped there
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "mask")
        matte = layout.column()
        matte.enabled = not self.mask
        matte.prop(self, "matting")
        matte.prop(self, "picks")
        layout.prop_search(self, "mesh_object", bpy.data, "objects", icon="MESH_DATA")
        layout.prop(self, "placement" if self.mesh_object else "size")
        options = photo_options.fold_options(layout)
        if options is None:
            return
        camera = options.column(align=True)
        camera.enabled = not client.get_worker().backend.model  # the published model does not ask for it
        photo_options.draw_options(camera, self, photo_options.CAMERA)
        shape = options.column()
        shape.enabled = camera.enabled and not self.mesh_object
        photo_options.draw_options(shape, self, photo_options.SHAPE)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            chosen = [Path(self.image_name)] if self.image_name else list_chosen_paths(self)
            waits = not self._is_interactive
            if self.picks:
                self._say_unpicked(len(chosen))
            if len(chosen) > 1 and not waits:
                return self._ask_views(chosen)
            paths = [pictures.find_file(self.image_name)] if self.image_name else [
                pictures.open_picture(path) for path in chosen]
            if self.picks and len(paths) == 1 and not waits and not self.mask:
                return self._pick_object(context, paths[0], chosen[0])
            if self.mesh_object and len(paths) == 1 and not waits and not client.get_worker().backend.model:
                return self._show_pose(context, paths[0], chosen[0].name)
            finds = {angle: self._finds(angle) for angle in photo_options.FOUND}
            first = photo_options.take_shot(self, paths[0], pictures.find_mask(self), finds)
            name = chosen[0].stem
            # further photos are seen from evenly spaced sides
            photos = [first] if len(paths) == 1 else [
                replace(first, picture=str(path), mask=None if number else first.mask, hints=None,
                        azimuth=first.azimuth + 360 * number / len(paths)) for number, path in enumerate(paths)]
            job = create_from_photos(context, self.mesh_object, waits, photos, name=name, source=chosen[0].name,
                                     **photo_options.list_arguments(self))
            origin = None if len(paths) > 1 or self.mesh_object else provenance.Origin.of(
                *self._find_source(chosen[0]), self, finds)
            where = None if self.mesh_object else landing.Landing(
                getattr(self, "_point", None) or landing.find_point(context), self.size)
            source = name_source(context, self, job)
            return jobs.run(self, context, jobs.Creation(job, name, origin, source=source, landing=where), waits)
        return {"CANCELLED"}

    def _say_unpicked(self, count: int) -> None:
        """Tells an artist who wants to pick the object first why there is nothing to pick now. count: of photos."""
        if count > 1:
            self.report({"INFO"}, say("Pick the object of each photo in the list, with its brush."))
        elif self.mask:
            self.report({"INFO"}, say("Nothing is picked: the mask says what the object is."))

    def _find_source(self, path: Path) -> tuple[str, Any]:
        """What the asset remembers as its photo: a file and None, or "" and an image."""
        image = bpy.data.images[self.image_name] if self.image_name else None
        if image is None:
            return str(path), None
        own, name = pictures.name_source(image)
        return own, image if name else None

    def _pick_object(self, context: bpy.types.Context, path: Path, chosen: Path) -> set[str]:
        """Has the artist draw on the photo what of it is the object, before the asset is made. path: its file."""
        source = {"image_name": self.image_name} if self.image_name else {"filepath": str(chosen)}
        told = self._tell() | source | {name: getattr(self, name) for name in ("mesh_object", "size", "placement")}

        def make(context: bpy.types.Context, operator: bpy.types.Operator, hints: str) -> set[str]:
            ops: Any = bpy.ops
            busy = jobs.get_current()
            if busy is not None:
                raise errors.NearError("{name} is being created.", "Wait for it, or press Esc to stop it.",
                                       name=busy.name)
            state: set[str] = ops.near.create_asset_from_image("INVOKE_DEFAULT", **told | {"hints": hints})
            return state
        begin(context, PhotoDrawing(str(path), self.hints, photo_options.name_matting(self), errors.Message(
            "make the asset"), make))
        return {"FINISHED"}

    def _tell(self) -> dict[str, Any]:
        """What is said of the photo, for another operator."""
        told = {name: getattr(self, name) for name in photo_options.NAMES}
        return told | {switch: self._finds(angle) for angle, switch in photo_options.FOUND.items()}

    def _show_pose(self, context: bpy.types.Context, path: Path, name: str) -> set[str]:
        """Has the artist see and correct where the photo of that name shows the mesh, before it is painted."""
        find_mesh(context, self.mesh_object)
        ops: Any = bpy.ops
        run_in_editor(context, ops.near.fit_pose, filepath=str(path), photo=name, mesh_object=self.mesh_object,
                      placement=self.placement, **self._tell())
        return {"FINISHED"}

    def _ask_views(self, paths: list[Path]) -> set[str]:
        """Has the artist see what the photos are taken to show, and correct it."""
        shots.check_count(paths)
        for path in paths:
            check_picture(path)
            if path.name.encode(errors="replace").decode() != path.name:  # operators take no others
                raise errors.NearError("Blender cannot read the name of {file}.",
                                       "Rename the file, then choose the photos again.", file=path.name)
        told = {name: getattr(self, name) for name in (*photo_options.SHAPE, "matting", "mask", "mesh_object", "size",
                                                       "placement")}
        if (point := getattr(self, "_point", None)) is not None:
            told["point"] = point
        ops: Any = bpy.ops
        state: set[str] = ops.near.create_asset_from_photos(
            "INVOKE_DEFAULT", directory=str(paths[0].parent), files=[{"name": path.name} for path in paths], **told)
        return {"FINISHED"} if "RUNNING_MODAL" in state else state

    def _finds(self, angle: str) -> bool:
        """A script that names an angle means it."""
        given, switch = self.properties.is_property_set, photo_options.FOUND[angle]
        return getattr(self, switch) and (given(switch) or not given(angle))


class NEAR_FH_image(bpy.types.FileHandler):
    bl_idname = "NEAR_FH_image"
    bl_label = "Neural Asset from Image"
    bl_import_operator = "near.create_asset_from_image"
    bl_file_extensions = ";".join([*images.READABLE, *pictures.OTHERS])

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def find_meshes(context: bpy.types.Context, name: str) -> list[bpy.types.Object]:
    """The object of that name in the scene, or all selected ones that have a surface and are no assets; where there are
    none, the active one. Raises NearError."""
    layer: Any = context.view_layer
    chosen = [] if name else [ob for ob in layer.objects.selected
                              if geometry.has_surface(ob) and payload.find_payload(ob) is None]
    return chosen or [find_mesh(context, name)]


def find_mesh(context: bpy.types.Context, name: str) -> bpy.types.Object:
    """The object of that name in the scene, or the active one. Raises NearError."""
    ob = context.scene.objects.get(name) if name else context.object
    if ob is None:
        raise errors.NearError("There is no object named {name} in this scene." if name else "No object is active.",
                               "Select a mesh object.", name=name)
    if payload.read_bytes(payload.find_payload(ob)) is not None:
        raise errors.NearError("{name} already is a neural asset.", "Select the mesh that it was made from.",
                               name=ob.name)
    return ob


def create_from_photos(context: bpy.types.Context, shape: str, waits: bool, photos: Any, anchor: Any = None,
                       **options: Any) -> Any:
    """The job that makes an asset of photos. shape: the name of an object that has its shape, "" for none. waits: as of
    surface_jobs.start. anchor: where the object is about, world, where cameras stand in the world. photos, options: as
    client.create_from_image takes them. Raises NearError."""
    def make(mesh: Any, place: Any) -> Any:
        return client.create_from_image(photos, mesh=mesh, anchor=place, normalize=True, **options)

    if not shape:
        return make(None, anchor)
    return surface_jobs.start(  # a surface is told around its object's origin
        find_mesh(context, shape), context.scene, lambda surface: make(
            surface.mesh, None if anchor is None else surface.matrix[:3, 3].tolist()), waits=waits)


def name_source(context: bpy.types.Context, options: Any, job: Any) -> Any:
    """The object that an asset of photos has its shape of, as jobs.Creation takes its source; None where photos tell
    the shape, or it is gone. options: mesh_object and placement. job: as create_from_photos gives it."""
    ob: Any = context.scene.objects.get(options.mesh_object)
    if ob is None:
        return None
    return partial(place.MeshSource.of, Reference.to_object(ob), job, options.placement == "BESIDE")


CLASSES = (NEAR_OT_create_asset_from_mesh, NEAR_OT_create_asset_from_image, NEAR_FH_image)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]

"""Create Neural Asset: from photos, or from an object of the scene."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from .. import client, geometry, payload
from .._core import errors
from .._core import image as images
from . import jobs
from .place import is_object_mode, report_errors
from .transfer import list_chosen_paths

FOUND = {"fov": "reads_fov", "elevation": "estimates_elevation"}  # angle of a photo -> whether it is found, not given


class NEAR_OT_create_asset_from_mesh(bpy.types.Operator):
    bl_idname = "near.create_asset_from_mesh"
    bl_label = "Create Neural Asset from Mesh"
    bl_description = "Turn the active object, with its modifiers and materials, into a neural asset"
    bl_options = {"REGISTER"}

    object_name: StringProperty(
        name="Object", description="Object to use instead of the active one", options={"SKIP_SAVE"})
    detail: EnumProperty(
        name="Detail", default="STANDARD",
        items=[
            ("DRAFT", "Draft (1 to 3 MB, 2 s)", "Surfels alone: small and quick, soft when seen from near"),
            ("STANDARD", "Standard (2 to 5 MB, 3 s)", "Keeps 40,000 triangles and 1 MB of maps: sharp as a whole"),
            ("CLOSEUP", "Close-up (up to 8 MB, 5 s)",
             "Keeps 120,000 triangles and 3 MB of maps, for scans and large textures seen from near")],
        description="How much of the mesh and its textures the asset keeps, how large its file becomes and about how "
                    "long that takes")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._is_interactive = True
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            ob = _source(context, self.object_name)
            mesh, notes = geometry.read_mesh(ob, context.evaluated_depsgraph_get())
            for note in notes:
                self.report({"INFO"}, note)
            job = client.create_from_mesh(mesh, name=ob.name, source=ob.name, normalize=True,
                                          detail=self.detail.lower())
            return jobs.run(self, context, job, ob.name, wait=not getattr(self, "_is_interactive", False))
        return {"CANCELLED"}


class NEAR_OT_create_asset_from_image(bpy.types.Operator):
    bl_idname = "near.create_asset_from_image"
    bl_label = "Create Neural Asset from Image"
    bl_description = "Turn a photo of an object, or several photos of the same one, into a neural asset"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    mask: StringProperty(
        name="Mask", subtype="FILE_PATH", options={"SKIP_SAVE"},
        description="Picture that is white on the object; without it, the photo's alpha or its background decides")
    matting: EnumProperty(
        name="Matting", default="NEAR",
        items=[
            ("NEAR", "NeAR", "The network that comes with NeAR"),
            ("REMBG", "rembg", "The Python package rembg, where it is installed with a model; NeAR downloads nothing")],
        description="What finds the object in a photo without alpha or mask")
    mesh_object: StringProperty(
        name="Shape", options={"SKIP_SAVE"},
        description="Object whose shape the asset takes; without it, the shape is guessed from the photo")
    fov: FloatProperty(
        name="Field of View", subtype="ANGLE", default=math.radians(40), min=math.radians(1), max=math.radians(150),
        description="Horizontal angle that the photo covers")
    reads_fov: BoolProperty(
        name="Field of View from File", default=True,
        description="Take the angle from what the camera noted in the photo's file; where it noted nothing, 40 degrees")
    elevation: FloatProperty(
        name="Elevation", subtype="ANGLE", default=math.radians(15), min=math.radians(-90), max=math.radians(90),
        description="How far the photo looks down on the object")
    estimates_elevation: BoolProperty(
        name="Estimate Elevation", default=True,
        description="Tell from the photo how far it looks down on the object; right within about 10 degrees")
    azimuth: FloatProperty(
        name="Azimuth", subtype="ANGLE", default=0, min=-math.pi, max=math.pi,
        description="Which side the photo shows: 0 is the front, 90 the object's left")
    thickness: EnumProperty(
        name="Thickness", default="AUTO",
        items=[
            ("AUTO", "Automatic", "Part by part: as deep as it is sure to be, else as its outline is wide"),
            ("THIN", "Thin", "Wings, sheets, reliefs: much thinner than wide"),
            ("ROUND", "Round", "As deep as its outline is wide, part by part"),
            ("FULL", "Full", "As deep as the networks think")],
        description="How deep the object is behind what a single photo shows")
    seed: IntProperty(name="Seed", default=0, min=0, description="Another seed guesses the unseen side differently")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._is_interactive = True
        if self.filepath or self.files:  # dropped
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "mask")
        row = layout.row()
        row.enabled = not self.mask
        row.prop(self, "matting")
        layout.prop_search(self, "mesh_object", bpy.data, "objects", icon="MESH_DATA")
        camera = layout.column(align=True)
        camera.enabled = not client.get_worker().backend.model  # the published model does not ask for it
        for name in ("reads_fov", "fov", "estimates_elevation", "elevation", "azimuth"):
            row = camera.row()
            row.enabled = name not in FOUND or not getattr(self, FOUND[name])
            row.prop(self, name)
        row = layout.row()
        row.enabled = camera.enabled and not self.mesh_object
        row.prop(self, "thickness")
        layout.prop(self, "seed")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            paths = list_chosen_paths(self)
            for path in paths:
                check_picture(path)
            if self.mask:
                check_picture(Path(bpy.path.abspath(self.mask)))
            mesh = None
            if self.mesh_object:
                mesh, _ = geometry.read_mesh(_source(context, self.mesh_object), context.evaluated_depsgraph_get())
            name = paths[0].stem
            job = client.create_from_image(
                [str(path) for path in paths], name=name, source=paths[0].name, seed=self.seed, mesh=mesh,
                thickness=self.thickness.lower(),
                normalize=True, mask=bpy.path.abspath(self.mask) or None, matting=self.matting.lower(),
                azimuth=math.degrees(self.azimuth),
                **{name: None if self._finds(name) else math.degrees(getattr(self, name)) for name in FOUND})
            return jobs.run(self, context, job, name, wait=not getattr(self, "_is_interactive", False))
        return {"CANCELLED"}

    def _finds(self, angle: str) -> bool:
        """A script that names an angle means it."""
        given, switch = self.properties.is_property_set, FOUND[angle]
        return getattr(self, switch) and (given(switch) or not given(angle))


class NEAR_FH_image(bpy.types.FileHandler):
    bl_idname = "NEAR_FH_image"
    bl_label = "Neural Asset from Image"
    bl_import_operator = "near.create_asset_from_image"
    bl_file_extensions = ";".join(images.READABLE)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def _source(context: bpy.types.Context, name: str) -> bpy.types.Object:
    """The object of that name in the scene, or the active one. Raises NearError."""
    ob = context.scene.objects.get(name) if name else context.object
    if ob is None:
        what = f"There is no object named {name} in this scene." if name else "No object is active."
        raise errors.NearError(what, "Select a mesh object.")
    if payload.read_bytes(payload.find_payload(ob)) is not None:
        raise errors.NearError(f"{ob.name} already is a neural asset.", "Select the mesh that it was made from.")
    return ob


def check_picture(path: Path) -> None:
    """Raises NearError for a file that is missing or of a kind that is not read."""
    if not path.is_file():
        raise errors.NearError(f"There is no picture {path.name or path}.", "Choose a photo of an object.")
    if path.suffix.lower() in images.CONVERTED:
        raise errors.NearError(f"{path.name} is not read by NeAR.", "Export it as JPEG or PNG first.")
    if path.suffix.lower() not in images.READABLE:
        raise errors.NearError(f"{path.name} is not a picture NeAR can read.", "Choose a .png, .jpg or .exr file.")


CLASSES = (NEAR_OT_create_asset_from_mesh, NEAR_OT_create_asset_from_image, NEAR_FH_image)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]

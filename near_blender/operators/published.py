"""Setting up published models: the Python they need, checkpoints from the network or from a folder.

Nothing is fetched without consent, nor while Blender may not go online.
"""

from __future__ import annotations

import textwrap
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .. import preferences
from .._core import checkpoints, errors, interpreter
from ..client import client, worker_process
from ..paths import RELATIVE
from ..translations import say, translate
from . import tasks
from .place import report_errors


def _require_consent(given: bool) -> None:
    """Raises NearError where something may not be fetched."""
    if not bpy.app.online_access:
        raise errors.NearError("Blender is not allowed to go online.",
                               "Turn on Preferences > System > Network > Allow Online Access, or use what is on disk.")
    if not given:
        raise errors.NearError("Nothing was fetched, because it takes your consent.",
                               "Confirm the dialog, or call the operator with consent=True.")


class _Operator(bpy.types.Operator):
    """Shared by the operators below; never registered itself."""

    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return tasks.is_idle(cls)


class _Fetching(_Operator):
    """Asks first, in a dialog that says what is fetched; never registered itself."""

    consent: BoolProperty(
        name="Consent", description="You agree to the download and the licence", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not bpy.app.online_access:
            return self.execute(context)  # which says why not
        self.consent = True  # what the dialog's button gives; closing it runs nothing
        window_manager: Any = context.window_manager
        return window_manager.invoke_props_dialog(self, width=460, confirm_text=self.bl_label)

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for line in self.lines():
            column.label(text=line)

    def execute(self, context: bpy.types.Context) -> set[str]:
        raise NotImplementedError

    def lines(self) -> list[str]:
        """What the dialog says."""
        raise NotImplementedError


_BUILDS = [(key.upper(), each.title, f"About {each.gigabytes[0]:g} GB to download")
           for key, each in interpreter.list_builds().items()]
_BUILDS = _BUILDS or [("NONE", "None", "There is no torch for this system")]


class NEAR_OT_set_up_python(_Fetching):
    bl_idname = "near.set_up_python"
    bl_label = "Set Up Python"
    bl_description = "Fetch torch into a folder of the add-on, or go on with that"

    build: EnumProperty(name="Build", description="What torch computes on", items=_BUILDS, options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        with report_errors(self):
            self.build = interpreter.choose_build().key.upper()
            return _Fetching.invoke(self, context, event)
        return {"CANCELLED"}

    def lines(self) -> list[str]:
        build = interpreter.list_builds()[self.build.lower()]
        download, disk = build.gigabytes
        packages = say("Build: {build}, with {packages}", build=errors.Message(build.title),
                       packages=", ".join(build.packages))
        return [say("A Python environment is made inside the add-on's own folder."), *textwrap.wrap(packages, 64),
                say("These and what they need come from the Python Package Index and pytorch.org.") if build.index else
                say("These and what they need come from the Python Package Index."),
                say("Roughly {download:g} GB to download, {disk:g} GB on the disk. Licences: BSD, MIT, Apache, HPND.",
                    download=download, disk=disk),
                say("It can be stopped, taken up again and removed.")]

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "build")
        super().draw(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            _require_consent(self.consent)
            best = interpreter.choose_build().key
            build = self.build.lower() if self.properties.is_property_set("build") else best
            return tasks.start(self, errors.Message("Set Up"), "set_up_python", _python_is_there, build=build,
                               folder=str(preferences.get_python_folder()))
        return {"CANCELLED"}


def _python_is_there(answer: dict[str, Any]) -> str:
    preferences.apply_preferences()
    return say("Python {version} with torch {torch}, computes on {device}", version=answer["python"],
               torch=answer["torch"] or errors.Message("missing"), device=answer["device"])


class NEAR_OT_check_python(_Operator):
    bl_idname = "near.check_python"
    bl_label = "Check Python"
    bl_description = "Try whether the Python for published models has what they need"

    def execute(self, context: bpy.types.Context) -> set[str]:
        def done(answer: dict[str, Any]) -> str:
            if answer["missing"]:
                raise errors.NearError("This Python {version} lacks {missing}.",
                                       "Install that, name another interpreter, or use Set Up.",
                                       version=answer["python"], missing=", ".join(answer["missing"]))
            return _python_is_there(answer)

        with report_errors(self):
            return tasks.start(self, errors.Message("Check Python"), "probe_python", done,
                               executable=preferences.find_python() or worker_process.find_interpreter())
        return {"CANCELLED"}


class NEAR_OT_remove_python(_Operator):
    bl_idname = "near.remove_python"
    bl_label = "Remove Python"
    bl_description = "Delete the Python that Set Up made"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not preferences.has_begun():
            cls.poll_message_set("Set Up has made no Python")
            return False
        return super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        def done(answer: dict[str, Any]) -> str:
            preferences.apply_preferences()
            return say("The Python for published models was removed")

        client.use_backend(worker_process.Backend())  # which may be running in it
        return tasks.start(self, errors.Message("Remove"), "remove", done, folder=str(preferences.get_python_folder()),
                           kind="python")


class NEAR_OT_download_checkpoint(_Fetching):
    bl_idname = "near.download_checkpoint"
    bl_label = "Download Checkpoint"
    bl_description = "Fetch a published checkpoint, or what is missing of it"

    name: StringProperty(name="Name", description="Which one", default="near")

    def lines(self) -> list[str]:
        source = checkpoints.find(self.name)
        _, record = preferences.describe_checkpoint(self.name)
        return [say("{title} from {address}", title=source.title,
                    address=f"{checkpoints.find_hub()}/{source.repository}"),
                say("For: {use}", use=errors.Message(source.use)), preferences.describe_size(record),
                say("Licence: {licence}", licence=errors.Message(source.licence)),
                *textwrap.wrap(translate(source.notes), 76),
                say("Every file is checked against the hash that the source states.")]

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            _require_consent(self.consent)
            title = checkpoints.find(self.name).title

            def done(answer: dict[str, Any]) -> str:
                preferences.apply_preferences()
                return say("{title} was downloaded and verified", title=title)

            return tasks.start(self, errors.Message("Download of {title}", title=title), "fetch_checkpoint", done,
                               name=self.name, folder=str(preferences.get_checkpoint_folder(self.name)))
        return {"CANCELLED"}


class NEAR_OT_verify_checkpoint(_Operator):
    bl_idname = "near.verify_checkpoint"
    bl_label = "Verify Checkpoint"
    bl_description = "Read every downloaded file and compare its hash"

    name: StringProperty(name="Name", description="Which one", default="near")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            title = checkpoints.find(self.name).title
            return tasks.start(self, errors.Message("Check of {title}", title=title), "verify_checkpoint",
                               lambda answer: say("{title} is as published", title=title),
                               folder=str(preferences.get_checkpoint_folder(self.name)))
        return {"CANCELLED"}


class NEAR_OT_remove_checkpoint(_Operator):
    bl_idname = "near.remove_checkpoint"
    bl_label = "Remove Checkpoint"
    bl_description = "Delete a downloaded checkpoint from this computer"

    name: StringProperty(name="Name", description="Which one", default="near")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            title, folder = checkpoints.find(self.name).title, preferences.get_checkpoint_folder(self.name)
            chosen = preferences.get_preferences()
            if chosen is not None and chosen.checkpoint == str(folder):
                chosen.model, chosen.checkpoint = "MINI", ""

            def done(answer: dict[str, Any]) -> str:
                preferences.apply_preferences()
                return say("{title} was removed", title=title)

            return tasks.start(self, errors.Message("Remove"), "remove", done, folder=str(folder), kind="checkpoint")
        return {"CANCELLED"}


class NEAR_OT_use_checkpoint(_Operator):
    bl_idname = "near.use_checkpoint"
    bl_label = "Use Checkpoint"
    bl_description = "Check that the networks of a folder fit, then draw with them the assets that were made for them"

    directory: StringProperty(
        name="Folder", description="With pipeline.yaml", subtype="DIR_PATH", options={"SKIP_SAVE", *RELATIVE})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.directory:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = bpy.path.abspath(self.directory).rstrip("/\\")

        def done(answer: dict[str, Any]) -> str:
            chosen, networks = preferences.get_preferences(), answer["networks"]
            if chosen is not None:
                chosen.checkpoint, chosen.model = folder, "PUBLISHED"
            lacks = answer["lacks"]
            ready = (errors.Message("For creating from photos: {lacks}", lacks=lacks) if lacks else
                     errors.Message("Photos become such assets, too"))
            return say("{count} networks with {millions:.0f} million parameters fit; published assets are drawn with "
                       "them from now on. {ready}", count=len(networks),
                       millions=sum(n["parameters"] for n in networks) / 1e6, ready=ready)

        return tasks.start(self, errors.Message("Check of the folder"), "check_checkpoint", done,
                           python=preferences.find_python(), folder=folder, companions=preferences.list_companions())


CLASSES = (NEAR_OT_set_up_python, NEAR_OT_check_python, NEAR_OT_remove_python, NEAR_OT_download_checkpoint,
           NEAR_OT_verify_checkpoint, NEAR_OT_remove_checkpoint, NEAR_OT_use_checkpoint)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]

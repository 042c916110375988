"""The add-on's preferences: which model draws, where it comes from and runs, Check Setup, caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .. import preferences
from .._core import ADDON, checkpoints, errors, interpreter
from ..engine import viewport
from ..operators import setup, tasks
from ..translations import say, translate
from . import lines


def get_cache_folder() -> Path:
    """Where NeAR keeps what it can compute again; the only place it writes to unasked."""
    return preferences.get_user_folder("cache")


def _apply(self: Any, context: bpy.types.Context) -> None:
    preferences.apply_preferences()
    viewport.redraw()


class NEAR_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = ADDON

    model: EnumProperty(
        name="Model", default="MINI", update=_apply,
        description="What draws assets of a published model, and makes assets from photos",
        items=[("MINI", "near-mini", "The model inside the add-on, which runs on any machine", 0),
               ("PUBLISHED", "Published", "The full-size networks of a checkpoint, best on a GPU", 1)])
    checkpoint: StringProperty(
        name="Checkpoint", subtype="DIR_PATH", update=_apply,
        description="The folder of the published checkpoint in use")
    python: StringProperty(
        name="Python", subtype="FILE_PATH", update=_apply,
        description="An interpreter that has torch; empty for the one that Set Up makes")
    device: EnumProperty(
        name="Device", default="AUTO", update=_apply, description="What the published networks run on",
        items=[("AUTO", "Automatic", "A GPU where torch finds one", 0), ("CUDA", "NVIDIA GPU", "CUDA", 1),
               ("MPS", "Apple GPU", "Metal", 2), ("CPU", "Processor", "Slow, but always there", 3)])
    precision: EnumProperty(
        name="Precision", default="AUTO", update=_apply, description="Numbers that the published networks compute with",
        items=[("AUTO", "Automatic", "Half on a GPU, full on the processor", 0),
               ("FLOAT32", "Full", "32 bits", 1), ("BFLOAT16", "Brain Float", "16 bits, wide range", 2),
               ("FLOAT16", "Half", "16 bits", 3)])
    show_files: BoolProperty(name="Files", description="Show every downloaded file with its hash")

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.row().prop(self, "model", expand=True)
        task = tasks.get_current()
        if task is not None:
            box = layout.box()
            box.progress(factor=task.job.fraction, text=f"{translate(task.title)}: {translate(task.job.phase)}")
            box.operator("near.stop", icon="X").what = "TASK"
        elif tasks.get_outcome() is not None:
            well, text = tasks.get_outcome()
            lines.draw_sentence(layout.box().column(align=True), context, text, "CHECKMARK" if well else "ERROR")
        if self.model == "PUBLISHED":  # near-mini needs none of it
            self._draw_choice(layout.box())
            self._draw_checkpoints(layout.box(), context)
            self._draw_python(layout.box())
        _draw_setup(layout, context)

    def _draw_checkpoints(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        for source in checkpoints.CATALOGUE.values():
            self._draw_checkpoint(layout, context, source)
            layout.separator(type="LINE")
        layout.prop(self, "show_files", icon="TRIA_DOWN" if self.show_files else "TRIA_RIGHT", emboss=False)
        layout.operator("near.use_checkpoint", text="Use Local Folder...", icon="FILE_FOLDER")

    def _draw_choice(self, layout: bpy.types.UILayout) -> None:
        layout.use_property_split = True
        if not self.checkpoint:
            layout.label(text="No checkpoint is in use yet: download one or choose a folder", icon="ERROR")
        layout.prop(self, "checkpoint")
        layout.prop(self, "device")
        layout.prop(self, "precision")

    def _draw_checkpoint(self, layout: bpy.types.UILayout, context: bpy.types.Context, source: checkpoints.Source
                         ) -> None:
        state, record = preferences.describe_checkpoint(source.name)
        layout.label(text=f"{source.title}: {state}", icon="CHECKMARK" if record and record.verified else "DOT")
        facts = layout.column(align=True)
        facts.label(text=say("For: {use}", use=errors.Message(source.use)))
        facts.label(text=preferences.describe_size(record))
        facts.label(text=say("Licence: {licence}", licence=errors.Message(source.licence)))
        facts.label(text=say("Source: {page}, revision {revision}", page=source.page, revision=record.revision[:12])
                    if record else say("Source: {page}", page=source.page))
        lines.draw_sentence(facts, context, say("Territory: {notes}", notes=errors.Message(source.notes)), "NONE")
        row = layout.row(align=True)
        row.operator("near.download_checkpoint", text="Download", icon="IMPORT").name = source.name
        if record is None:
            return
        row.operator("near.verify_checkpoint", text="Verify", icon="CHECKMARK").name = source.name
        row.operator("near.remove_checkpoint", text="Remove", icon="TRASH").name = source.name
        if source.chosen:
            folder = preferences.get_checkpoint_folder(source.name)
            row.operator("near.use_checkpoint", text="Use").directory = str(folder)
        if self.show_files:
            files = layout.column(align=True)
            for each in record.files:
                files.label(text=f"{each.path}  {each.size / 1e6:.1f} MB  {each.digest.replace(':', ' ')}")

    def _draw_python(self, layout: bpy.types.UILayout) -> None:
        used, folder = preferences.find_python(), preferences.get_python_folder()
        layout.label(text=say("Python for published models: {path}", path=used) if used else
                     say("Python for published models: none yet, Blender's own has no torch"),
                     icon="CHECKMARK" if used else "DOT")
        layout.prop(self, "python")
        row = layout.row(align=True)
        row.operator("near.set_up_python", text="Set Up...", icon="IMPORT")
        row.operator("near.check_python", text="Check", icon="CHECKMARK")
        row.operator("near.remove_python", text="Remove", icon="TRASH")
        if preferences.has_begun() and not interpreter.is_ready(folder):
            layout.label(text="Set Up was interrupted; starting it again goes on from there", icon="INFO")


def _draw_setup(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    row = layout.row()
    row.operator("near.check_setup", icon="CHECKMARK")
    row.operator("near.copy_setup", icon="COPYDOWN")
    check = setup.get_current()
    if check is not None:
        row = layout.row()
        row.progress(factor=check.fraction, text=say("Checking, {fraction:.0%}", fraction=check.fraction))
        row.operator("near.stop", icon="X").what = "CHECK"
    found = layout.column(align=True)
    for well, text in setup.list_findings():
        lines.draw_sentence(found, context, translate(text), "CHECKMARK" if well else "ERROR")
    notes = layout.column(align=True)
    notes.label(text="Threads: as many as Render Properties > Performance > Threads says", icon="INFO")
    notes.operator("wm.path_open", text="Open Cache Folder", icon="FILE_FOLDER").filepath = str(get_cache_folder())


CLASSES = (NEAR_AP_preferences,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]

"""Setting up published models: the Python they need, checkpoints from the network or from a folder.

One task at a time runs in a process of its own; Blender only looks at it now and then. Nothing is fetched without
consent, nor while Blender may not go online.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .. import choices, client, log
from .._core import checkpoints, errors, interpreter
from .place import reported

INTERVAL = 0.2  # seconds between looks at the task


@dataclass
class Task:
    """Work under way. done: called on the main thread with the worker's answer; returns the sentence to report."""

    title: str
    worker: client.Worker
    job: client.Job
    done: Callable[[dict[str, Any]], str]


_current: Task | None = None
_outcome: tuple[bool, str] | None = None


def current() -> Task | None:
    """The task under way, for the preferences."""
    return _current


def outcome() -> tuple[bool, str] | None:
    """Whether the last task went well, and the sentence it ended with."""
    return _outcome


def start(operator: bpy.types.Operator, title: str, op: str, done: Callable[[dict[str, Any]], str], python: str = "",
          **fields: Any) -> set[str]:
    """Has a worker of its own do `op`; for execute(). Scripts and background mode wait for it."""
    global _current, _outcome
    worker = client.Worker(client.Choice(python))
    _current, _outcome = Task(title, worker, worker.submit(op, **fields), done), None
    if not bpy.app.background:
        # a timer, not a modal operator: closing the preferences or opening another file must not stop a download
        bpy.app.timers.register(_look, first_interval=INTERVAL, persistent=True)
        return {"FINISHED"}
    try:
        _current.job.wait()
    except KeyboardInterrupt:
        _current.job.cancel()
        raise
    well, text = conclude()
    operator.report({"INFO"} if well else {"ERROR"}, text)
    return {"FINISHED"} if well else {"CANCELLED"}


def conclude() -> tuple[bool, str]:
    """Ends the current task, which is done; returns its outcome."""
    global _current, _outcome
    task, _current = _current, None
    try:
        _outcome = True, task.done(task.job.result())
    except errors.Cancelled:
        _outcome = True, f"{task.title} stopped; starting it again goes on from there"
    except errors.NearError as error:
        log.add(str(error))
        _outcome = False, str(error)
    task.worker.stop()
    return _outcome


def _look() -> float | None:
    """Redraws the preferences while a task is under way; concludes it when it is done."""
    if _current is not None and _current.job.done:
        conclude()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
    return INTERVAL if _current is not None else None


def _is_idle(operator: type[bpy.types.Operator]) -> bool:
    if _current is None:
        return True
    operator.poll_message_set(f"{_current.title} is under way")
    return False


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
        return _is_idle(cls)


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
           for key, each in interpreter.builds().items()] or [("NONE", "None", "There is no torch for this system")]


class NEAR_OT_set_up_python(_Fetching):
    bl_idname = "near.set_up_python"
    bl_label = "Set Up Python"
    bl_description = "Fetch torch into a folder of the add-on, or go on with that"

    build: EnumProperty(name="Build", description="What torch computes on", items=_BUILDS, options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        with reported(self):
            self.build = interpreter.best_build().key.upper()
            return _Fetching.invoke(self, context, event)
        return {"CANCELLED"}

    def lines(self) -> list[str]:
        build = interpreter.builds()[self.build.lower()]
        download, disk = build.gigabytes
        packages = f"for {build.title}, with: {', '.join(build.packages)}"
        return ["A Python environment is made inside the add-on's own folder,", *wrapped(packages, 64),
                "and what these need, from the Python Package Index" + (" and pytorch.org." if build.index else "."),
                f"Roughly {download:g} GB to download, {disk:g} GB on the disk. Licences: BSD, MIT, Apache, HPND.",
                "It can be stopped, taken up again and removed."]

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.prop(self, "build")
        super().draw(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with reported(self):
            _require_consent(self.consent)
            best = interpreter.best_build().key
            build = self.build.lower() if self.properties.is_property_set("build") else best
            return start(self, "Set Up", "set_up_python", _python_is_there, folder=str(choices.python_folder()),
                         build=build)
        return {"CANCELLED"}


def _python_is_there(answer: dict[str, Any]) -> str:
    choices.apply()
    return f"Python {answer['python']} with torch {answer['torch'] or 'missing'}, computes on {answer['device']}"


class NEAR_OT_check_python(_Operator):
    bl_idname = "near.check_python"
    bl_label = "Check Python"
    bl_description = "Try whether the Python for published models has what they need"

    def execute(self, context: bpy.types.Context) -> set[str]:
        def done(answer: dict[str, Any]) -> str:
            if answer["missing"]:
                raise errors.NearError(f"This Python {answer['python']} lacks {', '.join(answer['missing'])}.",
                                       "Install that, name another interpreter, or use Set Up.")
            return _python_is_there(answer)

        with reported(self):
            return start(self, "Check Python", "probe_python", done,
                         executable=choices.python() or client.interpreter())
        return {"CANCELLED"}


class NEAR_OT_remove_python(_Operator):
    bl_idname = "near.remove_python"
    bl_label = "Remove Python"
    bl_description = "Delete the Python that Set Up made"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and any(choices.python_folder().iterdir())

    def execute(self, context: bpy.types.Context) -> set[str]:
        def done(answer: dict[str, Any]) -> str:
            choices.apply()
            return "The Python for published models was removed"

        client.choose(client.Choice())  # which may be running in it
        return start(self, "Remove", "remove", done, folder=str(choices.python_folder()), kind="python")


class NEAR_OT_download_checkpoint(_Fetching):
    bl_idname = "near.download_checkpoint"
    bl_label = "Download Checkpoint"
    bl_description = "Fetch a published checkpoint, or what is missing of it"

    name: StringProperty(name="Name", description="Which one", default="near")

    def lines(self) -> list[str]:
        source = checkpoints.find(self.name)
        _, record = choices.state_of(self.name)
        size = f"{sum(f.size for f in record.files) / 1e9:.2f} GB" if record else "unknown until the download starts"
        return [f"{source.title} from {checkpoints.hub()}/{source.repository}", f"It {source.use}", f"Size: {size}",
                f"Licence: {source.licence}", *wrapped(source.notes, 76),
                "Every file is checked against the hash that the source states."]

    def execute(self, context: bpy.types.Context) -> set[str]:
        with reported(self):
            _require_consent(self.consent)
            title = checkpoints.find(self.name).title

            def done(answer: dict[str, Any]) -> str:
                choices.apply()
                return f"{title} was downloaded and verified"

            return start(self, f"Download of {title}", "fetch_checkpoint", done, name=self.name,
                         folder=str(choices.checkpoint_folder(self.name)))
        return {"CANCELLED"}


class NEAR_OT_verify_checkpoint(_Operator):
    bl_idname = "near.verify_checkpoint"
    bl_label = "Verify Checkpoint"
    bl_description = "Read every downloaded file and compare its hash"

    name: StringProperty(name="Name", description="Which one", default="near")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with reported(self):
            title = checkpoints.find(self.name).title
            return start(self, f"Check of {title}", "verify_checkpoint", lambda answer: f"{title} is as published",
                         folder=str(choices.checkpoint_folder(self.name)))
        return {"CANCELLED"}


class NEAR_OT_remove_checkpoint(_Operator):
    bl_idname = "near.remove_checkpoint"
    bl_label = "Remove Checkpoint"
    bl_description = "Delete a downloaded checkpoint from this computer"

    name: StringProperty(name="Name", description="Which one", default="near")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with reported(self):
            title, folder = checkpoints.find(self.name).title, choices.checkpoint_folder(self.name)
            chosen = choices.preferences()
            if chosen is not None and chosen.checkpoint == str(folder):
                chosen.model, chosen.checkpoint = "MINI", ""

            def done(answer: dict[str, Any]) -> str:
                choices.apply()
                return f"{title} was removed"

            return start(self, "Remove", "remove", done, folder=str(folder), kind="checkpoint")
        return {"CANCELLED"}


class NEAR_OT_use_checkpoint(_Operator):
    bl_idname = "near.use_checkpoint"
    bl_label = "Use Checkpoint"
    bl_description = "Check that the networks of a folder fit, then draw with them the assets that were made for them"

    directory: StringProperty(
        name="Folder", description="With pipeline.yaml", subtype="DIR_PATH", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.directory:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        folder = bpy.path.abspath(self.directory).rstrip("/\\")

        def done(answer: dict[str, Any]) -> str:
            chosen, networks = choices.preferences(), answer["networks"]
            if chosen is not None:
                chosen.checkpoint, chosen.model = folder, "PUBLISHED"
            lacks = answer["lacks"]
            ready = f"For creating from photos: {lacks}" if lacks else "Photos become such assets, too"
            return (f"{len(networks)} networks with {sum(n['parameters'] for n in networks) / 1e6:.0f} million "
                    f"parameters fit; published assets are drawn with them from now on. {ready}")

        return start(self, "Check of the folder", "check_checkpoint", done, python=choices.python(), folder=folder,
                     companions=choices.companions())


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` letters; layouts do not break lines."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


CLASSES = (NEAR_OT_set_up_python, NEAR_OT_check_python, NEAR_OT_remove_python, NEAR_OT_download_checkpoint,
           NEAR_OT_verify_checkpoint, NEAR_OT_remove_checkpoint, NEAR_OT_use_checkpoint)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()


def unregister() -> None:
    global _current
    if _current is not None:
        _current.worker.stop()
        _current = None
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    _unregister()

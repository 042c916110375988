"""What the worker can be asked to do. worker.py says what each request holds."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import asset
from ..asset.deformation import Deformation
from ..cache import RecentResults
from ..errors import Cancelled, Message, NearError, join
from ..scene import PLAIN, Camera, Instance, Lamp, Lens, Occluders, Probe, Settings, Shutter, environment
from ..scene.camera import to_json
from ..scene.occluders import has_embree
from ..scene.soundness import is_sound
from .runtime import describe_runtime

KEPT = 1 << 30  # bytes of assets and light maps kept for the next request
PASSING = 8 << 20  # bytes of what may be another in each frame: probes, occluders, deformations
REPORT_EVERY = 0.05  # seconds between progress events


@dataclass
class Request:
    """A request on its way.

    fields: the message. emit: sends an event to the other side. cancelled: set when nobody waits for the answer, or
    when it has to wait itself and starts_over.
    """

    fields: dict[str, Any]
    emit: Callable[[dict[str, Any]], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    starts_over: bool = False
    _reported: float = 0.0

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    @property
    def channel(self) -> str | None:
        """Of the requests of one channel only the newest counts."""
        return self.fields.get("channel")

    @property
    def urgency(self) -> int:
        """Smaller numbers go first: what is waited for before what is only looked at."""
        return 1 if str(self.channel).startswith("viewport") else 0

    def send(self, event: str, **fields: Any) -> None:
        """Sends an event about this request."""
        self.emit({"event": event, **fields, "id": self["id"]})

    def progress(self, phase: str, fraction: float) -> None:
        """The progress callback of what works on it. Raises Cancelled."""
        if self.cancelled.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._reported > REPORT_EVERY:
            self._reported = now
            self.send("progress", phase=phase, fraction=float(fraction))


Data = Probe | Occluders | Deformation
_NAMES = {Probe: Message("What is seen from an asset"), Occluders: Message("What casts shadows"),
          Deformation: Message("A deformed asset"), Camera: Message("The camera"), Lens: Message("The camera's lens"),
          Shutter: Message("The motion blur"), Lamp: Message("A light"), Settings: Message("The scene"),
          environment.Environment: Message("The World")}


def require_sound(part: Any, name: str = "") -> Any:
    """A part of a request. Raises NearError where it has numbers that nothing can be drawn with. name: what messages
    call it, where its type does not say."""
    if not is_sound(part):
        raise NearError("{what} has a number that is endless, out of range, or none.",
                        "Check its values, and the drivers that they come from.", what=name or _NAMES[type(part)])
    return part


@dataclass
class Stored:
    """Bytes of a file or a map, and what was made of them."""

    data: np.ndarray
    name: str
    made: Any = None


class Store:
    """Bytes and arrays by hash, the longest unused thrown away first."""

    def __init__(self, kept: int = KEPT, passing: int = PASSING) -> None:
        """kept, passing: bytes of assets and maps, and of what changes with the frame."""
        self._items: RecentResults[Stored] = RecentResults(kept, lambda item: item.data.nbytes)
        self._passing: RecentResults[Data] = RecentResults(passing, lambda data: data.nbytes)
        self._looked_through: weakref.WeakSet[Data] = weakref.WeakSet()

    def put(self, key: str, data: np.ndarray | Data, name: str) -> None:
        """Keeps the uint8 bytes of a .near file, a map (H, W, 3) float32, a probe, occluders or a deformation by their
        hash. name: how messages call it."""
        if isinstance(data, np.ndarray):
            self._items.put(key, Stored(data, name))
        else:
            self._passing.put(key, data)

    def hold(self, keys: set[str]) -> list[str]:
        """Keeps what has these keys, which one request needs, until another request holds its own, whatever it
        measures. Returns the keys of what is not here."""
        self._items.hold(keys)
        self._passing.hold(keys)
        return sorted(key for key in keys if key not in self._items and key not in self._passing)

    def asset(self, key: str) -> asset.NeuralAsset:
        """The asset of stored .near bytes. Raises NearError where they are damaged."""
        item = self._items[key]
        item.made = item.made or asset.from_bytes(memoryview(item.data), item.name)
        return item.made

    def map(self, key: str) -> environment.Environment:
        """The stored light map, (H, W, 3) float32 and sanitized, as an environment that faces +X at strength 1."""
        item = self._items[key]
        if item.made is None:
            item.made = environment.Environment(require_sound(item.data, item.name))
        return item.made

    def around(self, key: str | None) -> Any:
        """The stored probe, occluders or deformation; None where no key is given. Raises NearError where they are
        damaged."""
        found = None if key is None else self._passing[key]
        if found is not None and found not in self._looked_through:
            self._looked_through.add(require_sound(found))
        return found


class Operations:
    """Answers requests. Every operation takes a Request and returns what its "done" event holds.

    store: what requests name by hash. model: keywords of engine.Engine, chosen before the first request.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.model: dict[str, Any] = {}
        self._engine: Any = None
        # path of the last photo, when it was saved and by which matting; create.matting.MatteFinder
        self._finder: tuple[tuple[str, float, str], Any] | None = None
        self._resection: tuple[tuple, Any] | None = None  # what it was made of, create.resection.Resection

    def describe(self) -> dict[str, Any]:
        """What "hello" says."""
        return describe_runtime()

    def keep(self, message: dict[str, Any]) -> None:
        """Takes what later requests need."""
        if message["op"] == "choose":
            self.model = message["model"]
        else:
            self.store.put(message["hash"], message["data"], message["name"])

    def answer(self, request: Request) -> dict[str, Any]:
        """Does what a request asks for. Raises NearError, Cancelled, and KeyError for what nobody can do."""
        if "extensions" in request.fields:  # there may be others by now than when this process started
            os.environ["NEAR_EXTENSIONS"] = request["extensions"]
        return OPERATIONS[request["op"]](self, request)

    def render(self, request: Request) -> dict[str, Any]:
        """The passes of one picture, and which hashes are missing where it cannot be drawn."""
        missing = self._list_missing(request)
        if missing:
            return {"event": "missing", "hashes": missing}
        from ..render import light_groups
        from ..render.composite import put_sky_behind
        engine, settings, behind = self._open_engine(), require_sound(request["settings"]), request["backdrop"]
        bare = settings if behind is None else replace(settings, background=False)
        passes = engine.render(self._place(request), require_sound(request["camera"]),
                               self._light(request["environment"]), bare, request.progress,
                               list(map(require_sound, request.fields.get("lamps", ()))),
                               self.store.around(request.fields.get("occluders")),
                               require_sound(request.fields.get("shutter")), require_sound(request.fields.get("lens")))
        if behind is not None:
            put_sky_behind(passes, self._light(behind), request["camera"], settings)
        light_groups.show_world(passes, settings.group)
        notes, around = list(engine.notes), self.store.around(request.fields.get("occluders"))
        if around is not None and len(around.faces) and not has_embree():
            notes.append(Message("Embree is missing: ordinary objects cast no shadows of lamps on neural assets. "
                                 "Install the extension again."))
        return {"passes": passes, "warning": join(*notes), "model": engine.model_hash,
                "blurred": engine.blurred}

    def prepare(self, request: Request) -> dict[str, Any]:
        """Makes ready what a picture takes before its light is known."""
        missing = self._list_missing(request)
        if missing:
            return {"event": "missing", "hashes": missing}
        self._open_engine().prepare(self._place(request), require_sound(request["camera"]),
                                    require_sound(request["settings"]), request.progress,
                                    require_sound(request.fields.get("lens")))
        return {}

    def bake(self, request: Request) -> dict[str, Any]:
        """The one instance of a request as a mesh or as splats under its light, and the PSNR of that; of an asset, that
        of its file alone."""
        missing = self._list_missing(request)
        if missing:
            return {"event": "missing", "hashes": missing}
        from . import baking
        renderer, [instance] = self._open_engine().embedded, self._place(request)
        situation = baking.Situation(instance, self._light(request["environment"]),
                                     list(map(require_sound, request.fields.get("lamps", ()))),
                                     self.store.around(request.fields.get("occluders")))
        if request["kind"] == "mesh":
            mesh, psnr = baking.bake_mesh(renderer, situation, request["side"], request.progress)
            return {"mesh": mesh, "psnr": psnr}
        if request["kind"] == "asset":
            return {"psnr": baking.compare_plain(renderer, situation, request.progress)}
        data, psnr = baking.bake_splats(renderer, situation, request.fields.get("extent"), request.progress)
        return {"ply": np.frombuffer(data, np.uint8), "psnr": psnr}

    def _list_missing(self, request: Request) -> list[str]:
        """Hashes of what a request names and is not here."""
        lights = [light for light in (request["environment"], request["backdrop"]) if light is not None]
        around = [request.fields.get("occluders"),
                  *(i.get(kind) for i in request["instances"] for kind in ("probe", "deformation"))]
        wanted = [i["asset"] for i in request["instances"]] + [light["map"] for light in lights] + around
        return self.store.hold({key for key in wanted if key is not None})

    def _place(self, request: Request) -> list[Instance]:
        """The instances of a request."""
        from ..render.parallel import parallel_map
        engine = self._open_engine()
        # a shutter's matrices are those of the finer asset
        settings = require_sound(request.fields.get("settings", Settings()))
        parallel_map(self.store.asset, list(dict.fromkeys(i["asset"] for i in request["instances"])), settings.threads)
        coarse = settings.quality == "draft" and request.fields.get("shutter") is None
        posed = [engine.pose(self.store.asset(i["asset"]), self.store.around(i.get("deformation")), coarse)
                 for i in request["instances"]]
        return [Instance(made, i["matrix"] @ np.diag([size, size, size, 1.0]), self.store.around(i.get("probe")),
                         frozenset(i.get("unlit_by", ())), require_sound(i.get("look", PLAIN), made.name),
                         i.get("shadow", True), i.get("name", ""), i.get("group", ""))
                for (made, size), i in zip(posed, request["instances"])]

    def check_checkpoint(self, request: Request) -> dict[str, Any]:
        """Whether the networks of a folder fit their weights. Answers with name, class and bytes of each, and with what
        making assets from photos lacks ("" where nothing does)."""
        try:
            from ..models.near.checkpoint import open_checkpoint
        except ImportError as error:
            raise NearError("Checking a checkpoint needs the Python package {package}.",
                            "Use Set Up first, or choose a Python that has it.", package=error.name) from error
        checkpoint = open_checkpoint(request["folder"], request["companions"])
        networks, lacks = checkpoint.survey(request.progress), ""
        try:
            checkpoint.require_creation(structure=True)
        except NearError as error:
            lacks = join(error.what, error.fix)
        return {"networks": networks, "lacks": lacks}

    def create_mesh(self, request: Request) -> dict[str, Any]:
        """The bytes of the asset of a mesh."""
        from ..create.create import create_from_mesh
        made = create_from_mesh(request["mesh"], progress=request.progress, **request["options"])
        return {"asset": asset.to_bytes(made)}

    def create_image(self, request: Request) -> dict[str, Any]:
        """The bytes of the asset of photos, and the angles they turned out to be taken from, [] where nobody asks,
        and where cameras in a world saw the object, x, y, z and size, [] where there are none; sends the matte and the
        crop as soon as they are known."""
        from ..create.create import Listener
        engine, views, frame = self._open_engine(), [], []
        listener = Listener(preview=lambda matte, crop: request.send("preview", matte=matte, crop=crop),
                            views=views.extend, frame=lambda found: frame.extend([*found.middle.tolist(), found.size]))
        for photo in request["photos"]:
            require_sound(getattr(photo, "camera", None))
        made = engine.create_from_image(request["photos"], request.progress, listener=listener,
                                        **request["options"])
        return {"asset": asset.to_bytes(made), "warning": join(*engine.notes), "views": views, "frame": frame}

    def find_matte(self, request: Request) -> dict[str, Any]:
        """A photo as it is looked at, (h, w, 3) uint8, what of it is object after hints, (h, w) uint8, and how many
        objects are offered. The last photo is remembered, so that the next hint is followed at once."""
        from ..create.matting import MatteFinder, open_matting
        from ..create.photo import read_unmasked
        from ..models.mini.runtime import NearMini
        path, hints = request["path"], request["hints"]
        photo = path, os.path.getmtime(path) if os.path.exists(path) else 0.0, request["matting"]
        if self._finder is None or self._finder[0] != photo:
            self._finder = photo, MatteFinder(open_matting(NearMini(), request["matting"]), read_unmasked(path))
        finder = self._finder[1]
        matte = finder.find(hints)
        to_bytes = lambda values: np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
        return {"picture": to_bytes(finder.picture), "matte": to_bytes(matte),
                "objects": len(finder.list_objects()) if hints.number else 0}

    def find_pose(self, request: Request) -> dict[str, Any]:
        """From where a photo shows a shape: a create.resection.Stance, its camera as JSON, the shape's lines over the
        crop, (S, S, 3) uint8, how far the outlines overlap, and the crop's width in distances."""
        missing = self.store.hold({request["shape"]})
        if missing:
            return {"event": "missing", "hashes": missing}
        from ..create.create import open_shape
        from ..create.resection import draw_over
        from ..create.view import measure_stride, reach
        shot = request["shot"]
        require_sound(shot.camera)
        files = [path for path in (shot.picture, shot.mask) if path is not None and os.path.exists(path)]
        key = request["shape"], request["matting"], repr(shot), *map(os.path.getmtime, files)
        if self._resection is None or self._resection[0] != key:
            self._resection = key, open_shape(shot, self.store.around(request["shape"]), request["matting"],
                                              request.progress)
        resection, stance = self._resection[1], request["stance"]
        if stance is None:
            stance = resection.search(progress=request.progress)
        elif request["fits"]:
            stance = resection.fit(stance)
        camera = resection.place(stance)
        return {"stance": stance, "camera": to_json(resection.photo.uncropped(camera)),
                "picture": draw_over(resection, stance), "overlap": resection.measure_overlap(camera),
                "span": reach(camera) / measure_stride(camera)}

    def fetch_checkpoint(self, request: Request) -> dict[str, Any]:
        """Downloads a checkpoint."""
        from ..published import checkpoints
        checkpoints.fetch(request["name"], request["folder"], request.progress)
        return {}

    def verify_checkpoint(self, request: Request) -> dict[str, Any]:
        """Reads a downloaded checkpoint again."""
        from ..published import checkpoints
        checkpoints.verify(request["folder"], request.progress)
        return {}

    def set_up_python(self, request: Request) -> dict[str, Any]:
        """Makes a Python with torch; answers with what interpreter.probe finds."""
        from ..published import interpreter
        build = interpreter.list_builds()[request["build"]]
        return interpreter.set_up(request["folder"], build, request.progress, request.fields.get("packages"))

    def probe_python(self, request: Request) -> dict[str, Any]:
        """What an interpreter has."""
        from ..published import interpreter
        return interpreter.probe(request["executable"])

    def remove(self, request: Request) -> dict[str, Any]:
        """Deletes a downloaded checkpoint or the Python that was set up."""
        from ..published import checkpoints, interpreter
        {"checkpoint": checkpoints.remove, "python": interpreter.remove}[request["kind"]](request["folder"])
        return {}

    def _open_engine(self) -> Any:
        if self._engine is None:
            from ..engine import Engine
            self._engine = Engine(**self.model)
        return self._engine

    def _light(self, light: dict[str, Any]) -> environment.Environment:
        rays = (light.get(name, True) for name in ("diffuse", "glossy"))
        return require_sound(self.store.map(light["map"]).turn(light["world_to_map"], light["strength"], *rays))


OPERATIONS = {operation.__name__: operation for operation in (
    Operations.render, Operations.prepare, Operations.bake, Operations.create_mesh, Operations.create_image,
    Operations.find_matte, Operations.find_pose, Operations.check_checkpoint, Operations.fetch_checkpoint,
    Operations.verify_checkpoint, Operations.set_up_python, Operations.probe_python, Operations.remove)}

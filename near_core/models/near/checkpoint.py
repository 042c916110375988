"""The published checkpoints: a folder with `pipeline.yaml`, and for every network NAME.json beside NAME.safetensors (or
.pt). Weights stay memory-mapped until they are used; nothing in the folder is executed or unpickled as objects. What
creating an asset takes beyond that, the image encoder and TRELLIS's structure networks, may lie beside it."""
import hashlib
import inspect
import json
import math
import os
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ... import files
from ...errors import Message, NearError
from ...progress import silent
from . import dino
from .basis import NORMAL_FREQUENCIES, NeuralBasis
from .dino import DinoVisionTransformer
from .flow import SLatFlowModel
from .hdri import Hdri_Encoder
from .iad import SLatGaussianDecoder
from .lad import SLatGaussianRenderer
from .mesh import SLatMeshDecoder
from .structure import SparseStructureDecoder, SparseStructureEncoder, SparseStructureFlowModel
from .vae import SLatEncoder, SLatGaussianDecoderOri

NETWORKS = {each.__name__: each for each in (
    Hdri_Encoder, NeuralBasis, SLatEncoder, SLatFlowModel, SLatGaussianDecoder, SLatGaussianDecoderOri,
    SLatGaussianRenderer, SLatMeshDecoder, SparseStructureDecoder, SparseStructureEncoder, SparseStructureFlowModel)}
ENCODER_CLASS = "dinov2_vitl14_reg"
NETWORKS[ENCODER_CLASS] = DinoVisionTransformer
REQUIRED = ("decoder", "renderer", "neural_basis", "hdri_encoder")  # what rendering an asset takes
FLOW = "slat_flow_model"
STRUCTURE = ("sparse_structure_flow_model", "sparse_structure_decoder")  # TRELLIS's; a mesh does as well
IMAGE_ENCODER = "image_encoder"
SUFFIXES = (".safetensors", ".pt", ".pth")
TRAINING_ONLY = {"use_fp16", "use_checkpoint"}  # settings of the published classes that change no result in float32
TORSO = ("blocks.", "input_blocks.", "out_blocks.", "middle_block.", "stage", "fusion_", "projection_conv",
         "transformer_encoder.")  # what half precision applies to; embeddings and heads stay float32, as published
MOST_LAYERS, MOST = 4096, 1 << 20  # of anything that is counted, of any other number in a configuration
LONGEST = 100  # letters of what a file calls something, in messages
MANIFESTS = ("pipeline.yaml", "pipeline.json")


@dataclass
class Checkpoint:
    """An opened folder. models: name -> path without extension, the structure networks possibly of another folder; the
    settings are as the file gives them. companions: folders that may hold the image encoder."""
    folder: Path
    models: dict
    normalization: dict  # mean and std of the latent, lists of floats
    sampler: dict  # steps and guidance of the latent flow
    structure_sampler: dict = field(default_factory=dict)
    companions: tuple = ()

    def has(self, name):
        """Whether the checkpoint names a network."""
        return name in self.models

    def config(self, name):
        """The class name and arguments of a network."""
        path = self._file(name, ".json")
        try:
            described = json.loads(files.read(path))
            kind, arguments = described["name"], dict(described.get("args") or {})
            kind = kind.removeprefix("Elastic")  # how the published classes are called that can save memory in training
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(path, "{file} is missing or damaged.") from error
        if kind not in NETWORKS:
            raise NearError("{file} asks for a network of the kind {kind}, which is not known here.",
                            "Use a checkpoint of the published NeAR or TRELLIS.", file=path.name, kind=kind[:LONGEST])
        return kind, arguments

    def weights(self, name):
        """The file that holds the weights of a network."""
        for suffix in SUFFIXES:
            path = self._file(name, suffix)
            if os.path.isfile(path):
                return path
        raise _damaged(self._file(name, ".safetensors"), "{file} is missing.")

    def load(self, name, dtype=torch.float32, device="cpu"):
        """The network with its weights, its torso in that dtype, in eval mode. Raises NearError that names the first
        key that does not fit."""
        if name == IMAGE_ENCODER:
            kind, arguments, path = ENCODER_CLASS, {}, self.image_encoder()
        else:
            (kind, arguments), path = self.config(name), self.weights(name)
        with Weights(path) as weights:
            network = build(kind, arguments, weights.shapes)
            check(network, weights)
            network.load_state_dict(weights.tensors(network, dtype, device), strict=True, assign=True)
        return network.eval().requires_grad_(False)

    def survey(self, progress=silent):
        """Checks every network's keys and shapes without reading its weights. Returns name, class, number of parameters
        and bytes of each, dicts. Raises NearError as load does."""
        found = []
        for number, name in enumerate(self.models):
            progress(Message("Checking {file}", file=name), number / len(self.models))
            kind, arguments = self.config(name)
            with Weights(self.weights(name)) as weights:
                network = build(kind, arguments, weights.shapes)
                check(network, weights)
                found.append({"name": name, "kind": kind, "bytes": weights.path.stat().st_size,
                              "parameters": sum(math.prod(shape) for shape in weights.shapes.values())})
        return found

    def image_encoder(self):
        """The DINOv2 weights, which are published separately: in the folder, or in one beside it."""
        for folder in (self.folder, *self.companions):
            found = sorted(path for path in folder.rglob("dinov2_vitl14_reg*") if path.suffix in SUFFIXES)
            if found:
                return found[0]
            if _model_type(folder / "config.json") == "dinov2_with_registers":
                if not os.path.isfile(folder / "model.safetensors"):
                    raise _damaged(folder / "model.safetensors", "{file} in {folder} is missing.", folder=folder.name)
                return folder / "model.safetensors"
        raise NearError("The weights of the image encoder, DINOv2 ViT-L/14 with registers, are missing.",
                        "Download DINOv2 with the other checkpoints in the preferences, or put "
                        "dinov2_vitl14_reg4_pretrain.pth into the checkpoint's folder.")

    def require_creation(self, structure):
        """Raises NearError that names the first thing that making assets from photos lacks. structure: whether the
        networks have to find the shape, too."""
        if not self.has(FLOW):
            raise NearError("The checkpoint has no {part}, so it cannot make assets.",
                            "Choose one that has it, or near-mini in the preferences.", part=FLOW)
        missing = [name for name in STRUCTURE if not self.has(name)] if structure else []
        if missing:
            raise NearError("The checkpoint has no {missing}, so it cannot tell an object's shape from a photo.",
                            "Download TRELLIS with the other checkpoints in the preferences, or choose a mesh as "
                            "shape.", missing=missing[0])
        if not {"mean", "std"} <= set(self.normalization):
            raise _damaged(self.folder / MANIFESTS[0], "{file} lacks slat_normalization with mean and std.")
        for name in (FLOW, *(STRUCTURE if structure else ())):
            self.weights(name)
        self.image_encoder()
        made, wanted = self.config(FLOW)[1].get("out_channels"), self.size_of_latent()
        if made != wanted:
            raise NearError("The checkpoint's flow makes latents of {made} channels, its decoder takes {wanted}.",
                            "Choose a checkpoint whose parts belong together.", made=made, wanted=wanted)

    def size_of_latent(self):
        """Channels that the decoder takes."""
        with Weights(self.weights("decoder")) as weights:
            return infer_settings("SLatGaussianDecoder", weights.shapes).get("latent_channels")

    def digest(self):
        """Names what turns a latent into a picture: 32 hexadecimal digits of the SHA-256 of the REQUIRED networks."""
        state = hashlib.sha256()
        for name in REQUIRED:
            state.update(json.dumps(self.config(name), sort_keys=True).encode())
            with open(self.weights(name), "rb") as file:
                while chunk := file.read(1 << 22):
                    state.update(chunk)
        return state.hexdigest()[:32]

    def size(self, name, dtype=torch.float32):
        """Bytes that the weights take in that dtype."""
        with Weights(self.image_encoder() if name == IMAGE_ENCODER else self.weights(name)) as weights:
            return sum(math.prod(shape) * stored_as(key, dtype).itemsize for key, shape in weights.shapes.items())

    def _file(self, name, suffix):
        if name not in self.models:
            raise NearError("The checkpoint has no {name}.", "Choose a checkpoint folder that has one.", name=name)
        return self.models[name].with_name(self.models[name].name + suffix)  # names may hold dots


def open_checkpoint(folder, companions=()):
    """folder: as published or downloaded, with pipeline.yaml. companions: further folders, for the structure networks
    and the image encoder where it lacks them. Reads no weights. Raises NearError where something does not fit."""
    checkpoint = _opened(Path(folder))
    missing = [name for name in REQUIRED if not checkpoint.has(name)]
    if missing:
        raise NearError("The checkpoint in {folder} names no {missing}.",
                        "Choose the folder of a published NeAR checkpoint.", folder=Path(folder).name,
                        missing=missing[0])
    checkpoint.companions = tuple(Path(each) for each in companions)
    for beside in checkpoint.companions:
        if not all(checkpoint.has(name) for name in STRUCTURE) and _manifest_of(beside):
            other = _opened(beside)
            checkpoint.models |= {name: path for name, path in other.models.items() if name in STRUCTURE}
            checkpoint.structure_sampler = other.structure_sampler
    return checkpoint


def _manifest_of(folder):
    return next((folder / name for name in MANIFESTS if os.path.isfile(folder / name)), None)


def _model_type(path):
    """What a configuration of the hub's says of a network; None where there is none."""
    try:
        return json.loads(files.read(path))["model_type"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _opened(folder):
    manifest = _manifest_of(folder)
    if manifest is None:
        raise NearError("The folder {folder} has no pipeline.yaml.", "Choose a published checkpoint's folder.",
                        folder=folder.name or folder)
    arguments = _read_manifest(manifest)
    try:
        models = {str(name): _inside(folder, str(path)) for name, path in (arguments.get("models") or {}).items()}
        normalization = {key: [float(x) for x in value]
                         for key, value in (arguments.get("slat_normalization") or {}).items()}
        samplers = [{**(sampler.get("args") or {}), **(sampler.get("params") or {})}
                    for sampler in (arguments.get(f"{kind}_sampler") or {} for kind in ("slat", "sparse_structure"))]
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(manifest) from error
    return Checkpoint(folder, models, normalization, *samplers)


def stored_as(key, dtype):
    """The dtype of a weight in a network of a precision."""
    return dtype if key.startswith(TORSO) else torch.float32


def lower(network, dtype):
    """Bring the torso of a network to a dtype, in place."""
    for key, parameter in network.named_parameters():
        parameter.data = parameter.data.to(stored_as(key, dtype))
    return network


def build(kind, arguments, shapes):
    """The network without weights. shapes: key -> shape of the stored weights, for settings that the file leaves
    out."""
    arguments = infer_settings(kind, shapes) | {
        key: value for key, value in arguments.items() if key not in TRAINING_ONLY}
    known = _parameters(NETWORKS[kind])
    unknown = [key for key in arguments if key not in known]
    if unknown:
        raise NearError("The network {kind} has a setting {unknown} that is not known here.",
                        "Update the add-on, or use the published checkpoint.", kind=kind, unknown=unknown[0][:LONGEST])
    _check_plausible(kind, arguments | (arguments.get("representation_config") or {}))
    try:
        with torch.device("meta"):
            return NETWORKS[kind](**arguments)
    except (TypeError, ValueError, KeyError, ArithmeticError, RuntimeError) as error:
        raise NearError("The settings of the network {kind} do not fit together ({reason}).",
                        "Download the checkpoint again.", kind=kind, reason=error) from error


def _check_plausible(kind, arguments):
    """Numbers that would take for ever to build are refused; the published ones are far smaller."""
    for key, value in arguments.items():
        limit = MOST_LAYERS if key.startswith(("num_", "n_", "depth")) and "tokens" not in key else MOST
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, (int, float)) and not abs(number) <= limit:
                raise NearError("The network {kind} asks for {key} {number}, which is too large.",
                                "Use the published checkpoint.", kind=kind, key=key[:LONGEST],
                                number=str(number)[:LONGEST])


def infer_settings(kind, shapes):
    """Settings that the stored weights themselves tell."""
    def size(key, axis):
        return shapes[key][axis] if key in shapes and len(shapes[key]) > axis else None

    told = dino.infer_settings(shapes) if kind == ENCODER_CLASS else {}
    if kind == "Hdri_Encoder":
        told = {"cnn_out_channels": size("fusion_c3.fusion.0.weight", 0), "output_dim": size("ln_final.weight", 0)}
    if kind == "SLatGaussianDecoder":
        told = {"num_register_tokens": size("reg_tokens", 1), "latent_channels": size("input_layer.weight", 1)}
    if kind == "NeuralBasis":
        layers = [key for key in shapes if re.fullmatch(r"mlp\.\d{1,9}\.weight", key)]
        last = max(layers, default="", key=lambda key: int(key.split(".")[1]))
        told = {"hidden_dim": size("mlp.0.weight", 0), "output_dim": size(last, 0),
                "input_dim": size("mlp.0.weight", 1) and size("mlp.0.weight", 1) - 3 * (2 * NORMAL_FREQUENCIES + 1)}
    return {key: value for key, value in told.items() if value}


def check(network, weights):
    """Keys and shapes of the file against the network's, in its order. A layer under several names may be stored
    once."""
    wanted = network.state_dict()
    for key, value in wanted.items():
        stored = weights.find(key)
        if stored is None:
            raise _damaged(weights.path, "{file} lacks the weight {key}.", key=key)
        if tuple(weights.shapes[stored]) != tuple(value.shape):
            shape, wanted_shape = tuple(weights.shapes[stored]), tuple(value.shape)
            raise _damaged(weights.path, "{file} has {key} of shape {shape} instead of {wanted}.", key=key, shape=shape,
                           wanted=wanted_shape)
    extra = next((key for key in weights.shapes if key not in wanted), None)
    if extra:
        raise _damaged(weights.path, "{file} has a weight {extra} that the network has no place for.",
                       extra=extra[:LONGEST])


class Weights:
    """A file of tensors, opened: safetensors memory-mapped; .pt read as plain tensors only."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        try:
            if self.path.suffix == ".safetensors":
                self.file = safe_open(self.path, "pt").__enter__()
                self.shapes = {key: tuple(self.file.get_slice(key).get_shape()) for key in self.file.keys()}
                self.get = self.file.get_tensor
            else:
                tensors = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
                self.shapes = {str(key): tuple(value.shape) for key, value in tensors.items()}
                self.file, self.get = None, tensors.__getitem__
            self.shapes, self.get = dino.restore_names(self.shapes, self.get)
        except (OSError, RuntimeError, ValueError, AttributeError, SafetensorError, EOFError,
                pickle.UnpicklingError) as error:
            raise _damaged(self.path, "{file} is damaged or not a plain file of weights.") from error
        return self

    def __exit__(self, *error):
        if self.file is not None:
            self.file.__exit__(*error)

    def find(self, key):
        """The stored name of a weight: its own, or that of another place of a repeated layer. None where it has
        none."""
        if key in self.shapes:
            return key
        if key.startswith("transformer_encoder.layers."):
            tail = key.split(".", 3)[3]
            return next((stored for stored in self.shapes
                         if stored.startswith("transformer_encoder.layers.") and stored.split(".", 3)[3] == tail), None)
        return None

    def tensors(self, network, dtype, device):
        """A state dict of the network. Where neither device nor dtype changes, the values stay in the file."""
        return {key: self.get(self.find(key)).to(device, stored_as(key, dtype)) for key in network.state_dict()}


def _read_manifest(path):
    try:
        text = files.read(path).decode()
        if path.suffix == ".json":
            return json.loads(text)["args"]
        import yaml  # only here: everything else works without it
        return yaml.safe_load(text)["args"]
    except ImportError as error:
        raise NearError("Reading pipeline.yaml takes the Python package PyYAML, which is not installed.",
                        "Run Set Up again, or install PyYAML into the chosen Python.") from error
    except Exception as error:  # yaml has its own errors, and damaged text meets many of ours
        raise _damaged(path) from error


def _inside(folder, relative):
    """The path of a network below the folder. A snapshot of a hub may link to files elsewhere; the name must not."""
    path = Path(relative)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise NearError("The checkpoint names a file outside its folder: {file}.", "Use the published checkpoint.",
                        file=relative[:LONGEST])
    return folder / path


def _parameters(kind):
    """Names of the settings that a class takes, with those it passes on to its base class."""
    names = set()
    for each in kind.__mro__:
        if "__init__" in vars(each) and each.__module__.startswith(__package__):
            names |= set(inspect.signature(each.__init__).parameters)
    return names


def _damaged(path, template="{file} is damaged.", **values):
    return NearError(template, "Download the checkpoint again, or choose another folder.",
                     file=path.name[-LONGEST:], **values)

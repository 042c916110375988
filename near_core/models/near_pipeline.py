"""The published model at work: image to latent, latent and light to passes. Networks are loaded when first needed, stand
on the device while there is room, and leave it when another one needs the place."""
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch

from .._kernels import splat
from ..errors import NearError
from ..progress import silent
from . import near_conditioning, near_dino, near_memory, near_render, near_sampler
from .near_checkpoint import IMAGE_ENCODER, open_checkpoint
from .near_gaussians import Gaussians

VIEW_DISTANCE = 2.0  # of the cameras the lighting network was trained with
TOKEN_STEP = 0.1  # degrees; light tokens are kept for rotations rounded to this
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Decoded:
    """An asset after the decoder. coords: (N, 4) int32; h: (N, C) and registers: (1, R, C) float32."""
    coords: torch.Tensor
    h: torch.Tensor
    registers: torch.Tensor


@dataclass
class Frame:
    """A lit view. maps: name -> (H, W, C) float32, premultiplied over black; lit: share of voxels that were lit."""
    maps: dict
    lit: float


class Pipeline:
    def __init__(self, folder, device="auto", precision="auto"):
        """folder: a checkpoint. device: "auto", "cuda", "mps", "cpu". precision: "auto" or one of PRECISIONS."""
        self.checkpoint = open_checkpoint(folder)
        self.device = torch.device(best_device() if device == "auto" else device)
        self.dtype = best_precision(self.device) if precision == "auto" else PRECISIONS[precision]
        self.networks = OrderedDict()  # name -> network on the device, least recently used first

    def network(self, name, rows=0, tokens=0):
        """The network on the device. rows, tokens: what it will see. Others leave the device where the room is short;
        raises NearError where that does not suffice."""
        working = near_memory.activations(name, rows, tokens)
        needed = working if name in self.networks else working + self.checkpoint.size(name, self.dtype)
        while near_memory.free(self.device) < needed + near_memory.RESERVE and set(self.networks) - {name}:
            del self.networks[next(other for other in self.networks if other != name)]
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        near_memory.require(self.device, needed, f"The network {name}")
        if name not in self.networks:
            self.networks[name] = self.checkpoint.load(name, self.dtype, self.device)
        self.networks.move_to_end(name)
        return self.networks[name]

    @torch.inference_mode()
    def tokens(self, radiance, rotation_degrees=0.0):
        """Light tokens (1, T, C) of an equirect map (H, W, 3); rotation as in `near_conditioning.light_map`."""
        rotation = round(rotation_degrees / TOKEN_STEP) * TOKEN_STEP
        light_map = near_conditioning.light_map(radiance, rotation)[None].to(self.device)
        return self.network("hdri_encoder")(light_map)

    @torch.inference_mode()
    def decode(self, coords, feats):
        """coords: (N, 3) of the grid; feats: (N, 8), or (N, 24) where the checkpoint was made for it. Returns `Decoded`."""
        rows = torch.as_tensor(np.pad(np.asarray(coords, np.int32), ((0, 0), (1, 0))), device=self.device)
        decoder = self.network("decoder", len(rows))
        wanted = decoder.input_layer.in_features
        if feats.shape[1] != wanted:
            raise NearError(f"The asset's latent has {feats.shape[1]} channels, the checkpoint works with {wanted}.",
                            "Create the asset again with this checkpoint.")
        h, registers = decoder(rows, torch.as_tensor(np.asarray(feats, np.float32), device=self.device))
        return Decoded(rows, h, registers.float())

    @torch.inference_mode()
    def memorize(self, decoded, tokens):
        """Keys and values of registers and light, for `frame`; they hold while asset and light stay."""
        return self.network("renderer", len(decoded.h), tokens.shape[1]).memorize(decoded.registers, tokens)

    @torch.inference_mode()
    def frame(self, decoded, memory, camera, cull=True):
        """One view. camera: near_core.camera.Camera in the asset's frame. cull: light only voxels that the view shows,
        which gives the same picture. Returns a `Frame`."""
        renderer, basis = self.network("renderer", len(decoded.h)), self.network("neural_basis")
        eye = torch.as_tensor(embedding_camera(camera.position), device=self.device)
        observed = renderer.observe(decoded.coords, eye[None])
        geometry = renderer.geometry(decoded.h, observed)
        raw = renderer.place(geometry, decoded.coords)
        whole = Gaussians({name: value.flatten(0, 1) for name, value in raw.items()}, renderer.representation, eye)
        view = (camera.world_to_camera, camera.intrinsics, (camera.width, camera.height), camera.near, camera.far,
                camera.orthographic)
        size = camera.width, camera.height
        maps = near_render.maps_of(
            *splat.rasterize(near_render.project(whole, "_scaling", *view),
                             near_render.array(near_render.material_features(whole, camera.world_to_camera)), *size),
            near_render.MATERIAL_MAPS, "")

        seen = near_render.project(whole, "_scaling_view", *view)
        count = renderer.representation.num_gaussians
        rows = torch.arange(len(decoded.h), device=self.device)
        if cull:
            weight = splat.contributions(seen, *size).reshape(-1, count).sum(1)
            rows = torch.as_tensor(np.flatnonzero(weight > 0), device=self.device)
        features = np.zeros((len(decoded.h), count, 11), np.float32)
        if len(rows):
            coords = decoded.coords[rows]
            lit = renderer.light(geometry[rows], decoded.h[rows], observed[rows], coords, memory)
            part = {name: value[rows] for name, value in raw.items()} | lit
            part = Gaussians({name: value.flatten(0, 1) for name, value in part.items()}, renderer.representation, eye)
            light = near_render.light_features(part, basis, camera.world_to_camera)
            features[rows.cpu().numpy()] = near_render.array(light).reshape(-1, count, 11)
        maps |= near_render.maps_of(
            *splat.rasterize(seen, features.reshape(-1, 11), *size), near_render.LIGHT_MAPS, "_view")
        return Frame(maps, len(rows) / max(len(decoded.h), 1))

    @torch.inference_mode()
    def image_tokens(self, pictures, background=0):
        """What the flow models see. pictures: (H, W, 4) uint8 with alpha. background: 0 (latent) or 1 (structure).
        Returns one (1, T, 1024) float32 for each."""
        encoder = self.network(IMAGE_ENCODER)
        mean, std = (torch.tensor(each, device=self.device)[:, None, None] for each in (near_dino.MEAN, near_dino.STD))
        crops = [near_conditioning.over(near_conditioning.crop(picture), background) for picture in pictures]
        return [encoder.condition((torch.as_tensor(crop, device=self.device).permute(2, 0, 1) / 255 - mean)[None] / std)
                for crop in crops]

    @torch.inference_mode()
    def latent(self, coords, images, seed=0, mode="stochastic", progress=silent):
        """Sample the latent of given voxels. coords: (N, 3); images: from `image_tokens`. Returns (N, C) float32."""
        rows = torch.as_tensor(np.pad(np.asarray(coords, np.int32), ((0, 0), (1, 0))), device=self.device)
        network = self.network("slat_flow_model", len(rows), images[0].shape[1])
        x = self._sample(
            network, lambda x, t, image: network(rows, x, t, image), (len(rows), network.out_layer.out_features), images,
            self.checkpoint.sampler, seed, mode, progress)
        mean, std = (torch.tensor(self.checkpoint.normalization[key], device=self.device) for key in ("mean", "std"))
        return (x * std + mean).cpu().numpy()

    @torch.inference_mode()
    def structure(self, images, seed=0, mode="stochastic", progress=silent):
        """Sample which voxels an object takes, where the checkpoint has TRELLIS's structure models. Returns (N, 3) int32."""
        network = self.network("sparse_structure_flow_model", 0, images[0].shape[1])
        side, channels = network.cells * network.patch, network.input_layer.in_features // network.patch ** 3
        z = self._sample(network, network, (1, channels, side, side, side), images, self.checkpoint.structure_sampler, seed,
                         mode, progress)
        return self.network("sparse_structure_decoder").occupied(z)[:, 1:].cpu().numpy()

    def _sample(self, network, velocity, shape, images, parameters, seed, mode, progress):
        """velocity(x, t (1,), memory of an image); the rest as in `latent`."""
        known = near_sampler.Settings.__dataclass_fields__
        settings = near_sampler.Settings(**{key: value for key, value in parameters.items() if key in known})
        memories = [network.memorize(image) for image in images]
        guided = near_sampler.guided_velocity(
            lambda x, t, memory: velocity(x, torch.full((1,), t, device=self.device), memory), memories,
            network.memorize(torch.zeros_like(images[0])), settings.cfg_strength, mode)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
        for index, step in enumerate(near_sampler.sample(guided, x, settings)):
            x = step.x
            progress("Sampling", (index + 1) / settings.steps)
        return x


def embedding_camera(position):
    """Where the lighting network is told the camera is: on the ray to the real one, at the distance of its training.
    position: (3,) asset frame. Returns (3,) float32."""
    distance = np.linalg.norm(position)
    direction = position / distance if distance > 1e-6 else np.array([0.0, -1.0, 0.0])
    return (direction * VIEW_DISTANCE).astype(np.float32)


def best_device():
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_precision(device):
    """Half precision on GPUs (bfloat16 where the hardware has it), float32 on the CPU."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else torch.float32

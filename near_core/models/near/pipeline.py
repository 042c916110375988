"""The published model at work: image to latent, latent and light to passes. Networks are loaded when first needed,
stand on the device while there is room, and leave it when another one needs the place."""
from collections import OrderedDict
from functools import cached_property

import numpy as np
import torch

from ...errors import NearError
from ...progress import silent
from . import conditioning, dino, memory, sampler
from .checkpoint import IMAGE_ENCODER, open_checkpoint
from .frame import VIEW_DISTANCE, Decoded, draw
from .gaussians import DecodedGaussians

TOKEN_STEP = 0.1  # degrees; light tokens are kept for rotations rounded to this
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Pipeline:
    """A checkpoint at work on a device."""

    def __init__(self, folder, device="auto", precision="auto", companions=()):
        """folder: a checkpoint. device: "auto", "cuda", "mps", "cpu". precision: "auto" or one of PRECISIONS.
        companions: further folders, as in checkpoint.open_checkpoint."""
        self.checkpoint = open_checkpoint(folder, companions)
        self.device = torch.device(choose_device() if device == "auto" else device)
        self.dtype = choose_precision(self.device) if precision == "auto" else PRECISIONS[precision]
        self.networks = OrderedDict()  # name -> network on the device, least recently used first

    @cached_property
    def digest(self):
        """Checkpoint.digest, computed once."""
        return self.checkpoint.digest()

    def network(self, name, rows=0, tokens=0):
        """The network on the device. rows, tokens: what it will see. Others leave the device where the room is short;
        raises NearError where that does not suffice."""
        working = memory.estimate_activations(name, rows, tokens)
        needed = working if name in self.networks else working + self.checkpoint.size(name, self.dtype)
        while memory.free(self.device) < needed + memory.RESERVE and set(self.networks) - {name}:
            del self.networks[next(other for other in self.networks if other != name)]
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        memory.require(self.device, needed, f"The network {name}")
        if name not in self.networks:
            self.networks[name] = self.checkpoint.load(name, self.dtype, self.device)
        self.networks.move_to_end(name)
        return self.networks[name]

    def unload(self):
        """Takes every network off the device; they come back when needed."""
        self.networks.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def tokens(self, radiance, rotation_degrees=0.0):
        """Light tokens (1, T, C) of an equirect map (H, W, 3); rotation as in `conditioning.light_map`."""
        rotation = round(rotation_degrees / TOKEN_STEP) * TOKEN_STEP
        light_map = conditioning.light_map(radiance, rotation)[None].to(self.device)
        return self.network("hdri_encoder")(light_map)

    @torch.inference_mode()
    def decode(self, coords, feats):
        """coords: (N, 3) of the grid; feats: (N, 8), or (N, 24) with the latents of base colour and of
        roughness and metallic, of which the decoder takes what it was made for. Returns `Decoded`."""
        rows = torch.as_tensor(np.pad(np.asarray(coords, np.int32), ((0, 0), (1, 0))), device=self.device)
        decoder = self.network("decoder", len(rows))
        wanted = decoder.input_layer.in_features
        if feats.shape[1] < wanted:
            raise NearError("The asset's latent has {made} channels, the checkpoint works with {wanted}.",
                            "Create the asset again with this checkpoint.", made=feats.shape[1], wanted=wanted)
        h, registers = decoder(rows, torch.as_tensor(np.asarray(feats[:, :wanted], np.float32), device=self.device))
        return Decoded(rows, h, registers.float())

    @torch.inference_mode()
    def memorize(self, decoded, tokens):
        """Keys and values of registers and light, for `frame`; they hold while asset and light stay."""
        return self.network("renderer", 0, tokens.shape[1]).memorize(decoded.registers, tokens)

    @torch.inference_mode()
    def frame(self, assets, camera, cull=True):
        """One view of a list of `frame.LitAsset`; arguments as in `frame.draw`."""
        rows = sum(len(asset.decoded.h) for asset in assets)
        return draw(self.network("renderer", rows), self.network("neural_basis"), assets, camera, cull)

    @torch.inference_mode()
    def material(self, decoded):
        """What the networks know of the surface without light, seen from the front: per voxel the mean over its
        Gaussians by opacity. Returns (N, 5) float32 0..1: base colour linear 3, roughness, metallic."""
        renderer = self.network("renderer", len(decoded.h))
        eye = torch.tensor([0.0, -VIEW_DISTANCE, 0.0], device=self.device)
        raw = renderer.place(renderer.geometry(decoded.h, renderer.observe(decoded.coords, eye[None])), decoded.coords)
        flat = {name: value.flatten(0, 1) for name, value in raw.items()}
        drawn = DecodedGaussians(flat, renderer.representation, eye)
        values = torch.cat([drawn.base_color(), drawn.value("_roughness"), drawn.value("_metallic")], 1)
        weight = drawn.opacity().clamp(min=1e-3).view(len(decoded.h), -1, 1)
        mean = (values.view(len(decoded.h), -1, 5) * weight).sum(1) / weight.sum(1)
        return mean.clamp(0, 1).cpu().numpy()

    @torch.inference_mode()
    def image_tokens(self, pictures):
        """What the flow models see. pictures: (H, W, 4) uint8 with alpha; cropped and put on black, as both flows were
        trained. Returns one (1, T, C) float32 for each."""
        encoder = self.network(IMAGE_ENCODER)
        mean, std = (torch.tensor(each, device=self.device)[:, None, None] for each in (dino.MEAN, dino.STD))
        crops = [conditioning.over(conditioning.crop(picture), 0) for picture in pictures]
        return [encoder.condition((torch.as_tensor(crop, device=self.device).permute(2, 0, 1) / 255 - mean)[None] / std)
                for crop in crops]

    @torch.inference_mode()
    def latent(self, coords, images, seed=0, mode="stochastic", progress=silent):
        """Sample the latent of given voxels. coords: (N, 3); images: from `image_tokens`. Returns (N, C) float32."""
        rows = torch.as_tensor(np.pad(np.asarray(coords, np.int32), ((0, 0), (1, 0))), device=self.device)
        network = self.network("slat_flow_model", len(rows), images[0].shape[1])
        x = self._sample(
            network, lambda x, t, image: network(rows, x, t, image), (len(rows), network.out_layer.out_features),
            images, self.checkpoint.sampler, seed, mode, progress)
        mean, std = (torch.tensor(self.checkpoint.normalization[key], device=self.device) for key in ("mean", "std"))
        return (x * std + mean).cpu().numpy()

    @torch.inference_mode()
    def structure(self, images, seed=0, mode="stochastic", progress=silent):
        """Sample which voxels an object takes, where the checkpoint has TRELLIS's structure models. Returns (N, 3)
        int32."""
        network = self.network("sparse_structure_flow_model", 0, images[0].shape[1])
        side, channels = network.cells * network.patch, network.input_layer.in_features // network.patch ** 3
        z = self._sample(network, network, (1, channels, side, side, side), images,
                         self.checkpoint.structure_sampler, seed, mode, progress)
        return self.network("sparse_structure_decoder").occupied(z)[:, 1:].cpu().numpy()

    def _sample(self, network, velocity, shape, images, parameters, seed, mode, progress):
        """velocity(x, t (1,), memory of an image); the rest as in `latent`."""
        known = sampler.SamplerSettings.__dataclass_fields__
        settings = sampler.SamplerSettings(**{key: value for key, value in parameters.items() if key in known})
        memories = [network.memorize(image) for image in images]
        guided = sampler.guided_velocity(
            lambda x, t, memory: velocity(x, torch.full((1,), t, device=self.device), memory), memories,
            network.memorize(torch.zeros_like(images[0])), settings.cfg_strength, mode)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
        for index, step in enumerate(sampler.sample(guided, x, settings)):
            x = step.x
            progress("Sampling", (index + 1) / settings.steps)
        return x


def choose_device():
    """The name of torch's device: a graphics processor where there is one."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(device):
    """Half precision on GPUs (bfloat16 where the hardware has it), float32 on the CPU."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else torch.float32

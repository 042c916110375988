"""The Gaussians a decoder makes from voxels: raw attributes, and what they mean after activation."""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ...errors import NearError
from . import sparse
from .conditioning import hammersley


@dataclass
class Representation:
    """The `representation_config` of a decoder: how its outputs become Gaussians."""
    lr: dict  # factor of each raw attribute
    perturb_offset: bool
    voxel_size: float
    num_gaussians: int  # per voxel
    kernel: float  # smallest standard deviation, added in quadrature
    scaling_bias: float  # standard deviation where the network says 0
    opacity_bias: float
    scaling_activation: str

    @classmethod
    def from_config(cls, config):
        """config: the `representation_config` of a network. Raises NearError for an activation that is not known."""
        if config["scaling_activation"] not in ("softplus", "exp"):
            raise NearError('The network asks for the scaling activation "{activation}".',
                            'Use a checkpoint whose scaling_activation is "softplus" or "exp".',
                            activation=config["scaling_activation"])
        return cls(config["lr"], config["perturb_offset"], config["voxel_size"], config["num_gaussians"],
                   config["3d_filter_kernel_size"], config["scaling_bias"], config["opacity_bias"],
                   config["scaling_activation"])

    def perturbation(self):
        """Offsets of the Gaussians inside a voxel, before the tanh. Returns (num_gaussians, 3) float32."""
        points = torch.tensor([hammersley(3, i, self.num_gaussians) for i in range(self.num_gaussians)])
        return torch.atanh((points.float() * 2 - 1) / self.voxel_size)

    def split(self, out, layout):
        """out: (N, columns), the attributes from the first column on, each for all Gaussians of the voxel.
        Returns name -> (N, num_gaussians, ...), scaled by lr."""
        sizes = [self.num_gaussians * math.prod(shape) for _, shape in layout]
        return {name: part.unflatten(1, (self.num_gaussians, *shape)) * self.lr[name]
                for (name, shape), part in zip(layout, out[:, :sum(sizes)].split(sizes, 1))}

    def place(self, offset, coords, resolution, perturbation):
        """offset: (N, G, 3) raw. Returns positions (N, G, 3) in the cube [0, 1]^3."""
        if self.perturb_offset:
            offset = offset + perturbation.float()
        centre = (coords[:, 1:].float() + 0.5) / resolution
        return centre[:, None] + torch.tanh(offset) / resolution * 0.5 * self.voxel_size

    def per_item(self, raw, coords):
        """raw: name -> (N, G, ...). Returns per batch item: name -> (n G, ...), voxel-major."""
        parts = {name: value.split(sparse.lengths(coords)) for name, value in raw.items()}
        return [{name: part[i].flatten(0, 1) for name, part in parts.items()}
                for i in range(len(sparse.lengths(coords)))]

    @property
    def scale_shift(self):
        """What the raw scale is shifted by, so that the network's 0 means scaling_bias."""
        if self.scaling_activation == "exp":
            return math.log(self.scaling_bias)
        return math.log(math.expm1(self.scaling_bias))

    @property
    def opacity_shift(self):
        """ln((1 + p) / (1 - p)), twice the value that tanh would map to p; the published networks expect that."""
        return math.log((1 + self.opacity_bias) / (1 - self.opacity_bias))


@dataclass
class DecodedGaussians:
    """M Gaussians. raw: name -> (M, ...) float32 as the decoder gives them; the methods give what is drawn."""
    raw: dict
    representation: Representation
    camera: torch.Tensor | None = None  # (3,) the camera they were made for, world

    def xyz(self):
        """(M, 3) positions, asset frame."""
        return self.raw["_xyz"] - 0.5

    def scaling(self, name="_scaling"):
        """(M, 3) standard deviations; name "_scaling" for the materials, "_scaling_view" for the lit picture."""
        value = self.raw[name] + self.representation.scale_shift
        value = value.exp() if self.representation.scaling_activation == "exp" else F.softplus(value)
        return torch.sqrt(value.square() + self.representation.kernel ** 2)

    def rotation(self):
        """(M, 4) unit quaternions, w first."""
        return F.normalize(self.raw["_rotation"] + self.raw["_rotation"].new_tensor([1.0, 0, 0, 0]))

    def opacity(self):
        """(M, 1). NeAR's lie in (-1, 1) and the negative ones are not drawn; TRELLIS's in (0, 1)."""
        if "_features_dc" in self.raw:
            bias = self.representation.opacity_bias
            return torch.sigmoid(self.raw["_opacity"] + math.log(bias / (1 - bias)))
        return torch.tanh(self.raw["_opacity"] + self.representation.opacity_shift)

    def normal(self, name="_scaling"):
        """(M, 3) unit normals, asset frame: the shortest axis, turned towards the camera (which is compared with
        positions in [0, 1]^3, as the published network was trained)."""
        axis = self.scaling(name).argmin(1)
        turned = rotation_matrix(self.rotation()).gather(2, axis[:, None, None].expand(-1, 3, 1))[:, :, 0]
        away = (turned * (self.camera - self.raw["_xyz"])).sum(1, keepdim=True) < 0
        return torch.where(away, -turned, turned)

    def base_color(self):
        """(M, 3) linear, not negative: the zeroth spherical harmonic around grey 0.5."""
        return (0.28209479177387814 * self.raw["_base_color"][:, 0] + 0.5).clamp(min=0)

    def value(self, name):
        """(M, 1) in (0, 1): "_roughness", "_metallic", "_pbr1", "_shadow", "_hdri1" or "_hdri2"."""
        return self.raw[name].sigmoid()


def rotation_matrix(quaternion):
    """(M, 4), w first, not necessarily of unit length, to (M, 3, 3)."""
    w, x, y, z = F.normalize(quaternion).unbind(1)
    return torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1).unflatten(1, (3, 3))

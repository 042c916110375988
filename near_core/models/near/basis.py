"""The published colour network (NeuralBasis): colour features and a normal to HDR radiance, per Gaussian."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from ...errors import NearError
from . import blocks

NORMAL_FREQUENCIES = 6


class Sine(nn.Module):
    """sin(w0 x) (Sitzmann et al. 2020)."""

    def __init__(self, w0):
        super().__init__()
        self.w0 = w0

    def forward(self, x):
        return torch.sin(self.w0 * x)


class Residual(nn.Module):
    """Two layers whose result is added to their input."""

    def __init__(self, channels, activation):
        super().__init__()
        self.linear1 = blocks.Linear(channels, channels)
        self.linear2 = blocks.Linear(channels, channels)
        self.activation = activation

    def forward(self, x):
        return self.activation(x + self.linear2(self.activation(self.linear1(x))))


class NeuralBasis(nn.Module):
    """A small MLP; `num_frequencies` is accepted and, as in the published code, not used."""

    def __init__(self, input_dim=48, output_dim=4, hidden_dim=64, num_layers=3, activation="sine", w0=30.0,
                 use_residual=False, num_frequencies=NORMAL_FREQUENCIES):
        super().__init__()
        activations = {"sine": lambda: Sine(w0), "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "elu": nn.ELU,
                       "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU, "softplus": nn.Softplus, "sigmoid": nn.Sigmoid,
                       "selu": nn.SELU, "mish": nn.Mish}
        if activation not in activations:
            raise NearError('The network asks for the activation "{activation}".',
                            "Use a checkpoint with one of: {choices}.", activation=activation,
                            choices=", ".join(activations))
        act = activations[activation]
        layers = [blocks.Linear(input_dim + 3 * (2 * NORMAL_FREQUENCIES + 1), hidden_dim), act()]
        for index in range(num_layers - 2):
            if use_residual and index > 0:
                layers.append(Residual(hidden_dim, act()))
            else:
                layers += [blocks.Linear(hidden_dim, hidden_dim), act()]
        self.mlp = nn.Sequential(*layers, blocks.Linear(hidden_dim, output_dim))

    def forward(self, features, normals):
        """features: (M, input_dim); normals: (M, 3), world. Returns (M, output_dim): linear RGB, then values in (0,
        1)."""
        normals = blocks.frequency_encoding(F.normalize(normals, dim=-1), NORMAL_FREQUENCIES)
        out = self.mlp(torch.cat([features, normals], 1)).float()
        return torch.cat([F.elu(out[:, :3], alpha=1e-3), out[:, 3:].sigmoid()], 1)

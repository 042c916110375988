"""Euler steps along a rectified flow, with guidance inside an interval of time (Kynkaanniemi et al. 2024)."""
from dataclasses import dataclass

import numpy as np
import torch

from ...errors import NearError

SIGMA_MIN = 1e-5


@dataclass(frozen=True)
class SamplerSettings:
    """How a latent is sampled; as checkpoints give it."""

    steps: int = 25
    rescale_t: float = 1.0  # above 1, more of the steps lie near the noise
    cfg_strength: float | None = None  # of the guidance; None: no guidance
    cfg_interval: tuple = (0.0, 1.0)  # the times with guidance
    sigma_min: float = SIGMA_MIN  # noise that is left at time 0


@dataclass
class Step:
    """What an Euler step gives."""

    x: torch.Tensor  # sample after the step
    clean: torch.Tensor  # the estimate of the noise-free sample
    time: float  # before the step


def times(settings):
    """The (steps + 1,) float64 times from 1 (noise) to 0."""
    even = np.linspace(1, 0, settings.steps + 1)
    return settings.rescale_t * even / (1 + (settings.rescale_t - 1) * even)


def sample(velocity, noise, settings):
    """Yield a `Step` after each Euler step. velocity(x, t, step, guided) gives the velocity at time t in [0, 1]; guided
    says whether to include guidance. Callers stop early by leaving the loop."""
    x, sigma = noise, settings.sigma_min
    sequence = times(settings).tolist()
    low, high = settings.cfg_interval
    for index, (t, following) in enumerate(zip(sequence, sequence[1:])):
        v = velocity(x, t, index, settings.cfg_strength is not None and low <= t <= high)
        clean = (1 - sigma) * x - (sigma + (1 - sigma) * t) * v
        x = x - (t - following) * v
        yield Step(x, clean, t)


def guided_velocity(model, conditions, empty, strength, mode="stochastic"):
    """Velocity of a model for one or several pictures of the same object, for `sample`.

    model(x, t, condition), t in [0, 1000]. conditions: a list, one for each picture; empty: the condition that stands
    for no picture. mode: "stochastic" looks at the pictures in turn, one each step; "multidiffusion" at all of them in
    every step and averages.
    """
    if mode not in ("stochastic", "multidiffusion"):
        raise NearError('There is no multi-image mode "{mode}".', 'Choose "stochastic" or "multidiffusion".',
                        mode=mode)

    def velocity(x, t, step, guided):
        shown = conditions if mode == "multidiffusion" else [conditions[step % len(conditions)]]
        v = sum(model(x, 1000 * t, condition) for condition in shown) / len(shown)
        return (1 + strength) * v - strength * model(x, 1000 * t, empty) if guided else v

    return velocity

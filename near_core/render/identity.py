"""Which instances a picture's pixels show, and how much of each.

Instances that lie apart on the picture share a channel, so that a few channels tell a crowd apart: a channel's weight
at a pixel belongs to the one of its instances whose box holds the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._kernels import splat

MOST_CHANNELS = 12  # where more instances than these lie over each other, some of them are taken for another one
RANKS = 6  # instances that a pixel tells apart, as many as Cryptomatte's usual levels


@dataclass(frozen=True)
class Identity:
    """channel: of each of I instances, (I,) int. numbers: (H, W, channels) int32, the number of the instance whose
    weight a channel holds at a pixel."""

    channel: np.ndarray
    numbers: np.ndarray

    @property
    def count(self) -> int:
        """How many channels there are."""
        return self.numbers.shape[-1]

    def take(self, instances: Sequence[int]) -> Identity:
        """The same of some of the instances."""
        return Identity(self.channel[list(instances)], self.numbers)

    def append(self, features: np.ndarray, rows: Sequence[slice]) -> np.ndarray:
        """Features (M, C) of discs and behind them what each weighs in the channels, as much as it is shown."""
        weights = np.zeros((len(features), self.count), np.float32)
        for channel, each in zip(self.channel, rows):
            weights[each, channel] = features[each, 0]
        return np.concatenate([features, weights], 1)


def share_channels(projection: splat.Projection, rows: Sequence[slice], called: Sequence[int], width: int, height: int
                   ) -> Identity:
    """Gives every instance a channel. rows: of its discs in the projection onto width x height pixels. called: the
    number that it goes by, from 1."""
    boxes = np.array([_bound(projection, each, width, height) for each in rows])
    channel = np.zeros(len(rows), int)
    for number in range(len(rows)):
        if number and called[number] == called[number - 1]:  # another level of the same instance
            channel[number] = channel[number - 1]
            continue
        left, top, right, bottom = boxes[number]
        earlier = boxes[:number]
        meets = (earlier[:, 0] < right) & (earlier[:, 2] > left) & (earlier[:, 1] < bottom) & (earlier[:, 3] > top)
        taken = np.bincount(channel[:number][meets], minlength=MOST_CHANNELS)
        channel[number] = np.argmin(taken)
    numbers = np.zeros((height, width, int(channel.max(initial=0)) + 1), np.int32)
    for number, (left, top, right, bottom) in enumerate(boxes):
        numbers[top:bottom, left:right, channel[number]] = called[number]
    return Identity(channel, numbers)


def _bound(projection: splat.Projection, rows: slice, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels that discs can reach, the latter two exclusive."""
    drawn = projection.radius[rows] > 0
    if not drawn.any():
        return 0, 0, 0, 0
    mean, radius = projection.mean[rows][drawn], projection.radius[rows][drawn, None] + 2
    low, high = np.floor((mean - radius).min(0)), np.ceil((mean + radius).max(0))
    (left, top), (right, bottom) = np.clip(low, 0, (width, height)), np.clip(high, 0, (width, height))
    return int(left), int(top), int(right), int(bottom)


def rank(weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """RANKS pairs of instance and coverage per pixel, the greatest first, 0 and 0 where there are no more.

    weights: (H, W, C) coverage of the channels. numbers: (H, W, C) as in Identity. Returns (H, W, 2 RANKS) float32.
    """
    order = np.argsort(-weights, -1)[..., :RANKS]
    out = np.zeros((*weights.shape[:2], RANKS, 2), np.float32)
    shown = out[..., :order.shape[-1], :]
    shown[..., 1] = np.take_along_axis(weights, order, -1)
    shown[..., 0] = np.where(shown[..., 1] > 0, np.take_along_axis(numbers, order, -1), 0)
    return out.reshape(*weights.shape[:2], 2 * RANKS)

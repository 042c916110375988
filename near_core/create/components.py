"""Connected pieces of a mask."""

from __future__ import annotations

import numpy as np


def main_pieces(mask: np.ndarray, share: float, weight: np.ndarray | None = None) -> np.ndarray:
    """A mask (H, W) bool without specks: its pieces of at least a share of the weight (H, W) of the heaviest one, or of
    its pixels."""
    pieces = label_pieces(mask)
    sizes = np.bincount(pieces.ravel(), None if weight is None else weight.ravel())
    sizes[0] = 0
    return (sizes >= share * sizes.max())[pieces] & mask


def grown(mask: np.ndarray) -> np.ndarray:
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def label_pieces(mask: np.ndarray) -> np.ndarray:
    """(H, W) int numbers of the 4-connected pieces of a mask, 0 outside of it."""
    height, width = mask.shape
    root = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        before = root
        spread = np.pad(root, 1)
        largest = np.maximum.reduce([spread[1:-1, 1:-1], spread[:-2, 1:-1], spread[2:, 1:-1], spread[1:-1, :-2],
                                     spread[1:-1, 2:]])
        root = np.where(mask, largest, 0)
        root = np.where(mask, root.ravel()[root - 1], 0)  # a jump to the best that the neighbour's best has found
        if (root == before).all():
            return np.unique(root, return_inverse=True)[1].reshape(height, width)

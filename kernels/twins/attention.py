"""What `kernels.attention` computes, in plain numpy and in the dtype of its arguments."""

import numpy as np


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """q: (N, H, D), k and v: (H, T, D). Returns (N, H, D): means of v, weighted by exp(q . k / sqrt(D))."""
    score = np.einsum("nhd,htd->hnt", q, k) / np.sqrt(q.shape[2])
    weight = np.exp(score - score.max(2, keepdims=True))
    return np.einsum("hnt,htd->nhd", weight / weight.sum(2, keepdims=True), v)

"""Plain specification of kernels/corners.py: point by point."""

import numpy as np

APART, TURN, MOST_TURN, SAME_PLANE, RANGE, OFF, FAR = 2, 0.2, 0.08, 0.95, 0.02, 0.5, 8.0


def find(pixel, position, plane, normal, roughness, size, even, width, height, start):
    """corner (K, 4), -1 where a point stands for itself."""
    corner = np.full((len(pixel), 4), -1)

    def stands(i, j):
        way, turn = position[j] - position[i], np.linalg.norm(normal[j] - normal[i])
        close = np.linalg.norm(way) < FAR * size[i] and abs(way @ plane[i]) < OFF * size[i]
        alike = turn < min(TURN * roughness[i] ** 2, MOST_TURN) and abs(roughness[i] - roughness[j]) < RANGE
        return close and alike and plane[i] @ plane[j] > SAME_PLANE

    for i in np.flatnonzero(even):
        x, y = pixel[i] % width, pixel[i] // width
        across, down = (x - start[0]) % APART, (y - start[1]) % APART
        wide, tall = APART * (across > 0), APART * (down > 0)
        x, y = x - across, y - down
        if not (across or down) or min(x, y) < 0 or x + wide >= width or y + tall >= height:
            continue
        found = []
        for right, below in ((0, 0), (wide, 0), (0, tall), (wide, tall)):
            there = np.flatnonzero((pixel == (y + below) * width + x + right) & even)
            found += [j for j in there if stands(i, j)][:1]
        if len(found) == 4:
            corner[i] = found
    return corner


def settle(corner, place, values, most):
    """corner, -1 where values between them differ by `most` or more."""
    seen = values[place[np.maximum(corner, 0)]]
    return np.where((corner[:, :1] >= 0) & ((np.ptp(seen, axis=1) < most).all(1)[:, None]), corner, -1)


def blend(corner, pixel, width, place, values):
    """Values of all points."""
    made = []
    for i, own in enumerate(corner):
        if own[0] < 0:
            made.append(values[place[i]])
            continue
        share = []
        for at in (lambda p: p % width, lambda p: p // width):
            first, last = at(pixel[own[0]]), at(pixel[own[3]])
            share.append((at(pixel[i]) - first) / max(last - first, 1))
        (u, v), (a, b, c, d) = share, values[place[own]]
        made.append((1 - u) * (1 - v) * a + u * (1 - v) * b + (1 - u) * v * c + u * v * d)
    return np.array(made)

"""Plain specification of kernels/smooth.py: every point against every other."""

import numpy as np

TURN, RANGE, OFF, LEAST = 0.35, 0.05, 2.0, 0.02


def smooth(values, pixel, position, plane, normal, roughness, size, width, lead=None, reach=3):
    """(K, C): means by how much of a lobe normals differ by, and by roughness, over points of one plane; of
    each point's lead."""
    out, alpha = values.astype(np.float64), roughness.astype(np.float64) ** 2
    row, column = pixel // width, pixel % width
    for i in np.flatnonzero(alpha >= LEAST):
        near = (np.abs(row - row[i]) <= reach) & (np.abs(column - column[i]) <= reach)
        near &= np.abs((position - position[i]) @ plane[i]) < OFF * size[i]
        power = -0.5 * ((normal - normal[i]) ** 2).sum(1) / (TURN * alpha[i]) ** 2
        power -= 0.5 * ((roughness - roughness[i]) / RANGE) ** 2
        weight = np.where(near & (power > -8), np.exp(power), 0)
        weight[i] = 1
        out[i] = weight @ values / weight.sum()
    return out if lead is None else out[lead]

"""Plain specification of kernels/skin.py."""

import numpy as np

TAPS, FARTHEST = 4, 1e6


def unit(v):
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-20)


def dot(a, b):
    return (a * b).sum(-1)


def turn_towards(side, normal):
    """Normals (K, 3) on the side that others (K, 3) are on."""
    return np.where(dot(normal, side)[:, None] < 0, -normal, normal)


def wrap_around(texel, size, mode):
    if mode == "clamp":
        return np.clip(texel, 0, size - 1)
    if mode == "mirror":
        texel = texel % (2 * size)
        return np.minimum(texel, 2 * size - 1 - texel)
    return texel % size


def look_up(levels, wrap, uv, area, stretch):
    """(K, C): bilinear in the level that a pixel of so much UV falls on, in the mean of a place for each texel along
    stretch, TAPS at most."""
    rows, columns = levels[0].shape[:2]
    level = np.clip(np.rint(0.5 * np.log2(np.maximum(area * rows * columns, 1e-6))), 0, len(levels) - 1).astype(int)
    out = np.zeros((len(uv), levels[0].shape[2]))
    for i, values in enumerate(levels[k] for k in level):
        height, width, _ = values.shape
        count = int(np.clip(np.ceil(np.abs(np.nan_to_num(stretch[i]) * [width, height]).max()), 1, TAPS))
        taps = (np.arange(count) + 0.5) / count - 0.5
        for u, v in np.clip(np.nan_to_num(uv[i] + taps[:, None] * stretch[i]), -FARTHEST, FARTHEST):
            x, y = u * width - 0.5, (1 - v) * height - 0.5
            for down, across in np.ndindex(2, 2):
                row, column = int(np.floor(y)) + down, int(np.floor(x)) + across
                share = (1 - abs(row - y)) * (1 - abs(column - x)) / len(taps)
                out[i] += share * values[wrap_around(row, height, wrap[1]), wrap_around(column, width, wrap[0])]
    return out


def bend(normal, tangents, turned, values, scale, averaged):
    """Normals (K, 3) bent by a normal map's values (K, 3); the length says how much they differ. averaged: whether the
    values are means of several: between two texels of a map that is seen large, nothing differs."""
    length = np.where(averaged, np.minimum(np.linalg.norm(values, axis=1), 1), 1) * np.linalg.norm(normal, axis=1)
    outward = normal * turned[:, None]
    frame = unit(tangents - outward[:, None] * (tangents @ outward[..., None]))
    bent = scale * np.einsum("kij,ki->kj", frame, values[:, :2]) + outward * values[:, 2:]
    return unit(bent) * (turned * length)[:, None]


def lift_reflections(surface, normal, view):
    """Shading normals (K, 3) turned towards the surface's own, as far as a mirror's reflection needs to stay above it.
    Source: Cycles, ensure_valid_specular_reflection."""
    z = np.maximum(dot(view, surface), 1e-4)
    least = np.minimum(0.9 * z, 0.01)
    tilt = unit(normal - dot(normal, surface)[:, None] * surface)
    x = dot(view, tilt)
    a = np.maximum(x * x + z * z, 1e-8)
    b, c = 2 * (a + z * least), (least + z) ** 2
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    square = np.clip(0.25 * np.where(x < 0, b + root, b - root) / a, 0, 1)[:, None]
    low = 2 * dot(normal, view) * dot(normal, surface) - z < least
    return np.where(low[:, None], np.sqrt(1 - square) * tilt + np.sqrt(square) * surface, normal)


def describe(triangles, row, position, normal, uv, color, pixel, eye, footprint=0.3, oblique=0.7, least=0.1, spread=1):
    """normal, shading_normal, base_color (K, 3), roughness, metallic, opacity (K,)."""
    plane, view = triangles.plane[row], unit(eye[:3] - eye[3] * position)
    facing = dot(plane, view)
    turned = np.where(facing < 0, -1, 1)
    area, steep = footprint * triangles.density[row] * pixel ** 2, np.maximum(np.abs(facing), least)
    reach = np.where(steep < oblique, pixel / steep, 0)[:, None] * unit(view - facing[:, None] * plane)
    stretch = np.einsum("kij,kj->ki", triangles.slope[row], reach)
    rgba, bent = color.astype(np.float64), normal.astype(np.float64)
    rgba[:, :3] *= rgba[:, 3:]
    roughness, metallic = np.empty((2, len(row)))
    for kind, material in enumerate(triangles.materials):
        at = np.flatnonzero(triangles.kind[row] == kind)
        found = [np.ones((len(at), 4)) if levels is None else
                 look_up(levels, material.wrap, uv[at], area[at], stretch[at]) for levels in material.maps]
        rgba[at] *= np.append(np.multiply(material.color[:3], material.color[3]), material.color[3]) * found[0]
        roughness[at], metallic[at] = material.roughness * found[1][:, 0], material.metallic * found[2][:, 0]
        if material.maps[3] is not None:
            averaged = area[at] * np.prod(material.maps[3][0].shape[:2]) > 2
            bent[at] = bend(normal[at], triangles.tangents[row[at]], turned[at], found[3], material.normal_scale,
                            averaged)
    length, facing_plane = np.linalg.norm(bent, axis=1), plane * turned[:, None]
    wide = spread * np.minimum((1 - length) / np.maximum(length, 0.1), 0.2)  # Toksvig 2005
    return (facing_plane, lift_reflections(facing_plane, bent / np.maximum(length, 1e-6)[:, None], view),
            rgba[:, :3] / np.maximum(rgba[:, 3:], 1e-6), np.clip(roughness ** 4 + wide, 0, 1) ** 0.25, metallic,
            np.clip(rgba[:, 3], 0, 1))


def find_feet(vertices, faces, plane, smooth, row, position, normal):
    """Places, normals of triangles and of the smooth surface, the way up to it, (K, 3) each."""
    corners = vertices[faces[row]].astype(np.float64)
    first, edge1, edge2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = position - first
    # shares of the corners, as of the point of the plane that is nearest, then inside the triangle
    d11, d12, d22, d1, d2 = (dot(a, b) for a, b in (
        (edge1, edge1), (edge1, edge2), (edge2, edge2), (away, edge1), (away, edge2)))
    over = 1 / np.maximum(d11 * d22 - d12 * d12, 1e-30)
    v, w = (d22 * d1 - d12 * d2) * over, (d11 * d2 - d12 * d1) * over
    share = np.maximum([1 - v - w, v, w], 0)
    share = (share / np.maximum(share.sum(0), 1e-30)).T
    foot, rise = np.einsum("ki,kic->kc", share, corners), np.zeros_like(first)
    for corner in range(3 if smooth is not None else 0):
        round_normal = turn_towards(normal, smooth[faces[row, corner]])
        below = np.minimum(dot(foot - corners[:, corner], round_normal), 0)
        rise -= (share[:, corner] * below)[:, None] * round_normal
    return foot, turn_towards(normal, plane[row]), unit(normal), rise


def leave(foot, normal, rise, row, direction, above, grazing):
    """Where rays begin, (R, 3), and which of them their own triangle does not block, (R,)."""
    cosine = dot(normal[row], direction)
    risen = rise[row] * np.clip(1 - cosine / grazing, 0, 1)[:, None]
    return foot[row] + above[:, None] * normal[row] + risen, (cosine > 0) | (dot(risen, risen) > above ** 2)

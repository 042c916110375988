"""Plain specification of kernels/triangles.py: every sample against every triangle."""

import numpy as np

SAME_NORMAL, SAME_PLANE, SAME_PLACE = 0.9, 2.0, 0.02


def find_shares(vertices, faces, pose, intrinsics, x, y, orthographic=False):
    """Shares of the corners (F, 3) at a point of the picture, nan outside of a triangle; and depths (F,)."""
    point = vertices.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    w = np.ones(len(point)) if orthographic else point[:, 2]
    flat = np.stack([intrinsics[0, 0] * point[:, 0] + intrinsics[0, 2] * w,
                     intrinsics[1, 1] * point[:, 1] + intrinsics[1, 2] * w, w], 1)[faces]  # (F, 3, 3)
    edge = np.cross(flat[:, [1, 2, 0]], flat[:, [2, 0, 1]])
    edge = edge * np.sign((flat[:, 0] * edge[:, 0]).sum(1))[:, None, None]
    share = edge @ np.array([x, y, 1.0])
    total = share.sum(1)
    outside = (share < 0).any(1) | ~(total > 0)
    share = np.where(outside[:, None], np.nan, share / np.where(outside, 1, total)[:, None])
    return share, (share * point[faces, 2]).sum(1)


def cover(width, height, offset, vertices, faces, pose, intrinsics, near=0.01, far=1e10, orthographic=False,
          before=None):
    """face (H, W, S) and depth (H, W, S): the nearest triangle, the first of those in one place. before: (face, depth)
    behind which it has to lie."""
    face = np.full((height, width, len(offset)), -1)
    depth = np.full(face.shape, np.inf)
    for row, column, s in np.ndindex(face.shape):
        x, y = column + 0.5 + offset[s, 0], row + 0.5 + offset[s, 1]
        z = find_shares(vertices, faces, pose, intrinsics, x, y, orthographic)[1].astype(np.float32)
        meets = (z >= near) & (z <= far)
        if before is not None:
            number, least = before[0][row, column, s], before[1][row, column, s]
            meets &= (z > least) | ((z == least) & (np.arange(len(z)) > number))
            meets &= number != -2
        if meets.any():
            face[row, column, s] = np.argmin(np.where(meets, z, np.inf))
            depth[row, column, s] = z[face[row, column, s]]
    return face, depth


def resolve(points, features, opacity, weight, through, image, alpha):
    """Adds points to image (H, W, C) and alpha (H, W), sample by sample and pixel by pixel."""
    height, width, _ = points.owner.shape
    reach = weight.shape[1] // 2
    for row, column, s in np.ndindex(points.owner.shape):
        owner = points.owner[row, column, s]
        if owner < 0:
            continue
        for y, x in np.ndindex(weight.shape[1:]):
            down, across = row + y - reach, column + x - reach
            if 0 <= down < height and 0 <= across < width:
                share = weight[s, y, x] * through[row, column, s] * opacity[owner]
                image[down, across] += share * features[owner]
                alpha[down, across] += share


def find_points(face, offset, vertices, faces, pose, intrinsics, eye, pixel_size, normal=None, uv=None, material=None):
    """The points of one pixel after the other as dicts: pixel, row, weight, position, normal, uv, depth."""
    made = []
    corners = vertices[faces].astype(np.float64)
    plane = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    for row, column in np.ndindex(face.shape[:2]):
        faces_seen = {}
        for s, number in enumerate(face[row, column]):
            if number < 0:
                continue
            share, z = find_shares(vertices, faces[number:number + 1], pose, intrinsics,
                                   column + 0.5 + offset[s, 0], row + 0.5 + offset[s, 1])
            position = share[0] @ corners[number]
            flat = plane[number] * (-1 if plane[number] @ (eye[:3] - eye[3] * position) < 0 else 1)
            smooth = flat if normal is None else share[0] @ normal[faces[number]]
            smooth = smooth / np.linalg.norm(smooth) * (-1 if smooth @ flat < 0 else 1)
            place = np.zeros(2) if uv is None else share[0] @ uv[faces[number]]
            faces_seen.setdefault(number, []).append(
                {"row": number, "position": position, "normal": smooth, "uv": place, "depth": z[0]})
        groups = []
        for number, shown in faces_seen.items():  # the samples of a face stay together: the first speaks for them
            for group in groups:
                first, other = group[0], shown[0]
                alike = first["normal"] @ other["normal"] > SAME_NORMAL
                apart = abs(first["normal"] @ (other["position"] - first["position"]))
                close = apart < SAME_PLANE * pixel_size * other["depth"]
                kind = material is None or material[first["row"]] == material[number]
                beside = (np.abs(other["uv"] - first["uv"]) < SAME_PLACE).all()
                if alike and close and kind and beside:
                    group += shown
                    break
            else:
                groups.append(shown)
        for group in groups:
            first = group[0]
            mean = {name: np.mean([each[name] for each in group], 0) for name in ("position", "normal", "uv", "depth")}
            made.append({"pixel": row * face.shape[1] + column, "row": first["row"],
                         "weight": len(group) / len(offset), **mean})
    return made

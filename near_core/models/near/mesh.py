"""TRELLIS's mesh decoder and dual marching cubes, only to prove equality with the reference: the product needs no mesh
of a latent."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import blocks, sparse
from .vae import SparseTransformer


class Subdivision(nn.Module):
    """Every voxel into eight, with two convolutions at the finer level."""

    def __init__(self, channels, out_channels):
        super().__init__()
        self.act_layers = nn.ModuleList([sparse.SparseGroupNorm(32, channels)])
        self.out_layers = nn.ModuleDict({
            "0": sparse.Convolution(channels, out_channels), "1": sparse.SparseGroupNorm(32, out_channels),
            "3": sparse.Convolution(out_channels, out_channels)})
        self.skip_connection = (nn.Identity() if channels == out_channels
                                else sparse.Convolution(channels, out_channels, 1))

    def forward(self, coords, x):
        """coords: (N, 4); x: (N, C). Returns the coords (8 N, 4) and features (8 N, C') of the finer voxels."""
        h = F.silu(self.act_layers[0](x, sparse.lengths(coords)))
        fine, h = sparse.subdivide(coords, h)
        x = sparse.subdivide(coords, x)[1]
        pairs, rows = sparse.neighbours(fine, 3), sparse.lengths(fine)
        h = F.silu(self.out_layers["1"](self.out_layers["0"](h, fine, pairs), rows))
        if not isinstance(self.skip_connection, nn.Identity):
            x = self.skip_connection(x, fine)
        return fine, self.out_layers["3"](h, fine, pairs).float() + x


class SLatMeshDecoder(SparseTransformer):
    """Latent to the signed distances, deformations, weights and colours of cubes four times finer."""

    def __init__(self, resolution, model_channels, latent_channels, num_blocks, representation_config, **options):
        super().__init__(latent_channels, model_channels, num_blocks, **options)
        outputs = 101 if representation_config.get("use_color", False) else 53
        self.upsample = nn.ModuleList([Subdivision(model_channels, model_channels // 4),
                                       Subdivision(model_channels // 4, model_channels // 8)])
        self.out_layer = blocks.Linear(model_channels // 8, outputs)

    def forward(self, coords, feats):
        """Returns coords (64 N, 4) and features (64 N, 53 or 101)."""
        x = self.features(coords, feats)
        for stage in self.upsample:
            coords, x = stage(coords, x)
        return coords, self.out_layer(x)


# Corners count x fastest; the edges are in the order of the 12 weights, each from the corner named first.
CORNERS = torch.tensor([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
EDGES = torch.tensor([[0, 1], [1, 5], [4, 5], [0, 4], [2, 3], [3, 7], [6, 7], [2, 6], [2, 0], [3, 1], [7, 5], [6, 4]])
FACES = torch.tensor([[0, 2, 6, 4], [1, 3, 7, 5], [0, 1, 5, 4], [2, 3, 7, 6], [0, 1, 3, 2], [4, 5, 7, 6]])  # cyclic
OUTWARD = torch.tensor([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])


def patch_tables():
    """How the surface passes through a cube, for each of the 256 sign patterns (bit i: corner i inside).

    Returns the patch (256, 12) that each edge belongs to, -1 where it is not crossed; the number of patches (256,); and
    the face (256,) over which the pattern can meet a like one in an edge of four patches, -1 for none (Nielson 2004,
    "Dual Marching Cubes"; such pairs are drawn as their complements).
    """
    edge_of = {frozenset(edge): index for index, edge in enumerate(EDGES.tolist())}
    patches = torch.full((256, 12), -1)
    trouble = torch.full((256,), -1)
    for case in range(256):
        inside = [case >> corner & 1 for corner in range(8)]
        owner = {index: index for index, (a, b) in enumerate(EDGES.tolist()) if inside[a] != inside[b]}
        ambiguous = []
        for face, corners in enumerate(FACES.tolist()):
            edges = [edge_of[frozenset((corners[i], corners[(i + 1) % 4]))] for i in range(4)]
            crossed = [edge for edge in edges if edge in owner]
            if len(crossed) == 4:  # cut off each inside corner: join the two edges that meet there
                ambiguous.append((face, edges))
                first = next(i for i in range(4) if inside[corners[i]])
                pairs = [(edges[first - 1], edges[first]), (edges[first - 3], edges[first - 2])]
            else:
                pairs = [crossed] if crossed else []
            for a, b in pairs:
                owner = {edge: owner[a] if root == owner[b] else root for edge, root in owner.items()}
        roots = sorted(set(owner.values()))
        for edge, root in owner.items():
            patches[case, edge] = roots.index(root)
        for face, edges in ambiguous:
            if len({owner[edge] for edge in edges}) == 1:
                trouble[case] = face
    return patches, patches.amax(1) + 1, trouble


def extract(coords, feats, resolution, use_color):
    """FlexiCubes (Shen et al. 2023): sparse cube features to a mesh by dual marching cubes with learned placement.

    coords: (N, 3) cubes of the resolution^3 grid; feats: (N, 53 or 101): 8 signed distances, 8 deformations, 12 + 8 + 1
    weights, 8 colours and normals. Returns vertices (V, 3), faces (F, 3), attributes (V, 6) or None.
    """
    distance, position, color, weights = _grid(coords, feats, resolution, use_color)
    patches, counts, trouble = patch_tables()
    case = _cases(distance, trouble, resolution)  # (R, R, R)
    cube = torch.nonzero(counts[case] > 0)  # (S, 3), in order of x, y, z
    case = case[tuple(cube.T)]
    patch = patches[case]  # (S, 12)
    first = counts[case].cumsum(0) - counts[case]  # the cube's first vertex
    edge_ends = (cube[:, None] + CORNERS)[:, EDGES]  # (S, 12, 2, 3), grid vertices
    ends = tuple(edge_ends.unbind(-1))
    weight = weights[tuple(cube.T)]  # (S, 21)
    beta, alpha = 1 + 0.99 * weight[:, :12].tanh(), 1 + 0.99 * weight[:, 12:20].tanh()
    gamma = 0.99 * weight[:, 20].sigmoid() + 0.005
    signed = distance[ends] * alpha[:, EDGES]  # (S, 12, 2)
    values = torch.cat([position[ends]] + ([color[ends]] if use_color else []), -1)  # (S, 12, 2, 3 or 9)
    crossing = ((values[:, :, 0] * signed[:, :, 1:] - values[:, :, 1] * signed[:, :, :1])
                / (signed[:, :, 1:] - signed[:, :, :1]))
    used = patch >= 0
    vertex = (first[:, None] + patch)[used]
    total = int(counts[case].sum())
    share = torch.zeros(total).index_add_(0, vertex, beta[used])
    merged = torch.zeros(total, values.shape[-1]).index_add_(0, vertex, beta[used][:, None] * crossing[used])
    merged = merged / share[:, None]
    owner = torch.arange(len(cube))[:, None].expand(-1, 12)[used]
    faces = _faces(edge_ends[used], distance, vertex, gamma[owner], resolution)
    return merged[:, :3], faces, merged[:, 3:] if use_color else None


def _grid(coords, feats, resolution, use_color):
    """Corner values averaged over the cubes that share them, on the dense grid; absent corners are outside (1)."""
    sizes = [8, 24, 21] + ([48] if use_color else [])
    distance, deform, weight, *color = feats.float().split(sizes, 1)
    corner = (coords.long()[:, None] + CORNERS).flatten(0, 1)  # (8 N, 3)
    side = resolution + 1
    flat = (corner[:, 0] * side + corner[:, 1]) * side + corner[:, 2]
    values = torch.cat([(distance - 1 / resolution).unflatten(1, (8, 1)), deform.unflatten(1, (8, 3))]
                       + [each.unflatten(1, (8, 6)) for each in color], 2).flatten(0, 1)
    count = torch.bincount(flat, minlength=side ** 3)
    mean = torch.zeros(side ** 3, values.shape[1]).index_add_(0, flat, values) / count.clamp(min=1)[:, None]
    mean[count == 0, 0] = 1
    mean = mean.unflatten(0, (side,) * 3)
    place = torch.stack(torch.meshgrid(*[torch.arange(side)] * 3, indexing="ij"), -1) / resolution - 0.5
    place = place + (1 - 1e-8) / (2 * resolution) * mean[..., 1:4].tanh()
    weights = torch.zeros((resolution,) * 3 + (21,))
    weights[tuple(coords.long().T)] = weight
    return mean[..., 0], place, mean[..., 4:].sigmoid(), weights


def _cases(distance, trouble, resolution):
    """The sign pattern of every cube; troublesome neighbours are replaced by their complements."""
    corner = [distance[x:x + resolution, y:y + resolution, z:z + resolution] for x, y, z in CORNERS.tolist()]
    case = sum((value < 0).long() << bit for bit, value in enumerate(corner))
    cube = torch.nonzero(trouble[case] >= 0)
    other = cube + OUTWARD[trouble[case[tuple(cube.T)]]]
    inside = ((other >= 0) & (other < resolution)).all(1)
    cube, other = cube[inside], other[inside]
    both = trouble[case[tuple(other.T)]] >= 0
    result = case.clone()
    result[tuple(cube[both].T)] = 255 - case[tuple(cube[both].T)]
    return result


def _faces(edge_ends, distance, vertex, gamma, resolution):
    """Two triangles for each crossed grid edge that four cubes share, split along the diagonal of the larger
    weights."""
    side = resolution + 1
    ends = (edge_ends[..., 0] * side + edge_ends[..., 1]) * side + edge_ends[..., 2]  # (K, 2)
    order = torch.argsort(ends[:, 0] * side ** 3 + ends[:, 1], stable=True)  # cubes stay in ascending order
    _, group, count = torch.unique_consecutive(ends[order], dim=0, return_inverse=True, return_counts=True)
    quad = order[count[group] == 4].view(-1, 4)
    positive = distance.flatten()[ends[quad[:, 0], 0]] > 0
    quad = torch.where(positive[:, None], quad[:, [0, 1, 3, 2]], quad[:, [2, 3, 1, 0]])
    along = gamma[quad[:, 0]] * gamma[quad[:, 2]] > gamma[quad[:, 1]] * gamma[quad[:, 3]]
    split = torch.where(along[:, None], torch.tensor([0, 1, 2, 0, 2, 3]), torch.tensor([0, 1, 3, 3, 1, 2]))
    return vertex[quad].gather(1, split).view(-1, 3)

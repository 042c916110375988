"""Operations on sparse voxel grids. coords: (N, 4) int, rows [batch, x, y, z], contiguous per batch item but in no
order inside one; features: (N, C); row i of a result belongs to row i of the input unless a function says otherwise."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import blocks

ROWS_AT_ONCE = 1 << 14  # bounds what a convolution gathers at once

try:  # official GPU kernels, used when they are there; the gather-GEMM below gives the same numbers everywhere
    import spconv.pytorch as spconv
except ImportError:
    spconv = None


def keys(coords):
    """One sortable int64 per row, in the lexicographic order of [batch, x, y, z]. Coordinates >= -1."""
    batch, x, y, z = (coords.long() + 1).unbind(1)
    return ((batch << 12 | x) << 12 | y) << 12 | z


def lengths(coords):
    """Rows of each batch item, as a list of ints."""
    return torch.bincount(coords[:, 0].long()).tolist()


def windows(coords, size, shift):
    """Sets of voxels that share a window of a grid of windows moved by -shift; see `blocks.partition`."""
    window = torch.cat([coords[:, :1], (coords[:, 1:] + shift) // size], 1)
    return blocks.partition(keys(window))


def items(coords):
    """Sets of all voxels of a batch item; see `blocks.partition`."""
    return blocks.partition(coords[:, 0])


def downsample(coords, features, factor=2):
    """Pool cells of factor^3 voxels: the sum divided by (count + 1), which is what the networks were trained with.
    Returns coords (M, 4) sorted, features (M, C), and for every input row the row of its parent (N,)."""
    parent = torch.cat([coords[:, :1], coords[:, 1:] // factor], 1)
    cells, row = torch.unique(keys(parent), return_inverse=True)
    small = coords.new_zeros(len(cells), 4)
    small[row] = parent
    total = features.new_zeros(len(cells), features.shape[1]).index_add_(0, row, features)
    return small, total / (torch.bincount(row)[:, None] + 1).to(features.dtype), row


def subdivide(coords, features):
    """Every voxel into its eight children, z fastest, parents outermost. Returns coords (8N, 4), features (8N, C)."""
    corner = torch.cartesian_prod(*[torch.arange(2, device=coords.device)] * 3).to(coords.dtype)  # (8, 3)
    child = torch.cat([coords[:, None, :1].expand(-1, 8, -1), coords[:, None, 1:] * 2 + corner], 2)
    return child.flatten(0, 1), features.repeat_interleave(8, 0)


def neighbours(coords, kernel):
    """Pairs of rows that meet in a convolution. Returns, for each of kernel^3 offsets (z fastest), the output rows and
    the input rows that lie at that offset from them, int64 each."""
    known, order = torch.sort(keys(coords))
    reach = torch.arange(kernel, device=coords.device) - kernel // 2
    pairs = []
    for offset in torch.cartesian_prod(reach, reach, reach):
        wanted = keys(torch.cat([coords[:, :1], coords[:, 1:] + offset], 1).clamp(min=-1))
        found = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
        output = torch.nonzero(known[found] == wanted)[:, 0]
        pairs.append((output, order[found[output]]))
    return pairs


class Convolution(nn.Module):
    """Submanifold convolution: out(p) = bias + sum_k W_k in(p + k), only at and from occupied voxels."""

    def __init__(self, channels, out_channels, kernel=3):
        super().__init__()
        self.conv = nn.Module()
        self.conv.weight = nn.Parameter(torch.zeros(out_channels, kernel, kernel, kernel, channels))
        self.conv.bias = nn.Parameter(torch.zeros(out_channels))

    @property
    def kernel(self):
        """Voxels along an edge of the kernel."""
        return self.conv.weight.shape[1]

    def forward(self, x, coords, pairs=None):
        """x: (N, C); pairs: `neighbours(coords, kernel)` where the caller has them. Returns (N, out_channels)."""
        weight, bias = self.conv.weight, self.conv.bias
        x = x.to(weight.dtype)
        if self.kernel == 1:
            return F.linear(x, weight[:, 0, 0, 0], bias)
        if spconv and x.is_cuda:
            return self._spconv(x, coords)
        out = bias.repeat(len(x), 1)
        for tap, (output, source) in zip(weight.flatten(1, 3).unbind(1), pairs or neighbours(coords, self.kernel)):
            for rows, sources in zip(output.split(ROWS_AT_ONCE), source.split(ROWS_AT_ONCE)):
                out.index_add_(0, rows, x[sources] @ tap.T)
        return out

    def _spconv(self, x, coords):
        """The same with the spconv package on a CUDA device."""
        weight = self.conv.weight
        layer = spconv.SubMConv3d(weight.shape[-1], weight.shape[0], self.kernel, device="meta")
        layer.weight, layer.bias = weight, self.conv.bias
        shape = (coords[:, 1:].amax(0) + 1).tolist()
        grid = spconv.SparseConvTensor(x, coords.int().contiguous(), shape, int(coords[-1, 0]) + 1)
        return layer(grid).features


class SparseGroupNorm(nn.GroupNorm):
    """Group norm of each batch item over all its voxels and the channels of a group, in float32."""

    def forward(self, x, rows):
        """x: (N, C); rows: `lengths(coords)`."""
        weight, bias = self.weight.float(), self.bias.float()
        return torch.cat([F.group_norm(item.float().T[None], self.num_groups, weight, bias, self.eps)[0].T
                          for item in x.split(rows)])

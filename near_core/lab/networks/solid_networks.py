"""near-mini's solid: the maps of a photo or several -> what of the 64^3 grid is inside.

A cell of the grid looks up the features where it falls in each photo, so the network generalises by what it sees rather
than by which object it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.mini.layout import COARSE, LAYERS, PICTURE, TRUNK, SurfacePlane

LOCAL = 6  # what a voxel knows of the layers: below the front, below the back, alpha; and at its mirror image
AGREED = 3  # the first three of them, as far as photos differ


def look_up(maps: Tensor, uv: Tensor, mode: str = "bilinear") -> Tensor:
    """maps (B, C, h, w) at uv (B, P, 2) in [-1, 1], (-1, -1) the top left corner -> (B, P, C); 0 outside."""
    found = F.grid_sample(maps, uv[:, None], mode=mode, padding_mode="zeros", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


class ResBlock3d(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))). (B, inside, R, R, R) -> (B, out, R, R, R)."""

    def __init__(self, inside: int, out: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, inside)
        self.conv1 = nn.Conv3d(inside, out, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, out)
        self.conv2 = nn.Conv3d(out, out, 3, padding=1)
        self.skip = nn.Conv3d(inside, out, 1) if inside != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(y)))


class Overview(nn.Module):
    """A U-Net over a picture's maps: every pixel hears of all others. (B, inside, H, W) -> (B, out, H, W), 0 at
    first."""

    def __init__(self, inside: int, out: int, widths: tuple[int, ...] = (48, 64, 96, 128)):
        super().__init__()

        def twice(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.SiLU(),
                                 nn.Conv2d(after, after, 3, padding=1), nn.SiLU())

        self.enter = nn.Conv2d(inside, widths[0], 1)
        self.down = nn.ModuleList(twice(a, b) for a, b in zip(widths[:1] + widths, widths))
        self.up = nn.ModuleList(twice(a + b, a) for a, b in zip(widths, widths[1:]))
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.leave = nn.Conv2d(widths[0], out, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        x, kept = self.enter(x), []
        for level, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if level else x)
            kept.append(x)
        x = x + self.whole(x.mean((2, 3)))[:, :, None, None]
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([kept[level], F.interpolate(x, scale_factor=2)], 1))
        return self.leave(x)


class Structure(nn.Module):
    """What of the 64^3 grid lies inside an object, from one photo of it or several: from each photo's layers, looked up
    along its rays, and from those looked up at the mirror image in the plane x = 0, since most things are alike on both
    sides. Of several photos each cell takes the mean, weighted by how far each is to be trusted there.

    image: (B N, PICTURE, S, S), N photos of each of B objects, one object's after the other's. layers: (B N, LAYERS, S,
    S) and trunk: (B N, TRUNK, S/2, S/2) of Intrinsics. surface: (B N, SURFACE, S, S).
    uv: (B N, 2, 64^3, 2) where each voxel's centre and its mirror image fall in the crop, in [-1, 1]. depth: (B N, 2,
    64^3) theirs. towards: (B N, 3) unit, from the origin to the camera. objects: B.
    Returns logits (B, 64, 64, 64).
    """

    def __init__(self, width: int = 24, channels: int = 20):
        super().__init__()
        w, inside = width, 2 * channels + 2 * LOCAL + 6
        self.narrow = nn.Conv2d(TRUNK, channels, 1)
        self.overview = Overview(TRUNK + LAYERS + PICTURE, channels)
        self.enter = nn.Conv3d(inside, w, 1)
        self.trust = nn.Conv3d(inside, w, 1, bias=False)  # logits of how much each photo counts, feature by feature
        self.agree = nn.Conv3d(2 * AGREED + 1, w, 1)
        self.down1, self.down2, self.down3 = ResBlock3d(w, w), ResBlock3d(w, 2 * w), ResBlock3d(2 * w, 4 * w)
        self.middle = nn.Sequential(ResBlock3d(4 * w, 4 * w), ResBlock3d(4 * w, 4 * w))
        self.up3, self.up2 = ResBlock3d(8 * w, 2 * w), ResBlock3d(4 * w, w)
        self.up1 = ResBlock3d(2 * w, w)
        self.split = nn.Conv3d(w, 8 * 8, 1)  # eight features for each of a cell's eight children
        self.fine = nn.Sequential(nn.Conv3d(8 + LOCAL, 24, 1), nn.ReLU(), nn.Conv3d(24, 1, 1))
        self.fine_agree = nn.Conv3d(AGREED, 24, 1, bias=False)
        for layer in (self.trust, self.agree, self.fine_agree):  # what several photos add begins with nothing
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        axis = (torch.arange(COARSE, dtype=torch.float32) + 0.5) / COARSE - 0.5
        place = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))[None]
        self.register_buffer("place", place, persistent=False)

    def forward(self, image: Tensor, layers: Tensor, trunk: Tensor, surface: Tensor, uv: Tensor, depth: Tensor,
                towards: Tensor, objects: int = 1) -> Tensor:
        return join_cells(self.predict(join_maps(image, layers, trunk), surface, uv, depth, towards, objects))

    def predict(self, maps: Tensor, surface: Tensor, uv: Tensor, depth: Tensor, towards: Tensor, objects: int,
                cells: Tensor | None = None) -> Tensor:
        """The logits of all cells (B, 8, 32^3), as split_cells has them, or of some alone (B, 8, K), whose numbers are
        cells (B, K). maps: join_maps of a photo, the rest as in the class."""
        local = self.look_up_surface(surface, uv, depth)
        each = local.unflatten(0, (objects, -1))  # (B, N, LOCAL, ...)
        agreed = compare_photos(each)
        x = self.join_photos(torch.cat([
            self.look_up_maps(maps, uv), pool(local), self.place.expand(uv.shape[0], -1, -1, -1, -1),
            towards[:, :, None, None, None].expand(-1, -1, *self.place.shape[2:])], 1), agreed, objects)
        return self.refine(self.think(x), each.mean(1), agreed, cells)

    def join_photos(self, x: Tensor, agreed: Tensor, objects: int) -> Tensor:
        """(B N, C, 32, 32, 32), what each photo says, and agreed (B, AGREED, 64, 64, 64) -> (B, W, 32, 32, 32)."""
        of_object = lambda x: x.unflatten(0, (objects, -1))  # (B, N, ...)
        both = torch.cat([self.enter.weight, self.trust.weight])
        said, trusted = F.conv3d(x.contiguous(memory_format=torch.channels_last_3d), both).chunk(2, 1)
        mean = (of_object(said) * of_object(trusted).softmax(1)).sum(1) + self.enter.bias[:, None, None, None]
        share = 1 - 1 / of_object(torch.ones_like(x[:, :1, 0, 0, 0])).sum(1)  # 0 for one photo, towards 1 for many
        several = share[:, :, None, None, None].expand(-1, -1, *self.place.shape[2:])
        return mean + self.agree(torch.cat([pool(agreed), several], 1))

    def refine(self, x: Tensor, local: Tensor, agreed: Tensor, cells: Tensor | None) -> Tensor:
        """The logits of cells' children, by x (B, W, 32, 32, 32) and what is looked up for each child."""
        x, local, agreed = x.flatten(2), split_cells(local), split_cells(agreed)
        if cells is not None:
            x = x.gather(2, cells[:, None].expand(-1, x.shape[1], -1))
            local, agreed = (each.gather(3, cells[:, None, None].expand(-1, each.shape[1], 8, -1))
                             for each in (local, agreed))
        children = self.split(x[..., None, None]).reshape(x.shape[0], 8, 8, -1, 1)
        enter, activate, leave = self.fine
        hidden = enter(torch.cat([children, local[..., None].to(children.dtype)], 1))
        return leave(activate(hidden + self.fine_agree(agreed[..., None])))[:, 0, :, :, 0]

    def look_up_surface(self, surface: Tensor, uv: Tensor, depth: Tensor) -> Tensor:
        """(B N, LOCAL, 64, 64, 64)."""
        local = []
        for side in (0, 1):
            found = look_up(surface, uv[:, side], "nearest")  # (B N, 64^3, 3)
            front, back, alpha = (found[..., p] for p in (SurfacePlane.FRONT, SurfacePlane.BACK, SurfacePlane.ALPHA))
            below = lambda z, d=depth[:, side], a=alpha: ((d - z) * 10).clamp(-1, 1) * a
            local += [below(front), below(back), alpha]
        return torch.stack(local, 1).unflatten(2, (2 * COARSE,) * 3)

    def look_up_maps(self, maps: Tensor, uv: Tensor) -> Tensor:
        """(B N, 2 channels, 32, 32, 32)."""
        maps = self.narrow(maps[:, -TRUNK:]) + self.overview(maps)
        cells = F.avg_pool3d(uv.transpose(2, 3).flatten(1, 2).unflatten(2, (2 * COARSE,) * 3), 2)
        cells = cells.flatten(2).unflatten(1, (2, 2)).transpose(2, 3)  # (B N, 2, 32^3, 2)
        looked = [look_up(maps, cells[:, side]).transpose(1, 2) for side in (0, 1)]
        return torch.cat(looked, 1).unflatten(2, (COARSE,) * 3)

    def think(self, x: Tensor) -> Tensor:
        """(B, W, 32, 32, 32) -> (B, W, 32, 32, 32), by a U-Net."""
        a = self.down1(x)  # (B, W, 32, 32, 32)
        b = self.down2(F.avg_pool3d(a, 2))  # (B, 2W, 16, 16, 16)
        c = self.down3(F.avg_pool3d(b, 2))  # (B, 4W, 8, 8, 8)
        x = self.middle(F.avg_pool3d(c, 2))  # (B, 4W, 4, 4, 4)
        x = self.up3(torch.cat([F.interpolate(x, scale_factor=2), c], 1))
        x = self.up2(torch.cat([F.interpolate(x, scale_factor=2), b], 1))
        return self.up1(torch.cat([F.interpolate(x, scale_factor=2), a], 1))


def split_cells(grid: Tensor) -> Tensor:
    """(B, C, 64, 64, 64) -> (B, C, 8, 32^3): each cell's children, x slowest in both."""
    parts = grid.unflatten(4, (COARSE, 2)).unflatten(3, (COARSE, 2)).unflatten(2, (COARSE, 2))
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(grid.shape[0], grid.shape[1], 8, COARSE**3)


def join_cells(cells: Tensor) -> Tensor:
    """(B, 8, 32^3) -> (B, 64, 64, 64): undoes split_cells."""
    parts = cells.reshape(cells.shape[0], 2, 2, 2, COARSE, COARSE, COARSE)
    return parts.permute(0, 4, 1, 5, 2, 6, 3).reshape(cells.shape[0], *(2 * COARSE,) * 3)


def join_maps(image: Tensor, layers: Tensor, trunk: Tensor) -> Tensor:
    """All that is known of a photo's pixels, at half its size: (B, PICTURE + LAYERS + TRUNK, S/2, S/2)."""
    return torch.cat([F.avg_pool2d(torch.cat([image, layers], 1), 2), trunk], 1)


def pool(local: Tensor) -> Tensor:
    """(B, C, 64, 64, 64) -> (B, 2 C, 32, 32, 32). A cell's mean says where the surface passes, its maximum whether one
    does at all."""
    return torch.cat([F.avg_pool3d(local, 2), F.max_pool3d(local, 2)], 1)


def compare_photos(local: Tensor) -> Tensor:
    """(B, N, LOCAL, 64, 64, 64) -> (B, AGREED, 64, 64, 64): by how much the photo that says most clearly that nothing
    is there differs from all photos' mean; 0 where there is one photo."""
    front, back, alpha = local[:, :, :AGREED].unbind(2)
    worst = torch.stack([front.amin(1), back.amax(1), alpha.amin(1)], 1)
    return worst - local[:, :, :AGREED].mean(1)

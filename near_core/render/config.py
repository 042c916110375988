"""How surfels become a picture: the constants that were tuned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SplattingConfig:
    """The shape of discs and what of them is drawn. A cell is an edge of the surfels' grid (asset.CELL).

    Chosen by hand on every third object of the dev set; docs/experiments: "What does the lighting decoder learn?"
    for the discs' shape, "Where is the error of task 1?" for low-pass and samples.
    """

    disc_width: float = 0.56  # cells: a disc's standard deviation across, for a surfel of one cell's area
    disc_thickness: float = 0.15  # cells: the same through the surface, never more than across
    inset: float = 0.36  # cells below the surface: Gaussians reach beyond their deviation, flush discs look fat
    opacity: float = 0.995  # 0..1: of a disc whose surfel is opaque
    least_area: float = 0.15  # cells squared: a surfel counts as no smaller than this
    greatest_area: float = 2.0  # cells squared: and as no larger than this
    filling: float = 1.1  # times as full as its area says is what a merged surfel stands for
    layers: float = 0.51  # power of what the gaps in a merged surfel let through: neighbouring discs overlap
    low_pass: float = 0.1  # square pixels added to a disc's footprint where a pixel takes one sample
    sharp_low_pass: float = 0.02  # square pixels: the same where it takes several
    final_cell: float = 1.25  # pixels: as wide as the cells of the level that an asset is shaded at may be
    draft_cell: float = 1.25  # pixels: the same while something moves
    many_surfels: float = 3e5  # in a picture, by which all its levels get coarser together
    least_cells: float = 26.0  # across an asset, that are left where coarser ones would save time: 32 of level 2
    few_surfels: float = 4e4  # in a picture, by which those of all assets are then too many
    fade: float = 0.3  # levels, powers of two in size: how far one level fades into the next
    late_level: int = 5  # from which levels come later, by powers of two in size: of a few pixels alone, outlines swell
    late: float = 2.2
    draft_samples: int = 1  # per pixel
    final_samples: int = 4  # per pixel, on a turned grid
    fine_times: int = 2  # times as wide and high as the picture splats are drawn where they are small
    fine_cell: float = 2.0  # pixels: cells of level 0 up to which they count as small
    fine_discs: float = 6e5  # up to which they are drawn so
    facing: float = -0.05  # cosine: surfels turned further away are not shown; they only block what is behind them
    far_side_offset: float = 2.0  # cells that surfels turned away stand back: a thin wall's far side is never first
    far_side_reach: float = 4.5  # deviations of a sheet's discs, along it, that its far side stands back at least
    seen: float = 2e-4  # pixels: blending weight from which a surfel is seen
    faint_share: float = 0.01  # of what its disc would weigh alone: a surfel below both of these is not shaded but left
    faint_weight: float = 0.05  # pixels: to its neighbours
    margin: int = 16  # pixels around a window in which surfels count as seen as well, so that windows agree
    texel_radius: int = 2  # pixels: projected radius from which a surfel is drawn by its detail surfels
    occlusion_depth: float = 3.0  # cells behind a layer of discs from which nothing is seen through it
    # A layer of discs lets a sixth of the light through at most (kernels.splat) where the surface is whole. Surfels
    # that face away block it; what they block counts for the surface in front, up to this factor, so that silhouettes
    # do not grow.
    solidity: float = 1.2
    # pixels from a pixel's centre: samples of a skin, evenly
    skin_offsets: tuple[tuple[float, float], ...] = (
        (-0.4375, -0.1875), (-0.3125, 0.1875), (-0.1875, 0.4375), (-0.0625, -0.4375),
        (0.0625, 0.0625), (0.1875, -0.3125), (0.3125, -0.0625), (0.4375, 0.3125))
    least_blur: float = 0.25  # pixels that something is displaced by, from which a picture is not drawn sharp
    moments_per_pixel: float = 0.75  # sharp pictures of a blurred one, for every pixel of the greatest displacement
    least_moments: int = 24  # of them, in final pictures
    draft_moments: int = 8  # of them, while something moves or in drafts
    final_moments: int = 64  # at most
    same_point: float = 0.5  # cells: points of a skin that lie no further apart in depth look the same
    skin_layers: int = 8  # transparent ones that are looked through
    skin_faint: float = 0.02  # 0..1: what goes through a sample and is not followed
    normal_spread: float = 1.0  # times what normals that differ within a pixel add to a point's roughness
    map_footprint: float = 0.3  # square pixels that a look at a map spans; the filter adds its own
    oblique: float = 0.7  # cosine from which a pixel is oblique: its look at a map is a line
    least_obliqueness: float = 0.1  # cosine at which that line is longest
    smooth_reach: int = 3  # pixels to either side over which what a skin mirrors of itself is averaged
    skin_pixels: int = 1 << 19  # of a picture, that are drawn at once
    corner_reach: int = 1  # to either side over which what corners of tiles mirror is averaged
    skin_alike: float = 4.0  # pixels that a point may lie from another that speaks for it
    skin_cell: float = 0.3  # pixels: where a cell of level 0 is wider, a skin is drawn instead of surfels
    skin_level: int = 2  # the coarsest level at which a skin takes its place: in a crowd surfels alone are quicker
    skin_surfels: float = 1.3e5  # of small skins in a picture, by which light on these gets coarser together
    skin_coarser: float = 0.5  # levels by which it does at most
    skin_before: float = 8.0  # cells that surfels may lie before a skin that fades into them and are still behind it

    def samples(self, quality: str) -> int:
        """Samples per pixel of a scene.Settings.quality."""
        return self.final_samples if quality == "final" else self.draft_samples


@dataclass(frozen=True)
class NeighbourConfig:
    """Which assets are around each other where nothing else says what stands around. Chosen by hand."""

    most: int = 12  # instances of a picture that get a probe of their neighbours
    most_alike: int = 32  # the same, where the largest look no larger than the first without a probe
    least_pixels: float = 0.4  # that a cell of level 0 is wide, from which an instance gets one
    fade: float = 0.25  # by which one looks larger than the first without a probe, from which its own counts in full
    steps: int = 16  # in which it comes to that
    shown: int = 8  # neighbours in a probe
    least_angle: float = 0.1  # radians, about, as which a neighbour is seen: half its width over its distance
    least_glow: float = 0.02  # the same for one that glows
    probe_rows: int = 64  # of the probe


@dataclass(frozen=True)
class CompositeConfig:
    """How assets come among ordinary things. Chosen by hand."""

    solid: float = 0.98  # of a pixel: what covers more lets nothing shine through
    left: float = 0.01  # of a pixel: of less than this a holdout leaves nothing
    hole_edge: int = 2  # pixels by which assets are cut out larger than they are
    grain: float = 0.06  # of a blurred asset that something seems to hide, below which this is the noise of few samples
    glare: float = 16.0  # times a picture's mean: what is brighter tells no more of where something ends
    even: float = 1e-5  # variance of pictures over their means, squared, that shows no edge
    sharp: float = 0.2  # of the greatest variance of a coverage, from which it is no grain
    hazy: float = 0.03  # the same of what is not blurred: Cycles' samples of fog differ less
    rim: float = 32.0  # pixels before an asset that may be cut away with it

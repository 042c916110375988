"""What was tuned in making assets. Each field: its unit, its meaning, and the table of docs/experiments in
which it was measured, if it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from .photo_config import DelightingConfig, MattingConfig


@dataclass(frozen=True)
class SamplingConfig:
    """How a mesh's surface becomes surfels. Chosen by hand."""

    samples_per_cell: int = 16  # on one cell's face worth of area
    maximum_samples: int = 1_000_000  # of a mesh
    maximum_sides: int = 4  # differently directed pieces of surface that are kept apart in one cell
    same_side: float = 0.3  # cosine between normals of one piece, at least
    minimum_opacity: float = 0.02  # 0..1; a fainter surfel is left out
    sky_directions: int = 48  # in which surfels look for the sky, those beside them in others
    least_sights: int = 4  # of it by a wall of 4 x 4 cells together, from which it can be seen; fewer are leaks


@dataclass(frozen=True)
class SkinConfig:
    """What of a mesh and its maps the skin keeps. Chosen by hand."""

    faces: int = 40_000  # at most; the mesh is simplified beyond
    picture_bytes: int = 1_000_000  # at most, of all maps together


@dataclass(frozen=True)
class PaintingConfig:
    """How dense the corners are that keep photos' colours. Chosen by hand."""

    faces: int = 300_000  # at most
    longest: float = 1 / 64  # asset units; longer edges are halved whatever their colours
    rounds: int = 2  # of halving edges for their colours
    finest: float = 1.1 / 256  # asset units; shorter edges are not halved: texels are 1 / 256 wide
    fine_rounds: int = 4  # where photos are finer than texels; after the usual rounds, edges as short as half of that
    color_step: float = 0.015  # display colour; edges are halved whose middle differs more from their ends' mean
    least_normal: float = 0.1  # length of surfels' mean normal; where it is less, they contradict each other


# how much of a mesh an asset keeps, from small and quick to fine; a draft has no skin, surfels alone draw it
DETAILS = {"draft": None, "standard": SkinConfig(), "closeup": SkinConfig(120_000, 3_000_000)}


@dataclass(frozen=True)
class GuessConfig:
    """What fields of ReconstructionConfig are where the camera of the one photo is a guess: what the photo shows tells
    more than the networks' solid then."""

    stacks: bool = True
    side_smoothing: int = 12
    side_start: float = 0.14  # what hangs beside is no deeper
    closing: float = 1.0
    cube_room: float = 0.05
    rim_smoothing: float = 1.0
    turned_error: float = 0.31
    slender_outline: float = 0.4
    hidden_weight: float = 0.03
    hang_fade: float = 0.03
    front_blur_radius: int = 30  # the front is better than the solid then
    layers_slope: float = 12.0
    thin_width: float = 0.1
    straight_rods: bool = True
    relief_share: float = 0.5
    box_power: float = 8.0


@dataclass(frozen=True)
class ReconstructionConfig:
    """From a photo's layers to a shape and its material."""

    depth_jump: float = 0.06  # sides of the crop; where depth jumps further between pixels, the surface is torn there
    jump_share: float = 1.5  # times as steep as around it a jump is; what is not is a slope that is seen obliquely
    jump_radius: int = 3  # pixels of 128, twice; what is around
    side_smoothing: int = 0  # times that a field is smoothed where it is thick and hidden, after the outline: "sides"
    side_reach: int = 4  # cells of 128^3 beyond the outline that take part in that
    side_start: float = float("inf")  # asset units behind the outline from which sides run parallel: "walls"
    side_radius: int = 10  # pixels of 128, thrice; from how far is taken how deep the outline around lies
    closing: float = 0.0  # how much sides close as those of an ellipsoid do behind the outline: "profiles"
    closing_logits: tuple[float, float] = (1.2, 1.6)  # the most that is said along the view: wholly so, not at all
    closing_sines: tuple[float, float] = (0.2, 0.3)  # of normals along the outline: of a box, of something round
    side_length: float = 1.6  # times a part's radius that it is deep behind its outline then, at most
    side_calm: int = 4  # pixels of 128, twice; how calm that profile is, while the outline may be frayed
    side_radii: tuple[float, float] = (0.5, 1.5)  # of a part, twice side_calm: not calmed at all, in full
    side_swelling: float = 2 / 3  # of side_calm, by which the calmed outline lies outside of a straight one
    side_onset: float = 0.2  # of its length behind the outline, from where the profile lacks that in full
    cube_room: float = 0.0  # asset units around the cube in which one photo's solid is made, then settled: "the frame"
    outside_fall: float = 0.5  # logits that a solid loses per cell of 64^3 outside of the networks' cube
    rim_pixels: int = 3  # of 128; how wide the outline's rim is inside
    rim_smoothing: float = 0.0  # share of hidden_smoothing that this rim has, too: "rims"
    seam_radius: int = 2  # pixels of 128 around a jump in which a photo does not tell where the surface is
    seam_smoothing: tuple[float, ...] = (1.0, -1.05) * 9  # further steps of the field's smoothing there
    whole_alpha: float = 0.8  # of the networks' picture; a pixel of more shows the object alone
    rim_fade: float = 0.2  # of alpha below that, over which a pixel's material becomes that of the inside
    least_inside: float = 0.25  # of a pixel's weight; what has less of the object is told by what is beside it
    rim_radius: int = 2  # pixels of 128, twice; how far away that inside is
    front_slack: float = 3.0  # cells of 128^3 behind a photo's front that still count as seen
    hidden_blend_radius: int = 10  # pixels of 128, twice; from how far what is hidden takes its material: "each step"
    hidden_detail_radius: int = 1  # pixels of 128, twice; what is hidden right behind the front is so much calmer
    hidden_radii: tuple[int, ...] = (4, 12)  # pixels of 128, twice; from how far it takes its material farther behind
    hidden_fade: float = 10.0  # cells of 128^3 behind the front from one radius to the next
    grain_radius: int = 3  # pixels of 128, twice; what is finer is grain, which goes on where a photo shows nothing
    grain_share: float = 0.25  # of the object, the calmest; no part behind has more grain than it has at most
    grain_most: float = 0.04  # display colour, root mean square; what a photo does not show has no more grain
    grain_power: float = 4.0  # of the cosine to an axis; the higher, the less do grains from several sides mix
    level_sines: tuple[float, float] = (0.7, 0.9)  # of its elevation: before the hidden is level; along the view
    level_steps: int = 24  # across the cube, in which what lies level before something hidden is looked for
    level_halvings: int = 4  # of the last of these steps
    hidden_colors: int = 8  # that a photo's material is sorted into; the surroundings' most frequent one spreads
    maximum_shrink: float = 1.25  # times; what a photo without a camera shows is made no smaller to fit the cube
    logits_per_cell: float = 1.5  # how much the solid's logits rise over one cell of distance, about
    logit_bias: float = 0.8  # added to the solid's smoothed logits, else thin parts are lost: "the solid made fuller"
    thickness: Literal["auto", "thin", "round", "full", "turned", "cup"] = "auto"  # an artist's hint: how deep
    symmetry: Literal["auto", "on", "off"] = "auto"  # an artist's hint: is the left side the mirror image of the right
    mirror_fade: float = 4.0  # cells of 128^3 behind the front, where a cell counts a quarter against its twin
    mirror_own: float = 16.0  # times that a cell counts more than its mirror image where both are seen
    turned_wall: float = 3.0  # cells of 128^3; how thick the wall of something turned and hollow is
    turned_elevation: float = 50.0  # degrees; of several photos, steeper ones do not tell how something is turned
    stacks: bool = False  # whether a cup on its saucer is made of two turned things: "a cup on its saucer"
    turned_error: float = 0.0  # of what is taken for turned without a hint, at most: "regular things"
    turned_overlap: float = 0.62  # of the networks' solid with the turned one, at least
    turned_mirror_error: float = 4.0  # cells of 128^3 by which its photo contradicts symmetry, at most, as a handle
    turned_excess: float = 1.35  # times that the networks' solid is larger than the turned one, at most
    dome_widths: tuple[float, float] = (0.83, 0.79)  # of its width halfway to its upper, lower end, at most; discs 0.87
    turned_calm: tuple[int, int] = (6, 200)  # times that a turned thing's outline is smoothed along its axis; a rod's
    rod_width: float = 6.0  # pixels of 128; what is turned and so thin is a rod
    mirror_error: float = 1.2  # cells of 128^3 by which a photo contradicts symmetry, at most: "regular things"
    mirror_share: float = 0.3  # of a photo's weight that it has in a mirror, where several show something symmetric
    mirror_lack: float = 0.1  # of the surface that has no mirror image in such a thing, at most
    mirror_use: float = 0.01  # of the surface that a photo in a mirror shows better than all photos, at least
    mirror_most: int = 16  # photos in mirrors, at most
    mirror_stride: int = 8  # surfels from one to the next by which that is told
    mirror_gap: float = 0.02  # of a photo's object that a hull carved by its own mirror images may leave unfilled
    mirror_rim: int = 3  # pixels of 128 by which such a hull may stay inside the object anywhere
    mirror_facing: float = 0.9  # cosine between a photo's view and a mirror's normal; beyond, it tells nothing of that
    slender_outline: float = 0.25  # width over height; what is more slender is no deeper than a round body
    straight_rods: bool = False  # whether what is slender stands upright, whatever its layers say: "rods"
    rod_calm: int = 25  # pixels of 128 along it, an odd number, that a parabola is fitted to; what is finer stays
    flat_outline: float = 0.7  # of the largest outline, which several photos of something flat need to show it so
    turned_handle: float = 0.02  # of a turned thing's pixels; something smaller beside its body is no handle
    handle_reach: float = 0.5  # square of how far a handle reaches from the body over its area, pixels, at least
    outline_reach: float = 0.5  # cells of 128^3 outside of the outline, about a pixel, where there still is a front
    outline_blur_radius: int = 2  # pixels of 128, twice; how calm the thickness that an outline allows is
    thin_share: float = 0.4  # of a round body's thickness that something thin has
    relief_share: float = 1.0  # the same of something intricate that networks are unsure of: "reliefs"
    relief_discs: tuple[float, float] = (0.35, 0.5)  # plainness of its outline: wholly so, not at all
    least_width: float = 0.03  # asset units; no body is narrower when depth is compared with it
    doubt_slope: float = 4.0  # logits per body's width that the solid loses behind a round body: "barrels"
    doubt_lead: float = 0.1  # body's widths before the round body's end from which it does
    maximum_doubt: float = 1.4  # logits; what is surer than this less logit_bias stays, however far behind
    sure_logits: tuple[float, float] = (0.4, 0.75)  # the most that is said along the view: not sure at all, sure
    box_power: float = 2.0  # exponent of a body whose outline is a box's; 2 is an ellipsoid: "boxes"
    box_calm: int = 2  # pixels of 128, twice; what is finer of an outline does not tell whether it is a box's
    box_radius: int = 8  # pixels of 128; how far around a pixel most decides whether it is in a box behind its front
    box_straight: tuple[float, float] = (0.3, 0.45)  # of an outline that is level or upright: round, a box's
    box_filling: tuple[float, float] = (0.6, 0.7)  # of the rectangle around it, which it fills: round, a box's
    box_logits: tuple[float, float] = (0.8, 1.2)  # the same: layers and a round body decide, the network does: "knobs"
    sure_radius: int = 4  # pixels of 64, twice; how large parts are in which one is sure or not
    sure_elsewhere: float = 0.15  # logits less for being sure somewhere else in the object
    floor_elevations: tuple[float, float] = (3.0, 60.0)  # degrees; a photo that looks down so steeply shows the floor
    debris_share: float = 0.01  # of the largest piece's cells; smaller pieces of a solid are none
    fair_smoothing: tuple[float, ...] = (1.0, -1.05) * 3  # steps of the field's smoothing where no photo shows it
    hidden_weight: float = 0.3  # of the solid where it is thick and no photo shows it, over 1 where one does: "lumps"
    stiffness: float = 1.0  # of such a solid on cells of 32^3; how much it likes to be straight
    hang_fade: float = 0.1  # cells of 128^3 by which what is hidden is less deep than the cell above it, at least
    hang_narrowing: float = 4.0  # more of that where the photo's object is narrower than above, over its width
    broad_radius: int = 4  # cells of 64^3 from inside to outside of what is thick enough for all of that
    front_blur_radius: int = 6  # pixels of 128, twice; how smooth the step from the layers' front to the solid's is
    front_calm: float = 0.02  # of a pixel's weight that the usual step has everywhere: "combs"
    front_lag: float = 0.3  # asset units by which the solid may begin farther behind than usual: "combs"
    layers_slope: float = 0.0  # logits per body's width that the solid loses behind the layers' back and a round body
    thin_width: float = 0.0  # asset units; what is no wider, as bars and legs, is no deeper than a round body
    minimum_thickness: float = 2.5  # cells of 128^3; how thick what a photo shows is at least: "each step"
    smoothing: tuple[float, ...] = (0.6, -0.62) * 3  # steps of the mesh's smoothing: shares of the way to the mean
    normal_smoothing: int = 16  # times that normals of several photos' shape are averaged: steps of hulls show in them
    hidden_smoothing: tuple[float, ...] = (1.0, -1.05) * 12  # further steps where no photo shows it: "each step"
    fade_cells: int = 3  # cells of 128^3 from what a photo shows to where hidden_smoothing is whole
    flow_steps: int = 4  # from noise to what a hidden voxel may be like, with a seed other than 0
    photo_material_weight: float = 0.85  # share of the photo in a hidden material: "what is the latent worth"
    grazing_cosine: float = 0.05  # of the angle between view and surface; what is seen more obliquely is not painted
    grazing_fade: float = 0.2  # further on the cosine, the photo's own pixels count in full
    normal_blend: float = 0.5  # share of the one photo's normals in the shading normals of a shape found in it
    normal_error_rms: float = 0.4  # sine of the angle by which such normals are off: "each leg of intrinsics"
    edge_fade: float = 1.5  # cells of 128^3 inside a photo's outline from which it counts in full
    best_view_power: float = 4.0  # of a photo's weight over the best one's; the higher, the less photos mix
    seen_weight: float = 0.04  # weight of the best photo from which nothing is taken from around
    refine: bool = False  # an artist's wish: several photos come back, whatever it costs other views
    saturation: float = 1.1  # times; the mean of what is likely is paler than any of it: "each leg of intrinsics"
    metallic_gain: float = 2.0  # times, of several photos; one is too unsure of metals: "what is wrong with colours"
    guess: GuessConfig = GuessConfig()  # where the camera is a guess

    def doubt_camera(self) -> ReconstructionConfig:
        """The config for one photo whose camera is a guess."""
        return replace(self, **asdict(self.guess))


@dataclass(frozen=True)
class PhotosConfig:
    """All that photos become an asset by."""

    reconstruction: ReconstructionConfig = ReconstructionConfig()
    delighting: DelightingConfig = DelightingConfig()
    matting: MattingConfig = MattingConfig()


@dataclass(frozen=True)
class StackConfig:
    """How a cup on its saucer is known by its outline, and made: "a cup on its saucer"."""

    least_rows: int = 40  # of 128 that the outline is high
    least_top: float = 0.08  # of its rows that what stands on top alone fills, at least
    base_tolerance: float = 0.015  # of half the base's width; by how much the outline may differ from its ellipse
    top_tolerance: float = 0.03  # the same of what stands on it
    top_doubt: float = 0.1  # pixels of 128; rims that fit so much worse than the best fit as well
    least_above: float = 0.08  # of half the base's width that the outline goes on above the base, at least
    least_notch: float = 0.05  # of half the base's width that the outline is notched between both, at least
    narrowest: float = 0.35  # of the base's width that what stands on it has, at least
    widest: float = 0.85  # the same, at most
    flattest: float = 0.85  # of the base's height over its width that its rim has, at least: it is seen less steeply
    aside: float = 0.15  # of half the base's width by which it stands aside of the middle, at most
    elevation_error: float = 15.0  # degrees by which a camera may look down otherwise
    least_hollow: float = 2.0  # cells of 128^3 that what is inside the rim lies below it in something open
    room: float = 1.04  # times its longest side that the cube's edge is
    base_height: float = 0.15  # of the base's radius
    base_foot: float = 0.45  # of the base's radius, within which it is flat
    top_foot: float = 0.6  # of the rim's radius that the foot of what stands on top has
    top_curve: float = 0.6  # power of the height by which its wall widens upward
    floor: float = 0.5  # of its height below which it is filled
    wall: float = 3.0  # cells of 128^3
    rounding: float = 1.4  # the same; the radius of edges


@dataclass(frozen=True)
class FusionConfig:
    """From several photos with cameras to one shape and its colours."""

    unbounded_share: float = 0.005  # of a photo's object pixels that a side of the box around all may leave unfilled
    bounding_logits: float = 0.5  # less likely than the likeliest behind a pixel, and it still says where the box ends
    bounds_margin: float = 4.0  # cells of 128^3 beyond that box, but for its bottom, where nothing is left
    bounds_slope: float = 0.5  # by how much the solid is less deep a cell beyond the box, in cells
    align_bias: float = 1.0  # logits added to the solid that the photos' fronts are aligned to
    front_weight: float = 1.0  # logits per cell of 128^3 before the front of a photo
    thick_radius: int = 4  # cells of 64^3 from inside to outside of the hull where fronts count in full
    farthest_vote: float = 4.0  # cells of 128^3; a front counts no more than this far before it
    front_depth: float = 3.0  # cells of 128^3 behind a front over which it speaks for the solid
    smoothing: int = 1  # times that evidence is smoothed over the cells of 128^3 and their neighbours
    fill_radius: int = 3  # pixels of 128; what is filled behind a pixel fades over so many around it
    bar_widths: tuple[float, float] = (12.0, 24.0)  # pixels of 128; what is filled behind a bar is no wider than that:
    #                                             from a bar to what is none: "bars"
    few_photos: int = 3  # at most; of so many what is thin in their hull is taken for bars, too, and no gap is closed
    corner_radius: int = 4  # pixels of 128 from what is wide into its corners
    fill_focus: float = 8.0  # cells of 128^3; what is so much less deep than the deepest behind a pixel is not filled
    filled_depth: float = 0.5  # cells of 128^3; how deep at least the solid is somewhere behind every pixel
    settled_angles: tuple[float, float] = (20.0, 40.0)  # degrees beside a side of the object and above, at most, of
    #                                             photos without cameras whose frame is settled as ends.py says
    shoulder: float = 0.85  # of an end's width that is between its shoulders
    flat_end: float = 0.03  # of an end's middle by which the shoulders of a flat one lie farther out than a tent's
    flat_fade: float = 0.1  # over which ends count as flat ever more
    fill_rounds: int = 2  # over all photos, in which what is missing behind pixels is filled
    gap_radius: int = 2  # cells of 128^3; gaps up to twice as wide are closed where no outline shows them open
    lean_share: float = 0.5  # of the way to what networks see that normals lean in what is fine: "which way it faces"
    lean_radius: int = 8  # pixels of 128, twice; what is finer
    most_growth: float = 0.5  # cells of 128^3 by which a shape grows at most where its own photos show more of it


@dataclass(frozen=True)
class AlignmentConfig:
    """How cameras are found by the agreement of outlines."""

    block_roundness: float = 6.0  # 2 an ellipsoid, ever more a box; what the boxes of outlines are fitted to
    block_stiffness: float = 0.003  # of the fit; what the logarithm of a distance changes by, in halves of the crop
    block_rounds: int = 12  # of the fit
    rim_share: float = 0.05  # of an outline's box that lies near its edges; what is farther inside stays inside it
    anchor_weight: float = 1e-4  # of the place where an object is said to stand, over that of one camera's ray
    frame_room: float = 1.12  # times what photos show that the cube's edge is in which cameras of a scene see it
    room: float = 1.3  # times the block's longest side that the cube's edge is when the hull is measured
    unfilled_share: float = 0.002  # of a photo's object pixels that the hull's top or bottom may leave unfilled then
    points: int = 64  # along an edge of the cube in which the hull is looked for
    side: float = 1.4  # asset units; that cube's edge
    coarse: float = 0.8  # pixels that outlines are looked at in, per point along an edge
    band: float = 24.0  # cells of 128^3; farther outside of an outline is not told apart
    near: float = 10.0  # cells of 128^3 outside of the first guess's hull; what lies farther away is left out
    slack: float = 1.0  # cells of 128^3 that an outline may lack and still counts as filled: points are no denser
    angles: tuple[float, float] = (1.5, 3.0)  # degrees of azimuth and elevation, the first step
    distance: float = 0.06  # logarithm of the distance, the first step
    shift: float = 0.02  # distances, the first step
    rounds: int = 6  # each with steps of 0.6 times the last one's
    stiffness: float = 0.004  # cells of lack that a first step is worth, squared
    contradiction: float = 1.5  # cells of lack in the mean from which a photo is left out
    doubt: float = 0.05  # and from which outlines contradict each other, as the artist is told
    found_doubt: float = 0.6  # the same where a network found one of them
    steep: float = 60.0  # degrees; a photo from so far above or below shows no side
    least_sides: int = 4  # around the object, from which photos without a view are tried
    tried_ways: int = 24  # at most, of giving them these sides; of more, two photos at a time are swapped
    side_step: float = 15.0  # degrees between azimuths all around, from which each is tried then
    side_rounds: int = 2  # of that
    out_of_order: float = 0.1  # cells of lack that are worth photos elsewhere than where they are likely
    least_aside: float = 0.5  # sine of how far photos are left and right of the first that tell these apart
    reversal: float = 0.2  # by which fronts correlate better with the hull, were both exchanged: "the other way round"


@dataclass(frozen=True)
class ResectionConfig:
    """How the camera of a photo of a known shape is found: "photo and shape"."""

    faces: int = 6000  # of the shape at most while it is looked at
    sides: tuple[int, int, int] = (32, 64, 128)  # pixels of the pictures that are compared, from coarse to fine
    step: float = 15.0  # degrees between directions that are tried first
    kept: int = 6  # of them that are refined
    finished: int = 2  # of these that are refined in the finest pictures
    rounds: int = 4  # of refining, each with half the steps of the last one
    steps: tuple[tuple[str, float], ...] = (  # degrees, logarithms or distances, as Stance has them
        ("azimuth", 7.5), ("elevation", 7.5), ("roll", 3.0), ("away", 0.04), ("right", 0.015), ("down", 0.015),
        ("fov", 0.15))
    facing: float = 0.3  # how much 1 less the mean cosine between normals counts, over the outline's lack
    edges: float = 0.1  # how much 1 less the correlation of inner edges counts
    start: float = 0.02  # how much the way from where the search began counts, half a turn or a radian up
    roll: float = 1.0  # how much a radian of roll counts, squared
    fov: float = 0.05  # how much the logarithm of the field of view over the first one counts, squared
    jump: float = 0.25  # pixels' width of depth between neighbours; an edge as strong as a crease of 90 degrees
    strong_share: float = 0.9  # of a photo's slopes; those above are edges in full
    nearest: float = 0.02  # asset units; the shape is no nearer to the camera
    least_overlap: float = 0.75  # of outlines; with less, the shape is another one than the photo's


@dataclass(frozen=True)
class LightFitConfig:
    """The light of several photos, fitted to the shape that they show."""

    even_stiffness: float = 0.02  # how much a photo's colours like to stay as bright as they are, in the mean surfel
    lobes: int = 32  # broad lobes that the light is a sum of
    sharpness: float = 6.0  # of a lobe: exponent of the cosine, about
    rays: int = 128  # from each surfel
    stiffness: float = 0.02  # of the fit; how much a lobe likes to be as bright as the mean
    fit_rounds: int = 4  # in which what does not fit counts less and less
    rounds: int = 3  # light and colours in turn
    fit_surfels: int = 6000  # of a photo that its light is fitted to
    minimum_surfels: int = 200  # seen by a photo; with fewer there is nothing to fit
    least_weight: float = 0.02  # of a surfel in a photo that counts
    darkest: float = 0.01  # linear; no surface is darker
    darkest_light: float = 0.1  # of the mean light; no surfel gets less
    share: float = 0.4  # of what the light does not explain that the colour takes over: "several photos"
    maximum_log_change: float = 1.5  # logarithm


Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ToneConfig:
    """What the networks' colours are wrong by as a whole: "what is wrong with colours"."""

    # linear luminance of an object as it is found, as it is made: of one photo, and of several
    brightness: Curve = ((0.01, 0.03), (0.1, 0.073), (0.47, 0.47), (0.7, 0.7), (1.0, 0.75))
    several_brightness: Curve = ((0.01, 0.00463), (0.47, 0.47), (1.0, 1.0))
    darkest: float = 0.01  # linear; nothing counts as darker
    highlight: float = 1.15  # times as bright as around it, from where on a colour is taken for a highlight
    highlight_share: float = 0.7  # of the logarithm beyond that, which is taken out
    chroma_step: float = 0.08  # of red and of blue over green, of their sum; what is nearer has the same chroma
    cells: int = 32  # along an edge of the cube, in which surroundings are averaged
    smoothing: int = 16  # times over these cells and their neighbours


@dataclass(frozen=True)
class RefinementConfig:
    """How the colours of several photos are refined until the photos come back: "photos come back"."""

    rounds: int = 2  # in each of which every photo's light is fitted anew
    steps: int = 3  # of the colours in a round
    stiffness: float = 0.1  # how much colours like to stay, over what the photos say
    farthest: float = 4.0  # times brighter or darker that a colour may become
    dark: float = 0.05  # linear; below it errors count as if it were so bright
    whole_trust: float = 0.5  # of a surfel in a photo from which its pixels count in full

"""How light is carried: the constants that were tuned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TransportConfig:
    """How finely light is worked out. A map has three parts: its sky, seen through the hit table; suns, which outshine
    it, in directions drawn by energy to which rays are traced; and spots, suns that reflections look for as well.

    Chosen by hand; docs/experiments: "Where is the error of task 1?".
    """

    hit_directions: int = 64  # of the hit table of each surfel
    table_rows: int = 8  # of the map's level that is looked up in the hit table's directions
    fold: float = 3.0  # cells from which a surfel seen from behind sends nothing; nearer ones are folds
    bounces: int = 4  # rounds of gathering light from other surfels
    dielectric_albedo: float = 0.94  # of its base colour, what a dielectric sends on at a bounce
    greatest_albedo: float = 0.98  # at a bounce
    sun_radiance: float = 2.0  # times the map's mean luminance: what outshines this casts shadows of its own
    sun_directions: int = 16  # at most
    sun_apart: float = 0.01  # radians, twice as many for cells twice as wide, within which suns cast one shadow
    spot_radiance: float = 16.0  # times the map's mean luminance: what outshines this is a spot
    spot_directions: int = 16  # at most
    shadow_reach: float = 10.0  # metres within which what a probe shows is in the pass Shadow, as Cycles' AO reaches
    sun_group: float = 0.12  # radians around a World's spot within which others are part of the same sun
    sun_widest: float = 0.15  # radians: wider spots are no sun, but a window
    least_share: float = 0.01  # of the map's energy: suns or spots below this are not worth their directions
    sky_rows: int = 128  # of the sky's map; ggx.draw_directions distinguishes no more
    draft_rays: int = 4  # specular rays per surfel
    final_rays: int = 8  # specular rays per surfel
    least_rays: int = 2  # per merged surfel, which has half as many at every level: a pixel shows several
    open_rays: int = 6  # times as many, not traced: they take the noise from what nothing blocks
    even_key: int = 2239  # rotates the rays that all points share: of 4096 the one by which 8 to 48 of them are nearest
    #                       to what a lobe sees of light that is even, or grows from one side to the other
    narrow_roughness: float = 0.2  # up to which rays find a map's spots by themselves
    narrow_fade: float = 0.06  # around it, in which both ways are mixed
    spot_roughness: float = 0.1  # at least, for the reflection of a spot
    spot_glare: float = 8.0  # times the map's mean luminance: what spots add to a reflection at most. A stray normal
    #                          that meets a sun shall not outshine its neighbours
    point_glare: float = 512.0  # the same of points on a skin, whose normals are its own
    # of a skin's points, times highlights.split's turned: alpha squared of a lobe that meets lamps and spots whole;
    # narrower ones do in parts of a pixel, half of it already in full
    pixel_spread: float = 12.0
    part_spread: float = 2.5  # the same of the narrowest lobe of a part
    most_spread: float = 0.18  # to which this widens one
    part_reach: float = 0.27  # pixels from its centre, to the side and up, that parts lie
    narrow_times: float = 4.0  # times that share of parts, up to 1, in which a point's rays leave spots to them
    part_glare: float = 8192.0  # as point_glare, of what is averaged over parts
    mirror_rows: int = 512  # at most, of the map that a mirrored metal shows
    mirror_bounces: int = 2  # metals from which a ray that met one goes on, to what they mirror in turn
    point_rays: int = 32  # of a point between surfels, not traced
    probe_rays: int = 16  # the same where a probe of few texels lies before the map
    traced_rays: int = 16  # of a point between surfels, traced
    fine_pixel: float = 0.5  # cells: under smaller pixels these are halved, as more points around mirror the same
    finest_pixel: float = 0.25  # cells: under smaller ones dull points trace for those beside them
    even_roughness: float = 0.15  # from which light on points may be interpolated between those around
    even_edge: float = 0.06  # by which what arrives of a spot, times its cosine, may differ between these
    dull_metallic: float = 0.5  # below which a point is dull: metals' rays go on, and are noise
    alike_normal: float = 0.01  # radians by which neighbouring points' wide lobes may turn and mirror the same
    alike_roughness: float = 0.02  # by which one may be rougher
    # of the light: a point's rays are halved once for each of these that it mirrors less than
    faint_shares: tuple[float, ...] = (0.06, 0.05)
    open_halvings: int = 1  # at most, of rays that are not traced: as all points have the same, nothing averages them
    least_cosine: float = 0.1  # of a spot's ray on a skin, below which surfels say what arrives, unless it is round
    least_facing: float = 0.05  # cosine between a skin and the view from which its points send such rays
    spot_apart: float = 1.3  # texels, up to which one faint spot is asked for another: side by side, not across
    spot_rays: tuple[int, int] = (2, 8)  # of a point where the shadow of a faint, of a strong spot ends
    spot_reach: float = 1.5  # texels of the map, as far around its middle as they go: its light is between texels, too
    strong_spot: float = 0.1  # of the map's light, of a spot around whose middle points ask whether it arrives
    spot_ring: tuple[tuple[float, float], ...] = ((0.5, 1.5), (-1.5, 0.5), (-0.5, -1.5), (1.5, -0.5))  # texels: where
    least_spot: float = 0.002  # of the map's light, of a spot whose shadows' edges points ask for
    least_edge: float = 0.03  # share from which surfels around a point differ about a probe's spot
    spot_edge: float = 0.02  # by which one ray and the surfels around may differ and still agree
    lift: float = 0.02  # cells that such a ray starts above the skin at least
    pixel_lift: float = 0.02  # pixels that it does
    blend_radius: float = 1.5  # cells, from how far surfels tell a point what arrives at it
    blend_step: float = 1.0  # cells, between points that are told by surfels; between them light is interpolated
    hidden: float = 0.9  # by how much less a surfel that lies inside of something counts for points around it
    buried: float = 1.02  # times as far as what a probe shows, from which it lies in the ground
    greatest_bend: float = 4.0  # times; more light than around it no bent normal sees

    def rays(self, quality: str) -> int:
        """Specular rays per surfel of a scene.Settings.quality."""
        return self.final_rays if quality == "final" else self.draft_rays


@dataclass(frozen=True)
class FeetConfig:
    """How rays leave a skin. Chosen by hand."""

    grazing: float = 0.1  # cosine between light and a triangle below which its facets show
    round: float = 0.9  # cosine between a triangle and the surface that it stands for, up to which this is round


@dataclass(frozen=True)
class BulbConfig:
    """What of a probe is taken for a lamp. Chosen by hand."""

    radiance: float = 16.0  # times the mean luminance around: what outshines this
    most: int = 12  # bulbs of a probe, but for the last one's pieces
    round: float = 0.6  # of the cap around a bulb: what fills less of it is taken in pieces
    pieces: int = 5  # of a bulb at most
    widest: float = 0.45  # radians, half of what a bulb may look wide
    depth: float = 0.25  # of a bulb's distance, by which its parts may differ
    most_mirrored: float = 0.5  # share of the radiance: what is mirrored stands elsewhere
    hull: float = 1.5  # times its radius, in which nothing counts as in its way: its own glass


@dataclass(frozen=True)
class LampConfig:
    """How lamps are taken apart into points."""

    point_angle: float = 0.12  # radians that a point of a lamp stands for at most, as an asset sees it
    ray_angle: float = 0.02  # the same for shadow rays
    sides: int = 4  # points and rays along a lamp's edge, at most
    dark: float = 0.1  # of the light on an asset's brightest side: on darker ones noise counts as if they had this
    patterns: int = 2  # as many times more points lie along it in wait for rays: neighbours take others of them
    sharp_angle: float = 0.4  # radians, the widest lamp whose shadows' edges are traced from each point of a skin
    sharp_ray_angle: float = 0.04  # radians of such a lamp that a ray along its edge stands for
    sharp_sides: int = 5  # of these rays at most, and two at least
    least_cosine: float = 0.1  # between a ray and the surface, below which surfels say what arrives, unless it is round
    least_edge: float = 0.03  # share from which surfels around a point differ about a lamp: there is an edge
    lift: float = 0.05  # cells that these rays start above the surface
    strongest: int = 16  # lamps of an asset that are traced; the others become part of its map
    faint: float = 0.002  # of the strongest lamp: what sends less becomes part of the map as well

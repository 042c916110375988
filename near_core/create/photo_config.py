"""What was tuned in finding the object of a photo and its colours. Each field: its unit, its meaning, and the table of
docs/experiments in which it was measured, if it was."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DelightingConfig:
    """What of a photo's light is taken out of the colours that the networks find: "what does delighting buy"."""

    color_share: float = 0.7  # of what no light explains that the colour takes over; the rest is shadows and highlights
    maximum_log_change: float = 1.2  # logarithm; how much darker or brighter than its light a surface may look
    light_stiffness: float = 0.03  # of the fit; how little a light likes to vary over directions
    darkest_light: float = 0.5  # of the mean light; no direction is darker
    white: float = 0.9  # linear luminance; nothing is brighter, but for a share of what a photo shows
    bright_share: float = 0.05  # that share
    fit_rounds: int = 4  # in which what does not fit counts less and less
    minimum_pixels: int = 64  # opaque ones; with fewer there is nothing to fit


@dataclass(frozen=True)
class MattingConfig:
    """How the object of a photo is found and framed: "how good is matting"."""

    looks: int = 3  # at the photo at most, each after the first nearer at what was found
    sure_alpha: float = 0.8  # share of the largest alpha from which a pixel counts for what is looked at next
    crop_margin: float = 1.3  # sides of what was found; the square that is looked at next
    small_window: float = 0.7  # share of the area looked at; a next square that is larger shows nothing new
    edge_radius: int = 2  # pixels of the network's; how far the photo's edges move those of its answer
    edge_tolerance: float = 1e-4  # squared sRGB; contrast from which an edge counts
    faint_alpha: float = 0.05  # alpha from which a pixel belongs to a piece of the object
    speck_share: float = 0.15  # of the heaviest piece; lighter ones do not belong to the object
    longest_side: int = 1024  # pixels of the photo that a matting network gets
    smallest_object: float = 0.002  # share of the photo that an object fills at least
    solid_alpha: float = 0.8  # alpha from which a pixel counts for the object's box
    opaque_share: float = 0.85  # of a picture's opaque rectangle, beyond which an alpha is no mask
    opaque_edge: float = 0.6  # the same of that rectangle's edge
    photo_margin: float = 1.2  # sides of the object's box; the crop that the networks see
    hint_margin: float = 0.12  # sides of an artist's box; as much of the photo around it is looked at, too
    hint_logits: float = 10.0  # how much a dab of an artist's brush weighs against what the network says
    hint_contrast: float = 0.2  # sRGB; colours that differ so much along the way end what a dab speaks for
    hint_reach: float = 0.12  # of what is looked at; no dab speaks for anything farther away
    hint_rounds: int = 6  # along rows and columns, in which the nearest way to a dab is found
    hint_side: int = 320  # pixels of the longer side on which ways to a dab are found
    least_contrast: float = 0.03  # sRGB 0..1, between the darkest and the lightest of a photo that shows anything
    apart_share: float = 0.4  # of the largest piece; what has another one so large may be several things
    small_box: float = 0.5  # of the photo's width and height; a smaller object may be some part of a landscape
    offered_objects: int = 4  # at most, where a photo shows several
    offered_overlap: float = 0.5  # share of an object that an earlier one has; it is the same one
    sure_object: float = 0.7  # largest alpha of an object that is offered, at least

    # mixtures of colours, smoothed along edges (background.py), which correct the network
    color_rounds: int = 3  # of mixtures and smoothing
    color_weight: float = 0.8  # nats of the network's that one of the colours counts where they tell all apart
    color_chance: float = 0.8  # share of the sure pixels that colours tell right, at which they count nothing
    surely_object: float = 0.8  # alpha from which a pixel's colour is the object's
    surely_behind: float = 0.1  # alpha up to which it is the background's
    backdrop_border: float = 0.03  # of the longer side; whether a backdrop is plain is told there
    backdrop_spread: float = 10.0  # Lab units; colours that differ less are one
    backdrop_share: float = 0.9  # of the border that has one colour, from which a backdrop is plain
    backdrop_distance: float = 40.0  # Lab units from that colour, from which a pixel is no backdrop
    backdrop_logits: float = 8.0  # how much that weighs against what the network says
    shadow_chroma: float = 12.0  # Lab units of a and b from the backdrop's, up to which what is darker may be a shadow
    shadow_height: float = 0.6  # of the sure object's longer side; what is higher is no shadow
    shadow_within: float = 0.6  # of it inside the sure object's convex hull, from which it is none

    # and without a network
    background_side: int = 160  # pixels of the longer side on which it works
    background_colors: int = 8  # components of the background's mixture
    object_colors: int = 6  # components of the object's mixture
    background_rounds: int = 5  # of mixtures and smoothing
    border: float = 0.06  # of the longer side; taken for background at first
    position_weight: float = 25.0  # Lab units that the picture's longer side counts as, so that mixtures know places
    smoothness: float = 2.5  # how much neighbours of one colour hold together
    distinct: float = 1.5  # nats by which the object's colours differ from the background's at least

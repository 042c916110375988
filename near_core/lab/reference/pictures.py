"""Checks of rendered maps, from stored Gaussians and from whole pipelines. Every check takes a reference.Fixture and
adds its comparisons to it."""
import re

import numpy as np
import torch

from ...models.near import iad, lad, render
from ...models.near.basis import NeuralBasis
from ...models.near.gaussians import DecodedGaussians, Representation
from .conventions import EXACT

VIEW = 5e-4  # what depends on the view vector, which the lighting network multiplies by up to 2^11
DEPTH = 2e-5  # a sum of w z over one of w, which is one minus a product: its own rounding in float32
SLOPE = 1e-4  # normals from differences of such depths
STEP = 2 / 255  # of a pixel: what a Gaussian does that rounding carries over the cut-offs at 1/255 and 1e-4
RARE, UNSTEADY = 1e-3, 0.05  # share of pixels where that may happen: from equal Gaussians, from the lighting network


def check_renderings(fixture):
    """Both passes of the renderer for every camera, and the projections behind them."""
    basis = fixture.load(NeuralBasis(**fixture.config["neural_basis"]), "w/neural_basis.")
    raw = {name: fixture[f"in/{name}"] for name in (key.removeprefix("in/") for key in fixture.names("in/_"))}
    settings = fixture.config["gaussian"]
    representation = Representation(
        {}, True, 1.5, 1, settings["kernel"], settings["scaling_bias"], settings["opacity_bias"],
        settings["scaling_activation"])
    names = [key.split("/")[1] for key in fixture.names("in/cam") if key.endswith("extrinsics")]
    for name in names:
        view, lens = fixture[f"in/{name}/extrinsics"], fixture[f"in/{name}/intrinsics"]
        wide = "_wide" if name.endswith("_wide") else ""
        near, far = fixture.config["near" + wide], fixture.config["far" + wide]
        gaussians = DecodedGaussians(raw, representation, torch.inverse(view)[:3, 3])
        size = read_size(fixture[f"out/{name}/alpha"])
        compare_maps(fixture, f"out/{name}", render.render(gaussians, basis, view, lens, size, near, far))
        compare_projections(fixture, f"mid/{name}", gaussians, basis, view, lens, size, near, far)
    for key in fixture.names("out/ssaa"):
        compare_supersampled(fixture, key, raw, representation, basis, names[0])
    compare_background(fixture, raw, representation, names[0])


def read_size(image):
    """(width, height) of an image (..., H, W)."""
    return image.shape[-1], image.shape[-2]


def compare_maps(fixture, prefix, maps, tolerance=EXACT, excepted=RARE):
    """All pixels but the excepted share keep the tolerance, and those are off by no more than a cut-off explains; a
    depth is undefined to that degree where a single faint Gaussian makes it. (Moving the camera of the stored whole
    frame by one rounding step changes single pixels by 1/255.)"""
    for key in fixture.names(prefix + "/"):
        name, stored = key.split("/")[-1], fixture[key]
        error = (to_planes(maps[name], stored).double() - stored.double()).abs()
        error = error.reshape(-1, *error.shape[-2:]).amax(0).flatten().sort().values  # of a pixel
        scale = max(1.0, float(stored.abs().max()))
        steady = len(error) - int(excepted * len(error))
        own = SLOPE if name.startswith("normal_from") else DEPTH if name.startswith("depth") else EXACT
        fixture.add(key, error[steady - 1], max(tolerance, own) * scale)
        if not name.startswith(("depth", "normal_from")):
            fixture.add(f"{key}, all pixels", error[-1], STEP * scale)


def to_planes(image, reference):
    """(H, W, C) array as a tensor in the reference's shape, (C, H, W) or (H, W)."""
    return torch.from_numpy(image).permute(2, 0, 1).reshape(reference.shape)


def compare_projections(fixture, prefix, gaussians, basis, view, lens, size, near, far):
    """Both passes' projected Gaussians: which are drawn, their centres (pixels), depths, conics and opacities."""
    pixels, turn = render.pixel_intrinsics(lens, *size), view[:3, :3].T
    for end, scaling, values in (
            ("pass_pbr", "_scaling", render.material_features(gaussians, turn)),
            ("pass_view", "_scaling_view", render.light_features(gaussians, basis, turn))):
        if f"{prefix}/{end}/radii" not in fixture:
            continue
        seen = render.splat_pass(gaussians, scaling, values, view, pixels, size, near, far)[-1]
        kept = fixture[f"{prefix}/{end}/radii"].amin(1) > 0
        fixture.compare(f"{prefix}/{end}/colors_in", values)
        opacity = gaussians.opacity()[:, 0] * fixture[f"{prefix}/{end}/compensations"]
        kept &= opacity >= 1 / 255  # fainter ones are never drawn
        fixture.add(f"{prefix}/{end}, drawn or not", int((torch.from_numpy(seen.radius > 0) & ~kept).sum()), 0)
        kept &= torch.from_numpy(seen.radius > 0)
        for name, ours, theirs in (("means2d", seen.mean, None), ("depths", seen.depth, None),
                                   ("conics", seen.conic, None), ("opacity", seen.opacity, opacity)):
            theirs = fixture[f"{prefix}/{end}/{name}"] if theirs is None else theirs
            fixture.compare(f"{prefix}/{end}/{name}", torch.from_numpy(ours)[kept], EXACT, theirs[kept])


def compare_supersampled(fixture, key, raw, representation, basis, camera):
    """Maps drawn larger; the published renderer shrinks only some of them."""
    factor, side = map(int, re.search(r"ssaa(\d+)_(\d+)", key).groups())
    small = read_size(fixture[key])
    large = small if small[0] != side else tuple(factor * length for length in small)
    view, lens = fixture[f"in/{camera}/extrinsics"], fixture[f"in/{camera}/intrinsics"]
    gaussians = DecodedGaussians(raw, representation, torch.inverse(view)[:3, 3])
    maps = render.render(gaussians, basis, view, lens, large, fixture.config["near"], fixture.config["far"])
    value = maps[key.split("/")[-1]]
    if small != large:
        value = render.shrink(value, small)
    fixture.compare(key, to_planes(value, fixture[key]))


def compare_background(fixture, raw, representation, camera):
    """A pass over a colour of its own; its picture may have another size than the frames."""
    size = read_size(fixture["out/background/alpha"][..., 0])
    view = fixture[f"in/{camera}/extrinsics"]
    gaussians = DecodedGaussians(raw, representation, torch.inverse(view)[:3, 3])
    picture, alpha, depth, _ = render.splat_pass(
        gaussians, "_scaling_view", fixture["in/background_colors"], view,
        render.pixel_intrinsics(fixture[f"in/{camera}/intrinsics"], *size), size,
        fixture.config["near"], fixture.config["far"], background=fixture["in/background"].numpy())
    fixture.compare("out/background/rgbd", np.concatenate([picture, depth[..., None]], 2), DEPTH)
    fixture.compare("out/background/alpha", alpha[..., None])


def check_whole_frames(fixture):
    """Latent to picture: decoder, lighting network, both passes."""
    configs = fixture.config["configs"]
    decode = fixture.load(iad.SLatGaussianDecoder(**configs["decoder"]), "w/decoder.")
    light = fixture.load(lad.SLatGaussianRenderer(**configs["renderer"]), "w/renderer.")
    basis = fixture.load(NeuralBasis(**configs["neural_basis"]), "w/neural_basis.")
    h, registers = decode(fixture["in/coords"], fixture["in/feats"])
    for key in fixture.names("in/cam"):
        if key.endswith("extrinsics"):
            camera = key.split("/")[1]
            gaussians, = light(fixture["in/coords"], h, registers, fixture["in/hdri_tokens"], fixture[key][None])
            maps = render.render(gaussians, basis, fixture[key], fixture[f"in/{camera}/intrinsics"],
                                      read_size(fixture[f"out/{camera}/alpha"]),
                                      fixture.config["near"], fixture.config["far"])
            compare_maps(fixture, f"out/{camera}", maps, VIEW, UNSTEADY)

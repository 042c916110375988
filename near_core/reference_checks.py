"""How each fixture of the reference implementation runs through our code; see reference.py."""
import json
import re

import numpy as np
import torch

from . import reference_fullsize
from .errors import NearError
from .models import (blocks, near_basis, near_conditioning, near_dino, near_flow, near_gaussians, near_hdri, near_iad,
                     near_lad, near_mesh, near_render, near_sampler, near_structure, near_vae, sparse)

EXACT = 1e-5  # of max(1, largest reference value): float32 rounding of another order of additions
VIEW = 5e-4  # what depends on the view vector, which the lighting network multiplies by up to 2^11
DEPTH = 2e-5  # a sum of w z over one of w, which is one minus a product: its own rounding in float32
SLOPE = 1e-4  # normals from differences of such depths
STEP = 2 / 255  # of a pixel: what a Gaussian does that rounding carries over the cut-offs at 1/255 and 1e-4
RARE, UNSTEADY = 1e-3, 0.05  # share of pixels where that may happen: from equal Gaussians, from the lighting network


class Watch:
    """Records what submodules return while the network runs; several calls are joined along the rows."""

    def __init__(self, network, names):
        """names: what to record -> name of the submodule."""
        self.seen = {name: [] for name in names}
        modules = dict(network.named_modules())
        self.handles = [modules[path].register_forward_hook(self._hook(name))
                        for name, path in names.items() if path in modules]

    def _hook(self, name):
        return lambda module, inputs, output: self.seen[name].append(output)

    def compare(self, fixture, tolerance=EXACT):
        for handle in self.handles:
            handle.remove()
        for name, parts in self.seen.items():
            if name in fixture and parts:
                fixture.compare(name, torch.cat(parts), tolerance)


def decoder(fixture):
    network = fixture.load(near_iad.SLatGaussianDecoder(**fixture.config["config"]))
    names = {"mid/input_layer": "input_layer"}
    for index in range(len(network.blocks)):
        names[f"mid/block{index}"] = f"blocks.{index}"
        for layer in ("register_attn", "attn", "mlp"):
            names[f"mid/block{index}_{layer}"] = f"blocks.{index}.{layer}"
    watch = Watch(network, names)
    h, registers = network(fixture["in/coords"], fixture["in/feats"])
    watch.compare(fixture)
    if "mid/pos_emb" in fixture:
        fixture.compare("mid/pos_emb", blocks.position_embedding(fixture["in/coords"][:, 1:], h.shape[1]))
    fixture.compare("out/h", h)
    fixture.compare("out/reg", registers)


def renderer(fixture):
    network = fixture.load(near_lad.SLatGaussianRenderer(**fixture.config["config"]))
    coords, h = fixture["in/coords"], fixture["in/h"]
    if "mid/ob_views_emb" in fixture:  # the stages after the amplifying view embedding must be exact
        names = {"mid/input_layer": "input_layer", "mid/h_gs": "gs_out_layer", "mid/h_pbr": "pbr_out_layer",
                 "mid/h_scale": "scale_out_layer", "mid/h_rgbs": "rgb_out_layer"}
        watch = Watch(network, names | {f"mid/block{i}": f"blocks.{i}" for i in range(len(network.blocks))})
        observed = fixture["mid/ob_views_emb"] + fixture["mid/ob_dists_emb"]
        network.light(network.geometry(h, observed), h, observed, coords,
                      network.memorize(fixture["in/reg"], fixture["in/hdri_tokens"]))
        watch.compare(fixture)
        views, distances = near_lad.view_vectors(coords, torch.inverse(fixture["in/extrinsics"])[:, :3, 3],
                                                 network.resolution)
        fixture.compare("mid/ob_views_pe", blocks.frequency_encoding(views, 12), VIEW)
        fixture.compare("mid/ob_dists_pe", blocks.frequency_encoding(distances, 12), VIEW)
    items = network(coords, h, fixture["in/reg"], fixture["in/hdri_tokens"], fixture["in/extrinsics"])
    for index, gaussians in enumerate(items):
        for name, value in gaussians.raw.items():
            fixture.compare(f"out/{index}/{name}", value, VIEW)
        fixture.compare(f"out/{index}/camera_center", gaussians.camera)
        activated(fixture, f"out/{index}/", network.representation, gaussians.camera)


def activated(fixture, prefix, representation, camera=None):
    """The activations, from the stored raw attributes."""
    raw = {name: fixture[prefix + name] for name in
           ("_xyz", "_base_color", "_features_dc", "_scaling", "_scaling_view", "_rotation", "_opacity", "_roughness",
            "_metallic", "_pbr1", "_shadow", "_hdri1", "_hdri2", "_rgb") if prefix + name in fixture}
    gaussians = near_gaussians.Gaussians(raw, representation, camera)
    getters = {"get_xyz": gaussians.xyz, "get_opacity": gaussians.opacity, "get_scaling": gaussians.scaling,
               "get_scaling_view": lambda: gaussians.scaling("_scaling_view"), "get_rotation": gaussians.rotation,
               "get_rotation_matrix": lambda: near_gaussians.rotation_matrix(gaussians.rotation()),
               "get_normal": gaussians.normal, "get_normal_view": lambda: gaussians.normal("_scaling_view"),
               "scale_bias": lambda: representation.scale_shift, "opacity_bias": lambda: representation.opacity_shift}
    for name in ("roughness", "metallic", "pbr1", "shadow", "hdri1", "hdri2"):
        getters[f"get_{name}"] = lambda name=name: gaussians.value("_" + name)
    for name, getter in getters.items():
        if prefix + name in fixture:
            fixture.compare(prefix + name, torch.as_tensor(getter()))


def trellis_gaussians(fixture):
    network = fixture.load(near_vae.SLatGaussianDecoderOri(**fixture.config["config"]))
    for index, gaussians in enumerate(network(fixture["in/coords"], fixture["in/feats"])):
        for name, value in gaussians.raw.items():
            fixture.compare(f"out/{index}/{name}", value)
        activated(fixture, f"out/{index}/", network.representation)


def slat_encoder(fixture):
    network = fixture.load(near_vae.SLatEncoder(**fixture.config["config"]))
    mean, log_variance = network(fixture["in/coords"], fixture["in/feats"])
    fixture.compare("out/mean", mean)
    fixture.compare("out/logvar", log_variance)


def colour_network(fixture):
    network = fixture.load(near_basis.NeuralBasis(**fixture.config["config"]))
    fixture.compare("out/result", network(fixture["in/features"], fixture["in/normals"]))


def latent_flow(fixture):
    network = fixture.load(near_flow.SLatFlowModel(**fixture.config["config"]))
    coords = fixture["in/coords"]
    for key in fixture.names("in/t"):
        run = key.removeprefix("in/t")
        names = {f"mid/t{run}/t_emb": "t_embedder"}
        for stem, module in (("input_block", "input_blocks"), ("block", "blocks"), ("out_block", "out_blocks")):
            names |= {f"mid/t{run}/{stem}{i}": f"{module}.{i}" for i in range(len(getattr(network, module)))}
        watch = Watch(network, names)
        velocity = network(coords, fixture["in/feats"], fixture[key], network.memorize(fixture["in/cond"]))
        watch.compare(fixture)
        if f"mid/t{run}/coords_downsampled" in fixture:
            fixture.compare(f"mid/t{run}/coords_downsampled", sparse.downsample(coords, fixture["in/feats"])[0])
        fixture.compare(f"out/v{run}", velocity)


def structure_flow(fixture):
    network = fixture.load(near_structure.SparseStructureFlowModel(**fixture.config["config"]))
    fixture.compare("out/v", network(fixture["in/x"], fixture["in/t"], network.memorize(fixture["in/cond"])))


def structure_decoder(fixture):
    network = fixture.load(near_structure.SparseStructureDecoder(**fixture.config["config"]))
    fixture.compare("out/logits", network(fixture["in/z"]))


def structure_encoder(fixture):
    network = fixture.load(near_structure.SparseStructureEncoder(**fixture.config["config"]))
    mean, log_variance = network(fixture["in/x"])
    fixture.compare("out/mean", mean)
    fixture.compare("out/logvar", log_variance)


def image_encoder(fixture):
    network = fixture.load(near_dino.DinoVisionTransformer(**fixture.config["config"]))
    tokens = network(fixture["in/image_normalized"])
    fixture.compare("out/x_prenorm", tokens)
    fixture.compare("out/x_norm_clstoken", network.norm(tokens)[:, 0])
    fixture.compare("out/cond_layernormed", network.condition(fixture["in/image_normalized"]))
    if "in/image_other_size" in fixture:
        fixture.compare("out/x_prenorm_other_size", network(fixture["in/image_other_size"]))


def backbone(fixture):
    """The image stages alone, of any widths and depths."""
    network = fixture.load(near_hdri.ConvNeXt(fixture.config["dims"], fixture.config["depths"]))
    for level, features in enumerate(network.pyramid(fixture["in/x"]), 2):
        fixture.compare(f"out/c{level}", features)


def tokenizer_head(fixture):
    network = near_hdri.Hdri_Encoder(**fixture.config["config"])
    missing, unexpected = network.load_state_dict(fixture.weights(), strict=False)
    wrong = unexpected + [key for key in missing if not key.startswith("stage")]
    if wrong:
        raise NearError(f"The weight {wrong[0]} is missing or has no place.")
    fused = network.fuse(fixture["in/view_dirs"], *(fixture[f"in/c{level}"] for level in (3, 4, 5)))
    for level, features in zip((3, 4, 5), fused):
        fixture.compare(f"mid/fused_c{level}", features)
    fixture.compare("mid/dir_encoding_first4x4", network.dir_encoder(fixture["in/view_dirs"][..., :4, :4]))
    tokens = network.project(fused)
    side = network.side
    fixture.compare("mid/projected", tokens.transpose(1, 2).unflatten(2, (side, side)))
    for index, layer in enumerate(network.transformer_encoder.layers):
        tokens = layer(tokens)
        fixture.compare(f"mid/tokens_after_layer{index}", tokens)
    fixture.compare("out/tokens", network.ln_final(tokens))


def light_maps(fixture):
    names = sorted({key.split("/")[1] for key in fixture.names("out/") if "/rot" in key and "rolled" not in key})
    for name in names:
        for angle in fixture.config["angles_deg"]:
            prefix = f"out/{name}/rot{angle:g}"
            ours = near_conditioning.light_map(fixture[f"in/{name}"].numpy(), angle)
            fixture.compare(f"{prefix}/sub8", ours[:, ::8, ::8])
            stored = fixture[f"{prefix}/rows"]
            fixture.compare(f"{prefix}/rows", ours[:, fixture.config["rows"][:stored.shape[1]]])
            values = ours.flatten(1).double()
            fixture.compare(f"{prefix}/mean_std_min_max",
                            torch.stack([values.mean(1), values.std(1), values.amin(1), values.amax(1)]), 1e-4)
    small = fixture["in/small"]
    fixture.compare("out/maps_small/env_ev0", near_conditioning.tone_map(small))
    fixture.compare("out/maps_small/env_log", near_conditioning.log_map(small))


def primitives(fixture):
    for key in fixture.names("out/ape"):
        channels = key.removeprefix("out/ape")
        fixture.compare(key, blocks.position_embedding(fixture[f"in/coords{channels}"], int(channels)))
    fixture.compare("out/nerf6", blocks.frequency_encoding(fixture["in/x3"], 6))
    fixture.compare("out/nerf12_d", blocks.frequency_encoding(fixture["in/d1"], 12))
    rounding = float(fixture["in/t"].max()) * 2.0 ** -24  # of a frequency, times the largest time
    fixture.compare("out/timestep256", blocks.timestep_embedding(fixture["in/t"], 256), max(EXACT, rounding))
    fixture.compare("out/patchify2", near_structure.patchify(fixture["in/vol"], 2))
    fixture.compare("out/unpatchify2", near_structure.unpatchify(fixture["in/vol16"], 2))
    fixture.compare("out/pixelshuffle2", near_structure.unpatchify(fixture["in/vol16"], 2))
    gamma = fixture["w/qk_gamma"]
    norm = blocks.HeadRMSNorm(*gamma.shape)
    norm.load_state_dict({"gamma": gamma})
    fixture.compare("out/qk_rms", norm(fixture["in/q"]))
    norm = blocks.RMSNorm(len(fixture["w/rms"]))
    norm.load_state_dict({"weight": fixture["w/rms"]})
    fixture.compare("out/rms", norm(fixture["in/rms"]))
    fixture.compare("out/fourier8", near_hdri.DirectionEncoder()(fixture["in/fourier"]))
    fixture.compare("out/rope_q", near_hdri.rotate(fixture["in/rope_q"]))
    fixture.compare("out/rope_k", near_hdri.rotate(fixture["in/rope_k"]))


def sparse_operations(fixture):
    coords, features = fixture["in/coords"], fixture["in/feats"]
    for key in fixture.names("out/conv"):
        name = key.removeprefix("out/")
        weights = fixture.weights(f"w/{name}.")
        out_channels, kernel, _, _, channels = weights["conv.weight"].shape
        layer = sparse.Convolution(channels, out_channels, kernel)
        layer.load_state_dict(weights)
        fixture.compare(key, layer(features, coords))
    small, pooled, row = sparse.downsample(coords, features)
    fixture.compare("out/down2/coords", small)
    fixture.compare("out/down2/feats", pooled)
    fixture.compare("out/up2/feats", fixture["in/up2/feats"][row])
    fixture.compare("out/up2/coords", coords)
    children, repeated = sparse.subdivide(coords, features)
    fixture.compare("out/subdivide/coords", children)
    fixture.compare("out/subdivide/feats", repeated)
    groups = int(re.search(r"GroupNorm\((\d+) groups", fixture.config["what"])[1])
    layer = sparse.GroupNorm(groups, len(fixture["w/groupnorm.weight"]))
    layer.load_state_dict(fixture.weights("w/groupnorm."))
    fixture.compare("out/groupnorm", layer(fixture["in/groupnorm/feats"], sparse.lengths(coords)))
    for key in fixture.names("out/window_"):
        if key.endswith("/fwd"):
            size, shift = map(int, re.search(r"_w(\d+)_s(\d+)/", key).groups())
            ours = {frozenset(rows) for sets in sparse.windows(coords, size, shift) for rows in sets.tolist()}
            lengths = fixture[key.replace("fwd", "seq_lens")].tolist()
            theirs = {frozenset(rows.tolist()) for rows in fixture[key].split(lengths)}
            fixture.add(key, len(ours ^ theirs), 0)


def samplers(fixture):
    noise, seen = fixture["in/noise"], []

    def toy(x, t, condition):
        seen.append(t)
        return (1.3 * x).sin() + 0.5 * condition.mean((1, 2))[:, None, None] + 0.2 * np.cos(3 * t / 1000) * x

    for name, run in fixture.config["runs"].items():
        settings = near_sampler.Settings(
            run["steps"], run["rescale_t"], run.get("cfg_strength"), tuple(run.get("cfg_interval", (0, 1))),
            fixture.config["sigma_min"])
        seen.clear()
        velocity = near_sampler.guided_velocity(
            toy, [fixture["in/cond"]], fixture["in/neg_cond"], settings.cfg_strength)
        steps = list(near_sampler.sample(velocity, noise, settings))
        fixture.compare(f"out/{name}/samples", steps[-1].x)
        fixture.compare(f"out/{name}/pred_x_t", torch.stack([step.x for step in steps]))
        fixture.compare(f"out/{name}/pred_x_0", torch.stack([step.clean for step in steps]))
        fixture.compare(f"out/{name}/model_call_t", torch.tensor(seen))
        fixture.compare(f"f64/{name}/t_seq", near_sampler.times(settings), 1e-12)


def cameras(fixture):
    lists = [fixture[f"in/{name}"].tolist() for name in ("yaw_deg", "pitch_deg", "radius", "fov_deg")]
    views = list(zip(*lists))
    fixture.compare("out/extrinsics", np.stack([near_conditioning.extrinsics(*view[:3]) for view in views]))
    fixture.compare("out/intrinsics", np.stack([near_conditioning.intrinsics(view[3]) for view in views]))
    spiral = np.degrees(near_conditioning.spiral(fixture.config["spiral_views"]))
    fixture.compare("out/spiral_extrinsics", np.stack([near_conditioning.extrinsics(*view, 2) for view in spiral]))
    fixture.compare("out/spiral_intrinsics", np.stack([near_conditioning.intrinsics(40)] * len(spiral)))
    fixture.compare("out/sphere_hammersley_yaw_pitch", near_conditioning.sphere(fixture.config["sphere_views"]))
    for key in fixture.names("out/hammersley"):
        dimensions, count = map(int, re.search(r"hammersley(\d+)_(\d+)", key).groups())
        points = [near_conditioning.hammersley(dimensions, index, count) for index in range(count)]
        fixture.compare(key, torch.tensor(points))
    fixture.compare("out/quat_to_matrix", near_gaussians.rotation_matrix(fixture["in/quats_wxyz"]))


def voxels(fixture):
    for key in fixture.names("out/"):
        name = key.split("/")[1]
        vertices, faces = (fixture[f"in/{name}/{part}"].numpy() for part in ("vertices", "faces"))
        ours = near_conditioning.mesh_voxels(vertices, faces, fixture.config.get("resolution", 64))
        a, b = (set(map(tuple, coords.tolist())) for coords in (ours, fixture[key]))
        fixture.add(f"{key}, 1 - IoU", 1 - len(a & b) / len(a | b), 0.005)
        stored = np.array(sorted(b))
        away = [np.abs(stored - cell).max(1).min() for cell in a - b]
        fixture.add(f"{key}, cells away", max(away, default=0), 1)


def crops(fixture):
    for key in fixture.names("in/"):
        name = key.removeprefix("in/")
        rgba = near_conditioning.crop(fixture[key].numpy())
        black, white = near_conditioning.over(rgba, 0), near_conditioning.over(rgba, 1)
        fixture.compare(f"out/{name}/rgba_sub4", rgba[::4, ::4])
        fixture.compare(f"out/{name}/rgb_black_sub4", black[::4, ::4])
        fixture.compare(f"out/{name}/white_matte_sub4", white[::4, ::4])
        fixture.compare(f"out/{name}/rgb_row259", black[259])
        fixture.compare(f"out/{name}/alpha_mean", torch.tensor(rgba[..., 3].mean(dtype=np.float64)))


def pictures(fixture):
    """Both passes of the renderer for every camera, and the projections behind them."""
    basis = fixture.load(near_basis.NeuralBasis(**fixture.config["neural_basis"]), "w/neural_basis.")
    raw = {name: fixture[f"in/{name}"] for name in (key.removeprefix("in/") for key in fixture.names("in/_"))}
    settings = fixture.config["gaussian"]
    representation = near_gaussians.Representation(
        {}, True, 1.5, 1, settings["kernel"], settings["scaling_bias"], settings["opacity_bias"],
        settings["scaling_activation"])
    size = (fixture.config["resolution"],) * 2
    names = [key.split("/")[1] for key in fixture.names("in/cam") if key.endswith("extrinsics")]
    for name in names:
        view, lens = fixture[f"in/{name}/extrinsics"], fixture[f"in/{name}/intrinsics"]
        wide = "_wide" if name.endswith("_wide") else ""
        near, far = fixture.config["near" + wide], fixture.config["far" + wide]
        gaussians = near_gaussians.Gaussians(raw, representation, torch.inverse(view)[:3, 3])
        compare_maps(fixture, f"out/{name}", near_render.render(gaussians, basis, view, lens, size, near, far))
        compare_projections(fixture, f"mid/{name}", gaussians, basis, view, lens, size, near, far)
    for key in fixture.names("out/ssaa"):
        supersampled(fixture, key, raw, representation, basis, names[0])
    background(fixture, raw, representation, size, names[0])


def compare_maps(fixture, prefix, maps, tolerance=EXACT, excepted=RARE):
    """All pixels but the excepted share keep the tolerance, and those are off by no more than a cut-off explains; a
    depth is undefined to that degree where a single faint Gaussian makes it. (Moving the camera of the stored whole
    frame by one rounding step changes single pixels by 1/255.)"""
    for key in fixture.names(prefix + "/"):
        name, stored = key.split("/")[-1], fixture[key]
        error = (planes(maps[name], stored).double() - stored.double()).abs()
        error = error.reshape(-1, *error.shape[-2:]).amax(0).flatten().sort().values  # of a pixel
        scale = max(1.0, float(stored.abs().max()))
        steady = len(error) - int(excepted * len(error))
        own = SLOPE if name.startswith("normal_from") else DEPTH if name.startswith("depth") else EXACT
        fixture.add(key, error[steady - 1], max(tolerance, own) * scale)
        if not name.startswith(("depth", "normal_from")):
            fixture.add(f"{key}, all pixels", error[-1], STEP * scale)


def planes(image, reference):
    """(H, W, C) array as a tensor in the reference's shape, (C, H, W) or (H, W)."""
    return torch.from_numpy(image).permute(2, 0, 1).reshape(reference.shape)


def compare_projections(fixture, prefix, gaussians, basis, view, lens, size, near, far):
    pixels, turn = near_render.pixel_intrinsics(lens, *size), view[:3, :3].T
    for end, scaling, values in (
            ("pass_pbr", "_scaling", near_render.material_features(gaussians, turn)),
            ("pass_view", "_scaling_view", near_render.light_features(gaussians, basis, turn))):
        if f"{prefix}/{end}/radii" not in fixture:
            continue
        seen = near_render.splat_pass(gaussians, scaling, values, view, pixels, size, near, far)[-1]
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


def supersampled(fixture, key, raw, representation, basis, camera):
    """Maps drawn larger; the published renderer shrinks only some of them."""
    factor, side = map(int, re.search(r"ssaa(\d+)_(\d+)", key).groups())
    view, lens = fixture[f"in/{camera}/extrinsics"], fixture[f"in/{camera}/intrinsics"]
    gaussians = near_gaussians.Gaussians(raw, representation, torch.inverse(view)[:3, 3])
    maps = near_render.render(gaussians, basis, view, lens, (side * factor,) * 2)
    value = maps[key.split("/")[-1]]
    if fixture[key].shape[-1] == side:
        value = near_render.shrink(value, (side, side))
    fixture.compare(key, planes(value, fixture[key]))


def background(fixture, raw, representation, size, camera):
    view = fixture[f"in/{camera}/extrinsics"]
    gaussians = near_gaussians.Gaussians(raw, representation, torch.inverse(view)[:3, 3])
    picture, alpha, depth, _ = near_render.splat_pass(
        gaussians, "_scaling_view", fixture["in/background_colors"], view,
        near_render.pixel_intrinsics(fixture[f"in/{camera}/intrinsics"], *size), size,
        background=fixture["in/background"].numpy())
    fixture.compare("out/background/rgbd", np.concatenate([picture, depth[..., None]], 2), DEPTH)
    fixture.compare("out/background/alpha", alpha[..., None])


def whole_frames(fixture):
    """Latent to picture: decoder, lighting network, both passes."""
    configs = fixture.config["configs"]
    decode = fixture.load(near_iad.SLatGaussianDecoder(**configs["decoder"]), "w/decoder.")
    light = fixture.load(near_lad.SLatGaussianRenderer(**configs["renderer"]), "w/renderer.")
    basis = fixture.load(near_basis.NeuralBasis(**configs["neural_basis"]), "w/neural_basis.")
    h, registers = decode(fixture["in/coords"], fixture["in/feats"])
    size = (fixture.config["resolution"],) * 2
    for key in fixture.names("in/cam"):
        if key.endswith("extrinsics"):
            camera = key.split("/")[1]
            gaussians, = light(fixture["in/coords"], h, registers, fixture["in/hdri_tokens"], fixture[key][None])
            maps = near_render.render(gaussians, basis, fixture[key], fixture[f"in/{camera}/intrinsics"], size,
                                      fixture.config["near"], fixture.config["far"])
            compare_maps(fixture, f"out/{camera}", maps, VIEW, UNSTEADY)


def mesh_decoder(fixture):
    network = fixture.load(near_mesh.SLatMeshDecoder(**fixture.config["config"]))
    coords, features = network(fixture["in/coords"], fixture["in/feats"])
    fixture.compare("out/coords", coords)
    fixture.compare("out/feats", features)


def mesh_extraction(fixture):
    """Vertices are numbered differently; each is compared with the nearest stored one."""
    vertices, faces, attributes = near_mesh.extract(
        fixture["in/coords"], fixture["in/feats"], fixture.config["res"], fixture.config["use_color"])
    stored = fixture["out/vertices"]
    if len(stored) != len(vertices):
        raise NearError(f"The mesh has {len(vertices)} vertices, the reference {len(stored)}.")
    nearest = torch.cdist(vertices.double(), stored.double()).argmin(1)
    fixture.add("out/vertices, unmatched", len(stored) - len(nearest.unique()), 0)
    fixture.compare("out/vertices", vertices, EXACT, stored[nearest])
    if attributes is not None:
        fixture.compare("out/vertex_attrs", attributes, EXACT, fixture["out/vertex_attrs"][nearest])
    ours, theirs = ({tuple(turned_first(face)) for face in each.tolist()}
                    for each in (nearest[faces], fixture["out/faces"]))
    fixture.add("out/faces", len(ours ^ theirs), 0)


def turned_first(face):
    """The same oriented triangle, beginning with its smallest index."""
    start = face.index(min(face))
    return face[start:] + face[:start]


def full_decoder_and_renderer(fixture):
    path = fixture.path.with_name("fullsize_hdri_encoder.json")
    if not path.is_file():
        raise NearError("The fixture needs fullsize_hdri_encoder.json beside it.", "Copy the whole folder.")
    tokens = reference_fullsize.tokens_of(path, json.loads(path.read_text()))
    reference_fullsize.decoder_and_renderer(fixture, tokens)


CHECKS = {  # by the start of the fixture's name, the longest that fits; a text is the reason why none is needed
    "cameras": cameras,
    "convnext": backbone,
    "dinov2": image_encoder,
    "e2e": whole_frames,
    "flexicubes": mesh_extraction,
    "fullsize_hdri_encoder": reference_fullsize.tokenizer,
    "fullsize_iad_lad": full_decoder_and_renderer,
    "hdri_encoder_head": tokenizer_head,
    "hdri_preprocess": light_maps,
    "iad_decoder": decoder,
    "lad_renderer": renderer,
    "mesh_decoder": mesh_decoder,
    "neural_basis": colour_network,
    "preprocess_image": crops,
    "primitives": primitives,
    "render_full": pictures,
    "samplers": samplers,
    "slat_decoder_gs": trellis_gaussians,
    "slat_encoder": slat_encoder,
    "slat_flow": latent_flow,
    "sparse_ops": sparse_operations,
    "ss_decoder": structure_decoder,
    "ss_encoder": structure_encoder,
    "ss_flow": structure_flow,
    "tonemap": "The engine returns scene-linear pictures; Blender's own colour management maps tones.",
    "voxelize": voxels,
}


BY_CLASS = {  # where the name of a fixture says nothing
    "DinoVisionTransformer": image_encoder, "NeuralBasis": colour_network, "SLatEncoder": slat_encoder,
    "SLatFlowModel": latent_flow, "SLatGaussianDecoder": decoder, "SLatGaussianDecoderOri": trellis_gaussians,
    "SLatGaussianRenderer": renderer, "SLatMeshDecoder": mesh_decoder, "SparseStructureDecoder": structure_decoder,
    "SparseStructureEncoder": structure_encoder, "SparseStructureFlowModel": structure_flow}


def find(fixture):
    """The check of a fixture by its name or class, or the reason why none is needed; None where neither is known."""
    fitting = [start for start in CHECKS if fixture.name.startswith(start)]
    return CHECKS[max(fitting, key=len)] if fitting else BY_CLASS.get(fixture.config.get("official_class"))

"""Checks of what lies around the published networks: light maps, encodings, sparse operations, samplers, cameras,
voxels, crops. Every check takes a reference.Fixture and adds its comparisons to it."""
import re

import numpy as np
import torch

from ...models.near import blocks, conditioning, gaussians, hdri, sampler, sparse, structure

EXACT = 1e-5  # of max(1, largest reference value): float32 rounding of another order of additions


def check_light_maps(fixture):
    names = sorted({key.split("/")[1] for key in fixture.names("out/") if "/rot" in key and "rolled" not in key})
    for name in names:
        for angle in fixture.config["angles_deg"]:
            prefix = f"out/{name}/rot{angle:g}"
            ours = conditioning.light_map(fixture[f"in/{name}"].numpy(), angle)
            fixture.compare(f"{prefix}/sub8", ours[:, ::8, ::8])
            stored = fixture[f"{prefix}/rows"]
            fixture.compare(f"{prefix}/rows", ours[:, fixture.config["rows"][:stored.shape[1]]])
            values = ours.flatten(1).double()
            fixture.compare(f"{prefix}/mean_std_min_max",
                            torch.stack([values.mean(1), values.std(1), values.amin(1), values.amax(1)]), 1e-4)
    small = fixture["in/small"]
    fixture.compare("out/maps_small/env_ev0", conditioning.tone_map(small))
    fixture.compare("out/maps_small/env_log", conditioning.log_map(small))


def check_primitives(fixture):
    for key in fixture.names("out/ape"):
        channels = key.removeprefix("out/ape")
        fixture.compare(key, blocks.position_embedding(fixture[f"in/coords{channels}"], int(channels)))
    rounding = float(fixture["in/t"].max()) * 2.0 ** -24  # of a frequency, times the largest time
    for stem, operation, given, tolerance in (
            ("nerf", blocks.frequency_encoding, "x3", EXACT),
            ("timestep", blocks.timestep_embedding, "t", max(EXACT, rounding)),
            ("patchify", structure.patchify, "vol", EXACT),
            ("unpatchify", structure.unpatchify, "vol16", EXACT),
            ("pixelshuffle", structure.unpatchify, "vol16", EXACT)):
        for key in fixture.names(f"out/{stem}"):
            count, distance = re.fullmatch(rf"out/{stem}(\d+)(_d)?", key).groups()
            fixture.compare(key, operation(fixture["in/d1" if distance else f"in/{given}"], int(count)), tolerance)
    gamma = fixture["w/qk_gamma"]
    norm = blocks.HeadRMSNorm(*gamma.shape)
    norm.load_state_dict({"gamma": gamma})
    fixture.compare("out/qk_rms", norm(fixture["in/q"]))
    norm = blocks.RMSNorm(len(fixture["w/rms"]))
    norm.load_state_dict({"weight": fixture["w/rms"]})
    fixture.compare("out/rms", norm(fixture["in/rms"]))
    fixture.compare("out/fourier8", hdri.DirectionEncoder()(fixture["in/fourier"]))
    fixture.compare("out/rope_q", hdri.rotate(fixture["in/rope_q"]))
    fixture.compare("out/rope_k", hdri.rotate(fixture["in/rope_k"]))


def check_sparse_operations(fixture):
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
    layer = sparse.SparseGroupNorm(groups, len(fixture["w/groupnorm.weight"]))
    layer.load_state_dict(fixture.weights("w/groupnorm."))
    fixture.compare("out/groupnorm", layer(fixture["in/groupnorm/feats"], sparse.lengths(coords)))
    for key in fixture.names("out/window_"):
        if key.endswith("/fwd"):
            size, shift = map(int, re.search(r"_w(\d+)_s(\d+)/", key).groups())
            ours = {frozenset(rows) for sets in sparse.windows(coords, size, shift) for rows in sets.tolist()}
            lengths = fixture[key.replace("fwd", "seq_lens")].tolist()
            theirs = {frozenset(rows.tolist()) for rows in fixture[key].split(lengths)}
            fixture.add(key, len(ours ^ theirs), 0)


def check_samplers(fixture):
    noise, seen = fixture["in/noise"], []

    def toy(x, t, condition):
        seen.append(t)
        return (1.3 * x).sin() + 0.5 * condition.mean((1, 2))[:, None, None] + 0.2 * np.cos(3 * t / 1000) * x

    for name, run in fixture.config["runs"].items():
        settings = sampler.SamplerSettings(
            run["steps"], run["rescale_t"], run.get("cfg_strength"), tuple(run.get("cfg_interval", (0, 1))),
            fixture.config["sigma_min"])
        seen.clear()
        velocity = sampler.guided_velocity(
            toy, [fixture["in/cond"]], fixture["in/neg_cond"], settings.cfg_strength)
        steps = list(sampler.sample(velocity, noise, settings))
        fixture.compare(f"out/{name}/samples", steps[-1].x)
        fixture.compare(f"out/{name}/pred_x_t", torch.stack([step.x for step in steps]))
        fixture.compare(f"out/{name}/pred_x_0", torch.stack([step.clean for step in steps]))
        fixture.compare(f"out/{name}/model_call_t", torch.tensor(seen))
        fixture.compare(f"f64/{name}/t_seq", sampler.times(settings), 1e-12)


def check_cameras(fixture):
    lists = [fixture[f"in/{name}"].tolist() for name in ("yaw_deg", "pitch_deg", "radius", "fov_deg")]
    views = list(zip(*lists))
    fixture.compare("out/extrinsics", np.stack([conditioning.extrinsics(*view[:3]) for view in views]))
    fixture.compare("out/intrinsics", np.stack([conditioning.intrinsics(view[3]) for view in views]))
    spiral = np.degrees(conditioning.spiral(fixture.config["spiral_views"]))
    fixture.compare("out/spiral_extrinsics", np.stack([conditioning.extrinsics(*view, 2) for view in spiral]))
    fixture.compare("out/spiral_intrinsics", np.stack([conditioning.intrinsics(40)] * len(spiral)))
    fixture.compare("out/sphere_hammersley_yaw_pitch", conditioning.sphere(fixture.config["sphere_views"]))
    for key in fixture.names("out/hammersley"):
        dimensions, count = map(int, re.search(r"hammersley(\d+)_(\d+)", key).groups())
        points = [conditioning.hammersley(dimensions, index, count) for index in range(count)]
        fixture.compare(key, torch.tensor(points))
    fixture.compare("out/quat_to_matrix", gaussians.rotation_matrix(fixture["in/quats_wxyz"]))


def check_voxels(fixture):
    for key in fixture.names("out/"):
        name = key.split("/")[1]
        vertices, faces = (fixture[f"in/{name}/{part}"].numpy() for part in ("vertices", "faces"))
        ours = conditioning.mesh_voxels(vertices, faces, fixture.config.get("resolution", 64))
        a, b = (set(map(tuple, coords.tolist())) for coords in (ours, fixture[key]))
        fixture.add(f"{key}, 1 - IoU", 1 - len(a & b) / len(a | b), 0.005)
        stored = np.array(sorted(b))
        away = [np.abs(stored - cell).max(1).min() for cell in a - b]
        fixture.add(f"{key}, cells away", max(away, default=0), 1)


def check_crops(fixture):
    for key in fixture.names("in/"):
        name = key.removeprefix("in/")
        rgba = conditioning.crop(fixture[key].numpy())
        black, white = conditioning.over(rgba, 0), conditioning.over(rgba, 1)
        pictures = {"rgba": rgba, "rgb_black": black, "white_matte": white}
        for stored in fixture.names(f"out/{name}/"):  # every n-th pixel, or one row
            if found := re.search(r"/(rgba|rgb_black|white_matte)_sub(\d+)$", stored):
                step = int(found[2])
                fixture.compare(stored, pictures[found[1]][::step, ::step])
            elif found := re.search(r"/rgb_row(\d+)$", stored):
                fixture.compare(stored, black[int(found[1])])
        fixture.compare(f"out/{name}/alpha_mean", torch.tensor(rgba[..., 3].mean(dtype=np.float64)))

"""Stage `renderer`: light tokenizer and lighting decoder over light transport on the grid.

`--prepare` computes, once per picture, what does not learn: which surfels are seen, their transport terms, the light's
tokens. Light is linear, so a step mixes the lights of a view at random and takes the same mixture of its pictures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.lab import autograd

from .... import asset as assets
from .... import files, image
from ...._kernels import splat
from ....asset import CELL, Surfels
from ....asset import octants as latent
from ....light import terms as lighting
from ....light import transport
from ....light.config import TransportConfig
from ....render import gaussians
from ....render.config import SplattingConfig
from ....render.splatting import project
from ....scene import camera as cameras
from ....scene import environment as environments
from ...networks import graphs as mini_graphs
from ...networks.asset_networks import LightingDecoder, LightTokenizer
from ..data.color import srgb_encode
from ..data.photos import read_rgba
from ..loop import Run, Schedule, background, start_from

SPLATTING, TRANSPORT = SplattingConfig(), TransportConfig()
CROP = 64  # pixels; a step sees a window of a picture
EXPOSURES = (0.1, 3.0)  # times the light's mean: a night's as well as noon's
CAUTION = 0.5  # the loss of departing from transport by all of it


class Renderer(nn.Module):
    """Both networks under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer, self.lad = LightTokenizer(), LightingDecoder()


def environment_of(view: dict, hdris: Path) -> environments.Environment:
    """The light of a view file."""
    if view.get("hdri") is None:
        return environments.uniform((view.get("uniform") or 1.0,) * 3)
    radiance = environments.sanitized(image.read(hdris / view["hdri"]))
    return environments.Environment(radiance, environments.turn_z(view["hdri_rotation_deg"]), view["world_strength"])


def discs(asset: assets.NeuralAsset, surfels: Surfels, camera: cameras.Camera
          ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What render draws of an asset in final quality, K discs, texels among them.

    Returns index (S,), the rows of the surfels that are shaded; to_camera (S, 3); and of the discs xyz (K, 3),
    covariance (K, 6), opacity (K,), owner (K,) the place in index whose light a disc takes, -1 for a far side, and
    shift (K, 3), its linear base colour less the owner's.
    """
    shape = gaussians.from_surfels(surfels, np.eye(4))
    to_camera = camera.directions_to(shape.xyz)
    front = np.einsum("kc,kc->k", surfels.normal, to_camera) > SPLATTING.facing
    # far sides stand back, as render has it
    behind = np.where(front[:, None], shape.xyz, shape.xyz - to_camera * np.float32(SPLATTING.far_side_offset * CELL))
    shape = gaussians.Gaussians(behind, shape.covariance, shape.opacity)
    projection = project(shape, camera, SPLATTING.low_pass)
    size, hides = (camera.width, camera.height), np.full(len(surfels), SPLATTING.occlusion_depth * CELL, np.float32)
    index = np.flatnonzero((splat.contributions(projection, *size, hides=hides) > SPLATTING.seen) & front)
    place = np.full(len(surfels), -1, np.int32)
    place[index] = np.arange(len(index))
    wide = (place >= 0) & (projection.radius >= SPLATTING.texel_radius) & (asset.texels is not None)
    plain = np.flatnonzero((splat.contributions(projection, *size) > 0) & ~wide)
    drawn = [shape.take(plain)]
    owner, shift = [place[plain]], [np.zeros((len(plain), 3), np.float32)]
    if wide.any():
        texels = asset.texels.take(wide[asset.texels.surfel])
        drawn.append(gaussians.from_texels(texels, surfels, np.eye(4)))
        owner.append(place[texels.surfel])
        shift.append(texels.colors(surfels) - surfels.base_color[texels.surfel])
    drawn = gaussians.merged(drawn)
    return index, to_camera[index], {"xyz": drawn.xyz, "covariance": drawn.covariance, "opacity": drawn.opacity,
                                     "owner": np.concatenate(owner), "shift": np.concatenate(shift).astype(np.float16)}


def prepare_asset(folder: Path, asset: assets.NeuralAsset, hdris: Path, lights: dict, views: int) -> dict:
    """All views of one asset as arrays; the pictures of one camera share their surfels."""
    prepared = transport.prepare_transport(asset.surfels)
    voxel = latent.voxel_of(prepared.surfels, asset.coords)
    groups: dict[str, list[tuple[dict, Path]]] = {}
    for path in sorted((p for p in folder.glob("*.json") if p.stem.isdigit()), key=lambda p: int(p.stem)):
        view = json.loads(path.read_text())
        groups.setdefault(json.dumps(view["camera"]), []).append((view, path.with_suffix(".exr")))
    out = {"coords": asset.coords, "octants": latent.octants(prepared.surfels, asset.coords).astype(np.float16)}
    directions = lighting.token_directions()
    for number, (key, pictures) in enumerate(list(groups.items())[:views]):
        camera = cameras.from_json(json.loads(key))
        index, to_camera, drawn = discs(asset, prepared.surfels, camera)
        terms, tokens, truth, extra, means = [], [], [], [], []
        for view, path in pictures:
            environment = environment_of(view, hdris)
            light = lights.setdefault(environment.hash, None) or transport.prepare_light(environment)
            lights[environment.hash] = light
            illumination = transport.illuminate(prepared, light, environment.world_to_map)
            shaded = lighting.shade(prepared, illumination, light, environment.world_to_map, index, to_camera,
                                    TRANSPORT.final_rays)
            strength = environment.strength
            terms.append(shaded.terms * strength)
            turned = directions @ environment.world_to_map.T.astype(np.float32)
            tokens.append(lighting.token_radiance(light, turned) * light.mean * strength)
            means.append(light.mean * strength)
            truth.append(read_rgba(path))
            extra.append(shaded.visibility)
        inputs = lighting.surfel_inputs(shaded)
        p = f"{number}."
        out |= {p + name: values for name, values in drawn.items()}
        out |= {p + "terms": np.stack(terms).astype(np.float16), p + "tokens": np.stack(tokens).astype(np.float32),
                p + "truth": np.stack(truth), p + "visibility": np.stack(extra).astype(np.float16),
                p + "mean": np.array(means, np.float32),
                p + "surfel": inputs.astype(np.float16), p + "voxel": voxel[index].astype(np.int32),
                p + "view": shaded.view.astype(np.float16),
                p + "reflected": lighting.reflections(shaded).astype(np.float16),
                p + "normal": shaded.surfels.shading_normal.astype(np.float16),
                p + "camera": camera.world_to_camera.astype(np.float32),
                p + "intrinsics": camera.intrinsics.astype(np.float32),
                p + "size": np.array([camera.width, camera.height])}
    out["views"] = np.array(min(len(groups), views))
    return out


def prepare(args: argparse.Namespace) -> int:
    data, out = Path(args.data), Path(args.out)
    meta = json.loads((data / "meta.json").read_text())
    out.mkdir(parents=True, exist_ok=True)
    lights: dict = {}
    names = meta["assets"] if args.seed < 0 else list(np.random.default_rng(args.seed).permutation(meta["assets"]))
    for name in names[:args.limit]:
        target, source = out / f"{name}.npz", Path(args.assets) / f"{name}.near"
        if target.exists() or not source.exists():
            continue
        made = prepare_asset(data / "views" / name, assets.load(source), data / meta["hdris"], lights, args.views)
        with files.writing(target) as part, open(part, "wb") as file:
            np.savez(file, **made)
        print(name, flush=True)
    return 0


def window(arrays: dict, view: int, left: int, top: int, size: int) -> dict:
    """What shows in a window of a view: its camera, the discs drawn and the rows of their surfels."""
    p = f"{view}."
    intrinsics = arrays[p + "intrinsics"].copy()
    intrinsics[:2, 2] -= left, top
    local = arrays[p + "xyz"] @ arrays[p + "camera"][:3, :3].T + arrays[p + "camera"][:3, 3]
    pixel = local[:, :2] / local[:, 2:] * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
    # discs reach into the window from as far as they are wide: 3.4 standard deviations of the longest
    spread = np.sqrt(arrays[p + "covariance"][:, [0, 3, 5]].sum(1))
    margin = (1 + 3.4 * spread / local[:, 2] * intrinsics[0, 0])[:, None]
    near = ((pixel > -margin) & (pixel < size + margin)).all(1)
    rows = np.unique(arrays[p + "owner"][near])
    return {"intrinsics": torch.from_numpy(intrinsics), "size": (size, size), "drawn": np.flatnonzero(near),
            "rows": rows[rows >= 0]}


def mixed(arrays: dict, view: int, h: Tensor, weights: np.ndarray, seen: dict | None = None) -> dict:
    """One view under its lights times weights (L, 3), in units of the mixture's mean; h (N, 32) of the asset's voxels.

    seen: a window, None for the whole picture.
    """
    p = f"{view}."
    if seen is None:
        seen = {"intrinsics": torch.from_numpy(arrays[p + "intrinsics"]), "size": tuple(arrays[p + "size"]),
                "drawn": slice(None), "rows": np.arange(len(arrays[p + "surfel"]))}
        left = top = 0
    else:
        left, top = (int(n) for n in (arrays[p + "intrinsics"] - seen["intrinsics"].numpy())[:2, 2].round())
    width, height = (int(n) for n in seen["size"])
    rows, count = seen["rows"], len(arrays[p + "terms"])
    weights = weights.astype(np.float32)
    mean = float((weights.mean(1) * arrays[p + "mean"]).sum())
    blend = weights.mean(1) * arrays[p + "mean"] / max(mean, 1e-8)
    tensor = lambda key, rows=slice(None): torch.from_numpy(arrays[p + key][rows].astype(np.float32))  # noqa: E731
    surfel = tensor("surfel", rows)
    surfel[:, 9] = torch.from_numpy(np.einsum("lk,l->k", arrays[p + "visibility"][:, rows].astype(np.float32), blend))
    terms = np.einsum("lktc,lc->ktc", arrays[p + "terms"][:, rows].astype(np.float32), weights) / mean
    tokens = np.einsum("ltsc,lc->tsc", arrays[p + "tokens"].reshape(count, -1, 3, 3), weights) / mean
    picture = arrays[p + "truth"][:, top:top + height, left:left + width].astype(np.float32)
    truth = np.einsum("lhwc,lc->hwc", picture[..., :3], weights) / mean
    owner = arrays[p + "owner"][seen["drawn"]]
    owner = np.where(owner < 0, -1, np.searchsorted(rows, owner))
    return {"surfel": surfel, "terms": torch.from_numpy(terms), "tokens": torch.from_numpy(tokens).flatten(1),
            "truth": torch.from_numpy(truth), "alpha": torch.from_numpy(picture[0, ..., 3]),
            "view": tensor("view", rows), "reflected": tensor("reflected", rows), "normal": tensor("normal", rows),
            "h": h[torch.from_numpy(arrays[p + "voxel"][rows].astype(np.int64))], "mean": mean,
            "xyz": tensor("xyz", seen["drawn"]), "covariance": tensor("covariance", seen["drawn"]),
            "opacity": tensor("opacity", seen["drawn"]), "shift": tensor("shift", seen["drawn"]),
            "owner": torch.from_numpy(owner.astype(np.int64)),
            "camera": tensor("camera"), "intrinsics": seen["intrinsics"], "size": (width, height)}


def restricted(item: dict, know: str) -> dict:
    """An ablation's item. "transport": without light tokens; "tokens": without transport, every term is what a uniform
    sky of the mixture's mean would send; "both": as it is."""
    if know == "transport":
        return item | {"tokens": torch.zeros_like(item["tokens"])}
    if know == "tokens":
        color, metallic, surfel = item["surfel"][:, :3], item["surfel"][:, 4:5], item["surfel"].clone()
        diffuse, mirror = color * (1 - metallic), 0.04 + (color - 0.04) * metallic
        surfel[:, 9], surfel[:, 10] = 1, 0
        return item | {"surfel": surfel, "terms": torch.stack(
            [diffuse, diffuse, torch.zeros_like(diffuse), mirror, mirror], 1)}
    return item


def random_mixture(arrays: dict, view: int, rng: np.random.Generator) -> np.ndarray:
    """Weights (L, 3) of a view's lights: brought to one level first, so that a mixture is one, and of any hue."""
    mean = arrays[f"{view}.mean"]
    weights = rng.dirichlet(np.full(len(mean), 0.5))[:, None] * np.exp(rng.normal(0, 0.4, (len(mean), 3)))
    return weights / np.maximum(mean, 1e-4)[:, None]


def recoloured(item: dict, order: Tensor) -> dict:
    """The same with the channels of light and surface in another order (3,): hues that no object or map has."""
    surfel = item["surfel"].clone()
    surfel[:, :3] = surfel[:, order]
    tokens = item["tokens"].unflatten(1, (-1, 3))[..., order].flatten(1)
    return item | {"surfel": surfel, "tokens": tokens, "terms": item["terms"][..., order],
                   "truth": item["truth"][..., order], "shift": item["shift"][:, order]}


def random_window(arrays: dict, view: int, rng: np.random.Generator) -> dict:
    """A window of CROP pixels around a random pixel of the object."""
    alpha = arrays[f"{view}.truth"][0, ..., 3]
    solid = np.argwhere(alpha > 0.5)
    centre = solid[rng.integers(len(solid))] if len(solid) else np.array(alpha.shape) // 2
    top, left = np.clip(centre - CROP // 2, 0, np.array(alpha.shape) - CROP)
    return window(arrays, view, int(left), int(top), CROP)


def draw(item: dict, radiance: Tensor) -> Tensor:
    """Splats radiance (S, 3) of the item's surfels as render does. (H, W, 3), premultiplied."""
    rows = torch.nonzero(item["owner"] >= 0).squeeze(1)
    owner = item["owner"][rows]
    color, metallic, terms = item["surfel"][:, :3], item["surfel"][:, 4:5], item["terms"]
    gain = (terms[:, 1] + terms[:, 2] + metallic * terms[:, 4]) / color.clamp(min=1e-3)
    sent = (radiance[owner] + item["shift"][rows] * gain[owner]).clamp(min=0)
    features = torch.zeros(len(item["owner"]), 4).index_put((rows,), torch.cat([torch.ones(len(rows), 1), sent], 1))
    picture, alpha, _ = autograd.splat(item["xyz"], item["covariance"], item["opacity"], features, item["camera"],
                                       item["intrinsics"], *item["size"], low_pass=SPLATTING.sharp_low_pass,
                                       samples=SPLATTING.final_samples,
                                       hides=torch.full((len(features),), SPLATTING.occlusion_depth * CELL))
    front = picture[..., :1].detach().clamp(min=1e-6)
    solid = torch.minimum(alpha.detach()[..., None], front * SPLATTING.solidity) * (front > 1e-4)
    return picture[..., 1:] * (solid / front)


def forward(networks: Renderer, item: dict) -> Tensor:
    directions = torch.from_numpy(lighting.token_directions())
    tokens = networks.tokenizer(item["tokens"])
    return networks.lad(item["surfel"], item["terms"], item["h"], item["view"], item["reflected"], item["normal"],
                        tokens, directions)


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of (H, W, 3) pictures in 0..1, window 7."""
    a, b = a.permute(2, 0, 1)[None], b.permute(2, 0, 1)[None]
    mean = lambda x: F.avg_pool2d(x, 7, 1)  # noqa: E731
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    ssim = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))
    return (1 - ssim).mean() / 2


def loss_of(networks: Renderer, item: dict, exposure: float) -> Tensor:
    """The logarithm of the display values' squared error, what a mean of decibels counts, and D-SSIM, where the object
    is. Absolute errors would rather have no highlight than one that is a pixel off."""
    radiance = forward(networks, item)
    a, b = srgb_encode(draw(item, radiance) * exposure), srgb_encode(item["truth"] * exposure)
    weight = (item["alpha"] > 0.01).float()[..., None] + 0.02
    square = ((a - b).square() * weight).sum() / (3 * weight.sum())
    # transport is right but for good reasons: what a few objects suggest must not spoil others
    sent = item["terms"][:, [1, 2, 4]].sum(1)
    change = ((radiance - sent) / (sent + 0.05)).square().mean()
    return (0.3 * torch.log(square + 1e-4) + 0.2 * dissimilarity(a, b) * a.shape[0] * a.shape[1] / weight.sum()
            + CAUTION * change)


def psnr(made: Tensor, truth: Tensor, alpha: Tensor) -> float:
    """Of display values where the true alpha > 0.5, dB."""
    error = (srgb_encode(made) - srgb_encode(truth)).square()[alpha > 0.5].mean()
    return float(-10 * torch.log10(error.clamp(min=1e-10)))


def run(args: argparse.Namespace) -> int:
    if args.prepare:
        return prepare(args)
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    load = lambda path: dict(np.load(path))  # noqa: E731
    held = [load(p) for p in sorted(Path(args.held).glob("*.npz"))]
    paths = sorted(Path(args.prepared).glob("*.npz"))
    print(f"{len(paths)} objects, {len(held)} held out", flush=True)
    from .latent import Autoencoder
    autoencoder = Autoencoder().eval()
    start_from(autoencoder, Path(args.latent) if args.latent else mini_graphs.WEIGHTS / "latent.safetensors")
    rng = np.random.default_rng()

    def features(arrays: dict) -> Tensor:
        """h of every voxel, by the frozen encoder and intrinsic decoder."""
        around = torch.from_numpy(latent.neighbours(arrays["coords"]))
        octants = torch.from_numpy(arrays["octants"].astype(np.float32)).flatten(1)
        with torch.no_grad():
            h = autoencoder.iad(autoencoder.encoder(octants, around), around)[0]
        return h

    cache: dict = {}

    def fetch(path: Path) -> tuple[dict, Tensor]:
        if path not in cache:
            arrays = load(path)
            cache[path] = arrays, features(arrays)
        return cache[path]

    def make() -> list[dict]:
        batch = []
        if rng.random() < 0.01:  # --prepare may still be at work
            paths[:] = sorted(Path(args.prepared).glob("*.npz"))
        for _ in range(args.batch):
            arrays, h = fetch(paths[rng.integers(len(paths))])
            view = rng.integers(int(arrays["views"]))
            item = mixed(arrays, view, h, random_mixture(arrays, view, rng), random_window(arrays, view, rng))
            batch.append(restricted(recoloured(item, torch.from_numpy(rng.permutation(3))), args.know))
        return batch

    batches = background(make)

    def step() -> Tensor:
        exposure = lambda: float(np.exp(rng.uniform(*np.log(EXPOSURES))))  # noqa: E731
        return sum(loss_of(networks, item, exposure()) for item in next(batches)) / args.batch

    held_h = [features(arrays) for arrays in held]

    def check(networks: nn.Module) -> tuple[float, dict]:
        ours, plain = [], []
        for arrays, h in zip(held, held_h):
            scores = []
            for view in range(int(arrays["views"])):
                for picture in range(len(arrays[f"{view}.terms"])):
                    item = mixed(arrays, view, h, np.eye(len(arrays[f"{view}.terms"]))[picture][:, None].repeat(3, 1))
                    truth = item["truth"] * item["mean"]
                    made = draw(item, forward(networks, restricted(item, args.know))) * item["mean"]
                    base = draw(item, item["terms"][:, [1, 2, 4]].sum(1)) * item["mean"]
                    scores.append((psnr(made, truth, item["alpha"]), psnr(base, truth, item["alpha"])))
            ours.append(np.mean([s[0] for s in scores]))
            plain.append(np.mean([s[1] for s in scores]))
        return float(np.mean(ours)), {"transport": round(float(np.mean(plain)), 3),
                                      "worst_gain": round(float(np.min(np.subtract(ours, plain))), 3)}

    networks = Renderer()
    if args.start and not (Path(args.out) / "state.pt").exists():
        start_from(networks, Path(args.start))
    Run(Path(args.out), networks, Schedule(args.rate, minutes=args.minutes)).train(step, check, args.check_every)
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    for name, kind, default in (("data", str, ""), ("assets", str, ""), ("out", str, ""), ("prepared", str, ""),
                                ("held", str, ""), ("latent", str, ""), ("start", str, ""), ("minutes", float, 30.0),
                                ("rate", float, 2e-3), ("batch", int, 2), ("threads", int, 2), ("views", int, 5),
                                ("limit", int, None), ("seed", int, -1), ("check-every", float, 5.0)):
        arguments.add_argument(f"--{name}", type=kind, default=default)
    arguments.add_argument("--prepare", action="store_true")
    arguments.add_argument("--know", choices=("both", "transport", "tokens"), default="both")
    raise SystemExit(run(arguments.parse_args()))

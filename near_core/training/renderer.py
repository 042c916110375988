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

from .. import asset as assets
from .. import camera as cameras
from .. import environment as environments
from .. import gaussians, image, latent, lighting, render, transport
from .._kernels import autograd, splat
from ..models.mini import LightingDecoder, LightTokenizer
from .loop import Run, Schedule, background, start_from
from .photos import read_rgba, to_display

RAYS = 16
FILL = 1.08  # only surfels that face the camera are drawn here: what their layer lets through is made up for


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


def prepare_asset(folder: Path, asset: assets.NeuralAsset, hdris: Path, lights: dict, views: int) -> dict:
    """All views of one asset as arrays; the pictures of one camera share their surfels."""
    prepared = transport.prepare_transport(asset.surfels)
    shape = gaussians.from_surfels(prepared.surfels, np.eye(4))
    voxel = latent.voxel_of(prepared.surfels, asset.coords)
    groups: dict[str, list[tuple[dict, Path]]] = {}
    for path in sorted((p for p in folder.glob("*.json") if p.stem.isdigit()), key=lambda p: int(p.stem)):
        view = json.loads(path.read_text())
        groups.setdefault(json.dumps(view["camera"]), []).append((view, path.with_suffix(".exr")))
    out = {"coords": asset.coords, "octants": latent.octants(prepared.surfels, asset.coords).astype(np.float16)}
    directions = lighting.token_directions()
    for number, (key, pictures) in enumerate(list(groups.items())[:views]):
        camera = cameras.from_json(json.loads(key))
        to_camera = camera.directions_to(shape.xyz)
        facing = np.flatnonzero(np.einsum("kc,kc->k", prepared.surfels.normal, to_camera) > render.FACING)
        kept = gaussians.Gaussians(shape.xyz[facing], shape.covariance[facing], shape.opacity[facing])
        seen = splat.contributions(render.project(kept, camera), camera.width, camera.height) > render.SEEN
        index = facing[seen]
        terms, tokens, truth, extra, means = [], [], [], [], []
        for view, path in pictures:
            environment = environment_of(view, hdris)
            light = lights.setdefault(environment.hash, None) or transport.prepare_light(environment)
            lights[environment.hash] = light
            illumination = transport.illuminate(prepared, light, environment.world_to_map)
            shaded = lighting.shade(prepared, illumination, light, environment.world_to_map, index, to_camera[index], RAYS)
            strength = environment.strength
            terms.append(shaded.terms * strength)
            turned = directions @ environment.world_to_map.T.astype(np.float32)
            tokens.append(lighting.token_radiance(light, turned) * light.mean * strength)
            means.append(light.mean * strength)
            truth.append(read_rgba(path))
            extra.append(shaded.visibility)
        inputs = lighting.surfel_inputs(shaded)
        p = f"{number}."
        out |= {p + "terms": np.stack(terms).astype(np.float16), p + "tokens": np.stack(tokens).astype(np.float32),
                p + "truth": np.stack(truth), p + "visibility": np.stack(extra).astype(np.float16),
                p + "mean": np.array(means, np.float32),
                p + "surfel": inputs.astype(np.float16), p + "voxel": voxel[index].astype(np.int32),
                p + "view": shaded.view.astype(np.float16), p + "reflected": lighting.reflections(shaded).astype(np.float16),
                p + "normal": shaded.surfels.shading_normal.astype(np.float16),
                p + "xyz": shape.xyz[index], p + "covariance": shape.covariance[index],
                p + "opacity": shape.opacity[index], p + "camera": camera.world_to_camera.astype(np.float32),
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
        with open(target.with_suffix(".part"), "wb") as file:
            np.savez(file, **made)
        target.with_suffix(".part").rename(target)
        print(name, flush=True)
    return 0


def mixed(arrays: dict, view: int, h: Tensor, rng: np.random.Generator, augment: bool, picture: int = 0) -> dict:
    """One view under a mixture of its lights, in units of the mixture's mean; h (N, 32) of the asset's voxels."""
    p = f"{view}."
    count = len(arrays[p + "terms"])
    if augment:
        weights = rng.dirichlet(np.full(count, 0.6))[:, None] * rng.uniform(0.7, 1.3, (count, 3))
        # bring the lights to one level first, so that a mixture is one
        weights /= np.maximum(arrays[p + "mean"], 1e-4)[:, None]
    else:
        weights = np.zeros((count, 3))
        weights[picture] = 1
    weights = weights.astype(np.float32)
    mean = float((weights.mean(1) * arrays[p + "mean"]).sum())
    blend = weights.mean(1) * arrays[p + "mean"] / max(mean, 1e-8)
    tensor = lambda key: torch.from_numpy(arrays[p + key].astype(np.float32))  # noqa: E731
    surfel = tensor("surfel")
    surfel[:, 9] = torch.from_numpy(np.einsum("lk,l->k", arrays[p + "visibility"].astype(np.float32), blend))
    terms = np.einsum("lktc,lc->ktc", arrays[p + "terms"].astype(np.float32), weights) / mean
    tokens = np.einsum("ltsc,lc->tsc", arrays[p + "tokens"].reshape(count, -1, 3, 3), weights) / mean
    truth = np.einsum("lhwc,lc->hwc", arrays[p + "truth"][..., :3].astype(np.float32), weights) / mean
    return {"surfel": surfel, "terms": torch.from_numpy(terms), "tokens": torch.from_numpy(tokens).flatten(1),
            "truth": torch.from_numpy(truth), "alpha": torch.from_numpy(arrays[p + "truth"][0, ..., 3].astype(np.float32)),
            "view": tensor("view"), "reflected": tensor("reflected"), "normal": tensor("normal"),
            "h": h[torch.from_numpy(arrays[p + "voxel"].astype(np.int64))], "mean": mean,
            "xyz": tensor("xyz"), "covariance": tensor("covariance"), "opacity": tensor("opacity"),
            "camera": tensor("camera"), "intrinsics": tensor("intrinsics"), "size": arrays[p + "size"]}


def draw(item: dict, radiance: Tensor) -> Tensor:
    """Splats radiance (K, 3) of the item's surfels. (H, W, 3), premultiplied."""
    width, height = (int(n) for n in item["size"])
    picture, alpha, _ = autograd().splat(item["xyz"], item["covariance"], item["opacity"], radiance, item["camera"],
                                   item["intrinsics"], width, height, low_pass=render.LOW_PASS)
    return picture * ((alpha * FILL).clamp(max=1) / alpha.clamp(min=1e-6)).detach()[..., None]


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
    """L1 of log radiance and of display values, and D-SSIM, where the object is."""
    radiance = forward(networks, item)
    made, truth = draw(item, radiance) * exposure, item["truth"] * exposure
    weight = (item["alpha"] > 0.01).float()[..., None] + 0.02
    log = ((torch.log1p(made) - torch.log1p(truth)).abs() * weight).sum() / weight.sum()
    a, b = to_display(made), to_display(truth)
    display = ((a - b).abs() * weight).sum() / weight.sum()
    return log + display + 0.2 * dissimilarity(a, b) * truth.shape[0] * truth.shape[1] / weight.sum()


def psnr(made: Tensor, truth: Tensor, alpha: Tensor) -> float:
    """Of display values where the true alpha > 0.5, dB."""
    error = (to_display(made) - to_display(truth)).square()[alpha > 0.5].mean()
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
    if args.latent:
        start_from(autoencoder, Path(args.latent))
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
            batch.append(mixed(arrays, rng.integers(int(arrays["views"])), h, rng, True))
        return batch

    batches = background(make)

    def step() -> Tensor:
        return sum(loss_of(networks, item, float(np.exp(rng.normal(0, 0.5)))) for item in next(batches)) / args.batch

    held_h = [features(arrays) for arrays in held]

    def check(networks: nn.Module) -> tuple[float, dict]:
        ours, plain = [], []
        for arrays, h in zip(held, held_h):
            scores = []
            for view in range(int(arrays["views"])):
                for picture in range(len(arrays[f"{view}.terms"])):
                    item = mixed(arrays, view, h, rng, False, picture)
                    truth = item["truth"] * item["mean"]
                    made = draw(item, forward(networks, item)) * item["mean"]
                    base = draw(item, item["terms"][:, [1, 2, 4]].sum(1)) * item["mean"]
                    scores.append((psnr(made, truth, item["alpha"]), psnr(base, truth, item["alpha"])))
            ours.append(np.mean([s[0] for s in scores]))
            plain.append(np.mean([s[1] for s in scores]))
        return float(np.mean(ours)), {"transport": round(float(np.mean(plain)), 3),
                                      "worst_gain": round(float(np.min(np.subtract(ours, plain))), 3)}

    networks = Renderer()
    Run(Path(args.out), networks, Schedule(args.rate, minutes=args.minutes)).train(step, check, args.check_every)
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    for name, kind, default in (("data", str, ""), ("assets", str, ""), ("out", str, ""), ("prepared", str, ""),
                                ("held", str, ""), ("latent", str, ""), ("minutes", float, 30.0), ("rate", float, 2e-3),
                                ("batch", int, 2), ("threads", int, 2), ("views", int, 5), ("limit", int, None),
                                ("seed", int, -1), ("check-every", float, 5.0)):
        arguments.add_argument(f"--{name}", type=kind, default=default)
    arguments.add_argument("--prepare", action="store_true")
    raise SystemExit(run(arguments.parse_args()))

"""Stage `renderer`: light tokenizer and lighting decoder over light transport on the grid.

`--prepare` computes what does not learn (data/lit_surfels.py). Light is linear, so a step mixes the lights of a view at
random and takes the same mixture of its pictures (data/mixtures.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.lab import autograd

from ....asset import CELL, octants
from ....errors import NearError
from ....light import terms
from ....models.mini.layout import SurfelColumn, Term
from ....render.config import SplattingConfig
from ...networks import graphs
from ...networks.asset_networks import LightingDecoder, LightTokenizer
from ...options import option
from ..data.color import srgb_encode
from ..data.lit_surfels import write_lit_surfels
from ..data.mixtures import draw_mixture, draw_window, mix_lights, reorder_channels, restrict
from ..loop import Run, RunConfig, Score, background, set_up_torch, start_from
from .latent import Autoencoder

EXPOSURES = (0.1, 3.0)  # times the light's mean: a night's as well as noon's
CAUTION = 0.5  # the loss of departing from transport by all of it


class RendererNetworks(nn.Module):
    """Both networks under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer, self.lad = LightTokenizer(), LightingDecoder()


def draw(item: dict, radiance: Tensor, config: SplattingConfig = SplattingConfig()) -> Tensor:
    """Splats radiance (S, 3) of the item's surfels as render does. (H, W, 3), premultiplied."""
    rows = torch.nonzero(item["owner"] >= 0).squeeze(1)
    owner = item["owner"][rows]
    surfel, terms = item["surfel"], item["terms"]
    diffuse = terms[:, Term.SKY] + terms[:, Term.BOUNCED]
    gain = diffuse + surfel[:, SurfelColumn.METALLIC, None] * terms[:, Term.SPECULAR]
    gain = gain / surfel[:, SurfelColumn.BASE_COLOR].clamp(min=1e-3)
    sent = (radiance[owner] + item["shift"][rows] * gain[owner]).clamp(min=0)
    features = torch.zeros(len(item["owner"]), 4).index_put((rows,), torch.cat([torch.ones(len(rows), 1), sent], 1))
    picture, alpha, _ = autograd.splat(item["xyz"], item["covariance"], item["opacity"], features, item["camera"],
                                       item["intrinsics"], *item["size"], low_pass=config.sharp_low_pass,
                                       samples=config.final_samples,
                                       occlusion_depth=torch.full((len(features),), config.occlusion_depth * CELL))
    front = picture[..., :1].detach().clamp(min=1e-6)
    solid = torch.minimum(alpha.detach()[..., None], front * config.solidity) * (front > 1e-4)
    return picture[..., 1:] * (solid / front)


def decode_radiance(networks: RendererNetworks, item: dict) -> Tensor:
    """What the networks say that the item's surfels send to the camera, (S, 3)."""
    directions = torch.from_numpy(terms.spread_tokens())
    tokens = networks.tokenizer(item["tokens"])
    return networks.lad(item["surfel"], item["terms"], item["h"], item["view"], item["reflected"], item["normal"],
                        tokens, directions)


def measure_dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """(1 - SSIM) / 2 of (H, W, 3) pictures in 0..1, window 7."""
    a, b = a.permute(2, 0, 1)[None], b.permute(2, 0, 1)[None]
    mean = lambda x: F.avg_pool2d(x, 7, 1)
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    ssim = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4))
    return (1 - ssim).mean() / 2


def compute_loss(networks: RendererNetworks, item: dict, exposure: float) -> Tensor:
    """The logarithm of the display values' squared error, what a mean of decibels counts, and D-SSIM, where the object
    is. Absolute errors would rather have no highlight than one that is a pixel off."""
    radiance = decode_radiance(networks, item)
    a, b = srgb_encode(draw(item, radiance) * exposure), srgb_encode(item["truth"] * exposure)
    weight = (item["alpha"] > 0.01).float()[..., None] + 0.02
    square = ((a - b).square() * weight).sum() / (3 * weight.sum())
    # transport is right but for good reasons: what a few objects suggest must not spoil others
    sent = item["terms"][:, Term.SENT].sum(1)
    change = ((radiance - sent) / (sent + 0.05)).square().mean()
    return (0.3 * torch.log(square + 1e-4) + 0.2 * measure_dissimilarity(a, b) * a.shape[0] * a.shape[1] / weight.sum()
            + CAUTION * change)


def measure_psnr(made: Tensor, truth: Tensor, alpha: Tensor) -> float:
    """Of display values where the true alpha > 0.5, dB."""
    error = (srgb_encode(made) - srgb_encode(truth)).square()[alpha > 0.5].mean()
    return float(-10 * torch.log10(error.clamp(min=1e-10)))


@dataclass(frozen=True, kw_only=True)
class RendererConfig(RunConfig):
    """How `renderer` is trained, or what it learns from is prepared."""

    prepare: bool = option("compute what the stage learns from, instead of training", default=False)
    data: Path | None = option("for --prepare: a data set", "folder", None)
    assets: Path | None = option("for --prepare: .near files of its objects", "folder", None)
    views: int = option("for --prepare: cameras of each object", "cameras", 5)
    limit: int | None = option("for --prepare: at most so many objects", "objects", None)
    seed: int = option(
        "for --prepare: which objects --limit takes by chance; the first ones where negative", "number", -1)
    prepared: Path | None = option("what --prepare left, to learn from", "folder", None)
    held: Path | None = option("what --prepare left of the dev set", "folder", None)
    latent: Path | None = option(
        "weights of the stage latent, instead of the committed ones", ".safetensors file", None)
    start: Path | None = option("weights of an earlier run to go on from", ".safetensors file", None)
    batch: int = option("pictures a step", "pictures", 2)
    know: Literal["both", "transport", "tokens"] = option("what the networks are told, for an ablation", "", "both")
    rate: float = 2e-3


class LitObjects:
    """The prepared objects of a folder, with the features of their voxels by the frozen autoencoder."""

    def __init__(self, folder: Path, autoencoder: Autoencoder) -> None:
        self.folder, self.autoencoder = folder, autoencoder
        self.known: dict[Path, tuple[dict, Tensor]] = {}
        self.look_again()

    def look_again(self) -> None:
        """Finds what has come since: --prepare may still be at work."""
        self.paths = sorted(self.folder.glob("*.npz"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[dict, Tensor]:
        """An object's arrays, and h (N, HIDDEN) of its voxels."""
        path = self.paths[number]
        if path not in self.known:
            arrays = dict(np.load(path))
            around = torch.from_numpy(octants.find_neighbours(arrays["coords"]))
            cells = torch.from_numpy(arrays["octants"].astype(np.float32)).flatten(1)
            with torch.no_grad():
                h = self.autoencoder.iad(self.autoencoder.encoder(cells, around), around)[0]
            self.known[path] = arrays, h
        return self.known[path]


def draw_batch(objects: LitObjects, config: RendererConfig, rng: np.random.Generator) -> list[dict]:
    """Windows of random views under random mixtures of their lights, of any hue."""
    batch = []
    if rng.random() < 0.01:
        objects.look_again()
    for _ in range(config.batch):
        arrays, h = objects[rng.integers(len(objects))]
        view = rng.integers(int(arrays["views"]))
        item = mix_lights(arrays, view, h, draw_mixture(arrays, view, rng), draw_window(arrays, view, rng))
        batch.append(restrict(reorder_channels(item, torch.from_numpy(rng.permutation(3))), config.know))
    return batch


def measure_object(networks: RendererNetworks, arrays: dict, h: Tensor, know: str) -> np.ndarray:
    """PSNR of the networks' pictures and of transport's, (2,) dB, means over an object's pictures."""
    numbers = []
    for view in range(int(arrays["views"])):
        count = len(arrays[f"{view}.terms"])
        for picture in range(count):
            item = mix_lights(arrays, view, h, np.eye(count)[picture][:, None].repeat(3, 1))
            truth = item["truth"] * item["mean"]
            made = draw(item, decode_radiance(networks, restrict(item, know))) * item["mean"]
            base = draw(item, item["terms"][:, Term.SENT].sum(1)) * item["mean"]
            numbers.append((measure_psnr(made, truth, item["alpha"]), measure_psnr(base, truth, item["alpha"])))
    return np.mean(numbers, 0)


def train(config: RendererConfig) -> None:
    """Trains the light tokenizer and the lighting decoder with pictures, over light transport on the asset's grid."""
    if config.prepare:
        if config.data is None or config.assets is None:
            raise NearError("--prepare needs --data and --assets.", "Name a data set and a folder of .near files.")
        write_lit_surfels(config.data, config.assets, config.out, config.views, config.limit, config.seed)
        return
    if config.prepared is None or config.held is None:
        raise NearError("The stage renderer needs --prepared and --held.", "Make both with --prepare.")
    set_up_torch(config)
    autoencoder = Autoencoder().eval()
    start_from(autoencoder, config.latent or graphs.WEIGHTS / "latent.safetensors")
    objects, held = (LitObjects(folder, autoencoder) for folder in (config.prepared, config.held))
    print(f"{len(objects)} objects, {len(held)} held out", flush=True)
    rng = np.random.default_rng()
    batches = background(lambda: draw_batch(objects, config, rng))
    networks = RendererNetworks()
    if config.is_new:
        start_from(networks, config.start)

    def loss() -> Tensor:
        exposure = lambda: float(np.exp(rng.uniform(*np.log(EXPOSURES))))
        return sum(compute_loss(networks, item, exposure()) for item in next(batches)) / config.batch

    def check() -> Score:
        ours, plain = np.transpose([measure_object(networks, *held[n], config.know) for n in range(len(held))])
        return float(np.mean(ours)), {"transport": round(float(np.mean(plain)), 3),
                                      "worst_gain": round(float(np.min(ours - plain)), 3)}

    Run(config, networks).train(loss, check)

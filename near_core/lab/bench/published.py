"""What the published networks cost at full size on this computer.

`python -m near_core.lab.bench.published --fixtures DIR`

Processor seconds (all threads, user and system) of a warm call, the least of RUNS, with weights by rule and the
published example asset, next to the best rate of a matrix product measured in the same process.
Every part runs in a process of its own, so that its peak memory is its own."""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ... import files

PUBLISHED = {  # part: (float32, bfloat16 processor seconds, float32, bfloat16 peak GB) of the published implementation
    "tokenizer": (6.6, 3.0, 2.4, 1.9), "decoder": (23, 7.4, 1.8, 2.0), "renderer": (16, 12, 1.9, 1.7)}
_rates = {}  # best rate of a matrix product by precision
RUNS = 3  # what else the computer does can only make a run slower
TOKENIZER, ASSET = "fullsize_hdri_encoder.json", "fullsize_iad_lad.json"


def add_arguments(parser):
    """The options of this script."""
    parser.add_argument("--fixtures", required=True, type=Path, help="folder with the fullsize_* fixtures")
    parser.add_argument("--json", type=Path, metavar="R.json", help="where to write the numbers")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="processor threads; default: 2")
    parser.add_argument("--only", choices=PUBLISHED, help="one part; the parts before it must have run in --keep")
    parser.add_argument("--keep", type=Path, help="folder for what the parts hand on; a temporary one otherwise")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)


def run(args):
    """Measure and print a line for each part and precision. Returns 0."""
    if args.inside:
        print(json.dumps(_measure(args.only, args.fixtures, args.keep, args.threads)))
        return 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for part in [args.only] if args.only else PUBLISHED:
            command = [sys.executable, "-m", "near_core.lab.bench.published", "--inside", "--only", part, "--fixtures",
                       args.fixtures, "--keep", args.keep or folder, "--threads", str(args.threads)]
            quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}  # waiting threads cost nothing
            output = subprocess.run(command, env=quiet, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows = json.loads(output.splitlines()[-1])
            results += rows
            for row in rows:
                print("  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
                                for key, value in row.items()), flush=True)
    if args.json:
        files.write(args.json, json.dumps(results, indent=1))
    return 0


def _measure(part, fixtures, folder, threads):
    import torch

    from ...models.near import checkpoint, hdri, iad, lad
    from ..reference import fullsize

    torch.set_num_threads(threads)
    config = json.loads((fixtures / (TOKENIZER if part == "tokenizer" else ASSET)).read_text())
    kind = {"tokenizer": hdri.Hdri_Encoder, "decoder": iad.SLatGaussianDecoder,
            "renderer": lad.SLatGaussianRenderer}[part]
    settings = config["config" if part == "tokenizer" else f"{part}_config"]
    network = fullsize.fill(kind(**settings), config["salt"])
    rows = []
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            checkpoint.lower(network, dtype)
            common = {"part": part, "precision": str(dtype).split(".")[1]}
            if part == "tokenizer":
                light_map = fullsize.read_light_map(fixtures / TOKENIZER, config)
                call, keep = lambda: network(light_map), "tokens.pt"  # noqa: B023
            elif part == "decoder":
                coords, feats = fullsize.read_asset(fixtures / ASSET, config)
                call, keep = lambda: network(coords, feats), "decoded.pt"  # noqa: B023
            else:
                rows += _measure_views(network, common, fixtures, folder, config)
                continue
            seconds, flops, result = _time(call)
            if dtype == torch.float32:
                torch.save(result, folder / keep)
            rows.append(_describe(common, seconds, flops))
    for row in rows:
        row["published_cpu_s"], row["published_peak_gb"] = PUBLISHED[part][row["precision"] == "bfloat16"::2]
    return rows


def _measure_views(renderer, common, fixtures, folder, config):
    """512 x 512 views, splatting included, with all voxels lit and with those they show: a row each.

    renderer: the lighting network. common: what every row says. folder: where the parts before left their results.
    """
    import numpy as np
    import torch

    from ...models.near import frame, render
    from ...models.near.basis import NeuralBasis
    from ...scene import Camera
    from ..reference import fullsize

    tokens = torch.load(folder / "tokens.pt")
    h, registers = torch.load(folder / "decoded.pt")
    coords, _ = fullsize.read_asset(fixtures / ASSET, config)
    arrays = np.load((fixtures / ASSET).with_suffix(".npz"))
    pixels = render.pixel_intrinsics(arrays["in/intrinsics"], 512, 512)
    camera = Camera(arrays["in/extrinsics"], pixels, 512, 512, near=render.NEAR, far=render.FAR)
    basis = fullsize.fill(NeuralBasis(32, 5, activation="silu"), config["salt"])
    lit = frame.LitAsset(frame.Decoded(coords, h, registers), None)
    seconds, flops, memory = _time(lambda: renderer.memorize(registers, tokens))
    lit.memory = memory
    rows = [_describe(common | {"part": "renderer, once per light"}, seconds, flops)]
    eye = torch.as_tensor(frame.embedding_camera(camera.position))[None]

    def network():
        observed = renderer.observe(coords, eye)
        return renderer.light(renderer.geometry(h, observed), h, observed, coords, memory)

    seconds, flops, _ = _time(network)
    rows.append(_describe(common | {"part": "renderer, network alone", "lit": 1.0}, seconds, flops))
    spared = _count_spared(renderer, coords, registers)
    rows[-1]["over_gemm_published"] = rows[-1]["over_gemm"] * flops / (flops + spared)
    draw = lambda view, cull: frame.draw(renderer, basis, [lit], view, cull)
    return rows + _measure_pictures(draw, camera, common, folder)


def _measure_pictures(draw, camera, common, folder):
    """draw: (camera, whether voxels that show nothing stay unlit) -> a frame. Compares the two, and the precisions."""
    import numpy as np

    rows = []
    close = camera.resize(3 * 512, 3 * 512).crop(512, 512, 512, 512)
    for name, view in (("view", camera), ("close view", close)):
        pictures = []
        for cull in (False, True):
            seconds, flops, drawn = _time(lambda: draw(view, cull))  # noqa: B023
            pictures.append(drawn.maps["color"])
            rows.append(_describe(common | {"part": f"renderer, {name}", "lit": drawn.lit}, seconds, flops))
        rows[-1]["picture_difference"] = float(np.abs(pictures[0] - pictures[1]).max())
    kept = folder / "picture.npy"
    if common["precision"] == "float32":
        np.save(kept, pictures[0])
    else:
        rows[-1]["difference_to_float32"] = float(np.abs(np.load(kept) - pictures[0]).max())
    return rows


def _count_spared(renderer, coords, registers):
    """Operations that the published network takes and ours does not: queries and outputs of the attention to register
    tokens, which are matrices of the asset here (blocks.RegisterAttention)."""
    width, tokens, heads = registers.shape[2], registers.shape[1], renderer.blocks[0].register_attn.heads
    return len(coords) * len(renderer.blocks) * 4 * width * (width + tokens - heads * tokens)


def _describe(common, seconds, flops):
    rate = _measure_gemm_rate(common["precision"])
    return common | {"cpu_s": seconds, "gflop": flops / 1e9, "gemm_gflops_per_cpu_s": rate,
                     "over_gemm": seconds * rate / max(flops / 1e9, 1e-9),
                     "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def _time(call):
    """Least processor seconds of RUNS calls after a first, the floating-point operations of its matrix products, and
    its result."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    from ...models.near.attention import count_operations

    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
                 lambda q, k, v, *rest, **options: sdpa_flop_count(q, k, v),
                 torch.ops.near.attention: count_operations}
    with FlopCounterMode(display=False, custom_mapping=attention) as counter:
        call()
    seconds = []
    for _ in range(RUNS):
        result = None  # before the next takes its place: the peak is that of one
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return min(seconds), counter.get_total_flops(), result


def _measure_gemm_rate(precision):
    """10^9 operations per processor second of a matrix product of the sizes that occur, the best so far."""
    import torch

    dtype = getattr(torch, precision)
    x, weight = torch.randn(2048, 768, dtype=dtype), torch.randn(3072, 768, dtype=dtype)
    torch.nn.functional.linear(x, weight)
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(5):
            torch.nn.functional.linear(x, weight)
        rate = 5 * 2 * 2048 * 768 * 3072 / (time.process_time() - start) / 1e9
        _rates[precision] = max(rate, _rates.get(precision, 0))
    return _rates[precision]


if __name__ == "__main__":
    parser_ = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser_)
    sys.exit(run(parser_.parse_args()))

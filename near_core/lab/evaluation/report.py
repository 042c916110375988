"""The page that shows an evaluation: one HTML file, nothing loaded from elsewhere, worst pictures first."""

from __future__ import annotations

import base64
import html
import io

import numpy as np

from . import error_classes, metrics
from .summary import PictureScore

TILE = 160  # pixels a side of a thumbnail
SHOWN = 12  # pictures per task
OTHERS = {"ssim": "SSIM", "flip": "FLIP", "alpha_iou": "alpha IoU", "lpips": "LPIPS"}  # beside PSNR, by their means
_STYLE = """body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0 1.6em}
td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}.us{font-weight:600}figure{display:inline-block;margin:0 1em 1em 0}
figcaption{font-size:12px;color:#555}img{background:#000;display:block}h2{margin-top:2em}"""


def encode_strip(prediction: np.ndarray, truth: np.ndarray) -> str:
    """Truth, prediction and difference (twice enlarged) side by side, as a PNG data URI.

    prediction, truth: (H, W, 4) linear, premultiplied.
    """
    from PIL import Image

    t, p = metrics.encode(truth), metrics.encode(prediction)
    joined = np.concatenate([t, p, np.clip(2 * np.abs(p - t), 0, 1)], 1)
    picture = Image.fromarray(np.round(joined * 255).astype(np.uint8))
    height = min(TILE, truth.shape[0])
    picture = picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def compose_page(result: dict, rows: list[PictureScore], titles: dict[int, str]) -> str:
    """The whole HTML page.

    result: what evaluate writes as JSON. rows: those with pictures are shown. titles: task -> words.
    """
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style>",
             f"<h1>{html.escape(result['dataset'])}: {len(result['assets'])} assets</h1>",
             f"<p>NeAR {result['version']}, shading {result['shading']}, engine {result['engine']}. PSNR in dB after "
             "the sRGB encoding: over the pixels of the object / over the whole picture. Mean over assets.</p>"]
    if result["set"] or result["half"]:
        changed = [f"{name} = {value}" for name, value in result["set"].items()]
        half = [f"the {result['half']} half of the assets"] if result["half"] else []
        parts.append(f"<p>With {html.escape(', '.join(changed + half))}.</p>")
    for task, numbers in result["tasks"].items():
        parts.append(f"<h2>Task {task}: {titles[int(task)]}</h2>" + _table(numbers))
        parts.append(_passes(numbers) + _classes(numbers) + _categories(result["per_category"].get(task, {})))
        shown = sorted((r for r in rows if r.task == int(task) and r.pictures), key=_badness)[:SHOWN]
        parts.append(f"<h3>Worst pictures (truth, prediction, difference x 2)</h3>{''.join(map(_figure, shown))}"
                     if shown else "")
    return "\n".join(parts) + "</html>\n"


def _badness(row: PictureScore) -> float:
    value = row.errors["object_psnr"]
    return value if np.isfinite(value) else 1e9


def _table(numbers: dict) -> str:
    lines = [("NeAR", numbers, " class=us")]
    if "own_camera_and_matte" in numbers:
        lines.append(("NeAR, default camera and own matte", numbers["own_camera_and_matte"], ""))
    lines += [(name.replace("_", " "), n, "") for name, n in numbers["baselines"].items()]
    body = "".join(f"<tr{style}><td>{html.escape(name)}{_cells(n)}" for name, n, style in lines)
    heads = "".join(f"<th>{OTHERS[key]}" for key in _others(numbers))
    return f"<table><tr><th><th>mean<th>median<th>worst asset{heads}<th>assets</tr>{body}</table>"


def _others(numbers: dict) -> list[str]:
    return [key for key in OTHERS if key in numbers]


def _cells(numbers: dict) -> str:
    cells = [_pair(numbers, which) for which in ("mean", "median", "worst")]
    cells += [_number(numbers[key]["mean"], 3) for key in _others(numbers)]
    return "".join(f"<td>{cell}" for cell in (*cells, numbers["n"])) + "</tr>"


def _pair(numbers: dict, which: str) -> str:
    return f"{_number(numbers['object_psnr'][which], 2)} / {_number(numbers['full_psnr'][which], 2)}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _passes(numbers: dict) -> str:
    if not numbers.get("passes"):
        return ""
    cells = "".join(f"<tr><td>{html.escape(key.replace('_', ' '))}<td>{value:.4g}</tr>"
                    for key, value in numbers["passes"].items())
    return f"<h3>Passes, picture 0</h3><table>{cells}</table>"


def _classes(numbers: dict) -> str:
    """What kinds of pixels are wrong, for ourselves and the baselines."""
    columns = {name: n["classes"] for name, n in {"NeAR": numbers, **numbers["baselines"]}.items() if "classes" in n}
    if not columns:
        return ""
    own = columns["NeAR"]
    body = "".join(
        f"<tr><td>{html.escape(words)}<td>{own[name]['pixels']:.1%}<td>{own[name]['error']:.1%}"
        + "".join(f"<td>{_number(found[name]['psnr'], 2)}" for found in columns.values()) + "</tr>"
        for name, words in error_classes.NAMES.items())
    heads = "".join(f"<th>{html.escape(name)} dB" for name in columns)
    return ("<h3>Kinds of pixels, picture 0, all assets together</h3>"
            f"<table><tr><th><th>pixels<th>of the error{heads}</tr>{body}</table>")


def _categories(categories: dict) -> str:
    if len(categories) < 2:
        return ""
    cells = "".join(f"<tr><td>{html.escape(name)}<td>{_pair(n, 'mean')}<td>{n['n']}</tr>"
                    for name, n in categories.items())
    return f"<h3>Categories</h3><table><tr><th><th>mean<th>assets</tr>{cells}</table>"


def _figure(row: PictureScore) -> str:
    e = row.errors
    return (f"<figure><img src='{row.pictures}' alt=''><figcaption>{html.escape(row.asset)} {row.n}: "
            f"{e['object_psnr']:.1f} / {e['full_psnr']:.1f} dB</figcaption></figure>")

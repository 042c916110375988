"""Pictures beside their references, in the manner of Blender's own render tests."""

from __future__ import annotations

import base64
import html
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
REFERENCES = Path(__file__).parent / "references"
OUT = ROOT / ".cache" / "regression" / "report.html"
# as Blender's tests ask OpenImageIO's idiff: a picture fails where more than so many percent of its pixels, SHARE, are
# off by more than FAR, of 0..1, in any channel
FAR, SHARE = 0.016, 1.0
STYLE = ("body{background:#555;color:#eee;font:14px sans-serif}img{width:320px;image-rendering:pixelated;"
         "background:repeating-conic-gradient(#444 0 25%,#4c4c4c 0 50%) 0 0/16px 16px}.bad{background:#833}")


def encode(picture: np.ndarray) -> bytes:
    """A PNG of (H, W, 3 or 4) uint8."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    return out.getvalue()


def compare(now: np.ndarray, reference: np.ndarray) -> float:
    """How many percent of the pixels, (H, W, 4) uint8 with straight alpha, are off by more than FAR, premultiplied; 100
    where the sizes differ."""
    if now.shape != reference.shape:
        return 100.0
    apart = np.abs(premultiply(now) - premultiply(reference)).max(-1)
    return 100 * float((apart > FAR).mean())


def premultiply(picture: np.ndarray) -> np.ndarray:
    values = picture / 255
    return np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], -1)


@dataclass
class Report:
    """What was compared so far; `write` makes a page of it, what is wrong first."""

    rows: list[tuple[str, float, list[np.ndarray]]] = field(default_factory=list)

    def add(self, name: str, now: np.ndarray) -> float:
        """Compares a picture with the reference of its name, which it becomes where NEAR_BLESS is set; percent."""
        path = REFERENCES / f"{name}.png"
        if os.environ.get("NEAR_BLESS"):
            path.write_bytes(encode(now))
        reference = np.asarray(Image.open(path).convert("RGBA")) if path.is_file() else np.zeros_like(now)
        share = compare(now, reference)
        alike = now.shape == reference.shape
        apart = 10 * np.abs(premultiply(now) - premultiply(reference)).max(-1, keepdims=True) if alike else now[..., :1]
        shown = np.round(255 * np.clip(apart, 0, 1)).astype(np.uint8).repeat(3, -1)
        self.rows.append((name, share, [now, reference, shown]))
        return share

    def write(self) -> None:
        """A page of its own, without other files."""
        lines = []
        for name, share, pictures in sorted(self.rows, key=lambda row: -row[1]):
            data = [base64.b64encode(encode(each)).decode() for each in pictures]
            cells = "".join(f'<td><img src="data:image/png;base64,{each}">' for each in data)
            kind = "bad" if share > SHARE else "good"
            lines.append(f'<tr class="{kind}"><td>{html.escape(name)}<br>{share:.2f} %{cells}')
        bad = sum(share > SHARE for _, share, _ in self.rows)
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(f"<!doctype html><meta charset=utf-8><title>Pictures</title><style>{STYLE}</style>"
                       f"<p>{bad} of {len(self.rows)} changed: more than {SHARE} % of the pixels by more than {FAR}."
                       "<table><tr><th><th>NeAR<th>reference<th>difference, ten times" + "".join(lines) + "</table>")

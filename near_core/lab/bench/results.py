"""What was measured, for people: numbers.md with a table for each part, and charts beside it."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ... import files
from .charts import Curve, draw_bars, draw_curves
from .phases import PHASES

KINDS = {"": "Cycles, no denoiser", "FAST": "Cycles, OIDN Fast", "HIGH": "Cycles, OIDN High"}
LARGEST = 1e15
START = "Written by `python -m near_core bench`. [README.md](README.md) says how to read it."


def compose(result: dict) -> dict[str, str]:
    """numbers.md and the charts of the parts that `result` holds, as bench keeps it: name of a file -> its text. Raises
    what files.expecting explains where it holds something else."""
    _require_numbers(result)
    lines, made = ["# Numbers", "", START], {}
    for part, tell in TELLERS.items():
        if part in result:
            table, charts = tell(result[part]["rows"])
            lines += ["", f"## {part.capitalize()}", "", _describe(result[part]), "", *table]
            for name, chart in charts.items():
                file = re.sub(r"\W+", "_", name) + ".svg"
                made[file] = chart
                lines += ["", f"![{name}]({file})"]
    return {"numbers.md": "\n".join(lines) + "\n", **made}


def write(result: dict, folder: Path) -> None:
    """Writes what compose makes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in compose(result).items():
        files.write(folder / name, text)


def _require_numbers(tree: Any) -> None:
    """Raises ValueError for a number that was never measured."""
    if isinstance(tree, dict | list):
        for each in tree.values() if isinstance(tree, dict) else tree:
            _require_numbers(each)
    elif isinstance(tree, int | float) and not -LARGEST < tree < LARGEST:
        raise ValueError(f"a number of {tree:.3g}" if isinstance(tree, float) else "a number without end")


def _describe(part: dict) -> str:
    """The machine, what was measured on it, and how busy it was."""
    machine, loads = part["machine"], [row["load"] for row in part["rows"].values()]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("bpy", "numpy", "onnxruntime") if machine.get(name))
    busy = f"{min(loads):g} to {max(loads):g}" if min(loads) != max(loads) else f"{max(loads):g}"
    # A run may measure some rows anew; a file made before rows said their commit has one for all of them.
    commits = dict.fromkeys(row.get("commit", machine["commit"]) for row in part["rows"].values())
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['isa']}; {versions}; commit {', '.join(commits)}. "
            f"Load {busy}.")


def _tabulate(heads: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(each) + " |" for each in [heads, ["---"] * len(heads), *rows]]


def _tell_race(rows: dict) -> tuple[list[str], dict[str, str]]:
    rows = {name: row for name, row in rows.items() if "ratio" in row}
    lines = _tabulate(["", "dB", "NeAR, s", "peer", "samples", "peer, s", "ratio", "processor s", "ratio",
                       "first, s", "commit"],
                      [_list_race(name, row) for name, row in rows.items()])
    groups = {f"objects at {size[0]} x {size[1]}": [row["ratio"] for row in rows.values()
                                                  if not row["scene"] and tuple(row["size"]) == size]
              for size in sorted({tuple(row["size"]) for row in rows.values()})}
    groups["scenes"] = [row["ratio"] for row in rows.values() if row["scene"]]
    lines += ["", *(f"Median of {len(ratios)} {name}: **{statistics.median(ratios):.1f}** times as quick "
                    f"({min(ratios):.1f} to {max(ratios):.1f})." + "\n" for name, ratios in groups.items() if ratios)]
    charts = {}
    for kind, scene in (("objects", False), ("scenes", True)):
        chosen = {name: row for name, row in rows.items() if row["scene"] == scene}
        largest = max((row["size"][0] for row in chosen.values()), default=0)
        if not scene:  # one size: the one of 1080p where there is one
            largest = 1920 if any(row["size"][0] == 1920 for row in chosen.values()) else largest
            chosen = {name: row for name, row in chosen.items() if row["size"][0] == largest}
        if chosen:
            charts[f"cycles_{kind}"] = draw_curves(
                "Quality over time: up and to the left is better", {name: _draw_race(row) for name, row in
                                                                   chosen.items()}, "seconds", "dB")
    return lines, charts


def _list_race(name: str, row: dict) -> list[str]:
    short = "" if row["reached"] else "> "
    return [name, f"{row['psnr']:.1f}", f"{row['seconds']:.3g}", KINDS[row["peer"]],
            f"{row['peer_samples']}{', not reached' if short else ''}", f"{row['peer_seconds']:.3g}",
            f"{short}{row['ratio']:.1f}", f"{row['processor'][0]:.2f} / {row['processor'][1]:.2f}",
            f"{short}{row['processor_ratio']:.1f}", " / ".join(f"{each:.2f}" for each in row.get("first", ())),
            row.get("commit", "")]


def _draw_race(row: dict) -> list[Curve]:
    curves = [Curve(KINDS[kind], [(seconds, quality) for _, seconds, quality in curve])
              for kind, curve in row["curves"].items()]
    return [Curve("NeAR", [(row["seconds"], row["psnr"])], mark=True), *curves]


def _tell_splatting(rows: dict) -> tuple[list[str], dict[str, str]]:
    rows = {name: row for name, row in rows.items() if "over_floor_left" in row}  # once pairs were of one kind
    table = _tabulate(["Gaussians, picture", "pairs taken / left, million", "drawing, ms", "of it sorting",
                       "floor taken / left, ms", "over the floor taken / left", "memory by depth / in order, ms",
                       "backward over forward"], [
        [name, f"{row['pairs'] / 1e6:.1f} / {row['pairs_left'] / 1e6:.1f}", f"{1e3 * row['seconds']:.3g}",
         f"{1e3 * row['sorting']:.3g}", f"{1e3 * row['floor']:.3g} / {1e3 * row['floor_left']:.3g}",
         f"{row['over_floor']:.1f} / {row['over_floor_left']:.1f}",
         f"{1e3 * row['memory']:.3g} / {1e3 * row['memory_in_order']:.3g}", f"{row['backward_over_forward']:.1f}"]
        for name, row in rows.items()])
    if not rows:
        return table, {}
    sizes = sorted({tuple(row["size"]) for row in rows.values()})
    panels = {title: [Curve(f"{size[0]} x {size[1]}", [
        (row["count"], row[key]) for row in rows.values() if tuple(row["size"]) == size and row["threads"] != 1])
        for size in sizes] for key, title in (("over_floor", "over the floor, pairs taken"),
                                              ("over_floor_left", "over the floor, pairs left"),
                                              ("backward_over_forward", "backward over forward"))}
    return table, {"splatting": draw_curves("Splatting beside its arithmetic, all threads", panels, "Gaussians",
                                            "times")}


def _tell_phases(rows: dict) -> tuple[list[str], dict[str, str]]:
    pictures = {name: row for name, row in rows.items() if "without_decoder" in row}
    inside = {name: row for name, row in rows.items() if "copying" in row}
    heads = ["ms, one thread", *PHASES, "whole", "without decoder"]
    table = _tabulate(heads, [[name, *(f"{1e3 * row[phase]:.0f}" for phase in PHASES), f"{1e3 * row['seconds']:.0f}",
                               f"{1e3 * row['without_decoder']:.0f}"] for name, row in pictures.items()])
    if inside:
        table += ["", *_tabulate(["F12, all threads", "whole, ms", "of it the copy into Blender, ms"], [
            [name, f"{1e3 * row['seconds']:.0f}", f"{1e3 * row['copying']:.1f}"] for name, row in inside.items()])]
    bars = {name: {phase: 1e3 * max(row[phase], 0) for phase in PHASES} for name, row in pictures.items()}
    charts = {f"phases_{case}": draw_bars(f"Where a picture's time goes: about {case} shaded surfels", {
        name: parts for name, parts in bars.items() if name.startswith(f"{case} ")}, "ms")
        for case in dict.fromkeys(name.split()[0] for name in bars)}
    return table, charts


def _tell_scale(rows: dict) -> tuple[list[str], dict[str, str]]:
    table = _tabulate(["", "first, s", "new map, s", "camera moved, s", "peak, GB", "promised"], [
        [name, f"{row['first']:.2f}", f"{row['new_map']:.2f}", f"{row['moved']:.2f}", f"{row['memory_gb']:.2f}",
         ", ".join(f"{key} {value:g}" for key, value in row["goals"].items())] for name, row in rows.items()])
    chart = draw_bars("Many assets, many instances: the picture after the camera moved",
                      {name: {"camera moved": row["moved"]} for name, row in rows.items()}, "s")
    return table, {"scale": chart}


def _tell_latency(rows: dict) -> tuple[list[str], dict[str, str]]:
    table = _tabulate(["", "p50, s", "p95, s", "times", "promised, s"], [
        [name, f"{row['p50']:.3f}", f"{row['p95']:.3f}", str(row["runs"]), f"{row['goal']:g}" if "goal" in row else ""]
        for name, row in rows.items()])
    bars = {name: {"p50": row["p50"], "up to p95": row["p95"] - row["p50"]} for name, row in rows.items()}
    return table, {"latency": draw_bars("From the request to the result", bars, "s")}


TELLERS: dict[str, Callable[[dict], tuple[list[str], dict[str, str]]]] = {
    "cycles": _tell_race, "splatting": _tell_splatting, "phases": _tell_phases, "scale": _tell_scale,
    "latency": _tell_latency}

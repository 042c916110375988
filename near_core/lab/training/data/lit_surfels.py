"""What the stage `renderer` learns from, computed once per picture: which surfels are seen, their transport terms, the
light's tokens. None of it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .... import asset as assets
from .... import files, image
from ....asset import Surfels, levels, octants
from ....light import terms, transport
from ....render import gaussians, splatting
from ....scene import camera as cameras
from ....scene import environment as environments
from .photos import list_views, read_rgba


def read_environment(view: dict, hdris: Path) -> environments.Environment:
    """The light of a view file."""
    if view.get("hdri") is None:
        return environments.uniform((view.get("uniform") or 1.0,) * 3)
    radiance = environments.sanitize(image.read(hdris / view["hdri"]))
    return environments.Environment(radiance, environments.turn_z(view["hdri_rotation_deg"]), view["world_strength"])


def choose_discs(asset: assets.NeuralAsset, surfels: Surfels, camera: cameras.Camera
                 ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What render draws of an asset in final quality, K discs, texels among them.

    Returns index (S,), the rows of the surfels that are shaded; to_camera (S, 3); and of the discs xyz (K, 3),
    covariance (K, 6), opacity (K,), owner (K,) the place in index whose light a disc takes, -1 for a far side, and
    shift (K, 3), its linear base colour less the owner's.
    """
    placed = splatting.place(levels.start(surfels), asset.texels, np.eye(4))
    visible = splatting.face(placed, camera)
    selection = splatting.select([visible], camera, detail=True)
    index = np.flatnonzero(selection.shaded)
    place = np.full(len(surfels), -1, np.int32)
    place[index] = np.arange(len(index))
    drawn, plain = [selection.shape.take(selection.plain)], selection.plain
    owner, shift = [place[plain]], [np.zeros((len(plain), 3), np.float32)]
    if placed.texels is not None:
        texels = placed.texels.take(selection.texels[0])
        drawn.append(visible.take_texels(selection.texels[0]))
        owner.append(place[texels.surfel])
        shift.append(texels.compute_colors(surfels) - surfels.base_color[texels.surfel])
    drawn = gaussians.concatenate(drawn)
    return index, visible.to_camera[index], {
        "xyz": drawn.xyz, "covariance": drawn.covariance, "opacity": drawn.opacity, "owner": np.concatenate(owner),
        "shift": np.concatenate(shift).astype(np.float16)}


def light_surfels(prepared: transport.Transport, index: np.ndarray, to_camera: np.ndarray,
                  pictures: list[tuple[dict, Path]], hdris: Path, lights: dict[str, transport.PreparedLight]
                  ) -> dict[str, np.ndarray]:
    """The inputs of the networks for the surfels at rows index (S,) under each of L pictures' lights, and the pictures.

    to_camera: (S, 3). lights: maps that are made ready already, by their hashes; grows. Returns terms (L, S, TERMS, 3),
    tokens (L, TOKENS, RADIANCE), visibility (L, S), mean (L,) radiance of the lights, truth (L, H, W, 4), and what is
    the same under all: surfel (S, SURFEL), view, reflected and normal (S, 3).
    """
    directions = terms.spread_tokens()
    each: dict[str, list] = {"terms": [], "tokens": [], "truth": [], "visibility": [], "mean": []}
    for view, path in pictures:
        environment = read_environment(view, hdris)
        if environment.hash not in lights:
            lights[environment.hash] = transport.prepare_light(environment)
        light, strength = lights[environment.hash].turn(environment), environment.strength
        illumination = transport.illuminate(prepared, light, np.eye(3))
        shaded = terms.shade(prepared, illumination, light, np.eye(3), index, to_camera, prepared.config.final_rays)
        turned = directions @ environment.world_to_map.T.astype(np.float32)
        each["terms"].append((shaded.terms * strength).astype(np.float16))
        each["tokens"].append((terms.look_up_tokens(light, turned) * light.mean * strength).astype(np.float32))
        each["truth"].append(read_rgba(path))
        each["visibility"].append(shaded.visibility.astype(np.float16))
        each["mean"].append(np.float32(light.mean * strength))
    return {key: np.stack(values) for key, values in each.items()} | {
        "surfel": terms.describe_surfels(shaded).astype(np.float16), "view": shaded.view.astype(np.float16),
        "reflected": terms.mirror_views(shaded).astype(np.float16),
        "normal": shaded.surfels.shading_normal.astype(np.float16)}


def prepare_asset(folder: Path, asset: assets.NeuralAsset, hdris: Path, lights: dict[str, transport.PreparedLight],
                  views: int) -> dict[str, np.ndarray]:
    """The arrays of one asset: `coords` and `octants` of its voxels, `views`, how many there are; and of view n, with
    "n." before their names, those of choose_discs and light_surfels, `voxel` (S,), the surfels' voxels, and its camera.

    folder: the asset's view files; pictures of one camera share their surfels. lights: as light_surfels has them.
    views: at most.
    """
    prepared = transport.prepare_transport(asset.surfels)
    voxel = octants.find_voxels(prepared.surfels, asset.coords)
    groups: dict[str, list[tuple[dict, Path]]] = {}
    for path in list_views(folder):
        view = json.loads(path.read_text())
        groups.setdefault(json.dumps(view["camera"]), []).append((view, path.with_suffix(".exr")))
    out = {"coords": asset.coords, "octants": octants.gather(prepared.surfels, asset.coords).astype(np.float16),
           "views": np.array(min(len(groups), views))}
    for number, (key, pictures) in enumerate(list(groups.items())[:views]):
        camera = cameras.from_json(json.loads(key))
        index, to_camera, drawn = choose_discs(asset, prepared.surfels, camera)
        made = drawn | light_surfels(prepared, index, to_camera, pictures, hdris, lights)
        made |= {"voxel": voxel[index].astype(np.int32), "camera": camera.world_to_camera.astype(np.float32),
                 "intrinsics": camera.intrinsics.astype(np.float32), "size": np.array([camera.width, camera.height])}
        out |= {f"{number}.{name}": values for name, values in made.items()}
    return out


def write_lit_surfels(data: Path, asset_folder: Path, out: Path, views: int, limit: int | None, seed: int) -> None:
    """Writes <asset>.npz of a data set's objects that have a .near file and no .npz yet.

    views: cameras of each. limit: objects, drawn by seed; the first ones where seed < 0.
    """
    meta = json.loads((data / "meta.json").read_text())
    out.mkdir(parents=True, exist_ok=True)
    lights: dict[str, transport.PreparedLight] = {}
    names = meta["assets"] if seed < 0 else list(np.random.default_rng(seed).permutation(meta["assets"]))
    for name in names[:limit]:
        target, source = out / f"{name}.npz", asset_folder / f"{name}.near"
        if target.exists() or not source.exists():
            continue
        made = prepare_asset(data / "views" / name, assets.load(source), data / meta["hdris"], lights, views)
        with files.writing(target) as part, open(part, "wb") as file:
            np.savez(file, **made)
        print(name, flush=True)

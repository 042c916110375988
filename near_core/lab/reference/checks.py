"""How each fixture of the reference implementation runs through our code.

Every check takes a reference.Fixture, runs its inputs through our networks, and adds the comparisons to it.
"""
import json

import torch

from ...errors import NearError
from ...models.near import blocks, dino, flow, hdri, iad, lad, mesh, sparse, structure, vae
from ...models.near.basis import NeuralBasis
from ...models.near.gaussians import DecodedGaussians, rotation_matrix
from . import conventions, fullsize, pictures
from .conventions import EXACT
from .pictures import VIEW


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
        """Compares what was recorded with the fixture's intermediates of the same names, and stops recording."""
        for handle in self.handles:
            handle.remove()
        for name, parts in self.seen.items():
            if name in fixture and parts:
                fixture.compare(name, torch.cat(parts), tolerance)


def check_decoder(fixture):
    network = fixture.load(iad.SLatGaussianDecoder(**fixture.config["config"]))
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


def check_renderer(fixture):
    network = fixture.load(lad.SLatGaussianRenderer(**fixture.config["config"]))
    coords, h = fixture["in/coords"], fixture["in/h"]
    if "mid/ob_views_emb" in fixture:  # the stages after the amplifying view embedding must be exact
        names = {"mid/input_layer": "input_layer", "mid/h_gs": "gs_out_layer", "mid/h_pbr": "pbr_out_layer",
                 "mid/h_scale": "scale_out_layer", "mid/h_rgbs": "rgb_out_layer"}
        watch = Watch(network, names | {f"mid/block{i}": f"blocks.{i}" for i in range(len(network.blocks))})
        observed = fixture["mid/ob_views_emb"] + fixture["mid/ob_dists_emb"]
        network.light(network.geometry(h, observed), h, observed, coords,
                      network.memorize(fixture["in/reg"], fixture["in/hdri_tokens"]))
        watch.compare(fixture)
        views, distances = lad.view_vectors(coords, torch.inverse(fixture["in/extrinsics"])[:, :3, 3],
                                             network.resolution)
        fixture.compare("mid/ob_views_pe", blocks.frequency_encoding(views, 12), VIEW)
        fixture.compare("mid/ob_dists_pe", blocks.frequency_encoding(distances, 12), VIEW)
    items = network(coords, h, fixture["in/reg"], fixture["in/hdri_tokens"], fixture["in/extrinsics"])
    for index, gaussians in enumerate(items):
        for name, value in gaussians.raw.items():
            fixture.compare(f"out/{index}/{name}", value, VIEW)
        fixture.compare(f"out/{index}/camera_center", gaussians.camera)
        compare_activations(fixture, f"out/{index}/", network.representation, gaussians.camera)


def compare_activations(fixture, prefix, representation, camera=None):
    """The activations, from the stored raw attributes."""
    raw = {name: fixture[prefix + name] for name in
           ("_xyz", "_base_color", "_features_dc", "_scaling", "_scaling_view", "_rotation", "_opacity", "_roughness",
            "_metallic", "_pbr1", "_shadow", "_hdri1", "_hdri2", "_rgb") if prefix + name in fixture}
    gaussians = DecodedGaussians(raw, representation, camera)
    getters = {"get_xyz": gaussians.xyz, "get_opacity": gaussians.opacity, "get_scaling": gaussians.scaling,
               "get_scaling_view": lambda: gaussians.scaling("_scaling_view"), "get_rotation": gaussians.rotation,
               "get_rotation_matrix": lambda: rotation_matrix(gaussians.rotation()),
               "get_normal": gaussians.normal, "get_normal_view": lambda: gaussians.normal("_scaling_view"),
               "scale_bias": lambda: representation.scale_shift, "opacity_bias": lambda: representation.opacity_shift}
    for name in ("roughness", "metallic", "pbr1", "shadow", "hdri1", "hdri2"):
        getters[f"get_{name}"] = lambda name=name: gaussians.value("_" + name)
    for name, getter in getters.items():
        if prefix + name in fixture:
            fixture.compare(prefix + name, torch.as_tensor(getter()))


def check_trellis_gaussians(fixture):
    network = fixture.load(vae.SLatGaussianDecoderOri(**fixture.config["config"]))
    for index, gaussians in enumerate(network(fixture["in/coords"], fixture["in/feats"])):
        for name, value in gaussians.raw.items():
            fixture.compare(f"out/{index}/{name}", value)
        compare_activations(fixture, f"out/{index}/", network.representation)


def check_slat_encoder(fixture):
    network = fixture.load(vae.SLatEncoder(**fixture.config["config"]))
    mean, log_variance = network(fixture["in/coords"], fixture["in/feats"])
    fixture.compare("out/mean", mean)
    fixture.compare("out/logvar", log_variance)


def check_color_network(fixture):
    network = fixture.load(NeuralBasis(**fixture.config["config"]))
    fixture.compare("out/result", network(fixture["in/features"], fixture["in/normals"]))


def check_latent_flow(fixture):
    network = fixture.load(flow.SLatFlowModel(**fixture.config["config"]))
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


def check_structure_flow(fixture):
    network = fixture.load(structure.SparseStructureFlowModel(**fixture.config["config"]))
    fixture.compare("out/v", network(fixture["in/x"], fixture["in/t"], network.memorize(fixture["in/cond"])))


def check_structure_decoder(fixture):
    network = fixture.load(structure.SparseStructureDecoder(**fixture.config["config"]))
    fixture.compare("out/logits", network(fixture["in/z"]))


def check_structure_encoder(fixture):
    network = fixture.load(structure.SparseStructureEncoder(**fixture.config["config"]))
    mean, log_variance = network(fixture["in/x"])
    fixture.compare("out/mean", mean)
    fixture.compare("out/logvar", log_variance)


def check_image_encoder(fixture):
    network = fixture.load(dino.DinoVisionTransformer(**fixture.config["config"]))
    tokens = network(fixture["in/image_normalized"])
    fixture.compare("out/x_prenorm", tokens)
    fixture.compare("out/x_norm_clstoken", network.norm(tokens)[:, 0])
    fixture.compare("out/cond_layernormed", network.condition(fixture["in/image_normalized"]))
    if "in/image_other_size" in fixture:
        fixture.compare("out/x_prenorm_other_size", network(fixture["in/image_other_size"]))


def check_backbone(fixture):
    """The image stages alone, of any widths and depths."""
    network = fixture.load(hdri.ConvNeXt(fixture.config["dims"], fixture.config["depths"]))
    for level, features in enumerate(network.pyramid(fixture["in/x"]), 2):
        fixture.compare(f"out/c{level}", features)


def check_tokenizer_head(fixture):
    network = hdri.Hdri_Encoder(**fixture.config["config"])
    missing, unexpected = network.load_state_dict(fixture.weights(), strict=False)
    wrong = unexpected + [key for key in missing if not key.startswith("stage")]
    if wrong:
        raise NearError(f"The weight {wrong[0]} is missing or has no place.")
    fused = network.fuse(fixture["in/view_dirs"], *(fixture[f"in/c{level}"] for level in (3, 4, 5)))
    for level, features in zip((3, 4, 5), fused):
        fixture.compare(f"mid/fused_c{level}", features)
    height, width = fixture["mid/dir_encoding_first4x4"].shape[-2:]
    fixture.compare("mid/dir_encoding_first4x4", network.dir_encoder(fixture["in/view_dirs"][..., :height, :width]))
    tokens = network.project(fused)
    side = network.side
    fixture.compare("mid/projected", tokens.transpose(1, 2).unflatten(2, (side, side)))
    for index, layer in enumerate(network.transformer_encoder.layers):
        tokens = layer(tokens)
        fixture.compare(f"mid/tokens_after_layer{index}", tokens)
    fixture.compare("out/tokens", network.ln_final(tokens))


def check_mesh_decoder(fixture):
    network = fixture.load(mesh.SLatMeshDecoder(**fixture.config["config"]))
    coords, features = network(fixture["in/coords"], fixture["in/feats"])
    fixture.compare("out/coords", coords)
    fixture.compare("out/feats", features)


def check_mesh_extraction(fixture):
    """Vertices are numbered differently; each is compared with the nearest stored one."""
    vertices, faces, attributes = mesh.extract(
        fixture["in/coords"], fixture["in/feats"], fixture.config["res"], fixture.config["use_color"])
    stored = fixture["out/vertices"]
    if len(stored) != len(vertices):
        raise NearError(f"The mesh has {len(vertices)} vertices, the reference {len(stored)}.")
    nearest = torch.cdist(vertices.double(), stored.double()).argmin(1)
    fixture.add("out/vertices, unmatched", len(stored) - len(nearest.unique()), 0)
    fixture.compare("out/vertices", vertices, EXACT, stored[nearest])
    if attributes is not None:
        fixture.compare("out/vertex_attrs", attributes, EXACT, fixture["out/vertex_attrs"][nearest])
    ours, theirs = ({tuple(start_with_smallest(face)) for face in each.tolist()}
                    for each in (nearest[faces], fixture["out/faces"]))
    fixture.add("out/faces", len(ours ^ theirs), 0)


def start_with_smallest(face):
    """The same oriented triangle, beginning with its smallest index."""
    start = face.index(min(face))
    return face[start:] + face[:start]


def check_full_decoder_and_renderer(fixture):
    path = fixture.path.with_name("fullsize_hdri_encoder.json")
    if not path.is_file():
        raise NearError("The fixture needs fullsize_hdri_encoder.json beside it.", "Copy the whole folder.")
    tokens = fullsize.compute_tokens(path, json.loads(path.read_text()))
    fullsize.check_decoder_and_renderer(fixture, tokens)


CHECKS = {  # by the start of the fixture's name, the longest that fits; a text is the reason why none is needed
    "cameras": conventions.check_cameras,
    "convnext": check_backbone,
    "dinov2": check_image_encoder,
    "e2e": pictures.check_whole_frames,
    "flexicubes": check_mesh_extraction,
    "fullsize_hdri_encoder": fullsize.check_tokenizer,
    "fullsize_iad_lad": check_full_decoder_and_renderer,
    "hdri_encoder_head": check_tokenizer_head,
    "hdri_preprocess": conventions.check_light_maps,
    "iad_decoder": check_decoder,
    "lad_renderer": check_renderer,
    "mesh_decoder": check_mesh_decoder,
    "neural_basis": check_color_network,
    "preprocess_image": conventions.check_crops,
    "primitives": conventions.check_primitives,
    "render_full": pictures.check_renderings,
    "samplers": conventions.check_samplers,
    "slat_decoder_gs": check_trellis_gaussians,
    "slat_encoder": check_slat_encoder,
    "slat_flow": check_latent_flow,
    "sparse_ops": conventions.check_sparse_operations,
    "ss_decoder": check_structure_decoder,
    "ss_encoder": check_structure_encoder,
    "ss_flow": check_structure_flow,
    "tonemap": "The engine returns scene-linear pictures; Blender's own colour management maps tones.",
    "voxelize": conventions.check_voxels,
}


BY_CLASS = {  # where the name of a fixture says nothing
    "DinoVisionTransformer": check_image_encoder,
    "NeuralBasis": check_color_network,
    "SLatEncoder": check_slat_encoder,
    "SLatFlowModel": check_latent_flow,
    "SLatGaussianDecoder": check_decoder,
    "SLatGaussianDecoderOri": check_trellis_gaussians,
    "SLatGaussianRenderer": check_renderer,
    "SLatMeshDecoder": check_mesh_decoder,
    "SparseStructureDecoder": check_structure_decoder,
    "SparseStructureEncoder": check_structure_encoder,
    "SparseStructureFlowModel": check_structure_flow,
}


def find_check(fixture):
    """The check of a fixture by its name or class, or the reason why none is needed; None where neither is known."""
    fitting = [start for start in CHECKS if fixture.name.startswith(start)]
    return CHECKS[max(fitting, key=len)] if fitting else BY_CLASS.get(fixture.config.get("official_class"))

"""Neural assets in another engine's render: a companion scene that NeAR draws, merged in by the artist's compositor.

The companion is a copy of the artist's scene that shares its collections and objects. Its picture, the assets before
nothing, is combined by depth with the artist's right behind each of their Render Layers nodes. There the proxies are
unseen by the camera, but still cast shadows and are reflected. What the artist changes, the companion follows.
"""

from __future__ import annotations

from typing import Any

import bpy

from .. import handlers
from .._core import errors
from ..scene import sync
from . import passes

ENGINE = "NEAR"
_OURS = "near_compositing"  # a node's property: it came with build()
_OVER = "CompositorNodeAlphaOver"
_PLAIN = {"R_LAYERS", "COMPOSITE", "VIEWER", "REROUTE"}  # nodes that change no picture
_LINKS = bpy.app.version < (5, 1, 0)  # whether what is in a scene may change while a render begins: 5.2 ends, but
# without a window not where it is evaluated at once
_FOLLOWED = ("camera", "world", "frame_start", "frame_end", "frame_step")
_FOLLOWED_IN_RENDER = (
    "resolution_x", "resolution_y", "resolution_percentage", "pixel_aspect_x", "pixel_aspect_y", "use_border",
    "use_crop_to_border", "border_min_x", "border_max_x", "border_min_y", "border_max_y", "fps", "fps_base",
    "use_multiview", "views_format", "threads_mode", "threads", "use_motion_blur", "motion_blur_shutter",
    "motion_blur_position", "use_simplify", "simplify_subdivision_render")
_FOLLOWED_IN_CYCLES = ("film_exposure", "filter_width", "motion_blur_position", "max_bounces", "diffuse_bounces",
                       "glossy_bounces")
_FOLLOWED_IN_LAYERS = ("use_motion_blur", "use_sky", "use_solid", "world_override")
_FOLLOWED_IN_COLLECTIONS = ("exclude", "hide_viewport", "holdout", "indirect_only")


def find_companion(scene: bpy.types.Scene) -> Any:
    """The scene that draws the assets for `scene`, None where compositing is not set up."""
    scenes: Any = bpy.data.scenes
    return next((each for each in scenes if each.near.companion_of == scene), None)


def list_assets(scene: bpy.types.Scene) -> list[Any]:
    """The objects that stand for neural assets in scene, in its instanced collections, too; originals."""
    found: dict[Any, None] = {}
    collections = [scene.collection]
    for collection in collections:  # grows on the way
        for ob in collection.all_objects:
            if sync.is_asset(ob):
                found[ob] = None
            instanced = ob.instance_collection if ob.instance_type == "COLLECTION" else None
            if instanced is not None and instanced not in collections:
                collections.append(instanced)
    return list(found)


# --- the two clicks


def build(scene: Any) -> None:
    """Sets compositing up. Raises NearError where there is nothing to draw or no place in the artist's nodes for it."""
    assets = list_assets(scene)
    if not assets:
        raise errors.NearError("This scene has no neural asset.", "Add one with Add > Neural Asset.")
    tree = _find_tree(scene)
    _check_nodes(scene, tree)
    companion = _make_companion(scene)
    companion.near.made_nodes, companion.near.turned_on = tree is None, not scene.render.use_compositing
    scene.render.use_compositing = True
    tree = tree or _make_tree(scene)
    for node in _list_render_layers(tree, scene):
        layer = scene.view_layers[node.layer]
        if not layer.use_pass_z:
            companion.view_layers[node.layer].near.turned_on_depth = layer.use_pass_z = True
    for node in _list_render_layers(tree, scene):
        _add_nodes(tree, node, companion)
    for ob in assets:
        include(scene, ob)


def include(scene: bpy.types.Scene, ob: Any) -> None:
    """Leaves ob, a neural asset, to the companion where scene has one. A linked object, which cannot be changed, stays
    visible: its proxy is then seen below the asset."""
    if find_companion(scene) is not None and ob.visible_camera and ob.is_editable:
        ob.visible_camera, ob.near.is_composited = False, True


def remove(scene: Any) -> None:
    """Takes away what build() brought, and nothing else."""
    companion = find_companion(scene)
    tree = _find_tree(scene)
    if tree is not None:
        _remove_nodes(tree)
    for layer, own in zip(scene.view_layers, companion.view_layers):
        if own.near.turned_on_depth:
            layer.use_pass_z = False
    if companion.near.made_nodes:
        _drop_tree(scene)
    if companion.near.turned_on:
        scene.render.use_compositing = False
    _remove_companion(companion)


def _remove_companion(companion: Any) -> None:
    """Has the camera see again what it drew alone."""
    bpy.data.scenes.remove(companion)
    others = {ob for other in bpy.data.scenes if find_companion(other) for ob in list_assets(other)}
    objects: Any = bpy.data.objects
    for ob in objects:
        if ob.near.is_composited and ob not in others:
            ob.visible_camera, ob.near.is_composited = True, False


# --- the companion


def _make_companion(scene: Any) -> Any:
    companion = scene.copy()
    companion.name = f"{scene.name} (NeAR)"
    companion.near.companion_of, companion.near.is_companion = scene, True
    companion.near.ordinary = "LIGHT"  # the artist's engine draws the rest
    render = companion.render
    render.engine, render.film_transparent = ENGINE, True
    render.use_sequencer = render.use_compositing = False
    companion.sequence_editor_clear()
    companion.timeline_markers.clear()  # its camera is followed instead
    if hasattr(companion, "compositing_node_group"):  # from 5.0
        companion.compositing_node_group = None
    elif companion.node_tree is not None:
        companion.use_nodes = False
        companion.node_tree.nodes.clear()
    for layer in companion.view_layers:
        layer.use_pass_z, layer.use_pass_normal = True, False
        layer.near.turned_on_depth = False
        passes.drop_light(layer)  # the nodes take none
    return companion


def _adopt(scene: Any) -> Any:
    """A companion for a scene that was copied from one that has one: the nodes came along and show the other's picture.
    None where it has no such nodes, or has them in common with the other, as where a script copies it in Blender 5."""
    tree = _find_tree(scene)
    if tree is not None and any(_find_tree(other) == tree for other in bpy.data.scenes if other != scene):
        return None
    ours = [node for node in tree.nodes if node.get(_OURS) and node.type == "R_LAYERS" and node.scene is not None
            ] if tree is not None and tree.is_editable and scene.near.companion_of is None else []
    if not ours:
        return None
    other, companion = ours[0].scene, _make_companion(scene)
    for name in ("made_nodes", "turned_on"):
        setattr(companion.near, name, getattr(other.near, name))
    for layer, own in zip(other.view_layers, companion.view_layers):
        own.near.turned_on_depth = layer.near.turned_on_depth
    for node in ours:
        layer = node.layer
        node.scene, node.layer = companion, layer
    return companion


def _list_orphans() -> list[Any]:
    """Companions whose scene is gone."""
    scenes: Any = bpy.data.scenes
    return [each for each in scenes if each.library is None and each.near.is_companion
            and each.near.companion_of is None]


@bpy.app.handlers.persistent
def _drop_orphans(*_: Any) -> None:
    for companion in _list_orphans():
        if len(bpy.data.scenes) > 1:
            _remove_companion(companion)
        else:  # Blender keeps the last one, for the artist to work in
            companion.near.is_companion = False


def follow(scene: Any, companion: Any) -> bool:
    """Brings the companion up to date with the artist's scene; writes only what differs. Says whether it now holds
    other things."""
    _follow_settings(scene, companion)
    changed = False
    for kind in ("objects", "children"):
        wanted, there = (getattr(each.collection, kind) for each in (scene, companion))
        present = set(there)
        changed |= present != set(wanted)
        for item in present - set(wanted):
            there.unlink(item)
        for item in wanted:
            if item not in present:  # a linked one may have the same name
                there.link(item)
    for layer, own in zip(scene.view_layers, companion.view_layers):
        _follow_collections(layer.layer_collection, own.layer_collection)
    return changed


def _follow_settings(scene: Any, companion: Any) -> None:
    _copy(scene, companion, _FOLLOWED)
    _copy(scene.render, companion.render, _FOLLOWED_IN_RENDER)
    if hasattr(scene, "cycles"):
        _follow_film(scene, companion.cycles)
    for layer, own in zip(scene.view_layers, companion.view_layers):
        _copy(layer, own, _FOLLOWED_IN_LAYERS)


def _follow_film(scene: Any, own: Any) -> None:
    """NeAR exposes and filters as Cycles does, whose settings EEVEE does not know."""
    if scene.render.engine == "CYCLES":
        _copy(scene.cycles, own, _FOLLOWED_IN_CYCLES)
        return
    for name, value in (("film_exposure", 1.0), ("filter_width", scene.render.filter_size)):
        if getattr(own, name) != value:
            setattr(own, name, value)


def _follow_collections(source: Any, target: Any) -> None:
    _copy(source, target, _FOLLOWED_IN_COLLECTIONS)
    for child in source.children:
        own = target.children.get(child.name)
        if own is not None:
            _follow_collections(child, own)


def _copy(source: Any, target: Any, names: tuple[str, ...]) -> None:
    for name in (each for each in names if hasattr(source, each)):  # not every Blender has all
        value = getattr(source, name)
        if getattr(target, name) != value:
            setattr(target, name, value)


@bpy.app.handlers.persistent
def _on_render(scene: bpy.types.Scene, *_: Any) -> None:
    may_link = _LINKS or bpy.app.background
    companion = _catch_up_with(scene) if may_link else find_companion(scene)
    if companion is None:
        return
    _follow_settings(scene, companion)
    for ob in list_assets(companion):  # some may have been appended, or dropped from the Asset Browser
        if not ob.near.is_composited:
            include(scene, ob)


def _catch_up_with(scene: Any) -> Any:
    """The scene's companion, brought up to date; None where it has none."""
    companion = find_companion(scene) or _adopt(scene)
    if companion is not None and follow(scene, companion) and not _LINKS:
        for layer in companion.view_layers:
            layer.update()
    return companion


@bpy.app.handlers.persistent
def _on_update(scene: bpy.types.Scene, *_: Any) -> None:
    """Not while the scene is evaluated, which ends Blender 5.2 where collections change: they wait until that is over.
    Without a window nobody calls what waits: there the next render looks, and Blender 4 as a module, which a timer that
    is left keeps from being freed, would not end."""
    companion, scenes = find_companion(scene), bpy.data.scenes
    if companion is not None:
        _follow_settings(scene, companion)
    elif not any(each.near.is_companion for each in scenes):  # type: ignore[attr-defined]
        return
    if not bpy.app.background and not bpy.app.timers.is_registered(_catch_up):
        bpy.app.timers.register(_catch_up)


def _catch_up() -> float | None:
    app: Any = bpy.app
    if app.is_job_running("RENDER"):  # on a thread that reads the companion
        return 0.5
    _drop_orphans()
    for scene in list(bpy.data.scenes):
        _catch_up_with(scene)
    return None


# --- the artist's nodes


def _find_tree(scene: Any) -> Any:
    """The compositor's nodes in use; None where there are none."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def _check_nodes(scene: Any, tree: Any) -> None:
    """Raises NearError where the artist's nodes leave no place for ours."""
    if tree is None:
        idle = getattr(scene, "node_tree", None)
        if idle is not None and {node.type for node in idle.nodes} - _PLAIN:
            raise errors.NearError("The compositor's nodes are switched off.", "Switch Use Nodes on, or delete them.")
    elif not tree.is_editable:
        raise errors.NearError("The compositor's nodes are linked from another file.", "Make them local.")
    elif not _list_render_layers(tree, scene):
        raise errors.NearError("The compositor's nodes do not use this scene's render.",
                               "Connect a Render Layers node there.")


def _make_tree(scene: Any) -> Any:
    """Nodes that hand the render through; before 5.0 those that Use Nodes brings or left."""
    if hasattr(scene, "compositing_node_group"):
        tree = scene.compositing_node_group = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        output = "NodeGroupOutput"
    else:
        scene.use_nodes = True
        tree, output = scene.node_tree, "CompositorNodeComposite"
    if not tree.nodes:
        source: Any = tree.nodes.new("CompositorNodeRLayers")
        target = tree.nodes.new(output)
        source.scene, target.location = scene, (300, 0)
        tree.links.new(source.outputs["Image"], target.inputs[0])
    return tree


def _drop_tree(scene: Any) -> None:
    if hasattr(scene, "compositing_node_group"):
        bpy.data.node_groups.remove(scene.compositing_node_group)
    else:
        scene.use_nodes = False


def _list_render_layers(tree: Any, scene: Any) -> list[Any]:
    """The nodes whose picture of `scene` is used."""
    return [node for node in tree.nodes if node.type == "R_LAYERS" and node.scene == scene
            and node.outputs["Image"].is_linked]


def _add_nodes(tree: Any, node: Any, companion: Any) -> None:
    """The companion's picture over that of `node`, where nothing ordinary is nearer, in the place of its links."""
    targets = [link.to_socket for link in node.outputs["Image"].links]
    math = _find_type("CompositorNodeMath", "ShaderNodeMath")
    ours, depth, nearer, smooth, over = (tree.nodes.new(kind) for kind in (
        "CompositorNodeRLayers", math, math, "CompositorNodeAntiAliasing", _OVER))
    ours.scene, ours.layer, depth.operation, nearer.operation = companion, node.layer, "MODULO", "LESS_THAN"
    depth.inputs[1].default_value = passes.EMPTY_DEPTH  # where only the edge of an asset is, its alpha says all
    x, y = node.location
    for each, title, right, down in ((ours, "Neural Assets", 0, 450), (depth, "0 if Empty", 300, 550),
                                     (nearer, "Nearer", 500, 550), (smooth, "Smooth Edges", 700, 550),
                                     (over, "Neural Assets", 900, 200)):
        each.label, each.location, each.parent = title, (x + right, y - down), node.parent
        each[_OURS], each.select = True, False
    sockets = _find_inputs(over)
    for source, target in ((ours.outputs["Depth"], depth.inputs[0]), (depth.outputs[0], nearer.inputs[0]),
                           (node.outputs["Depth"], nearer.inputs[1]), (nearer.outputs[0], smooth.inputs[0]),
                           (smooth.outputs[0], sockets["factor"]),
                           (node.outputs["Image"], sockets["behind"]), (ours.outputs["Image"], sockets["over"]),
                           *((over.outputs[0], target) for target in targets)):
        tree.links.new(source, target)


def _find_type(*names: str) -> str:
    """The first of a node's type names that this Blender knows."""
    return next(name for name in names if hasattr(bpy.types, name))


def _find_inputs(over: Any) -> dict[str, Any]:
    """The sockets of an Alpha Over node, which changed places in 5.0."""
    color = [socket for socket in over.inputs if socket.type == "RGBA"]
    factor = next(socket for socket in over.inputs if socket.type == "VALUE")
    return {"factor": factor, "behind": color[0], "over": color[1]}


def _remove_nodes(tree: Any) -> None:
    """Gives the artist's links back, those that were made since, too."""
    ours = [node for node in tree.nodes if node.get(_OURS)]
    for over in (node for node in ours if node.bl_idname == _OVER):
        behind = _find_inputs(over)["behind"]
        for target in [link.to_socket for link in over.outputs[0].links]:
            if behind.is_linked:
                tree.links.new(behind.links[0].from_socket, target)
    for node in ours:
        tree.nodes.remove(node)


_HANDLERS = {"depsgraph_update_post": _on_update, "render_init": _on_render, "render_pre": _on_render,
             "save_pre": _drop_orphans}


def register() -> None:
    handlers.add(_HANDLERS)


def unregister() -> None:
    handlers.remove(_HANDLERS)
    if bpy.app.timers.is_registered(_catch_up):
        bpy.app.timers.unregister(_catch_up)

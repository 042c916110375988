"""Paths beside the file: that Blender takes them wherever NeAR does, and that they go along with it."""

import bpy
import pytest
import stage

from near_blender import paths
from near_blender.asset import photo_options

FROM_OPERATORS = {"NEAR_OT_fit_pose", "NEAR_OT_draw_hints"}  # nobody else names their paths


@pytest.mark.skipif(not paths.RELATIVE, reason="Blender does not tell them apart")
def test_every_path_may_be_relative():
    kinds = [getattr(bpy.ops.near, name).get_rna_type() for name in dir(bpy.ops.near)]
    kinds += [kind.bl_rna for kind in photo_options.CLASSES]
    found = {(kind.identifier, prop.identifier): prop.is_path_supports_blend_relative for kind in kinds
             for prop in kind.properties if prop.type == "STRING" and prop.subtype in ("FILE_PATH", "DIR_PATH")
             and kind.identifier not in FROM_OPERATORS}
    assert len(found) > 10 and not [path for path, taken in found.items() if not taken]


@pytest.fixture
def project(tmp_path, ball):
    """A file with an asset of a photo and a mask beside it, in a folder of its own, open."""
    for folder in ("first", "other/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("mug.jpg", "mask.png", "side.jpg"):
        (tmp_path / "first" / name).write_bytes(b"x")
    origin = stage.add_asset(ball, "Mug").near.origin
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first" / "scene.blend"))
    origin.path, origin.mask, origin.hints = "//mug.jpg", "//mask.png", "[]"
    origin.photos.add().path = "//side.jpg"
    origin.photos[0].azimuth, origin.photos[0].view = 1.0, "ANGLES"
    bpy.ops.wm.save_mainfile()
    return tmp_path


def find_files(ob) -> set[str]:
    """The files that an asset's photos and masks name."""
    told = ob.near.origin
    owners = [(told, told.path), (told, told.mask), *((photo, photo.path) for photo in told.photos)]
    return {str(paths.locate(*each).resolve()) for each in owners}


def list_files(project) -> set[str]:
    return {str(project / "first" / name) for name in ("mug.jpg", "mask.png", "side.jpg")}


def test_paths_go_along_to_another_folder(project):
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "other" / "deep" / "scene.blend"))
    told = bpy.data.objects["Mug"].near.origin
    assert find_files(bpy.data.objects["Mug"]) == list_files(project) and told.path == "//../../first/mug.jpg"
    assert told.hints == "[]" and told.photos[0].view == "ANGLES", "what is known of the photos stays"
    bpy.ops.wm.open_mainfile(filepath=str(project / "other" / "deep" / "scene.blend"))
    assert find_files(bpy.data.objects["Mug"]) == list_files(project)


def test_a_copy_and_a_failure_leave_the_open_file_as_it_is(project):
    told, copy = bpy.data.objects["Mug"].near.origin, project / "other" / "copy.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True)
    assert told.path == "//mug.jpg" and told.home == str(project / "first")
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(project / "nowhere" / "scene.blend"))
    assert told.path == "//mug.jpg" and find_files(bpy.data.objects["Mug"]) == list_files(project)
    bpy.ops.wm.open_mainfile(filepath=str(copy))
    assert find_files(bpy.data.objects["Mug"]) == list_files(project)


def test_a_folder_that_moved_as_a_whole_finds_its_photos(project):
    (project / "first").rename(project / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(project / "moved" / "scene.blend"))
    told = bpy.data.objects["Mug"].near.origin
    assert told.path == "//mug.jpg" and paths.locate(told, told.path).is_file()


def bring(project, link: bool):
    """The asset in another file, which is in another folder."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "other" / "scene.blend"))
    with bpy.data.libraries.load(str(project / "first" / "scene.blend"), link=link) as (_, wanted):
        wanted.objects = ["Mug"]
    return wanted.objects[0]


@pytest.mark.skipif(not hasattr(bpy.app.handlers, "blend_import_post"), reason="Blender tells of it since 4.3")
def test_appended_assets_find_their_photos(project):
    assert find_files(bring(project, link=False)) == list_files(project)


@pytest.mark.skipif(not hasattr(bpy.app.handlers, "blend_import_post"), reason="Blender tells of it since 4.3")
def test_assets_that_a_file_without_a_folder_took_in_find_their_photos_when_it_is_saved(project):
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(project / "first" / "scene.blend"), link=False) as (_, wanted):
        wanted.objects = ["Mug"]
    assert find_files(wanted.objects[0]) == list_files(project)
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "other" / "scene.blend"))
    assert find_files(wanted.objects[0]) == list_files(project)


@pytest.mark.skipif(not hasattr(bpy.app.handlers, "blend_import_post"), reason="Blender tells of it since 4.3")
def test_assets_that_are_copied_and_pasted_find_their_photos(project):
    """Blender copies into a file of its temporary ones."""
    buffer = project / "other" / "deep" / "copybuffer.blend"
    bpy.data.libraries.write(str(buffer), {bpy.data.objects["Mug"]})
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(buffer), link=False) as (_, wanted):
        wanted.objects = ["Mug"]
    assert find_files(wanted.objects[0]) == list_files(project)


def test_linked_assets_and_overrides_find_their_photos(project):
    linked = bring(project, link=True)
    assert find_files(linked) == find_files(linked.override_create()) == list_files(project)


def test_an_overridden_look_is_there_when_the_file_is_opened_again(project):
    override = bring(project, link=True).override_create()
    bpy.context.scene.collection.objects.link(override)
    override.near.look.exposure, override.near.look.tint = 1.0, (1, 0, 0)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(project / "other" / "scene.blend"))
    looks = [(ob.near.look.exposure, tuple(ob.near.look.tint)) for ob in bpy.data.objects if ob.library is None]
    assert looks == [(1.0, (1, 0, 0))]


def test_overridden_settings_of_an_origin_are_there_when_the_file_is_opened_again(project):
    override = bring(project, link=True).override_create()
    bpy.context.scene.collection.objects.link(override)
    origin = override.near.origin
    origin.thickness, origin.seed, origin.reads_fov, origin.fov = "CUP", 7, False, 0.5
    origin.photos[0].azimuth = 0.25
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(project / "other" / "scene.blend"))
    ob, = (ob for ob in bpy.data.objects if ob.library is None)
    origin = ob.near.origin
    assert (origin.thickness, origin.seed, origin.reads_fov, origin.fov) == ("CUP", 7, False, 0.5)
    assert find_files(ob) == list_files(project) and origin.hints == "[]"
    assert [(photo.view, photo.azimuth) for photo in origin.photos] == [("ANGLES", 0.25)]

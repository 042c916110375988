"""Files of what images show, where Blender cannot write them whole."""

import bpy
import pytest

from near_blender.shaders import image_files


@pytest.fixture
def image() -> bpy.types.Image:
    return bpy.data.images.new("Picture", 8, 8)


@pytest.mark.parametrize("said, told", [("Error: No room\nat all\n", "^No room$"), ("", "does not say"),
                                        ("Error: \n", "does not say")])
def test_why_an_image_is_not_written_is_told_in_a_line(image, tmp_path, said, told):
    with pytest.raises(OSError, match=told), image_files._writing(image, str(tmp_path / "picture.png")):
        raise RuntimeError(said)


@pytest.mark.parametrize("kept", [0, 5, -1, None])
def test_a_png_that_was_cut_off_is_no_file(image, tmp_path, kept):
    """Of a full disk Blender says nothing."""
    path = tmp_path / "picture.png"
    image_files.save_copy(image, str(path))
    whole = path.read_bytes()
    with pytest.raises(OSError, match="no room"), image_files._writing(image, str(path)):
        path.write_bytes(whole[:kept] if kept is not None else whole + whole[-5:])


@pytest.mark.parametrize("path, parts, other", [
    ("/shot_01/plate.png", ("/shot_01/plate", "", ".png"), "/shot_01/plate.png"),
    ("//shot_01\\plate.jp2", ("//shot_01\\plate", "", ".jp2"), "//shot_01\\plate.jp2"),
    ("/shot_01/a_0042_left.exr", ("/shot_01/a_", "0042", "_left.exr"), "/shot_01/a_0043_left.exr"),
    ("7.png", ("", "7", ".png"), "43.png")])
def test_the_frame_of_a_sequence_is_in_its_files_name_alone(path, parts, other):
    assert image_files.split_frame(path) == parts and image_files.name_frame(path, 43) == other

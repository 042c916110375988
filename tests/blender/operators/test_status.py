"""What the status bar says."""

from types import SimpleNamespace

from near_blender.operators import status


def test_a_long_name_leaves_room_for_what_is_said_of_it():
    assert status.shorten("x" * 200) == "x" * 39 + "\u2026" and status.shorten("Keg") == "Keg"


def test_sidebars_are_drawn_where_something_new_is_said_and_no_3d_view():
    drawn: list[str] = []
    regions = [SimpleNamespace(type=kind, tag_redraw=lambda kind=kind: drawn.append(kind))
               for kind in ("HEADER", "WINDOW", "WINDOW", "UI")]
    areas = [SimpleNamespace(type=kind, regions=regions) for kind in ("VIEW_3D", "PROPERTIES")]
    manager = SimpleNamespace(windows=[SimpleNamespace(screen=SimpleNamespace(areas=areas))])
    for text in ("Shape, 25%", "Shape, 25%", "Shape, 26%", None):
        status.show_status(SimpleNamespace(workspace=None, window_manager=manager), text)
    assert drawn == ["UI", "UI", "UI"]

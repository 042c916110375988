"""What a finished picture says of itself."""

import OpenEXR
import stage


def test_a_picture_says_how_it_was_made(ball, tmp_path):
    scene = stage.make_stage(16, 12)
    stage.add_asset(ball, "Red Ball")
    scene.near.quality = "DRAFT"
    stage.render(scene, tmp_path)
    with OpenEXR.File(str(tmp_path / "picture.exr")) as file:
        header = dict(file.parts[0].header)
    assert header["NeAR/Assets"] == "Red Ball" and header["NeAR/Quality"] == "draft"
    assert len(header["NeAR/Model"]) >= 8
    assert "picture" in header["NeAR/Time"] and header["NeAR/Time"].endswith(" s")

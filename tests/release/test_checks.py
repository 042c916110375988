"""release.checks: every zip that was packed is opened, and what is wrong with one is named."""

import shutil
import struct
import zipfile

import pytest

from release import checks
from release.shell import DIST

# as many bytes of a library as say what it asks for: Mach-O for arm64 with macOS 15.0, PE for x64 with Windows 10
MACH = struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 6, 1, 24, 0, 0) + struct.pack("<IIIIII", 0x32, 24, 1,
                                                                                         15 << 16, 15 << 16, 0)
PE = bytearray(256)
PE[:2], PE[0x3C:0x40], PE[64:70] = b"MZ", struct.pack("<I", 64), b"PE\0\0" + struct.pack("<H", 0x8664)
PE[136:140] = struct.pack("<HH", 10, 0)


@pytest.mark.slow
def test_every_packed_zip_is_right_and_listed():
    """After `build.py package --platform all`; each is for one platform and one Python."""
    archives = sorted(DIST.glob("near-*-py3??.zip"))
    if not archives:
        pytest.skip("nothing was packed: build.py package --platform all")
    wrong = [problem for archive in archives for problem in checks.check_zip(archive)]
    assert wrong == [] and checks.check_listing(archives) == []


@pytest.mark.parametrize(("platform", "library", "said"), [
    ("macos-arm64", MACH, "asks for macos 15.0"), ("windows-x64", bytes(PE), "asks for windows 10.0"),
    ("linux-x64", MACH, "is for macos-arm64")])
def test_a_library_for_a_newer_or_another_system_is_named(tmp_path, platform, library, said):
    path = tmp_path / "near.zip"
    name = f"kernels/lib/{platform}/{checks.LIBRARY[platform]}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("blender_manifest.toml",
                         f'platforms = ["{platform}"]\nwheels = ["./wheels/a-1-py3-none-any.whl"]')
        archive.writestr(name, library)
    wrong = checks.check_zip(path)
    assert f"near.zip: {name} {said}" in wrong
    assert "near.zip: wheels/a-1-py3-none-any.whl is missing" in wrong and "near.zip: LICENSE is missing" in wrong
    assert any("wheel of embreex is missing" in each for each in wrong)


def test_a_zip_that_is_not_listed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "DIST", tmp_path)
    (tmp_path / "index.json").write_text('{"data": [{"archive_url": "./one.zip"}]}')
    shutil.copy(__file__, tmp_path / "two.zip")
    assert checks.check_listing([tmp_path / "two.zip"]) == ["index.json and the zips differ: one.zip, two.zip"]

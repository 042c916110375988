"""release.checks: every zip that was packed is opened, and what is wrong with one is named."""

import hashlib
import json
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from release import checks, packing
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


def test_a_listing_that_does_not_fit_the_zips_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "DIST", tmp_path)
    shutil.copy(__file__, tmp_path / "two.zip")
    right = {"archive_url": "./two.zip", "archive_size": Path(__file__).stat().st_size,
             "archive_hash": f"sha256:{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"}
    for entries, said in (
            ([right], []), ([], ["./two.zip is not in index.json"]),
            ([right, right | {"archive_url": "./one.zip"}], ["index.json lists ./one.zip, which is not there"]),
            ([right | {"archive_size": 5}], ["./two.zip is another file than index.json says"]),
            ([right | {"archive_url": []}], ["index.json is no listing (TypeError)"])):
        (tmp_path / "index.json").write_text(json.dumps({"data": entries}))
        assert checks.check_listing([tmp_path / "two.zip"]) == said
    (tmp_path / "index.json").unlink()
    assert checks.check_listing([tmp_path / "two.zip"]) == ["index.json is no listing (FileNotFoundError)"]


def test_what_a_wheel_brings_and_notice_lacks_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for name in ("a.libs/libwonder-12ab.so.6.1", "a/core.cpython-311-x86_64-linux-gnu.so", "a/msvcp140-1a.dll",
                     "a.libs/libtbb.12.11.dylib"):
            wheel.writestr(name, "")
    with zipfile.ZipFile(tmp_path / "near.zip", "w") as archive:
        archive.write(tmp_path / "a.whl", "wheels/a.whl")
    assert checks.check_notice([tmp_path / "near.zip"]) == [
        "NOTICE does not name wonder, which is in wheels/a.whl", "wheels/a.whl holds no licence"]


def test_a_picture_without_an_origin_and_an_origin_without_a_picture_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "docs/seen").mkdir(parents=True)
    for name in ("docs/a.jpg", "docs/ab.jpg", "docs/seen/c.png", "w.safetensors"):
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "NOTICE").write_text(f"{' '.join(packing.PACKED)}\ndocs/ab.jpg, docs/seen. docs/gone.jpg")
    assert checks.check_notice() == ["NOTICE does not name docs/a.jpg", "NOTICE does not name w.safetensors",
                                     "NOTICE names docs/gone.jpg, which is not there"]

"""A Python of its own for the published networks: made, interrupted, taken up again, removed."""

import sys
import time
import zipfile

import pytest

from near_core.errors import Cancelled, NearError
from near_core.published import interpreter
from tests.machine import slowness


@pytest.fixture
def wheel(tmp_path):
    """A package with nothing in it, as a wheel."""
    path = tmp_path / "tiny_nothing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        about = "tiny_nothing-1.0.dist-info"
        archive.writestr("tiny_nothing.py", "")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-nothing\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
                                           "Tag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.mark.timing
def test_set_up_is_interrupted_taken_up_and_removed(tmp_path, wheel):
    folder, build = tmp_path / "python", interpreter.list_builds("linux", "x86_64")["cpu"]

    def stop(phase, fraction):
        if phase.startswith("Downloading"):
            raise Cancelled

    with pytest.raises(Cancelled):
        interpreter.set_up(folder, build, stop, (str(wheel),))
    assert interpreter.locate_python(folder).exists() and not interpreter.is_ready(folder)
    phases, start = [], time.monotonic()
    found = interpreter.set_up(folder, build, lambda phase, fraction: phases.append((phase, fraction)), (str(wheel),))
    assert time.monotonic() - start < 20 * slowness() and interpreter.is_ready(folder)
    assert not {"Making the environment", "Choosing packages"} & {phase for phase, _ in phases}
    assert [at for _, at in phases] == sorted(at for _, at in phases) and phases[-1] == ("Done", 1.0)
    assert found["python"].split(".")[:2] == [str(n) for n in sys.version_info[:2]] and "torch" in found["missing"]
    assert not (folder / "wheels").exists() and list(folder.rglob("tiny_nothing.py"))
    interpreter.remove(folder)
    assert not list(folder.iterdir())


def test_a_package_that_is_not_offered_is_an_error_in_words(tmp_path, wheel):
    folder, build = tmp_path, interpreter.list_builds("linux", "x86_64")["cpu"]
    python = interpreter.locate_python(folder)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    with pytest.raises(NearError, match="Choosing packages failed"):
        interpreter.set_up(folder, build, packages=(str(wheel.with_name("other.whl")),))
    assert not interpreter.is_ready(folder)


def test_each_system_has_its_builds():
    list_builds = interpreter.list_builds
    assert set(list_builds("linux", "x86_64")) == set(list_builds("win32", "AMD64")) == {"cpu", "cuda"}
    assert set(list_builds("darwin", "arm64")) == {"mps"} and not list_builds("darwin", "x86_64")
    for system, machine in (("linux", "x86_64"), ("win32", "AMD64"), ("darwin", "arm64")):
        for build in interpreter.list_builds(system, machine).values():
            assert build.packages[0].startswith("torch==") and build.gigabytes[1] > build.gigabytes[0]


def test_probe_tells_what_is_missing(tmp_path):
    found = interpreter.probe(sys.executable)
    assert found["torch"] and not found["missing"] and found["device"] in ("cpu", "cuda", "mps")
    (tmp_path / "python").write_text("")
    for path in (tmp_path / "python", tmp_path / "nowhere", "/bin/true"):
        with pytest.raises(NearError, match="could not be started"):
            interpreter.probe(path)

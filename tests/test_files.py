"""near_core.files: whole files or none."""

import os
import zlib

import pytest

from near_core import files
from near_core.errors import NearError
from tests.machine import bound_by_rights

UMASK = os.umask(0o22)
os.umask(UMASK)


def test_writes_bytes_and_text_over_what_was_there(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before, and longer")
    files.write(path, b"\0after")
    assert path.read_bytes() == b"\0after"
    files.write(str(path), "ü\n")
    assert path.read_bytes() == "ü\n".encode()  # the same on every system
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("raised", [ValueError("a bug"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_file(tmp_path, raised):
    path = tmp_path / "a.txt"
    files.write(path, "before")
    with pytest.raises(type(raised)), files.writing(path) as part:
        part.write_text("half")
        assert part.parent == path.parent and path.read_text() == "before"
        raise raised
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("No space left on device")])
def test_a_full_disk_is_said_in_a_sentence(tmp_path, error):
    with pytest.raises(NearError) as said, files.writing(tmp_path / "a.exr"):
        raise error
    assert (said.value.what, said.value.fix) == ("a.exr could not be written (No space left on device).",
                                                 "Choose another folder.")


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    for name in ("n" * 250 + ".near", "\u690c" * 83 + ".near"):
        files.write(tmp_path / name, b"whole")
        assert (tmp_path / name).read_bytes() == b"whole"
    assert len(os.listdir(tmp_path)) == 2


def test_needs_its_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for folder in ("none", "file"):  # a file in the place of a folder, too
        with pytest.raises(NearError, match="a.txt could not be written"):
            files.write(tmp_path / folder / "a.txt", "text")
    (tmp_path / "taken").mkdir()
    with pytest.raises(NearError, match="taken could not be written"):
        files.write(tmp_path / "taken", "text")
    assert sorted(os.listdir(tmp_path)) == ["file", "taken"]


def test_a_link_where_a_file_is_written_beside_is_not_followed(tmp_path):
    """Who may write to the same folder could have somebody else's file written over."""
    path, others = tmp_path / "a.bin", tmp_path / "others.bin"
    others.write_bytes(b"theirs")
    (tmp_path / f"{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}.part").symlink_to(others)
    for _ in range(3):
        files.write(path, b"ours")
        with files.writing(path) as part:
            assert not part.is_symlink() and part.stat().st_mode & 0o777 == 0o666 & ~UMASK
            part.write_bytes(b"again")
    assert others.read_bytes() == b"theirs" and path.read_bytes() == b"again"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(NearError, match="could not be written"):
        patch.setattr(files.secrets, "token_hex", lambda size: "guessed")
        (tmp_path / f"guessed.{os.getpid()}.part").symlink_to(others)
        files.write(path, b"ours")
    assert others.read_bytes() == b"theirs"


def test_removes_what_is_there(tmp_path):
    (tmp_path / "folder" / "deeper").mkdir(parents=True)
    (tmp_path / "folder" / "deeper" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("link", "nothing", "folder/deeper/file"):
        files.remove(tmp_path / name)
    assert (tmp_path / "folder" / "deeper").is_dir(), "what a link leads to stays"
    (tmp_path / "folder").chmod(0o500)
    with bound_by_rights(), pytest.raises(NearError, match="deeper could not be removed .Permission denied"):
        files.remove(tmp_path / "folder" / "deeper")
    (tmp_path / "folder").chmod(0o700)
    files.remove(tmp_path / "folder")
    assert not os.listdir(tmp_path)


def test_json_of_more_than_is_promised_is_not_read(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(64 * 2**20 + 1)  # docs/promises.md
    with pytest.raises(NearError, match="a.json is larger than 64 MB"):
        files.read_json(path, "Export it again.")

"""near_core.published.download: downloads from a real server on this machine, breaks and wrong bytes."""


import pytest

from near_core.errors import Cancelled, NearError
from near_core.published import checkpoints, download, interpreter
from tests.hub import DATA, SHA, Server, stop_at
from tests.machine import bound_by_rights


def test_a_whole_file_arrives_and_leaves_no_part(server, tmp_path):
    seen = []
    path = download.fetch(f"{server.address}/data", tmp_path / "sub" / "data", SHA, len(DATA),
                          lambda phase, fraction: seen.append(fraction))
    assert path.read_bytes() == DATA and seen == sorted(seen) and seen[-1] == 1
    assert [each.name for each in path.parent.iterdir()] == ["data"]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path, size):
    server.breaks = [300_000, 100_000]
    download.fetch(f"{server.address}/data", tmp_path / "data", SHA, size)
    assert (tmp_path / "data").read_bytes() == DATA
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-", "bytes=400000-"]


def test_a_stopped_download_is_continued_by_the_next_call(server, tmp_path):
    with pytest.raises(Cancelled):
        download.fetch(f"{server.address}/data", tmp_path / "data", SHA, len(DATA), stop_at(0.5))
    kept = (tmp_path / "data.part").stat().st_size
    assert 0 < kept < len(DATA) and not (tmp_path / "data").exists()
    download.fetch(f"{server.address}/data", tmp_path / "data", SHA, len(DATA))
    assert server.asked[-1][1] == f"bytes={kept}-" and (tmp_path / "data").read_bytes() == DATA


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    server.ranges, server.breaks = False, [300_000]
    download.fetch(f"{server.address}/data", tmp_path / "data", SHA, len(DATA))
    assert (tmp_path / "data").read_bytes() == DATA


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "data.part").write_bytes(DATA + b"more")
    download.fetch(f"{server.address}/data", tmp_path / "data", SHA)
    assert (tmp_path / "data").read_bytes() == DATA


@pytest.mark.parametrize("digest", [SHA.replace(SHA[-1], "g"), "git:" + "0" * 40])
def test_wrong_bytes_are_not_kept(server, tmp_path, digest):
    with pytest.raises(NearError, match="hash differs"):
        download.fetch(f"{server.address}/data", tmp_path / "data", digest, len(DATA))
    assert not list(tmp_path.iterdir())


def test_more_bytes_than_promised_are_an_error(server, tmp_path):
    with pytest.raises(NearError, match="longer"):
        download.fetch(f"{server.address}/data", tmp_path / "data", "", 1000)


def test_a_source_that_is_gone_is_an_error_in_words(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 2)
    server.errors = [503]
    download.fetch(f"{server.address}/data", tmp_path / "data", SHA)  # one refusal is forgiven
    for url in (f"{server.address}/other", "http://127.0.0.1:9/data", "ftp://host/data"):
        with pytest.raises(NearError) as caught:
            download.fetch(url, tmp_path / "other")
        assert caught.value.fix
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(NearError, match="could not be reached"):
        download.read("http://127.0.0.1:9/")


def test_what_no_hash_describes_comes_by_https_or_from_the_hub_that_the_user_names(server, tmp_path, monkeypatch):
    other = Server()
    other.files["/data"], server.files["/moved"] = DATA, f"{other.address}/data"
    server.files["/here"] = f"{server.address}/data"
    assert download.read(f"{server.address}/here") == DATA
    for url in (f"{server.address}/moved", f"{other.address}/data", f"{server.address}0/data", "file:///etc/hostname"):
        with pytest.raises(NearError, match="by https"):
            download.read(url)
        with pytest.raises(NearError, match="by https"):
            download.fetch(url, tmp_path / "data")
    assert not other.asked and not list(tmp_path.iterdir())
    download.fetch(f"{server.address}/moved", tmp_path / "data", SHA)
    assert (tmp_path / "data").read_bytes() == DATA
    other.shutdown()
    other.server_close()


def test_a_full_disk_is_said_before(server, tmp_path):
    with pytest.raises(NearError, match="of the disk are free"):
        download.fetch(f"{server.address}/data", tmp_path / "data", SHA, 10 ** 18)


def test_a_part_that_cannot_be_written_is_not_called_a_broken_download(server, tmp_path):
    (tmp_path / "data.part").symlink_to("/dev/full")
    with pytest.raises(NearError, match="data.part could not be written .No space left"):
        download.fetch(f"{server.address}/data", tmp_path / "data", SHA)
    (tmp_path / "data.part").unlink()
    tmp_path.chmod(0o500)
    with bound_by_rights(), pytest.raises(NearError, match="data.part could not be written .Permission denied"):
        download.fetch(f"{server.address}/data", tmp_path / "data", SHA)
    assert len(server.asked) == 2, "once each"


def test_a_folder_that_cannot_be_made_is_said(server, tmp_path):
    (tmp_path / "file").touch()
    for ask in (lambda folder: download.fetch(f"{server.address}/data", folder / "data"),
                lambda folder: checkpoints.fetch("near", folder),
                lambda folder: interpreter.set_up(folder, interpreter.list_builds()["cpu"])):
        with pytest.raises(NearError, match="could not be written.*Choose another folder"):
            ask(tmp_path / "file" / "folder")

"""Downloads from a real server on this machine: breaks, wrong bytes, checkpoints as a hub lists them."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from near_core.errors import Cancelled, NearError
from near_core.published import checkpoints, download

DATA = np.random.default_rng(0).bytes(700_000)
SHA = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


class Server(ThreadingHTTPServer):
    """Serves `files`; the next answers break off after `breaks` bytes each, or say `errors`, and pause after every
    64 kB. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.breaks, self.errors, self.asked, self.ranges, self.pause = {}, [], [], [], True, 0.0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, start = self.server, 0
        server.asked.append((self.path, self.headers.get("Range")))
        if server.errors:
            return self.send_error(server.errors.pop(0))
        data = server.files.get(self.path)
        if data is None:
            return self.send_error(404)
        if server.ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else len(data)
        for at in range(start, min(end, len(data)), 1 << 16):
            self.wfile.write(data[at:min(at + (1 << 16), end)])
            time.sleep(server.pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    server.files["/data"] = DATA
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    yield server
    server.shutdown()
    server.server_close()


def stop_at(fraction):
    def progress(phase, at):
        if at >= fraction:
            raise Cancelled
    return progress


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
    with pytest.raises(NearError, match="could not be reached"):
        download.read("http://127.0.0.1:9/")


def test_a_full_disk_is_said_before(server, tmp_path):
    with pytest.raises(NearError, match="of the disk are free"):
        download.fetch(f"{server.address}/data", tmp_path / "data", SHA, 10 ** 18)


# --- checkpoints

FILES = {"pipeline.yaml": b"args: {}", "ckpts/decoder.json": b"{}", "ckpts/decoder.safetensors": DATA,
         "ckpts/decoder.pt": b"unsafe" * 9, "ckpts/flow.pt": DATA[:1000], "README.md": b"read me"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def publish(server, files=FILES, change=lambda entries: entries, repository="luh0502/NeAR"):
    """Puts files behind the addresses that the hub uses."""
    entries = [{"type": "directory", "path": "ckpts"}]
    for path, data in files.items():
        entry = {"type": "file", "path": path, "size": len(data),
                 "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
        if path.endswith((".safetensors", ".pt")):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        entries.append(entry)
        server.files[f"/{repository}/resolve/{COMMIT}/{path}"] = data
    server.files[f"/api/models/{repository}"] = json.dumps({"sha": COMMIT}).encode()
    server.files[f"/api/models/{repository}/tree/{COMMIT}?recursive=true"] = json.dumps(change(entries)).encode()


def test_a_checkpoint_is_fetched_with_the_safe_weights(server, tmp_path):
    publish(server)
    record = checkpoints.fetch("near", tmp_path / "near")
    there = {str(p.relative_to(tmp_path / "near")) for p in (tmp_path / "near").rglob("*") if p.is_file()}
    assert there == {"pipeline.yaml", "ckpts/decoder.json", "ckpts/decoder.safetensors", "ckpts/flow.pt",
                     checkpoints.RECORD}
    assert record.verified and record.revision == COMMIT and checkpoints.read_record(tmp_path / "near") == record
    assert checkpoints.progress_of(tmp_path / "near", record) == sum(each.size for each in record.files)


STRUCTURE = [f"ckpts/{name}.{kind}" for name in ("ss_flow_img_dit_L_16l8_fp16", "ss_dec_conv3d_16l8_fp16")
             for kind in ("json", "safetensors")]


@pytest.mark.parametrize("name, offered, wanted", [
    ("dinov2", ["config.json", "preprocessor_config.json", "model.safetensors", "pytorch_model.bin"],
     ["config.json", "model.safetensors"]),
    ("trellis", ["pipeline.json", "ckpts/slat_flow_img_dit_L_64l8p2_fp16.safetensors", "ckpts/ss_enc_x.safetensors",
                 *STRUCTURE], ["pipeline.json", *STRUCTURE])])
def test_of_what_stands_beside_a_checkpoint_only_the_needed_parts_come(server, tmp_path, name, offered, wanted):
    publish(server, {path: path.encode() for path in offered}, repository=checkpoints.find(name).repository)
    record = checkpoints.fetch(name, tmp_path / name)
    assert record.verified and {each.path for each in record.files} == set(wanted)
    assert all((tmp_path / name / path).read_bytes() == path.encode() for path in wanted)


def test_an_interrupted_checkpoint_goes_on_with_its_revision(server, tmp_path):
    publish(server)
    with pytest.raises(Cancelled):
        checkpoints.fetch("near", tmp_path, stop_at(0.5))
    record = checkpoints.read_record(tmp_path)
    assert not record.verified and 0 < checkpoints.progress_of(tmp_path, record) < sum(f.size for f in record.files)
    server.files["/api/models/luh0502/NeAR"] = json.dumps({"sha": "f" * 40}).encode()  # a newer one came out
    server.asked.clear()
    assert checkpoints.fetch("near", tmp_path).revision == COMMIT
    assert not any(path.startswith("/api") for path, _ in server.asked)
    assert any(asked for _, asked in server.asked), "the broken file must be continued"
    server.asked.clear()
    checkpoints.fetch("near", tmp_path)
    assert not server.asked, "nothing is fetched twice"


def test_verify_names_what_is_damaged_and_a_download_mends_it(server, tmp_path):
    publish(server)
    checkpoints.fetch("near", tmp_path)
    path = tmp_path / "ckpts/decoder.safetensors"
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(NearError, match="decoder.safetensors was damaged"):
        checkpoints.verify(tmp_path)
    assert not checkpoints.read_record(tmp_path).verified
    with pytest.raises(NearError, match="not complete"):
        checkpoints.verify(tmp_path)
    checkpoints.fetch("near", tmp_path)
    assert checkpoints.verify(tmp_path).verified and path.read_bytes() == DATA


def test_wrong_bytes_at_the_source_are_refused(server, tmp_path):
    publish(server)
    server.files[f"/luh0502/NeAR/resolve/{COMMIT}/ckpts/decoder.safetensors"] = DATA[::-1]
    with pytest.raises(NearError, match="hash differs"):
        checkpoints.fetch("near", tmp_path)
    assert not (tmp_path / "ckpts/decoder.safetensors").exists()


@pytest.mark.parametrize("path", ["../evil.json", "/etc/evil.json", "a\\..\\b.json", "c:evil.json", "a/../../b.pt"])
def test_paths_that_lead_out_of_the_folder_are_refused(server, tmp_path, path):
    publish(server, change=lambda entries: [*entries, {"type": "file", "path": path, "size": 1, "oid": "0"}])
    with pytest.raises(NearError, match="could not be read"):
        checkpoints.fetch("near", tmp_path / "in")
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"sha": 3}', b'{"sha": "../.."}', b"<html>"])
def test_answers_that_are_no_hub_s_are_refused(server, tmp_path, answer):
    publish(server)
    server.files["/api/models/luh0502/NeAR"] = answer
    with pytest.raises(NearError):
        checkpoints.fetch("near", tmp_path)


def test_only_folders_of_ours_are_removed(server, tmp_path):
    publish(server)
    (tmp_path / "own").mkdir()
    checkpoints.remove(tmp_path / "own")
    assert (tmp_path / "own").is_dir()
    checkpoints.fetch("near", tmp_path / "near")
    checkpoints.remove(tmp_path / "near")
    assert not (tmp_path / "near").exists()
    with pytest.raises(NearError, match="Nothing was downloaded"):
        checkpoints.verify(tmp_path)

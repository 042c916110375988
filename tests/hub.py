"""A hub of checkpoints on this machine, which breaks off and answers wrongly as a test wants it."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from near_core.errors import Cancelled

DATA = np.random.default_rng(0).bytes(700_000)
SHA = f"sha256:{hashlib.sha256(DATA).hexdigest()}"

FILES = {"pipeline.yaml": b"args: {}", "ckpts/decoder.json": b"{}", "ckpts/decoder.safetensors": DATA,
         "ckpts/decoder.pt": b"unsafe" * 9, "ckpts/flow.pt": DATA[:1000], "README.md": b"read me"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Server(ThreadingHTTPServer):
    """Serves `files`, or sends on where one is an address; the next answers break off after `breaks` bytes each, or say
    `errors`, and pause after every 64 kB. Keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.breaks, self.errors, self.asked, self.ranges, self.pause = {}, [], [], [], True, 0.0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers for a Server."""

    def do_GET(self):
        server, start = self.server, 0
        server.asked.append((self.path, self.headers.get("Range")))
        if server.errors:
            return self.send_error(server.errors.pop(0))
        data = server.files.get(self.path)
        if data is None:
            return self.send_error(404)
        if isinstance(data, str):
            self.send_response(302)
            self.send_header("Location", data)
            return self.end_headers()
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


def stop_at(fraction):
    """A progress callback that stops the work there."""
    def progress(phase, at):
        if at >= fraction:
            raise Cancelled
    return progress

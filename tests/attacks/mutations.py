"""Ways to damage a file: blindly, or so that its outer shell still holds and the damage reaches what lies deeper."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

Way = Callable[[bytes, np.random.Generator], bytes]

# what a field is replaced by: sizes that lie, numbers that are none, other kinds
HOSTILE = (0, -1, 1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 10**30, 0.5, 1e-300, 1e308, -1e308,
           float("nan"), float("inf"), "", "x", "../../../../etc/passwd", "\ud800", "\0", None, True, [], {}, [[]], [0],
           [1e30] * 16, {"a": 1}, "9" * 5000)
EDGES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80",
         b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff" * 8, b"nan", b"inf", b"-1", b"99999999999", b"1e999", b"\r", b"\n")


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits anywhere."""
    out = bytearray(data)
    for _ in range(int(rng.choice([1, 2, 8, 64]))):
        out[rng.integers(len(out))] ^= 1 << rng.integers(8)
    return bytes(out)


def flip_first_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits where headers are."""
    head = int(min(len(data), 256))
    return flip_bits(data[:head], rng) + data[head:]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, with or without something else behind."""
    return data[:rng.integers(len(data))] + rng.bytes(int(rng.choice([0, 0, 1, 100])))


def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    """A value from the edge of a type over what stood there; more often near the start."""
    edge = EDGES[rng.integers(len(EDGES))]
    at = int(rng.integers(min(len(data), int(rng.choice([64, 512, len(data)])))))
    return data[:at] + edge + data[at + len(edge):]


def rearrange(data: bytes, rng: np.random.Generator) -> bytes:
    """A piece twice, left out, or moved."""
    a, b, c = np.sort(rng.integers(0, len(data) + 1, 3))
    return (data[:b] + data[a:], data[:a] + data[b:], data[:a] + data[b:c] + data[a:b] + data[c:])[rng.integers(3)]


BLIND: tuple[Way, ...] = (flip_bits, flip_first_bits, truncate, overwrite, rearrange)


def change_words(data: bytes, rng: np.random.Generator) -> bytes:
    """A word of a text replaced by a hostile one, left out, or put twice."""
    words = data.split(b" ")
    at = int(rng.integers(len(words)))
    words[at:at + 1] = [[EDGES[rng.integers(len(EDGES))]], [], [words[at]] * 2,
                        [str(HOSTILE[rng.integers(len(HOSTILE))]).encode(errors="replace")]][rng.integers(4)]
    return b" ".join(words)


def change_tree(tree, rng: np.random.Generator) -> str:
    """The JSON of a tree in which one to three nodes are hostile; sometimes parsers run out of stack in it."""
    text = json.dumps(tree)
    if rng.integers(40) == 0:
        at = int(rng.integers(len(text)))
        return text[:at] + ("[" * 100_000, '{"a":' * 100_000)[rng.integers(2)] + text[at:]
    tree = json.loads(text)
    for _ in range(int(rng.integers(1, 4))):
        places: list[tuple] = []
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            keys = node.keys() if isinstance(node, dict) else range(len(node))
            places += [(node, key) for key in keys]
            waiting += [node[key] for key in keys if isinstance(node[key], dict | list)]
        if not places:
            break
        node, key = places[rng.integers(len(places))]
        if rng.integers(5) == 0:
            del node[key]
        elif isinstance(node[key], int) and rng.integers(3) == 0:
            node[key] += int(rng.choice([-1, 1, 1000]))
        else:
            node[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    text, digits = json.dumps(tree), "9" * 5000
    return text.replace(f'"{digits}"', digits) if rng.integers(2) else text  # a number that Python does not convert


def change_json(data: bytes, rng: np.random.Generator) -> bytes:
    """A JSON file."""
    return change_tree(json.loads(data), rng).encode()


def change_near(data: bytes, rng: np.random.Generator) -> bytes:
    """A safetensors container: its header as a tree, or one tensor's values."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + length]), bytearray(data[8 + length:])
    if rng.integers(2):
        text = change_tree(header, rng).encode(errors="replace")
        return len(text).to_bytes(8, "little") + text + body
    names = [name for name in header if name != "__metadata__"]
    start, stop = np.clip(header[names[rng.integers(len(names))]]["data_offsets"], 0, len(body))
    fill = EDGES[rng.integers(12)]
    low, high = np.sort(rng.integers(start, stop + 1, 2)) if rng.integers(2) else (start, stop)
    body[low:high] = (fill * (high - low))[:high - low]
    return data[:8 + length] + body


def change_glb(data: bytes, rng: np.random.Generator) -> bytes:
    """A .glb whose lengths fit what its JSON became."""
    length = struct.unpack_from("<I", data, 12)[0]
    text = change_tree(json.loads(data[20:20 + length]), rng).encode(errors="replace")
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + data[20 + length:]
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def change_png(data: bytes, rng: np.random.Generator) -> bytes:
    """A .png whose damaged chunk has a right checksum."""
    chunks, at = [], 8
    while at < len(data):
        length = struct.unpack_from(">I", data, at)[0]
        chunks.append((data[at + 4:at + 8], data[at + 8:at + 8 + length]))
        at += 12 + length
    number = int(rng.choice([0, rng.integers(len(chunks))]))
    kind, body = chunks[number]
    chunks[number] = kind, (BLIND[rng.integers(len(BLIND))](body, rng) if body else rng.bytes(9))
    return data[:8] + b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
                               for kind, body in chunks)


def change_npz(data: bytes, rng: np.random.Generator) -> bytes:
    """A zip of arrays of which one is damaged, its header more often than its values; or kept in another way."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    number = int(rng.integers(len(entries)))
    name, body = entries[number]
    described = (b"'<f8'", b"'|O'", b"'<U9'", b"'|V4'", b"'>i2'", b"'<c8'", b"'?'")[rng.integers(7)]
    shape = (b"(99999999999,)", b"(9999, 3)", b"(-1, 3)", b"()", b"(2147483648, 3)", b"(0, 3)", b"('a',)")[
        rng.integers(7)]
    head, rest = body[:128], body[128:]
    start, stop = head.find(b"'shape': ") + 9, head.find(b"), ") + 1
    head = [BLIND[rng.integers(len(BLIND))](head, rng), head[:start] + shape + head[stop:],
            head.replace(b"'<f4'", described).replace(b"'<i4'", described)][rng.integers(3)]
    entries[number] = name, (head[:127].ljust(127) + b"\n" if rng.integers(3) else head) + rest
    out = io.BytesIO()
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(out, "w", ways[rng.integers(4)]) as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return out.getvalue()


def change_frame(data: bytes, rng: np.random.Generator) -> bytes:
    """A message of the worker's pipe whose length fits what its JSON became, as it is or behind another."""
    length = struct.unpack_from("<I", data)[0]
    text = change_tree(json.loads(data[4:4 + length]), rng).encode(errors="replace")
    return (data if rng.integers(4) == 0 else b"") + struct.pack("<I", len(text)) + text

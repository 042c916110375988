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
KEYS = ("", "x", "a.weight", "mlp.9.weight", "$array", "$type", "$message", "$tuple", "__metadata__", "extras",
        "k" * 3000)  # that a field is called instead
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
        elif isinstance(node, dict) and rng.integers(10) == 0:
            node[KEYS[rng.integers(len(KEYS))]] = node.pop(key)
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


def change_tensors(data: bytes, rng: np.random.Generator) -> bytes:
    """An asset as another version of NeAR might write it: its shell is right, but tensors are missing, new, of another
    type or shape, or out of range, and its version and metadata are others."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    metadata = header.pop("__metadata__")
    parts = {name: (entry, body[slice(*entry["data_offsets"])]) for name, entry in header.items()}
    for _ in range(int(rng.integers(1, 3))):
        _change_tensor(parts, rng)
    if rng.integers(3) == 0:
        name = ("format_version", "camera", "extent", "resolution", "name", "pattern")[rng.integers(6)]
        metadata[name] = ("3", "2.1", "-1", " 2 ", "nan", "1e400", "", "[" * 5000, '{"fov_x_deg": []}', "\u0662",
                          "null")[rng.integers(11)]
    header, at = {"__metadata__": metadata}, 0
    for name, (entry, values) in parts.items():
        header[name], at = entry | {"data_offsets": [at, at + len(values)]}, at + len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(values for _, values in parts.values())


NEW_TENSORS = ("skin_pattern", "skin_picture_9", "skin_normal", "skin_color", "skin_emission", "skin_emission_map",
               "surfel_glow", "surfel_emission", "thumbnail")
OPTIONAL = ("skin", "texel", "surfel_glow", "surfel_emission")
TWINS = {"U8": "I8", "I8": "BOOL", "U16": "I16", "I16": "F16", "F16": "U16", "I32": "F32", "F32": "I32"}  # as wide


def _change_tensor(parts: dict[str, tuple[dict, bytes]], rng: np.random.Generator) -> None:
    names = [name for name in parts if name.startswith(OPTIONAL)] if rng.integers(4) else []
    name = (names or list(parts))[rng.integers(len(names or parts))]
    entry, values = parts[name]
    way = rng.integers(8)
    if way == 0:
        del parts[name]
    elif way == 1:
        parts[NEW_TENSORS[rng.integers(len(NEW_TENSORS))]] = parts[name]
    elif way == 2:
        parts[name] = entry | {"shape": entry["shape"][::-1]}, values
    elif way == 3:
        parts[name] = entry | {"shape": [len(values)], "dtype": "U8"}, values
    elif way == 4:
        parts[name] = entry | {"dtype": TWINS.get(entry["dtype"], "U8")}, values
    elif way == 5 and entry["shape"][0]:
        rows, row = int(rng.integers(entry["shape"][0])), len(values) // entry["shape"][0]
        parts[name] = entry | {"shape": [rows, *entry["shape"][1:]]}, values[:rows * row]
    else:
        low, high = np.sort(rng.integers(0, len(values) + 1, 2))
        edge = EDGES[rng.integers(12)]
        parts[name] = entry, values[:low] + (edge * (high - low))[:high - low] + values[high:]


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


# of OpenEXR: attributes that other programs and newer versions write
ATTRIBUTES = ((b"tiles", b"tiledesc", struct.pack("<IIB", 1, 2**31 - 1, 0x11)), (b"chunkCount", b"int", b"\xff" * 4),
              (b"type", b"string", b"deepscanline"), (b"type", b"string", b"tiledimage"), (b"name", b"string", b"a"),
              (b"multiView", b"stringvector", struct.pack("<I", 2**30) + b"left"), (b"envmap", b"envmap", b"\1"),
              (b"preview", b"preview", struct.pack("<II", 2**15, 2**15)), (b"view", b"string", b"\xff\xfe"),
              (b"chromaticities", b"chromaticities", b"\0\0\xc0\x7f" * 8), (b"fromTomorrow", b"newtype", b"\0" * 9),
              (b"x" * 200, b"int", b"\0" * 4), (b"version", b"int", b"\2\0\0\0"))
WINDOWS = ((0, 0, 0, 0), (-1, -1, 5, 5), (2**30, 0, 2**31 - 1, 9), (-2**31, -2**31, 2**31 - 1, 2**31 - 1), (5, 5, 4, 4),
           (-2**31, 0, -2**31, 0), (0, 0, 2**20, 2**20))


def change_exr(data: bytes, rng: np.random.Generator) -> bytes:
    """An .exr whose header is one: attributes of other values, types and sizes, missing, twice, or new."""
    attributes, at = [], 8
    while data[at]:
        name, kind = data[at:].split(b"\0", 2)[:2]
        start = at + len(name) + len(kind) + 6
        size = struct.unpack_from("<I", data, start - 4)[0]
        attributes.append((name, kind, data[start:start + size]))
        at = start + size
    version = struct.unpack_from("<I", data, 4)[0]
    for _ in range(int(rng.integers(1, 4))):
        number = int(rng.integers(len(attributes)))
        name, kind, value = attributes[number]
        way = rng.integers(7)
        if way == 0:
            attributes.insert(number, ATTRIBUTES[rng.integers(len(ATTRIBUTES))])
        elif way == 1:
            attributes[number] = name, ATTRIBUTES[rng.integers(len(ATTRIBUTES))][1], value
        elif way == 2 and len(attributes) > 1:
            del attributes[number]
        elif way == 3:
            version ^= (0x200, 0x400, 0x800, 0x1000, 0x10000, 1)[rng.integers(6)]
        elif way == 4:
            which = [n for n, each in enumerate(attributes) if each[1] == b"box2i"]
            if which:
                chosen = which[rng.integers(len(which))]
                window = struct.pack("<4i", *WINDOWS[rng.integers(len(WINDOWS))])
                attributes[chosen] = (*attributes[chosen][:2], window)
        else:
            attributes[number] = name, kind, BLIND[rng.integers(len(BLIND))](value or b"\0", rng)
    header = b"".join(name + b"\0" + kind + b"\0" + struct.pack("<I", len(value)) + value
                      for name, kind, value in attributes)
    first = struct.unpack_from("<Q", data, at + 1)[0]  # where rows lie stands behind the header
    moved = np.frombuffer(data, "<u8", (first - at - 1) // 8, at + 1) + np.uint64(len(header) + 8 - at)
    return data[:4] + struct.pack("<I", version) + header + data[at:at + 1] + moved.tobytes() + data[first:]


HDR_LINES = (b"FORMAT=32-bit_rle_xyze", b"FORMAT=64-bit_new", b"EXPOSURE=nan", b"EXPOSURE=" + b"9" * 5000, b"GAMMA=0",
             b"COLORCORR=1e30 0 -1", b"PRIMARIES= 0 0 0 0 0 0 0 0", b"PIXASPECT=-1", b"VIEW= -vp inf",
             b"#" + b"x" * 5000, b"", b"\r", b"SOFTWARE=\xff\0")
ORIENTATIONS = (b"-Y %d +X %d", b"+Y %d +X %d", b"+X %d -Y %d", b"-X %d +Y %d", b"-Y %d -Y %d", b"ZZ %d +X %d",
                b"-Y -%d +X %d", b"-Y %d +X %d0000000000", b"-Y %d", b"-Y 0 +X %d", b"-Y 1_%d +X %d", b"-y %d +x %d")


def change_hdr(data: bytes, rng: np.random.Generator) -> bytes:
    """An .hdr with lines that other programs write before its pixels, and the pixels in another order."""
    head, _, rest = data.partition(b"\n\n")
    size, _, body = rest.partition(b"\n")
    lines, (_, high, _, wide) = head.split(b"\n"), size.split()
    lines.insert(int(rng.integers(len(lines) + 1)), HDR_LINES[rng.integers(len(HDR_LINES))])
    if rng.integers(2):
        shape = ORIENTATIONS[rng.integers(len(ORIENTATIONS))]
        size = shape % (int(high), int(wide))[:shape.count(b"%d")]
    return (b"\n", b"\r\n")[rng.integers(8) == 0].join([*lines, b"", size, body])


CELLS = ("{", "}", "{}", "{0}", "{a.__class__}", "{x!r:>99999999999}", "{{", "\0", "%s", "\u202e", "\x1c", "\u2028")


def change_table(data: bytes, rng: np.random.Generator) -> bytes:
    """A table of texts: cells with other fields, left out, put twice, or of another column."""
    rows = [line.split("\t") for line in data.decode().split("\n")]
    for _ in range(int(rng.integers(1, 20))):
        row = rows[0] if rng.integers(20) == 0 else rows[rng.integers(len(rows))]
        if not row:
            continue
        cell = int(rng.integers(len(row)))
        row[cell:cell + 1] = [[row[cell] + CELLS[rng.integers(len(CELLS))]], [], [row[cell]] * 2,
                              [row[cell].replace("{", "{_")], [""], ["x" * 100_000]][rng.integers(6)]
    return "\n".join("\t".join(row) for row in rows).encode(errors="replace")

"""Pictures and files of pictures that tests share."""

import numpy as np


def radiance(height=7, width=19, channels=4):
    """(height, width, channels) float32, mostly small and a few large values."""
    return np.random.default_rng(0).gamma(0.5, 2.0, (height, width, channels)).astype(np.float32)


def write_hdr(path, picture, compressed):
    """An independent RGBE writer: one shared exponent, runs only where four or more bytes repeat."""
    mantissa, exponent = np.frexp(picture.max(-1))
    scale = np.where(picture.max(-1) > 1e-32, mantissa * 256 / picture.max(-1), 0)
    rgbe = np.concatenate([picture * scale[..., None], (exponent + 128)[..., None]], -1).astype(np.uint8)
    out = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % picture.shape[:2]
    if not compressed:
        path.write_bytes(out + rgbe.tobytes())
        return
    for row in rgbe:
        out += b"\2\2" + len(row).to_bytes(2, "big")
        for channel in row.T:
            at = 0
            while at < len(channel):
                run = 1
                while at + run < len(channel) and channel[at + run] == channel[at] and run < 127:
                    run += 1
                out += bytes([128 + run, channel[at]]) if run >= 4 else bytes([1, channel[at]]) * run
                at += run
    path.write_bytes(out)

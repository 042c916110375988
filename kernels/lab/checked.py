"""Compiles a library of one instruction set that stops at every access out of bounds and at everything undefined, for
Linux with g++: `env $(python -m kernels.lab.checked avx2) python -m pytest tests/kernels/test_grid.py -k avx2`."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..library import library_path, this_platform
from . import build

# AddressSanitizer and UndefinedBehaviorSanitizer
CHECKS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1")


def build_checked(isa: str = "avx2") -> dict[str, str]:
    """Builds it, which takes minutes, and returns the variables of a process that is to use it. Raises RuntimeError
    with the compiler's words."""
    library = build.CACHE / f"checked-{isa}" / library_path().name
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build.CACHE) as objects, ThreadPoolExecutor(os.cpu_count()) as pool:
        def compile_unit(unit: tuple[Path, str, list[str]]) -> str:
            source, target, flags = unit
            build._run(["g++", *flags, *build.FLAGS, *CHECKS, "-c", str(source), "-o", f"{objects}/{target}"])
            return f"{objects}/{target}"

        chosen = [unit for unit in build._units(this_platform(), ziglang=False)
                  if f".{isa}." in unit[1] or unit[0].stem in build.COMMON]
        made = list(pool.map(compile_unit, chosen))
        build._run(["g++", "-shared", "-pthread", *CHECKS, *made, "-o", str(library)])
    runtimes = [subprocess.run(["g++", f"-print-file-name={name}.so"], capture_output=True, text=True).stdout.strip()
                for name in ("libasan", "libubsan")]
    return {"NEAR_KERNELS": str(library), "LD_PRELOAD": ":".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0",
            "NEAR_ISA": isa}


if __name__ == "__main__":
    print(*(f"{name}={value}" for name, value in build_checked(*sys.argv[1:]).items()))

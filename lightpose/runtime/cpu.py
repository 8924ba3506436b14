"""What the CPU of this machine can do."""

from __future__ import annotations

import platform
import re
from pathlib import Path

__all__ = ["has_byte_products"]

BYTE_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
"""Instructions that multiply 8-bit numbers and add the products in 32 bits, as Linux names them."""


def has_byte_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has instructions with which int8 networks are faster than float ones: VNNI, AMX or Arm's dot
    product.

    cpuinfo: Linux's list of what the CPU can do. All of Apple's own CPUs have them. On Windows it is not known, so
    False.
    """
    try:
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    return flags is not None and not BYTE_PRODUCTS.isdisjoint(flags[1].split())

"""What the CPU can do is read as Linux and macOS tell it."""

import platform

import pytest

from lightpose.runtime.cpu import has_byte_products


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("processor : 0\nflags\t\t: fpu sse2 avx2 avx512_vnni\n", True),
        ("flags\t\t: fpu avx_vnni\n", True),
        ("flags\t\t: fpu amx_int8\n", True),
        ("Features\t: fp asimd asimddp\n", True),
        ("flags\t\t: fpu avx2 fma\nbugs\t\t: avx512_vnni\n", False),
        ("Features\t: fp asimd\n", False),
        ("", False),
    ],
)
def test_linux_lists_the_instructions(lines, found, tmp_path):
    (tmp_path / "cpuinfo").write_text(lines)
    assert has_byte_products(tmp_path / "cpuinfo") is found


@pytest.mark.parametrize(
    ("system", "machine", "found"),
    [("Darwin", "arm64", True), ("Darwin", "x86_64", False), ("Windows", "AMD64", False)],
)
def test_without_such_a_list_the_kind_of_machine_decides(system, machine, found, tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert has_byte_products(tmp_path / "nowhere") is found

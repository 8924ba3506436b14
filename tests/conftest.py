"""Fixtures for all tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import DrawnSet, draw_set


@pytest.fixture
def drawn(tmp_path: Path) -> DrawnSet:
    """Three pictures with one, two and one stick figures."""
    return draw_set(tmp_path / "drawn")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures and reference files that lies beside the repository, where there is one."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data are not here ({folder})")
    return folder


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: small networks gain nothing from more, and results repeat to the bit."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """A test that lets PyTorch use more threads leaves the next one as many as there were before."""
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if threads is not None:
        sys.modules["torch"].set_num_threads(threads)

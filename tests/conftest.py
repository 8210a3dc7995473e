"""Two devices, array annotations checked at run time, and a tiny data set."""

import os
import re
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import jaxtyping

# Before any module of dlx is imported and before any array is made. To check a module costs time at each of its calls.
ROOT = Path(__file__).parents[1]
ANNOTATED = [path for path in (ROOT / "dlx").rglob("*.py") if "jaxtyping" in path.read_text(encoding="utf-8")]
jaxtyping.install_import_hook(
    [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ANNOTATED], "beartype.beartype"
)
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    jax.config.update("jax_num_cpu_devices", 2)
# Tests compile much and run little: without XLA's emitters of fusions the compiler takes half the time. A later jaxlib
# does not know them, and ends the process at a flag that it does not know.
jax.config.update("jax_disable_most_optimizations", True)
if jaxlib.version.__version_info__ < (0, 11):
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_use_fusion_emitters=false"

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from dlx.types import Data, Labelled  # noqa: E402

VISIBLE = 64
LONGEST = ("test_command.py", "test_pages.py", "test_sweep.py", "test_laws.py", "test_readme.py")
"""Files whose tests begin first, so that no worker is idle at the end."""


def group(nodeid: str) -> str:
    """The file of a test; of the laws of pages the page."""
    file, _, test = nodeid.partition("::")
    page = re.search(r"\[(\w+)", test) if file.endswith("test_pages.py") else None
    return page[1] if page else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker runs a group, so that what is compiled serves all its tests."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups first, and the tests of a group one after the other."""
    groups = list(dict.fromkeys(group(item.nodeid) for item in items))
    items.sort(key=lambda item: (item.path.name not in LONGEST, groups.index(group(item.nodeid))))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """No process holds the compiled programs of more than one group."""
    if nextitem is None or group(nextitem.nodeid) != group(item.nodeid):
        jax.clear_caches()


def _split(rng: np.random.Generator, prototypes: np.ndarray, n: int) -> Labelled:
    y = rng.integers(0, 10, n).astype(np.int32)
    noisy = np.where(rng.random((n, VISIBLE)) < 0.8, prototypes[y], rng.integers(0, 256, (n, VISIBLE)))
    return Labelled(noisy.astype(np.uint8), y)


@pytest.fixture(scope="session")
def data() -> Data:
    """Noisy copies of ten random patterns of 64 uint8 pixels: 60 to train on, then 25 and 23."""
    rng = np.random.default_rng(0)
    prototypes = rng.integers(0, 256, (10, VISIBLE))
    return Data(*(_split(rng, prototypes, n) for n in (60, 25, 23)))


@pytest.fixture(scope="session")
def float_data(data) -> Data:
    """The same with intensities between 0 and 1, as float32."""
    return Data(*(Labelled((x / 255).astype(np.float32), y) for x, y in data))

"""Two devices, array annotations checked at run time, and a tiny data set."""

import os

import jax
import jaxtyping

# Before any module of dlx is imported and before any array is made.
jaxtyping.install_import_hook("dlx", "beartype.beartype")
jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    jax.config.update("jax_num_cpu_devices", 2)
# Tests compile much and run little.
jax.config.update("jax_disable_most_optimizations", True)

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from dlx.types import Data, Labelled  # noqa: E402

VISIBLE = 64


def group(item: pytest.Item) -> str:
    """Its file; of the laws of pages its page."""
    file = item.path.name
    return item.callspec.params.get("name", file) if file == "test_pages.py" and hasattr(item, "callspec") else file


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One worker runs a group, so that what is compiled serves all its tests."""
    for item in items if config.pluginmanager.hasplugin("xdist") else []:
        item.add_marker(pytest.mark.xdist_group(group(item)))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """No process holds the compiled programs of more than one group."""
    if nextitem is None or group(nextitem) != group(item):
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

"""A tiny data set of IDX files, written independently of the reader."""

import gzip

import numpy as np
import pytest

from dlx.data.idx import FILES


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    """A data set of 12 training and 5 test images of 4 x 3 pixels, by file name."""
    rng = np.random.default_rng(0)
    shapes = [(12, 4, 3), (12,), (5, 4, 3), (5,)]
    return {
        name: rng.integers(0, 10 if len(shape) == 1 else 256, shape, np.uint8)
        for name, shape in zip(FILES, shapes, strict=True)
    }


@pytest.fixture(scope="session")
def packed(arrays) -> dict[str, bytes]:
    """The gzipped IDX files of `arrays`, by file name with `.gz`."""
    headers = {
        name: bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes() for name, values in arrays.items()
    }
    return {f"{name}.gz": gzip.compress(headers[name] + values.tobytes(), mtime=0) for name, values in arrays.items()}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty TFDS folder, no IDX folder, and no proxy."""
    folder = tmp_path / "tfds"
    monkeypatch.delenv("DLX_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder

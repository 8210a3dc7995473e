"""Where data come from: IDX folders, TFDS (without TensorFlow), and scikit-learn's embedded digits."""

from dlx.data.idx import DataError
from dlx.data.sources import Dataset, Provenance, blank, fingerprint, flat, load, of_arrays, read, shorten

__all__ = ["DataError", "Dataset", "Provenance", "blank", "fingerprint", "flat", "load", "of_arrays", "read", "shorten"]

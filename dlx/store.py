"""Finished work on disk: each unit of an experiment is one record, written whole or not at all.

A folder holds `identity.json`, which says what the work belongs to. It holds `units/`, the records with their arrays,
and the files of `Store.write`. A file is written under a temporary name, flushed, and then renamed. So a kill at any
moment leaves the old file or the new one, and two processes may share a folder. Nothing reads the `.*.tmp` of a killed
process. Arrays are named by their hash and are written before their record. So no record gets the arrays of another.
Processes that share a folder may share its units by claims. A claim ends with the process that made it.
"""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import platform
import re
import subprocess
import tarfile
import tempfile
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np


class StoreError(Exception):
    """The folder cannot be used; the message says which, why, and what to do."""


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text of nested mappings, sequences, scalars and arrays.

    Arrays become lists, and NamedTuples become objects. Finite floats keep every bit. Other floats become the strings
    "nan", "inf" and "-inf", which `float` reads. A list of numbers stands on one line. Raises TypeError for anything
    else.
    """
    text = json.dumps(_plain(value), indent=indent, allow_nan=False)
    return re.sub(r"\[\n[^][{}\"]*\]", lambda match: f"[{' '.join(match[0][1:-1].split())}]", text)


@dataclass(frozen=True)
class Store:
    """The output folder of one experiment, from `open_store`.

    A unit's name is a relative path such as "Layer/1-42064e0b7c9d8f13", in any Unicode form. Methods raise ValueError
    for a name that leaves the folder or is the store's own. They raise StoreError if the operating system refuses.
    """

    folder: Path

    def load(self, name: str) -> dict[str, Any] | None:
        """The record of a unit. None if it or its arrays are missing or damaged; then the unit must be run."""
        record, _ = self._read(name)
        return record

    def save(self, name: str, record: Mapping[str, Any], arrays: Mapping[str, Any] | None = None) -> None:
        """Write the record of a finished unit (see `to_json`) and arrays in nested dicts. They replace older ones."""
        import jax
        from flax.serialization import msgpack_serialize

        path, unit = self._locate(name)
        digest, text = None, _plain(record)
        if arrays is not None:
            packed = msgpack_serialize(jax.tree.map(np.asarray, arrays))
            digest = hashlib.sha256(packed).hexdigest()
            _write(_beside(path, digest), packed)
        _write(path, to_json({"unit": unit, "arrays": digest, "record": text}).encode())

    def amend(self, name: str, entries: Mapping[str, Any]) -> None:
        """Add entries to the record of a finished unit. Its arrays stay."""
        path, _ = self._locate(name)
        kept = json.loads(path.read_bytes())
        kept["record"] |= _plain(entries)
        _write(path, to_json(kept).encode())

    def load_arrays(self, name: str) -> dict[str, Any]:
        """The arrays saved with a unit, bit for bit, as NumPy arrays in the dicts in which they were given.

        Raises StoreError if there are none, or they are damaged.
        """
        from flax.serialization import msgpack_restore

        _, packed = self._read(name)
        if packed is None:
            raise StoreError(f"{self.folder}: unit {name!r} has no whole arrays")
        return msgpack_restore(packed)

    def records(self, program: str) -> Iterator[dict[str, Any]]:
        """The records whose names begin with a program's name, without looking at their arrays."""
        for path in sorted((self.folder / "units" / program).glob("*.json")):
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                record = json.loads(path.read_bytes())["record"]
                if isinstance(record, dict):
                    yield record

    def claim(self, name: str) -> bool:
        """Take a unit for this process until `release`; False if another process has it.

        Where there are no file locks every claim is granted. Then two processes may do the same work, without harm.
        """
        return self._lock(name, "LOCK_EX", "LOCK_NB")

    def release(self, name: str) -> None:
        """Let other processes claim the unit."""
        self._lock(name, "LOCK_UN")

    def check_writable(self) -> None:
        """Raise StoreError if nothing can be written to the folder."""
        with _explained(self.folder):
            tempfile.TemporaryFile(dir=self.folder, suffix=".tmp").close()

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file of the folder, such as "results.json"; text as UTF-8."""
        parts = _parts(name)
        if parts[0].lower() in ("identity.json", "units", "claims"):
            raise ValueError(f"{name!r} is the store's own")
        _write(self.folder.joinpath(*parts), content.encode() if isinstance(content, str) else content)

    def archive(self, names: Iterable[str], shown: Collection[str] = (), without: str | None = None) -> bytes:
        """A .tar.xz of the identity, of these units' records, and of the arrays of those that are `shown`.

        Of the arrays the entry `without` is left out. Unpacked, it is such a folder again.
        """
        from flax.serialization import msgpack_restore, msgpack_serialize

        files = {self.folder / "identity.json": (self.folder / "identity.json").read_bytes()}
        for name in names:
            path, _ = self._locate(name)
            record = json.loads(content := path.read_bytes())
            if record["arrays"] is not None and name in shown:
                packed = _beside(path, record["arrays"]).read_bytes()
                if without in (kept := msgpack_restore(packed)):
                    packed = msgpack_serialize({entry: arrays for entry, arrays in kept.items() if entry != without})
                    record["arrays"] = hashlib.sha256(packed).hexdigest()
                    content = to_json(record).encode()
                files |= {path: content, _beside(path, record["arrays"]): packed}
            else:
                files[path] = content if record["arrays"] is None else to_json({**record, "arrays": None}).encode()
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w:xz", preset=9) as tar:
            for file, content in files.items():
                member = tarfile.TarInfo(str(file.relative_to(self.folder)))  # without times and owners
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return written.getvalue()

    @cached_property
    def _claims(self) -> int:
        """An empty file, in which each unit has one byte to lock. It stays open: to close it would end the claims."""
        with _explained(self.folder):
            return os.open(self.folder / "claims", os.O_RDWR | os.O_CREAT, 0o666)

    def _lock(self, name: str, *operation: str) -> bool:
        _, unit = self._locate(name)
        place = int.from_bytes(hashlib.sha256(unit.encode()).digest()[:7])
        try:
            import fcntl

            fcntl.lockf(self._claims, sum(getattr(fcntl, flag) for flag in operation), 1, place)
        except (BlockingIOError, PermissionError):
            return False
        except (ImportError, OSError):
            pass
        return True

    def _locate(self, name: str) -> tuple[Path, str]:
        parts = _parts(name)
        *folders, last = [quote(part, safe="=,+") for part in parts]
        return self.folder.joinpath("units", *folders, f"{last}.json"), "/".join(parts)

    def _read(self, name: str) -> tuple[dict[str, Any] | None, bytes | None]:
        path, unit = self._locate(name)
        with (
            _explained(path),
            contextlib.suppress(FileNotFoundError, ValueError, LookupError, TypeError, RecursionError),
        ):
            kept = json.loads(path.read_bytes())
            record, digest = kept["record"], kept["arrays"]
            packed = None if digest is None else _beside(path, digest).read_bytes()
            intact = packed is None or hashlib.sha256(packed).hexdigest() == digest
            if intact and kept["unit"] == unit and isinstance(record, dict):
                return record, packed
        return None, None


def open_store(folder: str | Path, identity: Mapping[str, Any], option: str = "--out") -> Store:
    """Create a folder of records or results, or go on with one that has the same identity.

    `identity` is what all work in the folder shares, in any form that `to_json` takes. `option` is the command-line
    option that chooses the folder. To open a folder that has its identity writes nothing. Raises StoreError if the
    folder holds anything else, or is new and cannot be written. Then nothing in it is changed.
    """
    folder, wanted = Path(folder).expanduser(), _plain(identity)
    path, remedy = folder / "identity.json", f"choose another {option}, or remove the folder"
    with _explained(folder):
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            Store(folder).check_writable()
            # Look for files before the identity, because another process writes its identity first.
            occupied = any(not entry.name.endswith(".tmp") for entry in folder.iterdir())
            if not path.exists():
                if occupied:
                    raise StoreError(f"{folder} has files and no identity.json, so it is not dlx's: {remedy}")
                _write(path, to_json(wanted, indent=2).encode(), commit=_claim)
        try:
            there = json.loads(path.read_bytes())
        except ValueError as error:
            raise StoreError(f"{path} is damaged ({error}): {remedy}") from error
    if there != wanted:
        raise StoreError(f"{folder} holds other work ({_differences(there, wanted)}): {remedy}")
    return Store(folder)


def provenance() -> dict[str, Any]:
    """Where a result was computed: `versions`, `device` (such as "NVIDIA H100 x 2") and `revision`.

    The device of a CPU is its model, because another model may round otherwise. It is "cpu" if the model is unknown.

    The revision is the commit of this code's own repository; None if there is none. It ends with "+changes" if files in
    dlx/ or experiments/ differ from the commit.
    """
    import jax

    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    devices = Counter(processor() if one.device_kind == "cpu" else one.device_kind for one in jax.devices())
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "device": ", ".join(f"{kind} x {count}" for kind, count in devices.items()),
        "revision": _revision(Path(__file__).resolve().parents[1]),
    }


def processor() -> str:
    """The model of the CPU, such as "AMD EPYC 7B13"; "cpu" if it is unknown."""
    model = None
    with contextlib.suppress(OSError):  # Linux only
        model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return (model[1] if model else platform.processor()).strip() or "cpu"


def _revision(root: Path) -> str | None:
    options = ["--no-optional-locks", "status", "--porcelain=v2", "--branch", "--", "dlx", "experiments"]
    try:
        status = subprocess.run(["git", *options], cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    commit = re.search(r"^# branch\.oid ([0-9a-f]+)$", status, re.MULTILINE)
    if commit is None or not (root / ".git").exists():
        return None
    return commit[1] + ("+changes" if re.search("^[^#]", status, re.MULTILINE) else "")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return _plain(value._asdict()) if hasattr(value, "_asdict") else [_plain(item) for item in value]
    if hasattr(value, "dtype") and np.asarray(value).dtype.kind in "biufVU":
        return _plain(np.asarray(value).tolist())
    raise TypeError(f"a record holds mappings with string keys, sequences, scalars and arrays, not {value!r}")


def _parts(name: str) -> list[str]:
    parts = unicodedata.normalize("NFC", name).split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise ValueError(f"{name!r} is not a relative path with plain parts")
    return parts


def _beside(path: Path, digest: str) -> Path:
    return path.with_suffix(f".{digest[:16]}.msgpack")


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}.{key}".strip(".")).items()}


def _differences(old: Any, new: Any) -> str:
    old, new = _flat(old), _flat(new)
    keys = [key for key in {**old, **new} if old.get(key, ...) != new.get(key, ...)]
    return "; ".join(f"{key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} now" for key in keys)


@contextlib.contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space and give the same command again" if full else "choose another --out"
        raise StoreError(f"{path} cannot be used: {error.strerror}; {remedy}") from error


def _write(path: Path, content: bytes, commit: Callable[[Path, Path], None] = os.replace) -> None:
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    with _explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            commit(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    # Where a folder cannot be synced, a power cut may undo the rename; the old file is then whole.
    with contextlib.suppress(OSError):
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _claim(temporary: Path, path: Path) -> None:
    """Rename, unless another process has just put a file there."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.replace(temporary, path)

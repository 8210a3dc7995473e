import math
import struct
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event

from dlx.show import events


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum, a bit at a time."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    """The records of a TFRecord file, every length and checksum verified."""
    content, at, events = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        record = content[at + 12 : at + 12 + length]
        assert len(record) == length
        assert struct.unpack_from("<I", content, at + 8)[0] == masked(content[at : at + 8])
        assert struct.unpack_from("<I", content, at + 12 + length)[0] == masked(record)
        events.append(record)
        at += 16 + length
    return events


def read(folder):
    """Step and value of each tag, from the only event file of a folder."""
    (path,) = folder.glob("*tfevents*")
    first, *rest = [Event.FromString(record) for record in records(path)]
    assert first.file_version == "brain.Event:2"
    assert first.wall_time > 1.7e9
    curves = {}
    for event in rest:
        for value in event.summary.value:
            curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    return curves


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283


def test_each_run_is_read_back(tmp_path):
    runs = {
        "exp2/dbn/1": {"valid error %": [3.5, 2.25, math.nan], "train loss": [0.5]},
        "exp2/dbn/2": {"valid error %": [math.inf, 1e300]},
        "empty": {},
    }
    events.write(tmp_path / "new", runs)
    first = read(tmp_path / "new/exp2/dbn/1")
    assert first["train loss"] == [(1, 0.5)]
    assert first["valid error %"][:2] == [(1, 3.5), (2, 2.25)]
    step, value = first["valid error %"][2]
    assert step == 3
    assert math.isnan(value)
    assert read(tmp_path / "new/exp2/dbn/2") == {"valid error %": [(1, math.inf), (2, math.inf)]}
    assert read(tmp_path / "new/empty") == {}


def test_steps_never_go_back(tmp_path):
    events.write(tmp_path, {"run": {"a": [1.0, 2.0], "b": [3.0, 4.0, 5.0]}})
    steps = [Event.FromString(record).step for record in records(tmp_path / "run" / events.NAME)]
    assert steps == sorted(steps)


def test_writing_again_replaces_that_run_alone(tmp_path):
    events.write(tmp_path, {"a": {"x": [1.0, 2.0]}, "a/b": {"x": [5.0]}})
    events.write(tmp_path, {"a": {"y": [3.0]}})
    assert read(tmp_path / "a") == {"y": [(1, 3.0)]}
    assert read(tmp_path / "a/b") == {"x": [(1, 5.0)]}


@pytest.mark.parametrize("run", ["../out", "/tmp/out", "", "a/../../out"])
def test_a_run_stays_in_the_folder(tmp_path, run):
    with pytest.raises(ValueError, match="stays in the folder"):
        events.write(tmp_path / "in", {"fine": {"x": [1.0]}, run: {"x": [1.0]}})
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_told_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ValueError, match="pip install tensorboardX"):
        events.write(tmp_path, {"run": {"x": [1.0]}})

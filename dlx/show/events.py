"""Curves as TensorBoard event files, without TensorFlow; `tensorboard --logdir` shows the folder."""

import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path, PurePosixPath

NAME = "events.out.tfevents.dlx"
"""The event file in each run's folder."""


def write(folder: str | Path, runs: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Write one sub-folder per run, with one event file. It replaces the file of an earlier call.

    `runs` maps run and tag to one value per epoch. Value i is written as step i + 1. NaN stays NaN. The tags of a run
    may have different lengths. A run's name may have several parts, such as "exp2/dbn/1". Raises ValueError if a name
    leaves the folder, or if tensorboardX is not installed.
    """
    try:
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import Event  # ty: ignore[import-not-found]  # made at run time
        from tensorboardX.proto.summary_pb2 import Summary  # ty: ignore[import-not-found]
    except ImportError as error:
        raise ValueError("event files need tensorboardX: pip install tensorboardX, or dlx[tensorboard]") from error

    for run in map(PurePosixPath, runs):
        if run.is_absolute() or ".." in run.parts or not run.parts:
            raise ValueError(f"a run is named by a relative path that stays in the folder, not {str(run)!r}")
    for run, tags in runs.items():
        now = time.time()
        events = [Event(wall_time=now, file_version="brain.Event:2")]
        for step, values in enumerate(zip_longest(*tags.values()), start=1):
            known = [(tag, value) for tag, value in zip(tags, values, strict=True) if value is not None]
            scalars = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in known]
            events.append(Event(wall_time=now, step=step, summary=Summary(value=scalars)))
        path = Path(folder, run, NAME)
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = RecordWriter(str(path))
        for event in events:
            writer.write(event.SerializeToString())
        writer.close()

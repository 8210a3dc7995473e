"""The nets that see images in PyTorch, where it is installed, to be timed beside those of this project."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from dlx.bench.timing import CONVOLUTIONAL, EXAMPLES, REPEATS, SIDE, SIDES, convolutional, wall_time
from dlx.sweep import Sweep
from dlx.types import Data


def installed() -> bool:
    """Whether there is a PyTorch to be timed."""
    return find_spec("torch") is not None


def beside(data: Data, batches: Sequence[int] = (20, 100)) -> list[dict[str, Any]]:
    """Seconds of an epoch of 50 000 digits, of one run on one core, in turn here and in PyTorch; the fastest count.

    Both train by plain gradient descent. PyTorch computes no score, draws no order of the data, and sees the middle of
    images where the net here cuts each at a random place.
    """
    rows = []
    for name in CONVOLUTIONAL:
        for batch in batches:
            calls = {
                "seconds": _here(name, batch, data),
                "pytorch_seconds": partial(_epoch, *_there(name, data), batch),
            }
            for call in calls.values():
                call()
            times = {column: [] for column in calls}
            for _ in range(REPEATS):
                for column, call in calls.items():
                    times[column].append(EXAMPLES / len(data.train.x) * wall_time(call))
            rows.append({"case": f"{name} b{batch}", **{column: min(each) for column, each in times.items()}})
    return rows


def _here(name: str, batch: int, data: Data) -> Callable[[], Any]:
    sweep = Sweep(convolutional(name, batch).run(1), devices=1)
    arguments = jax.random.key(0)[None], (), data
    return lambda: sweep(*arguments)


def _there(name: str, data: Data) -> tuple[Any, Any, Any]:
    """The net, the images that it sees, and the labels."""
    torch = import_module("torch")
    free = (SIDE - SIDES[name]) // 2
    part = slice(free, free + SIDES[name])
    pixels = np.asarray(data.train.x).reshape(-1, 1, SIDE, SIDE)[:, :, part, part]
    torch.set_num_threads(1)
    return network(name), torch.from_numpy(pixels.copy()), torch.from_numpy(np.asarray(data.train.y).astype(np.int64))


def network(name: str) -> Any:
    """The net in PyTorch."""
    nn = import_module("torch").nn

    class ScaledTanh(nn.Module):
        def forward(self, u):
            return 1.7159 * (u * (2 / 3)).tanh()

    if name == "lenet5":
        layers = (
            *(nn.Conv2d(1, 6, 5, padding=2), ScaledTanh(), nn.AvgPool2d(2)),
            *(nn.Conv2d(6, 16, 5), ScaledTanh(), nn.AvgPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), ScaledTanh(), nn.Linear(120, 84), ScaledTanh(), nn.Linear(84, 10)),
        )
    else:
        layers = (
            *(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten()),
            nn.Linear(256, 10),
        )
    return nn.Sequential(*layers)


def _epoch(net: Any, x: Any, y: Any, batch: int) -> None:
    torch = import_module("torch")
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for begin in range(0, len(x) - batch + 1, batch):
        optimizer.zero_grad()
        pixels = x[begin : begin + batch].float() / 255
        torch.nn.functional.cross_entropy(net(pixels), y[begin : begin + batch]).backward()
        optimizer.step()

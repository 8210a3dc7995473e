"""What is timed beside PyTorch: on a clock of the test's own; and where it is installed, that its nets are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.bench import command, pytorch, timing
from dlx.nets.convolutional import network


def test_the_fastest_of_epochs_in_turn_counts_and_is_shown(monkeypatch, call, calls, capsys):
    made, times = [], iter(range(1000, 0, -1))
    data = timing.random_data(200)
    monkeypatch.setattr(pytorch, "_here", lambda name, batch, data: lambda: made.append((name, batch, "here")))
    monkeypatch.setattr(pytorch, "_there", lambda name, data: (name, None, None))
    monkeypatch.setattr(pytorch, "_epoch", lambda net, x, y, batch: made.append((net, batch, "there")))
    monkeypatch.setattr(pytorch, "wall_time", lambda run: (run(), float(next(times)))[1])
    rows = pytorch.beside(data)
    assert [row["case"] for row in rows] == ["lenet5 b20", "lenet5 b100", "convnetjs b20", "convnetjs b100"]
    assert made[:10] == [("lenet5", 20, where) for _ in range(5) for where in ("here", "there")]
    assert (rows[0]["seconds"], rows[0]["pytorch_seconds"]) == (250 * 994, 250 * 993)
    monkeypatch.setattr(pytorch, "installed", lambda: True)
    monkeypatch.setattr(pytorch, "beside", lambda data: rows)
    call("--seeds", "1")
    out = capsys.readouterr().out
    assert "s in PyTorch" in out
    assert "248500.00" in out
    assert command.COLUMNS["seconds"][0] in out


@pytest.mark.parametrize("name", timing.CONVOLUTIONAL)
def test_the_nets_in_pytorch_are_the_same(name):
    torch = pytest.importorskip("torch")
    theirs, pixels, labels = pytorch._there(name, timing.random_data(4))
    ours, side = network(timing.CONVOLUTIONAL[name]()), timing.SIDES[name]
    params = ours.init(jax.random.key(0), jnp.zeros((side, side)))
    weights = [np.asarray(layer["w"]) for layer in params.values()]
    with torch.no_grad():
        for own, layer in zip([one for one in theirs if hasattr(one, "weight")], weights, strict=True):
            if layer.ndim == 4:
                own.weight.copy_(torch.from_numpy(layer.transpose(3, 2, 0, 1).copy()))
            else:  # PyTorch's images have the channels before the rows
                ordered = layer.reshape(-1, layer.shape[1])
                if own is next(one for one in theirs if isinstance(one, torch.nn.Linear)):
                    maps, places = 16, layer.shape[0] // 16
                    ordered = layer.reshape(places, maps, -1).swapaxes(0, 1).reshape(layer.shape)
                own.weight.copy_(torch.from_numpy(ordered.T.copy()))
            own.bias.fill_(0.1)
        expected = theirs(pixels.float() / 255).numpy()
    params = {name: {**layer, "b": jnp.full_like(layer["b"], 0.1)} for name, layer in params.items()}
    made = ours.apply(params, jnp.asarray(pixels[:, 0].numpy()))
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)
    before = theirs[0].weight.detach().clone()
    pytorch._epoch(theirs, pixels, labels, 2)
    assert not torch.equal(before, theirs[0].weight)

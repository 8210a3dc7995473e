"""How many images a second are distorted, on a clock of the test's own."""

import json

from dlx.bench import distortions


def test_images_a_second_are_those_of_the_fastest_pass(call, calls, capsys, monkeypatch):
    times = iter([4.0, 2.0, 5.0, 3.0, 1.0, 1.0, 0.5, 1.0, 8.0, 8.0, 8.0, 8.0])
    monkeypatch.setattr(distortions, "wall_time", lambda run: (run(), next(times))[1])
    call("--distortions", "--json", "--examples", "520")
    printed = json.loads(capsys.readouterr().out)
    assert printed["images_a_second"] == {"affine": 250, "elastic": 1000, "both": 62.5}
    assert calls == [], "nothing else is timed"
    monkeypatch.setattr(distortions, "REPEATS", 1)
    monkeypatch.setattr(distortions, "wall_time", lambda run: 0.5)
    monkeypatch.setattr(distortions, "DISTORTIONS", {"affine": distortions.AFFINE})
    call("--distortions", "--examples", "520")
    assert "1000" in capsys.readouterr().out

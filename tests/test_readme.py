"""The README's snippets run as they stand, outside the checkout."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlx.data import read

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
IDEA, SWEEP, PAGE, LOAD, STAGE, NETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
FOLDER, PICTURE = re.findall(r"^```python\n(.*?)^```", CONTRIBUTING, re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path):
    """Runs a text as a script in an empty folder; what it prints."""

    def script(text, name="script.py", *arguments):
        (tmp_path / name).write_text(text)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        line = [sys.executable, name, *arguments]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return script


def test_the_idea_and_a_sweep_of_it(run):
    error = re.search(r"test error (\d+\.\d)%", run(IDEA + SWEEP))
    assert error is not None
    assert float(error[1]) < 20, "far better than chance"


def test_a_page_of_ones_own_and_what_it_has_kept(run, tmp_path):
    assert len(PAGE.splitlines()) <= 40
    printed = run(PAGE, "width.py")
    assert "64 units" in printed
    assert "report: runs/width/report.html" in printed
    assert "not enough runs: A wide layer errs less. Test error: " in printed, "two seeds never decide"
    assert "answer: Not decided: A wide layer errs less; test error: " in printed
    report = (tmp_path / "runs" / "width" / "report.md").read_text()
    assert "### ? A wide layer errs less.\n\n**not enough runs**: Test error: " in report
    digits = read("digits").data.test
    three = int(np.flatnonzero(digits.y == 3)[0])
    for i, (x, y) in enumerate(zip(*digits, strict=True)):
        (tmp_path / "pictures" / f"class {y}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(tmp_path / "pictures" / f"class {y}" / f"{i}.png")
    Image.fromarray(digits.x[three]).resize((64, 64)).save(tmp_path / "three.png")
    told = "\nfound = read_folder('pictures')\n"
    told += "print(found.classes, found.shape, [split.x.shape for split in found.data], found.data.train.y.max())\n"
    printed = run(f"{FOLDER}{told}{PICTURE}")
    assert "10 (8, 8) [(180, 64), (60, 64), (60, 64)] 9" in printed
    assert re.search(r"a 3, with probability (1|0\.[5-9])", printed)
    loaded = "from dlx import study\nfrom width import STUDY, TrainWidth\nfound = study.find(STUDY)\n"
    loaded += "print(study.load(STUDY, found['width64'].units[0])['hidden_0']['w'].shape)"
    assert "(64, 64)" in run(loaded)


def test_a_stage_of_ones_own(run):
    assert run(STAGE + "\nprint(callable(my_pretraining(0, rate=0.1)))") == "True\n"

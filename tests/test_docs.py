"""The documentation: it builds without a warning, holds every module, and no link of it is broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from links import broken, read

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the pages, as `make docs` builds them."""
    folder = tmp_path_factory.mktemp("docs")
    line = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", str(folder)]
    done = subprocess.run(line, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_no_link_leads_nowhere(site):
    pages = [*site.glob("docs/**/*.html"), *site.glob("*.html"), *site.glob("experiments/**/*.html")]
    assert {path.name for path in pages} >= {"index.html", "CONTRIBUTING.html", "bench.html", "lectures.html"}
    assert {path.name: lost for path in pages if (lost := broken(path, site))} == {}


def test_every_module_has_its_place(site):
    places = {anchor for path in site.glob("docs/api/*.html") for anchor in read(path).anchors}
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "dlx").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {f"module-{name}" for name in modules} <= places

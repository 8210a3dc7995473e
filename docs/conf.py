"""The documentation: texts of this repository, and the API by its docstrings. `make docs` builds it, offline."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = html_title = "dlx"
author = "the authors of dlx"
html_show_copyright = False
html_theme = "sphinx_book_theme"
html_theme_options = {"use_download_button": False}
html_copy_source = False
html_extra_path = ["../experiments/results"]  # the pages of lectures and experiments, with their reports
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "docs/api/*.md", "CONTRIBUTING.md", "experiments/results/*.md"]
myst_heading_anchors = 3
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True

# In an annotation such as `bytes` a field of that name is no second meaning.
suppress_warnings = ["ref.python"]

CODE = re.compile(r"(`[^`]+`)")


def as_restructured_text(app, what, name, obj, options, lines):
    """Docstrings are plain text with `code`. In reStructuredText some signs of such a text would mean something."""
    for place, line in enumerate(lines):
        parts = CODE.split(line)
        parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
        parts[1::2] = [f"`{part}`" for part in parts[1::2]]
        lines[place] = "".join(parts)


def short(app, what, name, obj, options, arguments, returned):
    """A signature without the modules of its types, and with a key's type by its name."""
    texts = [re.sub(r"~?\b([a-z_]+\.)+(?=[A-Z])", "", text or "") for text in (arguments, returned)]
    key = re.escape("Key[Array, ''] | UInt32[Array, '2'] | UInt32[Array, '4']")
    first, second = (re.sub(key, "Key", text) or None for text in texts)
    return first, second


def write_api():
    """A page for each room of dlx, with all its modules."""
    folder = ROOT / "docs" / "api"
    folder.mkdir(exist_ok=True)
    for package in sorted((ROOT / "dlx").rglob("__init__.py")):
        room = ".".join(package.parent.relative_to(ROOT).parts)
        modules = [f"{room}.{path.stem}" for path in sorted(package.parent.glob("*.py")) if path != package]
        parts = [f"# {room}", ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""]
        parts += [f"## {one}\n\n```{{eval-rst}}\n.. automodule:: {one}\n```" for one in modules]
        (folder / f"{room}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def setup(app):
    """Writes the pages of the API, and says what is done to docstrings and signatures."""
    write_api()
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("autodoc-process-signature", short)

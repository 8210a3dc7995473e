"""Import directions, read from the syntax trees: rooms in a line, no circle down to files, no page imports a page."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each room may import the rooms to its left and itself.
LINE = (
    {"types"},
    {"data", "nets"},
    {"losses"},
    {"algorithms"},
    {"train"},
    {"stage"},
    {"classify"},
    {"pretrain", "growing", "sampling", "hmm"},
    {"unit"},
    {"programs"},
    {"sweep"},
    {"study"},
    {"bench"},
    {"experiments"},
)
STUDY = ("declare", "run", "judge", "publish")
"""The rooms of a study, each of which may import those to its left and itself."""
BESIDE = {"optim": {"types", "nets"}, "inspect": {"types", "nets"}, "store": {"types"}, "stats": set(), "show": set()}
"""Rooms that stand beside the line, and what each may import; any room right of their own may import them."""


def modules() -> dict[str, Path]:
    """Every module by its full name."""
    paths = [*sorted((ROOT / "dlx").rglob("*.py")), *sorted((ROOT / "experiments").rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def room(module: str) -> str:
    """The room of a module."""
    package, _, rest = module.partition(".")
    return "experiments" if package == "experiments" else rest.partition(".")[0] or "types"


def imports(path: Path) -> set[str]:
    """The modules of the project that a file imports, wherever in it they stand."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the full name"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (members & set(MODULES)) or {str(node.module)}
            assert not str(node.module).startswith("tests")
    return {name for name in names if name.partition(".")[0] in ("dlx", "experiments")}


def allowed(name: str) -> set[str]:
    """The rooms that a room may import."""
    if name in BESIDE:
        return {name} | BESIDE[name]
    (place,) = (i for i, rooms in enumerate(LINE) if name in rooms)
    return set().union(*LINE[:place]) | {name} | (set(BESIDE) if place >= 2 else set())


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name):
    assert {room(other) for other in imports(MODULES[name])} <= allowed(room(name))


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[2:3] and name.split(".")[2] in STUDY])
def test_the_rooms_of_a_study_import_one_way(name):
    place = STUDY.index(name.split(".")[2])
    others = {other.split(".")[2] for other in imports(MODULES[name]) if other.startswith("dlx.study.")}
    assert others <= {*STUDY[: place + 1]}


def test_every_room_is_found():
    assert {room(name) for name in MODULES} == set(BESIDE).union(*LINE)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none if there is no such circle."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if ring := visit(other, [*way, name]):
                    return ring
            done.add(name)
        return []

    return next((ring for name in graph if (ring := visit(name, []))), [])


def test_no_file_imports_itself_by_way_of_others():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"], "a circle would be found"
    assert circle({name: imports(path) - {name} for name, path in MODULES.items()}) == []


def test_no_page_imports_a_page_and_the_study_knows_none():
    pages = {name for name in MODULES if name.startswith("experiments.") and not name.endswith("__main__")}
    for name, path in MODULES.items():
        assert not imports(path) & (pages - {name}), f"{name} imports a page"

"""How a verdict is shown: with a mark beside its words, so that it is not told by its colour alone."""

from typing import NamedTuple

from dlx.study.judge.verdicts import FAILS, HOLDS, OPEN, PARTLY

UNTESTED = "not tested yet"


class Shown(NamedTuple):
    """How pages show a verdict."""

    mark: str
    css: str
    """The CSS class of what has this verdict."""
    meaning: str


VERDICTS = {
    HOLDS: Shown("✔", "holds", "the runs show that it is so."),
    PARTLY: Shown("◐", "partly", "some of its tests hold, and others do not."),
    FAILS: Shown("✘", "fails", "the runs show that it is not so."),
    OPEN: Shown("?", "open", "the runs do not decide it."),
    UNTESTED: Shown("–", "untested", "no experiment has tested it so far."),
}
CLASSES = {verdict: shown.css for verdict, shown in VERDICTS.items()}


def kind(verdict: str) -> str:
    """The verdict without the counts that follow it: "partly" of "partly (3 of 4)"."""
    return verdict.partition(" (")[0]

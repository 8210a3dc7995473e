"""Phrases that praise or blame, made by a grammar: what a word does depends on where it stands.

A phrase has a value from -2 to 2, and so has each of its parts; the label is the value plus 2.

    p  ->  WORD                    that of the word
        |  very p                  twice as much, up to 2
        |  not p                   turned round
    c  ->  p                       that of p
        |  p but c                 that of c: what comes last decides
        |  not only p but c        both added up, up to 2: here "not" turns nothing round
        |  nobody says c           turned round, the whole of c

So "not" turns round what follows it at once, and "nobody says" all that comes. The words alone tell where each ends.
Lecture Caltech 155-16, "Deep Recursive Networks".
"""

from collections.abc import Callable, Sequence

import numpy as np

from dlx.data.sources import Dataset
from dlx.data.trees import Tree, join, leaf, of_trees

NEUTRAL = 2
WORDS = {
    **dict.fromkeys(("good", "clever", "funny", "moving", "fresh"), 1),
    **dict.fromkeys(("bad", "silly", "dull", "slow", "stale"), -1),
    **dict.fromkeys(("long", "recent", "foreign"), 0),
}
"""The value of each word that tells something by itself. All other words have the value 0."""
DEEPEST = 2
"""How many "very" and "not" may stand before a word."""


def value(tree: Tree) -> int:
    """The value of a phrase, from -2 to 2."""
    return tree.labels[-1] - NEUTRAL


def made(number: int, left: Tree, right: Tree) -> Tree:
    """The phrase of two parts whose value is the number, cut to what there is."""
    return join(max(-2, min(2, number)) + NEUTRAL, left, right)


def word(text: str) -> Tree:
    """The tree of a word."""
    return leaf(WORDS.get(text, 0) + NEUTRAL, text)


def very(phrase: Tree) -> Tree:
    """`very p`."""
    return made(2 * value(phrase), word("very"), phrase)


def negated(phrase: Tree) -> Tree:
    """`not p`."""
    return made(-value(phrase), word("not"), phrase)


def contrast(first: Tree, second: Tree) -> Tree:
    """`p but c`."""
    return made(value(second), first, made(value(second), word("but"), second))


def both(first: Tree, second: Tree) -> Tree:
    """`not only p but c`."""
    head = made(value(first), made(0, word("not"), word("only")), first)
    return made(value(first) + value(second), head, made(value(second), word("but"), second))


def denied(clause: Tree) -> Tree:
    """`nobody says c`."""
    return made(-value(clause), made(0, word("nobody"), word("says")), clause)


def phrases(seed: int, n: int, depths: tuple[int, int]) -> list[Tree]:
    """n different phrases in which at least and at most so many rules are nested, drawn from the seed.

    Raises ValueError if there are not so many phrases, or the depths are no range from 0.
    """
    least, most = depths
    if n < 1 or not 0 <= least <= most:
        raise ValueError(f"{n} phrases of depth {least} to {most} are not made; choose 1 or more, and a range from 0")
    draw, found = _draws(seed), {}
    for _ in range(100 * n):
        tree = _clause(draw, least + draw(most - least + 1))
        found.setdefault(tree.words, tree)
        if len(found) == n:
            return list(found.values())
    raise ValueError(f"there are hardly {n} phrases of depth {least} to {most}; choose fewer, or greater depths")


def _draws(seed: int) -> Callable[[int], int]:
    """A function that draws a number below another one."""
    raw = np.random.PCG64(seed)  # NumPy promises only for the raw random bits that they are the same in every release
    return lambda below: int(raw.random_raw()) % below


def _phrase(draw: Callable[[int], int], depth: int) -> Tree:
    """A phrase p in which so many rules are nested."""
    if not depth:
        return word(list(WORDS)[draw(len(WORDS))])
    return (very, negated)[draw(2)](_phrase(draw, depth - 1))


def _clause(draw: Callable[[int], int], depth: int) -> Tree:
    """A clause c in which so many rules are nested."""
    if not depth or (depth <= DEEPEST and draw(2)):
        return _phrase(draw, depth)
    clause = _clause(draw, depth - 1)
    if rule := draw(3):
        return (contrast, both)[rule - 1](_phrase(draw, draw(min(depth, DEEPEST + 1))), clause)
    return denied(clause)


def sentiment(train: int, others: int, depths: tuple[int, int], test_depths: tuple[int, int] | None = None) -> Dataset:
    """Phrases for training and validation of one range of depths, and for test of the same or another one.

    No phrase stands in two splits. Raises ValueError as `phrases` does.
    """
    known = phrases(0, train + 2 * others, depths)
    splits: list[Sequence[Tree]] = [known[:train], known[train : train + others], known[train + others :]]
    if test_depths is not None:
        splits[2] = phrases(1, others, test_depths)
        seen = {tree.words for split in splits[:2] for tree in split}
        splits[2] = [tree for tree in splits[2] if tree.words not in seen]
    return of_trees("phrases", splits, "generated")

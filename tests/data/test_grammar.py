"""Phrases of the grammar: what they are worth, by a second reader that sees their words alone."""

import pytest

from dlx.data.grammar import NEUTRAL, WORDS, both, contrast, denied, negated, phrases, sentiment, value, very, word


def cut(number):
    return max(-2, min(2, number))


def read_phrase(words):
    """The value of the phrase p that the words begin with, and the words behind it."""
    head, *rest = words
    if head == "very":
        number, rest = read_phrase(rest)
        return cut(2 * number), rest
    if head == "not":
        number, rest = read_phrase(rest)
        return -number, rest
    return WORDS[head], rest


def read_clause(words):
    """The value of a clause of exactly these words."""
    if words[:2] == ["nobody", "says"]:
        return -read_clause(words[2:])
    added = words[:2] == ["not", "only"]
    first, rest = read_phrase(words[2 * added :])
    if not rest:
        return first
    assert rest[0] == "but"
    return cut(added * first + read_clause(rest[1:]))


def nested(words):
    """How many rules are nested in a clause of these words."""
    if words[:2] == ["nobody", "says"]:
        return 1 + nested(words[2:])
    before = sum(text in ("very", "not") for text in words)
    if "but" not in words:
        return before
    first = words[2 * (words[:2] == ["not", "only"]) : words.index("but")]
    return 1 + max(len(first) - 1, nested(words[words.index("but") + 1 :]))


@pytest.mark.parametrize("depths", [(0, 1), (1, 3), (5, 6)])
def test_phrases_are_worth_what_their_words_say(depths):
    made = phrases(3, 150, depths)
    assert len({tree.words for tree in made}) == 150
    for tree in made:
        assert value(tree) == read_clause(list(tree.words)), " ".join(tree.words)
        assert depths[0] <= nested(list(tree.words)) <= depths[1], " ".join(tree.words)
    assert {value(tree) for tree in made} == {-2, -1, 0, 1, 2}


GOOD, BAD = word("good"), word("bad")


@pytest.mark.parametrize(
    ("phrase", "words", "worth"),
    [
        (contrast(GOOD, BAD), "good but bad", -1),
        (contrast(BAD, GOOD), "bad but good", 1),
        (contrast(negated(BAD), BAD), "not bad but bad", -1),
        (both(GOOD, word("funny")), "not only good but funny", 2),
        (denied(contrast(GOOD, BAD)), "nobody says good but bad", 1),
        (contrast(GOOD, denied(BAD)), "good but nobody says bad", 1),
        (negated(very(GOOD)), "not very good", -2),
        (very(negated(GOOD)), "very not good", -2),
        (very(word("long")), "very long", 0),
    ],
)
def test_order_and_scope_decide(phrase, words, worth):
    assert " ".join(phrase.words) == words
    assert value(phrase) == worth == read_clause(words.split())


def words_under(tree, node):
    """The words of a node, in their order."""
    if node < len(tree.words):
        return [tree.words[node]]
    return [text for child in tree.children[node - len(tree.words)] for text in words_under(tree, child)]


def test_every_part_that_is_a_clause_is_labelled_with_what_it_is_worth():
    clauses = 0
    for tree in phrases(0, 100, (2, 3)):
        for node, label in enumerate(tree.labels):
            try:
                worth = read_clause(words_under(tree, node))
            except (KeyError, ValueError):
                continue  # part of a rule, such as "not only" or "but p"
            assert label == worth + NEUTRAL, words_under(tree, node)
            clauses += 1
    assert clauses > 300


def test_splits_share_no_phrase_and_those_of_test_may_be_deeper():
    dataset = sentiment(200, 40, (0, 2), (4, 5))
    again = sentiment(200, 40, (0, 2), (4, 5))
    assert dataset.origin == again.origin
    splits = [
        {tuple(words[:n]) for words, n in zip(split.x.words.values, split.x.words.lengths, strict=True)}
        for split in dataset.data
    ]
    assert [len(split) for split in splits] == [200, 40, 40]
    assert not splits[0] & splits[1]
    assert not (splits[0] | splits[1]) & splits[2]
    assert len(sentiment(200, 40, (0, 2)).data.test.y) == 40


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((0, 14, (0, 0)), "hardly 14 phrases of depth 0 to 0"),
        ((0, 0, (0, 1)), "0 phrases"),
        ((0, 1, (2, 1)), "depth 2 to 1 are not made"),
    ],
)
def test_phrases_that_there_are_not_are_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        phrases(*asked)

"""What is judged once runs are finished: the data of results.json, and sentences on what is missing."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlx.stats import interval, over_seeds, paired
from dlx.store import to_json
from dlx.study.declare.finding import Finding
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import Claim, Metric, Study
from dlx.study.judge.asked import lacking
from dlx.study.judge.figures import searched
from dlx.study.judge.verdicts import OPEN, level_after
from dlx.study.judge.words import answer, beside_paper, sentence
from dlx.study.run.found import Found, Runs


def missing(study: Study, options: CommonOptions, found: Found) -> list[str]:
    """Sentences on what is missing or went wrong: of the runs, the claims, and the paper's values."""
    lines = unfinished(found)
    for claim in study.claims:
        if names := lacking(claim, found):
            there = f"it asks for {', '.join(names)}, which this table does not have"
            lines.append(f"The claim {claim.words!r} is left out: {there}.")
    if found.main.origin.name != study.paper_data and any(row.paper for row in study.rows(options, found.about)):
        lines.append(f"The paper's figures are for {study.paper_data} and are not shown.")
    return lines


def unfinished(found: Found) -> list[str]:
    """Sentences on runs that are missing or went wrong."""
    lines, outcomes = [], found.outcomes.items()
    if not found.runs:
        tried = sum(len(attempt.records) for _, outcome in outcomes for attempt in outcome.tried)
        lines.append(f"no row has a finished run yet ({tried} runs of finished searches)")
    short = [f"{name} ({len(o.units)} of {len(o.wanted)})" for name, o in outcomes if len(o.units) < len(o.wanted)]
    if short:
        lines.append(f"Not finished, by number of seeds: {', '.join(short)}. The same command goes on with them.")
    waiting = [name for name in found.rows if name not in found.outcomes]
    if waiting:
        lines.append(f"The search is not over for {', '.join(waiting)}. The same command goes on with it.")
    lost = [name for name, outcome in outcomes if outcome.trial is None]
    if lost:
        lines.append(f"Nothing is trained for {', '.join(lost)}: every trial of the search diverged or has no score.")
    return lines


def results(
    name: str, preset: str, command: str, found: Found, metrics: Sequence[Metric], claims: Sequence[Claim]
) -> dict[str, Any]:
    """The content of results.json, as JSON holds it. Claims that ask for rows that are not there are left out.

    Time, device, versions and revision are those of the units' records.
    """
    records = list(found.records().values())
    asked_here = [claim for claim in claims if not lacking(claim, found)]
    findings = decide(found, asked_here)

    def of_records(key: str) -> str | None:
        return ", ".join(dict.fromkeys(record[key] for record in records if record[key])) or None

    content = {
        "experiment": name,
        "preset": preset,
        "command": command,
        "revision": of_records("revision"),
        "seconds": round(sum(float(record["seconds"]) for record in records), 1),
        "device": of_records("device"),
        "versions": records[-1]["versions"],
        "data": found.main.origin._asdict(),
        "more": [f"{name}={len(runs.wanted)}" for name, runs in found.outcomes.items() if runs.row.more],
        "looks": found.looks,
        "level": level_after(found.looks),
        "answer": answer(asked_here, findings),
        "claims": [entry(*pair) for pair in zip(asked_here, findings, strict=True)],
        "rows": rows(found, metrics),
        "tests": tests(found, metrics),
        "search": search(found),
    }
    return json.loads(to_json(content))


def decide(found: Found, claims: Sequence[Claim]) -> list[Finding]:
    """The finding of each claim. If `decide` raises an error, nothing is decided, and the finding says why."""
    findings = []
    for claim in claims:
        try:
            findings.append(claim.decide(found))
        except Exception as error:
            findings.append(Finding(OPEN, f"it could not be decided: {type(error).__name__}: {error}"))
    return findings


def entry(claim: Claim, finding: Finding) -> dict[str, Any]:
    """The entry of a claim: its words, the lectures' numbers, the verdict, and what decided it."""
    return {
        "claim": claim.words,
        "numbers": list(claim.numbers),
        "verdict": finding.verdict,
        "words": sentence(finding),
        "p": finding.p,
        "interval": finding.interval and finding.interval._asdict(),
        "needed": finding.needed,
        "figure": claim.figure,
    }


def rows(found: Found, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """One entry per row and metric that it has: mean and interval over the runs that converged, the paper's value."""
    each = itertools.product(found.runs.values(), metrics)
    return [row(found, runs, metric) for runs, metric in each if runs.by_seed(metric.name)]


def row(found: Found, runs: Runs, metric: Metric) -> dict[str, Any]:
    """The entry of a row and a metric."""
    values = (metric.scale * runs.values(metric.name)).tolist()
    mean, low, high, n = interval(values) if values else (None, None, None, 0)
    paper, examples = runs.row.paper.get(metric.name), found.examples(runs.row.name, metric)
    share = paper is None or (examples > 0 and metric.bounds == (0, 100))
    return {
        "row": runs.row.name,
        "title": runs.row.title,
        "group": runs.row.group,
        "metric": metric.label,
        "paper": None if paper is None else paper.value,
        "paper_status": None if paper is None else paper.status,
        "mean": mean,
        "low": low,
        "high": high,
        "n": n,
        "planned": len(runs.wanted) - runs.row.more,
        "diverged": runs.lost(metric.name),
        "values": [float(str(np.float32(value))) for value in values],  # the shortest decimals, not 17 digits
        "verdict": beside_paper(values, None if paper is None else paper.value, max(examples, 1)) if share else "",
    }


def tests(found: Found, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Paired tests between all rows of a group on one data set, seed s against seed s.

    They are by the last metric that pairs examples. `p_digits` is of McNemar tests on the examples, merged over seeds.
    `p_seeds` is of a t-test over the metric's values by seed; None without variance.
    """
    metric = next((one for one in reversed(metrics) if one.per_example), None)
    if metric is None:
        return []
    entries = []
    for a, b in itertools.chain(*(itertools.combinations(names, 2) for names in found.groups().values())):
        ours, theirs = found[a].per_example(metric.per_example), found[b].per_example(metric.per_example)
        shared = [seed for seed in ours if seed in theirs]
        if shared and found[a].data == found[b].data:
            mine, other = (np.stack([wrong[seed] for seed in shared]) for wrong in (ours, theirs))
            values = [[found[name].by_seed(metric.name).get(seed, np.nan) for seed in shared] for name in (a, b)]
            known = np.isfinite(values).all(0)
            p_seeds = over_seeds(*np.compress(known, values, 1)) if known.any() else None
            p = {"p_digits": paired(mine, other), "p_seeds": p_seeds}
            entries.append({"a": a, "b": b, "group": found[a].row.group, **p, "seeds": len(shared)})
    return entries


def search(found: Found) -> list[dict[str, Any]]:
    """One entry per trial of every search, with the arguments that searches vary.

    None stands for an argument that the row does not have.
    """
    names = searched(found)
    return [
        {
            "row": name,
            **{argument: one.trial.get(argument) for argument in names},
            "score": None if np.isnan(one.score) else one.score,
            "brief": one.brief,
            "chosen": one.trial == outcome.trial and not one.brief,
        }
        for name, outcome in found.outcomes.items()
        for one in outcome.tried
    ]

"""What finished runs say, as data for results.json: rows, paired tests, searches, verdicts."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlx.stats import interval, over_seeds, paired, verdict
from dlx.study.declare.page import Claim, Finding, Metric
from dlx.study.judge.figures import searched
from dlx.study.run.found import Found, Record, Runs
from dlx.unit import Unit


def rows(found: Found, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """One entry per row and metric: mean and interval over the runs that converged, the paper's value."""
    return [row(found, runs, metric) for runs in found.runs.values() for metric in metrics if has(runs, metric)]


def has(runs: Runs, metric: Metric) -> bool:
    """Whether the runs of a row have a metric; diverged runs count as well."""
    return bool(runs.by_seed(metric.name))


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
        "diverged": runs.lost(metric.name),
        "values": values,
        "verdict": verdict(mean, low, high, None if paper is None else paper.value, max(examples, 1)) if share else "",
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


def decided(found: Found, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """One entry per claim: its words, the lectures' numbers, the verdict, and what decided it.

    If `decide` raises an error, the claim is not resolved, and its words say why.
    """
    entries = []
    for claim in claims:
        try:
            finding = claim.decide(found)
        except Exception as error:
            finding = Finding("not resolved", f"it could not be decided: {type(error).__name__}: {error}")
        entries.append(
            {
                "claim": claim.words,
                "numbers": list(claim.numbers),
                "verdict": finding.verdict,
                "words": finding.words,
                "p": finding.p,
                "interval": finding.interval and finding.interval._asdict(),
            }
        )
    return entries


def results(
    name: str, preset: str, command: str, found: Found, metrics: Sequence[Metric], claims: Sequence[Claim]
) -> dict[str, Any]:
    """The content of results.json. Time, device, versions and revision are those of the units' records."""
    records = list(all_records(found).values())

    def of_records(key: str) -> str | None:
        return ", ".join(dict.fromkeys(record[key] for record in records if record[key])) or None

    return {
        "experiment": name,
        "preset": preset,
        "command": command,
        "revision": of_records("revision"),
        "seconds": round(sum(float(record["seconds"]) for record in records), 1),
        "device": of_records("device"),
        "versions": records[-1]["versions"],
        "data": found.main.origin._asdict(),
        "claims": decided(found, claims),
        "rows": rows(found, metrics),
        "tests": tests(found, metrics),
        "search": search(found),
    }


def all_records(found: Found) -> dict[Unit, Record]:
    """The records of all runs of searches and rows, each once."""
    records: dict[Unit, Record] = {}
    for outcome in found.outcomes.values():
        for part in (*outcome.tried, outcome):
            records |= zip(part.units, part.records, strict=True)
    return records


def unfinished(found: Found) -> list[str]:
    """Sentences on what is missing or went wrong."""
    outcomes = found.outcomes.items()
    short = [f"{name} ({len(o.units)} of {len(o.wanted)})" for name, o in outcomes if len(o.units) < len(o.wanted)]
    lines = [f"Not finished, by number of seeds: {', '.join(short)}. The same command goes on with them."] * bool(short)
    waiting = [name for name in found.rows if name not in found.outcomes]
    if waiting:
        lines.append(f"The search is not over for {', '.join(waiting)}. The same command goes on with it.")
    lost = [name for name, outcome in outcomes if outcome.trial is None]
    if lost:
        lines.append(f"Nothing is trained for {', '.join(lost)}: every trial of the search diverged or has no score.")
    return lines


def by_row(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The entries of `rows` by row and metric."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in entries:
        found.setdefault(entry["row"], {})[entry["metric"]] = entry
    return found

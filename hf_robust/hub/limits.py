"""What a run's robustness numbers do not show, said from its run card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_robust.reports import Run, robust_accuracy_applies


def limits(run: Run) -> list[str]:
    """One sentence or two for each limit that holds for this run."""
    described = run.card.get("attacks") or {}
    sentences = [_attack(name, described.get(name) or {}) for name in run.published["attacks"]]
    sentences += _same_table(run, described)
    sentences += _label_changing(run)
    sentences.append(
        "An attack success rate is a lower bound: a larger lexicon, a bigger query budget or another attack may find "
        "examples that these attacks did not."
    )
    sentences.append(_sample(run))
    if not run.measured_exactly:
        sentences.append(f"The published weights (step {run.best_step}) were not attacked themselves.")
    return sentences


def _attack(name: str, described: Mapping[str, Any]) -> str:
    if not described:
        return f"The run does not say what the {name} attack was made of."
    return f"The {name} attack: " + "; ".join(_parts(described)) + "."


def _parts(described: Mapping[str, Any]) -> Iterator[str]:
    for key in ("goal", "candidates", "ranking", "search"):
        if described.get(key):
            yield f"{key} {_words(described[key])}"
    constraints = described.get("constraints")
    yield "constraints " + (_words(constraints) if constraints else "none")
    if described.get("lexicon"):
        yield f"lexicon {_lexicon(described['lexicon'])}"
    yield f"part-of-speech tagger {_words(described.get('tagger') or 'none')}"
    encoder = described.get("encoder")
    yield (
        f"sentence encoder {_words(encoder)}"
        if encoder
        else "no sentence encoder, so nothing but the lexicon and the constraints vouches for the meaning of a changed text"
    )
    budget = described.get("query_budget")
    yield f"at most {budget:,} queries for each example" if isinstance(budget, int) else "no query budget"
    if described.get("frozen_columns"):
        yield f"columns left as they are: {_words(described['frozen_columns'])}"
    if described.get("skip_labels"):
        yield f"examples of the labels {_words(described['skip_labels'])} are not attacked"


def _same_table(run: Run, attacks: Mapping[str, Any]) -> Iterator[str]:
    """A defence that trains on the attacker's own table is measured in-distribution (Ye et al.'s SAFER table in BAT)."""
    lexicons = run.card.get("lexicons") or {}
    trained_on = run.card.get("trained_on")
    for role, lexicon in lexicons.items():
        prints = {name: _fingerprint(attack.get("lexicon")) for name, attack in attacks.items()}
        users = [name for name, found in prints.items() if found and found == _fingerprint(lexicon)]
        if not users or (trained_on is not None and role not in trained_on):
            continue
        yield (
            f"Training and the {' and '.join(users)} attack drew on the same table of {role} ({_lexicon(lexicon)}): the "
            "attack tries substitutes that the method may have trained on, so its success rate says nothing about "
            "substitutes from elsewhere."
        )


def _label_changing(run: Run) -> Iterator[str]:
    names = [name for name in run.published["attacks"] if not robust_accuracy_applies(run, name)]
    if names:
        yield (
            f"The {' and '.join(names)} attack{'s' * (len(names) > 1)} succeed{'s' * (len(names) == 1)} where the prediction "
            "stays although the change should alter the true label; that it does alter it is assumed, not checked by "
            "people. Examples without an admissible change count as failed attacks."
        )


def _sample(run: Run) -> str:
    counts = {result.get("num_examples") for result in run.published["attacks"].values()}
    known = sorted(int(count) for count in counts if count)
    of = f" of {run.eval_samples:,}" if run.eval_samples else ""
    drawn = (
        f"{' to '.join(f'{count:,}' for count in dict.fromkeys((known[0], known[-1])))}{of}" if known else "unknown"
    )
    seed = f", seed {run.card['seed']}" if "seed" in run.card else ""
    return (
        f"One training run{seed}; number of examples attacked: {drawn}. Differences within the intervals mean nothing."
    )


def _fingerprint(lexicon: Any) -> str | None:
    return lexicon.get("fingerprint") if isinstance(lexicon, Mapping) else None


def _lexicon(lexicon: Any) -> str:
    if not isinstance(lexicon, Mapping):
        return f"`{lexicon}`"
    size = f", {lexicon['size']:,} words" if isinstance(lexicon.get("size"), int) else ""
    mark = f", fingerprint {lexicon['fingerprint']}" if lexicon.get("fingerprint") else ""
    return f"`{lexicon.get('name', 'unnamed')}`{size}{mark}"


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_words(inner) for inner in value)
    return str(value).replace("_", " ")

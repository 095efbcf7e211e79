"""Sentences on the limits of a run's robustness numbers, written from its run card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hf_robust.metrics import SATURATED, Aim, coverage_of_card, partial_coverage
from hf_robust.reports.aims import aim_in, is_obstinate, success_rate_applies
from hf_robust.reports.captions import attacked_in_words
from hf_robust.reports.cells import percent
from hf_robust.reports.training_overlap import drawn_from, leaked_splits, shared_tables, trained_attacks
from hf_robust.runs import Run, max_length_of


def limits(run: Run, rates: bool = True) -> list[str]:
    """The limits that hold for this run, one or two sentences each.

    Args:
        rates: include rates over the texts with a substitute; a report has columns for them.
    """
    described = run.card.get("attacks") or {}
    sentences = [_attack(name, described.get(name) or {}) for name in run.published["attacks"]]
    sentences += _cut(run)
    sentences += saturated(run)
    sentences += _vote(run)
    sentences += _plain_model(run)
    sentences += leaked(run)
    sentences += same_attack(run)
    sentences += _small_tables(run, described)
    sentences += _same_table(run, described) if run.trained else _unknown_training(run)
    sentences += _held_out_table(run)
    sentences += _seen_texts(run)
    sentences += _certificate(run)
    sentences += _label_changing(run)
    if rates:
        sentences += _other_rates(run)
    if run.published["attacks"]:
        sentences.append(
            "An attack success rate is a lower bound: a larger lexicon, a larger query budget or another attack may "
            "find more adversarial examples."
        )
    sentences.append(_sample(run))
    if not run.measured_exactly:
        done = "attacked" if run.published["attacks"] else "measured"
        sentences.append(f"The published weights (step {run.kept_step}) were not {done}.")
    return sentences


def _cut(run: Run) -> Iterator[str]:
    """Numbers of texts longer than the maximum length."""
    length = max_length_of(run.card)
    for role, name in (("eval", "evaluation"), ("train", "training")):
        cut, samples = run.data.get(f"{role}_cut"), run.data.get(f"{role}_samples")
        if cut and samples:
            yield f"{cut:,} of {samples:,} {name} texts are longer than {length} tokens and are cut there."


def saturated(run: Run) -> Iterator[str]:
    """Attacks whose search was blind because the model's probabilities were saturated."""
    for name, result in run.published["attacks"].items():
        share = float(result.get("saturated_share", math.nan))
        if share > SATURATED:
            yield (
                f"At {percent(share)} % of the queries of the {name} attack the model was so certain that its "
                "probability hardly changes in float32. The search of the attack is blind there, so the model may "
                "only look robust. `--attack_scores margin` avoids this."
            )


def _vote(run: Run) -> Iterator[str]:
    """The attacked vote is not what `from_pretrained` loads (the vote of SAFER or RanMASK at test time)."""
    vote = run.card.get("vote")
    if vote and run.published["attacks"]:
        yield (
            f"The attacked classifier was a vote of {vote['votes']:,} over random {_draws(vote)}. Accuracy and attack "
            "rates are those of the vote. `from_pretrained` loads the network without the vote, which was not "
            "attacked."
        )


def _plain_model(run: Run) -> Iterator[str]:
    """The measured model predicts differently from the run that saved the checkpoint."""
    inference = run.card.get("inference")
    if inference and not inference["restored"]:
        yield f"These are the numbers of the plain model. {inference['note']}"


def leaked(run: Run) -> Iterator[str]:
    """Evaluation splits whose texts the model was trained on."""
    splits = leaked_splits(run.card)
    if splits:
        yield (
            f"The evaluation data leaked into training: the model was trained on texts of the {' and '.join(splits)} "
            "split, so accuracy and attack success rates say nothing about unseen texts."
        )


def same_attack(run: Run) -> Iterator[str]:
    """Attacks that made training texts and also measured the model."""
    names = trained_attacks(run.card, run.published["attacks"])
    if names:
        several = len(names) > 1
        yield (
            f"The model was trained on texts of the {' and '.join(names)} attack{'s' * several}, which also measured "
            "it; rates under other attacks are more meaningful."
        )


def _attack(name: str, described: Mapping[str, Any]) -> str:
    if not described:
        return f"The run card does not describe the {name} attack."
    if members := described.get("members"):
        return (
            f"{described['standard']}: the worst case over the attacks {', '.join(members)}, with their published "
            "constraints; its name says which tables and models they draw on."
        )
    candidates = described.get("candidates") or {}
    if candidates.get("name") == "file":
        return (
            f"The {name} attack: {candidates['rows']:,} labelled adversarial texts from `{candidates['source']}`, not "
            "made for this model; accuracy under attack is the accuracy on these texts."
        )
    if candidates.get("name") == "replay":
        return (
            f"The {name} attack: {candidates['rows']:,} texts from `{candidates['source']}` that fooled another "
            "model; the success rate is the share that also fools this model, among those whose original it "
            "classifies correctly."
        )
    if described.get("backend") == "textattack":
        budget = described.get("query_budget")
        return f"The {name} attack: a recipe of TextAttack {described.get('version', '')} with its own settings; " + (
            f"at most {budget:,} queries for each example." if budget else "no query budget."
        )
    return f"The {name} attack: " + "; ".join(_parts(described)) + "."


def _parts(described: Mapping[str, Any]) -> Iterator[str]:
    candidates = described.get("candidates") or {}
    lexicon = drawn_from(described)
    goal = {key: value for key, value in (described.get("goal") or {}).items() if key not in Aim._fields}
    yield f"goal {_words(goal)}"
    yield f"candidates {_words(_without_lexicon(candidates))}" + (
        f" from the lexicon {_lexicon(lexicon)}" if lexicon else ""
    )
    ranking = described.get("ranking")
    yield f"search {_words(described.get('search'))}" + (f" {_words(ranking)}" if ranking else "")
    if described.get("scores"):
        yield f"scored by {'the margin of the logits' if described['scores'] == 'margin' else 'probability'}"
    constraints = described.get("constraints")
    yield f"constraints: {_words(constraints) if constraints else 'none'}"
    if lexicon and "part_of_speech" not in {part.get("name") for part in constraints or ()}:
        keeps = lexicon.get("keeps_part_of_speech")
        yield "part of speech by the lexicon, no tagger" if keeps else "part of speech unrestricted, no tagger"
    yield _meaning(described)
    changed, budget = described.get("max_changed"), described.get("query_budget")
    shares = [one["share"] for one in constraints or () if one.get("name") == "max_changed_share"]
    limit = f"at most {100 * shares[0]:g} % of the words changed" if shares else "any number of changed words"
    yield f"at most {changed} changed word{'s' * (changed != 1)}" if changed else limit
    yield f"at most {budget:,} queries for each example" if budget else "no query budget"
    if described.get("frozen_columns"):
        yield f"unchanged text columns: {_words(described['frozen_columns'])}"
    if described.get("skip_labels"):
        yield f"examples of the label ids {_words(described['skip_labels'])} not attacked"


def _meaning(described: Mapping[str, Any]) -> str:
    similarity = described.get("similarity")
    if similarity:
        return (
            f"sentence encoder `{similarity.get('encoder')}`, {similarity.get('metric', '')} similarity at least "
            f"{similarity.get('minimum', 0):.3f}"
        )
    if drawn_from(described):
        return "no sentence encoder, so only the lexicon preserves the meaning of a changed text"
    return "no sentence encoder"


def _same_table(run: Run, attacks: Mapping[str, Any]) -> Iterator[str]:
    """Attacks that use the same substitute table as training."""
    for role, lexicon, users in shared_tables(run.card, attacks):
        yield (
            f"Training and the {' and '.join(users)} attack used the same table of {role} ({_lexicon(lexicon)}): "
            "the attack tries substitutes that the method may have trained on, so its success rate says nothing about "
            "other substitutes."
        )


def _small_tables(run: Run, attacks: Mapping[str, Any]) -> Iterator[str]:
    """Tables that cover few words: with them any model looks robust, and training changes few texts."""
    for name in run.published["attacks"]:
        coverage = coverage_of_card(attacks.get(name) or {})
        if coverage is not None and coverage.is_little:
            yield (
                f"The table of the {name} attack covers only {coverage.in_words()}: a table of the size used in "
                "papers finds more."
            )
    for role, lexicon in (run.card.get("lexicons") or {}).items():
        coverage = coverage_of_card(lexicon)
        if coverage is not None and coverage.is_little:
            yield (
                f"The table of {role} covers only {coverage.in_words()} of the training set: most training texts "
                "stayed clean."
            )


def _held_out_table(run: Run) -> Iterator[str]:
    """The synonym attack used another table than training (``--attack_lexicon``)."""
    lexicons, trained_on = run.card.get("lexicons") or {}, run.card.get("trained_on") or ()
    attacked, trained = lexicons.get("attack_synonyms"), lexicons.get("synonyms")
    if attacked and trained and "synonyms" in trained_on:
        yield (
            f"Training used the synonyms of {_lexicon(trained)}, the synonym attack those of another table, "
            f"{_lexicon(attacked)}: as far as the two tables differ, the success rate is for substitutes that the "
            "method did not train on."
        )


def _seen_texts(run: Run) -> Iterator[str]:
    """Evaluation texts that are also training texts."""
    seen = run.data.get("seen_in_training")
    if isinstance(seen, int) and seen > 0:
        of = f" of {run.eval_samples:,}" if run.eval_samples else ""
        yield (
            f"{seen:,}{of} evaluation texts are also training texts; accuracy and rates on them say nothing about "
            "unseen texts."
        )


def _unknown_training(run: Run) -> Iterator[str]:
    """A run that only measured does not know what the model was trained on."""
    if not run.trained and run.published["attacks"]:
        yield (
            "This run did not train the model: whether training used the texts of the evaluation, or the tables and "
            "texts of the attacks, is not known here."
        )


def _certificate(run: Run) -> Iterator[str]:
    """A certificate holds for one table of substitutes, and for the vote or the network itself."""
    if "certified" not in run.published:
        return
    numbers, settings = run.published["certified"], run.card.get("certify") or {}
    votes, alpha = numbers.get("votes"), numbers.get("alpha")
    masked = "mask_rate" in settings
    draws = "masks" if masked else "substitutions"
    how = f" of {votes:,.0f} random {draws}" if votes else f" over random {draws}"
    table = f"the lexicon {_lexicon(settings['lexicon'])}" if settings.get("lexicon") else "its lexicon"
    of = f"the vote{how}, not for the network that `from_pretrained` loads, and"
    if settings.get("rule") == "intervals":
        of = "the network itself, in float32, and"
    covered = (
        "changes of as many words as its radius says, into any words: inserted and deleted words are not covered."
        if masked
        else f"swaps of words for their substitutes in {table}: words that are not in it, other substitutes, "
        "inserted, deleted and misspelt words are not covered."
    )
    yield (f"A certificate holds for {of} only against {covered}")
    if settings.get("beta", "one") != "one":
        yield (
            "The certificates take the label's share of the votes as beta, as RanMASK does. This is an approximation: "
            "they can be wrong for more texts than alpha says."
        )
    if alpha:
        yield (
            f"Each certificate is wrong with a probability of at most {alpha:g}; the interval of the certified "
            "accuracy reflects only the choice of examples."
        )


def _label_changing(run: Run) -> Iterator[str]:
    attacks = run.published["attacks"]
    for name in attacks:
        if not success_rate_applies(run, name):
            yield (
                f"The {name} attack deletes words while the prediction stays and succeeds on every correctly "
                "classified example: its success rate says nothing, the number of deleted words does."
            )
    names = [name for name in attacks if is_obstinate(run, name)]
    if names:
        yield (
            f"The {' and '.join(names)} attack{'s' * (len(names) > 1)} succeed{'s' * (len(names) == 1)} where the "
            "prediction stays although the change should alter the true label. This is assumed and was not verified "
            "by people. Examples without an admissible change count as failed attacks."
        )


def _other_rates(run: Run) -> Iterator[str]:
    """Success rates over the texts that an attack could change, for attacks that could not change all."""
    for name, result in run.published["attacks"].items():
        rate, attacked = result.get("covered_asr", math.nan), result.get("num_attacked")
        if (coverage := partial_coverage(result)) and not aim_in(run, name).maximises:
            consequence = (
                f"its success rate on these is {percent(rate, count=attacked)} %"
                if math.isfinite(rate)
                else "it has no success rate"
            )
            yield f"Of the texts that the {name} attack tried, {coverage} have at least one substitute; {consequence}."


def _sample(run: Run) -> str:
    attacks, certified = run.published["attacks"], run.published.get("certified")
    rows = f"; rows of the split: {run.eval_samples:,}" if run.eval_samples else ""
    if certified and not attacks:
        counts = f"examples certified: {certified['num_examples']:,.0f}" if certified.get("num_examples") else ""
    else:
        counts = attacked_in_words({name: [result] for name, result in attacks.items()})
    seed = f", seed {run.card['seed']}" if "seed" in run.card else ""
    measured = f"One training run{seed}" if run.trained else "One model"
    sentence = f"{measured}; {counts or 'number of examples unknown'}{rows}."
    return f"{sentence} Differences within the intervals may be chance."


def _draws(vote: Mapping[str, Any]) -> str:
    if "mask_rate" in vote:
        return f"masks of {100 * vote['mask_rate']:g} % of the words"
    return f"substitutions from the lexicon {_lexicon(vote['lexicon'])}"


def _lexicon(lexicon: Mapping[str, Any]) -> str:
    size = f", {lexicon['size']:,} words" if isinstance(lexicon.get("size"), int) else ""
    mark = f", fingerprint {lexicon['fingerprint']}" if lexicon.get("fingerprint") else ""
    return f"`{lexicon.get('name', 'unnamed')}`{size}{mark}"


def _without_lexicon(candidates: Mapping[str, Any]) -> dict[str, Any]:
    settings = {key: value for key, value in candidates.items() if key != "lexicon"}
    if "sources" in settings:
        settings["sources"] = [_without_lexicon(source) for source in settings["sources"]]
    return settings


def _words(value: Any) -> str:
    """A described part as text: its name, then its settings in brackets."""
    if isinstance(value, Mapping):
        settings = ", ".join(f"{_words(key)} {_words(inner)}" for key, inner in value.items() if key != "name")
        name = _words(value.get("name", "unnamed"))
        return f"{name} ({settings})" if settings else name
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_words(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ")

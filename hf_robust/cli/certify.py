"""`hf-robust certify`: share of texts whose vote no word swap can change (SAFER), or no change of a word (RanMASK)."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.cli.flags import add_checkpoint_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import AttackArguments, Example, Victim
    from hf_robust.certify import CertifySettings, Draws, Smoothing
    from hf_robust.data.splits import Splits
    from hf_robust.metrics import AttackSummary, Certificate, CertificateSummary, Coverage
    from hf_robust.metrics.permutation import LabelPermutation
    from hf_robust.runs import RunCard
    from hf_robust.wiring.attack_results import AttackResults
    from hf_robust.wiring.checkpoint_attack import AttackOptions

ATTACK_VOTES = 25
CHANGED_WORDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
"""Numbers of changed words for which a vote over masks states the share of certified texts."""
_REPLACED_FLAGS = (
    "lexicon",
    "attack_num_examples",
    "attack_seed",
    "attack_votes",
    "attack_strategy",
    "attack_warm_start",
    "attack_mismatched",
)
"""Flags of the attacks that this command defines itself, or that need epochs."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add flags of the model and data, the table, the vote, and the attacks to compare the certificates with."""
    from hf_robust.certify import BETAS, BOUNDS, RULES, CertifySettings

    add_checkpoint_flags(parser, data_needed=True)
    default = CertifySettings()
    vote = parser.add_argument_group("vote and certificate")
    vote.add_argument(
        "--lexicon",
        default="wordnet",
        help="Table from which the vote draws substitutes, and for which the certificate holds: wordnet, a JSON "
        "table, a file of word vectors, or builtin (small, for the demo corpus). With --vote_mask_rate the vote masks "
        "words, and the certificate holds for any change of a number of words. Default: wordnet.",
    )
    vote.add_argument(
        "--neighbours",
        metavar="LEXICON",
        help="Table of the swaps that the attacker may make, if smaller than --lexicon; also used by --attacks "
        "without --attack_lexicon. Default: --lexicon.",
    )
    vote.add_argument(
        "--votes", type=int, default=default.votes, help=f"Random draws for each text. Default: {default.votes}."
    )
    vote.add_argument(
        "--alpha",
        type=float,
        default=default.alpha,
        help=f"Probability that one certificate is wrong. Default: {default.alpha:g}.",
    )
    vote.add_argument(
        "--bound",
        choices=tuple(BOUNDS),
        default=default.bound,
        help=f"Confidence bound for the share of draws that a class gets. Default: {default.bound}.",
    )
    vote.add_argument(
        "--rule",
        choices=RULES,
        default=default.rule,
        help="Condition for a certificate: the label keeps at least half of all draws (half), or more than any other "
        f"class (margin), which certifies more if there are many classes. Default: {default.rule}.",
    )
    vote.add_argument(
        "--beta",
        choices=BETAS,
        default=default.beta,
        help="Probability of the label given that a draw keeps a changed word, with --vote_mask_rate: one, which "
        "holds for every model, or votes, the label's share of the votes, which is the paper's approximation and can "
        f"be wrong. Default: {default.beta}.",
    )
    vote.add_argument(
        "--num_examples", type=int, default=500, help="Number of texts to certify; 0 for all. Default: 500."
    )
    vote.add_argument(
        "--seed", type=int, default=0, help="Seed for the choice of texts and for the draws. Default: 0."
    )
    _add_attack_flags(parser.add_argument_group("attacks"))


def _add_attack_flags(group: argparse._ArgumentGroup) -> None:
    from transformers import HfArgumentParser

    from hf_robust.attacks import AttackArguments

    group.add_argument(
        "--attack_votes",
        type=int,
        default=ATTACK_VOTES,
        help="Draws in the vote that --attacks attack; each query costs this many forward passes. 0 attacks the plain "
        f"model. Default: {ATTACK_VOTES}.",
    )
    for action in HfArgumentParser(AttackArguments, add_help=False)._actions:
        if action.dest not in _REPLACED_FLAGS:
            group._add_action(action)


def run(options: argparse.Namespace) -> str:
    """Write ``certificates.jsonl``, ``certificate_summary.json``, a run card and a history line; return the table.

    A run that was killed continues where it stopped, if model, texts, table and settings are the same. ``--attacks``
    write the files of `hf-robust attack`, for the same texts and a smaller vote over the same table.

    Raises:
        ValueError: nothing can be certified with these settings, the model or the data has no classes, the table
            covers no word of these texts, or an attack needs gradients, which a vote has not.
    """
    from hf_robust.attacks import Victim, choose_examples
    from hf_robust.certify import CertifySettings, check_beta
    from hf_robust.data.label_order import permuted_labels
    from hf_robust.runs import claim_folder
    from hf_robust.wiring.checkpoint_attack import AttackOptions, load_classifier, measure_attacks, splits_of
    from hf_robust.wiring.restored import restore_inference
    from hf_robust.wiring.smoothed import draws_of

    options.output_dir = output_folder(options)
    settings = CertifySettings(options.votes, options.alpha, options.bound, options.rule, options.beta)
    flags = _attack_flags(options)
    _check_draws(options, flags)
    # A table is loaded before the model, so that a missing one is an error at the start; masks need the tokenizer.
    substitutions = _table_of(options, flags) if flags.vote_mask_rate is None else None
    attack_options = AttackOptions(**_fields_of(options, AttackOptions))
    model, tokenizer = load_classifier(options.model, options.device)
    refuse_without_classes(options.model, model.config)
    smoothing = substitutions or draws_of(flags, options.seed, None, tokenizer)
    check_beta(smoothing, settings)
    settings.check_classes(model.config.num_labels)
    splits = splits_of(attack_options, options.data, model, tokenizer)
    examples = choose_examples(splits.labelled("validation"), options.num_examples, options.seed)
    texts = [smoothing.text(example.texts) for example in examples]
    smoothing.require_effect(texts)
    attacked = measure_attacks(attack_options, flags) if flags.attacks else None
    restored = restore_inference(options.model, model, tokenizer)
    victim = Victim(
        model,
        tokenizer,
        max_length=splits.max_length,
        token_budget=options.attack_token_budget,
        inference=restored.inference,
    )
    measured = _measure(victim, splits.labels.num_labels, examples, smoothing, settings, attack_options)
    if not attack_options.ranks.is_first:
        return ""
    card = _card(options, splits, examples)
    coverage = smoothing.coverage(texts)
    card["certify"] = {**settings.describe(), **smoothing.describe(), "coverage": coverage.describe()}
    if permuted := permuted_labels(measured.permutation, splits.corpus, splits.labels):
        card["label_permutation"] = permuted
    card |= restored.card
    folder = claim_folder("certify", options.output_dir)
    _write(folder, card, measured, attacked)
    legend = _legend(options, flags, measured, coverage) + (_about_attacks(options.attack_votes) if attacked else "")
    table = _table(folder, measured, attacked.summaries if attacked else {})
    notes = f"{legend}{restored.remark}{permuted}".rstrip()
    return f"{table}\n{notes}\n\nThe certificate of every example is in {folder}."


def _attack_flags(options: argparse.Namespace) -> AttackArguments:
    """The flags of the attacks; by default these use the swaps that the certificates are about."""
    from hf_robust.attacks import AttackArguments
    from hf_robust.attacks.flag_readers import check_flags_are_read, is_flag_read

    if options.attack_backend == "native" and is_flag_read("attack_lexicon", options.attacks):
        options.attack_lexicon = options.attack_lexicon or options.neighbours
    sample = {"attack_num_examples": options.num_examples, "attack_seed": options.seed}
    flags = AttackArguments(**_fields_of(options, AttackArguments), **sample)
    check_flags_are_read(flags, flags.recipes, (), protects=True)
    return flags


def _check_draws(options: argparse.Namespace, flags: AttackArguments) -> None:
    """Refuse flags that the draws of the vote do not read, and languages without spaces."""
    from hf_robust.wiring.smoothed import check_certified_language

    check_certified_language(flags.language)
    if flags.vote_mask_rate is not None and options.neighbours is not None:
        raise ValueError(
            f"--neighbours {options.neighbours} bounds an attacker with a table, and a vote over masks is certified "
            "whatever the table: leave it or --vote_mask_rate out."
        )
    if flags.vote_mask_rate is None and options.beta != "one":
        raise ValueError(f"--beta {options.beta} needs --vote_mask_rate: give the rate, or leave it out.")


def _table_of(options: argparse.Namespace, flags: AttackArguments) -> Smoothing:
    from hf_robust.certify import Smoothing
    from hf_robust.lexicons import load_lexicon
    from hf_robust.words import words_of

    neighbours = None if options.neighbours is None else load_lexicon(options.neighbours, language=flags.language)
    substitutes = load_lexicon(options.lexicon, language=flags.language)
    return Smoothing(substitutes, options.seed, neighbours, flags.protection(), words_of(flags.language))


def _legend(options: argparse.Namespace, flags: AttackArguments, measured: _Measured, coverage: Coverage) -> str:
    if flags.vote_mask_rate is not None:
        return _legend_of_masks(options, measured.certificates)
    return (
        f"Certified against any word swaps by {options.neighbours or options.lexicon}; each certificate holds with "
        f"probability {1 - options.alpha:g}. In brackets: 95 % Wilson interval over the examples. The attacker has "
        f"substitutes for {coverage.in_words()}.\n"
    )


def _legend_of_masks(options: argparse.Namespace, certificates: Sequence[Certificate]) -> str:
    radii = [-1 if one.radius is None else one.radius for one in certificates]
    counts = [(words, sum(radius >= words for radius in radii)) for words in CHANGED_WORDS]
    shares = ", ".join(f"{words}: {100 * count / len(radii):.1f} %" for words, count in counts if count)
    how = "an approximation that can be wrong for more texts" if options.beta == "votes" else "for every model"
    return (
        "Certified against any change of one word, whatever the table; by the number of changed words: "
        f"{shares or 'none'}. Each certificate holds with probability {1 - options.alpha:g} (beta {options.beta}, "
        f"{how}). In brackets: 95 % Wilson interval over the examples.\n"
    )


def _about_attacks(votes: int) -> str:
    if not votes:
        return "The attacks are on the plain model, which has no certificate.\n"
    return (
        f"The attacks are on a vote of {votes} draws, drawn anew for each text. If the vote is close, an attack may "
        f"find a "
        f"text whose {votes} draws are wrong. So accuracy under attack can be below certified accuracy, which holds "
        f"for "
        "a vote of very many draws.\n"
    )


def _fields_of(options: argparse.Namespace, kind: Any) -> dict[str, Any]:
    """Return the options that are fields of a dataclass."""
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: getattr(options, name) for name in names if hasattr(options, name)}


def refuse_without_classes(name: str, config: Any) -> None:
    """Refuse models that are not single-label classifiers.

    Raises:
        ValueError: the model predicts a number, or several labels at once.
    """
    kind = "regression" if config.num_labels < 2 else config.problem_type
    if kind in ("regression", "multi_label_classification"):
        raise ValueError(
            f"{name} is a {kind.removesuffix('_classification').replace('_', '-')} model, and only single-label "
            "classifiers can be certified: give such a model."
        )


class _Measured(NamedTuple):
    certificates: list[Certificate]
    summary: CertificateSummary
    accuracy: float
    """Accuracy of the plain model on the same examples."""
    permutation: LabelPermutation | None
    """Permutation of the labels that fits the plain model's predictions far better, if there is one."""


def _measure(
    victim: Victim,
    num_labels: int,
    examples: Sequence[Example],
    smoothing: Draws,
    settings: CertifySettings,
    options: AttackOptions,
) -> _Measured:
    from hf_robust.attacks.engine.journal import classifier_of
    from hf_robust.certify import certify_key, certify_on_ranks
    from hf_robust.metrics import CertificateSummary
    from hf_robust.metrics.permutation import confusion, label_permutation
    from hf_robust.runs import JOURNAL_FOLDER

    texts, labels = [example.texts for example in examples], [example.label for example in examples]
    key = certify_key(classifier_of(victim), examples, smoothing, settings)
    assert options.output_dir is not None
    with victim.measuring(smoothing.seed):
        plain = victim.probabilities(texts).argmax(-1)
        certificates, seconds = certify_on_ranks(
            lambda batch: victim.probabilities(batch).argmax(-1),
            examples,
            smoothing,
            settings,
            key,
            num_labels=num_labels,
            journals=options.output_dir / JOURNAL_FOLDER,
            ranks=options.ranks,
            progress=options.ranks.is_first,
        )
    summary = CertificateSummary.from_certificates(certificates, settings.votes, settings.alpha, seconds)
    permutation = label_permutation(confusion(labels, plain, num_labels))
    return _Measured(certificates, summary, float((plain == labels).mean()), permutation)


def _card(options: argparse.Namespace, splits: Splits, examples: Sequence[Example]) -> RunCard:
    """Make the run card, without the settings of the certificates."""
    from hf_robust.data.splits import describe_data
    from hf_robust.runs import measured_card

    dataset = splits.labelled("validation")
    data = describe_data(splits.corpus, None, dataset, splits.labels)
    data |= {"eval_samples": len(examples), "eval_cut": sum(example.idx in dataset.cut_rows for example in examples)}
    data["certify_sample"] = f"{options.num_examples} rows, seed {options.seed}"
    return measured_card(
        options.model,
        options.command_line,
        data=data,
        attacks={},
        **splits.labels.describe(),
        seed=options.seed,
    )


def _write(folder: Path, card: RunCard, measured: _Measured, attacked: AttackResults | None) -> None:
    """Write the certificates, their summary, the run card, the history, and the results of the attacks."""
    from hf_robust.runs import (
        CERTIFICATE_SUMMARY_FILE,
        CERTIFICATES_FILE,
        redact,
        write_card,
        write_certificates,
        write_history_line,
        write_json,
    )
    from hf_robust.wiring.attack_results import write_attacks

    line: dict[str, Any] = {"epoch": 0.0, "step": 0, "accuracy": measured.accuracy, "attacks": {}}
    if attacked is not None:
        write_attacks(attacked, folder)
        line, attack_card = attacked.history_line, attacked.card
        data = {**attack_card["data"], **card["data"]}
        card = {**attack_card, **card, "attacks": attack_card["attacks"], "data": data}
    write_certificates(folder / CERTIFICATES_FILE, measured.certificates)
    write_card(folder, card)
    write_history_line(folder, {**line, "certified": measured.summary.history()})
    results = {"accuracy": measured.accuracy, "certified": measured.summary.history()}
    write_json(folder / CERTIFICATE_SUMMARY_FILE, {**redact(card), **results})


def _table(folder: Path, measured: _Measured, attacked: Mapping[str, AttackSummary]) -> str:
    """Format one row: accuracy, certified accuracy, and the accuracy under each attack.

    A model that guesses gets a warning above the table.
    """
    from hf_robust.metrics import wilson_interval
    from hf_robust.reports import guessing_warnings, markdown_table, percent, robust_accuracy_applies
    from hf_robust.runs import load_run

    summary, count = measured.summary, measured.summary.num_examples
    clean = percent(measured.accuracy, wilson_interval(round(measured.accuracy * count), count))
    cells = {
        "accuracy, %": clean,
        "of the vote, %": percent(
            summary.smoothed_accuracy, (summary.smoothed_accuracy_low, summary.smoothed_accuracy_high)
        ),
        "certified, %": percent(
            summary.certified_accuracy, (summary.certified_accuracy_low, summary.certified_accuracy_high)
        ),
    }
    run = load_run(folder)
    for name, rates in attacked.items():
        if not robust_accuracy_applies(run, name):
            continue
        interval = (rates.robust_accuracy_low, rates.robust_accuracy_high)
        cells[f"under {name}, %"] = percent(rates.robust_accuracy, interval)
    cells["abstained, %"] = percent(summary.abstained)
    cells["median radius, words"] = "–" if math.isnan(summary.radius) else f"{summary.radius:g}"
    cells["examples"] = str(count)
    warnings = "".join(f"Warning: {warning}\n\n" for warning in guessing_warnings(run))
    return warnings + markdown_table(list(cells), [list(cells.values())])

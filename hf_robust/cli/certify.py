"""`hf-robust certify`: share of texts of which no swaps of words, or no change of a word, change the prediction."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.cli.certify_results import about_attacks, legend_of_masks, legend_of_swaps, table_of
from hf_robust.cli.flags import add_checkpoint_flags, add_seed, from_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import AttackArguments, Example, Victim
    from hf_robust.certify import CertifySettings, Draws, Smoothing
    from hf_robust.data.splits import Splits
    from hf_robust.metrics import Certificate, CertificateSummary
    from hf_robust.metrics.permutation import LabelPermutation
    from hf_robust.runs import RunCard
    from hf_robust.wiring.attack_results import AttackResults
    from hf_robust.wiring.checkpoint_attack import AttackOptions

ATTACK_VOTES = 25
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
    from hf_robust.certify import BETAS, BOUNDS, INTERVALS, RULES, CertifySettings

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
        choices=(*RULES, INTERVALS),
        default=default.rule,
        help="Condition for a certificate: the label keeps at least half of all draws (half), or more than any other "
        "class (margin), which certifies more if there are many classes. intervals: no vote; interval bounds of the "
        f"network itself, an LSTM or a CNN (--robust_method ibp). Default: {default.rule}.",
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
    add_seed(vote, "for the choice of texts and for the draws")
    _add_attack_flags(parser.add_argument_group("attacks"))


def _add_attack_flags(group: argparse._ArgumentGroup) -> None:
    from transformers import HfArgumentParser

    from hf_robust.attacks import AttackArguments

    group.add_argument(
        "--attack_votes",
        type=int,
        help="Draws in the vote that --attacks attack; each query costs this many forward passes. 0 attacks the plain "
        f"model. Default: {ATTACK_VOTES}, and 0 with --rule intervals.",
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
    from hf_robust.certify import INTERVALS, CertifySettings, check_draws
    from hf_robust.certify.intervals import check_bounded
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
    attack_options = from_flags(AttackOptions, options)
    model, tokenizer = load_classifier(options.model, options.device)
    refuse_without_classes(options.model, model.config)
    if settings.rule == INTERVALS:
        check_bounded(model.config)
    smoothing = substitutions or draws_of(flags, options.seed, None, tokenizer)
    check_draws(smoothing, settings)
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
    masked = flags.vote_mask_rate is not None
    legend = legend_of_masks(options, measured.certificates) if masked else legend_of_swaps(options, coverage)
    legend += about_attacks(options) if attacked else ""
    table = table_of(folder, measured.summary, measured.accuracy, attacked.summaries if attacked else {})
    notes = f"{legend}{restored.remark}{permuted}".rstrip()
    return f"{table}\n{notes}\n\nThe certificate of every example is in {folder}."


def _attack_flags(options: argparse.Namespace) -> AttackArguments:
    """The flags of the attacks; by default these use the swaps and the vote that the certificates are about."""
    from hf_robust.attacks import AttackArguments
    from hf_robust.attacks.flag_readers import check_flags_are_read, is_flag_read
    from hf_robust.certify import INTERVALS

    if options.attack_votes is None:
        options.attack_votes = 0 if options.rule == INTERVALS else ATTACK_VOTES
    if options.attack_backend == "native" and is_flag_read("attack_lexicon", options.attacks):
        options.attack_lexicon = options.attack_lexicon or options.neighbours
    sample = {"attack_num_examples": options.num_examples, "attack_seed": options.seed}
    flags = from_flags(AttackArguments, options, **sample)
    check_flags_are_read(flags, flags.recipes, (), protects=True)
    return flags


def _check_draws(options: argparse.Namespace, flags: AttackArguments) -> None:
    """Refuse flags that the draws of the vote do not read, and languages without spaces."""
    from hf_robust.certify import INTERVALS
    from hf_robust.wiring.smoothed import check_certified_language

    check_certified_language(flags.language)
    if flags.vote_mask_rate is not None and options.neighbours is not None:
        raise ValueError(
            f"--neighbours {options.neighbours} bounds an attacker with a table, and a vote over masks is certified "
            "whatever the table: leave it or --vote_mask_rate out."
        )
    if options.rule == INTERVALS and (drawn := flags.vote_mask_rate or options.attack_votes):
        flag = "vote_mask_rate" if flags.vote_mask_rate else "attack_votes"
        raise ValueError(
            f"--{flag} {drawn:g} draws votes, and --rule {INTERVALS} certifies the network itself: leave it out."
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
    from hf_robust.certify import INTERVALS, Smoothing, certify_key, certify_on_ranks
    from hf_robust.certify.swaps import certify_swaps
    from hf_robust.metrics import CertificateSummary
    from hf_robust.metrics.permutation import confusion, label_permutation
    from hf_robust.runs import JOURNAL_FOLDER

    texts, labels = [example.texts for example in examples], [example.label for example in examples]
    key = certify_key(classifier_of(victim), examples, smoothing, settings)
    assert options.output_dir is not None
    with victim.measuring(smoothing.seed):
        plain = victim.probabilities(texts).argmax(-1)
        if settings.rule == INTERVALS:
            assert isinstance(smoothing, Smoothing)
            certificates, seconds = certify_swaps(victim, examples, smoothing, options.ranks)
        else:
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

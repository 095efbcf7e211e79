"""`hf-robust certify`: how often a vote over random substitutions is right, and no swap can make it wrong (SAFER)."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.cli.flags import add_checkpoint_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import Example, Victim
    from hf_robust.certify import CertifySettings, Smoothing
    from hf_robust.data.splits import Splits
    from hf_robust.metrics import AttackSummary, Certificate, CertificateSummary, Coverage
    from hf_robust.metrics.permutation import LabelPermutation
    from hf_robust.runs import RunCard
    from hf_robust.wiring.checkpoint_attack import Attacked

ATTACK_VOTES = 25
_OWN = ("lexicon", "attack_num_examples", "attack_seed", "attack_votes", "attack_strategy", "attack_warm_start")
"""Flags of the attacks that this command has under a name of its own, or that ask for epochs."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The model and its data, the table, how votes are counted, and attacks to compare the certificates with."""
    from transformers import HfArgumentParser

    from hf_robust.attacks import AttackArguments
    from hf_robust.certify import BOUNDS, RULES, CertifySettings

    add_checkpoint_flags(parser, data_needed=True)
    default = CertifySettings()
    parser.add_argument(
        "--lexicon",
        default="wordnet",
        help="Table that the vote draws from and the certificate is about: wordnet, a JSON table, a file of word "
        "vectors, or builtin (small, for the demo corpus). Default: wordnet.",
    )
    parser.add_argument(
        "--neighbours",
        metavar="LEXICON",
        help="What an attacker may put in place of each word, where that is less than --lexicon, also for --attacks "
        "without an --attack_lexicon. Default: --lexicon.",
    )
    parser.add_argument(
        "--votes", type=int, default=default.votes, help=f"Draws for each text. Default: {default.votes}."
    )
    parser.add_argument(
        "--alpha",
        type=float,
        default=default.alpha,
        help=f"Probability with which one certificate may be wrong. Default: {default.alpha:g}.",
    )
    parser.add_argument(
        "--bound", choices=tuple(BOUNDS), default=default.bound, help=f"Of the shares. Default: {default.bound}."
    )
    parser.add_argument(
        "--rule",
        choices=RULES,
        default=default.rule,
        help="half: the label keeps half of all draws; margin: it keeps more than any other class (sharper with many "
        f"classes). Default: {default.rule}.",
    )
    parser.add_argument("--num_examples", type=int, default=500, help="Texts to certify; 0: all. Default: 500.")
    parser.add_argument("--seed", type=int, default=0, help="Chooses the texts and draws the votes. Default: 0.")
    parser.add_argument(
        "--attack_votes",
        type=int,
        default=ATTACK_VOTES,
        help="Votes of the classifier that --attacks meet, each query costing as many forwards; 0: the plain network. "
        f"Default: {ATTACK_VOTES}.",
    )
    for action in HfArgumentParser(AttackArguments, add_help=False)._actions:
        if action.dest not in _OWN:
            parser._add_action(action)


def run(options: argparse.Namespace) -> str:
    """Write ``certificates.jsonl``, ``certificate_summary.json``, a run card and a history line; return the table.

    A run that was killed goes on where it stopped, if model, texts, table and settings are the same. ``--attacks``
    write what `hf-robust attack` does, on the same texts and on a smaller vote of the same table.

    Raises:
        ValueError: settings under which nothing can be certified, a model or data without classes, a table that has
            no word of these texts, or attacks that the vote cannot answer.
    """
    from hf_robust.attacks import AttackArguments, Victim, choose_examples
    from hf_robust.attacks.flag_readers import check_flags_are_read, is_flag_read
    from hf_robust.certify import CertifySettings, Smoothing, require_substitutes
    from hf_robust.data.label_order import permuted_labels
    from hf_robust.lexicons import load_lexicon
    from hf_robust.runs import claim_folder
    from hf_robust.wiring.checkpoint_attack import AttackOptions, load_classifier, measure_attacks, splits_of
    from hf_robust.wiring.restored import measured_model
    from hf_robust.words import Text

    options.output_dir = output_folder(options)
    settings = CertifySettings(options.votes, options.alpha, options.bound, options.rule)
    sample = {"attack_num_examples": options.num_examples, "attack_seed": options.seed}
    # The attacks are those of the attacker whom the certificates are about, if nothing else is asked for.
    if options.attack_backend == "native" and is_flag_read("attack_lexicon", options.attacks):
        options.attack_lexicon = options.attack_lexicon or options.neighbours
    flags = AttackArguments(**_given(options, AttackArguments), **sample)
    check_flags_are_read(flags, flags.recipes, (), protects=True)
    neighbours = None if options.neighbours is None else load_lexicon(options.neighbours)
    smoothing = Smoothing(load_lexicon(options.lexicon), options.seed, neighbours, flags.protection())
    own = AttackOptions(**_given(options, AttackOptions))
    model, tokenizer = load_classifier(options.model, options.device)
    refuse_without_classes(options.model, model.config)
    settings.check_classes(model.config.num_labels)
    splits = splits_of(own, options.data, model, tokenizer)
    examples = choose_examples(splits.labelled("validation"), options.num_examples, options.seed)
    texts = [Text(example.texts) for example in examples]
    require_substitutes(smoothing, texts)
    attacked = measure_attacks(own, flags) if flags.attacks else None
    restored = measured_model(options.model, model, tokenizer)
    victim = Victim(
        model,
        tokenizer,
        max_length=splits.max_length,
        token_budget=options.attack_token_budget,
        inference=restored.inference,
    )
    measured = _measure(victim, splits.labels.num_labels, examples, smoothing, settings, options.output_dir)
    card = _card(options, splits, examples)
    coverage = smoothing.coverage(texts)
    card["certify"] = {**settings.describe(), **smoothing.describe(), "coverage": coverage.describe()}
    if permuted := permuted_labels(measured.permutation, splits.corpus, splits.labels):
        card["label_permutation"] = permuted
    card |= restored.card
    folder = claim_folder("certify", options.output_dir)
    _write(folder, card, measured, attacked)
    legend = _legend(options, coverage) + (_about_attacks(options.attack_votes) if attacked else "")
    table = _table(folder, measured, attacked.summaries if attacked else {})
    said = f"{legend}{restored.remark}{permuted}".rstrip()
    return f"{table}\n{said}\n\nThe certificate of every example is in {folder}."


def _legend(options: argparse.Namespace, coverage: Coverage) -> str:
    return (
        f"Against any swaps of words by {options.neighbours or options.lexicon}; each certificate holds with "
        f"probability {1 - options.alpha:g}. In brackets: 95 % Wilson interval over the examples. The attacker has "
        f"substitutes for {coverage.in_words()}.\n"
    )


def _about_attacks(votes: int) -> str:
    if not votes:
        return "Attacks meet the plain model, which has no certificate.\n"
    return (
        f"Attacks meet a vote of {votes}, drawn anew for each text they ask: where the vote is close they may find a "
        f"text whose {votes} draws went wrong, and so come below certified, which is about votes of very many draws.\n"
    )


def _given(options: argparse.Namespace, kind: Any) -> dict[str, Any]:
    """Those of the options that a dataclass has fields for."""
    return {one.name: getattr(options, one.name) for one in dataclasses.fields(kind) if hasattr(options, one.name)}


def refuse_without_classes(name: str, config: Any) -> None:
    """Only the vote of a classifier can be certified.

    Raises:
        ValueError: the model predicts a number, or several labels at once.
    """
    kind = "regression" if config.num_labels < 2 else config.problem_type
    if kind in ("regression", "multi_label_classification"):
        raise ValueError(
            f"{name} is a {kind.removesuffix('_classification').replace('_', '-')} model, and only the vote of a "
            "classifier of one label can be certified; give such a model."
        )


class _Measured(NamedTuple):
    certificates: list[Certificate]
    summary: CertificateSummary
    accuracy: float
    """Of the plain model on the same examples."""
    permutation: LabelPermutation | None
    """Of the labels, where the plain model's predictions speak for one."""


def _measure(
    victim: Victim,
    num_labels: int,
    examples: Sequence[Example],
    smoothing: Smoothing,
    settings: CertifySettings,
    folder: Path,
) -> _Measured:
    from hf_robust.attacks.engine.journal import classifier_of
    from hf_robust.certify import certify_key, certify_texts
    from hf_robust.metrics import CertificateSummary
    from hf_robust.metrics.permutation import confusion, label_permutation
    from hf_robust.runs import JOURNAL_FOLDER, journal_seconds

    texts, labels = [example.texts for example in examples], [example.label for example in examples]
    key = certify_key(classifier_of(victim), examples, smoothing, settings)
    journal = folder / JOURNAL_FOLDER / f"{key}.jsonl"
    with victim.measuring(smoothing.seed):
        plain = victim.probabilities(texts).argmax(-1)
        found = certify_texts(
            lambda asked: victim.probabilities(asked).argmax(-1),
            texts,
            labels,
            smoothing,
            settings,
            num_labels=num_labels,
            ids=[example.idx for example in examples],
            journal=journal,
        )
    seconds = journal_seconds(journal)
    summary = CertificateSummary.from_certificates(found, settings.votes, settings.alpha, seconds)
    permutation = label_permutation(confusion(labels, plain, num_labels))
    return _Measured(found, summary, float((plain == labels).mean()), permutation)


def _card(options: argparse.Namespace, splits: Splits, examples: Sequence[Example]) -> RunCard:
    """What is known of the run beside the settings of the certificates."""
    from hf_robust.data.splits import describe_data
    from hf_robust.runs import measured_card

    dataset = splits.labelled("validation")
    data = describe_data(splits.corpus, None, dataset, splits.labels)
    data |= {"eval_samples": len(examples), "eval_cut": sum(one.idx in dataset.cut_rows for one in examples)}
    data["certify_sample"] = f"{options.num_examples} rows, seed {options.seed}"
    return measured_card(
        options.model,
        options.command_line,
        data=data,
        attacks={},
        **splits.labels.describe(),
        seed=options.seed,
    )


def _write(folder: Path, card: RunCard, measured: _Measured, attacked: Attacked | None) -> None:
    """The certificates and what is said about them, and what the attacks found."""
    from hf_robust.runs import (
        CERTIFICATE_SUMMARY_FILE,
        CERTIFICATES_FILE,
        redact,
        write_card,
        write_certificates,
        write_history_line,
        write_json,
    )
    from hf_robust.wiring.checkpoint_attack import write_attacks

    line: dict[str, Any] = {"epoch": 0.0, "step": 0, "accuracy": measured.accuracy, "attacks": {}}
    if attacked is not None:
        write_attacks(attacked, folder)
        line, before = attacked.line, attacked.card
        card = {**before, **card, "attacks": before["attacks"], "data": {**before["data"], **card["data"]}}
    write_certificates(folder / CERTIFICATES_FILE, measured.certificates)
    write_card(folder, card)
    write_history_line(folder, {**line, "certified": measured.summary.history()})
    results = {"accuracy": measured.accuracy, "certified": measured.summary.history()}
    write_json(folder / CERTIFICATE_SUMMARY_FILE, {**redact(card), **results})


def _table(folder: Path, measured: _Measured, attacked: Mapping[str, AttackSummary]) -> str:
    """One row; where attacks were run, what each left of the accuracy beside what no attack can take.

    A model that guesses has a warning above it.
    """
    from hf_robust.metrics import wilson_interval
    from hf_robust.reports import guessing_warnings, markdown_table, percent, robust_accuracy_applies
    from hf_robust.runs import load_run

    found, count = measured.summary, measured.summary.num_examples
    clean = percent(measured.accuracy, wilson_interval(round(measured.accuracy * count), count))
    cells = {
        "accuracy, %": clean,
        "of the vote, %": percent(
            found.smoothed_accuracy, (found.smoothed_accuracy_low, found.smoothed_accuracy_high)
        ),
        "certified, %": percent(
            found.certified_accuracy, (found.certified_accuracy_low, found.certified_accuracy_high)
        ),
    }
    run = load_run(folder)
    for name, one in attacked.items():
        if not robust_accuracy_applies(run, name):
            continue
        interval = (one.robust_accuracy_low, one.robust_accuracy_high)
        cells[f"under {name}, %"] = percent(one.robust_accuracy, interval)
    cells["abstained, %"] = percent(found.abstained)
    cells["median radius, words"] = "–" if math.isnan(found.radius) else f"{found.radius:g}"
    cells["examples"] = str(count)
    warnings = "".join(f"Warning: {warning}\n\n" for warning in guessing_warnings(run))
    return warnings + markdown_table(list(cells), [list(cells.values())])

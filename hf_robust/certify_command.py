"""`hf-robust certify`: how often a vote over random substitutions is right, and cannot be made wrong (SAFER)."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli import add_checkpoint_flags

if TYPE_CHECKING:
    from hf_robust.attacks import Example, Victim
    from hf_robust.certify import CertifySettings, Smoothing
    from hf_robust.data.splits import Splits
    from hf_robust.metrics import Certificate, CertificateSummary

CERTIFICATES_FILE = "certificates.jsonl"
SUMMARY_FILE = "certificate_summary.json"
_JOURNAL_FOLDER = "_certify_journal"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The model and its data, the table, and how votes are counted."""
    from hf_robust.certify import BOUNDS, RULES, CertifySettings

    add_checkpoint_flags(parser, data_needed=True)
    default = CertifySettings()
    parser.add_argument(
        "--lexicon",
        default="builtin",
        help="Table that the vote draws from and the certificate is about: builtin, wordnet, a JSON table or a file "
        "of word vectors. Default: builtin.",
    )
    parser.add_argument(
        "--neighbours",
        metavar="LEXICON",
        help="What an attacker may put in place of each word, where that is less than --lexicon. Default: --lexicon.",
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
    parser.add_argument("--token_budget", type=int, help="Padded tokens in one batch. Default: by the device.")


def run(options: argparse.Namespace) -> str:
    """Write ``certificates.jsonl``, ``certificate_summary.json``, a run card and a history line; return the table.

    A run that was killed goes on where it stopped, if model, texts, table and settings are the same.

    Raises:
        ValueError: settings under which nothing can be certified, a model or data without classes, or a table that has
            no word of these texts.
    """
    from hf_robust.attacks import Victim, choose_examples
    from hf_robust.certify import CertifySettings, Smoothing, require_substitutes
    from hf_robust.checkpoint_attack import AttackOptions, load_classifier, splits_of
    from hf_robust.lexicons import load_lexicon
    from hf_robust.words import Text

    settings = CertifySettings(options.votes, options.alpha, options.bound, options.rule)
    refuse_run_folder(options.output_dir)
    neighbours = None if options.neighbours is None else load_lexicon(options.neighbours)
    smoothing = Smoothing(load_lexicon(options.lexicon), options.seed, neighbours)
    given = vars(options)
    own = AttackOptions(**{f.name: given[f.name] for f in dataclasses.fields(AttackOptions) if f.name in given})
    model, tokenizer = load_classifier(options.model, options.device)
    refuse_without_classes(options.model, model.config)
    settings.check_classes(model.config.num_labels)
    splits = splits_of(own, options.data, model, tokenizer)
    examples = choose_examples(splits.labelled("validation"), options.num_examples, options.seed)
    require_substitutes(smoothing, [Text(example.texts) for example in examples])
    victim = Victim(model, tokenizer, max_length=splits.max_length, token_budget=options.token_budget)
    classes = splits.labels.num_labels
    certificates, summary, accuracy = _measure(victim, classes, examples, smoothing, settings, options.output_dir)
    card = _card(options, splits, examples, smoothing, settings)
    _write(options.output_dir, card, certificates, summary, accuracy)
    legend = (
        f"Against any swaps of words by {smoothing.neighbours.source}; each certificate holds with probability "
        f"{1 - settings.alpha:g}. In brackets: 95 % Wilson interval over the examples.\n"
    )
    return f"{_table(summary, accuracy)}\n{legend}\nThe certificate of every example is in {options.output_dir}."


def refuse_run_folder(folder: Path) -> None:
    """Keep a training run's history and card.

    Raises:
        ValueError: ``folder`` is that of a training run.
    """
    from hf_robust.reports.run import TRAINER_STATE_FILE

    if (folder / TRAINER_STATE_FILE).exists():
        raise ValueError(
            f"--output_dir {folder} is the folder of a training run, whose history would be lost; give another folder."
        )


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


def _measure(
    victim: Victim,
    num_labels: int,
    examples: Sequence[Example],
    smoothing: Smoothing,
    settings: CertifySettings,
    folder: Path,
) -> tuple[list[Certificate], CertificateSummary, float]:
    """Certificates and their rates, and the accuracy of the plain model on the same examples."""
    from hf_robust.attacks import weights_hash
    from hf_robust.attacks.journal import journal_seconds, prediction_of
    from hf_robust.certify import certify_key, certify_texts
    from hf_robust.metrics import CertificateSummary

    texts, labels = [example.texts for example in examples], [example.label for example in examples]
    model = f"{weights_hash(victim.model)}, {victim.max_length} tokens, {prediction_of(victim)}"
    journal = folder / _JOURNAL_FOLDER / f"{certify_key(model, texts, labels, smoothing, settings)}.jsonl"
    with victim.measuring(smoothing.seed):
        plain = victim.probabilities(texts).argmax(-1)
        certificates = certify_texts(
            lambda asked: victim.probabilities(asked).argmax(-1),
            texts,
            labels,
            smoothing,
            settings,
            num_labels=num_labels,
            ids=[example.idx for example in examples],
            journal=journal,
        )
    summary = CertificateSummary.from_certificates(
        certificates, settings.votes, settings.alpha, journal_seconds(journal)
    )
    return certificates, summary, float((plain == labels).mean())


def _card(
    options: argparse.Namespace,
    splits: Splits,
    examples: Sequence[Example],
    smoothing: Smoothing,
    settings: CertifySettings,
) -> dict[str, Any]:
    from hf_robust.callbacks.run_card import versions
    from hf_robust.data.splits import describe_data
    from hf_robust.reports import RUN_CARD_FILE, read_json, redact

    sample = {
        "eval_samples": len(examples),
        "certify_sample": f"{options.num_examples} rows, seed {options.seed}",
    }
    card = {
        "method": read_json(Path(options.model) / RUN_CARD_FILE).get("method", "checkpoint"),
        "model": options.model,
        "data": describe_data(splits.corpus, None, splits.labelled("validation")) | sample,
        "certify": {**settings.describe(), **smoothing.describe()},
        "label_names": list(splits.labels.names),
        "seed": options.seed,
        "versions": versions(),
    }
    redacted: dict[str, Any] = redact(card)
    return redacted


def _write(
    folder: Path,
    card: dict[str, Any],
    certificates: Sequence[Certificate],
    summary: CertificateSummary,
    accuracy: float,
) -> None:
    from hf_robust.metrics import write_certificates
    from hf_robust.reports import RUN_CARD_FILE, finite, write_history_line

    write_certificates(folder / CERTIFICATES_FILE, certificates)
    (folder / RUN_CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    line = {"epoch": 0.0, "step": 0, "accuracy": accuracy, "attacks": {}, "certified": summary.history()}
    write_history_line(folder, line)
    results = finite({**card, "accuracy": accuracy, "certified": summary.history()})
    text = json.dumps(results, indent=2, allow_nan=False)
    (folder / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")


def _table(summary: CertificateSummary, accuracy: float) -> str:
    from hf_robust.metrics import wilson_interval
    from hf_robust.reports import markdown_table, percent

    count = summary.num_examples
    header = ["accuracy, %", "of the vote, %", "certified, %", "abstained, %", "median radius, words", "examples"]
    row = [
        percent(accuracy, wilson_interval(round(accuracy * count), count)),
        percent(summary.smoothed_accuracy, (summary.smoothed_accuracy_low, summary.smoothed_accuracy_high)),
        percent(summary.certified_accuracy, (summary.certified_accuracy_low, summary.certified_accuracy_high)),
        percent(summary.abstained),
        "–" if math.isnan(summary.radius) else f"{summary.radius:g}",
        str(count),
    ]
    return markdown_table(header, [row])

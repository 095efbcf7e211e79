"""Attack a classifier without training, for ``attack`` and `hf-robust attack`, `average`, `certify`, `challenge`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_robust.attacks import (
    AttackArguments,
    Example,
    Plans,
    Victim,
    Vote,
    attack_key,
    attack_on_ranks,
    build_attacks,
    check_attack,
    choose_examples,
    describe_with_coverage,
    examples_of,
    fitted,
    log_coverage,
    results_on_data,
    table_coverage,
)
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.control import with_queries_of
from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.attacks.engine.ranks import Measured, journal_keys
from hf_robust.attacks.engine.until import require_reachable, sequence_of
from hf_robust.attacks.flag_readers import check_flags_are_read
from hf_robust.data import GLUE_TASKS
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import choose_text_columns
from hf_robust.data.files import EXTENSIONS
from hf_robust.data.label_order import find_labels, model_labels, permuted_labels
from hf_robust.data.labels import MULTI, Labels, observed_labels
from hf_robust.data.load import Corpus, load_corpus
from hf_robust.data.splits import Splits, describe_data
from hf_robust.lexicons import Lexicon, cache_folder
from hf_robust.metrics import AttackRecord, AttackSummary, ConfidenceSequence, Coverage
from hf_robust.metrics.permutation import permutation_of_records
from hf_robust.runs import (
    JOURNAL_FOLDER,
    SCRIPT_LENGTH,
    Ranks,
    measured_card,
    share_path,
)
from hf_robust.wiring.attack_results import AttackResults
from hf_robust.wiring.opened_victim import (
    COMPARED,
    FunctionSettings,
    OpenedVictim,
    identity_of,
    require_repeatable,
    require_same_answers,
    require_scores,
)
from hf_robust.wiring.restored import text_length
from hf_robust.wiring.run_lexicons import Lexicons, load_lexicons
from hf_robust.wiring.smoothed import attacked_vote, check_vote_is_drawn
from hf_robust.wiring.static_attacks import file_attacks, replay_attacks
from hf_robust.wiring.task_checks import check_attacked_labels, refuse_label_sets
from hf_robust.wiring.victims import opened_model, opened_object


@dataclass
class AttackOptions:
    """Flags of `hf-robust attack` other than those of the attacks."""

    model: str
    output_dir: Path | None
    """None to write no file, not even a journal."""
    data: str | None = None
    replay: list[str] = field(default_factory=list)
    split: str | None = None
    label_column_name: str | None = None
    text_column_names: str | None = None
    class_names: list[str] | None = None
    max_seq_length: int | None = None
    """None for the length of the model's training (`text_length`)."""
    device: str | None = None
    bf16: bool = False
    keep_queries: bool = False
    command_line: list[str] = field(default_factory=list)
    """The arguments of `hf-robust`, for the run card."""
    ranks: Ranks = Ranks()
    """The processes that share the examples."""


@dataclass
class GivenVictim:
    """What is attacked, where it is no checkpoint.

    Attributes:
        victim: an object that `opened_object` takes; None for the checkpoint that the options name.
        settings: how a function of texts is called.
        corpus: rows in memory; None for the data that the options name.
        lexicons: lexicons in memory by role, in place of those that the flags name.
    """

    victim: Any = None
    settings: FunctionSettings = field(default_factory=FunctionSettings)
    corpus: Corpus | None = None
    lexicons: Mapping[str, Lexicon] = field(default_factory=dict)


def measure_attacks(options: AttackOptions, flags: AttackArguments, given: GivenVictim | None = None) -> AttackResults:
    """Run the attacks. A run that was killed continues where it stopped, if model, data and attack are the same.

    Several ranks share the examples, and all of them return all results.

    Raises:
        ValueError: the model has no trained classification head, or model, data and attacks do not fit together.
    """
    given = given or GivenVictim()
    lexicons = check_and_load_lexicons(options, flags, given.lexicons)
    opened = _opened(options, given).in_bf16(options.bf16)
    task = _task(options, flags, opened, lexicons, given.corpus)
    until = flags.sequence()
    require_reachable(task.attacks, task.examples, until)
    victim = _victim(task, flags, opened)
    task.attacks = fitted(task.attacks, victim)
    if isinstance(victim, BlackBox):
        require_repeatable(victim, task.examples)
        require_scores(task.attacks, victim)
    plans = Plans(cache_folder() / "plans")
    coverage = {name: _coverage(attack, plans, victim, task.examples) for name, attack in task.attacks.items()}
    measured, queries = _run(task, victim, plans, options, until)
    records = {name: each.records for name, each in measured.items()}
    summaries = {
        name: AttackSummary.from_records(
            each.records,
            each.seconds,
            sequence_of(task.attacks[name], until),
            len(examples_of(task.attacks[name], task.examples)),
        )
        for name, each in measured.items()
    }
    card = measured_card(
        opened.name,
        options.command_line,
        data=task.data,
        lexicons=task.lexicons,
        attacks={
            name: describe_with_coverage(attack, coverage[name], task.examples)
            for name, attack in task.attacks.items()
        },
        **task.labels.describe(),
        seed=flags.attack_seed,
    )
    if permuted := _permuted(task, records):
        card["label_permutation"] = permuted
    if task.vote is not None:
        card["vote"] = task.vote.describe()
    card |= opened.card(options.ranks)
    seconds = {name: each.by_member for name, each in measured.items()}
    return AttackResults(records, summaries, task.attacks, card, opened.restored.remark, queries, seconds, until)


def _opened(options: AttackOptions, given: GivenVictim) -> OpenedVictim:
    if given.victim is not None and options.device is not None:
        raise ValueError(f"--device {options.device} is for a folder or a Hub id: put the model there before.")
    if given.victim is not None:
        opened = opened_object(given.victim, given.settings, options.max_seq_length)
        if opened.black_box is not None:
            opened.black_box.sharers = options.ranks.number
        return opened
    if passed := given.settings.passed():
        raise ValueError(
            f"{', '.join(passed)}: only a function of texts is called with these settings, and {options.model} is a "
            "model; leave them out (--attack_token_budget sets the size of its batches)."
        )
    return opened_model(options.model, *load_classifier(options.model, options.device), options.max_seq_length)


def check_and_load_lexicons(
    options: AttackOptions, flags: AttackArguments, given: Mapping[str, Lexicon] | None = None
) -> Lexicons:
    """Check the flags of the attacks as far as possible without a model, and load their lexicons.

    Raises:
        ValueError: no attack is named, a flag is out of range or has no effect, or a lexicon cannot be loaded.
    """
    if not flags.attacks and not options.replay:
        raise ValueError("no attack is named: give at least one by --attacks (`hf-robust attacks` lists them).")
    if flags.attacks and options.data is None:
        raise ValueError(f"--attacks {' '.join(flags.attacks)} needs texts to attack: give them by --data.")
    if options.keep_queries and (options.output_dir is None or flags.attack_backend != "native"):
        raise ValueError("--keep_queries needs --output_dir and the native backend of attacks; leave it out.")
    check_vote_is_drawn(flags, bool(flags.attack_votes))
    check_flags_are_read(flags, flags.recipes, (), protects=bool(flags.attack_votes))
    return load_lexicons(flags, voted=bool(flags.attack_votes), given=given)


@dataclass
class _AttackTask:
    """Attacks and examples of one measurement, and what its run card says of data and lexicons."""

    attacks: Mapping[str, AttackOrForeign]
    examples: list[Example]
    labels: Labels
    max_length: int | None
    data: dict[str, Any] = field(default_factory=dict)
    lexicons: dict[str, Any] = field(default_factory=dict)
    vote: Vote | None = None
    splits: Splits | None = None


def _permuted(task: _AttackTask, records: Mapping[str, Sequence[AttackRecord]]) -> str:
    """Return a warning if the predictions on clean texts fit another order of the labels far better, else ""."""
    clean: Sequence[AttackRecord] = max(results_on_data(task.attacks, records).values(), key=len, default=[])
    if task.splits is None or not clean or task.labels.is_multi:
        return ""
    return permuted_labels(permutation_of_records(clean, task.labels.num_labels), task.splits.corpus, task.labels)


def _task(
    options: AttackOptions,
    flags: AttackArguments,
    opened: OpenedVictim,
    lexicons: Lexicons,
    corpus: Corpus | None,
) -> _AttackTask:
    vote = attacked_vote(flags, lexicons["synonyms"], opened.tokenizer)
    if options.data is None:
        labels = model_labels(opened.config_for(options.class_names, None), options.class_names)
        check_attacked_labels(labels, flags, options.replay)
        length = opened.max_length
        replays = replay_attacks(options.replay, labels.names, None, class_names=options.class_names)
        return _AttackTask(replays, [], labels, length, {"max_length": length}, vote=vote)
    splits = _splits(options, options.data, opened, corpus)
    labels, dataset = splits.labels, splits.labelled("validation")
    check_attacked_labels(labels, flags, options.replay)
    synonyms, antonyms = lexicons["attack_synonyms"] or lexicons["synonyms"], lexicons["antonyms"]
    attacks = dict(build_attacks(flags, synonyms, antonyms, labels.names, splits.text_columns))
    attacks.update(file_attacks(flags.attacks, splits))
    columns = len(dataset.texts(0))
    attacks.update(replay_attacks(options.replay, labels.names, columns, attacks, options.class_names))
    examples = choose_examples(dataset, flags.attack_num_examples, flags.attack_seed)
    sample = f"{flags.attack_num_examples} rows, seed {flags.attack_seed}"
    data = describe_data(splits.corpus, None, dataset, labels)
    data |= {"eval_samples": len(examples), "eval_cut": sum(example.idx in dataset.cut_rows for example in examples)}
    data["attack_sample"] = sample
    by_role = {"synonyms": synonyms, "antonyms": antonyms}
    described = {role: lexicon.describe() for role, lexicon in by_role.items() if lexicon is not None}
    return _AttackTask(attacks, examples, labels, splits.max_length, data, described, vote, splits)


def _coverage(
    attack: AttackOrForeign, plans: Plans, victim: Victim | BlackBox, examples: list[Example]
) -> Coverage | None:
    """Return the coverage of an attack's lexicon; refuse an attack that cannot run or cannot change any text."""
    examples = examples_of(attack, examples)
    check_attack(attack, victim, plans, examples)
    coverage = table_coverage(attack, plans, examples, victim)
    log_coverage(attack, coverage, examples)
    return coverage


def _victim(task: _AttackTask, flags: AttackArguments, opened: OpenedVictim) -> Victim | BlackBox:
    victim = opened.victim(task.max_length, flags.attack_token_budget, task.vote)
    if task.vote is not None:
        examples = [example for attack in task.attacks.values() for example in examples_of(attack, task.examples)]
        task.vote.require_substitutes([example.texts for example in examples])
    return victim


def splits_of(options: AttackOptions, data: str, model: Any, tokenizer: Any) -> Splits:
    """Load the splits of ``data``, cut and labelled for the model.

    Raises:
        ValueError: the data cannot be read, has other classes than the model, or has several labels for each text.
    """
    length = text_length(options.max_seq_length, options.model, tokenizer, model.config)
    splits = _splits(options, data, OpenedVictim(options.model, model, tokenizer, model.config, length))
    refuse_label_sets(splits.labels, options.model)
    return splits


def _splits(options: AttackOptions, data: str, opened: OpenedVictim, corpus: Corpus | None = None) -> Splits:
    arguments = data_arguments(options, data, opened.max_length or SCRIPT_LENGTH)
    corpus = load_corpus(arguments) if corpus is None else corpus
    config = opened.config_for(
        options.class_names, lambda: _first_texts(corpus, arguments), lambda: _label_names(corpus)
    )
    labels = find_labels(corpus, arguments, config, training=False, classes=True)
    several = getattr(config, "problem_type", None) == MULTI
    if labels.is_regression or labels.is_multi != several or labels.num_labels != config.num_labels:
        raise ValueError(
            f"{opened.name} has {config.num_labels} classes{' (multi label classification)' * several} and {data} has "
            f"{labels.num_labels} ({labels.problem_type.replace('_', ' ')}): give data of the task that the model was "
            "trained for."
        )
    return Splits(corpus, labels, opened.tokenizer, arguments, config)


def _first_texts(corpus: Corpus, arguments: DataTrainingArguments) -> list[tuple[str, ...]]:
    rows = corpus.rows("validation")
    columns = choose_text_columns(rows, arguments, corpus.label_column)
    return [tuple(str(row.get(column)) for column in columns) for row in rows[:COMPARED]]


def _label_names(corpus: Corpus) -> Sequence[str]:
    """Names of the labels that the data declare or have."""
    where = corpus.describe_split("validation")
    return corpus.label_names or observed_labels(corpus.label_values("validation"), where, False, True).names


def load_classifier(name: str, device: str | None = None, *, merged: bool = False) -> tuple[Any, Any]:
    """Load a fine-tuned classifier or adapter, on a GPU if there is one, and its tokenizer.

    The weights have the data type in which they are stored, and a base model the quantization of the training.

    Args:
        merged: merge an adapter into its base model.

    Raises:
        ValueError: there is no such checkpoint, a part of it was never trained, the base model of an adapter is
            missing, or the tokenizer has neither a padding nor an end-of-text token.
    """
    from hf_robust.models.trained import load_trained, with_tokenizer

    return with_tokenizer(load_trained(name, merged=merged), name, device)


def data_arguments(options: AttackOptions, data: str, max_length: int = SCRIPT_LENGTH) -> DataTrainingArguments:
    """Translate ``--data`` into flags of the training script: a file, a GLUE task, or a data set by folder or name."""
    source: dict[str, Any] = {"dataset_name": data}
    if data.lower() in GLUE_TASKS and not Path(data).exists():
        source = {"task_name": data}
    elif Path(data).is_file() or data.endswith(tuple(EXTENSIONS)):
        source = {"validation_file": data}
    return DataTrainingArguments(
        **source,
        validation_split_name=options.split,
        label_column_name=options.label_column_name,
        text_column_names=options.text_column_names,
        class_names=options.class_names,
        max_seq_length=max_length,
        pad_to_max_length=False,
    )


def _run(
    task: _AttackTask,
    victim: Victim | BlackBox,
    plans: Plans,
    options: AttackOptions,
    until: ConfidenceSequence | None,
) -> tuple[dict[str, Measured], dict[str, Path]]:
    measured: dict[str, Measured] = {}
    queries: dict[str, Path] = {}
    weights, prediction = identity_of(victim)
    journals, ranks = None if options.output_dir is None else options.output_dir / JOURNAL_FOLDER, options.ranks
    with victim.answers.kept(len(task.attacks) > 1):
        for name, unlimited in task.attacks.items():
            attack = with_queries_of(unlimited, {done: each.records for done, each in measured.items()})
            examples = examples_of(attack, task.examples)
            key = attack_key(attack, weights, examples, task.max_length, prediction)
            if isinstance(victim, BlackBox) and journals is not None:
                for name_of_journal in journal_keys(attack, key, until):
                    journal = share_path(journals, name_of_journal, ranks.rank, ranks.number)
                    require_same_answers(victim, journal, examples)
            if options.keep_queries and journals is not None:
                queries[name] = share_path(journals, f"{key}-queries", ranks.rank, ranks.number)
            measured[name] = attack_on_ranks(
                attack,
                victim,
                examples,
                key,
                journals=journals,
                ranks=ranks,
                plans=plans,
                progress=ranks.is_first,
                check_candidates=False,
                queries=queries.get(name),
                until=until,
            )
    return measured, queries

#!/usr/bin/env python
"""Fine-tune a text classifier robustly, attack it at the end of every epoch, and draw accuracy against attack success.

    python run_glue_robust.py --model_name_or_path bert-base-uncased --task_name sst2 --do_train --do_eval \\
        --robust_method bat_triplet --attacks synonym antonym --output_dir out
    python run_glue_robust.py examples/demo.json

Flags, steps and output files are those of Hugging Face's run_glue.py; new steps are marked [hf_robust]. With
--robust_method normal (the default) and no --attacks, weights and metrics equal those of run_glue.py. An installed
package runs this file by the commands `run_glue_robust` and `hf-robust train`.
"""

import logging
import os
import sys
from collections import ChainMap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import transformers
from transformers import DataCollatorWithPadding, default_data_collator, set_seed

from hf_robust.attacks import build_attacks, choose_examples, resolve_skip_labels
from hf_robust.callbacks import (
    AdversaryWeightsCallback,
    AttackCallback,
    CertifyCallback,
    CurvesCallback,
    RunCardCallback,
    TrackersCallback,
)
from hf_robust.callbacks.best_metric import check_best_metric
from hf_robust.callbacks.measurement import expected_of
from hf_robust.cli.command import exit_code_of, leave
from hf_robust.data import TextDataset
from hf_robust.data.arguments import NEW_MODELS
from hf_robust.data.label_order import find_labels, permuted_labels
from hf_robust.data.labels import Labels
from hf_robust.data.load import Corpus, load_corpus
from hf_robust.data.sources import HubAccess
from hf_robust.data.splits import Splits, describe_data, log_samples
from hf_robust.data.stream import TextStream
from hf_robust.hub.card import add_robustness
from hf_robust.hub.loading import add_loading
from hf_robust.lexicons import cache_folder
from hf_robust.metrics.task import glue_metrics, logits_of, predicted
from hf_robust.models.adapter_files import check_saves
from hf_robust.runs import TRAIN_COMMAND, require_writable
from hf_robust.trainers import RobustTrainer
from hf_robust.training.adaptive import AdaptiveTrainer
from hf_robust.wiring.checkpoints import load_config, load_model, load_tokenizer, load_words
from hf_robust.wiring.extra_rows import extra_rows_of, with_extra_rows
from hf_robust.wiring.mismatched import mismatched_examples
from hf_robust.wiring.parsing import Arguments, parse_arguments
from hf_robust.wiring.precision import check_precision, mixed_precision
from hf_robust.wiring.run_lexicons import Lexicons, described, load_lexicons
from hf_robust.wiring.smoothed import attacked_vote, certify_callback
from hf_robust.wiring.static_attacks import file_attacks
from hf_robust.wiring.streaming import stream_seed
from hf_robust.wiring.task_checks import check_model_type, check_skip_labels, check_task, needs_classes
from hf_robust.wiring.view_attacks import makes_views, view_attacks
from hf_robust.words import words_of

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s - %(levelname)s - %(name)s - %(message)s"
DATE_FORMAT = "%m/%d/%Y %H:%M:%S"


def main(argv: Sequence[str] | None = None) -> None:
    # See all possible arguments by passing --help to this script, with --robust_method NAME those of a method.
    # The first argument may be a json file of arguments.
    logging.basicConfig(format=LOG_FORMAT, datefmt=DATE_FORMAT, handlers=[logging.StreamHandler(sys.stdout)])
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    model_args, data_args, training_args = args.model, args.data, args.training

    # Setup logging
    set_up_logging(training_args)
    require_writable(training_args.output_dir)

    # [hf_robust] Load the lexicons first, so that a missing one is an error at the start
    lexicons = load_lexicons(
        args.attack,
        (*args.method.needs, *(("synonyms",) if args.certify.by_intervals else ())),
        args.training.view_attacks if makes_views(args) else (),
        voted=bool(args.attack.attack_votes) or args.certify.draws_votes,
    )

    # Set seed before initializing model.
    set_seed(training_args.seed)

    # Get the datasets: a GLUE task, a dataset of the hub or of a local folder, or CSV/JSON files.
    corpus = load_corpus(data_args, HubAccess(model_args.token, model_args.cache_dir, model_args.trust_remote_code))

    # Labels: their names, in the checkpoint's order if it has the same names.
    config = load_config(model_args, training_args.do_train)
    labels = find_labels(corpus, data_args, config, training=training_args.do_train, classes=needs_classes(args))
    check_task(labels, args.method, args.attack, args.certify.certify)  # [hf_robust]
    check_skip_labels(labels, args)  # [hf_robust]

    # Load pretrained model and tokenizer
    model, tokenizer = load(args, config, labels, corpus)

    # Preprocessing the datasets: only the rows that are used are tokenized.
    words, token_cache = words_of(args.attack.language), cache_folder() / "tokens"
    splits = Splits(corpus, labels, tokenizer, data_args, config, words, token_cache)
    train_dataset, eval_dataset = tokenize(splits, args)
    train_dataset = with_extra_rows(train_dataset, args)  # [hf_robust]

    # Initialize our Trainer
    trainer = build_trainer(args, splits, model, train_dataset, eval_dataset, lexicons)

    # Training
    if training_args.do_train:
        train(trainer, training_args.resume_from_checkpoint)

    # Evaluation
    if training_args.do_eval:
        evaluate(trainer, splits, data_args.max_eval_samples)

    # Prediction
    if training_args.do_predict:
        predict(trainer, splits, data_args.task_name, data_args.max_predict_samples)

    # Model card, or the whole model, to the Hub
    finish(trainer, model_args.model_name_or_path, data_args.task_name)

    # Leave the process group in an orderly way: a rank that exits first can take the others down with it.
    trainer.accelerator.end_training()


def set_up_logging(training_args: Any) -> None:
    if training_args.should_log:
        # The default of training_args.log_level is passive, so we set log level at info here to have that default.
        transformers.utils.logging.set_verbosity_info()
    log_level = training_args.get_process_log_level()
    for name in (__name__, "hf_robust"):
        logging.getLogger(name).setLevel(log_level)
    transformers.utils.logging.set_verbosity(log_level)
    transformers.utils.logging.enable_default_handler()
    transformers.utils.logging.enable_explicit_format()

    # Log on each process the small summary:
    logger.warning(
        f"Process rank: {training_args.local_process_index}, device: {training_args.device}, "
        f"n_gpu: {training_args.n_gpu}, distributed training: {training_args.parallel_mode.value == 'distributed'}, "
        f"16-bits training: {training_args.fp16}"
    )
    logger.info(f"Training/evaluation parameters {training_args}")


def load(args: Arguments, config: Any, labels: Labels, corpus: Corpus) -> tuple[Any, Any]:
    check_precision(args.model, config, args.training, args.method)  # [hf_robust]
    check_model_type(args, config)  # [hf_robust]
    words = load_words(args.model, args.data, args.attack.word_vectors, corpus)  # [hf_robust] new lstm or cnn
    tokenizer = load_tokenizer(args.model, words)
    model = load_model(args.model, config, labels, tokenizer, words, mixed_precision(args.training))
    if args.training.do_train:
        check_saves(model, args.training.output_dir, args.training.push_to_hub)  # [hf_robust]
    return model, tokenizer


def tokenize(splits: Splits, args: Arguments) -> tuple[TextDataset | TextStream | None, TextDataset | None]:
    train_dataset: TextDataset | TextStream | None = None
    eval_dataset = None
    if args.training.do_train and args.data.streaming:
        train_dataset = splits.streamed(stream_seed(args.training))  # [hf_robust]
        log_samples(train_dataset.head, args.training.seed)
    elif args.training.do_train:
        train_dataset = splits.labelled("train", args.data.max_train_samples)
        # Log a few random samples from the training set:
        log_samples(train_dataset, args.training.seed)
    if args.training.do_eval:
        eval_dataset = splits.labelled("validation", args.data.max_eval_samples)
    if args.training.do_predict:
        splits.corpus.rows("test")  # fail now and not after training
    return train_dataset, eval_dataset


def metric_function(args: Arguments, labels: Labels) -> Any:
    return glue_metrics(
        args.data.task_name,
        labels.is_regression,
        is_multi_label=labels.is_multi,
        metric_names=args.data.metric_name,
        positive=labels.ids[1]
        if args.data.task_name and not labels.is_regression
        else 1,  # GLUE's class 1, in the checkpoint's order
        num_labels=labels.num_labels,
        trusted=args.model.trust_remote_code,
    )


def data_collator(args: Arguments, tokenizer: Any) -> Any:
    # Data collator will default to DataCollatorWithPadding when the tokenizer is passed to Trainer, so we change it if
    # we already did the padding.
    if args.data.pad_to_max_length:
        return default_data_collator
    if args.training.fp16:
        return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)
    return None


def build_trainer(
    args: Arguments,
    splits: Splits,
    model: Any,
    train_dataset: TextDataset | TextStream | None,
    eval_dataset: TextDataset | None,
    lexicons: Lexicons,
) -> RobustTrainer:
    labels, skipped = splits.labels, args.attack.skip_labels
    trainer = args.method(
        model=model,
        args=args.training,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        compute_metrics=metric_function(args, labels),
        processing_class=splits.tokenizer,
        data_collator=data_collator(args, splits.tokenizer),
        synonyms=lexicons["synonyms"],
        antonyms=lexicons["antonyms"],
        attacks=view_attacks(args, splits, lexicons),
        view_dataset=view_dataset(args, splits),
        skip_labels=None if skipped is None else resolve_skip_labels(skipped, labels.names),
        protection=args.attack.protection(),
    )
    attacker = add_attacks(trainer, args, splits, lexicons)
    certificates = certify_callback(trainer, args.certify, args.attack, lexicons["synonyms"], splits.max_length)
    data = describe_data(splits.corpus, train_dataset, eval_dataset, labels)
    data["attack_sample"] = f"{args.attack.attack_num_examples} rows, seed {args.attack.attack_seed}"
    evaluated = {} if args.training.do_train else {"model": args.model.model_name_or_path, **labels.describe()}
    add_reports(trainer, args, data, lexicons, attacker, certificates, evaluated)
    check_best_metric(args.training.metric_for_best_model, expected_of(trainer))
    return trainer


def view_dataset(args: Arguments, splits: Splits) -> TextDataset | None:
    split = getattr(args.training, "view_split", "train")
    return splits.labelled(split) if split != "train" and args.training.do_train else None


def add_attacks(trainer: RobustTrainer, args: Arguments, splits: Splits, lexicons: Lexicons) -> AttackCallback | None:
    # [hf_robust] Attack the model at the end of each epoch
    if not args.attack.attacks or args.attack.attack_strategy == "no":
        return None
    vote = attacked_vote(args.attack, lexicons["synonyms"], splits.tokenizer)
    synonyms = lexicons["attack_synonyms"] or lexicons["synonyms"]
    built = build_attacks(args.attack, synonyms, lexicons["antonyms"], splits.labels.names, splits.text_columns)
    return AttackCallback(
        {**built, **file_attacks(args.attack.attacks, splits)},
        choose_examples(trainer.eval_dataset, args.attack.attack_num_examples, args.attack.attack_seed),
        strategy=args.attack.attack_strategy,
        max_length=splits.max_length,
        token_budget=args.attack.attack_token_budget,
        plans_folder=cache_folder() / "plans",
        warm_start=args.attack.attack_warm_start,
        until=args.attack.sequence(),
        vote=vote,
        rows=choose_examples(trainer.eval_dataset, 0, 0) if vote else (),
        mismatched=mismatched_examples(args.attack, splits, args.data.max_eval_samples),
    ).attach(trainer)


def add_reports(
    trainer: RobustTrainer,
    args: Arguments,
    data: dict[str, Any],
    lexicons: Lexicons,
    attacker: AttackCallback | None,
    certificates: CertifyCallback | None,
    measured: dict[str, Any],
) -> None:
    # [hf_robust] Run card and curves, also for the trackers, and the model card
    if attacker and attacker.vote:
        measured["vote"] = attacker.vote.describe()
    if certificates:
        measured["certify"] = certificates.describe()
        data["certify_sample"] = f"{args.certify.certify_num_examples} rows, seed {args.certify.certify_seed}"
    seconds = [callback.seconds for callback in (attacker, certificates) if callback]
    trainer.add_callback(
        RunCardCallback(
            data,
            described(lexicons, trainer.coverage),
            attacker.describe() if attacker else {},
            args.method.name,
            citation=args.method.citation,
            trained_on=args.method.needs,
            seconds=ChainMap(*seconds) if seconds else None,
            measured=measured,
            generation=trainer.generation or extra_rows_of(trainer.train_dataset),
            plain_runs=trainer.plain_runs,
            used_arguments=trainer.used_arguments,
            measured_in_training=trainer.measured_in_training,
            command=[TRAIN_COMMAND, *args.command_line],
        )
    )
    trainer.add_callback(CurvesCallback(args.report.baseline_run or ()))
    if isinstance(trainer, AdaptiveTrainer):
        trainer.add_callback(AdversaryWeightsCallback())
    TrackersCallback().attach(trainer)
    trainer.card_writers += [add_loading, add_robustness]


def train(trainer: RobustTrainer, checkpoint: str | bool | None) -> None:
    train_result = trainer.train(resume_from_checkpoint=checkpoint)
    metrics = dict(train_result.metrics)
    if not isinstance(trainer.train_dataset, TextStream):
        metrics["train_samples"] = len(trainer.train_dataset)

    trainer.save_model()  # Saves the tokenizer too for easy upload

    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics)
    trainer.save_state()


def evaluate(trainer: RobustTrainer, splits: Splits, limit: int | None) -> None:
    logger.info("*** Evaluate ***")

    # Loop to handle MNLI double evaluation (matched, mis-matched)
    eval_datasets = {"": trainer.eval_dataset}
    if "validation_mismatched" in splits.corpus.splits:
        eval_datasets["_mm"] = splits.labelled("validation_mismatched", limit)

    combined: dict[str, Any] = {}
    for suffix, eval_dataset in eval_datasets.items():
        metrics = trainer.evaluate(eval_dataset=eval_dataset)
        permutation = trainer.compute_metrics.permutation()  # [hf_robust]
        if warning := permuted_labels(permutation, splits.corpus, splits.labels, trainer.args.do_train):
            logger.warning(warning)
        metrics["eval_samples"] = len(eval_dataset)
        metrics = {f"{key}{suffix}": value for key, value in metrics.items()}
        combined.update(metrics)

        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", combined)


def predict(trainer: RobustTrainer, splits: Splits, task: str | None, limit: int | None) -> None:
    logger.info("*** Predict ***")

    # Loop to handle MNLI double evaluation (matched, mis-matched)
    roles = {f"{task}": "test"}
    if "test_mismatched" in splits.corpus.splits:
        roles["mnli-mm"] = "test_mismatched"

    for name, role in roles.items():
        # Labels are not read: they may be absent or -1.
        logits = logits_of(trainer.predict(splits.unlabelled(role, limit), metric_key_prefix="predict").predictions)
        if trainer.is_world_process_zero():
            logger.info(f"***** Predict results {name} *****")
            output_predict_file = Path(trainer.args.output_dir, f"predict_results_{name}.txt")
            lines = prediction_lines(logits, splits.labels, trainer.model.config.id2label)
            output_predict_file.write_text(lines, encoding="utf-8")


def prediction_lines(logits: Any, labels: Labels, id2label: dict[int, str]) -> str:
    lines = ["index\tprediction"]
    for index, item in enumerate(predicted(logits, labels.is_regression, not labels.is_single)):
        if labels.is_regression:
            lines.append(f"{index}\t{item:3.3f}")
        elif labels.is_single:
            lines.append(f"{index}\t{id2label[int(item)]}")
        else:
            lines.append(f"{index}\t{[id2label[number] for number, present in enumerate(item) if present]}")
    return "\n".join(lines) + "\n"


def finish(trainer: RobustTrainer, model_name: str, task: str | None) -> None:
    kwargs: dict[str, Any] = {"tasks": "text-classification"}
    if not (os.path.isdir(model_name) or model_name in NEW_MODELS):
        kwargs["finetuned_from"] = model_name
    if task is not None:
        kwargs["language"] = "en"
        kwargs["dataset_tags"] = "glue"
        kwargs["dataset_args"] = task
        kwargs["dataset"] = f"GLUE {task.upper()}"

    if trainer.args.push_to_hub:
        if not trainer.args.do_train:
            kwargs["commit_message"] = "Evaluation"  # [hf_robust] the default is "End of training"
        trainer.push_to_hub(**kwargs)
    else:
        trainer.create_model_card(**kwargs)


def _mp_fn(index: int) -> None:
    # For xla_spawn (TPUs)
    main()


def command(name: str = "run_glue_robust.py") -> NoReturn:
    # The console commands run_glue_robust and hf-robust train
    leave(exit_code_of(name, main))


if __name__ == "__main__":
    command()

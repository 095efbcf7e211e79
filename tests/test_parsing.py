"""Parsing in two stages: first the method, then only the flags of this method."""

import dataclasses
import json
import logging
import re

import pytest
from transformers import TrainingArguments

from hf_robust.trainers import METHODS
from hf_robust.training.step_passes import passes_of
from hf_robust.wiring.parsing import as_resume, flags_of, parse_arguments

NEEDED = ["--model_name_or_path", "m", "--train_file", "t.csv", "--use_cpu"]


def parse(*tokens):
    return parse_arguments([*NEEDED, *tokens])


@pytest.fixture
def args_file(tmp_path):
    def write(**flags):
        path = tmp_path / "args.json"
        path.write_text(json.dumps({"model_name_or_path": "m", "train_file": "t.csv", "use_cpu": True, **flags}))
        return str(path)

    return write


@pytest.mark.parametrize("name", METHODS)
def test_each_method_gets_its_own_config(name):
    args = parse("--robust_method", name)
    assert args.method is METHODS[name] and type(args.training) is METHODS[name].config
    assert args.training.robust_method == name


def test_normal_is_the_default_and_run_glue_defaults_stand():
    args = parse()
    assert args.method.name == "normal" and args.attack.attacks == []
    assert args.data.max_seq_length == 128 and args.data.pad_to_max_length is True
    assert args.model.model_revision == "main" and args.model.use_fast_tokenizer is True


def test_every_flag_of_run_glue_is_taken():
    args = parse(
        "--task_name", "MRPC", "--dataset_config_name=c", "--max-seq-length", "64", "--overwrite_cache",
        "--pad_to_max_length", "False", "--max_train_samples", "5", "--max_eval_samples", "6",
        "--max_predict_samples", "7", "--validation_file", "v.csv", "--test_file", "e.csv", "--config_name", "c",
        "--tokenizer_name", "t", "--cache_dir", "d", "--no_use_fast_tokenizer", "--model_revision", "r", "--token",
        "x", "--trust_remote_code", "--ignore_mismatched_sizes", "true", "--dataset_name", "n",
    )  # fmt: skip
    assert args.data.task_name == "mrpc" and args.data.max_seq_length == 64
    assert args.data.pad_to_max_length is False and args.data.max_predict_samples == 7
    assert args.model.use_fast_tokenizer is False and args.model.ignore_mismatched_sizes is True


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["--robust_method", "freelbb"], "--robust_method freelbb is unknown, choose one of normal, "),
        (["--robust_method"], "--robust_method True is unknown"),
        (
            ["--bat_margin", "0.5"],
            "--bat_margin belongs to --robust_method bat_pairwise or bat_triplet, and .* normal",
        ),
        (["--learning_rat", "1"], "--learning_rat is not a flag .*: did you mean --learning_rate"),
        (["--zzzz", "1"], "--zzzz is not a flag .*: --help lists"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--do_train", "maybe"], "--do_train"),
        (["--seed"], "argument --seed: expected one argument"),
        (["--run_name", "two", "words"], "words does not belong to a flag"),
        (["--attacks", "sinonym"], "--attacks must be among"),
        (["--task_name", "sst3"], "is not a GLUE task"),
        (["--lora_rank", "-1"], "--lora_rank must be at least 0"),
        (
            ["--vocabulary_size", "9"],
            "--vocabulary_size is for a new lstm or cnn, and m has a vocabulary: leave it out",
        ),
        (["--word_vectors", "v.txt"], "nothing in this run reads --word_vectors v.txt: m has its own embeddings, and"),
        (["--word_vectors", "v.txt", "--attacks", "textfooler"], "nothing in this run reads --word_vectors v.txt"),
        (
            ["--word_vectors", "v.txt", "--attacks", "iga", "--attack_backend", "textattack"],
            "nothing in this run reads --word_vectors v.txt",
        ),
    ],
)
def test_wrong_flags_are_one_sentence(tokens, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        parse(*tokens)
    assert "\n" not in str(caught.value)


def test_one_flag_gives_vectors_to_a_new_model_and_to_attacks(caplog):
    for model in ("lstm", "cnn"):
        assert parse("--model_name_or_path", model, "--word_vectors", "v.txt").attack.word_vectors == "v.txt"
    assert not [record for record in caplog.records if record.name.startswith("hf_robust")]
    with caplog.at_level(logging.INFO, "hf_robust"):
        parse("--word_vectors", "v.txt", "--attacks", "synonym", "iga", "hotflip")
    assert "--word_vectors is used by the attacks iga, hotflip only; m keeps its own embeddings" in caplog.text


def test_abbreviations_are_not_guessed():
    with pytest.raises(ValueError, match="--learning is not a flag"):
        parse("--learning", "1")


def test_missing_model_is_one_sentence():
    with pytest.raises(ValueError, match="required: --model_name_or_path"):
        parse_arguments(["--train_file", "t.csv"])


def helped(capsys, *tokens):
    with pytest.raises(SystemExit) as left:
        parse_arguments([*tokens, "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


def helped_of_all(capsys, *tokens):
    with pytest.raises(SystemExit):
        parse_arguments([*tokens, "--help", "all"])
    return capsys.readouterr().out


def flags_in(shown):
    return set(re.findall(r"^  --(\w+)", shown, flags=re.MULTILINE))


TRAINER = set(TrainingArguments.__dataclass_fields__) - {"_n_gpu", "local_rank"}
SCRIPT = {"model_name_or_path", "lora_rank", "task_name", "attacks", "certify", "baseline_run", "robust_method"}


def sections_in(shown):
    return re.findall(r"^([a-z][\w' ]*):$", shown, flags=re.MULTILINE | re.IGNORECASE)


def test_help_shows_the_flags_of_the_script_in_short(capsys):
    shown = helped(capsys)
    assert flags_in(shown) >= SCRIPT and not flags_in(shown) & TRAINER
    assert sections_in(shown) == ["model", "data", "attacks", "certificates", "report", "training"]
    assert "--robust_method NAME --help" in shown and "bat_triplet" in shown and "bat_margin" not in shown
    words = " ".join(shown.split())
    assert "--help all" in words and "(default: 500)" in words
    assert len(shown.splitlines()) < 285


def test_help_all_shows_every_flag_with_its_default(capsys):
    shown = helped_of_all(capsys)
    assert flags_in(shown) >= SCRIPT | TRAINER and "(default: 500)" in shown and "bat_margin" not in shown
    assert sections_in(shown)[-2:] == ["training", "transformers' Trainer"]


def test_help_all_of_a_method_begins_with_its_own_flags(capsys):
    shown = helped_of_all(capsys, "--robust_method", "bat_triplet")
    assert flags_in(shown) >= SCRIPT | TRAINER
    assert sections_in(shown)[0] == "flags of bat_triplet" and sections_in(shown)[-1] == "transformers' Trainer"
    assert len(re.findall(r"^  --bat_margin ", shown, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize("name", METHODS)
def test_help_of_a_method_is_its_own_flags_and_short(name, capsys):
    shown, method = helped(capsys, "--robust_method", name), METHODS[name]
    own = {field.name for field in dataclasses.fields(method.config) if field.init}
    own -= set(METHODS["normal"].config.__dataclass_fields__)
    tables = {"synonyms": "lexicon", "antonyms": "antonym_lexicon"}
    assert flags_in(shown) == own | {tables[need] for need in method.needs if need in tables}
    assert METHODS.describe(name).idea in " ".join(shown.split()) and "--help all." in " ".join(shown.split()[-2:])
    assert len(shown.splitlines()) < 120
    assert ("--follow code is " in shown) == ("follow" in own) and "--follow code is ." not in shown
    steps = f"{passes_of(method).steps_of_normal:.2g}"
    said = " ".join(shown.split())
    assert f"it costs at most {steps} step{'' if steps == '1' else 's'} of normal." in said
    assert ("Making its texts costs extra." in said) == ("view_file" in own)


def test_args_file_values_are_read_and_later_flags_override_them(args_file):
    path = args_file(
        robust_method="bat_triplet", bat_margin=0.5, attacks=["synonym", "antonym"], learning_rate=1e-5,
        max_train_samples=None, do_eval=True, report_to=["tensorboard"], lr_scheduler_kwargs={"power": 2},
        run_name="--odd", class_names=[], baseline_run=["a", "b"], pad_to_max_length=False, adam_epsilon=1e-9,
    )  # fmt: skip
    args = parse_arguments([path, "--learning_rate", "0.5", "--attacks", "negation"])
    assert args.method.name == "bat_triplet" and args.training.bat_margin == 0.5
    assert args.training.learning_rate == 0.5 and args.attack.attacks == ["negation"]
    assert args.training.do_eval and args.training.report_to == ["tensorboard"]
    assert args.training.lr_scheduler_kwargs == {"power": 2} and args.training.run_name == "--odd"
    assert args.data.class_names == [] and args.report.baseline_run == ["a", "b"]
    assert args.data.pad_to_max_length is False and args.training.adam_epsilon == 1e-9
    assert args.data.max_train_samples is None


def test_keys_of_args_files_that_begin_with_an_underscore_are_remarks(args_file):
    path = args_file(_sources={"learning_rate": "a paper"}, _learning_rate=3, learning_rate=1e-5)
    assert parse_arguments([path]).training.learning_rate == 1e-5


def test_the_method_may_be_overridden_too(args_file):
    assert parse_arguments([args_file(robust_method="safer"), "--robust_method", "normal"]).method.name == "normal"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"learning_rates": 1}, "--learning_rates is not a flag"),
        ({"bat_margin": 1}, "--bat_margin belongs to --robust_method"),
        ({"seed": "x"}, "argument --seed: invalid int value"),
        ({"robust_method": "x"}, "--robust_method x is unknown"),
    ],
)
def test_args_files_are_strict(args_file, flags, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_arguments([args_file(**flags)])


@pytest.mark.parametrize(("text", "sentence"), [("{", "is not JSON"), ("[1]", "must hold one object of flags")])
def test_broken_args_files(tmp_path, text, sentence):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        parse_arguments([str(tmp_path / "x.json")])
    with pytest.raises(ValueError, match="cannot be read"):
        parse_arguments([str(tmp_path / "y.json")])


def test_the_lora_flags_are_those_of_the_model_or_of_the_method_that_adapts_layers():
    plain = parse("--robust_method", "fgm", "--lora_rank", "4")
    assert plain.model.lora_rank == 4 and not hasattr(plain.training, "lora_rank")
    adapted = parse("--robust_method", "adpmixup", "--lora_rank", "4", "--lora_target_modules", "query")
    assert (adapted.training.lora_rank, adapted.training.lora_target_modules) == (4, ["query"])
    assert adapted.model.lora_rank == 0 and parse("--robust_method", "adpmixup").training.lora_rank == 8


def test_args_files_take_flags_of_transformers_4(args_file):
    args = parse_arguments([args_file(evaluation_strategy="epoch", warmup_ratio=0.25, overwrite_output_dir=True)])
    assert args.training.eval_strategy == "epoch" and args.training.warmup_steps == 0.25
    assert parse_arguments([args_file(warmup_ratio=0.25), "--warmup_steps", "7"]).training.warmup_steps == 7


def test_resume_true_and_false_are_no_folders():
    assert parse("--resume_from_checkpoint", "True").training.resume_from_checkpoint is True
    assert parse("--resume_from_checkpoint", "false").training.resume_from_checkpoint is None
    assert parse("--resume_from_checkpoint", "out/x").training.resume_from_checkpoint == "out/x"
    assert as_resume(True) is True and as_resume(None) is None


BEST = ["--attacks", "synonym", "--eval_strategy", "epoch", "--metric_for_best_model"]


@pytest.mark.parametrize("metric", ["synonym_asr", "eval_synonym_asr"])
def test_a_success_rate_is_to_be_lowered_unless_told(metric, caplog):
    assert parse(*BEST, metric).training.greater_is_better is False
    assert "lower is better" in caplog.text
    assert parse(*BEST, metric, "--greater_is_better", "true").training.greater_is_better is True
    assert parse(*BEST, "synonym_robust_accuracy").training.greater_is_better is True
    certify = ["--certify", "epoch", "--eval_strategy", "epoch", "--metric_for_best_model"]
    assert parse(*certify, "abstained").training.greater_is_better is False
    assert parse(*certify, "certified_accuracy").training.greater_is_better is True
    assert parse("--metric_for_best_model", "accuracy").training.greater_is_better is True


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([*BEST, "synonym_asr", "--eval_strategy", "steps"], "it needs --eval_strategy epoch .got steps"),
        ([*BEST, "synonym_asr", "--attack_strategy", "end"], "--attack_strategy epoch .got end"),
        ([*BEST, "synonym_asr", "--attack_strategy", "no"], "--attack_strategy epoch .got no"),
        ([*BEST, "antonym_asr"], "needs its attack: add --attacks antonym"),
        (["--metric_for_best_model", "faster_genetic_asr"], "needs its attack: add --attacks faster_genetic"),
    ],
)
def test_a_best_metric_that_is_not_always_measured_is_refused(tokens, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(*tokens)


SST2 = ["--task_name", "sst2", "--eval_strategy", "epoch", "--metric_for_best_model"]


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ([*SST2, "eval_acuracy"], "acuracy is no metric of this run's evaluations: did you mean accuracy"),
        ([*SST2, "f1"], "f1 is no metric of this run's evaluations: there are loss, accuracy"),
        ([*SST2, "eval_accuracy_mm"], "accuracy_mm is no metric"),
        ([*SST2, "accuracy", "--metric_name", "f1_macro"], "there are loss, f1_macro"),
        ([*BEST, "synonm_asr"], "did you mean synonym_asr"),
        ([*BEST, "synonym_changed_words"], "exists only in epochs in which the synonym attack succeeds"),
        (
            [*BEST, "input_reduction_asr", "--attacks", "input_reduction"],
            "succeeds on every correctly classified text",
        ),
        ([*BEST, "negation_robust_accuracy", "--attacks", "negation"], "choose negation_asr"),
        (
            [*SST2, "union_robust_accuracy", "--attacks", "deepwordbug", "input_reduction"],
            "change the prediction, got 1",
        ),
        ([*SST2, "union_robust_accuracy", "--attacks", "deepwordbug", "file:a.jsonl"], "change the prediction, got 1"),
    ],
)
def test_a_best_metric_that_no_evaluation_holds_is_refused(tokens, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(*tokens)


@pytest.mark.parametrize(
    ("metric", "flags"),
    [
        ("eval_combined_score", ["--task_name", "mrpc"]),
        ("matthews_correlation", ["--task_name", "cola"]),
        ("mse", []),
        ("runtime", []),
        ("file_adv_glue_robust_accuracy", ["--attacks", "file:data/adv-glue.jsonl"]),
        ("input_reduction_queries", ["--attacks", "input_reduction"]),
        ("input-reduction_queries", ["--attacks", "input-reduction", "--attack_backend", "textattack"]),
        ("vote_accuracy", ["--attacks", "synonym", "--attack_votes", "3"]),
    ],
)
def test_metrics_that_an_evaluation_holds_pass(metric, flags):
    parse(*flags, "--eval_strategy", "epoch", "--metric_for_best_model", metric)


def test_flags_of_a_command_line():
    assert flags_of(["x", "--a", "--b-c", "1", "--d=2", "--e", "-1", "f"]) == {
        "a": True,
        "b_c": "1",
        "d": "2",
        "e": ["-1", "f"],
    }


@pytest.mark.parametrize(
    "trackers", [["tensorboard"], ["tensorboard", "trackio"], ["tensorboard", "trackio", "wandb"]]
)
def test_several_trackers_can_be_named(trackers):
    args = parse_arguments([*NEEDED, "--report_to", *trackers])
    assert args.training.report_to == trackers


@pytest.mark.parametrize(("given", "meant"), [("false", False), ("False", False), ("me/space", "me/space")])
def test_trackio_can_be_kept_off_the_hub(given, meant):
    flags = [*NEEDED, "--trackio_static_space_id", given]
    assert parse_arguments(flags).training.trackio_static_space_id == meant


def test_the_worst_of_several_attacks_may_choose_the_best_model():
    several = ["--attacks", "synonym", "textfooler", *BEST[2:]]
    assert parse(*several, "union_robust_accuracy").training.greater_is_better is True
    with pytest.raises(ValueError, match="union_robust_accuracy needs at least two attacks"):
        parse("--attacks", "synonym", "antonym", *BEST[2:], "eval_union_robust_accuracy")


def test_bounds_that_nothing_keeps_to_are_refused():
    with pytest.raises(ValueError, match="--protect urls numbers binds attacks, votes, certificates"):
        parse("--protect", "urls", "numbers")
    with pytest.raises(ValueError, match="reads --attack_max_changed 0.3: it is for attacks that search for texts"):
        parse("--attack_max_changed", "0.3", "--attacks", "file:texts.jsonl")
    with pytest.raises(ValueError, match="reads --attack_max_changed 0.3"):
        parse("--attack_max_changed", "0.3", "--attacks", "synonym", "--attack_strategy", "no")
    both = ["--protect", "urls", "--attack_max_changed", "0.3"]
    for flags in (["--attacks", "synonym"], ["--robust_method", "ada"]):
        assert parse(*flags, *both).attack.attack_max_changed == 0.3
    for flags in (["--robust_method", "safer"], ["--robust_method", "gradient_mask"], ["--certify", "end"]):
        assert parse(*flags, "--protect", "urls").attack.protect == ["urls"]


def test_protected_words_are_read_when_flags_are(tmp_path):
    with pytest.raises(ValueError, match="none.txt cannot be read"):
        parse("--attacks", "synonym", "--protect", f"word:{tmp_path / 'none.txt'}")

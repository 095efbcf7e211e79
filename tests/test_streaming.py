"""``--streaming`` trains as rows in memory do, resumes exactly, and refuses what needs all rows."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny import build_model, build_tokenizer, review_rows

from hf_robust.trainers import METHODS
from hf_robust.wiring.parsing import parse_flags
from run_glue_robust import main

FLAGS = (
    "--do_train --do_eval --per_device_train_batch_size 4 --learning_rate 1e-2 --use_cpu --report_to none "
    "--disable_tqdm true --seed 7 --max_seq_length 16"
).split()
SEQUENTIAL = ["--train_sampling_strategy", "sequential"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    for dropout in (0.0, 0.1):
        build_model("bert", dropout=dropout).save_pretrained(folder / f"model_{dropout}")
        build_tokenizer().save_pretrained(folder / f"model_{dropout}")
    for name, count in (("train", 24), ("validation", 8)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows(count)))
    return folder


def run(data, out, *flags, dropout=0.1):
    files = [f"--{name}_file={data / name}.jsonl" for name in ("train", "validation")]
    main(["--model_name_or_path", str(data / f"model_{dropout}"), *files, "--output_dir", str(out), *FLAGS, *flags])
    return load_file(out / "model.safetensors")


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# A new pass over rows in memory draws from the random numbers of dropout, and that of a stream does not.
@pytest.mark.parametrize(("passes", "dropout"), [(1, 0.1), (2, 0.0)])
@pytest.mark.parametrize("method", ["normal", "freelb"])
def test_a_stream_in_order_trains_the_weights_of_rows_in_memory(data, tmp_path, method, passes, dropout):
    flags = ["--max_steps", str(6 * passes), "--robust_method", method, "--save_strategy", "no", *SEQUENTIAL]
    flags += ["--adv_init_mag", "0"] if method == "freelb" and not dropout else []  # a start without random numbers
    streamed = run(data, tmp_path / "streamed", "--streaming", *flags, dropout=dropout)
    assert equal(streamed, run(data, tmp_path / "in_memory", *flags, dropout=dropout))
    card = json.loads((tmp_path / "streamed" / "run_card.json").read_text())
    assert card["data"]["streaming"] == {"shuffled_rows": 0} and "train.jsonl (streamed)" in card["data"]["variant"]


def test_a_resumed_run_reads_on_in_the_second_pass(data, tmp_path):
    flags = ["--streaming", "--max_steps", "10", "--save_steps", "8"]
    whole = run(data, tmp_path / "whole", *flags)
    shutil.copytree(tmp_path / "whole" / "checkpoint-8", tmp_path / "part" / "checkpoint-8")
    checkpoint = str(tmp_path / "part" / "checkpoint-8")
    assert equal(whole, run(data, tmp_path / "part", *flags, "--resume_from_checkpoint", checkpoint))
    in_order = run(data, tmp_path / "in_order", *flags, *SEQUENTIAL)
    assert not equal(whole, in_order)


def parsed(out, **flags):
    given = {"train_file": "train.jsonl", "model_name_or_path": "m", "do_train": True, "max_steps": 5, "use_cpu": True}
    return parse_flags({"output_dir": str(out), "streaming": True, **given, **flags})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"do_train": False}, "nothing is trained: add --do_train"),
        ({"max_steps": -1}, "set the length of the training by --max_steps"),
        ({"max_train_samples": 3}, "--max_train_samples does not work with --streaming"),
        ({"shuffle_train_dataset": True}, "--shuffle_train_dataset does not work with --streaming"),
        ({"extra_rows": ["views.jsonl"]}, "--extra_rows does not work with --streaming"),
        ({"model_name_or_path": "lstm"}, "--model_name_or_path lstm does not work with --streaming"),
        ({"train_sampling_strategy": "group_by_length"}, "group_by_length does not work with --streaming"),
        ({"dataloader_num_workers": 2}, "--dataloader_num_workers 2 does not work with --streaming"),
    ],
)
def test_flags_that_need_all_rows_are_refused_before_anything_is_loaded(tmp_path, flags, message):
    with pytest.raises(ValueError, match=message):
        parsed(tmp_path, **flags)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_streams_if_it_makes_no_views(tmp_path, method):
    makes_views = "view_sources" in {name for kind in METHODS[method].__mro__[:2] for name in vars(kind)}
    if makes_views or method == "flooding_x":
        with pytest.raises(ValueError, match=f"--streaming keeps no training rows in memory, and {method} "):
            parsed(tmp_path, robust_method=method)
    else:
        assert parsed(tmp_path, robust_method=method).data.streaming
    if method == "flooding_x":
        assert parsed(tmp_path, robust_method=method, flood_level="0.1").data.streaming

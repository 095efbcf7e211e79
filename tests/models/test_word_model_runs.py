"""The LSTM and the CNN through the training script, the console command and the model card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer
from word_models import KINDS, write_vectors

from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.hub.loading import add_loading
from hf_robust.models import read_source
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.checkpoints import load_config, load_model, load_tokenizer
from run_glue_robust import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SMALL = ["--max_train_samples", "32", "--max_eval_samples", "16", "--attack_num_examples", "4"]
LABELS = named_labels(("no", "yes"))


def run(model: str | Path, out: Path, *flags: str) -> dict[str, Any]:
    """Train one epoch on the demo corpus, attack, and return all_results.json."""
    main(
        [
            "--model_name_or_path", str(model), "--dataset_name", "demo", "--do_train", "--do_eval", "--output_dir",
            str(out), "--num_train_epochs", "1", "--max_seq_length", "24", "--use_cpu", "--save_strategy", "no",
            "--report_to", "none", "--disable_tqdm", "True", "--attacks", "synonym", "--lexicon", "builtin",
            *SMALL, *flags,
        ]
    )  # fmt: skip
    return dict(json.loads((out / "all_results.json").read_text()))


@pytest.mark.parametrize("method", ["normal", "pgd"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_script_trains_saves_and_attacks(kind: str, method: str, tmp_path: Path) -> None:
    vectors, out = tmp_path / "v.txt", tmp_path / "out"
    write_vectors(vectors, ["soup", "tasty", "unheardof"], width=8)
    found = run(kind, out, "--robust_method", method, "--word_vectors", str(vectors))
    assert found["train_samples"] == 32 and "eval_synonym_asr" in found and found["train_loss"] > 0
    assert load_file(out / "model.safetensors")["embeddings.weight"].shape[1] == 8
    card = json.loads((out / "run_card.json").read_text())
    assert card["method"] == method and card["model"].endswith("ForSequenceClassification, from scratch")
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = tokenizer("the SOUP was unheardof, zzz")["input_ids"]
    assert ids.count(tokenizer.unk_token_id) == 1 and len(ids) == 8
    readme = (out / "README.md").read_text()
    assert (
        readme.count("## Load the model") == 1
        and "import hf_robust.models" in readme
        and "fine-tuned version" not in readme
    )
    # A saved model is an ordinary checkpoint: it can be trained further, or attacked without training.
    model, _ = load_classifier(str(out))
    assert model.config.id2label == {0: "agree", 1: "disagree"} and not model.training


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_folder_is_trained_on_and_attacked_by_a_fresh_process(kind: str, tmp_path: Path) -> None:
    run(kind, tmp_path / "first")
    run(tmp_path / "first", tmp_path / "second", "--learning_rate", "0")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    rows = [{"sentence1": "The soup was tasty.", "sentence2": "Indeed, it was nice.", "label": "agree"}] * 2
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["attack", str(tmp_path / "first"), "--data", str(tmp_path / "rows.jsonl"), "--attacks", "synonym"]
    code = "import sys; from hf_robust.cli.main import main; sys.exit(main(sys.argv[1:]))"
    given = [*command, "--output_dir", str(tmp_path / "attacked"), "--lexicon", "builtin"]
    done = subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "attacked" / "attack_summary.json").read_text())["results"]["synonym"]


# ---- how a run starts ----


def start(kind: str, vectors: Path | None = None, **flags: Any) -> tuple[Any, Any]:
    """Model and tokenizer as the script makes them, of two training texts."""
    args = ModelArguments(model_name_or_path=kind, **flags)
    words = read_source(["a good film", "a bad film"], None if vectors is None else str(vectors))
    config = load_config(args)
    tokenizer = load_tokenizer(args, words)
    return load_model(args, config, LABELS, tokenizer, words), tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_start_from_the_vectors_and_train_unless_frozen(kind: str, tmp_path: Path) -> None:
    numbers = write_vectors(tmp_path / "v.txt", ["film", "movie"])
    for frozen in (False, True):
        model, tokenizer = start(kind, tmp_path / "v.txt", freeze_embeddings=frozen)
        table = model.get_input_embeddings().weight
        rows = tokenizer.convert_tokens_to_ids(["film", "movie"])
        assert torch.equal(table[rows], torch.from_numpy(numbers)) and table.requires_grad is not frozen
        assert len(table) == len(tokenizer) == model.config.vocab_size == 10
        assert model.config.pad_token_id == tokenizer.pad_token_id == model.embeddings.padding_idx


@pytest.mark.parametrize("kind", KINDS)
def test_random_word_vectors_are_not_frozen(kind: str) -> None:
    with pytest.raises(ValueError, match=f"those of a new {kind} without --word_vectors are random: give --word_vec"):
        start(kind, freeze_embeddings=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_model_has_the_sizes_of_flat(kind: str, tmp_path: Path) -> None:
    """``hidden_dim``, ``kernel_num``, ``kernel_sizes`` and ``dropout`` of its repository."""
    write_vectors(tmp_path / "v.txt", ["film"], width=6)
    model, _ = start(kind, tmp_path / "v.txt")
    rates = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {"dropout": 0.2, "embedding_dropout": 0.2 if kind == "lstm" else 0.0}
    assert model.embeddings.embedding_dim == 6 and load_config(ModelArguments(kind)).embedding_size == 300
    if kind == "lstm":
        assert model.lstm.weight_hh_l0.shape == (4 * 300, 300)
    else:
        assert [tuple(layer.weight.shape) for layer in model.filters] == [(200, 6, width) for width in (3, 4, 5)]


def test_sizes_come_from_config_name(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"model_type": "hf_robust_lstm", "hidden_size": 9, "embedding_size": 4}')
    model, _ = start("lstm", config_name=str(tmp_path / "c.json"))
    assert model.lstm.weight_hh_l0.shape == (36, 9) and model.embeddings.embedding_dim == 4
    with pytest.raises(ValueError, match="--model_name_or_path cnn needs a configuration of type hf_robust_cnn, and"):
        start("cnn", config_name=str(tmp_path / "c.json"))
    write_vectors(tmp_path / "v.txt", ["film"], width=5)
    with pytest.raises(ValueError, match="have width 5 and the model's embedding_size is 4"):
        start("lstm", tmp_path / "v.txt", config_name=str(tmp_path / "c.json"))


def test_another_tokenizer_gives_the_rows(tmp_path: Path) -> None:
    numbers = write_vectors(tmp_path / "v.txt", ["film", "movie"])
    start("cnn")[1].save_pretrained(tmp_path / "tokenizer")
    model, tokenizer = start("cnn", tmp_path / "v.txt", tokenizer_name=str(tmp_path / "tokenizer"))
    row = tokenizer.convert_tokens_to_ids("film")
    assert "movie" not in tokenizer.get_vocab() and torch.equal(model.embeddings.weight[row], torch.tensor(numbers[0]))


# ---- what cannot work ----


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--word_vectors", "nowhere.txt"], "The word vectors at nowhere.txt cannot be read"),
        (["--vocabulary_size", "3"], "--vocabulary_size must be above 5"),
        (["--remove_splits", "train"], "needs a train split"),
    ],
)
def test_bad_input_is_one_sentence(flags: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        run("lstm", tmp_path / "out", *flags)
    assert "\n" not in str(caught.value)


def test_other_cards_stay_as_they_are(tmp_path: Path) -> None:
    card = "---\nmodel_name: mine\n---\n\n# A model\n"
    (tmp_path / "README.md").write_text(card)
    for config in ("{}", '{"model_type": "bert"}'):
        (tmp_path / "config.json").write_text(config)
        add_loading(tmp_path)
        assert (tmp_path / "README.md").read_text() == card
    (tmp_path / "config.json").write_text('{"model_type": "hf_robust_cnn"}')
    for _ in range(2):
        add_loading(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.count("import hf_robust.models") == 1 and 'AutoTokenizer.from_pretrained("mine")' in text

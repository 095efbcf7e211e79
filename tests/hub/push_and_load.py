"""Run by test_push.py in a process of its own, since huggingface_hub reads HF_ENDPOINT when it is imported.

Trains a tiny model for each way of pushing, loads it back from the hub, and writes what it saw to a JSON file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from tiny import SYNONYMS, build_model, build_tokenizer, build_trainer, review_data, review_rows, table
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hf_robust import attack as attack_any
from hf_robust.attacks import ATTACKS, Example, Resources, Victim
from hf_robust.callbacks import AttackCallback, CurvesCallback, RunCardCallback, TrackersCallback
from hf_robust.hub.card import add_robustness
from hf_robust.hub.loading import add_loading
from hf_robust.models.trained import load_trained
from hf_robust.trainers import METHODS
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.restored import restore_inference
from run_glue_robust import main as run_script

TEXTS = [("a good film.",), ("the dreadful plot was cold",)]
STRATEGIES = ("end", "every_save", "checkpoint", "all_checkpoints")


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    batch = tokenizer(["a good film.", "the dreadful plot was cold"], padding=True, return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**batch).logits


def push(work: Path, name: str, strategy: str, method: str = "safer", model: Any = None, **options: Any) -> Any:
    """Train from a local folder, as the script does it, with a token by flag (and another in the environment)."""
    data = review_data(24, seed=1)
    base = AutoModelForSequenceClassification.from_pretrained(work / "_base") if model is None else model
    trainer = build_trainer(
        method,
        work / name,
        model=base,
        eval_data=data,
        **{"num_train_epochs": 2, "max_steps": -1, "load_best_model_at_end": False, **options},
        eval_strategy="epoch",
        save_strategy="epoch",
        report_to="tensorboard",
        hub_token=sys.argv[sys.argv.index("--hub_token") + 1],
        push_to_hub=True,
        hub_model_id=f"me/{name}",
        hub_strategy=strategy,
        hub_always_push=True,
    )
    synonyms = table(SYNONYMS, "synonym")
    attack = ATTACKS["synonym"](Resources(synonyms=synonyms))
    examples = [Example(i, data.texts(i), int(data.label(i))) for i in range(12)]
    AttackCallback({"synonym": attack}, examples).attach(trainer)
    card = {"name": "reviews", "eval_samples": len(data), "train_samples": 16, "attack_split": "validation"}
    trainer.add_callback(
        RunCardCallback(
            card,
            {"synonyms": {**synonyms.describe(), "source": str(work / "table.json")}},
            {"synonym": attack.describe()},
            method,
            citation=METHODS[method].citation,
            trained_on=("synonyms",),
        )
    )
    trainer.add_callback(CurvesCallback())
    TrackersCallback().attach(trainer)
    trainer.card_writers += [add_loading, add_robustness]
    trainer.train()
    trainer.save_state()
    trainer.push_to_hub(dataset="Reviews", dataset_tags="reviews", tags=["mine"])
    return trainer


def evaluate(work: Path, model: Path) -> None:
    """Publish a model that the script only evaluates."""
    rows = work / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in review_rows(12)))
    flags = ["--do_eval", "--attacks", "synonym", "--lexicon", "builtin", "--pos_tagger", "none", "--use_cpu"]
    flags += ["--class_names", "bad", "good", "--push_to_hub", "--hub_model_id", "me/evaluated", *sys.argv[2:]]
    files = [
        "--model_name_or_path",
        str(model),
        "--validation_file",
        str(rows),
        "--output_dir",
        str(work / "evaluated"),
    ]
    run_script([*files, *flags])


def main(work: Path) -> None:
    tokenizer, report = build_tokenizer(), {}
    build_model().save_pretrained(work / "_base")
    for strategy in STRATEGIES:
        trainer = push(work, strategy, strategy, method="safer" if strategy == "end" else "normal")
        back = AutoModelForSequenceClassification.from_pretrained(f"me/{strategy}")
        theirs = AutoTokenizer.from_pretrained(f"me/{strategy}")
        report[strategy] = torch.equal(logits(back, theirs), logits(trainer.model, tokenizer))
    flags: dict[str, Any] = {"lexicon": SYNONYMS, "pos_tagger": "none"}
    rows = [(text, label) for (text,), label in zip(TEXTS, (1, 0), strict=True)] * 4
    by_id, by_model = (attack_any(victim, rows, ["synonym"], **flags) for victim in (f"me/{strategy}", (back, theirs)))
    report["attack by hub id"] = by_id.records == by_model.records and len(by_id.records["synonym"]) == 8
    folder = "last-checkpoint"
    last = AutoModelForSequenceClassification.from_pretrained("me/checkpoint", subfolder=folder)
    first = AutoModelForSequenceClassification.from_pretrained("me/all_checkpoints", subfolder="checkpoint-2")
    local = AutoModelForSequenceClassification.from_pretrained(work / "all_checkpoints" / "checkpoint-2")
    report["last-checkpoint"] = torch.equal(logits(last, tokenizer), logits(back, tokenizer))
    report["checkpoint-2"] = torch.equal(logits(first, tokenizer), logits(local, tokenizer))
    report["checkpoint-2 is not the end"] = not torch.equal(logits(first, tokenizer), logits(back, tokenizer))

    evaluate(work, work / "end")
    back = AutoModelForSequenceClassification.from_pretrained("me/evaluated")
    trained = AutoModelForSequenceClassification.from_pretrained("me/end")
    report["evaluated"] = torch.equal(logits(back, tokenizer), logits(trained, tokenizer))

    for method in ("flat", "taichi"):
        push(work, method, "end", method, num_train_epochs=1, load_best_model_at_end=True, view_cache=str(work / "_v"))

    trainer = push(work, "block", "end", "flat", num_train_epochs=1, mask_input="block", view_cache=str(work / "_v"))
    back, theirs = load_classifier("me/block", "cpu")
    masked = Victim(back, theirs, inference=restore_inference("me/block", back, theirs).inference)
    own = Victim(trainer.model, tokenizer, inference=trainer.inference)
    report["block mask"] = (masked.probabilities(TEXTS) == own.probabilities(TEXTS)).all().item()
    report["block mask differs"] = (Victim(back, theirs).probabilities(TEXTS) != own.probabilities(TEXTS)).any().item()

    build_model().push_to_hub("me/base")
    names = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    base = AutoModelForSequenceClassification.from_pretrained("me/base", **names)
    adapters = LoraConfig(task_type=TaskType.SEQ_CLS, r=2, target_modules=["query", "value"])
    trainer = push(work, "adapter", "every_save", model=get_peft_model(base, adapters))
    wanted = logits(trainer.model, tokenizer)
    report["adapter by transformers"] = torch.equal(
        logits(AutoModelForSequenceClassification.from_pretrained("me/adapter"), tokenizer), wanted
    )
    fresh = AutoModelForSequenceClassification.from_pretrained("me/base")
    report["adapter differs from its base"] = not torch.equal(logits(fresh, tokenizer), wanted)
    report["adapter by peft"] = torch.equal(logits(PeftModel.from_pretrained(fresh, "me/adapter"), tokenizer), wanted)
    ours = load_trained("me/adapter")
    report["adapter by us"] = torch.equal(logits(ours, tokenizer), wanted)
    lines: dict[str, Any] = {}
    card = (work / "adapter" / "README.md").read_text()
    exec(card.split("```python\n")[1].split("```")[0].replace('"adapter"', '"me/adapter"'), lines)
    report["adapter by its card"] = torch.equal(logits(lines["model"], tokenizer), wanted)
    report["adapter has its names"] = all(
        one.config.id2label == {0: "bad", 1: "good"} for one in (ours, lines["model"])
    )
    (work / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

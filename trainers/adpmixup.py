"""adpmixup: one LoRA adapter for clean texts and one for each attack, mixed for each text by their entropies."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_robust.attacks.engine.victim import Inference
from hf_robust.data import split_views, stack_rows
from hf_robust.data.arguments import LoRAArguments
from hf_robust.models.weights import is_new
from hf_robust.modules.adapters import CLEAN, Adapters, find_heads, find_targets, freeze_all_but, load_adapters
from hf_robust.modules.auxiliary import Auxiliary, is_checkpoint
from hf_robust.modules.saved_inference import Fetch, SavedInference
from hf_robust.training.arguments import check_choice, check_hub_strategy, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes
from hf_robust.training.text_views import attacked_views, trainable_rows
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import ViewSource

logger = logging.getLogger(__name__)

MIXINGS = ("weights", "outputs", "clean")
BOTH, ATTACKED = "both", "attacked"
FOLDER = "adapters"


@dataclass
class AdpMixupConfig(AttackedViewArguments, LoRAArguments):
    """LoRA's arguments are those of its paper; the formula of the mixing is ours, after the paper's idea."""

    lora_rank: int = field(default=8, metadata={"help": "Rank of each LoRA adapter."}, kw_only=True)
    adapter_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the adapters. Default: --learning_rate."}
    )
    adpmixup_rows: str = field(
        default=BOTH,
        metadata={
            "help": "Texts that train an attack's adapter: the clean texts and the attack's (both), or only the "
            "attack's (attacked), from which it learns to flip labels.",
            "choices": [BOTH, ATTACKED],
        },
    )
    adpmixup_mixing: str = field(
        default="weights",
        metadata={
            "help": "What is mixed for each text: the weights of the adapters, their outputs (one forward fewer), or "
            "nothing (clean: the clean adapter predicts alone).",
            "choices": list(MIXINGS),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hub_strategy(self, "adpmixup")
        check_range("lora_rank", self.lora_rank, 1, None, "8 is LoRA's usual rank")
        check_range("lora_alpha", self.lora_alpha, 0.0, None, "twice the rank is usual")
        check_range("lora_dropout", self.lora_dropout, 0.0, 1.0, "0 is none")
        check_choice("adpmixup_rows", self.adpmixup_rows, (BOTH, ATTACKED))
        check_choice("adpmixup_mixing", self.adpmixup_mixing, MIXINGS)


class AdpMixupTrainer(RobustTrainer):
    r"""Nguyen and Le 2024, arXiv:2401.10111; the mixing formula is ours, after the paper's idea.

    .. math:: L = \frac{1}{|D|}\sum_{(x,y)\in D}\mathrm{CE}(f_{\theta_c}(x),y)
              + \sum_a\frac{1}{|D\cup D_a|}\sum_{(x,y)\in D\cup D_a}\mathrm{CE}(f_{\theta_a}(x),y)

    ``x`` is (B, L) token ids and ``y`` (B,) class ids. The encoder is frozen; theta_c and theta_a are LoRA adapters,
    the head is shared and learns from all rows. D_a holds the texts by which attack a fooled a model that was
    fine-tuned plainly, with all its weights. One forward and one backward a step, over the rows of all adapters
    stacked, each row through its own adapter.

    With ``--adpmixup_rows attacked`` an attack's adapter trains on D_a alone, as in the paper's first version. A plain
    model takes all of these texts for another class; if they differ little from clean texts, the adapter learns to
    answer with the other class, is surer than the clean adapter, and pulls the mix below chance.

    A text is predicted with the mix of adapters that :func:`mixing_shares` gives it (products B A are mixed). One
    batched forward gives each row its own mix, exactly; with K attacks a prediction takes K + 2 forwards.
    ``--adpmixup_mixing outputs`` mixes the K + 1 probabilities instead.

    ``from_pretrained`` loads the encoder with the clean adapter merged into it, since a plain model has the same
    weights for all texts. ``adapters/<name>`` holds each adapter in PEFT's format, for the checkpoint that training
    started from; ``load_adapters`` mixes them again, as ``hf-robust`` does when it measures the run. Folders
    ``checkpoint-*`` hold the unchanged encoder, for resuming.

    Differs from the paper: LoRA replaces Houlsby's adapters; the head is shared, so that a mix of adapters is a model;
    with several attacks their mixes with the clean adapter are averaged; the attacks' adapters train on clean texts
    too.
    """

    name = "adpmixup"
    family = "attacked or masked texts"
    citation = "nguyen2024adpmixup"
    config = AdpMixupConfig
    needs = ("attacks",)
    presets = ("adpmixup.json",)
    plain_inference = {"adpmixup_mixing": "clean"}
    trains_lora = False
    row_wise = {"lora_dropout": 0.0}

    if TYPE_CHECKING:
        args: AdpMixupConfig

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = 1 + args.views_per_text * (2 if args.adpmixup_rows == BOTH else 1)
        return Passes(count, count)

    def view_sources(self) -> Mapping[str, ViewSource]:
        return attacked_views(self)

    def auxiliary(self) -> Auxiliary:
        model, args = self.model, self.args
        if hasattr(model, "peft_config"):
            raise ValueError(
                "adpmixup makes adapters of its own (of --lora_rank), and this model has adapters already; merge "
                "them first."
            )
        if is_new(model):
            logger.warning("adpmixup does not train the encoder, and its weights are random; start from a checkpoint.")
        self.heads, self.targets = find_heads(model), find_targets(model, args.lora_target_modules)
        self.adapters = Adapters(
            model,
            [CLEAN, *self.view_names],
            self.targets,
            rank=args.lora_rank,
            alpha=args.lora_alpha,
            dropout=args.lora_dropout,
            seed=args.seed,
        )
        return Auxiliary(self.adapters, args.adapter_learning_rate, frozen=freeze_all_but(model, self.heads))

    def used_arguments(self) -> dict[str, Any]:
        if self._auxiliary is None:
            return {}
        rate = self.args.adapter_learning_rate
        return {
            "lora_target_modules": sorted({name.rpartition(".")[2] for name in self.targets}),
            "adapter_learning_rate": self.args.learning_rate if rate is None else rate,
        }

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        if not self.view_share:  # without views the other adapters are untrained
            return model(**batch)
        return mixed_outputs(self.adapters, model, batch, self.args.adpmixup_mixing)

    def saved_inference(self, folder: Path) -> SavedInference | None:
        if self._auxiliary is None:
            return None
        if is_checkpoint(folder):
            return SavedInference(
                self.name,
                "A checkpoint of adpmixup holds the encoder and its adapters separately, and `from_pretrained` loads "
                "the encoder without them; the folder of the run has the clean adapter merged and all adapters.",
            )
        if not self.view_share or self.args.adpmixup_mixing == "clean":
            return None
        return SavedInference(
            self.name,
            "The rates were measured with the adapters mixed for each text. `from_pretrained` loads the clean adapter "
            f"merged, since a plain model cannot mix; `{FOLDER}/` holds all adapters.",
            {"mixing": self.args.adpmixup_mixing, "adapters": list(self.adapters.names)},
        )

    @classmethod
    def restored(cls, model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> Inference:
        folders = []
        for name in settings["adapters"]:
            fetch(f"{FOLDER}/{name}/adapter_model.safetensors")
            folders.append(fetch(f"{FOLDER}/{name}/adapter_config.json").parent)
        adapters = load_adapters(model, folders)
        adapters.unmerge(model, CLEAN)

        def mixed(model: nn.Module, batch: Batch) -> Any:
            return mixed_outputs(adapters, model, batch, settings["mixing"])

        return mixed

    def exported(self, folder: Path) -> AbstractContextManager[Any]:
        return self._exported(Path(folder))

    @contextmanager
    def _exported(self, folder: Path) -> Iterator[None]:
        if self._auxiliary is None or is_checkpoint(folder):
            yield
            return
        self.adapters.save(folder / FOLDER, self.model, self.heads, self.processing_class, self.args.should_save)
        if self.args.should_save:
            logger.warning(
                "%s holds the clean adapter merged, since a plain model cannot mix adapters; all adapters are in %s.",
                folder,
                folder / FOLDER,
            )
        with self.adapters.merged(self.model, CLEAN):
            yield

    def _check_every_attack_succeeded(self) -> None:
        empty = [name for name in self.view_names if not self._share(name)]
        if empty and self.view_share:
            raise ValueError(
                f"{', '.join(empty)} found no adversarial example, so that its adapter would be untrained; leave it "
                "out of --view_attacks (or --view_file)."
            )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self._check_every_attack_succeeded()
        main, views = split_views(inputs, self.view_names)
        parts = [(CLEAN, main, 1.0)]
        for name, view in views.items():
            parts += self._parts_of(name, main, trainable_rows(view))
        rows = [self.adapters.alone(name, len(batch["labels"])) for name, batch, _ in parts]
        self.adapters.train_with(torch.cat(rows))
        if len(parts) == 1:
            loss, outputs = self.task_loss(model, main)
            self.log_parts(clean=loss, views=torch.zeros_like(loss))
            return (loss, outputs) if return_outputs else loss
        stacked = stack_rows([batch for _, batch, _ in parts], self.processing_class)
        labels = stacked.pop("labels")
        outputs = model(**stacked)
        losses = torch.split(self.sample_losses(outputs["logits"], labels), [len(one) for one in rows])
        divisor = self.mean_divisor(main)
        clean, *others = (part.sum() / (divisor * size) for part, (_, _, size) in zip(losses, parts, strict=True))
        attacked = torch.stack(others).sum()
        self.log_parts(clean=clean, views=attacked)
        loss = clean + attacked
        return (loss, outputs) if return_outputs else loss

    def _parts_of(self, name: str, main: Batch, attacked: Batch) -> list[tuple[str, Batch, float]]:
        """The rows that an attack's adapter trains on, each part with the adapter's rows for each training text.

        That number counts the views of the whole training set, not of this batch: it does not depend on how batches
        are split.
        """
        share, both = self._share(name), self.args.adpmixup_rows == BOTH
        batches = [main, attacked] if both and share else [attacked]
        return [(name, batch, share + both) for batch in batches if len(batch["labels"])]

    def _share(self, name: str) -> float:
        return 0.0 if self.generation is None else self.generation.sources[name].share


def mixing_shares(clean: Tensor, attacked: Tensor) -> Tensor:
    r"""(B, 1 + m) weights of the clean adapter and of those of m attacks, for each row.

    .. math:: \beta_a = \frac{H_a}{H_c + H_a},\qquad
              \theta = \frac1m\sum_a \beta_a\theta_c + (1 - \beta_a)\theta_a

    with H the entropies of the predictions: the adapter with the lower entropy weighs more. If both are 0, beta
    is 1/2.

    Args:
        clean: (B, K) logits of the clean adapter.
        attacked: (m, B, K) logits of the others.
    """
    clean_entropy, others = _entropy(clean), _entropy(attacked)
    both = clean_entropy + others
    beta = torch.where(both > 0, others / both.clamp_min(torch.finfo(both.dtype).tiny), torch.full_like(both, 0.5))
    return torch.cat([beta.mean(0, keepdim=True), (1.0 - beta) / len(beta)]).t()


def _entropy(logits: Tensor) -> Tensor:
    logs = logits.float().log_softmax(-1)
    entropy: Tensor = -(logs.exp() * logs).sum(-1)
    return entropy.clamp_min(0.0)


def mixed_outputs(adapters: Adapters, model: nn.Module, batch: Batch, mixing: str = "weights") -> Any:
    """The model's outputs for a batch of B rows with each row's own mix of adapters, in eval mode.

    ``weights`` mixes the adapters, ``outputs`` their probabilities; ``clean`` does not mix.
    """
    rows = len(batch["input_ids"])
    if mixing == "clean" or len(adapters.names) == 1:
        return model(**batch)
    plain = {key: value for key, value in batch.items() if key != "labels"}
    logits = []
    for name in adapters.names:
        with adapters.sharing(adapters.alone(name, rows)):
            logits.append(model(**plain)["logits"])
    shares = mixing_shares(logits[0], torch.stack(logits[1:]))
    if mixing == "weights":
        with adapters.sharing(shares):
            return model(**batch)
    probabilities = torch.stack(logits, dim=1).float().softmax(-1)
    mixed = (probabilities * shares.unsqueeze(-1)).sum(1).clamp_min(torch.finfo(torch.float32).tiny).log()
    outputs = {"logits": mixed}
    if "labels" in batch:
        outputs = {"loss": nn.functional.cross_entropy(mixed, batch["labels"]), "logits": mixed}
    return outputs

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
from hf_robust.models.weights import is_new
from hf_robust.modules.adapters import CLEAN, Adapters, find_heads, find_targets, freeze_all_but, load_adapters
from hf_robust.modules.auxiliary import Auxiliary, is_checkpoint
from hf_robust.modules.saved_inference import Fetch, SavedInference
from hf_robust.training.arguments import check_choice, check_hub_strategy, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.text_views import attacked_views, trainable_rows
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import ViewSource

logger = logging.getLogger(__name__)

MIXINGS = ("weights", "outputs", "clean")
BOTH, ATTACKED = "both", "attacked"
FOLDER = "adapters"


@dataclass
class AdpMixupConfig(AttackedViewArguments):
    """LoRA's settings are those of its paper; the mixing is the paper's idea in our formula."""

    adapter_rank: int = field(default=8, metadata={"help": "Rank of each adapter."})
    adapter_alpha: float = field(default=16.0, metadata={"help": "An adapter weighs adapter_alpha / adapter_rank."})
    adapter_dropout: float = field(default=0.1, metadata={"help": "Dropout before each adapter."})
    adapter_target_modules: list[str] | None = field(
        default=None, metadata={"help": "Last names of the layers to adapt. Default: attention's query and value."}
    )
    adapter_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the adapters. Default: --learning_rate, as the head's."}
    )
    adpmixup_rows: str = field(
        default=BOTH,
        metadata={
            "help": "What an attack's adapter trains on: the clean texts and the attack's (both), or the attack's "
            "alone, which teaches it that texts flip.",
            "choices": [BOTH, ATTACKED],
        },
    )
    adpmixup_mixing: str = field(
        default="weights",
        metadata={
            "help": "What is mixed for each text: the adapters' weights, their outputs (one forward fewer), or "
            "nothing (clean: that adapter alone).",
            "choices": list(MIXINGS),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_hub_strategy(self, "adpmixup")
        check_range("adapter_rank", self.adapter_rank, 1, None, "8 is LoRA's usual rank")
        check_range("adapter_alpha", self.adapter_alpha, 0.0, None, "twice the rank is usual")
        check_range("adapter_dropout", self.adapter_dropout, 0.0, 1.0, "0 is none")
        check_choice("adpmixup_rows", self.adpmixup_rows, (BOTH, ATTACKED))
        check_choice("adpmixup_mixing", self.adpmixup_mixing, MIXINGS)


class AdpMixupTrainer(RobustTrainer):
    r"""Nguyen and Le 2024, arXiv:2401.10111; the mixing formula is ours, after the paper's idea.

    .. math:: L = \frac{1}{|D|}\sum_{(x,y)\in D}\mathrm{CE}(f_{\theta_c}(x),y)
              + \sum_a\frac{1}{|D\cup D_a|}\sum_{(x,y)\in D\cup D_a}\mathrm{CE}(f_{\theta_a}(x),y)

    ``x`` is (B, L) token ids and ``y`` (B,) class ids. The encoder is frozen; theta_c and theta_a are LoRA adapters,
    the head is shared and learns from all rows. D_a holds what attack a found against a plainly (and wholly)
    fine-tuned model. One forward and one backward a step, of a batch for each adapter and its views, each row by its
    own adapter.

    With ``--adpmixup_rows attacked`` an attack's adapter sees D_a alone, as the paper's first version says. All of its
    texts are ones that a plain model takes for another class, and where they differ little from clean texts it learns
    to answer with the other class, surer than the clean adapter, and pulls the mix below chance.

    A text is predicted with the weights that :func:`mixing_shares` gives it (products B A are mixed). Each
    row has its own mix in one batched forward, exactly; with K attacks a prediction takes K + 2 forwards.
    ``--adpmixup_mixing outputs`` mixes the K + 1 probabilities instead.

    What ``from_pretrained`` loads is the clean adapter merged into the encoder: a plain model has one weight for all
    texts. ``adapters/<name>`` holds each adapter in PEFT's form, for the checkpoint that training started from;
    ``load_adapters`` mixes them again, and ``hf-robust`` does where it measures the run. Folders ``checkpoint-*`` hold
    the encoder as it was, for resuming.

    Differs from the paper: LoRA in place of Houlsby's adapters; the head is shared, so that a mix of adapters is a
    model; several attacks' pairwise mixes are averaged; the attacks' adapters see clean texts too.
    """

    name = "adpmixup"
    citation = "nguyen2024adpmixup"
    config = AdpMixupConfig
    needs = ("attacks",)

    if TYPE_CHECKING:
        args: AdpMixupConfig

    def view_sources(self) -> Mapping[str, ViewSource]:
        return attacked_views(self)

    def auxiliary(self) -> Auxiliary:
        model, args = self.model, self.args
        if hasattr(model, "peft_config"):
            raise ValueError(
                "adpmixup makes adapters of its own, and this model has some already; leave --lora_rank out "
                "(--adapter_rank is the one that counts here), or merge them first."
            )
        if model.config.model_type == "xlnet":
            raise ValueError("adpmixup needs a model whose layers keep the rows first, which XLNet's do not.")
        if is_new(model):
            logger.warning("adpmixup trains no encoder, and this one's weights are random; start from a checkpoint.")
        self.heads, self.targets = find_heads(model), find_targets(model, args.adapter_target_modules)
        self.adapters = Adapters(
            model,
            [CLEAN, *self.view_names],
            self.targets,
            rank=args.adapter_rank,
            alpha=args.adapter_alpha,
            dropout=args.adapter_dropout,
            seed=args.seed,
        )
        return Auxiliary(self.adapters, args.adapter_learning_rate, frozen=freeze_all_but(model, self.heads))

    def used_arguments(self) -> dict[str, Any]:
        if self._auxiliary is None:
            return {}
        rate = self.args.adapter_learning_rate
        return {
            "adapter_target_modules": sorted({name.rpartition(".")[2] for name in self.targets}),
            "adapter_learning_rate": self.args.learning_rate if rate is None else rate,
        }

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        if not self.view_share:  # an adapter that no view has trained would only dilute the clean one
            return model(**batch)
        return mixed_outputs(self.adapters, model, batch, self.args.adpmixup_mixing)

    def saved_inference(self, folder: Path) -> SavedInference | None:
        if self._auxiliary is None:
            return None
        if is_checkpoint(folder):
            return SavedInference(
                self.name,
                "A checkpoint of adpmixup holds the encoder and its adapters apart, and `from_pretrained` loads the "
                "encoder without any; the folder of the run has the clean adapter merged, and all of them beside it.",
            )
        if not self.view_share or self.args.adpmixup_mixing == "clean":
            return None
        return SavedInference(
            self.name,
            "The rates were measured with the adapters mixed for each text. What `from_pretrained` loads here has the "
            f"clean adapter merged, since a plain model cannot mix; `{FOLDER}/` holds all of them.",
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
        if self.args.should_save:
            self.adapters.save(folder / FOLDER, self.model, self.heads)
            logger.warning(
                "%s holds the clean adapter merged, since a plain model cannot mix by text; all adapters are in %s.",
                folder,
                folder / FOLDER,
            )
        with self.adapters.merged(self.model, CLEAN):
            yield

    def _check_found(self) -> None:
        empty = [name for name in self.view_names if not self._share(name)]
        if empty and self.view_share:
            raise ValueError(
                f"{', '.join(empty)} found no adversarial example, so its adapter would be mixed in untrained; leave "
                "it out of --view_attacks (or --view_file)."
            )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self._check_found()
        main, views = split_views(inputs, self.view_names)
        lots = [(CLEAN, main, 1.0)]
        for name, view in views.items():
            lots += self._lots(name, main, trainable_rows(view))
        rows = [self.adapters.alone(name, len(batch["labels"])) for name, batch, _ in lots]
        self.adapters.train_with(torch.cat(rows))
        if len(lots) == 1:
            loss, outputs = self.task_loss(model, main)
            self.log_parts(clean=loss, views=torch.zeros_like(loss))
            return (loss, outputs) if return_outputs else loss
        stacked = stack_rows([batch for _, batch, _ in lots], self.processing_class)
        labels = stacked.pop("labels")
        outputs = model(**stacked)
        losses = torch.split(self.sample_losses(outputs["logits"], labels), [len(one) for one in rows])
        divisor = self.mean_divisor(main)
        clean, *others = (part.sum() / (divisor * size) for part, (_, _, size) in zip(losses, lots, strict=True))
        attacked = torch.stack(others).sum()
        self.log_parts(clean=clean, views=attacked)
        loss = clean + attacked
        return (loss, outputs) if return_outputs else loss

    def _lots(self, name: str, main: Batch, found: Batch) -> list[tuple[str, Batch, float]]:
        """The rows of a batch that an attack's adapter trains on, and how many rows it has for each training text.

        By the share of all rows that have a view, not of this batch's: the same however batches are split.
        """
        share, both = self._share(name), self.args.adpmixup_rows == BOTH
        lots = [main, found] if both and share else [found]
        return [(name, batch, share + both) for batch in lots if len(batch["labels"])]

    def _share(self, name: str) -> float:
        return 0.0 if self.generation is None else self.generation.sources[name].share


def mixing_shares(clean: Tensor, attacked: Tensor) -> Tensor:
    r"""(B, 1 + m) what the clean adapter and those of m attacks weigh for each row.

    .. math:: \beta_a = \frac{H_a}{H_c + H_a},\qquad
              \theta = \frac1m\sum_a \beta_a\theta_c + (1 - \beta_a)\theta_a

    with H the entropies of the predictions: the surer adapter weighs more. Rows where both are certain have beta 1/2.

    Args:
        clean: (B, K) logits of the clean adapter.
        attacked: (m, B, K) logits of the others.
    """
    sure, others = _entropy(clean), _entropy(attacked)
    both = sure + others
    beta = torch.where(both > 0, others / both.clamp_min(torch.finfo(both.dtype).tiny), torch.full_like(both, 0.5))
    return torch.cat([beta.mean(0, keepdim=True), (1.0 - beta) / len(beta)]).t()


def _entropy(logits: Tensor) -> Tensor:
    logs = logits.float().log_softmax(-1)
    found: Tensor = -(logs.exp() * logs).sum(-1)
    return found.clamp_min(0.0)


def mixed_outputs(adapters: Adapters, model: nn.Module, batch: Batch, mixing: str = "weights") -> Any:
    """The model's outputs for a batch (rows B) with each row's own mix of adapters, in eval mode.

    ``weights`` is exact; ``outputs`` mixes probabilities; ``clean`` does not mix.
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

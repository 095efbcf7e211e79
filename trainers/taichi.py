"""taichi: a model for clean texts and a twin for adversarial texts learn similar features and predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from torch.func import functional_call

from hf_robust.data import split_views, stack_rows
from hf_robust.interpret.head import chosen_pooling, last_states
from hf_robust.losses import contrastive, pair_distances, sample_kl, sentence_embedding
from hf_robust.models.architecture import without_peft
from hf_robust.models.sharded import gathered
from hf_robust.modules.auxiliary import Auxiliary, is_checkpoint
from hf_robust.modules.saved_inference import SavedInference
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.contrastive_warmup import warmup_share
from hf_robust.training.step_passes import Passes
from hf_robust.training.taichi_arguments import TaiChiConfig
from hf_robust.training.text_views import attacked_views
from hf_robust.training.twin import average_parameters, twin_of, with_parameters
from hf_robust.views import ViewSource


class PairOutputs(NamedTuple):
    """A model's outputs for B clean texts and their adversarial texts: logits (B, K) and embeddings (B, H) of each."""

    outputs: Any
    clean: Tensor
    adv: Tensor
    clean_state: Tensor
    adv_state: Tensor


class TaiChiTrainer(RobustTrainer):
    r"""Chen et al. 2024, LREC-COLING (ACL Anthology 2024.lrec-main.1351; we know of no arXiv id), Section 3.

    .. math:: L = \mathrm{CE}(p^c(x),y) + \mathrm{CE}(p^a(x'),y) + \beta\,[\mathrm{CTR}_c(z,z') +
              \mathrm{CTR}_a(z',z)] + \gamma\,[\mathrm{KL}(p^c(x)\|p^a(x)) + \mathrm{KL}(p^a(x')\|p^c(x'))]

    ``x`` and ``x'`` are (B, L): a text and its adversarial form, made once against a plainly trained model. f_c is
    the model itself and f_a a copy of its weights with another head; z (B, H) is the mean of a model's last hidden
    states over real tokens, with [CLS] and [SEP]. The paper's models classify z by one linear layer (Section 3.2):
    start from a model with that head (``--classifier_head mean``). With BERT's own head on [CLS], CTR aligns another
    vector than the one that is classified. Nothing is detached: both models learn from each KL.
    Inference, evaluation and the choice of a checkpoint use f_c and clean texts only; f_a is saved in ``_twin``. Four
    forwards and four backwards a step, as one pass of each model over twice the rows, and twice the memory.

    The paper pairs every text. If the attack failed, x' is the text itself (``--failed_views clean``); f_a needs these
    rows to learn the task. With ``drop`` such a row has no CE and no KL at x' and no positive pair, but it stays a
    negative of the other rows.
    Means over x' are sums divided by B M / N, with M views of N texts, so that they do not depend on how
    batches are split; CTR does depend on it. The mean cosine distances of texts from their own x' and from the x' of
    other texts are logged as ``distance_pair`` and ``distance_others``. Attacks for training and for measuring should
    differ.

    Variants: ``no_kl`` is f_c with CE and CTR; ``no_adv`` adds KL(p(x) || p(x')) in that one model, our reading of the
    paper; ``no_ctr`` has both models; ``adversarial`` is f_a with CE and CTR, ``base_adv`` with CE alone,
    ``base_adv_soft`` with the attacked model's probabilities at x' as targets; ``linear_average`` trains both models
    separately and saves ``lambda * theta_c + (1 - lambda) * theta_a`` (``hf-robust average`` sweeps lambda).

    Differs from the paper: CTR is the code's (by cosine, without a text's own pair in the denominator); the second KL
    compares both models at x'.
    Differs from the released code: pairs are shuffled; token types are passed; each model's gradient is clipped by its
    own norm (``--max_grad_norm 0`` turns this off, as in the code). The code counts each gradient except the KL's
    twice, as ``--follow code`` does; as released it raises an error, since the backward pass of CE frees the graph
    that CTR's backward pass needs.
    """

    name = "taichi"
    family = "attacked or masked texts"
    citation = "chen2024taichi"
    config = TaiChiConfig
    needs = ("attacks",)
    presets = ("taichi.json",)
    zero_strength = {"view_fraction": 0.0, "taichi_gamma": 0.0}
    batch_relative = True
    row_wise = {"taichi_beta": 0.0}
    weakened_by = {"loss_ctr": "taichi_beta", "loss_kl": "taichi_gamma"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = (2 if args.variant.twin else 1) * (2 if args.variant.ctr or args.variant.kl else 1)
        return Passes(count, count)

    def view_sources(self) -> Mapping[str, ViewSource]:
        variant = self.args.variant
        sources = attacked_views(self, extras=("labels", "soft") if variant.soft else ("labels",))
        if len(sources) != 1:
            raise ValueError(
                f"taichi pairs each text with one adversarial text, and {', '.join(sources)} give {len(sources)}; "
                "name one attack in --view_attacks (or one --view_file)."
            )
        if self.view_dataset is not None and variant.clean and (variant.ctr or variant.kl):
            raise ValueError(
                f"--taichi_variant {self.args.taichi_variant} trains on pairs, and views of the "
                f"{self.args.view_split} split are of other texts; leave --leaked_view_split out."
            )
        return sources

    def auxiliary(self) -> Auxiliary | None:
        if self.args.variant.ctr:
            remedy = f"--taichi_variant {self.args.taichi_variant} compares representations; use no_ctr"
            chosen_pooling(self.model, self.processing_class, "mean_pool", remedy)
        if not self.args.variant.twin:
            return None
        if self.args.taichi_variant == "linear_average" and without_peft(self.model) is not self.model:
            raise ValueError(
                "--taichi_variant linear_average averages weights, and an average of LoRA's factors is not the "
                "average of the adapters; train without --lora_rank."
            )
        self.twin = twin_of(self.model, self.args.seed)
        return Auxiliary(self.twin, peer=True)

    # ---- linear_average ----

    def _averages(self) -> dict[str, Tensor] | None:
        # Without training there is no twin: the loaded model is the average already.
        if self.args.taichi_lambda == 1 or self._auxiliary is None:
            return None
        return average_parameters(self.model, self.twin, self.args.taichi_lambda)

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        with gathered(self.model) if self.args.taichi_lambda != 1 else nullcontext():
            averages = self._averages()
            return model(**batch) if averages is None else functional_call(self.model, averages, kwargs=batch)

    def saved_inference(self, folder: Path) -> SavedInference | None:
        if not is_checkpoint(folder) or self.args.taichi_lambda == 1 or self._auxiliary is None:
            return None
        note = (
            f"The rates were measured with the average of a model and its twin (--taichi_lambda "
            f"{self.args.taichi_lambda:g}), which the folder of the run holds. A checkpoint holds the two models "
            "separately, and `from_pretrained` loads the first."
        )
        return SavedInference(self.name, note)

    def exported(self, folder: Path) -> AbstractContextManager[Any]:
        averages = None if is_checkpoint(folder) else self._averages()
        return nullcontext() if averages is None else with_parameters(self.model, averages)

    # ---- losses ----

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        args, variant = self.args, self.args.variant
        main, views = split_views(inputs, self.view_names)
        (view,) = views.values()
        if not variant.ctr and not variant.kl:
            parts, outputs = self._apart(model, main, view)
        elif variant.clean and not view["ok"].any():
            parts, outputs = self._unpaired(model, main)
        else:
            parts, outputs = self._paired(model, main, view)
        twice = 2.0 if args.follow_code else 1.0
        weights = {
            "clean": twice,
            "adv": twice,
            "ctr": twice * warmup_share(self) * args.taichi_beta,
            "kl": args.taichi_gamma,
        }
        parts = {name: weights[name] * part for name, part in parts.items()}
        self.log_parts(**parts)
        loss = torch.stack(list(parts.values())).sum()
        return (loss, outputs) if return_outputs else loss

    def _apart(self, model: nn.Module, main: Batch, view: Batch) -> tuple[dict[str, Tensor], Any]:
        """No term joins the texts of a pair: each text goes through the model that classifies it only."""
        rows = {key: value for key, value in view.items() if key in main and key != "labels"}
        if not self.args.variant.twin:
            outputs = model(**rows)
            return {"adv": self._view_loss(outputs["logits"], view)}, outputs
        loss, outputs = self.task_loss(model, main)
        return {"clean": loss, "adv": self._view_loss(self._twin(**rows)["logits"], view)}, outputs

    def _unpaired(self, model: nn.Module, main: Batch) -> tuple[dict[str, Tensor], Any]:
        """No attack succeeded in this batch: the clean texts alone."""
        variant = self.args.variant
        loss, outputs = self.task_loss(model, main)
        nothing = 0.0 * outputs["logits"].float().sum()
        parts = {"clean": loss}
        if variant.twin:
            # Ranks wait for the gradients of all parameters.
            parts["adv"] = 0.0 * torch.stack([parameter.sum() for parameter in self.twin.parameters()]).sum()
        if variant.ctr:
            parts["ctr"] = nothing
            self._log_distances(nothing, nothing, torch.zeros_like(nothing))
        if variant.kl and variant.twin and self.args.taichi_gamma:
            rows = {key: value for key, value in main.items() if key != "labels"}
            parts["kl"] = self._kl(outputs["logits"], self._twin(**rows)["logits"]).mean()
        elif variant.kl:
            parts["kl"] = nothing
        return parts, outputs

    def _paired(self, model: nn.Module, main: Batch, view: Batch) -> tuple[dict[str, Tensor], Any]:
        variant, ok = self.args.variant, view["ok"]
        first = self._pair_outputs(model, main, view)
        second = self._pair_outputs(self._twin, main, view) if variant.twin else first
        parts = {}
        if variant.clean:
            parts["clean"] = self.sample_losses(first.clean, main["labels"]).sum() / self.mean_divisor(main)
        if variant.twin or not variant.clean:
            parts["adv"] = self._view_loss(second.adv, view)
        if variant.ctr:
            parts["ctr"] = self._ctr(first, second, ok)
            self._log_distances(*pair_distances(first.clean_state, first.adv_state), ok)
        if variant.kl and variant.twin:
            clean, adv = self._kl(first.clean, second.clean), self._kl(second.adv, first.adv)
            parts["kl"] = clean.mean() + self._view_mean(adv, ok, len(ok))
        elif variant.kl:
            parts["kl"] = self._view_mean(self._kl(first.clean, first.adv), ok, len(ok))
        return parts, first.outputs

    def _twin(self, **batch: Any) -> Any:
        # accelerate wraps the first model's forward in autocast, with float32 outputs, but not its twin's.
        with self.accelerator.autocast():
            outputs = self.twin(**batch)
        return convert_to_fp32(outputs)

    def _pair_outputs(self, model: Callable[..., Any], main: Batch, view: Batch) -> PairOutputs:
        rows = stack_rows([main, view], self.processing_class)
        rows.pop("labels")
        count = len(main["labels"])
        outputs = model(**rows, output_hidden_states=self.args.variant.ctr)
        logits = outputs["logits"]
        states = logits
        if self.args.variant.ctr:
            states = sentence_embedding(last_states(outputs, self.model), rows["attention_mask"], "mean_pool")
        return PairOutputs(outputs, logits[:count], logits[count:], states[:count], states[count:])

    def _ctr(self, first: PairOutputs, second: PairOutputs, ok: Tensor) -> Tensor:
        args, variant = self.args, self.args.variant
        ctr = partial(contrastive, positive_ok=ok, tau=args.taichi_tau)
        terms = []
        if variant.clean:
            terms.append(ctr(first.clean_state, first.adv_state))
        if variant.twin or not variant.clean:
            terms.append(ctr(second.adv_state, second.clean_state))
        return torch.stack(terms).sum()

    def _log_distances(self, pair: Tensor, others: Tensor, ok: Tensor) -> None:
        """Log the distances of texts from their own adversarial texts, and from those of the batch's other texts."""
        self.means.add("distance_pair", pair, ok)
        self.means.add("distance_others", others, ok * (ok.numel() > 1))  # a single row has no other rows

    def _kl(self, first: Tensor, second: Tensor) -> Tensor:
        return sample_kl(first, second)

    def _view_loss(self, logits: Tensor, view: Batch) -> Tensor:
        if not self.args.variant.soft:
            losses = self.sample_losses(logits, view["labels"])
        else:
            weights = self.args.class_weights
            losses = nn.functional.cross_entropy(
                logits.float(),
                view["soft"],
                weight=None if weights is None else torch.tensor(weights, device=logits.device),
                label_smoothing=self.args.label_smoothing_factor,
                reduction="none",
            )
        return self._view_mean(losses, view["ok"], self.mean_divisor(view))

    def _view_mean(self, values: Tensor, ok: Tensor, divisor: float | Tensor) -> Tensor:
        """An unbiased estimate of the mean over all views of the training set; 0 if the batch has no view."""
        return (values * ok).sum() / (divisor * (self.view_share or 1.0))

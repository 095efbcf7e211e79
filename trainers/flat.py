"""flat: adv_iter through a learnt word mask that finds a word and its substitute equally important."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Noise, embedding_width, evaluating
from hf_robust.attacks.engine.victim import Inference
from hf_robust.data import split_views
from hf_robust.models import WordModel
from hf_robust.models.architecture import without_peft
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.mask_export import (
    MASK_FILE,
    check_mask_setup,
    restore_word_masking,
    special_ids,
    why_not_folded,
    write_importances,
)
from hf_robust.modules.saved_inference import Fetch, SavedInference
from hf_robust.modules.word_mask import WordMask, entropy, importance_distance, masked_mean
from hf_robust.modules.word_masking import MaskedPass, WordMasking, embedding_block
from hf_robust.trainers.adv_iter import RoundArguments, round_loss, used_rounds
from hf_robust.training.arguments import check_choice, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.follow import Reading
from hf_robust.training.mask_report import MaskReport
from hf_robust.training.text_views import attacked_views, planned_epochs
from hf_robust.views import ViewSource

logger = logging.getLogger(__name__)

INPUTS = ("word", "block")
READINGS = {"mask_bias": Reading(3.0, 0.0)}
FIRST_SPREAD, MASK_RATE = 0.05, 1e-3
"""What the mask's last layer starts from, as a share of PyTorch's own first weights, and its least learning rate."""


@dataclass
class FLATConfig(RoundArguments):
    """Weights are the example of the code's README and the best of the paper's Table 5; the code's own are 1 and 1."""

    code_reading = (
        "UVa-NLP/FLAT: for models with attention special tokens are masked as words, attention leaves "
        "masked places out in training, the entropy is over the places of the longest text, and the distance has no "
        "gradient; the LSTM and the CNN take the cross-entropy of a softmax of a softmax"
    )

    flat_beta: float = field(
        default=0.1,
        metadata={
            "help": "Weight of the mask's entropy, which is raised: the mean over a text's words. The code's mean is "
            "over 50 places whatever a text has, so that the same weight pushes each word less (on SST-2 2.46 times)."
        },
    )
    flat_gamma: float = field(
        default=0.001,
        metadata={"help": "Weight of how far the importances of replaced words are apart, a mean over all texts."},
    )
    mask_hidden_dim: int = field(default=400, metadata={"help": "Width of the mask network's hidden layer."})
    mask_input: str | None = field(
        default=None,
        metadata={
            "help": "What the mask reads and scales: the word embeddings (a saved model then predicts alike in plain "
            "transformers), or the output of the embedding block. Default: word, as the code has it block where the "
            "model has attention (--follow code).",
            "choices": list(INPUTS),
        },
    )
    mask_bias: float | None = field(
        default=None,
        metadata={
            "help": "Score of keeping a word when training starts: 3 keeps 0.95 of them, 50 all, 0 half, behind which "
            f"a run of few steps learns little. {READINGS['mask_bias'].words}"
        },
    )
    mask_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": f"Learning rate of the mask network. Default: the classifier's, at least {MASK_RATE:g}, since it "
            "starts from nothing (--follow code: the classifier's)."
        },
    )
    gumbel_temperature: float = field(default=1.0, metadata={"help": "Temperature of the Gumbel-softmax."})

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return {**RoundArguments.readings(), **READINGS}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("flat_beta", self.flat_beta, 0.0, None, "0 leaves the entropy out")
        check_range("flat_gamma", self.flat_gamma, 0.0, None, "0 leaves the distance out")
        check_range("mask_hidden_dim", self.mask_hidden_dim, 1, None, "the paper has 400")
        check_range("gumbel_temperature", self.gumbel_temperature, 1e-3, None, "the paper has 1")
        if self.mask_input is not None:
            check_choice("mask_input", self.mask_input, INPUTS)


class FLATTrainer(RobustTrainer):
    r"""Chen and Ji 2022 (FLAT), arXiv:2203.12709, Eqs. 1 to 4, with the mask of VMASK (Chen and Ji 2020).

    .. math:: \frac{1}{|D\cup D'_t|}\sum_{(x,y)\in D\cup D'_t}\Big[\mathrm{CE}(f(r\odot e),y) - \beta\bar H(\phi)
              + \gamma\sum_{w\to w'}|\phi(w)-\phi(w')|\Big]

    e is (B, L, E) the word embeddings, phi (B, L) their importances by a small network (:class:`WordMask`), r (B, L)
    in {0, 1} drawn with probability phi (straight-through Gumbel-softmax). H is the mean over a text's words of the
    entropy of keeping each, in nats. The last sum is over the words that the attack replaced in a text of D', 0 for
    one of D; a word is as important as its most important piece. Rounds and budget are ``adv_iter``'s, and the
    attacked model is the masked one. One forward and one backward a step.

    Evaluation and attacks see phi * e. A saved model has its word embeddings multiplied by phi, and so predicts alike
    under plain transformers; ``word_importances.json`` holds phi by token. With ``--mask_input block``, and under
    PEFT, a saved model has no mask: a warning and the model card say so, and ``hf-robust`` restores it. A model whose
    next layer takes the mask out again is refused (:mod:`hf_robust.modules.mask_export`). Which words came out as
    important is in the log, the run card and ``word_mask.jsonl``, and a mask that tells none apart is a warning
    (:mod:`hf_robust.training.mask_report`).

    Draws are a function of seed, step and text. Means are over texts, so that splitting a batch changes nothing.

    Phi reads the bare word embedding, brought to one norm, so that a word has one importance.
    A masked word is a zero vector that is attended to as any other (Eq. 4), as it is at inference; special tokens
    stay. At first all words are about equally important, 0.95, so that the classifier learns too: what tells
    them apart later was learnt. It takes steps: 650 were enough for BERT-tiny (``benchmarks/results/flat_mask.json``),
    100 of MiniLM were not at the default rate, and nearly at ``--mask_learning_rate 0.0003``.

    ``--follow code`` is UVa-NLP/FLAT for BERT: phi reads what the embedding block puts out, special tokens are masked
    as words, attention leaves masked places out in training alone, the mean of the entropy is over the places of
    the longest text that there may be (``--max_seq_length``; the entropy of padding itself, which no text
    depends on, is left out here), the distance has no gradient, and layers start as PyTorch makes them.
    Differs from the code under both: the distance takes the attack's word pairs instead of equal positions; no text
    loses all its tokens.
    """

    name = "flat"
    citation = "chen2022flat"
    config = FLATConfig
    weakened_by = {"loss_views": "view_fraction", "loss_entropy": "flat_beta", "loss_importance": "flat_gamma"}
    needs = ("attacks",)

    masking: WordMasking

    if TYPE_CHECKING:
        args: FLATConfig

    def view_sources(self) -> Mapping[str, ViewSource]:
        rounds = self.args.rounds(planned_epochs(self))
        return attacked_views(self, refresh=rounds, victim="model", extras=("labels", "words"))

    def used_arguments(self) -> dict[str, Any]:
        return {**used_rounds(self), "mask_learning_rate": self._mask_rate}

    def auxiliary(self) -> Auxiliary:
        args, model = self.args, self.model
        args.mask_input = args.mask_input or ("block" if self._as_bert_code else "word")
        check_mask_setup(self)
        self._unfolded = why_not_folded(self)
        block = embedding_block(model) if args.mask_input == "block" else None
        width = embedding_width(model) if block is None else self._block_width(block)
        table: Any = None if self._unfolded else model.get_input_embeddings().weight
        network = WordMask(
            width,
            args.mask_hidden_dim,
            args.mask_bias or 0.0,
            args.seed,
            table,
            normalised=block is None,
            spread=1.0 if args.follow_code else FIRST_SPREAD,
        )
        self.masking = WordMasking(
            model,
            network,
            block=block,
            special=special_ids(self.processing_class),
            protect=not args.follow_code,
            attention=self._as_bert_code,
            temperature=args.gumbel_temperature,
        )
        if self._unfolded:
            logger.warning("%s", self._unfolded)
        self.report = MaskReport(self)
        self.add_callback(self.report)
        return Auxiliary(network, learning_rate=self._mask_rate, after_step=self.masking.forget)

    @property
    def _mask_rate(self) -> float:
        given, own = self.args.mask_learning_rate, float(self.args.learning_rate)
        if given is not None:
            return float(given)
        return own if self.args.follow_code else max(own, MASK_RATE)

    @property
    def _as_bert_code(self) -> bool:
        """Whether to do as the code does for models with attention alone; its LSTM and CNN are the paper's there."""
        return self.args.follow_code and not isinstance(without_peft(self.model), WordModel)

    def measured_in_training(self) -> dict[str, Any]:
        return {**super().measured_in_training(), **(self.report.card_entry() if self._auxiliary is not None else {})}

    def _block_width(self, block: nn.Module) -> int:
        ids = torch.zeros(1, 2, dtype=torch.long, device=self.args.device)
        with torch.no_grad(), evaluating(block):
            return int(block(input_ids=ids).shape[-1])

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        if self._auxiliary is None:  # a model that was loaded has its mask in its word embeddings
            return model(**batch)
        with self.masking.expected():
            return model(**batch)

    def saved_inference(self, folder: Path) -> SavedInference | None:
        if self._auxiliary is None or not self._unfolded:
            return None
        note = f"{self._unfolded} The mask's network is in `{MASK_FILE}`, from which `hf-robust` restores it."
        settings = {
            "mask_input": self.args.mask_input,
            "protect_special": self.masking.protect,
            "normalised": self.masking.network.normalised,
        }
        return SavedInference(self.name, note, settings)

    @classmethod
    def restored(cls, model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> Inference:
        masking = restore_word_masking(model, tokenizer, fetch, settings)

        def masked(model: nn.Module, batch: Batch) -> Any:
            with masking.expected():
                return model(**batch)

        return masked

    def exported(self, folder: Path) -> AbstractContextManager[Any]:
        return self._exported(folder)

    @contextmanager
    def _exported(self, folder: Path) -> Iterator[None]:
        if self._auxiliary is None:
            yield
            return
        write_importances(self, folder)
        if self._unfolded:
            yield
            return
        with self.masking.folded():
            yield

    def word_importances(self, words: Iterable[str]) -> dict[str, float]:
        """phi of each word as it stands inside a text: that of its most important piece.

        Raises:
            ValueError: with ``--mask_input block`` a word's importance depends on its text; nothing is trained here.
        """
        if self._auxiliary is None:
            raise ValueError(
                "a model that was loaded has its importances in its word embeddings; read word_importances.json, or "
                "ask the trainer that trained it."
            )
        if self.masking.block is not None:
            raise ValueError(
                "a word alone has no importance under --mask_input block, which reads it in its text; train with "
                "--mask_input word."
            )
        importances, tokenizer = self.masking.importances(), self.processing_class
        # The space makes it a word inside a text for tokenizers that tell these apart.
        pieces = {word: tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in words}
        return {word: float(importances[ids].max()) for word, ids in pieces.items() if ids}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        with self.masking.sampled(Noise(self.args.seed, self.state.global_step)) as seen:
            loss, outputs = round_loss(self, model, inputs)
        spread, apart = self.regularisers(inputs, seen[-1])
        self.log_parts(entropy=spread, importance=apart)
        if self._as_bert_code:
            apart = apart.detach()
        loss = loss - self.args.flat_beta * spread + self.args.flat_gamma * apart
        return (loss, outputs) if return_outputs else loss

    def regularisers(self, inputs: Batch, seen: MaskedPass) -> tuple[Tensor, Tensor]:
        """The two scalars H and Limp of a batch whose rows, and then those of its views, a pass has seen.

        Both are unbiased estimates of their means over all N + M texts, as :func:`union_loss` is.
        """
        main, views = split_views(inputs, self.view_names)
        rows = len(main["labels"])
        texts = rows * (1.0 + self.view_share)
        spread = self._entropies(seen).sum() / texts
        importances = seen.logits.sigmoid()
        apart, start = spread.new_zeros(()), rows
        for view in views.values():
            kept = view["ok"].bool()
            end = start + int(kept.sum())
            if end > start:
                own, other = view["main_words"][kept], view["words"][kept]
                first = self._beside(importances[:rows][kept], own)
                second = self._beside(importances[start:end], other)
                apart = apart + importance_distance(first, own, second, other).sum() / texts
            start = end
        return spread, apart

    def _entropies(self, seen: MaskedPass) -> Tensor:
        """(B,) of each text the mean entropy over its words or, as the code has it, its sum over the tokens by the
        places of the longest text that there may be."""
        found = entropy(seen.logits)
        if not self.args.follow_code:
            return masked_mean(found, seen.words)
        most = self.train_dataset.dataset.max_length or found.shape[1]
        return torch.where(seen.real, found, 0.0).sum(1) / most

    def _beside(self, values: Tensor, words: Tensor) -> Tensor:
        """The values of the places that ``words`` has, without the padding that stacking rows added."""
        extra, width = values.shape[1] - words.shape[1], words.shape[1]
        return values[:, extra:] if self.processing_class.padding_side == "left" else values[:, :width]

"""flat: adv_iter through a learnt word mask that makes a word and its substitute equally important."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Noise, embedding_width, evaluating, word_embeddings
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
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import attacked_views, planned_epochs
from hf_robust.views import ViewSource

logger = logging.getLogger(__name__)

INPUTS = ("word", "block")
READINGS = {"mask_bias": Reading(3.0, 0.0)}
FIRST_SPREAD, MASK_RATE = 0.05, 1e-3
"""First weights of the mask's last layer, as a share of PyTorch's default, and the mask's smallest learning rate."""


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
            "help": "[beta] weight of the mask's entropy, which training raises; a mean over a text's words. The "
            "code's mean is over 50 positions for any text, so the same weight pushes a word less there (2.46 times "
            "on SST-2)."
        },
    )
    flat_gamma: float = field(
        default=0.001,
        metadata={"help": "[gamma] weight of the difference in importance between words and their substitutes."},
    )
    mask_input: str | None = field(
        default=None,
        metadata={
            "help": "What the mask reads and scales. word: the word embeddings (a saved model then predicts the same "
            "in plain transformers); block: the output of the embedding block. Default: word, and block with "
            "--follow code if the model has attention.",
            "choices": list(INPUTS),
        },
    )
    mask_bias: float | None = field(
        default=None,
        metadata={
            "help": "Score of keeping a word when training starts: 3 keeps 0.95 of the words, 50 all, 0 half (a "
            f"short run then learns little). {READINGS['mask_bias'].words}"
        },
    )
    mask_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": f"Learning rate of the mask network. Default: --learning_rate, at least {MASK_RATE:g}, and "
            "--learning_rate with --follow code."
        },
    )

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return {**RoundArguments.readings(), **READINGS}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("flat_beta", self.flat_beta, 0.0, None, "0 leaves the entropy out")
        check_range("flat_gamma", self.flat_gamma, 0.0, None, "0 leaves the distance out")
        if self.mask_input is not None:
            check_choice("mask_input", self.mask_input, INPUTS)


class FLATTrainer(RobustTrainer):
    r"""Chen and Ji 2022 (FLAT), arXiv:2203.12709, Eqs. 1 to 4, with the mask of VMASK (Chen and Ji 2020).

    .. math:: \frac{1}{|D\cup D'_t|}\sum_{(x,y)\in D\cup D'_t}\Big[\mathrm{CE}(f(r\odot e),y) - \beta\bar H(\phi)
              + \gamma\sum_{w\to w'}|\phi(w)-\phi(w')|\Big]

    e is (B, L, E) the word embeddings, phi (B, L) their importances by a small network (:class:`WordMask`), r (B, L)
    in {0, 1} drawn with probability phi (straight-through Gumbel-softmax). H is the mean over a text's words of the
    entropy of keeping each, in nats. The last sum is over the words that the attack replaced in a text of D', and 0
    for a text of D; a word is as important as its most important piece. Rounds and budget are those of ``adv_iter``;
    the attacked model is the masked one. One forward and one backward a step, of up to twice the rows.

    Evaluation and attacks use phi * e. A saved model has its word embeddings multiplied by phi, so that it predicts
    the same in plain transformers; ``word_importances.json`` holds phi by token. With ``--mask_input block`` or PEFT
    a saved model has no mask: a warning and the model card say so, and ``hf-robust`` restores the mask. A model
    whose next layer cancels the mask is refused (:mod:`hf_robust.modules.mask_export`). The log, the run card and
    ``word_mask.jsonl`` say which words are important, and a warning says if all words are equally important
    (:mod:`hf_robust.training.mask_report`).

    Draws are a function of seed, step and text. Means are over texts, so that splitting a batch changes nothing.

    Phi reads the word embedding without positions, scaled to one norm, so that a word has one importance. A masked
    word is a zero vector that is attended to like any other (Eq. 4), as at inference; special tokens are kept. At
    first all words have about the same importance, 0.95, so that the classifier learns too, and differences between
    words are learnt. This takes steps: 650 were enough for BERT-tiny (``benchmarks/results/flat_mask.json``); 100 were
    not enough for MiniLM at the default rate, and nearly enough at ``--mask_learning_rate 0.0003``.

    ``--follow code`` is UVa-NLP/FLAT for BERT: phi reads the output of the embedding block; special tokens are masked
    like words; attention ignores masked positions in training only; the mean of the entropy divides by the positions
    of the longest possible text (``--max_seq_length``; the entropy of padding, which depends on no text, is left out
    here); the distance has no gradient; layers start with PyTorch's default weights.
    Differs from the code under both: the distance compares the attack's word pairs instead of equal positions; no text
    loses all its tokens.
    """

    name = "flat"
    family = "attacked or masked texts"
    citation = "chen2022flat"
    config = FLATConfig
    needs = ("attacks",)
    presets = ("flat.json", "flat_code.json", "flat_lstm.json", "flat_cnn.json")
    zero_strength = {"view_fraction": 0.0, "mask_bias": 50.0, "flat_beta": 0.0}
    plain_inference = {"mask_bias": 50.0}
    mid_run = {"clean_epochs": 0}
    weakened_by = {"loss_views": "view_fraction", "loss_entropy": "flat_beta", "loss_importance": "flat_gamma"}

    # As in VMASK's code: width of the mask network's hidden layer, and temperature of the Gumbel-softmax.
    mask_width, temperature = 400, 1.0

    masking: WordMasking

    if TYPE_CHECKING:
        args: FLATConfig

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return union_passes(args)

    @classmethod
    def needs_whole_model(cls, args: Any) -> str:
        return "scales all its word embeddings in evaluation and in the saved model"

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
        table: Any = None if self._unfolded else word_embeddings(model)[0].weight
        network = WordMask(
            width,
            self.mask_width,
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
            temperature=self.temperature,
        )
        if self._unfolded:
            logger.warning("%s", self._unfolded)
        self.report = MaskReport(self)
        self.add_callback(self.report)
        return Auxiliary(network, learning_rate=self._mask_rate, after_step=self.masking.forget)

    @property
    def _mask_rate(self) -> float:
        mask_rate, classifier_rate = self.args.mask_learning_rate, float(self.args.learning_rate)
        if mask_rate is not None:
            return float(mask_rate)
        return classifier_rate if self.args.follow_code else max(classifier_rate, MASK_RATE)

    @property
    def _as_bert_code(self) -> bool:
        """Whether to follow the code where it differs for models with attention; its LSTM and CNN are the paper's."""
        return self.args.follow_code and not isinstance(without_peft(self.model), WordModel)

    def measured_in_training(self) -> dict[str, Any]:
        return {**super().measured_in_training(), **(self.report.card_entry() if self._auxiliary is not None else {})}

    def _block_width(self, block: nn.Module) -> int:
        ids = torch.zeros(1, 2, dtype=torch.long, device=self.args.device)
        with torch.no_grad(), evaluating(block):
            return int(block(input_ids=ids).shape[-1])

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        if self._auxiliary is None:  # a loaded model has its mask in its word embeddings
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
        """phi of each word inside a text, which is the phi of its most important piece.

        Raises:
            ValueError: under ``--mask_input block`` the importance depends on the text, or the trainer trains nothing.
        """
        if self._auxiliary is None:
            raise ValueError(
                "a loaded model has its importances in its word embeddings; read word_importances.json, or ask the "
                "trainer that trained the model."
            )
        if self.masking.block is not None:
            raise ValueError(
                "under --mask_input block the importance of a word depends on its text; train with --mask_input word."
            )
        importances, tokenizer = self.masking.importances(), self.processing_class
        # Some tokenizers treat a word after a space differently from the first word of a text.
        pieces = {word: tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in words}
        return {word: float(importances[ids].max()) for word, ids in pieces.items() if ids}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        with self.masking.sampled(Noise(self.args.seed, self.state.global_step)) as masked_passes:
            loss, outputs = round_loss(self, model, inputs)
        mean_entropy, distance = self.regularisers(inputs, masked_passes[-1])
        self.log_parts(entropy=mean_entropy, importance=distance)
        if self._as_bert_code:
            distance = distance.detach()
        loss = loss - self.args.flat_beta * mean_entropy + self.args.flat_gamma * distance
        return (loss, outputs) if return_outputs else loss

    def regularisers(self, inputs: Batch, masked: MaskedPass) -> tuple[Tensor, Tensor]:
        """The scalars H and Limp of a batch, from a masked pass over its rows and then the rows of its views.

        Both are unbiased estimates of their means over all N + M texts, as :func:`union_loss` is.
        """
        main, views = split_views(inputs, self.view_names)
        rows = len(main["labels"])
        texts = rows * (1.0 + self.view_share)
        mean_entropy = self._entropies(masked).sum() / texts
        importances = masked.logits.sigmoid()
        distance, start = mean_entropy.new_zeros(()), rows
        for view in views.values():
            valid = view["ok"].bool()
            end = start + int(valid.sum())
            if end > start:
                clean_words, view_words = view["main_words"][valid], view["words"][valid]
                clean_values = self._without_padding(importances[:rows][valid], clean_words)
                view_values = self._without_padding(importances[start:end], view_words)
                distances = importance_distance(clean_values, clean_words, view_values, view_words)
                distance = distance + distances.sum() / texts
            start = end
        return mean_entropy, distance

    def _entropies(self, masked: MaskedPass) -> Tensor:
        """(B,) mean entropy over the words of each text; under ``--follow code`` the sum over its tokens, divided by
        the positions of the longest possible text."""
        entropies = entropy(masked.logits)
        if not self.args.follow_code:
            return masked_mean(entropies, masked.words)
        longest = self.train_dataset.dataset.max_length or entropies.shape[1]
        return torch.where(masked.real, entropies, 0.0).sum(1) / longest

    def _without_padding(self, values: Tensor, words: Tensor) -> Tensor:
        """The values at the positions that ``words`` has, without the padding that stacking rows added."""
        extra, width = values.shape[1] - words.shape[1], words.shape[1]
        return values[:, extra:] if self.processing_class.padding_side == "left" else values[:, :width]

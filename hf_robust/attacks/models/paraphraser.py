"""Paraphrases from any sequence-to-sequence or causal language model of transformers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList

from hf_robust.attacks.engine.batches import Encoded, Padder, to_device
from hf_robust.attacks.models.consulted_model import ConsultedModel
from hf_robust.attacks.parts.paraphrases import Wanted
from hf_robust.data.length import usable_length

logger = logging.getLogger(__name__)

CACHE_SIZE = 1 << 14
"""Number of texts whose paraphrases are stored: those of the clean texts come again in every epoch."""
NUCLEUS = 0.95
"""Tokens are drawn from the likeliest ones with this sum of probabilities (Holtzman et al. 2020, arXiv:1904.09751)."""
SEQ2SEQ_PROMPT = "paraphrase: {text}"
CAUSAL_PROMPT = "Sentence: {text}\nParaphrase:"
CHAT_PROMPT = "Paraphrase this text. Answer with the paraphrase alone, in one line.\n\n{text}"
_LONGER = 16
"""A paraphrase has at most twice the tokens of its text, and this many more."""


class ParaphrasingModel(ConsultedModel):
    """Draws paraphrases from a language model by nucleus sampling (p = 0.95, temperature 1).

    A draw depends on the text, its number, the seed and the weights alone, not on the batch (but for the batching
    noise of the probabilities). A paraphrase is the first line that the model writes, of at most twice the text's
    tokens and 16. Empty ones, the text itself and repetitions are left out. A text whose prompt and paraphrase do not
    fit into the model has no paraphrases.

    Args:
        model: an ``AutoModelForSeq2SeqLM`` or ``AutoModelForCausalLM``; kept in eval mode.
        tokenizer: its tokenizer.
        name: name of the model in result files.
        prompt: what the model reads, with ``{text}`` in the text's place; None for "paraphrase: {text}"
            (sequence-to-sequence), for a request in the chat template, or for "Sentence: {text}", line break,
            "Paraphrase:" (causal models without a chat template).
        token_budget: padded tokens in one batch; None for the device's default.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, name: str, prompt: str | None = None, token_budget: int | None = None
    ) -> None:
        super().__init__(model, tokenizer, name, token_budget, CACHE_SIZE)
        config: Any = model.config
        self.encodes = bool(config.is_encoder_decoder)
        self.chats = not self.encodes and prompt is None and bool(getattr(tokenizer, "chat_template", None))
        default = SEQ2SEQ_PROMPT if self.encodes else CHAT_PROMPT if self.chats else CAUSAL_PROMPT
        self.prompt = default if prompt is None else prompt
        if self.prompt.count("{text}") != 1:
            raise ValueError(f"the prompt of --paraphraser must have {{text}} once, got {self.prompt!r}.")
        self.max_length = usable_length(tokenizer, config)
        side = "right" if self.encodes else "left"
        pad = next((token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token is not None), 0)
        self._pad_id = int(pad)
        self._pad = Padder(SimpleNamespace(pad_token_id=self._pad_id, pad_token_type_id=0, padding_side=side))
        self._warned = False

    def paraphrase(self, wanted: Sequence[Wanted]) -> list[tuple[str, ...]]:
        """Distinct paraphrases of each text, at most as many as wanted."""
        return self._recall(wanted, self._write)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "prompt": self.prompt, "sampling": f"nucleus {NUCLEUS}"}

    def fingerprint(self) -> str:
        """The weights, the prompt and the sampling."""
        return f"{super().fingerprint()} {self.prompt!r} {NUCLEUS}"

    def _write(self, wanted: list[Wanted]) -> list[tuple[str, ...]]:
        prompts = [self._ids(self._prompted(each.text), special=not self.chats) for each in wanted]
        limits = [2 * len(self._ids(each.text, special=False)) + _LONGER for each in wanted]
        fits = [self._fits(len(ids), limit) for ids, limit in zip(prompts, limits, strict=True)]
        rows = [(number, draw) for number, each in enumerate(wanted) if fits[number] for draw in range(each.draws)]
        written: list[list[str]] = [[] for _ in rows]

        def work(places: list[int]) -> list[list[int]]:
            chosen = [rows[place] for place in places]
            batch = to_device(self._pad([Encoded(prompts[number], None) for number, _ in chosen]), self.device)
            draws = [_draws(wanted[number], draw) for number, draw in chosen]
            tokens = self._generate(batch, draws, max(limits[number] for number, _ in chosen))
            return [ids[: limits[number]] for ids, (number, _) in zip(tokens.tolist(), chosen, strict=True)]

        with torch.inference_mode():
            for places, tokens in self._budget.run([len(prompts[number]) for number, _ in rows], self.device, work):
                for place, ids in zip(places, tokens, strict=True):
                    written[place] = [line.strip() for line in self._text(ids).splitlines() if line.strip()]
        found: list[dict[str, None]] = [{} for _ in wanted]
        for (number, _), lines in zip(rows, written, strict=True):
            if lines and lines[0] != wanted[number].text:
                found[number][lines[0]] = None
        return [tuple(each) for each in found]

    def _generate(self, batch: dict[str, Tensor], draws: list[np.random.RandomState], longest: int) -> Tensor:
        """Token ids [rows, at most ``longest``] of what the model writes after its prompts."""
        model: Any = self.model
        drawn = LogitsProcessorList([_Draw(draws)])
        options = {"do_sample": False, "num_beams": 1, "max_new_tokens": longest, "pad_token_id": self._pad_id}
        ids: Tensor = model.generate(**batch, **options, logits_processor=drawn)
        return ids[:, 1:] if self.encodes else ids[:, batch["input_ids"].shape[1] :]

    def _prompted(self, text: str) -> str:
        prompted = self.prompt.replace("{text}", text)
        if not self.chats:
            return prompted
        request = [{"role": "user", "content": prompted}]
        return str(self.tokenizer.apply_chat_template(request, tokenize=False, add_generation_prompt=True))

    def _fits(self, prompt: int, longest: int) -> bool:
        """Whether a prompt fits into the model, together with what a causal model writes behind it."""
        if self.max_length is None or prompt + longest * (not self.encodes) <= self.max_length:
            return True
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s has no paraphrases for texts that do not fit into its %d tokens.", self.name, self.max_length
            )
        return False

    def _ids(self, text: str, special: bool) -> Any:
        ids = self.tokenizer(text, add_special_tokens=special, return_attention_mask=False)["input_ids"]
        if special and not self.encodes and ids and ids[-1] == self.tokenizer.eos_token_id:
            ids = ids[:-1]  # the model would have nothing to write after its end token
        return np.array(ids, dtype=np.int32)

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


class _Draw(LogitsProcessor):
    """Draws each row's next token from its nucleus with the row's own random numbers, and lets only it through."""

    def __init__(self, draws: list[np.random.RandomState]) -> None:
        self.draws = draws

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        ranked, order = scores.float().softmax(-1).sort(descending=True, stable=True)
        before = ranked.cumsum(-1) - ranked
        kept = ranked * (before < NUCLEUS)
        numbers = torch.tensor([draw.random_sample() for draw in self.draws], dtype=ranked.dtype)
        borders = kept.cumsum(-1)
        points = numbers.to(scores.device)[:, None] * borders[:, -1:]
        place = torch.searchsorted(borders, points, right=True).clamp(max=scores.shape[-1] - 1)
        chosen = order.gather(-1, place)
        return torch.full_like(scores, -torch.inf).scatter(-1, chosen, 0.0)


def _draws(wanted: Wanted, draw: int) -> np.random.RandomState:
    digest = hashlib.blake2b(f"{wanted.seed} {draw} {wanted.text}".encode(), digest_size=4).digest()
    return np.random.RandomState(int.from_bytes(digest, "big"))


def load_paraphraser(spec: str, prompt: str | None = None) -> ParaphrasingModel:
    """Load a model from a local folder or the Hub, on the CPU (the scheduler moves it to the victim's device).

    Raises:
        ValueError: there is no such model, it cannot be loaded, it writes no text, or a part of it was never trained.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    from hf_robust.models.files import loading

    remedy = "give the folder or Hub id of a sequence-to-sequence or causal language model"
    with loading(f"--paraphraser {spec}", spec, remedy):
        config = AutoConfig.from_pretrained(spec)
    if any("MaskedLM" in name for name in config.architectures or ()):
        raise ValueError(
            f"--paraphraser {spec} is a masked language model, which fills blanks and writes no text: {remedy}."
        )
    with loading(f"--paraphraser {spec}", spec, remedy):
        kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model, info = kind.from_pretrained(spec, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(spec)
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"--paraphraser {spec} lacks weights that write text ({missing[0]}, {len(missing)} in all), so it was "
            f"never trained to: {remedy}."
        )
    return ParaphrasingModel(model, tokenizer, spec, prompt)

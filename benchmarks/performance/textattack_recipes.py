"""TextAttack's recipes with this package's resources, to compare the native recipes with.

Each recipe has the parts of TextAttack 0.3.11, with TextAttack's own transformations, constraints and search. But
synonyms come from a ``Lexicon``, parts of speech from a ``Tagger`` and sentence embeddings from an ``Encoder``, since
the counter-fitted vectors and Google's sentence encoder are not available. A constraint whose resource is None is left
out, as in the native recipes. Cosine bounds on word vectors are left out, since a lexicon has no vectors; kuleshov's
vectors and language model are those of the resources.

Import this module only after ``import_textattack()``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import textattack
import torch
from textattack import transformations as swaps
from textattack.constraints.grammaticality import PartOfSpeech
from textattack.constraints.grammaticality.language_models import GPT2
from textattack.constraints.overlap import LevenshteinEditDistance, MaxWordsPerturbed
from textattack.constraints.pre_transformation import (
    InputColumnModification,
    MaxModificationRate,
    MinWordLength,
    RepeatModification,
    StopwordModification,
)
from textattack.constraints.semantics.sentence_encoders import SentenceEncoder, ThoughtVector
from textattack.goal_functions import InputReduction, UntargetedClassification
from textattack.search_methods import (
    DifferentialEvolution,
    GreedySearch,
    GreedyWordSwapWIR,
    ParticleSwarmOptimizationLEAP,
)
from textattack.shared import WordEmbedding
from textattack.shared.utils import words_from_text
from textattack.transformations.word_swaps.word_swap_embedding import recover_word_case

from hf_robust.attacks import Resources, Victim
from hf_robust.attacks.textattack.backend import TextAttackRecipe
from hf_robust.attacks.textattack.importing import quiet_building
from hf_robust.attacks.textattack.wrapper import VictimWrapper
from hf_robust.lexicons import Lexicon, Thesaurus, WordNetLexicon
from hf_robust.words import STOP_WORDS, NltkTagger, Tagger, coarse_tag


@dataclass(frozen=True)
class SideA:
    """Inputs of the builders: resources, victim, and stop words (None: NLTK's)."""

    resources: Resources
    victim: Victim
    stop_words: Collection[str] | None = None

    @property
    def lexicon(self) -> Lexicon:
        """The synonyms; an error if there are none."""
        return Resources.needed(self.resources.synonyms, "TextAttack", "a synonym lexicon", "give --lexicon")

    def masked_words(self, method: str, **options: Any) -> Any:
        """Words of the masked language model; an error if there is none."""
        masked_lm = Resources.needed(self.resources.masked_lm, "TextAttack", "a masked LM", "give --masked_lm")
        options |= {"masked_language_model": masked_lm.model, "tokenizer": masked_lm.tokenizer}
        return swaps.WordSwapMaskedLM(method=method, max_length=masked_lm.max_length, **options)

    def closed(self, stop_words: Collection[str] | None = None) -> list[Any]:
        """Constraints: no word is changed twice, and no stop word is changed."""
        return [RepeatModification(), StopwordModification(self.stop_words if stop_words is None else stop_words)]

    def part_of_speech(self, verb_noun_swap: bool) -> list[Any]:
        """Constraint: the part of speech is kept; empty without a tagger."""
        tagger = self.resources.tagger
        if tagger is None:
            return []
        return [
            PartOfSpeech(allow_verb_noun_swap=verb_noun_swap)
            if isinstance(tagger, NltkTagger)
            else TaggedBy(tagger, verb_noun_swap)
        ]

    def similar(self, threshold: float, metric: str, **options: Any) -> list[Any]:
        """Constraint on sentence similarity; empty without an encoder."""
        encoder = self.resources.encoder
        return [] if encoder is None else [EncodedBy(encoder, threshold=threshold, metric=metric, **options)]


class FromLexicon(swaps.WordSwap):
    """The first ``max_candidates`` substitutes of a lexicon, in the case of the word that they replace.

    They come in the lexicon's order, as from ``WordSwapEmbedding``. ``distinct`` is for the synonym attack, which
    tries each single word once.
    """

    def __init__(self, lexicon: Lexicon, max_candidates: int | None = None, distinct: bool = False) -> None:
        super().__init__()
        self.lexicon, self.max_candidates, self.distinct = lexicon, max_candidates, distinct

    def _get_replacement_words(self, word: str) -> list[str]:
        cased = [recover_word_case(new, word) for new in self.lexicon(word)[: self.max_candidates]]
        return [new for new in dict.fromkeys(cased) if words_from_text(new) == [new]] if self.distinct else cased

    def extra_repr_keys(self) -> list[str]:
        return ["max_candidates", "distinct"]


class LemmaSwap(swaps.WordSwap):
    """``WordSwapWordNet`` with another thesaurus."""

    def __init__(self, thesaurus: Thesaurus) -> None:
        super().__init__()
        self.thesaurus = thesaurus

    def _get_replacement_words(self, word: str) -> list[str]:
        lemmas = dict.fromkeys(self.thesaurus.lemmas(word))
        return [new for new in lemmas if new != word and "_" not in new and len(words_from_text(new)) == 1]


class WordNetSwap(swaps.WordSwapWordNet):
    """TextAttack's WordNet swap, without its lookup in the multilingual WordNet."""

    def __init__(self) -> None:
        self.language = "eng"


class SimilarCharacterSwap(swaps.WordSwap):
    """``ChineseMorphonymCharacterSwap`` with a table of ours; one character at a time, in the order of the table."""

    def __init__(self, similar: Lexicon) -> None:
        super().__init__()
        self.similar = similar

    def _get_replacement_words(self, word: str) -> list[str]:
        places = enumerate(word)
        changed = [word[:place] + new + word[place + 1 :] for place, letter in places for new in self.similar(letter)]
        return list(dict.fromkeys(changed))


class TaggedBy(PartOfSpeech):
    """TextAttack's part-of-speech constraint with a tagger other than NLTK's."""

    def __init__(self, tagger: Tagger, verb_noun_swap: bool) -> None:
        super().__init__(allow_verb_noun_swap=verb_noun_swap)
        self.tagger = tagger

    def _get_pos(self, before_ctx: list[str], word: str, after_ctx: list[str]) -> str:
        words = [*before_ctx, word, *after_ctx]
        return coarse_tag(self.tagger(words)[words.index(word)])


class EncodedBy(SentenceEncoder):
    """TextAttack's similarity constraint with one of our encoders."""

    def __init__(self, encoder: Any, **options: Any) -> None:
        super().__init__(**options)
        self.encoder = encoder

    def encode(self, sentences: list[str]) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self.encoder.encode(sentences), dtype=np.float64))


def _greedy(parts: SideA, constraints: list[Any], transformation: Any, ranking: str, **options: Any) -> Any:
    goal = UntargetedClassification(VictimWrapper())
    return textattack.Attack(goal, constraints, transformation, GreedyWordSwapWIR(ranking, **options))


def _premise() -> Any:
    return InputColumnModification(["premise", "hypothesis"], {"premise"})


def synonym(parts: SideA) -> Any:
    """BAT's synonym attack: TextFooler's search over a whole lexicon, in every column."""
    tags = [] if parts.lexicon.keeps_part_of_speech else parts.part_of_speech(True)
    options = {"window_size": 15, "skip_text_shorter_than_window": True, "compare_against_original": False}
    similar = parts.similar(parts.resources.min_similarity, "angular", **options)
    return _greedy(
        parts, [*parts.closed(STOP_WORDS), *tags, *similar], FromLexicon(parts.lexicon, distinct=True), "delete"
    )


def textfooler(parts: SideA) -> Any:
    """TextFooler (Jin et al. 2020), without its bound on word vectors."""
    options = {"window_size": 15, "skip_text_shorter_than_window": True, "compare_against_original": False}
    similar = parts.similar(0.840845057, "angular", **options)
    constraints = [*parts.closed(STOP_WORDS), _premise(), *parts.part_of_speech(True), *similar]
    return _greedy(parts, constraints, FromLexicon(parts.lexicon, 50), "delete")


def _synsets(parts: SideA) -> Any:
    thesaurus = parts.resources.thesaurus
    known = thesaurus is None or isinstance(thesaurus, WordNetLexicon)
    return WordNetSwap() if known else LemmaSwap(thesaurus)


def pwws(parts: SideA) -> Any:
    """PWWS (Ren et al. 2019)."""
    return _greedy(parts, parts.closed(), _synsets(parts), "weighted-saliency")


def french(parts: SideA) -> Any:
    """FrenchRecipe and SpanishRecipe with our thesaurus, without names and places, which need flair."""
    return _greedy(parts, parts.closed(), swaps.CompositeTransformation([_synsets(parts)]), "unk")


def chinese(parts: SideA) -> Any:
    """ChineseRecipe without its swaps that need files: homophones, OpenHowNet's words and those of XLM-R."""
    similar = Resources.needed(
        parts.resources.similar_characters, "TextAttack", "similar characters", "give --similar_characters"
    )
    transformation = swaps.CompositeTransformation([SimilarCharacterSwap(similar)])
    return _greedy(parts, parts.closed(), transformation, "weighted-saliency")


def deepwordbug(parts: SideA) -> Any:
    """DeepWordBug (Gao et al. 2018)."""
    transformation = swaps.CompositeTransformation(
        [
            swaps.WordSwapNeighboringCharacterSwap(),
            swaps.WordSwapRandomCharacterSubstitution(),
            swaps.WordSwapRandomCharacterDeletion(),
            swaps.WordSwapRandomCharacterInsertion(),
        ]
    )
    return _greedy(parts, [*parts.closed(), LevenshteinEditDistance(30)], transformation, "unk")


def textbugger(parts: SideA) -> Any:
    """TextBugger (Li et al. 2019)."""
    inner = {"random_one": True, "skip_first_char": True, "skip_last_char": True}
    transformation = swaps.CompositeTransformation(
        [
            swaps.WordSwapRandomCharacterInsertion(letters_to_insert=" ", **inner),
            swaps.WordSwapRandomCharacterDeletion(**inner),
            swaps.WordSwapNeighboringCharacterSwap(**inner),
            swaps.WordSwapHomoglyphSwap(),
            FromLexicon(parts.lexicon, 5),
        ]
    )
    return _greedy(parts, [*parts.closed(), *parts.similar(0.8, "angular")], transformation, "delete")


def bae(parts: SideA) -> Any:
    """BAE-R (Garg and Ramakrishnan 2020)."""
    transformation = parts.masked_words("bae", max_candidates=50, min_confidence=0.0)
    similar = parts.similar(0.936338023, "cosine", window_size=15, skip_text_shorter_than_window=True)
    return _greedy(parts, [*parts.closed(), *parts.part_of_speech(True), *similar], transformation, "delete")


def a2t(parts: SideA) -> Any:
    """A2T with gradients in eval mode; with dropout the order of words would be random on both sides."""
    rate = MaxModificationRate(max_rate=0.1, min_threshold=4)
    constraints = [*parts.closed(), _premise(), *parts.part_of_speech(False), rate, *parts.similar(0.9, "cosine")]
    length = parts.victim.max_length or 512
    return _greedy(parts, constraints, FromLexicon(parts.lexicon, 20), "gradient", truncate_words_to=length)


def input_reduction(parts: SideA) -> Any:
    """Input reduction (Feng et al. 2018)."""
    goal = InputReduction(VictimWrapper(), maximizable=True)
    return textattack.Attack(goal, parts.closed(), swaps.WordDeletion(), GreedyWordSwapWIR("delete"))


def bert_attack(parts: SideA) -> Any:
    """BERT-Attack (Li et al. 2020)."""
    transformation = parts.masked_words("bert-attack", max_candidates=8)
    constraints = [*parts.closed(), MaxWordsPerturbed(max_percent=0.4), *parts.similar(0.2, "cosine")]
    return _greedy(parts, constraints, transformation, "unk")


def kuleshov(parts: SideA) -> Any:
    """Kuleshov et al. 2018."""
    vectors, model = parts.resources.word_vectors, parts.resources.language_model
    constraints = [*parts.closed(), MaxWordsPerturbed(max_percent=0.5)]
    if vectors is not None:
        embedding = WordEmbedding(vectors.vectors, vectors.rows, {row: word for word, row in vectors.rows.items()})
        constraints.append(ThoughtVector(embedding, threshold=0.2, metric="max_euclidean"))
    if model is not None:
        rule = GPT2.__new__(GPT2)
        rule.model, rule.tokenizer = model.model, _WithoutSpecialTokens(model.tokenizer)
        rule.max_log_prob_diff, rule.compare_against_original = 2.0, True
        constraints.append(rule)
    goal = UntargetedClassification(VictimWrapper(), target_max_score=0.7)
    return textattack.Attack(goal, constraints, FromLexicon(parts.lexicon, 15), GreedySearch())


class _WithoutSpecialTokens:
    """A tokenizer that encodes like GPT-2's, which adds no special tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids


def pruthi(parts: SideA) -> Any:
    """Pruthi et al. 2019."""
    every = {"random_one": False, "skip_first_char": True, "skip_last_char": True}
    transformation = swaps.CompositeTransformation(
        [
            swaps.WordSwapNeighboringCharacterSwap(**every),
            swaps.WordSwapRandomCharacterDeletion(**every),
            swaps.WordSwapRandomCharacterInsertion(**every),
            swaps.WordSwapQWERTY(**every),
        ]
    )
    repeat, stop_words = parts.closed()
    constraints = [MinWordLength(min_length=4), stop_words, MaxWordsPerturbed(max_num_words=1), repeat]
    return textattack.Attack(UntargetedClassification(VictimWrapper()), constraints, transformation, GreedySearch())


def leap(parts: SideA) -> Any:
    """LEAP (Xiao et al. 2023)."""
    constraints = [MaxModificationRate(max_rate=0.16), parts.closed()[1]]
    search = ParticleSwarmOptimizationLEAP(pop_size=60, max_iters=20, post_turn_check=True, max_turn_retries=20)
    return textattack.Attack(UntargetedClassification(VictimWrapper()), constraints, _synsets(parts), search)


def _bad_characters(transformation: Any) -> Callable[[SideA], Any]:
    """BadCharacters2021 (Boucher et al. 2022) with the goal to change the prediction; TextAttack's are targeted."""

    def build(parts: SideA) -> Any:
        search = DifferentialEvolution(popsize=32, maxiter=10, max_perturbs=parts.resources.num_bad_characters)
        return textattack.Attack(UntargetedClassification(VictimWrapper()), [], transformation(), search)

    return build


BUILDERS: dict[str, Callable[[SideA], Any]] = {
    "synonym": synonym,
    "textfooler": textfooler,
    "pwws": pwws,
    "deepwordbug": deepwordbug,
    "textbugger": textbugger,
    "bae": bae,
    "a2t": a2t,
    "input_reduction": input_reduction,
    "bert_attack": bert_attack,
    "kuleshov": kuleshov,
    "pruthi": pruthi,
    "leap": leap,
    "french": french,
    "spanish": french,
    "chinese": chinese,
    "homoglyphs": _bad_characters(swaps.WordSwapHomoglyphSwap),
    "invisible_characters": _bad_characters(swaps.WordSwapInvisibleCharacters),
    "deletion_characters": _bad_characters(swaps.WordSwapDeletions),
    "reordering_characters": _bad_characters(swaps.WordSwapReorderings),
}


def side_a(name: str, parts: SideA, columns: tuple[str, ...] | None = None) -> TextAttackRecipe:
    """TextAttack's recipe ``name``, ready to run, with gradients in eval mode.

    Raises:
        ValueError: the recipe is not set up here, or a resource is missing.
    """
    if name not in BUILDERS:
        raise ValueError(f"TextAttack's recipe {name} is not set up here; choose from {', '.join(BUILDERS)}.")
    with quiet_building():
        attack = BUILDERS[name](parts)
    recipe = TextAttackRecipe(
        attack,
        columns=columns,
        query_budget=parts.resources.query_budget,
        frozen_columns=parts.resources.frozen_columns,
        name=name,
    )
    recipe.wrapper.gradient_dropout = False
    return recipe

"""`hf-robust lexicon preview`: show the swaps that a table makes in the texts of a data set, before training."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hf_robust.cli.flags import DATA_SOURCES, add_column_flags, add_seed

if TYPE_CHECKING:
    from hf_robust.attacks import Attack
    from hf_robust.lexicons import Lexicon
    from hf_robust.metrics import Coverage
    from hf_robust.views import View, ViewSource
    from hf_robust.words import Text

TOP, TEXTS = 20, 5000


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="TABLE",
        help="Table of synonyms (with --relation antonym: of antonyms): wordnet, builtin, a JSON table or a file of "
        "word vectors.",
    )  # fmt: skip
    parser.add_argument("--data", required=True, metavar="DATA", help=f"Labelled texts: {DATA_SOURCES}.")
    add_column_flags(parser, "Default: train if there is one, else validation.")
    parser.add_argument(
        "--class_names", nargs="+", metavar="NAME",
        help="Names of integer labels, in the order of the integers. Default: the names in the data.",
    )  # fmt: skip
    parser.add_argument(
        "--antonym_lexicon", metavar="TABLE", help="Table of antonyms to show after the synonyms. Default: none."
    )
    parser.add_argument(
        "--antonym_views", choices=("authors", "matched"), default="authors",
        help="Words that antonym views may replace: any word with an antonym (authors), or only words that the "
        "antonym attack may change (matched). Default: authors.",
    )  # fmt: skip
    parser.add_argument(
        "--pos_tagger", choices=("nltk", "none"),
        help="Part-of-speech tagger of --antonym_views matched; none for no tagger. Default: nltk for English, else "
        "none.",
    )  # fmt: skip
    parser.add_argument(
        "--skip_labels", nargs="+", metavar="LABEL",
        help="Labels that get no antonym views; the word none for no label. Default: neutral and similar labels, if "
        "the data names its labels.",
    )  # fmt: skip
    parser.add_argument(
        "--num_texts", type=int, default=TEXTS,
        help=f"Number of texts to read, from the first; 0 for all. Default: {TEXTS}.",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=int, default=TOP, help=f"Number of swaps to print, most frequent first. Default: {TOP}."
    )
    add_seed(parser, "of the random views")


class Preview(NamedTuple):
    """Effect of one lexicon: its coverage, and counts of the swaps (word, substitute) in one view of each text."""

    lexicon: Lexicon
    rule: str
    coverage: Coverage
    texts: int
    views: int
    swaps: Counter[tuple[str, str]]
    on_stop_words: int


def run(options: argparse.Namespace) -> str:
    """Print coverage, most frequent swaps and share of stop words of each table, and pairs that are in both.

    Raises:
        ValueError: the data or a table cannot be read.
    """
    from hf_robust.attacks import AttackArguments, resolve_skip_labels
    from hf_robust.lexicons import load_lexicon

    AttackArguments(language=options.language, pos_tagger=options.pos_tagger or "auto")  # refuses what does not fit
    texts, labels, names = _labelled_texts(options)
    first = load_lexicon(options.source, options.relation, options.language)
    antonyms = first if options.relation == "antonym" else None
    if options.antonym_lexicon is not None:
        if antonyms is not None:
            raise ValueError("--antonym_lexicon needs a TABLE of synonyms: leave out --relation antonym.")
        antonyms = load_lexicon(options.antonym_lexicon, "antonym", options.language)
    blocks = []
    if options.relation == "synonym":
        blocks.append(_block(_synonyms(first, texts, options), options.top))
    if antonyms is not None:
        skipped = resolve_skip_labels(options.skip_labels, names)
        blocks.append(_block(_antonyms(antonyms, texts, labels, skipped, options), options.top))
    if options.relation == "synonym" and antonyms is not None:
        blocks.append(_in_both(first, antonyms, texts, options.top))
    return "\n".join(blocks)


def _labelled_texts(options: argparse.Namespace) -> tuple[list[Text], list[int], list[str]]:
    """Read the texts, their label ids, and the label names by id."""
    from hf_robust.data.columns import choose_text_columns
    from hf_robust.data.load import load_corpus
    from hf_robust.data.rows import check_texts
    from hf_robust.wiring.checkpoint_attack import AttackOptions, data_arguments
    from hf_robust.words import Text, words_of

    columns = {name: getattr(options, name) for name in ("split", "label_column_name", "text_column_names")}
    arguments = data_arguments(AttackOptions(model="", output_dir=Path(), **columns), options.data)
    corpus = load_corpus(arguments)
    role = "train" if options.split is None and "train" in corpus.splits else "validation"
    rows = corpus.rows(role)[: options.num_texts if options.num_texts > 0 else None]
    chosen = choose_text_columns(rows, arguments, corpus.label_column)
    check_texts(rows, chosen, corpus.describe_split(role))
    values = [row.get(corpus.label_column) for row in rows]
    named = tuple(options.class_names or corpus.label_names)
    if named:
        values = [named[value] if isinstance(value, int) and 0 <= value < len(named) else value for value in values]
    names = sorted({str(value) for value in values})
    rule = words_of(options.language)
    texts = [Text(tuple(row[column] for column in chosen), rule) for row in rows]
    return texts, [names.index(str(value)) for value in values], names


# ---- one table ----


def _synonyms(lexicon: Lexicon, texts: Sequence[Text], options: argparse.Namespace) -> Preview:
    from hf_robust.attacks import ATTACKS, Resources
    from hf_robust.attacks.languages import in_language
    from hf_robust.lexicons import lexicon_coverage, random_substitutes, substitution_sets

    rng = random.Random(options.seed)
    swaps = [random_substitutes(substitution_sets(lexicon, text), rng) for text in texts]
    attack = in_language(ATTACKS["synonym"](Resources(synonyms=lexicon)), options.language)
    coverage = lexicon_coverage(lexicon, texts)
    return _preview(lexicon, "any word in the table", coverage, texts, swaps, attack, len(texts))


def _antonyms(
    lexicon: Lexicon, texts: Sequence[Text], labels: Sequence[int], skip: frozenset[int], options: argparse.Namespace
) -> Preview:
    from hf_robust.attacks import ATTACKS, Plans, Resources
    from hf_robust.attacks.languages import in_language
    from hf_robust.lexicons import lexicon_coverage
    from hf_robust.views import AttackedAntonym, OneAntonym
    from hf_robust.words import ENGLISH, nltk_tagger

    matched = options.antonym_views == "matched"
    english = options.language == ENGLISH
    tagged = matched and english and options.pos_tagger != "none" and not lexicon.keeps_part_of_speech
    resources = Resources(antonyms=lexicon, tagger=nltk_tagger() if tagged else None)
    attack = in_language(ATTACKS["antonym"](resources), options.language)
    source: ViewSource = AttackedAntonym(attack, Plans(), skip) if matched else OneAntonym(lexicon, skip)
    open_words = source.open_words if isinstance(source, AttackedAntonym) else None
    coverage = lexicon_coverage(lexicon, texts, open_words=open_words)
    rng = random.Random(options.seed)
    swaps = [_swap(text, source(text, label, rng)) for text, label in zip(texts, labels, strict=True)]
    rule = "words that the attack may change (matched)" if matched else "any word (authors)"
    return _preview(lexicon, rule, coverage, texts, swaps, attack, sum(label not in skip for label in labels))


def _swap(text: Text, view: View) -> dict[int, str]:
    """Return the index of the word that differs and its replacement, which may be several words."""
    if not view.ok:
        return {}
    (index,) = view.changed
    _, column, start, end = text.words[index]
    behind = len(text.columns[column]) - end
    return {index: view.text.columns[column][start : len(view.text.columns[column]) - behind]}


def _preview(
    lexicon: Lexicon,
    rule: str,
    coverage: Coverage,
    texts: Sequence[Text],
    drawn: Sequence[Mapping[int, str]],
    attack: Attack,
    texts_to_view: int,
) -> Preview:
    from hf_robust.attacks.parts.constraints import NoStopWords

    lists = (constraint.words for constraint in attack.constraints if isinstance(constraint, NoStopWords))
    stop_words = frozenset[str]().union(*lists)
    swaps = [(text, at, new) for text, changes in zip(texts, drawn, strict=True) for at, new in changes.items()]
    counts = Counter((text.tokens[at].lower(), new.lower()) for text, at, new in swaps)
    on_stop_words = sum(text.is_listed(at, stop_words) for text, at, _ in swaps)
    return Preview(lexicon, rule, coverage, texts_to_view, sum(map(bool, drawn)), counts, on_stop_words)


def _block(preview: Preview, top: int) -> str:
    from hf_robust.reports import markdown_table, percent

    lexicon, coverage, total = preview.lexicon, preview.coverage, preview.swaps.total()
    shown = preview.swaps.most_common(max(top, 0))
    rows = [[word, new, f"{count:,}", percent(count / total)] for (word, new), count in shown]
    return (
        f"{lexicon.relation}s: {lexicon.source}, {len(lexicon):,} words\n"
        f"covers {coverage.in_words()}\n"
        f"views that swap {preview.rule}: {preview.views:,} of {preview.texts:,} texts have one; "
        f"{percent(preview.on_stop_words / total if total else 0.0)} % of {total:,} swaps are on stop words\n\n"
        + (markdown_table(["word", "becomes", "swaps", "%"], rows) if rows else "")
    )


# ---- both tables ----


def _in_both(synonyms: Lexicon, antonyms: Lexicon, texts: Sequence[Text], top: int) -> str:
    """List pairs that one table has as synonyms and the other as antonyms, such as cold and hot in word vectors."""
    from hf_robust.reports import markdown_table

    counts = Counter(token.lower() for text in texts for token in text.tokens)
    pairs = {
        (word, new)
        for word in set(synonyms.words()) & set(antonyms.words())
        for new in {new.lower() for new in synonyms(word)} & {new.lower() for new in antonyms(word)}
    }
    ranked = sorted(pairs, key=lambda pair: (-counts[pair[0]], pair))
    head = f"{len(pairs):,} pairs of a word and a substitute are in both tables, as synonyms and as antonyms"
    rows = [[word, new, f"{counts[word]:,}"] for word, new in ranked[: max(top, 0)]]
    table = markdown_table(["word", "substitute", "occurrences of the word"], rows) if rows else ""
    return f"{head}{':' if rows else '.'}\n\n{table}".rstrip("\n") + "\n"

"""Runs one attack on many examples at once, so that the model receives full batches."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example, ForeignAttack
from hf_robust.attacks.cascade import Cascade
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.excerpt import Excerpt, excerpt_of, start_reader
from hf_robust.attacks.engine.journal import Journal
from hf_robust.attacks.engine.plans import Plan, Plans
from hf_robust.attacks.engine.requests import (
    Columns,
    Consult,
    Flips,
    MaskToken,
    NewSuffix,
    Request,
    Saliency,
    Score,
    Scores,
    Steps,
    SuffixSwaps,
)
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.search import attack_example
from hf_robust.metrics import AttackRecord
from hf_robust.runs import FileList, KeptQueries

if TYPE_CHECKING:
    from hf_robust.attacks.engine.classifier import Classifier

logger = logging.getLogger(__name__)

MAX_LIVE = 256
MAX_REMEMBERED = 1_000_000
"""No new example starts while the running ones store the answers to this many texts (about 200 MB)."""


def attack_dataset(
    attack: AttackOrForeign,
    victim: Classifier,
    examples: Sequence[Example],
    *,
    plans: Plans | None = None,
    journal: Path | None = None,
    progress: bool = True,
    seed: int = 0,
    live: int = MAX_LIVE,
    check_candidates: bool = True,
    replayed: Mapping[int, Columns] | None = None,
    queries: Path | None = None,
) -> Sequence[AttackRecord]:
    """Attack every example and return the records, sorted by ``idx``; they are in a file, not in memory.

    Up to ``live`` searches run in lockstep, and their requests are answered together. ``live``, the victim's token
    budget and the order of the examples do not change a result, except for scores that differ by less than the
    batching noise (``near_ties`` counts these decisions). The model, its modes and all random states are restored.

    Args:
        examples: the examples to attack; each ``idx`` occurs once.
        plans: cache of what does not depend on the model, shared between calls; None for a cache of this call.
        journal: a file to which records are added as examples finish; examples in it are not measured again. Its name
            must depend on the weights and the attack: see ``attack_key``.
        seed: seed of the random state, for predictions that draw from it.
        live: maximum number of examples attacked at the same time.
        replayed: by ``idx``, a text to score first, which succeeded on an earlier model (``--attack_warm_start``).
        queries: a file to which every scored text is added (``KeptQueries``).
        check_candidates: whether to raise if no example has a candidate, as far as this is known in advance. A rank
            that holds a share of the examples passes False and calls ``require_candidates`` with all of them.

    Raises:
        ValueError: an ``idx`` occurs twice, a label is no class of the model, the journal holds other examples, no
            example has a candidate, or the attack is a cascade.
    """
    _check_examples(examples, victim)
    plans = Plans() if plans is None else plans
    if isinstance(attack, Cascade):
        raise ValueError(f"{attack.name} is several attacks; run it by attack_on_ranks, or by hf_robust.attack.")
    if check_candidates and examples:
        require_candidates(attack, plans, examples, victim)
    book = Journal(journal)
    records = FileList(book.finished(examples))
    finished = {record.idx for record in records}
    waiting = deque(example for example in examples if example.idx not in finished)
    bar = _Bar(f"{attack.name} attack", len(examples), records, progress)
    start, asked, kept = time.perf_counter(), victim.queries, KeptQueries(queries)
    with bar.bar, victim.measuring(seed), book:
        try:
            for record in _records(attack, victim, waiting, plans, live, replayed or {}, kept):
                if record is None:
                    book.tick()
                    bar.show_rate(victim.queries - asked, time.perf_counter() - start)
                    continue
                record.read = _spans(victim, record)
                records.append(record)
                book.add(record)
                bar.add(record)
        finally:
            plans.save()
    _log_near_ties(attack, records)
    records.sort(key=lambda record: record.idx)
    return records


def _spans(victim: Classifier, record: AttackRecord) -> list[list[int]]:
    """For each text column the range [first, end) of the words that the model reads; empty if it reads all words."""
    text = record.text(record.original)
    read = victim.words_read(text)
    if read is None:
        return []
    spans, end = [], 0
    for number in range(len(text.columns)):
        indices = [index for index in sorted(read) if text.words[index].column == number]
        # An unread column has an empty range at the end of the previous column.
        spans.append([indices[0], indices[-1] + 1] if indices else [end, end])
        end = spans[-1][1]
    return spans


def _log_near_ties(attack: AttackOrForeign, records: Sequence[AttackRecord]) -> None:
    ties = sum(record.near_ties for record in records)
    if ties:
        logger.info("%s attack: %d decisions were closer than the batching noise.", attack.name, ties)


def _records(
    attack: Attack | ForeignAttack,
    victim: Classifier,
    waiting: deque[Example],
    plans: Plans,
    live: int,
    replayed: Mapping[int, Columns],
    kept: KeptQueries,
) -> Iterator[AttackRecord | None]:
    if isinstance(attack, Attack):
        yield from _run_searches(attack, victim, waiting, plans, live, replayed, kept)
        return
    from hf_robust.attacks.engine.victim import Victim

    if not isinstance(victim, Victim):
        raise ValueError("--attack_backend textattack needs a model and its tokenizer; use the native backend.")
    for record in attack.run(victim, waiting, attack.seed):
        yield record
        yield None


def _run_searches(
    attack: Attack,
    victim: Classifier,
    waiting: deque[Example],
    plans: Plans,
    live: int,
    replayed: Mapping[int, Columns],
    kept: KeptQueries,
) -> Iterator[AttackRecord | None]:
    """Run the searches in lockstep; yield records as examples finish, and None after each round of queries."""
    plan = plans.planner(attack)
    attack.to(victim.device)
    searches: list[_Running] = []
    while waiting or searches:
        remembered = sum(running.trial.num_remembered for running in searches)
        while waiting and len(searches) < live and (remembered < MAX_REMEMBERED or not searches):
            example = waiting.popleft()
            searches.append(_start(attack, example, plan, victim, replayed.get(example.idx)))
        asked = [(running.trial.example.idx, running.request) for running in searches]
        answers = _answer(asked, victim, attack, kept)
        if attack.needs_scores and victim.labels_only:
            raise ValueError(
                f"the {attack.name} attack climbs scores, and the victim gives labels alone: use an attack that needs "
                "labels alone, or return probabilities or logits."
            )
        going = []
        for running, answer in zip(searches, answers, strict=True):
            try:
                going.append(running._replace(request=running.search.send(answer)))
            except StopIteration as end:
                yield running.excerpt.with_rest(end.value)
        searches = going
        yield None


class _Running(NamedTuple):
    """A search that waits for the answer to its request."""

    trial: Trial
    excerpt: Excerpt
    search: Steps[AttackRecord]
    request: Request


def _start(
    attack: Attack, example: Example, plan: Callable[[Example], Plan], victim: Classifier, replayed: Columns | None
) -> _Running:
    """Start the search on an example, on the part of it that the attack works on."""
    excerpt = excerpt_of(attack, example, victim)
    part = None if replayed is None else excerpt.part_of(replayed)
    if replayed is not None and part is None:  # it was cut elsewhere
        excerpt, part = Excerpt(example), replayed
    planned = plan(excerpt.example)
    reader = victim.words_read if attack.leaves_unread_words and victim.words_read(planned.text) is not None else None
    start = None if excerpt.rest else start_reader(planned.text, victim)
    trial = Trial(attack, excerpt.example, planned, reader, start, victim.multi_label)
    search = attack_example(trial, part)
    return _Running(trial, excerpt, search, next(search))


def _answer(asked: Sequence[tuple[int, Request]], victim: Classifier, attack: Attack, kept: KeptQueries) -> list[Any]:
    """Answer all requests, those to the same model together.

    Args:
        asked: the ``idx`` of an example, and its request.
        attack: its scores and its target select the loss of the gradients.
    """
    scores, target = attack.reading().name, attack.goal.target
    requests = [request for _, request in asked]
    answers: list[Any] = [None] * len(requests)
    to_victim = [place for place, request in enumerate(requests) if isinstance(request, Score)]
    to_gradient = [place for place, request in enumerate(requests) if isinstance(request, Saliency)]
    to_flip = [place for place, request in enumerate(requests) if isinstance(request, Flips)]
    to_begin = [place for place, request in enumerate(requests) if isinstance(request, NewSuffix)]
    to_swap = [place for place, request in enumerate(requests) if isinstance(request, SuffixSwaps)]
    to_others: dict[Any, list[int]] = {}
    for place, request in enumerate(requests):
        if isinstance(request, Consult):
            to_others.setdefault(request.model, []).append(place)
        elif isinstance(request, MaskToken):
            answers[place] = victim.mask_token
    owners = [asked[place][0] for place in to_victim for _ in requests[place].texts]  # type: ignore[union-attr]
    _fill(answers, to_victim, [requests[place].texts for place in to_victim], _scorer(victim, kept, owners))  # type: ignore[union-attr]
    if to_gradient:
        saliencies = victim.saliency([requests[place].text for place in to_gradient], loss=scores)  # type: ignore[union-attr]
        for place, saliency in zip(to_gradient, saliencies, strict=True):
            answers[place] = saliency
    if to_flip:
        flips = victim.flips([requests[place] for place in to_flip], loss=scores, target=target)  # type: ignore[misc]
        for place, word_flips in zip(to_flip, flips, strict=True):
            answers[place] = word_flips
    if to_begin:
        first = victim.new_suffixes([requests[place] for place in to_begin])  # type: ignore[misc]
        for place, suffix in zip(to_begin, first, strict=True):
            answers[place] = suffix
    if to_swap:
        swapped = victim.suffix_swaps([requests[place] for place in to_swap], loss=scores, target=target)  # type: ignore[misc]
        for place, suffixes in zip(to_swap, swapped, strict=True):
            answers[place] = suffixes
    for model, places in to_others.items():
        _fill(answers, places, [requests[place].inputs for place in places], _slicer(model))  # type: ignore[union-attr]
    return answers


Sliced = Callable[[int, int], Any]


def _fill(
    answers: list[Any], places: Sequence[int], inputs: Sequence[Sequence[Any]], ask: Callable[[list[Any]], Sliced]
) -> None:
    """Request the answers to all inputs at once, and store each request's part of them in ``answers``."""
    together = [item for request_inputs in inputs for item in request_inputs]
    if not together:
        return
    part, start = ask(together), 0
    for place, request_inputs in zip(places, inputs, strict=True):
        end = start + len(request_inputs)
        answers[place] = part(start, end)
        start = end


def _scorer(victim: Classifier, kept: KeptQueries, owners: Sequence[int]) -> Callable[[list[Any]], Sliced]:
    """Return the function that scores texts; ``owners`` are the ``idx`` of their examples."""

    def ask(texts: list[Any]) -> Sliced:
        begun = time.perf_counter()
        scores = victim.score(texts)
        kept.add(owners, texts, scores.probabilities)
        each = (time.perf_counter() - begun) / len(texts)
        return lambda start, end: Scores(
            scores.probabilities[start:end].copy(),
            scores.sequences[start:end],
            each * (end - start),
            None if scores.logits is None else scores.logits[start:end].copy(),
        )

    return ask


def _slicer(model: Callable[[Sequence[Any]], Any]) -> Callable[[list[Any]], Sliced]:
    def ask(inputs: list[Any]) -> Sliced:
        results = model(inputs)
        return lambda start, end: results[start:end]

    return ask


class _Bar:
    """A progress bar with the current ASR and the queries per second."""

    def __init__(self, title: str, total: int, records: Sequence[AttackRecord], shown: bool) -> None:
        self.bar = tqdm(total=total, initial=len(records), desc=title, disable=not shown, leave=False)
        self.attacked = sum(record.status != "skipped" for record in records)
        self.succeeded = sum(record.status == "succeeded" for record in records)

    def add(self, record: AttackRecord) -> None:
        self.bar.update()
        self.attacked += record.status != "skipped"
        self.succeeded += record.status == "succeeded"

    def show_rate(self, queries: int, seconds: float) -> None:
        rate = f"ASR {100 * self.succeeded / self.attacked:.1f} %, " if self.attacked else ""
        self.bar.set_postfix_str(f"{rate}{queries / max(seconds, 1e-9):,.0f} queries/s", refresh=False)


def _check_examples(examples: Sequence[Example], victim: Classifier) -> None:
    ids: set[int] = set()
    classes, sets = victim.num_classes, victim.multi_label
    for example in examples:
        if example.idx in ids:
            raise ValueError(f"each example needs its own idx, but {example.idx} occurs twice.")
        ids.add(example.idx)
        if example.label < 0 or (classes is not None and example.label >= (2**classes if sets else classes)):
            kind = "labels in each set" if sets else "classes"
            raise ValueError(
                f"example {example.idx} has label {example.label}, but the model has {classes} {kind}; attack a "
                "split that has labels."
            )

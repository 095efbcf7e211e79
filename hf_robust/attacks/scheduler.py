"""Runs one attack on many examples at once, so that the model sees full batches."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.journal import Journal
from hf_robust.attacks.plans import Plans
from hf_robust.attacks.requests import Embed, Request, Saliency, Score, Scores, Steps
from hf_robust.attacks.search import attack_example
from hf_robust.metrics import AttackRecord

if TYPE_CHECKING:
    from hf_robust.attacks.victim import Victim

logger = logging.getLogger(__name__)

LIVE = 256


def attack_dataset(
    attack: Attack,
    victim: Victim,
    examples: Sequence[Example],
    *,
    plans: Plans | None = None,
    journal: Path | None = None,
    progress: bool = True,
    seed: int = 0,
    live: int = LIVE,
    check: bool = True,
) -> list[AttackRecord]:
    """Attack every example; the records are sorted by ``idx``.

    Up to ``live`` searches run in step: what they ask for is answered together. Neither ``live`` nor the victim's
    token budget nor the order of the examples changes a result, but for scores closer than the noise of batching
    (``near_ties`` counts these decisions). The model, its modes and all random states are left as they were.

    Args:
        examples: what to attack; each ``idx`` once.
        plans: keeps what does not depend on the model between calls; None for this call only.
        journal: a file to which records are added as examples finish; those already in it are not measured again. Its
            name must depend on the weights and the attack: see ``attack_key``.
        seed: of the random state inside, for predictions that draw from it.
        live: examples attacked at the same time.
        check: raise where the attack needs candidates and no example has any; a rank that holds a share of the
            examples passes False and asks ``require_candidates`` about all of them.

    Raises:
        ValueError: an ``idx`` occurs twice, a label is no class of the model, the journal is of other examples, or no
            example has a candidate.
    """
    _check_examples(examples, victim)
    plans = Plans() if plans is None else plans
    if check and examples:
        require_candidates(attack, plans, examples)
    book = Journal(journal)
    records = book.finished(examples)
    finished = {record.idx for record in records}
    waiting = deque(example for example in examples if example.idx not in finished)
    title = f"{attack.name} attack"
    bar = tqdm(total=len(examples), initial=len(records), desc=title, disable=not progress, leave=False)
    with bar, victim.measuring(seed), book:
        try:
            for record in _run(attack, victim, waiting, plans, live):
                if record is None:
                    book.tick()
                    continue
                records.append(record)
                book.add(record)
                _show(bar, records)
        finally:
            plans.save()
    ties = sum(record.near_ties for record in records)
    if ties:
        logger.info("%s attack: %d decisions were nearer than the noise of batching.", attack.name, ties)
    return sorted(records, key=lambda record: record.idx)


def require_candidates(attack: Attack, plans: Plans, examples: Sequence[Example]) -> None:
    """Check that an attack which needs candidates has some among these examples.

    Raises:
        ValueError: no example whose label is not skipped has any admissible substitute.
    """
    if not attack.needs_candidates:
        return
    plan = plans.planner(attack)
    open_examples = [example for example in examples if example.label not in attack.skip_labels]
    if open_examples and not any(plan(example).swaps for example in open_examples):
        raise ValueError(
            f"the {attack.name} attack found no admissible substitute in any of {len(open_examples)} examples; "
            "give a lexicon that covers these texts (--lexicon, --antonym_lexicon)."
        )


def _run(attack: Attack, victim: Victim, waiting: deque[Example], plans: Plans, live: int) -> Any:
    """Yield records as examples finish, and None after each round of queries."""
    plan = plans.planner(attack)
    encoder: Any = attack.similarity.encoder if attack.similarity else None
    if hasattr(encoder, "to"):
        encoder.to(victim.device)
    searches: list[tuple[Steps[AttackRecord], Request]] = []
    while waiting or searches:
        while waiting and len(searches) < live:
            example = waiting.popleft()
            search = attack_example(attack, example, plan(example))
            searches.append((search, next(search)))
        answers = _answer([request for _, request in searches], victim, encoder)
        going = []
        for (search, _), answer in zip(searches, answers, strict=True):
            try:
                going.append((search, search.send(answer)))
            except StopIteration as end:
                yield end.value
        searches = going
        yield None


def _answer(requests: Sequence[Request], victim: Victim, encoder: Any) -> list[Any]:
    """Answer all requests, those of one kind together."""
    answers: list[Any] = [None] * len(requests)
    places: dict[type[Any], list[int]] = {Score: [], Saliency: [], Embed: []}
    for place, request in enumerate(requests):
        places[type(request)].append(place)
    texts = [columns for place in places[Score] for columns in requests[place].texts]  # type: ignore[union-attr]
    scores, start = (victim.score(texts) if texts else None), 0
    for place in places[Score]:
        end = start + len(requests[place].texts)  # type: ignore[union-attr]
        assert scores is not None
        answers[place] = Scores(scores.probabilities[start:end].copy(), scores.sequences[start:end])
        start = end
    if places[Saliency]:
        found = victim.saliency([requests[place].text for place in places[Saliency]])  # type: ignore[union-attr]
        for place, saliency in zip(places[Saliency], found, strict=True):
            answers[place] = saliency
    sentences = [one for place in places[Embed] for one in requests[place].sentences]  # type: ignore[union-attr]
    vectors, start = (encoder.encode(sentences) if sentences else None), 0
    for place in places[Embed]:
        end = start + len(requests[place].sentences)  # type: ignore[union-attr]
        assert vectors is not None
        answers[place] = vectors[start:end]
        start = end
    return answers


def _show(bar: Any, records: Sequence[AttackRecord]) -> None:
    bar.update()
    if not bar.disable:
        attacked = [record for record in records if record.status != "skipped"]
        if attacked:
            rate = sum(record.status == "succeeded" for record in attacked) / len(attacked)
            bar.set_postfix_str(f"ASR {100 * rate:.1f} %", refresh=False)


def _check_examples(examples: Sequence[Example], victim: Victim) -> None:
    seen: set[int] = set()
    classes = getattr(getattr(victim.model, "config", None), "num_labels", None)
    for example in examples:
        if example.idx in seen:
            raise ValueError(f"each example needs an idx of its own, got {example.idx} twice.")
        seen.add(example.idx)
        if example.label < 0 or (classes is not None and example.label >= classes):
            raise ValueError(
                f"example {example.idx} has label {example.label}, which is none of the model's {classes} classes; "
                "attack a split that has labels."
            )

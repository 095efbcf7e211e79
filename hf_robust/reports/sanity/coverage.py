"""Could the attacks change the texts at all, and did training have substitutes for them?"""

from __future__ import annotations

from hf_robust.metrics import Coverage, coverage_of_card, is_little, texts_covered
from hf_robust.metrics.rates import ratio
from hf_robust.reports.sanity.commands import attack_command, train_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.training_overlap import drawn_from

OTHER = "wordnet"
"""The table to try next; another where this one was measured."""


def table_coverage(evidence: Evidence) -> Finding:
    """A table that covers few words makes every model look robust, and a defence that trains on it is none.

    Flagged below ``LITTLE_WORDS`` of the open words or ``LITTLE_TEXTS`` of the texts, of an attack's own table and of
    the tables that training drew on; without the words' share (older runs, model-driven attacks) by the texts alone.
    """
    finding = Finding("table_coverage", "words and texts that have a substitute")
    for measured in evidence.measured:
        _attack(finding, evidence, measured)
    _training(finding, evidence)
    if not evidence.main.attacks:
        finding.missing.append("the run has no attack.")
    return finding


def _attack(finding: Finding, evidence: Evidence, measured: MeasuredAttack) -> None:
    table, texts = coverage_of_card(measured.described), texts_covered(measured.result)
    if table is None and texts is None:
        if drawn_from(measured.described):
            finding.missing.append(f"{measured.label}: the run does not say how many texts have a substitute.")
        return
    said = []
    if table is not None:
        said.append(f"its table has substitutes for {table.in_words()}")
    if texts is not None:
        said.append(f"texts with at least one substitute: {texts[0]:,} of {texts[1]:,} attacked")
    little = (table is not None and table.is_little) or (texts is not None and is_little(1.0, ratio(*texts)))
    finding.numbers.append(_numbers(measured.label, table, texts))
    sentence = f"{measured.label}: {'; '.join(said)}"
    if not little:
        finding.seen.append(f"{sentence}.")
        return
    none = texts is not None and not texts[0]
    finding.flags.append(f"{sentence}; {'it has no rate' if none else 'what it cannot change it cannot break'}.")
    lexicon = drawn_from(measured.described)
    if lexicon and measured.main:
        flag = "antonym_lexicon" if lexicon.get("relation") == "antonym" else "lexicon"
        other = OTHER if lexicon.get("name") != OTHER else "OTHER_TABLE"
        finding.suggest(attack_command(evidence.main, [measured], f"{measured.name}-{other.lower()}", **{flag: other}))


def _training(finding: Finding, evidence: Evidence) -> None:
    card = evidence.main.training
    drawn = {str(role): lexicon for role, lexicon in (card.get("lexicons") or {}).items()}
    drawn |= {f"the view {view['view']}": view for view in card.get("views") or ()}
    for name, described in drawn.items():
        coverage = coverage_of_card(described)
        if coverage is None:
            continue
        said = f"training, {name}: substitutes for {coverage.in_words()}"
        finding.numbers.append(_numbers(f"training {name}", coverage, None))
        if coverage.is_little:
            finding.flags.append(f"{said}; most texts that it saw were the clean ones.")
            flag = "antonym_lexicon" if name == "antonyms" else "lexicon"
            finding.suggest(*filter(None, [train_command(evidence.main, f"other-{flag}", **{flag: "OTHER_TABLE"})]))
        else:
            finding.seen.append(f"{said}.")


def _numbers(name: str, table: Coverage | None, texts: tuple[int, int] | None) -> dict[str, object]:
    found: dict[str, object] = {"of": name}
    if table is not None:
        found |= table.describe()
    if texts is not None:
        found |= {"texts_covered": texts[0], "texts_attacked": texts[1]}
    return found

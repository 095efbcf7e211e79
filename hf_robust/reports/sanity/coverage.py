"""Check that the substitute tables of attacks and training cover enough words and texts."""

from __future__ import annotations

from hf_robust.metrics import Coverage, coverage_of_card, is_little, texts_covered
from hf_robust.metrics.rates import ratio
from hf_robust.reports.sanity.commands import attack_command, train_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.training_overlap import drawn_from

SUGGESTED_TABLE = "wordnet"
"""Table to suggest, unless the attack used it already."""


def table_coverage(evidence: Evidence) -> Finding:
    """Flag tables that cover few words: with them every model looks robust, and training changes few texts.

    The limits are ``LITTLE_WORDS`` of the open words and ``LITTLE_TEXTS`` of the texts, for the tables of attacks and
    of training. Where the share of words is unknown (older runs, attacks by a language model) the texts alone decide.
    """
    finding = Finding("table_coverage", "words and texts with a substitute")
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
            finding.missing.append(f"{measured.label}: the number of texts with a substitute is unknown.")
        return
    shares = []
    if table is not None:
        shares.append(f"its table covers {table.in_words()}")
    if texts is not None:
        shares.append(f"texts with at least one substitute: {texts[0]:,} of {texts[1]:,} attacked")
    little = (table is not None and table.is_little) or (texts is not None and is_little(1.0, ratio(*texts)))
    finding.numbers.append(_numbers(measured.label, table, texts))
    sentence = f"{measured.label}: {'; '.join(shares)}"
    if not little:
        finding.observations.append(f"{sentence}.")
        return
    none = texts is not None and not texts[0]
    consequence = "it has no rates" if none else "with so few substitutes any model looks robust"
    finding.flags.append(f"{sentence}; {consequence}.")
    lexicon = drawn_from(measured.described)
    if lexicon and measured.main:
        flag = "antonym_lexicon" if lexicon.get("relation") == "antonym" else "lexicon"
        other = SUGGESTED_TABLE if lexicon.get("name") != SUGGESTED_TABLE else "OTHER_TABLE"
        finding.suggest(attack_command(evidence.main, [measured], f"{measured.name}-{other.lower()}", **{flag: other}))


def _training(finding: Finding, evidence: Evidence) -> None:
    card = evidence.main.training
    drawn = {str(role): lexicon for role, lexicon in (card.get("lexicons") or {}).items()}
    drawn |= {f"the view {view['view']}": view for view in card.get("views") or ()}
    for name, described in drawn.items():
        coverage = coverage_of_card(described)
        if coverage is None:
            continue
        sentence = f"training, {name}: the table covers {coverage.in_words()}"
        finding.numbers.append(_numbers(f"training {name}", coverage, None))
        if coverage.is_little:
            finding.flags.append(f"{sentence}; most training texts stayed clean.")
            flag = "antonym_lexicon" if name == "antonyms" else "lexicon"
            finding.suggest(*filter(None, [train_command(evidence.main, f"other-{flag}", **{flag: "OTHER_TABLE"})]))
        else:
            finding.observations.append(f"{sentence}.")


def _numbers(name: str, table: Coverage | None, texts: tuple[int, int] | None) -> dict[str, object]:
    numbers: dict[str, object] = {"of": name}
    if table is not None:
        numbers |= table.describe()
    if texts is not None:
        numbers |= {"texts_covered": texts[0], "texts_attacked": texts[1]}
    return numbers

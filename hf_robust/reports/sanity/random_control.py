"""Check that an attack finds more than a random search with as many queries."""

from __future__ import annotations

from hf_robust.attacks.control import NO_CONTROL, RANDOM_PREFIX
from hf_robust.reports.cells import percent
from hf_robust.reports.sanity.commands import attack_command
from hf_robust.reports.sanity.evidence import Evidence, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import compare


def random_control(evidence: Evidence) -> Finding:
    """Carlini et al. 2019: an attack that finds no more than a random search does not see the model.

    Compares each attack with its control (``--attacks NAME random:NAME``) on the same examples. Flagged unless the
    attack finds significantly more.
    """
    finding = Finding("random_control", "attacks against a random search with the same queries")
    controls = {(one.folder, one.name): one for one in evidence.measured if one.is_control}
    for attack in evidence.measured:
        control = controls.get((attack.folder, f"{attack.name}_random"))
        if control is not None:
            _judge(finding, attack, control)
    if not finding.numbers:
        _suggest(finding, evidence)
    return finding


def _judge(finding: Finding, attack: MeasuredAttack, control: MeasuredAttack) -> None:
    compared = compare(control, attack)
    if compared is None:
        finding.missing.append(f"{attack.label} and its random control share no attacked text.")
        return
    sentence = (
        f"{attack.label} breaks {percent(compared.second)} % of the texts, a random search with the same queries "
        f"{percent(compared.first)} %, {compared.in_words()}"
    )
    if compared.is_rise:
        finding.observations.append(f"{sentence}.")
    else:
        finding.flags.append(f"{sentence}; what the search learns from the model's scores does not show.")
    finding.numbers.append({"attack": attack.label, "control": control.label, **compared.numbers()})


def _suggest(finding: Finding, evidence: Evidence) -> None:
    named = {str(one.described.get("name")): one for one in evidence.main.attacks if "candidates" in one.described}
    able = {name: one for name, one in named.items() if name not in NO_CONTROL and not one.described.get("backend")}
    if not able:
        finding.missing.append("the run has no attack with a random control.")
        return
    name, attack = next(iter(able.items()))
    finding.missing.append(f"{name} was measured without its random control.")
    finding.suggest(attack_command(evidence.main, [attack], "random-control", [f"{RANDOM_PREFIX}{name}"]))

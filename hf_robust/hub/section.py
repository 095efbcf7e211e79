"""The Markdown section "Robustness" of a model card, written from a run's files: no number in it is typed by hand."""

from __future__ import annotations

import math
import shlex

from hf_robust.hub.citations import citation, citations_of, title
from hf_robust.reports import CURVES_STEM, markdown_table, percent, results_table
from hf_robust.reports.limits import limits
from hf_robust.runs import Run, attack_names


def robustness_section(run: Run) -> str:
    """Results, curves, limits, the command of the run and what to cite."""
    blocks = ["## Robustness", _introduction(run), results_table(run).strip()]
    if (run.path / f"{CURVES_STEM}.png").is_file():
        blocks.append(f"![Clean accuracy and attack success rates per epoch]({CURVES_STEM}.png)")
    blocks += _certificates(run)
    blocks += ["### What these numbers do not show", "".join(f"- {limit}\n" for limit in limits(run)).strip()]
    blocks += _reproduction(run)
    blocks += _citations(run)
    return "\n\n".join(blocks) + "\n"


def _introduction(run: Run) -> str:
    line, data = run.published, run.data
    measured = "attacked" if line["attacks"] or not line.get("certified") else "certified"
    paper = f" (*{title(run.card['citation'])}*)" if run.card.get("citation") else ""
    start = f" from `{run.card['model']}`" if run.card.get("model") else ""
    where = f" on {data['name']}" if data.get("name") else ""
    rows = f" ({data['train_samples']:,} training examples)" if isinstance(data.get("train_samples"), int) else ""
    split = f" of the split `{data['attack_split']}`" if data.get("attack_split") else ""
    text = (
        f"Trained with the method `{run.method}`{paper}{start}{where}{rows} and {measured} on held-out examples"
        f"{split} with [hf_robust](https://huggingface.co/models?other=hf_robust). "
    )
    if run.measured_exactly:
        which = "the last" if run.best_step is None else "the best"
        text += f"Numbers are of epoch {line['epoch']:g}, {which}, whose weights are published here. "
    else:
        text += (
            f"Numbers are of step {line['step']}; the weights published here are those of step {run.kept_step}, which "
            f"was not {measured} itself. "
        )
    text += "Brackets: 95 % Wilson intervals."
    if not line["attacks"]:
        return text
    return text + (
        " The attack success rate counts only attacked examples, those that were right before; accuracy under attack "
        "counts all."
    )


def _certificates(run: Run) -> list[str]:
    certified = run.published.get("certified")
    if not certified:
        return []
    numbers = {key: math.nan if value is None else float(value) for key, value in certified.items()}
    rows = []
    for metric, name in (("certified_accuracy", "certified accuracy"), ("smoothed_accuracy", "accuracy of the vote")):
        interval = (numbers.get(f"{metric}_low", math.nan), numbers.get(f"{metric}_high", math.nan))
        rows.append([name, percent(numbers.get(metric, math.nan), interval)])
    rows.append(["abstained", percent(numbers.get("abstained", math.nan))])
    for key, name in (("radius", "median certified words"), ("num_examples", "examples"), ("votes", "votes each")):
        value = numbers.get(key, math.nan)
        rows.append([name, f"{value:,g}" if math.isfinite(value) else "–"])
    settings = run.card.get("certify") or {}
    chosen = [f"{key} {str(settings[key]).replace('_', ' ')}" for key in ("alpha", "bound", "rule") if key in settings]
    by = f" ({', '.join(chosen)})" if chosen else ""
    said = (
        "Share of examples whose label a vote over random substitutions keeps whatever words are swapped for their "
        f"substitutes{by}. Rates in percent; brackets as above."
    )
    return ["### Certified accuracy", said, markdown_table(["of the vote", ""], rows).strip()]


def _reproduction(run: Run) -> list[str]:
    command = [str(part) for part in run.card.get("command") or []]
    if not command:
        return []
    if command[0].endswith(".py"):
        command = ["python", *command]
    versions = ", ".join(f"{name} {version}" for name, version in (run.card.get("versions") or {}).items())
    blocks = ["### Reproduce", f"```bash\n{shlex.join(command)}\n```"]
    return [*blocks, f"With {versions}; every setting is in `run_card.json`."] if versions else blocks


def _citations(run: Run) -> list[str]:
    certified = any("certified" in line for line in run.history)
    keys = citations_of(run.card, attack_names(run.history), certified)
    return ["### Citation", "```bibtex\n" + "\n\n".join(map(citation, keys)) + "\n```"] if keys else []

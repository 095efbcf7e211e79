"""The Markdown section "Robustness" of a model card, generated from the files of a run."""

from __future__ import annotations

import math

from hf_robust.hub.citations import citation, citations_of, title
from hf_robust.reports import CURVES_STEM, guessing_warnings, markdown_table, mask_in_words, percent, results_table
from hf_robust.reports.aims import is_obstinate
from hf_robust.reports.captions import dataset_name, measured_file
from hf_robust.reports.limits import limits
from hf_robust.reports.reproduction import reproduction
from hf_robust.reports.stopping import interval_name
from hf_robust.runs import UNKNOWN_METHOD, Run, attack_names, size_in_words

_PACKAGE = "[hf_robust](https://huggingface.co/models?other=hf_robust)"


def robustness_section(run: Run) -> str:
    """The section: results, curves, limits, cost, command and citations."""
    warnings = [
        f"> **Warning:** {warning} The rates are not in this card's metadata." for warning in guessing_warnings(run)
    ]
    blocks = ["## Robustness", _introduction(run), *warnings, results_table(run).strip()]
    if (run.path / f"{CURVES_STEM}.png").is_file():
        blocks.append(f"![Clean accuracy and attack success rates per epoch]({CURVES_STEM}.png)")
    blocks += _certificates(run)
    if mask := mask_in_words(run.card):
        blocks += ["### Word mask", " ".join(mask)]
    blocks += ["### What these numbers do not show", "".join(f"- {limit}\n" for limit in limits(run)).strip()]
    blocks += _cost(run)
    blocks += _reproduction(run)
    blocks += _citations(run)
    return "\n\n".join(blocks) + "\n"


def _introduction(run: Run) -> str:
    line = run.published
    measured = "attacked" if line["attacks"] or not line.get("certified") else "certified"
    text = _trained(run, measured) if run.trained else _evaluated(run, measured)
    if not run.trained:
        text += "The numbers are those of the weights that are published here. "
    elif run.measured_exactly:
        which = "the last" if run.best_step is None else "the best"
        text += f"The numbers are those of epoch {line['epoch']:g}, {which}, whose weights are published here. "
    else:
        text += (
            f"The numbers are those of step {line['step']}; the weights published here are those of step "
            f"{run.kept_step}, which was not {measured}. "
        )
    text += f"Brackets: 95 % {interval_name([line])}."
    if not line["attacks"]:
        return text
    text += (
        " The attack success rate is over the attacked examples, which are those classified correctly before. "
        "Accuracy under attack and the clean accuracy beside it are over all examples of the attack."
    )
    if any(is_obstinate(run, name) for name in line["attacks"]):
        text += (
            " For attacks that keep the prediction, as shares of the attacked examples: *raises*, the changed text "
            "gets a higher confidence; *remains*, some changed text keeps the prediction. The median rise is the "
            "median increase of the label's probability over the successes."
        )
    return text


def _trained(run: Run, measured: str) -> str:
    data = run.data
    start = f" from `{run.card['model']}`" if run.card.get("model") else ""
    where = f" on {dataset_name(run)}" if data.get("name") else ""
    rows = f" ({data['train_samples']:,} training examples)" if isinstance(data.get("train_samples"), int) else ""
    method = f" with the method `{run.method}`{_paper(run)}" if run.card.get("method") else ""
    return f"Trained{method}{start}{where}{rows} and {measured} on held-out examples{_split(run)} with {_PACKAGE}. "


def _evaluated(run: Run, measured: str) -> str:
    """Of a run that only measured: what trained the model is known from the model's own run card, or not."""
    method = "" if run.card.get("method", UNKNOWN_METHOD) == UNKNOWN_METHOD else run.method
    model = f"The model `{run.card['model']}`" if run.card.get("model") else "The model"
    model += f", trained with the method `{method}`{_paper(run)}," if method else ""
    where = f" of {dataset_name(run)}" if run.data.get("name") else ""
    return f"{model} was {measured} on examples{where}{_split(run)} with {_PACKAGE}, without training it further. "


def _paper(run: Run) -> str:
    return f" (*{title(run.card['citation'])}*)" if run.card.get("citation") else ""


def _split(run: Run) -> str:
    split = f" of the split `{run.data['attack_split']}`" if run.data.get("attack_split") else ""
    return split + (f" (`{measured_file(run)}`)" if measured_file(run) else "")


def _certificates(run: Run) -> list[str]:
    certified = run.published.get("certified")
    if not certified:
        return []
    numbers = {key: math.nan if value is None else float(value) for key, value in certified.items()}
    settings = run.card.get("certify") or {}
    of = "network" if settings.get("rule") == "intervals" else "vote"
    rows = []
    for metric, name in (("certified_accuracy", "certified accuracy"), ("smoothed_accuracy", f"accuracy of the {of}")):
        interval = (numbers.get(f"{metric}_low", math.nan), numbers.get(f"{metric}_high", math.nan))
        rows.append([name, percent(numbers.get(metric, math.nan), interval)])
    votes = {"votes": "votes each"} if of == "vote" else {}
    if votes:
        rows.append(["abstained", percent(numbers.get("abstained", math.nan))])
    for key, name in {"radius": "median certified words", "num_examples": "examples", **votes}.items():
        value = numbers.get(key, math.nan)
        rows.append([name, f"{value:,g}" if math.isfinite(value) else "–"])
    chosen = [f"{key} {str(settings[key]).replace('_', ' ')}" for key in ("alpha", "bound", "rule") if key in settings]
    by = f" ({', '.join(chosen)})" if chosen else ""
    changes, draws = "swap of words for their substitutes", "substitutions"
    if "mask_rate" in settings:
        changes, draws = "change of one word", "masks"
    text = (
        f"Certified accuracy is the share of examples for which no {changes} can change the correct prediction of the "
        f"{f'vote over random {draws}' if votes else 'network itself'}{by}. Rates in percent; brackets as above."
    )
    attacked = {result.get("num_examples") for result in run.published["attacks"].values()}
    if attacked - {numbers.get("num_examples")}:
        text += (
            " The certified examples differ from the attacked ones, so differences within the intervals may be chance."
        )
    return ["### Certified accuracy", text, markdown_table([f"of the {of}", ""], rows).strip()]


_PARTS = {
    "train": "the model",
    "twin": "its twin",
    "baseline": "the plain training of the victim of the views",
    "level": "the plain training that measured the level of flooding",
}


def _cost(run: Run) -> list[str]:
    """Cost of training in seconds and forward passes; empty if it is unknown."""
    seconds, forwards = run.card.get("seconds") or {}, run.card.get("forwards") or {}
    if not (run.ended and seconds.get("train") and forwards.get("per_step")):
        return []
    before = sum(seconds.get(key, 0.0) for key in ("baseline", "level", "generate"))
    text = f"Training took {seconds['train']:,.0f} s without evaluation and attacks"
    text += f", and {before:,.0f} s for the phases before it (plain training, views)" if before >= 0.5 else ""
    parts = {key: forwards[key] for key in _PARTS if forwards.get(key)}
    text += f"; {forwards['per_step']:.2f} forward passes for each batch of texts"
    if len(parts) > 1:
        scale = forwards["per_step"] / sum(parts.values())
        text += f" ({', '.join(f'{scale * count:.2f} of {_PARTS[key]}' for key, count in parts.items())})"
    if since := run.card.get("counted_from"):
        text += f"; both are counted from step {since} on, where the run was resumed"
    known = run.card.get("architecture")
    return ["### Cost", f"{text}. Published: {size_in_words(known)}." if known else f"{text}."]


def _reproduction(run: Run) -> list[str]:
    reproduced = reproduction(run.card)
    if not (reproduced.command or reproduced.note):
        return []
    versions = ", ".join(f"{name} {version}" for name, version in (run.card.get("versions") or {}).items())
    command = f"```bash\n{reproduced.command}\n```" if reproduced.command else ""
    blocks = ["### Reproduce", command, reproduced.note]
    blocks += [f"Versions: {versions}. All settings are in `run_card.json`."] if versions else []
    return [block for block in blocks if block]


def _citations(run: Run) -> list[str]:
    certified = any("certified" in line for line in run.history)
    keys = citations_of(run.card, attack_names(run.history), certified)
    return ["### Citation", "```bibtex\n" + "\n\n".join(map(citation, keys)) + "\n```"] if keys else []

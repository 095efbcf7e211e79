"""Parse a command line or an args file into dataclasses: first the method, then its flags.

A flag of another method, a misspelt flag and an unknown key of an args file are errors of one sentence. Flags that are
gone are translated or refused with what to use now (:mod:`hf_robust.data.legacy_flags`).
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn

from transformers import HfArgumentParser

from hf_robust.attacks import ATTACKS, goal_of
from hf_robust.attacks.arguments import MISMATCHED, STANDARD, AttackArguments
from hf_robust.attacks.flag_readers import READ_WORD_VECTORS, check_flags_are_read, with_members
from hf_robust.attacks.static import named_files
from hf_robust.callbacks.best_metric import ExpectedMetrics, check_best_metric
from hf_robust.certify.arguments import CertifyArguments
from hf_robust.data.arguments import (
    NEW_WORD_MODELS,
    CheckpointArguments,
    DataTrainingArguments,
    LoRAArguments,
    ModelArguments,
)
from hf_robust.data.legacy_flags import translate
from hf_robust.metrics import Aim
from hf_robust.metrics.keys import AttackKeys
from hf_robust.metrics.task import check_metric_names, possible_metrics
from hf_robust.runs import Flags, flags_of, read_args_file
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.arguments import RobustTrainingArguments
from hf_robust.training.sharding import check_sharding
from hf_robust.training.view_arguments import GenerationArguments
from hf_robust.wiring.flag_help import help_of_every_flag, help_of_method, help_of_script
from hf_robust.wiring.precision import check_packages
from hf_robust.wiring.smoothed import check_vote_is_drawn
from hf_robust.wiring.streaming import check_streaming
from hf_robust.words import UNSPACED, language_name

logger = logging.getLogger(__name__)

DEFAULT_METHOD = "normal"


@dataclasses.dataclass
class ReportArguments:
    """Flags of the curves at the end of a run."""

    baseline_run: list[str] | None = dataclasses.field(
        default=None, metadata={"help": "Output folders of other runs to draw into the tradeoff curves."}
    )


SECTIONS: dict[str, type] = {
    "model": ModelArguments,
    "data": DataTrainingArguments,
    "attacks": AttackArguments,
    "certificates": CertifyArguments,
    "report": ReportArguments,
}


def sections_of(method: type[RobustTrainer]) -> dict[str, type]:
    """The sections of a run's flags, the method's own among them as "training".

    A method that adapts layers itself has the LoRA flags in its config, and the model's section lacks them.
    """
    adapts = issubclass(method.config, LoRAArguments)
    model: dict[str, type] = {"model": CheckpointArguments} if adapts else {}
    return {**SECTIONS, **model, "training": method.config}


class Arguments(NamedTuple):
    """All arguments of a run, and its trainer class."""

    model: ModelArguments
    data: DataTrainingArguments
    attack: AttackArguments
    certify: CertifyArguments
    report: ReportArguments
    training: RobustTrainingArguments
    method: type[RobustTrainer]
    command_line: Sequence[str] = ()
    """The arguments as they were typed, without the program."""


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Parse a command line: flags, or an args file (``*.json``) and flags that override it.

    Raises:
        ValueError: a flag or its value is wrong; one sentence says how.
    """
    tokens = list(argv)
    if tokens and tokens[0].endswith(".json"):
        return parse_flags(read_args_file(tokens[0]), tokens[1:])._replace(command_line=tokens)
    return parse_flags({}, tokens)._replace(command_line=tokens)


def parse_flags(file_flags: Flags, tokens: Sequence[str] = ()) -> Arguments:
    """Parse the flags of an args file, and the tokens of a command line that override them.

    Raises:
        ValueError: a flag or its value is wrong; one sentence says how.
    """
    given = flags_of(tokens)
    method = find_method({**file_flags, **given})
    sections = sections_of(method)
    groups = tuple(sections.values())
    names = {field.name for group in groups for field in dataclasses.fields(group) if field.init}
    file_flags = translate(file_flags, names.__contains__)
    tokens = translate_tokens(tokens, names)
    merged = {**file_flags, **flags_of(tokens)}
    check_flag_names(merged, names, method)
    parser = HfArgumentParser(groups, allow_abbrev=False)
    chosen = method if "robust_method" in merged else None
    if merged.get("help") == "all":
        show_help = partial(help_of_every_flag, parser, sections, chosen)
    elif chosen:
        show_help = partial(help_of_method, parser, method)
    else:
        show_help = partial(help_of_script, parser, sections)
    vars(parser).update(error=_raise, format_help=show_help)
    allow_several_trackers(parser)
    tokens = [*tokens_of(file_flags, parser), *tokens]
    *parsed, stray = parser.parse_args_into_dataclasses(
        tokens, return_remaining_strings=True, look_for_args_file=False
    )
    if stray:
        raise ValueError(
            f"{' '.join(stray)} does not belong to a flag: flags begin with --, and values with spaces need quotes."
        )
    arguments = Arguments._make([*parsed, method, ()])
    if not isinstance(arguments.model, ModelArguments):
        arguments = arguments._replace(model=ModelArguments(**vars(arguments.model)))
    arguments.training.resume_from_checkpoint = as_resume(arguments.training.resume_from_checkpoint)
    keep_trackio_local(arguments.training)
    check_metric_names(arguments.data.metric_name or (), arguments.model.trust_remote_code)
    check_best_metric(arguments.training.metric_for_best_model, expected_by(arguments))
    check_votes(arguments.attack)
    complete_votes(arguments)
    check_flags(arguments)
    check_packages(arguments.model, arguments.training)
    check_word_vectors(arguments)
    check_streaming(arguments.data, arguments.model, arguments.training, arguments.method)
    check_sharding(arguments.method, arguments.training, arguments.training.do_train)
    return arguments


def allow_several_trackers(parser: Any) -> None:
    """Let ``--report_to`` take several trackers, as in args files; transformers' flag takes one."""
    for action in parser._actions:
        if action.dest == "report_to":
            action.nargs = "+"


def _raise(message: str) -> NoReturn:
    raise ValueError(message if message.endswith(".") else f"{message}.")


def translate_tokens(tokens: Sequence[str], names: Iterable[str]) -> list[str]:
    """A command line under the names that flags have now."""
    before = flags_of(tokens)
    after = translate(before, set(names).__contains__)
    if after == before:
        return list(tokens)
    translated: list[str] = []
    keep = True
    for token in tokens:
        if token.startswith("--") and len(token) > 2:
            name = token[2:].partition("=")[0].replace("-", "_")
            keep = name in after and after[name] == before[name]
        if keep:
            translated.append(token)
    added = {name: value for name, value in after.items() if name not in before or before[name] != value}
    for name, value in added.items():
        values = [] if value is True else value if isinstance(value, list) else [str(value)]
        translated += [f"--{name}", *values]
    return translated


def tokens_of(flags: Flags, parser: Any) -> list[str]:
    """Write the flags of an args file as a command line, so that both are parsed alike.

    A value that a command line cannot express (an object, an empty list) becomes the default of its flag.
    """
    takes_many = {action.dest for action in parser._actions if action.nargs in ("+", "*")}
    tokens: list[str] = []
    for name, value in flags.items():
        if isinstance(value, list) and value and name in takes_many:
            tokens += [f"--{name}", *map(_written, value)]
        elif isinstance(value, (list, dict)):
            parser.set_defaults(**{name: value})
        else:
            tokens.append(f"--{name}={_written(value)}")
    return tokens


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def find_method(flags: Mapping[str, Any]) -> type[RobustTrainer]:
    """Return the trainer class that ``--robust_method`` names."""
    return METHODS.find(str(flags.get("robust_method", DEFAULT_METHOD)))


def check_flag_names(flags: Iterable[str], names: set[str], method: type[RobustTrainer]) -> None:
    """Refuse flags that the method does not have; the error names the flag's methods, or a similar flag."""
    for flag in flags:
        if flag in names or flag.removeprefix("no_") in names or flag == "help":
            continue
        owners = [
            name
            for name, trainer in METHODS.items()
            if flag in {field.name for field in dataclasses.fields(trainer.config)}
        ]
        if owners:
            raise ValueError(
                f"--{flag} belongs to --robust_method {' or '.join(owners)}, and this run's method is {method.name}: "
                "choose another method, or leave the flag out."
            )
        if flag in {field.name for group in SECTIONS.values() for field in dataclasses.fields(group)}:
            raise ValueError(
                f"--{flag} is not for --robust_method {method.name}, which makes adapters of its own: leave it out, "
                "or choose another method."
            )
        close = difflib.get_close_matches(flag, names, n=1)
        hint = f"did you mean --{close[0]}" if close else "--help lists all flags"
        raise ValueError(f"--{flag} is not a flag of this script or of --robust_method {method.name}: {hint}.")


def as_resume(value: str | bool | None) -> str | bool | None:
    """Read ``--resume_from_checkpoint``: ``true`` is the newest checkpoint, ``false`` none, anything else a folder."""
    known: dict[str, str | bool | None] = {"true": True, "false": None}
    return known.get(str(value).lower(), value)


def keep_trackio_local(training: RobustTrainingArguments) -> None:
    """Read ``--trackio_static_space_id false`` as the value False, which transformers cannot parse."""
    if str(getattr(training, "trackio_static_space_id", None)).lower() == "false":
        training.trackio_static_space_id = False


def expected_by(args: Arguments) -> ExpectedMetrics:
    """What the run's evaluations will hold, as far as its flags say."""
    goals = {args.attack.name_of(name).rpartition(":")[2]: goal_of(name) for name in args.attack.recipes}
    if args.attack.attack_mismatched:
        goals |= {f"{name}{MISMATCHED}": goal for name, goal in goals.items()}
    files = named_files(args.attack.attacks)
    aims = {name: Aim(goal.keeps_prediction, goal.maximises) for name, goal in goals.items()}
    return ExpectedMetrics(
        possible_metrics(args.data.task_name, args.data.metric_name),
        AttackKeys(aims | dict.fromkeys(files, Aim()), files, bool(args.attack.attack_votes)),
        (*ATTACKS, STANDARD),
        args.training.eval_strategy.value,
        args.attack.attack_strategy,
        args.certify.certify,
    )


def check_votes(attack: AttackArguments) -> None:
    """Refuse ``--attack_votes`` without attacks."""
    if attack.attack_votes and (not attack.attacks or attack.attack_strategy == "no"):
        raise ValueError(
            f"--attack_votes {attack.attack_votes} sets the vote that is attacked, and no attack runs: add "
            f"--attacks, or "
            "leave it out (--certify measures the vote without an attack)."
        )


def complete_votes(arguments: Arguments) -> None:
    """Let votes mask words as the method of the run does, if it does and no other rate is given."""
    attack = arguments.attack
    voted = bool(attack.attack_votes) or arguments.certify.draws_votes
    check_vote_is_drawn(attack, voted)
    if voted and attack.vote_mask_rate is None:
        attack.vote_mask_rate = getattr(arguments.training, "ranmask_rate", None) or None


def check_flags(arguments: Arguments) -> None:
    """Refuse flags of attacks, and ``--protect``, that nothing in the run reads."""
    attack, method = arguments.attack, arguments.method
    makes_texts = bool(method.needs) or issubclass(method.config, GenerationArguments)
    protects = makes_texts or arguments.certify.certify != "no"
    measuring = attack.recipes if attack.attack_strategy != "no" else []
    check_flags_are_read(attack, measuring, training_attacks(arguments), protects)
    if arguments.model.is_new_word_model and attack.language in UNSPACED:
        raise ValueError(
            f"a new {arguments.model.model_name_or_path} reads words that spaces separate, and "
            f"{language_name(attack.language)} has none: give a checkpoint of this language by --model_name_or_path."
        )


def training_attacks(arguments: Arguments) -> list[str]:
    """Return the attacks that make texts to train on."""
    names = list(arguments.training.view_attacks) if "attacks" in arguments.method.needs else []
    return ["antonym"] if getattr(arguments.training, "antonym_views", None) == "matched" else names


def check_word_vectors(arguments: Arguments) -> None:
    """Refuse ``--word_vectors`` that nothing reads, and log if only attacks read it."""
    model, attack = arguments.model, arguments.attack
    if attack.word_vectors is None or model.is_new_word_model:
        return
    named = with_members([*attack.attacks, *training_attacks(arguments)])
    readers = [name for name in named if name in READ_WORD_VECTORS]
    if not readers or attack.attack_backend != "native":
        raise ValueError(
            f"nothing in this run reads --word_vectors {attack.word_vectors}: {model.model_name_or_path} has its own "
            f"embeddings, and of the attacks only {', '.join(READ_WORD_VECTORS)} read word vectors. Leave it out, or "
            f"start a new model by --model_name_or_path {' or '.join(NEW_WORD_MODELS)}."
        )
    logger.info(
        f"--word_vectors is used by the attacks {', '.join(readers)} only; {model.model_name_or_path} keeps its own "
        "embeddings."
    )

"""Runs any TextAttack recipe instead of a native attack (``--attack_backend textattack``)."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_robust.attacks.attack import Example
from hf_robust.attacks.engine.reading import num_saturated
from hf_robust.attacks.parts.goals import described
from hf_robust.attacks.textattack.importing import import_textattack, quiet_building, textattack_version
from hf_robust.attacks.textattack.limits import add_limits
from hf_robust.metrics import Aim, AttackRecord
from hf_robust.words import Protection

if TYPE_CHECKING:
    from hf_robust.attacks.arguments import AttackArguments
    from hf_robust.attacks.engine.victim import Victim

_BATCH = 1024
_SPLIT = "<SPLIT>"
_DEPTH = 4
# Attributes that are not settings: the state of the present example, and the search's reference to the goal.
_TRANSIENT = frozenset({"goal_function", "initial_attacked_text", "ground_truth_output", "num_queries", "victim"})


class TextAttackRecipe:
    """A TextAttack attack on a ``Victim``, one example after another, with this package's records.

    ``textattack.Attack.attack`` attacks each example. All random states are seeded with ``seed + idx`` before, so a
    result does not depend on earlier examples. TextAttack's column constraint goes by column names: it closes the
    first column of the pair ``premise``, ``hypothesis`` and no column of other pairs.

    Args:
        recipe: a recipe's name on TextAttack's command line (``textfooler``, ``input-reduction``; ``_`` may replace
            ``-``), its class name, ``module:Class`` of an ``AttackRecipe``, such a class, or a built
            ``textattack.Attack``, whose model is replaced by the victim.
        columns: names of the text columns; None for ``text``, or ``text_1`` and ``text_2``.
        query_budget: maximum number of queries per example, the clean text included; None for the recipe's limit.
        frozen_columns: numbers of the columns that do not change.
        protection: spans that do not change; None for none.
        max_changed: share of the words that may change, by TextAttack's ``MaxWordsPerturbed``; None for the recipe's.
        name: name of the attack in results; None for the recipe's.
        seed: ``seed`` plus an example's ``idx`` seeds the random draws for this example.

    Raises:
        ValueError: TextAttack or a resource of the recipe is missing, there is no such recipe, or its goal is not a
            classification goal.
    """

    needs_candidates = False
    own_examples = None

    def __init__(
        self,
        recipe: Any,
        *,
        columns: Sequence[str] | None = None,
        query_budget: int | None = None,
        frozen_columns: frozenset[int] = frozenset(),
        protection: Protection | None = None,
        max_changed: float | None = None,
        name: str | None = None,
        seed: int = 0,
    ) -> None:
        self.skip_labels: frozenset[int] = frozenset()
        self.seed = seed
        self.columns = None if columns is None else tuple(columns)
        self.query_budget, self.frozen_columns = query_budget, frozen_columns
        self.protection, self.max_changed = protection, max_changed
        textattack = import_textattack()
        from hf_robust.attacks.textattack.wrapper import VictimWrapper

        self.wrapper = VictimWrapper()
        if isinstance(recipe, textattack.Attack):
            self.name, self.attack = name or "textattack", recipe
        else:
            kind = recipe if isinstance(recipe, type) else find_recipe(recipe)
            self.name = name or (kind.__name__ if isinstance(recipe, type) or ":" in recipe else recipe)
            self.attack = _build(kind, self.wrapper)
        self._length_is_open = self.attack is not recipe
        self._prepare(textattack)
        # A search stores state in its attributes, so the fingerprint is computed before the first run.
        self._fingerprint = self._digest()

    def _prepare(self, textattack: Any) -> None:
        goal = self.attack.goal_function
        if not isinstance(goal, textattack.goal_functions.classification.ClassificationGoalFunction):
            raise ValueError(
                f"the TextAttack recipe {self.name} has the goal {type(goal).__name__}, which is not a classification "
                "goal; use a recipe that attacks classifiers."
            )
        self.aim = Aim(isinstance(goal, textattack.goal_functions.InputReduction), bool(goal.maximizable))
        goal.model, goal.batch_size = self.wrapper, _BATCH
        vars(goal)["_call_model"] = self._counted(goal._call_model)
        if self.query_budget is not None:
            goal.query_budget = self.query_budget
        elif goal.query_budget != float("inf"):
            self.query_budget = int(goal.query_budget)
        if self.query_budget is not None and self.query_budget < 1:
            raise ValueError(
                f"--attack_query_budget must be at least 1 (the clean text is query 1), got {self.query_budget}."
            )
        if self.frozen_columns:
            names = list(self.columns or ("text_1", "text_2"))
            closed = {names[number] for number in self.frozen_columns}
            freeze = textattack.constraints.pre_transformation.InputColumnModification
            self.attack.pre_transformation_constraints.append(freeze(names, closed))
        add_limits(self.attack, self.name, self.protection, self.max_changed)

    def describe(self) -> dict[str, Any]:
        """TextAttack's description of the attack, for result files and the run card; JSON-ready."""
        return {
            "name": self.name,
            "backend": "textattack",
            "version": textattack_version(),
            "goal": described(self.aim, type(self.attack.goal_function).__name__),
            "recipe": re.sub(r" at 0x[0-9a-f]+", "", repr(self.attack)),
            "query_budget": self.query_budget,
            "seed": self.seed,
            "skip_labels": sorted(self.skip_labels),
            "frozen_columns": sorted(self.frozen_columns),
            **({"protected": self.protection.describe()} if self.protection else {}),
            **({} if self.max_changed is None else {"max_changed_share": self.max_changed}),
            "columns": None if self.columns is None else list(self.columns),
        }

    def _counted(self, call_model: Any) -> Any:
        """Wrap the goal's ``_call_model``, which answers every counted query, to count saturated outputs."""

        def counted(texts: list[Any]) -> Any:
            outputs = call_model(texts)
            if len(outputs):  # TextAttack also sends empty requests
                self._saturated += num_saturated(
                    np.array([np.asarray(output, dtype=np.float32) for output in outputs])
                )
            return outputs

        return counted

    def _digest(self) -> str:
        parts = {key: value for key, value in self.describe().items() if key != "name"}
        content = json.dumps([parts, _settings(self.attack)], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the description and the plain settings of every part.

        Stop words are included. Other contents of a part (vectors, a masked language model) count by their class, or
        by their ``fingerprint`` if they have one.
        """
        return self._fingerprint

    def run(self, victim: Victim, waiting: Iterable[Example], seed: int = 0) -> Iterator[AttackRecord]:
        """Attack the examples one after another and yield their records.

        Call it inside ``victim.measuring``, which restores the random states that this method seeds.

        Raises:
            ValueError: an example has a wrong number of columns, or TextAttack fails on it.
        """
        self._bind_victim(victim)
        try:
            for example in list(waiting):
                yield self._attack_example(example, seed)
        finally:
            self.wrapper.release()

    def _bind_victim(self, victim: Victim) -> None:
        search = self.attack.search_method
        if victim.device.type == "cuda":
            # Called before the wrapper holds the victim, so that the victim is not moved.
            self.attack.cuda_()
        self.wrapper.victim = victim
        if self._length_is_open and getattr(search, "truncate_words_to", None) is not None:
            # A2T was built before the model's maximum length was known.
            search.truncate_words_to = self.wrapper.max_length

    def _attack_example(self, example: Example, seed: int) -> AttackRecord:
        from hf_robust.attacks.textattack.records import to_record

        text, own_seed = self._text(example), (seed + example.idx) % 2**32
        np.random.seed(own_seed)
        random.seed(own_seed)
        self.wrapper.start(own_seed)
        # TextAttack clears its cache after an attack, but not after a skipped example.
        self.attack.clear_cache()
        self._saturated = 0
        try:
            result = self.attack.attack(text, int(example.label))
        except Exception as error:
            raise ValueError(
                f"TextAttack's {self.name} failed on example {example.idx} ({type(error).__name__}: {error}); "
                "leave the example out or use another recipe."
            ) from error
        record = to_record(example, result, self.query_budget, self.aim.keeps_prediction)
        record.saturated = self._saturated if self.wrapper.has_logits else None
        if any(record.perturbed[column] != record.original[column] for column in self.frozen_columns):
            raise ValueError(
                f"TextAttack's {self.name} changed a column of example {example.idx} that --frozen_columns closes: "
                "its transformation ignores which words are open; leave --frozen_columns out."
            )
        return record

    def _text(self, example: Example) -> OrderedDict[str, str]:
        count = len(example.texts)
        names = self.columns or (("text",) if count == 1 else tuple(f"text_{n + 1}" for n in range(count)))
        if len(names) != count:
            raise ValueError(f"example {example.idx} has {count} text columns, got {len(names)} column names.")
        if any(_SPLIT in column for column in example.texts):
            raise ValueError(f"example {example.idx} holds {_SPLIT}, which TextAttack reserves; leave it out.")
        return OrderedDict(zip(names, example.texts, strict=True))


def textattack_attacks(args: AttackArguments, text_columns: Sequence[str]) -> dict[str, Any]:
    """Result name -> recipe, for the recipes that ``--attacks`` names, in their order."""
    from hf_robust.attacks.labels_and_columns import resolve_frozen_columns

    frozen = resolve_frozen_columns(args.frozen_columns, text_columns)
    recipes = [
        TextAttackRecipe(
            name,
            columns=text_columns,
            query_budget=args.attack_query_budget,
            frozen_columns=frozen,
            protection=args.protection(),
            max_changed=args.attack_max_changed,
            seed=args.attack_seed,
        )
        for name in args.recipes
    ]
    return {recipe.name: recipe for recipe in recipes}


def find_recipe(name: str) -> Any:
    """Find a recipe's class by its command-line name, its class name, or ``module:Class``.

    Raises:
        ValueError: there is no such class, or it is no ``AttackRecipe``.
    """
    textattack = import_textattack()
    recipes = textattack.attack_recipes
    known = {short: path.rsplit(".", 1)[1] for short, path in textattack.attack_args.ATTACK_RECIPE_NAMES.items()}
    if ":" in name:
        module, _, wanted = name.partition(":")
        try:
            kind = getattr(import_module(module), wanted)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"--attacks {name} cannot be imported ({error}); give module:Class.") from error
    else:
        kind = getattr(recipes, known.get(name.replace("_", "-"), name), None)
    if not (isinstance(kind, type) and issubclass(kind, recipes.AttackRecipe)):
        raise ValueError(
            f"--attacks {name} is no recipe of TextAttack; with --attack_backend textattack give one of "
            f"{', '.join(sorted(known))}, the name of a recipe's class, or module:Class."
        )
    return kind


def _build(kind: Any, wrapper: Any) -> Any:
    try:
        with quiet_building():
            return kind.build(wrapper)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"the TextAttack recipe {kind.__name__} cannot be built here ({reason:.300}); provide what it needs "
            "(TextAttack's cache folder, NLTK_DATA), or pass a built textattack.Attack."
        ) from error


def _settings(part: Any, depth: int = 0) -> Any:
    """JSON-ready settings: plain values unchanged, sets sorted, TextAttack's parts as their class and attributes."""
    if isinstance(part, (str, int, float, bool, type(None))):
        return part
    if isinstance(part, (set, frozenset)):
        return sorted(map(str, part))
    if isinstance(part, (list, tuple)):
        return [_settings(item, depth + 1) for item in part]
    if isinstance(part, dict):
        return {str(key): _settings(value, depth + 1) for key, value in part.items()}
    kind = f"{type(part).__module__}.{type(part).__qualname__}"
    if callable(getattr(part, "fingerprint", None)):
        return [kind, part.fingerprint()]
    if depth > _DEPTH or not any(base.__module__.startswith("textattack.") for base in type(part).__mro__):
        return kind
    passing = _TRANSIENT if depth else _TRANSIENT - {"goal_function"}
    held = {key: value for key, value in vars(part).items() if key[0] != "_" and key not in passing}
    return [kind, {key: _settings(value, depth + 1) for key, value in sorted(held.items())}]

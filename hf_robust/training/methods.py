"""The training methods by name, each imported on first use."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

    Trainers = Mapping[str, type[RobustTrainer]]
else:
    Trainers = Mapping

FAMILIES = (
    "baseline",
    "substituted words",
    "attacked or masked texts",
    "perturbed embeddings",
    "perturbed embeddings, learnt weights",
    "mixtures of neighbouring words",
    "loss on the text itself",
)
"""What methods change, in reading order; each class names its ``family``."""


class MethodSummary(NamedTuple):
    """A method's idea in one line, its family, and the key of its paper's citation (empty if there is none)."""

    idea: str
    family: str
    citation: str


class Methods(Trainers):
    """A mapping from the name of a method, which is also its file in ``hf_robust/trainers``, to its trainer class.

    Args:
        classes: names of the methods in reading order, with the names of their classes.
    """

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = dict(classes)

    def __getitem__(self, name: str) -> type[RobustTrainer]:
        trainer: type[RobustTrainer] = getattr(self._module(name), self._classes[name])
        return trainer

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """Families in reading order, each with the names of its methods.

        Raises:
            ValueError: a method is of no known family.
        """
        family_of = {name: self.describe(name).family for name in self}
        for name, family in family_of.items():
            if family not in FAMILIES:
                raise ValueError(f"the family of {name} must be one of {', '.join(FAMILIES)}, got {family!r}.")
        return {family: tuple(name for name in self if family_of[name] == family) for family in FAMILIES}

    def find(self, name: str) -> type[RobustTrainer]:
        """The trainer class of a method, or a user's class given as ``package.module:Class``.

        Raises:
            ValueError: there is no such class.
        """
        if ":" in name:
            return _import_class(name)
        if name not in self:
            raise ValueError(
                f"--robust_method {name} is unknown, choose one of {', '.join(self)}, or give package.module:Class."
            )
        return self[name]

    def public(self, name: str) -> Any:
        """A trainer class, or the config class of a trainer, by its class name.

        Raises:
            AttributeError: no method has such a class.
        """
        for method, trainer in self._classes.items():
            if name in (trainer, trainer.removesuffix("Trainer") + "Config"):
                return getattr(self._module(method), name)
        raise AttributeError(f"no training method has a class {name!r}")

    def describe(self, name: str) -> MethodSummary:
        """Idea, family and citation, read from the method's file without importing it, torch or transformers.

        Raises:
            ValueError: the docstring of the file does not begin with ``name: idea.``
        """
        spec = find_spec(f"hf_robust.trainers.{name}")
        assert spec is not None and spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        first = (ast.get_docstring(tree) or "").split("\n")[0]
        title, colon, idea = first.partition(": ")
        if title != name or not colon:
            raise ValueError(f"{spec.origin} must begin with a docstring '{name}: its idea.', got {first!r}.")
        facts = _texts(tree, self._classes[name])
        return MethodSummary(idea.rstrip("."), facts.get("family", ""), facts.get("citation", ""))

    def _module(self, name: str) -> Any:
        if name not in self._classes:
            raise KeyError(name)
        return import_module(f"hf_robust.trainers.{name}")


def _import_class(name: str) -> type[RobustTrainer]:
    """The trainer class ``package.module:Class``."""
    from hf_robust.training.base import RobustTrainer

    module, _, class_name = name.partition(":")
    try:
        imported = getattr(import_module(module), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"--robust_method {name} cannot be imported ({error}); give package.module:Class, with the module's "
            "folder on PYTHONPATH."
        ) from error
    is_trainer = isinstance(imported, type) and issubclass(imported, RobustTrainer)
    if not is_trainer or getattr(imported, "name", "normal") == "normal":
        raise ValueError(
            f"--robust_method {name} must be a class that extends hf_robust.RobustTrainer and has its own name, "
            f"got {imported!r}."
        )
    trainer: type[RobustTrainer] = imported
    return trainer


def _texts(tree: ast.Module, class_name: str) -> dict[str, str]:
    """The attributes of a class that its body sets to a text."""
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    return {
        target.id: str(statement.value.value)
        for statement in body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }

"""Formulas as MathML, which browsers render without a script or a web font."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml


def add_renderer(app: Any) -> None:
    """Register the renderer ``mathml``, which ``html_math_renderer`` in conf.py names."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))


def mathml(formula: str, block: bool = False) -> str:
    """The formula as a ``<math>`` element.

    Raises:
        ValueError: the formula uses an unknown command; the message quotes it.
    """
    try:
        return str(latex2mathml.tex2mathml(_in_known_commands(formula), as_block=block))
    except MathError as error:
        raise ValueError(f"no MathML for {formula!r}: {error}") from error


def _in_known_commands(formula: str) -> str:
    """The formula without the two commands that docutils lacks: ``\\big`` without a side, and a style in a group."""
    formula = re.sub(r"\\(big|Big)(?=[(\[])", r"\\\1l", formula)
    formula = re.sub(r"\\(big|Big)(?=[)\]])", r"\\\1r", formula)
    return formula.replace(r"\textstyle", "")


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode

"""How ``--help`` shows flags, for the script and for `hf-robust`; no slow imports."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

_TYPE_NAMES: Mapping[Any, str] = {int: "INT", float: "FLOAT"}


class FlagFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows one spelling of each flag, and its default where it has one that its help does not name."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs in (0, "?"):
            return ", ".join(action.option_strings[:1]) or super()._format_action_invocation(action)
        return f"{action.option_strings[0]} {self._format_args(action, _TYPE_NAMES.get(action.type, 'TEXT'))}"

    def _get_help_string(self, action: argparse.Action) -> str | None:
        named = "efault:" in (action.help or "")
        if named or action.nargs == 0 or action.default in (None, [], argparse.SUPPRESS):
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)

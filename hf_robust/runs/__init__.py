"""What a run leaves on disk: nothing else reads or writes it. Importing it is cheap: no torch."""

from hf_robust.runs.card import RunCard, is_training, read_card, size_in_words, versions, write_card
from hf_robust.runs.command import STANDS_FOR, command_words, redact_command
from hf_robust.runs.files import (
    ARGUMENTS_FILE,
    ATTACK_SUMMARY_FILE,
    CERTIFICATE_SUMMARY_FILE,
    CERTIFICATES_FILE,
    CERTIFICATES_FOLDER,
    CHECKS_FOLDER,
    HISTORY_FILE,
    JOURNAL_FOLDER,
    MEASURED_FOLDER,
    METRICS_FILE,
    RESULTS_FOLDER,
    RUN_CARD_FILE,
    STATUSES_FILE,
    TRAINER_STATE_FILE,
    WEIGHTS_FILE,
)
from hf_robust.runs.flags import Flags, flags_of, read_args_file, without_remarks
from hf_robust.runs.history import HistoryLine, attack_names, history_path, read_history, write_history_line
from hf_robust.runs.journal import LineJournal, journal_seconds, share_path
from hf_robust.runs.json_files import (
    finite,
    is_torn,
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
    write_text,
)
from hf_robust.runs.measured import claim_folder, holds_a_run, measured_card
from hf_robust.runs.model_card import FROM_NOTHING, FROM_SCRATCH, drop_local_base_model, say_start
from hf_robust.runs.pairs import read_pairs
from hf_robust.runs.records import read_certificates, read_records, write_certificates, write_records
from hf_robust.runs.redaction import portable_path, redact
from hf_robust.runs.run import Run, clear_results, label_names, load_run
from hf_robust.runs.statuses import STATUS_LETTERS, letters, read_statuses
from hf_robust.runs.weights import read_weights, weight_lines, write_weights

__all__ = [
    "ARGUMENTS_FILE",
    "ATTACK_SUMMARY_FILE",
    "CERTIFICATES_FILE",
    "CERTIFICATES_FOLDER",
    "CERTIFICATE_SUMMARY_FILE",
    "CHECKS_FOLDER",
    "FROM_NOTHING",
    "FROM_SCRATCH",
    "HISTORY_FILE",
    "JOURNAL_FOLDER",
    "MEASURED_FOLDER",
    "METRICS_FILE",
    "RESULTS_FOLDER",
    "RUN_CARD_FILE",
    "STANDS_FOR",
    "STATUSES_FILE",
    "STATUS_LETTERS",
    "TRAINER_STATE_FILE",
    "WEIGHTS_FILE",
    "Flags",
    "HistoryLine",
    "LineJournal",
    "Run",
    "RunCard",
    "attack_names",
    "claim_folder",
    "clear_results",
    "command_words",
    "drop_local_base_model",
    "finite",
    "flags_of",
    "history_path",
    "holds_a_run",
    "is_torn",
    "is_training",
    "journal_seconds",
    "label_names",
    "letters",
    "load_run",
    "measured_card",
    "portable_path",
    "read_args_file",
    "read_card",
    "read_certificates",
    "read_history",
    "read_json",
    "read_json_lines",
    "read_pairs",
    "read_records",
    "read_statuses",
    "read_weights",
    "redact",
    "redact_command",
    "say_start",
    "share_path",
    "size_in_words",
    "versions",
    "weight_lines",
    "without_remarks",
    "write_card",
    "write_certificates",
    "write_history_line",
    "write_json",
    "write_json_lines",
    "write_records",
    "write_text",
    "write_weights",
]

"""The phase that generates views before an epoch: resumable, distributed over the ranks, cached by content."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.adversary import preserved_random_state
from hf_robust.attacks import (
    Example,
    Plans,
    Victim,
    check_attack,
    choose_examples,
    log_coverage,
    require_candidates,
    table_coverage,
    weights_hash,
)
from hf_robust.data import TextDataset
from hf_robust.lexicons import cache_folder
from hf_robust.training.plain_victim import load_plain_victim, train_plain_victim
from hf_robust.training.view_arguments import TRAIN
from hf_robust.views import (
    AttackedViews,
    GeneratedViews,
    GenerationContext,
    MaskedViews,
    SampledViews,
    StoredViews,
    View,
    ViewMaker,
    ViewRound,
    ViewSource,
    assign_to_rows,
    disable_unchanged,
    read_views,
    tokenizer_hash,
    write_views,
)
from hf_robust.views.attacked import DROP, with_failed_rows
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

# The Hub upload ignores names with a leading underscore.
VIEWS_FOLDER = "_views"
COVERAGE_TEXTS = 200
"""Number of texts on which the coverage of an attack's table is measured before a victim is trained."""


class GenerateViews(TrainerCallback):
    """Generates the views of a method's sources before the epochs of their schedules.

    It writes each round to ``_views/<view>-round<r>.jsonl`` in the output folder, from which a resumed run reads it,
    and to the cache under the key of its content. It preserves the random state of training.

    Attributes:
        seconds: wall-clock seconds of the phases: ``baseline`` (training of the plain victim) and ``generate``.
        rounds: description of each round, for the run card.
        resumed_from: output folder of the run that this run resumes; None for a new run.
    """

    def __init__(
        self, trainer: RobustTrainer, sources: Mapping[str, GeneratedViews], dataset: TextDataset, collator: Any
    ) -> None:
        self.trainer, self.sources, self.dataset, self._collator = trainer, dict(sources), dataset, collator
        self.seconds = {"baseline": 0.0, "generate": 0.0}
        self.rounds: list[dict[str, Any]] = []
        self.resumed_from: Path | None = None
        self._resumed = False
        self._victim_model: nn.Module | None = None
        self._coverage: dict[str, dict[str, Any]] = {}
        self._plans = Plans(cache_folder() / "plans")
        if trainer.args.dataloader_persistent_workers:
            raise ValueError(
                f"{trainer.name} generates views during training, which persistent loader workers would not read; "
                "leave --dataloader_persistent_workers out."
            )
        split = trainer.args.view_split
        if (trainer.view_dataset is None) != (split == TRAIN):
            name = "none" if trainer.view_dataset is None else trainer.view_dataset.name
            raise ValueError(
                f"views of the {split} split and view_dataset do not go together (got {name}); with "
                "--leaked_view_split pass the rows of that split as view_dataset, without it pass None."
            )

    @property
    def trains_victim(self) -> bool:
        """Whether a plain victim is trained first."""
        made = (source for source in self.sources.values() if not isinstance(source.make, StoredViews))
        return self.trainer.args.view_victim is None and any(source.victim == "plain" for source in made)

    # ---- events ----

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.seconds, self.rounds = {"baseline": 0.0, "generate": 0.0}, []
        self._resumed = state.global_step > 0
        self.trainer.plain_runs.pop("baseline", None)
        for source in self.sources.values():
            # Remove views of an earlier training: epochs before the first round have no views.
            source.fill({}, ())
        if not self._resumed:
            self.resumed_from = None
            self._check_files_stay()
        if not self._resumed and self.trainer.is_world_process_zero():
            # Views of another run, which a resumption of this one must not read.
            shutil.rmtree(self._folder, ignore_errors=True)
        self._check_makers()

    def _check_makers(self) -> None:
        """Refuse a maker of views that cannot run, or cannot change any text, before a victim is trained for it."""
        for source in self.sources.values():
            if isinstance(source.make, MaskedViews):
                source.make.check(self._victim_of(self.trainer.model, source), self._examples(0))
        attacks = {
            name: source.make.attack for name, source in self.sources.items() if isinstance(source.make, AttackedViews)
        }
        examples = self._examples(0) if attacks else []
        for name, attack in attacks.items():
            # A victim that is not trained yet has the architecture of the model.
            victim = self._victim_of(self.trainer.model, self.sources[name])
            check_attack(attack, victim, self._plans, examples)
            for number in range(1, self.sources[name].refresh.rounds or 1):
                require_candidates(attack, self._plans, self._examples(number), victim)
            coverage = table_coverage(attack, self._plans, examples, victim, COVERAGE_TEXTS)
            if coverage is not None:
                self._coverage[name] = {"coverage": coverage.describe()}
            if self.trainer.is_world_process_zero():
                log_coverage(attack, coverage, examples)

    def _check_files_stay(self) -> None:
        for source in self.sources.values():
            if isinstance(source.make, StoredViews) and source.make.path.resolve().parent == self._folder.resolve():
                raise ValueError(
                    f"--view_file {source.make.path} is in the folder that a new run in "
                    f"{self.trainer.args.output_dir} clears; copy the file elsewhere, or give another --output_dir."
                )

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        exact = float(state.epoch or 0.0)
        epoch = int(exact)
        due = {name: source for name, source in self.sources.items() if self._resumed or source.refresh.due(epoch)}
        if exact == epoch > 0 and any(source.refresh.begins(epoch) for source in self.sources.values()):
            _forget_best(state)
        with preserved_random_state():
            for name, source in due.items():
                number = source.refresh.newest(epoch)
                if number is not None:
                    self._fill(name, source, number, epoch, inside=self._resumed and exact > epoch)
        self._resumed, self._victim_model = False, None
        if due:
            self._check_has_views(epoch, untrained=state.global_step == 0)

    def _check_has_views(self, epoch: int, untrained: bool) -> None:
        """Refuse to train, or warn during training, if no view differs from its text."""
        rounds = [record for record in self.rounds if record["epoch"] == epoch]
        attempts = sum(record["attempts"] for record in rounds)
        if any(source.has_changes for source in self.sources.values()) or not attempts:
            return
        names = ", ".join(record["view"] for record in rounds)
        if untrained and any(record["found"] for record in rounds):
            raise ValueError(
                f"all views of {names} have the same tokens as their texts: the changes are cut off or unknown to the "
                f"tokenizer, so that {self.trainer.name} would be plain training; raise --max_seq_length."
            )
        if untrained:
            raise ValueError(
                f"{names} found no adversarial example among {rounds[0]['attempts']} texts, so that "
                f"{self.trainer.name} would be plain training; use other --view_attacks, another --lexicon, or "
                "--robust_method normal."
            )
        # Only a warning here, because an error would lose the training so far.
        logger.warning("%s found no adversarial example in this round: training goes on with clean texts.", names)

    # ---- one round ----

    @property
    def _folder(self) -> Path:
        return Path(str(self.trainer.args.output_dir)) / VIEWS_FOLDER

    def _fill(self, name: str, source: GeneratedViews, number: int, epoch: int, inside: bool) -> None:
        start = time.perf_counter()
        baseline = self.seconds["baseline"]
        train = choose_examples(self.dataset, 0, 0)
        path = self._folder / f"{name}-round{number}.jsonl"
        former = path if self.resumed_from is None else self.resumed_from / VIEWS_FOLDER / path.name
        if isinstance(source.make, StoredViews):
            header, views = read_views(source.make.path, self._expected)
            rows = choose_examples(self._source_dataset, 0, 0)
            views = with_failed_rows(views, header, self._failed_views, rows, source.make.path)
            if "soft" in source.extras and any(view.ok and view.soft is None for _, view in views):
                raise ValueError(
                    f"{self.trainer.name} needs the class probabilities of its views here, and the views of "
                    f"{source.make.path} have none; give views that an attack made, or leave --view_file out."
                )
            self._check_protected(source.make.path, views)
        elif self._resumed and former.exists():
            header, views = read_views(former, self._expected)
        elif self._resumed and not self._can_regenerate(source, epoch, inside):
            raise ValueError(
                f"this run was trained on the views of {former}, which is missing, and the weights of their victim "
                "are no longer available; resume from another checkpoint, or start a new run."
            )
        else:
            header, views = self._generate(name, source, source.make, number)
        if self.trainer.is_world_process_zero():
            write_views(path, header, views)
        usable = disable_unchanged(self._source_dataset, dict(views), self.trainer.train_dataset.mask_token_id)
        unread = {idx for idx, view in views if view.ok and not usable[idx].ok}
        if self._failed_views != DROP:  # the model reads these views as the texts of their rows
            usable |= {idx: view._replace(failed=True, changed=(), pairs=()) for idx, view in views if idx in unread}
        source.fill(self._by_training_row(usable, train), train)
        # The training of the plain victim is counted separately.
        seconds = time.perf_counter() - start - (self.seconds["baseline"] - baseline)
        self.seconds["generate"] += seconds
        details = {key: header.get(key) for key in ("split", "victim", "how")} | views.notes
        if details["split"] not in (None, TRAIN):
            details["leaked"] = True
        successes = sum(not view.failed for _, view in views)
        failures = len(views) - successes
        details |= {"failed_kept": failures} if failures else {}
        self.rounds.append(
            {"view": name, "round": number, "epoch": epoch, "attempts": views.attempts, "found": successes}
            | {"unread": len(unread), "share": round(source.share, 6), "seconds": round(seconds, 3), **details}
            | self._coverage.get(name, {})
        )
        logger.info(
            "%s, round %d: %d views of %d texts, %d of them with the same tokens as their text%s; %.0f s",
            name, number, successes, views.attempts, len(unread),
            f"; {failures} for failed attacks ({self._failed_views})" if failures else "", seconds,
        )  # fmt: skip

    @property
    def _failed_views(self) -> str:
        """View of a row whose attack failed; methods without the flag drop it."""
        return str(getattr(self.trainer.args, "failed_views", DROP))

    def _check_protected(self, path: Path, views: ViewRound) -> None:
        """Refuse stored views that change parts of a text that ``--protect`` protects in this run."""
        protection = self.trainer.protection
        if protection is None:
            return
        rows = choose_examples(self._source_dataset, 0, 0)
        protected = {row.idx: protection.strings(Text(row.texts)) for row in rows}
        broken = [idx for idx, view in views if protection.strings(view.text) != protected[idx]]
        if broken:
            raise ValueError(
                f"{len(broken)} of {len(views)} views of {path} change text that --protect protects (first in row "
                f"{broken[0]}); generate views with --protect, or leave it out."
            )

    def _can_regenerate(self, source: GeneratedViews, epoch: int, inside: bool) -> bool:
        """Whether a resumed run still has the weights that this source attacks."""
        if source.victim == "model":
            return source.refresh.due(epoch) and not inside
        # A plain victim starts from the initial weights of the run.
        return self.trainer.args.view_victim is not None

    @cached_property
    def _expected(self) -> dict[str, str]:
        return {
            "data": self._source_dataset.fingerprint(),
            "tokenizer": tokenizer_hash(self.trainer.processing_class),
        }

    @property
    def _source_dataset(self) -> TextDataset:
        """The data set from which views are made: the training set, except for a reproduced leak."""
        return self.dataset if self.trainer.view_dataset is None else self.trainer.view_dataset

    def _generate(
        self, name: str, source: GeneratedViews, make: ViewMaker, number: int
    ) -> tuple[dict[str, Any], ViewRound]:
        trainer = self.trainer
        examples = self._examples(number)
        header = {**self._expected, "name": name, "split": trainer.args.view_split, "how": make.describe()}
        if not examples:
            return {**header, "victim": None}, ViewRound()
        victim = self._victim(source)
        header["victim"] = weights_hash(victim.model)
        key = self._key(make.key(victim, examples))
        cache = Path(trainer.args.view_cache or cache_folder() / "views")
        cached = cache / f"{key}.jsonl"
        # One rank checks, so that all ranks decide alike even if another run is writing this file.
        if broadcast_object_list([cached.exists()])[0]:
            # The header is that of this run, because the cached views may have had another name and use.
            return header, read_views(cached, self._expected)[1]
        args = trainer.args
        context = GenerationContext(
            cache / "_journals" / key,
            rank=args.process_index,
            ranks=args.world_size,
            plans=self._plans,
            progress=trainer.is_world_process_zero() and not args.disable_tqdm,
        )
        views = make(victim, examples, context)
        trainer.accelerator.wait_for_everyone()
        if trainer.is_world_process_zero():
            write_views(cached, header, views)
            shutil.rmtree(context.journals, ignore_errors=True)
        return header, views

    def _key(self, maker_key: str) -> str:
        """Hash of the maker's key and the data set, because data sets may differ in rows that are not attacked."""
        return hashlib.blake2b(json.dumps([maker_key, self._expected]).encode(), digest_size=12).hexdigest()

    def _examples(self, number: int) -> list[Example]:
        """The examples of round ``number``, drawn by the seed; each round draws new ones."""
        dataset, fraction = self._source_dataset, self.trainer.args.view_fraction
        count = round(fraction * len(dataset))
        if fraction > 0 and not count:
            raise ValueError(
                f"--view_fraction {fraction:g} of {len(dataset)} texts is no text, so that {self.trainer.name} would "
                "be plain training; raise it, or give 0 for plain training."
            )
        seed = self.trainer.args.seed
        return choose_examples(dataset, count, f"{seed}:{number}" if number else seed) if count else []

    def _by_training_row(self, views: dict[int, View], train: list[Example]) -> dict[int, View]:
        """The views by the ``idx`` of training rows."""
        if self.trainer.view_dataset is None:
            return views
        source = choose_examples(self.trainer.view_dataset, 0, 0)
        return assign_to_rows(views.items(), source, train, self.trainer.args.seed)

    def _victim(self, source: GeneratedViews) -> Victim:
        return self._victim_of(self.trainer.model if source.victim == "model" else self._plain_victim(), source)

    def _victim_of(self, model: nn.Module, source: GeneratedViews) -> Victim:
        trainer = self.trainer
        return Victim(
            model,
            trainer.processing_class,
            max_length=self.dataset.max_length,
            autocast=trainer.accelerator.autocast,
            inference=trainer.inference if source.victim == "model" else None,
        )

    def _plain_victim(self) -> nn.Module:
        if self._victim_model is None:
            start = time.perf_counter()
            name = self.trainer.args.view_victim
            self._victim_model = (
                train_plain_victim(self.trainer, self.dataset, self._collator)
                if name is None
                else load_plain_victim(self.trainer, name)
            )
            self.seconds["baseline"] += time.perf_counter() - start
        return self._victim_model


def _forget_best(state: TrainerState) -> None:
    """Forget the best checkpoint so far, which saw only clean texts before the first round.

    A later checkpoint then becomes the best one, even if it is less accurate on clean texts, as in FLAT's code for its
    CNN and LSTM.
    """
    state.best_metric = state.best_global_step = state.best_model_checkpoint = None


def generated_sources(sources: Mapping[str, ViewSource]) -> dict[str, GeneratedViews]:
    """The generated views among the sources, including those from which a :class:`SampledViews` draws."""
    views = {name: source.views if isinstance(source, SampledViews) else source for name, source in sources.items()}
    return {name: source for name, source in views.items() if isinstance(source, GeneratedViews)}

"""The phase that generates views before an epoch: resumable, shared by the ranks, cached by content."""

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

from hf_robust.adversary import kept_random_state
from hf_robust.attacks import (
    Example,
    Plans,
    Victim,
    check_attack,
    choose_examples,
    require_candidates,
    say_coverage,
    table_coverage,
    weights_hash,
)
from hf_robust.data import TextDataset
from hf_robust.lexicons import cache_folder
from hf_robust.training.plain_victim import load_baseline, train_baseline
from hf_robust.training.view_arguments import TRAIN
from hf_robust.views import (
    AttackedViews,
    DrawnFrom,
    FromFile,
    GeneratedViews,
    Made,
    View,
    ViewMaker,
    ViewSource,
    Workplace,
    read_views,
    spread,
    tokenizer_hash,
    without_unread,
    write_views,
)
from hf_robust.views.attacked import DROP, of_file
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

# The Hub upload leaves out names that start with an underscore.
VIEWS_FOLDER = "_views"
PLANNED = 200
"""Of so many texts the coverage of an attack's table is counted before any victim is trained."""


class GenerateViews(TrainerCallback):
    """Generate what a method's view sources declare, before the epochs that their policies name.

    Each round ends as ``_views/<view>-round<r>.jsonl`` in the output folder, from which a resumed run reads it, and
    under its content's key in the cache. Training's random state is left alone.

    Attributes:
        seconds: wall-clock seconds of the phases, under ``baseline`` and ``generate``.
        rounds: what was generated, for the run card.
        resumed_from: the output folder of the run that is gone on with.
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
                f"{trainer.name} makes texts while training, which persistent loader workers would never see; leave "
                "--dataloader_persistent_workers out."
            )
        split = trainer.args.view_split
        if (trainer.view_dataset is None) != (split == TRAIN):
            given = "none" if trainer.view_dataset is None else trainer.view_dataset.name
            raise ValueError(
                f"views of the {split} split and view_dataset do not go together (got {given}); with "
                "--leaked_view_split pass the rows of that split as view_dataset, and else none."
            )

    # ---- events ----

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.seconds, self.rounds = {"baseline": 0.0, "generate": 0.0}, []
        self._resumed = state.global_step > 0
        self.trainer.plain_runs.pop("baseline", None)
        for source in self.sources.values():
            # Nothing of an earlier training: epochs before the first round have no views.
            source.fill({}, ())
        if not self._resumed:
            self.resumed_from = None
            self._check_files_stay()
        if not self._resumed and self.trainer.is_world_process_zero():
            # They are of another run, and this one must not be resumed from them.
            shutil.rmtree(self._folder, ignore_errors=True)
        self._check_coverage()

    def _check_coverage(self) -> None:
        """An attack that cannot run, or can change nothing, is refused before a victim is trained for it."""
        attacks = {name: one.make.attack for name, one in self.sources.items() if isinstance(one.make, AttackedViews)}
        examples = self._examples(0) if attacks else []
        for name, attack in attacks.items():
            # A victim that is yet to be trained is of the model's kind.
            victim = self._victim_of(self.trainer.model, self.sources[name])
            check_attack(attack, victim, self._plans, examples)
            for number in range(1, self.sources[name].refresh.rounds or 1):
                require_candidates(attack, self._plans, self._examples(number), victim.words_read)
            found = table_coverage(attack, self._plans, examples, victim.words_read, PLANNED)
            if found is not None:
                self._coverage[name] = {"coverage": found.describe()}
            if self.trainer.is_world_process_zero():
                say_coverage(attack, found)

    def _check_files_stay(self) -> None:
        for source in self.sources.values():
            if isinstance(source.make, FromFile) and source.make.path.resolve().parent == self._folder.resolve():
                raise ValueError(
                    f"--view_file {source.make.path} lies in the folder that a new run in "
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
        with kept_random_state():
            for name, source in due.items():
                number = source.refresh.newest(epoch)
                if number is not None:
                    self._fill(name, source, number, epoch, inside=self._resumed and exact > epoch)
        self._resumed, self._victim_model = False, None
        if due:
            self._check_found(epoch, untrained=state.global_step == 0)

    def _check_found(self, epoch: int, untrained: bool) -> None:
        made = [one for one in self.rounds if one["epoch"] == epoch]
        if any(source.found for source in self.sources.values()) or not sum(one["attempts"] for one in made):
            return
        names = ", ".join(one["view"] for one in made)
        if untrained and any(one["found"] for one in made):
            raise ValueError(
                f"all texts of {names} have the tokens of the texts they come from: what differs, if anything, is "
                f"cut off or unknown to the tokenizer, so {self.trainer.name} would be plain training; raise "
                "--max_seq_length."
            )
        if untrained:
            raise ValueError(
                f"{names} found no adversarial example among {made[0]['attempts']} texts, so {self.trainer.name} "
                "would be plain training; use other --view_attacks, another --lexicon, or --robust_method normal."
            )
        # Later an error would lose what was trained.
        logger.warning("%s found no adversarial example this time: training goes on with clean texts alone.", names)

    # ---- one round ----

    @property
    def _folder(self) -> Path:
        return Path(str(self.trainer.args.output_dir)) / VIEWS_FOLDER

    def _fill(self, name: str, source: GeneratedViews, number: int, epoch: int, inside: bool) -> None:
        start = time.perf_counter()
        baseline = self.seconds["baseline"]
        train = choose_examples(self.dataset, 0, 0)
        path = self._folder / f"{name}-round{number}.jsonl"
        before = path if self.resumed_from is None else self.resumed_from / VIEWS_FOLDER / path.name
        if isinstance(source.make, FromFile):
            header, made = read_views(source.make.path, self._expected)
            rows = choose_examples(self._source_dataset, 0, 0)
            made = of_file(made, header, self._of_failed, rows, source.make.path)
            if "soft" in source.extras and any(view.ok and view.soft is None for _, view in made):
                raise ValueError(
                    f"{self.trainer.name} learns the class probabilities of views here, and those of "
                    f"{source.make.path} have none; give views that an attack made, or leave --view_file out."
                )
            self._check_protected(source.make.path, made)
        elif self._resumed and before.exists():
            header, made = read_views(before, self._expected)
        elif self._resumed and not self._can_make_again(source, epoch, inside):
            raise ValueError(
                f"this run was trained on the views of {before}, which is gone, and the weights they were made with "
                "are no longer at hand; resume from another checkpoint, or start anew."
            )
        else:
            header, made = self._generate(name, source, source.make, number)
        if self.trainer.is_world_process_zero():
            write_views(path, header, made)
        usable = without_unread(self._source_dataset, dict(made), self.trainer.train_dataset.mask_token_id)
        unread = {idx for idx, view in made if view.ok and not usable[idx].ok}
        if self._of_failed != DROP:  # to the model these texts are their rows' own
            usable |= {idx: view._replace(failed=True, changed=(), pairs=()) for idx, view in made if idx in unread}
        source.fill(self._carried(usable, train), train)
        # The baseline's training has a line of its own.
        spent = time.perf_counter() - start - (self.seconds["baseline"] - baseline)
        self.seconds["generate"] += spent
        kept = {key: header.get(key) for key in ("split", "victim", "how")} | made.notes
        if kept["split"] not in (None, TRAIN):
            kept["leaked"] = True
        found = sum(not view.failed for _, view in made)
        kept |= {"failed_kept": len(made) - found} if found < len(made) else {}
        self.rounds.append(
            {"view": name, "round": number, "epoch": epoch, "attempts": made.attempts, "found": found}
            | {"unread": len(unread), "share": round(source.share, 6), "seconds": round(spent, 3), **kept}
            | self._coverage.get(name, {})
        )
        of_failed = f"; {len(made) - found} for failed attacks ({self._of_failed})" if found < len(made) else ""
        logger.info(
            "%s, round %d: %d views of %d texts, %d of them with the tokens of their text%s; %.0f s",
            name, number, found, made.attempts, len(unread), of_failed, spent,
        )  # fmt: skip

    @property
    def _of_failed(self) -> str:
        """What a row has whose attack failed; only methods that attack have a choice."""
        return str(getattr(self.trainer.args, "failed_views", DROP))

    def _check_protected(self, path: Path, made: Made) -> None:
        """Views of an earlier run know nothing of what this one protects."""
        protection = self.trainer.protection
        if protection is None:
            return
        kept = {one.idx: protection.strings(Text(one.texts)) for one in choose_examples(self._source_dataset, 0, 0)}
        broken = [idx for idx, view in made if protection.strings(view.text) != kept[idx]]
        if broken:
            raise ValueError(
                f"{len(broken)} of {len(made)} views of {path} change what --protect keeps (row {broken[0]} is the "
                "first); make views with --protect, or leave it out."
            )

    def _can_make_again(self, source: GeneratedViews, epoch: int, inside: bool) -> bool:
        """Whether a resumed run still has the weights that this source attacks."""
        if source.victim == "model":
            return source.refresh.due(epoch) and not inside
        # A baseline starts from the weights that the run itself started from.
        return self.trainer.args.view_victim is not None

    @cached_property
    def _expected(self) -> dict[str, str]:
        return {
            "data": self._source_dataset.fingerprint(),
            "tokenizer": tokenizer_hash(self.trainer.processing_class),
        }

    @property
    def _source_dataset(self) -> TextDataset:
        """Whose rows views are made of: the training set's, but for a reproduced leak."""
        given = self.trainer.view_dataset
        return self.dataset if given is None else given

    def _generate(
        self, name: str, source: GeneratedViews, make: ViewMaker, number: int
    ) -> tuple[dict[str, Any], Made]:
        trainer = self.trainer
        examples = self._examples(number)
        header = {**self._expected, "name": name, "split": trainer.args.view_split, "how": make.describe()}
        if not examples:
            return {**header, "victim": None}, Made()
        victim = self._victim(source)
        header["victim"] = weights_hash(victim.model)
        key = self._key(make.key(victim, examples))
        cache = Path(trainer.args.view_cache or cache_folder() / "views")
        kept = cache / f"{key}.jsonl"
        # One rank looks: another run may be writing there, and the ranks must do the same.
        if broadcast_object_list([kept.exists()])[0]:
            # What these views are called and taken for is this run's own affair.
            return header, read_views(kept, self._expected)[1]
        args = trainer.args
        place = Workplace(
            cache / "_journals" / key,
            rank=args.process_index,
            ranks=args.world_size,
            plans=self._plans,
            progress=trainer.is_world_process_zero() and not args.disable_tqdm,
        )
        made = make(victim, examples, place)
        trainer.accelerator.wait_for_everyone()
        if trainer.is_world_process_zero():
            write_views(kept, header, made)
            shutil.rmtree(place.journals, ignore_errors=True)
        return header, made

    def _key(self, made: str) -> str:
        """Of what the header must say too: data may differ in what is not attacked."""
        return hashlib.blake2b(json.dumps([made, self._expected]).encode(), digest_size=12).hexdigest()

    def _examples(self, number: int) -> list[Example]:
        """Those of round ``number``, drawn by the seed; each round draws others."""
        dataset, fraction = self._source_dataset, self.trainer.args.view_fraction
        count = round(fraction * len(dataset))
        if fraction > 0 and not count:
            raise ValueError(
                f"--view_fraction {fraction:g} of {len(dataset)} texts is none, so {self.trainer.name} would be plain "
                "training; raise it, or give 0 where that is meant."
            )
        seed = self.trainer.args.seed
        return choose_examples(dataset, count, f"{seed}:{number}" if number else seed) if count else []

    def _carried(self, views: dict[int, View], train: list[Example]) -> dict[int, View]:
        if self.trainer.view_dataset is None:
            return views
        source = choose_examples(self.trainer.view_dataset, 0, 0)
        return spread(views.items(), source, train, self.trainer.args.seed)

    def _victim(self, source: GeneratedViews) -> Victim:
        return self._victim_of(self.trainer.model if source.victim == "model" else self._baseline(), source)

    def _victim_of(self, model: nn.Module, source: GeneratedViews) -> Victim:
        trainer = self.trainer
        return Victim(
            model,
            trainer.processing_class,
            max_length=self.dataset.max_length,
            autocast=trainer.accelerator.autocast,
            inference=trainer.inference if source.victim == "model" else None,
        )

    def _baseline(self) -> nn.Module:
        if self._victim_model is None:
            start = time.perf_counter()
            name = self.trainer.args.view_victim
            self._victim_model = (
                train_baseline(self.trainer, self.dataset, self._collator)
                if name is None
                else load_baseline(self.trainer, name)
            )
            self.seconds["baseline"] += time.perf_counter() - start
        return self._victim_model


def _forget_best(state: TrainerState) -> None:
    """Weights that saw clean texts alone, before the first round, are not what the method is: a later checkpoint is
    the best one, though it may be less accurate on clean texts. FLAT's code for its CNN and LSTM does so."""
    state.best_metric = state.best_global_step = state.best_model_checkpoint = None


def generated_behind(sources: Mapping[str, ViewSource]) -> dict[str, GeneratedViews]:
    """The generated views among the sources, and those that a source draws from."""
    found = {name: source.views if isinstance(source, DrawnFrom) else source for name, source in sources.items()}
    return {name: source for name, source in found.items() if isinstance(source, GeneratedViews)}

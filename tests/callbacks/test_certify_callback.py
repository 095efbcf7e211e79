"""Certificates while a model trains: they are those of the vote, resume, and are shared out over ranks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from certified import LEXICON, ROWS, attach_attacks, attach_certificates, trainer_of
from test_attack_callback import attacks, examples
from tiny import build_model, build_trainer, review_data, table
from two_ranks import on_two_ranks

from hf_robust.attacks import Victim, Vote, VotingVictim
from hf_robust.callbacks import AttackCallback, CertifyCallback, RunCardCallback
from hf_robust.certify import CertifySettings, Smoothing, certify_texts
from hf_robust.metrics import wilson_interval
from hf_robust.runs import read_certificates, read_history
from hf_robust.words import Text

HERE = Path(__file__).parent


def test_certificates_are_those_of_the_vote(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    attach_certificates(trainer)
    metrics = trainer.evaluate()
    victim = Victim(trainer.model, trainer.processing_class, max_length=32)
    expected = certify_texts(
        lambda asked: victim.probabilities(asked).argmax(-1),
        [one.texts for one in examples()],
        [one.label for one in examples()],
        Smoothing(LEXICON),
        CertifySettings(votes=30),
        num_labels=2,
        progress=False,
    )
    assert read_certificates(tmp_path / "certificates" / "epoch-0.jsonl") == expected
    certified = sum(one.certified for one in expected)
    assert 0 < certified < ROWS
    assert metrics["eval_certified_accuracy"] == certified / ROWS
    low, high = wilson_interval(certified, ROWS)
    assert (metrics["eval_certified_accuracy_low"], metrics["eval_certified_accuracy_high"]) == (low, high)
    right = sum(one.prediction == one.label for one in expected)
    assert metrics["eval_smoothed_accuracy"] == right / ROWS >= certified / ROWS
    (line,) = read_history(tmp_path)
    assert line["attacks"] == {} and line["certified"]["votes"] == 30 and line["certified"]["alpha"] == 0.01
    assert metrics["eval_certify_seconds"] == line["certified"]["seconds"] >= 0


def test_the_history_of_attacks_on_a_vote_has_the_votes_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = trainer_of(tmp_path, compute_metrics=lambda given: {"accuracy": 0.123})
    attach_attacks(trainer, votes=5)
    trainer.train()
    line, metrics = read_history(tmp_path)[-1], trainer.evaluate()
    vote = Vote(Smoothing(LEXICON), 5)
    victim = VotingVictim(trainer.model, trainer.processing_class, vote=vote, max_length=32)
    right = victim.probabilities([one.texts for one in examples()]).argmax(-1) == [one.label for one in examples()]
    assert metrics["eval_accuracy"] == 0.123 and metrics["eval_vote_accuracy"] == right.mean() == line["accuracy"]
    assert "classes" not in line  # those of the evaluation are the plain network's
    assert line["attacks"]["synonym"]["accuracy"] == right.mean()  # here the attacked rows are all rows
    assert "(vote of 5)  synonym: ASR" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "attack_results" / "epoch-2").iterdir()) == ["synonym.jsonl"]


def test_a_killed_certification_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trainer_of(tmp_path / "whole")
    attach_certificates(whole)
    whole.evaluate()
    killed = trainer_of(tmp_path / "killed")
    certifier = attach_certificates(killed)
    calls: Counter[str] = Counter()
    victim = certifier._victim()
    probabilities = victim.probabilities

    def die(texts: Any) -> Any:
        calls.update(["asked"])
        if calls["asked"] == 3:
            raise KeyboardInterrupt
        return probabilities(texts)

    monkeypatch.setattr(
        "hf_robust.certify.ranks.certify_texts", lambda *given, **named: certify_texts(*given, **named, batch=20)
    )
    monkeypatch.setattr(victim, "probabilities", die)
    with pytest.raises(KeyboardInterrupt):
        killed.evaluate()
    (journal,) = (tmp_path / "killed" / "_attack_journal").iterdir()
    finished = sum(line.startswith('{"idx"') for line in journal.read_text().splitlines())
    assert 0 < finished < ROWS
    monkeypatch.setattr(victim, "probabilities", probabilities)
    before = victim.queries
    killed.evaluate()
    assert victim.queries > before
    files = [tmp_path / run / "certificates" / "epoch-0.jsonl" for run in ("whole", "killed")]
    assert read_certificates(files[0]) == read_certificates(files[1])


@pytest.mark.slow
def test_two_ranks_give_the_certificates_of_one_process(tmp_path: Path) -> None:
    on_two_ranks(HERE / "certify_on_two_ranks.py", str(tmp_path / "two"), output=tmp_path / "two")
    one = trainer_of(tmp_path / "one")
    attach_attacks(one, votes=5)
    attach_certificates(one)
    metrics = one.evaluate()
    for rank in (0, 1):
        seen = json.loads((tmp_path / "two" / f"metrics-{rank}.json").read_text())
        for key in ("certified_accuracy", "smoothed_accuracy", "abstained", "vote_accuracy", "synonym_asr"):
            assert seen[f"eval_{key}"] == pytest.approx(metrics[f"eval_{key}"], nan_ok=True), key
    files = [tmp_path / run / "certificates" / "epoch-0.jsonl" for run in ("one", "two")]
    assert read_certificates(files[0]) == read_certificates(files[1])
    assert len(read_history(tmp_path / "two")) == 1


def test_the_run_card_says_what_was_certified_and_how_long_it_took(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    certifier = attach_certificates(trainer)
    given = {"seconds": certifier.seconds, "measured": {"certify": certifier.describe()}}
    trainer.add_callback(RunCardCallback({}, {}, {}, "normal", **given))
    trainer.evaluate()
    trainer.train()
    card = json.loads((tmp_path / "run_card.json").read_text())
    stated = {"votes": 30, "alpha": 0.01, "bound": "clopper_pearson", "rule": "half", "seed": 0, "num_examples": ROWS}
    stated["word_rule"] = "unicode"
    assert card["certify"] == {
        **stated,
        "lexicon": {**LEXICON.describe(), "source": card["certify"]["lexicon"]["source"]},
        "coverage": certifier.smoothing.coverage(Text(example.texts) for example in examples()).describe(),
    }
    seconds = card["seconds"]
    assert seconds["certify"] > 0 and seconds["attack"] == 0.0
    assert sum(seconds[part] for part in ("train", "evaluate", "certify")) == pytest.approx(seconds["total"], abs=0.01)


def test_errors_are_one_sentence_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--certify must be one of no, epoch, end, got 'step'"):
        CertifyCallback(Smoothing(LEXICON), CertifySettings(), examples(), strategy="step")
    with pytest.raises(ValueError, match="There is no example to certify; pass at least one row"):
        CertifyCallback(Smoothing(LEXICON), CertifySettings(), [])
    with pytest.raises(ValueError, match=r"lexicon .* is empty, so a certificate would only repeat"):
        CertifyCallback(Smoothing(table({}, "synonym")), CertifySettings(), examples())
    with pytest.raises(ValueError, match="A certificate needs a Trainer with one eval_dataset, got none"):
        attach_certificates(build_trainer("normal", tmp_path))
    loose = CertifyCallback(Smoothing(LEXICON), CertifySettings(), examples())
    with pytest.raises(ValueError, match=r"CertifyCallback\(...\).attach\(trainer\)"):
        build_trainer("normal", tmp_path, callbacks=[loose]).train()
    with pytest.raises(ValueError, match="A vote needs the evaluation rows for its clean accuracy, got none"):
        AttackCallback(attacks("synonym"), examples(), vote=Vote(Smoothing(LEXICON), 3))
    with pytest.raises(ValueError, match="so that each of the 3 votes is the plain prediction"):
        vote = Vote(Smoothing(table({"unheard": ["of"]}, "synonym")), 3)
        AttackCallback(attacks("synonym"), examples(), vote=vote, rows=examples())
    best = {"metric_for_best_model": "loss", "eval_strategy": "steps", "eval_steps": 1, "eval_data": review_data(4)}
    stepped = build_trainer("normal", tmp_path, **best)
    attach_certificates(stepped)
    with pytest.raises(ValueError, match=r"the evaluations that the certificates add .*, or --certify no"):
        stepped.train()


def test_settings_that_certify_nothing_end_before_training(tmp_path: Path) -> None:
    """Six votes are enough for two classes by either rule, and not for three by the margin rule."""
    trainer = trainer_of(tmp_path, model=build_model(num_labels=3))
    settings = CertifySettings(votes=6, rule="margin", alpha=0.04)
    CertifyCallback(Smoothing(LEXICON), settings, examples(), strategy="epoch").attach(trainer)
    settings.check_classes(2)
    with pytest.raises(ValueError, match="6 votes cannot certify any text at alpha 0.04 with 3 classes"):
        trainer.train()
    assert trainer.state.global_step == 0

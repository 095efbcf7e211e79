"""The vote as victim: its shares are the naive ones, depend on nothing but the text, and can be attacked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import SYNONYMS, attack, examples, probabilities_of, texts, victim
from tiny import build_model, build_tokenizer, table

from hf_robust.attacks import Vote, VotingVictim, attack_dataset, attack_key, weights_hash
from hf_robust.attacks.engine import voting
from hf_robust.attacks.engine.journal import prediction_of
from hf_robust.attacks.engine.requests import Flips
from hf_robust.certify import CertifySettings, Smoothing, certify_texts
from hf_robust.cli.main import main
from hf_robust.lexicons import TableLexicon
from hf_robust.words import Text

LEXICON = table(SYNONYMS, "synonym")


def voter(votes: int = 5, lexicon: TableLexicon = LEXICON, seed: int = 0, **options: Any) -> VotingVictim:
    model = options.pop("model", None) or build_model()
    return VotingVictim(model, build_tokenizer(), vote=Vote(Smoothing(lexicon, seed), votes), **options)


@pytest.mark.parametrize("columns", [1, 2])
def test_shares_are_those_of_single_draws_one_by_one(columns: int) -> None:
    target, found = voter(7, model=build_model(num_labels=3)), texts(12, columns)
    shares = target.probabilities(found)
    assert shares.dtype == np.float32 and np.allclose(shares.sum(-1), 1)
    mixed = 0
    for one, row in zip(found, shares, strict=True):
        counts = np.zeros(3)
        for number in range(7):
            counts[probabilities_of(target, target.vote.sampler.sample(Text(one), number).columns).argmax()] += 1
        assert row == pytest.approx(counts / 7)
        mixed += (counts > 0).sum() > 1
    assert mixed, "some text should divide the vote"


def test_the_votes_are_the_first_of_the_certificates() -> None:
    target, found = voter(20), texts(10)
    certificates = certify_texts(
        lambda asked: victim(target.model).probabilities(asked).argmax(-1),
        found,
        [0] * 10,
        Smoothing(LEXICON),
        CertifySettings(votes=20),
        num_labels=2,
        progress=False,
    )
    assert np.array_equal(
        target.probabilities(found), np.float32([one.votes for one in certificates]) / np.float32(20)
    )


def test_an_empty_lexicon_votes_with_one_voice() -> None:
    found, target = texts(15), voter(9, table({}, "synonym"))
    shares, plain = target.probabilities(found), victim(target.model).probabilities(found)
    assert set(np.unique(shares)) == {0.0, 1.0} and np.array_equal(shares.argmax(-1), plain.argmax(-1))
    assert target.forwarded <= 15


def test_a_text_has_the_same_scores_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    found = texts(20)
    together = voter().probabilities(found)
    assert np.array_equal(voter(token_budget=30).probabilities(found[::-1])[::-1], together)
    target = voter()
    assert np.array_equal(np.concatenate([target.probabilities([one]) for one in found]), together)
    monkeypatch.setattr(voting, "DRAWS", 12)
    assert np.array_equal(voter().probabilities(found), together)
    random_state = torch.random.get_rng_state()
    assert np.array_equal(voter().probabilities(found), together)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert not np.array_equal(voter(seed=1).probabilities(found), together)
    assert voter().probabilities([]).shape == (0, 2)


def test_one_vote_is_one_query_and_equal_draws_are_one_forward() -> None:
    target = voter(50, table({"good": ["fine"]}, "synonym"))
    target.probabilities([("good film.",), ("good film.",), ("the plot.",)])
    # "good film." and "fine film.", each once for both texts, and one text that nothing changes.
    assert (target.queries, target.forwarded) == (3, 3)


def test_texts_of_equal_tokens_keep_their_own_votes() -> None:
    """The tokenizer lower-cases, and draws do not: an attack that remembers scores by tokens must not mix them."""
    target = voter(5)
    pairs = [(one, (one[0].upper(),)) for one in texts(30)]
    scores = [target.score(pair) for pair in pairs]
    assert any(not np.array_equal(*score.probabilities) for score in scores)
    for pair, score in zip(pairs, scores, strict=True):
        assert (score.sequences[0] == score.sequences[1]) == (pair[0] == pair[1])


@pytest.mark.parametrize("name", ["synonym", "pwws", "deepwordbug", "negation"])
def test_an_attack_meets_the_vote(name: str) -> None:
    target = voter(5)
    rows = examples(target, 16)
    records = attack_dataset(attack(name), target, rows, progress=False)
    assert {record.status for record in records} >= {"succeeded", "failed"}
    for record in records:
        vote = target.probabilities([tuple(record.perturbed)]).argmax(-1)[0]
        assert vote == record.perturbed_prediction
    again = attack_dataset(attack(name), voter(5, token_budget=40), rows[::-1], progress=False, live=3)
    assert [record.to_json() for record in again] == [record.to_json() for record in records]


def test_journals_of_other_votes_have_other_names() -> None:
    model = build_model()
    victims = [victim(model), voter(5, model=model), voter(6, model=model), voter(5, seed=1, model=model)]
    victims += [voter(5, table({"good": ["fine"]}, "synonym"), model=model)]
    keys = {attack_key(attack("synonym"), weights_hash(model), [], 64, prediction_of(one)) for one in victims}
    assert len(keys) == len(victims)
    assert prediction_of(victims[0]) == "autocast none, inference model"  # as before there were votes
    assert prediction_of(voter(5, model=model)) == prediction_of(victims[1])


def test_gradients_and_token_sequences_are_refused() -> None:
    target, sentence = voter(5), "needs a gradient, and shares of 5 votes have none; leave --attack_votes out"
    for ask in (
        target.check_saliency,
        lambda: target.saliency([Text(("good",))]),
        lambda: target.flips([Flips(Text(("good",)), (0,), 1)]),
        lambda: attack_dataset(attack("a2t"), target, examples(target, 5), progress=False),
        lambda: attack_dataset(attack("hotflip"), target, examples(target, 5), progress=False),
        lambda: attack_dataset(attack("gcg"), target, examples(target, 5), progress=False),
    ):
        with pytest.raises(ValueError, match=sentence):
            ask()
    with pytest.raises(ValueError, match="substitutes words of texts and got 0 token sequences"):
        target.score_tokens([])


def test_a_vote_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 random substitution of each text, got 0"):
        Vote(Smoothing(LEXICON), 0)
    vote = Vote(Smoothing(table({"unheard": ["of"]}, "synonym")), 5)
    with pytest.raises(ValueError, match="changes no word of the 2 texts, so that each of the 5 votes is the plain"):
        vote.require_substitutes([("good",), ("film",)])


@pytest.fixture
def attack_command(model_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., int]:
    rows = [{"sentence": one[0], "label": index % 2} for index, one in enumerate(texts(12))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "table.json").write_text(json.dumps(SYNONYMS))

    def run(out: str, *flags: str) -> int:
        files = ["--data", str(tmp_path / "rows.jsonl"), "--lexicon", str(tmp_path / "table.json")]
        return main(
            [
                "attack",
                str(model_folder()),
                *files,
                "--output_dir",
                str(tmp_path / out),
                "--pos_tagger",
                "none",
                *flags,
            ]
        )

    return run


def test_the_attack_command_takes_votes(
    attack_command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attack_command("vote", "--attacks", "synonym", "--attack_votes", "5") == 0
    assert attack_command("plain", "--attacks", "synonym") == 0
    card = json.loads((tmp_path / "vote" / "run_card.json").read_text())
    assert card["vote"]["votes"] == 5 and card["vote"]["lexicon"]["fingerprint"] == LEXICON.fingerprint()
    assert "vote" not in json.loads((tmp_path / "plain" / "run_card.json").read_text())
    target = voter(5)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    right = target.probabilities([(row["sentence"],) for row in rows]).argmax(-1) == [row["label"] for row in rows]
    line = json.loads((tmp_path / "vote" / "robustness_history.jsonl").read_text())
    assert line["accuracy"] == pytest.approx(right.mean())
    capsys.readouterr()
    assert main(["report", str(tmp_path / "vote"), str(tmp_path / "plain")]) == 2
    assert "one run attacked a vote of 5, the other the plain network (vote, plain)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ["--attacks", "synonym", "--attack_ranking", "gradient"],
            "ranking words by gradient needs a gradient, and shares of 5 votes have none",
        ),
        (
            ["--attacks", "pwws", "--attack_backend", "textattack"],
            "--attack_votes, --pos_tagger are for --attack_backend native",
        ),
    ],
)
def test_attacks_that_a_vote_cannot_answer_end_before_any_is_run(
    flags: list[str],
    sentence: str,
    attack_command: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert attack_command("out", *flags, "--attack_votes", "5") == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "out" / "attack_results").exists()


def test_the_vote_draws_from_the_lexicon_and_not_from_the_attacks_own(
    attack_command: Callable[..., int], tmp_path: Path
) -> None:
    other = {"good": ["nice"], "bad": ["poor"], "film": ["movie"]}
    (tmp_path / "other.json").write_text(json.dumps(other))
    flags = ["--attacks", "synonym", "--attack_votes", "5", "--attack_lexicon", str(tmp_path / "other.json")]
    assert attack_command("out", *flags) == 0
    card = json.loads((tmp_path / "out" / "run_card.json").read_text())
    assert card["vote"]["lexicon"]["fingerprint"] == LEXICON.fingerprint()
    drawn_from = card["attacks"]["synonym"]["candidates"]["lexicon"]["fingerprint"]
    assert drawn_from == TableLexicon(other).fingerprint() != LEXICON.fingerprint()

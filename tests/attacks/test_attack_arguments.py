"""The flags of the attacks, and what they build."""

import dataclasses
import json
import re
import subprocess
import sys

import attack_parts
import population_parts
import pytest
from attack_parts import tools
from tiny import table
from transformers import HfArgumentParser

from hf_robust import attacks
from hf_robust.attacks import (
    ATTACKS,
    AttackArguments,
    arguments,
    build_attacks,
    goal_of,
    resolve_frozen_columns,
    resolve_skip_labels,
)
from hf_robust.metrics import aim_of

SYNONYMS, ANTONYMS = table({"good": ["fine"]}, "synonym"), table({"good": ["bad"]}, "antonym")


def all_resources(name):
    """Everything that the recipe asks for."""
    own = {part: vars(attack_parts.resources())[part] for part in ("antonyms", "lemmatizer", "thesaurus")}
    return attack_parts.resources(**vars(population_parts.resources(name)) | own | tools(name))


def parse(*flags):
    return HfArgumentParser(AttackArguments).parse_args_into_dataclasses(list(flags))[0]


def test_defaults_are_the_designs():
    args = parse()
    assert (args.attacks, args.attack_num_examples, args.attack_strategy, args.attack_seed) == ([], 500, "epoch", 0)
    assert (args.attack_query_budget, args.attack_backend, args.frozen_columns) == (None, "native", [])
    assert (args.lexicon, args.antonym_lexicon, args.pos_tagger, args.sentence_encoder) == (
        "wordnet",
        None,
        "auto",
        None,
    )
    assert (args.protect, args.attack_max_changed) == ([], None)
    assert (args.min_similarity, args.antonym_success, args.negation_count) == (0.840845057, "raises", "aligned")
    assert (args.skip_labels, args.attack_token_budget) == (None, None)


def test_flags_reach_the_attacks():
    args = parse(
        "--attacks", "antonym", "synonym", "--attack_query_budget", "30", "--frozen_columns", "premise",
        "--antonym_success", "remains", "--skip_labels", "neutral", "--pos_tagger", "none",
    )  # fmt: skip
    names = ["entailment", "neutral", "contradiction"]
    built = build_attacks(args, SYNONYMS, ANTONYMS, names, ["premise", "hypothesis"])
    assert list(built) == ["antonym", "synonym"]
    for name, attack in built.items():
        assert attack.name == name and attack.query_budget == 30 and attack.frozen_columns == {0}
    assert built["antonym"].skip_labels == {1} and built["synonym"].skip_labels == frozenset()
    assert built["antonym"].goal.success == "remains"
    assert built["synonym"].describe()["candidates"]["lexicon"]["fingerprint"] == SYNONYMS.fingerprint()


def test_files_of_texts_are_no_recipes():
    args = parse("--attacks", "file:data/sst2.jsonl.gz", "synonym")
    assert args.attacks == ["file:data/sst2.jsonl.gz", "synonym"] and args.recipes == ["synonym"]
    assert list(build_attacks(args, SYNONYMS, None, ["0", "1"], ["sentence"])) == ["synonym"]


def test_a_tagger_is_loaded_only_where_one_is_asked_for(monkeypatch):
    loaded = []

    class Tagger:
        name = "stand-in"

        def __call__(self, words):
            return ["NN"] * len(words)

    monkeypatch.setattr("hf_robust.attacks.resources.nltk_tagger", lambda: loaded.append(1) or Tagger())
    build_attacks(parse("--attacks", "synonym", "antonym"), SYNONYMS, ANTONYMS, ["no", "yes"], ["sentence"])
    assert loaded == []
    loose = table({"good": ["fine"]}, "synonym")
    loose.keeps_part_of_speech = False
    built = build_attacks(parse("--attacks", "synonym"), loose, None, ["0", "1"], ["sentence"])
    assert loaded == [1]
    assert built["synonym"].describe()["constraints"][3]["tagger"] == "stand-in"
    counted = parse("--attacks", "negation", "--negation_count", "official")
    assert build_attacks(counted, None, None, ["no", "yes"], ["sentence"])["negation"].candidates.official_count
    with pytest.raises(ValueError, match="--pos_tagger nltk instead of none"):
        build_attacks(parse("--attacks", "negation", "--pos_tagger", "none"), None, None, ["no"], ["sentence"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--attacks", "textfuller"], "must be among synonym, antonym, negation, .*, got textfuller; .* file:PATH"),
        (["--attacks", "synonym", "synonym"], "names an attack twice"),
        (
            ["--attack_backend", "textattack", "--sentence_encoder", "x"],
            "--sentence_encoder is for --attack_backend native",
        ),
        (
            ["--attack_backend", "textattack", "--masked_lm", "x", "--attack_fixed", "True"],
            "--attack_fixed, --masked_lm are for --attack_backend native",
        ),
        (["--attack_time_limit", "0"], "--attack_time_limit must be above 0 seconds"),
        (["--attack_query_budget", "0"], "--attack_query_budget must be at least 2"),
        (["--attack_query_budget", "1"], "--attack_query_budget must be at least 2"),
        (["--attack_token_budget", "0"], "--attack_token_budget must be at least 1"),
        (["--min_similarity", "1.2"], "--min_similarity must lie in"),
        (["--paraphraser", "m", "Rewrite:"], "takes a model and, if needed, its prompt with {text} .* got m Rewrite:"),
        (["--paraphraser", "m", "{text}", "n"], "takes a model and, if needed, its prompt"),
    ],
)
def test_wrong_flags_are_one_sentence(flags, message):
    with pytest.raises(ValueError, match=message):
        parse(*flags)


def test_flags_that_training_reads_too_go_with_any_backend():
    flags = ("--lexicon", "wordnet", "--antonym_lexicon", "builtin", "--skip_labels", "neutral", "--word_vectors", "v")
    assert parse("--attack_backend", "textattack", "--attacks", "textfooler", *flags).lexicon == "wordnet"


def test_every_flag_of_the_native_engine_alone_is_a_flag_with_a_default():
    defaults = vars(AttackArguments())
    for name in arguments._NATIVE_ONLY:
        with pytest.raises(ValueError, match=f"--{name} is for --attack_backend native"):
            AttackArguments(**{"attack_backend": "textattack", name: 0.5 if defaults[name] != 0.5 else 1})


def test_goals_are_known_by_name_before_an_attack_is_built():
    """So that a metric that no attack will measure is refused before anything is loaded."""
    for name, recipe in ATTACKS.items():
        built = recipe(all_resources(name))
        assert type(built.goal) is goal_of(name), name
        assert built.describe()["goal"]["keeps_prediction"] is goal_of(name).keeps_prediction
        assert aim_of(built.describe()) == (built.goal.keeps_prediction, built.goal.maximises)
    assert {name for name in ATTACKS if goal_of(name).keeps_prediction} == {"antonym", "negation", "input_reduction"}
    assert goal_of("input-reduction") is goal_of("input_reduction")  # TextAttack's spelling


def test_default_scores_of_each_recipe():
    """The package's own attacks the margin; those that promise TextAttack's results its probability, unless mended."""
    own = {name for name, recipe in ATTACKS.items() if recipe(all_resources(name)).scores == "margin"}
    assert own == {"synonym", "antonym", "negation", "gradient_mask", "paraphrase", "viper", "gcg"}
    assert {name for name, recipe in ATTACKS.items() if recipe(all_resources(name)).scores is None} == {"hlbb"}

    def built(*flags):
        args = parse("--attacks", "synonym", "textfooler", "--pos_tagger", "none", *flags)
        return [attack.scores for attack in build_attacks(args, SYNONYMS, None, ["0", "1"], ["sentence"]).values()]

    assert built() == ["margin", "probability"]
    assert built("--attack_fixed", "True") == ["margin", "margin"]
    for scores in ("margin", "probability"):
        assert built("--attack_scores", scores) == built("--attack_scores", scores, "--attack_fixed", "True")
        assert built("--attack_scores", scores) == [scores, scores]
    with pytest.raises(ValueError, match="--attack_scores must be one of probability, margin, got 'logits'"):
        dataclasses.replace(ATTACKS["synonym"](all_resources("synonym")), scores="logits")
    synonym = ATTACKS["synonym"](all_resources("synonym"))
    other = dataclasses.replace(synonym, scores="probability")
    assert synonym.describe()["scores"] == "margin" and synonym.fingerprint() != other.fingerprint()


def test_source_of_antonyms():
    assert AttackArguments().antonym_source() == "wordnet"
    assert AttackArguments(lexicon="builtin").antonym_source() == "builtin"
    assert AttackArguments(lexicon="a.json", antonym_lexicon="b.json").antonym_source() == "b.json"
    with pytest.raises(ValueError, match="--lexicon a.json has none; pass --antonym_lexicon"):
        AttackArguments(lexicon="a.json").antonym_source()


@pytest.mark.parametrize("unnamed", [["0", "1", "2"], ["LABEL_0", "LABEL_1"]])
def test_skip_labels_are_required_for_classes_without_names(unnamed):
    with pytest.raises(ValueError, match="have no names .*: name the classes with --class_names, or .* --skip_labels"):
        resolve_skip_labels(None, unnamed)
    assert resolve_skip_labels(["none"], unnamed) == frozenset()
    for name in ("antonym", "negation"):
        with pytest.raises(ValueError, match="the classes have no names"):
            build_attacks(parse("--attacks", "synonym", name), SYNONYMS, ANTONYMS, unnamed, ["sentence"])
    assert list(build_attacks(parse("--attacks", "synonym"), SYNONYMS, None, unnamed, ["sentence"])) == ["synonym"]


def test_skip_labels_go_by_name_never_by_position():
    assert resolve_skip_labels(None, ["not_duplicate", "duplicate"]) == {0}
    assert resolve_skip_labels(None, ["duplicate", "not_duplicate"]) == {1}
    assert resolve_skip_labels(None, ["contradiction", "entailment", "Neutral"]) == {2}
    assert resolve_skip_labels(None, ["not_equivalent", "equivalent"]) == {0}
    assert resolve_skip_labels(None, ["negative", "positive"]) == frozenset()
    assert resolve_skip_labels(["Positive"], ["negative", "positive"]) == {1}
    assert resolve_skip_labels(["none"], ["neutral", "other"]) == frozenset()
    assert resolve_skip_labels(["1"], ["0", "1"]) == resolve_skip_labels(["1"], ["LABEL_0", "LABEL_1"]) == {1}
    assert resolve_skip_labels(["LABEL_1"], ["LABEL_0", "LABEL_1"]) == {1}
    assert resolve_skip_labels(["none"], ["none", "other"]) == {0}
    with pytest.raises(ValueError, match="--skip_labels maybe is no label of this task; its labels are yes, no"):
        resolve_skip_labels(["maybe", "no"], ["yes", "no"])


def test_frozen_columns_go_by_name():
    assert resolve_frozen_columns([], ["premise", "hypothesis"]) == frozenset()
    assert resolve_frozen_columns(["hypothesis"], ["premise", "hypothesis"]) == {1}
    with pytest.raises(ValueError, match="the text columns are premise, hypothesis"):
        resolve_frozen_columns(["sentence"], ["premise", "hypothesis"])
    with pytest.raises(ValueError, match="freezes every text column"):
        resolve_frozen_columns(["sentence"], ["sentence"])


def test_every_attack_is_listed_described_and_documented():
    assert list(ATTACKS)[:3] == ["synonym", "antonym", "negation"]
    for name, recipe in ATTACKS.items():
        assert recipe.__name__ == name and re.search(r"[A-Z]\w+ ((et al\.|and [A-Z]\w+) )?20[12]\d", recipe.__doc__), (
            name
        )
    for name in attacks.__all__:
        assert getattr(attacks, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'textfuller'"):
        _ = attacks.textfuller


def test_the_list_of_attacks_is_cheap_to_import():
    code = (
        "import sys, hf_robust.attacks, hf_robust.words; print({'torch', 'nltk', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_attacks_may_draw_on_a_table_of_their_own(tmp_path):
    for name, word in (("train", "fine"), ("held_out", "nice")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"good": [word]}))
    flags = parse("--attacks", "synonym", "--lexicon", str(tmp_path / "train.json"), "--pos_tagger", "none")
    held_out = dataclasses.replace(flags, attack_lexicon=str(tmp_path / "held_out.json"))
    for given, word in ((flags, "fine"), (held_out, "nice")):
        built = build_attacks(given, None, None, ["0", "1"], ["sentence"])["synonym"]
        assert built.candidates.lexicon("good") == (word,)
    assert flags.synonym_source() == flags.lexicon
    with pytest.raises(ValueError, match="--attack_lexicon is for --attack_backend native"):
        parse("--attack_backend", "textattack", "--attack_lexicon", "x.json")

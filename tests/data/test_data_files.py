import csv
import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_robust.data.files import extension_of, read_rows

ROWS = [
    {"sentence": "NA", "label": 1},
    {"sentence": 'a "b", c\nd\u2028e', "label": 0},
    {"sentence": "007", "label": 1},
]


def write(path, text, gz=False):
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data, mtime=0) if gz else data)
    return path


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("ending", [".json", ".jsonl"])
def test_json_lines(tmp_path, ending, gz):
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n"
    assert read_rows(write(tmp_path / f"x{ending}{'.gz' * gz}", text, gz)) == ROWS


def test_json_list(tmp_path):
    assert read_rows(write(tmp_path / "x.json", " \n" + json.dumps(ROWS, indent=1))) == ROWS


@pytest.mark.parametrize("gz", [False, True])
def test_csv_keeps_every_character(tmp_path, gz):
    text = 'sentence,label\r\nNA,1\r\n"a ""b"", c\nd\u2028e",0\r\n007,1\r\nnull,\r\n'
    rows = read_rows(write(tmp_path / f"x.csv{'.gz' * gz}", text, gz))
    assert rows[:3] == [{**row, "label": str(row["label"])} for row in ROWS]
    assert rows[3] == {"sentence": "null", "label": ""}


def test_csv_with_a_byte_order_mark_and_a_long_text(tmp_path):
    rows = read_rows(write(tmp_path / "x.csv", "\ufeffsentence,label\n" + "word " * 50_000 + ",1\n"))
    assert list(rows[0]) == ["sentence", "label"] and len(rows[0]["sentence"]) == 250_000


def test_tsv_has_no_quoting(tmp_path):
    rows = read_rows(write(tmp_path / "x.tsv", 'sentence\tlabel\n"half open\t1\nend"\t0\n'))
    assert [row["sentence"] for row in rows] == ['"half open', 'end"']


def test_parquet(tmp_path):
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    parquet.write_table(arrow.Table.from_pylist(ROWS), tmp_path / "x.parquet")
    assert read_rows(tmp_path / "x.parquet") == ROWS


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.txt", b"", "must end in one of"),
        ("x.json", b'{"a": 1}\n{"a": ', "neither JSON lines nor one JSON list"),
        ("x.json", b"[1, 2]", "row 0 must be an object"),
        ("x.csv", b"a,b\n1,2\n1\n", r"line 3: 1 values for the 2 columns \['a', 'b'\]"),
        ("x.csv", b"a,b\n\xff,2\n", "is not UTF-8 at byte"),
        ("x.csv.gz", b"a,b\n", "not a complete gzip file"),
        ("x.csv", b"label,sentence, label \n1,a,0\n", "has 2 columns called 'label': rename or remove all but one"),
        ("x.csv", b",sentence,\n1,a,0\n", "has 2 columns without a name"),
        ("x.tsv", b"a\ta\n1\t2\n", "has 2 columns called 'a'"),
        ("x.jsonl", b'{"a": 1}\n{"label": 1, "label": 0}\n', "an object has several keys 'label'"),
        ("x.json", b'[{"label": 1, "label": 0}]', "an object has several keys 'label'"),
        ("x.csv", b'label,sentence\n1,"half open\n0,next\n1,last\n', "line 4: unexpected end of data"),
        (
            "x.csv",
            b"text;label\na; b;1\n",
            r"line 2: 3 values for the 2 columns .*: if it is separated by ';', put texts",
        ),
        (
            "x.csv",
            b"text;label\na, b,1\n",
            r"line 2: 1 values for the 2 columns .*: if it is separated by ';', put texts",
        ),
        ("x.jsonl.gz", gzip.compress(b'{"a": 1}' * 100, mtime=0)[:-12], "not a complete gzip file"),
    ],
)
def test_malformed_files_are_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_rows(tmp_path / name)


def test_missing_file_and_extensions(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_rows(tmp_path / "x.csv")
    assert [extension_of(name) for name in ("a.CSV", "a.b.jsonl.gz", "a", "a.gz")] == [".csv", ".jsonl", "", ""]


def test_parquet_columns_of_one_name(tmp_path):
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    parquet.write_table(arrow.Table.from_arrays([[1], [2]], names=["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="has 2 columns called 'a'"):
        read_rows(tmp_path / "x.parquet")


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_another_separator_is_read_where_every_row_fits_and_said(tmp_path, separator, quoting, caplog):
    texts = [f"a, b{separator} c", 'the "best"', "two\nlines", ""]
    with (tmp_path / "x.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=separator, quoting=quoting).writerows(
            [["sentence", "label"], *([text, 1] for text in texts)]
        )
    assert read_rows(tmp_path / "x.csv") == [{"sentence": text, "label": "1"} for text in texts]
    assert f"x.csv is read with the separator {separator!r}; its columns are sentence, label." in caplog.text


TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from([",", ";", "\t", "|"]))
def test_what_a_csv_writer_wrote_is_read_to_the_letter(texts, separator):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = [["sentence", "label"], *([text, "1"] for text in texts)]
            csv.writer(file, delimiter=separator).writerows(rows)
        assert read_rows(path) == [{"sentence": text, "label": "1"} for text in texts]


def test_a_comma_in_the_header_makes_it_the_separator(tmp_path, caplog):
    path = write(tmp_path / "x.csv", "sentence,label\na; b|c,1\n")
    assert read_rows(path) == [{"sentence": "a; b|c", "label": "1"}]
    assert read_rows(write(path, "sentence\na; b\n")) == [{"sentence": "a; b"}]
    assert not caplog.text


def test_a_spreadsheets_line_before_the_header(tmp_path):
    assert read_rows(write(tmp_path / "x.csv", "\ufeffsep=;\na;label\nb;1\n")) == [{"a": "b", "label": "1"}]


def test_blanks_around_column_names_are_no_part_of_them(tmp_path):
    assert read_rows(write(tmp_path / "x.csv", "label , sentence\n1, a\n")) == [{"label": "1", "sentence": " a"}]

"""Readers of generations and results, and the join. Every sample file here is simulated."""

import csv
import gzip
import json
import re
import warnings

import numpy as np
import pytest

from calibkit import UnmatchedWarning
from calibkit._core.warnings import MissingSignalWarning
from calibkit.codegen import (
    ConfidenceFeatures,
    Generations,
    Ragged,
    Results,
    join_results,
    p_true,
    read_generations,
    read_results,
    token_confidence,
)

P = [[-0.1, -0.2], [-1.0, -2.0, -3.0], [-0.5]]


@pytest.fixture
def write(tmp_path):
    """Write records as JSON lines, or a text or bytes as they are."""

    def put(content, name="f.jsonl"):
        path = tmp_path / name
        if isinstance(content, list):
            content = "\n".join(map(json.dumps, content)) + "\n"
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    return put


def other(p):
    """Of another token at that place; the two leave some mass to the rest."""
    return float(np.log1p(-np.exp(p))) - 0.5


def pieces(text, n):
    """A text as n tokens."""
    return [text[i : i + 1] if i < n - 1 else text[i:] for i in range(n)]


def said(token, logprob):
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def chat(logprobs, index=0, text="return 1", tokens=None):
    """A choice of a chat completion, as the API reference lays it out."""
    content = [
        {**said(t, p), "top_logprobs": [said(t, p), said("y" if t != "y" else "z", other(p))]}
        for t, p in zip(tokens or pieces(text, len(logprobs)), logprobs, strict=True)
    ]
    return {
        "index": index,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": {"content": content, "refusal": None},
        "finish_reason": "stop",
    }


def response(*choices, **more):
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1711652795, "model": "m"}
    return {**more, **head, "choices": list(choices), "usage": {"total_tokens": 24}}


def legacy(logprobs, index=0, text="return 1", tokens=None):
    tokens = tokens or pieces(text, len(logprobs))
    return {
        "text": text,
        "index": index,
        "logprobs": {
            "tokens": tokens,
            "token_logprobs": logprobs,
            "top_logprobs": [{t: p, "?": other(p)} for t, p in zip(tokens, logprobs, strict=True)],
            "text_offset": list(range(len(logprobs))),
        },
        "finish_reason": "stop",
    }


def batch(custom_id, body=None, error=None, status=200):
    sent = {"status_code": status, "request_id": "req", "body": body} if body else None
    return {"id": "batch_req_1", "custom_id": custom_id, "response": sent, "error": error}


def request_output(request_id, *outputs):
    return {
        "request_id": request_id,
        "prompt": "def f():",
        "prompt_token_ids": [1, 2],
        "outputs": list(outputs),
        "finished": True,
    }


def completion_output(logprobs, index=0, text="return 1", tokens=None):
    """The token drawn stands second, so that no reader may take the first."""
    tokens = tokens or pieces(text, len(logprobs))
    return {
        "index": index,
        "text": text,
        "token_ids": [7] * len(logprobs),
        "cumulative_logprob": sum(logprobs),
        "logprobs": [
            {
                "3": {"logprob": p + 0.01, "rank": 1, "decoded_token": "?"},
                "7": {"logprob": p, "rank": 2, "decoded_token": t},
            }
            for t, p in zip(tokens, logprobs, strict=True)
        ],
        "finish_reason": "stop",
    }


def lm_eval(doc_id, resps, filtered, doc=None, **metrics):
    return {
        "doc_id": doc_id,
        "doc": doc or {"question": "?"},
        "target": "1",
        "arguments": {"gen_args_0": {"arg_0": "?"}},
        "resps": resps,
        "filtered_resps": filtered,
        "metrics": list(metrics),
        "doc_hash": "a",
        "prompt_hash": "b",
        "target_hash": "c",
        **metrics,
    }


def multiple_choice(doc_id, values, acc):
    """Pairs of log-likelihood and flag, which the harness writes as text."""
    pairs = [[str(v), "False"] for v in values]
    return lm_eval(doc_id, [[p] for p in pairs], pairs, acc=acc, filter="none")


def lists_of(generations):
    return [generations.logprobs[i].tolist() for i in range(len(generations))]


# ------------------------------------------------------------------------------ generations


def check_three(found):
    """Task a with two samples, and b with one."""
    assert found.task.tolist() == ["a", "a", "b"]
    assert found.sample.tolist() == [0, 1, 0]
    assert lists_of(found) == P
    assert found.n_without_logprobs == 0
    assert found.text == ["return 1", "return 2", "return 1"]


@pytest.mark.parametrize("choice", [chat, legacy])
def test_openai(write, choice):
    two = response(choice(P[1], 1, "return 2"), choice(P[0]), task_id="a")  # sorted by index
    path = write([two, response(choice(P[2]), task_id="b")])
    found = read_generations(path)
    check_three(found)
    assert found.place == [f"{path}, line 1"] * 2 + [f"{path}, line 2"]
    assert "3 outputs of 2 tasks; 3 with log-probabilities" in repr(found)
    entropy = found.confidence("entropy")["entropy"]
    alternatives = [[[p, other(p)] for p in one] for one in P]
    expected = token_confidence(None, "entropy", top_logprobs=alternatives)
    np.testing.assert_allclose(entropy, expected, rtol=1e-12)


@pytest.mark.parametrize("choice", [chat, legacy])
def test_openai_batch_with_failures(write, choice):
    lines = [
        batch("a", response(choice(P[0]))),
        batch("a", error={"code": "batch_expired", "message": "not executed in time"}),
        batch("a", response(choice(P[1], text="return 2"))),
        batch("c", body={"error": {"message": "too long"}}, status=400),
        batch("b", response(choice(P[2]))),
    ]
    path = write(lines)
    with pytest.warns(MissingSignalWarning, match=r"2 of 5 requests failed .*f\.jsonl, line 2"):
        found = read_generations(path)
    # The failed request keeps its number, so that later samples meet their own results.
    assert found.sample.tolist() == [0, 2, 0]
    assert lists_of(found) == P
    assert found.errors == (
        f"{path}, line 2: not executed in time",
        f"{path}, line 4: too long",
    )
    assert "2 failed requests" in repr(found)


def test_openai_ids_from_custom_id(write):
    lines = [batch(f"HumanEval/{i // 2}#{i % 2}", response(chat(P[0]))) for i in (3, 0, 1)]
    found = read_generations(
        write(lines),
        task=lambda r: r["custom_id"].split("#")[0],
        sample=lambda r: r["custom_id"].split("#")[1],
    )
    assert found.task.tolist() == ["HumanEval/1", "HumanEval/0", "HumanEval/0"]
    assert found.sample.tolist() == [1, 0, 1]


def test_openai_without_logprobs_is_counted(write):
    none = {**chat([]), "logprobs": None}
    refused = {**chat([]), "logprobs": {"content": None, "refusal": []}}
    refused["message"]["content"] = None
    found = read_generations(
        write([response(chat(P[0]), task_id=1), response(none, refused, task_id=2)])
    )
    assert found.n_without_logprobs == 2
    assert found.text[2] == ""
    with pytest.warns(MissingSignalWarning, match="2 of 3 outputs"):
        total = found.confidence("total_probability")["total_probability"]
    np.testing.assert_allclose(total, [np.exp(-0.3), np.nan, np.nan])


def test_vllm(write):
    one = request_output("0", completion_output(P[0]), completion_output(P[1], 1, "return 2"))
    other = request_output("1", completion_output(P[2]))
    found = read_generations(write([{**one, "task_id": "a"}, {**other, "task_id": "b"}]))
    check_three(found)
    assert found.top_logprobs.values[0].tolist() == pytest.approx([-0.09, -0.1])
    assert read_generations(write([one, other])).task.tolist() == ["0", "0", "1"]


def test_vllm_flat_logprobs(write):
    output = completion_output(P[1])
    output["logprobs"] = {
        "start_indices": [0, 2, 4],
        "end_indices": [2, 4, 6],
        "token_ids": [3, 7] * 3,
        "logprobs": [v for p in P[1] for v in (p + 0.01, p)],
        "ranks": [1, 2] * 3,
        "decoded_tokens": [None] * 6,
    }
    assert lists_of(read_generations(write([request_output("0", output)]))) == [P[1]]


def test_lm_eval_multiple_choice(write):
    path = write([multiple_choice(0, [-1.0, -3.0], 1.0), multiple_choice(1, [-2.0, -1.5], 0.0)])
    found = read_generations(path)
    expected = [1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-0.5))]
    np.testing.assert_allclose(found.confidence()["choice_probability"], expected, rtol=1e-12)
    assert found.text == ["0", "1"]
    results = read_results(path)
    assert results.correct.tolist() == [True, False]
    assert results.notion == "acc"
    assert len(join_results(found, results)) == 2


def test_lm_eval_mutual_information_halves(write):
    record = multiple_choice(0, [-1.0, -3.0, -9.0, -0.1], 1.0)
    found = read_generations(write([{**record, "acc_mutual_info": 1.0}]))
    assert found.signals["choice_probability"][0] == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_lm_eval_generations(write):
    doc = {"task_id": "HumanEval/0", "prompt": "def f():"}
    record = lm_eval(0, [["  return 1"]], [["def f():\n  return 1"]], doc, **{"pass@1": 1.0})
    found, results = read_generations(write([record])), read_results(write([record]))
    assert found.task.tolist() == results.task.tolist() == ["HumanEval/0"]
    assert found.text == ["  return 1"]
    assert (results.correct.tolist(), results.notion) == ([True], "pass@1")


def test_lm_eval_filters_are_not_mixed(write):
    records = [
        lm_eval(i, [["so 2"]], ["2"], exact_match=float(i == k), filter=name)
        for k, name in enumerate(("strict-match", "flexible-extract"))
        for i in range(2)
    ]
    path = write(records)
    with pytest.raises(ValueError, match=r"line 3: has results by exact_match,flexible-.*Choose"):
        read_results(path)
    found = read_results(path, correct="exact_match,flexible-extract")
    assert found.correct.tolist() == [False, True]
    generations = read_generations(path)  # the responses are the same in both
    assert (len(generations), generations.n_repeated) == (2, 2)
    assert "2 repeated rows" in repr(generations)


def test_lm_eval_share_of_responses_is_no_verdict(write):
    path = write([lm_eval(0, [["a", "b"]], [["a", "b"]], **{"pass@1": 0.5})])
    assert len(read_generations(path)) == 2
    with pytest.raises(ValueError, match=r"line 1: pass@1 is 0\.5 for 2 responses together"):
        read_results(path)


EVALPLUS = {
    "date": "2024-05-01 10:00",
    "hash": "simulated",
    "eval": {
        "HumanEval/0": [
            {
                "task_id": "HumanEval/0",
                "solution": "def f(): return 1",
                "base_status": base,
                "plus_status": plus,
                "base_fail_tests": [],
                "plus_fail_tests": [],
            }
            for base, plus in (("pass", "pass"), ("pass", "fail"), ("timeout", "pass"))
        ],
        "HumanEval/1": [{"base_status": "fail", "plus_status": "fail"}],
    },
    "pass_at_k": {"base": {"pass@1": 0.5}},
}
OLDER = {
    "date": "2023-06-01 10:00",
    "eval": {
        "HumanEval/0": {
            "nfiles": 3,
            "base": [["success", [True]], ["success", []], ["timed out", [False]]],
            "plus": [["success", [True]], ["failed", [False]], ["success", []]],
        },
        "HumanEval/1": {"files": ["0.py"], "base": [["failed", []]], "plus": [["failed", []]]},
    },
}


@pytest.mark.parametrize("content", [EVALPLUS, OLDER])
@pytest.mark.parametrize("indent", [None, 2])
def test_evalplus(write, content, indent):
    path = write(json.dumps(content, indent=indent), "eval_results.json")
    plus = read_results(path)
    assert plus.task.tolist() == ["HumanEval/0"] * 3 + ["HumanEval/1"]
    assert plus.sample.tolist() == [0, 1, 2, 0]
    assert plus.correct.tolist() == [True, False, False, False]  # plus tests hold the base tests
    assert plus.notion == "plus tests"
    assert "eval['HumanEval/0'][1]" in plus.place[1]
    base = read_results(path, notion="base tests")
    assert base.correct.tolist() == [True, True, False, False]


def test_evalplus_without_plus_tests(write):
    only_base = {"eval": {"HumanEval/0": [{"base_status": "pass", "plus_status": None}]}}
    path = write(json.dumps(only_base), "eval_results.json")
    with pytest.raises(ValueError, match=r"eval\['HumanEval/0'\]\[0\]: has no .*'base tests'"):
        read_results(path)
    assert read_results(path, notion="base tests").correct.tolist() == [True]
    with pytest.raises(ValueError, match="notion='all'; expected 'plus tests' or 'base tests'"):
        read_results(path, notion="all")


def test_human_eval_and_evalplus_samples(write):
    samples = [{"task_id": "HumanEval/0", "completion": "return 1"}] * 2
    found = read_generations(write(samples))
    assert (found.sample.tolist(), found.text) == ([0, 1], ["return 1"] * 2)
    assert read_generations(write([{"task_id": "a", "solution": "x"}])).text == ["x"]
    tested = [
        {**s, "result": r, "passed": r == "passed"}
        for s, r in zip(samples, ("passed", "failed: "), strict=True)
    ]
    results = read_results(write(tested))
    assert (results.correct.tolist(), results.notion) == ([True, False], "tests")


ROWS = [
    {"task_id": "a", "sample": 1, "logprobs": P[0], "verbalised": 0.9, "correct": True},
    {"task_id": "a", "sample": 0, "logprobs": P[1], "verbalised": None, "correct": False},
    {"task_id": "b", "sample": 0, "logprobs": P[2], "verbalised": 0.5, "correct": True},
]


def as_table(kind, path):
    """The rows in a file of that kind."""
    if kind in ("csv", "tsv"):
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream, delimiter="\t" if kind == "tsv" else ",")
            writer.writerow(ROWS[0])
            for row in ROWS:
                writer.writerow(json.dumps(v) if isinstance(v, list) else v for v in row.values())
    elif kind == "parquet":
        pytest.importorskip("polars").DataFrame(ROWS).write_parquet(path)
    elif kind == "list":
        path.write_text(json.dumps(ROWS, indent=1))
    elif kind == "gz":
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode(), mtime=0))
    else:
        path.write_text("\ufeff" + "\r\n".join(map(json.dumps, ROWS)), encoding="utf-8")


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "list", "gz", "jsonl"])
def test_tables_are_told_from_their_content(tmp_path, kind):
    path = tmp_path / "no_extension"
    as_table(kind, path)
    found = read_generations(path)
    assert found.task.tolist() == ["a", "a", "b"]
    assert found.sample.tolist() == [1, 0, 0]
    assert lists_of(found) == P
    # The verdict must not leak into the signals.
    assert list(found.signals) == ["verbalised"]
    np.testing.assert_array_equal(found.signals["verbalised"], [0.9, np.nan, 0.5])
    results = read_results(path)
    assert results.correct.tolist() == [True, False, True]
    assert results.notion == "correct"
    assert join_results(found, results).correct.tolist() == [True, False, True]


def test_columns_by_name(write):
    text = "problem,try,code,lp,ok,p\n7,0,x,[-0.5],1,0.25\n7,1,y,[],0,\n"
    path = write(text, "t.csv")
    names = {"task": "problem", "sample": "try"}
    found = read_generations(path, text="code", logprobs="lp", signals="p", **names)
    assert (found.task.tolist(), found.text) == (["7", "7"], ["x", "y"])
    assert lists_of(found) == [[-0.5], []]
    np.testing.assert_array_equal(found.signals["p"], [0.25, np.nan])
    results = read_results(path, correct="ok", notion="my tests", **names)
    assert (results.correct.tolist(), results.notion) == ([True, False], "my tests")
    with pytest.raises(ValueError, match=r"t\.csv, line 2: has no q; .*signals.*It has: problem"):
        read_generations(path, signals=["q"], **names)
    with pytest.raises(ValueError, match=r"t\.csv, line 2: code is 'x'; expected a number"):
        read_generations(path, signals=["code"], **names)
    with pytest.raises(ValueError, match=r"t\.csv, line 2: task=.* failed \(KeyError"):
        read_generations(path, task=lambda r: r["none"])


def test_numeric_column_that_is_not_all_numbers_is_no_signal(write):
    path = write("task_id,p,q,ok\na,0.5,1,1\nb,none,2,0\n", "t.csv")
    assert list(read_generations(path).signals) == ["q", "ok"]
    assert list(read_generations(path, signals="q").signals) == ["q"]


def test_further_numbers_beside_responses(write):
    lines = [response(chat(P[0]), task_id="a", verbalised=0.9, repo=r) for r in ("numpy", 7)]
    path = write(lines)
    plain = read_generations(path)
    assert (plain.signals, plain.labels) == ({}, {})
    found = read_generations(path, signals="verbalised", labels=["repo"])
    assert found.signals["verbalised"].tolist() == [0.9, 0.9]
    assert found.take([1]).labels["repo"].tolist() == ["7"]
    with pytest.raises(ValueError, match="line 1: has no repos; expected it, as labels names it"):
        read_generations(path, labels="repos")


def test_several_files(tmp_path, write):
    paths = [write([{"task_id": "a", "logprobs": p}], f"{i}.jsonl") for i, p in enumerate(P)]
    found = read_generations(paths)
    assert found.sample.tolist() == [0, 1, 2]
    assert found.place[2] == f"{paths[2]}, line 1"
    with pytest.raises(ValueError, match="path is an empty list"):
        read_generations([])


def test_take_and_pandas(write):
    path = write([response(*(chat(p, i) for i, p in enumerate(P)), task_id="a")])
    found = read_generations(path)
    part = found.take([2, 0])
    assert lists_of(part) == [P[2], P[0]]
    both = [found.confidence("entropy")["entropy"], part.confidence("entropy")["entropy"]]
    np.testing.assert_array_equal(both[1], both[0][[2, 0]])
    assert len(found.take(np.array([False, True, False]))) == 1
    pytest.importorskip("pandas")
    frame = found.to_pandas()
    assert frame["logprobs"][1].tolist() == P[1]
    assert read_results(write([{"task_id": "a", "passed": 1}])).to_pandas().shape == (1, 4)


def test_confidence_names_are_checked(write):
    found = read_generations(write([{"task_id": "a", "completion": "x"}]))
    with pytest.raises(ValueError, match="neither log-probabilities nor signals"):
        found.confidence()
    with pytest.raises(ValueError, match="measures='entropi'"):
        found.confidence(["entropi"])
    with_p = read_generations(write([{"task_id": "a", "logprobs": [-0.5], "mine": 0.3}]))
    assert list(with_p.confidence())[:2] == ["mine", "average_token_probability"]
    assert len(with_p.confidence()) == 6


# --------------------------------------------------------------------------------- hostile files


GOOD = json.dumps({"task_id": "a", "logprobs": [-0.1]})


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", r"f\.jsonl: the file is empty"),
        (" \n\n", r"f\.jsonl: the file is empty"),
        (gzip.compress(b"", mtime=0), r"f\.jsonl: the file is empty"),
        (
            GOOD + "\n" + GOOD + "\n" + GOOD[:-9],
            r"f\.jsonl, line 3: is not JSON .*cut short after 2 whole records",
        ),
        (GOOD[:-9], r"line 1: is not JSON .*cut short after 0 whole records"),
        (GOOD + "\n" + GOOD[:-9] + "\n" + GOOD, r"line 2: is not JSON \((?!.*cut short)"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-9], r"f\.jsonl: .*damaged or cut short"),
        ("[\n" + GOOD + ",\n" + GOOD[:-4], r"f\.jsonl, line 3: is not JSON .*cut short"),
        ("[" + GOOD + "," + GOOD[:-4], r"f\.jsonl, line 1: is not JSON .*cut short"),
        (GOOD.encode("utf-16"), r"f\.jsonl: holds zero bytes, as UTF-16"),
        (
            f"{GOOD}\n{GOOD[:-1]}, ".encode() + b'"text": "caf\xe9"}\n',
            r"f\.jsonl, line 2: holds the byte 0xE9, which is not UTF-8",
        ),
        (b'task_id,text\na,"x\ny\xe9"\n', r"f\.jsonl, line 3: holds the byte 0xE9"),
        (b'[\n{"task_id": "caf\xe9"}]', r"f\.jsonl, line 2: holds the byte 0xE9"),
        ("[1]\n[2]\n", r"f\.jsonl, line 1: holds a JSON list; expected an object"),
        ("[]", r"f\.jsonl: the list is empty"),
        ('[{"task_id": "a"}, 3]', r"item 1 \(counted from 0\): holds a JSON int"),
        (
            GOOD + "\n" + '{"logprobs": [-0.1]}',
            r"line 2: is not a record of the format table; .*It has: logprobs\.",
        ),
        ("task_id,sample\na,0\nb\n", r"f\.jsonl, line 3: 1 cells; the header has 2"),
        ("task_id,task_id\na,0\n", r"line 1: several columns are named task_id"),
        ("task_id,logprobs\na,-0.1 -0.2\n", r"line 2: logprobs is '-0.1 -0.2'; expected a list"),
        (
            "name;p\na;1\n",
            r"line 2: is in no known format; .*doc_id and resps \(lm-eval\)\. It has: name;p",
        ),
        ('{"task_id": "a", "sample": 0}\n{"task_id": "a"}', r"line 2: has no sample number"),
        ('{"task_id": "a", "sample": 1.5}', r"line 1: sample is 1\.5; expected a whole number"),
        ('{"task_id": null}', r"line 1: task is None; expected a text"),
        ('{"task_id": "a", "text": 3}', r"line 1: the text is 3; expected a text"),
        ('{"task_id": "a", "logprobs": ["x"]}', r"line 1: logprobs is \['x'\]; expected a list"),
        (
            '{"task_id": "a", "logprobs": [-1.0], "tokens": ["x", "y"]}',
            r"line 1: has 2 tokens and 1 log-probabilities",
        ),
        ('{"task_id": "a", "task_id": "b"}', r"line 1: a key is repeated"),
        ('[{"task_id": "a", "task_id": "b"}]', r"item 0 .*: a key is repeated"),
        ("[" * 100_000, r"f\.jsonl: is not JSON"),
        ("task_id,logprobs\n", r"f\.jsonl: there are no records"),
        ("PK\x03\x04", r"f\.jsonl: there are no records"),
        ('{"eval": {"a": []}}', "no record holds an output"),
        ('{"task_id": "a\\u0000"}', "task is 'a\\\\x00'; expected a text"),
        ('{"task_id": "a", "sample": 1e300}', r"sample is 1e\+300; expected .* to 2\*\*53"),
        ('{"task_id": "a", "sample": 9223372036854775808}', "sample is 9223372036854775808; exp"),
        ('{"task_id": "a", "logprobs": [-1' + "0" * 400 + "]}", r"line 1: logprobs is \[-1000"),
        (
            '{"task_id":"a","sample":0,"s":0.1}\n{"task_id":"a","sample":0,"s":0.9}',
            r"task a, sample 0 .* with other content",
        ),
        (
            '{"task_id":"a","sample":0,"text":"x"}\n{"task_id":"a","sample":0,"text":"y"}',
            r"task a, sample 0 is at .*f\.jsonl, line 1 and, with other content, at .*, line 2",
        ),
    ],
)
def test_hostile_files(write, content, match):
    with pytest.raises(ValueError, match=match):
        read_generations(write(content))


def without(record, *path):
    """A copy without the entry at that path."""
    record = json.loads(json.dumps(record))
    at = record
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return record


def changed(record, value, *path):
    """A copy with another entry at that path."""
    record = json.loads(json.dumps(record))
    at = record
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return record


FINE = response(chat(P[0]), task_id="a")
OLD = response(legacy(P[0]), task_id="a")
VLLM = request_output("0", completion_output(P[0]))


@pytest.mark.parametrize(
    ("good", "bad", "match"),
    [
        (FINE, without(FINE, "choices"), "is not a record of the format openai; expected choices"),
        (FINE, without(FINE, "task_id"), "has no task_id or custom_id; .*Name it: task="),
        (FINE, without(FINE, "choices", 0, "message"), "a choice has neither message nor text"),
        (FINE, changed(FINE, [], "choices"), r"choices is \[\]; expected a list of objects"),
        (
            FINE,
            without(FINE, "choices", 0, "logprobs", "content", 1, "logprob"),
            r"token 1 of logprobs\.content is \{'token'.*expected an object with token, logprob",
        ),
        (
            FINE,
            changed(FINE, "x", "choices", 0, "logprobs"),
            "logprobs is 'x'; expected an object with the list content",
        ),
        (FINE, VLLM, "is in the format vllm and records before it are in openai"),
        (json.loads(GOOD), FINE, "is in the format openai and records before it are in table"),
        (FINE, changed(FINE, "x", "choices", 0, "index"), "index is 'x'; expected a whole"),
        (VLLM, changed(VLLM, "x", "outputs", 0, "index"), "index is 'x'; expected a whole"),
        (VLLM, FINE, "is in the format openai and records before it are in vllm"),
        (FINE, {**response(chat(P[0]), chat(P[1], 1), task_id="a"), "sample": 3}, "2 choices"),
        (
            OLD,
            changed(OLD, [-0.1], "choices", 0, "logprobs", "token_logprobs"),
            "2 tokens and 1 log-probabilities",
        ),
        (
            OLD,
            changed(OLD, [None, -0.1], "choices", 0, "logprobs", "token_logprobs"),
            "null, as in responses that echo the prompt",
        ),
        (
            VLLM,
            changed(VLLM, [7], "outputs", 0, "token_ids"),
            "1 tokens and 2 log-probabilities",
        ),
        (
            VLLM,
            changed(VLLM, [7, 8], "outputs", 0, "token_ids"),
            r"logprobs\[1\] is .*the logprob of the drawn token 8",
        ),
        (VLLM, changed(VLLM, {"a": 1}, "outputs", 0, "logprobs"), "with start_indices"),
    ],
)
def test_hostile_records(write, good, bad, match):
    path = write([good, bad])
    with pytest.raises(ValueError, match=rf"^read_generations: .*f\.jsonl, line 2: .*{match}"):
        read_generations(path)


def test_forced_formats_and_wrong_kinds(write, tmp_path):
    path = write([FINE])
    with pytest.raises(
        ValueError, match=r"line 1: is not a record of the format vllm; expected out.*It has: t"
    ):
        read_generations(path, format="vllm")
    with pytest.raises(ValueError, match="format='opnai'"):
        read_generations(path, format="opnai")
    with pytest.raises(ValueError, match="is in the format openai, which holds no results"):
        read_results(path)
    with pytest.raises(ValueError, match="nothing: no such file"):
        read_generations(tmp_path / "nothing")
    with pytest.raises(ValueError, match="is a directory"):
        read_results(tmp_path)
    failed = [batch("a", error={"code": "x", "message": "too late"})] * 3
    with pytest.raises(ValueError, match=r"3 of 3 requests failed \(first .*line 1: too late\)"):
        read_generations(write(failed))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([{"task_id": "a", "correct": 0.5}], r"line 1: correct is 0\.5; expected true or false"),
        ([{"task_id": "a", "correct": None}], "line 1: correct is None; expected true or false"),
        ([{"task_id": "a", "ok": 1}], "line 1: has no correct or passed; .*It has: task_id, ok"),
        (
            [{"task_id": "a", "sample": 0, "passed": p} for p in (True, False)],
            r"task a, sample 0 is at .*line 1 and, with other content, at .*line 2",
        ),
        (
            [{"eval": {"a": [{"base_status": "odd", "plus_status": "pass"}]}}],
            r"line 1, eval\['a'\]\[0\]: the base status is 'odd'",
        ),
        ([{"eval": {"a": {"base": None}}}], r"eval\['a'\] has base None .*expected lists"),
        ([{"eval": {}}], "no record has a result by correct=None"),
        ([lm_eval(0, [["x"]], ["x"], bleu=0.3)], "line 1: has no pass@1 or .*It has: doc_id"),
        ([lm_eval(0, [["x"]], ["x"], exact_match=0.3)], r"exact_match is 0\.3; expected true"),
        ([lm_eval(0, [], [], acc=1)], r"line 1: has the responses \[\]; expected a list"),
    ],
)
def test_hostile_results(write, rows, match):
    with pytest.raises(ValueError, match=match):
        read_results(write(rows))


def test_tasks_that_evalplus_holds_twice_are_not_lost(write):
    one = '"a": [{"base_status": "pass", "plus_status": "pass"}]'
    with pytest.raises(ValueError, match="eval has a task twice"):
        read_results(write(f'{{"eval": {{{one}, {one}}}}}'))
    with pytest.raises(TypeError, match="path holds None; expected paths"):
        read_results(None)


# -------------------------------------------------------------------------------------- the join


def outputs_of(tasks, samples=None, counted=False):
    n = len(tasks)
    samples = [0] * n if samples is None else samples
    return Generations(
        task=np.array(tasks, dtype=str),
        sample=np.array(samples),
        text=["x"] * n,
        logprobs=Ragged(-np.arange(1.0, n + 1), np.arange(n + 1)),
        place=[f"g.jsonl, line {i + 1}" for i in range(n)],
        counted=counted,
    )


def verdicts_of(tasks, samples=None, correct=None, counted=False):
    n = len(tasks)
    samples = [0] * n if samples is None else samples
    return Results(
        task=np.array(tasks, dtype=str),
        sample=np.array(samples),
        correct=np.array([True] * n if correct is None else correct),
        notion="tests",
        place=[f"r.csv, line {i + 2}" for i in range(n)],
        counted=counted,
    )


def test_join_matches_by_task_and_sample():
    rng = np.random.default_rng(0)
    ids = [(f"t{i}", j) for i in range(20) for j in range(5)]
    truth = {key: bool(rng.random() < 0.5) for key in ids}
    left = [ids[i] for i in rng.permutation(100)[:80]]
    right = [ids[i] for i in rng.permutation(100)[:70]]
    with pytest.warns(UnmatchedWarning) as caught:
        found = join_results(
            outputs_of(*zip(*left, strict=True)),
            verdicts_of(*zip(*right, strict=True), [truth[key] for key in right]),
        )
    both = [key for key in left if key in set(right)]
    keys = zip(found.groups.tolist(), found.generations.sample.tolist(), strict=True)
    assert list(keys) == both
    assert found.correct.tolist() == [truth[key] for key in both]
    # Each output keeps its own log-probability.
    expected = [-(left.index(key) + 1.0) for key in both]
    assert found.generations.logprobs.values.tolist() == expected
    assert len(found.without_result) == 80 - len(both)
    assert len(found.without_generation) == 70 - len(both)
    assert found.n_unmatched == 150 - 2 * len(both)
    said = str(caught[0].message)
    first = next(i for i, key in enumerate(left) if key not in set(right))
    assert f"{80 - len(both)} generations have no result (task {left[first][0]}, sample" in said
    assert f"g.jsonl, line {first + 1})" in said
    assert f"{len(both)} outputs were matched" in said
    assert caught[0].filename == __file__


def test_join_complete_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = join_results(outputs_of(["a", "b"]), verdicts_of(["b", "a"], correct=[False, True]))
    assert found.correct.tolist() == [True, False]
    assert re.match(r"Scored\(2 outputs of 2 tasks; 1 correct by tests; 0 gen", repr(found))
    signals = found.confidence(["total_probability", "length"])
    np.testing.assert_allclose(signals["total_probability"], np.exp([-1.0, -2.0]))
    pytest.importorskip("pandas")
    assert found.to_pandas()["correct"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("tasks", "theirs", "match"),
    [
        (
            (["HumanEval/0"],),
            (["0"],),
            r"have task HumanEval/0, sample 0 \(g\.jsonl, line 1\), results have task 0, sample 0 "
            r"\(r\.csv, line 2\).*the part before the number",
        ),
        ((["a"], [0]), (["a"], [1]), "numbered from 0 in generations and from 1 in results"),
        ((["Mbpp/2"],), (["mbpp/2"],), "upper and lower case"),
        ((["x"],), (["y"],), r"has another column in the other file, .*: task='\.\.\.'\.$"),
    ],
)
def test_join_of_nothing_says_why(tasks, theirs, match):
    with pytest.raises(ValueError, match=match):
        join_results(outputs_of(*tasks), verdicts_of(*theirs))


def test_join_refuses_repeated_ids_and_wrong_kinds():
    one, two = ["a"], ["a", "a"]
    with pytest.raises(ValueError, match=r"generations have task a, sample 0 twice, at g\.jsonl"):
        join_results(outputs_of(two), verdicts_of(one))
    with pytest.raises(ValueError, match=r"results have .*at r\.csv, line 2 and at r\.csv, line 3"):
        join_results(outputs_of(one), verdicts_of(two))
    with pytest.raises(TypeError, match=r"are swapped; .* Call join_results\(generations, res"):
        join_results(verdicts_of(one), outputs_of(one))
    with pytest.raises(TypeError, match=r"results is a str; expected Results\. Read the file"):
        join_results(outputs_of(one), "results.json")


def test_each_reader_takes_the_task_column_of_its_own_file(tmp_path):
    (tmp_path / "g.csv").write_text("task_id,sure\na,0.9\nb,0.2\n")
    (tmp_path / "r.csv").write_text("problem,passed\na,1\nb,0\n")
    with pytest.raises(ValueError, match=r"It has: problem, passed\. .*of the task: task='pro"):
        read_results(tmp_path / "r.csv")
    for kind in ("auto", "table"):
        with pytest.raises(ValueError, match=r"It has: task_id, sure\. .*in the other file, pass"):
            read_generations(tmp_path / "g.csv", task="problem", format=kind)
    results = read_results(tmp_path / "r.csv", task="problem")
    found = join_results(read_generations(tmp_path / "g.csv", signals="sure"), results)
    assert found.correct.tolist() == [True, False]


def test_join_warns_of_counts_that_may_have_shifted():
    ours = outputs_of(["a"] * 3, [0, 1, 2], counted=True)
    with pytest.warns(UnmatchedWarning, match="those after it are matched wrongly"):
        join_results(ours, verdicts_of(["a"] * 2, [0, 1], counted=True))
    with pytest.warns(UnmatchedWarning) as caught:
        join_results(ours, verdicts_of(["a"] * 2, [0, 1]))
    assert "matched wrongly" not in str(caught[0].message)


# -- answers to "is it correct?", several keys, verdicts beside responses -----------------------


def answers(tmp_path, kind):
    """A model's answer to whether its output is correct, in three layouts."""
    top = {"True": -0.5, " True": -1.5, "False": -2.0}
    if kind == "chat":
        listed = [{"token": t, "logprob": v} for t, v in top.items()]
        content = [{"token": "True", "logprob": -0.5, "top_logprobs": listed}]
        more = {"message": {"content": "True"}, "logprobs": {"content": content}}
        record = {"task_id": "a", "choices": [{"index": 0, **more}]}
    elif kind == "legacy":
        logprobs = {"tokens": ["True"], "token_logprobs": [-0.5], "top_logprobs": [top]}
        record = {"task_id": "a", "choices": [{"index": 0, "text": "True", "logprobs": logprobs}]}
    else:
        place = {
            str(i): {"logprob": v, "rank": i, "decoded_token": t}
            for i, (t, v) in enumerate(top.items())
        }
        output = {"index": 0, "text": "True", "token_ids": [0], "logprobs": [place]}
        record = {"request_id": "a", "outputs": [output]}
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(record) + "\n")
    return read_generations(path)


@pytest.mark.parametrize("kind", ["chat", "legacy", "vllm"])
def test_first_tokens_are_what_p_true_takes(tmp_path, kind):
    found = answers(tmp_path, kind)
    expected = np.exp(-0.5) + np.exp(-1.5)
    assert p_true(found.first_tokens)[0] == pytest.approx(expected)
    normalised = expected / (expected + np.exp(-2.0))
    assert p_true(found.first_tokens, normalised=True)[0] == pytest.approx(normalised)
    frame = found.to_pandas()
    features = ConfidenceFeatures(["p_true", "entropy"]).fit_transform(frame)
    assert features[0, 0] == pytest.approx(expected)
    assert features[0, 1] == found.confidence("entropy")["entropy"][0]


def test_positions_are_not_taken_for_alternatives(tmp_path):
    content = [{"token": "True", "logprob": -0.5, "top_logprobs": []}]
    with pytest.raises(ValueError, match=r"answers\[0\] holds all tokens of a text.*content\[0\]"):
        p_true([content])
    found = answers(tmp_path, "chat")
    nested = found.top_logprobs[0]
    assert len(nested) == 1
    np.testing.assert_array_equal(nested[0], [-0.5, -1.5, -2.0])


def test_several_keys_name_a_task(tmp_path):
    rows = ["model,problem,agreement,passed", "x,1,0.5,1", "y,1,0.25,0"]
    path = tmp_path / "both.csv"
    path.write_text("\n".join(rows) + "\n")
    found = read_generations(path, task=["model", "problem"], labels=["problem"])
    assert found.task.tolist() == ["x/1", "y/1"]
    assert list(found.signals) == ["agreement"]
    verdicts = read_results(path, task=["model", "problem"])
    assert join_results(found, verdicts).correct.tolist() == [True, False]
    with pytest.raises(ValueError, match=r"expected task_id .or the column that task names"):
        read_generations(path, task=["modell", "problem"], format="table")


def test_a_label_does_not_hide_the_task(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("model,task,agreement\nx,1,0.5\n")
    found = read_generations(path, task=lambda r: r["model"] + "/" + r["task"], labels=["task"])
    frame = found.to_pandas()
    assert (frame["task"][0], frame["label_task"][0]) == ("x/1", "1")


def test_responses_may_carry_verdicts_of_ones_own(tmp_path):
    path = tmp_path / "log.jsonl"
    choice = {"index": 0, "message": {"content": "x"}, "logprobs": None}
    lines = [{"task_id": str(i), "choices": [choice], "passed": i % 2 == 0} for i in range(4)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    found = read_results(path)
    assert found.correct.tolist() == [True, False, True, False]
    assert len(join_results(read_generations(path), found)) == 4
    for line in lines:
        del line["passed"]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    with pytest.raises(ValueError, match="in the format openai, which holds no results"):
        read_results(path)


def test_values_of_other_outputs_must_tell_which(tmp_path):
    outputs = outputs_of(["a", "b"])
    scored = join_results(outputs, verdicts_of(["a", "b"]))
    assert outputs.with_signal(3, [0.1, 0.2], of=scored).signals["3"].tolist() == [0.1, 0.2]
    with pytest.raises(ValueError, match=r"outputs in of have task a, sample 0 twice, at g\.jsonl"):
        outputs.with_signal("x", [0.1, 0.2], of=outputs_of(["a", "a"]))
    with pytest.raises(TypeError, match="of is a list; expected Generations"):
        outputs.with_signal("x", [0.1], of=[1])
    with pytest.raises(ValueError, match="has 1 rows and Generations has 2"):
        outputs.with_signal("x", [0.1])


def test_a_part_of_a_tasks_name_may_not_be_empty(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"repo": "a", "id": null, "logprobs": [-1]}\n')
    with pytest.raises(ValueError, match="line 1: task is None; expected a text"):
        read_generations(path, task=["repo", "id"])

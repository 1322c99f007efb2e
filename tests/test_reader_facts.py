"""What a record says twice is compared, and what is not understood is refused. All simulated."""

import json
import warnings

import numpy as np
import pytest

from calibkit import MissingSignalWarning, UnmatchedWarning, VerdictAsSignalWarning
from calibkit.codegen import (
    agreement,
    join_results,
    p_true,
    read_generations,
    read_results,
    token_confidence,
)

from .test_readers import chat, completion_output, legacy, request_output, response


@pytest.fixture
def read(tmp_path):
    """Read records, one file for each list."""

    def reader(*files, **asked):
        paths = []
        for i, records in enumerate(files):
            paths.append(tmp_path / f"{i}.txt")
            text = records if isinstance(records, str) else "\n".join(map(json.dumps, records))
            paths[-1].write_text(text)
        return read_generations(paths if len(paths) > 1 else paths[0], **asked)

    return reader


# ----------------------------------------------------------------------- tokens and their text


def in_chat(text, tokens, logprobs):
    return response(chat(logprobs, text=text, tokens=tokens), task_id="a")


def in_legacy(text, tokens, logprobs):
    return response(legacy(logprobs, text=text, tokens=tokens), task_id="a")


def in_vllm(text, tokens, logprobs):
    return request_output("a", completion_output(logprobs, text=text, tokens=tokens))


def in_table(text, tokens, logprobs):
    return {"task_id": "a", "text": text, "tokens": tokens, "logprobs": logprobs}


def in_named_columns(text, tokens, logprobs):
    return {"task_id": "a", "said": text, "tokens": tokens, "lp": logprobs}


LAYOUTS = [in_chat, in_legacy, in_vllm, in_table, in_named_columns]
NAMES = {in_named_columns: {"text": "said", "logprobs": "lp"}}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("text", "tokens", "kept"),
    [
        ("return 1", ["Let", " me", "</think>", "return", " 1"], slice(3, 5)),
        ("return 1", ["hm", "</think>", "\n\n", "return", " 1", "<|im_end|>"], slice(3, 5)),
        ("return 1", ["return", " 1", " or", " so", "return", " 1"], slice(4, 6)),
        ("return 1", ["return", " 1", "\nclass"], slice(0, 2)),  # cut at a stop
        ("return 1", ["hm", " return", " 1\n"], slice(1, 3)),  # white space was stripped
    ],
)
def test_the_tokens_that_make_up_the_text_count(read, layout, text, tokens, kept):
    logprobs = [-3.0 - i for i in range(len(tokens))]
    record = layout(text, tokens, logprobs)
    with pytest.warns(
        UnmatchedWarning, match="tokens of 1 of 1 outputs differ from their text"
    ) as one:
        found = read([record], **NAMES.get(layout, {}))
    assert len(one) == 1
    assert one[0].filename == __file__  # the user's line
    np.testing.assert_array_equal(found.logprobs[0], logprobs[kept])
    if layout in (in_chat, in_legacy, in_vllm):
        assert len(found.top_logprobs[0]) == len(logprobs[kept])
        assert dict(found.first_tokens[0])[tokens[kept][0]] == logprobs[kept][0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("return 1 + 2", ["return", " 1"]),  # longer than its tokens
        ("return 2", ["return", " 1"]),
        ("return 1", ["return", " 1\nclass"]),  # ends within a token
        ("4", ["4", " is", " 2", "+", "2", "=", "4", " so"]),  # which of the two?
        ("", ["Let", " me"]),
    ],
)
def test_tokens_of_another_text_are_none(read, layout, text, tokens):
    record = layout(text, tokens, [-0.1] * len(tokens))
    fine = {**layout("x", ["x"], [-0.5]), "task_id": "b"}
    with pytest.warns(UnmatchedWarning, match=r"1 of 2 outputs .*first at .*line 1.*NaN"):
        found = read([record, fine], **NAMES.get(layout, {}))
    assert [len(found.logprobs[i]) for i in range(2)] == [0, 1]
    with pytest.warns(MissingSignalWarning, match="1 of 2"):
        values = found.confidence(["geometric_mean_probability", "length"])
    np.testing.assert_allclose(values["geometric_mean_probability"], [np.nan, np.exp(-0.5)])
    np.testing.assert_array_equal(values["length"], [np.nan if text else 0, 1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("text", "tokens", "n"),
    [
        ("return é", ["return", " é"], 2),
        ("return é", ["return", " é", "<|endoftext|>"], 2),  # marks of the end are no text
        ("return é", ["<s>", " return", " é", "</s>"], 2),
        ("return é", ["Ġreturn", "ĠÃ©"], 2),  # as byte-level vocabularies write them
        ("return é", ["▁return", "▁é"], 2),
        ("a\n", ["a", "<0x0A>"], 2),
        ("return é", ["return", " ", "\ufffd", "\ufffd"], 4),  # halves of a character
        ("return é", ["return", " ", "bytes:\\xc3", "bytes:\\xa9"], 4),
        ("a\nb", ["a", "\r\n", "b"], 3),  # what editors make of ends of lines
        ("a\r\nb", ["a", "\n", "b"], 3),
        ("\ufeffreturn", ["return"], 1),
        ("return é", ["token_id:5", "token_id:6"], 2),  # not spelled out: nothing to compare
        ("", ["</s>"], 0),
    ],
)
def test_tokens_that_only_look_different_pass(read, layout, text, tokens, n):
    found = read([layout(text, tokens, [-0.1] * len(tokens))], **NAMES.get(layout, {}))
    assert len(found.logprobs[0]) == n


def test_bytes_of_chat_tokens_are_read(read):
    record = in_chat("é", ["\\xc3", "\\xa9"], [-0.1, -0.2])
    for token, byte in zip(record["choices"][0]["logprobs"]["content"], (0xC3, 0xA9), strict=True):
        token["bytes"] = [byte]
    assert len(read([record]).logprobs[0]) == 2


def test_hidden_reasoning_does_not_hide_the_answer(read):
    tokens = ["Hm"] * 30 + ["</think>", "True"]
    record = in_chat("True", tokens, [-3.0] * 31 + [-0.01])
    with pytest.warns(UnmatchedWarning):
        found = read([record])
    got = found.confidence("geometric_mean_probability")["geometric_mean_probability"]
    assert got[0] == pytest.approx(np.exp(-0.01))
    assert p_true(found.first_tokens)[0] == pytest.approx(np.exp(-0.01))


def test_texts_that_are_made_of_others_are_not_compared(read):
    record = in_table("Sure: `f(x)`", ["Sure", ": `f", "(x)`"], [-1.0, -2.0, -3.0])
    found = read([record], text=lambda r: r["text"].split("`")[1])
    assert (found.text, len(found.logprobs[0])) == (["f(x)"], 3)


# ------------------------------------------------------------------- what is not understood


SAID = ("one", "two", "three")
SHAPES = {
    "responses": lambda t: {
        "object": "response",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": t}]}],
    },
    "llama.cpp": lambda t: {
        "content": t,
        "stop": True,
        "completion_probabilities": [{"token": t, "logprob": -0.1, "top_logprobs": []}],
    },
    "ollama chat": lambda t: {"model": "m", "message": {"content": t}, "done": True},
    "tgi": lambda t: {
        "generated_text": t,
        "details": {"tokens": [{"text": t, "logprob": -0.1, "special": False}]},
    },
    "gemini": lambda t: {"candidates": [{"content": {"parts": [{"text": t}]}}], "usage": 3},
    "anthropic": lambda t: {"content": [{"type": "text", "text": t}], "stop_reason": "end_turn"},
    "livecodebench": lambda t: {"question_title": "x", "code_list": [t], "difficulty": "easy"},
    "a bare message": lambda t: {"message": {"role": "assistant", "content": t}},
    "a list of messages": lambda t: {"messages": [{"role": "assistant", "content": t}]},
    "an unknown name": lambda t: {"reply": t},
    "an unknown name beside a number": lambda t: {"reply": t, "latency": 0.5},
    "an answer": lambda t: {"answer": t, "confidence": 0.5},
    "nothing": lambda t: {"model": "m"},
    "an object": lambda t: {"result": {"value": t}, "p": 0.5},
    "a problem's text": lambda t: {"text": "Write a function", "completion": t},
    "program and output": lambda t: {"code": f"print({t!r})", "output": t},
    "a list of texts": lambda t: {"generation": [t, t]},
    "chat without content": lambda t: {"choices": [{"message": {"role": "x", "parts": [t]}}]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_records_that_are_not_understood_are_refused(read, shape):
    record = SHAPES[shape]
    records = [{"task_id": "a", **record(t)} for t in SAID]
    with pytest.raises(ValueError, match=r"^read_generations: .*line 1: ") as error:
        read(records)
    message = str(error.value)
    held = set(record("x")) | {"parts", "text"}  # of the record, or of what is in it
    assert any(name in message for name in held)
    assert "expected" in message or "text" in message


@pytest.mark.parametrize(
    "name",
    ["text", "completion", "solution", "code", "output", "response", "content", "generation"],
)
def test_plain_texts_are_read(read, name):
    records = [{"task_id": "a", "model": "m", "latency": 0.1, name: t} for t in SAID]
    found = read(records)
    assert found.text == list(SAID)
    np.testing.assert_allclose(agreement(found.text, found.task), 1 / 3)
    table = f"task_id,{name}\n" + "".join(f"a,{t}\n" for t in SAID)
    assert read(table).text == list(SAID)


@pytest.mark.parametrize("name", ["text", "content"])
@pytest.mark.parametrize("answer", ["reply", "answer", "prediction", "model_output"])
def test_the_text_of_a_problem_is_no_output(read, name, answer):
    asked = {t: {"task_id": t, name: f"Write {t}", "model": "m"} for t in "ab"}
    records = [{**asked[t], answer: s} for t in "ab" for s in SAID]
    for rows in (records, records[::-1]):
        with pytest.raises(ValueError, match=f"{name} is the same .*: text='{answer}'"):
            read(rows)
    assert read(records, text=answer).text == list(SAID) * 2
    assert read(records, text=name).text[:3] == ["Write a"] * 3
    own = [{**r, name: r[answer] + "!"} for r in records]
    assert read(own).text[:3] == [f"{s}!" for s in SAID]
    apart = [{**r, "task_id": str(i)} for i, r in enumerate(records)]  # one output each
    assert len(read(apart)) == 6
    said = [{"task_id": "a", name: "x", "model": m, "prompt": m} for m in SAID]
    assert read(said).text == ["x"] * 3  # outputs that agree
    with pytest.raises(ValueError, match="a text and responses, a list"):
        read([{"task_id": "a", name: "Write", "responses": list(SAID)}])


def test_what_is_named_is_read(read):
    records = [{"task_id": "a", **SHAPES["anthropic"](t)} for t in SAID]
    assert read(records, text=lambda r: r["content"][0]["text"]).text == list(SAID)
    records = [{"task_id": "a", "reply": t, "p": 0.5} for t in SAID]
    assert read(records, text="reply").text == list(SAID)
    assert read(records, signals="p").signals["p"].tolist() == [0.5] * 3
    assert list(read(records, labels="reply").signals) == ["p"]
    parts = [{"type": "text", "text": "re"}, {"type": "text", "text": "turn"}]
    assert read([response(chat([], text=parts, tokens=[]), task_id="a")]).text == ["return"]


@pytest.mark.parametrize("kind", ["thinking", "reasoning", "redacted_thinking"])
def test_parts_of_reasoning_are_no_answer(read, kind):
    parts = [{"type": kind, "text": "hm"}, {"type": "text", "text": "re"}]
    parts.append({"type": "text", "text": "turn"})
    record = response(chat([-0.1, -0.2], text=parts, tokens=["re", "turn"]), task_id="a")
    assert read([record]).text == ["return"]
    parts.append({"type": "image_url", "image_url": {"url": "x"}})
    with pytest.raises(ValueError, match="expected a text"):
        read([record])


@pytest.mark.parametrize("name", ["log_probs", "output_logprobs", "answerLogProbs"])
def test_lists_of_log_probabilities_by_other_names_are_told(read, name):
    row = {"task_id": "a", "text": "xy", name: [-0.1, -0.2], "p": 0.5}
    table = f'task_id,text,{name},p\na,xy,"[-0.1, -0.2]",0.5\n'
    for records in ([row], table):
        with pytest.raises(ValueError, match=rf"{name} holds log-probabilities"):
            read(records)
        assert len(read(records, logprobs=name).logprobs[0]) == 2
    assert list(read([{**row, name: -0.3}]).signals) == [name, "p"]  # one number is a signal


def test_two_verdicts_of_one_row_are_compared(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("task_id,passed,correct\na,1,true\nb,0,False\n")
    assert read_results(path).correct.tolist() == [True, False]
    path.write_text("task_id,correct,passed\na,1,1\nb,1,0\n")  # correct: the right answer
    with pytest.raises(ValueError, match=r"line 3: correct is '1' and passed '0'.*correct='pass"):
        read_results(path)
    assert read_results(path, correct="passed").correct.tolist() == [True, False]


def test_a_text_is_in_all_rows_or_in_none(read):
    rows = [{"task_id": "a", "text": "x"}, {"task_id": "b", "reply": "y", "p": 0.5}]
    for order in (rows, rows[::-1]):
        with pytest.raises(ValueError, match=r"line 2: has (no|a) text column and rows before"):
            read(order)


def test_no_answer_agrees_with_none():
    answers = ["", "", " \n", None, np.nan, "x", "x"]
    with pytest.warns(MissingSignalWarning, match="5 of 7 outputs have no agreement"):
        found = agreement(answers, ["a"] * 7)
    np.testing.assert_allclose(found, [np.nan] * 5 + [2 / 7] * 2)


# ---------------------------------------------------------------- pieces, and several files


def chunk(kind, text, last=False, name="r1", index=0):
    choice = {"index": index, "finish_reason": "stop" if last else None}
    choice |= {"delta": {"content": text}} if kind == "chat" else {"text": text}
    object_ = "chat.completion.chunk" if kind == "chat" else "text_completion"
    return {"id": name, "object": object_, "choices": [choice]}


@pytest.mark.parametrize("kind", ["chat", "legacy"])
@pytest.mark.parametrize("task", [{"task": "id"}, {"task": "task_id"}, {}])
def test_pieces_of_a_response_are_no_outputs(read, kind, task):
    pieces = [chunk(kind, t, last=t == "c") for t in "abc"]
    mixed = [chunk(kind, t, name=n) for t in "ab" for n in ("r1", "r2")]  # two streams at once
    for records in (pieces, mixed):
        with pytest.raises(ValueError, match=r"piece of a streamed response.*stream=False"):
            read([{"task_id": "a", **r} for r in records], **task)


def test_messages_without_an_end_are_whole(read):
    choice = {"index": 0, "message": {"content": "x"}}  # cut down to what matters
    records = [{"id": "r1", "task_id": t, "choices": [choice]} for t in "abc"]
    assert len(read(records)) == 3
    with pytest.raises(ValueError, match="piece of a streamed response"):
        read([{**r, "object": "chat.completion.chunk"} for r in records])


@pytest.mark.parametrize(
    "record",
    [
        {"task_id": "a", "response": "x", "done": False},
        {"task_id": "a", "content": "x", "stop": False},
        {**request_output("a", completion_output([-0.1])), "finished": False},
    ],
)
def test_pieces_that_say_so_are_no_outputs(read, record):
    with pytest.raises(ValueError, match="is False: it is a piece of a streamed response"):
        read([record])


def test_whole_responses_of_one_id_stay_apart(read):
    choices = [legacy([-0.1], i, text=t) for i, t in enumerate("ab")]
    apart = [response(c, task_id="a") for c in choices]  # each choice in a record of its own
    assert read(apart).sample.tolist() == [0, 1]
    assert len(read([{"task_id": "a", **chunk("legacy", "x")}])) == 1  # cut short, and alone


def test_files_of_one_signal_each_are_no_further_samples(read):
    first = [{"task_id": t, "verbalised": 0.5} for t in "ab"]
    second = [{"task_id": t, "agreement": 0.5} for t in "ab"]
    tokens = [{"task_id": t, "logprobs": [-0.5]} for t in "ab"]
    for files in ((first, second), (tokens, first), (first, first, second)):
        with pytest.raises(ValueError, match=r"of the same tasks .*with_signal\('name'"):
            read(*files)
    joined = read(first)
    joined = joined.with_signal("agreement", read(second).signals["agreement"], of=read(second))
    assert list(joined.signals) == ["verbalised", "agreement"]
    again = [{**row, "verbalised": 0.4} for row in first]  # P(True) of two prompts, for instance
    for files in ((first, again), (again, first), (first, again[:1])):
        with pytest.raises(ValueError, match=r"hold verbalised .*nothing else about .*with_signal"):
            read(*files)
    told = [[{**row, "text": t} for row in rows] for t, rows in (("x", first), ("y", again))]
    assert read(*told).sample.tolist() == [0, 0, 1, 1]
    labels = [[{**row, "model": m} for row in rows] for m, rows in (("x", first), ("y", again))]
    assert read(*labels, labels="model").sample.tolist() == [0, 0, 1, 1]
    others = [{"task_id": t, "agreement": 0.5} for t in "cd"]
    assert len(read(first, others)) == 4  # other tasks
    numbered = [[{**r, "sample": 0} for r in rows] for rows in (first, second)]
    with pytest.raises(ValueError, match="read it by itself and use with_signal"):
        read(*numbered)


@pytest.mark.parametrize("same", ["text", "logprobs", "sample_id", "file"])
def test_files_of_the_same_outputs_are_no_further_samples(read, same):
    said = {"text": {"text": "x"}, "logprobs": {"logprobs": [-0.5]}, "sample_id": {"sample_id": 0}}
    first = [{"task_id": t, "score": 0.5, **said.get(same, {})} for t in "abc"]
    second = [{**row, "score": 0.5 if same == "file" else 0.25} for row in first]
    for files in ((first, second), (second[::-1], first), (first[:2], second[1:])):
        with pytest.raises(ValueError, match=r"the same outputs .*with_signal\('name'.*sample='"):
            read(*files)
    numbered = [[{**r, "k": k} for r in rows] for k, rows in enumerate((first, second))]
    assert len(read(*numbered, sample="k")) == 6
    if same in ("text", "sample_id"):  # texts that differ are of further outputs
        first, second = ([{**row, "text": t} for row in first] for t in "xy")
        assert read(first, second).sample.tolist() == [0] * 3 + [1] * 3


@pytest.fixture
def join(tmp_path):
    """Join two tables of four outputs that stand in other orders."""

    def joiner(name, numbers, theirs):
        rows = [f"{t},{n},{t}{n},0.5{n}" for t, n in zip("aabb", numbers, strict=True)]
        (tmp_path / "g.csv").write_text(f"task_id,{name},text,p\n" + "\n".join(rows))
        (tmp_path / "r.csv").write_text(theirs)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            outputs = read_generations(tmp_path / "g.csv")
            return join_results(outputs, read_results(tmp_path / "r.csv"))

    return joiner


@pytest.mark.parametrize("name", ["sample_id", "sampleIdx", "completion_id", "sample"])
@pytest.mark.parametrize(
    "numbers", [[0, 1, 0, 1], [1, 0, 1, 0], [5, 2, 5, 2], [1, 2, 1, 2], [7, 8, 9, 10]]
)
def test_samples_are_matched_by_the_numbers_they_have(join, name, numbers):
    rows = [f"{t},{n},{y}" for t, n, y in zip("aabb", numbers, [1, 0, 0, 1], strict=True)]
    scored = join(name, numbers, f"task_id,{name},passed\n" + "\n".join(rows[::-1]))
    assert scored.correct.tolist() == [True, False, False, True]
    assert list(scored.generations.signals) == ["p"]


@pytest.mark.parametrize("numbers", [[0, 1, 0, 1], [1, 2, 1, 2], [11, 12, 13, 14], [3, 3, 3, 3]])
def test_numbers_of_one_side_fit_the_counts_of_the_other(join, numbers):
    scored = join("sample_id", numbers, "task_id,passed\na,1\na,0\nb,0\nb,1\n")
    assert scored.correct.tolist() == [True, False, False, True]
    assert scored.generations.sample.tolist() == [0, 1, 0, 1]


def test_numbers_that_are_one_apart_are_told(join):
    theirs = "task_id,passed\na,1\na,0\nb,0\nb,1\n"
    with pytest.raises(ValueError, match="from 1 in generations and from 0 in results"):
        join("sample", [1, 2, 1, 2], theirs)


# ---------------------------------------------------------------------- the verdict as a signal


def test_a_verdict_is_no_signal(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["index,task_id,confidence,is_correct,correct_answer,problem_id,row_no,ok,wrong"]
    order = rng.permutation(50)
    for i in order:
        y = int(rng.random() < 0.6)
        rows.append(f"{i},t{i},{rng.random():.3f},{y},{i * 7},{i},{i},{y},{1 - y}")
    path = tmp_path / "one.csv"
    path.write_text("\n".join(rows) + "\n")
    found = read_generations(path)
    assert list(found.signals) == ["confidence", "ok", "wrong"]
    assert list(read_generations(path, signals="index").signals) == ["index"]
    with pytest.warns(VerdictAsSignalWarning, match="'ok', 'wrong' equals the label") as one:
        scored = join_results(found, read_results(path, correct="is_correct"))
    assert len(one) == 1
    with pytest.warns(VerdictAsSignalWarning, match="'wrong'"):
        scored = join_results(found, read_results(path, correct="ok"))
    assert list(scored.generations.signals) == ["confidence", "wrong"]
    named = read_generations(path, signals=["is_correct", "confidence"])
    scored = join_results(named, read_results(path, correct="is_correct", notion="mine"))
    assert list(scored.generations.signals) == ["confidence"]
    with pytest.warns(VerdictAsSignalWarning):
        scored.with_signal("again", scored.correct.astype(float))


@pytest.mark.parametrize("codes", [(1, 2), (2, 1), (0, 100), (0.25, 0.75), (7, -3), (1, 0)])
def test_a_verdict_in_other_numbers_is_told(tmp_path, codes):
    y = [1, 0, 0, 1, 1]
    rows = [f"t{i},{codes[v]},0.{i},{v}" for i, v in enumerate(y)]
    (tmp_path / "g.csv").write_text("task_id,quality,p,passed\n" + "\n".join(rows))
    with pytest.warns(VerdictAsSignalWarning, match="'quality' equals") as caught:
        join_results(read_generations(tmp_path / "g.csv"), read_results(tmp_path / "g.csv"))
    assert len(caught) == 1


@pytest.mark.parametrize("words", ["pass,fail", "true,false", "True,False", "yes,no"])
def test_a_verdict_in_words_is_no_signal(tmp_path, words):
    rows = [f"t{i},{words.split(',')[i % 2]},0.{i},{1 - i % 2},x" for i in range(5)]
    (tmp_path / "g.csv").write_text("task_id,quality,p,passed,text\n" + "\n".join(rows))
    found = read_generations(tmp_path / "g.csv")
    assert list(join_results(found, read_results(tmp_path / "g.csv")).generations.signals) == ["p"]


@pytest.mark.parametrize(
    "name",
    ["PASS_AT_1", "pass@10", "isCorrect", "n_passed", "num_tests_passed", "test_result", "y_true"],
)
def test_what_tests_say_is_no_signal(read, name):
    rows = [f"t{i},{verdict},0.{i}" for i, verdict in enumerate((1, 0, 0, 1))]
    assert list(read(f"task_id,{name},p\n" + "\n".join(rows)).signals) == ["p"]


@pytest.mark.parametrize("start", [0, 1])
def test_row_numbers_are_no_signals(read, start):
    rows = [f"{i + start},t{i},0.{i}" for i in range(5)]
    assert list(read("pos,task_id,p\n" + "\n".join(rows)).signals) == ["p"]
    rows = [f"{i},t{i},0.{i}" for i in (3, 1, 2, 0)]  # the index of a data frame that was shuffled
    assert list(read(",task_id,p\n" + "\n".join(rows)).signals) == ["p"]


def test_a_signal_of_the_verdicts_name_in_another_file_stays(tmp_path):
    (tmp_path / "g.csv").write_text("task_id,score\na,0.9\nb,0.3\nc,0.8\nd,0.1\n")
    (tmp_path / "r.csv").write_text("task_id,score\na,1\nb,0\nc,0\nd,1\n")
    verdicts = read_results(tmp_path / "r.csv", correct="score")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored = join_results(read_generations(tmp_path / "g.csv"), verdicts)
    assert list(scored.generations.signals) == ["score"]


# -------------------------------------------------------------------- log-probabilities near 0


@pytest.mark.parametrize("tiny", [0.0, -0.0, -1e-320, 1e-17, -1e-17, 1e-320, -1e-300, -np.inf])
@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_measures_of_extreme_log_probabilities_are_finite(tiny, scale):
    names = [*MEASURES, "entropy"]
    for tokens in ([tiny], [tiny] * 3, [tiny, -1.0], [tiny, -np.inf], [-1e-320, tiny]):
        top = [[[v] for v in tokens]]
        found = token_confidence([tokens], names, scale=scale, top_logprobs=top)[0]
        assert np.isfinite(found).all(), dict(zip(names, found, strict=True))
        if scale == "probability":
            assert (found[:5] >= 0).all()
            assert (found[:5] <= 1).all()


MEASURES = (
    "average_token_probability",
    "geometric_mean_probability",
    "total_probability",
    "min_token_probability",
    "low_token_probability",
    "perplexity",
    "length",
)

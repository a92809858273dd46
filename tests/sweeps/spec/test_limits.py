"""Every limit of a spec: its border passes, one more is refused with rule, value and remedy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from small_spec import small

from sweeps.spec import limits, spec_file, yaml_reader
from sweeps.spec.errors import MORE_PROBLEMS, MOST_PROBLEMS, Locations, SpecError
from sweeps.spec.load import load_spec, spec_from_mapping
from sweeps.spec.overrides import apply_overrides


def numbers(count: int) -> list[float]:
    """Return different positive numbers."""
    return [1 + k / 1000 for k in range(count)]


def problems(**changes: Any) -> str:
    """Return the problems of the small spec with some sections replaced, "" if there are none."""
    try:
        spec_from_mapping(small(**changes))
    except SpecError as error:
        return str(error)
    return ""


def beta(value: Any) -> dict[str, Any]:
    return objective("beta_vae", beta=value)


def objective(name: str, **fields: Any) -> dict[str, Any]:
    return {"objectives": [{"name": name, **fields}]}


def mlp(**fields: Any) -> dict[str, Any]:
    return {"network": {"name": "mlp", **fields}}


def entries(count: int) -> dict[str, Any]:
    return {"objectives": [{"name": "beta_vae", "beta": float(k)} for k in range(count)]}


def grids(*sizes: int) -> dict[str, Any]:
    """Return sections with grids of these sizes: of beta, of the learning rate, of sigma."""
    fields = ("learning_rate", "sigma")
    train = {field: {"grid": numbers(size)} for field, size in zip(fields, sizes[1:], strict=False)}
    return {**beta({"grid": numbers(sizes[0])}), "train": {"epochs": 4, **train}}


def sampled(trials: int) -> dict[str, Any]:
    search = {"name": "random", "trials": trials}
    return {**beta({"uniform": [1, 2]}), "search": search}


BORDERS = [
    (lambda n: {"name": "x" * n}, limits.NAME_CHARACTERS, "name must have at most 249 characters"),
    (lambda n: {"seeds": n}, limits.SEEDS, "seeds must be a number of seeds from 1 to 1000"),
    (lambda n: {"seeds": list(range(n))}, limits.SEEDS, "seeds must hold at most 1000 seeds, got"),
    (entries, limits.ENTRIES, "objectives must have at most 200 entries, got 201; split"),
    (
        lambda n: beta({"grid": numbers(n)}),
        limits.SPACE_VALUES,
        "grid must hold at most 1000",
    ),
    (lambda n: grids(100, n), 100, "at most 10000 cells, got 10100; lay out fewer values, or"),
    (sampled, limits.CELLS, "search.trials must be <= 10000, got 10001"),
    (lambda n: {**grids(100), "seeds": n}, 1000, "seeds must be a number of seeds from 1 to 1000"),
    (lambda n: {**grids(100, n), "seeds": 20}, 50, "at most 100000 trials, got 5100 cells with 20"),
    (lambda n: {"train": {"epochs": n}}, 100_000, "train.epochs must be <= 100000, got 100001"),
    (lambda n: {"train": {"steps": n}}, 10**9, "train.steps must be <= 1000000000, got"),
    (
        lambda n: mlp(latents=n),
        1024,
        "latents must be <= 1024, got 1025",
    ),
    (
        lambda n: mlp(hidden=[n]),
        10**5,
        r"hidden\[0\] must be <= 100000",
    ),
    (
        lambda n: mlp(hidden=[9] * n),
        100,
        "hidden must be a list of",
    ),
    (
        lambda n: objective("factor_vae", depth=n),
        100,
        "depth must be <= 100, got",
    ),
    (
        lambda n: objective("factor_vae", width=n),
        10**5,
        "width must be <= 100000",
    ),
    (
        lambda n: objective("cascade_vae", categories=n),
        1000,
        "categories must be <=",
    ),
    (
        lambda n: objective("joint_vae", categories=[2] * n),
        100,
        "categories must be a list of at most 100",
    ),
    (
        lambda n: objective("capacity_vae", annealing=n),
        10**9,
        "annealing must be <= 1000000000, got",
    ),
    (lambda n: {"evaluation": {"samples": n}}, 10**6, "evaluation.samples must be <= 1000000, got"),
    (
        lambda n: {"evaluation": {"images": n}},
        10**9,
        "evaluation.images must be <= 1000000000",
    ),
    (lambda n: {"resources": {"cpu": n}}, 10**6, "resources.cpu must be <= 1000000, got"),
    (lambda n: {"resources": {"retries": n}}, 1000, "resources.retries must be <= 1000, got 1001"),
    (lambda n: {"resources": {"max_concurrent": n}}, 10**5, "max_concurrent must be <= 100000"),
    (
        lambda n: {"resources": {"trial_timeout": n}},
        3650 * 86400,
        "must be at most 3650 days",
    ),
    (lambda n: {"budget": {"hours": n}}, 87_600, "budget.hours must be <= 87600, got 87601"),
    (lambda n: {"checkpoint": {"every": n}}, 10**5, "checkpoint.every must be <= 100000, got"),
]


@pytest.mark.parametrize(
    ("changes", "border", "rule"), BORDERS, ids=[rule[:40] for _, _, rule in BORDERS]
)
def test_a_limit_passes_and_one_more_is_refused(changes: Any, border: int, rule: str) -> None:
    assert problems(**changes(border)) == ""
    with pytest.raises(SpecError, match=rule):
        spec_from_mapping(small(**changes(border + 1)))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"resources": {"cpu": 0.00009}}, "resources.cpu must be >= 0.0001, got 9e-05"),
        ({"resources": {"gpu": 1e-300}}, "resources.gpu must be 0, or at least 0.0001, got 1e-300"),
        ({"name": "-x"}, "name must begin with a letter, a digit or _, got '-x'; commands read -x"),
        ({"name": "--help"}, "name must begin with a letter, a digit or _, got '--help'"),
        ({"name": ".hidden"}, "name must begin with a letter, a digit or _, got '.hidden'"),
        ({"name": "../../etc"}, "name must be letters, digits, - _ . only, got '../../etc'"),
        ({"name": "a\0b"}, "control characters or halves of a character, got U\\+0000"),
        ({"name": "\ud800"}, "control characters or halves of a character, got U\\+D800"),
        ({"store": {"files": "/x\x1b[2J"}}, "control characters .*, got U\\+001B; leave it out"),
        (beta(10**400), "whole numbers must fit 64 bits, got one of 1329 bits"),
        (beta(float("inf")), "beta must be finite, got inf"),
        (beta(float("nan")), "beta must be finite, got nan"),
        (grids(1000, 1000, 1000), "at most 10000 cells, got 1000000000; lay out fewer values"),
        ({"train": {"epochs": 4, "factor_table": "/dev/zero"}}, "is a device; a factor table is"),
        ({"goal": [{"metric": "mig"}] * 21}, "goal must be a list of at most 20"),
        ({"tradeoff": {"by": ["beta"] * 21}}, "tradeoff.by must be a list of at most 20"),
        (
            {"evaluation": {"final": ["mig"] * 101}},
            "final must be a list of at most 100",
        ),
    ],
)
def test_a_value_beyond_a_limit_states_the_rule(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpecError, match=rule):
        spec_from_mapping(small(**changes))


def test_a_mapping_may_hold_so_many_values_and_no_more() -> None:
    def with_values(count: int) -> list[str]:
        # `a` and `a.b` are two values, and every item of the list is one.
        mapping = {"a": {"b": [0] * (count - 2)}}
        return [problem.message for problem in limits.problems_of_size(mapping)]

    assert with_values(limits.VALUES) == []
    assert "at most 20000 values" in with_values(limits.VALUES + 1)[0]


def test_shared_sections_count_for_every_entry() -> None:
    # 1 + 300 values in `network`, for each of 70 entries: 21,070, and the entries.
    mapping = {"network": {"hidden": [1] * 299}, "objectives": [{} for _ in range(70)]}
    (problem,) = limits.problems_of_size(mapping)
    assert "once for each of 70 objectives" in problem.message


def test_a_mapping_that_holds_itself_ends_at_the_limit_of_depth() -> None:
    circle: dict[str, Any] = {}
    circle["inside"] = circle
    with pytest.raises(SpecError, match="must be nested at most 20 levels deep"):
        spec_from_mapping(circle)


def test_a_list_that_is_used_a_billion_times_is_refused_at_once() -> None:
    bomb: list[Any] = [1] * 10
    for _ in range(8):
        bomb = [bomb] * 10
    with pytest.raises(SpecError, match="must hold at most 20000 values"):
        spec_from_mapping(small(seeds=bomb))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_yaml_may_be_so_deep_and_no_deeper() -> None:
    assert yaml_reader.parse_value(nested(limits.DEPTH)) is not None
    for depth in (limits.DEPTH + 1, 1_000_000):
        with pytest.raises(SpecError, match="must be nested at most 20 levels deep"):
            yaml_reader.parse_value(nested(depth))


@pytest.mark.parametrize("text", ["- " * 300_000 + "1", "? " * 300_000, "[1,\n" * 300_000])
def test_other_ways_to_nest_are_refused_too(text: str) -> None:
    with pytest.raises(SpecError, match="nested at most"):
        yaml_reader.parse(text)


def test_merged_keys_count_as_values() -> None:
    keys = ", ".join(f"k{k}: 1" for k in range(1000))
    text = f"a: &a {{{keys}}}\nb: {{<<: [{', '.join(['*a'] * 21)}]}}\n"
    with pytest.raises(SpecError, match="must hold at most 20000 values"):
        yaml_reader.parse(text)


def test_a_file_may_have_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes(b"#" * limits.BYTES)
    with pytest.raises(SpecError, match="is empty"):
        yaml_reader.read(file)
    file.write_bytes(b"#" * (limits.BYTES + 1))
    with pytest.raises(SpecError, match=f"must have at most {limits.BYTES} bytes, got more"):
        yaml_reader.read(file)


def test_a_device_is_no_spec() -> None:
    with pytest.raises(SpecError, match="is a device; a spec is a file of text"):
        yaml_reader.read(Path("/dev/zero"))


def test_a_pipe_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_file, "PIPE_SECONDS", 0.2)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SpecError, match=r"gives no end of its text within 0\.2 s; name a file"):
        yaml_reader.read(pipe)  # nobody writes to it
    writer = os.open(pipe, os.O_RDWR)
    try:
        os.write(writer, b"name: x\n")
        with pytest.raises(SpecError, match="gives no end of its text"):
            yaml_reader.read(pipe)
    finally:
        os.close(writer)


def test_a_pipe_that_ends_is_read() -> None:
    reader, writer = os.pipe()  # as the shell makes one for `sweeps validate <(…)`
    os.write(writer, b"name: x\n")
    os.close(writer)
    try:
        assert yaml_reader.read(Path(f"/dev/fd/{reader}")).mapping == {"name": "x"}
    finally:
        os.close(reader)


def test_only_the_first_problems_are_listed() -> None:
    with pytest.raises(SpecError) as caught:
        spec_from_mapping(small(**{f"key{k}": 1 for k in range(MOST_PROBLEMS + 1)}))
    assert len(caught.value.problems) == MOST_PROBLEMS + 1
    assert caught.value.problems[-1].message == MORE_PROBLEMS


def test_a_long_value_is_shortened_in_the_message() -> None:
    text = problems(name=["x" * 100_000])
    assert "more characters" in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("../../x=1", "must be path=value, as in train.epochs=3"),
        ("__class__=1", "unknown key '__class__'"),
        ("name.__class__=1", "name is 'small', which has no '__class__' inside; set name itself"),
        ("objectives.__class__=1", "objectives is a list: use an index from 0 to"),
        ("objectives[999999999999].beta=1", "objectives is a list: use an index from 0 to"),
        ("name=../../etc", "name must be letters, digits, - _ . only, got '../../etc'"),
        ("name=-x", "name must begin with a letter, a digit or _"),
        (".".join(["a"] * 21) + "=1", "a path must have at most 20 keys, got 21"),
        ("name=" + "[" * 21, "must be nested at most 20 levels deep"),
        ("data.path=/etc/passwd", "path must end in one of .npz, .hdf5, .h5, got '/etc/passwd'"),
    ],
)
def test_an_override_reaches_nothing_but_values_of_the_spec(
    override: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(json.dumps(small()))
    with pytest.raises(SpecError) as caught:
        load_spec(file, overrides=[override])
    assert message in str(caught.value)


def test_so_many_overrides_and_no_more() -> None:
    def given(count: int) -> list[str]:
        refused = apply_overrides({"a": 1}, Locations(), ["a=2"] * count)
        return [problem.message for problem in refused]

    assert given(limits.OVERRIDES) == []
    assert given(limits.OVERRIDES + 1) == [
        "--set must be given at most 200 times, got 201; write the values into the spec"
    ]

"""The examples of the README and the tutorial run as they are written."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "sweeps" / "specs" / "smoke.yaml"
README = (ROOT / "README.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()


def blocks(language, page=README):
    """Return the code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def commands(page):
    """Return the `sweeps` commands of a page, as lists of words."""
    lines = "\n".join(blocks("console", page)).splitlines()
    without_comments = [line.partition("  #")[0] for line in lines]
    return [shlex.split(line) for line in without_comments if line.startswith("sweeps ")]


COMMANDS = commands(README)
(CODES,) = [block for block in blocks("python", TUTORIAL) if "np.savez" in block]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the README's spec, the tutorial's codes and a sweep named quickstart.

    The sweep is the small one of the spec `smoke`.
    """
    folder = tmp_path_factory.mktemp("readme")
    (spec,) = [block for block in blocks("yaml") if "objectives:" in block]
    (folder / "my-sweep.yaml").write_text(spec)
    subprocess.run([sys.executable, "-c", CODES], cwd=folder, check=True, timeout=60)
    run_smoke = [sys.executable, "-m", "sweeps", "run", "smoke", "--workspace", "results"]
    subprocess.run(
        [*run_smoke, "--set", "name=quickstart", "--set", "search.trials=1"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder


def test_the_python_example_is_about_a_dozen_lines_and_runs():
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line]) <= 14
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, score = done.stdout.splitlines()
    assert first.startswith("1 ")
    assert second.startswith("2 ")
    value, error, chance, ceiling = map(float, score.split())
    assert 0 <= chance < value < ceiling <= 1
    assert error < 0.01


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_of_the_readme_is_accepted(command, folder, monkeypatch):
    from sweeps.cli.app import app

    monkeypatch.chdir(folder)
    arguments = command[1:]
    if arguments[0] == "ui":
        arguments = ["ui", "--help"]  # a server that runs until Ctrl-C
    if arguments[0] == "run" and "--dry-run" not in arguments:
        arguments.append("--dry-run")  # tests/faults and test_smoke.py do run sweeps
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", commands(TUTORIAL), ids=" ".join)
def test_every_command_of_the_tutorial_runs(command, folder, monkeypatch):
    from sweeps.cli.app import app

    monkeypatch.chdir(folder)
    arguments = [{"question": "quickstart"}.get(argument, argument) for argument in command[1:]]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_every_spec_of_the_pages_is_valid(page):
    from sweeps.spec import load, yaml_reader

    for text in re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL):
        document = yaml_reader.parse(text)
        assert document.problems == []
        mapping = document.mapping
        if "objectives" not in mapping:  # a section alone
            mapping = {**yaml_reader.read(SMOKE).mapping, **mapping}
        assert load.spec_from_mapping(mapping).name


def test_every_make_command_of_the_readme_is_a_target_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|\n)make ([a-z-]+)", README)):
        assert f"\n{target}:" in makefile, target


def test_every_link_and_picture_of_the_readme_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

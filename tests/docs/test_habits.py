"""The files that only a host of the repository reads: they are valid, and name what is there."""

import re
import tomllib

import pytest
import yaml

from tests.docs.blocks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FILES = [ROOT / ".pre-commit-config.yaml", ROOT / ".github" / "dependabot.yml", *WORKFLOWS]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*FILES, *FORMS], ids=lambda path: path.name)
def test_it_is_yaml(path):
    assert isinstance(load(path), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_jobs_with_limits_and_calls_targets_that_are_there(path):
    workflow = load(path)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["steps"]
        for run in filter(None, (step.get("run") for step in job["steps"])):
            for target in re.findall(r"^make ([a-z-]+)", run, re.M):
                assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_pythons_of_ci_begin_with_the_lowest_and_hold_all_that_are_claimed():
    pythons = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    claimed = [
        line.rsplit(" ", 1)[1] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)
    ]
    assert f">={pythons[0]}" == PROJECT["project"]["requires-python"]
    assert {*claimed} <= {*pythons}


def test_issue_forms_have_names_and_fields_with_identifiers():
    for path in FORMS:
        form = load(path)
        if path.name != "config.yml":
            assert form["name"]
            assert form["description"]
            fields = [field["id"] for field in form["body"]]
            assert len(fields) == len({*fields})

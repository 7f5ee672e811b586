"""Files of deploy/ name only what there is, and load as what they are for."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.commands import COMMANDS

pytestmark = pytest.mark.law

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))


def check_words(words: list[str]) -> None:
    """See that a command and its options exist."""
    assert words[0] in COMMANDS, words
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
    assert options
    assert [option for option in options if option not in COMMANDS[words[0]]] == []


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile, lines joined."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", file.read_text()))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines()) if name]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_images_are_built_from_what_is_there(file):
    found = instructions(file)
    assert found[0][0] == "FROM"
    for name, rest in found:
        if name == "COPY":
            assert all((ROOT / source).exists() for source in rest.split()[:-1]), rest
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [named] = re.findall(r'"\.\[([a-z,0-9]+)\]"', file.read_text())
    assert set(named.split(",")) <= set(extras)
    last = dict(found)
    assert json.loads(last["ENTRYPOINT"]) == ["shotstream"]
    check_words(json.loads(last["CMD"]))
    assert last["USER"] != "root"


def test_the_services_of_compose_fit_together():
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    studio = services["services"]["studio"]
    assert (DEPLOY / studio["build"]["context"] / studio["build"]["dockerfile"]).is_file()
    assert set(studio["depends_on"]) < set(services["services"])
    check_words(studio["command"])
    mounted = [place for one in services["services"].values() for place in one["volumes"]]
    assert {place.partition(":")[0] for place in mounted} == set(services["volumes"])


def test_ray_takes_the_cluster():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'shotstream[cluster]'")
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    validate_config(prepare_config(config))
    assert config["max_workers"] == len(config["provider"]["worker_ips"])


def test_the_manifest_of_kuberay_fits_together():
    job, service = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    shell = shlex.split(job["spec"]["entrypoint"])
    assert shell[:2] == ["sh", "-c"]
    words = shlex.split(shell[2])
    assert words[0] == "shotstream"
    check_words(words[1:])
    cluster = job["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()
    [workers] = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert int(words[words.index("--replicas") + 1]) <= workers["maxReplicas"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    for pod in (head, workers["template"]["spec"]):
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]} <= volumes
    ports = {port["containerPort"] for port in head["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports

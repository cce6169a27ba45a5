"""`sample --controller`, `train-proxies` and `compare`, as a person types them."""

import json

from mixopt.experiment import Experiment


def test_controlled_runs_from_plan_to_comparison(mixopt, study):
    with (study / "proxy.toml").open("a") as file:
        file.write("\n[controller.rb]\nevery = 16\n")
    assert mixopt("prepare", study, "--quiet").code == 0
    nothing = mixopt("compare", study)
    assert nothing.code == 3
    assert "no controlled run" in nothing.err
    planned = mixopt("sample", study, "--controller", "rb", "-n", 2, "--json")
    assert json.loads(planned.out)["roles"] == {"baseline": 4, "controller": 2}
    assert mixopt("train-proxies", study, "--quiet").code == 0
    again = Experiment(study).sample_controlled("rb", 2)
    assert again.new == again.roles()["replay"]
    found = json.loads(mixopt("compare", study, "--json").out)
    lines = {line["name"]: line for line in found["lines"]}
    assert lines["rb (every=16)"]["runs"] == 2
    assert lines["rb (every=16)"]["flops"] > 1.0
    shown = mixopt("compare", study)
    assert "minus uniform" in shown.out
    assert mixopt("sample", study, "--controller", "br", "-n", 2).code == 3
    both = mixopt("sample", study, "--controller", "rb", "--lr-scale", 0.1, "-n", 2)
    assert both.code == 2

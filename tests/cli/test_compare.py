"""`sample --controller`, `train-proxies` and `compare`, as a person types them."""

import json

from mixopt.experiment import Experiment

SPACE = "[domain.code]\npath = 'code'\n[domain.prose]\npath = 'prose'\n"
PROXY = """\
tokens = 4096
seeds = [1, 2]
preset = "tiny"
sizes = {layers = 1, width = 16, heads = 2, experts = 4, hidden = 16, context = 32}
[data]
tokenizer = "bytes"
[evaluation]
windows = 8
[controller.rb]
every = 16
"""


def write(folder):
    for name in ("code", "prose"):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            words = [f"{name}{(number * 7 + i * i) % 13}" for i in range(150)]
            (folder / name / f"{number}.txt").write_text(" ".join(words))
    (folder / "space.toml").write_text(SPACE)
    (folder / "proxy.toml").write_text(PROXY)


def test_controlled_runs_from_plan_to_comparison(mixopt, tmp_path):
    study = tmp_path / "study"
    write(study)
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

"""The readers themselves, where they install: what they make of our files is what was decided.

Each runs in an interpreter of its own, on what `make consumers` fetched. Libraries that only reach
remote stores are not fetched: `without` names them, and an empty stand-in takes their place.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mixopt.exchange import make_format
from mixopt.exchange.base import Decision, Source, export

CONSUMERS = Path(__file__).parents[3] / ".consumers"
SHARES = {"web:news": 0.55, "code": 0.3999, "books": 0.05, "law": 0.0, "maths": 0.0001}
TOKENS = {"web:news": 900_000, "code": 200_000, "books": 20_000, "law": 5_000, "maths": 500}
DRAWS = 40_000

PRELUDE = """
import importlib, json, sys, types
from unittest.mock import MagicMock
sys.path[:0] = json.loads(sys.argv[1])
for name in json.loads(sys.argv[2]):
    sys.modules[name] = MagicMock()
def bare(*names):
    for name in names:  # a package without what its __init__ would import
        package = types.ModuleType(name)
        place = name.replace(".", "/")
        package.__path__ = [f"{folder}/{place}" for folder in sys.path]
        sys.modules[name] = package
text, arguments = open(sys.argv[3]).read(), sys.argv[4:]
"""


@pytest.fixture
def ask(tmp_path):
    """Run a reader's own code on a text; what it prints last is JSON."""

    def run(library: str, code: str, text: str, *arguments: str, without: str = "") -> object:
        if not (CONSUMERS / library).exists():
            pytest.skip(f"{library} is not there: `make consumers` fetches it")
        file = tmp_path / "exported"
        file.write_text(text)
        folders = [str(CONSUMERS / name) for name in (library, "megatron")]
        told = [json.dumps(folders), json.dumps(without.split()), str(file), *arguments]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PRELUDE + code, *told],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def decided(folder: str = "/tok") -> Decision:
    """A mixture of five domains, of which everything is known."""
    sources = {
        name: Source(
            path=f"{folder}/{name.replace(':', '_')}",
            validation=f"{folder}/{name.replace(':', '_')}_valid",
            tokens=tokens,
            documents=tokens / (10 if name == "code" else 50),
            max_epochs=4.0,
        )
        for name, tokens in TOKENS.items()
    }
    return Decision("pick", ((1.0, SHARES),), target_tokens=400_000, sources=sources)


def told(name: str, **settings: object) -> tuple[str, dict[str, float]]:
    """A format's text, and the shares that it is read back with, by domain."""
    done = export(decided(), make_format(name, settings))
    return done.text, {row.domain: row.read for row in done.rows if row.read}


BLEND = """
from megatron.core.datasets.utils import get_blend_from_list, normalize
form = arguments[0]
if form == "megatron":
    words = text.split()
elif form == "megatron_args":
    import shlex
    words = shlex.split(text)[1:]
elif form == "megatron_split":
    splits = json.loads(text)
    assert all(get_blend_from_list(splits[split]) for split in ("valid", "test"))
    assert get_blend_from_list(splits["valid"])[1] is None
    words = splits["train"]
else:
    words = json.loads(text)
prefixes, weights = get_blend_from_list(words)
print(json.dumps(dict(zip(prefixes, normalize(weights)))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["megatron", "megatron_args", "megatron_split", "nemo"])
def test_megatron_core_reads_the_blend(ask, name):
    text, shares = told(name)
    found = ask("megatron", BLEND, text, name)
    assert found == {
        f"/tok/{domain.replace(':', '_')}": pytest.approx(share) for domain, share in shares.items()
    }


OLMO = """
import yaml
from olmo_core.data.source_mixture import (
    SourceMixtureConfig, SourceMixtureDatasetConfig, SourceMixtureList,
)
from olmo_core.data.types import NumpyDatasetDType
import numpy as np
items = yaml.safe_load(text)["sources"]
sources = SourceMixtureList([SourceMixtureConfig(**item) for item in items])
for item in sources.sources:
    item.validate()
config = SourceMixtureDatasetConfig(
    source_list=sources, requested_tokens=400_000, global_batch_size=800, quiet=True,
    render_tables=False,
)
mixture = config.build(npdtype=np.uint16, sequence_length=4)
print(json.dumps({one.name: sum(p.tokens for p in one.path_tokens) for one in mixture.sources}))
"""
STORES = (
    "boto3 boto3.dynamodb boto3.session botocore botocore.client botocore.config "
    "botocore.credentials botocore.exceptions botocore.utils google google.api_core "
    "google.api_core.exceptions google.auth google.auth.exceptions google.cloud "
    "google.cloud.storage google.cloud.storage.blob google.cloud.storage.retry requests "
    "requests.adapters requests.exceptions urllib3 urllib3.exceptions urllib3.util "
    "urllib3.util.retry"
)


@pytest.mark.slow
def test_olmo_core_takes_the_tokens(ask, tmp_path):
    decision = decided(str(tmp_path))
    for name, tokens in TOKENS.items():
        folder = tmp_path / name.replace(":", "_")
        folder.mkdir()
        (folder / "part.npy").write_bytes(np.zeros(tokens, dtype=np.uint16).tobytes())
    done = export(decision, make_format("olmo_core"))
    tokens = ask("olmo", OLMO, done.text, without=STORES)
    for row in done.rows:
        got = tokens.get(row.domain.replace(":", "__"), 0)
        assert got / 400_000 == pytest.approx(row.read, abs=1e-4)


STREAMS = """
bare("streaming", "streaming.base")
import numpy as np, yaml
from streaming.base.stream import Stream
found = yaml.safe_load(text)["train_loader"]["dataset"]["streams"]
streams = [Stream(**stream) for stream in found.values()]
sizes = json.loads(arguments[0])
samples = np.array([sizes[name] for name in found])
Stream.apply_weights(streams, samples, None, 9176)
print(json.dumps({name: int(stream.choose) for name, stream in zip(found, streams)}))
"""


@pytest.mark.slow
def test_streaming_chooses_the_samples(ask):
    sizes = {name.replace(":", "__"): tokens for name, tokens in TOKENS.items()}
    text, shares = told("streaming")
    chosen = ask("streaming", STREAMS, text, json.dumps(sizes))
    assert sum(chosen.values()) == pytest.approx(400_000, abs=5)
    for domain, share in shares.items():
        assert chosen[domain.replace(":", "__")] == pytest.approx(share * 400_000, abs=1)


LITDATA = """
from collections import Counter
from litdata.streaming.combined import CombinedStreamingDataset
from litdata.streaming.dataset import StreamingDataset
from itertools import islice, repeat
class Endless(StreamingDataset):
    def __init__(self, name): self.name = name
    def __iter__(self): return repeat(self.name)
    def set_epoch(self, epoch): pass
settings = json.loads(text)
combined = CombinedStreamingDataset([Endless(d) for d in settings.pop("input_dirs")], **settings)
print(json.dumps(Counter(islice(iter(combined), int(arguments[0])))))
"""

TORCHTITAN = """
import ast
from collections import Counter
from itertools import islice, repeat
from torchtitan.hf_datasets.interleaved import InterleavedDataset
class Endless:
    def __init__(self, name): self.name = name
    def __iter__(self): return repeat(self.name)
    def state_dict(self): return {}
    def load_state_dict(self, state): pass
package = types.ModuleType("torchtitan.components.data")
package.DatasetMixConfig = lambda datasets: datasets
package.WeightedDataset = lambda dataset, weight: (dataset, weight)
sys.modules[package.__name__] = package
module = {}
exec(text, module)
names, weights = zip(*module["mixed"]({name: name for name in module["WEIGHTS"]}))
mixed = InterleavedDataset([Endless(name) for name in names], list(weights), seed=0)
print(json.dumps(Counter(islice(iter(mixed), int(arguments[0])))))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "label"),
    [
        ("litdata", LITDATA, lambda domain: f"/tok/{domain.replace(':', '_')}"),
        ("torchtitan", TORCHTITAN, lambda domain: domain.replace(":", "__")),
    ],
)
def test_draws_come_by_weight(ask, name, code, label):
    text, shares = told(name)
    counts = ask(name, code, text, str(DRAWS), without=STORES if name == "litdata" else "")
    for domain, share in shares.items():
        sd = (share * (1 - share) / DRAWS) ** 0.5
        assert counts.get(label(domain), 0) / DRAWS == pytest.approx(share, abs=5 * sd)


LLAMA = """
bare("llamafactory", "llamafactory.hparams")
import yaml
from llamafactory.hparams.data_args import DataArguments
found = DataArguments(**yaml.safe_load(text))
print(json.dumps([found.dataset, found.interleave_probs, found.mix_strategy]))
"""


@pytest.mark.slow
def test_llama_factory_parses_the_probabilities(ask):
    text, _ = told("llama_factory")
    names, probabilities, strategy = ask("llamafactory", LLAMA, text)
    assert names == ["web__news", "code", "books", "maths"]
    assert sum(probabilities) == pytest.approx(1, abs=1e-8)
    assert probabilities[1] / probabilities[0] == pytest.approx(5 * 0.3999 / 0.55)
    assert strategy == "interleave_over"


AXOLOTL = """
import yaml
from axolotl.utils.schemas.datasets import SFTDataset
found = [SFTDataset(**item) for item in yaml.safe_load(text)["datasets"]]
knows = "weight" in SFTDataset.model_fields
print(json.dumps([knows, [[item.path, getattr(item, "weight", None)] for item in found]]))
"""


@pytest.mark.slow
def test_axolotl_parses_the_datasets(ask):
    text, _ = told("axolotl")
    knows, found = ask("axolotl", AXOLOTL, text)
    assert [path for path, _ in found][:2] == ["/tok/web_news", "/tok/code"]
    if not knows:
        pytest.skip("this axolotl parses the paths and has no weight yet")
    assert all(0 < weight <= 1 for _, weight in found)


def test_datasets_draws_the_shares_of_tokens():
    datasets = pytest.importorskip("datasets")
    text, shares = told("huggingface")
    settings = json.loads(text)
    names = {f"/tok/{name.replace(':', '_')}": name for name in SHARES}
    lengths = {"code": 10}
    parts = [
        datasets.Dataset.from_dict({"domain": [names[path]] * 3000})
        for path in settings.pop("datasets")
    ]
    settings["stopping_strategy"] = "first_exhausted"  # the draws are the same, and fewer
    drawn = datasets.interleave_datasets(parts, **settings)["domain"]
    tokens = {name: 0 for name in shares}
    for name in drawn:
        tokens[name] += lengths.get(name, 50)
    for name, share in shares.items():
        assert tokens[name] / sum(tokens.values()) == pytest.approx(share, abs=0.03)

"""The configuration in files: it keeps the names of the committed records."""

import json

from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.training.learning.config import config_fingerprint, config_record
from stamp.training.learning.recipes import nano_recipe


def test_a_record_has_the_names_of_the_committed_ones() -> None:
    committed = json.loads((EMBEDDED_CHECKPOINT / "training.json").read_text())["config"]
    record = json.loads(json.dumps(config_record(nano_recipe())))
    assert set(record) == set(committed)
    assert [set(stage) for stage in record["stages"]] == [set(stage) for stage in committed["stages"]]
    assert record["stages"][0]["perfect_share"] == 0.25


def test_a_run_saved_under_the_recorded_names_can_be_resumed() -> None:
    assert '"perfect_share": 0.25' in config_fingerprint(nano_recipe())

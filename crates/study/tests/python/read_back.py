"""Reads the journals that the test `journals_are_written_for_others` writes, with Optuna.

Run: TINSMITH_STUDY_KEEP=/tmp/out cargo test -p tinsmith-study written_for_others
     python read_back.py /tmp/out (needs the package optuna; tried with 5.0.0)
"""

import collections
import json
import pathlib
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

folder = pathlib.Path(sys.argv[1])
for name in ["one.log", "two.log"]:
    study = optuna.load_study(study_name="bowl", storage=JournalStorage(JournalFileBackend(str(folder / name))))
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    trials = [line for line in lines if line["op_code"] == 4]
    assert len(trials) == len(study.trials) == 30
    for line, trial in zip(trials, study.trials):
        candidate = json.loads(line["user_attrs"]["candidate"])
        assert trial.params == candidate, (trial.params, candidate)
        assert trial.values == ([line["value"]] if line["value"] is not None else line["values"])
        assert trial.state == line["state"] and trial.user_attrs == line["user_attrs"]
        assert trial.system_attrs["constraints"] == line["system_attrs"]["constraints"]
        assert "reports" in line["user_attrs"] if name == "two.log" and "refused" not in line["user_attrs"] and "failed" not in line["user_attrs"] else True
        assert trial.intermediate_values == {int(k): v for k, v in line["intermediate_values"].items()}
        assert trial.datetime_complete >= trial.datetime_start
    print(name, study.metric_names, study.user_attrs, dict(collections.Counter(t.state.name for t in study.trials)))
    print("  best:", [(t.number, t.values) for t in study.best_trials])
    # Optuna continues from our trials.
    copy = folder / ("more-" + name)
    copy.write_bytes((folder / name).read_bytes())
    sampler = optuna.samplers.TPESampler(seed=1)
    more = optuna.load_study(study_name="bowl", storage=JournalStorage(JournalFileBackend(str(copy))), sampler=sampler)
    ask = more.ask(study.trials[0].distributions)
    more.tell(ask, [0.5] * len(more.directions))
    assert len(more.trials) == 31

"""Reads what the test `journals_and_events_are_written_for_others` leaves behind, with Optuna and TensorBoard.

Run: TINSMITH_STUDY_KEEP=/tmp/out cargo test -p tinsmith-study written_for_others
     python read_back.py /tmp/out (needs the packages optuna and tensorboard; seen with 5.0.0 and 2.21.0)
"""

import collections
import json
import pathlib
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing import event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

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
    # Optuna goes on from our trials.
    copy = folder / ("more-" + name)
    copy.write_bytes((folder / name).read_bytes())
    sampler = optuna.samplers.TPESampler(seed=1)
    more = optuna.load_study(study_name="bowl", storage=JournalStorage(JournalFileBackend(str(copy))), sampler=sampler)
    ask = more.ask(study.trials[0].distributions)
    more.tell(ask, [0.5] * len(more.directions))
    assert len(more.trials) == 31

multiplexer = event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder / "events"))
multiplexer.Reload()
print("runs:", len(multiplexer.Runs()))
for trial in optuna.load_study(
    study_name="bowl", storage=JournalStorage(JournalFileBackend(str(folder / "one.log")))
).trials:
    events = EventAccumulator(str(folder / "events" / f"trial-{trial.number}"))
    events.Reload()
    losses = {e.step: tensor_util.make_ndarray(e.tensor_proto).item() for e in events.Tensors("loss")} if trial.intermediate_values else {}
    assert losses.keys() == trial.intermediate_values.keys()
    assert all(abs(losses[k] - v) < 1e-6 * max(1, abs(v)) for k, v in trial.intermediate_values.items())
    histogram = tensor_util.make_ndarray(events.Tensors("reports")[0].tensor_proto)
    assert histogram.shape[1] == 3 and histogram[:, 2].sum() == len(losses)
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["act"].string_value == trial.params["act"]
    assert start.hparams["rate"].number_value == trial.params["rate"]
root = EventAccumulator(str(folder / "events"))
root.Reload()
content = root.summary_metadata["_hparams_/experiment"].plugin_data.content
experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
print("experiment:", [(i.name, i.WhichOneof("domain")) for i in experiment.hparam_infos], experiment.metric_infos[0].name.tag)

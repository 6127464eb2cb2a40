"""Reads the log folder that the test `sessions_are_written_for_others` writes, with TensorBoard.

Run: TINSMITH_TENSORBOARD_KEEP=/tmp/out cargo test -p tinsmith-tensorboard written_for_others
     python read_back.py /tmp/out (needs the package tensorboard; tried with 2.21.0)
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing import event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

folder = pathlib.Path(sys.argv[1])
multiplexer = event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder / "events"))
multiplexer.Reload()
print("runs:", len(multiplexer.Runs()))
for number, trial in enumerate(json.loads((folder / "trials.json").read_text())):
    events = EventAccumulator(str(folder / "events" / f"trial-{number}"))
    events.Reload()
    expected = dict(enumerate(trial["losses"], start=1))
    losses = {e.step: tensor_util.make_ndarray(e.tensor_proto).item() for e in events.Tensors("loss")} if expected else {}
    assert losses.keys() == expected.keys()
    assert all(abs(losses[k] - v) < 1e-6 * max(1, abs(v)) for k, v in expected.items())
    histogram = tensor_util.make_ndarray(events.Tensors("reports")[0].tensor_proto)
    assert histogram.shape[1] == 3 and histogram[:, 2].sum() == len(losses)
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["act"].string_value == trial["params"]["act"]
    assert start.hparams["rate"].number_value == trial["params"]["rate"]
root = EventAccumulator(str(folder / "events"))
root.Reload()
content = root.summary_metadata["_hparams_/experiment"].plugin_data.content
experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
print("experiment:", [(i.name, i.WhichOneof("domain")) for i in experiment.hparam_infos], experiment.metric_infos[0].name.tag)

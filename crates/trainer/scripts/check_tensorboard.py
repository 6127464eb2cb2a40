"""Opens a run folder (examples/run.rs) with the readers of TensorBoard and prints the contents.

    python crates/trainer/scripts/check_tensorboard.py FOLDER

Needs the package `tensorboard`. Fails if scalars, histograms or hyper-parameters are missing.
"""

import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2


def main():
    events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={event_accumulator.TENSORS: 0})
    events.Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        found.setdefault(plugin, {})[tag] = len(events.Tensors(tag))
    for plugin, tags in found.items():
        print(plugin, tags)
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    print("hyper-parameters", dict((k, v.WhichOneof("kind")) for k, v in sorted(start.hparams.items())))
    end = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    print("status", plugin_data_pb2.HParamsPluginData.FromString(end).session_end_info.status)
    missing = {"scalars", "histograms", "hparams"} - set(found)
    if missing or not start.hparams:
        sys.exit(f"missing: {missing or 'hyper-parameters'}")


if __name__ == "__main__":
    main()

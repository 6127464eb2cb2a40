"""Loads and builds every model of written corpora with real Keras and QKeras.

    python check_with_keras.py CORPUS [CORPUS ...]

A corpus is a file of `tinsmith generate --format keras` (models separated by lines of 14 hyphens) or `--format
keras_batch` (one JSON object of name to model JSON), compressed by gzip or not. Each model is made from its JSON, its
weights are created, and its output shape is computed. Failures are printed and make the exit code 1.

Requires tensorflow 2.15 (`pip install tensorflow-cpu==2.15.* qkeras==0.9.0`).
"""

import collections
import gzip
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402

# QKeras imports tensorflow_model_optimization, which redirects parts of Keras that are not loaded yet to the package
# tf_keras, if installed. Two copies of Keras share one registry of names, and each then waits forever for layers that
# the other has created. So load all of Keras first.
assert tf.keras.layers and tf.compat.v1.keras.layers and tf.compat.v2.keras.layers

import qkeras  # noqa: E402
from qkeras.utils import _add_supported_quantized_objects  # noqa: E402

SEPARATOR = "--------------"


def models(path):
    """Returns the model JSON texts of a corpus, by name."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        text = file.read()
    if SEPARATOR in text:
        texts = [part.strip() for part in text.split(SEPARATOR)]
        return [(str(i), part) for i, part in enumerate(texts) if part]
    return list(json.loads(text).items())


def main(paths):
    assert "tf_keras" not in sys.modules, "two copies of Keras are loaded"
    custom = {}
    _add_supported_quantized_objects(custom)
    classes = collections.Counter()
    total, failed, start = 0, 0, time.time()
    for path in paths:
        for name, text in models(path):
            total += 1
            tf.keras.backend.clear_session()
            try:
                model = tf.keras.models.model_from_json(text, custom_objects=custom)
                assert model.built and all(axis for axis in model.output_shape[1:]), model.output_shape
                classes.update(type(layer).__name__ for layer in model.layers)
            except Exception as error:  # Keras and QKeras raise exceptions of many types
                failed += 1
                if failed <= 20:
                    print(f"{path}, {name}: {type(error).__name__}: {str(error)[:500]}")
    print(f"tensorflow {tf.__version__}, qkeras {qkeras.__version__}")
    print(", ".join(f"{name} {count}" for name, count in sorted(classes.items())))
    print(f"{total - failed} of {total} models load and build ({time.time() - start:.0f} s)")
    return 1 if failed or not total else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))

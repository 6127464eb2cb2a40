"""Opens what Tinsmith writes with real Keras and QKeras: every model is copied, and the copies compute the same.

    cargo build --release -p tinsmith-layers --example convert
    python check_with_keras.py CONVERT MODEL [MODEL ...]

CONVERT is the built example (`target/release/examples/convert`), a MODEL a `.keras` file or a whole model in `.h5`. Each
is written anew as `.keras`, `.h5` and `.weights.h5`; Keras loads the copies and predicts 16 random samples with each. What
differs from the original by more than 1e-5 of the largest output is printed; the exit code is then 1. An original that
this Keras does not open, since a later one saved it, is stood in for by its copy in `.h5`.

Made for tensorflow 2.15 (`pip install tensorflow-cpu==2.15.* qkeras==0.9.0`).
"""

import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# All of Keras first: see crates/modelgen/scripts/check_with_keras.py.
assert tf.keras.layers and tf.compat.v1.keras.layers and tf.compat.v2.keras.layers

from qkeras.utils import _add_supported_quantized_objects  # noqa: E402

OBJECTS = {}
_add_supported_quantized_objects(OBJECTS)


def load(path):
    return tf.keras.models.load_model(path, custom_objects=OBJECTS, compile=False)


def outputs(model, samples):
    found = model.predict(samples, verbose=0)
    return found if isinstance(found, list) else [found]


def difference(a, b):
    """The largest, as a part of the largest output."""
    scale = max(float(np.abs(x).max()) for x in a) or 1.0
    return max(float(np.abs(x - y).max()) for x, y in zip(a, b)) / scale


def check(convert, path, folder):
    """Yields the name of each copy and how far it is from the original."""
    copies = {kind: os.path.join(folder, "copy" + kind) for kind in (".keras", ".h5", ".weights.h5")}
    for copy in copies.values():
        subprocess.run([convert, path, copy], check=True, stdout=subprocess.DEVNULL)
    try:
        model = load(path)
    except TypeError:
        model = load(copies[".h5"])
    rng = np.random.default_rng(0)
    samples = [rng.standard_normal([16, *i.shape[1:]]).astype("float32") for i in model.inputs]
    samples = samples if len(samples) > 1 else samples[0]
    want = outputs(model, samples)
    for kind in (".keras", ".h5"):
        yield kind, difference(want, outputs(load(copies[kind]), samples))
    blank = load(copies[".keras"])
    for weight in blank.weights:
        weight.assign(tf.zeros_like(weight))
    blank.load_weights(copies[".weights.h5"])
    yield ".weights.h5", difference(want, outputs(blank, samples))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    convert, paths = os.path.abspath(sys.argv[1]), sys.argv[2:]
    bad = 0
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            for kind, found in check(convert, path, folder):
                bad += not found <= 1e-5
                print(f"{path} -> {kind}: {found:.1e}{'' if found <= 1e-5 else ' DIFFERS'}", flush=True)
    print(f"{len(paths)} models, {bad} copies that differ")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

"""Values and gradients of Keras' losses, for tests/golden/losses/losses.json.

    python crates/trainer/scripts/losses_keras.py > crates/trainer/tests/golden/losses/losses.json

Needs TensorFlow 2.15.
"""

import json
import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

ROWS, WIDTH = 5, 4


def main():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (ROWS, WIDTH)).astype("float32")
    logits[0, 0] = 30.0
    probabilities = rng.uniform(0, 1, (ROWS, WIDTH)).astype("float32")
    probabilities[0, :2] = 0.0, 1.0
    one_hot = np.eye(WIDTH, dtype="float32")[rng.integers(0, WIDTH, ROWS)]
    soft = rng.dirichlet(np.ones(WIDTH), ROWS).astype("float32")
    binary = rng.integers(0, 2, (ROWS, WIDTH)).astype("float32")
    numbers = rng.normal(0, 1, (ROWS, WIDTH)).astype("float32")
    weights = rng.uniform(0.2, 3, ROWS).astype("float32")
    losses = tf.keras.losses
    cases = []
    for smoothing in (0.0, 0.1):
        categorical = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        option = {"label_smoothing": smoothing}
        for targets in (one_hot, soft):
            cases.append(({"cross_entropy": option}, "values", categorical, logits, targets))
        from_logits = losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
        cases.append(({"binary_cross_entropy": option}, "values", from_logits, logits, binary))
        from_probabilities = losses.BinaryCrossentropy(label_smoothing=smoothing)
        cases.append(({"binary_cross_entropy": option}, "probabilities", from_probabilities, probabilities, binary))
    cases.append(({"mean_squared_error": {}}, "values", losses.MeanSquaredError(), logits, numbers))
    cases.append(({"mean_absolute_error": {}}, "values", losses.MeanAbsoluteError(), logits, numbers))
    for delta in (0.5, 1.0, 3.0):
        cases.append(({"huber": {"delta": delta}}, "values", losses.Huber(delta), logits, numbers))
    found = []
    for loss, head, function, outputs, targets in cases:
        for weight in (None, weights):
            variable = tf.Variable(outputs)
            with tf.GradientTape() as tape:
                value = function(targets, variable, sample_weight=weight)
            found.append(
                {
                    "loss": loss,
                    "head": head,
                    "outputs": outputs.ravel().tolist(),
                    "targets": targets.ravel().tolist(),
                    "weights": [] if weight is None else weight.tolist(),
                    "value": float(value),
                    "gradient": tape.gradient(value, variable).numpy().ravel().tolist(),
                }
            )
    lines = ",\n".join(json.dumps(case) for case in found)
    print(f'{{"tensorflow": "{tf.__version__}", "rows": {ROWS}, "width": {WIDTH}, "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()

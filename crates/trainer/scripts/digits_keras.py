"""The networks of examples/digits.rs in Keras, and the comparison of both.

Needs TensorFlow 2.15. From the root of the repository:

    cargo run -p tinsmith-trainer --example digits -- 20 > rows.csv
    python crates/trainer/scripts/digits_keras.py rows.csv 20 > crates/trainer/scripts/digits_rows.csv

Prints the rows of both programs, and the means of each network on the error stream. Fails if they differ by more than
half a point. Twenty seeds are needed because the means of five scatter by 0.3 to 0.4 points.
"""

import os
import struct
import sys
from pathlib import Path
from statistics import mean, stdev

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parents[2] / "data" / "assets" / "digits8x8"
MOST = 0.005


def idx(name):
    raw = (DATA / name).read_bytes()
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def part(name):
    images = idx(f"{name}-images-idx3-ubyte").astype("float32")[..., None]
    return images, idx(f"{name}-labels-idx1-ubyte").astype("int64")


def network(name):
    layers = tf.keras.layers
    if name == "dense":
        body = [layers.Flatten(), layers.Dense(32, activation="relu")]
    else:
        body = [layers.Conv2D(12, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    return tf.keras.Sequential([layers.Input((8, 8, 1)), *body, layers.Dense(10, activation="softmax")])


def main():
    rows, seeds = Path(sys.argv[1]), int(sys.argv[2])
    (x, y), (test_x, test_y) = part("train"), part("test")
    low, high = x.min(), x.max()
    x, test_x = (x - low) / (high - low), (test_x - low) / (high - low)
    lines = [line.split(",") for line in rows.read_text().split()[1:]]
    for name in ("dense", "convolution"):
        for seed in range(seeds):
            tf.keras.backend.clear_session()
            tf.keras.utils.set_random_seed(seed)
            model = network(name)
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            model.fit(x, y, batch_size=32, epochs=20, verbose=0)
            accuracy = model.evaluate(test_x, test_y, verbose=0)[1]
            lines.append(["keras", name, str(seed), f"{accuracy:.6f}"])
    print("program,network,seed,test_accuracy")
    for line in lines:
        print(",".join(line))
    worst = 0.0
    for name in ("dense", "convolution"):
        found = {}
        for program in ("tinsmith", "keras"):
            values = [float(l[3]) for l in lines if l[:2] == [program, name]]
            found[program] = mean(values)
            print(f"{name}, {program}: {100 * mean(values):.2f} % +- {100 * stdev(values):.2f}", file=sys.stderr)
        worst = max(worst, abs(found["tinsmith"] - found["keras"]))
    print(f"largest difference of means: {100 * worst:.2f} points", file=sys.stderr)
    sys.exit(worst > MOST)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Keras / QKeras training speed. One JSON line. See README.md.

Variants (each in its own process unless --variant is given; the line is the best one's):
  fn        tf.function train step, called once per batch from Python
  fn_jit    the same with jit_compile=True (XLA)
  loop      tf.function that runs many steps in a graph loop over resident data (no Python per step)
  loop_jit  the same, the step inside compiled by XLA
  fit       model.fit on a cached tf.data set
  fit_spe   model.fit with steps_per_execution=32
  fit_spe_jit  and jit_compile=True
A suffix @nodnn turns oneDNN off (TF_ENABLE_ONEDNN_OPTS=0).
"""
import argparse, json, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from common import WORKLOADS, ALIAS

DEFAULT = ["fn", "fn_jit", "loop", "loop_jit", "fit", "fit_spe", "fit_spe_jit"]

ap = argparse.ArgumentParser()
ap.add_argument("--workload", required=True)
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--quantized", action="store_true")
ap.add_argument("--variant")
ap.add_argument("--variants", default=",".join(DEFAULT))
ap.add_argument("--no-affinity", action="store_true")
ap.add_argument("--exchange", help="write rows, labels and initial weights to this .npz, train 200 steps, print first and last loss")
a = ap.parse_args()
a.workload = ALIAS.get(a.workload, a.workload)


def build(name, w, quantized):
    import tensorflow as tf
    L = tf.keras.layers
    inp = tf.keras.Input(w["shape"])
    if quantized:
        from qkeras import QDense, QConv2D, QConv1D, QActivation, quantized_bits, quantized_relu
        b = w["bits"]
        kq = lambda: dict(kernel_quantizer=quantized_bits(b, 0, alpha=1), bias_quantizer=quantized_bits(b, 0, alpha=1))
        dense = lambda x, n: QDense(n, **kq())(x)
        conv2 = lambda x, n, k: QConv2D(n, k, padding="same", **kq())(x)
        conv1 = lambda x, n, k: QConv1D(n, k, padding="same", **kq())(x)
        relu = lambda x: QActivation(quantized_relu(b))(x)
    else:
        dense = lambda x, n: L.Dense(n)(x)
        conv2 = lambda x, n, k: L.Conv2D(n, k, padding="same")(x)
        conv1 = lambda x, n, k: L.Conv1D(n, k, padding="same")(x)
        relu = lambda x: L.ReLU()(x)
    x = inp
    if name == "jet_mlp":
        for n in (64, 32, 32):
            x = relu(dense(x, n))
    elif name == "sparana_mlp":
        for n in (1000, 800, 400):
            x = relu(dense(x, n))
    elif name == "mnist_cnn":
        for n in (32, 64):
            x = L.MaxPool2D(2)(relu(conv2(x, n, 3)))
        x = relu(dense(L.Flatten()(x), 128))
    elif name == "har_cnn1d":
        for n in (32, 64):
            x = L.MaxPool1D(2)(relu(conv1(x, n, 5)))
        x = relu(dense(L.Flatten()(x), 64))
    elif name == "ds_cnn":
        bn = lambda x: L.ReLU()(L.BatchNormalization()(x))
        x = bn(L.Conv2D(64, (10, 4), strides=2, padding="same")(x))
        for _ in range(4):
            x = bn(L.DepthwiseConv2D(3, padding="same")(x))
            x = bn(L.Conv2D(64, 1, padding="same")(x))
        x = L.GlobalAveragePooling2D()(x)
    elif name == "resnet8":
        def c(x, n, k, s):
            return L.Conv2D(n, k, strides=s, padding="same")(x)
        x = L.ReLU()(L.BatchNormalization()(c(x, 16, 3, 1)))
        for i, n in enumerate((16, 32, 64)):
            s = 1 if i == 0 else 2
            y = L.ReLU()(L.BatchNormalization()(c(x, n, 3, s)))
            y = L.BatchNormalization()(c(y, n, 3, 1))
            if s != 1:
                x = c(x, n, 1, s)
            x = L.ReLU()(L.Add()([x, y]))
        x = L.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inp, dense(x, w["classes"]))


def exchange(a):
    """Writes what another framework needs to repeat a training, and returns the losses of the training here."""
    w = WORKLOADS[a.workload]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy as np, tensorflow as tf
    tf.keras.utils.set_random_seed(0)
    tf.config.threading.set_intra_op_parallelism_threads(a.threads)
    B, steps = w["batch"], 200
    xn, yn = common.learnable(w, steps * B)
    model = build(a.workload, w, a.quantized)
    arrays = dict(x=xn, y=yn.astype(np.float32))
    # In order of creation: Keras lists layers by depth, which moves the shortcuts of a residual network.
    made = sorted(model.weights, key=lambda v: int(v._unique_id.rsplit("_", 1)[1]))
    arrays.update({"w%03d" % i: v.numpy() for i, v in enumerate(made)})
    np.savez(a.exchange, **arrays)
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    opt = tf.keras.optimizers.Adam(1e-3)
    opt.build(model.trainable_variables)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        v = model.trainable_variables
        opt.apply_gradients(zip(tape.gradient(loss, v), v))
        return loss
    losses = []
    for i in range(steps):
        losses.append(float(step(xn[i * B:(i + 1) * B], yn[i * B:(i + 1) * B])))
    print(json.dumps(dict(workload=a.workload, quantized=a.quantized, framework="qkeras" if a.quantized else "keras", steps=steps,
                          first_loss=losses[0], loss_after_20=losses[20], final_loss=sum(losses[-20:]) / 20)), flush=True)


def child(a):
    w = WORKLOADS[a.workload]
    variant, _, opt = a.variant.partition("@")
    if opt == "nodnn":
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not a.no_affinity:
        common.limit_cores(a.threads)
    t0 = time.perf_counter()
    import numpy as np, tensorflow as tf
    ver = "tf " + tf.__version__
    if a.quantized:
        import qkeras
        ver += " qkeras " + qkeras.__version__
    import_s = time.perf_counter() - t0
    tf.config.threading.set_intra_op_parallelism_threads(a.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1 if a.threads == 1 else 2)
    tf.random.set_seed(0)
    B = w["batch"]
    xn, yn = common.data(w)
    nb = w["rows"] // B
    X = tf.constant(xn[:nb * B].reshape((nb, B) + w["shape"]))
    Y = tf.constant(yn[:nb * B].reshape(nb, B))
    _ = float(tf.reduce_sum(X[0]))
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit = variant.endswith("_jit")

    def make_step():
        model = build(a.workload, w, a.quantized)
        opt = tf.keras.optimizers.Adam(1e-3)
        opt.build(model.trainable_variables)

        def step(x, y):
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(x, training=True))
            v = model.trainable_variables
            opt.apply_gradients(zip(tape.gradient(loss, v), v))
            return loss
        return model, step

    out = dict(workload=a.workload, framework="qkeras" if a.quantized else "keras", version=ver, threads=a.threads,
               batch=B, quantized=a.quantized, variant=a.variant, import_s=round(import_s, 2))
    if variant.startswith("fn"):
        xs = [X[i] for i in range(nb)]; ys = [Y[i] for i in range(nb)]

        def start():
            model, step = make_step()
            f = tf.function(step, jit_compile=jit)
            float(f(xs[0], ys[0]))
            return model, f
        ck = common.Clock(); model, f = start(); out["build_to_first_step_s"], out["build_to_first_step_cpu_s"] = ck.read()
        pos = [0]

        def run_steps(n):
            i = pos[0]
            for _ in range(n):
                l = f(xs[i], ys[i]); i = (i + 1) % nb
            pos[0] = i
            return float(l)
        secs, steps = common.time_blocks(run_steps)
    elif variant.startswith("loop"):
        def start():
            model, step = make_step()
            inner = tf.function(step, jit_compile=True) if jit else step

            @tf.function(input_signature=[tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)])
            def f(first, n):
                loss = tf.constant(0.0)
                for i in tf.range(n):
                    j = (first + i) % nb
                    loss = inner(tf.ensure_shape(X[j], (B,) + w["shape"]), tf.ensure_shape(Y[j], (B,)))
                return loss
            float(f(0, 1))
            return model, f
        ck = common.Clock(); model, f = start(); out["build_to_first_step_s"], out["build_to_first_step_cpu_s"] = ck.read()
        pos = [0]

        def run_steps(n):
            l = float(f(pos[0], n)); pos[0] = (pos[0] + n) % nb
            return l
        secs, steps = common.time_blocks(run_steps)
    else:
        spe = 32 if "spe" in variant else 1
        ds = tf.data.Dataset.from_tensor_slices((xn[:nb * B], yn[:nb * B])).batch(B, drop_remainder=True).cache().repeat()
        o = tf.data.Options(); o.threading.private_threadpool_size = 1; ds = ds.with_options(o)
        ds = ds.prefetch(2)

        class First(tf.keras.callbacks.Callback):
            t = None
            def __init__(self, ck):
                self.ck = ck
            def on_train_batch_end(self, b, logs=None):
                if self.t is None:
                    self.t = self.ck.read()

        def start():
            ck = common.Clock()
            model = build(a.workload, w, a.quantized)
            model.compile(optimizer=tf.keras.optimizers.Adam(1e-3), loss=loss_fn, steps_per_execution=spe, jit_compile=jit or None)
            cb = First(ck)
            model.fit(ds, steps_per_epoch=spe, epochs=1, verbose=0, callbacks=[cb])
            return model, cb.t
        model, b = start(); out["build_to_first_step_s"], out["build_to_first_step_cpu_s"] = b

        class Ep(tf.keras.callbacks.Callback):
            ts = []
            def on_epoch_end(self, e, logs=None):
                self.ts.append((time.perf_counter(), time.process_time()))
        # warm + calibrate
        n = 4 * spe
        model.fit(ds, steps_per_epoch=n, epochs=1, verbose=0)
        Ep.ts = []; model.fit(ds, steps_per_epoch=n, epochs=4, verbose=0, callbacks=[Ep()])
        per = (Ep.ts[-1][1] - Ep.ts[-2][1]) / n
        steps = max(spe, int(0.4 / per) // spe * spe)
        Ep.ts = []
        model.fit(ds, steps_per_epoch=steps, epochs=8, verbose=0, callbacks=[Ep()])
        secs = [((q[0] - p[0]) / steps, (q[1] - p[1]) / steps) for p, q in zip(Ep.ts, Ep.ts[1:])]
    common.summarise(out, secs, B, steps)
    out["params"] = int(sum(np.prod(v.shape) for v in model.trainable_variables))
    out["params_total"] = int(model.count_params())
    out["peak_rss_mb"] = common.peak_rss_mb()
    # the same spec again in the same process: the cost per candidate of a search
    rb = []
    t_all = time.perf_counter()
    while len(rb) < 3 and time.perf_counter() - t_all < 5:
        tf.keras.backend.clear_session()
        ck = common.Clock()
        start()
        rb.append(ck.read())
    out["rebuild_to_first_step_s"], out["rebuild_to_first_step_cpu_s"] = [sorted(c)[len(rb) // 2] for c in zip(*rb)]
    print(json.dumps(out), flush=True)


if a.exchange:
    exchange(a)
elif a.variant:
    child(a)
else:
    argv = ["--workload", a.workload, "--threads", str(a.threads)] + (["--quantized"] if a.quantized else []) + (["--no-affinity"] if a.no_affinity else [])
    common.run_variants(os.path.abspath(__file__), argv, a.variants.split(","))

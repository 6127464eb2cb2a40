"""Writes tests/golden/optuna: a journal by Optuna itself, and what Optuna reads in it.

Run: python write_golden.py (needs the package optuna). Written with Optuna 5.0.0.
"""

import json
import pathlib
import random
import uuid

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)
folder = pathlib.Path(__file__).parent.parent / "golden" / "optuna"
folder.mkdir(parents=True, exist_ok=True)
path = folder / "journal.log"
path.unlink(missing_ok=True)
random.seed(1)
storage = JournalStorage(JournalFileBackend(str(path)))
sampler = optuna.samplers.RandomSampler(seed=1)
gone = optuna.create_study(storage=storage, study_name="gone", sampler=sampler)
gone.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
two = optuna.create_study(storage=storage, study_name="two", directions=["minimize", "maximize"], sampler=sampler)
two.set_metric_names(["loss", "size"])
two.set_user_attr("note", {"a": [1, None, "NaN \"quoted\" ü"]})
optuna.delete_study(storage=storage, study_name="gone")
one = optuna.create_study(storage=storage, study_name="one", sampler=sampler)


def objective(trial):
    x = trial.suggest_float("x", 1e-4, 1e-1, log=True)
    y = trial.suggest_float("y", -1.0, 1.1, step=0.25)
    bits = trial.suggest_int("bits", 2, 9, step=2)
    width = trial.suggest_int("width", 1, 64, log=True)
    act = trial.suggest_categorical("act", [None, True, 3, 2.5, "relu"])
    trial.set_user_attr("act", str(act))
    trial.set_constraint("fits", bits - 6.0)
    return x + y, float(width)


two.enqueue_trial({"x": 0.01, "act": "relu"})
two.optimize(objective, n_trials=3)
two.enqueue_trial({"x": 0.02})
running = two.ask()
running.suggest_float("x", 1e-4, 1e-1, log=True)
two.enqueue_trial({"bits": 4})
try:
    two.optimize(lambda t: 1 / 0, n_trials=1)
except ZeroDivisionError:
    pass
two.enqueue_trial({"bits": 6})


def pruned(trial):
    trial.report(2.0, 0)
    trial.report(float("nan"), 1)
    trial.report(float("-inf"), 2)
    trial.report(1.0, 3)
    raise optuna.TrialPruned


one.optimize(pruned, n_trials=1)
one.optimize(lambda t: float("inf"), n_trials=1)
one.optimize(lambda t: float("nan"), n_trials=1)
one.add_trial(
    create_trial(
        state=TrialState.COMPLETE,
        value=0.5,
        params={"r": 0.25, "n": 3, "c": "b"},
        distributions={
            "r": FloatDistribution(0, 1),
            "n": IntDistribution(1, 8),
            "c": CategoricalDistribution(["a", "b"]),
        },
        intermediate_values={1: 0.75, 2: 0.5},
        system_attrs={"constraints": [-1.0, 0.5]},
    )
)


def plain(value):
    """NaN and infinities as words, since JSON has none."""
    return value if value is None or abs(value) < float("inf") else {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")


def summary(study):
    return {
        "name": study.study_name,
        "directions": [int(d) for d in study.directions],
        "user_attributes": study.user_attrs,
        "metric_names": study.metric_names,
        "trials": [
            {
                "number": t.number,
                "state": int(t.state),
                "values": t.values and [plain(v) for v in t.values],
                "params": t.params,
                "user_attributes": t.user_attrs,
                "constraints": list(t.constraints.values()) if t.constraints else [],
                "intermediate_values": {k: plain(v) for k, v in t.intermediate_values.items()},
                "start": t.datetime_start and t.datetime_start.isoformat(timespec="microseconds"),
            }
            for t in study.trials
        ],
    }


fresh = JournalStorage(JournalFileBackend(str(path)))
studies = [optuna.load_study(study_name=name, storage=fresh) for name in ["two", "one"]]
expected = {"optuna": optuna.__version__, "studies": [summary(s) for s in studies]}
(folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")

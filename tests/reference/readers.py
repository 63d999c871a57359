"""Reads what `zoo export` writes with the programs that it is for: tensorboard, pandas, duckdb, and the notebook.

    python readers.py PATH_OF_ZOO PATH_OF_NOTEBOOK       in a folder with runs/

Needs tensorboard, pandas, duckdb and matplotlib. tests/export.rs calls it where they are installed.
"""

import json
import pathlib
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import duckdb
import pandas
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def export(zoo, kind, folder):
    subprocess.run([zoo, "export", "all", "--to", kind, folder], check=True, stdout=subprocess.DEVNULL)


def main(zoo, notebook):
    for kind, folder in [("tensorboard", "py-events"), ("csv", "tables"), ("jsonl", "py-jsonl")]:
        export(zoo, kind, folder)
    runs = pandas.read_csv("tables/runs.csv")
    metrics = pandas.read_csv("tables/metrics.csv")
    assert len(runs) > 0 and set(metrics.run) <= set(runs.run)

    # The same rows in both formats.
    lines = [json.loads(line) for line in open("py-jsonl/metrics.jsonl")]
    assert len(lines) == len(metrics)
    assert (pandas.DataFrame(lines).loss == metrics.loss).all()
    assert duckdb.sql("SELECT count(*) FROM 'tables/metrics.csv'").fetchall()[0][0] == len(metrics)
    assert duckdb.sql("SELECT count(*) FROM 'py-jsonl/runs.jsonl'").fetchall()[0][0] == len(runs)

    # Every scalar of every line comes back from the event files.
    for run, lines in metrics.groupby("run"):
        events = EventAccumulator(str(pathlib.Path("py-events") / run), size_guidance={"scalars": 0}).Reload()
        loss = events.Scalars("loss")
        assert [event.step for event in loss] == list(lines.step), run
        assert all(abs(event.value - value) <= 1e-6 * abs(value) for event, value in zip(loss, lines.loss)), run
        bits = runs[runs.run == run].bits_per_param.iloc[0]
        if bits == bits:
            assert abs(events.Scalars("measured/bits_per_param")[0].value - bits) <= 1e-6 * max(1.0, abs(bits))

    names = {}
    for cell in json.load(open(notebook))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["runs"]) == len(runs)
    print(f"{len(runs)} runs and {len(metrics)} lines of metrics read back")


main(*sys.argv[1:])

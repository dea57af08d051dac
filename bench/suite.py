"""Runs the benchmarks, op rows and whole search steps, in interleaved rounds with PyTorch; see script/bench.

A round runs every side of a workload once, on the same architectures, in an order that is reversed every second
round. It is void, and repeated, where other processes took more than 5 % of the machine or the FMA loop of our
program fell below 93 % of the best of the run: ratios are medians over the rounds that count.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys

import report

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEER = os.path.join(ROOT, "bench", "peer")
BUILD = os.environ.get("ENAS_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, PEER)
import common  # noqa: E402

FOREIGN, PEAK = 0.05, 0.93  # a round counts up to / from these


class Workload:
    """One row of the table: what our step_bench and the peer program are asked for."""

    def __init__(self, name, space, phase, ours, peer, peer_rate, archs):
        self.name, self.space, self.phase, self.ours, self.peer = name, space, phase, ours, peer
        self.peer_rate, self.archs = peer_rate, archs

    @property
    def unit(self):
        return {"controller": "steps/s"}.get(self.phase, "tokens/s" if self.space == "rnn" else "images/s")


def rnn_texts(rng, nodes, count):
    """Uniform cells as "enas1: f0 (j f)*" with f0 = tanh; `nodes` after node 0."""
    return ["enas1: 0 " + " ".join("%d %d" % (rng.randrange(n), rng.randrange(4)) for n in range(1, nodes + 1))
            for _ in range(count)]


def micro_texts(rng, nodes, count):
    cell = lambda: " ".join("%d %d %d %d" % (rng.randrange(n + 2), rng.randrange(5), rng.randrange(n + 2),
                                             rng.randrange(5)) for n in range(nodes))
    return [cell() + " " + cell() for _ in range(count)]


def macro_texts(rng, layers, count):
    """Skips at the rate that the controller is drawn to, 0.4."""
    layer = lambda k: " ".join([str(rng.randrange(6))] + [str(int(rng.random() < 0.4)) for _ in range(k)])
    return [" ".join(layer(k) for k in range(layers)) for _ in range(count)]


def step_rate(key):
    return lambda row, batch: row[key]


def reward_rate(row, units):
    """Forward passes a second from the controller's full step less the controller alone."""
    return units / (1 / row["controller_full_per_s"] - 1 / row["controller_alone_per_s"])


def workloads(archs):
    """All rows. PyTorch's --nodes counts node 0 too, ours does not."""
    rng = random.Random(1)
    rows = []

    def add(name, space, sizes, peer_sizes, texts, units):
        path = os.path.join(archs, name.replace(" ", "_") + ".txt")
        with open(path, "w") as f:
            f.write("\n".join(texts) + "\n")
        program = os.path.join(PEER, "enas_ptb.py" if space == "rnn" else "enas_cifar.py")
        ours = ["--space", space] + sizes + ["--archs", path]
        peer = [program] + peer_sizes + ["--archs", path, "--steps", str(len(texts))]
        shared = step_rate("tokens_s" if space == "rnn" else "images_s")
        for phase, rate in (("shared", shared), ("reward", reward_rate), ("controller", step_rate("controller_alone_per_s"))):
            row = Workload("%s, %s" % (name, phase), space, phase, ours, peer, rate, len(texts))
            row.units = units
            rows.append(row)

    def rnn(hidden, nodes, batch, count):
        sizes = ["--hidden", str(hidden), "--batch", str(batch), "--bptt", "35"]
        add("rnn H%d N%d B%d" % (hidden, nodes, batch), "rnn",
            sizes + ["--nodes", str(nodes), "--share", "edge", "--controller-hidden", "100"],
            sizes + ["--nodes", str(nodes + 1), "--controller-hidden", "100"], rnn_texts(rng, nodes, count), 35 * batch)

    def cifar(space, filters, batch, texts):
        sizes = ["--filters", str(filters), "--batch", str(batch)]
        add("%s F%d B%d" % (space, filters, batch), space, sizes, ["--space", space, "--layout", "nhwc"] + sizes, texts,
            batch)

    rnn(1000, 11, 64, 3)
    rnn(200, 9, 128, 6)
    cifar("micro", 20, 64, micro_texts(rng, 5, 6))
    cifar("macro", 36, 64, macro_texts(rng, 12, 6))
    return rows


class Side:
    """Ours, or one form of one PyTorch: {workload group: result of one process}."""

    def __init__(self, label, python=None, fast=False):
        self.label, self.python, self.fast = label, python, fast

    def run(self, row, threads, seconds, cache):
        if self.python is None:
            argv = [os.path.join(BUILD, "step_bench"), "--json", "--phase", row.phase, "--threads", str(threads),
                    "--seconds", str(seconds)] + row.ours
            got = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)
            got["value"] = next(got[k] for k in ("tokens_per_s", "images_per_s", "steps_per_s") if k in got)
            return got
        key = (self.label, tuple(row.peer))  # one process of the peer measures all three phases
        if key not in cache:
            args = row.peer[1:] + ["--child", "--threads", str(threads)] + (["--fast"] if self.fast else [])
            cache[key] = common.spawn(row.peer[0], args, threads, self.python)
        got = cache[key]
        return {"value": row.peer_rate(got, row.units), "peak_rss_mib": got["peak_mib"], "base_rss_mib": got["base_mib"]}


def torch_version(python):
    got = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, universal_newlines=True)
    return got.stdout.strip() if got.returncode == 0 else None


def sides_of(args):
    sides = [Side("enas")]
    for python in args.torch:
        version = torch_version(python)
        if version is None:
            print("bench: %s cannot import torch: left out" % python, file=sys.stderr)
            continue
        label = "torch " + version.split("+")[0]
        sides.append(Side(label, python))
        if tuple(int(v) for v in label[6:].split(".")[:2]) >= (2, 4):
            sides.append(Side(label + " --fast", python, True))
    return sides


def run_steps(args, sides, archs, result, save):
    """result[workload] = {unit, rounds: [{side: {value, ...}, foreign, void}]}; groups of one network share a round."""
    rows = [r for r in workloads(archs) if not args.only or any(o in r.name for o in args.only)]
    groups = {}
    for r in rows:
        groups.setdefault(tuple(r.peer), []).append(r)
    for group in groups.values():
        result.update({r.name: {"unit": r.unit, "phase": r.phase, "rounds": []} for r in group})
        best, good, made = 0.0, 0, 0
        while good < args.rounds and made < 3 * args.rounds:
            order = sides if made % 2 == 0 else sides[::-1]
            cache, seen, foreign = {}, {r.name: {} for r in group}, {s.label: 0.0 for s in sides}
            for side in order:
                for r in group:
                    with common.Foreign() as others:
                        seen[r.name][side.label] = side.run(r, args.threads, args.seconds, cache)
                    foreign[side.label] = max(foreign[side.label], round(others.share, 3))
            peak = min(v["enas"]["fma_peak_gflops"] for v in seen.values())
            best = max(best, peak)
            void = max(foreign.values()) > FOREIGN or peak < PEAK * best
            for r in group:
                result[r.name]["rounds"].append(dict(sides=seen[r.name], foreign=foreign, void=void))
            made, good = made + 1, good + (not void)
            print("bench: %s round %d%s" % (group[0].name.split(",")[0], made, ", void" if void else ""), file=sys.stderr)
            for r in group:
                print("   %-28s %s" % (r.name, "  ".join("%s %.5g" % (k, v["value"]) for k, v in seen[r.name].items())),
                      file=sys.stderr)
        save()


def op_times(program, args):
    """{row: ns} of a Google Benchmark program, each row run once."""
    argv = [os.path.join(BUILD, program), "--benchmark_format=json"]
    argv += ["--benchmark_filter=" + args.filter] if args.filter else []
    argv += ["--threads", "1"] if program == "op_bench" else []
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    # A program without a row for the filter says so and prints nothing.
    sys.stderr.write("".join(s for s in done.stderr.splitlines(True) if not s.startswith("Failed to match any benchmarks")))
    done.check_returncode()
    got = json.loads(done.stdout) if done.stdout.strip() else {"benchmarks": []}
    scale = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    return {b["run_name"]: b["real_time"] * scale[b["time_unit"]] for b in got["benchmarks"]}


def peer_op_times(side, rows):
    """{row: ns} of ops.py for these rows of report.OPS: the faster of its layouts."""
    only = sorted({case for row in rows for case in report.OPS[row]})
    argv = ["--child", "1", "--rounds", "1", "--batches"] + [str(n) for n in report.BATCHES]
    got = common.spawn(os.path.join(PEER, "ops.py"), argv + ["--only"] + only, 1, side.python)["cases"]
    found = {}
    for row in rows:
        ways = {"backward": ["bwd"], "both": ["fwd", "bwd"]}.get(row.split("/")[-1], ["fwd"])
        times = [sum(got[c][way][0] for way in ways) for c in report.OPS[row] if all(map(got.get(c, {}).get, ways))]
        if times:
            found[row] = 1e9 * min(times)
    return found


def run_ops(sides, args):
    """Rows of op_bench and tape_bench, and of ops.py for those that report.OPS pairs, in turn, args.rounds times."""
    ours, peers = {}, {}
    for index in range(args.rounds):
        times = {}
        for program in ("op_bench", "tape_bench"):
            times.update(op_times(program, args))
        if not times:
            print("bench: --filter %s matches no row of op_bench or tape_bench" % args.filter, file=sys.stderr)
            sys.exit(2)
        for row, ns in times.items():
            ours.setdefault(row, []).append(ns)
        rows = [row for row in report.OPS if report.op_row(times, row)]
        for side in sides[1:] if rows else []:
            if not side.fast:
                for row, ns in peer_op_times(side, rows).items():
                    peers.setdefault(row, {}).setdefault(side.label, []).append(ns)
        print("ops: round %d of %d" % (index + 1, args.rounds), flush=True)
    spread = lambda v: [min(v), statistics.median(v), max(v)]
    return ({row: spread(v) for row, v in ours.items()},
            {row: {label: spread(v) for label, v in found.items()} for row, found in peers.items()})


def machine():
    with open("/proc/cpuinfo") as f:
        name = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "unknown")
    return {"cpu": name, "cores": len(os.sched_getaffinity(0))}


def save(result, folder):
    """bench.json, bench.md and bench.svg of what is measured so far."""
    for name, text in (("json", json.dumps(result, indent=1) + "\n"), ("md", report.markdown(result)), ("svg", report.svg(result))):
        path = os.path.join(folder, "bench." + name)
        with open(path + ".new", "w") as f:
            f.write(text)
        os.replace(path + ".new", path)


def main():
    p = argparse.ArgumentParser(prog="script/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(ROOT, "docs", "results"), help="folder of bench.json, bench.md, bench.svg")
    p.add_argument("--torch", action="append", metavar="PYTHON", help="an interpreter with torch (default /usr/bin/python3); "
                   "repeat it for several. Its --fast form is run too from 2.4 on")
    p.add_argument("--rounds", type=int, default=5, help="rounds that count, for each workload (default 5)")
    p.add_argument("--seconds", type=float, default=8, help="of our step_bench in a round, at least one pass over the "
                   "architectures (default 8)")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of the steps (default: all cores); "
                   "op rows have one")
    p.add_argument("--only", action="append", help="workloads whose name contains this; may be repeated")
    p.add_argument("--filter", default="", help="op rows: --benchmark_filter")
    p.add_argument("--skip", action="append", default=[], choices=["ops", "steps"])
    p.add_argument("--compare", metavar="OLD.json", help="print what changed since OLD.json; with --with NEW.json nothing runs")
    p.add_argument("--with", dest="new", metavar="NEW.json")
    args = p.parse_args()
    if args.compare and args.new:
        print(report.compare(report.load(args.compare), report.load(args.new)))
        return
    old = report.load(args.compare) if args.compare else None
    args.torch = args.torch or ["/usr/bin/python3"]
    os.makedirs(args.out, exist_ok=True)
    sides = sides_of(args)
    result = {"format": "enas-bench/1", "machine": machine(), "threads": args.threads, "sides": [s.label for s in sides],
              "commit": subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE,
                                       universal_newlines=True).stdout.strip(), "ops": {}, "peer_ops": {}, "steps": {}}
    if "steps" not in args.skip:
        archs = os.path.join(common.CACHE, "archs")
        os.makedirs(archs, exist_ok=True)
        run_steps(args, sides, archs, result["steps"], lambda: save(result, args.out))
    if "ops" not in args.skip:
        result["ops"], result["peer_ops"] = run_ops(sides, args)
    save(result, args.out)
    print("bench: bench.json, bench.md, bench.svg in " + args.out)
    if old:
        print(report.compare(old, result))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""oneDNN's product with packed weights (torch >= 2.4) beside ours and the FMA loop, in turn.

    DIR/bin/python packed_linear.py --gemm-bench ../../build/gemm_bench --threads 2 --rounds 9

Each round runs gemm_bench once (FMA loop, our packed product, OpenBLAS) and then the same product here:
M x K by a list of K x N weights used one after another, as in a recurrent step, and by a single one, which
stays in the caches.  Shares are of the round's FMA loop; prints the median of the rounds and their range, without
rounds in which that loop dropped.  Runs in the environment of the `--fast` programs (common.py).
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

import common


def ours(args):
    plain = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "GLIBC_TUNABLES")}
    out = subprocess.run([args.gemm_bench, "--threads", str(args.threads), "--rounds", "1", "--shape", args.shape],
                         check=True, capture_output=True, text=True, env=plain).stdout
    cells = [c.strip() for c in out.strip().splitlines()[-2].split("|")]
    return float(cells[3]), float(cells[4])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--gemm-bench", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--matrices", type=int, default=12)
    p.add_argument("--shape", default="64x1000x2000")
    args = p.parse_args()
    if "PEER_CHILD" not in os.environ:  # LD_PRELOAD counts from the start of a process
        env = dict(os.environ, PEER_CHILD="1", OMP_NUM_THREADS=str(args.threads))
        os.execve(sys.executable, [sys.executable] + sys.argv, dict(env, **common.fast_env(env)))
    import torch

    torch.set_num_threads(args.threads)
    m, k, n = map(int, args.shape.split("x"))
    reorder, linear = torch.ops.mkldnn._reorder_linear_weight, torch.ops.mkldnn._linear_pointwise
    with torch.no_grad():
        x = torch.rand(m, k) - 0.5
        plain = [torch.rand(n, k) - 0.5 for _ in range(args.matrices)]
        packed = [reorder(w, m) for w in plain]
        flop = 2.0 * m * k * n
        error = (linear(x, packed[0], None, "none", [], "") - x @ plain[0].t()).abs().max().item()
        assert error < 1e-2, error

        def rate(weights):
            def once():
                for w in weights:
                    linear(x, w, None, "none", [], "")

            once()
            repeats = max(1, int(4e10 / flop / len(weights)))
            start = time.perf_counter()
            for _ in range(repeats):
                once()
            return flop * len(weights) * repeats / (time.perf_counter() - start) / 1e9

        rows = {"FMA loop": [], "ours": [], "oneDNN, %d weights" % args.matrices: [], "oneDNN, 1 weight": []}
        for _ in range(args.rounds):
            peak, mine = ours(args)
            for name, value in zip(rows, (peak, mine, rate(packed), rate(packed[:1]))):
                rows[name].append((value, value / peak))
    print("torch %s, %s, %d threads" % (torch.__version__, args.shape, args.threads))
    best = max(v for v, _ in rows["FMA loop"])
    kept = [i for i, (v, _) in enumerate(rows["FMA loop"]) if v >= 0.95 * best]
    print("%d of %d rounds" % (len(kept), args.rounds))
    for name, all_values in rows.items():
        values = [all_values[i] for i in kept]
        shares = sorted(s for _, s in values)
        print("%-20s %6.1f GFLOP/s  %.2f of the FMA loop (%.2f to %.2f)" % (
            name, statistics.median(v for v, _ in values), statistics.median(shares), shares[0], shares[-1]))


if __name__ == "__main__":
    main()

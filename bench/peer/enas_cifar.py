#!/usr/bin/python3
"""ENAS on CIFAR-shaped synthetic data in PyTorch: the peer for the search step.

    /usr/bin/python3 enas_cifar.py --space micro --rounds 3 --out out/cifar_micro.json

Shared training step: an architecture is sampled, the sampled subgraph alone is run
forward and backward on one batch, gradients are clipped to norm 5 and Nesterov SGD is
applied to the parameters that took part.  Controller step: sample, reward = accuracy
of one validation batch, REINFORCE with a moving baseline, Adam.
Architectures are drawn from a fixed seed, or read from --archs, so that another engine is
timed on the same ones.
"""
import argparse
import json
import statistics
import sys
import time

import common

MICRO_OPS = ["sep3", "sep5", "avg", "max", "id"]
MACRO_OPS = ["conv3", "sep3", "conv5", "sep5", "avg", "max"]


def build(args, torch):
    import torch.nn as nn
    import torch.nn.functional as F

    def conv(cin, cout, k, groups=1, stride=1):
        return nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=False)

    class Reduce(nn.Module):
        """Halves the image: two offset stride-2 1x1 convolutions side by side."""

        def __init__(self, cin, cout):
            super().__init__()
            self.a, self.b = conv(cin, cout // 2, 1, stride=2), conv(cin, cout - cout // 2, 1, stride=2)
            self.bn = nn.BatchNorm2d(cout)

        def forward(self, x):
            # Strided convolutions, not strided slices: the slices' backward fills whole tensors.
            return self.bn(torch.cat((self.a(x), self.b(F.pad(x, (-1, 1, -1, 1)))), 1))

    class Sep(nn.Module):
        """relu, depthwise, pointwise, batch norm; `stack` times."""

        def __init__(self, c, k, stack):
            super().__init__()
            self.parts = nn.ModuleList(nn.ModuleList([conv(c, c, k, c), conv(c, c, 1), nn.BatchNorm2d(c)]) for _ in range(stack))

        def forward(self, x):
            for dw, pw, bn in self.parts:
                x = bn(pw(dw(F.relu(x))))
            return x

    class Squeeze(nn.Module):
        """relu, 1x1 convolution, batch norm."""

        def __init__(self, cin, cout):
            super().__init__()
            self.c, self.bn = conv(cin, cout, 1), nn.BatchNorm2d(cout)

        def forward(self, x):
            return self.bn(self.c(F.relu(x)))

    def pool(name, x):
        if name == "avg":
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return F.max_pool2d(x, 3, 1, 1)

    class MicroCell(nn.Module):
        """Every node, side and possible input has its own separable convolutions."""

        def __init__(self, c0, c1, halve0, c, nodes):
            super().__init__()
            self.nodes, self.c = nodes, c
            self.pre0 = Reduce(c0, c) if halve0 else (Squeeze(c0, c) if c0 != c else None)
            self.pre1 = Squeeze(c1, c) if c1 != c else None
            self.sep = nn.ModuleDict({
                "%d%s%d_%d" % (n, side, i, k): Sep(c, k, 2)
                for n in range(nodes) for side in "xy" for i in range(n + 2) for k in (3, 5)})
            self.out = nn.ParameterList([nn.Parameter(torch.randn(c, c, 1, 1) * 0.05) for _ in range(nodes + 2)])
            self.bn = nn.BatchNorm2d(c)

        def side(self, n, side, i, op, x):
            if op < 2:
                return self.sep["%d%s%d_%d" % (n, side, i, (3, 5)[op])](x)
            return x if op == 4 else pool(MICRO_OPS[op], x)

        def forward(self, a, b, arch):
            h = [self.pre0(a) if self.pre0 else a, self.pre1(b) if self.pre1 else b]
            used = set()
            for n in range(self.nodes):
                i, oi, j, oj = arch[4 * n:4 * n + 4]
                used |= {i, j}
                h.append(self.side(n, "x", i, oi, h[i]) + self.side(n, "y", j, oj, h[j]))
            loose = [k for k in range(len(h)) if k not in used]
            w = torch.cat([self.out[k] for k in loose], 1)
            return self.bn(F.conv2d(F.relu(torch.cat([h[k] for k in loose], 1)), w))

    class Micro(nn.Module):
        def __init__(self):
            super().__init__()
            c, third = args.filters, args.layers // 3
            self.reduces = (third, 2 * third + 1)
            self.stem, self.stem_bn = conv(3, 3 * c, 3), nn.BatchNorm2d(3 * c)
            self.cells, self.down = nn.ModuleList(), nn.ModuleDict()
            c0 = c1 = 3 * c
            halve = False
            for layer in range(args.layers + 2):
                if layer in self.reduces:
                    self.down[str(layer)] = Reduce(c1, 2 * c)
                    c *= 2
                    c0, c1, halve = c1, c, True
                self.cells.append(MicroCell(c0, c1, halve, c, args.nodes))
                c0, c1, halve = c1, c, False
            self.fc = nn.Linear(c, 10)

        def forward(self, x, arch):
            a = b = self.stem_bn(self.stem(x))
            for layer, cell in enumerate(self.cells):
                if layer in self.reduces:
                    a, b = b, self.down[str(layer)](b)
                a, b = b, cell(a, b, arch[1 if layer in self.reduces else 0])
            return self.fc(F.dropout(F.relu(b).mean((2, 3)), 0.1, self.training))

    class MacroBranch(nn.Module):
        def __init__(self, c, op):
            super().__init__()
            self.op = op
            self.c, self.bn = conv(c, c, 1), nn.BatchNorm2d(c)
            if op[:3] in ("con", "sep"):
                k = int(op[-1])
                self.body = conv(c, c, k) if op.startswith("conv") else nn.Sequential(conv(c, c, k, c), conv(c, c, 1))
                self.bn2 = nn.BatchNorm2d(c)

        def forward(self, x):
            x = F.relu(self.bn(self.c(x)))
            if self.op in ("avg", "max"):
                return pool(self.op, x)
            return F.relu(self.bn2(self.body(x)))

    class Macro(nn.Module):
        def __init__(self):
            super().__init__()
            c, third = args.filters, args.layers // 3
            self.pools = (third - 1, 2 * third - 1)
            self.stem, self.stem_bn = conv(3, c, 3), nn.BatchNorm2d(c)
            self.branches = nn.ModuleList(nn.ModuleList(MacroBranch(c, op) for op in MACRO_OPS) for _ in range(args.layers))
            self.bns = nn.ModuleList(nn.BatchNorm2d(c) for _ in range(args.layers))
            self.down = nn.ModuleDict({str(p): nn.ModuleList(Reduce(c, c) for _ in range(p + 2)) for p in self.pools})
            self.fc = nn.Linear(c, 10)

        def forward(self, x, arch):
            h = [self.stem_bn(self.stem(x))]
            for layer, (op, skips) in enumerate(arch):
                y = self.branches[layer][op](h[-1])
                if layer:
                    for i, s in enumerate(skips):
                        if s:
                            y = y + h[i]
                    y = self.bns[layer](y)
                h.append(y)
                if layer in self.pools:
                    h = [d(t) for d, t in zip(self.down[str(layer)], h)]
            return self.fc(F.dropout(h[-1].mean((2, 3)), 0.1, self.training))

    micro = args.space == "micro"
    ctl = common.controller(torch, F, args.controller_hidden, len(MICRO_OPS if micro else MACRO_OPS), 1.1 if micro else 1.5)

    def sample():
        ctl.begin()
        ctl.kl = 0.0
        if micro:
            both = []
            for _ in range(2):
                cell, keys, anchors = [], [], []
                for _ in range(2):
                    h = ctl.step(ctl.start)
                    anchors.append(torch.zeros_like(h))
                    keys.append(ctl.key(h))
                for _ in range(args.nodes):
                    x, idx = ctl.start, []
                    for _ in range(2):
                        idx.append(ctl.pick_node(x, keys))
                        x = anchors[idx[-1]]
                    ops = []
                    for _ in range(2):
                        op, x = ctl.pick_op(x)
                        ops.append(op)
                    h = ctl.step(x)
                    anchors.append(h)
                    keys.append(ctl.key(h))
                    cell += [idx[0], ops[0], idx[1], ops[1]]
                both.append(cell)
            return both
        arch, keys, anchors, x = [], [], [], ctl.start
        for layer in range(args.layers):
            op, x = ctl.pick_op(x)
            skips = []
            if layer:
                skips = ctl.pick_skips(x, keys)
                on = [a for a, s in zip(anchors, skips) if s]
                x = torch.stack(on).mean(0) if on else ctl.start
            h = ctl.step(x)
            anchors.append(h)
            keys.append(ctl.key(h))
            x = ctl.start
            arch.append((op, skips))
        return arch

    return (Micro if micro else Macro)(), ctl, sample


def parse(text, args):
    """This program's own form of an architecture text (docs/interface.md): the ids are the same."""
    v = [int(w) for w in text.split()]
    if args.space == "micro":
        half = 4 * args.nodes
        if len(v) != 2 * half:
            raise SystemExit("enas_cifar.py: %r has %d integers, expected %d" % (text, len(v), 2 * half))
        return [v[:half], v[half:]]
    arch, at = [], 0
    for layer in range(args.layers):
        arch.append((v[at], v[at + 1:at + 1 + layer]))
        at += 1 + layer
    if len(v) != at:
        raise SystemExit("enas_cifar.py: %r has %d integers, expected %d" % (text, len(v), at))
    return arch


def check(torch, F, net, run, x, y, archs, copy):
    """Loss, gradients and running statistics of the fast step against the plain modules'."""
    keep = copy.deepcopy(net.state_dict())
    drop = F.dropout
    F.dropout = lambda v, *_: v
    for a in archs[:3]:
        got = []
        for f in (net, run):
            net.load_state_dict(keep)
            net.zero_grad(set_to_none=True)
            loss = F.cross_entropy(f(x, a), y)
            loss.backward()
            got.append((loss.item(), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}, {n: b.clone() for n, b in net.named_buffers() if "running" in n}))
        (l0, g0, b0), (l1, g1, b1) = got
        assert set(g0) == set(g1), set(g0) ^ set(g1)
        total = sum(float(v.norm()) ** 2 for v in g0.values()) ** 0.5
        diff = sum(float((g1[n] - v).norm()) ** 2 for n, v in g0.items()) ** 0.5
        stat = max((float((b1[n] - v).norm() / v.norm()), n) for n, v in b0.items())
        print("check: loss %.6f %.6f, gradient difference / norm %.1e, running statistics %.1e (%s)" % (l0, l1, diff / total, stat[0], stat[1]), file=sys.stderr, flush=True)
    F.dropout = drop
    net.load_state_dict(keep)
    net.zero_grad(set_to_none=True)


def child(args):
    import copy

    import torch
    import torch.nn.functional as F

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    tick = common.clock(args.threads)
    base = common.peak_mib()
    net, ctl, sample = build(args, torch)
    fmt = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
    net = net.to(memory_format=fmt)
    opt = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
    copt = torch.optim.Adam(ctl.parameters(), 0.0035, betas=(0.0, 0.999), eps=1e-3)
    x = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=fmt)
    y = torch.randint(10, (args.batch,))
    with torch.no_grad():
        archs = [sample() for _ in range(args.steps)]
    if args.archs:
        archs = [parse(text, args) for text in common.architectures(args.archs)]

    compile_s = 0.0
    run = net
    if args.fast:
        import fast_cifar
        run = lambda x, arch: (fast_cifar.micro if args.space == "micro" else fast_cifar.macro)(net, x, arch)
        opt = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True)
        for p in net.parameters():    # zero momentum to begin with: the fused kernel wants every buffer
            opt.state[p]["momentum_buffer"] = torch.zeros_like(p)
        everything = list(net.parameters())
        if args.check:
            check(torch, F, net, run, x, y, archs, copy)
        t = time.perf_counter()
        with torch.no_grad():
            warm = archs + [sample() for _ in range(12)]
        keep = copy.deepcopy(net.state_dict())
        for a in warm:
            F.cross_entropy(run(x, a), y).backward()
        net.zero_grad(set_to_none=True)
        net.load_state_dict(keep)
        del keep, warm
        compile_s = time.perf_counter() - t

    def shared(arch):
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(run(x, arch), y)
        loss.backward()
        if args.fast:
            torch.nn.utils.clip_grad_norm_([p for p in everything if p.grad is not None], 5.0, foreach=True)
        else:
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()
        return loss

    for a in archs[:2]:
        shared(a)
    each, wall = [], time.perf_counter()
    for a in archs:
        t = tick()
        with torch.no_grad():
            sample()
        shared(a)
        each.append(tick() - t)
    wall = time.perf_counter() - wall
    peak = common.peak_mib()

    baseline = 0.0

    def control(reward_of):
        nonlocal baseline
        arch = sample()
        reward = reward_of(arch) + 1e-4 * float(ctl.entropy)
        baseline += 0.01 * (reward - baseline)
        copt.zero_grad()
        (-ctl.logp * (reward - baseline) + 0.8 * ctl.kl).backward()
        copt.step()

    def accuracy(arch):
        with torch.no_grad():
            return float((run(x, arch).argmax(1) == y).float().mean())

    def rate(n, fn):
        fn()
        t = tick()
        for _ in range(n):
            fn()
        return (tick() - t) / n

    alone = rate(20, lambda: control(lambda a: 0.5))
    full = rate(args.repeats, lambda: control(accuracy))
    with torch.no_grad():
        only = rate(20, sample)
    print(json.dumps(dict(
        images_s=round(args.batch * len(each) / sum(each), 2), ms_step_med=round(statistics.median(each) * 1e3, 2),
        ms_step_min=round(min(each) * 1e3, 2), ms_step_max=round(max(each) * 1e3, 2), wall_images_s=round(args.batch * len(each) / wall, 2),
        controller_alone_per_s=round(1 / alone, 2), controller_full_per_s=round(1 / full, 3), sample_only_per_s=round(1 / only, 2),
        compile_s=round(compile_s, 1), peak_mib=round(peak), base_mib=round(base), params_m=round(sum(p.numel() for p in net.parameters()) / 1e6, 3))))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--space", choices=["micro", "macro"], default="micro")
    p.add_argument("--layers", type=int)
    p.add_argument("--filters", type=int)
    p.add_argument("--nodes", type=int, default=5)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--controller-hidden", type=int, default=64)
    p.add_argument("--threads", type=int, default=0, help="0: both 1 and 2")
    p.add_argument("--layout", choices=["nchw", "nhwc"], default=None, help="default: both")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--out", default="")
    p.add_argument("--archs", help="file of architecture texts, one a line, in place of sampled ones")
    p.add_argument("--repeats", type=int, default=5, help="controller steps with reward to time")
    p.add_argument("--fast", action="store_true", help="fast_cifar.py's pieces, compiled regions, best environment (torch >= 2.4, nhwc)")
    p.add_argument("--check", action="store_true", help="with --fast: compare loss and gradients with the plain program first")
    p.add_argument("--child", action="store_true")
    args = p.parse_args()
    args.layers = args.layers or (6 if args.space == "micro" else 12)
    args.filters = args.filters or (20 if args.space == "micro" else 36)
    if args.child:
        return child(args)
    variants = {}
    for t in [args.threads] if args.threads else [1, 2]:
        for fmt in [args.layout] if args.layout else ["nchw", "nhwc"]:
            a = sys.argv[1:] + ["--child", "--threads", str(t), "--layout", fmt]
            variants["%s t%d %s" % (args.space, t, fmt)] = (a, t)
    seen = common.interleave(__file__, variants, args.rounds, args.out or "out/cifar_%s.json" % args.space)
    for t in sorted({v[1] for v in variants.values()}):
        best = max((statistics.median(r["images_s"] for r in rows), k) for k, rows in seen.items() if variants[k][1] == t)
        print("best at %d thread(s): %s, %.1f images/s" % (t, best[1], best[0]))


if __name__ == "__main__":
    main()

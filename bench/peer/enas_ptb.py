#!/usr/bin/python3
"""ENAS for recurrent cells on synthetic tokens in PyTorch: the peer for the RNN search step.

    /usr/bin/python3 enas_ptb.py --rounds 3 --out out/ptb.json

Node 0 reads [x; h]; each later node reads one earlier node through that edge's own
shared matrix.  Every node gates: h + sigmoid(t) (f(u) - h), f one of tanh, relu,
identity, sigmoid.  Loose ends are averaged; the output layer is tied to the embedding;
dropout masks are held over time.  SGD, gradient norm clipped at 10 (all parameters
that took part).  Controller reward: 80 / validation perplexity of one batch.
"""
import argparse
import json
import statistics
import sys
import time

import common


def build(args, torch):
    import torch.nn as nn
    import torch.nn.functional as F

    H, N, V = args.hidden, args.nodes, args.vocab
    acts = [torch.tanh, F.relu, lambda v: v, torch.sigmoid]

    class Child(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Parameter(torch.empty(V, H).uniform_(-0.04, 0.04))
            self.first = nn.Parameter(torch.empty(2 * H, 2 * H).uniform_(-0.04, 0.04))
            self.edge = nn.ParameterDict({
                "%d_%d" % (i, j): nn.Parameter(torch.empty(H, 2 * H).uniform_(-0.04, 0.04)) for j in range(1, N) for i in range(j)})

        def gate(self, u, h, act):
            u, t = u.chunk(2, 1)
            return h + torch.sigmoid(t) * (acts[act](u) - h)

        def forward(self, tokens, h, arch, masks):
            T, B = tokens.shape
            x = F.embedding(tokens, self.emb) * masks[0]
            # The input half of node 0 needs no recurrence, so it is one product.
            wx, wh = self.first[:H], self.first[H:]
            xin = (x.view(T * B, H) @ wx).view(T, B, 2 * H)
            loose = set(range(N)) - {i for i, _ in arch[1:]}
            outs = []
            for t in range(T):
                s = [self.gate(xin[t] + (h * masks[1]) @ wh, h, arch[0][1])]
                for j in range(1, N):
                    i, act = arch[j]
                    s.append(self.gate((s[i] * masks[1]) @ self.edge["%d_%d" % (i, j)], s[i], act))
                h = sum(s[k] for k in sorted(loose)) / len(loose)
                outs.append(h)
            out = torch.stack(outs) * masks[2]
            return out.view(T * B, H) @ self.emb.t(), h.detach()

    ctl = common.controller(torch, F, args.controller_hidden, 4, 2.5, 1.0, 5.0)

    def sample():
        ctl.begin()
        op, x = ctl.pick_op(ctl.start)
        arch, keys, states = [(0, op)], [ctl.key(ctl.state[0])], [ctl.state[0]]
        for _ in range(1, N):
            i = ctl.pick_node(x, keys)
            keys.append(ctl.key(ctl.state[0]))
            op, nxt = ctl.pick_op(states[i])
            states.append(ctl.state[0])
            arch.append((i, op))
            x = nxt
        return arch

    return Child(), ctl, sample


def parse(text, nodes):
    """[(0, f0), (j, f), ...] of "enas1: f0 (j f)*"; the activation ids are this program's own."""
    if not text.startswith("enas1:"):
        raise SystemExit("enas_ptb.py: %r is not an architecture of the form 'enas1: f0 (j f)*'" % text)
    v = [int(w) for w in text[6:].split()]
    if len(v) != 2 * nodes - 1:
        raise SystemExit("enas_ptb.py: %r has %d integers, expected %d for %d nodes" % (text, len(v), 2 * nodes - 1, nodes))
    return [(0, v[0])] + list(zip(v[1::2], v[2::2]))


def check(torch, F, net, fwd, bwd, grads, data, h, archs, masks):
    """The fast step's loss, last state and gradients against autograd's on the plain program."""
    h = torch.randn_like(h) * 0.1
    for arch in archs[:3]:
        m = masks(True)
        net.zero_grad(set_to_none=True)
        logits, last = net(data[:-1], h, arch, m)
        loss = F.cross_entropy(logits, data[1:].reshape(-1))
        loss.backward()
        got, state, ctx = fwd(data[:-1], data[1:].reshape(-1), h, arch, m)
        used = bwd(ctx, arch)
        want = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
        assert set(want) == set(used), (sorted(want), sorted(used))
        rel = lambda a, b: float((a - b).norm() / b.norm())
        worst = max((rel(grads[n], g), n) for n, g in want.items())
        print("check: loss %.7f %.7f, state %.1e, gradients %.1e (%s)" % (float(loss.detach()), float(got), rel(state, last), worst[0], worst[1]), flush=True, file=sys.stderr)
        assert abs(loss.item() - float(got)) < 1e-5 * loss.item() and rel(state, last) < 1e-4 and worst[0] < 1e-2   # a relu at zero may fall either way
    net.zero_grad(set_to_none=True)


def child(args):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    tick = common.clock(args.threads)
    base = common.peak_mib()
    net, ctl, sample = build(args, torch)
    opt = torch.optim.SGD(net.parameters(), 0.25)
    copt = torch.optim.Adam(ctl.parameters(), 0.001)
    T, B, H = args.bptt, args.batch, args.hidden
    data = torch.randint(args.vocab, (T + 1, B))
    with torch.no_grad():
        archs = [sample() for _ in range(args.steps)]
    if args.archs:
        archs = [parse(text, args.nodes) for text in common.architectures(args.archs)]
    hidden = torch.zeros(B, H)
    parts = dict(forward=[], backward=[], update=[])

    def masks(train):
        if not train:
            return 1.0, 1.0, 1.0
        return [torch.empty(B, H).bernoulli_(k) / k for k in (0.75, 0.75, 0.25)]

    compile_s = 0.0
    if args.fast:
        import fast_ptb
        fwd, bwd, upd, warm, grads = fast_ptb.make(args, net, not args.eager, args.rows, args.pack if args.pack >= 0 else args.hidden > 500)
        compile_s = warm(data[:-1], data[1:].reshape(-1), masks(True))
        if args.check:
            check(torch, F, net, fwd, bwd, grads, data, hidden, archs, masks)

    def shared(arch):
        nonlocal hidden
        if args.fast:
            t0 = tick()
            loss, hidden, ctx = fwd(data[:-1], data[1:].reshape(-1), hidden, arch, masks(True))
            t1 = tick()
            used = bwd(ctx, arch)
            t2 = tick()
            upd(used, 0.25)
            t3 = tick()
            for k, v in zip(("forward", "backward", "update"), (t1 - t0, t2 - t1, t3 - t2)):
                parts[k].append(v)
            return
        opt.zero_grad(set_to_none=True)
        t0 = tick()
        logits, hidden = net(data[:-1], hidden, arch, masks(True))
        loss = F.cross_entropy(logits, data[1:].reshape(-1))
        t1 = tick()
        loss.backward()
        t2 = tick()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        opt.step()
        t3 = tick()
        for k, v in zip(("forward", "backward", "update"), (t1 - t0, t2 - t1, t3 - t2)):
            parts[k].append(v)

    shared(archs[0])
    for v in parts.values():
        v.clear()
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
        (-ctl.logp * (reward - baseline)).backward()
        copt.step()

    def reward(arch):
        with torch.no_grad():
            logits, _ = net(data[:-1], torch.zeros(B, H), arch, masks(False))
            return 80.0 / float(F.cross_entropy(logits, data[1:].reshape(-1)).exp())

    def rate(n, fn):
        fn()
        t = tick()
        for _ in range(n):
            fn()
        return (tick() - t) / n

    alone = rate(20, lambda: control(lambda a: 0.5))
    full = rate(args.repeats, lambda: control(reward))
    flop = 6.0 * B * T * (4 * H * H + 2 * H * H * (args.nodes - 1) + args.vocab * H)
    print(json.dumps(dict(
        tokens_s=round(B * T * len(each) / sum(each), 2), ms_step_med=round(statistics.median(each) * 1e3, 1),
        ms_forward=round(statistics.median(parts["forward"]) * 1e3, 1), ms_backward=round(statistics.median(parts["backward"]) * 1e3, 1),
        ms_update=round(statistics.median(parts["update"]) * 1e3, 1), wall_tokens_s=round(B * T * len(each) / wall, 2),
        gflops=round(flop * len(each) / sum(each) / 1e9, 2), controller_alone_per_s=round(1 / alone, 2), controller_full_per_s=round(1 / full, 4),
        compile_s=round(compile_s, 1), peak_mib=round(peak), base_mib=round(base), params_m=round(sum(p.numel() for p in net.parameters()) / 1e6, 2))))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--hidden", type=int, default=1000)
    p.add_argument("--vocab", type=int, default=10000)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--bptt", type=int, default=35)
    p.add_argument("--nodes", type=int, default=12)
    p.add_argument("--steps", type=int, default=2)
    p.add_argument("--controller-hidden", type=int, default=100)
    p.add_argument("--threads", type=int, default=0, help="0: both 1 and 2")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--out", default="out/ptb.json")
    p.add_argument("--archs", help="file of architectures, a line 'enas1: f0 (j f)*' each, in place of sampled ones")
    p.add_argument("--repeats", type=int, default=5, help="controller steps with reward to time")
    p.add_argument("--fast", action="store_true", help="the hand-written step of fast_ptb.py, compiled regions, best environment (torch >= 2.4)")
    p.add_argument("--eager", action="store_true", help="with --fast: the same step without torch.compile")
    p.add_argument("--rows", type=int, default=0, help="with --fast: rows of a block of logits (0: choose)")
    p.add_argument("--pack", type=int, default=-1, help="with --fast: 1 oneDNN products with packed weights, 0 MKL's, -1 choose")
    p.add_argument("--check", action="store_true", help="with --fast: compare loss and gradients with the plain program first")
    p.add_argument("--child", action="store_true")
    args = p.parse_args()
    if args.child:
        return child(args)
    variants = {}
    for t in [args.threads] if args.threads else [1, 2]:
        variants["ptb t%d" % t] = (sys.argv[1:] + ["--child", "--threads", str(t)], t)
    common.interleave(__file__, variants, args.rounds, args.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The recurrent search step in PyTorch on a GPU: the peer of `step_bench --phase shared --device cuda`.

    python3 bench/peer/rnn_step_gpu.py --hidden 200 --nodes 9 --batch 128 --archs FILE [--tf32]

FILE has an architecture a line, "(previous activation)*" with node 0 a fixed tanh, as step_bench takes it.
Two forms of one program, both the same work as step_bench: `eager`, and `graphed` (forward, backward, clip and
update of one architecture captured as a CUDA graph and replayed; captured once for each architecture, capture
not timed). Prints one JSON object; times are medians over steps between synchronisations.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

ACTIVATIONS = [torch.tanh, torch.relu, torch.sigmoid, lambda v: v]  # ids of docs/interface.md


class Child(torch.nn.Module):
    def __init__(self, hidden, nodes, vocabulary):
        super().__init__()

        def matrix(rows, columns):
            return torch.nn.Parameter(torch.empty(rows, columns).uniform_(-0.04, 0.04))

        self.hidden = hidden
        self.table = matrix(vocabulary, hidden)
        self.first = matrix(2 * hidden, 2 * hidden)
        self.edges = torch.nn.ParameterDict(
            {f"{p}_{n}": matrix(hidden, 2 * hidden) for n in range(1, nodes + 1) for p in range(n)})

    def gate(self, product, carry, activation):
        value, gate = product.chunk(2, 1)
        return carry + torch.sigmoid(gate) * (ACTIVATIONS[activation](value) - carry)

    def loss(self, inputs, targets, state, arch, masks):
        steps, batch = inputs.shape
        h = self.hidden
        x = F.embedding(inputs, self.table) * masks[0]
        from_x = (x.view(steps * batch, h) @ self.first[:h]).view(steps, batch, 2 * h)
        loose = sorted(set(range(len(arch) + 1)) - {previous for previous, _ in arch})
        outputs = []
        for t in range(steps):
            nodes = [self.gate(from_x[t] + (state * masks[1]) @ self.first[h:], state, 0)]
            for n, (previous, activation) in enumerate(arch, 1):
                source = nodes[previous]
                nodes.append(self.gate((source * masks[1]) @ self.edges[f"{previous}_{n}"], source, activation))
            state = sum(nodes[n] for n in loose) / len(loose)
            outputs.append(state)
        logits = (torch.stack(outputs) * masks[2]).view(steps * batch, h) @ self.table.t()
        return F.cross_entropy(logits, targets.reshape(-1)), state.detach()


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("hidden", 200), ("nodes", 9), ("batch", 128), ("bptt", 35), ("vocab", 10000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--archs", required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--graphs", type=int, default=4, help="architectures to capture")
    parser.add_argument("--tf32", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = args.tf32
    torch.set_float32_matmul_precision("high" if args.tf32 else "highest")
    device = torch.device("cuda")
    lists = [[int(word) for word in line.split()] for line in open(args.archs) if line.strip()]
    archs = [list(zip(words[0::2], words[1::2])) for words in lists]
    child = Child(args.hidden, args.nodes, args.vocab).to(device)
    sgd = torch.optim.SGD(child.parameters(), 0.25)
    data = torch.randint(args.vocab, (args.bptt + 1, args.batch), device=device)
    state = torch.zeros(args.batch, args.hidden, device=device)

    def masks():
        return [torch.empty(args.batch, args.hidden, device=device).bernoulli_(k) / k for k in (0.75, 0.75, 0.25)]

    def step(arch):
        nonlocal state
        sgd.zero_grad(set_to_none=True)
        loss, after = child.loss(data[:-1], data[1:], state, arch, masks())
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in child.parameters() if p.grad is not None], 10.0)
        sgd.step()
        return loss, after

    def timed(run):
        for warm in range(3):
            run(warm)
        torch.cuda.synchronize()
        each, start = [], time.perf_counter()
        while time.perf_counter() - start < args.seconds:
            begin = time.perf_counter()
            run(len(each))
            torch.cuda.synchronize()
            each.append(time.perf_counter() - begin)
        return each

    def eager(k):
        nonlocal state
        _, state = step(archs[k % len(archs)])

    result = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "tf32": args.tf32}
    tokens = args.batch * args.bptt

    def record(name, each):
        result[name] = {"ms_step_median": 1e3 * statistics.median(each), "steps": len(each),
                        "tokens_per_s": tokens * len(each) / sum(each)}

    record("eager", timed(eager))
    graphs = []
    held = torch.zeros_like(state)
    for arch in archs[:args.graphs]:
        state = held
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                step(arch)
        torch.cuda.current_stream().wait_stream(side)
        sgd.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            _, after = step(arch)
            held.copy_(after)
        graphs.append(graph)
    record("graphed", timed(lambda k: graphs[k % len(graphs)].replay()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

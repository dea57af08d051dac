#!/usr/bin/env python3
"""The convolutional search step in PyTorch on a GPU: the peer of `step_bench --space micro|macro --device cuda`.

    python3 bench/peer/cifar_step_gpu.py --space micro --batch 160 --archs FILE [--tf32] [--fast]

FILE has an architecture a line, as step_bench takes it. Networks, loss, clipping and update are those of
enas_cifar.py, the controller's sample left out. Forms, all of the same work: `nchw` and `nhwc` (eager, by memory
layout), `graphed` (forward, backward, clip and update of one architecture in the faster layout captured as a CUDA
graph and replayed; captured once for each architecture, capture not timed), with --fast in place of these `fast`
(fast_cifar.py's pieces, compiled; compilation not timed). Prints one JSON object; times are medians over steps
between synchronisations. A form that cannot run says why.
"""
import argparse
import copy
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

import common
import enas_cifar


class Step:
    """One search step of each architecture, in a memory layout."""

    def __init__(self, args, layout, device):
        torch.manual_seed(1)
        self.net = enas_cifar.build(args, torch)[0].to(device=device, memory_format=layout).train()
        self.x = torch.randn(args.batch, 3, 32, 32, device=device).contiguous(memory_format=layout)
        self.y = torch.randint(10, (args.batch,), device=device)
        self.run = self.net
        if args.fast:
            import fast_cifar
            piece = fast_cifar.micro if args.space == "micro" else fast_cifar.macro
            self.run = lambda x, arch: piece(self.net, x, arch)
        self.parameters = list(self.net.parameters())
        self.sgd = torch.optim.SGD(self.parameters, 0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)
        for p in self.parameters:  # no buffer is made inside a captured graph
            self.sgd.state[p]["momentum_buffer"] = torch.zeros_like(p)

    def __call__(self, arch):
        self.sgd.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.run(self.x, arch), self.y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.parameters if p.grad is not None], 5.0, foreach=True)
        self.sgd.step()
        return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--space", choices=["micro", "macro"], default="micro")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--filters", type=int)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--archs", required=True)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--graphs", type=int, default=4, help="architectures to capture")
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--device", default="cuda", help="cpu: to try this program itself")
    args = parser.parse_args()
    args.layers = args.layers or (6 if args.space == "micro" else 12)
    args.filters = args.filters or (20 if args.space == "micro" else 36)
    args.controller_hidden = 8  # its sample is not part of this step
    archs = [enas_cifar.parse(text, args) for text in common.architectures(args.archs)]
    device = torch.device(args.device)
    cuda = device.type == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    torch.backends.cudnn.benchmark = True
    result = {"torch": torch.__version__, "gpu": torch.cuda.get_device_name() if cuda else "none", "tf32": args.tf32,
              "space": args.space, "batch": args.batch, "filters": args.filters, "layers": args.layers}

    def wait():
        if cuda:
            torch.cuda.synchronize()

    def timed(run, count):
        for warm in range(2 * count):
            run(warm)
        wait()
        each, start = [], time.perf_counter()
        while time.perf_counter() - start < args.seconds or len(each) % count:
            begin = time.perf_counter()
            run(len(each))
            wait()
            each.append(time.perf_counter() - begin)
        return {"ms_step_median": 1e3 * statistics.median(each), "ms_step_mean": 1e3 * statistics.mean(each),
                "steps": len(each), "images_per_s": args.batch * len(each) / sum(each)}

    def record(name, function):
        try:
            result[name] = function()
        except Exception as error:  # the other forms still run
            result[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
        print(name, result[name], file=sys.stderr, flush=True)

    def eager(layout):
        step = Step(args, layout, device)
        return timed(lambda k: step(archs[k % len(archs)]), len(archs))

    def graphed(layout):
        step = Step(args, layout, device)
        start = copy.deepcopy(step.net.state_dict())
        graphs = []
        for arch in archs[:args.graphs]:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    step(arch)
            torch.cuda.current_stream().wait_stream(side)
            step.sgd.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step(arch)
            graphs.append(graph)
        step.net.load_state_dict(start)
        return timed(lambda k: graphs[k % len(graphs)].replay(), len(graphs))

    def fast():
        if cuda:
            torch.set_default_device(device)  # what fast_cifar.py makes by itself
        begin = time.perf_counter()
        step = Step(args, torch.channels_last, device)
        for arch in archs:
            step(arch)
        wait()
        compile_s = time.perf_counter() - begin
        return dict(timed(lambda k: step(archs[k % len(archs)]), len(archs)), compile_s=compile_s)

    if args.fast:
        record("fast", fast)
    else:
        record("nhwc", lambda: eager(torch.channels_last))
        record("nchw", lambda: eager(torch.contiguous_format))
        if cuda:
            best = min(("nhwc", "nchw"), key=lambda name: result[name].get("ms_step_median", 1e9))
            result["graphed_layout"] = best
            record("graphed", lambda: graphed(torch.channels_last if best == "nhwc" else torch.contiguous_format))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Reads a model.safetensors of enas_ptb with numpy alone and prints the perplexity of token ids.

    read_model.py MODEL ID...     ids as in docs/formats.md; the first one is context, e.g. <eos>
"""
import json
import struct
import sys

import numpy as np


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    meta, tensors = header.pop("__metadata__"), {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        flat = np.frombuffer(data[8 + size + begin : 8 + size + end], "<f4")
        tensors[name] = flat.reshape(t["shape"]).astype(np.float64)
    return meta, tensors


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


NAMES = ["tanh", "relu", "sigmoid", "identity"]
F = [np.tanh, lambda x: np.maximum(x, 0), sigmoid, lambda x: x]


def cell_of(text):  # -> activation of node 0, [(previous, activation)...]
    official = text.startswith("enas1:")
    ids = [int(word) for word in text.removeprefix("enas1:").split()]
    first = ids.pop(0) if official else 0
    own = [0, 1, 3, 2] if official else [0, 1, 2, 3]
    return own[first], [(j, own[f]) for j, f in zip(ids[::2], ids[1::2])]


def forward(meta, w, x, s):
    first, nodes = cell_of(meta["arch"])
    by_op, searched = meta["share"] == "edge-op", meta["node0"] == "searched"

    def node(source, carry, matrix, f):
        z = source @ matrix
        if meta["cell"] == "plain":
            return F[f](z)
        h, t = np.split(z, 2)
        return carry + sigmoid(t) * (F[f](h) - carry)

    name = "cell.input." + NAMES[first] if by_op and searched else "cell.input"
    h = [node(np.concatenate([x, s]), s, w[name], first)]
    for number, (j, f) in enumerate(nodes, 1):
        name = f"cell.edge.{number}.{j}" + ("." + NAMES[f] if by_op else "")
        h.append(node(h[j], h[j], w[name], f))
    used = {j for j, _ in nodes}
    loose = [i for i in range(len(h)) if i not in used]
    ends = range(1, len(h)) if meta["output"] == "mean-all" else loose
    return np.mean([h[i] for i in ends], axis=0)


def perplexity(path, ids):
    meta, w = read(path)
    s, nll = np.zeros(int(meta["hidden"])), 0.0
    for before, target in zip(ids, ids[1:]):
        s = forward(meta, w, w["embedding"][before], s)
        logits = w["embedding"] @ s
        top = logits.max()
        nll += top + np.log(np.exp(logits - top).sum()) - logits[target]
    return np.exp(nll / (len(ids) - 1))


if __name__ == "__main__":
    print(perplexity(sys.argv[1], [int(word) for word in sys.argv[2:]]))

"""Reads a model.safetensors of enas_ptb with numpy alone and prints the perplexity of token ids.

    read_model.py MODEL ID...     ids as in docs/formats.md; the first one is context, e.g. <eos>
"""
import json, struct, sys
import numpy as np

def sigmoid(x):
    return 1 / (1 + np.exp(-x))

F = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "sigmoid": sigmoid, "identity": lambda x: x}

def read(path):
    data = open(path, "rb").read()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    meta = header.pop("__metadata__")
    parts = {name: np.frombuffer(data[end:][slice(*t["data_offsets"])], "<f4") for name, t in header.items()}
    return meta, {name: parts[name].reshape(t["shape"]).astype(float) for name, t in header.items()}

def step(meta, w, x, s):
    def node(number, source, carry, f):
        name = "cell.input" if number == 0 else f"cell.edge.{number}.{source}"
        if meta["share"] == "edge-op" and (number > 0 or meta["node0"] == "searched"):
            name += "." + f
        z = (np.concatenate([x, s]) if number == 0 else h[source]) @ w[name]
        if meta["cell"] == "plain":
            return F[f](z)
        candidate, gate = np.split(z, 2)
        return carry + sigmoid(gate) * (F[f](candidate) - carry)

    ids = [int(word) for word in meta["arch"].removeprefix("enas1:").split()]
    names = ["tanh", "relu", "sigmoid", "identity"]
    if meta["arch"].startswith("enas1:"):  # first node 0's activation, then pairs; the official ids
        names = ["tanh", "relu", "identity", "sigmoid"]
    else:
        ids.insert(0, 0)
    h = [node(0, None, s, names[ids[0]])]
    for j, f in zip(ids[1::2], ids[2::2]):
        h.append(node(len(h), j, h[j], names[f]))
    loose = [i for i in range(len(h)) if i not in ids[1::2]]
    return np.mean([h[i] for i in (range(1, len(h)) if meta["output"] == "mean-all" else loose)], axis=0)

def perplexity(path, ids):
    meta, w = read(path)
    s, nll = np.zeros(int(meta["hidden"])), 0.0
    for before, target in zip(ids, ids[1:]):
        s = step(meta, w, w["embedding"][before], s)
        logits = w["embedding"] @ s
        nll += np.logaddexp.reduce(logits) - logits[target]
    return np.exp(nll / (len(ids) - 1))

if __name__ == "__main__":
    print(perplexity(sys.argv[1], [int(word) for word in sys.argv[2:]]))

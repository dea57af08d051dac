"""Shared by the peer programs: running variants in turn, timers, load watching, the controller."""
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time


class Foreign:
    """with Foreign() as f: ...   then f.share: CPU used by others / (cores x wall time)."""

    @staticmethod
    def _busy():
        with open("/proc/stat") as f:
            v = [int(x) for x in f.readline().split()[1:]]
        return (sum(v) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        self.busy, self.own, self.wall = self._busy(), sum(os.times()[:4]), time.perf_counter()
        return self

    def __exit__(self, *_):
        wall = time.perf_counter() - self.wall
        self.share = max(0.0, self._busy() - self.busy - (sum(os.times()[:4]) - self.own)) / (wall * os.cpu_count())
        return False


def clock(threads):
    """Own CPU time where one thread does all the work (others cannot inflate it by
    taking the core), wall time otherwise."""
    return time.process_time if threads == 1 else time.perf_counter


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


OPENMP_BLAS = "/usr/lib/x86_64-linux-gnu/openblas-openmp"


CACHE = os.path.join(tempfile.gettempdir(), "enas-peer-%d" % os.getuid())


def intel():
    with open("/proc/cpuinfo") as f:
        return "GenuineIntel" in f.read()


def fast_env(env):
    """What a PyTorch user who wants speed sets (measured in ADVOCATE.md; PEER_ENV=0 turns it off):
    * MKL asks the CPU's maker and keeps its AVX-512 kernels for Intel; on other CPUs answering yes
      (the well-known mkl_serv_intel_cpu_true override) makes its sgemm 15 to 100 % faster;
    * an allocator that keeps freed memory, on huge pages: no page faults on activations."""
    os.makedirs(CACHE, exist_ok=True)
    pre = [p for p in [env.get("LD_PRELOAD", "")] if p]
    if not intel():
        lib = os.path.join(CACHE, "libfakeintel.so")
        if not os.path.exists(lib):
            subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-x", "c", "-", "-o", lib], check=True,
                           input=b"int mkl_serv_intel_cpu_true(void){return 1;}\n")
        pre.insert(0, lib)
    out = {}
    if os.path.exists(TCMALLOC) and ALLOCATOR == "tcmalloc":
        pre.append(TCMALLOC)
        out.update(TCMALLOC_RELEASE_RATE="0", THP_MEM_ALLOC_ENABLE="1")
    else:
        out["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=268435456"
    out["LD_PRELOAD"] = ":".join(pre)
    out.setdefault("TORCHINDUCTOR_CACHE_DIR", env.get("TORCHINDUCTOR_CACHE_DIR", os.path.join(CACHE, "inductor")))
    return out


ALLOCATOR = os.environ.get("PEER_ALLOC", "tcmalloc")   # or glibc
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"


def environment(args, threads):
    """The environment of a peer process with these arguments."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    # OpenBLAS's own threads fight torch's spinning OpenMP ones for the cores: the OpenMP
    # flavour shares one pool and made the recurrent step 2.6 times faster at 2 threads.
    if os.path.isdir(OPENMP_BLAS):
        env["LD_LIBRARY_PATH"] = OPENMP_BLAS + ":" + env.get("LD_LIBRARY_PATH", "")
    if "--fast" in args and os.environ.get("PEER_ENV") != "0":
        env.update(fast_env(env))
    return env


def spawn(script, args, threads, python=sys.executable):
    """One run of a peer program, as the JSON object of its last line."""
    env = environment(args, threads)
    out = subprocess.run([python, script] + args, env=env, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out.decode().strip().splitlines()[-1])


def architectures(path):
    """The lines of a file of architecture texts (docs/interface.md), without empty ones."""
    with open(path) as f:
        return [line.strip() for line in f if line.strip()]


def interleave(script, variants, rounds, out):
    """variants: {label: (args, threads)}.  Runs all of them in turn, `rounds` times."""
    seen = {k: [] for k in variants}
    for r in range(rounds):
        order = list(variants)
        if r % 2:
            order.reverse()
        for k in order:
            args, threads = variants[k]
            with Foreign() as f:
                row = spawn(script, args, threads)
            row["foreign"] = round(f.share, 3)
            seen[k].append(row)
            print(r, k, json.dumps(row), file=sys.stderr)
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w") as f:
        json.dump(seen, f, indent=1)
    for k, rows in seen.items():
        print(k)
        for field in rows[0]:
            v = [r[field] for r in rows]
            if all(isinstance(x, (int, float)) for x in v):
                print("   %-28s median %10.3f   min %10.3f   max %10.3f" % (field, statistics.median(v), min(v), max(v)))
    return seen


def controller(torch, F, hidden, ops, tanh_const=1.1, op_reduce=2.5, temperature=None):
    """An autoregressive LSTM policy with attention for choosing earlier nodes.  The
    three search spaces drive it through step / pick_op / pick_node / pick_skips."""
    nn = torch.nn

    class Controller(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(hidden, hidden)
            self.start = nn.Parameter(torch.empty(1, hidden))
            self.op_emb = nn.Embedding(ops, hidden)
            self.op_out = nn.Linear(hidden, ops)
            self.key = nn.Linear(hidden, hidden, bias=False)
            self.query = nn.Linear(hidden, hidden, bias=False)
            self.score = nn.Linear(hidden, 1, bias=False)
            for p in self.parameters():
                nn.init.uniform_(p, -0.1, 0.1)

        def begin(self):
            z = self.start.new_zeros(1, hidden)
            self.state = (z, z)
            self.logp = 0.0
            self.entropy = 0.0

        def step(self, x):
            self.state = self.cell(x, self.state)
            return self.state[0]

        def draw(self, logits):
            lp = F.log_softmax(logits, -1)
            i = torch.multinomial(lp.detach().exp(), 1)
            self.logp = self.logp + lp.gather(1, i).sum()
            self.entropy = self.entropy - (lp * lp.exp()).sum().detach()
            return i

        def squash(self, logits, c):
            if temperature:
                logits = logits / temperature
            return c * torch.tanh(logits)

        def pick_op(self, x):
            i = self.draw(self.squash(self.op_out(self.step(x)), tanh_const / op_reduce))
            return int(i), self.op_emb(i[:, 0])

        def attend(self, h, keys):
            return self.score(torch.tanh(self.query(h) + torch.cat(keys))).t()

        def pick_node(self, x, keys):
            return int(self.draw(self.squash(self.attend(self.step(x), keys), tanh_const)))

        def pick_skips(self, x, keys, target=0.4):
            s = self.attend(self.step(x), keys)[0]
            i = self.draw(torch.stack((-s, s), 1))[:, 0]
            p = torch.sigmoid(2 * s)
            self.kl = getattr(self, "kl", 0.0) + (p * torch.log(p / target) + (1 - p) * torch.log((1 - p) / (1 - target))).sum()
            return i.tolist()

    return Controller()

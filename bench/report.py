"""What script/bench writes from its figures: Markdown tables, one SVG of the ratios, a comparison with an older run."""
import json
import statistics
import sys
from xml.sax.saxutils import escape

# Rows of op_bench (one thread) and the cases of bench/peer/ops.py that do the same work, of which the faster counts.
# separable_conv normalises its input and sums its output's statistics, PyTorch's block normalises its output; batch_norm
# here has a ReLU as well.
OPS = {
    "softmax_cross_entropy/2240x10000/forward": ["softmax_xent 2240x10000"],
    "softmax_cross_entropy/2240x10000/backward": ["softmax_xent 2240x10000"],
    "softmax_cross_entropy/2240x10000_in_place/both": ["softmax_xent 2240x10000"],
    "embedding/10000x1000_n2240/backward": ["embedding 10000x1000 rows2240"],
    "embedding/10000x1000_n2240_tied/backward": ["embedding 10000x1000 rows2240"],
    "lstm_cell/n1_i64_h64/forward": ["lstm_cell n1 h64"],
    "lstm_cell/n1_i64_h64/backward": ["lstm_cell n1 h64"],
    "lstm_cell/n64_i100_h100/forward": ["lstm_cell n64 h100"],
    "lstm_cell/n64_i100_h100/backward": ["lstm_cell n64 h100"],
    "matmul/64x1000x2000/forward": ["gemm 64x1000x2000"],
    "matmul/64x1000x2000/backward": ["gemm 64x1000x2000"],
}
BATCHES = (4, 8, 16, 64)  # of the image rows


def add_image_rows():
    def pair(row, case):
        for way in ("forward", "backward"):
            OPS["%s/%s" % (row, way)] = ["%s %s" % (case, layout) for layout in ("nchw", "nhwc")]

    for n, side, c in ((16, 32, 36), (16, 16, 72), (16, 8, 144)):
        for k in (3, 5):
            pair("depthwise_conv2d/k%d_%dx%dx%dx%d" % (k, n, side, side, c), "dw%d n%d c%d h%d" % (k, n, c, side))
            pair("separable_conv/k%d_%dx%dx%dx%d" % (k, n, side, side, c), "sep%d n%d c%d h%d" % (k, n, c, side))
        pair("pointwise_conv/%dx%dx%dx%d_to%d" % (n, side, side, c, c), "conv1 n%d c%d h%d" % (n, c, side))
    for n, side, c, k in ((4, 32, 36, 3), (4, 32, 36, 5), (8, 16, 72, 3), (16, 8, 144, 3)):
        pair("conv2d/%dx%dx%dx%dto%d_k%d_s1_same" % (n, side, side, c, c, k), "conv%d n%d c%d h%d" % (k, n, c, side))
    for side, c in ((32, 20), (32, 36)):
        pair("batch_norm/64x%dx%dx%d_relu" % (side, side, c), "bn n64 c%d h%d" % (c, side))
    for side, c in ((32, 20), (32, 36), (16, 40), (8, 80)):
        for op in ("max", "avg"):
            pair("%s_pool2d/64x%dx%dx%d" % (op, side, side, c), "%spool3 n64 c%d h%d" % (op, c, side))


add_image_rows()
TIME_SUFFIXES = ("/manual_time", "/real_time")


def load(path):
    try:
        with open(path) as f:
            got = json.load(f)
    except (OSError, ValueError) as error:
        sys.exit("bench: %s: %s" % (path, error))
    if got.get("format") != "enas-bench/1":
        sys.exit("bench: %s is no result of script/bench, expected format enas-bench/1" % path)
    return got


def op_row(ops, name):
    """[low, median, high] ns of a row named without Google Benchmark's suffix, or None."""
    return next((ops[name + s] for s in ("",) + TIME_SUFFIXES if name + s in ops), None)


def valid(step):
    return [r for r in step["rounds"] if not r["void"]]


def spread(values):
    return "%.4g (%.4g-%.4g)" % (statistics.median(values), min(values), max(values))


def ratios(step, side):
    return [r["sides"]["enas"]["value"] / r["sides"][side]["value"] for r in valid(step)]


def markdown(result):
    m = result["machine"]
    out = ["# Benchmark", "",
           "%s, %d cores, %d threads for steps and 1 for op rows, commit %s. Written by `script/bench`." % (
               m["cpu"], m["cores"], result["threads"], result["commit"]), ""]
    peers = [s for s in result["sides"] if s != "enas"]
    if result["steps"]:
        out += ["## Whole search steps", "", "Medians (smallest-largest) over rounds in which all sides ran in turn on the "
                "same architectures; ratios are of one round. `void` rounds (others took over 5 % of the machine, or the FMA "
                "loop dropped) are left out. `peak`: our share of the FMA loop in the same process.", "",
                "| workload | rounds (void) | enas | peak | memory over base, MiB | " + " | ".join(
                    "%s | enas / it | its MiB" % s for s in peers) + (" |" if peers else ""),
                "|---|---|---|---|---|" + "---|---|---|" * len(peers)]
    for name, step in result["steps"].items():
        rounds = valid(step)
        if not rounds:
            out.append("| %s | 0 (%d) | all void |" % (name, len(step["rounds"])) + " |" * (2 + 3 * len(peers)))
            continue
        of = lambda side, key: [r["sides"][side][key] for r in rounds]
        over = lambda side: "%.0f" % statistics.median(
            a - b for a, b in zip(of(side, "peak_rss_mib"), of(side, "base_rss_mib")))
        fraction = of("enas", "fraction_of_peak")
        cells = [name, "%d (%d)" % (len(rounds), len(step["rounds"]) - len(rounds)),
                 spread(of("enas", "value")) + " " + step["unit"], "%.3f" % statistics.median(fraction) if max(fraction) else "",
                 over("enas")]
        for side in peers:
            cells += [spread(of(side, "value")), spread(ratios(step, side)), over(side)]
        out.append("| " + " | ".join(cells) + " |")
    if result["peer_ops"]:
        out += ["", "## Op rows beside PyTorch", "", "One thread, microseconds, medians; all sides run in turn each round, the faster of "
                "PyTorch's layouts counts.", "",
                "| row | enas | " + " | ".join("%s | it / enas" % s for s in peers if not s.endswith("--fast")) + " |",
                "|---|---|" + "---|---|" * sum(not s.endswith("--fast") for s in peers)]
        for row, found in result["peer_ops"].items():
            ours = op_row(result["ops"], row)
            if ours is None:
                continue
            cells = [row, "%.1f" % (ours[1] / 1e3)]
            for side in peers:
                if not side.endswith("--fast"):
                    got = found.get(side)
                    cells += ["%.1f" % (got[1] / 1e3), "%.2f" % (got[1] / ours[1])] if got else ["", ""]
            out.append("| " + " | ".join(cells) + " |")
    if result["ops"]:
        out += ["", "## All rows", "", "| row | ns, median | smallest | largest |", "|---|---|---|---|"]
        out += ["| %s | %.5g | %.5g | %.5g |" % (k, v[1], v[0], v[2]) for k, v in result["ops"].items()]
    return "\n".join(out) + "\n"


LONGEST = 8.0  # a ratio; the bars of longer ones are cut there and marked, so that the others keep apart


def svg(result):
    """Bars of enas / PyTorch for each workload, a whisker from the smallest to the largest round, a line at 1."""
    peers = [s for s in result["sides"] if s != "enas"]
    bars = [(name, side, ratios(step, side)) for name, step in result["steps"].items() for side in peers if valid(step)]
    colours = dict(zip(peers, ("#4269d0", "#efb118", "#ff725c", "#6cc5b0")))
    left, width, row, top = 250, 460, 18, 56
    most = min(max([max(v) for _, _, v in bars] + [1.5]), LONGEST)
    x = lambda v: left + width * min(v, most) / most
    out = ['<text x="12" y="20" font-size="14">Search steps: enas / PyTorch, higher is better for enas</text>']
    for i, side in enumerate(peers):
        out.append('<rect x="%d" y="30" width="10" height="10" fill="%s"/><text x="%d" y="39">%s</text>' % (
            12 + 190 * i, colours[side], 26 + 190 * i, escape(side)))
    y, last, cut = top, None, False
    for name, side, v in bars:
        if name != last:
            y, last = y + 14, name
            out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (
                left - 8, y + 11 + row * (len(peers) - 1) // 2, escape(name)))
        mid = statistics.median(v)
        out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (left, y, x(mid) - left, row - 5, colours[side]))
        if mid > most:  # two slanted gaps; a whisker out there would say nothing
            cut = True
            out += ['<path d="M%.1f %dl6 %d" stroke="white" stroke-width="3"/>' % (x(mid) - back, y + row - 4, 3 - row)
                    for back in (30, 22)]
        else:
            out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="black"/>' % (x(min(v)), x(max(v)), y + 6, y + 6))
        out.append('<text x="%.1f" y="%d">%.*f</text>' % (max(x(max(v)), x(mid)) + 6, y + 11, 1 if mid > 10 else 2, mid))
        y += row
    out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#444" stroke-dasharray="4 3"/>' % (
        x(1), x(1), top + 6, y))
    note = "dashed: as fast as PyTorch; black: smallest to largest round" + (
        "; //: cut, the ratio is the number beside it" if cut else "")
    out.append('<text x="%d" y="%d" font-size="11" fill="#555">%s</text>' % (12, y + 18, note))
    size = (left + width + 90, y + 30)
    head = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" '
            'font-size="12">' % (size + size), '<rect width="100%" height="100%" fill="white"/>']
    return "\n".join(head + out + ["</svg>"]) + "\n"


def compare(old, new):
    """One line a row that both have. The band is the spread of both runs: inside it nothing is claimed."""
    lines = ["%-52s %12s %12s %8s  %s" % ("row", "old", "new", "change", "verdict")]

    def line(name, a, b, higher_is_better):
        change = b[1] / a[1] - 1
        apart = b[0] > a[2] or b[2] < a[0]
        better = (change > 0) == higher_is_better
        lines.append("%-52s %12.5g %12.5g %+7.1f%%  %s" % (name, a[1], b[1], 100 * change, (
            "faster" if better else "SLOWER") if apart else "within noise (%.3g-%.3g, %.3g-%.3g)" % (a[0], a[2], b[0], b[2])))

    def enas(step):
        # Rates over the FMA loop of the same process, so that a slower hour is no slower program.
        v = sorted(r["sides"]["enas"]["value"] / r["sides"]["enas"]["fma_peak_gflops"] for r in valid(step))
        return [v[0], statistics.median(v), v[-1]] if v else None

    for name, step in new["steps"].items():
        a, b = enas(old["steps"][name]) if name in old["steps"] else None, enas(step)
        if a and b:
            line(name + ", a GFLOP/s of FMA", a, b, True)
    for name, b in new["ops"].items():
        if name in old["ops"]:
            line(name + ", ns", old["ops"][name], b, False)
    if old["machine"] != new["machine"]:
        lines.append("not the same machine: %s; %s" % (old["machine"], new["machine"]))
    return "\n".join(lines)

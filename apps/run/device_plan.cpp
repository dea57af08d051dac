#include "apps/run/device_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "tensor/gpu.h"

namespace enas {
namespace {

constexpr double kMB = 1e6, kMiB = 1 << 20, kGiga = 1e9, kTera = 1e12;
constexpr double kLaunchSeconds = 2.5e-6;  // of the host, a kernel
constexpr double kOwnFlops = 67 * kTera;   // a second, of kernels that are not cuBLAS
constexpr size_t kTopOps = 8;

struct Card {
  const char* name;
  double products, bytes;  // a second: FLOPs of cuBLAS, memory
};
// Copy rates of the card's memory as measured, products at what data sheets and measured shares of
// them let expect.
constexpr Card kCards[] = {{"H200, f32", 67 * kTera, 4.3 * kTera},
                           {"H200, TF32", 380 * kTera, 4.3 * kTera},
                           {"H100, f32", 67 * kTera, 3.0 * kTera},
                           {"H100, TF32", 380 * kTera, 3.0 * kTera}};

class CountOnly {
 public:
  CountOnly() { cuda::count_only(true); }
  CountOnly(const CountOnly&) = delete;
  CountOnly& operator=(const CountOnly&) = delete;
  ~CountOnly() { cuda::count_only(false); }
};

struct Counted {
  cuda::Counters counters;
  std::vector<std::pair<std::string, uint64_t>> launches;  // of each op, most first
  double weights,
      resident;  // bytes: of the weights, and of all that lay there before the first step
  double items, steps_per_epoch;
  double model, params;  // FLOPs of the step by the app's formulas; weights that it updates
  std::string architecture;
};

// The batch of the most usual size: windows of text differ in length.
size_t middle_of(const std::vector<int64_t>& items) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto middle = order.begin() + static_cast<int64_t>(order.size() / 2);
  std::nth_element(order.begin(), middle, order.end(), [&](size_t a, size_t b) {
    return items[a] != items[b] ? items[a] < items[b] : a < b;
  });
  return *middle;
}

// The second step: the first one fills what later ones find. Its report is not read, for all
// downloads are zeros, the flag that says `finite` too.
Counted count_step(const Learner& learner, const SgdOptions& options,
                   const std::vector<Architecture>& architectures,
                   const std::function<PlanCost(const Architecture&)>& cost) {
  const std::vector<int64_t> items = learner.begin_epoch(0);
  const size_t batch = middle_of(items);
  Counted counted{};
  counted.resident = static_cast<double>(cuda::counters().live_bytes);
  counted.weights = 4.0 * static_cast<double>(learner.weights->count());
  Sgd sgd(options);
  Tape tape;
  for (uint64_t step = 0; step < 2; ++step) {
    cuda::reset_counters();
    learner.step(tape, architectures, static_cast<int64_t>(batch), step, sgd, 1, Tensor());
  }
  counted.counters = cuda::counters();
  const auto by_op = cuda::launches_by_op();
  counted.launches = {by_op.begin(), by_op.end()};
  std::stable_sort(counted.launches.begin(), counted.launches.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  counted.items = static_cast<double>(items[batch]);
  counted.steps_per_epoch = static_cast<double>(items.size());
  for (const Architecture& arch : architectures) {
    const PlanCost one = cost(arch);
    counted.model += 6 * one.macs * counted.items;
    counted.params = std::max(counted.params, one.params);
  }
  counted.architecture = learner.text(architectures[0]);
  return counted;
}

std::string time_line(const Card& card, const Counted& counted, double bytes) {
  const double products = static_cast<double>(counted.counters.flops),
               own = std::max(0.0, counted.model - products);
  const double flops = products / card.products + own / kOwnFlops, memory = bytes / card.bytes,
               launches = static_cast<double>(counted.counters.launches) * kLaunchSeconds;
  const double step = std::max({flops, memory, launches});
  const char* bound = step == launches ? "launches" : step == memory ? "bytes" : "FLOPs";
  return fmt::format(
      "    {:10} {:5.0f} TFLOP/s {:.1f} TB/s {:9.3f} {:9.3f} {:9.3f}  {:.3f} ms, bound by {}; "
      "{:.2f} s an epoch\n",
      card.name, card.products / kTera, card.bytes / kTera, 1e3 * flops, 1e3 * memory,
      1e3 * launches, 1e3 * step, bound, step * counted.steps_per_epoch);
}

std::string launches_line(const Counted& counted) {
  std::string text = fmt::format("  launches {}:", counted.counters.launches);
  for (size_t i = 0; i < std::min(kTopOps, counted.launches.size()); ++i) {
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", counted.launches[i].first,
                        counted.launches[i].second);
  }
  if (counted.launches.size() > kTopOps)
    text += fmt::format(", {} other ops", counted.launches.size() - kTopOps);
  return text + "\n";
}

std::string describe(const char* phase, const Counted& counted) {
  const cuda::Counters& c = counted.counters;
  const double products = static_cast<double>(c.gemm_bytes),
               others = 2 * static_cast<double>(c.handed_out_bytes),
               update = 4 * 4 * counted.params;
  const double bytes = products + others + update;
  const double share = static_cast<double>(c.flops) / counted.model;
  std::string text = fmt::format("{} on the GPU: one step counted, nothing run; architecture {}\n",
                                 phase, counted.architecture);
  text += launches_line(counted);
  text += fmt::format(
      "  products {}: {:.2f} GFLOP, {:.2f} times the {:.2f} of the model{}\n"
      "  bytes {:.0f} MB: products {:.0f}, blocks handed out {:.0f} (written and read once), "
      "gradient norm and update {:.0f}\n"
      "  device memory {:.0f} MiB at the peak, of it {:.0f} before the first step, weights {:.0f}; "
      "uploads {}, {:.1f} KB; the host waits {} times\n",
      c.gemms, static_cast<double>(c.flops) / kGiga, share, counted.model / kGiga,
      share < 0.9 ? ", whose rest runs in kernels of its own" : "", bytes / kMB, products / kMB,
      others / kMB, update / kMB, static_cast<double>(c.peak_bytes) / kMiB, counted.resident / kMiB,
      counted.weights / kMiB, c.uploads, static_cast<double>(c.upload_bytes) / 1e3,
      c.waits + c.late_waits + c.upload_waits);
  text +=
      fmt::format("    {:10} {:22} {:>9} {:>9} {:>9}  at least, at {:.1f} us a launch\n", "card",
                  "assumed rates", "FLOPs, ms", "bytes, ms", "launches", 1e6 * kLaunchSeconds);
  for (const Card& card : kCards) text += time_line(card, counted, bytes);
  return text;
}

}  // namespace

std::string device_plan_text(const Workbench& bench, const std::string& command,
                             const Settings& settings, const PlanCosts& costs) {
  const CountOnly counting;
  std::string text, arch = command == "train" ? settings.text("arch") : "";
  if (command != "train") {
    const Search search = bench.search(settings, command);
    // Architectures of no special kind.
    const std::vector<Architecture> drawn = uniform_architectures(
        search.decisions, search.per_step, Random{search.seed, Stream::uniform_sample, 0});
    text += describe("search", count_step(search.learner, search.sgd, drawn, costs.search));
    arch = search.learner.text(drawn.front());
  }
  if (command != "search") {
    const Training training = bench.training(settings, command, arch);
    text +=
        describe("train", count_step(training.learner, training.sgd, {training.arch}, costs.train));
  }
  return text;
}

}  // namespace enas

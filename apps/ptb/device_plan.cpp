#include "apps/ptb/device_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/ptb/architecture_file.h"
#include "apps/ptb/options.h"
#include "apps/run/console.h"
#include "nas/search.h"
#include "tensor/gpu.h"

namespace enas {
namespace {

constexpr double kMB = 1e6, kGiga = 1e9, kTera = 1e12;
constexpr double kLaunchSeconds = 2.5e-6;  // of the host, a kernel
constexpr size_t kTopOps = 8;

struct Card {
  const char* name;
  double flops, bytes;  // a second
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

struct Phase {
  const char* name;
  RnnSpace space;
  RnnChildOptions child;
  RnnTaskOptions task;
  SgdOptions sgd;
  std::vector<Architecture> architectures;  // of one step
  const Architecture* only;                 // null: the weights of all
};

struct Counted {
  cuda::Counters counters;
  std::vector<std::pair<std::string, uint64_t>> launches;  // of each op, most first
  double weights;                                          // bytes
  int64_t steps_per_epoch;
};

// The second step: the first one fills what later ones find. Its report is not read, for all
// downloads are zeros, the flag that says `finite` too.
Counted count_step(const Phase& phase, const Corpus& corpus) {
  const CountOnly counting;
  RnnChild child(phase.space, phase.child, 0, DType::f32, phase.only, Device::cuda);
  RnnTask task(child, phase.task, corpus.train, corpus.valid, corpus.vocabulary.eos);
  Sgd sgd(phase.sgd);
  Tape tape;
  const int64_t length = std::min(phase.task.bptt, task.train_streams().length());
  for (uint64_t step = 0; step < 2; ++step) {
    cuda::reset_counters();
    shared_step(tape, task, phase.architectures, task.train_streams().window(0, length), step, sgd,
                1);
  }
  const auto by_op = cuda::launches_by_op();
  Counted counted{cuda::counters(),
                  {by_op.begin(), by_op.end()},
                  4.0 * static_cast<double>(child.parameters().count()),
                  std::max<int64_t>(1, task.train_streams().length() / length)};
  std::stable_sort(counted.launches.begin(), counted.launches.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return counted;
}

std::string time_line(const Card& card, const Counted& counted, double bytes) {
  const double flops = static_cast<double>(counted.counters.flops) / card.flops,
               memory = bytes / card.bytes,
               launches = static_cast<double>(counted.counters.launches) * kLaunchSeconds;
  const double step = std::max({flops, memory, launches});
  const char* bound = step == launches ? "launches" : step == memory ? "bytes" : "FLOPs";
  return fmt::format(
      "    {:10} {:5.0f} TFLOP/s {:.1f} TB/s {:9.3f} {:9.3f} {:9.3f}  {:.3f} ms, bound by {}; "
      "{:.2f} s "
      "an epoch\n",
      card.name, card.flops / kTera, card.bytes / kTera, 1e3 * flops, 1e3 * memory, 1e3 * launches,
      1e3 * step, bound, step * static_cast<double>(counted.steps_per_epoch));
}

std::string describe(const Phase& phase, const Corpus& corpus) {
  const Counted counted = count_step(phase, corpus);
  const cuda::Counters& c = counted.counters;
  const double count = static_cast<double>(phase.architectures.size()),
               tokens = static_cast<double>(phase.task.batch * phase.task.bptt) * count;
  const CellCost cost = cost_of(phase.space, phase.child);
  const double model = 6 * static_cast<double>(cost.macs) * tokens;
  const double products = static_cast<double>(c.gemm_bytes),
               others = 2 * static_cast<double>(c.handed_out_bytes),
               update = 4 * 4 * static_cast<double>(cost.params);
  const double bytes = products + others + update;
  std::string text = fmt::format(
      "{} on the GPU: one step counted, nothing run; architecture {}\n  launches {}:", phase.name,
      phase.space.to_string(phase.architectures[0]), c.launches);
  for (size_t i = 0; i < std::min(kTopOps, counted.launches.size()); ++i) {
    text += fmt::format("{} {} {}", i == 0 ? "" : ",", counted.launches[i].first,
                        counted.launches[i].second);
  }
  if (counted.launches.size() > kTopOps)
    text += fmt::format(", {} other ops", counted.launches.size() - kTopOps);
  text += fmt::format(
      "\n  products {}: {:.2f} GFLOP, {:.2f} times the {:.2f} of the model above\n"
      "  bytes {:.0f} MB: products {:.0f}, blocks handed out {:.0f} (written and read once), "
      "gradient norm and update {:.0f}\n"
      "  device memory {:.0f} MiB at the peak, of it weights {:.0f}; uploads {}, {:.1f} KB; the "
      "host waits {} times\n",
      c.gemms, static_cast<double>(c.flops) / kGiga, static_cast<double>(c.flops) / model,
      model / kGiga, bytes / kMB, products / kMB, others / kMB, update / kMB,
      static_cast<double>(c.peak_bytes) / (1 << 20), counted.weights / (1 << 20), c.uploads,
      static_cast<double>(c.upload_bytes) / 1e3, c.waits + c.late_waits + c.upload_waits);
  text +=
      fmt::format("    {:10} {:22} {:>9} {:>9} {:>9}  at least, at {:.1f} us a launch\n", "card",
                  "assumed rates", "FLOPs, ms", "bytes, ms", "launches", 1e6 * kLaunchSeconds);
  for (const Card& card : kCards) text += time_line(card, counted, bytes);
  return text;
}

std::string describe_train(const PtbOptions& options, const RnnSpace& space,
                           const Architecture& arch, const Corpus& corpus) {
  return describe({"train",
                   space,
                   options.final_child(corpus.vocabulary.size()),
                   options.final_task(),
                   options.final_sgd(),
                   {arch},
                   &arch},
                  corpus);
}

}  // namespace

std::string device_plan_text(const std::string& command, const Settings& settings,
                             const Corpus& corpus) {
  const PtbOptions options(settings, command);
  const int64_t vocabulary = corpus.vocabulary.size();
  if (command == "train") {
    const std::string& arch_text = settings.text("arch");
    const RnnSpace space = rnn_space_of(arch_text);
    return describe_train(options, space, space.parse(arch_text), corpus);
  }
  // Architectures of no special kind: the products of a step are the same for all.
  const RnnSpace space = options.space();
  const std::vector<Architecture> drawn =
      uniform_architectures(space.decisions(options.policy()), options.shared_samples(),
                            Random{options.seed(), Stream::uniform_sample, 0});
  std::string text = describe({"search", space, options.shared_child(vocabulary),
                               options.shared_task(), options.shared_sgd(), drawn, nullptr},
                              corpus);
  if (command == "run") text += describe_train(options, space, drawn.front(), corpus);
  return text;
}

}  // namespace enas

// Times whole steps of a search, the app's own, on synthetic data of the real shapes, after two
// warm-up steps:
//   build/step_bench --space rnn --phase shared --hidden 200 --nodes 9 --batch 128 --share edge
//   --json
// Defaults are those of the PyTorch programs in bench/peer, so that both do the same work. On a GPU
// every architecture of the list is warmed, and what the timed steps asked of it is told beside.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>

#include "bench/device.h"
#include "bench/fma_peak.h"
#include "bench/image_steps.h"
#include "bench/rnn_steps.h"
#include "tensor/gpu.h"
#include "tensor/thread_pool.h"

namespace enas::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  RnnBenchOptions rnn;
  ImageBenchOptions image;
  std::string space = "rnn", phase = "shared", archs;
  int threads = 0;
  double seconds = 5;
  bool json = false;
};

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  if (path.empty()) return lines;
  std::ifstream file(path);
  check(file.good(), ErrorKind::usage, "step_bench", "cannot read ", path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  check(!lines.empty(), ErrorKind::usage, "step_bench", path, " holds no architecture");
  return lines;
}

struct Timing {
  int steps = 0, valid = 0;
  double seconds = 0, median_ms = 0;
  // Medians over the valid rounds: GFLOP/s of the FMA loop, and a step's share of it.
  double peak = 0, share = 0;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Seconds of processor time that other processes had: the machine's, less ours.
double foreign_seconds() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0;
  if (!(file >> cpu >> user >> nice >> system)) return 0;
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return (user + nice + system) / static_cast<double>(sysconf(_SC_CLK_TCK)) - of(own.ru_utime) -
         of(own.ru_stime);
}

// Rounds of steps, each at least a few lengths of the FMA loop that runs between them, for at least
// `seconds` and in whole passes over the `cycle` architectures, for these differ in cost. A round
// is void, where others are not, if the loop before and after it differ by a tenth or other
// processes had a twentieth of the machine.
Timing time_steps(const std::function<void()>& step, int cycle, int warm_up, double flops,
                  int threads, double seconds) {
  constexpr double kLoop = 0.04, kRound = 5 * kLoop;
  for (int warm = 0; warm < warm_up; ++warm) step();
  if constexpr (kWithCuda) cuda::reset_counters();
  std::vector<double> each, peak, share, valid_peak, valid_share;
  Timing timing;
  double before = fma_peak_gflops(threads, kLoop), others = foreign_seconds();
  const auto goes_on = [&] {
    return timing.seconds < seconds || timing.steps < 3 || timing.steps % cycle != 0;
  };
  while (goes_on()) {
    double round = 0;
    int steps = 0;
    for (; goes_on() && round < kRound; ++steps, ++timing.steps) {
      const auto start = Clock::now();
      step();
      each.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      round += each.back();
      timing.seconds += each.back();
    }
    const double after = fma_peak_gflops(threads, kLoop), foreign = foreign_seconds() - others;
    peak.push_back((before + after) / 2);
    share.push_back(flops * steps * 1e-9 / round / peak.back());
    const double room = (round + kLoop) * usable_cpus();
    if (std::min(before, after) > 0.9 * std::max(before, after) && foreign < 0.05 * room + 0.02) {
      valid_peak.push_back(peak.back());
      valid_share.push_back(share.back());
    }
    before = after;
    others += foreign;
  }
  timing.valid = static_cast<int>(valid_peak.size());
  timing.median_ms = 1e3 * median(each);
  timing.peak = median(valid_peak.empty() ? peak : valid_peak);
  timing.share = median(valid_share.empty() ? share : valid_share);
  return timing;
}

// The phases of a space, and what one step of them is worth.
struct Steps {
  std::function<void()> shared, reward, controller, wait;
  const char* unit;  // of shared and reward
  double units;      // a step of them
  StepCost cost;
};

Steps steps_of(const Options& options, const std::vector<std::string>& archs) {
  if (options.space == "rnn") {
    const auto rnn = std::make_shared<RnnSteps>(options.rnn, archs);
    return {[rnn] { rnn->shared(); },
            [rnn] { rnn->reward(); },
            [rnn] { rnn->controller(); },
            [rnn] { rnn->wait(); },
            "tokens_per_s",
            rnn->tokens(),
            rnn->cost()};
  }
  const std::shared_ptr<ImageSteps> image = image_steps(options.image, archs);
  return {[image] { image->shared(); },
          [image] { image->reward(); },
          [image] { image->controller(); },
          [image] { image->wait(); },
          "images_per_s",
          static_cast<double>(options.image.batch),
          image->cost()};
}

// Of the timed steps: launches a step, memory asked of the driver (none once warm), uploads that
// found no staging free, bytes at the peak.
std::string on_device(Device device, int steps) {
  char text[200] = "";
  if constexpr (kWithCuda) {
    const cuda::Counters& c = cuda::counters();
    if (device == Device::cuda) {
      std::snprintf(text, sizeof text,
                    ",\"launches_a_step\":%.1f,\"device_allocations\":%d,\"upload_waits\":%d,"
                    "\"device_peak_mib\":%.1f",
                    static_cast<double>(c.launches) / steps, static_cast<int>(c.device_allocations),
                    static_cast<int>(c.upload_waits),
                    static_cast<double>(c.peak_bytes) / (1 << 20));
    }
  }
  return text;
}

void print(const Options& options, const Timing& timing, const char* unit, double units,
           double gflops, double gbytes, double base) {
  const int threads = thread_count();
  if (options.json) {
    std::printf(
        "{\"space\":\"%s\",\"phase\":\"%s\",\"%s\":%.6g,\"steps\":%d,\"ms_step_median\":%.6g,"
        "\"gflops\":%.6g,\"weight_gbytes_s\":%.4g,\"fma_peak_gflops\":%.6g,"
        "\"fraction_of_peak\":%.4g,\"valid_rounds\":%d,\"threads\":%d,"
        "\"peak_rss_mib\":%.0f,\"base_rss_mib\":%.0f%s}\n",
        options.space.c_str(), options.phase.c_str(), unit, units, timing.steps, timing.median_ms,
        gflops, gbytes, timing.peak, timing.share, timing.valid, threads, peak_rss_mib(), base,
        on_device(options.rnn.device, timing.steps).c_str());
    return;
  }
  std::printf("%s step, %d threads: %.1f %s, median %.3f ms of %d steps\n", options.phase.c_str(),
              threads, units, unit, timing.median_ms, timing.steps);
  if (gflops > 0) {
    std::printf(
        "%.1f GFLOP/s, %.0f %% of the FMA loop's %.1f in %d valid rounds; weights at least %.2f "
        "GB/s; peak memory %.0f MiB, %.0f before\n",
        gflops, 100 * timing.share, timing.peak, timing.valid, gbytes, peak_rss_mib(), base);
  }
}

void run(const Options& options) {
  if (options.threads > 0) set_thread_count(options.threads);
  const double base = peak_rss_mib();
  const std::vector<std::string> archs = read_lines(options.archs);
  const int cycle = std::max(1, static_cast<int>(archs.size()));
  const Steps steps = steps_of(options, archs);
  const bool shared = options.phase == "shared", reward = options.phase == "reward";
  const auto& step = shared ? steps.shared : reward ? steps.reward : steps.controller;
  const auto one = [&] {
    step();
    if (options.rnn.device == Device::cuda) steps.wait();
  };
  const bool counted = shared || reward;
  const double flops = counted ? steps.cost.flops / (shared ? 1 : 3) : 0;
  const double bytes = counted ? steps.cost.bytes(shared) : 0;
  const int warm_up = options.rnn.device == Device::cuda ? std::max(2, cycle) : 2;
  const Timing timing = time_steps(one, cycle, warm_up, flops, thread_count(), options.seconds);
  const double rate = timing.steps / timing.seconds;
  print(options, timing, counted ? steps.unit : "steps_per_s", counted ? rate * steps.units : rate,
        rate * flops * 1e-9, rate * bytes * 1e-9, base);
}

int main_of(int argc, char** argv) {
  Options options;
  std::string share = "edge-op", device = "cpu", dtype = "f32";
  int64_t layers = 0, filters = 0, nodes = 0, batch = 64, controller_hidden = 0;  // 0: the space's
  CLI::App app("Times whole steps of a search on synthetic data of the real shapes.");
  app.option_defaults()->always_capture_default();
  app.add_option("--space", options.space, "search space")
      ->check(CLI::IsMember({"rnn", "micro", "macro"}));
  app.add_option("--phase", options.phase, "which step")
      ->check(CLI::IsMember({"shared", "reward", "controller"}));
  app.add_option("--hidden", options.rnn.hidden, "hidden units")->check(CLI::Range(1, 65536));
  app.add_option("--nodes", nodes, "rnn: nodes after node 0 (11); micro: computed nodes (5)")
      ->check(CLI::Range(0, 64));
  app.add_option("--layers", layers, "micro: normal cells (6); macro: layers (12)")
      ->check(CLI::Range(0, 64));
  app.add_option("--filters", filters, "micro: 20, macro: 36")->check(CLI::Range(0, 4096));
  app.add_option("--share", share, "a matrix an edge, or an edge and activation")
      ->check(CLI::IsMember({"edge", "edge-op"}));
  app.add_option("--bptt", options.rnn.bptt, "time steps of a window")->check(CLI::Range(1, 4096));
  app.add_option("--vocab", options.rnn.vocabulary, "words")->check(CLI::Range(2, 10000000));
  app.add_option("--controller-hidden", controller_hidden, "the controller's LSTM (100, cifar 64)")
      ->check(CLI::Range(0, 4096));
  app.add_option("--batch", batch, "streams or images")->check(CLI::Range(1, 65536));
  app.add_option("--threads", options.threads, "0: all")->check(CLI::Range(0, 1024));
  app.add_option("--device", device, "where it runs")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--dtype", dtype, "of the weights")->check(CLI::IsMember({"f32"}));
  app.add_option("--seconds", options.seconds, "to measure for")->check(CLI::Range(0.0, 86400.0));
  app.add_option("--archs", options.archs,
                 "file of architecture texts, one a line, to cycle through");
  app.add_flag("--json", options.json, "one JSON object on standard output");
  CLI11_PARSE(app, argc, argv);
  options.rnn.share = share == "edge" ? Share::edge : Share::edge_op;
  options.rnn.device = options.image.device = device_named(device, "step_bench");
  options.rnn.batch = options.image.batch = batch;
  options.image.space = options.space;
  if (options.space == "macro") options.image.layers = 12, options.image.filters = 36;
  if (nodes > 0) options.rnn.nodes = options.image.nodes = nodes;
  if (layers > 0) options.image.layers = layers;
  if (filters > 0) options.image.filters = filters;
  if (controller_hidden > 0) {
    options.rnn.controller_hidden = options.image.controller_hidden = controller_hidden;
  }
  run(options);
  return 0;
}

}  // namespace
}  // namespace enas::bench

int main(int argc, char** argv) {
  try {
    return enas::bench::main_of(argc, argv);
  } catch (const enas::Error& error) {
    std::cerr << error.what() << '\n';
    return error.exit_code();
  }
}

// enas_ptb --device cuda, with the kernels on the CPU (cuda/host/): every command, against the same
// command on the CPU; runs that move from one device to the other; the plan of a GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <sstream>

#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

#ifdef ENAS_PTB_ON_HOST
constexpr const char* kProgram = ENAS_PTB_ON_HOST;
#else
constexpr const char* kProgram = nullptr;
#endif

// metrics.jsonl with every number as #: what stands in which line, and every architecture.
std::string form_of(const std::string& run) {
  static const std::regex number(R"(:-?[0-9][-+.0-9e]*)");
  return std::regex_replace(text_of(run + "/metrics.jsonl"), number, ":#");
}

// The metrics lines of a phase.
std::string lines_of(const std::string& run, const std::string& phase) {
  std::istringstream lines(text_of(run + "/metrics.jsonl"));
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("\"phase\":\"" + phase + '"') != std::string::npos) found += line + "\n";
  }
  return found;
}

// The values of a key, in the order of the lines.
std::vector<double> values_of(const std::string& text, const std::string& key) {
  std::vector<double> values;
  const std::string quoted = "\"" + key + "\":";
  for (size_t at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at + 1))
    values.push_back(std::atof(text.c_str() + at + quoted.size()));
  return values;
}

void expect_close(const std::vector<double>& got, const std::vector<double>& want, double relative,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  EXPECT_FALSE(want.empty()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i], relative * std::fabs(want[i])) << what << " number " << i;
}

// small(), with weights large enough for words to have different probabilities, and steps small
// enough for the two devices to stay together.
Arguments strong(const std::string& command, const std::string& data, const std::string& out) {
  Arguments arguments = small(command, data, out);
  if (command != "train")
    arguments = arguments + Arguments{"--shared-init", "0.5", "--shared-lr", "1"};
  const std::string prefix = command == "run" ? "--train-" : "--";
  if (command != "search")
    arguments = arguments + Arguments{prefix + "init", "0.5", prefix + "lr", "1"};
  return arguments;
}

Arguments on(const char* device, const Arguments& arguments) {
  return arguments + Arguments{"--device", device};
}

class Devices : public testing::Test {
 protected:
  void SetUp() override {
    if (kProgram == nullptr)
      GTEST_SKIP() << "kernels run on the CPU of x86-64 only, without ThreadSanitizer";
  }
  Outcome call(const Arguments& arguments) {
    return Process(folder_, arguments, {}, kProgram).wait();
  }
  Outcome done(const Arguments& arguments) {
    Outcome outcome = call(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.all();
    return outcome;
  }
  // The same, and on that device alone.
  Outcome on_cpu(const Arguments& arguments) {
    Outcome outcome = done(arguments);
    EXPECT_EQ(values_of(outcome.err, "launches"), std::vector<double>{0}) << outcome.err;
    return outcome;
  }
  Outcome on_device(const Arguments& arguments) {
    Outcome outcome = done(on("cuda", arguments));
    const std::vector<double> launches = values_of(outcome.err, "launches");
    EXPECT_TRUE(launches.size() == 1 && launches[0] > 0) << outcome.err;
    return outcome;
  }
  std::string metrics_of(const std::string& run) { return text_of(run + "/metrics.jsonl"); }
  // Starts `arguments` and ends it by SIGTERM once some lines have been written.
  void stop_early(const Arguments& arguments, const std::string& run) {
    Process process(folder_, arguments, {}, kProgram);
    wait_until(process, [&] {
      std::error_code none;
      const auto bytes = fs::file_size(run + "/metrics.jsonl", none);
      return !none && bytes > 300;
    });
    process.send(SIGTERM);
    EXPECT_EQ(process.wait().code, 143);
  }

  // Begun on one device and continued on the other, against a run that stayed on the CPU.
  void expect_moves(const Arguments& make) {
    done(with(make, "--out", here_));
    for (const auto& [from, to] : {std::pair("cpu", "cuda"), std::pair("cuda", "cpu")}) {
      const std::string run = folder_ / ("to-" + std::string(to));
      stop_early(on(from, with(make, "--out", run)), run);
      const Outcome outcome = done(on(to, {"resume", run}));
      EXPECT_NE(outcome.out.find("bits may differ"), std::string::npos) << outcome.out;
      EXPECT_EQ(form_of(run), form_of(here_));
      expect_close(values_of(metrics_of(run), "ppl"), values_of(metrics_of(here_), "ppl"), 1e-3,
                   "moved to " + std::string(to));
    }
  }

  const TemporaryFolder folder_;
  const std::string data_ = write_text(folder_, "text.txt", 300);
  const std::string here_ = folder_ / "here", there_ = folder_ / "there";
};

TEST_F(Devices, ARunFollowsTheCpu) {
  const auto small_run = [&](const std::string& out) {
    return with(with(strong("run", data_, out), "--controller-steps", "3"), "--epochs", "1");
  };
  on_cpu(small_run(here_));
  const Outcome outcome = on_device(small_run(there_));
  EXPECT_NE(outcome.out.find("device: cuda, kernels on the CPU"), std::string::npos) << outcome.out;
  EXPECT_EQ(form_of(there_), form_of(here_));  // the same architectures in the same lines
  EXPECT_EQ(text_of(there_ + "/arch/best.txt"), text_of(here_ + "/arch/best.txt"));
  for (const char* phase : {"shared", "derive", "train", "eval"}) {
    expect_close(values_of(lines_of(there_, phase), "ppl"),
                 values_of(lines_of(here_, phase), "ppl"), 1e-3,
                 std::string("perplexities of ") + phase);
  }
  expect_close(values_of(lines_of(there_, "controller"), "reward"),
               values_of(lines_of(here_, "controller"), "reward"), 1e-3, "rewards");
  EXPECT_NE(text_of(here_ + "/run.json").find("\"gpu\": null"), std::string::npos);
  const std::string record = text_of(there_ + "/run.json");
  for (const char* part : {"\"name\": \"kernels on the CPU\"", "\"math\": \"f32\"", "plain loops"})
    EXPECT_NE(record.find(part), std::string::npos) << part << "\n" << record;
}

TEST_F(Devices, OtherCommandsFollowTheCpu) {
  done(strong("train", data_, here_) + Arguments{"--max-steps", "12"});
  const auto of = [&](const Arguments& arguments) {
    const std::string cpu = on_cpu(arguments).out;
    return std::pair(on_device(arguments).out, cpu);
  };
  std::string cuda, cpu;
  for (const char* split : {"valid", "test"}) {
    const auto both = of({"eval", "--weights", here_, "--json", "--split", split});
    cuda += both.first;
    cpu += both.second;
  }
  expect_close(values_of(cuda, "ppl"), values_of(cpu, "ppl"), 1e-5, "eval");
  const auto [there, here] = of({"generate", here_, "--tokens", "20", "--temperature", "0.7"});
  EXPECT_EQ(there, here);
  const Outcome automatic = done(on("auto", {"generate", here_, "--tokens", "2"}));
  EXPECT_NE(automatic.err.find("device auto: cuda, kernels on the CPU"), std::string::npos)
      << automatic.err;
}

TEST_F(Devices, DeriveAndCorrelateFollowTheCpu) {
  done(with(strong("search", data_, here_), "--epochs", "1") + Arguments{"--max-steps", "8"});
  fs::copy(here_, there_, fs::copy_options::recursive);
  const auto derive = [&](const std::string& run) {
    return Arguments{"derive", run, "--samples", "3", "--batches", "2"};
  };
  on_cpu(derive(here_));
  const Outcome outcome = on_device(derive(there_));
  EXPECT_NE(outcome.out.find("bits may differ"), std::string::npos) << outcome.out;
  expect_close(values_of(metrics_of(there_), "ppl"), values_of(metrics_of(here_), "ppl"), 1e-5,
               "scores");
  EXPECT_EQ(form_of(there_), form_of(here_));
  const auto correlate = [&](const std::string& run) {
    return Arguments{"correlate", run, "--samples", "2", "--epochs", "1"};
  };
  on_cpu(correlate(here_));
  on_device(correlate(there_));
  for (const char* key : {"shared_ppl", "stand_alone_ppl"}) {
    expect_close(values_of(text_of(there_ + "/correlate.json"), key),
                 values_of(text_of(here_ + "/correlate.json"), key), 1e-3, key);
  }
  EXPECT_NE(text_of(there_ + "/correlate-1/run.json").find("kernels on the CPU"),
            std::string::npos);
}

TEST_F(Devices, AHundredStepsOnTheSameArchitectures) {
  const auto steps = [&](const std::string& out) {  // without updates the policy stays as it began
    return with(with(with(strong("search", data_, out), "--controller-steps", "0"), "--log-every",
                     "1"),
                "--epochs", "9") +
           Arguments{"--max-steps", "100"};
  };
  on_cpu(steps(here_));
  on_device(steps(there_));
  const std::vector<double> losses = values_of(metrics_of(there_), "loss");
  EXPECT_GE(losses.size(), 100u);
  expect_close(losses, values_of(metrics_of(here_), "loss"), 1e-2, "loss");
}

TEST_F(Devices, EachStepOfATrainingIsOnTheDevice) {
  std::vector<double> launches;
  for (const char* steps : {"4", "14"}) {
    const Outcome outcome =
        on_device(strong("train", data_, there_) + Arguments{"--max-steps", steps, "--overwrite"});
    launches.push_back(values_of(outcome.err, "launches").at(0));
  }
  EXPECT_GT(launches[1] - launches[0], 10 * 60);  // ten positions, three nodes, there and back
}

// For the rewards: its architectures come from the CPU.
TEST_F(Devices, AnUpdateOfThePolicyWaitsOnce) {
  std::vector<double> waits;
  for (const char* updates : {"2", "7"}) {
    const Outcome outcome =
        on_device(with(with(strong("search", data_, there_), "--controller-steps", updates),
                       "--epochs", "1") +
                  Arguments{"--overwrite"});
    waits.push_back(values_of(outcome.err, "waits").at(0));
  }
  EXPECT_EQ(waits[1] - waits[0], 5);
}

TEST_F(Devices, ASearchMovesFromOneToTheOther) {
  expect_moves(
      with(with(strong("search", data_, ""), "--log-every", "2"), "--controller-steps", "2"));
}

TEST_F(Devices, ATrainingMovesFromOneToTheOther) {
  expect_moves(with(with(strong("train", data_, ""), "--log-every", "2"), "--epochs", "4") +
               Arguments{"--average-from", "20"});
}

TEST_F(Devices, DivergenceOnTheDeviceEndsTheRun) {
  const Outcome outcome = call(
      on("cuda", with(strong("train", data_, there_), "--lr", "1e3") + Arguments{"--clip", "0"}));
  EXPECT_EQ(outcome.code, 6) << outcome.all();
  EXPECT_TRUE(fs::exists(there_ + "/incidents/1.json"));
}

TEST_F(Devices, APlanCountsAStepThatIsNotRun) {
  const Outcome outcome = done({"search", "--data", data_, "--nodes", "3", "--hidden", "40",
                                "--batch", "20", "--plan", "--device", "cuda"});
  std::smatch found;
  const std::regex counted(
      R"(launches ([0-9]+): .*\n  products ([0-9]+): [.0-9]+ GFLOP, ([.0-9]+) times)");
  ASSERT_TRUE(std::regex_search(outcome.out, found, counted)) << outcome.out;
  EXPECT_GT(std::stoi(found[1]), 35 * 4 * 2);  // a node a position, forward and backward
  EXPECT_GT(std::stoi(found[2]), 35 * 4);
  EXPECT_NEAR(std::stod(found[3]), 1, 0.02);
  EXPECT_NE(outcome.out.find("the host waits 0 times"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("H200, TF32"), std::string::npos);
  const Outcome train = done({"train", "--data", data_, "--arch", "published", "--hidden", "40",
                              "--plan", "--device", "cuda"});
  EXPECT_NE(train.out.find("train on the GPU"), std::string::npos);
  const Outcome both = done(small("run", data_, here_) + Arguments{"--plan", "--device", "cuda"});
  EXPECT_NE(both.out.find("search on the GPU"), std::string::npos);
  EXPECT_NE(both.out.find("train on the GPU"), std::string::npos);
  EXPECT_FALSE(fs::exists(here_));
}

}  // namespace
}  // namespace enas

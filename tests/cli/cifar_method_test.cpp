// The method through enas_cifar: correlate, and that each parity switch of docs/method.md section 9
// changes what a search or a training ends with.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "nn/safetensors.h"
#include "tests/cli/cifar_run.h"

namespace enas {
namespace {

using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
Json json(const std::string& path) {
  Json value = Json::parse(text_of(path), nullptr, false);
  EXPECT_FALSE(value.is_discarded()) << path;
  return value;
}

class CifarMethod : public testing::TestWithParam<const char*> {
 protected:
  Outcome done(const Arguments& arguments) {
    const Outcome outcome = enas_cifar(folder_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.all();
    return outcome;
  }
  const TemporaryFolder folder_;
  const std::string data_ = write_images(folder_, "cifar-10-batches-bin");
  const std::string run_ = folder_ / "run";
};
INSTANTIATE_TEST_SUITE_P(Both, CifarMethod, testing::Values("macro", "micro"),
                         [](const auto& space) { return std::string(space.param); });

// docs/interface.md, the command correlate; docs/formats.md, correlate.json.
TEST_P(CifarMethod, CorrelateWritesItsFigureAndRepeatsNothing) {
  done(small_images("search", GetParam(), data_, run_));
  const Arguments call = {"correlate", run_, "--samples", "4", "--epochs", "1"};
  const Outcome first = done(call);
  const std::regex line(
      R"(correlate: shared-weight against stand-alone validation accuracy of 4 architectures, )"
      R"(1 epoch each: (Kendall tau \S+ \(95 % \S+ to \S+\), Spearman \S+|no rank .*)\n)");
  EXPECT_TRUE(std::regex_search(first.out, line)) << first.out;
  const std::string text = text_of(run_ + "/correlate.json");
  const Json figure = json(run_ + "/correlate.json");
  EXPECT_EQ(figure.at("samples"), 4);
  EXPECT_EQ(figure.at("epochs"), 1);
  for (const char* key : {"kendall_tau", "tau_low", "tau_high", "spearman"})
    EXPECT_TRUE(figure.contains(key)) << key;
  ASSERT_EQ(figure.at("pairs").size(), 4u);
  std::set<std::string> archs;
  for (size_t i = 0; i < 4; ++i) {
    const Json& pair = figure.at("pairs")[i];
    archs.insert(pair.at("arch").get<std::string>());
    // Both are shares of the 20 held-out images.
    for (const char* key : {"shared_accuracy", "stand_alone_accuracy"}) {
      const double images = 20 * pair.at(key).get<double>();
      EXPECT_TRUE(images >= 0 && images <= 20) << key;
      EXPECT_NEAR(images, std::round(images), 1e-9) << key;
    }
    const std::string sub = run_ + "/correlate-" + std::to_string(i + 1);
    EXPECT_EQ(pair.at("stand_alone_accuracy"), json(sub + "/eval.json").at("valid"));
    EXPECT_EQ(pair.at("arch"), read_safetensors(sub + "/model.safetensors").metadata.at("arch"));
    const std::string metrics = text_of(sub + "/metrics.jsonl");
    EXPECT_TRUE(contains(metrics, "\"epoch\":1,")) << metrics;
    EXPECT_FALSE(contains(metrics, "\"epoch\":2,")) << metrics;
  }
  EXPECT_EQ(archs.size(), 4u);
  const Outcome again = done(call);
  EXPECT_FALSE(contains(again.out, "training ")) << again.out;
  EXPECT_EQ(text_of(run_ + "/correlate.json"), text);
}

// docs/method.md, first table: correlate compares on held-out images whatever the run trains on.
TEST_P(CifarMethod, CorrelateHoldsOutWhereTheRunTrainsOnAll) {
  done(small_images("run", GetParam(), data_, run_) + Arguments{"--train-on-all"});
  EXPECT_TRUE(contains(text_of(run_ + "/config.toml"), "train-on-all = true"));
  done({"correlate", run_, "--samples", "2", "--epochs", "1"});
  const std::string sub = run_ + "/correlate-1";
  EXPECT_TRUE(contains(text_of(sub + "/config.toml"), "train-on-all = false"));
  EXPECT_TRUE(contains(text_of(sub + "/log.txt"), "best on validation"));
}

TEST_P(CifarMethod, CorrelateNeedsAFinishedSearch) {
  const auto refused = [&](const Arguments& call, const std::string& said) {
    const Outcome outcome = enas_cifar(folder_, call);
    EXPECT_EQ(outcome.code, 2) << outcome.all();
    EXPECT_TRUE(contains(outcome.err, said)) << outcome.err;
  };
  refused({"correlate", run_}, "run");
  done(small_images("train", GetParam(), data_, run_) + Arguments{"--max-steps", "1"});
  refused({"correlate", run_}, "holds no shared.safetensors; expected a finished search");
  refused({"correlate", run_, "--samples", "0"}, "--samples");
  refused({"correlate"}, "");
}

// Weights that a command with these options ends with.
using Weights = std::map<std::string, std::vector<double>>;

class CifarSwitches : public CifarMethod {
 protected:
  bool macro() const { return GetParam() == std::string("macro"); }
  const Weights& weights(const std::string& command, const Arguments& more) {
    Weights& all = known_[more];
    if (!all.empty()) return all;
    const std::string out = folder_ / std::to_string(known_.size());
    Arguments call = small_images(command, GetParam(), data_, out);
    // final-full-conv refuses pools.
    if (command == "train" && macro()) call = with(call, "--arch", "3 0 1 1 1 0");
    for (size_t i = 0; i + 1 < more.size(); i += 2) call = with(call, more[i], more[i + 1]);
    done(call);
    const std::string file =
        out + (command == "search" ? "/shared.safetensors" : "/model.safetensors");
    for (const auto& [name, tensor] : read_safetensors(file).tensors)
      all[name] = tensor.to_vector();
    return all;
  }
  // The switch is not only another name of the same run.
  void expect_effect(const std::string& command, const std::string& with,
                     const std::string& without = "", const Arguments& more = {}) {
    const auto of = [&](const std::string& names) {
      return weights(command, names.empty() ? more : more + Arguments{"--parity", names});
    };
    EXPECT_TRUE(of(with) != of(without)) << command << " --parity " << with;
  }

 private:
  std::map<Arguments, Weights> known_;  // of the test's one command
};
INSTANTIATE_TEST_SUITE_P(Both, CifarSwitches, testing::Values("macro", "micro"),
                         [](const auto& space) { return std::string(space.param); });

TEST_P(CifarSwitches, OfASearchChangeIt) {
  for (const char* name : {"baseline-first", "sample-entropy", "reward-dropout"})
    expect_effect("search", name);
  expect_effect("search", "corner-cutout", "", {"--cutout", "9"});
  expect_effect("search", "stale-lr", "", {"--epochs", "3"});
  if (macro()) {
    for (const char* name : {"running-bn", "kl-sigmoid", "concat-input", "anchor-shift"})
      expect_effect("search", name);
    return;
  }
  for (const char* name : {"op-bias-10", "reduce-stride2", "he-rows"})
    expect_effect("search", name);
  expect_effect("search", "reduce-stride2,tf-same", "reduce-stride2");
  expect_effect("search", "frozen-aux", "", {"--auxiliary", "on"});
}

TEST_P(CifarSwitches, OfATrainingChangeIt) {
  expect_effect("train", "corner-cutout", "", {"--cutout", "9"});
  if (macro()) {
    expect_effect("train", "final-full-conv");
  } else {
    for (const char* name : {"tf-same", "frozen-aux"}) expect_effect("train", name);
  }
}

}  // namespace
}  // namespace enas

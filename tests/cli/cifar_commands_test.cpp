// What each command of enas_cifar prints and writes when all is well, in both spaces.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "nn/safetensors.h"
#include "tests/cli/cifar_run.h"
#include "tests/image_fixtures.h"

namespace enas {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Cifar : public testing::Test {
 protected:
  Outcome done(const Arguments& arguments) {
    const Outcome outcome = enas_cifar(folder_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.all();
    return outcome;
  }
  Json json_of(const Arguments& arguments) { return Json::parse(done(arguments).out); }
  static Json json(const std::string& path) {
    Json value = Json::parse(text_of(path), nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << path;
    return value;
  }
  const TemporaryFolder folder_;
  const std::string data_ = write_images(folder_, "cifar-10-batches-bin");
  const std::string run_ = folder_ / "run";
};

class CifarSpace : public Cifar, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Both, CifarSpace, testing::Values("macro", "micro"),
                         [](const auto& space) { return std::string(space.param); });

TEST_P(CifarSpace, ARunLeavesWhatTheInterfaceNames) {
  const Outcome outcome =
      done(small_images("run", GetParam(), data_, run_) + Arguments{"--baseline"});
  for (const char* name : {"run.json", "config.toml", "metrics.jsonl", "log.txt", "arch/best.json",
                           "arch/best.txt", "arch/best.svg", "arch/best.dot", "arch/top.json",
                           "arch/best-random.json", "shared.safetensors", "model.safetensors",
                           "ckpt/a.safetensors", "eval.json", "random/model.safetensors"}) {
    EXPECT_TRUE(fs::exists(run_ + "/" + name)) << name;
  }
  const std::string metrics = text_of(run_ + "/metrics.jsonl");
  for (const char* phase : {"shared", "controller", "derive", "train", "eval"})
    EXPECT_TRUE(contains(metrics, "\"phase\":\"" + std::string(phase) + '"')) << phase;
  for (const char* key : {"\"accuracy\":", "\"images_per_s\":", "\"entropy_min\":", "\"lr\":"})
    EXPECT_TRUE(contains(metrics, key)) << key;
  EXPECT_EQ(outcome.out.rfind("CIFAR-10 in binary form", 0), 0u) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "batch norm with batch statistics")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "baseline: test accuracy ")) << outcome.out;
  const Json best = json(run_ + "/arch/best.json");
  EXPECT_EQ(best.at("space"), GetParam());
  EXPECT_EQ(best.at("metric"), "valid_accuracy");
  EXPECT_GT(best.at("macs"), 1000);
  // As many weights as the file has, running statistics and the auxiliary head aside.
  const std::regex aside(R"(^auxiliary\.|\.norm\.(mean|variance)$)");
  int64_t weights = 0;
  for (const auto& [name, tensor] : read_safetensors(run_ + "/model.safetensors").tensors)
    if (!std::regex_search(name, aside)) weights += tensor.numel();
  EXPECT_EQ(best.at("params").get<int64_t>(), weights);
}

TEST_P(CifarSpace, EvalGivesTheFigureOfTheRun) {
  done(small_images("train", GetParam(), data_, run_));
  for (const std::string split : {"valid", "test"}) {
    const Arguments call = {"eval", "--weights", run_, "--split", split, "--json"};
    const Json of_run = json_of(call);
    EXPECT_EQ(of_run.at("split"), split);
    EXPECT_EQ(of_run.at("images"), split == "valid" ? 20 : 40);
    EXPECT_EQ(of_run.at("accuracy"), json(run_ + "/eval.json").at(split));
    const Json of_file = json_of({"eval", "--weights", run_ + "/model.safetensors", "--data", data_,
                                  "--split", split, "--json"});
    EXPECT_EQ(of_file, of_run);
  }
  EXPECT_EQ(enas_cifar(folder_, {"eval", "--weights", run_ + "/model.safetensors"}).code, 2);
}

TEST_P(CifarSpace, DeriveAndSeveralSeeds) {
  done(small_images("search", GetParam(), data_, run_));
  const Outcome outcome = done({"derive", run_, "--samples", "4"});
  const std::regex groups(
      R"(controller \d: mean [\d.]+ %, sd [\d.]+ %; uniform \d: mean [\d.]+ %, sd [\d.]+ %; )"
      R"(difference -?[\d.]+ % \(2 standard errors [\d.]+ %\))");
  EXPECT_TRUE(std::regex_search(outcome.out, groups)) << outcome.out;
  EXPECT_EQ(enas_cifar(folder_, {"eval", "--weights", run_}).code, 2);
  const std::string seeds = folder_ / "seeds";
  const Outcome trained =
      done(small_images("train", GetParam(), data_, seeds) + Arguments{"--seeds", "2"});
  const double first = json(seeds + "/seed-1/eval.json").at("valid"),
               second = json(seeds + "/seed-2/eval.json").at("valid");
  const std::string best = first >= second ? "seed-1" : "seed-2";
  EXPECT_TRUE(contains(trained.out, "best on validation is " + best)) << trained.out;
  EXPECT_TRUE(text_of(seeds + "/model.safetensors") ==
              text_of(seeds + "/" + best + "/model.safetensors"));
}

TEST_P(CifarSpace, TrainOnAllSelectsNothing) {
  const Outcome outcome = done(small_images("train", GetParam(), data_, run_) +
                               Arguments{"--train-on-all", "--seeds", "2"});
  EXPECT_TRUE(contains(outcome.out, "nothing was held out to select on; seed-1 is linked"))
      << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "weights of the last step")) << outcome.out;
  const std::string metrics = text_of(run_ + "/seed-1/metrics.jsonl"),
                    valid = "\"split\":\"valid\"";
  EXPECT_EQ(metrics.find(valid), metrics.rfind(valid)) << "of eval alone: " << metrics;
}

TEST_P(CifarSpace, RandomSearchHasABestOfItsOwn) {
  done(small_images("run", GetParam(), data_, run_) +
       Arguments{"--strategy", "random", "--max-steps", "4"});
  EXPECT_FALSE(fs::exists(run_ + "/arch/best-random.json"));
  EXPECT_EQ(json(run_ + "/arch/best.json").at("source"), "random");
}

// Every stage, every command that reads weights; 19 pixels become 10, then 5.
TEST_P(CifarSpace, OddSizesAndTenFiltersRun) {
  const auto odd = [&](const std::string& command, const std::string& out) {
    const std::string filters = command == "run" ? "--train-filters" : "--filters";
    return with(with(small_images(command, GetParam(), data_, out), "--filters", "10"), filters,
                "10") +
           Arguments{"--image-size", "19", "--max-steps", "2"};
  };
  const Outcome plan = done(odd("run", run_) + Arguments{"--plan"});
  EXPECT_TRUE(contains(plan.out, "10 filters, batch")) << plan.out;
  done(odd("run", run_));
  const Json tested = json_of({"eval", "--weights", run_ + "/model.safetensors", "--data", data_,
                               "--split", "test", "--json"});
  EXPECT_EQ(tested.at("accuracy"), json(run_ + "/eval.json").at("test"));
  EXPECT_EQ(json_of({"eval", "--weights", run_, "--split", "test", "--json"}), tested);
  // Images of any size are scaled as those of the training were.
  const std::string image = folder_.write("image.png", png_pattern(32, 40, 1));
  EXPECT_EQ(json_of({"predict", run_, image, "--json"}).at("images").size(), 1u);
  const auto metadata = read_safetensors(run_ + "/model.safetensors").metadata;
  EXPECT_EQ(metadata.at("image_size") + metadata.at("scaled"), "19true");
  done({"derive", run_, "--samples", "2"});
  EXPECT_EQ(enas_cifar(folder_, with(odd("search", folder_ / "small"), "--image-size", "3")).code,
            2);
}

// As they are: the network takes any size, also one that is not square.
TEST_P(CifarSpace, AFolderOfOddImagesRuns) {
  for (int i = 0; i < 40; ++i) {
    const std::string folder = std::string("images/train/") + (i % 2 == 0 ? "even" : "odd");
    fs::create_directories(folder_ / folder);
    folder_.write(folder + "/" + std::to_string(i) + ".png", png_pattern(11, 9, 3 * i, 1 + i % 2));
  }
  Arguments call = small_images("run", GetParam(), folder_ / "images", run_);
  for (const char* option : {"--batch", "--train-batch"}) call = with(call, option, "12");
  for (const char* option : {"--reward-batch", "--train-valid-batch"})
    call = with(call, option, "4");
  if (std::string(GetParam()) == "micro") call = with(call, "--train-auxiliary", "off");
  const Outcome outcome = done(call + Arguments{"--max-steps", "2"});
  EXPECT_EQ(outcome.out.rfind("image", 0), 0u) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "11 x 9 pixels, 2 classes")) << outcome.out;
  const std::string image = folder_.write("image.png", png_pattern(11, 9, 1)),
                    turned = folder_.write("turned.png", png_pattern(9, 11, 1));
  EXPECT_EQ(json_of({"predict", run_, image, "--json"}).at("images").size(), 1u);
  EXPECT_EQ(enas_cifar(folder_, {"predict", run_, turned}).code, 3);
  EXPECT_EQ(json_of({"eval", "--weights", run_, "--split", "valid", "--json"}).at("images"), 4);
}

TEST_P(CifarSpace, PlansAndExports) {
  const Outcome plan = done(small_images("run", GetParam(), data_, run_) + Arguments{"--plan"});
  EXPECT_TRUE(contains(plan.out, "multiply-adds an image")) << plan.out;
  EXPECT_FALSE(fs::exists(run_));
  done(small_images("train", GetParam(), data_, run_) + Arguments{"--max-steps", "2"});
  for (const std::string format : {"svg", "dot", "json", "safetensors"}) {
    const std::string to = folder_ / ("file." + format);
    done({"export", "--weights", run_, "--format", format, "--to", to});
    EXPECT_GT(fs::file_size(to), 100u) << format;
  }
  EXPECT_TRUE(text_of(folder_ / "file.safetensors") == text_of(run_ + "/model.safetensors"));
  EXPECT_EQ(json(folder_ / "file.json").at("space"), GetParam());
}

TEST_F(Cifar, ArchPrintsTextAndJson) {
  const auto arch = [&](const std::string& what, const std::string& space, Arguments more) {
    return done(Arguments{"arch", what, "--space", space} + more).out;
  };
  EXPECT_TRUE(contains(arch("count", "macro", {}), "2^66"));
  // 5^4 (5 - ...)!: the paper's (5 * 5!)^4.
  EXPECT_TRUE(contains(arch("count", "micro", {}), "129,600,000,000"));
  const Json counted = Json::parse(arch("count", "macro", {"--layers", "2", "--json"}));
  EXPECT_EQ(counted.at("count"), "72");
  for (const char* space : {"macro", "micro"}) {
    const Json shown = Json::parse(arch("show", space, {"--arch", "published", "--json"}));
    EXPECT_EQ(shown.at("space"), space);
    const std::string random = arch("random", space, {"--seed", "5"});
    EXPECT_EQ(arch("random", space, {"--seed", "5"}), random);
    EXPECT_NE(arch("random", space, {"--seed", "6"}), random);
    arch("show", space, {"--arch", "published", "--to", folder_ / space});
    EXPECT_EQ(text_of(folder_ / (space + std::string("/arch.svg"))).rfind("<svg", 0), 0u);
  }
  const Json macro = Json::parse(arch("cost", "macro", {"--arch", "published", "--json"}));
  EXPECT_EQ(macro.at("params"), 30947424);
  EXPECT_EQ(macro.at("shared_params"), 697860);
  const Json micro = Json::parse(arch("cost", "micro", {"--arch", "published", "--json"}));
  EXPECT_EQ(micro.at("params"), 3894372);
  EXPECT_EQ(micro.at("shared_params"), 5373140);
  const auto switched = [&](const char* space, const char* name, const char* key) {
    return Json::parse(arch("cost", space, {"--parity", name, "--json"})).at(key);
  };
  EXPECT_EQ(switched("macro", "concat-input", "shared_params"), 782028);
  EXPECT_EQ(switched("micro", "reduce-stride2", "shared_params"), 5558660);
  EXPECT_EQ(Json::parse(arch("cost", "macro",
                             {"--arch", "published", "--parity", "final-full-conv", "--json"}))
                .at("params"),
            42559392);
}

TEST_F(Cifar, PredictNamesClasses) {
  done(small_images("train", "micro", data_, run_) + Arguments{"--max-steps", "2"});
  const std::string one = folder_.write("one.png", png_pattern(32, 32, 1)),
                    two = folder_.write("two.png", png_pattern(32, 32, 9));
  const Outcome text = done({"predict", run_, one, two, "--top", "2"});
  EXPECT_TRUE(
      std::regex_search(text.out, std::regex("^" + one + R"(: \w+ [0-9.]+ %, \w+ [0-9.]+ %)")))
      << text.out;
  EXPECT_EQ(text.err, "");
  const Json list = json_of({"predict", run_, one, two, "--top", "10", "--json"}).at("images");
  ASSERT_EQ(list.size(), 2u);
  double total = 0;
  for (const Json& entry : list[1].at("classes")) total += entry.at("probability").get<double>();
  EXPECT_NEAR(total, 1, 1e-6);
  const auto code = [&](const Arguments& images) {
    return enas_cifar(folder_, Arguments{"predict", run_} + images).code;
  };
  EXPECT_EQ(code({folder_.write("no.png", "not an image")}), 3);
  EXPECT_EQ(code({folder_.write("small.png", png_pattern(8, 8, 1))}), 3);
  EXPECT_EQ(code({}), 2);
}

TEST_F(Cifar, HelpNamesTheDefaultOfASpaceOnce) {
  const std::regex twice(R"(\(macro\)[^\]]*\(macro\))");
  for (const char* command : {"run", "search", "train", "arch"}) {
    const std::string help = done({command, "--help"}).out;
    EXPECT_TRUE(contains(help, "(macro), ")) << command;
    std::smatch found;
    EXPECT_FALSE(std::regex_search(help, found, twice)) << command << ": " << found.str();
  }
}

TEST_F(Cifar, DataInfoSaysWhatWasRecognised) {
  EXPECT_TRUE(contains(done({"data", "info", data_}).out, "CIFAR-10 in binary form"));
  EXPECT_TRUE(contains(done({"data", "info", "builtin:shapes10"}).out, "10 classes"));
}

TEST_F(Cifar, ParitySwitchesBelongToASpace) {
  const auto refuse = [&](const std::string& space, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const Arguments call = small_images("search", space, data_, run_);
      EXPECT_EQ(enas_cifar(folder_, call + Arguments{"--parity", name}).code, 2) << name;
    }
  };
  refuse("micro", {"running-bn", "kl-sigmoid", "concat-input", "anchor-shift"});
  refuse("macro", {"tf-same", "op-bias-10", "reduce-stride2", "frozen-aux", "he-rows"});
}

}  // namespace
}  // namespace enas

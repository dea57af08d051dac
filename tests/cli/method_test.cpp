// The method through the built program: random search, several trainings, correlate, generate,
// export, plans, counts, texts of the published programs, parity switches.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "nn/safetensors.h"
#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Method : public testing::Test {
 protected:
  Outcome done(const Arguments& arguments) {
    const Outcome outcome = enas_ptb(folder_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.all();
    return outcome;
  }
  static Json json(const std::string& path) {
    Json value = Json::parse(text_of(path), nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << path;
    return value;
  }
  double test_perplexity(const std::string& run) {
    return Json::parse(done({"eval", "--weights", run, "--json"}).out).at("ppl").get<double>();
  }

  const TemporaryFolder folder_;
  const std::string data_ = write_text(folder_, "text.txt", 600);
  const std::string run_ = folder_ / "run";
};

TEST_F(Method, RandomSearchHasABestOfItsOwnAndResumes) {
  const Arguments call = small("run", data_, run_) + Arguments{"--strategy", "random"};
  done(call);
  EXPECT_FALSE(fs::exists(run_ + "/arch/best-random.json"));
  EXPECT_EQ(json(run_ + "/arch/best.json").at("source"), "random");
  for (const Json& entry : json(run_ + "/arch/top.json")) EXPECT_EQ(entry.at("source"), "random");
  const std::string stopped = folder_ / "stopped";
  const auto lines = [&](const std::string& run) {
    std::error_code none;
    const auto bytes = fs::file_size(run + "/metrics.jsonl", none);
    return none ? 0 : bytes;
  };
  int stops = 0;
  for (const double share : {0.05, 0.15, 0.3, 0.5}) {
    Process process(folder_, with(call, "--out", stopped));
    const auto bytes = static_cast<uintmax_t>(share * static_cast<double>(lines(run_)));
    wait_until(process, [&] { return lines(stopped) > bytes; });
    process.send(SIGTERM);
    stops += process.wait().code == 143;
    done({"resume", stopped});
    EXPECT_TRUE(results(stopped) == results(run_)) << share;
    fs::remove_all(stopped);
  }
  EXPECT_GE(stops, 1);
}

TEST_F(Method, BaselineTrainsTheBestUniformArchitecture) {
  const Outcome outcome = done(small("run", data_, run_) + Arguments{"--baseline"});
  EXPECT_TRUE(contains(outcome.out, "baseline: test perplexity ")) << outcome.out;
  const Json own = json(run_ + "/eval.json"), random = json(run_ + "/random/eval.json");
  EXPECT_GT(own.at("test"), 1);
  EXPECT_GT(random.at("test"), 1);
  const std::string arch = json(run_ + "/arch/best-random.json").at("arch").get<std::string>();
  EXPECT_EQ(Json::parse(done({"eval", "--weights", run_ + "/random", "--json"}).out).at("arch"),
            arch);
}

TEST_F(Method, RetrainPicksOnValidation) {
  done(small("run", data_, run_) + Arguments{"--retrain", "2"});
  const Json picked = json(run_ + "/arch/picked.json"), top = json(run_ + "/arch/top.json");
  std::vector<Json> own;
  for (const Json& entry : top)
    if (entry.at("source") == "controller") own.push_back(entry);
  ASSERT_EQ(own.size(), 2u) << top;
  EXPECT_TRUE(own[0].at("rank") == 1 && own[1].at("rank") == 2) << top;
  EXPECT_EQ(json(run_ + "/arch/best.json").at("arch"), own[0].at("arch"));
  double best = 1e300;
  for (int rank = 1; rank <= 2; ++rank) {
    const std::string name = "retrain-" + std::to_string(rank);
    const Json figures = json(run_ + "/" + name + "/eval.json");
    EXPECT_TRUE(figures.at("test").is_null());  // read for the winner alone
    const double valid = figures.at("valid");
    if (valid < best) {
      best = valid;
      EXPECT_TRUE(rank == 1 || picked.at("rank") == 2);
    }
  }
  const auto rank = picked.at("rank").get<size_t>();
  EXPECT_EQ(picked.at("folder"), "retrain-" + std::to_string(rank));
  EXPECT_EQ(picked.at("arch"), own[rank - 1].at("arch"));
  EXPECT_EQ(picked.at("valid_ppl"), best);
  EXPECT_TRUE(fs::is_symlink(run_ + "/model.safetensors"));
  EXPECT_TRUE(text_of(run_ + "/model.safetensors") ==
              text_of(run_ + "/" + picked.at("folder").get<std::string>() + "/model.safetensors"));
  EXPECT_EQ(json(run_ + "/eval.json").at("valid"), best);
  EXPECT_NEAR(test_perplexity(run_), json(run_ + "/eval.json").at("test"), 1e-9);
}

TEST_F(Method, RetrainEpochsTriesAndThenTrainsTheBestInFull) {
  const Arguments call = with(small("run", data_, run_), "--train-epochs", "3") +
                         Arguments{"--retrain", "2", "--retrain-epochs", "1"};
  const Outcome outcome = done(call);
  const Json picked = json(run_ + "/arch/picked.json");
  double best = 1e300;
  for (const char* name : {"retrain-1", "retrain-2"}) {
    const std::string trial = run_ + "/" + name;
    const Json figures = json(trial + "/eval.json");
    best = std::min(best, figures.at("valid").get<double>());
    EXPECT_TRUE(figures.at("test").is_null()) << figures;
    EXPECT_TRUE(contains(text_of(trial + "/config.toml"), "epochs = 1")) << name;
  }
  EXPECT_EQ(picked.at("valid_ppl"), best);
  EXPECT_TRUE(contains(outcome.out, picked.at("folder").get<std::string>() + " (")) << outcome.out;
  EXPECT_TRUE(contains(outcome.out, "now trained in full")) << outcome.out;
  // The model at the top is a training of its own: three epochs of the picked architecture.
  EXPECT_FALSE(fs::is_symlink(run_ + "/model.safetensors"));
  const std::string alone = folder_ / "alone";
  done(with(with(small("train", data_, alone), "--epochs", "3"), "--arch",
            picked.at("arch").get<std::string>()));
  EXPECT_TRUE(json(alone + "/eval.json") == json(run_ + "/eval.json"));
  const Outcome lonely =
      enas_ptb(folder_, with(with(call, "--retrain", "1"), "--out", folder_ / "one"));
  EXPECT_EQ(lonely.code, 2);
  EXPECT_TRUE(contains(lonely.err, "--retrain-epochs needs --retrain 2 or more")) << lonely.err;
}

TEST_F(Method, SeveralSeedsLinkTheBestAndTellTheSpread) {
  const Outcome outcome = done(small("train", data_, run_) + Arguments{"--seeds", "2"});
  EXPECT_TRUE(contains(outcome.out, "test perplexity over 2 trainings: mean ")) << outcome.out;
  const double first = json(run_ + "/seed-1/eval.json").at("valid"),
               second = json(run_ + "/seed-2/eval.json").at("valid");
  EXPECT_NE(first, second);
  const std::string best = first <= second ? "seed-1" : "seed-2";
  EXPECT_TRUE(contains(outcome.out, "best on validation is " + best));
  EXPECT_TRUE(text_of(run_ + "/model.safetensors") ==
              text_of(run_ + "/" + best + "/model.safetensors"));
  // Seed 1 of several is the training of seed 1 alone.
  done(small("train", data_, folder_ / "alone"));
  EXPECT_EQ(json(folder_ / "alone/eval.json"), json(run_ + "/seed-1/eval.json"));
}

TEST_F(Method, CorrelateWritesItsFigureAndRepeatsNothing) {
  done(small("search", data_, run_));
  const Arguments call = {"correlate", run_, "--samples", "5", "--epochs", "1"};
  const Outcome first = done(call);
  EXPECT_TRUE(contains(first.out, "Kendall tau ")) << first.out;
  const std::string text = text_of(run_ + "/correlate.json");
  const Json figure = json(run_ + "/correlate.json");
  EXPECT_EQ(figure.at("pairs").size(), figure.at("samples").get<size_t>());
  EXPECT_EQ(figure.at("epochs"), 1);
  for (const char* key : {"kendall_tau", "tau_low", "tau_high", "spearman"}) {
    EXPECT_GE(figure.at(key), -1) << key;
    EXPECT_LE(figure.at(key), 1) << key;
  }
  EXPECT_LE(figure.at("tau_low"), figure.at("kendall_tau"));
  EXPECT_GE(figure.at("tau_high"), figure.at("kendall_tau"));
  EXPECT_TRUE(json(run_ + "/correlate-1/eval.json").at("test").is_null());
  for (const Json& pair : figure.at("pairs")) {
    EXPECT_GT(pair.at("shared_ppl"), 1);
    EXPECT_GT(pair.at("stand_alone_ppl"), 1);
    EXPECT_FALSE(pair.at("arch").get<std::string>().empty());
  }
  const auto time = fs::last_write_time(run_ + "/correlate-1/model.safetensors");
  const Outcome again = done(call);
  EXPECT_FALSE(contains(again.out, "training ")) << again.out;
  EXPECT_EQ(text_of(run_ + "/correlate.json"), text);
  EXPECT_EQ(fs::last_write_time(run_ + "/correlate-1/model.safetensors"), time);
  const std::string moved = folder_ / "moved.txt";
  fs::rename(data_, moved);
  EXPECT_EQ(enas_ptb(folder_, call).code, 3);
  done(call + Arguments{"--data", moved});
}

TEST_F(Method, GenerateIsAFunctionOfItsOptions) {
  done(small("train", data_, run_) +
       Arguments{"--init", "0.4", "--dropout-input", "0", "--dropout-output", "0"});
  const Arguments call = {"generate", run_, "--tokens", "30"};
  const auto text = [&](const Arguments& more) { return done(call + more).out; };
  const std::string first = text({});
  EXPECT_EQ(text({"--threads", "1"}), first);
  EXPECT_NE(text({"--seed", "2"}), first);
  EXPECT_NE(text({"--temperature", "0.1"}), first);
  // At a temperature near 0 the likeliest word wins whatever the seed.
  EXPECT_EQ(text({"--temperature", "0.001"}), text({"--temperature", "0.001", "--seed", "2"}));
  EXPECT_EQ(text({"--prompt", "w3 w4"}).rfind("w3 w4", 0), 0u);
  const Outcome unknown = enas_ptb(folder_, call + Arguments{"--prompt", "w3 nonsense"});
  EXPECT_EQ(unknown.code, 2) << unknown.all();
  EXPECT_TRUE(contains(unknown.err, "nonsense")) << unknown.err;
}

TEST_F(Method, ExportsInEveryForm) {
  done(small("train", data_, run_) + Arguments{"--max-steps", "5"});
  const auto exported = [&](const std::string& format, const Arguments& from) {
    const std::string to = folder_ / ("export." + format);
    done(Arguments{"export", "--format", format, "--to", to} + from);
    return text_of(to);
  };
  const Arguments weights = {"--weights", run_}, arch = {"--arch", "0 1 1 0"};
  EXPECT_TRUE(exported("safetensors", weights) == text_of(run_ + "/model.safetensors"));
  for (const char* format : {"json", "dot", "svg"})
    EXPECT_EQ(exported(format, weights), exported(format, arch)) << format;
  const Json cell = Json::parse(exported("json", arch));
  EXPECT_EQ(cell.at("arch"), "0 1 1 0");
  EXPECT_EQ(cell.at("nodes"), 2);
  EXPECT_EQ(cell.at("node0"), "tanh");
  EXPECT_EQ(cell.at("edges"), (Json{{0, 1, "relu"}, {1, 2, "tanh"}}));
  EXPECT_EQ(cell.at("loose_ends"), (Json{2}));
  EXPECT_EQ(exported("svg", arch).rfind("<svg", 0), 0u);
  EXPECT_EQ(exported("dot", arch).rfind("digraph", 0), 0u);
  const std::string to = folder_ / "none";
  for (const Arguments& bad : std::vector<Arguments>{
           {"--format", "safetensors", "--arch", "0 1"}, {"--format", "svg"}, {"--arch", "0 1"}})
    EXPECT_EQ(enas_ptb(folder_, Arguments{"export", "--to", to} + bad).code, 2);
  EXPECT_FALSE(fs::exists(to));
}

TEST_F(Method, EveryPresetHasAPlanThatWritesNothing) {
  for (const std::string preset : {"paper", "best", "demo", "quick"}) {
    for (const std::string command : {"run", "search", "train"}) {
      Arguments call = {command, "--preset", preset, "--data", data_, "--plan", "--out", run_};
      if (command == "train") call = call + Arguments{"--arch", "published"};
      const Outcome outcome = done(call);
      EXPECT_TRUE(contains(outcome.out, "nothing is run")) << preset << " " << command;
      EXPECT_EQ(contains(outcome.out, "search: "), command != "train") << outcome.out;
      EXPECT_EQ(contains(outcome.out, "train: "), command != "search") << outcome.out;
      EXPECT_FALSE(fs::exists(run_));
    }
  }
}

// docs/method.md 1.4, with the vocabulary of Penn Treebank.
TEST_F(Method, CountsOfThePaperAndOfItsReplacement) {
  const auto cost = [&](const Arguments& more) {
    return Json::parse(done(Arguments{"arch", "cost", "--json"} + more).out);
  };
  EXPECT_EQ(cost({"--nodes", "11", "--hidden", "748"}).at("params"), 22027104);
  EXPECT_EQ(cost({}).at("shared_params"), 16560000);
  // A searched first activation has an input matrix each, where activations have their own.
  const Arguments searched = {"--parity", "node0-searched"};
  EXPECT_EQ(cost(searched).at("shared_params"), 16560000 + 3 * 400 * 400);
  EXPECT_EQ(cost(searched + Arguments{"--share", "edge"}).at("shared_params"),
            cost({"--share", "edge"}).at("shared_params"));
  EXPECT_EQ(
      Json::parse(done(Arguments{"arch", "count", "--nodes", "11", "--json"} + searched).out),
      (Json{{"nodes", 11}, {"count", "669692775628800"}, {"paper_count", "8036313307545600"}}));
  const std::string words = done({"arch", "count", "--nodes", "3"}).out;
  EXPECT_TRUE(contains(words, "384 architectures")) << words;             // 3! 4^3
  EXPECT_TRUE(contains(words, "6,144 by the paper's formula")) << words;  // 4! 4^4
}

TEST_F(Method, TextsOfThePublishedProgramRunThrough) {
  const std::string text = "enas1: 3 0 2 1 1";  // sigmoid first, then identity and relu
  const Outcome shown =
      done({"arch", "show", "--arch", text, "--with-space", "--to", folder_ / "d"});
  EXPECT_TRUE(
      contains(shown.out, "0: sigmoid of x and h\n1: identity of node 0\n2: relu of node 1"))
      << shown.out;
  EXPECT_TRUE(contains(text_of(folder_ / "d/cell.dot"), "0: sigmoid"));
  EXPECT_TRUE(contains(text_of(folder_ / "d/cell.dot"), "color=grey"));
  done(with(small("train", data_, run_), "--arch", text) + Arguments{"--max-steps", "5"});
  EXPECT_EQ(Json::parse(done({"eval", "--weights", run_, "--json"}).out).at("arch"), text);
  const std::string search = folder_ / "search";
  done(small("run", data_, search) + Arguments{"--parity", "node0-searched", "--max-steps", "20"});
  EXPECT_EQ(json(search + "/arch/best.json").at("arch").get<std::string>().rfind("enas1: ", 0), 0u);
  for (const Json& entry : json(search + "/arch/top.json")) {
    const std::string arch = entry.at("arch").get<std::string>();
    // One that begins with tanh is a text of the plain space too, and is shown as such.
    const std::string out = done({"arch", "show", "--arch", arch}).out;
    EXPECT_EQ(out.rfind(arch + "\n", 0) == 0, arch.rfind("enas1: 0 ", 0) != 0) << out;
  }
  // The whole published cell has a tanh at node 0 and is a text of the plain space too.
  const Outcome official =
      done({"arch", "show", "--arch", "enas1: 0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1"});
  EXPECT_TRUE(contains(official.out, "11: relu of node 8")) << official.out;
}

class Parity : public Method, public testing::WithParamInterface<const char*> {};

TEST_P(Parity, ChangesTheResultAndRunsThrough) {
  const std::string name = GetParam();
  Arguments call = small("run", data_, run_);
  call = with(with(call, "--epochs", "1"), "--train-epochs", "1");
  // Large enough to show in a short search.
  call = call + Arguments{"--weight-decay",   "0.01", "--controller-lr",  "0.01",
                          "--entropy-weight", "1",    "--dropout-output", "0.3"};
  const std::string plain = folder_ / "plain";
  done(call + Arguments{"--parity", name});
  done(with(call, "--out", plain));
  const TensorFile here = read_safetensors(run_ + "/shared.safetensors"),
                   there = read_safetensors(plain + "/shared.safetensors");
  bool differs = false;  // in a tensor, not just in the recorded configuration
  for (const auto& [tensor, value] : there.tensors) {
    const auto found = here.tensors.find(tensor);
    differs =
        differs || found == here.tensors.end() || found->second.to_vector() != value.to_vector();
  }
  EXPECT_TRUE(differs);
  EXPECT_GT(test_perplexity(run_), 1);
}

std::string switch_name(const testing::TestParamInfo<const char*>& tested) {
  std::string name = tested.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Switches, Parity,
                         testing::Values("mean-all", "node0-searched", "baseline-first",
                                         "sample-entropy", "l4-decay", "reward-dropout"),
                         switch_name);

}  // namespace
}  // namespace enas

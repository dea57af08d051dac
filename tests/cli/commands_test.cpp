// What each command prints and writes when all is well: results as JSON, drawings, budgets, limits
// of steps, architectures from files.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <thread>

#include "tests/cli/small_run.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

const std::string kNumber = R"(-?[0-9.]+(e[-+]?[0-9]+)?)";

bool matches(const std::string& text, const std::string& pattern) {
  return std::regex_match(text, std::regex(pattern));
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// Seconds of a stage in run.json; 0: it has none.
double seconds_of(const std::string& run, const std::string& stage) {
  const std::string text = text_of(run + "/run.json");
  const size_t timings = text.find("\"timings\""), at = text.find('"' + stage + "\":", timings);
  return at == std::string::npos ? 0 : std::atof(text.c_str() + at + stage.size() + 3);
}

class Commands : public testing::Test {
 protected:
  Outcome done(const Arguments& arguments) {
    const Outcome outcome = enas_ptb(folder_, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.all();
    return outcome;
  }
  const TemporaryFolder folder_;
  const std::string data_ = write_text(folder_, "text.txt", 600);
  const std::string run_ = folder_ / "run";
};

TEST_F(Commands, ARunLeavesWhatTheInterfaceNames) {
  const Outcome outcome = done(small("run", data_, run_));
  for (const char* name :
       {"run.json", "config.toml", "metrics.jsonl", "log.txt", "arch/best.json", "arch/best.txt",
        "arch/best.svg", "arch/best.dot", "arch/top.json", "arch/best-random.json",
        "shared.safetensors", "model.safetensors", "ckpt/a.safetensors"}) {
    EXPECT_TRUE(fs::exists(run_ + "/" + name)) << name;
  }
  const std::string metrics = text_of(run_ + "/metrics.jsonl"), log = text_of(run_ + "/log.txt");
  for (const char* phase : {"shared", "controller", "derive", "train", "eval"})
    EXPECT_GT(count(metrics, "\"phase\":\"" + std::string(phase) + '"'), 0u) << phase;
  EXPECT_EQ(log, outcome.out);
  EXPECT_EQ(outcome.out.rfind("text file ", 0), 0u) << "the first line says what the data are";
  EXPECT_NE(log.find("policy entropy"), std::string::npos);
  EXPECT_NE(log.find("are not final ones"), std::string::npos);
  EXPECT_NE(log.find("see " + run_), std::string::npos);
  EXPECT_NE(text_of(run_ + "/run.json").find("\"finished\""), std::string::npos);
  for (const char* first : {"best", "best-random"})  // each of its own source
    EXPECT_EQ(text_of(run_ + "/arch/" + first + ".json").rfind("{\"rank\":1,", 0), 0u) << first;
  EXPECT_EQ(text_of(run_ + "/arch/best.svg").rfind("<svg", 0), 0u);
  EXPECT_EQ(text_of(run_ + "/arch/best.dot").rfind("digraph", 0), 0u);
}

TEST_F(Commands, EvalPrintsOneJsonObject) {
  done(small("train", data_, run_));
  const std::string object = R"(\{"split":"SPLIT","loss":)" + kNumber + R"(,"ppl":)" + kNumber +
                             R"(,"tokens":[0-9]+,"arch":"0 1 1 0"\})" + "\n";
  for (const std::string split : {"valid", "test"}) {
    const Outcome of_run = done({"eval", "--weights", run_, "--split", split, "--json"});
    EXPECT_TRUE(matches(of_run.out, std::regex_replace(object, std::regex("SPLIT"), split)))
        << of_run.out;
    EXPECT_EQ(of_run.err, "");
    const Outcome of_file = done({"eval", "--weights", run_ + "/model.safetensors", "--data", data_,
                                  "--split", split, "--json"});
    EXPECT_EQ(of_file.out, of_run.out);
  }
  EXPECT_EQ(enas_ptb(folder_, {"eval", "--weights", run_ + "/model.safetensors"}).code, 2);
}

// Relus of weights up to 1 behind each other: a mean loss above 709, whose exp no double holds.
TEST_F(Commands, APerplexityBeyondADoubleIsSaidInWords) {
  Arguments call = with(small("train", data_, run_), "--arch", "0 1 1 1 2 1");
  call = with(with(with(call, "--hidden", "200"), "--log-every", "1"), "--max-steps", "2");
  const Outcome outcome = done(call + Arguments{"--cell", "plain", "--init", "1", "--lr", "0"});
  EXPECT_TRUE(matches(std::regex_replace(outcome.out, std::regex("\n"), " "),
                      ".*  ppl above 1e308, loss [0-9.]+e[+]03 .*"))
      << outcome.out;
  EXPECT_NE(outcome.out.find("eval: test perplexity above 1e308 over "), std::string::npos)
      << outcome.out;
  EXPECT_EQ(outcome.out.find("inf"), std::string::npos) << outcome.out;
}

TEST_F(Commands, AResultThatCannotBePrintedIsExit8) {
  const auto shell = [&](const std::string& arguments) {
    return Process(folder_, {"-c", std::string("exec ") + ENAS_PTB + " " + arguments}, {},
                   "/bin/sh")
        .wait();
  };
  for (const char* to : {" >/dev/full", " >&-"}) {
    const Outcome outcome = shell(std::string("arch show --arch published") + to);
    EXPECT_EQ(outcome.code, 8) << outcome.all();
    EXPECT_TRUE(matches(outcome.err, "enas_ptb: error: standard output: cannot write .*\n"));
  }
  // A run says it in its files, and none of them takes the number of the closed stream.
  std::string call;
  for (const std::string& word : small("search", data_, run_) + Arguments{"--max-steps", "20"})
    call += word + " ";
  EXPECT_EQ(shell(call + ">&- 2>&-").code, 0);
  std::ifstream metrics(run_ + "/metrics.jsonl");
  int lines = 0;
  for (std::string line; std::getline(metrics, line); ++lines)
    EXPECT_EQ(line.substr(0, 9), "{\"phase\":") << line;
  EXPECT_GT(lines, 0);
}

TEST_F(Commands, ArchPrintsTextAndJson) {
  EXPECT_TRUE(matches(done({"arch", "count", "--nodes", "4", "--json"}).out,
                      R"(\{"nodes":4,"count":"?6144"?.*\}\n)"));
  EXPECT_NE(done({"arch", "count", "--nodes", "4"}).out.find("6,144"), std::string::npos);
  EXPECT_TRUE(matches(
      done({"arch", "cost", "--nodes", "2", "--hidden", "8", "--vocabulary", "21", "--json"}).out,
      R"(\{"params":680,"shared_params":[0-9]+,"macs":[0-9]+\}\n)"));
  const std::string random = done({"arch", "random", "--nodes", "3", "--seed", "5"}).out;
  EXPECT_EQ(done({"arch", "random", "--nodes", "3", "--seed", "5"}).out, random);
  EXPECT_NE(done({"arch", "random", "--nodes", "3", "--seed", "6"}).out, random);
  EXPECT_TRUE(matches(done({"arch", "show", "--arch", "0 2 1 0", "--json"}).out,
                      R"re(\{"arch":"0 2 1 0","nodes":2,"words":"1: sigmoid of .*"\}\n)re"));
  const Outcome drawn = done({"arch", "show", "--arch", "published", "--to", folder_ / "drawn"});
  EXPECT_NE(drawn.out.find("0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2\n"), std::string::npos);
  EXPECT_NE(drawn.out.find("wrote " + (folder_ / "drawn/cell.svg") + " and "), std::string::npos);
  EXPECT_EQ(text_of(folder_ / "drawn/cell.svg").rfind("<svg", 0), 0u);
  EXPECT_EQ(text_of(folder_ / "drawn/cell.dot").rfind("digraph", 0), 0u);
}

TEST_F(Commands, DataInfoSaysWhatWasRecognised) {
  EXPECT_NE(done({"data", "info", data_}).out.find("7,020 / 390 / 390 tokens"), std::string::npos);
  EXPECT_NE(done({"data", "info", "builtin:tiny-text"}).out.find("vocabulary 127"),
            std::string::npos);
}

TEST_F(Commands, DeriveTwiceAndWithFewBatches) {
  done(small("search", data_, run_));
  const Arguments few = {"derive", run_, "--samples", "5", "--batches", "2"};
  const Outcome first = done(few);
  EXPECT_NE(first.err.find("standard error"), std::string::npos) << first.err;
  EXPECT_NE(first.out.find("difference"), std::string::npos) << first.out;
  const std::string top = text_of(run_ + "/arch/top.json");
  const std::string metrics = text_of(run_ + "/metrics.jsonl");
  EXPECT_NE(enas_ptb(folder_, {"eval", "--weights", run_}).err.find("no final weights"),
            std::string::npos);
  const Outcome foreign = enas_ptb(folder_, small("run", data_, run_));
  EXPECT_EQ(foreign.code, 2);
  EXPECT_NE(foreign.err.find("is a run of search"), std::string::npos) << foreign.err;
  const size_t lines = count(metrics, "\"phase\":\"derive\"");  // 10 but for duplicates
  EXPECT_GT(lines, 5u);
  done(few);
  EXPECT_EQ(text_of(run_ + "/arch/top.json"), top);
  EXPECT_EQ(text_of(run_ + "/metrics.jsonl"), metrics);
  const Outcome all = done({"derive", run_, "--samples", "5"});
  EXPECT_EQ(all.err, "");
  EXPECT_NE(text_of(run_ + "/arch/top.json"), top);
  EXPECT_EQ(count(text_of(run_ + "/metrics.jsonl"), "\"phase\":\"derive\""), 2 * lines);
}

TEST_F(Commands, TrainTakesAFileOrTextOrThePublishedCell) {
  done(small("run", data_, run_) + Arguments{"--max-steps", "5"});
  const Arguments call =
      with(small("train", data_, folder_ / "json"), "--arch", run_ + "/arch/best.json") +
      Arguments{"--max-steps", "5"};
  done(call);
  done(with(with(call, "--out", folder_ / "txt"), "--arch", run_ + "/arch/best.txt"));
  EXPECT_EQ(results(folder_ / "json"), results(folder_ / "txt"));
  done(with(with(call, "--out", folder_ / "published"), "--arch", "published"));
  EXPECT_NE(text_of(folder_ / "published/config.toml").find("arch = \"0 2 1 0 2 1"),
            std::string::npos);
}

TEST_F(Commands, MaxStepsEndsWithAResultAndALastLine) {
  const Outcome outcome =
      done(small("train", data_, run_) + Arguments{"--max-steps", "13", "--quiet"});
  const std::string metrics = text_of(run_ + "/metrics.jsonl");
  EXPECT_NE(metrics.find("\"step\":13,"), std::string::npos) << metrics;
  EXPECT_EQ(count(metrics, "\"phase\":\"train\""), 3u) << metrics;  // 10, 13, validation
  EXPECT_TRUE(fs::exists(run_ + "/model.safetensors"));
  EXPECT_EQ(count(outcome.out, "\n"), 2u) << outcome.out;  // the two results
  EXPECT_NE(text_of(run_ + "/log.txt").find("ended by --max-steps after 13 steps"),
            std::string::npos);
}

TEST_F(Commands, BudgetIsSharedAndEndsWithAResult) {
  // Low rates: at the defaults thousands of steps on so small a text may diverge, exit code 6.
  const Arguments call =
      with(with(small("run", data_, run_), "--epochs", "100000"), "--train-epochs", "100000") +
      Arguments{"--budget", "2s", "--shared-lr", "0.5", "--train-lr", "0.5"};
  const Outcome outcome = done(call);
  EXPECT_EQ(count(outcome.out, "ended by --budget"), 2u);
  EXPECT_NE(outcome.out.find("eval: test perplexity"), std::string::npos);
  // The shares, from below: a loaded machine stretches any step. Without a budget: some hours.
  EXPECT_GE(seconds_of(run_, "search"), 0.9);
  EXPECT_GE(seconds_of(run_, "train"), 0.8);
}

TEST_F(Commands, BudgetHoldsOverAResume) {
  const Arguments call = with(small("search", data_, run_), "--epochs", "100000") +
                         Arguments{"--budget", "4s", "--shared-lr", "0.5"};
  Process process(folder_, call);
  wait_until(process, [&] { return fs::exists(run_ + "/metrics.jsonl"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(2500));
  process.send(SIGTERM);
  ASSERT_EQ(process.wait().code, 143);
  const auto begin = std::chrono::steady_clock::now();
  done({"resume", run_});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count(), 3.5);  // some 1.5 s were left; another 4 s would be too many
  EXPECT_GE(seconds_of(run_, "search"), 4.0);
}

TEST_F(Commands, JsonLogIsOneObjectALine) {
  const Outcome outcome =
      done(small("train", data_, run_) + Arguments{"--max-steps", "13", "--json-log"});
  std::istringstream lines(outcome.out);
  int objects = 0;
  for (std::string line; std::getline(lines, line); ++objects) {
    EXPECT_EQ(line.front(), '{') << line;
    EXPECT_EQ(line.back(), '}') << line;
  }
  EXPECT_GE(objects, 8);
  EXPECT_NE(outcome.out.find("{\"phase\":\"train\""), std::string::npos);
}

}  // namespace
}  // namespace enas

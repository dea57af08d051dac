// What a wrong command line, configuration, folder or device is told, and with which exit code
// (docs/interface.md "Exit codes"); none of it leaves a file.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/small_run.h"

namespace enas {
namespace {

struct Row {
  const char* name;
  Arguments arguments;
  int code;
  std::vector<std::string> says;  // each stands in standard error (of exit 0: standard output)
};

class Usage : public testing::TestWithParam<Row> {};

TEST_P(Usage, ExitCodeAndMessage) {
  const TemporaryFolder folder;
  Arguments arguments = GetParam().arguments;
  for (std::string& argument : arguments) {
    if (argument == "DATA") argument = write_text(folder, "text.txt", 200);
    if (argument == "OUT") argument = folder / "made";
    if (argument == "TOML") argument = folder.write("bad.toml", "nodes = \"many\"\n");
    if (argument == "KEY") argument = folder.write("key.toml", "nodez = 3\n");
    if (argument == "BROKEN") argument = folder.write("broken.toml", "nodes = = 3\n");
    if (argument == "FOLDER") {
      std::filesystem::create_directory(folder / "mine");
      argument = folder / "mine";
    }
  }
  const Outcome outcome = enas_ptb(folder, arguments);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.code, GetParam().code) << outcome.all();
  for (const std::string& text : GetParam().says) {
    EXPECT_NE((outcome.code == 0 ? outcome.out : outcome.all()).find(text), std::string::npos)
        << text << "\nis not in\n"
        << outcome.all();
  }
  EXPECT_EQ(outcome.out.find("error:"), std::string::npos) << outcome.out;
  EXPECT_FALSE(std::filesystem::exists(folder / "made"));
  EXPECT_TRUE(temporaries(folder.path()).empty()) << temporaries(folder.path())[0];
}

const Arguments kSearch = {"search", "--data", "DATA", "--out", "OUT"};
const Arguments kTrain = {"train", "--data", "DATA", "--out", "OUT"};

INSTANTIATE_TEST_SUITE_P(
    Help, Usage,
    testing::Values(
        Row{"NoCommand", {}, 2, {"usage: enas_ptb COMMAND", "derive RUN"}},
        Row{"Program", {"--help"}, 0, {"usage: enas_ptb COMMAND", "data info PATH"}},
        Row{"Run", {"run", "--help"}, 0, {"--train-hidden", "precedence", "presets"}},
        Row{"Search", {"search", "--help"}, 0, {"--controller-lr", "docs/method.md 1.3"}},
        Row{"Derive", {"derive", "--help"}, 0, {"--samples", "usage: enas_ptb derive"}},
        Row{"Train", {"train", "--help"}, 0, {"--arch FILE|TEXT|published"}},
        Row{"Eval", {"eval", "--help"}, 0, {"--weights FILE|RUN", "--split"}},
        Row{"Resume", {"resume", "--help"}, 0, {"--checkpoint-every", "RUN"}},
        Row{"Arch", {"arch", "--help"}, 0, {"--json", "show|random|count|cost"}},
        Row{"Data", {"data", "--help"}, 0, {"info PATH"}},
        Row{"Flags", {"run", "--help"}, 0, {"--variable-bptt --train-average-from 2000"}},
        Row{"Best", {"arch", "--help"}, 0, {"evidence: the defaults"}},
        Row{"OfARun", {"resume", "--help"}, 0, {"as the run has it [default none"}},
        Row{"Version",
            {"--version"},
            0,
            {"enas_ptb 0.", "commit:", "compiler:", "CUDA:", "ISA:", "BLAS:"}}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Wrong, Usage,
    testing::Values(
        Row{"Command", {"serch"}, 2, {"error: unknown command serch", "nearest: search"}},
        Row{"Absent", {"report", "x"}, 2, {"unknown command report"}},
        Row{"Option", kSearch + Arguments{"--nodez", "3"}, 2, {"--nodez", "nearest: --nodes"}},
        Row{"OtherCommandsOption", kSearch + Arguments{"--lr", "3"}, 2, {"--lr", "train"}},
        Row{"TrailingText", kSearch + Arguments{"--nodes", "3x"}, 2, {"\"3x\"", "from 1 to 64"}},
        Row{"OutOfRange", kSearch + Arguments{"--nodes", "65"}, 2, {"\"65\"", "from 1 to 64"}},
        Row{"Infinite", kSearch + Arguments{"--shared-lr", "inf"}, 2, {"\"inf\"", "a number"}},
        Row{"Duration", kSearch + Arguments{"--budget", "3"}, 2, {"\"3\"", "90s, 30m, 2h"}},
        Row{"NoValue", kSearch + Arguments{"--nodes"}, 2, {"--nodes"}},
        Row{"Twice", kSearch + Arguments{"--nodes", "3", "--nodes", "4"}, 2, {"given 2 times"}},
        Row{"OptionFirst", {"--quiet", "run"}, 2, {"found --quiet where a command is expected"}},
        Row{"NoOperand", {"derive"}, 2, {"derive: needs RUN; try"}},
        Row{"HalfAnOperand", {"data", "info"}, 2, {"needs info PATH, found only \"info\""}},
        Row{"PresetOfDerive",
            {"derive", "/nowhere", "--preset", "demo"},
            2,
            {"unknown option --preset", "it belongs to: run, search, train, arch"}},
        Row{"Operand", kSearch + Arguments{"extra"}, 2, {"extra", "expected none"}},
        Row{"Preset", kSearch + Arguments{"--preset", "fast"}, 2, {"fast", "demo, quick"}},
        Row{"NoConfig", kSearch + Arguments{"--config", "/nowhere.toml"}, 2, {"/nowhere.toml"}},
        Row{"ConfigType", kSearch + Arguments{"--config", "TOML"}, 2, {"bad.toml:1", "an integer"}},
        Row{"ConfigKey",
            kSearch + Arguments{"--config", "KEY"},
            2,
            {"key.toml:1", "nearest: nodes"}},
        Row{"ConfigSyntax", kSearch + Arguments{"--config", "BROKEN"}, 2, {"broken.toml:1"}},
        Row{"NoData", {"search", "--out", "OUT"}, 2, {"search: needs --data"}},
        Row{"NoOut", {"search", "--data", "DATA"}, 2, {"search: needs --out"}},
        Row{"LargeBatch", kSearch + Arguments{"--batch", "4000"}, 2, {"--batch 4000", "at most"}},
        Row{"ForeignFolder",
            {"search", "--data", "DATA", "--out", "FOLDER", "--overwrite"},
            2,
            {"is not a run directory"}},
        Row{"NoRunToResume", {"resume", "/nowhere"}, 2, {"/nowhere: no such run directory"}},
        Row{"NoRunToDerive", {"derive", "/nowhere"}, 2, {"/nowhere: no such run directory"}},
        Row{"NoRunToEvaluate", {"eval", "--weights", "/nowhere"}, 2, {"/nowhere", "not exist"}},
        Row{"NoWeights", {"eval"}, 2, {"needs --weights"}},
        Row{"FolderOfNoRun", {"eval", "--weights", "FOLDER"}, 2, {"without run.json"}},
        Row{"NoArch", kTrain, 2, {"needs --arch"}},
        Row{"Cuda", kSearch + Arguments{"--device", "cuda"}, 7, {"--device cuda: "}}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Architecture, Usage,
    testing::Values(
        Row{"Node", kTrain + Arguments{"--arch", "0 1 3 0"}, 2, {"token 3", "'3'", "0 to 1"}},
        Row{"Activation", kTrain + Arguments{"--arch", "0 7"}, 2, {"token 2", "'7'"}},
        Row{"Word", kTrain + Arguments{"--arch", "0 1 7 x 2"}, 2, {"token 4", "x"}},
        Row{"Count", kTrain + Arguments{"--arch", "0 1 0"}, 2, {"found 3 integers"}},
        Row{"NoFile",
            kTrain + Arguments{"--arch", "best.json"},
            2,
            {"best.json", "neither a file"}},
        Row{"Json", kTrain + Arguments{"--arch", "TOML"}, 2, {"bad.toml: holds no architecture"}},
        Row{"Folder", kTrain + Arguments{"--arch", "FOLDER"}, 2, {"mine: is a folder"}},
        Row{"Huge", {"arch", "show", "--arch", "0 99999999999999999999"}, 2, {"token 2"}},
        Row{"Show", {"arch", "show", "--arch", "0 1 2 1"}, 2, {"token 3"}},
        Row{"What",
            {"arch", "draw"},
            2,
            {"draw", "show, random, count or cost; show with --to FOLDER draws"}}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    NoEffect, Usage,
    testing::Values(
        Row{"Nodes",
            {"arch", "cost", "--arch", "published", "--nodes", "3"},
            2,
            {"--nodes is 3, but the architecture has 8; leave --nodes out"}},
        Row{"SameNodes", {"arch", "count", "--arch", "published", "--nodes", "8"}, 0, {"8!"}},
        Row{"Arch",
            {"arch", "random", "--arch", "published"},
            2,
            {"--arch has no effect with random, only with show|count|cost"}},
        Row{"Space", {"arch", "random", "--with-space"}, 2, {"only with --to"}},
        Row{"Baseline",
            {"run", "--baseline", "--strategy", "random"},
            2,
            {"--baseline has no effect with --strategy random"}},
        Row{"Help", {"arch", "--help"}, 0, {"only with show|random"}}),
    [](const auto& row) { return std::string(row.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Data, Usage,
    testing::Values(
        Row{"Missing", {"data", "info", "/nowhere"}, 3, {"/nowhere", "no such file"}},
        Row{"Builtin", {"data", "info", "builtin:big"}, 3, {"builtin:tiny-text"}},
        Row{"What", {"data", "show", "DATA"}, 2, {"show", "expected info"}},
        Row{"Info", {"data", "info", "DATA"}, 0, {"train / valid / test", "vocabulary"}}),
    [](const auto& row) { return std::string(row.param.name); });

struct Text {
  const char* name;
  std::string content;
  std::string says;
};
class BadText : public testing::TestWithParam<Text> {};

TEST_P(BadText, IsRefusedBeforeARunIsMade) {
  const TemporaryFolder folder;
  const std::string data = folder.write("bad.txt", GetParam().content);
  const Outcome outcome = enas_ptb(folder, small("run", data, folder / "made"));
  EXPECT_EQ(outcome.code, 3) << outcome.all();
  EXPECT_NE(outcome.err.find(GetParam().says), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("bad.txt"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "made"));
}

const std::string kGood = "a good line\na good line\na good line\na good line\n";

INSTANTIATE_TEST_SUITE_P(
    Text, BadText,
    testing::Values(Text{"Empty", "", "found 0 lines"},
                    Text{"EmptySplit", "a line\n", "found 1 line;"},
                    Text{"Utf8", kGood + "bad \xc3\x28 bytes\n", "UTF-8"},
                    Text{"Nul", kGood + std::string("zero \0 byte\n", 12), "NUL"},
                    Text{"LongLine", kGood + std::string((1 << 20) + 1, 'a') + "\n",
                         "at most 1048576"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(UsageOfRuns, AnExistingRunIsKept) {
  const TemporaryFolder folder;
  const std::string data = write_text(folder, "text.txt", 400), out = folder / "run";
  ASSERT_EQ(enas_ptb(folder, small("train", data, out)).code, 0);
  const auto before = results(out);
  const Outcome again = enas_ptb(folder, small("train", data, out));
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("--overwrite"), std::string::npos) << again.err;
  EXPECT_EQ(results(out), before);
  const Outcome derive = enas_ptb(folder, {"derive", out});
  EXPECT_EQ(derive.code, 2);
  EXPECT_NE(derive.err.find("is a run of train"), std::string::npos) << derive.err;
  EXPECT_EQ(results(out), before);
  const Outcome replaced =
      enas_ptb(folder, small("train", data, out) + Arguments{"--seed", "2", "--overwrite"});
  EXPECT_EQ(replaced.code, 0) << replaced.err;
  EXPECT_NE(results(out), before);
  EXPECT_TRUE(temporaries(folder.path()).empty());
}

TEST(UsageOfRuns, ARunInUseIsLeftAlone) {
  const TemporaryFolder folder, other;
  const std::string data = write_text(folder, "text.txt"), out = folder / "run";
  Process first(folder, with(small("train", data, out), "--epochs", "1000"));
  wait_until(first, [&] { return std::filesystem::exists(out + "/LOCK"); });
  for (const Arguments& call :
       {Arguments{"resume", out}, small("train", data, out) + Arguments{"--overwrite"}}) {
    const Outcome second = enas_ptb(other, call);
    EXPECT_EQ(second.code, 2);
    EXPECT_NE(second.err.find("is in use by process"), std::string::npos) << second.err;
  }
  EXPECT_TRUE(first.running());
  first.send(15);
  EXPECT_EQ(first.wait().code, 143);
  EXPECT_FALSE(std::filesystem::exists(out + "/LOCK"));
}

}  // namespace
}  // namespace enas

// The option registry: precedence, refusals with exit code 2, help, config.toml round trip.
#include "apps/run/options.h"

#include <gtest/gtest.h>

#include "tensor/check.h"
#include "tests/temporary_folder.h"

namespace enas {
namespace {

Registry make_registry() {
  Registry registry("enas_test", "A program of the test.");
  registry.add_command({.name = "run", .help = "the whole"});
  registry.add_command({.name = "train", .help = "one architecture"});
  registry.add_command({.name = "resume",
                        .operands = "RUN",
                        .help = "go on",
                        .minimum_operands = 1,
                        .maximum_operands = 1});
  registry.add_command({.name = "arch", .help = "shows", .maximum_operands = 2});
  add_common_options(registry);
  registry.add({.name = "hidden",
                .kind = OptionKind::integer,
                .default_value = "850",
                .unit = "units",
                .minimum = 1,
                .maximum = 4096,
                .help = "size of the hidden state",
                .source = "docs/method.md 1.3",
                .group = "model",
                .commands = {"run", "train"}});
  registry.add({.name = "entropy-weight",
                .kind = OptionKind::real,
                .default_value = "1e-4",
                .minimum = 0,
                .maximum = 1,
                .help = "weight of the entropy",
                .group = "controller",
                .commands = {"run"}});
  registry.add({.name = "cell",
                .kind = OptionKind::choice,
                .default_value = "highway",
                .choices = {"highway", "plain"},
                .help = "kind of cell",
                .group = "model",
                .commands = {"run", "train"}});
  registry.add({.name = "parity",
                .kind = OptionKind::choice_list,
                .choices = {"mean-all", "l4-decay", "he-rows"},
                .help = "deviations of the published programs",
                .group = "model",
                .commands = {"run"}});
  registry.add({.name = "dense",
                .kind = OptionKind::flag,
                .help = "all weights move",
                .group = "model",
                .commands = {"run", "train"}});
  registry.add_preset("quick", "for two cores",
                      {{"hidden", "200"}, {"entropy-weight", "0.5"}, {"cell", "plain"}});
  registry.add_preset("demo", "for a minute", {{"hidden", "64"}, {"dense", "true"}});
  return registry;
}

Invocation parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "enas_test");
  return parse_command_line(make_registry(), static_cast<int>(arguments.size()), arguments.data());
}

// Expects exit code 2 and every given part in the message.
void expect_refused(const std::vector<const char*>& arguments,
                    const std::vector<std::string>& parts) {
  try {
    parse(arguments);
    ADD_FAILURE() << "accepted: " << arguments.back();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "missing \"" << part << "\" in: " << error.what();
    }
  }
}

TEST(Options, DefaultsAndKinds) {
  const Settings settings = parse({"run"}).settings;
  EXPECT_EQ(settings.integer("hidden"), 850);
  EXPECT_EQ(settings.integer("seed"), 1);
  EXPECT_EQ(settings.real("entropy-weight"), 1e-4);
  EXPECT_EQ(settings.text("cell"), "highway");
  EXPECT_FALSE(settings.flag("dense"));
  EXPECT_TRUE(settings.list("parity").empty());
  EXPECT_EQ(settings.interval("checkpoint-every").seconds, 600);
  EXPECT_FALSE(settings.has("budget"));
  EXPECT_FALSE(settings.has("threads"));
  EXPECT_EQ(settings.origin("hidden"), Origin::default_value);
  EXPECT_EQ(settings.origin_text("hidden"), "default (docs/method.md 1.3)");
}

TEST(Options, ValuesInBothForms) {
  const Settings settings = parse({"run", "--hidden=12", "--dense", "--parity", "he-rows,mean-all",
                                   "--budget", "1h30m", "--checkpoint-every", "500steps"})
                                .settings;
  EXPECT_EQ(settings.integer("hidden"), 12);
  EXPECT_TRUE(settings.flag("dense"));
  EXPECT_EQ(settings.list("parity"), (std::vector<std::string>{"he-rows", "mean-all"}));
  EXPECT_EQ(settings.seconds("budget"), 5400);
  EXPECT_EQ(settings.interval("checkpoint-every").steps, 500);
  EXPECT_EQ(settings.interval("checkpoint-every").seconds, 0);
}

TEST(Options, PrecedenceIsOptionConfigPresetDefault) {
  const TemporaryFolder folder;
  const std::string config =
      folder.write("a.toml", "preset = \"quick\"\nentropy-weight = 0.25\nhidden = 300\n");
  const Settings settings = parse({"run", "--config", config.c_str(), "--hidden", "400"}).settings;
  EXPECT_EQ(settings.integer("hidden"), 400);
  EXPECT_EQ(settings.origin("hidden"), Origin::option);
  EXPECT_EQ(settings.real("entropy-weight"), 0.25);
  EXPECT_EQ(settings.origin_text("entropy-weight"), "config " + config + ":2:1");
  EXPECT_EQ(settings.text("cell"), "plain");
  EXPECT_EQ(settings.origin_text("cell"), "preset quick");
  EXPECT_EQ(settings.origin("seed"), Origin::default_value);
  const Settings demo = parse({"run", "--config", config.c_str(), "--preset", "demo"}).settings;
  EXPECT_TRUE(demo.flag("dense"));
  EXPECT_EQ(demo.integer("hidden"), 300);
  EXPECT_FALSE(parse({"run", "--preset", "demo", "--dense=false"}).settings.flag("dense"));
}

TEST(Options, UnknownNamesTheNearest) {
  expect_refused({"run", "--entropy-wieght", "3"}, {"--entropy-wieght", "--entropy-weight"});
  expect_refused({"run", "--hiden=3"}, {"unknown option --hiden", "--hidden"});
  expect_refused({"rnu"}, {"unknown command rnu", "nearest: run"});
  expect_refused({"train", "--entropy-weight", ".1"}, {"unknown option", "belongs to: run"});
  expect_refused({"run", "-x"}, {"unknown option -x"});
  expect_refused({"run", "--preset", "quik"}, {"quik", "quick, demo", "nearest: quick"});
  expect_refused({"run", "--on-nan", "rollback"}, {"rollback", "one of stop"});
  expect_refused({"run", "--plan"}, {"unknown option --plan"});
}

TEST(Options, BadValuesNameRangeAndFound) {
  expect_refused({"run", "--hidden", "3x"},
                 {"--hidden", "\"3x\"", "from 1 to 4096", "docs/method.md 1.3"});
  expect_refused({"run", "--hidden", "0"}, {"\"0\"", "from 1 to 4096"});
  expect_refused({"run", "--hidden", "4097"}, {"\"4097\""});
  expect_refused({"run", "--hidden", "99999999999999999999"}, {"from 1 to 4096"});
  expect_refused({"run", "--hidden", "1.5"}, {"an integer"});
  expect_refused({"run", "--hidden", ""}, {"found \"\""});
  expect_refused({"run", "--entropy-weight", "nan"}, {"from 0 to 1"});
  expect_refused({"run", "--entropy-weight", "-0.1"}, {"\"-0.1\"", "from 0 to 1"});
  expect_refused({"run", "--budget", "30"}, {"a duration"});
  expect_refused({"run", "--budget", "30m1h"}, {"a duration"});
  expect_refused({"run", "--checkpoint-every", "0steps"}, {"500steps"});
  expect_refused({"run", "--parity", "he-rows,"}, {"found \"\""});
  expect_refused({"run", "--device", "gpu"}, {"cpu, cuda, auto"});
  expect_refused({"run", "--hidden"}, {"--hidden"});
  expect_refused({"run", "--data", "--seed", "3"}, {"--data needs a value", "--seed"});
  expect_refused({"run", "--data"}, {"--data needs a value", "run --help"});
  expect_refused({"run", "--data="}, {"--data needs a value"});
  expect_refused({"run", "--seed", "1", "--seed", "2"}, {"given 2 times"});
  expect_refused({"run", "--dense=maybe"}, {"true or false"});
}

TEST(Options, OperandsAreCounted) {
  EXPECT_EQ(parse({"resume", "runs/a"}).operands, std::vector<std::string>{"runs/a"});
  EXPECT_EQ(parse({"arch", "--seed", "3", "show"}).operands, std::vector<std::string>{"show"});
  expect_refused({"resume"}, {"needs RUN", "resume --help"});
  expect_refused({"run", "surplus"}, {"\"surplus\"", "expected none"});
}

TEST(Options, HelpAndNoCommand) {
  const Invocation version = parse({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.message.rfind("enas_test 0.", 0), 0u) << version.message;
  const Invocation none = parse({});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.message.find("resume RUN"), std::string::npos);
  EXPECT_EQ(parse({"--help"}).exit_code, 0);
  const Invocation help = parse({"run", "--help", "--bogus"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* part : {"--hidden N", "default 850", "unit units", "range 1 .. 4096",
                           "source docs/method.md 1.3", "--checkpoint-every", "quick"}) {
    EXPECT_NE(help.message.find(part), std::string::npos) << part;
  }
  const Registry registry = make_registry();
  for (const OptionSpec* option : registry.options_of("run")) {
    EXPECT_NE(help.message.find("  --" + option->name), std::string::npos) << option->name;
  }
  EXPECT_EQ(parse({"train", "--help"}).message.find("entropy-weight"), std::string::npos);
}

TEST(Options, ConfigErrorsHaveLineAndColumn) {
  const TemporaryFolder folder;
  const auto refuse = [&](const char* text, const std::vector<std::string>& parts) {
    const std::string path = folder.write("bad.toml", text);
    expect_refused({"run", "--config", path.c_str()}, parts);
  };
  refuse("seed = 1\n  hiden = 3\n", {"bad.toml:2:3", "unknown key hiden", "nearest: hidden"});
  refuse("\nhidden = \"x\"\n", {"bad.toml:2:1: hidden", "found a string, expected an integer"});
  refuse("hidden = 0\n", {"bad.toml:1:1: hidden", "found \"0\"", "from 1 to 4096"});
  refuse("hidden = = 3\n", {"bad.toml:1:"});
  refuse("[model]\nhidden = 3\n", {"unknown key model"});
  refuse("dense = 1\n", {"expected a boolean"});
  refuse("config = \"b.toml\"\n", {"unknown key config"});
  expect_refused({"run", "--config", "/nonexistent/a.toml"}, {"/nonexistent/a.toml"});
}

TEST(Options, ConfigOfAnotherCommandIsCheckedAndLeftToIt) {
  const TemporaryFolder folder;
  const std::string good = folder.write("good.toml", "entropy-weight = 0.5\nhidden = 7\n");
  EXPECT_EQ(parse({"train", "--config", good.c_str()}).settings.integer("hidden"), 7);
  const std::string bad = folder.write("bad.toml", "entropy-weight = 2.0\n");
  expect_refused({"train", "--config", bad.c_str()}, {"entropy-weight", "from 0 to 1"});
}

TEST(Options, ResolvedConfigurationGivesTheSameValues) {
  const TemporaryFolder folder;
  const Settings first = parse({"run", "--preset", "quick", "--entropy-weight", "0.1", "--data",
                                "a \"b\"\\c\n\x01.txt", "--parity", "he-rows,l4-decay", "--budget",
                                "90s", "--seed", "9223372036854775807", "--out", "runs/x"})
                             .settings;
  const std::string text = resolved_toml(first);
  EXPECT_NE(text.find("hidden = 200  # preset quick"), std::string::npos) << text;
  EXPECT_EQ(text.find("out = "), std::string::npos);
  const std::string path = folder.write("config.toml", text);
  const Settings second = settings_from_config(make_registry(), "run", path);
  EXPECT_TRUE(differing_options(first, second).empty());
  for (const Settings::Value& value : first.values()) {
    if (value.spec.scope == OptionScope::invocation) continue;
    for (const Settings::Value& other : second.values()) {
      if (other.spec.name == value.spec.name) {
        EXPECT_EQ(other.text, value.text);
      }
    }
  }
  EXPECT_EQ(second.text("data"), "a \"b\"\\c\n\x01.txt");
}

TEST(Options, DifferencesNameResultValuesOnly) {
  const Settings a = parse({"run", "--threads", "1"}).settings;
  const Settings b = parse({"run", "--threads", "2", "--hidden", "3"}).settings;
  EXPECT_EQ(differing_options(a, b), std::vector<std::string>{"hidden"});
}

TEST(Options, RegistryRefusesClashes) {
  Registry registry = make_registry();
  const OptionSpec again = {.name = "hidden", .help = "again", .commands = {"train"}};
  EXPECT_THROW(registry.add(again), Error);
  EXPECT_THROW(registry.add_preset("x", "bad", {{"nothing", "1"}}), Error);
  EXPECT_THROW(registry.add_preset("x", "bad", {{"hidden", "0"}}), Error);
  const OptionSpec elsewhere = {.name = "hidden", .help = "other", .commands = {"arch"}};
  EXPECT_NO_THROW(registry.add(elsewhere));
}

// On the command line; in a configuration file it may stand.
TEST(Options, WhatWouldHaveNoEffectIsRefused) {
  Registry registry = make_registry();
  registry.add_need({{"dense", "hidden"}, {"run"}, "cell", {"plain"}});
  registry.add_need({{"seed"}, {"arch"}, "", {"show", "draw"}});
  registry.add_need({{"quiet"}, {"train"}, "data", {}});
  registry.add_need({{"json-log"}, {"train"}, "data", {""}});
  const auto said = [&](std::vector<const char*> arguments) -> std::string {
    arguments.insert(arguments.begin(), "enas_test");
    try {
      parse_command_line(registry, static_cast<int>(arguments.size()), arguments.data());
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      return error.what();
    }
  };
  EXPECT_EQ(said({"run", "--dense"}),
            "enas_test run: --dense has no effect with --cell highway, only with --cell plain");
  EXPECT_EQ(said({"run", "--dense", "--cell", "plain"}), "");
  EXPECT_EQ(said({"run", "--preset", "quick", "--hidden", "3"}), "");
  EXPECT_EQ(said({"run"}), "");
  EXPECT_EQ(said({"train", "--dense"}), "");
  const TemporaryFolder folder;
  EXPECT_EQ(said({"run", "--config", folder.write("a.toml", "dense = true\n").c_str()}), "");
  EXPECT_EQ(said({"arch", "count", "--seed", "2"}),
            "enas_test arch: --seed has no effect with count, only with show|draw");
  EXPECT_EQ(said({"arch", "draw", "--seed", "2"}), "");
  EXPECT_EQ(said({"train", "--quiet"}),
            "enas_test train: --quiet has no effect without --data, only with --data");
  EXPECT_EQ(said({"train", "--quiet", "--data", "x"}), "");
  EXPECT_EQ(said({"train", "--json-log"}), "");
  EXPECT_EQ(said({"train", "--json-log", "--data", "x"}),
            "enas_test train: --json-log has no effect beside --data, only without --data");
  EXPECT_NE(help_text(registry, "run").find("only with --cell plain"), std::string::npos);
  EXPECT_THROW(registry.add_need({{"hidden"}, {"arch"}, "", {"show"}}), Error);
}

TEST(Options, GettersOfAnotherKindAreInternal) {
  const Settings settings = parse({"run"}).settings;
  for (const auto& read : std::vector<void (*)(const Settings&)>{
           [](const Settings& s) { s.integer("cell"); }, [](const Settings& s) { s.flag("nil"); },
           [](const Settings& s) { s.integer("threads"); }}) {
    try {
      read(settings);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::internal);
    }
  }
}

TEST(Options, Durations) {
  EXPECT_EQ(parse_duration("1.5h"), 5400);
  EXPECT_EQ(parse_duration("2d"), 172800);
  EXPECT_EQ(parse_duration("1m30s"), 90);
  for (const char* bad : {"", "m", "10", "-1s", "1e3s", "1s ", "1w", "1m1m", "1..2s"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
}

TEST(Options, NearestNames) {
  const std::vector<std::string> known = {"seed", "speed", "hidden", "layers", "checkpoint-every"};
  EXPECT_EQ(nearest_names("sede", known).front(), "seed");
  EXPECT_EQ(nearest_names("checkpoint", known), std::vector<std::string>{"checkpoint-every"});
  EXPECT_TRUE(nearest_names("zzzzzz", known).empty());
}

}  // namespace
}  // namespace enas

// enas_cifar refuses what it cannot use: options, architecture texts, data, weights; each with its
// exit code and a message that names it.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/cifar_run.h"
#include "tests/image_fixtures.h"

namespace enas {
namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class CifarUsage : public testing::Test {
 protected:
  void refused(const Arguments& arguments, int code, const std::string& said) {
    const Outcome outcome = enas_cifar(folder_, arguments);
    EXPECT_EQ(outcome.code, code) << outcome.all();
    EXPECT_TRUE(contains(outcome.err, said)) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "enas_cifar: error: ")) << outcome.err;
    EXPECT_FALSE(fs::exists(run_));
  }
  Arguments train(const std::string& space, const std::string& arch) const {
    return with(small_images("train", space, data_, run_), "--arch", arch);
  }
  const TemporaryFolder folder_;
  const std::string data_ = write_images(folder_, "images");
  const std::string run_ = folder_ / "run";
};

TEST_F(CifarUsage, OptionsAndTheirRanges) {
  EXPECT_EQ(enas_cifar(folder_, {}).code, 2);
  EXPECT_EQ(enas_cifar(folder_, {"run", "--help"}).code, 0);
  refused({"search", "--spaces", "micro"}, 2, "nearest: --space");
  refused({"search", "--space", "rnn"}, 2, "expected");
  refused({"search", "--filters", "1"}, 2, "from 2 to 2048");
  refused({"search"}, 2, "needs --data, e.g. --data builtin:shapes10");
  refused(with(small_images("search", "micro", data_, run_), "--batch", "500"), 2,
          "--batch 500 is too large for 180 training images");
  refused(small_images("search", "macro", data_, run_) + Arguments{"--parity", "tf-same"}, 2,
          "belongs to --space micro");
}

TEST_F(CifarUsage, OptionsWithoutEffect) {
  const auto macro = [&](const char* command, const Arguments& more, const std::string& said) {
    refused(small_images(command, "macro", data_, run_) + more, 2, said);
  };
  macro("search", {"--nodes", "3"},
        "search: --nodes has no effect with --space macro, only with --space micro");
  macro("run", {"--auxiliary", "on"}, "--auxiliary has no effect with --space macro");
  macro("train", {"--drop-path-keep", "0.5"}, "only with --space micro");
  const Arguments micro = small_images("search", "micro", data_, run_);
  refused(micro + Arguments{"--skip-weight", "1"}, 2, "only with --space macro");
  refused(micro + Arguments{"--auxiliary-weight", "1"}, 2,
          "--auxiliary-weight has no effect with --auxiliary off, only with --auxiliary on");
  const auto arch = [&](const Arguments& more, const std::string& said) {
    refused(Arguments{"arch"} + more, 2, said);
  };
  arch({"random", "--arch", "published"}, "--arch has no effect with random");
  arch({"count", "--to", run_}, "--to has no effect with count, only with show|random");
  refused({"export", "--weights", run_, "--space", "macro"}, 2,
          "--space has no effect beside --weights");
}

TEST_F(CifarUsage, WhatAnArchitectureSaysByItselfMustAgree) {
  const Arguments micro = {"arch", "count", "--arch", "published"};
  refused(micro + Arguments{"--nodes", "3"}, 2,
          "--nodes is 3, but the architecture has 5; leave --nodes out");
  EXPECT_EQ(enas_cifar(folder_, micro + Arguments{"--nodes", "5"}).code, 0);
  const Arguments macro = micro + Arguments{"--space", "macro"};
  refused(macro + Arguments{"--layers", "3"}, 2, "--layers is 3, but the architecture has 24");
  EXPECT_EQ(enas_cifar(folder_, macro + Arguments{"--layers", "24"}).code, 0);
  refused(train("macro", "0 1 0") + Arguments{"--layers", "3"}, 2,
          "--layers is 3, but the architecture has 2");
}

TEST_F(CifarUsage, DefaultsDependOnTheSpace) {
  const std::string help = enas_cifar(folder_, {"search", "--help"}).out;
  EXPECT_TRUE(contains(help, "default 12 (macro), 6 (micro)")) << help;
  EXPECT_TRUE(contains(help, "quick --space macro"));
  for (const std::string space : {"macro", "micro"}) {
    const Outcome plan =
        enas_cifar(folder_, {"search", "--space", space, "--data", data_, "--plan"});
    EXPECT_TRUE(contains(plan.out, space == "macro" ? "12 layers, 36 filters, batch 128"
                                                    : "6 normal cells, 5 nodes a cell, 20 filters"))
        << plan.all();
  }
}

TEST_F(CifarUsage, APresetSizesBothNetworksOfArch) {
  const auto cost = [&](const Arguments& more) {
    return enas_cifar(folder_, Arguments{"arch", "cost"} + more).out;
  };
  EXPECT_EQ(cost({"--preset", "demo"}), cost({"--layers", "1", "--nodes", "2", "--filters", "8",
                                              "--train-layers", "1", "--train-filters", "16"}));
  EXPECT_TRUE(contains(cost({}), "of a random architecture, as no --arch is given: 0 "))
      << cost({});
  EXPECT_FALSE(contains(cost({"--arch", "published"}), "random"));
  refused({"eval", "--weights", run_, "--preset", "demo"}, 2,
          "belongs to: run, search, train, arch");
}

TEST_F(CifarUsage, RunsOfTheOtherProgram) {
  const std::string text = write_text(folder_, "text.txt", 200), other = folder_ / "other";
  ASSERT_EQ(enas_ptb(folder_, small("train", text, other) + Arguments{"--max-steps", "1"}).code, 0);
  for (const Arguments& call :
       {Arguments{"resume", other}, Arguments{"derive", other}, Arguments{"correlate", other},
        Arguments{"eval", "--weights", other}})
    refused(call, 2, other + " is a run of enas_ptb; try enas_ptb " + call[0]);
  refused({"predict", other, "image.png"}, 2, "is a run of enas_ptb; expected one of enas_cifar");
}

TEST_F(CifarUsage, ArchitectureTexts) {
  refused(train("micro", "0 0 1"), 2, "found 3 integers");
  refused(train("micro", "0 0 1 2 1 9 0 3"), 2, "9");
  refused(train("macro", "3 0 0 4 1"), 2, "");
  refused(train("macro", "concat: 3 0 1 4 1 0"), 2, "needs --parity concat-input");
  refused(train("macro", "3 0 1 4 1 0") + Arguments{"--parity", "concat-input"}, 2,
          "with the prefix concat:");
  refused(train("micro", "hello"), 2, "neither a file nor a list of integers");
  folder_.write("other.json", R"({"arch": "3 0 0", "space": "macro"})");
  refused(train("micro", folder_ / "other.json"), 2,
          "of the \"macro\" space; expected one of the micro space, or --space macro");
  refused({"arch", "count", "--space", "macro", "--layers", "0"}, 2, "from 1 to 64");
}

TEST_F(CifarUsage, BadData) {
  const auto bad = [&](const std::string& data, const std::string& said) {
    refused(small_images("search", "micro", data, run_), 3, said);
  };
  bad(folder_ / "nowhere", "nowhere");
  const std::string bytes = text_of(data_ + "/data_batch_1.bin");
  const auto damaged = [&](const std::string& name, const std::string& batch) {
    const std::string copy = folder_ / name;
    fs::copy(data_, copy);
    folder_.write(name + "/data_batch_1.bin", batch);
    return copy;
  };
  bad(damaged("truncated", bytes.substr(0, bytes.size() - 7)), "data_batch_1.bin");
  std::string label = bytes;
  label[3073] = static_cast<char>(200);
  bad(damaged("label", label), "200");
  fs::create_directories(folder_ / "folder/train/empty");
  bad(folder_ / "folder", "");
}

TEST_F(CifarUsage, Predict) {
  const std::string own = folder_ / "own";
  ASSERT_EQ(enas_cifar(folder_,
                       small_images("train", "micro", data_, own) + Arguments{"--max-steps", "1"})
                .code,
            0);
  const std::string good = folder_.write("good.png", png_pattern(32, 32, 1));
  EXPECT_EQ(enas_cifar(folder_, {"predict", own, good, "--threads", "1"}).code, 0);
  const auto bad = [&](const std::string& image, const std::string& said) {
    refused({"predict", own, good, image}, 3, said);
  };
  bad(folder_ / "missing.png", "missing.png");
  bad(folder_.write("text.png", "no image at all"), "text.png");
  bad(folder_.write("small.png", png_pattern(16, 32, 1)), "small.png");
  const std::string whole = png_pattern(32, 32, 1);
  bad(folder_.write("cut.png", whole.substr(0, whole.size() / 2)), "cut.png");
  std::string wide = whole;
  wide.replace(16, 4, big_endian32(60000));
  bad(folder_.write("wide.png", wide), "60000 x 32 pixels");
  bad(folder_ / "images", "images");
  refused({"predict", own}, 2, "");
  refused({"predict", folder_ / "none", good}, 2, "none");
  refused({"predict", own, good, "--top", "0"}, 2, "--top");
  // A search leaves no weights of one architecture; damaged ones are refused.
  ASSERT_EQ(enas_cifar(folder_, small_images("search", "micro", data_, folder_ / "search") +
                                    Arguments{"--max-steps", "1"})
                .code,
            0);
  refused({"predict", folder_ / "search", good}, 2, "model.safetensors");
  const std::string weights = text_of(own + "/model.safetensors");
  folder_.write("own/model.safetensors", weights.substr(0, weights.size() - 9));
  refused({"predict", own, good}, 4, "model.safetensors");
}

// Every fourth image is wider: a size must be named, and then all commands take the folder.
TEST_F(CifarUsage, AFolderOfSeveralSizes) {
  for (int i = 0; i < 40; ++i) {
    const std::string folder = std::string("mixed/train/") + (i % 2 == 0 ? "even" : "odd");
    fs::create_directories(folder_ / folder);
    folder_.write(folder + "/" + std::to_string(i) + ".png",
                  png_pattern(i % 4 == 0 ? 14 : 11, 9, 3 * i, 1 + i % 2));
  }
  const std::string mixed = folder_ / "mixed";
  EXPECT_TRUE(contains(enas_cifar(folder_, {"data", "info", mixed}).out,
                       "of several sizes, 11..14 x 9..9 pixels (--image-size S scales them)"));
  Arguments train = small_images("train", "micro", mixed, run_);
  train = with(with(train, "--batch", "12"), "--valid-batch", "4");
  refused(train, 3, "--image-size N, which scales all images");
  refused(train + Arguments{"--image-size", "16"}, 2,
          "at least 17 pixels, the data's have 16; try");
  const Arguments sized = train + Arguments{"--image-size", "20", "--max-steps", "2"};
  ASSERT_EQ(enas_cifar(folder_, sized).code, 0);
  EXPECT_EQ(enas_cifar(folder_, {"eval", "--weights", run_, "--split", "valid"}).code, 0);
  EXPECT_EQ(enas_cifar(folder_, {"predict", run_, mixed + "/train/odd/1.png"}).code, 0);
}

TEST_F(CifarUsage, WeightsOfOtherData) {
  ASSERT_EQ(enas_cifar(folder_, small_images("train", "micro", data_, folder_ / "own") +
                                    Arguments{"--max-steps", "1"})
                .code,
            0);
  refused({"eval", "--weights", folder_ / "own/model.safetensors", "--data", "builtin:shapes10"}, 4,
          "other classes");
  const std::string changed = write_images(folder_, "changed", 200, 2);
  const Outcome outcome = enas_cifar(
      folder_, {"resume", folder_ / "own", "--data", changed});  // finished: nothing to do
  EXPECT_EQ(outcome.code, 0) << outcome.all();
}

}  // namespace
}  // namespace enas

// The constants of docs/method.md (sections 1.3, 1.4, 2.2 to 2.4, 3.3, 3.4 and "Presets") as the
// programs have them, and what options and switches become in the engine's terms.
#include <gtest/gtest.h>

#include <cstdlib>

#include "apps/cifar/options.h"
#include "apps/ptb/options.h"
#include "data/image_loader.h"

namespace enas {
namespace {

using Words = std::vector<const char*>;

Settings settings_of(const Registry& registry, const Words& words) {
  Words argv = {registry.program().c_str()};
  argv.insert(argv.end(), words.begin(), words.end());
  const Invocation call = parse_command_line(registry, static_cast<int>(argv.size()), argv.data());
  EXPECT_EQ(call.message, "");
  return call.settings;
}
Settings ptb(const Words& words) {
  static const Registry registry = ptb_registry();
  return settings_of(registry, words);
}
Settings cifar(const Words& words) {
  static const Registry registry = cifar_registry();
  return settings_of(registry, words);
}

// Numbers by value, the rest by text.
void expect_values(const Settings& settings, const PresetValues& wanted) {
  for (const auto& [name, value] : wanted) {
    const Settings::Value* found = nullptr;
    for (const Settings::Value& own : settings.values())
      if (own.spec.name == name) found = &own;
    ASSERT_NE(found, nullptr) << name;
    char *end = nullptr, *own_end = nullptr;
    const double want = std::strtod(value.c_str(), &end),
                 got = std::strtod(found->text.c_str(), &own_end);
    if (*end == '\0' && *own_end == '\0') {
      EXPECT_DOUBLE_EQ(got, want) << name;
    } else {
      EXPECT_EQ(found->text, value) << name;
    }
  }
}

TEST(Recipe, SearchOfRecurrentCells) {
  const PresetValues table = {{"nodes", "9"},
                              {"share", "edge-op"},
                              {"cell", "highway"},
                              {"hidden", "200"},
                              {"batch", "128"},
                              {"bptt", "35"},
                              {"shared-lr", "20"},
                              {"shared-clip", "0.1"},
                              {"weight-decay", "1.6e-6"},
                              {"slowness", "1"},
                              {"activation-penalty", "0"},
                              {"dropout-word", "0.1"},
                              {"dropout-embedding", "0.2"},
                              {"dropout-input", "0.75"},
                              {"dropout-recurrent", "0.25"},
                              {"dropout-output", "0.75"},
                              {"shared-init", "0.04"},
                              {"epochs", "600"},
                              {"shared-samples", "1"},
                              {"reward-batch", "128"},
                              {"reward-scale", "80"},
                              {"controller-hidden", "64"},
                              {"controller-init", "0.01"},
                              {"controller-temperature", "5"},
                              {"controller-tanh", "2.25"},
                              {"controller-lr", "5e-5"},
                              {"controller-steps", "25"},
                              {"controller-samples", "10"},
                              {"entropy-weight", "1e-5"},
                              {"baseline-decay", "0.999"}};
  for (const Words& words : {Words{"search"}, Words{"run"}, Words{"search", "--preset", "best"}})
    expect_values(ptb(words), table);
  expect_values(ptb({"search"}), {{"variable-bptt", "false"}});
  expect_values(ptb({"search", "--preset", "best"}), {{"variable-bptt", "true"}});
  const Settings search = ptb({"search"});
  EXPECT_EQ(PtbOptions(search, "search").policy().distance_bias, 1.0 / 6);
  const AdamOptions adam;  // the recurrent search's
  EXPECT_TRUE(adam.beta1 == 0.9 && adam.beta2 == 0.999 && adam.epsilon == 1e-8);
}

TEST(Recipe, FinalTrainingOfRecurrentCells) {
  const PresetValues table = {{"hidden", "850"},
                              {"batch", "64"},
                              {"bptt", "35"},
                              {"variable-bptt", "false"},
                              {"lr", "20"},
                              {"lr-decay", "1"},
                              {"clip", "0.25"},
                              {"weight-decay", "1.6e-6"},
                              {"activation-penalty", "0"},
                              {"slowness", "0"},
                              {"dropout-word", "0.15"},
                              {"dropout-embedding", "0.2"},
                              {"dropout-input", "0.75"},
                              {"dropout-recurrent", "0.25"},
                              {"dropout-output", "0.75"},
                              {"init", "0.04"},
                              {"epochs", "483"}};
  expect_values(ptb({"train"}), table);
  const Settings best = ptb({"train", "--preset", "best"});
  expect_values(best, table);
  EXPECT_EQ(PtbOptions(best, "train").train_average().start_step, 2000);
  const Settings plain = ptb({"train"});
  EXPECT_EQ(PtbOptions(plain, "train").train_average().start_step, AverageOptions::kNever);
}

TEST(Recipe, RecurrentCellsOfThePaper) {
  const Settings search = ptb({"run", "--preset", "paper"});
  expect_values(search, {{"nodes", "11"},
                         {"share", "edge"},
                         {"cell", "highway"},
                         {"hidden", "1000"},
                         {"batch", "64"},
                         {"bptt", "35"},
                         {"shared-samples", "1"},
                         {"controller-hidden", "100"},
                         {"controller-steps", "2000"},
                         {"controller-samples", "1"},
                         {"controller-lr", "3.5e-4"},
                         {"controller-temperature", "5"},
                         {"controller-tanh", "2.5"},
                         {"controller-distance-bias", "0"},
                         {"reward-scale", "80"},
                         {"batches", "1"},
                         {"train-hidden", "748"}});
  EXPECT_TRUE(PtbOptions(search, "run").space().searched_first());
  const Settings train = ptb({"train", "--preset", "paper"});
  expect_values(train, {{"hidden", "748"},
                        {"clip", "0.25"},
                        {"weight-decay", "1e-6"},
                        {"slowness", "1e-3"},
                        {"dropout-word", "0.21"},
                        {"dropout-input", "0.75"},
                        {"dropout-recurrent", "0.25"},
                        {"dropout-output", "0.76"}});
  const ExponentialRate rate = PtbOptions(train, "train").train_rate();
  EXPECT_EQ(rate.at(13), 20);  // epochs from 0: the 14th
  EXPECT_NEAR(rate.at(14), 20 * 0.9991, 1e-4);
}

// "RNN weight decay", "decay and clipping", --dense and l4-decay of the first table.
TEST(Recipe, DecayOfRecurrentCells) {
  const auto sgd = [](const Words& more) {
    Words words = {"search"};
    words.insert(words.end(), more.begin(), more.end());
    const Settings settings = ptb(words);
    return PtbOptions(settings, "search").shared_sgd();
  };
  Parameter embedding, edge;
  embedding.name = "embedding", edge.name = "cell.edge.1.0.tanh";
  const SgdOptions active = sgd({}), dense = sgd({"--dense"}), l4 = sgd({"--parity", "l4-decay"});
  EXPECT_TRUE(active.decays(edge) && !active.decays(embedding) && !active.dense);
  EXPECT_EQ(active.decay, 1.6e-6);  // of 8e-7 sum w^2
  EXPECT_EQ(active.clip, 0.1);
  EXPECT_TRUE(dense.dense && !dense.decays);
  EXPECT_EQ(dense.decay, 1.6e-6);
  EXPECT_EQ(l4.decay, 0);
  const Settings switched = ptb({"search", "--parity", "l4-decay"}), train = ptb({"train"});
  EXPECT_EQ(PtbOptions(switched, "search").shared_child(10).l4_decay, 8e-7);
  const SgdOptions final = PtbOptions(train, "train").final_sgd();
  EXPECT_TRUE(!final.decays && !final.dense);
  EXPECT_EQ(final.decay, 1.6e-6);
}

const PresetValues kImageSearch = {{"shared-lr", "0.05"},
                                   {"shared-lr-period", "10"},
                                   {"shared-lr-multiply", "2"},
                                   {"shared-momentum", "0.9"},
                                   {"shared-nesterov", "on"},
                                   {"shared-clip", "0"},
                                   {"shared-samples", "1"},
                                   {"dropout", "0.1"},
                                   {"pad", "4"},
                                   {"flip", "on"},
                                   {"cutout", "0"},
                                   {"auxiliary", "off"}};
const PresetValues kOfficialPolicy = {
    {"controller-hidden", "64"},   {"controller-init", "0.1"},      {"controller-beta1", "0"},
    {"controller-beta2", "0.999"}, {"controller-epsilon", "1e-3"},  {"entropy-weight", "1e-4"},
    {"baseline-decay", "0.99"},    {"controller-temperature", "1"}, {"shared-lr-min", "0.0005"}};

TEST(Recipe, MacroSpace) {
  const Settings search = cifar({"search", "--space", "macro"}),
                 train = cifar({"train", "--space", "macro"}),
                 paper = cifar({"run", "--space", "macro", "--preset", "paper"});
  for (const PresetValues& part : {kImageSearch, kOfficialPolicy}) expect_values(search, part);
  expect_values(search, {{"layers", "12"},
                         {"filters", "36"},
                         {"batch", "128"},
                         {"epochs", "310"},
                         {"weight-decay", "5e-4"},
                         {"reward-batch", "128"},
                         {"controller-lr", "0.001"},
                         {"controller-steps", "50"},
                         {"controller-samples", "20"},
                         {"skip-target", "0.4"},
                         {"skip-weight", "0.8"}});
  const PolicyShape policy = CifarOptions(search, "search").policy();
  EXPECT_TRUE(policy.tanh_constant == 1.5 && policy.op_reduce == 1 && policy.op_bias == 0);
  expect_values(train, {{"filters", "96"},
                        {"batch", "100"},
                        {"epochs", "310"},
                        {"lr", "0.05"},
                        {"lr-min", "0.001"},
                        {"lr-period", "10"},
                        {"lr-multiply", "2"},
                        {"weight-decay", "4e-4"},
                        {"dropout", "0.5"},
                        {"auxiliary", "off"}});
  EXPECT_EQ(CifarOptions(train, "train").final_task(500).drop_path_steps, 0);
  const auto space = std::get<MacroSpace>(CifarOptions(paper, "run").space());
  EXPECT_TRUE(space.concat_input());
  EXPECT_EQ(space.layers(), 12);
}

TEST(Recipe, MicroSpace) {
  const Settings search = cifar({"search"}), train = cifar({"train"}),
                 best = cifar({"train", "--preset", "best"}),
                 biased = cifar({"search", "--parity", "op-bias-10"});
  for (const PresetValues& part : {kImageSearch, kOfficialPolicy}) expect_values(search, part);
  expect_values(search, {{"layers", "6"},
                         {"nodes", "5"},
                         {"filters", "20"},
                         {"batch", "160"},
                         {"epochs", "150"},
                         {"weight-decay", "2e-4"},
                         {"controller-lr", "0.0035"},
                         {"controller-steps", "30"},
                         {"controller-samples", "10"}});
  const PolicyShape policy = CifarOptions(search, "search").policy();
  EXPECT_TRUE(policy.tanh_constant == 1.1 && policy.op_reduce == 2.5 && policy.op_bias == 0.25);
  EXPECT_EQ(policy.start_bias, 0);
  EXPECT_EQ(CifarOptions(biased, "search").policy().start_bias, 10);
  expect_values(train, {{"layers", "15"},
                        {"filters", "36"},
                        {"batch", "144"},
                        {"epochs", "630"},
                        {"lr", "0.05"},
                        {"lr-min", "0.0001"},
                        {"weight-decay", "4e-4"},
                        {"dropout", "0.2"},
                        {"drop-path-keep", "0.6"},
                        {"auxiliary", "on"},
                        {"auxiliary-weight", "0.4"},
                        {"cutout", "0"}});
  expect_values(best, {{"cutout", "16"}});
  EXPECT_EQ(CifarOptions(train, "train").final_task(313).drop_path_steps, 313 * 630);
}

TEST(Recipe, ConvolutionsOfThePaper) {
  for (const char* space : {"macro", "micro"}) {
    const Settings run = cifar({"run", "--space", space, "--preset", "paper"});
    expect_values(run, {{"controller-hidden", "100"},
                        {"controller-temperature", "5"},
                        {"controller-tanh", "2.5"},
                        {"controller-lr", "3.5e-4"},
                        {"controller-beta1", "0.9"},
                        {"controller-epsilon", "1e-8"},
                        {"controller-steps", "2000"},
                        {"controller-samples", "1"},
                        {"entropy-weight", "0.1"},
                        {"weight-decay", "1e-4"},
                        {"shared-lr-min", "0.001"},
                        {"train-weight-decay", "1e-4"},
                        {"train-lr-min", "0.001"},
                        {"train-on-all", "true"},
                        {"batches", "1"}});
    const CifarOptions options(run, "run");
    EXPECT_EQ(options.parity(options.macro() ? "concat-input" : "reduce-stride2"), true);
  }
}

// Everything active decays, scales and offsets too; nothing is clipped; dense on request.
TEST(Recipe, StepsOfConvolutions) {
  const Settings search = cifar({"search", "--dense"}), train = cifar({"train"});
  const SgdOptions shared = CifarOptions(search, "search").shared_sgd(),
                   final = CifarOptions(train, "train").final_sgd();
  EXPECT_TRUE(shared.dense && !final.dense);
  for (const SgdOptions& sgd : {shared, final}) {
    EXPECT_TRUE(!sgd.decays && sgd.nesterov);
    EXPECT_EQ(sgd.momentum, 0.9);
    EXPECT_EQ(sgd.clip, 0);
  }
  const Settings macro = cifar({"search", "--space", "macro", "--parity",
                                "kl-sigmoid,sample-entropy,anchor-shift,running-bn"}),
                 plain = cifar({"search", "--space", "macro"});
  const CifarOptions switched(macro, "search"), without(plain, "search");
  const ControllerStepOptions step = switched.controller_update();
  EXPECT_TRUE(step.skips.penalty.elementwise_sigmoid && step.sample_entropy);
  EXPECT_FALSE(without.controller_update().skips.penalty.elementwise_sigmoid);
  EXPECT_TRUE(std::get<MacroSpace>(switched.space()).anchor_shift());
  EXPECT_TRUE(switched.macro_child({}).running_bn && !without.macro_child({}).running_bn);
}

// docs/method.md section 8.
TEST(Recipe, StepsAnEpochAndRestarts) {
  const auto steps = [](int64_t images, int64_t batch) {
    const ImageSet set{Tensor(), Tensor::zeros({images}, DType::i32)};
    return ImageLoader(set, batch, 1, Stream::image_order).batches();
  };
  const Settings macro = cifar({"search", "--space", "macro"}), micro = cifar({"search"}),
                 macro_train = cifar({"train", "--space", "macro"}), train = cifar({"train"});
  EXPECT_EQ(steps(45'000, CifarOptions(macro, "search").shared_batch()), 352);
  EXPECT_EQ(steps(45'000, CifarOptions(micro, "search").shared_batch()), 282);
  EXPECT_EQ(steps(45'000, CifarOptions(train, "train").train_batch()), 313);
  EXPECT_EQ(steps(50'000, CifarOptions(train, "train").train_batch()), 348);
  EXPECT_EQ(steps(45'000, CifarOptions(macro_train, "train").train_batch()), 450);
  EXPECT_EQ(steps(50'000, CifarOptions(macro_train, "train").train_batch()), 500);
  for (const CosineRate& rate :
       {CifarOptions(micro, "search").shared_rate(), CifarOptions(train, "train").train_rate()}) {
    for (const double epoch : {0, 10, 30, 70, 150, 310}) EXPECT_DOUBLE_EQ(rate.at(epoch), 0.05);
    for (const double epoch : {9, 29, 69, 149, 309}) EXPECT_LT(rate.at(epoch), 0.002);
  }
}

}  // namespace
}  // namespace enas

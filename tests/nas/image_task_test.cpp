// The task of a convolutional network: losses, rewards and scores on held-out images, running
// statistics behind the gate, all pure functions of the seed.
#include "nas/macro/child.h"
#include "nas/macro/final.h"
#include "nas/micro/child.h"
#include "nas/micro/final.h"
#include "ops/conv2d.h"
#include "tests/nas/image_networks.h"

namespace enas::test {
namespace {

constexpr int32_t kClasses = 3;
constexpr int64_t kSize = 6;

MacroChildOptions macro_options(bool running = false) {
  MacroChildOptions options;
  options.filters = 4;
  options.classes = kClasses;
  options.running_bn = running;
  return options;
}
MicroFinalOptions micro_final_options() {
  MicroFinalOptions options;
  options.normal_cells = 1;
  options.filters = 2;
  options.classes = kClasses;
  options.auxiliary = false;
  return options;
}
ImageTaskOptions task_options(const ImageSet& set) {
  ImageTaskOptions options;
  options.reward_batch = 8;
  options.moments = channel_moments(set.images);
  return options;
}
Tensor gate(double finite) { return Tensor::from({1, finite, finite, 1}, {kGateSize}, DType::f64); }

class ImageTasks : public testing::Test {
 protected:
  const ImageSet valid_ = random_image_set(29, kSize, kClasses, 1);
  const MacroSpace space_{3};
  const std::vector<Architecture> archs_ = some_architectures(space_, 6);
  MacroChild child_{space_, macro_options(), 1};
  ImageTask<MacroChild> task_{child_, task_options(valid_), valid_};
  ImageBatch batch(int64_t n = 10) const {
    std::vector<int32_t> order;
    for (int32_t i = 0; i < n; ++i) order.push_back(i);
    const Tensor indices = Tensor::from_indices(order, {n});
    return {normalized(valid_.images, indices, task_.options().moments, DType::f32),
            valid_.labels.slice(0, n).clone()};
  }
};

// By hand: the logits of each batch of the fixed order, counted.
TEST_F(ImageTasks, ScoreCountsWhatTheNetworkSays) {
  EXPECT_EQ(task_.score_batches(), 4);
  ImageLoader loader(valid_, 8, 1, Stream::held_out_order);  // 29 = 8 + 8 + 8 + 5
  double nll = 0;
  int64_t correct = 0, images = 0;
  for (int64_t k = 0; k < 4; ++k) {
    const ImageIndices one = loader.batch_once(0, k);
    const Tensor x = normalized(valid_.images, one.indices, task_.options().moments, DType::f32);
    Tape tape;
    const Tensor logits = child_.forward(tape, archs_[0], x, {}).logits.value();
    for (int64_t r = 0; r < logits.size(0); ++r, ++images) {
      const int64_t label = static_cast<int64_t>(one.labels.item(r));
      double total = 0, most = -1e9;
      int64_t best = 0;
      for (int64_t c = 0; c < kClasses; ++c) {
        const double value = logits.item(r * kClasses + c);
        total += std::exp(value);
        if (value > most) most = value, best = c;
      }
      nll += std::log(total) - logits.item(r * kClasses + label);
      correct += best == label ? 1 : 0;
    }
    const ImageScore score = task_.score(archs_[0], k + 1);
    EXPECT_EQ(score.images, images);
    EXPECT_EQ(score.correct, correct);
    EXPECT_NEAR(score.nll, nll, 1e-6);
  }
  EXPECT_EQ(task_.score(archs_[0]).images, 29);
  EXPECT_EQ(task_.score(archs_[0], 1000).correct, correct);
}

// With batch statistics a small last batch would score differently: batches are as even as can be.
TEST_F(ImageTasks, BatchesOfTheScoreAreEven) {
  ImageTaskOptions options = task_options(valid_);
  options.reward_batch = 14;  // 14 + 14 + 1 would be uneven
  const ImageTask<MacroChild> task(child_, options, valid_);
  EXPECT_EQ(task.score_batches(), 3);
  HeldOut held_out(valid_, 14, 1, Device::cpu);
  for (int64_t k = 0; k < 3; ++k) EXPECT_GE(held_out.score_batch(k).labels.numel(), 9);
  EXPECT_EQ(HeldOut(valid_, 1000, 1, Device::cpu).score_batches(), 1);
}

TEST_F(ImageTasks, RewardsArePureFunctionsOfTheSampleNumber) {
  const std::vector<double> first = task_.rewards(archs_, 40);
  ASSERT_EQ(first.size(), archs_.size());
  for (const double reward : first) EXPECT_TRUE(reward >= 0 && reward <= 1);
  task_.score(archs_[1]);
  for (size_t s = archs_.size(); s-- > 0;)  // one by one, backwards
    EXPECT_EQ(task_.rewards({&archs_[s], 1}, 40 + s)[0], first[s]);
  HeldOut held_out(valid_, 8, 1, Device::cpu);
  EXPECT_EQ(bytes_of(held_out.reward_batch(7).indices), bytes_of(held_out.reward_batch(7).indices));
  EXPECT_NE(bytes_of(held_out.reward_batch(7).indices), bytes_of(held_out.reward_batch(8).indices));
  EXPECT_EQ(held_out.reward_batch(3).labels.numel(), 8);  // filled from the next round
}

TEST_F(ImageTasks, RewardDropoutDrawsByTheSampleNumber) {
  MacroChildOptions net = macro_options();
  net.dropout = 0.5;
  MacroChild child(space_, net, 1);
  ImageTaskOptions options = task_options(valid_);
  options.reward_batch = 29;  // all images each time, so that only masks differ
  ImageTask<MacroChild> plain(child, options, valid_);
  options.reward_dropout = true;
  ImageTask<MacroChild> dropped(child, options, valid_);
  const std::vector<Architecture> same(12, archs_[0]);
  const auto spread = [](std::vector<double> list) {
    return std::set<double>(list.begin(), list.end()).size();
  };
  EXPECT_LE(spread(plain.rewards(same, 0)), 2u);
  EXPECT_GT(spread(dropped.rewards(same, 0)), 2u);
  EXPECT_EQ(dropped.rewards(same, 0), dropped.rewards(same, 0));
}

TEST_F(ImageTasks, TrainLossIsTheCrossEntropyAndDrawsItsMask) {
  const ImageBatch one = batch();
  Tape tape;
  const double loss = task_.train_loss(tape, archs_[0], one, 3).value().item();
  const ImageScore score = task_.last_score().read();
  EXPECT_NEAR(score.loss(), loss, 1e-6);
  EXPECT_EQ(score.images, 10);
  task_.train_loss(tape, archs_[1], one, 4);  // of the same step
  EXPECT_EQ(task_.last_score().read().images, 20);
  task_.finish_step(gate(1));
  EXPECT_EQ(task_.train_loss(tape, archs_[0], one, 3).value().item(), loss);
  EXPECT_EQ(task_.last_score().read().images, 10);
  EXPECT_NE(task_.train_loss(tape, archs_[0], one, 5).value().item(), loss);
}

TEST_F(ImageTasks, AuxiliaryLossIsAdded) {
  const MicroSpace space(2);
  const Architecture arch = some_architectures(space, 1)[0];
  const ImageSet set = random_image_set(6, 18, kClasses);
  const auto loss = [&](bool auxiliary, double weight, bool frozen) {
    MicroFinalOptions options = micro_final_options();
    options.auxiliary = auxiliary, options.image_size = 18, options.frozen_auxiliary = frozen;
    MicroFinal net(space, arch, options, 1);
    ImageTaskOptions of_task = task_options(set);
    of_task.auxiliary_weight = weight;
    ImageTask<MicroFinal> task(net, of_task, set);
    const ImageBatch one{normalized(set.images, Tensor::from_indices({0, 1, 2, 3}, {4}),
                                    of_task.moments, DType::f32),
                         set.labels.slice(0, 4).clone()};
    Tape tape;
    const Var value = task.train_loss(tape, arch, one, 0);
    tape.backward(value);
    size_t used = 0;
    for (const Parameter* p : tape.parameters()) used += AuxiliaryHead::owns(*p) ? 1 : 0;
    size_t trainable = 0;
    for (const Parameter* p : task.all_parameters()) trainable += AuxiliaryHead::owns(*p) ? 1 : 0;
    const Tensor stem = net.parameters().get("stem.weight").grad;
    return std::tuple(value.value().item(), used, trainable, bytes_of(stem));
  };
  const auto none = loss(false, 0.4, false), zero = loss(true, 0, false),
             most = loss(true, 0.4, false), frozen = loss(true, 0.4, true);
  EXPECT_EQ(std::get<0>(none), std::get<0>(zero));
  EXPECT_GT(std::get<0>(most), std::get<0>(zero));
  EXPECT_GT(std::get<1>(most), 7u);  // two blocks or more, a convolution, norms, the head
  EXPECT_EQ(std::get<1>(most), std::get<2>(most));
  // Frozen: the same gradient into the trunk, none for the head itself.
  EXPECT_EQ(std::get<0>(frozen), std::get<0>(most));
  EXPECT_EQ(std::get<1>(frozen), 0u);
  EXPECT_EQ(std::get<2>(frozen), 0u);
  EXPECT_EQ(std::get<3>(frozen), std::get<3>(most));
  EXPECT_NE(std::get<3>(frozen), std::get<3>(none));
}

// running = 0.9 running + 0.1 batch, under an open gate.
TEST_F(ImageTasks, RunningStatisticsFollowFinishedSteps) {
  const Architecture& arch = archs_[0];
  MacroFinalOptions options;
  options.filters = 4, options.classes = kClasses;
  MacroFinal net(space_, arch, options, 1);
  ImageTask<MacroFinal> task(net, task_options(valid_), valid_);
  const auto buffers = [&] {
    std::map<std::string, std::string> bytes;
    for (const Buffer& b : net.parameters().buffers()) bytes[b.name] = bytes_of(b.value);
    return bytes;
  };
  const auto fresh = buffers();
  Tape tape;
  task.train_loss(tape, arch, batch(), 0);
  EXPECT_EQ(buffers(), fresh);  // only when the step is known to be finite
  task.finish_step(gate(0));
  EXPECT_EQ(buffers(), fresh);
  task.train_loss(tape, arch, batch(), 0);
  task.finish_step(gate(1));
  const auto after = buffers();
  for (const auto& [name, bytes] : after) EXPECT_NE(bytes, fresh.at(name)) << name;
  task.score(arch), task.evaluate(arch, valid_), task.rewards({&arch, 1}, 0);
  task.finish_step(gate(1));
  EXPECT_EQ(buffers(), after);
  // The stem's mean: a tenth of the batch's.
  const Tensor& w = net.parameters().get("stem.weight").value;
  const Var y = conv2d(batch().images, w, {3, 1}, false).y;
  const int64_t pixels = y.numel() / 4;
  const auto& running = net.parameters().buffers();
  const auto mean = std::find_if(running.begin(), running.end(),
                                 [](const Buffer& b) { return b.name == "stem.norm.mean"; });
  ASSERT_NE(mean, running.end());
  for (int64_t c = 0; c < 4; ++c) {
    double sum = 0;
    for (int64_t i = 0; i < pixels; ++i) sum += y.value().item(i * 4 + c);
    EXPECT_NEAR(mean->value.item(c), 0.1 * sum / static_cast<double>(pixels), 1e-5);
  }
}

// With running statistics an image's score does not depend on its neighbours.
TEST_F(ImageTasks, FinalNetworksEvaluateImageByImage) {
  const MicroSpace space(2);
  const Architecture arch = some_architectures(space, 1)[0];
  MicroFinal net(space, arch, micro_final_options(), 1);
  roughen(net.parameters());
  ImageTaskOptions options = task_options(valid_);
  ImageTask<MicroFinal> task(net, options, valid_);
  options.reward_batch = 1;
  ImageTask<MicroFinal> single(net, options, valid_);
  const ImageScore all = task.evaluate(arch, valid_), one = single.evaluate(arch, valid_);
  EXPECT_EQ(all.images, 29);
  EXPECT_EQ(all.correct, one.correct);
  EXPECT_NEAR(all.nll, one.nll, 1e-4);
  EXPECT_NEAR(task.score(arch).nll, all.nll, 1e-4);
  const auto rows = task.predict(arch, valid_.images);
  ASSERT_EQ(rows.size(), 29u);
  double nll = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    double sum = 0;
    for (const double p : rows[i]) sum += p;
    EXPECT_NEAR(sum, 1, 1e-12);
    nll -= std::log(rows[i][static_cast<size_t>(valid_.labels.item(static_cast<int64_t>(i)))]);
  }
  EXPECT_NEAR(nll, all.nll, 1e-4);
  EXPECT_THROW(task.evaluate(arch, ImageSet{}), Error);
}

// Parity switch running-bn: statistics shared by all children.
TEST_F(ImageTasks, RunningBnScoresWithSharedStatistics) {
  MacroChild child(space_, macro_options(true), 1);
  ImageTask<MacroChild> task(child, task_options(valid_), valid_);
  EXPECT_EQ(child.parameters().count(), child_.parameters().count());
  EXPECT_TRUE(child_.parameters().buffers().empty());
  EXPECT_NE(task.score(archs_[0]).nll, task_.score(archs_[0]).nll);
  const double before = task.score(archs_[0]).nll;
  Tape tape;
  task.train_loss(tape, archs_[1], batch(), 0);
  task.train_loss(tape, archs_[2], batch(), 1);
  task.finish_step(gate(1));
  EXPECT_NE(task.score(archs_[0]).nll, before);  // the stem is everybody's
}

TEST_F(ImageTasks, ANetworkThatIsNotFiniteHasNoReward) {
  child_.parameters().get("head.weight").value.fill(std::nan(""));
  EXPECT_TRUE(std::isnan(task_.rewards({archs_.data(), 1}, 0)[0]));
  EXPECT_TRUE(std::isnan(task_.score(archs_[0]).loss()));
}

// All images may be trained on: then there is nothing to score.
TEST_F(ImageTasks, RefusesNoHeldOutImages) {
  ImageTask<MacroChild> none(child_, {}, ImageSet{});
  Tape tape;
  EXPECT_GT(none.train_loss(tape, archs_[0], batch(), 0).value().item(), 0);
  EXPECT_EQ(none.score_batches(), 0);
  EXPECT_THROW(none.score(archs_[0]), Error);
  EXPECT_THROW(none.rewards({archs_.data(), 1}, 0), Error);
  ImageTaskOptions options;
  options.reward_batch = 0;
  EXPECT_THROW((ImageTask<MacroChild>(child_, options, valid_)), Error);
}

// Both spaces learn colours in a few steps of the search's own function.
template <class Net>
double accuracy_after(Net& net, const Architecture& arch, int steps) {
  const ImageSet set = random_image_set(48, kSize, kClasses);
  ImageTask<Net> task(net, task_options(set), set);
  ImageLoader loader(set, 16, 1, Stream::image_order);
  Sgd sgd({.momentum = 0.9, .nesterov = true, .decay = 1e-4});
  Tape tape;
  for (int step = 0; step < steps; ++step) {
    const ImageIndices one = loader.batch(step / 3, step % 3);
    const ImageBatch batch{normalized(set.images, one.indices, task.options().moments, net.dtype()),
                           one.labels};
    const StepReport report =
        shared_step(tape, task, {&arch, 1}, batch, static_cast<uint64_t>(step), sgd, 0.02);
    EXPECT_TRUE(report.finite());
  }
  return task.evaluate(arch, set).accuracy();
}

TEST(ImageTaskLearns, EveryNetwork) {
  const MacroSpace macro(3);
  const Architecture layers = macro.parse("0 1 1 4 0 1");
  MacroChild macro_child(macro, macro_options(), 1);
  EXPECT_GE(accuracy_after(macro_child, layers, 40), 0.9);
  MacroFinalOptions options;
  options.filters = 4, options.classes = kClasses, options.dropout = 0.1;
  MacroFinal macro_final(macro, layers, options, 1);
  EXPECT_GE(accuracy_after(macro_final, layers, 40), 0.9);
  const MicroSpace micro(2);
  const Architecture cells = micro.parse("0 0 1 4 2 3 1 1 0 0 1 4 2 2 1 1");
  MicroChildOptions search;
  search.normal_cells = 1, search.filters = 4, search.classes = kClasses;
  MicroChild micro_child(micro, search, 1);
  EXPECT_GE(accuracy_after(micro_child, cells, 40), 0.9);
  MicroFinalOptions final = micro_final_options();
  final.filters = 4;
  MicroFinal micro_final(micro, cells, final, 1);
  EXPECT_GE(accuracy_after(micro_final, cells, 40), 0.9);
}

}  // namespace
}  // namespace enas::test

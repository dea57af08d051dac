#include "bench/image_steps.h"

#include "nas/image_task.h"
#include "nas/macro/cost.h"
#include "nas/micro/cost.h"
#include "nas/search.h"

namespace enas::bench {
namespace {

constexpr int64_t kSide = 32, kClasses = 10;

// Random pixels and labels.
ImageSet synthetic_images(const ImageBenchOptions& o) {
  const Random random{o.seed, Stream::test, 0};
  ImageSet set{Tensor({o.batch, kSide, kSide, 3}, DType::u8), Tensor({o.batch}, DType::i32)};
  auto* pixels = set.images.data<uint8_t>();
  for (int64_t i = 0; i < set.images.numel(); ++i)
    pixels[i] = static_cast<uint8_t>(random.below(256, static_cast<uint64_t>(i)));
  const Random of_labels{o.seed, Stream::test, 1};
  for (int64_t i = 0; i < o.batch; ++i)
    set.labels.data<int32_t>()[i] =
        static_cast<int32_t>(of_labels.below(kClasses, static_cast<uint64_t>(i)));
  return set;
}

// The settings of the peer programs (bench/peer).
SgdOptions sgd_options() {
  SgdOptions options;
  options.momentum = 0.9, options.nesterov = true, options.clip = 5, options.decay = 1e-4;
  return options;
}
AdamOptions adam_options() {
  AdamOptions options;
  options.beta1 = 0, options.epsilon = 1e-3;
  return options;
}
ImageTaskOptions task_options(const ImageBenchOptions& o) {
  ImageTaskOptions options;
  options.reward_batch = o.batch;
  options.seed = o.seed;
  options.moments = {{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}};
  return options;
}

template <class Net>
class Steps : public ImageSteps {
 public:
  // cost(architecture): a NetworkCost.
  template <class Space, class Options, class Cost>
  Steps(const ImageBenchOptions& o, Space space, const Options& net, const Cost& cost,
        const std::vector<std::string>& archs)
      : options_(o),
        images_(synthetic_images(o)),
        net_(space, net, o.seed, DType::f32, nullptr, o.device),
        task_(net_, task_options(o), images_),
        controller_(space.decisions(Space::policy_shape()), space.operations(),
                    {.hidden = static_cast<int>(o.controller_hidden), .init_range = 0.1}, o.seed),
        sgd_(sgd_options()),
        adam_(adam_options()) {
    std::vector<int32_t> all(static_cast<size_t>(o.batch));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    const Tensor indices = Tensor::from_indices(all, {o.batch}).to(o.device);
    batch_ = {normalized(images_.images.to(o.device), indices, task_.options().moments, DType::f32),
              images_.labels};
    for (const std::string& text : archs) architectures_.push_back(space.parse(text));
    if (archs.empty()) {
      architectures_ = uniform_architectures(space.decisions(Space::policy_shape()), 12,
                                             Random{o.seed, Stream::uniform_sample, 0});
    }
    for (const Architecture& arch : architectures_) {
      const NetworkCost of = cost(arch);
      cost_.flops += 6 * static_cast<double>(of.inner_macs * o.batch);
      cost_.weights += static_cast<double>(of.params);
    }
    cost_.flops /= static_cast<double>(architectures_.size());
    cost_.weights /= static_cast<double>(architectures_.size());
    cost_.reads = cost_.weights;
  }

  void shared() override {
    // The sample belongs to a search step; the list decides what runs, so that a peer runs the
    // same.
    controller_.sample(1, Random{options_.seed, Stream::shared_sample, step_});
    const Architecture& arch = next();
    shared_step(tape_, task_, {&arch, 1}, batch_, step_, sgd_, 0.05);
  }
  void reward() override {
    const Architecture& arch = next();
    task_.rewards({&arch, 1}, step_);
  }
  void controller() override {
    struct Constant {
      std::vector<double> rewards(std::span<const Architecture> list, uint64_t) {
        return std::vector<double>(list.size(), 0.5);
      }
    } constant;
    ControllerStepOptions options;
    options.samples = 1, options.lr = 3.5e-3, options.entropy_weight = 1e-4;
    controller_step(tape_, constant, controller_, adam_, baseline_, options, options_.seed,
                    step_++);
  }
  void wait() override { net_.parameters().begin()->value.item(); }
  StepCost cost() const override { return cost_; }

 private:
  const Architecture& next() { return architectures_[step_++ % architectures_.size()]; }

  ImageBenchOptions options_;
  ImageSet images_;
  Net net_;
  ImageTask<Net> task_;
  Controller controller_;
  Sgd sgd_;
  Adam adam_;
  RewardBaseline baseline_{0.99};
  Tape tape_;
  ImageBatch batch_;
  std::vector<Architecture> architectures_;
  StepCost cost_;
  uint64_t step_ = 0;
};

}  // namespace

std::unique_ptr<ImageSteps> image_steps(const ImageBenchOptions& o,
                                        const std::vector<std::string>& archs) {
  if (o.space == "micro") {
    const MicroSpace space(static_cast<int>(o.nodes));
    MicroChildOptions net;
    net.normal_cells = static_cast<int>(o.layers), net.filters = o.filters;
    const auto cost = [&](const Architecture& a) { return micro_child_cost(space, a, net); };
    return std::make_unique<Steps<MicroChild>>(o, space, net, cost, archs);
  }
  const MacroSpace space(static_cast<int>(o.layers));
  MacroChildOptions net;
  net.filters = o.filters;
  const auto cost = [&](const Architecture& a) { return macro_child_cost(space, a, net); };
  return std::make_unique<Steps<MacroChild>>(o, space, net, cost, archs);
}

}  // namespace enas::bench

// What the tests of the convolutional networks share: small images, every architecture of a space,
// random parameters, bytes.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "nas/image_task.h"
#include "nas/search.h"
#include "nn/init.h"
#include "tests/nas/small_task.h"

namespace enas::test {

inline Tensor random_images(int64_t n, int64_t height, int64_t width, DType dtype = DType::f64,
                            uint64_t step = 0) {
  const Random random{11, Stream::test, step};
  std::vector<double> values;
  for (int64_t i = 0; i < n * height * width * 3; ++i)
    values.push_back(4 * random.uniform53(static_cast<uint64_t>(i)) - 2);
  return Tensor::from(values, {n, height, width, 3}, dtype);
}

// Labelled u8 images, of classes that their colours tell apart.
inline ImageSet random_image_set(int64_t n, int64_t size, int32_t classes, uint64_t step = 0) {
  const Random random{11, Stream::test, step};
  ImageSet set{Tensor({n, size, size, 3}, DType::u8), Tensor()};
  std::vector<int32_t> labels;
  const int64_t pixels = size * size * 3;
  for (int64_t i = 0; i < n; ++i) {
    labels.push_back(static_cast<int32_t>(i * 7 % classes));
    for (int64_t j = 0; j < pixels; ++j) {
      const uint32_t noise = random.below(120, static_cast<uint64_t>(i * pixels + j));
      const auto shade = static_cast<uint32_t>(labels.back() == j % 3 ? 130 : 0);
      set.images.data<uint8_t>()[i * pixels + j] = static_cast<uint8_t>(noise + shade);
    }
  }
  set.labels = Tensor::from_indices(labels, {n});
  return set;
}

// Every architecture of a space: its choices counted through like digits.
template <class AnySpace>
std::vector<Architecture> every_architecture(const AnySpace& space) {
  std::vector<Architecture> all = {{}};
  for (const int32_t count : choice_counts(space.decisions(AnySpace::policy_shape()))) {
    std::vector<Architecture> longer;
    for (const Architecture& arch : all) {
      for (int32_t choice = 0; choice < count; ++choice) {
        longer.push_back(arch);
        longer.back().choices.push_back(choice);
      }
    }
    all = std::move(longer);
  }
  return all;
}
template <class AnySpace>
std::vector<Architecture> some_architectures(const AnySpace& space, int64_t n, uint64_t step = 0) {
  return uniform_architectures(space.decisions(AnySpace::policy_shape()), n,
                               Random{7, Stream::test, step});
}

// Scales, offsets and running statistics away from 1 and 0, as after some training.
inline void roughen(ParameterStore& store) {
  const auto shift = [](const std::string& name, Tensor& t, double spread) {
    Parameter noise{name, empty_like(t), Tensor()};
    init_uniform(noise, spread, 5);
    for (int64_t i = 0; i < t.numel(); ++i) {
      const double value = t.item(i) + noise.value.item(i);
      if (t.dtype() == DType::f64) {
        t.data<double>()[i] = value;
      } else {
        t.data<float>()[i] = static_cast<float>(value);
      }
    }
    t.bump_version();
  };
  for (Parameter& p : store)
    if (p.value.rank() == 1) shift(p.name, p.value, 0.4);
  for (Buffer& b : store.buffers()) shift(b.name, b.value, 0.5);
}

inline void expect_near(const Tensor& got, const std::vector<double>& want, double bound,
                        const std::string& what) {
  ASSERT_EQ(static_cast<size_t>(got.numel()), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got.item(static_cast<int64_t>(i)), want[i], bound) << what << " logit " << i;
}

inline std::set<std::string> names_of(const std::vector<Parameter*>& parameters) {
  std::set<std::string> names;
  for (const Parameter* p : parameters) names.insert(p->name);
  return names;
}

// Gradients of `loss` over every `stride`-th element of the tape's parameters against fourth-order
// differences. At a kink the differences depend on the step: those elements are counted apart.
struct Checked {
  size_t elements = 0, kinks = 0;
};
template <class Loss>
Checked check_gradients(const Tape& tape, int64_t stride, const std::string& what, Loss&& loss) {
  Checked checked;
  for (Parameter* p : tape.parameters()) {
    EXPECT_TRUE(p->grad.defined()) << p->name;
    if (!p->grad.defined()) continue;
    for (int64_t i = static_cast<int64_t>(name_hash(p->name) % static_cast<uint64_t>(stride));
         i < p->value.numel(); i += stride) {
      double& x = p->value.data<double>()[i];
      const double centre = x;
      const auto slope = [&](double h) {
        const auto at = [&](double offset) {
          x = centre + offset;
          p->value.bump_version();
          return loss();
        };
        const double result = (at(-2 * h) - 8 * at(-h) + 8 * at(h) - at(2 * h)) / (12 * h);
        x = centre;
        p->value.bump_version();
        return result;
      };
      const double want = slope(1e-4), got = p->grad.item(i);
      const double bound = 1e-8 + 1e-6 * std::fabs(want);
      if (std::fabs(got - want) > bound && std::fabs(slope(1e-5) - want) > bound / 2) {
        ++checked.kinks;
        continue;
      }
      ++checked.elements;
      EXPECT_NEAR(got, want, bound) << what << ": " << p->name << " element " << i;
    }
  }
  return checked;
}

}  // namespace enas::test

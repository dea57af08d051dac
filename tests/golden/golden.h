// Golden values from PyTorch (tests/golden/README.md): the files, and how near we must be to them.
// Double: 1e-12 of the tensor's largest magnitude. Float, from the same inputs, on every
// instruction set: 4 (K + 8) 2^-24 of it, K the length of the longest sum.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <string>

#include "nn/safetensors.h"
#include "tensor/isa.h"

namespace enas::test {

class Golden {
 public:
  explicit Golden(const std::string& name)
      : tensors_(read_safetensors(std::string(ENAS_SOURCE_DIR) + "/tests/golden/" + name +
                                  ".safetensors")
                     .tensors) {}

  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  const Tensor& at(const std::string& name) const {
    const auto found = tensors_.find(name);
    check(found != tensors_.end(), ErrorKind::internal, "golden file", "has no ", name);
    return found->second;
  }
  // An own copy that an op or an optimizer may change; indices stay i32.
  Tensor copy(const std::string& name, DType dtype) const {
    const Tensor& t = at(name);
    return t.dtype() == DType::i32 ? t.clone() : t.to(dtype).clone();
  }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

 private:
  std::map<std::string, Tensor> tensors_;
};

// Compares, and leaves the largest relative differences of the test in its XML report
// (--gtest_output=xml:FILE).
class Nearness {
 public:
  // f64_bound: wider where roundings pass through many steps of a network.
  explicit Nearness(int64_t sum_length, double f64_bound = 1e-12)
      : sum_length_(sum_length), f64_bound_(f64_bound) {}
  ~Nearness() {
    record("largest_f64", worst_f64_);
    record("largest_f32", worst_f32_);
  }
  Nearness(const Nearness&) = delete;
  Nearness& operator=(const Nearness&) = delete;

  double bound(DType dtype) const {
    return dtype == DType::f64 ? f64_bound_ : 4.0 * static_cast<double>(sum_length_ + 8) * 0x1p-24;
  }
  // least_scale: for what is 0 but for rounding.
  void expect(const Tensor& got, const Tensor& want, const std::string& what,
              double least_scale = 0) {
    ASSERT_TRUE(got.defined()) << what << " does not exist";
    ASSERT_EQ(got.numel(), want.numel()) << what;
    double scale = least_scale;
    for (int64_t i = 0; i < want.numel(); ++i) scale = std::max(scale, std::fabs(want.item(i)));
    double& worst = got.dtype() == DType::f64 ? worst_f64_ : worst_f32_;
    for (int64_t i = 0; i < want.numel(); ++i) {
      const double error = std::fabs(got.item(i) - want.item(i));
      ASSERT_LE(error, bound(got.dtype()) * scale)
          << what << " [" << i << "]: " << got.item(i) << ", PyTorch " << want.item(i);
      if (error > 0) worst = std::max(worst, error / scale);
    }
  }

 private:
  static void record(const std::string& name, double value) {
    std::ostringstream text;
    text << value;
    testing::Test::RecordProperty(name, text.str());
  }
  int64_t sum_length_;
  double f64_bound_;
  double worst_f64_ = 0, worst_f32_ = 0;
};

// body(dtype) in double, then in float on every instruction set that this machine has.
template <class Body>
void for_each_path(Body&& body) {
  const Isa before = isa();
  for (const Isa path : available_isas()) {
    set_isa(path);
    const testing::ScopedTrace trace(__FILE__, __LINE__, std::string(name_of(path)));
    body(DType::f64);
    body(DType::f32);
  }
  set_isa(before);
}

}  // namespace enas::test

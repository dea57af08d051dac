// What the tests of the shim share.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/host/schedule.h"
#include "cuda/launch.cuh"
#include "cuda/reduce.cuh"
#include "cuda/sync.cuh"
#include "tensor/check.h"
#include "tensor/device.h"

namespace test {

// Values on the device.
template <class T>
class DeviceVector {
 public:
  explicit DeviceVector(size_t count)
      : data_(static_cast<T*>(enas::cuda::allocate(count * sizeof(T)))), count_(count) {}
  DeviceVector(size_t count, T value) : DeviceVector(std::vector<T>(count, value)) {}
  explicit DeviceVector(const std::vector<T>& values) : DeviceVector(values.size()) {
    enas::cuda::upload(data_, values.data(), count_ * sizeof(T));
  }
  DeviceVector(const DeviceVector&) = delete;
  DeviceVector& operator=(const DeviceVector&) = delete;
  ~DeviceVector() { enas::cuda::release(data_, count_ * sizeof(T)); }

  T* data() { return data_; }
  std::vector<T> values() const {
    std::vector<T> out(count_);
    enas::cuda::download(out.data(), data_, count_ * sizeof(T));
    return out;
  }

 private:
  T* data_;
  size_t count_;
};

// The text of the Error{internal} that `work` throws; empty where it throws none.
template <class Work>
std::string finding(Work work) {
  try {
    work();
  } catch (const enas::Error& error) {
    return error.kind() == enas::ErrorKind::internal ? error.what() : "";
  }
  return "";
}

inline testing::AssertionResult says(const std::string& text, const std::string& part) {
  if (text.find(part) != text.npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '"' << text << "\" does not say \"" << part << '"';
}

// A suite run under each schedule: TEST_P of a class derived from it, and ENAS_SCHEDULES(class).
class CudaShimTest : public testing::TestWithParam<enas::cuda::host::Schedule> {
 protected:
  void SetUp() override { enas::cuda::host::set_schedule(GetParam(), 7); }
  void TearDown() override {
    enas::cuda::host::set_schedule(enas::cuda::host::Schedule::round_robin);
    enas::cuda::check_guards("end of the test");
  }
};
#define ENAS_SCHEDULES(suite)                                        \
  INSTANTIATE_TEST_SUITE_P(                                          \
      Under, suite, testing::ValuesIn(enas::cuda::host::kSchedules), \
      [](const auto& test) { return std::string(enas::cuda::host::name_of(test.param)); })

}  // namespace test

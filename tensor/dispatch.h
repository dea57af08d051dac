// Device dispatch: dispatch<cpu::f, cuda::f>(args...) calls the kernel of the device that the first
// tensor lives on. Without CUDA the second name is only declared; with it a missing kernel is a
// link error that names it. dispatch<cpu::f>(args...) alone serves an op that has no CUDA kernel:
// on a CUDA tensor it throws with the op's name.
#pragma once
#include <string_view>
#include <type_traits>

#include "tensor/tensor.h"

namespace enas {
namespace detail {

inline Device device_of() { return Device::cpu; }
template <class First, class... Rest>
Device device_of(const First& first, const Rest&... rest) {
  if constexpr (std::is_convertible_v<const First&, const Tensor&>) {
    return static_cast<const Tensor&>(first).device();
  } else {
    return device_of(rest...);
  }
}

// Whether an argument that is a tensor lives on `device`.
template <class Arg>
bool lives_on(Device device, const Arg& arg) {
  if constexpr (std::is_convertible_v<const Arg&, const Tensor&>) {
    const Tensor& tensor = arg;
    return !tensor.defined() || tensor.device() == device;
  } else {
    return true;
  }
}

template <auto f>
constexpr std::string_view function_name() {
  // gcc: "... [with auto f = enas::cpu::softmax_forward; ...]"; clang: "... [f = &enas::...]".
  const std::string_view text = __PRETTY_FUNCTION__;
  const size_t begin = text.find("f = ") + 4;
  return text.substr(begin, text.find_first_of(";]", begin) - begin);
}

}  // namespace detail

template <auto on_cpu, auto on_cuda, class... Args>
decltype(auto) dispatch(Args&&... args) {
  if constexpr (kWithCuda) {
    const Device device = detail::device_of(args...);
    if (!(detail::lives_on(device, args) && ...)) {
      fail(ErrorKind::internal, detail::function_name<on_cpu>(),
           "tensors on different devices; move them to one");
    }
    if (device == Device::cuda) return on_cuda(std::forward<Args>(args)...);
  }
  return on_cpu(std::forward<Args>(args)...);
}

template <auto on_cpu, class... Args>
decltype(auto) dispatch(Args&&... args) {
  if (detail::device_of(args...) == Device::cuda) {
    fail(ErrorKind::device, detail::function_name<on_cpu>(),
         "has no CUDA kernel; run this op with --device cpu");
  }
  return on_cpu(std::forward<Args>(args)...);
}

}  // namespace enas

#include "tensor/tensor.h"

#include <cmath>
#include <cstring>

namespace enas {
namespace {

// Calls f(T{}) with the element type, storage types included.
template <class F>
void visit_any(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::f16:
      return f(Float16{});
    case DType::i32:
      return f(int32_t{});
    case DType::u8:
      return f(uint8_t{});
  }
}

template <class T>
double widen(T value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<double>(value);
  } else {
    return static_cast<double>(static_cast<float>(value));
  }
}
template <class T>
T narrow(double value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(value);
  } else {
    return T(static_cast<float>(value));
  }
}

}  // namespace

Float16::Float16(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7fffffffu;
  uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;  // NaN
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;  // rounds to 65520 and more: infinity
  } else if (magnitude < 0x38800000u) {
    // Subnormal: the value in units of 2^-24, rounded to nearest even by the addition of 2^23.
    half = static_cast<uint32_t>(std::lrint(std::bit_cast<float>(magnitude) * 16777216.0f));
  } else {
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    half = (rounded - 0x38000000u) >> 13;
  }
  bits = static_cast<uint16_t>(sign | half);
}

Float16::operator float() const {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
  return std::bit_cast<float>(sign | wide | (mantissa << 13));
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t(shape, dtype, device);
  t.fill(value);
  return t;
}

Tensor Tensor::from(const std::vector<double>& values, const Shape& shape, DType dtype) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "tensor", values.size(),
        " values for shape ", shape);
  Tensor t(shape, dtype);
  visit_any(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* out = t.data<T>();
    for (size_t i = 0; i < values.size(); ++i) out[i] = narrow<T>(values[i]);
  });
  return t;
}

Tensor Tensor::from_indices(const std::vector<int32_t>& values, const Shape& shape) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "tensor", values.size(),
        " values for shape ", shape);
  Tensor t(shape, DType::i32);
  if (!values.empty()) std::memcpy(t.raw(), values.data(), t.bytes());
  return t;
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(defined() && shape.numel() == numel(), "reshape", "cannot view ", shape_, " as ", shape);
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::slice(int64_t begin, int64_t end) const {
  check(defined() && rank() >= 1 && begin >= 0 && begin <= end && end <= size(0), "slice", "rows ",
        begin, " to ", end, " of ", shape_);
  Tensor t = *this;
  t.shape_.set(0, end - begin);
  const size_t row = size(0) ? bytes() / static_cast<size_t>(size(0)) : 0;
  t.data_ = static_cast<char*>(data_) + static_cast<size_t>(begin) * row;
  return t;
}

Tensor Tensor::clone() const {
  check(defined(), "clone", "of no tensor");
  Tensor t = empty_like(*this);
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  if constexpr (kWithCuda) {
    if (device_ == Device::cuda) {
      Tensor t(shape_, dtype, device_);
      cuda::convert(*this, t);
      return t;
    }
  }
  return from(to_vector(), shape_, dtype);
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  check(defined(), "copy", "of no tensor");
  Tensor t(shape_, dtype_, device);
  t.copy_from(*this);
  return t;
}

void Tensor::copy_from(const Tensor& source) {
  check(defined() && source.defined() && source.shape_ == shape_ && source.dtype_ == dtype_, "copy",
        "into ", dtype_, " ", shape_, " from ", source.dtype_, " ", source.shape_);
  if constexpr (kWithCuda) {
    const bool from_gpu = source.device_ == Device::cuda, to_gpu = device_ == Device::cuda;
    if (from_gpu && to_gpu) return cuda::copy(data_, source.data_, bytes());
    if (to_gpu) return cuda::upload(data_, source.data_, bytes());
    if (from_gpu) return cuda::download(data_, source.data_, bytes());
  }
  std::memcpy(data_, source.data_, bytes());
}

void Tensor::fill(double value) {
  check(defined(), "fill", "of no tensor");
  if constexpr (kWithCuda) {
    if (device_ == Device::cuda) return cuda::fill(*this, value);
  }
  if (value == 0 && !std::signbit(value)) {
    std::memset(data_, 0, bytes());
    return;
  }
  visit_any(dtype_, [&](auto tag) {
    using T = decltype(tag);
    std::fill_n(data<T>(), numel(), narrow<T>(value));
  });
}

double Tensor::item(int64_t index) const {
  check(defined() && index >= 0 && index < numel(), "tensor", "element ", index, " of ", shape_);
  if (device_ == Device::cuda) return reshape({numel()}).slice(index, index + 1).to_vector()[0];
  double value = 0;
  visit_any(dtype_, [&](auto tag) { value = widen(data<decltype(tag)>()[index]); });
  return value;
}

std::vector<double> Tensor::to_vector() const {
  if (device_ == Device::cuda) return to(Device::cpu).to_vector();
  std::vector<double> values(static_cast<size_t>(numel()));
  visit_any(dtype_, [&](auto tag) {
    using T = decltype(tag);
    const T* in = data<T>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = widen(in[i]);
  });
  return values;
}

}  // namespace enas

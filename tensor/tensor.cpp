#include "tensor/tensor.h"

#include <cmath>
#include <cstring>

namespace enas {

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
    for (size_t i = 0; i < values.size(); ++i) out[i] = from_double<T>(values[i]);
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
    std::fill_n(data<T>(), numel(), from_double<T>(value));
  });
}

double Tensor::item(int64_t index) const {
  check(defined() && index >= 0 && index < numel(), "tensor", "element ", index, " of ", shape_);
  if (device_ == Device::cuda) return reshape({numel()}).slice(index, index + 1).to_vector()[0];
  double value = 0;
  visit_any(dtype_, [&](auto tag) { value = to_double(data<decltype(tag)>()[index]); });
  return value;
}

std::vector<double> Tensor::to_vector() const {
  if (device_ == Device::cuda) return to(Device::cpu).to_vector();
  std::vector<double> values(static_cast<size_t>(numel()));
  visit_any(dtype_, [&](auto tag) {
    using T = decltype(tag);
    const T* in = data<T>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = to_double(in[i]);
  });
  return values;
}

}  // namespace enas

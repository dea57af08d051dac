// Tensor: a handle on counted storage with shape, dtype and device; always contiguous and
// row-major. Copying a handle shares the values. Views are reshape and leading-axis slice;
// everything else is an op.
#pragma once
#include <utility>
#include <vector>

#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace enas {

class Tensor {
 public:
  Tensor() = default;  // no tensor: defined() is false
  // Uninitialised.
  explicit Tensor(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu)
      : shape_(shape), dtype_(dtype), device_(device) {
    storage_ = Storage::create(static_cast<size_t>(shape.numel()) * size_of(dtype), device);
    data_ = storage_->data();
  }
  Tensor(const Tensor& other) noexcept
      : storage_(other.storage_),
        data_(other.data_),
        shape_(other.shape_),
        dtype_(other.dtype_),
        device_(other.device_) {
    if (storage_) storage_->retain();
  }
  Tensor(Tensor&& other) noexcept
      : storage_(std::exchange(other.storage_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        shape_(other.shape_),
        dtype_(other.dtype_),
        device_(other.device_) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(storage_, other.storage_);
    std::swap(data_, other.data_);
    shape_ = other.shape_;
    dtype_ = other.dtype_;
    device_ = other.device_;
    return *this;
  }
  ~Tensor() {
    if (storage_) storage_->release();
  }

  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu) {
    return full(shape, 0, dtype, device);
  }
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Device device = Device::cpu);
  // Values are converted to dtype; their number must be the shape's.
  static Tensor from(const std::vector<double>& values, const Shape& shape,
                     DType dtype = DType::f32);
  static Tensor from_indices(const std::vector<int32_t>& values, const Shape& shape);  // i32

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t size(int axis) const { return shape_[axis]; }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }

  template <class T>
  T* data() {
    return static_cast<T*>(typed(dtype_of<T>));
  }
  template <class T>
  const T* data() const {
    return static_cast<const T*>(typed(dtype_of<T>));
  }
  void* raw() { return data_; }
  const void* raw() const { return data_; }

  Tensor reshape(const Shape& shape) const;  // same storage, same number of elements
  // Rows [begin, end) of the leading axis, same storage.
  Tensor slice(int64_t begin, int64_t end) const;
  Tensor clone() const;  // own storage
  // No values, but shape, dtype and device, as empty_like() needs them.
  Tensor without_values() const {
    Tensor t;
    t.shape_ = shape_;
    t.dtype_ = dtype_;
    t.device_ = device_;
    return t;
  }
  Tensor to(DType dtype) const;    // converted copy (the handle itself where dtype fits already)
  Tensor to(Device device) const;  // copy there (the handle itself where it lives there already)
  void copy_from(const Tensor& source);  // same shape and dtype, from any device
  void fill(double value);
  // One element, or all, as double. From a GPU both wait for the work that was queued: within a
  // step tensor/readback.h does not.
  double item(int64_t index = 0) const;
  std::vector<double> to_vector() const;
  bool unique() const { return storage_->unique(); }  // no other handle shares the values
  bool same_storage(const Tensor& other) const { return storage_ == other.storage_; }
  uint32_t version() const { return storage_->version(); }
  void bump_version() { storage_->bump_version(); }

 private:
  void* typed(DType dtype) const {
    check(storage_ != nullptr && dtype == dtype_, "tensor", "asked for ", dtype, ", holds ",
          storage_ ? name_of(dtype_) : std::string_view("nothing"));
    return data_;
  }
  Storage* storage_ = nullptr;
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
};

inline Tensor empty_like(const Tensor& t) { return Tensor(t.shape(), t.dtype(), t.device()); }
inline Tensor zeros_like(const Tensor& t) {
  return Tensor::zeros(t.shape(), t.dtype(), t.device());
}

namespace cuda {
void fill(Tensor& t, double value);                  // any dtype
void convert(const Tensor& source, Tensor& result);  // between floating dtypes
void accumulate(Tensor& sum, const Tensor& term);    // sum += term, f32 or f64
}  // namespace cuda

}  // namespace enas

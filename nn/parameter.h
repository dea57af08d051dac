// ParameterStore: the parameters of a model under dotted, unique names, at addresses that stay
// valid while the store lives. Buffers (running statistics) are tensors beside them that no
// optimizer sees.
#pragma once
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/parameter.h"

namespace enas {

struct Buffer {
  std::string name;
  Tensor value;
};

class ParameterStore {
 public:
  // Of parameters and buffers that live on `device`.
  explicit ParameterStore(Device device = Device::cpu) : device_(device) {}
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  // A new parameter of zeros. A name that is empty or taken is refused.
  Parameter& add(std::string_view name, const Shape& shape, DType dtype = DType::f32);
  // An unknown name is refused, naming the nearest one.
  Parameter& get(std::string_view name);
  const Parameter& get(std::string_view name) const;
  Parameter* find(std::string_view name);  // nullptr where unknown
  const Parameter* find(std::string_view name) const;

  // Zeros, too; names are shared with the parameters'.
  Buffer& add_buffer(std::string_view name, const Shape& shape, DType dtype = DType::f32);
  std::deque<Buffer>& buffers() { return buffers_; }
  const std::deque<Buffer>& buffers() const { return buffers_; }

  // In order of insertion.
  auto begin() { return parameters_.begin(); }
  auto end() { return parameters_.end(); }
  auto begin() const { return parameters_.begin(); }
  auto end() const { return parameters_.end(); }
  std::vector<Parameter*> all();
  size_t size() const { return parameters_.size(); }
  int64_t count() const;  // elements of all parameters
  Device device() const { return device_; }

 private:
  Device device_;
  void claim(std::string_view name);
  std::deque<Parameter> parameters_;
  std::deque<Buffer> buffers_;
  std::map<std::string, Parameter*, std::less<>> by_name_;
  std::set<std::string, std::less<>> buffer_names_;
};

}  // namespace enas

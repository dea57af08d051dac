#include "nn/parameter.h"

#include <algorithm>
#include <numeric>

namespace enas {
namespace {

// Levenshtein distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row[b.size()];
}

}  // namespace

void ParameterStore::claim(std::string_view name) {
  check(!name.empty(), "parameter store", "a name must not be empty");
  check(by_name_.count(name) == 0 && buffer_names_.count(name) == 0, "parameter store", "the name ",
        name, " is taken");
}

Parameter& ParameterStore::add(std::string_view name, const Shape& shape, DType dtype) {
  claim(name);
  Parameter& p = parameters_.emplace_back();
  p.name = name;
  p.value = Tensor::zeros(shape, dtype, device_);
  by_name_.emplace(p.name, &p);
  return p;
}

Buffer& ParameterStore::add_buffer(std::string_view name, const Shape& shape, DType dtype) {
  claim(name);
  Buffer& buffer = buffers_.emplace_back();
  buffer.name = name;
  buffer.value = Tensor::zeros(shape, dtype, device_);
  buffer_names_.insert(buffer.name);
  return buffer;
}

const Parameter* ParameterStore::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

Parameter* ParameterStore::find(std::string_view name) {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

const Parameter& ParameterStore::get(std::string_view name) const {
  if (const Parameter* p = find(name)) return *p;
  check(!parameters_.empty(), "parameter store", "no parameter ", name, "; the store is empty");
  const auto nearest = std::min_element(
      parameters_.begin(), parameters_.end(), [&](const Parameter& a, const Parameter& b) {
        return edit_distance(name, a.name) < edit_distance(name, b.name);
      });
  fail(ErrorKind::internal, "parameter store", "no parameter ", name, "; the nearest is ",
       nearest->name);
}

Parameter& ParameterStore::get(std::string_view name) {
  return const_cast<Parameter&>(static_cast<const ParameterStore&>(*this).get(name));
}

std::vector<Parameter*> ParameterStore::all() {
  std::vector<Parameter*> list;
  list.reserve(parameters_.size());
  for (Parameter& p : parameters_) list.push_back(&p);
  return list;
}

int64_t ParameterStore::count() const {
  int64_t elements = 0;
  for (const Parameter& p : parameters_) elements += p.value.numel();
  return elements;
}

}  // namespace enas

// A tensor's values on their way to the host: the copy is queued when the object is made, and
// values() waits for that copy alone, so that a step's figures can be read after the next step has
// been issued. On the CPU the copy is made at once.
#pragma once
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace enas {

class Readback {
 public:
  explicit Readback(const Tensor& source);
  const std::vector<double>& values() const;  // copies of this object share them

 private:
  struct Copy;
  std::shared_ptr<Copy> copy_;
};

}  // namespace enas

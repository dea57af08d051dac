#include "tensor/readback.h"

#include <utility>

namespace enas {

struct Readback::Copy {
  cuda::PendingDownload* pending = nullptr;
  Tensor host;  // where the pending copy goes
  std::vector<double> values;

  Copy() = default;
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() {
    if constexpr (kWithCuda) {
      if (pending != nullptr) cuda::drop_download(pending);
    }
  }
};

Readback::Readback(const Tensor& source) : copy_(std::make_shared<Copy>()) {
  if constexpr (kWithCuda) {
    if (source.device() == Device::cuda) {
      copy_->host = Tensor(source.shape(), source.dtype());
      copy_->pending = cuda::begin_download(source.raw(), source.bytes());
      return;
    }
  }
  copy_->values = source.to_vector();
}

const std::vector<double>& Readback::values() const {
  if constexpr (kWithCuda) {
    if (copy_->pending != nullptr) {
      cuda::finish_download(std::exchange(copy_->pending, nullptr), copy_->host.raw());
      copy_->values = copy_->host.to_vector();
    }
  }
  return copy_->values;
}

}  // namespace enas

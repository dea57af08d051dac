// See version.h. ENAS_COMMIT: what was checked out when CMake ran; undefined outside a repository.
#include "apps/run/version.h"

#include "apps/run/run_record.h"
#include "tensor/blas.h"
#include "tensor/device.h"
#include "tensor/isa.h"

namespace enas {
namespace {

#if defined(ENAS_COMMIT)
constexpr const char* kCommit = ENAS_COMMIT " (when CMake was run)";
#else
constexpr const char* kCommit = "unknown";
#endif

}  // namespace

std::string version_text(std::string_view program) {
  std::string text = std::string(program) + " " + kVersion + "\n";
  text += std::string("commit:   ") + kCommit + "\n";
  text += "compiler: " + build_description() + "\n";
  text += std::string("CUDA:     ") + (kWithCuda ? "yes" : "no") + "\n";
  text += "ISA:      " + std::string(name_of(isa())) + " of";
  for (const Isa one : available_isas()) text += " " + std::string(name_of(one));
  return text + "\nBLAS:     " + blas_name();
}

}  // namespace enas

// Safetensors, the container of all weights and checkpoints: u64 little-endian length N, N bytes of
// JSON (name -> dtype, shape, data_offsets; "__metadata__": name -> text), then the tensors' bytes
// without gaps. Source: the format description of the safetensors project, version 0.4. The reader
// takes hostile files: it checks every number against the file's length before it allocates.
// Layout and rules: docs/formats.md.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/file.h"
#include "tensor/tensor.h"

namespace enas {

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Writes the file atomically (write_file_atomic), the tensors' bytes straight from their storage or
// from a copy of what lives on a GPU; equal content gives equal bytes, whatever the device.
// Error{write} when it cannot, or for metadata that is not UTF-8 or too long; Error{internal} for
// an undefined tensor or an impossible name.
void write_safetensors(const std::string& path, const TensorFile& file,
                       FileSystem& files = real_files());

// Reads the whole file. Any refusal, a missing file too, is Error{checkpoint}, and names file,
// tensor or header field, found and expected. Any bits are legal data, NaN too.
TensorFile read_safetensors(const std::string& path, FileSystem& files = real_files());

// The parts of the two, for the checkpoint and for tests. `path` only names the file in messages.
struct TensorEntry {
  DType dtype = DType::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;  // bytes, from the file's start
};
struct SafetensorsHeader {
  std::map<std::string, TensorEntry> tensors;
  std::map<std::string, std::string> metadata;
  uint64_t bytes = 0;  // of length field, JSON and padding: where the data begin
};

constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;  // of JSON and padding
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 36;
constexpr size_t kMaxNameBytes = 256;  // of a tensor's name

std::string safetensors_header(const TensorFile& file, const std::string& path);
std::map<std::string, Tensor> on_cpu(const std::map<std::string, Tensor>& tensors);
// The header and each tensor's bytes, on the CPU, in file order: views into both arguments.
std::vector<std::string_view> safetensors_pieces(const std::string& header, const TensorFile& file);
SafetensorsHeader parse_safetensors_header(std::string_view bytes, const std::string& path);
std::string_view tensor_bytes(std::string_view bytes, const TensorEntry& entry);
std::map<std::string, Tensor> copy_tensors(const SafetensorsHeader& header, std::string_view bytes);

// A name from a file, for a message: in quotes, control characters escaped, long ones cut.
std::string quote_name(std::string_view name);

}  // namespace enas

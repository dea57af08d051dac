// Target: a safetensors file, header and copies of its tensors. First byte even: the rest is the
// file. Odd: two bytes of JSON length (little-endian), JSON and data, whose length field is written
// here, so that mutations of the JSON's length still reach the parser. What is read can be written,
// and reads back equal.
#include <cstring>

#include "nn/safetensors.h"
#include "tests/fuzz/fuzz.h"

namespace enas {
namespace {

const std::string kName = "input";

std::string file_of(FuzzInput input) {
  if (input.byte() % 2 == 0) return std::string(input.rest());
  const unsigned low = input.byte(), high = input.byte();
  const std::string_view json = input.take(low | high << 8);
  std::string file(8, '\0');
  file[0] = static_cast<char>(json.size() & 255);
  file[1] = static_cast<char>(json.size() >> 8 & 255);
  return file.append(json).append(input.rest());
}

TensorFile read(std::string_view bytes) {
  const SafetensorsHeader header = parse_safetensors_header(bytes, kName);
  return {copy_tensors(header, bytes), header.metadata};
}

void check_round_trip(const TensorFile& file) {
  const std::string header = safetensors_header(file, kName);
  std::string bytes;
  for (const std::string_view piece : safetensors_pieces(header, file)) bytes.append(piece);
  const TensorFile again = read(bytes);
  require(again.metadata == file.metadata, "metadata read back equal");
  require(again.tensors.size() == file.tensors.size(), "as many tensors read back");
  for (const auto& [name, tensor] : file.tensors) {
    const auto found = again.tensors.find(name);
    require(found != again.tensors.end(), "a tensor's name reads back");
    const Tensor& other = found->second;
    require(other.shape() == tensor.shape() && other.dtype() == tensor.dtype(),
            "shape and type read back equal");
    require(tensor.bytes() == 0 || std::memcmp(other.raw(), tensor.raw(), tensor.bytes()) == 0,
            "a tensor's bytes read back equal");
  }
}

}  // namespace
}  // namespace enas

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  const std::string bytes = file_of({data, size});
  TensorFile file;
  if (accepts(ErrorKind::checkpoint, [&] { file = read(bytes); }))
    require(accepts(ErrorKind::checkpoint, [&] { check_round_trip(file); }),
            "what was read can be written and read");
  return 0;
}

// See checkpoint.h. The header's own checksum is taken over the header with 32 zeros in its place,
// so that every byte of the file is covered by exactly one checksum.
#include "nn/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

namespace enas {
namespace {

constexpr int64_t kVersion = 1;
constexpr std::string_view kFormat = "enas-checkpoint/";  // and the version
constexpr std::string_view kHeaderHashKey = "header_xxh3";
constexpr std::string_view kValuePrefix = "value.";
constexpr std::string_view kHashPrefix = "xxh3.";
constexpr int64_t kMaxSequence = int64_t{1} << 53;
constexpr int64_t kVerifyEvery = 20;
const std::string kNoHash(32, '0');

std::string xxh3_hex(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : canonical.digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

// A whole text as a number, or nothing.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Where the header's checksum stands in it. Inside a JSON text the quotes would be escaped, so the
// pattern is found at its key only.
size_t header_hash_at(std::string_view header) {
  const std::string key = "\"" + std::string(kHeaderHashKey) + "\":\"";
  const size_t at = header.find(key);
  if (at == std::string_view::npos || header.size() - at < key.size() + kNoHash.size()) return 0;
  return at + key.size();
}

// A checkpoint's header after its checksum held.
struct Opened {
  SafetensorsHeader header;
  int64_t version = 0, sequence = 0;
};

const std::string& metadata(const SafetensorsHeader& header, const std::string& key,
                            const std::string& path) {
  const auto found = header.metadata.find(key);
  check(found != header.metadata.end(), ErrorKind::checkpoint, path, "header: metadata ",
        quote_name(key), " is missing; expected a checkpoint of ", kFormat, kVersion);
  return found->second;
}

Opened open_checkpoint(std::string_view bytes, const std::string& path) {
  Opened opened;
  opened.header = parse_safetensors_header(bytes, path);
  const std::string& stored = metadata(opened.header, std::string(kHeaderHashKey), path);
  std::string header(bytes.substr(0, opened.header.bytes));
  const size_t at = header_hash_at(header);
  check(at != 0, ErrorKind::checkpoint, path, "header: its checksum is not where it was written");
  header.replace(at, kNoHash.size(), kNoHash);
  const std::string computed = xxh3_hex(header);
  check(computed == stored, ErrorKind::checkpoint, path, "header: its XXH3-128 is ", computed,
        "; expected ", quote_name(stored), ": the file is damaged");
  const std::string& format = metadata(opened.header, "format", path);
  std::optional<int64_t> version;
  if (format.compare(0, kFormat.size(), kFormat) == 0)
    version = parse_number<int64_t>(std::string_view(format).substr(kFormat.size()));
  check(version.has_value() && *version >= 1, ErrorKind::checkpoint, path,
        "header: metadata \"format\" is ", quote_name(format), "; expected ", kFormat, kVersion);
  opened.version = *version;
  if (opened.version > kVersion) return opened;
  const std::string& sequence = metadata(opened.header, "sequence", path);
  opened.sequence = parse_number<int64_t>(sequence).value_or(0);
  check(opened.sequence >= 1 && opened.sequence < kMaxSequence, ErrorKind::checkpoint, path,
        "header: metadata \"sequence\" is ", quote_name(sequence), "; expected an integer from 1");
  return opened;
}

void verify_tensors(const Opened& opened, std::string_view bytes, const std::string& path) {
  for (const auto& [name, entry] : opened.header.tensors) {
    const std::string& stored = metadata(opened.header, std::string(kHashPrefix) + name, path);
    const std::string computed = xxh3_hex(tensor_bytes(bytes, entry));
    check(computed == stored, ErrorKind::checkpoint, path, "tensor ", quote_name(name),
          ": the XXH3-128 of its bytes is ", computed, "; expected ", quote_name(stored),
          ": the file is damaged");
  }
}

Checkpoint to_checkpoint(const Opened& opened, std::string_view bytes, const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.source = path;
  checkpoint.tensors = copy_tensors(opened.header, bytes);
  for (const auto& [key, value] : opened.header.metadata)
    if (key.compare(0, kValuePrefix.size(), kValuePrefix) == 0)
      checkpoint.values.emplace(key.substr(kValuePrefix.size()), value);
  return checkpoint;
}

TensorFile to_tensor_file(const Checkpoint& checkpoint, int64_t sequence) {
  TensorFile file;
  file.tensors = on_cpu(checkpoint.tensors);
  file.metadata["format"] = std::string(kFormat) + std::to_string(kVersion);
  file.metadata["sequence"] = std::to_string(sequence);
  file.metadata[std::string(kHeaderHashKey)] = kNoHash;
  for (const auto& [name, value] : checkpoint.values)
    file.metadata[std::string(kValuePrefix) + name] = value;
  for (const auto& [name, tensor] : file.tensors) {
    check(tensor.defined(), "checkpoint", "tensor ", quote_name(name), " is undefined");
    file.metadata[std::string(kHashPrefix) + name] =
        xxh3_hex({static_cast<const char*>(tensor.raw()), tensor.bytes()});
  }
  return file;
}

const std::string& find_value(const Checkpoint& checkpoint, const std::string& name,
                              std::string_view expected) {
  const auto found = checkpoint.values.find(name);
  check(found != checkpoint.values.end(), ErrorKind::checkpoint,
        checkpoint.source.empty() ? "checkpoint" : checkpoint.source, "value ", quote_name(name),
        " is missing; expected ", expected);
  return found->second;
}

template <class T>
T typed_value(const Checkpoint& checkpoint, const std::string& name, std::string_view expected) {
  const std::string& text = find_value(checkpoint, name, expected);
  const std::optional<T> value = parse_number<T>(text);
  check(value.has_value(), ErrorKind::checkpoint,
        checkpoint.source.empty() ? "checkpoint" : checkpoint.source, "value ", quote_name(name),
        " is ", quote_name(text), "; expected ", expected);
  return *value;
}

}  // namespace

void Checkpoint::set_integer(const std::string& name, int64_t value) {
  values[name] = std::to_string(value);
}

void Checkpoint::set_real(const std::string& name, double value) {
  char digits[32];  // the shortest text that reads back as the same value
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  values[name] = std::string(digits, result.ptr);
}

void Checkpoint::set_text(const std::string& name, std::string value) {
  values[name] = std::move(value);
}

int64_t Checkpoint::integer(const std::string& name) const {
  return typed_value<int64_t>(*this, name, "an integer");
}

double Checkpoint::real(const std::string& name) const {
  return typed_value<double>(*this, name, "a number");
}

const std::string& Checkpoint::text(const std::string& name) const {
  return find_value(*this, name, "a text");
}

const Tensor& Checkpoint::tensor(const std::string& name) const {
  const auto found = tensors.find(name);
  check(found != tensors.end(), ErrorKind::checkpoint, source.empty() ? "checkpoint" : source,
        "tensor ", quote_name(name), " is missing; was it written with another configuration?");
  return found->second;
}

void Checkpoint::restore(const std::string& name, Tensor& target) const {
  const Tensor& stored = tensor(name);
  check(stored.shape() == target.shape() && stored.dtype() == target.dtype(), ErrorKind::checkpoint,
        source.empty() ? "checkpoint" : source, "tensor ", quote_name(name), " is ", stored.shape(),
        " of ", stored.dtype(), "; expected ", target.shape(), " of ", target.dtype(),
        "; was it written with another configuration?");
  target.copy_from(stored);
  target.bump_version();
}

CheckpointFolder::CheckpointFolder(std::string path, FileSystem& files)
    : path_(std::move(path)), files_(&files) {}

std::string CheckpointFolder::file(int slot) const {
  return path_ + (slot == 0 ? "/a.safetensors" : "/b.safetensors");
}

// The slot of the newest valid file, read into *loaded unless that is null. First the headers tell
// the order, then the newest is verified whole, and the other one where that fails. A file that
// cannot be read throws `unreadable` if that is `write`, and counts as damaged otherwise.
std::optional<int> CheckpointFolder::find_newest(ErrorKind unreadable, Checkpoint* loaded,
                                                 std::vector<std::string>& problems) {
  int64_t sequences[2] = {0, 0};
  const auto examine = [&](int slot, bool whole) {
    try {
      const std::string path = file(slot);
      const std::string bytes = read_file(path, kMaxFileBytes, *files_, unreadable);
      const Opened opened = open_checkpoint(bytes, path);
      if (opened.version > kVersion) return opened.version;
      sequences[slot] = opened.sequence;
      if (!whole) return opened.version;
      verify_tensors(opened, bytes, path);
      if (loaded != nullptr) *loaded = to_checkpoint(opened, bytes, path);
      return opened.version;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::checkpoint) throw;
      problems.emplace_back(error.what());
      return int64_t{0};
    }
  };
  bool usable[2] = {false, false};
  for (int slot = 0; slot < 2; ++slot) {
    if (!exists(file(slot))) continue;
    const int64_t version = examine(slot, false);
    check(version <= kVersion, ErrorKind::checkpoint, file(slot), "has the format ", kFormat,
          version, "; this program knows versions up to ", kVersion, "; use a newer one");
    usable[slot] = version != 0;
  }
  const int newer = sequences[1] > sequences[0] ? 1 : 0;
  sequence_ = sequences[newer];
  for (const int slot : {newer, 1 - newer}) {
    if (!usable[slot] || examine(slot, true) == 0) continue;
    next_slot_ = 1 - slot;
    return slot;
  }
  next_slot_ = sequences[0] == 0 ? 0 : 1 - newer;
  return std::nullopt;
}

std::optional<Checkpoint> CheckpointFolder::load_latest(std::vector<std::string>* warnings) {
  std::vector<std::string> problems;
  Checkpoint checkpoint;
  const std::optional<int> slot = find_newest(ErrorKind::checkpoint, &checkpoint, problems);
  scanned_ = slot.has_value();
  if (slot.has_value()) {
    if (warnings != nullptr) warnings->insert(warnings->end(), problems.begin(), problems.end());
    return checkpoint;
  }
  if (problems.empty()) return std::nullopt;
  std::string all;
  for (const std::string& problem : problems) all += "; " + problem;
  fail(ErrorKind::checkpoint, path_,
       "no checkpoint is valid; restore one from a copy or start the run anew", all);
}

// Makes the folder, and removes what a killed save left in it.
void CheckpointFolder::prepare() {
  make_directory(path_, *files_);
  try {
    remove_temporaries(path_, *files_);
  } catch (const Error& error) {
    fail(ErrorKind::write, path_, "cannot clear its temporary files: ", error.what());
  }
  prepared_ = true;
}

void CheckpointFolder::save(const Checkpoint& checkpoint) {
  if (!prepared_) prepare();
  if (!scanned_) {
    std::vector<std::string> problems;
    find_newest(ErrorKind::write, nullptr, problems);
    scanned_ = true;
  }
  const std::string path = file(next_slot_);
  TensorFile content = to_tensor_file(checkpoint, sequence_ + 1);
  std::string header = safetensors_header(content, path);
  header.replace(header_hash_at(header), kNoHash.size(), xxh3_hex(header));
  write_file_atomic(path, safetensors_pieces(header, content), *files_);
  if (saves_ % kVerifyEvery == 0) {
    try {
      const std::string bytes = read_file(path, kMaxFileBytes, *files_, ErrorKind::write);
      verify_tensors(open_checkpoint(bytes, path), bytes, path);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::checkpoint) throw;
      fail(ErrorKind::write, error.what(), "read back after writing; the disk may be failing");
    }
  }
  ++saves_;
  ++sequence_;
  next_slot_ = 1 - next_slot_;
}

}  // namespace enas

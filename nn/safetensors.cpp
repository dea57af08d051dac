// See safetensors.h. The JSON is read as a stream of events into fixed fields, so that nothing of
// the header is kept that the format does not name, and nesting is refused where it begins.
#include "nn/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

namespace enas {
namespace {

static_assert(std::endian::native == std::endian::little, "the data are stored as they lie");

constexpr std::string_view kMetadata = "__metadata__";
constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxTensors = size_t{1} << 17;  // bound the memory that a hostile header takes
constexpr size_t kMaxMetadata = size_t{1} << 18;

constexpr std::array<std::string_view, 6> kTypeNames = {"F32", "F64", "BF16", "F16", "I32", "U8"};
constexpr std::string_view stored_name(DType dtype) {
  return kTypeNames[static_cast<size_t>(dtype)];
}

// The only place that reads a file's bytes as something else than text.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  bool has(uint64_t begin, uint64_t size) const {
    return begin <= bytes_.size() && size <= bytes_.size() - begin;
  }
  uint64_t little64(uint64_t begin) const {
    check(has(begin, 8), "byte reader", "8 bytes at ", begin, " of ", bytes_.size());
    uint64_t value = 0;
    for (size_t i = 0; i < 8; ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[begin + i])) << (8 * i);
    return value;
  }
  std::string_view span(uint64_t begin, uint64_t size) const {
    check(has(begin, size), "byte reader", size, " bytes at ", begin, " of ", bytes_.size());
    return bytes_.substr(begin, size);
  }

 private:
  std::string_view bytes_;
};

std::optional<uint64_t> checked_product(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

using Json = nlohmann::json;

// Receives the header's JSON and fills a SafetensorsHeader, offsets still counted from the data's
// start. Every refusal throws.
class HeaderEvents : public nlohmann::json_sax<Json> {
 public:
  HeaderEvents(const std::string& path, SafetensorsHeader& header) : path_(path), header_(header) {}

  bool key(std::string& name) override {
    if (place_ == Place::top) {
      name_ = name;
      check_name();
    } else {
      field_ = name;
      if (place_ == Place::tensor) begin_field();
    }
    return true;
  }
  bool start_object(size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::top;
    } else if (place_ == Place::top && name_ == kMetadata) {
      place_ = Place::metadata;
    } else if (place_ == Place::top) {
      place_ = Place::tensor;
      seen_ = {};
      extents_.clear();
      offsets_.clear();
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    if (place_ == Place::tensor) end_tensor();
    place_ = Place::top;  // also at the very end: the parser refuses what follows
    return true;
  }
  bool start_array(size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") unexpected("a list");
    place_ = Place::list;
    return true;
  }
  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }
  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      if (!header_.metadata.emplace(field_, text).second) refuse("appears twice");
      if (header_.metadata.size() > kMaxMetadata)
        refuse("found more than ", kMaxMetadata, " entries; expected fewer");
    } else if (place_ == Place::tensor && field_ == "dtype") {
      const auto* const found = std::find(kTypeNames.begin(), kTypeNames.end(), text);
      if (found == kTypeNames.end())
        refuse("found ", quote_name(text), "; expected F32, F64, BF16, F16, I32 or U8");
      dtype_ = static_cast<DType>(found - kTypeNames.begin());
    } else {
      unexpected("a text");
    }
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::list) unexpected("a number");
    const bool shape = field_ == "shape";
    std::vector<uint64_t>& values = shape ? extents_ : offsets_;
    const size_t most = shape ? Shape::kMaxRank : 2;
    if (values.size() == most) refuse("found more than ", most, " numbers; expected at most that");
    values.push_back(value);
    return true;
  }
  bool number_integer(int64_t value) override {
    refuse("found ", value, "; expected an integer from 0 without a sign");
  }
  bool number_float(double, const std::string& text) override {
    refuse("found ", quote_name(text), "; expected an integer from 0");
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool binary(Json::binary_t&) override { unexpected("binary"); }
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception&) override {
    fail(ErrorKind::checkpoint, path_, "header: is not valid JSON in UTF-8 at its byte ", position,
         ", near ", quote_name(token), "; the file is damaged or no safetensors file");
  }

 private:
  enum class Place { outside, top, metadata, tensor, list };

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    std::string where = "header: ";
    if (place_ != Place::outside && !name_.empty())
      where += (name_ == kMetadata ? "" : "tensor ") + quote_name(name_) + ": ";
    if (place_ != Place::outside && place_ != Place::top && !field_.empty())
      where += "field " + quote_name(field_) + ": ";
    fail(ErrorKind::checkpoint, path_, where, parts...);
  }
  [[noreturn]] void unexpected(std::string_view found) const {
    switch (place_) {
      case Place::metadata:
        refuse("found ", found, "; expected a text");
      case Place::tensor:
        refuse("found ", found, "; expected ", field_ == "dtype" ? "a text" : "a list of integers");
      case Place::list:
        refuse("found ", found, "; expected integers from 0");
      default:
        refuse("found ", found, "; expected an object");
    }
  }
  void check_name() const {
    if (name_ == kMetadata) {
      if (metadata_seen_) refuse("appears twice");
      metadata_seen_ = true;
      return;
    }
    if (name_.size() > kMaxNameBytes)
      refuse("the name has ", name_.size(), " bytes; expected at most ", kMaxNameBytes);
    if (header_.tensors.count(name_) != 0) refuse("appears twice");
    if (header_.tensors.size() == kMaxTensors)
      refuse("found more than ", kMaxTensors, " tensors; expected fewer");
  }
  void begin_field() {
    for (size_t i = 0; i < kFields.size(); ++i) {
      if (field_ != kFields[i]) continue;
      if (seen_[i]) refuse("appears twice");
      seen_[i] = true;
      return;
    }
    refuse("is unknown; expected dtype, shape and data_offsets");
  }
  void end_tensor() {
    for (size_t i = 0; i < kFields.size(); ++i) {
      field_ = kFields[i];
      if (!seen_[i]) refuse("is missing");
    }
    TensorEntry entry;
    entry.dtype = dtype_;
    field_ = "shape";
    std::optional<uint64_t> bytes = size_of(dtype_);
    std::optional<uint64_t> elements = 1;
    for (const uint64_t extent : extents_) {
      if (extent > kMaxFileBytes) refuse("found the extent ", extent, "; no file is that long");
      elements = checked_product(*elements, extent);
      if (!elements || *elements > kMaxFileBytes)
        refuse("found more elements than a file can hold; the file is damaged");
      entry.shape.push_back(static_cast<int64_t>(extent));
    }
    bytes = checked_product(*bytes, *elements);
    field_ = "data_offsets";
    if (offsets_.size() != 2) refuse("found ", offsets_.size(), " numbers; expected 2");
    entry.begin = offsets_[0];
    entry.end = offsets_[1];
    if (entry.begin > entry.end || entry.end - entry.begin != bytes)
      refuse("found ", entry.begin, " to ", entry.end, "; expected ", *bytes, " bytes for ",
             entry.shape, " of ", stored_name(dtype_));
    header_.tensors.emplace(name_, entry);
  }

  static constexpr std::array<std::string_view, 3> kFields = {"dtype", "shape", "data_offsets"};
  const std::string& path_;
  SafetensorsHeader& header_;
  Place place_ = Place::outside;
  std::string name_, field_;
  std::array<bool, 3> seen_{};
  mutable bool metadata_seen_ = false;
  DType dtype_ = DType::f32;
  std::vector<uint64_t> extents_, offsets_;
};

// The data must be covered from the first to the last byte, each byte once. Makes the offsets
// relative to the file.
void place_tensors(SafetensorsHeader& header, uint64_t data_bytes, const std::string& path) {
  using Item = std::pair<const std::string, TensorEntry>;
  std::vector<Item*> items;
  for (Item& item : header.tensors) items.push_back(&item);
  std::sort(items.begin(), items.end(), [](const Item* a, const Item* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  uint64_t expected = 0;
  for (Item* const item : items) {
    TensorEntry& entry = item->second;
    check(entry.begin == expected, ErrorKind::checkpoint, path, "header: tensor ",
          quote_name(item->first), ": field \"data_offsets\": begins at ", entry.begin,
          "; expected ", expected, ", where the tensor before it ends");
    expected = entry.end;
    entry.begin += header.bytes;
    entry.end += header.bytes;
  }
  check(expected == data_bytes, ErrorKind::checkpoint, path, "length: found ", data_bytes,
        " bytes of data after the header; expected ", expected,
        ", where the last tensor ends (cut off or grown?)");
}

// Tensors in file order: wide elements first, so that each lies at a multiple of its element size.
std::vector<const std::pair<const std::string, Tensor>*> file_order(const TensorFile& file) {
  std::vector<const std::pair<const std::string, Tensor>*> order;
  for (const auto& item : file.tensors) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });
  return order;
}

std::string json_text(const std::string& text, ErrorKind kind, const std::string& path) {
  try {
    return Json(text).dump();
  } catch (const Json::type_error&) {
    fail(kind, path, "the text ", quote_name(text), " is not valid UTF-8; expected UTF-8");
  }
}

}  // namespace

std::string quote_name(std::string_view name) {
  constexpr size_t kShown = 64;
  std::string text =
      Json(std::string(name.substr(0, kShown))).dump(-1, ' ', true, Json::error_handler_t::replace);
  if (name.size() > kShown) text += "...";
  return text;
}

std::string safetensors_header(const TensorFile& file, const std::string& path) {
  std::string json = "{";
  if (!file.metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : file.metadata) {
      if (json.back() != '{') json += ',';
      json += json_text(key, ErrorKind::write, path) + ':';
      json += json_text(value, ErrorKind::write, path);
    }
    json += '}';
  }
  uint64_t offset = 0;
  for (const auto* const item : file_order(file)) {
    const auto& [name, tensor] = *item;
    check(name.size() <= kMaxNameBytes && name != kMetadata, path, "the tensor name ",
          quote_name(name), " is reserved or longer than ", kMaxNameBytes, " bytes");
    check(tensor.defined(), path, "tensor ", quote_name(name), " is undefined");
    if (json.size() > 1) json += ',';
    json += json_text(name, ErrorKind::internal, path) + ":{\"dtype\":\"";
    json += std::string(stored_name(tensor.dtype())) + "\",\"shape\":[";
    for (int axis = 0; axis < tensor.rank(); ++axis)
      json += (axis == 0 ? "" : ",") + std::to_string(tensor.size(axis));
    json += "],\"data_offsets\":[" + std::to_string(offset) + ',';
    offset += tensor.bytes();
    json += std::to_string(offset) + "]}";
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  check(json.size() <= kMaxHeaderBytes && file.tensors.size() <= kMaxTensors &&
            file.metadata.size() <= kMaxMetadata,
        ErrorKind::write, path, "names and metadata take ", json.size(), " bytes for ",
        file.tensors.size(), " tensors and ", file.metadata.size(), " metadata; a header may have ",
        kMaxHeaderBytes, " bytes, ", kMaxTensors, " and ", kMaxMetadata);
  std::string header(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i)
    header[i] = static_cast<char>(static_cast<uint64_t>(json.size()) >> (8 * i) & 0xff);
  return header + json;
}

std::vector<std::string_view> safetensors_pieces(const std::string& header,
                                                 const TensorFile& file) {
  std::vector<std::string_view> pieces = {header};
  for (const auto* const item : file_order(file))
    pieces.emplace_back(static_cast<const char*>(item->second.raw()), item->second.bytes());
  return pieces;
}

std::map<std::string, Tensor> on_cpu(const std::map<std::string, Tensor>& tensors) {
  std::map<std::string, Tensor> moved;
  for (const auto& [name, tensor] : tensors) moved.emplace(name, tensor.to(Device::cpu));
  return moved;
}

void write_safetensors(const std::string& path, const TensorFile& file, FileSystem& files) {
  const TensorFile content{on_cpu(file.tensors), file.metadata};
  const std::string header = safetensors_header(content, path);
  write_file_atomic(path, safetensors_pieces(header, content), files);
}

SafetensorsHeader parse_safetensors_header(std::string_view bytes, const std::string& path) {
  const ByteReader reader(bytes);
  check(reader.has(0, kLengthBytes), ErrorKind::checkpoint, path, "length: found ", bytes.size(),
        " bytes; expected at least the 8 of the header's length");
  const uint64_t length = reader.little64(0);
  check(length <= kMaxHeaderBytes, ErrorKind::checkpoint, path, "header: its length is ", length,
        " bytes; expected at most ", kMaxHeaderBytes, " (is it a safetensors file?)");
  check(reader.has(kLengthBytes, length), ErrorKind::checkpoint, path, "header: its length is ",
        length, " bytes; expected at most the ", bytes.size() - kLengthBytes,
        " that follow (cut off?)");
  const std::string_view json = reader.span(kLengthBytes, length);
  check(!json.empty() && json[0] == '{', ErrorKind::checkpoint, path, "header: found ",
        quote_name(json.substr(0, 1)), " first; expected {");
  const size_t zero = json.find('\0');  // the JSON parser takes it for the end
  check(zero == std::string_view::npos, ErrorKind::checkpoint, path,
        "header: found a zero byte at its byte ", zero, "; expected JSON");
  SafetensorsHeader header;
  header.bytes = kLengthBytes + length;
  HeaderEvents events(path, header);
  Json::sax_parse(json.begin(), json.end(), &events);
  place_tensors(header, bytes.size() - header.bytes, path);
  return header;
}

std::string_view tensor_bytes(std::string_view bytes, const TensorEntry& entry) {
  return ByteReader(bytes).span(entry.begin, entry.end - entry.begin);
}

std::map<std::string, Tensor> copy_tensors(const SafetensorsHeader& header,
                                           std::string_view bytes) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, entry] : header.tensors) {
    Tensor tensor(entry.shape, entry.dtype);
    const std::string_view data = tensor_bytes(bytes, entry);
    if (!data.empty()) std::memcpy(tensor.raw(), data.data(), data.size());
    tensors.emplace(name, std::move(tensor));
  }
  return tensors;
}

TensorFile read_safetensors(const std::string& path, FileSystem& files) {
  check(exists(path), ErrorKind::checkpoint, path,
        "no such file; expected a .safetensors file, such as model.safetensors of a trained run");
  const std::string bytes = read_file(path, kMaxFileBytes, files, ErrorKind::checkpoint);
  SafetensorsHeader header = parse_safetensors_header(bytes, path);
  TensorFile file;
  file.tensors = copy_tensors(header, bytes);
  file.metadata = std::move(header.metadata);
  return file;
}

}  // namespace enas

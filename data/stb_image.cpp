// See stb_image.h. The library is compiled here, into this file alone.
#include "data/stb_image.h"

#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "tensor/check.h"

namespace enas {
namespace {

constexpr size_t kBudget = size_t{64} << 20;

// What one decoding holds. The library is C: where an assertion of it throws, this frees.
class Arena {
 public:
  explicit Arena(size_t budget) : left_(budget) { current_ = this; }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    current_ = nullptr;
    for (const auto& [block, bytes] : blocks_) std::free(block);
  }
  static Arena& current() { return *current_; }
  bool exhausted() const { return exhausted_; }

  void* allocate(size_t bytes) {
    exhausted_ = exhausted_ || bytes > left_;
    void* block = bytes > left_ ? nullptr : std::calloc(bytes == 0 ? 1 : bytes, 1);
    if (block == nullptr) return nullptr;
    blocks_.emplace(block, bytes);
    left_ -= bytes;
    return block;
  }
  void release(void* block) {
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) return;  // nullptr
    left_ += found->second;
    blocks_.erase(found);
    std::free(block);
  }
  void* reallocate(void* old, size_t old_bytes, size_t bytes) {
    void* block = allocate(bytes);
    if (block == nullptr) return nullptr;
    if (old != nullptr) std::memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
    release(old);
    return block;
  }

 private:
  static thread_local Arena* current_;
  size_t left_;
  bool exhausted_ = false;
  std::unordered_map<void*, size_t> blocks_;
};
thread_local Arena* Arena::current_ = nullptr;

struct BrokenAssertion {};

}  // namespace
}  // namespace enas

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS enas::kLongestSide
#define STBI_ASSERT(x) ((x) ? void() : throw enas::BrokenAssertion())
#define STBI_MALLOC(bytes) enas::Arena::current().allocate(bytes)
#define STBI_REALLOC_SIZED(old, old_bytes, bytes) \
  enas::Arena::current().reallocate(old, old_bytes, bytes)
#define STBI_FREE(block) enas::Arena::current().release(block)
#include <stb/stb_image.h>

namespace enas {
namespace {

const stbi_uc* data_of(std::string_view bytes) {
  return reinterpret_cast<const stbi_uc*>(bytes.data());
}

int length_of(std::string_view bytes, const std::string& name) {
  check(bytes.size() <= size_t{1} << 30, ErrorKind::data, name, "found ", bytes.size(),
        " bytes; expected at most 1 GiB");
  return static_cast<int>(bytes.size());
}

std::string reason(const Arena& arena) {
  const char* text = stbi_failure_reason();
  return arena.exhausted() ? "it needs too much memory" : text == nullptr ? "unknown" : text;
}

}  // namespace

ImageSize image_size(std::string_view bytes, const std::string& name) {
  if (is_png(bytes)) return png_size(bytes, name);
  check(is_jpeg(bytes), ErrorKind::data, name,
        "found neither a PNG nor a JPEG; expected one of them");
  check_jpeg(bytes, name);
  Arena arena(kBudget);
  int width = 0, height = 0, channels = 0, ok = 0;
  try {
    ok = stbi_info_from_memory(data_of(bytes), length_of(bytes, name), &width, &height, &channels);
  } catch (const BrokenAssertion&) {
  }
  check(ok == 1 && width > 0 && height > 0, ErrorKind::data, name,
        "found a JPEG with a header that cannot be used (", reason(arena), "); expected 1..",
        kLongestSide, " pixels a side");
  return {height, width};
}

void decode_image(std::string_view bytes, const std::string& name, const ImageSize& expected,
                  uint8_t* rgb) {
  std::string plain;
  if (is_png(bytes))
    bytes = (plain = plain_png(bytes, name));
  else
    check_jpeg(bytes, name);
  Arena arena(kBudget + 2 * bytes.size());
  int width = 0, height = 0, channels = 0;
  stbi_uc* pixels = nullptr;
  try {
    pixels = stbi_load_from_memory(data_of(bytes), length_of(bytes, name), &width, &height,
                                   &channels, 3);
  } catch (const BrokenAssertion&) {
  }
  check(pixels != nullptr, ErrorKind::data, name, "found an image that cannot be decoded (",
        reason(arena), "); is the file damaged?");
  check(ImageSize{height, width} == expected, ErrorKind::data, name, "found ", width, " x ", height,
        " pixels where the header said ", expected.width, " x ", expected.height);
  std::memcpy(rgb, pixels, static_cast<size_t>(height) * static_cast<size_t>(width) * 3);
}

}  // namespace enas

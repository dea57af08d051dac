// See image_format.h. PNG: ISO/IEC 15948; JPEG: ITU T.81, annex B.
#include "data/image_format.h"

#include "tensor/check.h"

namespace enas {
namespace {

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n", kJpeg = "\xff\xd8\xff";
constexpr size_t kPngHeader = 13, kPalette = 3 * 256;
constexpr int64_t kMostScans = 100;  // each may touch every pixel

size_t big_endian(std::string_view bytes) {
  size_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string chunk(const std::string& type, std::string_view data) {
  std::string result;
  for (int shift = 24; shift >= 0; shift -= 8)
    result += static_cast<char>(data.size() >> shift & 255);
  return result.append(type).append(data).append(4, '\0');
}

void check_huffman_tables(std::string_view tables, const std::string& name) {
  while (!tables.empty()) {
    size_t codes = 0;
    for (const char count : tables.substr(1, 16)) codes += static_cast<unsigned char>(count);
    check(codes <= 256 && tables.size() >= 17 + codes, ErrorKind::data, name,
          "found a Huffman table of ", codes, " codes; expected at most 256 within its segment");
    tables.remove_prefix(17 + codes);
  }
}

}  // namespace

bool is_png(std::string_view bytes) { return bytes.substr(0, kPng.size()) == kPng; }
bool is_jpeg(std::string_view bytes) { return bytes.substr(0, kJpeg.size()) == kJpeg; }

ImageSize png_size(std::string_view bytes, const std::string& name) {
  const std::string_view header = bytes.substr(kPng.size(), 8 + kPngHeader);
  check(header.size() == 8 + kPngHeader && big_endian(header.substr(0, 4)) == kPngHeader &&
            header.substr(4, 4) == "IHDR",
        ErrorKind::data, name, "found a PNG without a header; is the file damaged?");
  const ImageSize size{static_cast<int64_t>(big_endian(header.substr(12, 4))),
                       static_cast<int64_t>(big_endian(header.substr(8, 4)))};
  check(size.height >= 1 && size.height <= kLongestSide && size.width >= 1 &&
            size.width <= kLongestSide,
        ErrorKind::data, name, "found a PNG of ", size.width, " x ", size.height,
        " pixels; expected 1..", kLongestSide, " a side");
  return size;
}

std::string plain_png(std::string_view bytes, const std::string& name) {
  std::string palette, pixels;
  std::string_view header, type;
  for (size_t at = kPng.size(); type != "IEND";) {
    const size_t left = bytes.size() - at;
    const size_t length = left < 12 ? left : big_endian(bytes.substr(at, 4));
    check(left >= 12 && length <= left - 12, ErrorKind::data, name,
          "found a PNG without an end (is the file cut short?)");
    type = bytes.substr(at + 4, 4);
    const std::string_view data = bytes.substr(at + 8, length);
    at += length + 12;
    check(header.empty() != (type != "IHDR"), ErrorKind::data, name,
          "found no header, or two, in a PNG");
    const bool must_be_known = (type[0] & 0x20) == 0;
    if (type == "IHDR") {
      header = data;
    } else if (type == "PLTE") {
      palette = data;
    } else if (type == "IDAT") {
      pixels += data;
    } else {
      check(!must_be_known || type == "IEND", ErrorKind::data, name,
            "found a PNG with a chunk that is not known; save it as a plain one");
    }
  }
  check(header.size() == kPngHeader && palette.size() <= kPalette && palette.size() % 3 == 0,
        ErrorKind::data, name, "found a PNG with a broken header or palette");
  std::string result(kPng);
  result += chunk("IHDR", header);
  if (!palette.empty()) {
    palette.resize(kPalette);
    result += chunk("PLTE", palette);
  }
  if (!pixels.empty()) result += chunk("IDAT", pixels);
  return result + chunk("IEND", "");
}

// Visits the segments that the library will visit: it too goes from marker to marker by their
// lengths, and in a scan's data to the first 0xff that neither 0 nor a restart follows.
void check_jpeg(std::string_view bytes, const std::string& name) {
  constexpr unsigned kHuffman = 0xc4, kRestart = 0xd0, kEnd = 0xd9, kScan = 0xda;
  const std::string_view cut_short = "found a JPEG without an end (is the file cut short?)";
  int64_t scans = 0;
  for (size_t at = 2;;) {
    at = bytes.find_first_not_of('\xff', bytes.find('\xff', at));
    check(at != std::string_view::npos, ErrorKind::data, name, cut_short);
    const auto marker = static_cast<unsigned char>(bytes[at++]);
    if (scans > 0 && (marker == 0 || (marker >= kRestart && marker < kRestart + 8))) continue;
    if (marker == kEnd) break;
    const size_t length = big_endian(bytes.substr(at, 2));
    check(length >= 2 && length <= bytes.size() - at, ErrorKind::data, name, cut_short);
    if (marker == kHuffman) check_huffman_tables(bytes.substr(at + 2, length - 2), name);
    scans += marker == kScan;
    at += length;
  }
  check(scans <= kMostScans, ErrorKind::data, name, "found ", scans,
        " JPEG scans; expected at most ", kMostScans);
}

}  // namespace enas

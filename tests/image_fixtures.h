// Image files for tests, made on the spot: PNG with stored (not compressed) data, records of
// CIFAR-10.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace enas {

inline std::string big_endian32(uint32_t n) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(n >> shift & 255);
  return text;
}

inline std::string png_chunk(const std::string& type, const std::string& data) {
  uint32_t crc = 0xffffffff;
  for (const char c : type + data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return big_endian32(static_cast<uint32_t>(data.size())) + type + data + big_endian32(~crc);
}

// zlib's frame around stored blocks.
inline std::string stored(std::string_view raw) {
  std::string result = "\x78\x01";
  uint32_t a = 1, b = 0;
  for (const char c : raw) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  for (size_t at = 0; at == 0 || at < raw.size(); at += 65535) {
    const std::string_view block = raw.substr(at, 65535);
    const auto size = static_cast<uint32_t>(block.size());
    result += static_cast<char>(at + 65535 >= raw.size());
    for (const uint32_t n : {size, ~size})
      for (int shift = 0; shift < 16; shift += 8) result += static_cast<char>(n >> shift & 255);
    result += block;
  }
  return result + big_endian32(b << 16 | a);
}

// channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; pixels row-major.
inline std::string png(uint32_t width, uint32_t height, int channels, std::string_view pixels) {
  const char types[] = {0, 0, 4, 2, 6};
  std::string header = big_endian32(width) + big_endian32(height);
  header += {8, types[channels], 0, 0, 0};
  std::string rows;
  const size_t row = width * static_cast<size_t>(channels);
  for (size_t y = 0; y < height; ++y) rows.append(1, '\0').append(pixels.substr(y * row, row));
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + png_chunk("IDAT", stored(rows)) +
         png_chunk("IEND", "");
}

// An RGB one whose byte i is i * factor + first.
inline std::string png_pattern(uint32_t width, uint32_t height, int first, int factor = 7) {
  std::string pixels(size_t{3} * width * height, '\0');
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<char>(static_cast<int>(i) * factor + first);
  return png(width, height, 3, pixels);
}

// The planar pixels of a record; byte (channel, row, column).
inline uint8_t cifar_byte(int image, int c, int y, int x) {
  return static_cast<uint8_t>(31 * image + 85 * c + 5 * y + 3 * x);
}
inline std::string cifar_planes(int image) {
  std::string planes;
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x) planes += static_cast<char>(cifar_byte(image, c, y, x));
  return planes;
}
// Records of images first, ..., first + count - 1; image i has label i mod 10.
inline std::string cifar_records(int first, int count) {
  std::string bytes;
  for (int image = first; image < first + count; ++image)
    bytes += static_cast<char>(image % 10) + cifar_planes(image);
  return bytes;
}

}  // namespace enas

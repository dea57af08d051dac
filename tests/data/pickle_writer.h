// Pickles for tests: the opcodes of the published batches of CIFAR-10 (protocol 2 of Python 2), and
// those of a later Python (protocol 3 and 4), written by hand.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace enas {

inline std::string little_endian(uint64_t n, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(n >> (8 * i) & 255);
  return text;
}

// Every string with its opcode; protocol 2 writes str of Python 2.
class PickleWriter {
 public:
  explicit PickleWriter(int protocol) : protocol_(protocol) {
    raw("\x80").raw(little_endian(static_cast<uint64_t>(protocol), 1));
  }
  PickleWriter& raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  PickleWriter& bytes(const std::string& text) {
    const bool small = text.size() < 256;
    const char* opcode = protocol_ == 2 ? (small ? "U" : "T") : (small ? "C" : "B");
    raw(opcode).raw(little_endian(text.size(), small ? 1 : 4)).raw(text);
    return put();
  }
  PickleWriter& key(const std::string& text) {
    if (protocol_ == 2) return bytes(text);
    const bool small = protocol_ == 4;
    raw(small ? "\x8c" : "X").raw(little_endian(text.size(), small ? 1 : 4)).raw(text);
    return put();
  }
  PickleWriter& integer(int64_t n) {
    if (n >= 0 && n < 256) return raw("K").raw(little_endian(static_cast<uint64_t>(n), 1));
    if (n >= 0 && n < 65536) return raw("M").raw(little_endian(static_cast<uint64_t>(n), 2));
    return raw("J").raw(little_endian(static_cast<uint64_t>(n), 4));
  }
  PickleWriter& global(const std::string& module, const std::string& name) {
    if (protocol_ == 4) return key(module).key(name).raw("\x93").put();
    return raw("c" + module + "\n" + name + "\n").put();
  }
  PickleWriter& put() {
    if (protocol_ == 4) return raw("\x94");
    if (memo_ < 256) return raw("q").raw(little_endian(memo_++, 1));
    return raw("r").raw(little_endian(memo_++, 4));
  }
  std::string text() const { return bytes_; }

 private:
  int protocol_;
  uint64_t memo_ = 0;
  std::string bytes_;
};

// Ten at a time, as pickle writes a list of a thousand.
inline void write_labels(PickleWriter& pickle, const std::vector<int>& labels) {
  pickle.raw("]").put();
  for (size_t i = 0; i < labels.size(); i += 10) {
    pickle.raw("(");
    for (size_t j = i; j < std::min(labels.size(), i + 10); ++j) pickle.integer(labels[j]);
    pickle.raw("e");
  }
}

struct PickledArray {
  int64_t rows, columns;
  std::string pixels;
  std::string dtype = "u1";
  bool fortran = false;
};

inline void write_array(PickleWriter& pickle, const PickledArray& array) {
  pickle.global("numpy.core.multiarray", "_reconstruct").global("numpy", "ndarray");
  pickle.integer(0).raw("\x85").put().bytes("b").raw("\x87").put().raw("R").put();
  pickle.raw("(").integer(1).integer(array.rows).integer(array.columns).raw("\x86").put();
  pickle.global("numpy", "dtype").key(array.dtype).integer(0).integer(1).raw("\x87").put();
  pickle.raw("R").put().raw("(").integer(3).key("|").raw("NNN");
  pickle.integer(-1).integer(-1).integer(0).raw("t").put().raw("b");
  pickle.raw(array.fortran ? "\x88" : "\x89").bytes(array.pixels).raw("t").put().raw("b");
}

inline std::string cifar_pickle(int protocol, const std::vector<int>& labels,
                                const PickledArray& array,
                                const std::string& labels_key = "labels") {
  PickleWriter pickle(protocol);
  pickle.raw("}").put().raw("(").key("batch_label").bytes("training batch 1 of 5");
  pickle.key(labels_key);
  write_labels(pickle, labels);
  pickle.key("data");
  write_array(pickle, array);
  pickle.key("filenames").raw("]").put().raw("(");
  for (size_t i = 0; i < labels.size(); ++i) pickle.bytes("image_" + std::to_string(i) + ".png");
  return pickle.raw("eu.").text();
}

}  // namespace enas

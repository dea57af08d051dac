// Objects of *.simd.cpp, compiled once an instruction set: the linker keeps one copy of every weak
// symbol, so none may lie outside the namespace of its instruction set, or code for a newer CPU
// could be run on an older one. Read with nm.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "tests/house/house.h"

namespace enas::house {
namespace {

// The weak symbols of `nm -C` output that name no instruction set's namespace.
std::string stray_symbols(const std::string& nm_output, const std::string& isa) {
  std::istringstream lines(nm_output);
  std::string found;
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 20 || line[0] == ' ') continue;  // undefined here: no address
    const char kind = line[17];
    const bool weak = kind == 'W' || kind == 'V' || kind == 'u';
    if (weak && line.find(isa + "::") == std::string::npos) found += line.substr(17) + "\n";
  }
  return found;
}

TEST(House, VectorObjectsExportNoWeakSymbolOutsideTheirNamespace) {
  if (std::system("nm --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no nm on this machine";
  std::istringstream objects(ENAS_SIMD_OBJECTS);
  int read = 0;
  for (std::string object; std::getline(objects, object, '|');) {
    if (object.empty()) continue;
    const std::string symbols = output_of("nm -C '" + object + "'");
    ASSERT_NE(symbols.find(" T enas::isa_"), std::string::npos) << object << " exports no kernel";
    std::string isa = "isa_generic";
    for (const char* other : {"isa_avx2", "isa_avx512"}) {
      if (symbols.find(std::string(" T enas::") + other + "::") != std::string::npos) isa = other;
    }
    EXPECT_EQ(stray_symbols(symbols, isa), "") << object;
    ++read;
  }
  EXPECT_GE(read, 1);
}

TEST(House, StraySymbolsAreFound) {
  EXPECT_NE(stray_symbols("0000000000000000 W std::max(float, float)\n", "isa_avx2"), "");
  EXPECT_NE(stray_symbols("0000000000000000 W enas::isa_generic::f()\n", "isa_avx2"), "");
  EXPECT_EQ(stray_symbols("0000000000000000 W enas::isa_avx2::f()\n", "isa_avx2"), "");
  EXPECT_EQ(stray_symbols("0000000000000000 T enas::isa_avx2::f()\n", "isa_avx2"), "");
}

}  // namespace
}  // namespace enas::house

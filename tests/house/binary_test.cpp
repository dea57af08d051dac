// What the program needs of the system: shared libraries on a list, nothing of the network, no
// other program. Read with readelf and nm of binutils.
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <set>
#include <sstream>

#include "tensor/asan.h"
#include "tests/house/house.h"

namespace enas::house {
namespace {

bool has(const char* tool) {
  return std::system((std::string(tool) + " --version > /dev/null 2>&1").c_str()) == 0;
}

// Names without their versions: "libfmt.so.9" is libfmt.
std::set<std::string> needed_libraries(const std::string& readelf_output) {
  static const std::regex needed(R"(\(NEEDED\).*\[(.+?)\.so[.0-9]*\])");
  std::set<std::string> names;
  std::istringstream lines(readelf_output);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_search(line, match, needed)) names.insert(match[1]);
  }
  return names;
}

// The undefined symbols of `nm -D` output that open a connection, ask a name server, or start a
// program.
std::string forbidden_symbols(const std::string& nm_output) {
  static const std::regex forbidden(
      R"((socket|socketpair|connect|bind|listen|accept4?|send(to|msg|mmsg)?|recv(from|msg|mmsg)?|)"
      R"(get(addr|name)info|gethostby\w+|getsockopt|setsockopt|shutdown|res_\w+|)"
      R"(fork|vfork|clone|exec\w+|posix_spawnp?|system|popen))");
  std::string found;
  std::istringstream lines(nm_output);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find(" U ");
    if (at == std::string::npos) continue;
    std::string name = line.substr(at + 3, line.find('@') - at - 3);
    if (std::regex_match(name, forbidden)) found += name + " ";
  }
  return found;
}

TEST(House, TheProgramNeedsOnlyKnownLibraries) {
  if (!has("readelf")) GTEST_SKIP() << "no readelf on this machine";
  const std::set<std::string> known = {"libopenblas", "libfmt",    "libtomlplusplus",
                                       "libxxhash",   "libstdc++", "libm",
                                       "libc",        "libgcc_s",  "ld-linux-x86-64"};
  // Of sanitizers, and of a build with CUDA: the toolkit is linked statically or opened by name.
  const std::set<std::string> of_builds = {"libasan",    "libubsan", "libtsan",
                                           "libpthread", "libdl",    "librt"};
  const std::set<std::string> needed = needed_libraries(output_of("readelf -d '" ENAS_PTB "'"));
  EXPECT_TRUE(needed.count("libc") && needed.count("libopenblas")) << "readelf was not understood";
  for (const std::string& name : needed)
    EXPECT_TRUE(known.count(name) || of_builds.count(name)) << name;
}

TEST(House, TheProgramImportsNothingOfTheNetworkAndStartsNoProgram) {
#if defined(ENAS_ASAN) || defined(ENAS_TSAN)
  GTEST_SKIP() << "a sanitizer's own run-time is linked in";
#endif
  if (!has("nm")) GTEST_SKIP() << "no nm on this machine";
  const std::string symbols = output_of("nm -D --undefined-only '" ENAS_PTB "'");
  EXPECT_NE(symbols.find(" U "), std::string::npos) << "nm was not understood";
  std::set<std::string> of_cudart;
#ifdef ENAS_WITH_CUDA
  // NVIDIA's static cudart has local sockets of its own; names and programs stay forbidden.
  of_cudart = {"accept", "bind",    "connect",  "getsockopt", "listen",   "recvmsg",
               "send",   "sendmsg", "recv",     "setsockopt", "shutdown", "socket",
               "sendto", "accept4", "recvfrom", "socketpair"};
#endif
  std::istringstream found(forbidden_symbols(symbols));
  for (std::string name; found >> name;) EXPECT_TRUE(of_cudart.count(name)) << name;
}

TEST(House, ForeignSymbolsAndLibrariesAreFound) {
  EXPECT_EQ(forbidden_symbols("   U connect@GLIBC_2.2.5\n   U sendfile@GLIBC_2.2.5\n"), "connect ");
  EXPECT_EQ(forbidden_symbols("   U execve@GLIBC_2.2.5\n0000 T socket\n"), "execve ");
  EXPECT_EQ(needed_libraries(" 0x1 (NEEDED)  Shared library: [libcurl.so.4]\n"),
            std::set<std::string>{"libcurl"});
}

}  // namespace
}  // namespace enas::house

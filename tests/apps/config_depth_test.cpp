// A configuration file whose dotted keys nest so deep that freeing the tables would exhaust the
// stack.
#include <gtest/gtest.h>

#include "apps/run/config_file.h"
#include "tensor/check.h"

namespace enas {
namespace {

std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

void expect_refused(const std::string& text, const std::string& part) {
  const Registry registry("program");
  try {
    parse_config(registry, "search", text, "a.toml");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(ConfigDepth, DeepDottedKeysAreRefused) {
  expect_refused("a" + repeated(".a", 500000) + " = 1\n", "a.toml: found 500000 dots");
  expect_refused("[a" + repeated(".a", 500000) + "]\n", "a.toml: found 500000 dots");
}

TEST(ConfigDepth, TheDeepestAllowedKeyIsAnUnknownKey) {
  expect_refused("a" + repeated(".a", 2000) + " = 1\n", "unknown key a");
}

// Dots that do not nest stand in texts and comments; a text's end is found where TOML ends it.
TEST(ConfigDepth, DotsOfTextsAndCommentsAreFree) {
  const std::string dots = repeated(".", 5000);
  for (const std::string& harmless :
       {"# " + dots + "\n", "\"" + dots + "\" = 1\n", "'" + dots + "\\' = 1\n",
        "a = \"\\\"" + dots + "\"\n", "a = \"\"\"\n\"" + dots + "\"\"\"\"\"\n",
        "a = '''\n" + dots + "'''\n"})
    expect_refused(harmless + "z = 1\n", "unknown key");
}

TEST(ConfigDepth, DotsBehindATextCount) {
  const std::string key = "a" + repeated(".a", 5000) + " = 1";
  for (const char* text : {"'b\\'", "\"\\\\\"", "\"\"\"b\"\"\"\"", "'''b'''''"})
    expect_refused("z = [" + std::string(text) + ", {" + key + "}]\n", "found 5000 dots");
}

TEST(ConfigDepth, DeepValuesAreRefused) {
  expect_refused("a = " + repeated("[", 500000), "nested value depth");
}

}  // namespace
}  // namespace enas

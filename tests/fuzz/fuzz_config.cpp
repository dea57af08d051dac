// Target: a configuration file of enas_ptb. First byte: the command; the rest is the TOML. What is
// accepted prints as a configuration (config.toml of a run) that gives the same values again.
#include "apps/ptb/options.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enas;
  static const Registry registry = ptb_registry();
  static MemoryFile file;
  FuzzInput input(data, size);
  const std::string command = registry.commands()[input.byte() % registry.commands().size()].name;
  file.set(input.rest());
  Settings settings;
  if (!accepts(ErrorKind::usage,
               [&] { settings = settings_from_config(registry, command, file.path()); }))
    return 0;
  file.set(resolved_toml(settings));
  Settings again;
  require(accepts(ErrorKind::usage,
                  [&] { again = settings_from_config(registry, command, file.path()); }),
          "the resolved configuration is accepted");
  require(result_toml(again) == result_toml(settings), "it gives the same values");
  require(differing_options(again, settings).empty(), "no option differs");
  return 0;
}

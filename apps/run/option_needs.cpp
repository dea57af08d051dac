// Options that have no effect as things stand: what they need is said once, in the registry. --help
// tells it, and on the command line such an option is refused instead of passed over. In a
// configuration file it may stand, for the file may serve other commands and spaces too.
#include <algorithm>

#include "apps/run/options.h"
#include "tensor/check.h"

namespace enas {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// The text of an option, or the first operand; empty where there is none.
std::string text_of(const Invocation& call, const std::string& option) {
  if (option.empty()) return call.operands.empty() ? "" : call.operands[0];
  for (const Settings::Value& value : call.settings.values())
    if (value.spec.name == option) return value.text;
  return "";
}

}  // namespace

void Registry::add_need(OptionNeed need) {
  for (const std::string& command : need.commands) {
    std::vector<std::string> named = need.options;
    if (!need.other.empty()) named.push_back(need.other);
    for (const std::string& name : named)
      check(find(name, command) != nullptr, "registry: needs", command, " has no option --", name);
  }
  needs_.push_back(std::move(need));
}

bool OptionNeed::speaks_of(std::string_view option, std::string_view command) const {
  return contains(options, option) && contains(commands, command);
}

bool OptionNeed::met_by(std::string_view now) const {
  return values.empty() ? !now.empty() : contains(values, now);
}

std::string OptionNeed::words() const {
  if (values.empty()) return "only with --" + other;
  if (values[0].empty()) return "only without --" + other;
  return "only with " + (other.empty() ? "" : "--" + other + " ") + join(values, "|");
}

void refuse_without_effect(const Registry& registry, const Invocation& call) {
  for (const Settings::Value& given : call.settings.values()) {
    if (given.origin != Origin::option) continue;
    for (const OptionNeed& need : registry.needs()) {
      const std::string now = text_of(call, need.other);
      if (!need.speaks_of(given.spec.name, call.command) || need.met_by(now)) continue;
      const std::string stands = need.other.empty()       ? "with " + now
                                 : now.empty()            ? "without --" + need.other
                                 : need.values[0].empty() ? "beside --" + need.other
                                                          : "with --" + need.other + " " + now;
      fail(ErrorKind::usage, registry.program() + " " + call.command, "--", given.spec.name,
           " has no effect ", stands, ", ", need.words());
    }
  }
}

void check_agrees(const Settings& settings, std::string_view option, int64_t found,
                  std::string_view where) {
  if (settings.origin(option) != Origin::option) return;
  check(settings.integer(option) == found, ErrorKind::usage, where, "--", option, " is ",
        settings.integer(option), ", but the architecture has ", found, "; leave --", option,
        " out");
}

}  // namespace enas

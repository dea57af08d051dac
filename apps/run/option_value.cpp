// Values of options: parsing against kind and range, durations, and the nearest known name (edit
// distance with neighbouring swaps, the restricted Damerau-Levenshtein recurrence).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <system_error>

#include "apps/run/options.h"
#include "tensor/check.h"

namespace enas {

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

namespace {

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string bound(double value, OptionKind kind) {
  if (kind == OptionKind::integer && std::abs(value) < 9e15) {
    return std::to_string(static_cast<std::int64_t>(value));
  }
  return shortest(value) + (kind == OptionKind::duration ? "s" : "");
}

std::string expectation(const OptionSpec& spec) {
  switch (spec.kind) {
    case OptionKind::flag:
      return "true or false";
    case OptionKind::integer:
      return "an integer";
    case OptionKind::real:
      return "a number";
    case OptionKind::duration:
      return "a duration such as 90s, 30m, 2h";
    case OptionKind::interval:
      return "a duration such as 10m, or steps such as 500steps";
    case OptionKind::choice:
      return "one of " + join(spec.choices, ", ");
    case OptionKind::choice_list:
      return "a comma list of " + join(spec.choices, ", ");
    case OptionKind::text:
      return "text";
  }
  return "a value";
}

std::string range(const OptionSpec& spec) {
  if (spec.minimum && spec.maximum) {
    return " from " + bound(*spec.minimum, spec.kind) + " to " + bound(*spec.maximum, spec.kind);
  }
  if (spec.minimum) return " of at least " + bound(*spec.minimum, spec.kind);
  if (spec.maximum) return " of at most " + bound(*spec.maximum, spec.kind);
  return "";
}

[[noreturn]] void refuse(const OptionSpec& spec, std::string_view text, std::string_view where) {
  std::string hint;
  if (spec.kind == OptionKind::choice || spec.kind == OptionKind::choice_list) {
    const std::vector<std::string> near = nearest_names(text, spec.choices);
    if (!near.empty()) hint = "; nearest: " + near[0];
  }
  fail(ErrorKind::usage, where, "found \"", text, "\", expected ", expectation(spec), range(spec),
       spec.source.empty() ? "" : " (" + spec.source + ")", hint);
}

bool in_range(const OptionSpec& spec, double value) {
  return std::isfinite(value) && (!spec.minimum || value >= *spec.minimum) &&
         (!spec.maximum || value <= *spec.maximum);
}

bool is_choice(const OptionSpec& spec, std::string_view text) {
  return std::find(spec.choices.begin(), spec.choices.end(), text) != spec.choices.end();
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t substituted = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substituted});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string shortest(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, result.ptr);
}

std::optional<double> parse_duration(std::string_view text) {
  double total = 0;
  double last_unit = 1e300;  // units must fall: 1h30m, never 30m1h or 1m1m
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const std::optional<double> count = parse_number<double>(text.substr(0, digits));
    if (!count || digits == text.size()) return std::nullopt;
    const char letter = text[digits];
    const double unit = letter == 'd'   ? 86400
                        : letter == 'h' ? 3600
                        : letter == 'm' ? 60
                        : letter == 's' ? 1
                                        : 0;
    if (unit == 0 || unit >= last_unit) return std::nullopt;
    total += *count * unit;
    last_unit = unit;
    text.remove_prefix(digits + 1);
  }
  return total;
}

std::optional<Interval> parse_interval(std::string_view text) {
  Interval interval;
  for (const std::string_view ending : {"steps", "step"}) {
    if (text.size() <= ending.size() || text.substr(text.size() - ending.size()) != ending) {
      continue;
    }
    const auto steps = parse_number<std::int64_t>(text.substr(0, text.size() - ending.size()));
    if (!steps || *steps <= 0) return std::nullopt;
    interval.steps = *steps;
    return interval;
  }
  const std::optional<double> seconds = parse_duration(text);
  if (!seconds || *seconds <= 0) return std::nullopt;
  interval.seconds = *seconds;
  return interval;
}

std::string canonical_value(const OptionSpec& spec, std::string_view text, std::string_view where) {
  switch (spec.kind) {
    case OptionKind::flag:
      if (text != "true" && text != "false") refuse(spec, text, where);
      return std::string(text);
    case OptionKind::integer: {
      const auto value = parse_number<std::int64_t>(text);
      if (!value || !in_range(spec, static_cast<double>(*value))) refuse(spec, text, where);
      return std::to_string(*value);
    }
    case OptionKind::real: {
      const auto value = parse_number<double>(text);
      if (!value || !in_range(spec, *value)) refuse(spec, text, where);
      return shortest(*value);
    }
    case OptionKind::duration: {
      const auto value = parse_duration(text);
      if (!value || !in_range(spec, *value)) refuse(spec, text, where);
      return std::string(text);
    }
    case OptionKind::interval:
      if (!parse_interval(text)) refuse(spec, text, where);
      return std::string(text);
    case OptionKind::choice:
      if (!is_choice(spec, text)) refuse(spec, text, where);
      return std::string(text);
    case OptionKind::choice_list:
      for (const std::string& part : split_commas(text)) {
        if (!is_choice(spec, part)) refuse(spec, part, where);
      }
      return join(split_commas(text), ",");
    case OptionKind::text:
      return std::string(text);
  }
  return std::string(text);
}

std::vector<std::string> nearest_names(std::string_view found,
                                       const std::vector<std::string>& known) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  const std::size_t limit = std::max<std::size_t>(2, found.size() / 3);
  for (const std::string& name : known) {
    const std::size_t distance = edit_distance(found, name);
    const bool begins = found.size() >= 3 && name.rfind(found, 0) == 0;
    if (distance <= limit || begins) ranked.emplace_back(distance, name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> names;
  for (const auto& entry : ranked) {
    if (names.size() < 3 && (names.empty() || names.back() != entry.second)) {
      names.push_back(entry.second);
    }
  }
  return names;
}

}  // namespace enas

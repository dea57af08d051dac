// Numbers and labels as SVG text.
#pragma once
#include <string>
#include <string_view>

namespace enas {

std::string svg_number(double value);  // in tenths: the bytes do not depend on last bits
std::string svg_escape(std::string_view text);
std::string svg_label(const std::string& label);  // "h_{t-1}" with a subscript
// Pixels; an estimate that errs on the wide side, since no font is at hand.
double text_width(const std::string& label, double font_size);

}  // namespace enas

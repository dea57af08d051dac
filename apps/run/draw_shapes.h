// What all drawings share: colours by style, boxes, words, arrow heads.
#pragma once
#include <string>
#include <vector>

#include "apps/run/draw.h"

namespace enas {

inline constexpr double kBoxHeight = 40;
inline constexpr const char* kDrawInk = "#1f2937";
inline constexpr const char* kDrawMuted = "#6b7280";
inline constexpr const char* kDrawArrow = "#475569";
inline constexpr const char* kDrawTaken = "#dc2626";  // a choice, beside those that were not taken
inline constexpr const char* kDrawFaint = "#d5dae1";

struct DrawColor {
  const char* fill;
  const char* edge;
};

// Colours of a drawing's styles. Activations and operations have the same in every drawing; what
// else there is takes the rest of a palette, in alphabetical order.
class DrawColors {
 public:
  explicit DrawColors(const Drawing& drawing);
  const std::vector<std::string>& styles() const { return styles_; }  // sorted, those in use
  DrawColor of_style(const std::string& style) const;                 // neutral where unknown
  DrawColor of(const DrawnNode& node) const;

 private:
  std::vector<std::string> styles_;
  std::vector<DrawColor> colors_;  // as styles_
};

// A graph alone, from (0, 0) on; to_svg adds title, legend and frame.
struct DrawBody {
  std::string defs;
  std::string shapes;
  double width = 0;
  double height = 0;
};
DrawBody draw_layered(const Drawing& drawing, const DrawColors& colors);
DrawBody draw_chain(const Drawing& drawing, const DrawColors& colors);

double box_width(const DrawnNode& node);
// Centred at x, y.
std::string svg_box(const DrawnNode& node, DrawColor color, double x, double y, double width);
struct Words {
  double size = 12;
  const char* color = kDrawMuted;
  const char* anchor = "middle";
  const char* weight = "400";
};
// content: SVG text (svg_escape, svg_label).
std::string svg_words(double x, double y, const Words& words, const std::string& content);
std::string svg_arrow_head(const std::string& id, const char* color);

}  // namespace enas

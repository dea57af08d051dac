// Drawings: the same bytes each time, well-formed and escaped, no arrow through a box, no
// overlapping boxes.
#include "apps/run/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/run/draw_chain.h"
#include "apps/run/draw_layout.h"
#include "tensor/check.h"

namespace enas {
namespace {

// The published 8-node cell.
Drawing published_cell() {
  const char* names[] = {"tanh", "sigmoid", "tanh",    "relu",   "sigmoid",
                         "tanh", "tanh",    "sigmoid", "sigmoid"};
  const int previous[] = {-1, 0, 1, 2, 2, 4, 5, 3, 6};
  Drawing drawing;
  drawing.title = "A cell";
  drawing.nodes = {{.id = "x", .label = "x_t", .kind = NodeKind::input},
                   {.id = "h", .label = "h_{t-1}", .kind = NodeKind::input}};
  drawing.edges = {{.from = "x", .to = "0"}, {.from = "h", .to = "0"}};
  for (int i = 0; i < 9; ++i) {
    const std::string id = std::to_string(i);
    drawing.nodes.push_back({.id = id,
                             .label = names[i],
                             .kind = i >= 7 ? NodeKind::loose : NodeKind::node,
                             .badge = id,
                             .style = names[i]});
    if (i > 0) drawing.edges.push_back({.from = std::to_string(previous[i]), .to = id});
  }
  drawing.nodes.push_back({.id = "out", .label = "h_t", .kind = NodeKind::output});
  drawing.edges.push_back({.from = "7", .to = "out"});
  drawing.edges.push_back({.from = "8", .to = "out"});
  return drawing;
}

Drawing random_drawing(unsigned seed) {
  unsigned state = seed * 2654435761u + 1;
  const auto draw = [&](unsigned below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % below;
  };
  Drawing drawing;
  const int count = 3 + static_cast<int>(draw(9));
  for (int i = 0; i < count; ++i) {
    drawing.nodes.push_back({.id = std::to_string(i), .label = std::string(1 + draw(14), 'a')});
    for (int j = 0; j < i; ++j) {
      if (draw(3) == 0) {
        drawing.edges.push_back(
            {.from = std::to_string(j), .to = std::to_string(i), .faint = draw(3) == 0});
      }
    }
  }
  drawing.top_down = draw(2) == 0;
  return drawing;
}

// Tags balanced, attributes quoted, every & an entity.
bool well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (std::size_t i = 0; i < svg.size(); ++i) {
    if (svg[i] == '&') {
      const std::string entity = svg.substr(i, svg.find(';', i) - i + 1);
      const std::vector<std::string> known = {"&amp;", "&lt;", "&gt;", "&quot;", "&#8203;"};
      if (std::find(known.begin(), known.end(), entity) == known.end()) return false;
    }
    if (svg[i] == '>') return false;
    if (svg[i] != '<') continue;
    bool quoted = false;
    const std::size_t begin = i + 1;
    for (++i; i < svg.size() && (svg[i] != '>' || quoted); ++i) {
      if (svg[i] == '<') return false;
      if (svg[i] == '"') quoted = !quoted;
    }
    const std::string tag = svg.substr(begin, i - begin);
    const std::string name = tag.substr(0, tag.find_first_of(" />", 1));
    if (tag[0] == '/') {
      if (open.empty() || "/" + open.back() != tag) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(name);
    }
  }
  return open.empty();
}

LayoutPoint bezier(const LayoutPoint& a, const LayoutPoint* p, double t) {
  const double u = 1 - t;
  const auto mix = [&](double w, double x, double y, double z) {
    return u * u * u * w + 3 * u * u * t * x + 3 * u * t * t * y + t * t * t * z;
  };
  return {mix(a.across, p[0].across, p[1].across, p[2].across),
          mix(a.along, p[0].along, p[1].along, p[2].along)};
}

void expect_clear(const Drawing& drawing, const std::vector<LayoutSize>& sizes) {
  const Layout layout = lay_out(drawing, sizes);
  const auto inside = [&](const LayoutPoint& p, std::size_t box, double slack) {
    return std::abs(p.across - layout.centers[box].across) < sizes[box].across / 2 - slack &&
           std::abs(p.along - layout.centers[box].along) < sizes[box].along / 2 - slack;
  };
  for (std::size_t e = 0; e < layout.curves.size(); ++e) {
    const LayoutCurve& curve = layout.curves[e];
    LayoutPoint at = curve.start;
    for (std::size_t k = 0; k + 2 < curve.points.size(); k += 3) {
      for (int step = 0; step <= 20; ++step) {
        const LayoutPoint p = bezier(at, &curve.points[k], step / 20.0);
        EXPECT_GE(p.across, -1e-6);
        EXPECT_LE(p.across, layout.size.across + 1e-6);
        for (std::size_t box = 0; box < sizes.size(); ++box) {
          EXPECT_FALSE(inside(p, box, 0.01))
              << drawing.edges[e].from << " -> " << drawing.edges[e].to << " crosses " << box;
        }
      }
      at = curve.points[k + 2];
    }
    const auto target = static_cast<std::size_t>(
        std::find_if(drawing.nodes.begin(), drawing.nodes.end(),
                     [&](const DrawnNode& node) { return node.id == drawing.edges[e].to; }) -
        drawing.nodes.begin());
    EXPECT_NEAR(at.along, layout.centers[target].along - sizes[target].along / 2, 1e-9);
    EXPECT_LT(std::abs(at.across - layout.centers[target].across), sizes[target].across / 2);
  }
  for (std::size_t a = 0; a < sizes.size(); ++a) {
    for (std::size_t b = a + 1; b < sizes.size(); ++b) {
      const bool apart = std::abs(layout.centers[a].across - layout.centers[b].across) >=
                             (sizes[a].across + sizes[b].across) / 2 + 5 ||
                         std::abs(layout.centers[a].along - layout.centers[b].along) >=
                             (sizes[a].along + sizes[b].along) / 2 + 5;
      EXPECT_TRUE(apart) << a << " and " << b << " overlap";
    }
  }
}

TEST(Draw, NoArrowCrossesABox) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Drawing drawing = random_drawing(seed);
    std::vector<LayoutSize> sizes;
    for (const DrawnNode& node : drawing.nodes) {
      const double width = 40.0 + 10 * static_cast<double>(node.label.size());
      sizes.push_back(drawing.top_down ? LayoutSize{width, 40} : LayoutSize{40, width});
    }
    expect_clear(drawing, sizes);
  }
  Drawing uneven;  // the arrow a -> e must wait for the end of the longer box b
  for (const char* id : {"s", "a", "b", "d", "e"}) uneven.nodes.push_back({.id = id});
  for (const auto& [from, to] : std::vector<std::pair<const char*, const char*>>{
           {"s", "a"}, {"s", "b"}, {"a", "d"}, {"b", "e"}, {"a", "e"}}) {
    uneven.edges.push_back({.from = from, .to = to});
  }
  expect_clear(uneven, {{40, 40}, {40, 40}, {200, 600}, {40, 40}, {40, 40}});
  Drawing cell = published_cell();
  expect_clear(cell, std::vector<LayoutSize>(cell.nodes.size(), {90, 40}));
}

TEST(Draw, SvgIsWellFormedAndTheSameEachTime) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Drawing drawing = random_drawing(seed);
    EXPECT_TRUE(well_formed(to_svg(drawing))) << to_svg(drawing);
    EXPECT_EQ(to_svg(drawing), to_svg(drawing));
  }
  const std::string svg = to_svg(published_cell());
  EXPECT_TRUE(well_formed(svg));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("loose end"), std::string::npos);
  EXPECT_NE(svg.find(">t-1</tspan>"), std::string::npos);
  for (const char* color : {"#2563eb", "#16a34a", "#ea580c"}) {
    EXPECT_NE(svg.find(color), std::string::npos);
  }
}

// A line of boxes; each reads its neighbour and some before it.
Drawing random_chain(unsigned seed, int count) {
  Drawing drawing = random_drawing(seed);
  drawing.chain = true;
  drawing.nodes.clear();
  drawing.edges.clear();
  unsigned state = seed * 2654435761u + 1;
  for (int i = 0; i < count; ++i) {
    const std::string id = std::to_string(i);
    drawing.nodes.push_back({.id = id, .label = "conv 3x3", .badge = id, .style = "conv 3x3"});
    for (int j = 0; j < i; ++j) {
      state = state * 1664525u + 1013904223u;
      if (j + 1 == i || (state >> 16) % 3 == 0) {
        drawing.edges.push_back({.from = std::to_string(j), .to = id});
      }
    }
  }
  return drawing;
}

TEST(Draw, TracksOfOneLaneDoNotOverlap) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    const Drawing drawing = random_chain(seed, 3 + static_cast<int>(seed) / 2);
    const std::vector<ChainTrack> tracks = chain_tracks(drawing);
    std::size_t skips = 0;
    for (const ChainTrack& a : tracks) {
      skips += a.readers.size();
      EXPECT_GE(a.readers.front(), a.source + 2);
      for (const ChainTrack& b : tracks) {
        if (&a == &b || a.right != b.right || a.lane != b.lane) continue;
        EXPECT_TRUE(a.end() <= b.source || b.end() <= a.source) << a.source << " and " << b.source;
      }
    }
    EXPECT_EQ(skips + drawing.nodes.size() - 1, drawing.edges.size());
  }
}

TEST(Draw, ChainsAreTracksOrAMatrix) {
  const auto count = [](const std::string& svg, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t i = svg.find(part); i != std::string::npos; i = svg.find(part, i + 1)) ++found;
    return found;
  };
  const Drawing few = random_chain(3, 7), many = random_chain(3, 30);
  EXPECT_TRUE(well_formed(to_svg(few)));
  EXPECT_TRUE(well_formed(to_svg(many)));
  EXPECT_EQ(count(to_svg(few), "<path d=\"M"), few.edges.size() + count(to_svg(few), "<marker"));
  EXPECT_EQ(count(to_svg(few), "rx=\"3.5\""), 0u);
  EXPECT_EQ(count(to_svg(many), "rx=\"3.5\""), many.edges.size() - 29);  // a square a skip
  EXPECT_NE(to_svg(many).find("the row also reads the column"), std::string::npos);
  for (int nodes = 0; nodes < 4; ++nodes) EXPECT_TRUE(well_formed(to_svg(random_chain(1, nodes))));
  Drawing back = few;
  back.edges.push_back({.from = "4", .to = "2"});
  EXPECT_THROW(to_svg(back), Error);
}

TEST(Draw, PartsLieSideBySideOrBelowEachOther) {
  Drawing drawing;
  for (const char* id : {"a", "b", "c", "d"}) drawing.nodes.push_back({.id = id});
  drawing.edges = {{.from = "a", .to = "b"}, {.from = "c", .to = "d"}};
  const Layout beside = lay_out(drawing, std::vector<LayoutSize>(4, {400, 40}));
  EXPECT_EQ(beside.centers[0].along, beside.centers[2].along);
  EXPECT_GT(beside.centers[2].across, beside.centers[0].across + 400);
  const Layout below = lay_out(drawing, std::vector<LayoutSize>(4, {900, 40}));
  EXPECT_EQ(below.centers[0].across, below.centers[2].across);
  EXPECT_GT(below.centers[2].along, below.centers[1].along + 40);
}

TEST(Draw, TextIsEscaped) {
  Drawing drawing;
  drawing.title = "a<b & \"c\" \xff\x01";
  drawing.nodes = {{.id = "\"1\\", .label = "<script>", .style = "x&y"}, {.id = "2", .label = "2"}};
  drawing.edges = {{.from = "\"1\\", .to = "2", .label = "a>b"}};
  const std::string svg = to_svg(drawing);
  EXPECT_TRUE(well_formed(svg)) << svg;
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find('\xff'), std::string::npos);
  const std::string dot = to_dot(drawing);
  EXPECT_NE(dot.find("\"\\\"1\\\\\" -> \"2\" [label=\"a>b\"]"), std::string::npos) << dot;
}

TEST(Draw, DotNamesNodesEdgesAndKinds) {
  Drawing drawing = published_cell();
  drawing.edges.push_back({.from = "0", .to = "8", .faint = true});
  const std::string dot = to_dot(drawing);
  EXPECT_NE(dot.find("\"7\" [label=\"7: sigmoid\", shape=box, style=\"rounded,bold\"]"),
            std::string::npos);
  EXPECT_NE(dot.find("\"2\" -> \"4\";"), std::string::npos);
  EXPECT_NE(dot.find("\"0\" -> \"8\" [color=grey];"), std::string::npos);
  EXPECT_NE(dot.find("rankdir=TB"), std::string::npos);
}

TEST(Draw, StylesHaveColoursOfTheirOwn) {
  Drawing drawing;
  for (const char* style : {"identity", "sep 3x3", "sep 5x5", "max 3x3"}) {
    drawing.nodes.push_back({.id = style, .label = "", .style = style});
  }
  const std::string svg = to_svg(drawing);
  const auto count = [&](const std::string& color) {
    std::size_t found = 0;
    for (std::size_t i = svg.find(color); i != std::string::npos; i = svg.find(color, i + 1)) {
      ++found;
    }
    return found;
  };
  EXPECT_EQ(count("stroke=\"#7c3aed\""), 2u);  // the box and the legend of identity only
}

TEST(Draw, SmallAndWrongGraphs) {
  EXPECT_TRUE(well_formed(to_svg(Drawing())));
  EXPECT_EQ(to_dot(Drawing()), "digraph {\n  rankdir=TB;\n}\n");
  const auto refused = [](const Drawing& drawing) {
    try {
      to_svg(drawing);
      return false;
    } catch (const Error& error) {
      return error.kind() == ErrorKind::internal;
    }
  };
  Drawing drawing;
  drawing.nodes = {{.id = "a"}, {.id = "b"}};
  drawing.edges = {{.from = "a", .to = "c"}};
  EXPECT_TRUE(refused(drawing));
  drawing.edges = {{.from = "a", .to = "b"}, {.from = "b", .to = "a"}};
  EXPECT_TRUE(refused(drawing));
  drawing.edges = {{.from = "a", .to = "a"}};
  EXPECT_TRUE(refused(drawing));
  drawing.edges.clear();
  drawing.nodes.push_back({.id = "a"});
  EXPECT_TRUE(refused(drawing));
}

}  // namespace
}  // namespace enas

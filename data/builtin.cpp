// See builtin.h. Weights are integers, so the text is the same on every machine.
#include "data/builtin.h"

#include <array>
#include <cmath>
#include <string_view>

#include "tensor/philox.h"

namespace enas {
namespace {

constexpr int kNumbers = 2, kTopics = 3;
constexpr uint64_t kSeed = 20180209;
constexpr uint64_t kScale = 1 << 20;  // a class's weight is its percentage times this

// Singular first. Words that have no number are used for both.
const std::vector<std::string> kDeterminers[kNumbers] = {{"a", "this", "every", "one"},
                                                         {"some", "these", "many", "two"}};
const std::string kPlainDeterminer = "the";
const std::vector<std::string> kAdjectives = {"old",  "small", "young",  "quiet",
                                              "tall", "happy", "clever", "tired"};
const std::vector<std::string> kNouns[kTopics][kNumbers] = {
    {{"cook", "baker", "farmer", "guest", "miller", "gardener"},
     {"cooks", "bakers", "farmers", "guests", "millers", "gardeners"}},
    {{"pilot", "sailor", "driver", "rider", "captain", "traveller"},
     {"pilots", "sailors", "drivers", "riders", "captains", "travellers"}},
    {{"writer", "singer", "painter", "poet", "actor", "dancer"},
     {"writers", "singers", "painters", "poets", "actors", "dancers"}}};
const std::vector<std::string> kPrepositions = {"near", "from", "behind"};
const std::vector<std::string> kPlaces = {"town",   "home",  "school",  "market",
                                          "church", "court", "college", "port"};
const std::vector<std::string> kPlainVerbs[kNumbers] = {{"likes", "finds", "sees", "wants"},
                                                        {"like", "find", "see", "want"}};
const std::vector<std::string> kVerbs[kTopics][kNumbers] = {
    {{"eats", "prepares", "tastes", "serves"}, {"eat", "prepare", "taste", "serve"}},
    {{"steers", "loads", "repairs", "moves"}, {"steer", "load", "repair", "move"}},
    {{"makes", "hears", "shows", "studies"}, {"make", "hear", "show", "study"}}};
const std::vector<std::string> kObjects[kTopics] = {
    {"bread", "apples", "soup", "rice", "honey", "cheese", "butter", "salt"},
    {"ships", "planes", "wagons", "maps", "horses", "ropes", "boats", "tents"},
    {"songs", "novels", "poems", "paint", "plays", "music", "masks", "stories"}};
const std::vector<std::string> kAdverbs = {"often", "today", "again", "always", "now", "soon"};

// Builds the table of states; a class of words shares `percent` as 1/2, 1/3, 1/4, ... (smooth, none
// rare).
class Grammar {
 public:
  std::vector<TinyTextState> build() {
    const int start = add();
    std::array<int, kNumbers> subject{};  // after the determiner, the number known
    for (int number = 0; number < kNumbers; ++number)
      subject[static_cast<size_t>(number)] = noun_phrase(number, number);
    const int either = noun_phrase(0, kNumbers - 1);  // after "the"
    for (int number = 0; number < kNumbers; ++number)
      words(start, kDeterminers[number], 35, subject[static_cast<size_t>(number)]);
    words(start, {kPlainDeterminer}, 30, either);
    for (TinyTextState& state : states_)
      for (const TinyTextChoice& choice : state.choices) state.total += choice.weight;
    return std::move(states_);
  }

 private:
  int add() {
    states_.push_back({{}, 0});
    return static_cast<int>(states_.size()) - 1;
  }

  void words(int from, const std::vector<std::string>& list, uint64_t percent, int to) {
    uint64_t sum = 0;
    const auto share = [](size_t i) { return kScale / (i + 4); };
    for (size_t i = 0; i < list.size(); ++i) sum += share(i);
    for (size_t i = 0; i < list.size(); ++i)
      states_[static_cast<size_t>(from)].choices.push_back(
          {list[i], percent * kScale * share(i) / sum, to});
  }

  // Up to two adjectives, then a noun of a number from first to last.
  int noun_phrase(int first, int last) {
    int after_adjective = -1;
    for (const uint64_t percent : {0u, 20u, 30u}) {  // from the last place to the first
      const int here = add();
      if (percent > 0) words(here, kAdjectives, percent, after_adjective);
      const uint64_t each = (100 - percent) / kTopics / static_cast<uint64_t>(last - first + 1);
      for (int number = first; number <= last; ++number)
        for (int topic = 0; topic < kTopics; ++topic)
          words(here, kNouns[topic][number], each, predicate(number, topic));
      after_adjective = here;
    }
    return after_adjective;
  }

  // After the noun: up to two places, then the verb. One set of states a number and topic.
  int predicate(int number, int topic) {
    int& known = predicates_[number][topic];
    if (known != 0) return known;
    int after_place = 0;
    for (const uint64_t percent : {0u, 30u, 40u}) {
      const int here = add();
      if (percent > 0) {
        const int preposition = add();
        words(here, kPrepositions, percent, preposition);
        words(preposition, kPlaces, 100, after_place);
      }
      const uint64_t own = (100 - percent) * 3 / 5;
      words(here, kVerbs[topic][number], own, object(topic));
      words(here, kPlainVerbs[number], 100 - percent - own, object(topic));
      after_place = here;
    }
    return known = after_place;
  }

  int object(int topic) {
    int& known = objects_[topic];
    if (known != 0) return known;
    if (end_ == 0) {
      end_ = add();
      words(end_, {"<eos>"}, 100, 0);
      tail_ = add();
      words(tail_, {"<eos>"}, 60, 0);
      words(tail_, kAdverbs, 40, end_);
    }
    known = add();
    words(known, kObjects[topic], 80, tail_);
    words(known, kAdverbs, 20, end_);
    return known;
  }

  std::vector<TinyTextState> states_;
  int predicates_[kNumbers][kTopics] = {};
  int objects_[kTopics] = {};
  int end_ = 0, tail_ = 0;
};

struct Split {
  std::string text;
  double nll = 0;
  int64_t tokens = 0;
};

// Whole sentences until there are at least `tokens` of them; sentence i draws from the counters
// (split, i, word).
Split generate(uint64_t split, int64_t tokens) {
  const std::vector<TinyTextState>& grammar = tiny_text_grammar();
  Split result;
  for (uint64_t sentence = 0; result.tokens < tokens; ++sentence) {
    const Random random{kSeed, Stream::text, split << 32 | sentence};
    int state = 0;
    uint64_t word = 0;
    do {
      const TinyTextState& here = grammar[static_cast<size_t>(state)];
      uint64_t left = static_cast<uint64_t>(random.bits(word)) * here.total >> 32;
      size_t i = 0;
      while (left >= here.choices[i].weight) left -= here.choices[i++].weight;
      const TinyTextChoice& chosen = here.choices[i];
      result.nll -= std::log(static_cast<double>(chosen.weight) / static_cast<double>(here.total));
      if (chosen.next != 0) result.text.append(word == 0 ? "" : " ").append(chosen.word);
      state = chosen.next;
      ++word;
    } while (state != 0);
    result.text += '\n';
    result.tokens += static_cast<int64_t>(word);
  }
  return result;
}

}  // namespace

const std::vector<TinyTextState>& tiny_text_grammar() {
  static const std::vector<TinyTextState> grammar = Grammar().build();
  return grammar;
}

TinyText tiny_text() {
  Split test = generate(2, 10000);
  return {generate(0, 200000).text, generate(1, 10000).text, std::move(test.text),
          std::exp(test.nll / static_cast<double>(test.tokens))};
}

}  // namespace enas

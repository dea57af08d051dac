// Derive: scores controller samples and uniform ones with the shared weights, resumable between any
// two (nas/derive.h).
#pragma once
#include "apps/run/session.h"
#include "apps/run/stages.h"
#include "apps/run/terms.h"
#include "nas/derive.h"

namespace enas {

struct DeriveOptions {
  int64_t samples = 100, top = 10;
  int64_t batches = 0;  // of validation data; 0: all
  int64_t seed = -1;    // of the samples; -1: the search's own
  bool again = false;   // asked for by `derive RUN`, on a run that is finished

  bool operator==(const DeriveOptions& o) const {
    return samples == o.samples && top == o.top && batches == o.batches && seed == o.seed &&
           again == o.again;
  }
};

class DeriveStage {
 public:
  // `search`: the one whose shared.safetensors the run directory holds.
  DeriveStage(Session& session, const Terms& terms, Search search, const DeriveOptions& options);
  // True: RUN/arch/ is written. False: a signal came; a checkpoint was saved.
  bool run(const Checkpoint* from, double budget_share);
  // Options of an interrupted derive.
  static DeriveOptions options_in(const Checkpoint& checkpoint);

 private:
  void save(bool must);
  void score(size_t i);
  void report(const std::vector<Candidate>& ranked);

  Session& session_;
  const Terms& terms_;
  Search search_;
  DeriveOptions options_;
  Controller controller_;
  std::vector<Candidate> candidates_;
  size_t scored_ = 0;
};

}  // namespace enas

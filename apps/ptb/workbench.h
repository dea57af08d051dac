// What enas_ptb makes for the stages of a run: recurrent children over one text.
#pragma once
#include <memory>
#include <string>

#include "apps/run/app.h"
#include "data/text.h"

namespace enas {

Workbench text_workbench(std::shared_ptr<const Corpus> corpus);

}  // namespace enas

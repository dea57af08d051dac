// The outermost frame of a program: turns what is thrown into a message on standard error and an
// exit code of docs/interface.md "Exit codes".
#pragma once
#include <functional>
#include <string_view>

namespace enas {

// The body's own result, or: Error -> its kind; std::bad_alloc -> 5; anything else -> 9 with
// version and a hint.
int run_guarded(std::string_view program, const std::function<int()>& body);

}  // namespace enas

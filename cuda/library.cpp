#include "cuda/library.h"

#include <dlfcn.h>

#include <cstdlib>

namespace enas::cuda {

void* open_library(const std::vector<std::string>& files, std::string& why) {
  std::string looked, answer;
  for (const std::string& file : files) {
    if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    looked += (looked.empty() ? "" : ", ") + file;
    // A file that is there and does not open says more than one that is absent.
    const char* error = dlerror();
    const std::string said = error != nullptr ? error : "";
    const bool absent =
        said.find("No such file") != std::string::npos && said.compare(0, file.size(), file) == 0;
    if (answer.empty() || !absent) answer = said;
  }
  why = "looked for " + looked + ": " + answer;
  return nullptr;
}

void* find_function(void* library, const char* name) { return dlsym(library, name); }

std::vector<std::string> blas_files(int major) {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  if (const std::string wish = set("ENAS_CUBLAS"); !wish.empty()) return {wish};
  const std::string version = std::to_string(major), file = "libcublas.so." + version;
  std::vector<std::string> files = {file};
  for (const std::string& home : {set("CUDA_HOME"), set("CUDA_PATH"),
                                  std::string("/usr/local/cuda"), "/usr/local/cuda-" + version}) {
    if (home.empty()) continue;
    for (const char* folder : {"/lib64/", "/lib/", "/targets/x86_64-linux/lib/"})
      files.push_back(home + folder + file);
  }
  return files;
}

}  // namespace enas::cuda

// host MODEL LIBRARY STORE: runs a compiled model in a C++ program whose results outlive it.
//
// MODEL is the compiled encoder of ../small_models.py, LIBRARY libactcache.so, STORE a folder.
#include <actcache.h>
#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

// So that main() says which version of the interface it needs.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

namespace {

constexpr std::int64_t kCalls = 8, kRows = 8, kTokens = 64, kWords = 1000;

// A function of actcache.h. The library stays loaded, so its handle is not needed any more.
template <typename Function>
Function* Find(const char* library, const char* name) {
  void* const handle = dlopen(library, RTLD_NOW);
  void* const found = handle == nullptr ? nullptr : dlsym(handle, name);
  if (found == nullptr) throw std::runtime_error(dlerror());
  return reinterpret_cast<Function*>(found);
}

// What tells a session of this model from any other, besides what the library sees for itself.
std::string Identity(const char* library, const char* model) {
  std::ifstream file(model, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto size = static_cast<std::int64_t>(bytes.size());
  std::array<unsigned char, 32> digest{};
  Find<decltype(actcache_tensor_digest)>(library, "actcache_tensor_digest")(
      ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &size, 1, bytes.data(), bytes.size(), digest.data());
  std::string text = "default options, model ";
  for (const unsigned char byte : digest) text += std::to_string(byte) + ".";
  return text;
}

Ort::SessionOptions Options(const char* library, const char* store) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  // Entries come before the library, which reads them when it is registered.
  options.AddConfigEntry("actcache.disk_path", store);
  options.AddConfigEntry("actcache.disk_budget_bytes", "64MiB");
  options.AddConfigEntry("actcache.bypass", "off");  // store everything, although nothing repeats
  options.RegisterCustomOpsLibrary(library);
  return options;
}

// Runs all rows, a few in each call; returns the sum of everything that the model says.
double RunAll(Ort::Session* session) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const char* const inputs[] = {"ids"};
  const char* const outputs[] = {"embedding"};
  const std::array<std::int64_t, 2> shape{kRows, kTokens};
  double sum = 0;
  std::int64_t next = 0;
  for (int call = 0; call < kCalls; ++call) {
    std::vector<std::int64_t> ids(kRows * kTokens);
    for (std::int64_t& id : ids) id = next++ % kWords;
    const Ort::Value input = Ort::Value::CreateTensor<std::int64_t>(memory, ids.data(), ids.size(),
                                                                    shape.data(), shape.size());
    const auto found = session->Run(Ort::RunOptions{nullptr}, inputs, &input, 1, outputs, 1);
    const float* const values = found[0].GetTensorData<float>();
    const std::size_t count = found[0].GetTensorTypeAndShapeInfo().GetElementCount();
    for (std::size_t i = 0; i < count; ++i) sum += values[i];
  }
  return sum;
}

// A count of the one region, out of the statistics: {"regions": {"encoder": {"hits": 1, ...
std::int64_t Count(const char* library, const std::string& name) {
  const auto stats = Find<decltype(actcache_stats_json)>(library, "actcache_stats_json");
  std::string text(stats(nullptr, 0) + 1000,
                   '\0');  // they may have grown when they are asked again
  stats(text.data(), text.size());
  const std::size_t at = text.find("\"" + name + "\":", text.find("\"regions\""));
  return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + name.size() + 3);
}

void Serve(const char* model, const char* library, const char* store) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "host");
  const auto state = Find<decltype(actcache_state_model)>(library, "actcache_state_model");
  // So another process with this model uses the results at once, and compares none of them first.
  state(Identity(library, model).c_str());
  Ort::Session session(env, model, Options(library, store));
  state(nullptr);
  for (const char* const pass : {"first", "second"}) {
    const std::int64_t computed = Count(library, "misses"), hits = Count(library, "hits"),
                       on_disk = Count(library, "disk_hits");
    const double sum = RunAll(&session);
    const auto disk_hits = static_cast<int>(Count(library, "disk_hits") - on_disk);
    std::printf("%s pass: %d rows computed, %d found in memory, %d on disk; sum %.9g\n", pass,
                static_cast<int>(Count(library, "misses") - computed),
                static_cast<int>(Count(library, "hits") - hits) - disk_hits, disk_hits, sum);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return std::fprintf(stderr, "usage: host MODEL LIBRARY STORE\n"), 2;
  // The oldest version of the interface that has everything used here: from onnxruntime 1.17 on.
  Ort::InitApi(OrtGetApiBase()->GetApi(17));
  try {
    Serve(arguments[1], arguments[2], arguments[3]);
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "host: %s\n", error.what()), 1;
  }
}

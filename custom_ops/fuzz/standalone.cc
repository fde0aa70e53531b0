// Drives a fuzz target where there is no libFuzzer: runs every seed, then random changes of them,
// which no coverage guides. Takes those options of libFuzzer's that are used here:
//
//   TARGET [-runs=N] [-max_total_time=SECONDS] [-seed=N] [FILE...]
//
// Given files it runs those and nothing else; folders are passed over. The input that was running
// when the process aborts is written to ./crash-input.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "target.h"

// A sanitizer that finds something aborts, as the targets' own checks do.
extern "C" const char* __asan_default_options() { return "abort_on_error=1"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

namespace {

using actcache::fuzz::Input;
using Random = std::mt19937_64;

constexpr std::size_t kLongest = 4096;
constexpr const char* kCrashFile = "crash-input";

const Input* running = nullptr;

void SaveRunning(int) {
  std::FILE* const file = std::fopen(kCrashFile, "wb");
  if (file == nullptr) return;
  std::fwrite(running->data(), 1, running->size(), file);
  std::fclose(file);
  std::fprintf(stderr, "the input is in %s\n", kCrashFile);
}

void Run(const Input& input) {
  running = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

struct Options {
  std::uint64_t runs = ~std::uint64_t{0};
  std::uint64_t max_total_time = 0;  // seconds; 0: no limit
  std::uint64_t seed = 1;
  std::vector<std::string> files;
};

bool ReadOption(const std::string& argument, const std::string& name, std::uint64_t* value) {
  if (argument.rfind(name, 0) != 0) return false;
  *value = std::stoull(argument.substr(name.size()));
  return true;
}

Options ReadOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (ReadOption(argument, "-runs=", &options.runs) ||
        ReadOption(argument, "-max_total_time=", &options.max_total_time) ||
        ReadOption(argument, "-seed=", &options.seed) || argument[0] == '-') {
      continue;
    }
    if (!std::filesystem::is_directory(argument)) options.files.push_back(argument);
  }
  return options;
}

Input ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Where numbers tend to go wrong.
void Overwrite(Input* input, Random* random) {
  static constexpr std::uint64_t kNumbers[] = {0,
                                               1,
                                               2,
                                               0x7f,
                                               0x80,
                                               0xff,
                                               0x7fff,
                                               0xffff,
                                               0x7fffffff,
                                               0x80000000,
                                               0xffffffff,
                                               0x7fffffffffffffff,
                                               0x8000000000000000,
                                               0xffffffffffffffff};
  const std::uint64_t number = kNumbers[(*random)() % std::size(kNumbers)];
  const std::size_t width = std::size_t{1} << ((*random)() % 4);
  const std::size_t at = (*random)() % input->size();
  for (std::size_t i = 0; i < width && at + i < input->size(); ++i) {
    (*input)[at + i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
}

// Copies a piece of `other` into the input, over what is there or between it.
void Splice(Input* input, const Input& other, Random* random) {
  if (other.empty()) return;
  const auto begin = static_cast<std::ptrdiff_t>((*random)() % other.size());
  const auto left = static_cast<std::uint64_t>(other.end() - other.begin() - begin);
  const auto size = static_cast<std::ptrdiff_t>(1 + (*random)() % left);
  const auto at = static_cast<std::ptrdiff_t>((*random)() % (input->size() + 1));
  if ((*random)() % 2 == 0) {
    input->insert(input->begin() + at, other.begin() + begin, other.begin() + begin + size);
  } else {
    for (std::ptrdiff_t i = 0; i < size && at + i < std::distance(input->begin(), input->end());
         ++i) {
      input->begin()[at + i] = other.begin()[begin + i];
    }
  }
}

void Change(Input* input, const std::vector<Input>& seeds, Random* random) {
  const auto at = static_cast<std::ptrdiff_t>((*random)() % (input->size() + 1));
  if (input->empty() || (*random)() % 6 == 0) {
    input->insert(input->begin() + at, static_cast<std::uint8_t>((*random)()));
    return;
  }
  std::uint8_t& byte = (*input)[(*random)() % input->size()];
  switch ((*random)() % 5) {
    case 0:
      byte = static_cast<std::uint8_t>(byte ^ (1u << ((*random)() % 8)));
      break;
    case 1:
      byte = static_cast<std::uint8_t>((*random)());
      break;
    case 2:
      Overwrite(input, random);
      break;
    case 3:
      input->erase(input->begin() + at, input->end() - static_cast<std::ptrdiff_t>(
                                                           (*random)() % (input->size() - at + 1)));
      break;
    default:
      Splice(input, seeds[(*random)() % seeds.size()], random);
  }
}

void RunChanged(const Options& options, const std::vector<Input>& seeds) {
  Random random(options.seed);
  const auto start = std::chrono::steady_clock::now();
  const auto limit = std::chrono::seconds(options.max_total_time);
  std::uint64_t runs = 0;
  for (; runs < options.runs; ++runs) {
    if (limit.count() > 0 && std::chrono::steady_clock::now() - start > limit) break;
    Input input = seeds[random() % seeds.size()];
    do {
      Change(&input, seeds, &random);
    } while (random() % 4 != 0);
    if (input.size() > kLongest) input.resize(kLongest);
    Run(input);
  }
  std::printf("%llu runs\n", static_cast<unsigned long long>(runs));
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = ReadOptions(argc, argv);
  std::signal(SIGABRT, SaveRunning);
  for (const std::string& file : options.files) Run(ReadFile(file));
  if (!options.files.empty()) return 0;
  std::vector<Input> seeds = actcache::fuzz::Seeds();
  seeds.emplace_back();
  for (const Input& seed : seeds) Run(seed);
  RunChanged(options, seeds);
  return 0;
}

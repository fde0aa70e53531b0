// What ThreadSanitizer is not to report in any of the test programs: code of others, by name.
#if defined(__SANITIZE_THREAD__)
// SQLite reads the header of the log's index without a lock, on purpose: twice, with a checksum.
// It resets the marks of readers by plain stores, and a reader that loads one takes its lock and
// looks again. Every thread of BLAKE3 that comes first finds out the same about the processor.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:walIndexTryHdr\nrace:walIndexWriteHdr\nrace:walIndexRecover\nrace:walRestartHdr\n"
         "race:get_cpu_features\n";
}
#endif

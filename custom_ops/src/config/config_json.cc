#include "config/config_json.h"

#include "base/json_text.h"

namespace actcache {

std::string ConfigJson(const KnobValues& values) {
  // A time that nobody limits is null: JSON has no infinity.
  const auto write_time = [](JsonObject* object, const char* name, std::uint64_t nanoseconds,
                             std::uint64_t none) {
    if (nanoseconds == none) {
      object->Null(name);
    } else {
      object->Seconds(name, nanoseconds);
    }
  };
  std::string out;
  {
    JsonObject object(&out);
    object.Number("budget_bytes", values.budget_bytes);
    object.Text("hash", HashName(values.hash));
    object.Text("namespace", values.session.name_space);
    write_time(&object, "ttl_seconds", values.session.ttl_ns, kNeverExpires);
    write_time(&object, "max_entry_age", values.session.max_age_ns, kAnyAge);
    object.Real("verify_fraction", values.verify_fraction);
    object.Real("verify_tolerance", values.verify_tolerance);
    object.Text("on_mismatch", values.on_mismatch == OnMismatch::kEvict ? "evict" : "disable");
    object.Number("namespace_quota_bytes", values.namespace_quota_bytes);
    object.Text("bypass", values.bypass ? "auto" : "off");
    object.Text("single_flight", values.single_flight ? "on" : "off");
    object.Text("disk_path", values.tiers.disk_path);
    object.Number("disk_budget_bytes", values.tiers.disk_budget_bytes);
    object.Text("metrics_path", values.metrics_path);
    object.Text("audit_path", values.audit.path);
    object.Number("audit_max_bytes", values.audit.max_bytes);
    object.Number("audit_files", values.audit.files);
    object.Number("audit_buffer_bytes", values.audit.buffer_bytes);
    object.Number("memory_bytes", values.memory_bytes);
  }
  return out;
}

}  // namespace actcache

#include "config/config_json.h"

#include "base/json_text.h"
#include "tier/remote/remote_url.h"

namespace actcache {
namespace {

void WriteRemote(const RemoteKnobs& remote, JsonObject* object) {
  object->Text("remote_url", ShownRemoteUrl(remote.url));
  object->Text("remote_secret", remote.secret.empty() ? "" : "***");
  object->Text("remote_secret_file", remote.secret_file);
  object->Text("remote_password_file", remote.password_file);
  object->Seconds("remote_ttl_seconds", remote.ttl_ns);
  object->Number("remote_max_value_bytes", remote.max_value_bytes);
  object->Text("remote_ca_file", remote.ca_file);
  object->Text("remote_cert_file", remote.cert_file);
  object->Text("remote_key_file", remote.key_file);
}

}  // namespace

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
    WriteRemote(values.tiers.remote, &object);
    object.Text("portable", values.portable ? "on" : "off");
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

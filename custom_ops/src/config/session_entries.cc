#include "config/session_entries.h"

#include <cstdint>

#include "config/knobs.h"

namespace actcache {
namespace {

struct NeutralEntry {
  std::string_view name;  // a whole name; or, if it ends in a full stop, what names begin with
  const char* reason;     // why no value depends on it
};

// What onnxruntime 1.18 to 1.32 know and what leaves values alone. An entry that is missing here
// costs reuse between sessions that differ in it, never a wrong result.
constexpr NeutralEntry kNeutralEntries[] = {
    {"actcache.", "ours: what is looked up, not what is computed"},
    {"memory.enable_memory_arena_shrinkage", "gives memory back after a run"},
    {"session.allow_released_opsets_only", "refuses models, or not"},
    {"session.collect_node_memory_stats_to_file", "writes a report"},
    {"session.disable_cpu_ep_fallback", "refuses models, or not"},
    {"session.enable_cpu_mem_arena", "where memory comes from"},
    {"session.enable_mem_pattern", "where memory comes from"},
    {"session.enable_profiling", "writes a report"},
    {"session.external_data_loader.", "how the same bytes are read from a file"},
    {"session.force_spinning_stop", "how threads wait"},
    {"session.inter_op.", "how threads wait"},
    {"session.intra_op.", "how threads wait"},
    {"session.intra_op_thread_affinities", "on which processors threads run"},
    {"session.load_model_format", "how the same model is read"},
    {"session.log_id", "a name in the log"},
    {"session.log_severity_level", "what is logged"},
    {"session.log_verbosity_level", "what is logged"},
    {"session.optimized_model_external_initializers_file_name", "writes the model to a file"},
    {"session.optimized_model_external_initializers_min_size_in_bytes", "likewise"},
    {"session.optimized_model_filepath", "likewise"},
    {"session.record_ep_graph_assignment_info", "keeps a report"},
    {"session.save_external_prepacked_constant_initializers", "writes the model to a file"},
    {"session.save_model_format", "likewise"},
    {"session.strict_shape_type_inference", "refuses models, or not"},
    {"session.use_device_allocator_for_initializers", "where memory comes from"},
    {"session.use_env_allocators", "where memory comes from"},
    {"session.use_external_initializer_file_buffers_directly", "where memory comes from"},
    {"session.use_ort_model_bytes_directly", "where memory comes from"},
    {"session.use_ort_model_bytes_for_initializers", "where memory comes from"},
    {"session.use_per_session_threads", "whose threads are used"},
};

// For runtimes that cannot list entries. Each of them chooses kernels, fuses or rounds otherwise,
// or takes weights from elsewhere.
constexpr const char* kValueEntries[] = {
    "ep.cpu.qmoe_deferred_scale",
    "mlas.disable_kleidiai",
    "mlas.enable_gemm_fastmath_arm64_bfloat16",
    "mlas.qnbit.force_fp32",
    "mlas.use_lut_gemm",
    "optimization.constant_folding_max_output_size_in_bytes",
    "optimization.disable_specified_optimizers",
    "optimization.enable_cast_chain_elimination",
    "optimization.enable_gelu_approximation",
    "optimization.minimal_build_optimizations",
    "session.disable_aot_function_inlining",
    "session.disable_double_qdq_remover",
    "session.disable_prepacking",
    "session.disable_qdq_constant_folding",
    "session.disable_quant_qdq",
    "session.dynamic_block_base",
    "session.enable_dq_matmulnbits_fusion",
    "session.enable_quant_qdq_cleanup",
    "session.graph_optimizations_loop_level",
    "session.model_external_initializers_file_folder_path",
    "session.qdq_matmulnbits_accuracy_level",
    "session.qdq_matmulnbits_block_size",
    "session.qdqisint8allowed",
    "session.set_denormal_as_zero",
    "session.x64quantprecision",
};

void Frame(std::string* out, std::string_view text) {
  const auto size = static_cast<std::uint64_t>(text.size());
  for (unsigned shift = 0; shift < 64; shift += 8) {
    out->push_back(static_cast<char>((size >> shift) & 0xff));
  }
  out->append(text);
}

}  // namespace

bool LeavesValues(std::string_view name) {
  for (const NeutralEntry& entry : kNeutralEntries) {
    const bool begins = entry.name.back() == '.';
    if (begins ? name.substr(0, entry.name.size()) == entry.name : name == entry.name) return true;
  }
  return false;
}

std::string ValueEntries(const SessionEntries& entries) {
  std::string framed;
  for (const auto& [name, value] : entries) {
    if (LeavesValues(name)) continue;
    Frame(&framed, name);
    Frame(&framed, value);
  }
  return framed;
}

std::vector<std::string> KnownEntries() {
  std::vector<std::string> names(std::begin(kValueEntries), std::end(kValueEntries));
  for (const Knob& knob : kKnobs) names.push_back(std::string("actcache.") + knob.name);
  return names;
}

}  // namespace actcache

// Numbers of bytes as people write them, in every host language alike.
#ifndef ACTCACHE_CONFIG_BYTE_SIZE_H_
#define ACTCACHE_CONFIG_BYTE_SIZE_H_

#include <cstdint>
#include <optional>
#include <string>

namespace actcache {

// Reads "4096", "512MiB", "1.5 GiB" (B, KiB, MiB, GiB or TiB, in any case) or "10%" of `whole`,
// rounded down; spaces around the number and the unit do not matter. Nothing if `text` is none of
// these, if a percentage is above 100, or if the number does not fit.
std::optional<std::uint64_t> ParseByteSize(const std::string& text, std::uint64_t whole);

}  // namespace actcache

#endif  // ACTCACHE_CONFIG_BYTE_SIZE_H_

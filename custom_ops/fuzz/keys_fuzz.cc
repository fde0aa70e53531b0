// ExactKeying: two rows (or calls) have one key exactly if everything that a key covers is equal,
// which a plain description of the row, compared as text, decides.
//
// Input: a place and a change, then a call: a fingerprint, a namespace and some inputs with their
// types, sizes, row axes and contents, out of few values, so that equal rows are not rare. The
// second call is the first with the byte at that place changed.
#include "units/exact_keying.h"
#include "units/key_parts.h"

#include <iterator>

#include <optional>
#include <string>
#include <utility>

#include "reader.h"
#include "target.h"

namespace actcache {
namespace {

constexpr ElementType kElementTypes[] = {
    ElementType::kUint8, ElementType::kInt8,       ElementType::kFloat16, ElementType::kFloat,
    ElementType::kInt32, ElementType::kComplex128, ElementType::kString,  ElementType::kInt4};

// A tensor with the memory that its view points to.
struct Tensor {
  TensorView view;
  std::vector<std::byte> bytes;
};

struct Call {
  std::string fingerprint;
  std::string name_space;
  std::optional<std::string> own_namespace;
  PlanKind kind = PlanKind::kWhole;
  std::size_t rows = 1;
  std::vector<Tensor> tensors;
  Axes axes;

  std::vector<TensorView> views() const {
    std::vector<TensorView> views;
    for (const Tensor& tensor : tensors) {
      views.push_back(tensor.view);
      views.back().data = tensor.bytes.data();
    }
    return views;
  }
};

StringContent ReadStrings(fuzz::Reader* reader, std::size_t count) {
  static const std::string kTexts[] = {"", "a", "b", "ab", std::string("a\0", 2), "aab"};
  StringContent content;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& text = kTexts[reader->Below(std::size(kTexts))];
    content.offsets.push_back(content.bytes.size());
    content.bytes.insert(content.bytes.end(), text.begin(), text.end());
  }
  content.offsets.push_back(content.bytes.size());
  content.bytes.push_back('\0');
  return content;
}

// Bytes of an input large enough to be hashed in segments, equal but for one byte here and there.
std::vector<std::byte> BigContent(fuzz::Reader* reader, std::size_t size) {
  std::vector<std::byte> bytes(size, std::byte{7});
  for (std::size_t changes = reader->Below(3); changes > 0; --changes) {
    bytes[reader->Number<std::uint32_t>() % size] = std::byte{8};
  }
  return bytes;
}

Tensor ReadTensor(fuzz::Reader* reader, std::int64_t axis, std::size_t rows, bool big) {
  Tensor tensor;
  TensorView& view = tensor.view;
  view.type = kElementTypes[reader->Below(std::size(kElementTypes))];
  if (big) view.type = ElementType::kUint8;
  if (axis >= 0 && !HasByteRows(view.type)) view.type = ElementType::kUint8;
  const std::size_t rank = static_cast<std::size_t>(axis + 1) + reader->Below(3);
  for (std::size_t i = 0; i < rank; ++i) {
    view.dims.push_back(big ? 1 : static_cast<std::int64_t>(reader->Below(4)));
  }
  if (big) view.dims.push_back(static_cast<std::int64_t>(kBigPart + reader->Below(3)));
  if (axis >= 0) view.dims[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(rows);
  view.elements = ElementCount(view.dims);
  if (view.type == ElementType::kString) {
    view.strings = ReadStrings(reader, view.elements);
    return tensor;
  }
  view.bytes = ByteCount(view.type, view.dims);
  if (big && view.bytes > 0) {
    tensor.bytes = BigContent(reader, view.bytes);
    return tensor;
  }
  tensor.bytes.resize(view.bytes);
  for (std::byte& byte : tensor.bytes) byte = static_cast<std::byte>(reader->Below(2));
  return tensor;
}

Call ReadCall(fuzz::Reader* reader) {
  Call call;
  call.fingerprint = reader->Text(2);
  call.name_space = reader->Text(2);
  if (reader->Below(4) == 1) call.own_namespace = reader->Text(2);
  const bool big = reader->Below(64) == 63;
  call.kind = reader->Below(2) == 0 ? PlanKind::kWhole : PlanKind::kRow;
  if (call.kind == PlanKind::kRow) call.rows = reader->Below(big ? 3 : 20);
  const std::size_t inputs = reader->Below(4);
  for (std::size_t i = 0; i < inputs; ++i) {
    std::int64_t axis = static_cast<std::int64_t>(reader->Below(4)) - 1;
    if (call.kind == PlanKind::kWhole) axis = -1;
    call.axes.push_back(axis);
    call.tensors.push_back(ReadTensor(reader, axis, call.rows, big && i == 0));
  }
  return call;
}

void AddFramed(std::string* text, const std::string& part) {
  *text += std::to_string(part.size()) + ":" + part;
}

// The elements of one row, or all of them, in order.
std::string Content(const Tensor& tensor, std::int64_t axis, std::size_t row) {
  const TensorView& view = tensor.view;
  if (axis < 0) row = 0;
  const auto* const bytes = reinterpret_cast<const char*>(tensor.bytes.data());
  if (axis < 0 && !view.strings) return {bytes, tensor.bytes.size()};
  const std::size_t unit = ElementBits(view.type) / 8;
  const auto behind = static_cast<std::size_t>(axis + 1);  // the row axis; 0: there is none
  const std::size_t rows = axis < 0 ? 1 : static_cast<std::size_t>(view.dims[behind - 1]);
  std::size_t inner = 1;
  for (std::size_t i = behind; i < view.dims.size(); ++i) {
    inner *= static_cast<std::size_t>(view.dims[i]);
  }
  std::string content;
  for (std::size_t first = row * inner; first < view.elements; first += rows * inner) {
    if (!view.strings) {
      content.append(bytes + first * unit, inner * unit);
      continue;
    }
    for (std::size_t i = first; i < first + inner; ++i) {
      AddFramed(&content, std::string(view.strings->at(i)));
    }
  }
  return content;
}

// Everything that a key covers.
std::string Describe(const Call& call, std::size_t row) {
  std::string text = call.kind == PlanKind::kRow ? "row" : "whole";
  AddFramed(&text, call.fingerprint);
  AddFramed(&text, call.name_space);
  if (call.own_namespace) AddFramed(&text, "own " + *call.own_namespace);
  for (std::size_t i = 0; i < call.tensors.size(); ++i) {
    const TensorView& view = call.tensors[i].view;
    std::string shape =
        std::to_string(static_cast<int>(view.type)) + "@" + std::to_string(call.axes[i]);
    for (std::size_t d = 0; d < view.dims.size(); ++d) {
      const bool is_axis = static_cast<std::int64_t>(d) == call.axes[i];
      shape += is_axis ? ",N" : "," + std::to_string(view.dims[d]);
    }
    AddFramed(&text, shape);
    AddFramed(&text, Content(call.tensors[i], call.axes[i], row));
  }
  return text;
}

using Described = std::vector<std::pair<std::string, Key>>;

void AddRows(const Call& call, HashKind hash, Described* rows) {
  const RowCut cut(call.axes, Axes{0});
  const ExactKeying keying(hash,
                           {call.fingerprint, call.name_space, call.own_namespace.has_value()}, cut,
                           ElementTypes{ElementType::kFloat});
  const Cut& by = call.kind == PlanKind::kRow ? static_cast<const Cut&>(cut) : cut.whole();
  const Keys keys =
      keying.KeysOf({&by, call.rows}, call.own_namespace, call.views(), Parallel(), nullptr);
  ACTCACHE_FUZZ_CHECK(keys.size() == call.rows);
  for (std::size_t row = 0; row < call.rows; ++row) {
    rows->emplace_back(Describe(call, row), keys[row]);
  }
}

}  // namespace

std::vector<fuzz::Input> fuzz::Seeds() {
  return {{0, 0, 1, 'f', 0, 0, 0, 1, 6, 2, 1, 0, 0, 2, 2, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1},
          {9, 3, 1, 'f', 0, 1, 1, 'o', 0, 1, 6, 1, 2, 0, 2, 3, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1},
          {0, 0, 0, 1, 'n', 0, 0, 1, 4, 2, 1, 6, 1, 0, 2, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3},
          {6, 1, 1, 'f', 1, 'n', 1, 0, 0, 0, 3, 0, 3, 2, 2, 2, 0, 0, 1, 1},
          {8, 1, 1, 'f', 0, 0, 63, 1, 2, 1, 1, 0, 0, 2, 1, 2, 9, 9, 9, 0, 7, 7, 7, 0},
          {0, 0, 1, 'f', 0, 0, 63, 0, 1, 0, 0, 2, 1, 9, 9, 9, 0}};
}

}  // namespace actcache

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace actcache;
  if (size < 3) return 0;
  fuzz::Input changed(data + 2, data + size);
  fuzz::Reader reader(changed.data(), changed.size());
  const Call first = ReadCall(&reader);
  changed[data[0] % changed.size()] ^= data[1];
  reader = fuzz::Reader(changed.data(), changed.size());
  const Call second = ReadCall(&reader);
  for (const HashKind hash : {HashKind::kBlake3, HashKind::kXxh3}) {
    Described rows;
    AddRows(first, hash, &rows);
    AddRows(second, hash, &rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        ACTCACHE_FUZZ_CHECK((rows[i].first == rows[k].first) == (rows[i].second == rows[k].second));
      }
    }
  }
  return 0;
}

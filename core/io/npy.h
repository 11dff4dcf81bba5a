// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/progress.h"
#include "core/base/result.h"
#include "core/io/tensor_table.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace kvscope {

/// Whether a file that starts with these bytes is a NumPy .npy file.
bool looksLikeNpy(std::span<const std::byte> head);

/// Reads the header of a .npy array (format versions 1 to 3, either byte order, C or Fortran order) and checks it
/// against the size of the source. Arrays of Python objects are refused: reading them would run code.
Result<StoredTensor> readNpyArray(const ByteSourcePtr& bytes, std::string name);

/// A .npy file as a table of one tensor without a name.
Result<TensorTable> readNpy(const ByteSourcePtr& bytes, const std::filesystem::path& path);

/// A .npz file (a ZIP archive of .npy members, stored or deflated) as a table. Deflated members are unpacked.
Result<TensorTable> readNpz(const ByteSourcePtr& bytes, const std::filesystem::path& path, const JobControl& job = {});

} // namespace kvscope

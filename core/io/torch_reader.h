// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/base/byte_source.h"
#include "core/base/progress.h"
#include "core/io/tensor_table.h"
#include "core/io/zip_archive.h"

#include <filesystem>
#include <span>

namespace kvscope {

/// Whether a ZIP archive is one of torch.save (it has a member `<prefix>/data.pkl`).
bool looksLikeTorchZip(const ZipArchive& archive);

/// Whether a file that starts with these bytes is a pickle of protocol 2 to 5, as torch.save wrote before torch 1.6.
bool looksLikePickle(std::span<const std::byte> head);

/// The tensors of a torch.save'd file (.pt, .pth) in the zip format. Executes nothing of it.
Result<TensorTable> readTorchZip(const ZipArchive& archive, const std::filesystem::path& path,
                                 const JobControl& job = {});

/// The tensors of a file by torch.save before 1.6, or the numpy arrays and tensors of a plain pickle. Executes nothing
/// of it.
Result<TensorTable> readTorchLegacy(const ByteSourcePtr& file, const std::filesystem::path& path);

} // namespace kvscope

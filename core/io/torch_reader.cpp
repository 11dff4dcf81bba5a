// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/torch_reader.h"

#include "core/io/pickle.h"
#include "core/io/torch_objects.h"
#include "core/io/torch_storage.h"

#include <new>

namespace kvscope {

namespace {

constexpr std::string_view kPickleMember = "/data.pkl";
constexpr std::int64_t kMaxPickleBytes = std::int64_t{1} << 30;

const ZipMember* pickleMember(const ZipArchive& archive) {
    for (const auto& member : archive.members()) {
        if (member.name.ends_with(kPickleMember) && member.name.find('/') == member.name.size() - kPickleMember.size())
            return &member;
    }
    return nullptr;
}

Result<TensorTable> tableOf(const PickleTree& tree, TorchStorages& storages, const ByteSourcePtr& pickle,
                            TensorTable table) {
    table.name = table.path.filename().string();
    try {
        KVSCOPE_TRY(collectTensors(tree, storages, pickle, table));
    } catch (const std::bad_alloc&) {
        return fail("there is not enough memory for the list of its tensors", pickle->name(), {}, Error::Kind::System);
    }
    if (table.tensors.empty())
        return fail("holds no tensor", pickle->name(),
                    "Open a file in which the keys and values of a cache were saved");
    return table;
}

} // namespace

bool looksLikeTorchZip(const ZipArchive& archive) {
    return pickleMember(archive) != nullptr;
}

bool looksLikePickle(std::span<const std::byte> head) {
    if (head.size() < 3 || head[0] != std::byte{0x80} || head[1] < std::byte{2} || head[1] > std::byte{5})
        return false;
    // Raw values may begin so too; an operation, which comes next, is a sign or a letter, or one of the later
    // protocols.
    const auto next = std::to_integer<unsigned>(head[2]);
    return (next > 0x20 && next < 0x7F) || (next >= 0x80 && next <= 0x98);
}

Result<TensorTable> readTorchZip(const ZipArchive& archive, const std::filesystem::path& path, const JobControl& job) {
    const auto* member = pickleMember(archive);
    if (member == nullptr)
        return fail("has no data.pkl", path.string(), "Is it a file by torch.save?");
    const auto prefix = member->name.substr(0, member->name.size() - kPickleMember.size());
    if (archive.find(prefix + "/constants.pkl") != nullptr)
        return fail("is a TorchScript module (a program), not a saved cache", path.string(),
                    "Save the cache itself with torch.save");
    if (member->size > kMaxPickleBytes)
        return fail("its " + member->name + " has " + std::to_string(member->size) + " bytes", path.string(),
                    "Save the keys and values alone");
    bool bigEndian = false;
    if (const auto* order = archive.find(prefix + "/byteorder")) {
        KVSCOPE_ASSIGN(const auto bytes, archive.openMember(*order, job));
        if (bytes->size() > 16)
            return fail("its byte order is no word", path.string(), "The file is damaged");
        KVSCOPE_ASSIGN(const auto raw, bytes->read(0, bytes->size()));
        const std::string word(reinterpret_cast<const char*>(raw.data()), raw.size());
        if (word != "little" && word != "big")
            return fail("its byte order is neither little nor big", path.string(), "The file is damaged");
        bigEndian = word == "big";
    }
    KVSCOPE_ASSIGN(const auto pickle, archive.openMember(*member, job));
    KVSCOPE_ASSIGN(const auto tree, readPickle(*pickle));
    const auto storages = zipTorchStorages(archive, prefix, path.string(), bigEndian, job);
    TensorTable table;
    table.format = "torch .pt (zip)";
    table.path = path;
    return tableOf(tree, *storages, pickle, std::move(table));
}

Result<TensorTable> readTorchLegacy(const ByteSourcePtr& file, const std::filesystem::path& path) {
    KVSCOPE_ASSIGN(const auto legacy, readLegacyTorch(file));
    TensorTable table;
    table.format = legacy.torch ? "torch .pt (before 1.6)" : "Python pickle";
    table.path = path;
    return tableOf(legacy.objects, *legacy.storages, file, std::move(table));
}

} // namespace kvscope

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/io/torch_storage.h"

#include "core/base/checked.h"
#include "core/io/little_endian.h"

#include <algorithm>
#include <span>

namespace kvscope {

namespace {

constexpr std::string_view kDamaged = "The file is truncated or damaged: save it again";
// torch.serialization.MAGIC_NUMBER, 0x1950a86a20f9469cfc6c, as LONG1 and as LONG write it.
constexpr std::string_view kMagicBytes("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::string_view kMagicDigits = "119547037146038801333356";
constexpr std::size_t kMaxStorages = 1'000'000;

Result<ByteSourcePtr> wholeStorage(const ByteSourcePtr& source, std::int64_t offset, const TorchStorageId& id) {
    const auto bytes = checkedMul(id.elements, id.type.size);
    const auto end = bytes ? checkedAdd(offset, *bytes) : std::nullopt;
    if (id.elements < 0 || !end || *end > source->size())
        return fail("storage " + id.key + " claims " + std::to_string(id.elements) + " values of " + id.type.name +
                        " from byte " + std::to_string(offset) + " but the file has only " +
                        std::to_string(source->size() - std::min(offset, source->size())) + " bytes there",
                    source->name(), std::string(kDamaged));
    return subSource(source, offset, *bytes, source->name());
}

class ZipStorages final : public TorchStorages {
public:
    ZipStorages(ZipArchive archive, std::string prefix, std::string file, bool bigEndian, JobControl job)
        : archive_(std::move(archive))
        , prefix_(std::move(prefix))
        , file_(std::move(file))
        , bigEndian_(bigEndian)
        , job_(std::move(job)) {}

    Result<TorchStorage> find(const PickleTree& tree, PickleId persistent) override {
        KVSCOPE_ASSIGN(const auto id, torchStorageId(tree, persistent, file_));
        auto& member = members_[id.key];
        if (member == nullptr) {
            const auto name = prefix_ + "/data/" + id.key;
            const auto* found = archive_.find(name);
            if (found == nullptr)
                return fail("has no member " + name + ", which a tensor needs", file_, std::string(kDamaged));
            KVSCOPE_ASSIGN(member, archive_.openMember(*found, job_));
        }
        KVSCOPE_ASSIGN(auto bytes, wholeStorage(member, 0, id));
        return TorchStorage{std::move(bytes), id.type, bigEndian_};
    }

private:
    ZipArchive archive_;
    std::string prefix_;
    std::string file_;
    bool bigEndian_;
    JobControl job_;
    std::unordered_map<std::string, ByteSourcePtr> members_;
};

/// Storages that follow the pickle, and those that a plain pickle holds inside.
class LegacyStorages final : public TorchStorages {
public:
    explicit LegacyStorages(ByteSourcePtr file)
        : file_(std::move(file)) {}

    /// Finds where each storage lies: behind the list of their keys follow, in its order, an int64 of the number of
    /// values, and the values. Both are little-endian whatever the machine that wrote them.
    Result<void> index(const PickleTree& objects) {
        std::unordered_map<std::string, TorchType> types;
        for (PickleId i = 0; i < objects.nodes.size(); ++i) {
            if (objects[i].kind != PickleKind::Persistent || isModule(objects, i))
                continue;
            KVSCOPE_ASSIGN(auto id, torchStorageId(objects, i, file_->name()));
            types.insert_or_assign(std::move(id.key), std::move(id.type));
            if (types.size() > kMaxStorages)
                return fail("has more than " + std::to_string(kMaxStorages) + " storages", file_->name());
        }
        KVSCOPE_ASSIGN(const auto keys, readPickle(*file_, objects.end));
        auto at = keys.end;
        for (const auto item : keys.top().items) {
            const auto& key = keys[item];
            const auto type = types.find(key.text);
            if (key.kind != PickleKind::String || type == types.end())
                return fail("lists a storage that no tensor uses, whose size is unknown, before byte " +
                                std::to_string(keys.end),
                            file_->name(), std::string(kDamaged));
            KVSCOPE_ASSIGN(const auto header, file_->read(at, 8));
            const auto elements = static_cast<std::int64_t>(littleEndianAt<std::uint64_t>(header, 0));
            at += 8;
            KVSCOPE_ASSIGN(auto bytes, wholeStorage(file_, at, {type->second, key.text, elements, 0}));
            at += bytes->size();
            stored_.insert_or_assign(key.text, std::move(bytes));
        }
        return {};
    }

    Result<TorchStorage> find(const PickleTree& tree, PickleId id) override {
        if (tree[id].kind == PickleKind::Record)
            return embedded(tree, id);
        KVSCOPE_ASSIGN(const auto storage, torchStorageId(tree, id, file_->name()));
        const auto found = stored_.find(storage.key);
        if (found == stored_.end())
            return fail("a tensor needs storage " + storage.key + ", which the file does not list", file_->name(),
                        std::string(kDamaged));
        const auto offset = checkedMul(storage.viewOffset, storage.type.size);
        const auto whole = found->second->size();
        if (!offset || *offset < 0 || *offset > whole)
            return fail("a view of storage " + storage.key + " begins outside it", file_->name(),
                        std::string(kDamaged));
        KVSCOPE_ASSIGN(auto bytes, subSource(found->second, *offset, whole - *offset, file_->name()));
        return TorchStorage{std::move(bytes), storage.type, false};
    }

    static bool isModule(const PickleTree& tree, PickleId persistent) {
        const auto& id = tree[tree[persistent].items.front()];
        return id.kind == PickleKind::Tuple && !id.items.empty() && tree[id.items.front()].text == "module";
    }

private:
    /// torch.storage._load_from_bytes(b"..."): a file of its own, of one storage, inside a plain pickle.
    Result<TorchStorage> embedded(const PickleTree& tree, PickleId record) {
        const auto& node = tree[record];
        if (node.text != "torch.storage._load_from_bytes" || node.items.size() != 1)
            return fail("a tensor's storage is a " + node.text, file_->name(), "Save plain tensors");
        const auto known = embedded_.find(node.items.front());
        if (known != embedded_.end())
            return known->second;
        KVSCOPE_ASSIGN(auto bytes, pickledBytes(tree[node.items.front()], file_, file_->name()));
        KVSCOPE_ASSIGN(auto magic, readPickle(*bytes));
        if (magic.top().kind != PickleKind::BigInteger || magic.top().text != kMagicBytes)
            return fail("a tensor's storage is not by torch.save", file_->name(), std::string(kDamaged));
        KVSCOPE_ASSIGN(const auto protocol, readPickle(*bytes, magic.end));
        KVSCOPE_ASSIGN(const auto system, readPickle(*bytes, protocol.end));
        KVSCOPE_ASSIGN(const auto object, readPickle(*bytes, system.end));
        if (object.top().kind != PickleKind::Persistent || LegacyStorages::isModule(object, object.root))
            return fail("a tensor's storage is not a storage", file_->name(), std::string(kDamaged));
        LegacyStorages inside(bytes);
        KVSCOPE_TRY(inside.index(object));
        KVSCOPE_ASSIGN(auto storage, inside.find(object, object.root));
        embedded_.emplace(node.items.front(), storage);
        return storage;
    }

    ByteSourcePtr file_;
    std::unordered_map<std::string, ByteSourcePtr> stored_;
    /// By the bytes that hold them.
    std::unordered_map<PickleId, TorchStorage> embedded_;
};

bool isMagic(const PickleNode& node) {
    return node.kind == PickleKind::BigInteger && (node.text == kMagicBytes || node.text == kMagicDigits);
}

} // namespace

Result<TorchStorageId> torchStorageId(const PickleTree& tree, PickleId persistent, const std::string& file) {
    const auto wrong = [&](const std::string& why) {
        return fail("a tensor's storage is " + why, file, std::string(kDamaged));
    };
    if (tree[persistent].kind != PickleKind::Persistent)
        return wrong("not named as torch.save does");
    const auto& tuple = tree[tree[persistent].items.front()];
    if (tuple.kind != PickleKind::Tuple || tuple.items.size() < 5 || tree[tuple.items[0]].text != "storage")
        return wrong("not named as torch.save does");
    const auto& type = tree[tuple.items[1]];
    const auto& key = tree[tuple.items[2]];
    const auto& elements = tree[tuple.items[4]];
    if (type.kind != PickleKind::Global || key.kind != PickleKind::String || elements.kind != PickleKind::Integer)
        return wrong("not named as torch.save does");
    auto known = torchTypeFromStorage(type.text);
    if (!known)
        return wrong("of the class " + type.text.substr(0, 200) + ", which KVScope does not know");
    if (elements.integer < 0)
        return wrong("of negative size");
    TorchStorageId id{std::move(*known), key.text, elements.integer, 0};
    if (tuple.items.size() > 5 && tree[tuple.items[5]].kind == PickleKind::Tuple) {
        const auto& view = tree[tuple.items[5]];
        if (view.items.size() != 3 || tree[view.items[1]].kind != PickleKind::Integer)
            return wrong("a view that says not of what");
        id.viewOffset = tree[view.items[1]].integer;
    }
    return id;
}

std::unique_ptr<TorchStorages> zipTorchStorages(ZipArchive archive, std::string prefix, std::string file,
                                                bool bigEndian, JobControl job) {
    return std::make_unique<ZipStorages>(std::move(archive), std::move(prefix), std::move(file), bigEndian,
                                         std::move(job));
}

Result<LegacyTorch> readLegacyTorch(const ByteSourcePtr& file) {
    LegacyTorch legacy;
    auto storages = std::make_unique<LegacyStorages>(file);
    KVSCOPE_ASSIGN(legacy.objects, readPickle(*file));
    if (isMagic(legacy.objects.top())) {
        legacy.torch = true;
        KVSCOPE_ASSIGN(const auto protocol, readPickle(*file, legacy.objects.end));
        if (protocol.top().kind != PickleKind::Integer || protocol.top().integer != 1001)
            return fail("has an unknown version of torch's format before 1.6, at byte " +
                            std::to_string(legacy.objects.end),
                        file->name(), "Load it in torch and save it again");
        KVSCOPE_ASSIGN(const auto system, readPickle(*file, protocol.end));
        KVSCOPE_ASSIGN(legacy.objects, readPickle(*file, system.end));
        KVSCOPE_TRY(storages->index(legacy.objects));
    }
    const auto kind = legacy.objects.top().kind;
    if (!legacy.torch && (kind == PickleKind::BigInteger || kind == PickleKind::Integer))
        return fail("begins with a number that is not the one by which torch marks its files", file->name(),
                    std::string(kDamaged));
    legacy.storages = std::move(storages);
    return legacy;
}

} // namespace kvscope

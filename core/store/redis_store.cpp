// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/store/context_store.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <ctime>
#include <hiredis/hiredis.h>
#include <initializer_list>
#include <mutex>
#include <pthread.h>
#include <sys/time.h>

namespace kvscope {

namespace {

constexpr std::string_view kTcpScheme = "redis://";
constexpr std::string_view kUnixScheme = "redis+unix://";
constexpr std::string_view kPrefix = "kvscope:1:";

/// Where a server is.
struct RedisAddress {
    std::string host;
    int port = 6379;
    std::string socket;
    std::string password;
    int database = 0;
    /// Without the password.
    std::string shown;
};

struct FreeContext {
    void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using ReplyPtr = std::unique_ptr<redisReply, FreeReply>;

/// Keeps SIGPIPE from the process while a library writes to a socket whose other end may be gone.
class QuietPipe {
public:
    QuietPipe() {
        sigset_t pending;
        sigemptyset(&pending);
        sigpending(&pending);
        wasPending_ = sigismember(&pending, SIGPIPE) == 1;
        sigemptyset(&pipe_);
        sigaddset(&pipe_, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~QuietPipe() {
        const timespec now{};
        if (!wasPending_)
            while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
            }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    QuietPipe(const QuietPipe&) = delete;
    QuietPipe& operator=(const QuietPipe&) = delete;

private:
    sigset_t pipe_;
    sigset_t before_;
    bool wasPending_ = false;
};

timeval toTimeval(double seconds) {
    timeval value{};
    value.tv_sec = static_cast<time_t>(seconds);
    value.tv_usec = static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6);
    return value;
}

template <class Number> bool readNumber(std::string_view text, Number& number) {
    const auto end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    return read.ec == std::errc() && read.ptr == end;
}

Result<RedisAddress> parseAddress(const std::string& url) {
    const auto bad = [&](const char* what) {
        return fail(what, "the address of Redis",
                    "Write redis://HOST:PORT, redis://:PASSWORD@HOST:PORT/DATABASE or redis+unix:///SOCKET");
    };
    RedisAddress address;
    if (url.starts_with(kUnixScheme)) {
        address.socket = url.substr(kUnixScheme.size());
        address.shown = url;
        if (address.socket.empty() || address.socket.front() != '/')
            return bad("names no socket");
        return address;
    }
    std::string_view rest = std::string_view(url).substr(kTcpScheme.size());
    if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
        const auto colon = rest.find(':');
        if (colon == std::string_view::npos || colon > at)
            return bad("has a user but no password");
        address.password = rest.substr(colon + 1, at - colon - 1);
        rest.remove_prefix(at + 1);
    }
    address.shown = std::string(kTcpScheme) + std::string(rest);
    if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
        const auto number = rest.substr(slash + 1);
        if (!number.empty() && (!readNumber(number, address.database) || address.database < 0))
            return bad("names a database that is not a number");
        rest = rest.substr(0, slash);
    }
    if (const auto colon = rest.rfind(':'); colon != std::string_view::npos && !rest.ends_with(']')) {
        if (!readNumber(rest.substr(colon + 1), address.port) || address.port < 1 || address.port > 65535)
            return bad("names a port that is not a number from 1 to 65535");
        rest = rest.substr(0, colon);
    }
    if (rest.starts_with('[') && rest.ends_with(']'))
        rest = rest.substr(1, rest.size() - 2);
    address.host = rest.empty() ? "127.0.0.1" : std::string(rest);
    return address;
}

class RedisStore final : public ContextStore {
public:
    RedisStore(RedisAddress address, RedisOptions options)
        : address_(std::move(address))
        , options_(options) {}

    [[nodiscard]] Result<void> connect() {
        const std::lock_guard lock(mutex_);
        return connected();
    }

    [[nodiscard]] const std::string& name() const override { return address_.shown; }

    [[nodiscard]] Result<std::vector<std::string>> contexts() const override {
        KVSCOPE_ASSIGN(const ReplyPtr reply, command({"SMEMBERS", key("contexts")}));
        std::vector<std::string> names;
        if (reply->type != REDIS_REPLY_ARRAY && reply->type != REDIS_REPLY_NIL)
            return unexpectedReply();
        for (std::size_t i = 0; i < reply->elements; ++i) {
            const redisReply* element = reply->element[i];
            if (element->type != REDIS_REPLY_STRING)
                return unexpectedReply();
            std::string name(element->str, static_cast<std::size_t>(element->len));
            if (isContextName(name))
                names.push_back(std::move(name));
        }
        std::ranges::sort(names);
        return names;
    }

    [[nodiscard]] Result<std::vector<std::byte>> readContext(const std::string& context) const override {
        return get(key("context:" + context), "context " + context);
    }

    [[nodiscard]] Result<void> writeContext(const std::string& context, std::span<const std::byte> bytes) override {
        if (static_cast<std::int64_t>(bytes.size()) > kMaxRecordBytes)
            return fail("has a directory larger than Redis takes", name() + ", context " + context,
                        "Encode with larger chunks");
        KVSCOPE_TRY(set(key("context:" + context), bytes));
        KVSCOPE_TRY(command({"SADD", key("contexts"), context}));
        return {};
    }

    [[nodiscard]] Result<void> removeContext(const std::string& context) override {
        KVSCOPE_TRY(command({"SREM", key("contexts"), context}));
        KVSCOPE_ASSIGN(const ReplyPtr reply, command({"DEL", key("context:" + context)}));
        if (reply->type != REDIS_REPLY_INTEGER)
            return unexpectedReply();
        if (reply->integer == 0)
            return fail("has no context " + context, name(), "See what there is with: kvscope store -o STORE");
        return {};
    }

    [[nodiscard]] Result<std::vector<ChunkKey>> chunks() const override {
        std::vector<ChunkKey> keys;
        const std::string prefix = key("chunk:");
        std::string cursor = "0";
        do {
            KVSCOPE_ASSIGN(const ReplyPtr reply, command({"SCAN", cursor, "MATCH", prefix + "*", "COUNT", "1000"}));
            if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
                reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_ARRAY)
                return unexpectedReply();
            cursor.assign(reply->element[0]->str, static_cast<std::size_t>(reply->element[0]->len));
            for (std::size_t i = 0; i < reply->element[1]->elements; ++i) {
                const redisReply* found = reply->element[1]->element[i];
                if (found->type != REDIS_REPLY_STRING || static_cast<std::size_t>(found->len) < prefix.size())
                    return unexpectedReply();
                const std::string_view text(found->str, static_cast<std::size_t>(found->len));
                if (const auto chunk = chunkKeyFrom(text.substr(prefix.size())))
                    keys.push_back(*chunk);
            }
        } while (cursor != "0");
        return keys;
    }

    [[nodiscard]] Result<bool> removeChunk(const ChunkKey& chunk, double idleSeconds) override {
        const std::string record = key("chunk:" + chunk.text());
        KVSCOPE_ASSIGN(const ReplyPtr idle, command({"OBJECT", "IDLETIME", record}));
        if (idle->type == REDIS_REPLY_NIL)
            return false;
        if (idle->type != REDIS_REPLY_INTEGER)
            return unexpectedReply();
        if (static_cast<double>(idle->integer) < idleSeconds)
            return false;
        KVSCOPE_ASSIGN(const ReplyPtr gone, command({"DEL", record}));
        return gone->type == REDIS_REPLY_INTEGER && gone->integer > 0;
    }

protected:
    [[nodiscard]] Result<std::vector<std::byte>> fetchChunk(const ChunkKey& chunk) const override {
        return get(key("chunk:" + chunk.text()), "chunk " + chunk.text());
    }
    [[nodiscard]] Result<void> keepChunk(const ChunkKey& chunk, std::span<const std::byte> bytes) override {
        return set(key("chunk:" + chunk.text()), bytes);
    }
    [[nodiscard]] Result<bool> holdsChunk(const ChunkKey& chunk) const override {
        KVSCOPE_ASSIGN(const ReplyPtr reply, command({"STRLEN", key("chunk:" + chunk.text())}));
        if (reply->type != REDIS_REPLY_INTEGER)
            return unexpectedReply();
        return reply->integer == chunk.bytes;
    }

private:
    static std::string key(const std::string& rest) { return std::string(kPrefix) + rest; }

    [[nodiscard]] tl::unexpected<Error> unexpectedReply() const {
        return fail("answers what Redis does not answer", name(), "Check that the address is that of a Redis server");
    }

    [[nodiscard]] Result<std::vector<std::byte>> get(const std::string& record, const std::string& what) const {
        KVSCOPE_ASSIGN(const ReplyPtr reply, command({"GET", record}));
        if (reply->type == REDIS_REPLY_NIL)
            return fail("has no " + what, name(),
                        "It may have been evicted or never put there: put the context into the store again");
        if (reply->type != REDIS_REPLY_STRING)
            return unexpectedReply();
        const auto bytes = std::as_bytes(std::span(reply->str, static_cast<std::size_t>(reply->len)));
        return std::vector<std::byte>(bytes.begin(), bytes.end());
    }

    [[nodiscard]] Result<void> set(const std::string& record, std::span<const std::byte> bytes) {
        KVSCOPE_TRY(
            command({"SET", record, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())}));
        return {};
    }

    /// Sends one command and waits for its reply. A connection that fails is given up; one that had been idle is tried
    /// once more, as the server may have been restarted in between.
    Result<ReplyPtr> command(std::initializer_list<std::string_view> words) const {
        const std::lock_guard lock(mutex_);
        const bool wasOpen = context_ != nullptr;
        auto reply = attempt(words);
        if (!reply && wasOpen && context_ == nullptr)
            reply = attempt(words);
        return reply;
    }

    Result<ReplyPtr> attempt(std::initializer_list<std::string_view> words) const {
        KVSCOPE_TRY(connected());
        return send(words);
    }

    Result<ReplyPtr> send(std::initializer_list<std::string_view> words) const {
        std::array<const char*, 6> starts{};
        std::array<std::size_t, 6> sizes{};
        int count = 0;
        for (const std::string_view word : words) {
            starts[static_cast<std::size_t>(count)] = word.data();
            sizes[static_cast<std::size_t>(count)] = word.size();
            ++count;
        }
        const QuietPipe quiet;
        ReplyPtr reply(static_cast<redisReply*>(redisCommandArgv(context_.get(), count, starts.data(), sizes.data())));
        if (reply == nullptr) {
            const bool late = context_->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
            const std::string why =
                late ? "does not answer within " + std::to_string(std::lround(options_.replySeconds)) + " seconds"
                     : "is gone: " + std::string(context_->errstr);
            context_.reset();
            return fail(why, name(), "Start the server again, or check the network", Error::Kind::System);
        }
        if (reply->type == REDIS_REPLY_ERROR) {
            std::string why(reply->str, static_cast<std::size_t>(reply->len));
            while (why.ends_with('.'))
                why.pop_back();
            return fail("refuses: " + why, name(), "Check the server's memory, password and rights",
                        Error::Kind::System);
        }
        return reply;
    }

    Result<void> connected() const {
        if (context_ != nullptr)
            return {};
        const QuietPipe quiet;
        const timeval limit = toTimeval(options_.connectSeconds);
        context_.reset(address_.socket.empty() ? redisConnectWithTimeout(address_.host.c_str(), address_.port, limit)
                                               : redisConnectUnixWithTimeout(address_.socket.c_str(), limit));
        if (context_ == nullptr || context_->err != 0) {
            const std::string why = context_ == nullptr ? "out of memory" : context_->errstr;
            context_.reset();
            return fail("cannot be reached: " + why, name(), "Start Redis there, or give another address",
                        Error::Kind::System);
        }
        redisSetTimeout(context_.get(), toTimeval(options_.replySeconds));
        if (!address_.password.empty())
            KVSCOPE_TRY(given(send({"AUTH", address_.password})));
        if (address_.database != 0)
            KVSCOPE_TRY(given(send({"SELECT", std::to_string(address_.database)})));
        return {};
    }

    /// A connection that is not set up is of no use.
    Result<void> given(Result<ReplyPtr> reply) const {
        if (reply)
            return {};
        context_.reset();
        return tl::unexpected<Error>(std::move(reply.error()));
    }

    RedisAddress address_;
    RedisOptions options_;
    mutable std::mutex mutex_;
    mutable std::unique_ptr<redisContext, FreeContext> context_;
};

} // namespace

bool isRedisUrl(std::string_view location) {
    return location.starts_with(kTcpScheme) || location.starts_with(kUnixScheme);
}

Result<ContextStorePtr> openRedisStore(const std::string& url, const RedisOptions& options) {
    KVSCOPE_ASSIGN(RedisAddress address, parseAddress(url));
    auto store = std::make_shared<RedisStore>(std::move(address), options);
    KVSCOPE_TRY(store->connect());
    return store;
}

} // namespace kvscope

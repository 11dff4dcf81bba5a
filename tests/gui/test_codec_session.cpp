// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/codec/encoded_cache.h"
#include "core/codec/presets.h"
#include "golden_cache.h"
#include "views/codec_session.h"
#include "views/preset_survey.h"

#include <QSignalSpy>
#include <QTest>
#include <QUndoStack>

#include <cmath>

using namespace kvscope;
using namespace kvscope::views;

namespace {

constexpr int kPatience = 30000;
constexpr LayerKind kFirstKeys{LayerIndex(0), PlaneKind::Key};

PlaneId plane(std::int64_t layer, PlaneKind kind) {
    return {LayerIndex(layer), kind, SequenceIndex(0)};
}

std::vector<float> rowsOf(const KvCache& cache, PlaneId id) {
    const PlaneGeometry* shape = cache.geometry().find(id);
    std::vector<float> rows(static_cast<std::size_t>(shape->values()));
    return cache.readRows(id, tokenRange(0, shape->tokens), rows) ? rows : std::vector<float>();
}

/// sum e^2 over sum (x - channel mean)^2, straight from the definition.
double centredError(const std::vector<float>& original, const std::vector<float>& decoded, std::size_t channels) {
    double errors = 0;
    double energy = 0;
    for (std::size_t channel = 0; channel < channels; ++channel) {
        double mean = 0;
        std::size_t count = 0;
        for (std::size_t i = channel; i < original.size(); i += channels, ++count)
            mean += static_cast<double>(original[i]);
        mean /= static_cast<double>(count);
        for (std::size_t i = channel; i < original.size(); i += channels) {
            errors += std::pow(static_cast<double>(decoded[i]) - static_cast<double>(original[i]), 2);
            energy += std::pow(static_cast<double>(original[i]) - mean, 2);
        }
    }
    return errors / energy;
}

} // namespace

class TestCodecSession : public QObject {
    Q_OBJECT

private slots:
    void init() {
        document_ = std::make_unique<Document>(goldenCache(), pool_);
        session_ = &CodecSession::of(*document_);
        session_->setUndoStack(&undo_);
        who_ = std::make_unique<QObject>();
    }

    void cleanup() {
        undo_.clear();
        who_.reset();
        document_.reset();
    }

    void nothingRunsUntilSomebodyLooks() {
        QTest::qWait(50);
        QCOMPARE(session_->planCount(), std::size_t(0));
        QCOMPARE(session_->planesEncoded(), std::int64_t(0));
        complete();
        QCOMPARE(session_->planesEncoded(), std::int64_t(6));
        QCOMPARE(QString::fromStdString(session_->plan().name), QString::fromLatin1(CodecSession::kFirstPreset));
        QCOMPARE(&CodecSession::of(*document_), session_);
    }

    void theReportIsWhatDecodingGives() {
        complete();
        const KvCache decoded = makeDecodedCache(document_->cache(), session_->encodedPlanes());
        const PlaneId id = plane(1, PlaneKind::Key);
        const double error = centredError(rowsOf(document_->cache(), id), rowsOf(decoded, id), 32);
        const EncodeTotals totals = session_->report().totals(id.layer, id.kind);
        QVERIFY(error > 0);
        QVERIFY(std::abs(headlineError(id.kind, totals.error) / error - 1) < 1e-4);
        std::int64_t bytes = 0;
        for (const EncodedPart& part : session_->encodedPlanes().at(id)->parts)
            bytes += static_cast<std::int64_t>(part.bytes.size());
        for (const CalibratedPipeline& one : session_->encodedPlanes().at(id)->pipelines)
            bytes += static_cast<std::int64_t>(one.calibration.channelTerms.storedBytes());
        QCOMPARE(totals.bytes(), bytes);
    }

    void anEditEncodesOnlyWhatItChangesAndUndoNothing() {
        complete();
        const EncodeTotals before = session_->report().totals(kFirstKeys.layer, kFirstKeys.kind);
        const EncodeTotals values = session_->report().totals(kFirstKeys.layer, PlaneKind::Value);
        const std::int64_t encoded = session_->planesEncoded();
        toBits(2);
        QVERIFY(!session_->isComplete());
        QVERIFY(!session_->isCurrent(0, plane(0, PlaneKind::Key)));
        QVERIFY(session_->isCurrent(0, plane(0, PlaneKind::Value)));
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete(), kPatience);
        QCOMPARE(session_->planesEncoded(), encoded + 1);
        const EncodeTotals after = session_->report().totals(kFirstKeys.layer, kFirstKeys.kind);
        QVERIFY(after.ratio() > before.ratio());
        QVERIFY(headlineError(PlaneKind::Key, after.error) > headlineError(PlaneKind::Key, before.error));
        QCOMPARE(session_->report().totals(kFirstKeys.layer, PlaneKind::Value).bytes(), values.bytes());
        undo_.undo();
        QVERIFY(session_->isComplete());
        QCOMPARE(session_->planesEncoded(), encoded + 1);
        const EncodeTotals again = session_->report().totals(kFirstKeys.layer, kFirstKeys.kind);
        QCOMPARE(again.bytes(), before.bytes());
        QCOMPARE(again.error.sumSquared, before.error.sumSquared);
        undo_.redo();
        QCOMPARE(session_->report().totals(kFirstKeys.layer, kFirstKeys.kind).bytes(), after.bytes());
    }

    void aStrokeIsOneUndoStep() {
        complete();
        const CodecPlan before = session_->plan();
        session_->beginStroke(QStringLiteral("drag"));
        for (const double bits : {4.0, 3.0, 2.0})
            toBits(bits);
        session_->endStroke();
        QCOMPARE(undo_.count(), 1);
        const CodecPlan after = session_->plan();
        QVERIFY(before != after);
        undo_.undo();
        QVERIFY(session_->plan() == before);
        undo_.redo();
        QVERIFY(session_->plan() == after);
        // A stroke that ends where it began changes nothing.
        session_->beginStroke(QStringLiteral("drag"));
        toBits(4);
        QVERIFY(session_->edit(QStringLiteral("drag"), after));
        session_->endStroke();
        QCOMPARE(undo_.count(), 1);
    }

    void fastEditsEndInTheLastOne() {
        complete();
        for (int i = 0; i < 40; ++i)
            toBits(1.5 + 0.1 * i);
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete(), kPatience);
        const auto totals = session_->report().totals(kFirstKeys.layer, kFirstKeys.kind);
        const auto whole = encodePlane(document_->cache(), plane(0, PlaneKind::Key), session_->plan(), pool_, {}, {});
        QVERIFY(whole);
        EncodeTotals expected;
        expected.add(whole->report);
        QCOMPARE(totals.bytes(), expected.bytes());
        QVERIFY(session_->planesEncoded() < 6 + 40);
    }

    void aNonsensePlanIsRefusedByItsField() {
        complete();
        const CodecPlan before = session_->plan();
        const auto done = session_->adjustCells(QStringLiteral("bad"), std::array{kFirstKeys}, [](Pipeline pipeline) {
            pipeline.quantiser = Uniform{.bits = 40};
            return pipeline;
        });
        QVERIFY(!done);
        QCOMPARE(QString::fromStdString(done.error().where), QStringLiteral("quantiser.bits"));
        QVERIFY(session_->plan() == before);
        QCOMPARE(undo_.count(), 0);
    }

    void upToThreePlansArePinnedBesideTheCurrentOne() {
        complete(true);
        session_->pin();
        QCOMPARE(session_->planCount(), std::size_t(2));
        QVERIFY(session_->isComplete(1));
        const std::int64_t encoded = session_->planesEncoded();
        toBits(2);
        QTRY_VERIFY_WITH_TIMEOUT(session_->isIdle(who_.get()), kPatience);
        QCOMPARE(session_->planesEncoded(), encoded + 1);
        QVERIFY(session_->report(0).totals().bytes() < session_->report(1).totals().bytes());
        session_->pin();
        session_->pin();
        session_->pin();
        QCOMPARE(session_->planCount(), CodecSession::kMaxPlans);
        session_->makeCurrent(1);
        QVERIFY(session_->isComplete());
        QCOMPARE(session_->report(0).totals().bytes(), session_->report(1).totals().bytes());
        session_->unpin(3);
        QCOMPARE(session_->planCount(), std::size_t(3));
        while (undo_.canUndo())
            undo_.undo();
        QCOMPARE(session_->planCount(), std::size_t(1));
    }

    void plansThatWereMeasuredWholeAreRemembered() {
        complete();
        QCOMPARE(session_->tried().size(), std::size_t(1));
        toBits(2);
        QTRY_COMPARE_WITH_TIMEOUT(session_->tried().size(), std::size_t(2), kPatience);
        QCOMPARE(session_->tried().back().all.bytes(), session_->report().totals().bytes());
        undo_.undo();
        QCOMPARE(session_->tried().size(), std::size_t(2));
    }

    void stoppedWorkWaitsUntilItMayGoOn() {
        session_->want(who_.get(), {});
        QTRY_VERIFY_WITH_TIMEOUT(session_->planCount() == 1, kPatience);
        session_->cancel();
        QTRY_VERIFY_WITH_TIMEOUT(session_->isIdle(who_.get()), kPatience);
        QTest::qWait(50);
        QVERIFY(!session_->isComplete());
        session_->resume();
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete(), kPatience);
    }

    void aPresetForSomeCellsLeavesTheOthers() {
        complete();
        const CodecPlan before = session_->plan();
        session_->applyPreset(QStringLiteral("raw"), {kFirstKeys});
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete() && undo_.count() == 1, kPatience);
        const EncodeTotals keys = session_->report().totals(kFirstKeys.layer, kFirstKeys.kind);
        QVERIFY(keys.bytes() >= keys.dumpBytes);
        QCOMPARE(headlineError(PlaneKind::Key, keys.error), 0.0);
        QVERIFY(differences(before, session_->plan(), document_->cache().geometry()) == std::vector{kFirstKeys});
        const QSignalSpy failed(session_, &CodecSession::failed);
        session_->loadPreset(QStringLiteral("no such preset"));
        QTRY_COMPARE_WITH_TIMEOUT(failed.count(), 1, kPatience);
    }

    void presetsAreMeasuredInTheBackgroundWhileSomebodyLooks() {
        PresetSurvey& survey = session_->survey();
        session_->want(who_.get(), {});
        survey.want(who_.get());
        QTRY_VERIFY_WITH_TIMEOUT(survey.isDone(), 120000);
        QVERIFY(survey.isWhole());
        std::size_t offered = 0;
        for (const PresetInfo& preset : presets())
            offered += preset.inPanel ? 1 : 0;
        QCOMPARE(survey.points().size() + survey.failures().size(), offered);
        for (const PresetSurvey::Point& point : survey.points()) {
            QCOMPARE(point.measured.all.values, document_->cache().geometry().cacheValues());
            if (point.info.lossless)
                QCOMPARE(point.measured.all.error.sumSquared, 0.0);
        }
    }

private:
    void complete(bool pinned = false) {
        session_->want(who_.get(), {.pinned = pinned, .first = {}});
        QTRY_VERIFY_WITH_TIMEOUT(session_->isComplete(), kPatience);
    }

    void toBits(double bits) {
        QVERIFY(session_->adjustCells(QStringLiteral("bits"), std::array{kFirstKeys},
                                      [bits](const Pipeline& pipeline) { return withBits(pipeline, bits); }));
    }

    ThreadPool pool_{2};
    QUndoStack undo_;
    std::unique_ptr<Document> document_;
    CodecSession* session_ = nullptr;
    std::unique_ptr<QObject> who_;
};

QTEST_MAIN(TestCodecSession)
#include "test_codec_session.moc"

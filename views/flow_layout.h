// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QLayout>
#include <QList>

#include <memory>
#include <vector>

namespace kvscope::views {

/// Puts widgets in a row and goes on in a new row where the room ends, as words in a paragraph do; so that a row of
/// controls is never the reason why a window cannot be made narrower. Rows are as high as their highest widget.
class FlowLayout : public QLayout {
public:
    explicit FlowLayout(QWidget* parent = nullptr, int spacing = 4);

    void addItem(QLayoutItem* item) override;
    [[nodiscard]] int count() const override { return static_cast<int>(items_.size()); }
    [[nodiscard]] QLayoutItem* itemAt(int index) const override;
    QLayoutItem* takeAt(int index) override;
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSize() const override;
    [[nodiscard]] Qt::Orientations expandingDirections() const override { return {}; }
    [[nodiscard]] bool hasHeightForWidth() const override { return true; }
    [[nodiscard]] int heightForWidth(int width) const override;
    void setGeometry(const QRect& rect) override;

    /// Moves the last item, which must be a widget, to the place `index`; for controls that come before one made
    /// earlier.
    void moveLastTo(int index);

private:
    /// Returns the height needed; places the items when `apply` is set.
    int arrange(const QRect& rect, bool apply) const;

    std::vector<std::unique_ptr<QLayoutItem>> items_;
    int spacing_;
};

} // namespace kvscope::views

// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

/// Marks a function that CPU and CUDA code share.
#if defined(__CUDACC__)
#define KVSCOPE_HD __host__ __device__
#else
#define KVSCOPE_HD
#endif
